"""The compiled loops of sigma clipping and of the trimmed mean, sixteen frames at a time.

Neither moves a pixel: what is kept of a bin is what lies between two intensities, and the passes
of `azimuthal_lanes` take the sums of that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.kernels.azimuthal_lanes import (
    CHUNK,
    LAST,
    below,
    between,
    gather,
    just_below,
    keys_of,
    spread_up,
    sum_up,
)
from zeoarray.kernels.azimuthal_loops import LANES, NONE, compiled

ROUNDING = 5e-7
"""Share of the mean within which intensities may differ by rounding alone."""
SLACK = 1e-12
"""Share of a bin's weight within which a quantile lies on the edge of a pixel."""
MARGIN = 2e-6
"""Share of a bin's weight within which a sum in single precision does not tell what is more."""
TURNS = 48
"""Of the search for a quantile, at most; what it leaves in doubt is sorted, however much it is."""
DOUBTFUL = 6
"""Pixels round a quantile that are sorted; the search for it ends there."""


# --- sigma clipping -------------------------------------------------------------------------------
@compiled
def clip(
    pointer: Any, pixel: Any, share: Any, norm: Any, values: Any, beside: Any, dark: Any,
    kind: int, lanes: int, cutoff: float, cycles: int, longest: int, out: Any,
) -> None:  # fmt: skip
    """Signal, normalisation and variance (3, lane, bin) without outliers."""
    weight, inverse = np.empty(longest, np.float32), np.empty(longest, np.float32)
    low, high = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    mean, before = np.empty(LANES, np.float32), np.empty(LANES)
    part, total, spread = np.empty((4, LANES), np.float32), np.empty((4, LANES)), np.empty(LANES)
    for k in range(pointer.size - 1):
        start, stop = pointer[k], pointer[k + 1]
        gather(start, stop, pixel, share, norm, weight, inverse)
        low[:], high[:] = -np.inf, np.inf
        for cycle in range(cycles + 1):
            if cycle > 0:
                before[:] = total[1]
                _narrow(total, spread, lanes, cutoff, low, high)
            sum_up(start, stop, pixel, share, weight, inverse, values, low, high, part, total)
            if cycle > 0 and not _differ(total[1], before, lanes):
                break
            for lane in range(LANES):
                mean[lane] = total[0, lane] / total[1, lane] if total[1, lane] > 0 else 0.0
            spread_up(
                start, stop, pixel, share, weight, inverse, values, low, high, kind, mean, dark,
                beside, part, spread,
            )  # fmt: skip
        for lane in range(lanes):
            out[0, lane, k], out[1, lane, k] = total[0, lane], total[1, lane]
            out[2, lane, k] = spread[lane]


@compiled
def _narrow(total: Any, spread: Any, lanes: int, cutoff: float, low: Any, high: Any) -> None:
    """Draw the limits of each lane closer, to so many standard deviations from its mean."""
    for lane in range(lanes):
        signal, norm, square, count = total[:, lane]
        if norm > 0:
            most = np.sqrt(2 * np.log(max(3.0, count) / np.sqrt(2 * np.pi)))
            mean = signal / norm
            most = max(cutoff, most) * np.sqrt(spread[lane] / square) + ROUNDING * abs(mean)
            # What was left out stays out.
            low[lane] = max(np.float64(low[lane]), mean - most)
            high[lane] = min(np.float64(high[lane]), mean + most)


@compiled
def _differ(one: Any, other: Any, lanes: int) -> bool:
    changed = False
    for lane in range(lanes):
        changed |= one[lane] != other[lane]
    return changed


