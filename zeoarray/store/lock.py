"""One writer a node: a lock file with host, process and heartbeat.

`flock` is not used: it fails, or does nothing, on NFS and Lustre. A lock whose process is dead
(same host), or whose heartbeat has stopped (another host), is taken over.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zeoarray.errors import LockedError
from zeoarray.store.durable import failed

HEARTBEAT_S = 5.0
STALE_S = 120.0
"""Without a heartbeat for this long, a lock of another host is taken over."""


@contextmanager
def held(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock at `path`; raise where another process does, or wait for it.

    Raises
    ------
    LockedError
        Naming the process that holds it.
    """
    token = uuid.uuid4().hex
    while not _take(path, token):
        owner = _owner(path)
        if owner and not wait:
            raise LockedError(
                f"{path.stem.replace('+', '/')} is being written by another process",
                got="process {pid} on {host}, since {since}".format_map(owner),
                do=f"wait for it (--wait); if it is surely gone, delete {path}",
            )
        time.sleep(0.5)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, stop), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        if _owner(path).get("token") == token:
            path.unlink(missing_ok=True)


def _take(path: Path, token: str) -> bool:
    """Create the lock, or replace a stale one. False where somebody alive holds it."""
    content = json.dumps(
        {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "since": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "token": token,
        }
    )
    mine = path.with_name(f".{path.name}.{token}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mine.write_text(content, encoding="utf-8")
    except OSError as error:
        raise failed(path, error) from error
    try:
        with suppress(FileExistsError):
            os.link(mine, path)  # atomic, and the lock is never seen half-written
            return True
        owner = _owner(path)
        if not owner or _alive(path, owner):
            return False
        # Of all who see this stale lock, one at a time may replace it, and the second to come
        # finds that it is another lock by now.
        claim = path.with_name(f".{path.name}.after-{owner['token']}")
        with suppress(FileExistsError):
            os.link(mine, claim)
            still = _owner(path).get("token") == owner["token"]
            if still:
                os.replace(mine, path)
            claim.unlink()
            return still
        return False
    finally:
        mine.unlink(missing_ok=True)


def _owner(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and "token" in content else {}


def _alive(path: Path, owner: dict[str, str]) -> bool:
    if owner.get("host") == socket.gethostname():
        started = _started(int(owner["pid"]))
        # A process number is used again after a while; its start time is not.
        return started is not None and started == owner.get("started")
    try:
        return time.time() - path.stat().st_mtime < STALE_S
    except FileNotFoundError:
        return False


def _started(pid: int) -> str | None:
    """Start of a running process as the kernel counts it; None where it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except OSError:
        if Path("/proc/self").exists():
            return None
    try:  # no /proc (macOS): that it runs must do
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return "running"
    return "running"


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        with suppress(OSError):
            os.utime(path)
