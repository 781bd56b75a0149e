"""The compiled loops of phase fits: whitening by a banded Cholesky factor, and what follows.

The bins of a pattern have the covariance V = D R D, D their standard deviations and R the band of
their correlations. Weights are W = S (R + floor)^-1 S, with S one over *smoothed* standard
deviations: of counts, single variances hang on the very fluctuation that they weigh. Whatever the
weights, the estimate (A'WA)^-1 A'W y is unbiased, and its covariance exact with V itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.kernels.nnls import active_set, compiled, passive_solution


@compiled
def factorise(band: Any, floor: float, used: Any, factor: Any) -> bool:
    """Lower Cholesky factor (bin, lag) of R + floor, bins that are not used standing alone."""
    bins, lags = band.shape
    for i in range(bins):
        for lag in range(min(lags - 1, i), -1, -1):
            j = i - lag
            total = band[j, lag] if used[i] and used[j] else 0.0
            if lag == 0:
                total = band[i, 0] + floor if used[i] else 1.0
            for m in range(max(0, i - lags + 1, j - lags + 1), j):
                total -= factor[i, i - m] * factor[j, j - m]
            if lag > 0:
                factor[i, lag] = total / factor[j, 0]
            elif total > 0.0:
                factor[i, 0] = np.sqrt(total)
            else:
                return False
    return True


@compiled
def inverse_band(factor: Any, inverse: Any) -> None:
    """The band (bin, lag) of the inverse of L L' (Takahashi's recurrence)."""
    bins, lags = factor.shape
    for j in range(bins - 1, -1, -1):
        reach = min(lags - 1, bins - 1 - j)
        for lag in range(reach, -1, -1):
            i = j + lag
            total = 1.0 / factor[j, 0] if lag == 0 else 0.0
            for m in range(1, reach + 1):
                k = j + m
                low, apart = (i, k - i) if k > i else (k, i - k)
                total -= factor[k, m] * inverse[low, apart]
            inverse[j, lag] = total / factor[j, 0]


@compiled
def forward(factor: Any, values: Any) -> None:
    """Solve L t = values (bin, term) in place."""
    bins, lags = factor.shape
    for i in range(bins):
        for lag in range(1, min(lags - 1, i) + 1):
            share = factor[i, lag]
            if share != 0.0:
                for c in range(values.shape[1]):
                    values[i, c] -= share * values[i - lag, c]
        scale = 1.0 / factor[i, 0]
        for c in range(values.shape[1]):
            values[i, c] *= scale


@compiled
def backward(factor: Any, values: Any) -> None:
    """Solve L' t = values (bin, term) in place."""
    bins, lags = factor.shape
    for i in range(bins - 1, -1, -1):
        for lag in range(1, min(lags - 1, bins - 1 - i) + 1):
            share = factor[i + lag, lag]
            if share != 0.0:
                for c in range(values.shape[1]):
                    values[i, c] -= share * values[i + lag, c]
        scale = 1.0 / factor[i, 0]
        for c in range(values.shape[1]):
            values[i, c] *= scale


@compiled
def times_band(band: Any, values: Any, out: Any) -> None:
    """R @ values (bin, term), for a symmetric band."""
    bins, lags = band.shape
    out[:] = 0.0
    for i in range(bins):
        for c in range(values.shape[1]):
            out[i, c] += band[i, 0] * values[i, c]
        for lag in range(1, min(lags - 1, bins - 1 - i) + 1):
            share = band[i, lag]
            if share != 0.0:
                for c in range(values.shape[1]):
                    out[i, c] += share * values[i + lag, c]
                    out[i + lag, c] += share * values[i, c]


@compiled
def products(left: Any, right: Any, out: Any) -> None:
    """left.T @ right of (bin, term). BLAS would start threads for it, which cost 20 times as much.

    Where the cores are taken by other tasks, its threads wait for each other in every row.
    """
    out[:] = 0.0
    for i in range(left.shape[0]):
        for c in range(left.shape[1]):
            share = left[i, c]
            if share != 0.0:
                for d in range(right.shape[1]):
                    out[c, d] += share * right[i, d]


@compiled
def smoothed(variance: Any, used: Any, half: int, out: Any) -> None:
    """Mean variance of the used bins within `half` bins; a bin that is not used gets 0."""
    bins = variance.size
    total, count, first, last = 0.0, 0, 0, 0
    for i in range(bins):
        while last < min(bins, i + half + 1):
            if used[last]:
                total += variance[last]
                count += 1
            last += 1
        while first < i - half:
            if used[first]:
                total -= variance[first]
                count -= 1
            first += 1
        out[i] = total / count if used[i] else 0.0


