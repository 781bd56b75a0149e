"""Peak memory of every segment of a pipeline, beside what `plan` says, in one process.

A block is made twice, and the second time is measured: by then everything is compiled, imported
and cached. What is kept from block to block is counted as planned.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.worker_memory import status
from zeoarray import pipeline
from zeoarray.pipeline import plans, stages, work

BLOCKS = 2
"""Blocks of a segment that are measured: the first and the next."""
FLOOR = 64 << 20
"""A plan of less says nothing: the pages of small objects are as much."""


def main(path: str, given: dict[str, str]) -> list[dict[str, Any]]:
    """Run a pipeline, and tell the peak of each segment that is large enough."""
    found: dict[str, dict[str, Any]] = {}
    here: list[tuple[str, Any]] = []
    make, segment_of = work.run_block, stages._run_segment
    trim = ctypes.CDLL(None).malloc_trim

    def segmented(loaded: Any, segment: Any, source: str, node: Any, how: Any) -> None:
        here[:] = [(node.target.node, segment)]
        segment_of(loaded, segment, source, node, how)

    def watched(blocks: work.Work, block: work.Block) -> Any:
        made = make(blocks, block)
        name, segment = here[0]
        need = plans.needs(segment)
        row = found.setdefault(name, {"plan": need.fixed + need.block, "measured": 0, "blocks": 0})
        if row["blocks"] < BLOCKS and row["plan"] >= FLOOR:
            gc.collect()
            trim(0)
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            before = status("VmRSS")
            made = make(blocks, block)
            row["measured"] = max(row["measured"], need.fixed + status("VmHWM") - before)
        row["blocks"] += 1
        return made

    patched: Any = (work, stages)
    patched[0].run_block, patched[1]._run_segment = watched, segmented
    pipeline.run(pipeline.read(path, given=given))
    return [{"node": name, **row} for name, row in found.items()]


if __name__ == "__main__":
    print(json.dumps({"found": main(sys.argv[1], json.loads(sys.argv[2]))}))
