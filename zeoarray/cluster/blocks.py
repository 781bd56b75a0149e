"""The executor of a dask client; dask's own waits for ever where its scheduler dies.

A result that was under way from the scheduler when that one died raises inside dask's event loop,
where nobody hears of it. Here every block ends: with its result, its own error, or `GoneError`.
"""

from __future__ import annotations

import concurrent.futures as cf
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import distributed

T = TypeVar("T")


class GoneError(ConnectionError):
    """The scheduler is gone, and with it what it was asked for."""


class Blocks(cf.Executor):
    """Runs blocks by a dask client.

    Parameters
    ----------
    client
        Connected to a scheduler.
    """

    def __init__(self, client: distributed.Client) -> None:
        self._client = client

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> cf.Future[T]:
        """Run a function on a worker. It cannot be cancelled: dask does not tell what is begun."""
        outer: cf.Future[T] = cf.Future()
        outer.set_running_or_notify_cancel()
        try:
            inner = self._client.submit(function, *args, **kwargs, pure=False)
        except Exception as error:
            outer.set_exception(GoneError(str(error)))
            return outer
        inner.add_done_callback(functools.partial(_done, outer))
        return outer


def _done(outer: cf.Future[T], inner: Any) -> None:
    try:
        outer.set_result(inner.result())
    # What fails on its way here, and a future that nobody cancelled, tell of the scheduler.
    except (Exception, cf.CancelledError) as error:
        own = inner.status == "error"
        outer.set_exception(error if own else GoneError(str(error)))
