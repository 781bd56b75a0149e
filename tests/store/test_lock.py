"""Locks: exclusive among the living, taken over from the dead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from zeoarray.errors import LockedError
from zeoarray.store import lock


def test_a_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "n.json"
    code = (
        "import os, sys; from pathlib import Path; from zeoarray.store import lock;"
        "lock._take(Path(sys.argv[1]), 'x'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.exists()
    with lock.held(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_process_number_used_again_does_not_keep_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "n.json"
    assert lock._take(path, "mine")
    owner = json.loads(path.read_text())
    path.write_text(json.dumps({**owner, "started": "12345", "token": "other"}))
    with lock.held(path):
        pass


def test_a_lock_of_another_host_lives_as_long_as_its_heartbeat(tmp_path: Path) -> None:
    path = tmp_path / "n.json"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": "now", "token": "t"}))
    with pytest.raises(LockedError, match="process 1 on elsewhere"), lock.held(path):
        pass
    past = time.time() - 2 * lock.STALE_S
    os.utime(path, (past, past))
    with lock.held(path):
        pass


def test_waiting_for_a_lock(tmp_path: Path) -> None:
    path, order = tmp_path / "n.json", []

    def later() -> None:
        with lock.held(path, wait=True):
            order.append("second")

    with lock.held(path):
        thread = threading.Thread(target=later)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_of_many_who_see_a_stale_lock_one_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "n.json"
    for _ in range(20):
        stale = {"host": "elsewhere", "pid": 1, "since": "", "token": "stale"}
        path.write_text(json.dumps(stale))
        past = time.time() - 2 * lock.STALE_S
        os.utime(path, (past, past))
        won: list[int] = []
        gate = threading.Barrier(8)

        def race(i: int, gate: threading.Barrier = gate, won: list[int] = won) -> None:
            gate.wait()
            if lock._take(path, f"token{i}"):
                won.append(i)

        threads = [threading.Thread(target=race, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert json.loads(path.read_text())["token"] == f"token{won[0]}"
