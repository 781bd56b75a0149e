"""Full circles with the axis near an edge: how far both halves overlap, and joining them.

The ray opposite to one at ``u`` passes at ``2 center - u``, so that projections half a turn apart,
one of them mirrored, continue each other on the other side of the axis.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.polar import fft_of
from zeoarray.kernels.shift import lagrange

Array = np.ndarray[Any, Any]
Side = Literal["left", "right"]

REACH = 1.5
"""Projections half a turn on may be interpolated across this many steps of the angle."""


# --- measuring ----------------------------------------------------------------------------------
def mirrored_correlation(first: Any, second: Any) -> Array:
    """(line, u), (line, u) -> (2 u - 1). Correlation of each with its mirrored partner.

    Of all lines and columns at once, for every axis at half a column: element s is the correlation
    of first(u) and second(s - u), and belongs to the axis at the index s / 2. NaN where one side
    is constant.

    Examples
    --------
    >>> first = np.array([[0.0, 1.0, 4.0, 2.0]])
    >>> int(np.nanargmax(mirrored_correlation(first, first[:, ::-1])[2:5])) + 2
    3
    """
    xp = xp_of(first, second)
    lines, columns = first.shape
    a, b = (v.astype(np.float64) - float(v.mean(dtype=np.float64)) for v in (first, second))
    fft = fft_of(xp)
    length = fft.next_fast_len(2 * columns - 1)
    product = (fft.rfft(a, length, axis=1) * fft.rfft(b, length, axis=1)).sum(axis=0)
    both = to_host(fft.irfft(product, length)[: 2 * columns - 1])
    lag = np.arange(2 * columns - 1)
    low, high = np.maximum(0, lag - columns + 1), np.minimum(columns - 1, lag) + 1
    sums = []
    for values in (a, a * a, b, b * b):
        total = np.concatenate([[0.0], np.cumsum(to_host(values.sum(axis=0)))])
        sums.append(total[high] - total[low])
    count = lines * (high - low)
    spread = [n * q - s**2 for n, s, q in ((count, *sums[:2]), (count, *sums[2:]))]
    floor = [1e-12 * count**2 * float((v * v).mean()) for v in (a, b)]
    out = np.full(lag.size, np.nan)
    fine = (spread[0] > floor[0]) & (spread[1] > floor[1])
    top = count * both - sums[0] * sums[2]
    out[fine] = top[fine] / np.sqrt(spread[0][fine] * spread[1][fine])
    return out


def vertex(curve: Array, best: int) -> float:
    """Index of a curve's maximum to a part of a step, by the parabola through three values.

    Examples
    --------
    >>> vertex(np.array([0.0, 3.0, 4.0, 3.0]), 2)
    2.0
    """
    if not 0 < best < curve.size - 1:
        return float(best)
    left, top, right = curve[best - 1 : best + 2]
    bend = left - 2 * top + right
    if not (np.isfinite(bend) and bend < 0):
        return float(best)
    return float(best + np.clip(0.5 * (left - right) / bend, -0.5, 0.5))


# --- pairing ------------------------------------------------------------------------------------
def opposites(angle_deg: Array) -> tuple[Array, Array, Array, Array]:
    """(angle) -> (half) four times. Projections of the first half turn, and those opposite.

    Returns
    -------
    Index of each projection whose opposite was measured, the indices of the two projections that
    lie around half a turn on, and the weight of the second of them.

    Examples
    --------
    >>> own, low, high, weight = opposites(np.array([0.0, 90.0, 180.0, 270.0]))
    >>> own.tolist(), high.tolist(), weight.tolist()
    ([0, 1], [2, 3], [1.0, 1.0])
    """
    angle = np.asarray(angle_deg, float)
    if angle.size < 2:
        none = np.empty(0, int)
        return none, none, none, np.empty(0)
    own = np.flatnonzero(np.abs(angle - angle[0]) < 180 - 1e-6)
    place = np.mod(angle, 360.0)
    order = np.argsort(place, kind="stable")
    ring = np.concatenate([[place[order[-1]] - 360], place[order], [place[order[0]] + 360]])
    index = np.concatenate([order[-1:], order, order[:1]])
    wanted = np.mod(angle[own] + 180, 360.0)
    # A rounding above one that was measured shall find it, not its neighbours.
    after = np.clip(np.searchsorted(ring, wanted - 1e-6), 1, ring.size - 1)
    gap = ring[after] - ring[after - 1]
    weight = np.clip((wanted - ring[after - 1]) / np.where(gap > 0, gap, 1), 0, 1)
    weight = np.where(np.abs(ring[after] - wanted) < 1e-6, 1.0, weight)
    step = float(np.median(np.abs(np.diff(angle))))
    # One that was measured counts, whatever lies before it.
    near = (weight == 1) | (gap <= REACH * step)
    return own[near], index[after - 1][near], index[after][near], weight[near]


# --- joining ------------------------------------------------------------------------------------
def extent(center: float, columns: int) -> tuple[int, int]:
    """Index of the first column of the joined sinogram, and past the last; 0 is the detector's.

    Raises
    ------
    ArgumentError
        Where the halves do not meet.

    Examples
    --------
    >>> extent(2.0, 10)
    (-5, 10)
    >>> extent(7.0, 10)
    (0, 15)
    """
    if not -0.5 <= center <= columns - 0.5:
        raise ArgumentError(
            "the halves of the circle do not meet",
            got=f"the axis at column {center:g} of {columns}",
            expected=f"an axis on the detector: 0 to {columns - 1}",
        )
    if center <= (columns - 1) / 2:
        return int(np.ceil(2 * center - (columns - 1) - 1e-9)), columns
    return 0, int(np.floor(2 * center + 1e-9)) + 1


def _unfold_sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    first, stop = extent(parameters["center"], sizes["u"])
    return {"wide": stop - first}


def _unfold_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    return Memory(0, 40 * sizes["half"] * sizes["u"] + 64 * sizes["u"])


@kernel(
    "(angle,u),(half),(half),(half),(half)->(half,wide)",
    memory=_unfold_memory,
    sizes=_unfold_sizes,
)
def unfold(sinogram: Any, own: Any, low: Any, high: Any, weight: Any, *, center: float) -> Any:
    """(..., angle, u), (half) four times -> (..., half, wide). Half a circle, nearly twice as wide.

    Columns of the detector stay where they are; beyond the axis they are continued by those of the
    opposite projection, mirrored and moved by the part of a column that is needed. Where both
    were measured they are blended, by a squared cosine that is 0 at the edge of either.

    Parameters
    ----------
    sinogram
        Absorbance or transmission over a full circle.
    own, low, high, weight
        What `opposites` gives.
    center
        Index of u where the axis is; the result begins at ``extent(center, u)[0]``.

    Raises
    ------
    ArgumentError
        For an axis that is not on the detector.

    Examples
    --------
    >>> circle = np.array([[1.0, 2.0, 3.0, 4.0], [3.0, 2.0, 1.0, 0.0]])
    >>> one = np.array([1])
    >>> unfold(circle, one - 1, one, one, one * 1.0, center=1.0).round(6)
    array([[0., 1., 2., 3., 4.]])
    """
    xp = xp_of(sinogram)
    dtype = contract_of(unfold).output_dtype(0, sinogram.dtype)
    columns = sinogram.shape[-1]
    first, stop = extent(center, columns)
    own, low, high = (to_host(v).astype(np.int64) for v in (own, low, high))
    share = xp.asarray(to_host(weight).astype(dtype))[:, None]
    mine, fading = _blend(center, columns)
    exact, some = bool((to_host(weight) == 1).all()), np.flatnonzero(fading)
    seen = slice(int(some[0]), int(some[-1]) + 1) if some.size else slice(0, 0)
    mine, fading = xp.asarray(mine.astype(dtype)), xp.asarray(fading.astype(dtype))
    out = xp.zeros((*sinogram.shape[:-2], own.size, stop - first), dtype)
    for index in np.ndindex(*sinogram.shape[:-2]):
        part, target = sinogram[index], out[index]
        opposite = part[high] if exact else part[low] * (1 - share) + part[high] * share
        target[:, seen] = _mirrored(opposite, center, first + seen.start, first + seen.stop)
        target[:, seen] *= fading[seen]
        target[:, -first : columns - first] += part[own] * mine
    return out


def _blend(center: float, columns: int) -> tuple[Array, Array]:
    """Weights of the detector's columns, and of the mirrored ones over the whole width."""
    first, stop = extent(center, columns)
    left = center <= (columns - 1) / 2
    width = (2 * center if left else 2 * (columns - 1 - center)) + 1
    inner = (np.arange(columns) if left else columns - 1 - np.arange(columns)) + 0.5
    mine = np.sin(np.pi / 2 * np.clip(inner / width, 0, 1)) ** 2
    mine[inner >= width] = 1
    fading = np.ones(stop - first)
    fading[-first : columns - first] -= mine
    return mine, fading


def _mirrored(values: Any, center: float, first: int, stop: int) -> Any:
    """values(2 center - column) for columns from `first` on; ends are extended."""
    xp, columns = xp_of(values), values.shape[-1]
    place = 2 * center
    whole = int(np.floor(place + 1e-9))
    part = max(place - whole, 0.0)
    dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float32)
    out = xp.zeros((values.shape[0], stop - first), dtype)
    for point, weight in zip(range(-2, 4), lagrange(part if part > 1e-9 else 0.0), strict=True):
        if weight:
            index = np.clip(whole + point - np.arange(first, stop), 0, columns - 1)
            taken = xp.take(values, xp.asarray(index), axis=1)
            out = taken if weight == 1 else out + taken * dtype.type(weight)
    return out
