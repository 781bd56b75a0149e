"""The compiled loops of sigma clipping and of the trimmed mean: one bin of one frame at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from zeoarray.kernels.azimuthal_loops import NONE, POISSON, compiled

F = TypeVar("F", bound=Callable[..., Any])

AZIMUTHAL = 4
"""The variance is that of the bin, beside the kinds of `azimuthal_loops`."""
BUCKETS = 256
"""Into which the intensities of a bin are counted; only those at a quantile are sorted."""
LAST = 0xFFFFFFFF


def _reordered(function: F) -> F:
    """As `compiled`; sums may be taken in any order, which lets them be vectors."""
    options = {"reassoc", "contract", "nsz"}
    jit = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=options)
    return cast(F, jit(function))


@compiled
def _gather(
    start: int, stop: int, pixel: Any, share: Any, norm: Any, weight: Any, inverse: Any
) -> None:
    """Weight of each entry of a bin, and one over the normalisation of its pixel."""
    for j in range(start, stop):
        n = np.float64(norm[pixel[j]])
        weight[j - start] = np.float64(share[j]) * n
        inverse[j - start] = 1.0 / n


@compiled
def _spread(value: float, p: int, lane: int, beside: Any, dark: Any, kind: int) -> float:
    """Variance of a pixel: what stands beside it, or the counts themselves."""
    if kind != POISSON:
        return np.float64(beside[p, lane])
    counts = np.float64(value)
    if dark.size:
        counts += np.float64(dark[p])
    return max(counts, 1.0)


@compiled
def clip(
    pointer: Any, pixel: Any, share: Any, norm: Any, values: Any, beside: Any, dark: Any,
    kind: int, lanes: int, cutoff: float, cycles: int, longest: int, out: Any,
) -> None:  # fmt: skip
    """Signal, normalisation and variance (3, lane, bin) without outliers."""
    weight, inverse = np.empty(longest), np.empty(longest)
    x, w = np.empty(longest), np.empty(longest)
    s, c = np.empty(longest, np.float32), np.empty(longest, np.float32)
    for k in range(pointer.size - 1):
        start, stop = pointer[k], pointer[k + 1]
        _gather(start, stop, pixel, share, norm, weight, inverse)
        for lane in range(lanes):
            size: Any = 0
            for j in range(start, stop):
                value = values[pixel[j], lane]
                x[size] = np.float64(value) * inverse[j - start]
                w[size], c[size] = weight[j - start], share[j]
                if kind != AZIMUTHAL:
                    spread = _spread(value, pixel[j], lane, beside, dark, kind)
                    s[size] = share[j] * share[j] * spread
                size += np.int64((value == value) & (share[j] > 0))
            found = _clip_one(x, w, s, c, size, kind, cutoff, cycles)
            out[0, lane, k], out[1, lane, k], out[2, lane, k] = found


@compiled
def _clip_one(
    x: Any, w: Any, s: Any, c: Any, size: int, kind: int, cutoff: float, cycles: int
) -> tuple[float, float, float]:
    signal, total, square, spread, count = _moments(x, w, s, c, size, kind)
    for _ in range(cycles):
        if total == 0:
            break
        most = np.sqrt(2 * np.log(max(3.0, count) / np.sqrt(2 * np.pi)))
        most = max(cutoff, most) * np.sqrt(spread / square)
        mean = signal / total
        if _outside(x, size, mean, most) == 0:
            break
        kept: Any = 0
        for i in range(size):
            # What is kept moves to the front.
            x[kept], w[kept], s[kept], c[kept] = x[i], w[i], s[i], c[i]
            kept += np.int64(abs(x[i] - mean) <= most)
        size = kept
        signal, total, square, spread, count = _moments(x, w, s, c, size, kind)
    return signal, total, spread


@_reordered
def _outside(x: Any, size: int, mean: float, most: float) -> Any:
    many: Any = 0
    for i in range(size):
        many += np.int64(abs(x[i] - mean) > most)
    return many


@_reordered
def _moments(
    x: Any, w: Any, s: Any, c: Any, size: int, kind: int
) -> tuple[float, float, float, float, float]:
    """Signal, normalisation, its square, variance and number of pixels of one bin."""
    signal, total, square, spread, count = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(size):
        signal += w[i] * x[i]
        total += w[i]
        square += w[i] * w[i]
        count += np.float64(c[i])
    if kind == AZIMUTHAL:
        mean = signal / total if total > 0 else 0.0
        for i in range(size):
            away = w[i] * (x[i] - mean)
            spread += away * away
    else:
        for i in range(size):
            spread += np.float64(s[i])
    return signal, total, square, spread, count


@compiled
def trim(
    pointer: Any, pixel: Any, share: Any, norm: Any, values: Any, beside: Any, dark: Any,
    kind: int, lanes: int, low: float, high: float, longest: int, out: Any,
) -> None:  # fmt: skip
    """Signal, normalisation and variance (3, lane, bin) of what lies between two quantiles."""
    weight, inverse = np.empty(longest), np.empty(longest)
    intensity, keys = np.empty(longest, np.float32), np.empty(longest, np.uint32)
    bits = intensity.view(np.uint32)
    # One more, for what is written and not counted.
    entry = np.empty(longest, np.int32)
    some, rest = np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.uint64)
    filled = np.empty(BUCKETS)
    for k in range(pointer.size - 1):
        start, stop = pointer[k], pointer[k + 1]
        _gather(start, stop, pixel, share, norm, weight, inverse)
        for lane in range(lanes):
            size: Any = 0
            for j in range(start, stop):
                value = values[pixel[j], lane]
                intensity[size] = value * inverse[j - start]
                entry[size] = j - start
                size += np.int64((value == value) & (share[j] > 0))
            shift, first = _keys(bits, size, keys)
            many = _choose(keys, size, shift, first, entry, weight, low, high, filled, some, rest)
            signal, total, spread = 0.0, 0.0, 0.0
            for i in range(many):
                at = np.int64(some[i])
                p, part = pixel[start + at], np.float64(share[start + at])
                signal += part * np.float64(values[p, lane])
                total += weight[at]
                if kind != NONE:
                    spread += part * part * _spread(values[p, lane], p, lane, beside, dark, kind)
            out[0, lane, k], out[1, lane, k] = signal, total
            out[2, lane, k] = spread if kind != NONE else np.nan


@compiled
def _keys(bits: Any, size: int, keys: Any) -> tuple[Any, Any]:
    """Whole numbers that sort as the floats of these bits; how they fall into the buckets."""
    least, most = np.uint32(LAST), np.uint32(0)
    for i in range(size):
        # Negative numbers descend with their bits.
        turned = np.uint32(-np.int64(bits[i] >> np.uint32(31))) | np.uint32(0x80000000)
        key = np.uint32(bits[i] ^ turned)
        keys[i] = key
        least, most = min(least, key), max(most, key)
    shift, span = 0, np.int64(most) - np.int64(least)
    while (span >> shift) >= BUCKETS:
        shift += 1
    return shift, np.int64(least)


@compiled
def _choose(
    keys: Any, size: int, shift: int, first: int, entry: Any, weight: Any, low: float,
    high: float, filled: Any, some: Any, rest: Any,
) -> Any:  # fmt: skip
    """Put into `some` the entries between the quantiles, and return how many they are."""
    filled[:] = 0.0
    for i in range(size):
        filled[(np.int64(keys[i]) - first) >> shift] += weight[entry[i]]
    whole = filled.sum()
    least, most = low * whole, high * whole
    # What lies before a bucket at a quantile is summed up with whole buckets.
    edge = np.empty(BUCKETS)
    inside = np.empty(BUCKETS, np.int64)
    at_quantile = np.empty(BUCKETS, np.int64)
    passed = 0.0
    for b in range(BUCKETS):
        edge[b] = passed
        passed += filled[b]
        within = edge[b] >= least and passed <= most
        inside[b] = within
        at_quantile[b] = not within and passed >= least and edge[b] <= most
    # Which way an entry goes cannot be foretold, so each is written, and counted or not.
    many: Any = 0
    doubtful: Any = 0
    for i in range(size):
        mine = (np.int64(keys[i]) - first) >> shift
        some[many] = np.uint64(entry[i])
        many += inside[mine]
        rest[doubtful] = (np.uint64(keys[i]) << np.uint64(32)) | np.uint64(entry[i])
        doubtful += at_quantile[mine]
    rest[:doubtful].sort()
    bucket: Any = -1
    passed = 0.0
    for i in range(doubtful):
        at = np.int64(rest[i] & np.uint64(LAST))
        mine = (np.int64(rest[i] >> np.uint64(32)) - first) >> shift
        if mine != bucket:
            bucket, passed = mine, edge[mine]
        before = passed
        passed += weight[at]
        if (least <= before and passed <= most) or (least >= before and passed >= most):
            some[many] = np.uint64(at)
            many += 1
    return many
