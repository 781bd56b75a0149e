"""Line integrals of a disc as a beam sees them, and what absorption takes, by quadrature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad

from zeoarray.errors import ArgumentError
from zeoarray.kernels import absorption

Array = np.ndarray[Any, Any]
ANGLES = np.deg2rad([0.0, 33.0, 90.0, 141.0, 250.0])


def disc(size: int, radius: float, x: float, y: float) -> Array:
    """(1, y, x) A disc with smooth edges: shares of pixels, on 8 x 8 points in each."""
    fine = (np.arange(8 * size) + 0.5) / 8 - size / 2
    inside = np.hypot(fine - x, fine[:, None] - y) < radius
    return inside.reshape(size, 8, size, 8).mean(axis=(1, 3))[None].astype("float32")


def chord(off: Array, radius: float) -> Array:
    return 2 * np.sqrt(np.clip(radius**2 - off**2, 0, None))


@pytest.mark.parametrize("beam", [0.0, 4.0])
def test_a_disc_has_its_chords(beam: float) -> None:
    radius, x, y = 14.0, 5.0, -3.0
    # The middle of the map is at (2, -1) of the axes.
    image = disc(60, radius, x - 2, y + 1)
    place = np.linspace(-19.3, 21.7, 16)
    found = absorption.line_integrals(
        image, np.ones(1), ANGLES, place, offset=(-1.0, 2.0), beam=beam
    )
    away = place - (x * np.cos(ANGLES) + y * np.sin(ANGLES))[:, None]
    sigma = beam / np.sqrt(8 * np.log(2))
    nodes = np.linspace(-5, 5, 401) * sigma
    weight = np.exp(-0.5 * (np.linspace(-5, 5, 401)) ** 2)
    through = chord(away[..., None] - nodes, radius)
    scattered = (through * weight).sum(axis=-1)
    there = scattered > 0.5 * weight.sum()
    truth = (through**2 * weight).sum(axis=-1) / np.where(there, scattered, 1)
    # A pixel of the map has its share of the disc: that blurs the edge by half a pixel.
    inside = there & (np.abs(away) < radius - 1)
    np.testing.assert_allclose(found[inside], truth[inside], atol=0.35 if beam else 0.6)
    assert np.abs(found - truth)[inside].mean() < 0.12
    assert found[np.abs(away) > radius + 3 * beam + 1.5].max(initial=0) < 0.1


def test_layers_count_their_share() -> None:
    rng = np.random.default_rng(1)
    stack, place = rng.random((3, 9, 9)).astype("float32"), np.arange(-4.0, 5.0)
    alone = [absorption.line_integrals(s[None], np.ones(1), ANGLES, place) for s in stack]
    found = absorption.line_integrals(stack, np.array([1.0, 0.0, 3.0]), ANGLES, place)
    np.testing.assert_allclose(found, (alone[0] + 3 * alone[2]) / 4, rtol=1e-5)


def test_rays_that_miss_the_map_meet_nothing() -> None:
    image = np.ones((1, 6, 6), "float32")
    found = absorption.line_integrals(image, np.ones(1), ANGLES, np.array([-9.0, 9.0, 400.0]))
    assert not found.any()


def test_a_map_with_holes_is_told() -> None:
    image = np.ones((1, 6, 6), "float32")
    image[0, 2, 3] = np.nan
    with pytest.raises(ArgumentError) as told:
        absorption.line_integrals(image, np.ones(1), ANGLES, np.zeros(1))
    assert "not finite" in str(told.value)
    assert "1 of 36 pixels" in str(told.value)
    assert "fillna(0)" in str(told.value)


@pytest.mark.parametrize("exponent", [1e-6, 0.3, 2.5])
def test_the_factor_is_that_of_scattering_along_the_ray(exponent: float) -> None:
    longer = np.array([0.0, 1e-7, 0.05, 0.4, 2.0])
    # Scattered at every m of the way, which went through m and leaves through the rest.
    kept = [
        quad(lambda m, k=k: np.exp(-m - (1 + k) * (exponent - m)), 0, exponent)[0] / exponent
        for k in longer
    ]
    found = absorption.correct(np.full(5, 7.0), np.array(exponent), longer)
    np.testing.assert_allclose(found, 7.0 / np.array(kept), rtol=1e-6)
    square = absorption.correct(np.full(5, 7.0), np.array(exponent), longer, power=2)
    np.testing.assert_allclose(square, 7.0 / np.array(kept) ** 2, rtol=1e-6)


def test_what_is_not_there_stays_not_there() -> None:
    found = absorption.correct(np.array([np.nan, 1.0]), np.array(0.0), np.array([0.1, 0.1]))
    np.testing.assert_array_equal(found, [np.nan, 1.0])
