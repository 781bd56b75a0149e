"""Noise of a slice from two halves of its angles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeoarray.kernels.angles import angular_weights
from zeoarray.kernels.noise import from_halves, halves_of
from zeoarray.kernels.radon import filtered_backprojection


@pytest.mark.parametrize(
    "angle",
    [
        np.linspace(0, np.pi, 90, endpoint=False),
        np.linspace(0, 2 * np.pi, 80, endpoint=False),
        np.random.default_rng(0).uniform(-9, 9, 71),
        np.array([0.0, 1.0]),
    ],
)
def test_halves_share_the_angles_and_each_covers_the_half_circle(angle: Any) -> None:
    first, second = halves_of(angle)
    assert not ((first > 0) & (second > 0)).any()
    assert abs(np.count_nonzero(first) - np.count_nonzero(second)) <= 1
    assert first.sum() == pytest.approx(np.pi)
    assert second.sum() == pytest.approx(np.pi)
    if angle.size in (80, 90):
        np.testing.assert_allclose((first + second) / 2, angular_weights(angle), rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"filter": "hann", "size": 40}, {"radius": 20}])
def test_the_estimate_is_the_spread_of_slices_of_noise(options: Any) -> None:
    rng = np.random.default_rng(1)
    angle = np.linspace(0, np.pi, 200, endpoint=False)
    lines = rng.normal(size=(3, 5, 200, 64)).astype("float32")
    found = from_halves(lines, angle, center=31.0, **options)
    assert found.shape == (3, 5)
    assert found.dtype == np.float32
    slices = filtered_backprojection(lines, angle, center=31.0, **options)
    spread = np.sqrt((slices**2).sum(axis=(-2, -1)) / (slices[0, 0] != 0).sum())
    np.testing.assert_allclose(found, spread, rtol=0.1)
    np.testing.assert_allclose(found.mean(), spread.mean(), rtol=0.02)


def test_a_sample_that_is_resolved_is_no_noise() -> None:
    angle = np.linspace(0, np.pi, 600, endpoint=False)
    u = np.arange(64) - 31.5
    disc = np.sqrt(np.clip(20**2 - u**2, 0, None)) * np.ones((600, 1))
    assert from_halves(disc, angle, center=31.5, radius=30) < 0.01
    assert from_halves(np.zeros((4, 9)), np.arange(4.0), center=4.0) == 0
    assert np.isnan(from_halves(np.ones((1, 9)), np.zeros(1), center=4.0))
