"""Sections of raw tomograms: a projection, the flat field, and what moved during the scan."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from zeoarray import plot, schema, xct
from zeoarray.kernels.align import phase_correlation
from zeoarray.report import sample
from zeoarray.report.blocks import Block, Facts, Note, picture
from zeoarray.report.contents import Node
from zeoarray.report.registry import Around, section
from zeoarray.report.tomograms import number, with_sigma

_SCAN = (schema.COUNTS, schema.ANGLE, schema.Z, schema.U)
_WITH_FLATS = (*_SCAN, schema.FLAT, schema.DARK)
_TOLD = (
    ("resolution", "pixel", "µm"),
    ("energy", "energy", "keV"),
    ("exposure", "exposure", "s"),
    ("distance", "distance", "m"),
)
UNEVEN = 0.02
"""Change of the flats' pattern, as a share of their level, above which it is told at the top."""
SATURATED = 1e-4
"""Share of saturated pixels of a projection above which it is told at the top."""
LATE = 1.0
"""Shift [pixels] between what should be the same view above which it is told at the top."""


def degrees(angle: float) -> str:
    """An angle to a hundredth of a degree."""
    return f"{round(float(angle), 2) + 0.0:g}°"


@section("Projection", order=55, needs=_SCAN)
def projection(node: Node, around: Around) -> Iterator[Block]:
    """The first projection as the camera counted it, and what the scan says of itself."""
    counts, angle = node.ds["counts"], node.ds["angle"].values
    first = counts.isel(angle=0)
    image = sample.plane(first)
    yield picture(plot.image(image, title=f"angle = {degrees(angle[0])}"), "First projection.")
    facts = {
        "projections": f"{angle.size} over {degrees(np.ptp(angle))}, from {degrees(angle[0])}",
        "detector": f"{counts.sizes['u']} columns, {counts.sizes['z']} rows",
    }
    for name, said, unit in _TOLD:
        if name in node.ds.variables and node.ds[name].size == 1:
            facts[said] = f"{number(node.ds[name].values)} {unit}"
    yield Facts(facts)
    if counts.dtype.kind in "ui":
        share = float((first == np.iinfo(counts.dtype).max).mean())
        if share > SATURATED:
            yield Note(f"{100 * share:.2g} % of the pixels of this frame are saturated.", "warn")


@section("Flat field", order=60, needs=_WITH_FLATS)
def flats(node: Node, around: Around) -> Iterator[Block]:
    """Levels of the flats, and how their pattern changed from the first to the last of them."""
    ds = node.ds
    if not ds.sizes["flat_frame"] or not ds.sizes["dark_frame"]:
        yield Note("There are no flats, or no darks.", "warn")
        return
    part = ds[["flat", "dark"]].isel(z=slice(None, None, _rows(ds)))
    dark = part["dark"].compute().mean("dark_frame", dtype=np.float32)
    flat = part["flat"].compute().astype(np.float32) - dark
    level = flat.mean(("z", "u"))
    known = "flat_set" in ds.variables
    sets = ds["flat_set"].values.astype(int) if known else _halves(flat.sizes["flat_frame"])
    yield picture(
        plot.levels(level, sets=sets.tolist() if known else None, title="brightness of the flats"),
        "Mean of each flat without the dark, from the mean of all.",
    )
    if sets.max() == sets.min() or not float(level.min()) > 0:
        return
    shape = flat / level
    last, first = (
        shape.isel(flat_frame=np.flatnonzero(sets == s)) for s in (sets.max(), sets.min())
    )
    before = first.mean("flat_frame")
    lit = before > 0.02
    change = 100 * (last.mean("flat_frame") / before.where(lit) - 1)
    change = change.rename("change").assign_attrs(units="%", long_name="change")
    said = "last set against the first" if known else "second half against the first"
    yield picture(
        plot.difference(sample.plane(change), title=f"flats: {said}", label="change [%]"),
        "How the pattern of the beam changed during the scan, brightness taken out.",
    )
    spread = float(change.std()) / 100
    parts = (p.var("flat_frame").mean() / max(p.sizes["flat_frame"], 1) for p in (first, last))
    drifted = float(np.sqrt(max(spread**2 - float(sum(parts)), 0)))
    yield Facts(
        {
            "change of brightness": f"{100 * float(np.ptp(level.values) / level.mean()):.3g} %",
            "change of the pattern, rms without noise": f"{100 * drifted:.2g} %",
        }
    )
    if drifted > UNEVEN:
        yield Note(
            f"The pattern of the beam changed by {100 * drifted:.2g} % from first to last flats.",
            "warn",
        )


def _rows(ds: xr.Dataset) -> int:
    """Of how many rows one is read, so that all flats and darks of it can be held."""
    nbytes = max(ds[name].size * ds[name].dtype.itemsize for name in ("flat", "dark"))
    return max(int(np.ceil(nbytes / sample.HELD)), 1)


