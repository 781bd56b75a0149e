"""Ring scores of slices: noise is 1, rings as their strength says, the sample next to nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage

from zeoarray.errors import ArgumentError
from zeoarray.kernels import radon, rings
from zeoarray.kernels.ring_score import ring_score_slice

N = 201
Y, X = np.ogrid[-100:101, -100:101]


def noise(seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(N, N)).astype("float32")


def ringed(strength: float, center: tuple[float, float] = (100, 100), part: float = 1.0) -> Any:
    y, x = np.arange(N)[:, None] - center[0], np.arange(N) - center[1]
    height = np.random.default_rng(9).normal(size=300)
    turn = (np.arctan2(y, x) / (2 * np.pi)) % 1 < part
    return strength * height[np.hypot(y, x).astype(int)] * turn


def test_noise_alone_is_one() -> None:
    scores = [float(ring_score_slice(noise(seed))) for seed in range(5)]
    np.testing.assert_allclose(scores, 1, atol=0.1)
    scaled = [float(ring_score_slice(noise() * s + level)) for s, level in ((1e-3, 0), (50, 7))]
    np.testing.assert_allclose(scores[0], scaled, rtol=1e-3)


def test_rings_count_by_their_strength() -> None:
    """score^2 = noise + n a^2 / s^2: four times as much for rings twice as strong."""
    base = float(ring_score_slice(noise())) ** 2
    grown = [float(ring_score_slice(noise() + ringed(a))) ** 2 - base for a in (0.2, 0.4, 0.8)]
    np.testing.assert_allclose(np.array(grown[1:]) / grown[:-1], 4, rtol=0.2)
    # 30 degrees of a circle hold pi r / 6 pixels: 32 of them for the mean pixel of 90 px.
    expected = 0.8**2 * np.pi / 6 * 60
    np.testing.assert_allclose(grown[2], expected, rtol=0.35)


def test_arcs_count_as_well() -> None:
    whole, part = (float(ring_score_slice(noise() + ringed(1, part=p))) for p in (1, 0.25))
    assert 1.5 < part < 0.75 * whole


def test_rings_round_another_axis() -> None:
    center = (80.0, 115.0)
    image = noise() + ringed(0.5, center)
    there = float(ring_score_slice(image, center=center))
    assert there > 1.8
    assert float(ring_score_slice(image)) < 1.3
    assert float(ring_score_slice(image, center=center, radius=50)) < there


def test_a_sample_without_rings_has_none() -> None:
    blobs = scipy.ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(N, N)), 8)
    clean = float(ring_score_slice(noise() + 100 * blobs))
    np.testing.assert_allclose(clean, 1, atol=0.2)


def test_what_is_outside_is_left_out() -> None:
    image = noise()
    masked = np.where(np.hypot(Y, X) < 95, image, 0)
    np.testing.assert_allclose(ring_score_slice(masked), ring_score_slice(image), rtol=0.02)
    hollow = np.where(np.hypot(Y, X) < 95, image, np.nan)
    np.testing.assert_allclose(ring_score_slice(hollow), ring_score_slice(image), rtol=0.02)
    assert ring_score_slice(np.full((30, 30), np.nan)) == 0


@pytest.mark.parametrize("shape", [(1, 1), (2, 31), (64, 65), (13, 7)])
@pytest.mark.parametrize("value", [0.0, 1.7, -1e20])
def test_a_constant_has_none(shape: tuple[int, int], value: float) -> None:
    assert ring_score_slice(np.full(shape, value, "float32")) < 0.3


def test_stripes_of_a_sinogram_are_rings_of_the_slice() -> None:
    rng = np.random.default_rng(4)
    angle = np.linspace(0, np.pi, 300, endpoint=False)
    u = np.arange(N) - 100
    chord = 2 * np.sqrt(np.clip(80.0**2 - u**2, 0, None)) / 100
    clean = (chord + 0.02 * rng.normal(size=(300, N))).astype("float32")
    striped = clean + (0.2 * rng.normal(size=N) * (rng.random(N) < 0.1)).astype("float32")
    mended = rings.remove_all_stripe(striped, la_size=51, sm_size=11)
    scores = [
        float(ring_score_slice(radon.filtered_backprojection(s, angle, center=100.0), radius=60))
        for s in (clean, striped, mended)
    ]
    # Back-projection interpolates: noise is a little alike from pixel to pixel.
    assert scores[0] < 1.2
    made, left = (s**2 - scores[0] ** 2 for s in scores[1:])
    assert made > 10
    assert 0 < left < 0.15 * made


@pytest.mark.parametrize(
    "arguments", [{"radius": 0}, {"radius": np.nan}, {"center": (np.nan, 3)}, {"radius": np.inf}]
)
def test_no_axis_no_radius(arguments: Any) -> None:
    with pytest.raises(ArgumentError, match="round an axis, within a radius"):
        ring_score_slice(np.ones((9, 9)), **arguments)
