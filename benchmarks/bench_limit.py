"""A tomogram of twenty times the memory that a worker may hold.

The scan of the twin with many times its rows, of which the file holds no more than the fill value:
it is small on disk, and every block is read, binned, normalised and written all the same. What is
shown is the largest resident memory of any worker, Python and its libraries included.
"""

from __future__ import annotations

import json
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
from zeoarray import cluster, pipeline
from zeoarray.chunks import format_bytes

LIMIT = 10**9
DATA = "entry1/instrument/pco1_hw_hdf/data"
KEYS = "entry1/tomo_entry/instrument/detector/image_key"
DARK = 2
STAGES = """
zeoarray: 1
store: {store}
stages:
  - ingest: {{source: {source}, sidecar: {sidecar}, reference: true, into: xct/a/scan}}
  - from: xct/a/scan
    into: xct/a/absorbance
    steps:
      - volume.bin: {{factor: 16, dims: [z, u]}}
      - xct.normalize
      - xct.minus_log
"""


def hollow(source: Path, target: Path, times: int) -> int:
    """Write `source` with so many times its rows, nearly all of them the fill value; bytes of it.

    Darks are written, as zeros: what is beside them is a beam without a sample.
    """
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        frames, rows, columns = old[DATA].shape
        made = new.create_dataset(
            DATA, (frames, rows * times, columns), old[DATA].dtype,
            chunks=(1, rows, columns), fillvalue=800, compression="lzf",
        )  # fmt: skip
        made.attrs.update(old[DATA].attrs)
        keys = old[KEYS][()]
        for frame in np.flatnonzero(keys == DARK):
            made[int(frame)] = 0
        _copy(old, new, made, old[DATA])
        return int(made.nbytes)


def _copy(old: h5py.Group, new: h5py.Group, made: h5py.Dataset, data: h5py.Dataset) -> None:
    """Copy all that is in a group but the frames, whose links lead to those that were made."""
    new.attrs.update(old.attrs)
    for name in old:
        link = old.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink | h5py.ExternalLink):
            new[name] = link
        elif isinstance(old[name], h5py.Group):
            _copy(old[name], new.require_group(name), made, data)
        elif old[name] != data:
            old.copy(name, new)
        elif name not in new:
            new[name] = made


class Largest(threading.Thread):
    """The largest resident memory of any process below this one."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.02):
            for process in psutil.Process().children(recursive=True):
                try:
                    self.peak = max(self.peak, process.memory_info().rss)
                except psutil.Error:
                    continue

    def stop(self) -> int:
        self._done.set()
        self.join()
        return self.peak


def measure(source: str, limit: int, times: int, workers: int) -> dict[str, Any]:
    """Run the stage on the repeated file under this limit."""
    with tempfile.TemporaryDirectory(dir=Path(source).parent) as place:
        file, path, where = (Path(place) / name for name in ("a.nxs", "p.yaml", "c.yaml"))
        nbytes = hollow(Path(source), file, times)
        sidecar = Path(source).with_suffix(".yaml")
        text = STAGES.format(store=Path(place) / "a.zarr", source=file, sidecar=sidecar)
        path.write_text(text, encoding="utf-8")
        where.write_text(
            f"zeoarray: 1\ncluster: local\nworkers: {workers}\nmemory: {limit / 1e6:.0f} MB\n",
            encoding="utf-8",
        )
        loaded = pipeline.read(path)
        with cluster.started(cluster.read(where)) as made:
            largest = Largest()
            largest.start()
            begun = time.perf_counter()
            pipeline.run(loaded, executor=made.executor, in_flight=made.in_flight, lost=made.lost)
            seconds = time.perf_counter() - begun
            peak = largest.stop()
        planned = pipeline.plan(loaded, memory=limit).rows[-1].memory
    return {"peak": peak, "bytes": nbytes, "planned": planned, "seconds": seconds}


def main() -> str:
    """Two workers of 1 GB on 20 GB."""
    folder = harness.twin("slab", "--preset", "full", "--rows", "64", "--only", "i13-2.6um")
    found = harness.alone("benchmarks.bench_limit", folder / "169068.nxs", LIMIT, 15, 2)
    head = ("data", "limit of a worker", "largest worker", "planned for a block", "time")
    row = [
        format_bytes(found["bytes"]),
        format_bytes(LIMIT),
        format_bytes(found["peak"]),
        format_bytes(found["planned"]),
        f"{found['seconds']:.0f} s",
    ]
    return harness.table(head, [row])


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], *map(int, sys.argv[2:]))))
