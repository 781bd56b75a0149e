"""Azimuthal integration, one thread: against pyFAI frame by frame, with agreement beside the time.

A Pilatus 2M (1679 x 1475) with rings, counting noise and hot pixels. Frames are int32 in memory;
seconds are of the processor, the best of a few.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.harness import table
from zeoarray.kernels import azimuthal, azimuthal_robust

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

FRAMES, BINS, CAKE = 16, 5000, (1000, 360)
POSITIONS, ANGLES = 3, 80
"""Of a beam that moves: fewer positions than the 40 of an instrument, each with all its angles."""


def geometry() -> Any:
    return AzimuthalIntegrator(
        dist=0.3, poni1=0.1444, poni2=0.1269, detector="Pilatus2M", wavelength=0.539e-10
    )


def counts(integrator: Any) -> np.ndarray:
    rng = np.random.default_rng(0)
    q = integrator.center_array((1679, 1475), unit="q_A^-1")
    mean = 50 * np.exp(-q / 3)
    for peak in (1.1, 1.65, 2.14, 2.86):
        mean += 200 * np.exp(-(((q - peak) / 0.01) ** 2))
    frames = rng.poisson(mean, (FRAMES, *q.shape)).astype("int32")
    for frame in frames:
        frame.flat[rng.integers(0, frame.size, 2000)] += 20000
    frames[:, np.asarray(integrator.detector.mask, bool)] = -1
    return frames


def seconds(run: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    best, result = np.inf, run()
    for _ in range(repeats):
        start = time.process_time()
        result = run()
        best = min(best, time.process_time() - start)
    return best, result


def agreement(mine: Any, theirs: Any) -> str:
    seen = np.isfinite(mine) & (theirs != 0)
    off = np.abs(mine - theirs)[seen] / np.abs(theirs[seen])
    return f"{np.quantile(off, 0.99):.0e} ({off.max():.0e})"


def row(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], same: Any) -> list[str]:
    mine, result = seconds(ours)
    peer, expected = seconds(theirs)
    mine = min(mine, seconds(ours, 1)[0]) / FRAMES
    differences = [agreement(a, b) for a, b in same(result, expected)]
    return [name, f"{1e3 * mine:.1f}", f"{1e3 * peer:.0f}", f"{peer / mine:.1f}",
            *differences, *[""] * (2 - len(differences))]  # fmt: skip


def kept(sums: Any) -> tuple[Any, Any]:
    signal, norm, variance = sums
    return azimuthal.intensity(signal, norm), azimuthal.sigma(variance, norm)


def moving(frames: np.ndarray, full: Any) -> str:
    """Integration with a matrix for each position of the beam, against one matrix for all."""
    batches = ANGLES // FRAMES

    def position(step: int) -> None:
        beam = geometry()
        beam.poni2 += 25e-6 * step
        matrix = azimuthal.integration_matrix(beam, BINS)
        for _ in range(batches):
            azimuthal.integrate(frames, matrix)

    def resting() -> None:
        for _ in range(batches):
            azimuthal.integrate(frames, full)

    fixed, _ = seconds(resting, 2)
    build, _ = seconds(lambda: azimuthal.integration_matrix(geometry(), BINS), 2)
    moved, _ = seconds(lambda: [position(step) for step in range(POSITIONS)], 2)
    own, peer = 1e3 * moved / POSITIONS / ANGLES, 1e3 * fixed / ANGLES
    return (
        f"A moving beam, {ANGLES} frames at each of {POSITIONS} positions, matrices built within: "
        f"{own:.1f} ms a frame, a fixed one {peer:.1f}: {own / peer:.2f} times as long. "
        f"A matrix takes {build:.2f} s."
    )


def main() -> str:
    peer = geometry()
    frames = counts(peer)
    full = azimuthal.integration_matrix(peer, BINS)
    bare = azimuthal.integration_matrix(peer, BINS, split="no")
    cake = azimuthal.integration_matrix(peer, CAKE)
    common = {"unit": "q_A^-1"}
    split, none = ("full", "csr", "cython"), ("no", "csr", "cython")
    one = frames[0]
    rows = []
    with threadpool_limits(1):
        rows.append(row(
            f"1-D, {BINS} bins, full splitting",
            lambda: azimuthal.integrate(frames, full),
            lambda: peer.integrate1d_ng(one, BINS, method=split, **common),
            lambda a, b: [(a[0], b.intensity)],
        ))  # fmt: skip
        rows.append(row(
            "the same with Poisson errors",
            lambda: azimuthal.integrate(frames, full, error_model="poisson"),
            lambda: peer.integrate1d_ng(one, BINS, method=split, error_model="poisson", **common),
            lambda a, b: [(a[0][0], b.intensity), (a[1][0], b.sigma)],
        ))  # fmt: skip
        for model in ("azimuthal", "poisson"):
            rows.append(row(  # noqa: PERF401
                f"sigma clipping, {model}, no splitting",
                lambda model=model: kept(
                    azimuthal_robust.sigma_clip(frames, matrix=bare, error_model=model)
                ),
                lambda model=model: peer.sigma_clip(
                    one, BINS, method=none, error_model=model, **common
                ),
                lambda a, b: [(a[0][0], b.intensity), (a[1][0], b.sem)],
            ))  # fmt: skip
        for name, matrix, method in (("full", full, split), ("no", bare, none)):
            rows.append(row(
                f"trimmed mean, 10 to 90 %, {name} splitting",
                lambda matrix=matrix: kept(azimuthal_robust.trimmed_mean(frames, matrix=matrix)),
                lambda method=method: peer.medfilt1d_ng(
                    one, BINS, method=method, percentile=(10, 90), **common
                ),
                lambda a, b: [(a[0][0], b.intensity)],
            ))  # fmt: skip
        rows.append(row(
            f"cake, {CAKE[0]} x {CAKE[1]}, full splitting",
            lambda: azimuthal.integrate(frames, cake),
            lambda: peer.integrate2d_ng(one, *CAKE, method=split, **common),
            lambda a, b: [(a[0], b.intensity.T)],
        ))  # fmt: skip
        band, _ = seconds(lambda: azimuthal.covariance_band(frames, matrix=full), 1)
        moves = moving(frames, full)
    head = ["on 1679 x 1475, int32", "zeoarray [ms a frame]", "pyFAI [ms a frame]",
            "times faster", "intensity: 99 % within (largest)", "sigma"]  # fmt: skip
    note = f"The covariance band to lag {full.reach} takes {1e3 * band / FRAMES:.1f} ms a frame."
    return table(head, rows) + "\n\n" + note + "\n\n" + moves


if __name__ == "__main__":
    print(main())
