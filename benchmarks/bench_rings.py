"""Stripe removal, one thread: against algotom, with agreement beside the time."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.harness import table
from zeoarray.kernels import columns, rings
from zeoarray.kernels.stripes_fourier import remove_stripe_based_wavelets
from zeoarray.kernels.stripes_regularized import remove_stripe_based_regularization

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from algotom.prep import removal
except ImportError as error:
    raise SystemExit("this benchmark compares with algotom: pip install algotom") from error

ANGLES, WIDTH = 1801, 2560
BOTH: dict[str, dict[str, Any]] = {
    "remove_stripe_based_sorting": {"size": 31},
    "remove_stripe_based_filtering": {"sigma": 3, "size": 31},
    "remove_large_stripe": {"snr": 3.0, "size": 71},
    "remove_dead_stripe": {"snr": 3.0, "size": 71},
    "remove_all_stripe": {"snr": 3.0, "la_size": 71, "sm_size": 31},
}


def sinogram() -> np.ndarray:
    """Transmission of discs, counted, with stripes of each kind."""
    rng = np.random.default_rng(0)
    theta = np.linspace(0, np.pi, ANGLES)[:, None]
    u = np.linspace(-1, 1, WIDTH)
    path = np.zeros((ANGLES, WIDTH))
    for x, y, radius, density in rng.uniform([-0.5, -0.5, 0.05, 0.4], [0.5, 0.5, 0.3, 2], (8, 4)):
        centre = x * np.cos(theta) + y * np.sin(theta)
        path += density * np.sqrt(np.maximum(radius**2 - (u - centre) ** 2, 0))
    out = rng.poisson(1e4 * np.exp(-path)) / 1e4 * rng.normal(1, 0.01, WIDTH)
    out[:, 850:862] *= 1.15
    out[:, 1280] *= 0.8
    out[:, 640] = 0.3
    out[:, 512] += rng.normal(0, 0.4, ANGLES)
    out[600:, 1700] *= 1.1
    return out.astype("float32")


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def main() -> str:
    values = sinogram()
    span = float(np.ptp(values))
    rows = []
    with threadpool_limits(1):
        for name, arguments in BOTH.items():
            ours = getattr(rings, name)
            ours(values[:100, :200], **arguments)  # Compiled, or read from disk.
            before = min(seconds(lambda: ours(values, **arguments))[0] for _ in range(3))  # noqa: B023
            theirs, expected = seconds(lambda: getattr(removal, name)(values, **arguments))  # noqa: B023
            after = [seconds(lambda: ours(values, **arguments)) for _ in range(3)]  # noqa: B023
            mine = (before + min(t for t, _ in after)) / 2
            error = float(np.abs(after[0][1] - expected).max()) / span
            rows.append([name, f"{mine:.2f}", f"{theirs:.1f}", f"{theirs / mine:.0f}",
                         f"{error:.0e}"])  # fmt: skip
    head = [f"on {ANGLES} x {WIDTH}", "zeoarray [s]", "algotom [s]", "times faster",
            "largest difference / range"]  # fmt: skip
    return table(head, rows) + "\n\n" + full_stripes(values) + "\n\n" + parts(values)


def full_stripes(values: np.ndarray) -> str:
    """Other methods, for stripes that are the same at all angles: no sorting, as it is.

    So many angles that all bands have odd numbers of rows; with others algotom's damping is a
    frequency aside. Its offsets are a column aside, by about sqrt(alpha) of the largest.
    """
    some, span = values[:1796], float(np.ptp(values))
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "wavelets, level 4, db8": (
            lambda: remove_stripe_based_wavelets(some, level=4, order=8),
            lambda: removal.remove_stripe_based_wavelet_fft(some, 4, 1, "db8"),
        ),
        "regularized, alpha 0.0005": (
            lambda: remove_stripe_based_regularization(some, alpha=5e-4),
            lambda: removal.remove_stripe_based_regularization(some, 5e-4, 1, False, False),
        ),
    }
    rows = []
    with threadpool_limits(1):
        for name, (ours, peers) in pairs.items():
            ours()
            mine, found = min((seconds(ours) for _ in range(3)), key=lambda pair: pair[0])
            theirs, expected = min((seconds(peers) for _ in range(3)), key=lambda pair: pair[0])
            error = float(np.abs(found - expected[: len(some), :WIDTH]).max()) / span
            rows.append([name, f"{mine:.3f}", f"{theirs:.2f}", f"{theirs / mine:.1f}",
                         f"{error:.0e}"])  # fmt: skip
    head = [f"on {len(some)} x {WIDTH}", "zeoarray [s]", "algotom [s]", "times faster",
            "largest difference / range"]  # fmt: skip
    return table(head, rows)


def parts(values: np.ndarray) -> str:
    """Where the time of `remove_all_stripe` goes."""
    work = columns.transposed(values)
    order = columns.sort_rows(work.copy())
    out, back = np.empty_like(work), np.empty_like(values)
    runs: dict[str, Callable[[], Any]] = {
        "transpose": lambda: columns.transposed(values),
        "sort (once; the second is spared)": lambda: columns.sort_rows(work.copy()),
        "median of 71": lambda: columns.running_median(work, 71, out),
        "median of 31": lambda: columns.running_median(work, 31, out),
        "put back": lambda: columns.put_back(work, order, back),
        "fluctuation": lambda: columns.fluctuation(values, 10),
    }
    with threadpool_limits(1):
        best = {name: min(seconds(run)[0] for _ in range(3)) for name, run in runs.items()}
    rows = [[name, f"{1e3 * t:.0f}", f"{values.size / t / 1e6:.0f}"] for name, t in best.items()]
    return table(["part", "ms", "million values a second"], rows)
