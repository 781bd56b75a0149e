"""One process and two: the same stage, integration and reconstruction, in turn.

Each process has one thread; blocks are read from and written to a store. Clusters of one and of
two workers wait side by side, every worker has made blocks before, and the best of each counts.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import xarray as xr

from benchmarks import bench_xrdct, harness
from zeoarray import cluster, pipeline, schema, store
from zeoarray.cluster import model
from zeoarray.ingest.into import into_store

PROCESSES, REPEATS = (1, 2), 2
ANGLES, ROWS, COLUMNS = 900, 192, 1024
TRANSLATIONS = 20
"""Of 80 rotations: stages of half a minute, beside which a run's beginning and end are short."""
STAGES = {
    "integration": """
zeoarray: 1
store: {store}
stages:
  - from: xrdct/a/scan
    into: xrdct/a/{name}
    steps:
      - xrdct.integrate: {{npt: 5000, radial_range: [0.5, 5.0], normalize_by: monitor}}
""",
    "reconstruction": """
zeoarray: 1
store: {store}
stages:
  - from: xct/a/lines
    into: xct/a/{name}
    block: 4
    steps:
      - xct.reconstruct: {{center: 511.5}}
""",
}


def lines() -> xr.Dataset:
    """Absorbance of a disk, with noise."""
    pixel = 2.6
    u = (np.arange(COLUMNS) - (COLUMNS - 1) / 2) * pixel
    clean = 2 * np.sqrt(np.clip((400 * pixel) ** 2 - u**2, 0, None)) * 1e-4
    noise = np.random.default_rng(0).normal(0, 0.01, (ANGLES, ROWS, COLUMNS))
    ds = xr.Dataset(
        {"absorbance": (("angle", "z", "u"), (clean + noise).astype("f4"))},
        {
            "angle": np.arange(ANGLES) * 180.0 / ANGLES,
            "z": np.arange(ROWS) * pixel,
            "u": u,
            "resolution": pixel,
        },
    )
    return schema.describe(ds, schema.ABSORBANCE_XCT)


def written(folder: Path, kind: str) -> str:
    """A store with what the stage reads."""
    root = str(folder / "a.zarr")
    if kind == "reconstruction":
        store.save(lines(), root, "xct/a/lines")
    else:
        with mock.patch.object(bench_xrdct, "TRANSLATIONS", TRANSLATIONS):
            source = bench_xrdct.write(folder)
        options = {"poni": folder / "scan.poni", "beam_size": 25.0}
        into_store(source, root, "xrdct/a/scan", options, reference=True)
    return root


def measure(kind: str) -> dict[str, Any]:
    """Seconds of the stage with each number of processes."""
    least: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        root, path = written(Path(place), kind), Path(place) / "p.yaml"
        started = {
            n: stack.enter_context(
                cluster.started(model.Local.model_validate({"workers": n, "memory": "4 GB"}))
            )
            for n in PROCESSES
        }
        for turn in range(REPEATS + 1):
            for count, workers in started.items():
                text = STAGES[kind].format(store=root, name=f"out-{count}-{turn}")
                path.write_text(text, encoding="utf-8")
                loaded = pipeline.read(path)
                begun = time.perf_counter()
                pipeline.run(
                    loaded,
                    executor=workers.executor,
                    in_flight=workers.in_flight,
                    lost=workers.lost,
                )
                seconds = time.perf_counter() - begun
                if turn:  # the first builds matrices and plans
                    least[str(count)] = min(seconds, least.get(str(count), seconds))
        blocks = pipeline.plan(loaded).rows[0].tasks
    return {"seconds": least, "blocks": blocks}


def main() -> str:
    """Times of both, and their ratio."""
    rows = []
    for kind in STAGES:
        found = harness.alone("benchmarks.bench_scaling", kind)
        one, two = (found["seconds"][str(n)] for n in PROCESSES)
        rows.append([kind, found["blocks"], f"{one:.1f} s", f"{two:.1f} s", f"{one / two:.2f}x"])
    return harness.table(("stage", "blocks", "one process", "two", "one / two"), rows)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
