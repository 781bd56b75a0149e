"""Sections of X-ray tomography: slices, projections, the axis, stripes, and what was checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import plot, schema
from zeoarray.plot import canvas
from zeoarray.quality.summary import score
from zeoarray.report import sample
from zeoarray.report.blocks import Block, Facts, Note, Table, picture
from zeoarray.report.contents import Node
from zeoarray.report.registry import Around, section

CLIPPED = 1e-3
"""Share of values that -log had to clip above which it is told at the top."""


def number(value: Any, digits: int = 4) -> str:
    """A number as it is read: few digits, no numpy."""
    return f"{float(value):.{digits}g}"


def with_sigma(value: Any, sigma: Any, unit: str) -> str:
    """A number and its standard deviation, both to the digits that the latter allows."""
    value, sigma = float(value), float(sigma)
    if not np.isfinite(sigma) or sigma <= 0:
        return f"{value:.4g} {unit}".strip()
    digits = max(1 - int(np.floor(np.log10(sigma))), 0)
    return f"{value:.{digits}f} ± {sigma:.{digits}f} {unit}".strip()


@section("Slices", order=10, needs=(schema.ATTENUATION, schema.Z, schema.Y, schema.X))
def slices(node: Node, around: Around) -> Iterator[Block]:
    """Three planes through the middle in the same greys, and how often each grey occurs."""
    volume = node.ds["attenuation"]
    where = {dim: sample.middle(volume, dim) for dim in ("z", "y", "x")}
    planes = {
        dim: sample.plane(volume.isel({dim: i}).transpose(*(d for d in "zyx" if d != dim)))
        for dim, i in where.items()
    }
    inside = _matter(planes.values())
    limits = canvas.greys(inside.values)
    for dim, image in planes.items():
        at = f"{dim} = {number(volume[dim][where[dim]])} µm"
        yield picture(plot.image(image, title=at, limits=limits), f"Attenuation at {at}.")
    yield picture(
        plot.histogram(inside.assign_attrs(volume.attrs), limits=limits),
        "Grey levels of these three planes, without voxels that are exactly 0 (outside of the "
        "circle).",
    )
    middle = volume.isel(z=[where["z"]])
    facts = {"mean of these planes": f"{number(inside.mean())} 1/cm"}
    if middle.size * 4 <= sample.HELD:
        found = score(middle.compute().values, node.ds)[0]
        facts["ring score of the middle slice"] = f"{number(found)} (1: noise alone)"
    if "noise" in node.ds:
        facts["sigma of noise in the middle slice"] = f"{number(node.ds['noise'][where['z']])} 1/cm"
    yield Facts(facts)
    if "offset_known" in node.ds and not bool(node.ds["offset_known"].values.all()):
        yield Note(
            "The sample is wider than the detector: the offset of these values is not determined, "
            "only differences are.",
            "warn",
        )
    lost = [float((~np.isfinite(p)).mean()) for p in planes.values()]
    if max(lost) > 0:
        yield Note(f"{100 * max(lost):.2g} % of the voxels of a plane are not finite.", "warn")


def _matter(planes: Iterable[xr.DataArray]) -> xr.DataArray:
    """Values of all planes but those that are not finite, or exactly 0."""
    values = np.concatenate([p.values.ravel() for p in planes])
    chosen = values[np.isfinite(values) & (values != 0)]
    return xr.DataArray(chosen if chosen.size else values, dims="pixel", name="attenuation")


@section("Rings of slices", order=15, needs=(schema.RING_SCORE, schema.Z))
def quality_of_slices(node: Node, around: Around) -> Iterator[Block]:
    """Ring scores of slices over height."""
    figure = plot.profile({"ring score": node.ds["ring_score"]}, title="ring score of slices")
    yield picture(figure, "How far circles stand out of the noise: 1 is noise alone.")


@section("Agreement with another reconstruction", order=25, needs=schema.COMPARISON.required)
def comparison(node: Node, around: Around) -> Iterator[Block]:
    """The registered difference and the Fourier ring correlation."""
    yield picture(
        plot.comparison(node.ds), "Difference of the middle row, and Fourier ring correlation."
    )
    yield from notes(node)


@section("Sinogram", order=45, needs=(schema.ABSORBANCE, schema.ANGLE, schema.Z, schema.U))
def sinogram(node: Node, around: Around) -> Iterator[Block]:
    """The middle row over all angles: whatever stands still there becomes a ring."""
    array = node.ds["absorbance"]
    row = sample.middle(array, "z")
    image = sample.plane(array.isel(z=row).transpose("angle", "u"))
    yield picture(
        plot.image(image, title=f"z = {number(array['z'][row])} µm"),
        "Sinogram of the middle row. Upright lines are stripes, which become rings.",
    )
    if "clipped" in node.ds:
        share = float(node.ds["clipped"].mean())
        yield Facts({"clipped before the logarithm": f"{100 * share:.2g} % of all values"})
        if share > CLIPPED:
            yield Note(f"{100 * share:.2g} % of all values had to be clipped.", "warn")


@section("Stripes", order=50, needs=schema.RINGS_XCT.required)
def stripes(node: Node, around: Around) -> Iterator[Block]:
    """Ring scores before and after, and what was removed."""
    yield picture(
        plot.ring_scores(node.ds),
        "Ring scores of the rows that were looked at, before and after stripes are removed.",
    )
    rows = {
        f"z = {number(node.ds['z'][i])} µm": node.ds["stripe"].isel(z=i)
        for i in np.unique(np.linspace(0, node.ds.sizes["z"] - 1, 3).round().astype(int))
    }
    yield picture(
        plot.profile(rows, title="what is removed, mean over the angle"),
        "What removing stripes takes away in a few rows. What is smooth here would be the sample.",
    )
    names = ("ring_score_before", "ring_score_after", "stripe_rms")
    columns = [node.ds[n].values for n in ("z", *names)]
    rows_of = [[number(v, 3) for v in row] for row in zip(*columns, strict=True)]
    yield Table(("z [µm]", "score before", "score after", "rms of what is removed"), rows_of)
    worse = np.flatnonzero(columns[2] > columns[1])
    if worse.size:
        at = ", ".join(number(columns[0][i], 3) for i in worse[:5])
        yield Note(f"Stripes are worse after than before at z = {at} µm.", "warn")


@section("Rotation axis", order=30, needs=schema.AXIS_XCT.required)
def axis(node: Node, around: Around) -> Iterator[Block]:
    """The line over height with its sigma, and the metric it comes from."""
    ds = node.ds.compute()
    caption = "Where the axis meets the detector, over height; the band is one standard deviation."
    if ds.sizes["z"] == 1:
        caption = "Where the axis meets the detector; the bar is one standard deviation."
    yield picture(plot.axis_line(ds), caption)
    yield picture(
        plot.axis_metric(ds),
        "The metric over the positions tried, by row. One clear minimum is a good sign.",
    )
    middle = ds.sizes["z"] // 2
    facts = {
        "axis, u in the middle": with_sigma(ds["axis_u"][middle], ds["axis_sigma"][middle], "µm"),
        "tilt": with_sigma(ds["axis_tilt"], ds["axis_tilt_sigma"], "°")
        if np.isfinite(ds["axis_tilt_sigma"]) and ds.sizes["z"] > 1
        else "not determined by one row",
    }
    if np.isfinite(ds["axis_check"]):
        facts["a second method differs by"] = f"{number(ds['axis_check'], 3)} µm"
    yield Facts(facts)
    if bool(ds["at_edge"]):
        yield Note("The axis lies at an end of the range that was looked at.", "warn")
    if bool(ds["ambiguous"]):
        yield Note("The axis is unsure: another position rivals it, or methods differ.", "warn")


@section("Flats and darks", order=65, needs=schema.FRAMES_XCT.required)
def checked_frames(node: Node, around: Around) -> Iterator[Block]:
    """Means of all flats and darks, and which of them are none."""
    yield picture(plot.frames(node.ds), "Mean of each frame, with the spread of its pixels.")
    for kind in ("flat", "dark"):
        bad = np.flatnonzero(~node.ds[f"{kind}_good"].values.astype(bool))
        if bad.size:
            named = ", ".join(map(str, bad[:12])) + (" ..." if bad.size > 12 else "")
            yield Note(f"{bad.size} {kind}s are not what their key says: {named}.", "warn")


@section("Drift of projections", order=75, needs=schema.DRIFT_XCT.required)
def drift(node: Node, around: Around) -> Iterator[Block]:
    """How far each projection is moved."""
    ds = node.ds.compute()
    yield picture(plot.drift(ds), "How far each projection is moved along z and u.")
    facts = {}
    for d in ("u", "z"):
        moved = ds[f"drift_{d}"]
        rms, most = np.sqrt((moved**2).mean()), np.abs(moved).max()
        facts[f"drift along {d}, rms and most"] = f"{number(rms, 3)} and {number(most, 3)} µm"
    yield Facts(facts)
    lost = 1 - float(ds["drift_measured"].mean())
    if lost > 0:
        said = f"{100 * lost:.2g} % of the projections could not be compared: interpolated."
        yield Note(said, "warn" if lost > 0.1 else "note")


@section("Overlap of a full circle", order=35, needs=schema.OVERLAP_XCT.required)
def overlap(node: Node, around: Around) -> Iterator[Block]:
    """The correlation of opposite projections over the positions tried."""
    yield picture(
        plot.profile({"correlation": node.ds["mirror_correlation"]}, title="opposite projections"),
        "Correlation of opposite projections over the positions of the axis tried.",
    )
    told = with_sigma(node.ds["overlap"], node.ds["overlap_sigma"], "µm")
    yield Facts({"overlap": told})
    if bool(node.ds["at_edge"]) or bool(node.ds["ambiguous"]):
        yield Note("The overlap is at the edge of its range, or has a rival.", "warn")


def notes(node: Node) -> Iterator[Block]:
    """What a node says of itself, a note each."""
    for text in node.ds.attrs.get("notes", []):
        yield Note(str(text))
