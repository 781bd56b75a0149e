"""The compiled loops of peak fits: Levenberg and Marquardt's steps, a group of peaks at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.kernels.nnls import compiled, passive_solution
from zeoarray.kernels.phases_loops import times_band, weigh

LN2 = float(np.log(2.0))
NUMBERS = 4
"""Of each peak: area, position, full width at half maximum, Lorentzian share."""
LINE = 2
"""Numbers of the background, a straight line."""


@compiled
def shapes(q: Any, middle: float, numbers: Any, model: Any, jacobian: Any) -> None:
    """Model (bin) and its derivatives (bin, number): a line, then four numbers of each peak."""
    half = max((q[-1] - q[0]) / 2, 1e-30)
    for i in range(q.size):
        away = (q[i] - middle) / half
        jacobian[i, 0], jacobian[i, 1] = 1.0, away
        total = numbers[0] + numbers[1] * away
        for first in range(LINE, numbers.size, NUMBERS):
            area, place, width, share = numbers[first : first + NUMBERS]
            x = (q[i] - place) / width
            fall = 1 + 4 * x * x
            lorentz = (2 / np.pi) / fall
            gauss = 2 * np.sqrt(LN2 / np.pi) * np.exp(-4 * LN2 * x * x)
            value = share * lorentz + (1 - share) * gauss
            slope = -8 * x * (share * lorentz / fall + (1 - share) * LN2 * gauss)
            jacobian[i, first] = value / width
            jacobian[i, first + 1] = -area * slope / width**2
            jacobian[i, first + 2] = -area * (value + x * slope) / width**2
            jacobian[i, first + 3] = area * (lorentz - gauss) / width
            total += area * value / width
        model[i] = total


@compiled
def _normal(data: Any, scale: Any, model: Any, jacobian: Any, gram: Any, gradient: Any) -> float:
    """Normal equations of one step; returns chi square."""
    count = gradient.size
    gram[:], gradient[:] = 0.0, 0.0
    total = 0.0
    for i in range(data.size):
        if scale[i] == 0.0:
            continue
        weight = scale[i] ** 2
        rest = data[i] - model[i]
        total += weight * rest**2
        for a in range(count):
            gradient[a] += weight * jacobian[i, a] * rest
            for b in range(a + 1):
                gram[a, b] += weight * jacobian[i, a] * jacobian[i, b]
    for a in range(count):
        for b in range(a):
            gram[b, a] = gram[a, b]
    return total


@compiled
def _solve(gram: Any, gradient: Any, free: Any, damping: float, factor: Any, step: Any) -> bool:
    """One damped step of the free numbers, each scaled by its own size."""
    count = gradient.size
    scaled, right, size = np.zeros((count, count)), np.zeros(count), np.ones(count)
    for a in range(count):
        if free[a]:
            if not gram[a, a] > 0.0:
                return False
            size[a] = np.sqrt(gram[a, a])
    for a in range(count):
        right[a] = gradient[a] / size[a]
        for b in range(count):
            scaled[a, b] = gram[a, b] / (size[a] * size[b])
        scaled[a, a] *= 1 + damping
    if not passive_solution(scaled, right, free, factor, step):
        return False
    for a in range(count):
        step[a] /= size[a]
    return True


@compiled
def _spread(
    scale: Any, excess: Any, band: Any, jacobian: Any, gram: Any, free: Any, spread: Any
) -> float:
    """Covariance of the free numbers; returns what chi square is expected to be, negative if none.

    The weights take bins as independent; the errors do not.
    """
    bins, count = jacobian.shape
    white, times = np.zeros((bins, count)), np.zeros((bins, count))
    expected = 0.0
    for i in range(bins):
        expected += excess[i] ** 2
        for a in range(count):
            if free[a]:
                white[i, a] = jacobian[i, a] * scale[i] * excess[i]
    times_band(band, white, times)
    inverse, factor = np.zeros((count, count)), np.zeros((count, count))
    for a in range(count):
        if free[a]:
            unit = np.zeros(count)
            unit[a] = 1.0
            if not _solve(gram, unit, free, 0.0, factor, inverse[a]):
                return -1.0
    middle = np.dot(white.T, times)
    spread[:] = np.dot(np.dot(inverse, middle), inverse)
    for a in range(count):
        for b in range(count):
            expected -= inverse[a, b] * middle[b, a]
    return expected


@compiled
def _clamp(numbers: Any, low: Any, high: Any) -> None:
    for a in range(numbers.size):
        numbers[a] = min(max(numbers[a], low[a]), high[a])


@compiled
def _descend(
    q: Any, middle: float, data: Any, scale: Any, numbers: Any, low: Any, high: Any, free: Any,
    iterations: int, model: Any, jacobian: Any, gram: Any,
) -> float:  # fmt: skip
    """Go down to a minimum of chi square; returns it, negative where no minimum was reached."""
    count = numbers.size
    gradient, step, trial = np.empty(count), np.empty(count), np.empty(count)
    factor, damping = np.empty((count, count)), 1e-3
    shapes(q, middle, numbers, model, jacobian)
    chi2 = _normal(data, scale, model, jacobian, gram, gradient)
    for _ in range(iterations):
        if not _solve(gram, gradient, free, damping, factor, step):
            return -1.0
        trial[:] = numbers + step
        _clamp(trial, low, high)
        shapes(q, middle, trial, model, jacobian)
        after = 0.0
        for i in range(data.size):
            if scale[i] > 0.0:
                after += (scale[i] * (data[i] - model[i])) ** 2
        if after <= chi2:
            gain = chi2 - after
            numbers[:] = trial
            chi2 = _normal(data, scale, model, jacobian, gram, gradient)
            damping = max(damping / 10, 1e-9)
            if gain <= 1e-9 * chi2 + 1e-12:
                return chi2
        else:
            damping *= 8
            if damping > 1e8:
                # Nothing near is better: this is the minimum, as far as numbers can tell.
                shapes(q, middle, numbers, model, jacobian)
                return _normal(data, scale, model, jacobian, gram, gradient)
    shapes(q, middle, numbers, model, jacobian)
    chi2 = _normal(data, scale, model, jacobian, gram, gradient)
    return -1.0


@compiled
def fit_group(
    q: Any, data: Any, variance: Any, start: Any, low: Any, high: Any, vary: Any, band: Any,
    half: int, significance: float, iterations: int, values: Any, sigma: Any,
) -> float:  # fmt: skip
    """Fit one group of peaks in one pattern; returns chi square over its expectation.

    Negative where it did not converge, NaN where there are too few bins. `values` and `sigma` are
    (peak, number); shapes of peaks that do not stand out are kept, and have no error.
    """
    bins, count = q.size, start.size
    used, seen = np.zeros(bins, np.bool_), 0
    for i in range(bins):
        good = np.isfinite(data[i]) and np.isfinite(variance[i])
        used[i] = good and variance[i] > 0.0
        seen += used[i]
    values[:], sigma[:] = np.nan, np.nan
    if seen <= count:
        return np.nan
    scale, excess = np.empty(bins), np.empty(bins)
    weigh(variance, used, half, scale, excess)
    model, jacobian = np.empty(bins), np.empty((bins, count))
    gram, spread = np.empty((count, count)), np.empty((count, count))
    numbers, free = start.copy(), np.zeros(count, np.bool_)
    middle = (q[0] + q[-1]) / 2
    # First line and areas alone, which is a linear fit.
    free[:LINE] = True
    free[LINE::NUMBERS] = True
    numbers[LINE::NUMBERS] = 1.0
    chi2 = _descend(q, middle, data, scale, numbers, low, high, free, 20, model, jacobian, gram)
    expected = _spread(scale, excess, band, jacobian, gram, free, spread)
    if expected <= 0.0:
        return np.nan
    for first in range(LINE, count, NUMBERS):
        if numbers[first] > significance * np.sqrt(max(spread[first, first], 0.0)):
            for k in range(1, NUMBERS):
                free[first + k] = vary[k]
    chi2 = _descend(
        q, middle, data, scale, numbers, low, high, free, iterations, model, jacobian, gram
    )
    for a in range(count):
        # What ended at a limit is held there.
        if a >= LINE and (numbers[a] <= low[a] or numbers[a] >= high[a]):
            free[a] = False
    expected = _spread(scale, excess, band, jacobian, gram, free, spread)
    for first in range(LINE, count, NUMBERS):
        peak = (first - LINE) // NUMBERS
        shaped = free[first + 1] or free[first + 2]
        for k in range(NUMBERS):
            if k == 0 or shaped or not vary[k]:
                values[peak, k] = numbers[first + k]
            if free[first + k]:
                sigma[peak, k] = np.sqrt(max(spread[first + k, first + k], 0.0))
    if chi2 < 0.0 or expected <= 0.0:
        return -1.0
    return chi2 / expected
