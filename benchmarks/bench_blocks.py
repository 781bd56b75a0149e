"""What client and scheduler spend on a block, at ten thousand of them.

Blocks do nothing, so that only the machinery is measured: cutting, submitting, the answer, the
ledger with its fsync. CPU of the client's process (dask's scheduler runs in it) and wall time.
Blocks that take no time go together in tasks of 64; alone, each is a task, as those are that take
longer than 50 ms.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from benchmarks import harness
from zeoarray import cluster, pipeline, schema, store
from zeoarray.pipeline import stages, work
from zeoarray.store import ledger

STAGES = """
zeoarray: 1
store: {store}
stages:
  - {{from: xct/a/scan, into: xct/a/out, block: 1, steps: [xct.normalize, xct.minus_log]}}
"""
MOST = 10_000
WORKERS = 2


def nothing(blocks: work.Work, block: work.Block) -> list[ledger.Record]:
    """Answer as a block that was made would, at once."""
    return [ledger.Record(key, 0, "0" * 32) for key in sorted(blocks.keys(block.index))]


def scan(angles: int) -> xr.Dataset:
    """A scan of so many tiny projections."""
    ds = xr.Dataset(
        {
            "counts": (("angle", "z", "u"), np.full((angles, 2, 4), 500, "u2")),
            "flat": (("flat_frame", "z", "u"), np.full((2, 2, 4), 1000, "u2")),
            "dark": (("dark_frame", "z", "u"), np.full((2, 2, 4), 100, "u2")),
        },
        {
            "angle": np.arange(angles) * 180.0 / angles,
            "z": np.arange(2) * 2.6,
            "u": np.arange(4) * 2.6,
            "resolution": 2.6,
        },
    )
    return schema.describe(ds, schema.SCAN_XCT)


def measure(kind: str, count: int, tasks: str) -> dict[str, Any]:
    """Run so many blocks on a cluster of this kind, in tasks of several or each "alone"."""
    if tasks == "alone":
        stages.TASK_S = 0.0
    with tempfile.TemporaryDirectory() as place:
        root, path, where = (Path(place) / name for name in ("a.zarr", "p.yaml", "c.yaml"))
        store.save(scan(count), root, "xct/a/scan")
        path.write_text(STAGES.format(store=root), encoding="utf-8")
        where.write_text(f"zeoarray: 1\ncluster: {kind}\nworkers: {WORKERS}\n", encoding="utf-8")
        # Of the module by its name: what is pickled as part of __main__ goes whole with each block.
        work.run_block = importlib.import_module("benchmarks.bench_blocks").nothing
        with cluster.started(cluster.read(where)) as workers:
            begun, cpu = time.perf_counter(), time.process_time()
            pipeline.run(
                pipeline.read(path),
                executor=workers.executor,
                in_flight=workers.in_flight,
                lost=workers.lost,
            )
            wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return {"cpu_ms": 1e3 * cpu / count, "wall_ms": 1e3 * wall / count}


def main() -> str:
    """Threads of this process, and dask's processes."""
    rows = []
    for kind in ("threads", "local"):
        for tasks, count in (("together", MOST), ("alone", MOST // 10), ("alone", MOST)):
            found = harness.alone("benchmarks.bench_blocks", kind, count, tasks)
            rows.append([
                kind, f"{count:,}", tasks, f"{found['cpu_ms']:.1f} ms", f"{found['wall_ms']:.1f} ms"
            ])  # fmt: skip
    head = ("cluster", "blocks", "in tasks", "CPU of client and scheduler a block", "wall time")
    return harness.table(head, rows)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
