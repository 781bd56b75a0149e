"""Lens distortion and joining of full circles, one thread: against algotom, with agreement."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.harness import table
from zeoarray.kernels import distortion, overlap, propagation

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from algotom.prep import conversion, correction
except ImportError as error:
    raise SystemExit("this benchmark compares with algotom: pip install algotom") from error

ROWS, COLUMNS, PROJECTIONS, ANGLES = 1080, 2560, 2, 1801
LENS = (
    0.9996340745552107,
    5.593942960200652e-07,
    9.335426689340698e-10,
    9.742488482303165e-13,
    -3.1376393960203227e-16,
)
CENTER = (664.1, 1192.643)


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def main() -> str:
    rng = np.random.default_rng(0)
    image = rng.random((PROJECTIONS, ROWS, COLUMNS)).astype("float32")
    lens: dict[str, Any] = {
        "polynomial": LENS, "center": CENTER, "detector": (ROWS, COLUMNS)
    }  # fmt: skip
    numbers = np.arange(ROWS), np.arange(COLUMNS)
    rows = []
    with threadpool_limits(1):
        # Compiled, and read from disk.
        distortion.unwarp(image[:1, :4], numbers[0][:4], numbers[1], **lens)
        ours, out = seconds(lambda: distortion.unwarp(image, *numbers, **lens))
        theirs, peer = seconds(
            lambda: correction.unwarp_projection(image[0], CENTER[1], CENTER[0], LENS)
        )
        ours /= PROJECTIONS
        rows.append(row(f"lens distortion, {ROWS} x {COLUMNS}", ours, theirs, out[0], peer))
        angle = np.linspace(0, 360, ANGLES)
        circle = np.cumsum(rng.random((ANGLES, COLUMNS)) - 0.5, axis=1).astype("float32")
        axis = 300.0
        pairs = overlap.opposites(angle)
        ours, out = seconds(lambda: overlap.unfold(circle, *pairs, center=axis))
        theirs, peer = seconds(
            lambda: conversion.convert_sinogram_360_to_180(circle, (2 * axis + 1, 0), norm=False)[0]
        )
        # Outside the overlap, where blending has no say.
        first = -overlap.extent(axis, COLUMNS)[0]
        alone = slice(0, first), slice(first + int(2 * axis) + 1, None)
        cut = [np.concatenate([v[: len(out), part] for part in alone], axis=1) for v in (out, peer)]
        rows.append(row(f"full circle, {ANGLES} x {COLUMNS}", ours, theirs, *cut))
        setting = {"pixel_um": 2.6, "distance_m": 0.1, "energy_kev": 20.0}
        ours, _ = seconds(lambda: propagation.paganin(image, delta_beta=200.0, **setting))
        rows.append(
            (f"phase, {ROWS} x {COLUMNS}", f"{1e3 * ours / PROJECTIONS:.0f} ms", "", "", "")
        )
    return table(("one thread", "zeoarray", "algotom", "faster", "largest difference"), rows)


def row(what: str, ours: float, theirs: float, out: Any, peer: Any) -> tuple[str, ...]:
    apart = float(np.abs(out - peer).max() / np.ptp(peer))
    times = (f"{1e3 * ours:.0f} ms", f"{1e3 * theirs:.0f} ms", f"{theirs / ours:.1f}x")
    return (what, *times, f"{apart:.1e} of the range")