def _halves(count: int) -> np.ndarray:
    return (np.arange(count) >= count // 2).astype(int) if count > 1 else np.zeros(count, int)


@section("Motion", order=70, needs=_WITH_FLATS)
def motion(node: Node, around: Around) -> Iterator[Block]:
    """Views that should be the same: 0 and 180 degrees, and the same angle early and late."""
    angle = node.ds["angle"].values.astype(float)
    step = float(np.median(np.abs(np.diff(angle)))) if angle.size > 1 else 0.0
    opposite = int(np.abs(np.abs(angle - angle[0]) - 180).argmin())
    turns = np.abs(np.abs(angle - angle[0]) - 360)
    turned = int(turns.argmin())
    seen = False
    if abs(abs(angle[opposite] - angle[0]) - 180) <= max(step, 1e-6):
        seen = True
        axis = around.contents.beside(node, schema.AXIS_XCT.required)
        yield from _opposite(node, (0, opposite), None if axis is None else axis.ds)
    if turns[turned] <= max(step, 1e-6):
        seen = True
        first, last = _views(node, (0, turned))
        said = f"{degrees(angle[turned])} less {degrees(angle[0])}"
        yield from _compared(first, last, said, "The same view a turn later, less the first.")
    if not seen:
        yield Note(
            f"No two projections show the same view: they cover {degrees(np.ptp(angle))}, and "
            "neither 180° nor 360° from the first is among them."
        )


def _views(node: Node, which: tuple[int, int]) -> list[xr.DataArray]:
    """Absorbance of two projections, of some rows where there are many."""
    part = node.ds.isel(angle=list(which), z=slice(None, None, _rows(node.ds)))
    names = [n for n in part.variables if {"angle", "flat_frame", "dark_frame", "z", "u"}
             & set(part[n].dims)]  # fmt: skip
    read = part.drop_vars([v for v in part.data_vars if v not in names]).compute()
    done = xct.minus_log(xct.normalize(read))["absorbance"]
    return [done.isel(angle=i, drop=True) for i in range(2)]


def _opposite(node: Node, which: tuple[int, int], axis: xr.Dataset | None) -> Iterator[Block]:
    first, second = _views(node, which)
    u = first["u"].values
    if axis is None:
        middle = np.full(first.sizes["z"], (u[0] + u[-1]) / 2)
        how = "about the middle of the detector, as no axis was measured"
    else:
        middle = np.interp(first["z"].values, axis["z"].values, axis["axis_u"].values)
        how = "about the measured axis"
    # The mirror image of u about the axis; NaN where that is beyond the detector.
    rows = [
        np.interp(2 * m - u, u, row, left=np.nan, right=np.nan)
        for m, row in zip(middle, second.transpose("z", "u").values, strict=True)
    ]
    mirrored = second.transpose("z", "u").copy(data=np.array(rows, np.float32))
    angle = node.ds["angle"].values[list(which)]
    said = f"{degrees(angle[1])} mirrored, less {degrees(angle[0])}"
    caption = f"The opposite view, mirrored {how}, less the first: what is left moved between them"
    caption += " (or is the error of the axis)."
    # Without an axis the shift along u is twice its distance from the middle: no motion.
    yield from _compared(first, mirrored, said, caption, along="zu" if axis is not None else "z")


def _compared(
    first: xr.DataArray, second: xr.DataArray, said: str, caption: str, *, along: str = "zu"
) -> Iterator[Block]:
    change = (second - first).rename("change").assign_attrs(units="1")
    yield picture(
        plot.difference(sample.plane(change), title=said, label="change of absorbance"), caption
    )
    both = np.isfinite(change.values).all(axis=0)
    columns = np.flatnonzero(both)
    one, other = (a.transpose("z", "u").values[:, columns] for a in (first, second))
    facts = {"rms of the difference": f"{number(np.sqrt(np.mean((other - one) ** 2)), 3)}"}
    shape = one.shape
    if min(shape) >= 8 and np.ptp(one) > 0 and np.ptp(other) > 0:
        found = phase_correlation(one, other)
        pixels = [abs(float(first[d][1] - first[d][0])) for d in ("z", "u")]
        moves = dict(zip("zu", zip(found.shift, found.sigma, pixels, strict=True), strict=True))
        for d, (shift, sigma, pixel) in moves.items():
            name = f"shift along {d}" if d in along else f"shift along {d} (twice that of the axis)"
            facts[name] = with_sigma(shift * pixel, sigma * pixel, "µm")
        yield Facts(facts)
        late = [d for d in along if abs(moves[d][0]) > max(LATE, 3 * moves[d][1])]
        if late and not found.ambiguous:
            yield Note(
                f"Views that should be the same are more than a pixel apart along "
                f"{' and '.join(late)}: the sample or the beam moved, or the axis is wrong.",
                "warn",
            )
    else:
        yield Facts(facts)
