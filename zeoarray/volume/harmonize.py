"""Grey levels of scans made comparable: `harmonize` finds a mapping, `apply_mapping` applies it."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import RegistrationError, SchemaError, SourceError
from zeoarray.kernels import mapping as kernels
from zeoarray.kernels.mapping import Knots
from zeoarray.labelled import lift
from zeoarray.step import Count, Part, Positive, measure, step
from zeoarray.volume import grids, sampling
from zeoarray.volume.resample import fitting, map_of, way_to

__all__ = ["apply_mapping", "harmonize"]

Array = np.ndarray[Any, Any]
Match = Literal["overlap", "peaks"]
BY = "volume.harmonize"

KNOTS = 33
MOST = 400_000
"""Voxels that are compared, at most."""
PARTS = 8
"""Parts of the overlap whose mappings tell the error."""
TRIED = 33
"""Places along y and x at which a row is tried for an overlap."""
MOST_FALL = 0.2
"""A relation is not monotone where its median falls by more than this share of its span."""


class _Pairs(NamedTuple):
    """Values of both volumes at the same places, row after row of the overlap."""

    moving: Array
    fixed: Array


def _expected(ds: xr.Dataset, *, fixed: xr.Dataset, **arguments: Any) -> xr.Dataset:
    names = arguments.get("variable"), arguments.get("fixed_variable")
    knots = Knots(np.arange(3.0), np.arange(3.0))
    return _node(ds, fixed, _one(ds, names[0]), _one(fixed, names[1]), knots, np.zeros(3),
                 (1, 1.0, 0.0))  # fmt: skip


@measure(expects=_expected)
def harmonize(
    ds: xr.Dataset,
    *,
    fixed: xr.Dataset,
    registration: xr.Dataset | None = None,
    scan: str | None = None,
    fixed_scan: str | None = None,
    match: Match = "overlap",
    variable: str | None = None,
    fixed_variable: str | None = None,
    voxel: Positive | None = None,
    rows: Count = 16,
    circle: Positive | None = None,
    least_overlap: Count = 2000,
    least_correlation: Part = 0.5,
) -> xr.Dataset:
    """Find the monotone mapping that makes the grey levels of a volume those of another.

    Both are averaged over the same voxels of a few rows where they overlap. By ``overlap``, the
    mapping carries the distribution of the one to that of the other; by ``peaks`` it goes through
    the modes of both histograms, the grey levels of materials, in their order.

    Parameters
    ----------
    ds
        The volume whose values are mapped.
    fixed
        The one whose grey levels it shall have.
    registration
        What `volume.register` gave for `ds` in `fixed`, or `volume.connect` for both; None where
        both are in one frame.
    scan, fixed_scan
        Which of them `ds` and `fixed` are, where the registration is of several scans; without the
        second one `fixed` is in their common frame.
    match
        How.
    variable, fixed_variable
        Of z, y, x; None where there is just one.
    voxel
        Voxels over which both are averaged [um]; None takes twice the coarser's, which halves
        what noise does.
    rows
        Rows of these voxels that are read.
    circle
        Voxels of `ds` further from the middle of y and x than this share of half the width do not
        count.
    least_overlap
        Fewer voxels in common are refused.
    least_correlation
        So is a lower rank correlation.

    Returns
    -------
    xarray.Dataset
        ``knot_from``, ``knot_to`` with its standard error, from parts of the overlap; the voxels
        compared, their rank correlation, and the rms difference after mapping.

    Raises
    ------
    SchemaError
        For a dataset without a volume, or with several of which none was named.
    ArgumentError
        Where the volumes do not meet, or the map is singular.
    SourceError
        Where one has no finite value.
    RegistrationError
        Where they have too little in common, or the relation is not monotone.
    """
    name, fixed_name = _one(ds, variable), _one(fixed, fixed_variable)
    of = _between(registration, scan, fixed_scan)
    pairs = _pairs(ds[[name]], fixed[[fixed_name]], of, voxel, rows, circle)
    _enough(pairs, least_overlap)
    rank = kernels.rank_correlation(pairs.moving, pairs.fixed)
    fall = kernels.falls(pairs.moving, pairs.fixed)
    if rank < least_correlation or fall > MOST_FALL:
        raise RegistrationError(
            f"{BY}: the grey levels of these volumes are in no monotone relation",
            got=f"rank correlation {rank:.2f}, falling by {fall:.0%} of the span",
            expected=f"at least {least_correlation:g}, and at most {MOST_FALL:.0%}",
            do="check the registration; volumes of two modalities have no common grey levels",
        )
    knots = _matched(pairs, match)
    sigma = _sigma(pairs, knots, match)
    full = kernels.beyond(knots)
    mapped = kernels.remap(pairs.moving, source=full.source, target=full.target)
    figures = (pairs.moving.size, rank, float(np.sqrt(np.mean((mapped - pairs.fixed) ** 2))))
    return _node(ds, fixed, name, fixed_name, full, np.r_[np.nan, sigma, np.nan], figures)


@step()
def apply_mapping(
    ds: xr.Dataset, *, mapping: xr.Dataset, variable: str | None = None
) -> xr.Dataset:
    """Give a volume the grey levels of another one, by the mapping that `harmonize` found.

    Parameters
    ----------
    ds
        The volume.
    mapping
        What `volume.harmonize` gave; between its knots values are interpolated, beyond them they
        go on with the slope of the whole.
    variable
        Which; None where one alone has z, y, x.

    Returns
    -------
    xarray.Dataset
        The same, the variable mapped, in the units of the other.

    Raises
    ------
    SchemaError
        For a dataset without such a volume, or what is no mapping.

    Examples
    --------
    >>> knots = {"knot_from": ("knot", [0.0, 1.0]), "knot_to": ("knot", [1.0, 3.0]),
    ...          "knot_sigma": ("knot", [0.0, 0.0]), "overlap_voxels": 1, "rank_correlation": 1.0,
    ...          "residual_rms": 0.0}
    >>> ds = xr.Dataset({"attenuation": (tuple("zyx"), np.ones((1, 1, 2), "f4"))})
    >>> apply_mapping(ds, mapping=xr.Dataset(knots)).attenuation.values.ravel()
    array([3., 3.], dtype=float32)
    """
    schema.validate(mapping, schema.MAPPING, by="volume.apply_mapping")
    name = _one(ds, variable, "volume.apply_mapping")
    knots = {"source": mapping["knot_from"].values, "target": mapping["knot_to"].values}
    (found,) = lift(kernels.remap, ds[name], parameters=knots, dims={"n": "x"})
    units = mapping["knot_to"].attrs.get("units")
    return ds.assign(
        {name: found.assign_attrs(ds[name].attrs | ({"units": units} if units else {}))}
    )


def _one(ds: xr.Dataset, name: str | None, by: str = BY) -> str:
    fit = [n for n in fitting(ds, None if name is None else (name,), by) if n not in schema.FLAGS]
    fit = [n for n in fit if set(ds[n].dims) == {"z", "y", "x"}]
    if len(fit) != 1:
        raise SchemaError(
            f"{by}: it is not clear which variable is meant",
            got=", ".join(fit) or "none of z, y, x alone",
            expected="one variable of (z, y, x)",
            do="variable=..., or ds.isel(phase=0)",
        )
    return fit[0]


def _between(
    registration: xr.Dataset | None, scan: str | None, fixed_scan: str | None
) -> Array | None:
    """(4, 4): from the one frame to the other; None where both are one."""
    of = map_of(registration, scan, BY)
    if of is None or fixed_scan is None:
        return of
    back = map_of(registration, fixed_scan, BY)
    return of if back is None else np.asarray(np.linalg.inv(back) @ of)


def _pairs(
    ds: xr.Dataset,
    fixed: xr.Dataset,
    map_um: Array | None,
    voxel: float | None,
    rows: int,
    circle: float | None,
) -> _Pairs:
    schema.validate(ds, schema.positioned(grids.AXES), by=BY)
    schema.validate(fixed, schema.positioned(grids.AXES), by=BY)
    sides = [abs(grids.spacing(d, a, BY)) for d in (ds, fixed) for a in grids.AXES]
    on = grids.laid(fixed, voxel=2 * max(sides) if voxel is None else voxel)
    ways = (
        way_to(on, ds, map_um, False, "mean", None, circle, by=BY),
        way_to(on, fixed, None, False, "mean", None, None, by=BY),
    )
    variables = [next(iter(d.data_vars.values())).variable for d in (ds, fixed)]
    z = on["z"].values
    seen = _rows_in_common(z, ways[0])
    chosen = seen[np.unique(np.linspace(0, seen.size - 1, min(rows, seen.size)).astype(int))]
    out = _Pairs(np.empty(0), np.empty(0))
    for k in chosen:
        here = z[k : k + 1]
        both = [sampling.rows(here, v, w)[0] for v, w in zip(variables, ways, strict=True)]
        inside = sampling.covered(here, ways[0])[0] & sampling.covered(here, ways[1])[0]
        good = np.flatnonzero(inside & np.isfinite(both[0]) & np.isfinite(both[1]))
        good = good[:: max(-(-good.size * chosen.size // MOST), 1)]
        values = (b.reshape(-1)[good].astype(float) for b in both)
        out = _Pairs(*(np.concatenate(ab) for ab in zip(out, values, strict=True)))
    return out


def _rows_in_common(z: Array, way: sampling.Way) -> Array:
    """Indices of the rows of which some place is in the moving volume; places are tried."""
    j, i = (np.linspace(0, n - 1, TRIED) for n in way.plane)
    inside = np.ones((z.size, TRIED, TRIED), bool)
    for axis, n in enumerate(way.whole):
        row = way.matrix[axis]
        place = row[0] * z[:, None, None] / way.step + row[1] * j[:, None] + row[2] * i + row[3]
        inside &= (place > -0.5) & (place < n - 0.5)
    return np.flatnonzero(inside.any(axis=(1, 2)))


def _enough(pairs: _Pairs, least: int) -> None:
    if pairs.moving.size < least:
        raise RegistrationError(
            f"{BY}: the volumes have too little in common",
            got=f"{pairs.moving.size} voxels that both cover, with values",
            expected=f"at least {least}",
            do="smaller voxels (voxel=), more rows, or least_overlap= if so few will do",
        )
    for values, which in ((pairs.moving, "the volume"), (pairs.fixed, "the fixed volume")):
        if not np.ptp(values) > 1e-6 * np.abs(values).max():
            raise SourceError(
                f"{BY}: {which} is constant where both overlap",
                got=f"{values.mean():g} everywhere",
                expected="two materials or more, as air and matter",
            )


def _matched(pairs: _Pairs, match: Match) -> Knots:
    if match == "overlap":
        return kernels.by_quantiles(pairs.moving, pairs.fixed, KNOTS)
    found = Knots(kernels.peaks(pairs.moving), kernels.peaks(pairs.fixed))
    if found.source.size != found.target.size or found.source.size < 2:
        listed = [", ".join(f"{p:.4g}" for p in side) or "none" for side in found]
        raise RegistrationError(
            f"{BY}: the histograms have not the same peaks, two or more",
            got=f"{listed[0]} in the volume, {listed[1]} in the fixed one",
            expected="a peak for each material in both",
            do="match='overlap', which needs no peaks",
        )
    return found


def _sigma(pairs: _Pairs, knots: Knots, match: Match) -> Array:
    """Standard error of what each knot becomes: from parts of the overlap."""
    found = []
    # Stretches of neighbours, since what is near is alike.
    part_of = np.arange(pairs.moving.size) * 4 * PARTS // pairs.moving.size % PARTS
    for part in range(PARTS):
        chosen = part_of == part
        try:
            own = _matched(_Pairs(*(v[chosen] for v in pairs)), match)
        except RegistrationError:  # a part may lack a material
            continue
        if own.source.size >= 2:
            full = kernels.beyond(own)
            found.append(kernels.remap(knots.source, source=full.source, target=full.target))
    if len(found) < 2:
        return np.full(knots.source.size, np.nan)
    return np.asarray(np.std(found, axis=0, ddof=1) / np.sqrt(len(found)))


def _node(
    ds: xr.Dataset, fixed: xr.Dataset, name: str, fixed_name: str, knots: Knots, sigma: Array,
    figures: tuple[int, float, float],
) -> xr.Dataset:  # fmt: skip
    units = [d[n].attrs.get("units") for d, n in ((ds, name), (fixed, fixed_name))]
    of = [{"units": u} if u else {} for u in units]
    out = xr.Dataset(
        {
            "knot_from": ("knot", knots.source, of[0]),
            "knot_to": ("knot", knots.target, of[1]),
            "knot_sigma": ("knot", sigma, of[1]),
            "overlap_voxels": ((), figures[0]),
            "rank_correlation": ((), figures[1]),
            "residual_rms": ((), figures[2], of[1]),
        }
    )
    return schema.describe(out, schema.MAPPING)
