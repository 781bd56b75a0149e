"""XCT frames of the twin: speed by scan, and peak memory for a slab of the full preset.

A voxel-projection is one voxel of the scan's volume in one projection, as a voxel-driven projector
would count them: rows x columns x columns for each frame.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.harness import PeakMemory, alone, table
from zeoarray.twin import presets
from zeoarray.twin.detector import Camera
from zeoarray.twin.sample import Sample

WORKERS = 2
# Preset, scan, rows (0 for all), projections.
CASES = (
    *(("small", scan.name, 0, 40) for scan in presets.find("small").scans),
    *(("full", scan.name, 64, 12) for scan in presets.find("full").scans),
    ("full", "i13-0.325um", 0, 4),
)


def one(preset: str, name: str, rows: int, projections: int) -> dict[str, float]:
    """Make frames of one scan, in a process of its own."""
    scan = presets.find(preset).scan(name)
    first = (scan.rows - rows) // 2 if rows else 0
    band = first, scan.rows - first
    sample = Sample.make(1, preset)
    # What is compiled and cached on disk is not measured.
    small = Camera(1, sample, scan, rows=(scan.rows // 2, scan.rows // 2 + 1), workers=WORKERS)
    begin = scan.flats + scan.darks
    small.frame(begin)
    memory = PeakMemory()
    memory.start()
    start = time.perf_counter()
    camera = Camera(1, sample, scan, rows=band, workers=WORKERS)
    setup = time.perf_counter() - start
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in camera.frames(range(begin, begin + projections)):
        pass
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    height, width = camera.shape
    return {
        "rows": height,
        "columns": width,
        "inclusions": len(camera.projector.things),
        "setup": setup,
        "frames": projections,
        "wall": wall,
        "cpu": cpu,
        "peak": memory.stop(),
    }


def main() -> str:
    rows = []
    for preset, name, band, projections in CASES:
        f = alone("benchmarks.bench_twin", preset, name, band, projections)
        pixels = f["rows"] * f["columns"]
        rows.append(
            [
                preset,
                name,
                f"{f['rows']} x {f['columns']}",
                int(f["inclusions"]),
                f"{f['setup']:.1f}",
                f"{f['frames'] / f['wall']:.1f}",
                f"{1e6 * f['cpu'] / f['frames'] / pixels:.2f}",
                f"{pixels * f['frames'] / f['wall'] / 1e6:.2f}",
                f"{pixels * f['columns'] * f['frames'] / f['wall'] / 1e9:.2f}",
                f"{f['peak'] / 1e9:.2f}",
            ]
        )
    head = ["preset", "scan", "rows x columns", "inclusions", "setup s", "frames/s", "cpu us/pixel",
            "Mpixel/s", "1e9 voxel-projections/s", "peak GB"]  # fmt: skip
    return table(head, rows)


if __name__ == "__main__":
    preset, name, rows, projections = sys.argv[1:]
    print(json.dumps(one(preset, name, int(rows), int(projections))))
