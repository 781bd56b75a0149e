"""The model of a pattern: references on the scan's own q, and a smooth background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy.interpolate import BSpline, CubicSpline

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError, unknown
from zeoarray.labelled import known

Array = np.ndarray[Any, Any]

COLLINEAR = 1e-4
"""A reference of which less than this share is not a sum of the others is one of them."""
NAMED = 0.1
"""Others are named if they make up this share of such a reference."""
LEVEL = 2e-4
"""Relative broadening by which the models that are kept for the depth of voxels differ."""
UM = 1e-6
NODES = 24
"""Points of a circle that its broadening is the mean of."""


def selection(ds: xr.Dataset, q_range: tuple[float, float] | None, by: str) -> slice:
    """Return the bins of `ds` that a fit is made in.

    Raises
    ------
    SchemaError
        Where q does not ascend.
    ArgumentError
        For a range with no bin in it.
    """
    schema.validate(ds, schema.Schema("dataset with patterns", (schema.Q,)), by=by)
    q = known(ds["q"]).astype(float)
    if q.size < 2 or not (np.diff(q) > 0).all():
        raise SchemaError(
            f"{by}: q does not ascend", got=f"{q.size} bins", do='ds.sortby("q"), each value once'
        )
    if q_range is None:
        return slice(0, q.size)
    low, high = q_range
    first, last = int(np.searchsorted(q, low)), int(np.searchsorted(q, high, side="right"))
    if last - first < 2:
        raise ArgumentError(
            f"{by}: q_range has no bins",
            got=f"{low:g} to {high:g} 1/angstrom",
            expected=f"a part of {q[0]:g} to {q[-1]:g} 1/angstrom",
        )
    return slice(first, last)


def intensities(ds: xr.Dataset, by: str) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Return ``intensity(..., q)`` of a dataset, and its variance where it has one."""
    if "intensity" not in ds.variables or "q" not in ds["intensity"].dims:
        raise SchemaError(
            f"{by}: there are no patterns",
            got=", ".join(f"{n}{v.dims}" for n, v in ds.data_vars.items()) or "no variables",
            expected="intensity(..., q)",
            do="xrdct.integrate makes patterns of frames",
        )
    return ds["intensity"], ds["variance"] if "variance" in ds.variables else None


def patterns_of(
    references: xr.Dataset, phases: Sequence[str] | None, q: Array, by: str, reach: float = 0.0
) -> tuple[list[str], list[CubicSpline]]:
    """Return names of phases, and their patterns as functions of q.

    Raises
    ------
    SchemaError
        For a dataset that holds no references.
    ArgumentError
        Where they do not cover `q` (and `reach` of it beyond), or are not finite there.
    """
    schema.validate(references, schema.REFERENCES, by=by)
    names = [str(name) for name in references["phase"].values]
    chosen = names if phases is None else list(phases)
    for name in chosen:
        if name not in names:
            raise unknown("reference pattern", name, names)
    if len(set(chosen)) < len(chosen) or not chosen:
        raise ArgumentError(f"{by}: phases are named once each", got=", ".join(chosen) or "none")
    own = known(references["q"]).astype(float)
    low, high = q[0] * (1 - reach), q[-1] * (1 + reach)
    slack = 1e-3 * (own[-1] - own[0]) / max(own.size - 1, 1)
    # What moved lines reach beyond the ends is continued, which they do by a bin or two.
    if own.size < 4 or own[0] > q[0] + slack or own[-1] < q[-1] - slack:
        raise ArgumentError(
            f"{by}: the references are on another range of q",
            got=f"{own[0]:g} to {own[-1]:g} 1/angstrom ({own.size} bins)",
            expected=f"at least {q[0]:g} to {q[-1]:g} 1/angstrom, where patterns are fitted",
            do=f"q_range=({max(own[0], q[0]):g}, {min(own[-1], q[-1]):g}), or other references",
        )
    patterns = references["pattern"].transpose("phase", "q").compute(scheduler="synchronous")
    values = np.asarray(patterns.values, float)
    inside = (own >= low) & (own <= high)
    curves = []
    for name in chosen:
        pattern = values[names.index(name)]
        if not np.isfinite(pattern[inside]).all():
            raise ArgumentError(
                f"{by}: the reference {name!r} is not known in every bin",
                got=f"{int((~np.isfinite(pattern[inside])).sum())} bins that are not finite",
                do="a q_range= in which it is",
            )
        fine = np.isfinite(pattern)
        curves.append(CubicSpline(own[fine], pattern[fine]))
    return chosen, curves