# --- the trimmed mean -----------------------------------------------------------------------------
@compiled
def trim(
    pointer: Any, pixel: Any, share: Any, norm: Any, values: Any, beside: Any, dark: Any,
    kind: int, lanes: int, low: float, high: float, longest: int, out: Any,
) -> None:  # fmt: skip
    """Signal, normalisation and variance (3, lane, bin) of what lies between two quantiles."""
    weight, inverse = np.empty(longest, np.float32), np.empty(longest, np.float32)
    keys, masks = np.empty((longest, LANES), np.int32), np.empty(longest, np.uint16)
    doubtful = np.empty((LANES, longest), np.uint64)
    many, edges = np.zeros(LANES, np.int64), np.empty((4, LANES), np.int32)
    under, whole = np.empty((4, LANES)), np.empty(LANES)
    least, most = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    part, total, spread = np.empty((4, LANES), np.float32), np.empty((4, LANES)), np.zeros(LANES)
    for k in range(pointer.size - 1):
        start, stop = pointer[k], pointer[k + 1]
        gather(start, stop, pixel, share, norm, weight, inverse)
        _rank(start, stop, pixel, weight, inverse, values, keys, edges, under, whole)
        _search(stop - start, weight, keys, lanes, low, high, whole, edges, under)
        _interior(edges, least, most)
        sum_up(start, stop, pixel, share, weight, inverse, values, least, most, part, total)
        if kind != NONE:
            spread_up(
                start, stop, pixel, share, weight, inverse, values, least, most, kind, least, dark,
                beside, part, spread,
            )  # fmt: skip
        between(0, stop - start, keys, edges, masks)
        _collect(stop - start, masks, keys, lanes, doubtful, many)
        for lane in range(lanes):
            s, n, v = _decide(
                doubtful[lane], many[lane], edges[:, lane], under[:, lane], low * whole[lane],
                high * whole[lane], SLACK * whole[lane], lane, pixel[start:], share[start:],
                weight, values, beside, dark, kind,
            )  # fmt: skip
            out[0, lane, k], out[1, lane, k] = total[0, lane] + s, total[1, lane] + n
            out[2, lane, k] = spread[lane] + v if kind != NONE else np.nan


@compiled
def _rank(
    start: int, stop: int, pixel: Any, weight: Any, inverse: Any, values: Any, keys: Any,
    edges: Any, under: Any, whole: Any,
) -> None:  # fmt: skip
    """The entries' keys, their weight in all, and brackets that hold every key."""
    ends = edges[:2]
    keys_of(pixel, weight, inverse, start, start, stop, values, keys, whole, ends)
    for lane in range(LANES):
        # The end is above every key; none is the last but that of no number.
        edges[1, lane] = max(np.int64(edges[1, lane]) + 1, np.int64(edges[0, lane]))
        edges[2, lane], edges[3, lane] = edges[0, lane], edges[1, lane]
        under[0, lane] = under[2, lane] = 0.0
        under[1, lane] = under[3, lane] = whole[lane]


@compiled
def _search(
    size: int, weight: Any, keys: Any, lanes: int, low: float, high: float, whole: Any, edges: Any,
    under: Any,
) -> None:  # fmt: skip
    """Close in on both quantiles until few entries are in doubt, or only equals.

    `edges` (4, lane) are the keys that bracket the lower and the upper quantile, `under` the weight
    below each. What lies between the two brackets is kept in any case.
    """
    pivots, found = np.empty((2, LANES), np.int32), np.empty((2, LANES))
    part = np.empty((2, LANES), np.float32)
    # No quantile is at 0 and 1: nothing is left out there.
    for lane in range(LANES):
        if low <= 0:
            edges[1, lane], under[1, lane] = edges[0, lane], 0.0
        if high >= 1:
            edges[2, lane], under[2, lane] = edges[3, lane], whole[lane]
    for turn in range(TURNS):
        open_ = False
        for lane in range(LANES):
            for i in range(2):
                pivots[i, lane] = edges[2 * i, lane]
                if lane < lanes and size > 0:
                    few = DOUBTFUL * whole[lane] / size
                    target = (low if i == 0 else high) * whole[lane]
                    pivot = _pivot(edges, under, i, lane, few, target, turn)
                    pivots[i, lane] = pivot
                    open_ |= pivot != edges[2 * i, lane]
        if not open_:
            break
        found[:] = 0.0
        for first in range(0, size, CHUNK):
            below(weight, first, min(first + CHUNK, size), keys, pivots, part)
            found += part
        for lane in range(lanes):
            for i in range(2):
                away = found[i, lane] - (low if i == 0 else high) * whole[lane]
                if pivots[i, lane] != edges[2 * i, lane] and abs(away) > MARGIN * whole[lane]:
                    end = 2 * i + np.int64(away > 0)
                    edges[end, lane], under[end, lane] = pivots[i, lane], found[i, lane]
    pivots[0], pivots[1] = edges[0], edges[2]
    just_below(weight, 0, size, keys, pivots, found)
    under[0], under[2] = found[0], found[1]


