"""The rotation axis of a scan, from a few of its rows: `find_center`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SourceError
from zeoarray.kernels.axis_line import AxisWarning, Line, fit
from zeoarray.labelled import known
from zeoarray.positions import axis_node
from zeoarray.step import Count, measure
from zeoarray.xct.axis_rows import Method, Rows, at_each_row, checked
from zeoarray.xct.axis_sinograms import lens_of, sinograms
from zeoarray.xct.positions import spacing_of

__all__ = ["AxisWarning", "find_center"]

Array = np.ndarray[Any, Any]
BY = "xct.find_center"

LEAST_TURN = 160.0
"""Projections have to cover this much of the half circle [deg]."""
UNSURE = 0.25
"""A line whose standard deviation is more than this is not trusted [pixels]."""
APART = 1.0
"""Two methods may differ by this [pixels], or by thrice what they say of themselves."""


def _expected(ds: xr.Dataset, **parameters: Any) -> xr.Dataset:
    given = parameters.get
    top, left = given("center_from_top"), given("center_from_left")
    lens_of(ds, given("polynomial"), top, left, given("detector"), BY)
    count = min(int(parameters.get("rows", 5)), ds.sizes["z"])
    middle = np.full(count, (ds.sizes["u"] - 1) / 2)
    flags, curve = np.zeros(count, bool), np.zeros((count, 2))
    found = Rows(middle, np.ones(count), flags, flags, middle[:, None] + curve, curve)
    line = Line(0.0, float(middle.mean()), 0.0, np.eye(2), ~flags)
    return _node(ds, _chosen(ds, count), found, line, np.nan, at_edge=False, ambiguous=False)


@measure(
    version=2,
    cites=(
        "10.1364/OE.22.019078",
        "10.1364/JOSAA.23.001048",
        "10.7551/mitpress/3206.001.0001",
        "10.1364/OE.23.032859",
    ),
    expects=_expected,
)
def find_center(
    ds: xr.Dataset,
    *,
    method: Method = "auto",
    rows: Count = 5,
    start: float | None = None,
    stop: float | None = None,
    step: float = 0.25,
    frames: xr.Dataset | None = None,
    polynomial: tuple[float, ...] | None = None,
    center_from_top: float | None = None,
    center_from_left: float | None = None,
    detector: tuple[int, int] | None = None,
) -> xr.Dataset:
    """Find the rotation axis, row by row in a few rows, and draw a line through what is found.

    Rows are spread evenly over `z`. A line axis_u(z) is fitted to them by weights of Huber, so that
    a row that is wrong counts little; its slope is the tilt. Of a raw scan the rows are normalised
    and minus the logarithm is taken.

    Parameters
    ----------
    ds
        ``absorbance``, ``transmission`` or ``counts (angle, z, u)``, the last with flats and darks;
        over a half circle or more.
    method
        ``opposite``: opposite projections against each other. ``vo``: the double wedge of the
        sinogram's spectrum; half a circle in even steps. ``sharpness``: the entropy of slices,
        around what ``opposite`` has found. ``auto``: ``opposite``, and ``vo`` in the surest row to
        see whether it agrees.
    rows
        How many rows are read.
    start, stop
        Where the axis may be [index of u]; a sixteenth of the width around the middle where None.
    step
        Of the search [pixels]; the least value is found to a part of it.
    frames
        What `check_frames` gave, for a raw scan.
    polynomial, center_from_top, center_from_left, detector
        The distortion of the lens, as `correct_distortion` takes them, where it will be corrected:
        the axis of straightened projections lies elsewhere than that of the raw ones, by up to a
        few tenths of a pixel. Only what the rows need is read and straightened.

    Returns
    -------
    xarray.Dataset
        ``axis_u(z)`` [um] at every row of the scan and its standard deviation, the tilt, what was
        found in each row with the metric's curve, and the flags ``at_edge`` and ``ambiguous``.
        `reconstruct` takes it as `axis`.

    Warns
    -----
    AxisWarning
        Where the axis is at the end of the range, is not known to a quarter of a pixel or has a
        rival, and where two methods contradict each other.

    Raises
    ------
    SchemaError
        For a dataset without projections.
    ArgumentError
        For a range outside the detector; for fewer than three angles, or less than a half circle;
        for a lens that is told in part, and what `correct_distortion` refuses.
    SourceError
        Where no row that was read shows a sample.
    """
    chosen = _chosen(ds, rows)
    lens = lens_of(ds, polynomial, center_from_top, center_from_left, detector, BY)
    values, angle = sinograms(ds, chosen, frames, lens, BY), _angles(ds)
    pixel_um = spacing_of(ds, BY)
    place = known(ds["z"]).astype(float)
    shown = np.array([bool(np.isfinite(v).all() and np.ptp(v) > 0) for v in values])
    if not shown.any():
        raise SourceError(
            f"{BY}: no row shows a sample",
            got=f"{len(chosen)} rows that are constant or not finite, {_listed(chosen)}",
            do="read more rows (rows=), or crop z to the sample",
        )
    values, chosen = values[shown], chosen[shown]
    found = at_each_row(values, angle, method, start, stop, step)
    line = fit(place[chosen], found.center, found.sigma, ~(found.ambiguous | found.at_edge))
    difference = np.nan
    if method == "auto":
        difference, doubt = checked(values, angle, found, start, stop)
    reasons, at_edge, ambiguous = _reasons(found, line, place[chosen], start, stop)
    if np.isfinite(difference) and abs(difference) > max(APART, 3 * doubt):
        ambiguous = True
        reasons.append(f"Vo's method differs by {difference:.2f} pixels")
    if reasons:
        middle = line.at(np.array([place[chosen].mean()]))[0]
        warnings.warn(
            f"{BY}: the axis may not be at column {middle:.2f}: {'; '.join(reasons)}. Look at "
            "axis_metric over candidate_u; give start= and stop=, or more rows.",
            AxisWarning,
            stacklevel=4,
        )
    return _node(
        ds, chosen, found, line, difference * pixel_um, at_edge=at_edge, ambiguous=ambiguous
    )


def _chosen(ds: xr.Dataset, rows: int) -> Array:
    """Rows in the middle of equal parts of the scan."""
    schema.validate(ds, schema.Schema("scan", (schema.ANGLE, schema.Z, schema.U)), by=BY)
    count = ds.sizes["z"]
    share = (np.arange(min(rows, count)) + 0.5) / max(min(rows, count), 1)
    out: Array = np.unique((share * count - 0.5).round().astype(int))
    return out


def _angles(ds: xr.Dataset) -> Array:
    angle = known(ds["angle"]).astype(float)
    if angle.size < 3:
        raise ArgumentError(f"{BY}: too few projections", got=f"{angle.size}", expected="3 or more")
    if not np.isfinite(angle).all():
        bad = np.flatnonzero(~np.isfinite(angle))
        raise ArgumentError(
            f"{BY}: an angle is not finite",
            got=f"{angle[bad[0]]} at index {bad[0]}",
            do="leave the projections out whose angle is not known",
        )
    turn = float(np.ptp(angle))
    if turn < LEAST_TURN:
        raise ArgumentError(
            f"{BY}: the projections do not cover a half circle",
            got=f"{angle.size} angles over {turn:g} deg",
            expected=f"{LEAST_TURN:g} deg or more",
            do="give the axis to xct.reconstruct: center=",
        )
    out: Array = np.deg2rad(angle)
    return out


def _reasons(
    found: Rows, line: Line, place: Array, start: float | None, stop: float | None
) -> tuple[list[str], bool, bool]:
    """Why the axis is not to be trusted; whether it is at the edge, and ambiguous."""
    reasons = []
    used = line.used
    at_edge = bool(2 * np.count_nonzero(found.at_edge) >= found.at_edge.size)
    if at_edge:
        low, high = found.candidate.min(), found.candidate.max()
        reasons.append(f"it lies at the end of the range looked at, {low:g} to {high:g}")
    clear = used & ~found.ambiguous
    sigma = float(line.sigma_at(np.array([place.mean()]))[0])
    ambiguous = not clear.any() or not sigma <= UNSURE
    if not clear.any():
        reasons.append("its metric has no clear minimum in any row")
    elif ambiguous:
        reasons.append(f"it is not known better than to {sigma:.2f} pixels")
    return reasons, at_edge, ambiguous


def _node(
    ds: xr.Dataset, chosen: Array, found: Rows, line: Line, difference_um: float, *,
    at_edge: bool, ambiguous: bool,
) -> xr.Dataset:  # fmt: skip
    node = axis_node(
        ds, chosen, found, line, difference_um, spacing_of(ds, BY),
        at_edge=at_edge, ambiguous=ambiguous,
    )  # fmt: skip
    return node.assign_attrs(rows=chosen.tolist())


def _listed(chosen: Array) -> str:
    shown = ", ".join(map(str, chosen[:8]))
    return f"z index {shown}" + (", ..." if chosen.size > 8 else "")
