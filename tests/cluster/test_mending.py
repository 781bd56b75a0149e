"""A pool goes on when a worker is killed; a block that kills every worker is given up."""

from __future__ import annotations

import concurrent.futures as cf
import os
import signal
import time
from pathlib import Path

import pytest

from zeoarray import cluster
from zeoarray.cluster.mending import TRIES


def once_deadly(path: str, value: int) -> int:
    """Kill the worker unless that was done before."""
    flag = Path(path)
    with flag.open("a", encoding="utf-8") as file:
        file.write("x")
    if len(flag.read_text(encoding="utf-8")) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * value


def deadly(path: str) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def double(value: int) -> int:
    time.sleep(0.01)
    return 2 * value


def test_blocks_of_a_worker_that_is_killed_are_done_again(tmp_path: Path) -> None:
    with cluster.processes(2) as pool:
        assert pool is not None
        others = [pool.submit(double, i) for i in range(6)]
        dying = pool.submit(once_deadly, str(tmp_path / "flag"), 21)
        more = [pool.submit(double, i) for i in range(6)]
        assert dying.result(120) == 42
        assert [f.result(120) for f in others + more] == [0, 2, 4, 6, 8, 10] * 2
        assert pool.submit(double, 4).result(120) == 8


def test_a_block_that_kills_every_worker_is_given_up(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    with cluster.processes(2) as pool:
        assert pool is not None
        with pytest.raises(cf.BrokenExecutor):
            pool.submit(deadly, str(flag)).result(120)
        assert len(flag.read_text(encoding="utf-8")) == TRIES
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result(120)


def test_blocks_that_are_cancelled_are_not_begun() -> None:
    with cluster.processes(2) as pool:
        assert pool is not None
        running = [pool.submit(time.sleep, 0.5) for _ in range(3)]
        waiting = [pool.submit(double, i) for i in range(40)]
        assert sum(f.cancel() for f in waiting) > 0
        cf.wait([*running, *waiting], timeout=120)
        assert all(f.done() for f in running + waiting)