def background(q: Array, terms: int) -> Array:
    """(q) -> (term, q). Cubic B-splines that sum to 1; fewer than four are polynomials.

    Raises
    ------
    ArgumentError
        For less than no terms.

    Examples
    --------
    >>> background(np.linspace(0, 1, 5), 6).sum(axis=0).round(9).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    if terms < 0:
        raise ArgumentError(
            "a background has no less than 0 terms", got=f"background={terms}", do="0 for none"
        )
    if terms == 0:
        return np.empty((0, q.size))
    degree = min(3, terms - 1)
    inner = np.linspace(q[0], q[-1], terms - degree + 1)
    knots = np.concatenate(([inner[0]] * degree, inner, [inner[-1]] * degree))
    basis: Array = BSpline.design_matrix(q, knots, degree).toarray().T
    return basis


def check_collinear(names: Sequence[str], design: Array, by: str) -> None:
    """Raise where a reference is a sum of the others and the background, saying of which.

    Parameters
    ----------
    names
        Of the references, which are the first rows of `design`.
    design
        (term, q).
    """
    norm = np.sqrt((design**2).sum(axis=1))
    dark = [name for name, n in zip(names, norm, strict=False) if not n > 0]
    if dark:
        raise ArgumentError(
            f"{by}: a reference is 0 in every bin", got=", ".join(dark), do="leave it out"
        )
    unit = design / norm[:, None]
    for i, name in enumerate(names):
        rest = np.delete(np.arange(len(unit)), i)
        if rest.size == 0:
            continue
        share, *_ = np.linalg.lstsq(unit[rest].T, unit[i], rcond=None)
        if np.linalg.norm(unit[i] - share @ unit[rest]) < COLLINEAR:
            labels = [*names, *["the background"] * (len(unit) - len(names))]
            parts = dict.fromkeys(labels[j] for j, s in zip(rest, share, strict=True)
                                  if abs(s) > NAMED)  # fmt: skip
            raise ArgumentError(
                f"{by}: references are collinear",
                got=f"{name!r} is a sum of {', '.join(parts)}, to {COLLINEAR:g} of itself",
                do="leave one of them out: their weights cannot be told apart",
            )


def design_of(
    curves: Sequence[CubicSpline], q: Array, terms: int, spread: Sequence[float]
) -> Array:
    """(level, term, q) Models: references seen from everywhere on circles, and background.

    Parameters
    ----------
    curves
        References as functions of q.
    q
        Bins.
    terms
        Of the background.
    spread
        Relative shift at the farthest points of each level's circle; 0 for none.
    """
    smooth = background(q, terms)
    seen = (around(curves, q, amplitude) for amplitude in spread)
    return np.stack([np.concatenate([patterns, smooth]) for patterns in seen])


def around(curves: Sequence[CubicSpline], q: Array, amplitude: float) -> Array:
    """(curve, q) References as seen from everywhere on a circle.

    Parameters
    ----------
    curves
        References as functions of q.
    q
        Bins.
    amplitude
        Relative shift at the farthest points of the circle; 0 for none.
    """
    phi = np.pi * (np.arange(NODES) + 0.5) / NODES
    places = q * (1 + amplitude * np.cos(phi))[:, None] if amplitude else q[None]
    return np.array([curve(places).mean(0) for curve in curves])


def spread_of(array: xr.DataArray, parallax: xr.Dataset, by: str) -> xr.DataArray:
    """(y, x) Relative shift of lines at the ends of each voxel's circle.

    Raises
    ------
    SchemaError
        For a node that is not from `parallax`.
    ArgumentError
        For patterns of rays.
    """
    if not {"y", "x"} <= set(array.dims):
        raise ArgumentError(
            f"{by}: parallax is modelled for voxels",
            got=f"patterns over {', '.join(map(str, array.dims))}",
            expected="intensity(z, y, x, q)",
            do="take the volume with parallax=, or rays without",
        )
    schema.validate(parallax, schema.Schema("parallax", (schema.PER_M,)), by=by)
    per_um = abs(float(known(parallax["shift_per_m"]))) * UM
    y, x = (xr.DataArray(known(array[d], whole=False).astype(float), dims=d) for d in ("y", "x"))
    return (y**2 + x**2) ** 0.5 * per_um


def correlations(ds: xr.Dataset, node: xr.Dataset, chosen: slice, by: str) -> Array:
    """(q, lag) of the bins that are fitted.

    Raises
    ------
    SchemaError
        For a node that has none.
    ArgumentError
        Where its bins are not those of `ds`.
    """
    schema.validate(node, schema.CORRELATIONS, by=by)
    q, own = known(ds["q"]).astype(float), known(node["q"]).astype(float)
    if q.size != own.size or np.abs(q - own).max() > 1e-3 * (q[-1] - q[0]) / (q.size - 1):
        raise ArgumentError(
            f"{by}: the correlation is that of other bins",
            got=f"{own.size} bins, {own[0]:g} to {own[-1]:g} 1/angstrom",
            expected=f"{q.size} bins, {q[0]:g} to {q[-1]:g} 1/angstrom",
            do="measure it on this scan: xrdct.bin_correlation",
        )
    band = node["correlation"].transpose("q", "lag").compute(scheduler="synchronous")
    return np.asarray(band.values, float)[chosen]
