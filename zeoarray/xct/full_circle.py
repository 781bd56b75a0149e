"""Full circles with the axis near an edge of the detector: half a circle, nearly twice as wide."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SourceError
from zeoarray.kernels import overlap as kernels
from zeoarray.kernels.overlap import Side
from zeoarray.labelled import known, lift
from zeoarray.step import Count, Share, measure, step
from zeoarray.xct.positions import spacing_of

__all__ = ["find_overlap", "unfold"]

Array = np.ndarray[Any, Any]

GROUPS = 8
"""Parts of the angles that are looked at one by one, for the standard deviation."""
NEAR = 8
"""Half columns around the best position in which each part finds its own."""
WEAK = 0.5
"""A correlation that is not trusted."""
RIVAL = 0.75
"""Nor is one where another peak has this share of its height above the median."""


def image_of(ds: xr.Dataset, by: str) -> str:
    """Name of the projections: absorbance, or else transmission.

    Raises
    ------
    SchemaError
        For a dataset that has neither, or not as it should be.
    """
    kind = schema.ABSORBANCE_XCT if "absorbance" in ds.variables else schema.NORMALIZED_XCT
    schema.validate(ds, kind, by=by)
    return kind.required[0].name


def _expected_overlap(ds: xr.Dataset, **parameters: Any) -> xr.Dataset:
    place = known(ds["u"]).astype(float)
    pixel_um = spacing_of(ds, "xct.find_overlap")
    curve = np.zeros(2 * place.size - 1)
    center = (place.size - 1) * (0.9 if parameters.get("side") == "right" else 0.1)
    return _node(ds, curve, center, pixel_um, 0.0, at_edge=False, ambiguous=False)


@measure(cites=("10.1364/OE.418448",), expects=_expected_overlap)
def find_overlap(
    ds: xr.Dataset,
    *,
    rows: Count = 8,
    angles: Count = 64,
    least: Share = 0.05,
    side: Side | None = None,
) -> xr.Dataset:
    """Find where the axis is in a scan over a full circle, from projections half a turn apart.

    A projection and the mirrored one opposite to it agree where both see the same. Their
    correlation is taken over all sampled rows and angles at once, for every axis in steps of half
    a column, then to a part of a step by a parabola. Its standard deviation is that of the
    mean over eight parts of the angles.

    Parameters
    ----------
    ds
        ``absorbance`` or ``transmission(angle, z, u)`` over a full circle.
    rows, angles
        How many rows, and how many pairs of projections, are read, evenly spread.
    least
        The least overlap looked for, as a share of the width.
    side
        Where the axis is, if that is known: the overlap is ``left`` or ``right``.

    Returns
    -------
    xarray.Dataset
        ``overlap``, ``overlap_sigma`` [um] and ``overlap_side``; the axis ``axis_u(z)``, the same
        at every row; the curve ``mirror_correlation(axis_tried)``; the flags ``at_edge`` and
        ``ambiguous``. `unfold` takes it as `overlap`, `reconstruct` as `axis`.

    Raises
    ------
    SchemaError
        For a dataset without projections.
    SourceError
        Where no projection has one opposite to it, where values are not finite, and where nothing
        correlates because projections are constant.

    References
    ----------
    N. T. Vo et al., "Data processing methods and data acquisition for samples larger than the
    field of view in parallel-beam tomography", Opt. Express 29, 17849 (2021),
    doi:10.1364/OE.418448.
    """
    by = "xct.find_overlap"
    name, pixel_um = image_of(ds, by), spacing_of(ds, "xct.find_overlap")
    first, second = _pairs(ds, name, rows, angles)
    columns = ds.sizes["u"]
    shortest = max(int(np.ceil(least * columns)), 3)
    low = columns - 1 if side == "right" else shortest - 1
    high = columns - 1 if side == "left" else 2 * columns - 1 - shortest

    def curve_of(which: slice) -> Array:
        flat = (v[which].reshape(-1, columns) for v in (first, second))
        curve = kernels.mirrored_correlation(*flat)
        curve[:low], curve[high + 1 :] = np.nan, np.nan
        return curve

    curve = curve_of(slice(None))
    if not np.isfinite(curve).any():
        raise SourceError(
            f"{by}: opposite projections do not correlate",
            got="projections that are constant wherever they may overlap",
            do="choose rows that show the sample (crop z), or give the overlap to xct.unfold",
        )
    best = int(np.nanargmax(curve))
    spread = []
    for group in range(min(GROUPS, first.shape[0])):
        own = curve_of(slice(group, None, GROUPS))
        near = np.full(own.size, -np.inf)
        window = slice(max(best - NEAR, 0), best + NEAR + 1)
        near[window] = np.nan_to_num(own[window], nan=-np.inf)
        spread.append(kernels.vertex(near, int(np.argmax(near))))
    sigma = float(np.std(spread, ddof=1) / np.sqrt(len(spread))) if len(spread) > 1 else np.inf
    return _node(
        ds, curve, kernels.vertex(curve, best) / 2, pixel_um, sigma * pixel_um,
        at_edge=best in (low, high), ambiguous=_is_ambiguous(curve, best),
    ).assign_attrs(ds.attrs)  # fmt: skip


def _pairs(ds: xr.Dataset, name: str, rows: int, angles: int) -> tuple[Array, Array]:
    """(pair, z, u) twice: sampled projections, and what is opposite to them."""
    own, low, high, weight = kernels.opposites(known(ds["angle"]))
    if not own.size:
        turn = np.ptp(known(ds["angle"])) if ds.sizes["angle"] else 0.0
        raise SourceError(
            "xct.find_overlap: no projection has one opposite to it",
            got=f"{ds.sizes['angle']} angles over {turn:g} deg",
            expected="a full circle",
        )
    chosen = np.unique(np.linspace(0, own.size - 1, min(angles, own.size)).round().astype(int))
    height = ds.sizes["z"]
    lines = np.unique(np.linspace(0, height - 1, min(rows, height) + 2).round().astype(int)[1:-1])
    need, place = np.unique(np.stack([v[chosen] for v in (own, low, high)]), return_inverse=True)
    read = ds[name].isel(z=lines).isel(angle=need).compute().values
    if not np.isfinite(read).all():
        raise SourceError(
            "xct.find_overlap: projections have values that are not finite",
            got=f"{np.count_nonzero(~np.isfinite(read))} of {read.size} that were read",
            do="xct.normalize gives finite values",
        )
    first, before, after = (read[i] for i in place.reshape(3, -1))
    share = weight[chosen][:, None, None]
    return first, before * (1 - share) + after * share


def _is_ambiguous(curve: Array, best: int) -> bool:
    level, top = float(np.nanmedian(curve)), float(curve[best])
    if not top > WEAK:
        return True
    filled = np.nan_to_num(curve, nan=-np.inf)
    peaks = 1 + np.flatnonzero((filled[1:-1] >= filled[:-2]) & (filled[1:-1] >= filled[2:]))
    # The peak itself ends where the curve has come down to the rivals' height.
    limit = level + RIVAL * (top - level)
    below = np.flatnonzero(filled < limit)
    start = below[below < best].max(initial=-1)
    stop = below[below > best].min(initial=filled.size)
    return bool(((filled[peaks] > limit) & ((peaks < start) | (peaks > stop))).any())


def _node(
    ds: xr.Dataset, curve: Array, center: float, pixel_um: float, sigma_um: float, *,
    at_edge: bool, ambiguous: bool,
) -> xr.Dataset:  # fmt: skip
    start, columns = float(known(ds["u"])[0]), ds.sizes["u"]
    left = center <= (columns - 1) / 2
    width = 2 * (center if left else columns - 1 - center) + 1
    z = ds["z"].variable.to_base_variable()
    out = xr.Dataset(
        {
            "axis_u": ("z", np.full(ds.sizes["z"], start + center * pixel_um)),
            "overlap": width * pixel_um,
            "overlap_sigma": sigma_um,
            "overlap_side": -1 if left else 1,
            "at_edge": at_edge,
            "ambiguous": ambiguous,
            "mirror_correlation": ("axis_tried", curve),
        },
        {"z": z, "axis_tried": start + np.arange(curve.size) / 2 * pixel_um},
    )
    return schema.describe(out, schema.OVERLAP_XCT)


@step(cites=("10.1364/OE.418448",))
def unfold(
    ds: xr.Dataset,
    *,
    overlap: xr.Dataset | None = None,
    overlap_columns: float | None = None,
    side: Side | None = None,
) -> xr.Dataset:
    """Make half a circle, nearly twice as wide, of a full circle with the axis near an edge.

    Columns of the detector keep their `u`. Beyond the axis they are continued by the projection
    opposite, mirrored and interpolated; where both were measured they are blended smoothly. Where
    the opposite angle itself was not measured it is interpolated between its two neighbours, and
    projections without any are left out, said in the attribute `notes`.

    Parameters
    ----------
    ds
        ``absorbance`` or ``transmission(angle, z, u)`` over a full circle.
    overlap
        What `find_overlap` gave.
    overlap_columns, side
        In place of it: columns that both halves cover, and at which side of the detector, as
        algotom and Savu count them: the axis is at ``(overlap - 1) / 2`` from that edge.

    Returns
    -------
    xarray.Dataset
        The same variable over about 180 degrees, with the coordinate ``axis_u(z)``. What belongs
        to single projections or pixels (times, `usable`, `clipped`) is left behind: each value
        now comes of two.

    Raises
    ------
    SchemaError
        For a dataset without projections.
    ArgumentError
        Where the overlap is given twice or not at all, or is not on the detector; where no
        projection has one opposite to it.

    References
    ----------
    N. T. Vo et al., "Data processing methods and data acquisition for samples larger than the
    field of view in parallel-beam tomography", Opt. Express 29, 17849 (2021),
    doi:10.1364/OE.418448.
    """
    by = "xct.unfold"
    name, pixel_um = image_of(ds, by), spacing_of(ds, "xct.unfold")
    notes = list(ds.attrs.get("notes", []))
    center = _center(ds, overlap, overlap_columns, side, pixel_um, notes)
    own, low, high, weight = kernels.opposites(known(ds["angle"]))
    if not own.size:
        raise ArgumentError(
            f"{by}: no projection has one opposite to it",
            got=f"{ds.sizes['angle']} projections",
            expected="a full circle",
        )
    first_half = np.count_nonzero(np.abs(known(ds["angle"]) - known(ds["angle"])[0]) < 180 - 1e-6)
    if first_half > own.size:
        notes.append(f"{by}: {first_half - own.size} projections have none opposite, left out")
    pairs = (xr.DataArray(v, dims="half") for v in (own, low, high, weight))
    (wide,) = lift(kernels.unfold, ds[name], *pairs, parameters={"center": center})
    wide = wide.rename(half="angle", wide="u").transpose("angle", "z", "u")
    first, stop = kernels.extent(center, ds.sizes["u"])
    place = known(ds["u"]).astype(float)
    u = place[0] + np.arange(first, stop) * pixel_um
    u[-first : place.size - first] = place
    keep = [c for c in ds.coords if set(ds[c].dims) <= {"z"}]
    coords: dict[Any, Any] = {c: ds[c].variable for c in keep}
    coords["angle"] = ("angle", known(ds["angle"])[own], ds["angle"].attrs)
    coords["u"] = ("u", u, ds["u"].attrs)
    axis = np.full(ds.sizes["z"], place[0] + center * pixel_um)
    coords["axis_u"] = ("z", axis, schema.attrs_of(schema.CENTER))
    wide = wide.drop_vars(list(wide.coords)).assign_attrs(ds[name].attrs)
    attrs = ds.attrs | ({"notes": notes} if notes else {})
    return xr.Dataset({name: wide}, coords, attrs)


def _center(
    ds: xr.Dataset,
    overlap: xr.Dataset | None,
    columns: float | None,
    side: Side | None,
    pixel_um: float,
    notes: list[str],
) -> float:
    """Index of u where the axis is."""
    by = "xct.unfold"
    if (overlap is None) == (columns is None) or (columns is None) != (side is None):
        raise ArgumentError(
            f"{by}: the overlap is to be given in one way",
            got=f"overlap {'given' if overlap is not None else None}, "
            f"overlap_columns={columns}, side={side}",
            expected="overlap=, what xct.find_overlap gave, or both of overlap_columns= and side=",
        )
    if overlap is not None:
        schema.validate(overlap, schema.OVERLAP_XCT, by=by)
        columns = float(known(overlap["overlap"])) / pixel_um
        side = "left" if float(known(overlap["overlap_side"])) < 0 else "right"
        told = [flag for flag in ("at_edge", "ambiguous") if bool(known(overlap[flag]))]
        if told:
            notes.append(f"{by}: the overlap that was measured is marked {' and '.join(told)}")
    width = ds.sizes["u"]
    if columns is None or not 0 < columns <= width:
        raise ArgumentError(
            f"{by}: the overlap is not on the detector",
            got=f"{columns} columns of {width}",
            expected=f"above 0, at most {width}",
        )
    distance = (columns - 1) / 2
    return distance if side == "left" else width - 1 - distance
