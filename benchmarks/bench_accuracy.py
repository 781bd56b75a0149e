"""How true reconstructions of the small twin are: attenuation, rings, a region of interest.

Means over solid zeolite, further than two voxels from anything else, over the mean of the truth
there; the pixel size that the file states is up to 0.3 % off, and counts. Rings: the ring score of
every row over that of a twin without stripes, the largest. No times: nothing here is about speed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import table
from tests import accuracy
from tests.accuracy import Measured
from zeoarray import quality, xct
from zeoarray.twin.sample import Sample

SCANS = ("i13-2.6um", "i13-1.625um", "i13-0.8125um")
ROI, WIDE = "i13-0.325um", "i13-1.625um"
MIDDLE = slice(24, 40)
HALF_UM = 640.0


def whole(found: Measured, clean: Measured, matter: Sample) -> Iterator[list[str]]:
    """Rows of the table for a scan that sees all of the sample."""
    real = None
    for rings in (False, True):
        lines = accuracy.absorbance(found, rings=rings)
        volume = xct.reconstruct(lines, axis=xct.find_center(lines))
        # Both about the true axis: an axis that is a little off is no ring.
        scores = []
        for scan in (found, clean):
            seen = accuracy.absorbance(scan, rings=rings)
            about = xct.reconstruct(seen, axis=scan.mount[["axis_u"]])
            scores.append(quality.summary(about, rows=about.sizes["z"])["ring_score"].values)
        part = accuracy.inner(volume, HALF_UM).isel(z=MIDDLE)
        real = accuracy.true(matter, found, part) if real is None else real
        where = accuracy.solid(real)
        mean = accuracy.mean_over(part["attenuation"].values, real["attenuation"].values, where)
        yield [
            f"{found.scan.name}, {float(found.ds['resolution']):g} um",
            f"{accuracy.WINDOWS['la_size']}, {accuracy.WINDOWS['sm_size']}" if rings else "none",
            f"{100 * (mean - 1):+.2f} %",
            f"{100 * (mean / found.scale - 1):+.2f} %",
            f"{float((scores[0] / scores[1]).max()):.2f}",
        ]


def region(found: Measured, wide: Measured, matter: Sample) -> Iterator[list[str]]:
    """Rows of the table for a scan of a region of interest, in every way to take it."""
    volume = xct.reconstruct(accuracy.absorbance(wide), axis=wide.mount[["axis_u"]])
    heights = found.ds["z"].values
    complete = accuracy.registered(volume, wide, found, heights, half_um=HALF_UM)
    lines, axis = accuracy.absorbance(found), found.mount[["axis_u"]]
    ways = {
        "zero": xct.reconstruct(lines, axis=axis),
        "edge": xct.reconstruct(lines, axis=axis, truncation="edge"),
        f"complete_from {WIDE}": xct.reconstruct(lines, axis=axis, complete_from=complete),
    }
    real = accuracy.true(matter, found, ways["zero"])
    values = real["attenuation"].values
    where = accuracy.solid(real) & accuracy.field(values.shape)
    for name, result in ways.items():
        ours = result["attenuation"].values
        yield [
            f"{ROI}, {name}",
            f"{100 * (accuracy.contrast(ours, values, where) - 1):+.2f} %",
            f"{100 * (accuracy.mean_over(ours, values, where) - 1):+.2f} %",
        ]


def main() -> str:
    """Both tables."""
    matter = accuracy.sample()
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as place:
        taken = {}
        for name in SCANS:
            taken[name] = accuracy.measured(Path(place) / name, matter, name)
            clean = accuracy.measured(Path(place) / "clean", matter, name, striped=False)
            rows += whole(taken[name], clean, matter)
        roi = accuracy.measured(Path(place) / "roi", matter, ROI, rows=(26, 38))
        parts = list(region(roi, taken[WIDE], matter))
    first = table(
        ("scan", "ring windows", "solid", "with the true pixel", "rings over clean, worst row"),
        rows,
    )
    return first + "\n\n" + table(("region of interest", "contrast", "solid"), parts)


if __name__ == "__main__":
    print(main())
