"""A scan of twenty times the memory that a worker may hold, the libraries of the worker included.

The file has frames, but holds no more of them than the fill value: it is small on disk, and every
block is read, binned, normalised and written all the same. What is shown is the largest resident
memory that any worker ever had, as Linux counts it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil

from benchmarks import harness
from zeoarray import cluster, pipeline, store
from zeoarray.chunks import format_bytes

LIMIT, TIMES, WORKERS = 10**9, 20, 2
FRAME = (540, 640)
"""A camera of 2160 x 2560 pixels, binned by 4."""
LIT, BEAM, DARK = 600, 1100, 100
STAGES = """
zeoarray: 1
store: {store}
stages:
  - ingest: {{source: {source}, reference: true, into: xct/a/scan}}
  - from: xct/a/scan
    into: xct/a/absorbance
    block: 128
    steps:
      - volume.bin: {{factor: 2, dims: [z, u]}}
      - xct.normalize
      - xct.minus_log
"""


def hollow(path: Path, nbytes: int) -> int:
    """Write a Data Exchange file of so many bytes of frames, all of them the fill value."""
    count = -(-nbytes // (2 * FRAME[0] * FRAME[1]))
    with h5py.File(path, "w") as file:
        data = file.create_group("exchange")
        for name, frames, value in (
            ("data", count, LIT), ("data_white", 16, BEAM), ("data_dark", 16, DARK),
        ):  # fmt: skip
            data.create_dataset(
                name, (frames, *FRAME), "u2", chunks=(1, *FRAME), fillvalue=value
            )  # fmt: skip
        data["theta"] = np.arange(count) * 180.0 / count
        data["theta"].attrs["units"] = "degree"
        told = file.create_group("measurement/instrument")
        for name, number, unit in (
            ("detection_system/objective/resolution", 2.6, "microns"),
            ("detector/pixel_size", 2.6, "microns"),
            ("detector/exposure_time", 0.1, "s"),
            ("monochromator/energy", 25.0, "keV"),
            ("camera_motor_stack/setup/camera_distance", 100.0, "mm"),
        ):
            told[name] = number
            told[name].attrs["units"] = unit
    os.utime(path, (time.time() - 60,) * 2)
    return 2 * count * FRAME[0] * FRAME[1]


class Largest(threading.Thread):
    """The largest resident memory that a process below this one ever had."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.2):
            self._look()

    def _look(self) -> None:
        for process in psutil.Process().children(recursive=True):
            try:
                text = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
            except OSError:
                continue
            for line in text.splitlines():
                if line.startswith("VmHWM:"):
                    self.peak = max(self.peak, int(line.split()[1]) * 1024)

    def stop(self) -> int:
        self._look()
        self._done.set()
        self.join()
        return self.peak


def measure(limit: int, times: int, workers: int, folder: str) -> dict[str, Any]:
    """Run the stages on a file of `times` the limit."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        file, path, where = (Path(place) / name for name in ("a.h5", "p.yaml", "c.yaml"))
        nbytes = hollow(file, times * limit)
        text = STAGES.format(store=Path(place) / "a.zarr", source=file)
        path.write_text(text, encoding="utf-8")
        where.write_text(
            f"zeoarray: 1\ncluster: local\nworkers: {workers}\nmemory: {limit / 1e6:.0f} MB\n",
            encoding="utf-8",
        )
        loaded = pipeline.read(path)
        with cluster.started(cluster.read(where)) as made:
            planned = pipeline.plan(loaded, memory=made.memory)
            largest = Largest()
            largest.start()
            begun = time.perf_counter()
            pipeline.run(loaded, executor=made.executor, in_flight=made.in_flight, lost=made.lost)
            seconds = time.perf_counter() - begun
            peak = largest.stop()
        some = store.open_node(loaded.store, "xct/a/absorbance", chunked=False)["absorbance"]
        at = [0, some.sizes["angle"] // 2, -1]
        expected = -np.log((LIT - DARK) / (BEAM - DARK))
        right = bool(np.allclose(some.isel(angle=at).values, expected, rtol=1e-5))
    return {
        "peak": peak, "bytes": nbytes, "planned": planned.memory, "allowed": made.memory,
        "seconds": seconds, "right": right,
    }  # fmt: skip


def main() -> str:
    """Two workers of 1 GB on 20 GB."""
    harness.FILES.mkdir(exist_ok=True)
    found = harness.alone("benchmarks.bench_limit", LIMIT, TIMES, WORKERS, harness.FILES)
    head = (
        "data", "limit of a worker", "largest worker", "a block: planned", "a block: allowed",
        "values", "time",
    )  # fmt: skip
    row = [
        *(format_bytes(n) for n in (found["bytes"], LIMIT)),
        f"{format_bytes(found['peak'])} ({found['peak'] / LIMIT:.2f})",
        *(format_bytes(found[n]) for n in ("planned", "allowed")),
        "right" if found["right"] else "WRONG",
        f"{found['seconds']:.0f} s",
    ]
    return harness.table(head, [row])


if __name__ == "__main__":
    bounds = [int(text) for text in sys.argv[1:4]]
    print(json.dumps(measure(bounds[0], bounds[1], bounds[2], sys.argv[4])))
