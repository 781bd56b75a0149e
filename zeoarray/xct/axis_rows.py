"""The rotation axis in each of a few rows, by each of the methods."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from zeoarray.backend import single_threaded
from zeoarray.errors import ArgumentError
from zeoarray.kernels.center import find_center_vo
from zeoarray.kernels.center_opposite import find_center_opposite, refined
from zeoarray.kernels.center_sharpness import find_center_sharpness

Array = np.ndarray[Any, Any]
Method = Literal["auto", "opposite", "vo", "sharpness"]

UNEVEN = 3.0
"""Vo's method takes angles whose widest gap is at most this many times the usual one."""
AROUND = 3.0
"""Slices are compared this far around what opposite projections say [pixels]."""


class Rows(NamedTuple):
    """What was found in each row; positions are indices of u."""

    center: Array
    sigma: Array
    at_edge: Array
    ambiguous: Array
    candidate: Array
    """(row, candidate)."""
    metric: Array
    """(row, candidate)."""


def at_each_row(
    values: Array,
    angle: Array,
    method: Method,
    start: float | None,
    stop: float | None,
    step: float,
) -> Rows:
    """(row, angle, u), (angle) -> `Rows`."""
    with single_threaded():
        if method == "vo":
            return _by_vo(_half_circle(values, angle, required=True), start, stop, step)
        found = find_center_opposite(values, angle, start=start, stop=stop, step=step)
        rows = Rows(*(np.asarray(a) for a in found))
        return _by_sharpness(values, angle, rows, step) if method == "sharpness" else rows


def checked(
    values: Array, angle: Array, found: Rows, start: float | None, stop: float | None
) -> tuple[float, float]:
    """How far Vo's method is from what was found in the surest row, and the doubt of both.

    NaN where Vo's method cannot be used, or does not trust its own answer.
    """
    half = _half_circle(values, angle, required=False)
    surest = int(np.argmin(np.where(np.isfinite(found.sigma), found.sigma, np.inf)))
    if half is None:
        return np.nan, np.nan
    with single_threaded():
        vo = _by_vo(half[surest : surest + 1], start, stop, 0.25)
    if vo.ambiguous[0] or vo.at_edge[0] or not np.isfinite(found.sigma[surest]):
        return np.nan, np.nan
    return float(vo.center[0] - found.center[surest]), float(
        np.hypot(vo.sigma[0], found.sigma[surest])
    )


def _half_circle(values: Array, angle: Array, *, required: bool) -> Any:
    """Projections of the first half turn in order, as Vo's method needs them; None if not even."""
    order = np.argsort(angle, kind="stable")
    first = order[angle[order] <= angle.min() + np.pi * (1 + 0.25 / angle.size)]
    gaps = np.diff(angle[first])
    usual = float(np.median(gaps)) if gaps.size else 0.0
    whole = usual > 0 and np.ptp(angle[first]) > np.pi - 1.5 * usual
    if whole and gaps.max() <= UNEVEN * usual:
        return values[:, first]
    if required:
        raise ArgumentError(
            "xct.find_center: Vo's method needs a half circle in even steps",
            got=f"{angle.size} angles over {np.rad2deg(np.ptp(angle)):g} deg, the widest gap "
            f"{np.rad2deg(gaps.max(initial=0)):g} deg",
            do="method='opposite' takes any angles",
        )
    return None


def _by_vo(half: Array, start: float | None, stop: float | None, step: float) -> Rows:
    found = find_center_vo(half, start=start, stop=stop, step=step, radius=max(4.0, step))
    places = [refined(p, m)[0] for p, m in zip(found.fine, found.fine_metric, strict=True)]
    # The minimum is flat: it is known to about a step.
    sigma = np.full(len(places), float(step))
    flags = np.asarray(found.at_edge), np.asarray(found.ambiguous)
    return Rows(
        np.array(places), sigma, *flags, np.asarray(found.coarse), np.asarray(found.coarse_metric)
    )


def _by_sharpness(values: Array, angle: Array, rows: Rows, step: float) -> Rows:
    found = []
    last = values.shape[-1] - 1.0
    for one, near in zip(values, rows.center, strict=True):
        low = min(max(float(near) - AROUND, 0.0), max(last - 2 * AROUND, 0.0))
        high = min(low + 2 * AROUND, last)
        found.append(find_center_sharpness(one, angle, start=low, stop=high, step=step))
    center, at_edge, ambiguous, candidate, metric = (
        np.array([np.asarray(f[i]) for f in found]) for i in range(5)
    )
    # Which of two minima is right the sharpness does not know better than opposite projections.
    flags = at_edge | rows.at_edge, ambiguous | rows.ambiguous
    return Rows(center, np.full(len(found), float(step)), *flags, candidate, metric)
