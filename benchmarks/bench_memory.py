"""Measured peak of a worker over the planned one, for every stage of every shipped pipeline.

On files of the twin: tomograms of 512 x 64 pixels and 400 angles, frames of a binned Pilatus.
`correlate` and `patches` read what `demo` makes. ``ZEO_PIPELINES=xct,demo`` runs some of them.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from benchmarks import harness
from benchmarks.segment_memory import FLOOR
from zeoarray.chunks import format_bytes

SHIPPED = Path(__file__).parents[1] / "pipelines"
BINNED = {"xct.remove_rings.la_size": "31", "xct.remove_rings.sm_size": "11"}
LENS = {
    f"{step}.{place}": value
    for step in ("xct.correct_distortion", "xct.find_center")
    for place, value in (
        ("center_from_top", "265.24"),
        ("center_from_left", "238.13"),
        ("detector", "[432, 512]"),
    )
}
SETTINGS: dict[str, dict[str, str]] = {
    "xct": {"ingest.source": "169068.nxs", "ingest.sidecar": "169068.yaml", **BINNED, **LENS},
    "diad-xct": {"ingest.source": "k11-43320.nxs", "ingest.sidecar": "k11-43320.yaml",
                 "ingest.pixel_size": "null", **BINNED},
    "tomogram": {"ingest.source": "169068.nxs", "ingest.sidecar": "169068.yaml", **BINNED},
    "xrdct": {},
    "xrdct-reduced": {},
    "demo": {},
    "correlate": {},
    "patches": {},
}  # fmt: skip
ON_DEMO = ("demo", "correlate", "patches")
"""They name the store and the files of the demonstration, below the folder where they run."""


def main() -> str:
    """One row for each stage whose plan is large enough to be compared."""
    chosen = os.environ.get("ZEO_PIPELINES", ",".join(SETTINGS)).split(",")
    files = harness.twin("memory", "--preset", "small", "--seed", "1")
    rows = []
    with tempfile.TemporaryDirectory(dir=harness.FILES) as place:
        demo = Path(place) / "demo"
        demo.mkdir()
        (demo / "files").symlink_to(files)
        for name, settings in SETTINGS.items():
            if name not in chosen:
                continue
            given = dict(settings)
            if name not in ON_DEMO:
                given["store"] = str(Path(place) / f"{name}.zarr")
            found = harness.alone(
                "benchmarks.segment_memory", SHIPPED / f"{name}.yaml", json.dumps(given),
                folder=Path(place) if name in ON_DEMO else files,
            )["found"]  # fmt: skip
            rows += [
                [name, one["node"], format_bytes(one["plan"]),
                 f"{one['measured'] / one['plan']:.2f}"]
                for one in found if one["plan"] >= FLOOR
            ]  # fmt: skip
            small = sum(one["plan"] < FLOOR for one in found)
            rows.append([name, f"{small} more", f"below {format_bytes(FLOOR)}", "not compared"])
    return harness.table(("pipeline", "stage", "planned", "measured / planned"), rows)
