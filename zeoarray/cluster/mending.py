"""A pool of processes that goes on when one of them dies: its blocks are done again."""

from __future__ import annotations

import concurrent.futures as cf
import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

TRIES = 4
"""Workers that may die over one block before it is given up: as many as dask allows."""


class MendingPool(cf.Executor):
    """Submits to a pool; one that broke is replaced, and what was in it is submitted again.

    Parameters
    ----------
    start
        Starts a pool.
    """

    def __init__(self, start: Callable[[], cf.ProcessPoolExecutor]) -> None:
        self._start, self._pool = start, start()
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> cf.Future[T]:
        """Run a function in a worker, and in another where that one dies."""
        outer: cf.Future[T] = cf.Future()
        self._send(outer, functools.partial(function, *args, **kwargs), TRIES)
        return outer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def kill(self) -> None:
        """End the workers at once: what they do is lost."""
        with self._lock:
            self._closed = True
        for process in list((self._pool._processes or {}).values()):
            process.kill()

    def _send(self, outer: cf.Future[T], call: Callable[[], T], left: int) -> None:
        with self._lock:
            pool = self._pool
            try:
                inner = pool.submit(call)
            except cf.BrokenExecutor:
                if self._closed:
                    raise
                pool = self._pool = self._start()
                inner = pool.submit(call)
        outer.add_done_callback(lambda done: done.cancelled() and inner.cancel())
        inner.add_done_callback(lambda done: self._done(outer, done, call, left))

    def _done(
        self, outer: cf.Future[T], inner: cf.Future[T], call: Callable[[], T], left: int
    ) -> None:
        error = None if inner.cancelled() else inner.exception()
        again = isinstance(error, cf.BrokenExecutor) and left > 1 and not self._closed
        if again and not outer.cancelled():
            try:
                self._send(outer, call, left - 1)
            except (cf.BrokenExecutor, RuntimeError) as lost:  # it is being shut down
                error = lost
            else:
                return
        if not outer.set_running_or_notify_cancel():
            return
        if error is not None:
            outer.set_exception(error)
        elif inner.cancelled():
            outer.set_exception(cf.CancelledError())
        else:
            outer.set_result(inner.result())
