"""The axis of greatest likelihood, near a guess."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import ellipses
from zeoarray.kernels.center_likelihood import covariance, likeliest

Array = np.ndarray[Any, Any]


def sinogram(columns: int, center: float, angle: Array, noise: float, seed: int = 0) -> Array:
    out = ellipses.project(ellipses.LOPSIDED, angle, columns, 0.45 * columns, center)
    out /= out.max()
    return np.asarray(out + noise * np.random.default_rng(seed).normal(size=out.shape))


@pytest.mark.parametrize("away", [-2.2, 0.0, 0.7, 1.9])
def test_the_guess_does_not_pull(away: float) -> None:
    """A window about the guess has a middle of its own, which is not the axis."""
    angle = np.linspace(0, np.pi, 121)
    center, sigma = likeliest(sinogram(100, 50.35, angle, 0.01), angle, 50.35 + away)
    assert center == pytest.approx(50.35, abs=0.08)
    assert 0 < sigma < 0.05


def test_projections_that_do_not_see_all_of_the_sample() -> None:
    angle = np.linspace(0, np.pi, 201)
    values = sinogram(160, 81.6, angle, 0.005)[:, 40:125]
    center, sigma = likeliest(values, angle, 41.0)
    assert center == pytest.approx(41.6, abs=0.15)
    assert sigma < 0.1


def test_sigma_grows_with_noise_and_covers_the_errors() -> None:
    angle = np.linspace(0, np.pi, 91)
    found = np.array(
        [likeliest(sinogram(80, 40.2, angle, 0.1, seed), angle, 40.2) for seed in range(20)]
    )
    quiet = likeliest(sinogram(80, 40.2, angle, 0.02), angle, 40.2)[1]
    assert np.median(found[:, 1]) > 2 * quiet
    score = np.abs(found[:, 0] - 40.2) / found[:, 1]
    assert 0.3 < np.median(score) < 1.5


def test_an_axis_at_the_edge_of_the_detector_stays_as_guessed() -> None:
    angle = np.linspace(0, np.pi, 31)
    assert likeliest(np.ones((31, 20)), angle, 2.0) == (2.0, np.inf)


def test_the_covariance_is_one_for_the_same_projection() -> None:
    assert covariance(np.array([0.0, 3.8317])) == pytest.approx([1.0, 0.0], abs=1e-4)
