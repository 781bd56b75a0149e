"""Peak memory of one worker that runs the blocks of a stage, beside what `plan` says."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import xarray as xr

from zeoarray import pipeline, store
from zeoarray.pipeline import cut, plans, stages, work


def status(key: str) -> int:
    """Bytes that Linux counts for this process: ``VmRSS`` now, ``VmHWM`` at the peak."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {key} in /proc/self/status")


def main(path: str, rows: int) -> dict[str, float]:
    """Run the first stage of a pipeline (on its first `rows` rows, if not 0)."""
    loaded = pipeline.read(path)
    (checked,) = pipeline.check(loaded)
    (segment,) = checked.segments
    source = str(checked.stage.source)
    with tempfile.TemporaryDirectory() as folder:
        # A few rows of it first, in memory: what is compiled and imported is no part of a block.
        tiny = store.open_node(loaded.store, source, chunked=False).isel(z=slice(0, 2)).load()
        warm(tiny, segment)
        del tiny
        blocks = stages.work_of(loaded, segment, source, folder)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = status("VmRSS")
        count = -(-rows // segment.rows) if rows else segment.blocks
        for index in range(count):
            work.run_block(blocks, stages.block_of(segment, index))
        return {"measured": status("VmHWM") - before, "plan": plans.memory_of(segment)}


def warm(ds: xr.Dataset, segment: cut.Segment) -> None:
    """Call every step once on few angles, columns and rows."""
    angles = slice(None, None, max(ds.sizes["angle"] // 40, 1))
    ds = ds.isel(angle=angles)
    for step in segment.steps:
        ds = step.entry(ds, step.arguments)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
