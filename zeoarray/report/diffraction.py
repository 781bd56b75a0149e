"""Sections of diffraction tomography: frames, sinograms, patterns, voxels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import minimum_filter1d, uniform_filter1d
from scipy.optimize import lsq_linear
from scipy.signal import find_peaks

from zeoarray import plot, schema
from zeoarray.report import sample
from zeoarray.report.blocks import Block, Facts, Note, picture
from zeoarray.report.contents import Node
from zeoarray.report.registry import Around, section
from zeoarray.report.tomograms import number, with_sigma
from zeoarray.xrdct import model

Array = np.ndarray[Any, Any]

FRAMES = 8
"""Frames of which a mean is drawn."""
WINDOW = 0.01
"""Half width of the window about the strongest peak [1/angstrom]."""
BACKGROUND = 8
"""Splines under a mean pattern, as many as the fits of phases take by default."""
_LINES = 20
"""Lines of a reference that are marked."""
_DETECTOR = (schema.FRAMES, schema.FRAME_ANGLE, schema.FRAME_U, schema.FRAME_Z)
_SINOGRAM = (schema.SINO, schema.Z, schema.ANGLE, schema.U, schema.Q)


@section("Detector frames", order=80, needs=_DETECTOR)
def frames(node: Node, around: Around) -> Iterator[Block]:
    """The mean of a few frames on a logarithmic scale, bad pixels left out."""
    counts = node.ds["counts"]
    some = np.unique(np.linspace(0, counts.sizes["frame"] - 1, FRAMES).round().astype(int))
    read = [sample.plane(counts.isel(frame=i), side=4096).astype(np.float64) for i in some]
    mean = sum(read[1:], start=read[0]) / len(read)
    good = mean >= 0
    if "mask" in node.ds and node.ds["mask"].shape == mean.shape:
        good = good & (node.ds["mask"].compute() == 0)
    shown = mean.copy(data=np.log10(mean.where(good).values + 1))
    yield picture(
        plot.image(shown, title=f"mean of {len(some)} frames", cmap="viridis",
                   label="log10(counts + 1)"),
        f"Mean of {len(some)} frames evenly spread over the scan; bad pixels are left empty.",
    )  # fmt: skip
    yield Facts(
        {
            "frames": str(counts.sizes["frame"]),
            **{
                f"{name} of the frames": f"{number(v.min())} to {number(v.max())} {unit}"
                for name, unit in (("angle", "°"), ("u", "µm"), ("z", "µm"))
                for v in [node.ds[name].values]
            },
        }
    )


@dataclass(frozen=True)
class Layer:
    """What is drawn of one layer of a sinogram or of a volume."""

    total: xr.DataArray
    """Mean over q: (angle, u) or (y, x)."""
    peak: xr.DataArray
    """At the strongest peak, without its background."""
    mean: xr.DataArray
    """Mean pattern (q)."""
    place: float
    """Of the strongest peak [1/angstrom]."""


def layer(array: xr.DataArray, valid: xr.DataArray | None) -> Layer:
    """(first, second, q) -> a layer, read in pieces.

    The strongest peak is that of a mean over a part of the patterns.
    """
    one, two, _ = array.dims
    few = sample.strides(array, (str(one), str(two)))
    rough = _mean(array.isel(few).compute(), None if valid is None else valid.isel(few))
    q = array["q"].values.astype(float)
    peak, sides = _window(q, strongest(q, rough))
    most = sample.strides(array, (str(two),), sample.MOST_READ)
    thinned = array.isel(most)
    totals, nets = [], []
    for block in sample.blocks(thinned, str(two)):
        values = block.values.astype(np.float64)
        totals.append(_mean_of_finite(values))
        nets.append(values[..., peak].mean(axis=2) - values[..., sides].mean(axis=2))
    coords = {str(d): thinned[d].variable for d in (one, two)}
    kept = {"units": str(array.attrs.get("units", "1"))}
    maps = [
        xr.DataArray(np.concatenate(m, axis=1), coords, (one, two), "intensity", kept)
        for m in (totals, nets)
    ]
    if valid is not None:
        seen = valid.isel(most).values.astype(bool)
        maps = [m.where(seen) for m in maps]
    mean = xr.DataArray(rough, {"q": array["q"].variable}, ("q",), "intensity", kept)
    return Layer(maps[0], maps[1], mean, float(q[peak].mean()))


def _mean_of_finite(values: Array) -> Array:
    """(..., q) -> (...). NaN where nothing is finite."""
    there = np.isfinite(values)
    count = there.sum(axis=-1)
    total = np.where(there, values, 0).sum(axis=-1)
    mean: Array = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def _mean(part: xr.DataArray, valid: xr.DataArray | None) -> Array:
    values = part.values.reshape(-1, part.sizes["q"]).astype(np.float64)
    good = np.isfinite(values).any(axis=1)
    if valid is not None:
        good &= valid.values.astype(bool).ravel()
    return _mean_of_finite(values[good].T) if good.any() else np.zeros(values.shape[1])


def strongest(q: Array, mean: Array) -> float:
    """Where a pattern stands out most of what is smooth below it [1/angstrom]."""
    finite = np.where(np.isfinite(mean), mean, np.nanmin(mean))
    wide = max(int(0.08 / max(float(np.median(np.diff(q))), 1e-9)), 3)
    smooth = uniform_filter1d(minimum_filter1d(finite, wide), wide)
    return float(q[int((finite - smooth).argmax())])


def _window(q: Array, place: float) -> tuple[Array, Array]:
    """Bins of the peak, and as many at both of its sides."""
    far = np.abs(q - place)
    step = float(np.median(np.diff(q)))
    half = max(WINDOW, 1.5 * step)
    return np.flatnonzero(far <= half), np.flatnonzero((far > half) & (far <= 2 * half))


@section("Sinogram", order=45, needs=_SINOGRAM)
def sinogram(node: Node, around: Around) -> Iterator[Block]:
    """All of q and the strongest peak over angle and u, and the mean pattern with its lines."""
    array = node.ds["intensity"]
    z = sample.middle(array, "z")
    valid = node.ds["valid"].isel(z=z).compute() if "valid" in node.ds else None
    found = layer(array.isel(z=z).transpose("angle", "u", "q"), valid)
    at = f"z = {number(array['z'][z])} µm"
    yield picture(
        plot.image(found.total, title=f"all q, {at}", cmap="viridis"),
        "Mean intensity over all q. Empty: nothing was measured.",
    )
    yield picture(
        plot.image(found.peak, title=f"q = {number(found.place)} 1/Å", cmap="viridis"),
        f"At the strongest peak of the mean pattern, {number(found.place)} 1/Å, less the "
        "background at its sides.",
    )
    if valid is not None and not valid.values.all():
        share = 1 - float(valid.mean())
        yield Note(f"{100 * share:.2g} % of the rays of this layer were not measured.", "warn")
    references = around.contents.beside(node, schema.REFERENCES.required)
    yield from pattern(found.mean, None if references is None else references.ds)


@section("Voxels", order=40, needs=(schema.VOXEL, schema.Z, schema.Y, schema.X, schema.Q))
def voxels(node: Node, around: Around) -> Iterator[Block]:
    """All of q and the strongest peak in the middle layer, and the mean pattern with its fit."""
    array = node.ds["intensity"]
    z = sample.middle(array, "z")
    found = layer(array.isel(z=z).transpose("y", "x", "q"), None)
    at = f"z = {number(array['z'][z])} µm"
    yield picture(
        plot.image(found.total, title=f"all q, {at}", cmap="viridis"), "Mean intensity over all q."
    )
    yield picture(
        plot.image(found.peak, title=f"q = {number(found.place)} 1/Å", cmap="viridis"),
        f"At the strongest peak, {number(found.place)} 1/Å, less the background at its sides.",
    )
    references = around.contents.beside(node, schema.REFERENCES.required)
    yield from pattern(found.mean, None if references is None else references.ds)


def pattern(mean: xr.DataArray, references: xr.Dataset | None) -> Iterator[Block]:
    """A mean pattern; with references, their fit to it and where their lines are."""
    if references is None:
        yield picture(
            plot.pattern(mean, name="mean", title="mean pattern"), "Mean pattern of this layer."
        )
        return
    q = mean["q"].values.astype(float)
    names = [str(p) for p in references["phase"].values]
    curves = np.array([
        np.interp(q, references["q"].values.astype(float), row, left=np.nan, right=np.nan)
        for row in references["pattern"].values.astype(float)
    ])  # fmt: skip
    inside = np.isfinite(curves).all(axis=0) & np.isfinite(mean.values)
    marks = {name: lines(q[inside], row[inside]) for name, row in zip(names, curves, strict=True)}
    fitted = np.full(q.size, np.nan)
    design = np.concatenate([curves[:, inside], model.background(q[inside], BACKGROUND)])
    free = np.where(np.arange(len(design)) < len(names), 0.0, -np.inf)
    scale = np.linalg.norm(design, axis=1)
    scale[scale == 0] = 1
    solved = lsq_linear((design / scale[:, None]).T, mean.values[inside], bounds=(free, np.inf))
    fitted[inside] = solved.x / scale @ design
    yield picture(
        plot.pattern(
            mean, fitted=mean.copy(data=fitted), marks=marks, name="mean", title="mean pattern"
        ),
        "Mean pattern of this layer, fitted by the reference patterns and a smooth background; "
        "ticks are the strongest lines of the references.",
    )


def lines(q: Array, curve: Array) -> Array:
    """Where the strongest lines of a pattern are [1/angstrom]."""
    height = float(np.ptp(curve))
    if not height > 0:
        return np.empty(0)
    found, told = find_peaks(curve, prominence=0.01 * height)
    strong = np.argsort(told["prominences"])[::-1][:_LINES]
    places: Array = np.sort(q[found[strong]])
    return places


@section("Reference patterns", order=50, needs=schema.REFERENCES.required)
def references(node: Node, around: Around) -> Iterator[Block]:
    """The patterns that phases are fitted by, and how they were fitted to the scan."""
    ds = node.ds.compute()
    curves = {str(p): ds["pattern"].sel(phase=p, drop=True) for p in ds["phase"].values}
    yield picture(plot.profile(curves, title="reference patterns"), "Patterns of the pure phases.")
    facts = {}
    if "width_added" in ds:
        facts["broadened by a Gaussian of sigma"] = f"{number(ds['width_added'], 3)} 1/Å"
    if "shift_relative" in ds and "shift_relative_sigma" in ds:
        value, sigma = (1e6 * float(ds[n]) for n in ("shift_relative", "shift_relative_sigma"))
        facts["moved along q by"] = with_sigma(value, sigma, "ppm")
    yield Facts(facts)


@section("Pattern", order=10, needs=(schema.PATTERN, schema.Q))
def powder(node: Node, around: Around) -> Iterator[Block]:
    """A powder pattern, and its strongest lines."""
    ds = node.ds.compute()
    q, curve = ds["q"].values.astype(float), ds["intensity"].values.astype(float)
    name = str(ds.attrs.get("sample") or node.place)
    marks = {name: lines(q, np.nan_to_num(curve))}
    figure = plot.pattern(ds["intensity"], marks=marks, title=name, root=True)
    yield picture(
        figure,
        "Powder pattern on a scale of square roots; ticks are its strongest lines.",
    )


@section("Positions of the beam", order=85, needs=schema.BEAM_POSITIONS.required)
def positions(node: Node, around: Around) -> Iterator[Block]:
    """How many places the beam stops at."""
    stops = node.ds["stops"].compute()
    yield Facts(
        {
            "places along u": str(stops.sizes["beam_u"]),
            "heights": str(stops.sizes["beam_z"]),
            "frames at a place": f"{int(stops.min())} to {int(stops.max())}",
        }
    )


@section("Parallax", order=75, needs=schema.PARALLAX.required)
def parallax(node: Node, around: Around) -> Iterator[Block]:
    """How lines of each ray are moved, and the shift for each length along the beam."""
    ds = node.ds
    shift = (1e6 * ds["shift"].isel(z=sample.middle(ds["shift"], "z"))).transpose("angle", "u")
    image = sample.plane(shift.rename("shift").assign_attrs(units="ppm"))
    yield picture(
        plot.difference(image, title="shift of lines", label="shift over q [ppm]"),
        "How far the lines of each ray are moved against the references.",
    )
    value, sigma = (1e3 * float(ds[n]) for n in ("shift_per_m", "shift_per_m_sigma"))
    yield Facts({"shift over q along the beam": with_sigma(value, sigma, "ppm/mm")})
