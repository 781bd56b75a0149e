"""A scheduler, its workers and a client in processes of their own, to be killed at any moment."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Who = Literal["client", "scheduler", "worker"]
WHO: tuple[Who, ...] = ("client", "scheduler", "worker")

COUNTS = """
import os, time
from zeoarray.pipeline import work
from zeoarray.store import write

def counted(real):
    def run(*args):
        # One short write to a file opened for appending: whole lines, from every process.
        def told(what):
            file = os.open({path!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(file, (what + "\\n").encode())
            os.close(file)
        told("begun")
        time.sleep({pause})
        made = real(*args)
        told("made")
        return made
    run.counted = True
    return run

# A preload may be loaded more than once.
if not hasattr(work.run_block, "counted"):
    work.run_block = counted(work.run_block)
    write.write_block = counted(write.write_block)
"""
"""What a worker loads first: every block tells when it begins and when it is made."""


@dataclass
class Chaos:
    """Runs a pipeline to its end, whoever is killed on the way.

    Parameters
    ----------
    folder
        Where the run happens, with the store in it.
    pipeline, settings
        The file, and what is set in it.
    workers
        Processes that work; blocks in flight are twice as many.
    pause
        Seconds that each block waits, so that a small one can be hit.
    """

    folder: Path
    pipeline: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    workers: int = 2
    pause: float = 0.05
    told: list[str] = field(default_factory=list)
    """What each client that ended with an error said."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{found.getsockname()[1]}"
        self.counts = self.folder / "counts.txt"
        self._write("counts.py", COUNTS.format(path=str(self.counts), pause=self.pause))
        self._write("existing.yaml", f"zeoarray: 1\ncluster: existing\naddress: {self.address}\n")
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    @property
    def in_flight(self) -> int:
        """Blocks that are given to the workers at once."""
        return 2 * self.workers

    def count(self, what: str) -> int:
        """Blocks that were begun, or made, so far."""
        text = self.counts.read_text(encoding="utf-8") if self.counts.exists() else ""
        return text.count(what)

    def _start(self, name: str, *command: str) -> None:
        log = (self.folder / f"{name}.log").open("wb")
        self.running[name] = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=self.folder, stdout=log, stderr=log
        )
        log.close()

    def tend(self) -> bool:
        """Start whatever does not run; True once a client has come to its end."""
        where = ("--host", "127.0.0.1", "--no-dashboard")
        if self._gone("scheduler"):
            port = self.address.rpartition(":")[2]
            self._start("scheduler", "distributed.cli.dask_scheduler", *where, "--port", port)
        for number in range(self.workers):
            if self._gone(f"worker{number}"):
                self._start(
                    f"worker{number}", "distributed.cli.dask_worker", self.address, *where,
                    "--no-nanny", "--nthreads", "1", "--preload", str(self.folder / "counts.py"),
                    "--local-directory", str(self.folder / "scratch"), "--death-timeout", "120",
                )  # fmt: skip
        if "client" in self.running and self.running["client"].poll() == 0:
            return True
        if self._gone("client"):
            settings = [word for k, v in self.settings.items() for word in ("--set", f"{k}={v}")]
            self._start(
                "client", "zeoarray", "run", str(self.pipeline), "--cluster", "existing.yaml",
                *settings,
            )  # fmt: skip
        return False

    def _gone(self, name: str) -> bool:
        process = self.running.get(name)
        if process is None or process.poll() is None:
            return process is None
        if name == "client" and process.returncode > 0:
            self.told.append((self.folder / "client.log").read_text(encoding="utf-8"))
        return True

    def kill(self, who: Who, rng: random.Random) -> None:
        """Kill one of them, as ``kill -9`` does."""
        name = f"worker{rng.randrange(self.workers)}" if who == "worker" else who
        self.running[name].kill()
        self.running[name].wait()

    def stop(self) -> None:
        """End all that runs."""
        for process in self.running.values():
            process.kill()
            process.wait()

    def run(
        self, victims: list[Who], *, seed: int = 0, spread: int = 8, limit: float = 300.0
    ) -> int:
        """Run the pipeline, killing one after another; returns how many kills there were.

        Parameters
        ----------
        victims
            Who is killed, in this order.
        seed, spread
            A kill comes after 1 to `spread` further blocks were begun.
        limit
            Seconds without any block after which the run counts as hanging.
        """
        rng, killed = random.Random(seed), 0
        at = rng.randint(1, spread)
        seen, moved = 0, time.monotonic()
        while not self.tend():
            begun = self.count("begun")
            if begun > seen:
                seen, moved = begun, time.monotonic()
            if time.monotonic() - moved > limit:
                raise TimeoutError(f"no block for {limit} s; the clients said: {self.told}")
            if killed < len(victims) and begun >= at:
                self.kill(victims[killed], rng)
                killed += 1
                at = begun + rng.randint(1, spread)
            time.sleep(0.02)
        return killed


@contextmanager
def chaos(run: Chaos) -> Iterator[Chaos]:
    """End every process of a run at its end."""
    try:
        yield run
    finally:
        run.stop()
