"""The rotation axis of a diffraction tomogram, from its own sinograms: `find_center`."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.backend import single_threaded
from zeoarray.errors import ArgumentError, SourceError
from zeoarray.kernels.axis_line import AxisWarning, Line, fit
from zeoarray.kernels.center_mass import find_center_mass
from zeoarray.kernels.center_opposite import candidates, find_center_opposite
from zeoarray.labelled import known
from zeoarray.positions import axis_node
from zeoarray.step import Count, measure
from zeoarray.xrdct.points import POINT
from zeoarray.xrdct.positions import spacing_of

__all__ = ["AxisWarning", "find_center"]

Array = np.ndarray[Any, Any]
BY = "xrdct.find_center"
Method = Literal["auto", "opposite", "mass"]

LEAST_TURN = 160.0
"""Opposite projections need this much of the half circle [deg]."""
LEAST_ANGLES = 4
UNSURE = 0.25
"""A line whose standard deviation is more than this is not trusted [positions]."""
APART = 0.25
"""Two methods may differ by this [positions], or by thrice what they say of themselves."""
MEASURED = 0.8
"""A projection counts where this share of it was measured; the rest is interpolated along u."""
SIDE = 0.25
"""The axis is looked for this share of the width to either side of the middle."""


class Found(NamedTuple):
    """What was found in each layer; positions are indices of u."""

    center: Array
    sigma: Array
    at_edge: Array
    ambiguous: Array
    candidate: Array
    metric: Array


def _expected(ds: xr.Dataset, **parameters: Any) -> xr.Dataset:
    count = min(int(parameters.get("layers", 9)), ds.sizes["z"])
    middle, no = np.full(count, (ds.sizes["u"] - 1) / 2), np.zeros(count, bool)
    found = Found(
        middle, np.ones(count), no, no, middle[:, None] + np.zeros(2), np.zeros((count, 2))
    )
    line = Line(0.0, float(middle.mean()), 0.0, np.eye(2), ~no)
    return _node(ds, _chosen(ds, count), found, line, np.nan, at_edge=False, ambiguous=False)


@measure(cites=("10.7551/mitpress/3206.001.0001",), expects=_expected)
def find_center(
    ds: xr.Dataset,
    *,
    method: Method = "auto",
    layers: Count = 9,
    q_range: tuple[float, float] | None = None,
    outer: int = 2,
    start: float | None = None,
    stop: float | None = None,
    step: float = 0.25,
) -> xr.Dataset:
    """Find the rotation axis in the layers of a sinogram, and draw a line through what is found.

    Layers are summed over q. A line axis_u(z) is fitted to them by weights of Huber, so that a
    layer that is wrong counts little; with three layers or more its slope is the tilt.

    Parameters
    ----------
    ds
        ``intensity(z, angle, u, q)``, or of one number a point, without q; angles in any order.
        `valid` is heeded: projections of which less than four fifths were measured do not count.
    method
        ``opposite``: opposite projections against each other, over a half circle or more.
        ``mass``: the sine that the centre of mass of projections goes on; all of the sample has to
        be seen at all angles. ``auto``: ``opposite``, and ``mass`` to see whether it agrees; on
        less than a half circle ``mass`` alone.
    layers
        How many layers are read, evenly spread.
    q_range
        Lowest and highest q that is summed; all where None.
    outer
        Positions at each end of a projection that see no sample: their mean is subtracted
        before a centre of mass is taken. 0 to subtract nothing.
    start, stop
        Where the axis may be [index of u]; a quarter of the width around the middle where None.
    step
        Of the search [positions].

    Returns
    -------
    xarray.Dataset
        As `xct.find_center` gives it: ``axis_u(z)`` [um] and its standard deviation, the tilt,
        ``axis_check``, how far the second method is off, each layer's axis and metric, and the
        flags ``at_edge`` and ``ambiguous``.

    Warns
    -----
    AxisWarning
        Where the axis is at the end of the range, is not known to a quarter of a position or has a
        rival, and where two methods contradict each other.

    Raises
    ------
    SchemaError
        For a dataset without sinograms, or with uneven positions.
    ArgumentError
        For fewer than four angles, angles that are not finite, less than a half circle where
        opposite projections are asked for, and a range outside the scan.
    SourceError
        Where no layer shows a sample.
    """
    chosen = _chosen(ds, layers)
    pixel_um = spacing_of(ds, by=BY)
    angle = _angles(ds, method)
    method = "mass" if method == "auto" and np.ptp(angle) < LEAST_TURN else method
    low, high = _range(ds.sizes["u"], start, stop)
    lines, used = [], []
    for z in chosen:
        values, rows = _layer(ds, int(z), q_range)
        if rows.size >= LEAST_ANGLES and np.ptp(values) > 0:
            lines.append((values, np.deg2rad(angle[rows])))
            used.append(z)
    if not lines:
        raise SourceError(
            f"{BY}: no layer shows a sample",
            got=f"{chosen.size} layers that are constant, or of fewer than {LEAST_ANGLES} whole "
            "projections",
            do="read more layers (layers=), or another q_range=",
        )
    chosen = np.array(used)
    place = known(ds["z"]).astype(float)[chosen]
    with single_threaded():
        found = _each(lines, method, low, high, step, outer)
        line = fit(place, found.center, found.sigma, ~(found.ambiguous | found.at_edge))
        difference, doubt = np.nan, np.nan
        if method == "auto":
            other = _each(lines, "mass", low, high, step, outer)
            second = fit(place, other.center, other.sigma, ~other.ambiguous)
            # Of what is dark on a bright ground there is no centre of mass: then nothing is said.
            seen = np.isfinite(other.sigma).any()
            middle = np.array([place.mean()])
            difference = float((second.at(middle) - line.at(middle))[0]) if seen else np.nan
            doubt = float(np.hypot(second.sigma_at(middle), line.sigma_at(middle))[0])
    reasons, at_edge, ambiguous = _reasons(found, line, place, low, high)
    if abs(difference) > max(APART, 3 * doubt):
        ambiguous = True
        reasons.append(f"centres of mass put it {difference:+.2f} positions away")
    if reasons:
        warnings.warn(
            f"{BY}: the axis may not be at position {line.at(np.array([place.mean()]))[0]:.2f}: "
            f"{'; '.join(reasons)}. Look at axis_metric over candidate_u; give start= and stop=, "
            "or another q_range=.",
            AxisWarning,
            stacklevel=4,
        )
    return _node(
        ds, chosen, found, line, difference * pixel_um, at_edge=at_edge, ambiguous=ambiguous
    )


def _chosen(ds: xr.Dataset, layers: int) -> Array:
    """Layers in the middle of equal parts of the scan."""
    q = tuple(var for var in (schema.Q,) if "q" in ds.dims)
    schema.validate(ds, schema.Schema("sinogram", (schema.Z, schema.ANGLE, schema.U, *q)), by=BY)
    like = schema.SINO if q else schema.SINO_POINTS
    schema.validate(ds, schema.Schema("sinogram", (like,), (schema.VALID,)), by=BY)
    count = ds.sizes["z"]
    share = (np.arange(min(layers, count)) + 0.5) / max(min(layers, count), 1)
    out: Array = np.unique((share * count - 0.5).round().astype(int))
    return out


def _angles(ds: xr.Dataset, method: Method) -> Array:
    angle = known(ds["angle"]).astype(float)
    if angle.size < LEAST_ANGLES:
        raise ArgumentError(
            f"{BY}: too few rotations", got=f"{angle.size}", expected=f"{LEAST_ANGLES} or more"
        )
    if not np.isfinite(angle).all():
        bad = np.flatnonzero(~np.isfinite(angle))
        raise ArgumentError(
            f"{BY}: an angle is not finite",
            got=f"{angle[bad[0]]} at index {bad[0]}",
            do="leave the projections out whose angle is not known",
        )
    if method == "opposite" and np.ptp(angle) < LEAST_TURN:
        raise ArgumentError(
            f"{BY}: there are no opposite projections",
            got=f"{angle.size} angles over {np.ptp(angle):g} deg",
            expected=f"{LEAST_TURN:g} deg or more",
            do='method="mass"',
        )
    return angle


def _range(columns: int, start: float | None, stop: float | None) -> tuple[float, float]:
    middle, aside = (columns - 1) / 2, max(SIDE * columns, 1.0)
    low = max(middle - aside, 0.0) if start is None else start
    high = min(middle + aside, columns - 1.0) if stop is None else stop
    candidates(columns, low, high, 1.0)
    return low, high


def _layer(ds: xr.Dataset, z: int, q_range: tuple[float, float] | None) -> tuple[Array, Array]:
    """(angle, u) Sums over q of the projections that count, and which these are."""
    part = ds["intensity"].isel(z=z)
    if "q" in part.dims:
        if q_range is not None:
            q = known(ds["q"]).astype(float)
            inside = np.flatnonzero((q >= q_range[0]) & (q <= q_range[1]))
            if not inside.size:
                raise ArgumentError(
                    f"{BY}: no q is in the range",
                    got=f"q_range={q_range}",
                    expected=f"within {q.min():g} to {q.max():g} 1/angstrom",
                )
            part = part.isel(q=slice(int(inside[0]), int(inside[-1]) + 1))
        # A bin that the mask hides is NaN everywhere; a point not measured is NaN in all bins.
        part = part.transpose("angle", "u", "q").compute(scheduler="synchronous")
        read = np.asarray(part.values)
        seen = np.isfinite(read).any(axis=2)
        whole = np.isfinite(read[seen]).all(axis=0)
        values = read[..., whole].sum(axis=2, dtype=np.float64)
    else:
        part = part.transpose("angle", "u").compute(scheduler="synchronous")
        values = np.asarray(part.values, float)
        seen = np.isfinite(values)
    if "valid" in ds.variables:
        valid = ds["valid"].isel(z=z).transpose(*POINT[1:]).compute(scheduler="synchronous")
        seen = seen & (np.asarray(valid.values) != 0)
    rows = np.flatnonzero(seen.mean(axis=1) >= MEASURED)
    u = np.arange(values.shape[1])
    filled = [np.interp(u, u[seen[i]], values[i, seen[i]]) for i in rows]
    return np.array(filled).reshape(rows.size, u.size), rows


def _each(
    lines: list[tuple[Array, Array]], method: str, low: float, high: float, step: float, outer: int
) -> Found:
    out = []
    for values, turn in lines:
        if method == "mass":
            out.append(_by_mass(values, turn, low, high, step, outer))
        else:
            scaled = (values / np.abs(values).max()).astype(np.float32)
            found = find_center_opposite(scaled, turn, start=low, stop=high, step=step)
            out.append(tuple(np.asarray(a) for a in found))
    return Found(*(np.array(column) for column in zip(*out, strict=True)))


def _by_mass(
    values: Array, turn: Array, low: float, high: float, step: float, outer: int
) -> tuple[Any, ...]:
    center, sigma, mass = find_center_mass(values, turn, outer=outer)
    place = candidates(values.shape[1], low, high, step)
    columns = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    good = np.isfinite(mass)
    curve = np.zeros(place.size)
    for i, at in enumerate(place[: place.size if good.any() else 0]):
        rest = mass[good] - at
        fitted = np.linalg.lstsq(columns[good], rest, rcond=None)[0]
        # Root mean square of what centres of mass differ from a sine about this axis.
        curve[i] = np.sqrt(np.mean((rest - columns[good] @ fitted) ** 2))
    known_ = bool(np.isfinite(center))
    outside = known_ and not low <= center <= high
    middle = float(np.clip(center, low, high)) if known_ else (low + high) / 2
    return middle, float(sigma), outside, not float(sigma) <= UNSURE, place, curve


def _reasons(
    found: Found, line: Line, place: Array, low: float, high: float
) -> tuple[list[str], bool, bool]:
    """Why the axis is not to be trusted; whether it is at the edge, and ambiguous."""
    reasons = []
    at_edge = bool(2 * np.count_nonzero(found.at_edge) >= found.at_edge.size)
    if at_edge:
        reasons.append(f"it lies at the end of the range looked at, {low:g} to {high:g}")
    clear = line.used & ~found.ambiguous
    sigma = float(line.sigma_at(np.array([place.mean()]))[0])
    ambiguous = not clear.any() or not sigma <= UNSURE
    if not clear.any():
        reasons.append("its metric has no clear minimum in any layer")
    elif ambiguous:
        reasons.append(f"it is not known better than to {sigma:.2f} positions")
    return reasons, at_edge, ambiguous


def _node(
    ds: xr.Dataset, chosen: Array, found: Found, line: Line, difference_um: float, *,
    at_edge: bool, ambiguous: bool,
) -> xr.Dataset:  # fmt: skip
    node = axis_node(
        ds, chosen, found, line, difference_um, spacing_of(ds, by=BY),
        at_edge=at_edge, ambiguous=ambiguous,
    )  # fmt: skip
    return node.assign_attrs(layers=chosen.tolist())
