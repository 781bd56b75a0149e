"""What the benchmarks share: cold files, peak memory of a process and its children, tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil

FILES = Path(__file__).parent / "files"
"""Files that benchmarks make for themselves; git ignores them."""


def drop_cache(path: Path) -> None:
    """Drop a file, or all files of a folder, from the page cache."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


class PeakMemory(threading.Thread):
    """Peak of the proportional memory of this process and its children, in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._done = threading.Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self._done.wait(0.03):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)

    def stop(self) -> int:
        self._done.set()
        self.join()
        return self.peak


def alone(module: str, *arguments: object, folder: Path | None = None) -> dict[str, Any]:
    """Run ``python -m module arguments`` by itself, in `folder`; it prints one JSON object last."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def twin(name: str, *options: str) -> Path:
    """Folder with files of the twin: written once, and kept for the next run."""
    folder = FILES / name
    if not (folder / "done").exists():
        command = [sys.executable, "-m", "zeoarray", "twin", str(folder), *options]
        subprocess.run(command, check=True, capture_output=True)
        (folder / "done").touch()
    return folder


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [list(head), ["---"] * len(head), *([str(c) for c in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