@compiled
def _pivot(edges: Any, under: Any, i: int, lane: int, few: float, target: float, turn: int) -> Any:
    """Where to cut a bracket; its own lower end where it is small enough."""
    first, last = np.int64(edges[2 * i, lane]), np.int64(edges[2 * i + 1, lane])
    held = under[2 * i + 1, lane] - under[2 * i, lane]
    if last - first <= 1 or held <= few:
        return first
    if turn % 3 == 0:
        return (first + last) // 2
    at = (target - under[2 * i, lane]) / held
    # A little to the far side, so that the bracket closes from both.
    at += 0.02 if turn % 3 == 1 else -0.02
    cut = first + np.int64((last - first) * at)
    return min(max(cut, first + 1), last - 1)


@compiled
def _interior(edges: Any, least: Any, most: Any) -> None:
    """The least and the largest intensity between the brackets, nothing where they overlap."""
    bits, number = np.empty(2, np.int32), np.empty(2, np.float32)
    for lane in range(LANES):
        first, last = np.int64(edges[1, lane]), np.int64(edges[2, lane]) - 1
        if first > last:
            least[lane], most[lane] = np.inf, -np.inf
            if edges[2, lane] < edges[1, lane]:
                # One bracket is made of two.
                edges[0, lane] = min(edges[0, lane], edges[2, lane])
                edges[1, lane] = max(edges[1, lane], edges[3, lane])
                edges[2, lane] = edges[3, lane] = edges[1, lane]
        else:
            bits[0] = first if first >= 0 else first ^ LAST
            bits[1] = last if last >= 0 else last ^ LAST
            number[:] = bits.view(np.float32)
            least[lane], most[lane] = number[0], number[1]


@compiled
def _collect(size: int, masks: Any, keys: Any, lanes: int, doubtful: Any, many: Any) -> None:
    """Sort the entries in doubt by their intensity, and by their place where that is the same."""
    many[:] = 0
    for n in range(size):
        mask, lane = np.int64(masks[n]), 0
        while mask:
            if mask & 1:
                key = np.uint64(np.int64(keys[n, lane]) + LAST + 1)
                doubtful[lane, many[lane]] = (key << np.uint64(32)) | np.uint64(n)
                many[lane] += 1
            mask >>= 1
            lane += 1
    for lane in range(lanes):
        doubtful[lane, : many[lane]].sort()


@compiled
def _decide(
    doubtful: Any, many: int, edges: Any, under: Any, least: float, most: float, slack: float,
    lane: int, pixel: Any, share: Any, weight: Any, values: Any, beside: Any, dark: Any, kind: int,
) -> tuple[float, float, float]:  # fmt: skip
    """Signal, normalisation and variance of those entries in doubt that are kept."""
    signal, total, spread = 0.0, 0.0, 0.0
    passed, second = min(under[0], under[2]), edges[2] >= edges[1] and edges[3] > edges[2]
    if second:
        passed = under[0]
    for i in range(many):
        at = np.int64(doubtful[i] & np.uint64(0xFFFFFFFF))
        key = np.int64(doubtful[i] >> np.uint64(32)) - LAST - 1
        if second and key >= edges[2]:
            passed, second = under[2], False
        before = passed
        passed += weight[at]
        inside = least - slack <= before and passed <= most + slack
        if inside or (before <= least + slack and passed >= most - slack):
            p, part = pixel[at], np.float64(share[at])
            signal += part * np.float64(values[p, lane])
            total += weight[at]
            if kind != NONE:
                spread += part * part * _variance(values[p, lane], p, lane, beside, dark)
    return signal, total, spread


@compiled
def _variance(value: float, p: int, lane: int, beside: Any, dark: Any) -> float:
    """What is given beside the counts of a pixel, or the counts themselves."""
    if beside.size:
        return np.float64(beside[p, lane])
    counts = np.float64(value)
    if dark.size:
        counts += np.float64(dark[p])
    return max(counts, 1.0)
