"""Phase weights and peaks, one thread: against SciPy voxel by voxel, with agreement beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import cholesky_banded, solve_banded
from scipy.optimize import curve_fit, nnls
from threadpoolctl import threadpool_limits

from benchmarks.harness import table
from zeoarray.kernels import peaks, phases
from zeoarray.kernels.profiles import pseudo_voigt
from zeoarray.xrdct.model import background

Array = np.ndarray[Any, Any]

BINS, VOXELS, SAMPLE = 5000, 1600, 40
FLOOR = 0.05
RELATIVE = (1.0, 0.8, 0.6, 0.4, 0.2)
Q = 0.7828 + 0.001 * np.arange(BINS)
LINES = ((1.101, 1.429, 1.656, 1.675, 1.89), (1.096, 1.306, 1.423, 1.651, 1.883))


def patterns() -> tuple[Array, Array, Array]:
    """Model (term, q), patterns and variances (voxel, q)."""
    rng = np.random.default_rng(0)
    lines = np.stack([np.sum([pseudo_voigt(Q - c, 0.008, 0.3) for c in line], 0) for line in LINES])
    model = np.concatenate([lines, background(Q, 8)])
    mean = rng.uniform(0, 3, (VOXELS, 2)) @ lines + 200
    variance = mean * 0.1
    return model, (mean + np.sqrt(variance) * rng.normal(size=mean.shape)).astype("f4"), variance


def by_scipy(model: Array, data: Array, variance: Array) -> Array:
    """Whitened by a banded factor, then non-negative least squares; a background of both signs."""
    band = np.tile(RELATIVE, (BINS, 1)).T + FLOOR * (np.arange(5) == 0)[:, None]
    factor = cholesky_banded(band, lower=True)
    out = []
    for y, v in zip(data, variance, strict=True):
        scale = 1 / np.sqrt(v)
        both = np.concatenate([model, -model[2:], y[None]]) * scale
        white = solve_banded((4, 0), factor, both.T)
        out.append(nnls(white[:, :-1], white[:, -1])[0][:2])
    return np.stack(out)


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def peak_by_scipy(data: Array) -> Array:
    """Area of one peak, pattern by pattern."""
    part = (Q >= 1.649 - 0.03) & (Q <= 1.649 + 0.03)
    place = Q[part]

    def shape(x: Array, a: float, p: float, w: float, s: float, b: float, c: float) -> Array:
        return np.asarray(a * pseudo_voigt(x - p, w, s) + b + c * (x - 1.65))

    start = (1.0, 1.651, 0.008, 0.3, 200.0, 0.0)
    return np.array([
        curve_fit(shape, place, y[part], start, np.sqrt(y[part]),
                  bounds=([-np.inf, 1.64, 1e-3, 0, -np.inf, -np.inf],
                          [np.inf, 1.66, 0.06, 1, np.inf, np.inf]))[0][0]
        for y in data
    ])  # fmt: skip


def main() -> str:
    model, data, variance = patterns()
    band = np.tile(RELATIVE, (BINS, 1))
    one_peak = (1000 * pseudo_voigt(Q - 1.651, 0.008, 0.3) / 50 + 200) * np.ones((VOXELS, 1))
    one_peak += np.sqrt(one_peak) * np.random.default_rng(1).normal(size=one_peak.shape)
    rows = []
    with threadpool_limits(1):
        given: dict[str, Any] = {"design": model, "bounded": 2, "correlation": band, "smooth": 1}
        phases.fit(data[:2], variance[:2], **given)
        mine, found = seconds(lambda: phases.fit(data, variance, **given))
        theirs, expected = seconds(lambda: by_scipy(model, data[:SAMPLE], variance[:SAMPLE]))
        apart = np.abs(found[0][:SAMPLE, :2] - expected).max() / np.abs(expected).max()
        rows.append(_row("phase weights with covariance", mine, theirs, apart))
        options: dict[str, Any] = {"q": Q, "peaks": [1.649], "window": 0.03, "smooth": 1}
        peaks.fit_peaks(one_peak[:2], one_peak[:2], **options)
        mine, fitted = seconds(lambda: peaks.fit_peaks(one_peak, one_peak, **options))
        theirs, area = seconds(lambda: peak_by_scipy(one_peak[:SAMPLE]))
        apart = np.abs(fitted[0][:SAMPLE, 0, 0] - area).max() / np.abs(area).max()
        rows.append(_row("one peak with errors", mine, theirs, apart))
    head = [f"{VOXELS} voxels, {BINS} bins", "zeoarray [ms/voxel]", "SciPy [ms/voxel]",
            "times faster", "largest difference / largest"]  # fmt: skip
    return table(head, rows)


def _row(what: str, mine: float, theirs: float, apart: float) -> list[str]:
    ours, other = 1e3 * mine / VOXELS, 1e3 * theirs / SAMPLE
    return [what, f"{ours:.2f}", f"{other:.1f}", f"{other / ours:.0f}", f"{apart:.0e}"]
