"""Where blocks run: here, or in processes of this machine."""

from __future__ import annotations

import concurrent.futures as cf
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from zeoarray.cluster.mending import MendingPool
from zeoarray.errors import ArgumentError


@contextmanager
def processes(workers: int) -> Iterator[cf.Executor | None]:
    """Give an executor of `workers` processes; None for one, who then works here.

    Workers end with the process that started them, also when that one is killed. Where a worker is
    killed, its blocks are done again by another.
    """
    if workers < 1:
        raise ArgumentError("at least one worker is needed", got=workers, do="--workers 1")
    if workers == 1:
        yield None
        return
    context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    if os.name == "posix":
        # Imported once by the server, so that each worker starts in milliseconds.
        context.set_forkserver_preload(["zeoarray.store.write", "zeoarray.ingest.scan"])
    pool = MendingPool(
        lambda: cf.ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent)
    )
    try:
        yield pool
    except BaseException:
        # Whoever wanted the blocks that are being made has waited for them already.
        pool.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _follow_parent() -> None:
    # Ctrl-C reaches every process of a terminal: whether blocks end is for the parent to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    # A pool's worker waits on a pipe of which it holds both ends: without this it would
    # outlive a killed client for ever.
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
