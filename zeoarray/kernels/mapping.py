"""Grey levels of one volume as those of another: monotone, linear between knots."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage

from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import Kernel, Memory, Parameters, Sizes, contract_of, kernel

Array = np.ndarray[Any, Any]

PIECE = 1 << 14
"""Values that are mapped at once: they stay in the caches."""
TAIL = 0.005
"""Share of the values at either end between which knots lie."""
BINS = 400
"""Of a histogram in which peaks are looked for."""
BLUR = 4.0
"""Bins that it is smoothed by, standard deviation."""
PROMINENT = 0.03
"""A peak rises above the valleys beside it by this share of the highest."""
CLASSES = 16
"""Classes of values whose medians tell whether a relation falls."""


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    return Memory(0, 6 * 8 * PIECE)


@kernel("(n)->(n)", halo={"n": 0}, memory=_memory)
def remap(values: Any, *, source: Any, target: Any) -> Any:
    """(..., n) -> (..., n). Values by a function that is linear between knots, and goes on beyond.

    Parameters
    ----------
    values
        Any values; what is not a number stays so.
    source, target
        Knots: values that ascend, and what each becomes; two or more.

    Raises
    ------
    ArgumentError
        For knots that do not ascend, or fewer than two.

    Examples
    --------
    >>> remap(np.array([0.5, 2.0, 4.0]), source=[0, 1, 3], target=[0, 10, 12])
    array([ 5., 11., 13.])
    """
    x, y = np.asarray(source, float), np.asarray(target, float)
    if x.ndim != 1 or x.shape != y.shape or x.size < 2 or not (np.diff(x) > 0).all():
        raise ArgumentError(
            "these are no knots of a mapping",
            got=f"shapes {x.shape} and {y.shape}"
            + ("" if x.ndim != 1 or x.size < 2 else ", which do not ascend"),
            expected="two or more ascending values, and what each becomes",
        )
    out = np.empty(values.shape, contract_of(remap).output_dtype(0, values.dtype))
    given, made = values.reshape(-1), out.reshape(-1)
    low, high = (y[1] - y[0]) / (x[1] - x[0]), (y[-1] - y[-2]) / (x[-1] - x[-2])
    for at in range(0, given.size, PIECE):
        piece = given[at : at + PIECE].astype(float)
        found = np.interp(piece, x, y)
        found += low * np.minimum(piece - x[0], 0) + high * np.maximum(piece - x[-1], 0)
        made[at : at + PIECE] = found
    return out


class Knots(NamedTuple):
    """A mapping: values and what each becomes."""

    source: Array
    target: Array


def by_quantiles(a: Array, b: Array, count: int) -> Knots:
    """Knots of the monotone function that carries the distribution of `a` to that of `b`.

    Of one function and of noise alike in both it is that function; and it hangs on no choice of
    which is regressed on which.

    Parameters
    ----------
    a, b
        (n): values of both at the same places.
    count
        Knots at the most.
    """
    share = np.linspace(TAIL, 1 - TAIL, count)
    source, target = np.quantile(a, share), np.quantile(b, share)
    keep = np.r_[True, np.diff(source) > 1e-6 * max(np.ptp(source), 1e-300)]
    return Knots(source[keep], target[keep])


def peaks(values: Array) -> Array:
    """Modes of a histogram, ascending: the grey levels of materials."""
    low, high = np.quantile(values, [TAIL / 5, 1 - TAIL / 5])
    if not high > low:
        return np.array([low])
    counts, edges = np.histogram(
        values, BINS, (low - 0.1 * (high - low), high + 0.1 * (high - low))
    )
    smooth = scipy.ndimage.gaussian_filter1d(counts.astype(float), BLUR)
    found = prominent(smooth, PROMINENT * float(smooth.max()))
    left, top, right = (smooth[found + d] for d in (-1, 0, 1))
    bend = left - 2 * top + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1), 0)
    return np.asarray(edges[0] + (found + shift + 0.5) * (edges[1] - edges[0]))


def prominent(curve: Array, least: float) -> Array:
    """Indices of maxima that rise by `least` above the higher one of the valleys beside them.

    A valley goes on to a higher place, or to an end; of a flat top the middle is given. What
    `scipy.signal.find_peaks` finds, whose module takes a second to import.

    Examples
    --------
    >>> prominent(np.array([0, 5, 4, 6, 0, 1, 0]), 2.0)
    array([3])
    """
    starts = np.flatnonzero(np.r_[True, np.diff(curve) != 0])
    stops = np.r_[starts[1:], curve.size]
    level = curve[starts]
    found = []
    for i in range(1, level.size - 1):
        if not level[i - 1] < level[i] > level[i + 1]:
            continue
        higher = np.flatnonzero(level > level[i])
        low = int(higher[higher < i].max(initial=-1)) + 1
        high = int(higher[higher > i].min(initial=level.size))
        valley = max(level[low : i + 1].min(), level[i:high].min())
        if level[i] - valley >= least:
            found.append((starts[i] + stops[i] - 1) // 2)
    return np.array(found, int)


def falls(a: Array, b: Array) -> float:
    """How far the median of `b` falls while `a` ascends, as a share of how far it goes.

    Examples
    --------
    >>> a = np.linspace(0, 1, 1000)
    >>> falls(a, a**2), round(falls(a, 4 * a * (1 - a)), 1)
    (0.0, 1.0)
    """
    order = np.argsort(a, kind="stable")
    middle = np.array([np.median(part) for part in np.array_split(b[order], CLASSES)])
    return float((np.maximum.accumulate(middle) - middle).max() / max(np.ptp(middle), 1e-300))


def rank_correlation(a: Array, b: Array) -> float:
    """Spearman's; 0 where one of both is constant."""
    ranks = [_ranks(v) for v in (a, b)]
    spread = [float(r.std()) for r in ranks]
    if min(spread) == 0:
        return 0.0
    return float(((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean())).mean()
                 / (spread[0] * spread[1]))  # fmt: skip


def _ranks(values: Array) -> Array:
    """The rank of each; those that are equal share the mean of theirs."""
    _, at, count = np.unique(values, return_inverse=True, return_counts=True)
    out: Array = (np.cumsum(count) - (count - 1) / 2)[at]
    return out


def beyond(knots: Knots) -> Knots:
    """The knots, and one far beyond either end, along the slope of the whole.

    A tail of a few values does not tell a slope.
    """
    x, y = knots
    span = float(x[-1] - x[0])
    rise = float(y[-1] - y[0])
    return Knots(np.r_[x[0] - span, x, x[-1] + span], np.r_[y[0] - rise, y, y[-1] + rise])


CONTRACTS: tuple[Kernel, ...] = (contract_of(remap),)
