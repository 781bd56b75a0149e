"""From raw frames in a store to attenuation in a store: the pipeline beside a bare loop.

The loop reads the same blocks, calls the same kernels on arrays, and compresses, writes and
fsyncs the same shards: without labels, ledger, provenance or YAML. One process, one thread each,
in turn. Memory is the peak of a worker beyond what it held before its first block.
``ZEO_CASES=small`` leaves out the slab, which takes eight minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from zeoarray import pipeline, store
from zeoarray.backend import single_threaded
from zeoarray.chunks import format_bytes
from zeoarray.ingest.into import into_store
from zeoarray.kernels import flatfield, radon, references, rings
from zeoarray.pipeline.cut import Segment
from zeoarray.store import durable, encode

STAGES = """
zeoarray: 1
store: {store}
stages:
  - from: xct/a/scan
    into: xct/a/{name}
    steps:
      - xct.normalize
      - xct.remove_rings: {{snr: 3.0, la_size: {la}, sm_size: {sm}}}
      - xct.minus_log
      - xct.reconstruct: {{center: {center}, circle: 0.95}}
"""


def bare(root: str, target: Path, segment: Segment, given: dict[str, Any]) -> None:
    """Read, compute, compress, write and fsync every block."""
    (array,) = (a for a in segment.arrays().values() if a.name == "attenuation")
    ds = store.open_node(root, "xct/a/scan", chunked=False)
    angle = np.deg2rad(ds["angle"].values)
    pixel = float(ds["resolution"])
    times = [ds[n].values for n in ("flat_time", "time")]
    sets = tuple(int(n) for n in ds["flat_set"].values)
    position = references.positions(times[0], sets, times[1])
    (phase,) = segment.phases()
    at_once = phase.rows
    for index in range(segment.blocks):
        rows = slice(*segment.spans(index)[0])
        block = ds[["counts", "flat", "dark"]].isel(z=rows).load()
        out = np.empty((rows.stop - rows.start, len(ds["u"]), len(ds["u"])), np.float32)
        for first in range(0, rows.stop - rows.start, at_once):
            part = slice(first, first + at_once)
            counts = block["counts"].values[:, part].transpose(1, 0, 2)
            flat = references.average(block["flat"].values[:, part], sets=sets, lit=True)
            dark = references.average(block["dark"].values[:, part])[0]
            ratio = flatfield.transmission(
                counts.transpose(1, 0, 2), flat, dark, position, np.ones(len(angle))
            ).transpose(1, 0, 2)
            clean = rings.remove_all_stripe(
                ratio, snr=3.0, la_size=given["la"], sm_size=given["sm"]
            )
            lines, _ = flatfield.minus_log(clean)
            out[part] = radon.filtered_backprojection(
                lines,
                angle,
                center=given["center"],
                radius=0.95 * counts.shape[-1] / 2,
                scale=1e4 / pixel,
            )
        durable.write(target / f"{index}", encode.shard(out, array))


def measure(root: str, given: dict[str, Any]) -> dict[str, Any]:
    """Run both in turn in this process; ratios of their best times, and the agreement."""
    folder = Path(root).parent
    path = folder / "p.yaml"
    seconds: dict[str, list[float]] = {"pipeline": [], "bare": []}
    worst = 0.0
    warm(root)
    for repeat in range(given["repeats"] + 1):
        text = STAGES.format(store=root, name=f"v{repeat}", **given)
        path.write_text(text, encoding="utf-8")
        loaded = pipeline.read(path)
        (checked,) = pipeline.check(loaded)
        (segment,) = checked.segments
        target = folder / f"bare{repeat}"
        begun = time.perf_counter()
        with single_threaded():
            bare(root, target, segment, given)
        middle = time.perf_counter()
        pipeline.run(loaded)
        if repeat or not given["repeats"]:  # the first time compiles and fills the caches
            seconds["bare"].append(middle - begun)
            seconds["pipeline"].append(time.perf_counter() - middle)
        node = Path(root) / f"xct/a/v{repeat}/attenuation/c"
        for index in range(segment.blocks):
            same = (target / f"{index}").read_bytes() == (node / f"{index}/0/0").read_bytes()
            worst = max(worst, 0.0 if same else 1.0)
        shutil.rmtree(target)
        shutil.rmtree(Path(root) / f"xct/a/v{repeat}")
    ratio = min(seconds["pipeline"]) / min(seconds["bare"])
    return {"ratio": ratio, "bare_s": min(seconds["bare"]), "same_bytes": worst == 0.0}


def warm(root: str) -> None:
    """Read the scan once, so that neither of the two has its first reading from disk."""
    for path in Path(root).rglob("c/*/*/*"):
        path.read_bytes()


def peak(root: str, given: dict[str, Any], rows: int | None) -> dict[str, Any]:
    """Peak memory of the blocks of a fresh process, beside what `plan` says of it."""
    folder = Path(root).parent
    path = folder / "m.yaml"
    path.write_text(STAGES.format(store=root, name="memory", **given), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker_memory", str(path), str(rows or 0)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> str:
    """Both scans of the twin, if their files are there or can be made."""
    lines = []
    chosen = os.environ.get("ZEO_CASES", "small,slab").split(",")
    with tempfile.TemporaryDirectory() as place:
        for name, given in CASES.items():
            if given["files"] not in chosen:
                continue
            root = str(Path(place) / f"{given['files']}.zarr")
            source = harness.twin(given["files"], *given["twin"]) / "169068.nxs"
            into_store(source, root, "xct/a/scan", sidecar=source.with_suffix(".yaml"))
            values = {k: v for k, v in given.items() if k not in ("twin", "files")}
            found = harness.alone("benchmarks.bench_pipeline", root, json.dumps(values))
            memory = [peak(root, values, rows) for rows in (None, given["half"])]
            lines.append(
                [
                    name,
                    f"{found['ratio']:.2f}x",
                    f"{found['bare_s']:.1f} s",
                    "the same bytes" if found["same_bytes"] else "OTHER BYTES",
                    format_bytes(memory[0]["plan"]),
                    *(f"{m['measured'] / m['plan']:.2f}" for m in memory),
                ]
            )
    head = (
        "scan", "pipeline / bare loop", "bare loop", "results", "memory planned",
        "measured / planned", "with half the rows",
    )  # fmt: skip
    return harness.table(head, lines)


CASES: dict[str, dict[str, Any]] = {
    "small, 512 x 64 px, 400 angles": {
        "files": "small", "twin": ["--preset", "small", "--only", "i13-2.6um"],
        "la": 31, "sm": 11, "center": 255.5, "half": 32, "repeats": 5,
    },
    "full, 2560 x 64 px, 4000 angles": {
        "files": "slab", "twin": ["--preset", "full", "--rows", "64", "--only", "i13-2.6um"],
        "la": 71, "sm": 31, "center": 1279.5, "half": 32, "repeats": 0,
    },
}  # fmt: skip

if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], json.loads(sys.argv[2]))))
