"""The axis and the slice that explain all projections best together."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from tests import ellipses
from zeoarray.kernels import center_slice
from zeoarray.kernels.center_slice import slice_bytes, with_slice

Array = np.ndarray[Any, Any]


def sinogram(columns: int, center: float, angle: Array, noise: float, seed: int = 0) -> Array:
    out = ellipses.project(ellipses.LOPSIDED, angle, columns, 0.45 * columns, center)
    out /= out.max()
    return np.asarray(out + noise * np.random.default_rng(seed).normal(size=out.shape))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less is kept of what is given: a second each instead of ten."""
    monkeypatch.setattr(center_slice, "WIDE", 30)
    monkeypatch.setattr(center_slice, "TURNS", 60)


@pytest.mark.parametrize(
    ("columns", "angles", "turn", "center"),
    [(31, 40, 360.0, 14.6), (75, 50, 170.0, 38.8), (28, 130, 180.0, 14.2)],
)
def test_the_axis_is_found(columns: int, angles: int, turn: float, center: float) -> None:
    """With neighbours averaged or not, along either dim, and for any turn."""
    angle = np.deg2rad(np.linspace(-30, turn - 30, angles))
    found, sigma = with_slice(sinogram(columns, center, angle, 0.05), angle, center + 1.1)
    assert found == pytest.approx(center, abs=min(max(0.05, 4 * sigma), 0.3))
    assert 0 < sigma < 0.3


def test_projections_that_do_not_see_all_of_the_sample() -> None:
    angle = np.linspace(0, np.pi, 60)
    values = sinogram(60, 31.6, angle, 0.03)[:, 14:48]
    found, sigma = with_slice(values, angle, 18.4)
    assert found == pytest.approx(17.6, abs=0.25)
    assert sigma < 0.2


def test_the_order_of_angles_does_not_matter() -> None:
    angle = np.linspace(0, np.pi, 24)
    values, mixed = sinogram(20, 10.3, angle, 0.05), np.random.default_rng(1).permutation(24)
    assert with_slice(values[mixed], angle[mixed], 10) == with_slice(values, angle, 10)


def test_stripes_and_the_beam_do_not_pull_the_axis() -> None:
    """An offset of a column, one of a projection, and a hit of a single pixel."""
    angle = np.linspace(0, np.pi, 50)
    values = sinogram(32, 16.4, angle, 0.03)
    plain, _ = with_slice(values, angle, 16)
    values[:, 23] += 0.2
    values += 0.1 * np.random.default_rng(3).normal(size=(50, 1))
    values[10, 10] -= 3
    found, sigma = with_slice(values, angle, 16)
    assert found == pytest.approx(16.4, abs=0.2)
    assert found == pytest.approx(plain, abs=0.15)
    assert sigma < 0.2


def test_sigma_grows_with_noise_and_is_about_what_errors_are() -> None:
    angle = np.linspace(0, np.pi, 40)
    found = np.array(
        [with_slice(sinogram(24, 12.2, angle, 0.2, seed), angle, 12.0) for seed in range(4)]
    )
    quiet = with_slice(sinogram(24, 12.2, angle, 0.05), angle, 12.0)[1]
    assert np.median(found[:, 1]) > 2 * quiet
    score = (found[:, 0] - 12.2) / found[:, 1]
    assert 0.2 < np.sqrt(np.mean(score**2)) < 3


def test_the_gradient_is_that_of_the_misfit() -> None:
    angle = np.linspace(0, np.pi, 30)
    small = center_slice._reduced(sinogram(40, 20.3, angle, 0.1), angle, 20)
    assert small is not None
    problem = center_slice._Problem(small, 20)
    rng = np.random.default_rng(0)
    at, way = (rng.normal(size=problem.unknowns) for _ in range(2))
    pixels = np.where(np.arange(at.size) < at.size - 1, way, 0)
    for along, step in ((pixels, 0.02), (way - pixels, 0.5)):
        ahead, behind = (problem.misfit(at + s * along)[0] for s in (step, -step))
        slope = float(problem.misfit(at)[1] @ along)
        assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=2e-2)


def test_the_variance_is_the_corner_of_the_inverse() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(12, 12))
    matrix = root @ root.T + np.eye(12)

    class Quadratic:
        def misfit(self, at: Array) -> tuple[float, Array]:
            return 0.5 * float(at @ matrix @ at), matrix @ at

    problem: Any = Quadratic()
    got = center_slice._variance(problem, rng.normal(size=12))
    assert got == pytest.approx(np.linalg.inv(matrix)[-1, -1], rel=1e-6)


@pytest.mark.parametrize("shape", [(90, 50), (30, 120)])
def test_it_needs_no_more_memory_than_it_says(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At an axis near an end, where the slice is widest: the peak does not grow with the search."""
    monkeypatch.setattr(center_slice, "ITERATIONS", center_slice.HELD + 2)
    monkeypatch.setattr(center_slice, "DIRECTIONS", 2)
    monkeypatch.setattr(center_slice, "WIDE", 96)
    angle, guess = np.linspace(0, np.pi, shape[0]), 0.1 * shape[1]
    values = np.random.default_rng(0).normal(size=shape)
    with_slice(values, angle, guess)
    tracemalloc.start()
    try:
        with_slice(values, angle, guess)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.3 * slice_bytes(*shape) < peak <= slice_bytes(*shape)


@pytest.mark.parametrize("shape", [(5, 40), (40, 5), (40, 40)])
def test_where_there_is_too_little_nothing_is_known(shape: tuple[int, int]) -> None:
    """Few projections, few columns, and no sample."""
    angle = np.linspace(0, np.pi, shape[0])
    center, sigma = with_slice(np.ones(shape), angle, 2.0)
    assert np.isfinite(center)
    assert sigma > 1
