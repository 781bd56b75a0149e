"""XRD-CT frames of the twin: frames a second, and peak memory for a slab of the full preset."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import PeakMemory, alone, table
from zeoarray.twin import scan_xrdct, writers_xrdct
from zeoarray.twin.sample import Sample

# Preset, scan, rotations of one layer, workers, and whether the frames are reduced too.
CASES = (
    ("small", "25um", 10, 1, False),
    ("small", "25um", 10, 2, False),
    ("small", "25um", 10, 2, True),
    ("full", "25um", 4, 2, False),
    ("full", "25um", 4, 2, True),
)


def one(preset: str, scan: str, rotations: int, workers: int, reduced: bool) -> dict[str, float]:
    """Write the first rotations of a layer, in a process of its own."""
    folder = Path(tempfile.mkdtemp())
    plan = scan_xrdct.part(scan_xrdct.plans(1, preset)[scan], layers=1, rotations=rotations)
    sample = Sample.make(1, preset)
    memory = PeakMemory()
    memory.start()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        writers_xrdct.write_scan(folder, plan, sample, workers=workers, reduced=reduced)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    finally:
        shutil.rmtree(folder)
    frames = rotations * plan.translations
    return {"frames": frames, "wall": wall, "cpu": cpu, "peak": memory.stop(), "bytes": size}


def main() -> str:
    rows = []
    for preset, scan, rotations, workers, reduced in CASES:
        case = (preset, scan, rotations, workers, int(reduced))
        found = alone("benchmarks.bench_twin_xrdct", *case)
        columns = "195 x 487" if preset == "small" else "1679 x 1475"
        rows.append(
            [
                f"{preset}, {columns}",
                workers,
                "yes" if reduced else "no",
                int(found["frames"]),
                f"{found['frames'] / found['wall']:.1f}",
                f"{1e3 * found['cpu'] / found['frames']:.0f}",
                f"{found['peak'] / 1e9:.2f}",
                f"{found['bytes'] / found['frames'] / 1e6:.2f}",
            ]
        )
    head = ["preset", "workers", "reduced", "frames", "frames/s", "cpu ms/frame", "peak GB",
            "MB/frame"]  # fmt: skip
    return table(head, rows)


if __name__ == "__main__":
    preset, scan, rotations, workers, reduced = sys.argv[1:]
    figures = one(preset, scan, int(rotations), int(workers), reduced == "1")
    print(json.dumps(figures))