@compiled
def weigh(variance: Any, used: Any, half: int, scale: Any, excess: Any) -> None:
    """One over the smoothed standard deviations, and by how much each bin's is above."""
    smoothed(variance, used, half, scale)
    for i in range(used.size):
        if used[i]:
            scale[i] = 1.0 / np.sqrt(scale[i])
            excess[i] = scale[i] * np.sqrt(variance[i])
        else:
            scale[i] = excess[i] = 0.0


@compiled
def trace(inverse: Any, band: Any, excess: Any) -> float:
    """Trace of the weights times the covariance: what the residual's square is expected to be."""
    bins, lags = band.shape
    total = 0.0
    for i in range(bins):
        total += inverse[i, 0] * band[i, 0] * excess[i] ** 2
        for lag in range(1, min(lags - 1, bins - 1 - i) + 1):
            total += 2.0 * inverse[i, lag] * band[i, lag] * excess[i] * excess[i + lag]
    return total


@compiled
def invert(gram: Any, out: Any) -> bool:
    """Inverse of a positive definite matrix; False where it is not."""
    count = len(gram)
    factor, unit = np.empty((count, count)), np.zeros(count)
    every = np.ones(count, np.bool_)
    for i in range(count):
        unit[:] = 0.0
        unit[i] = 1.0
        if not passive_solution(gram, unit, every, factor, out[i]):
            return False
    return True


@compiled
def fit_rows(
    intensity: Any,
    variance: Any,
    design: Any,
    level: Any,
    band: Any,
    floor: float,
    half: int,
    bounded: int,
    coefficient: Any,
    covariance: Any,
    chi2: Any,
    bound: Any,
) -> int:
    """Fit patterns (row, bin) by designs (level, bin, term), one after the other.

    Returns -1, -2 - row where the correlations are not positive definite, or the number of the row
    whose terms are collinear.
    """
    rows, bins = intensity.shape
    terms = design.shape[2]
    used, before = np.zeros(bins, np.bool_), np.zeros(bins, np.bool_)
    scale, excess = np.empty(bins), np.empty(bins)
    factor, inverse = np.zeros(band.shape), np.zeros(band.shape)
    white, back = np.empty((bins, terms + 1)), np.empty((bins, terms))
    times = np.empty((bins, terms))
    both, middle = np.empty((terms, terms + 1)), np.empty((terms, terms))
    gram, inverted = np.empty((terms, terms)), np.empty((terms, terms))
    moment, norm = np.empty(terms), np.empty(terms)
    x, passive = np.empty(terms), np.empty(terms, np.bool_)
    for row in range(rows):
        count = 0
        for i in range(bins):
            good = np.isfinite(intensity[row, i]) and variance[row, i] > 0.0
            used[i] = good and np.isfinite(variance[row, i])
            count += used[i]
        coefficient[row], covariance[row], chi2[row], bound[row] = np.nan, np.nan, np.nan, False
        if count <= terms:
            continue
        # The factor hangs on which bins are used, and that seldom changes.
        if row == 0 or not np.array_equal(used, before):
            if not factorise(band, floor, used, factor):
                return -2 - row
            inverse_band(factor, inverse)
            before[:] = used
        weigh(variance[row], used, half, scale, excess)
        low = int(level[row])
        high = min(low + 1, len(design) - 1)
        part = level[row] - low
        for i in range(bins):
            for c in range(terms):
                value = design[low, i, c]
                if part > 0.0:
                    value += part * (design[high, i, c] - value)
                white[i, c] = scale[i] * value
            white[i, terms] = scale[i] * intensity[row, i] if used[i] else 0.0
        forward(factor, white)
        for c in range(terms):
            norm[c] = np.sqrt((white[:, c] ** 2).sum())
            if not norm[c] > 0.0:
                return row
            white[:, c] /= norm[c]
        model = white[:, :terms]
        products(model, white, both)
        gram[:] = both[:, :terms]
        moment[:] = both[:, terms]
        if not (invert(gram, inverted) and active_set(gram, moment, bounded, x, passive)):
            return row
        back[:] = model
        backward(factor, back)
        for i in range(bins):
            for c in range(terms):
                back[i, c] *= excess[i]
        times_band(band, back, times)
        products(back, times, middle)
        spread = np.dot(np.dot(inverted, middle), inverted)
        rest = 0.0
        for i in range(bins):
            left = white[i, terms]
            for c in range(terms):
                left -= white[i, c] * x[c]
            rest += left**2
        expected = trace(inverse, band, excess)
        for c in range(terms):
            for d in range(terms):
                expected -= inverted[c, d] * middle[d, c]
                covariance[row, c, d] = spread[c, d] / (norm[c] * norm[d])
            coefficient[row, c] = x[c] / norm[c]
            bound[row, c] = not passive[c]
        chi2[row] = rest / expected
    return -1
