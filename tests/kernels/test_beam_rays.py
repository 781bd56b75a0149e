"""Rays as wide as the beam: squares and discs beside what quadrature gives, and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.kernels import beam_rays, dense_iterative, projector

Array = np.ndarray[Any, Any]


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, np.pi / 4, 1.9, np.pi])
@pytest.mark.parametrize("beam", [0.3, 1.0, 2.5])
def test_a_pixel_is_what_quadrature_over_square_and_beam_gives(angle: float, beam: float) -> None:
    found = beam_rays.matrix(np.array([angle]), size=5, width=9, center=4.2, beam=beam)
    part = (np.arange(200) + 0.5) / 200 - 0.5
    u, sigma = np.arange(9), beam / np.sqrt(8 * np.log(2))
    for y, x in ((2, 2), (0, 3), (4, 1)):
        at = (x - 2 + part) * np.cos(angle) + (y - 2 + part[:, None]) * np.sin(angle) + 4.2
        away = (u[:, None] - at.ravel()) / sigma
        seen = np.exp(-(away**2) / 2).mean(axis=1) / np.sqrt(2 * np.pi) / sigma
        np.testing.assert_allclose(found[:, 5 * y + x], seen, atol=2e-5)


def test_every_pixel_counts_once_in_every_projection() -> None:
    angle = np.linspace(0, np.pi, 7)
    found = beam_rays.matrix(angle, size=6, width=24, center=11.7, beam=1.2).reshape(7, 24, 36)
    # Columns one apart sum a Gaussian of this width to 1, but for 0.04 of the square's own.
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=5e-3)


def test_a_narrow_beam_sees_the_lengths_of_lines() -> None:
    """A column of squares, crossed along it and from corner to corner."""
    along = beam_rays.matrix(np.zeros(1), size=(4, 1), width=3, center=1.0, beam=1e-3)
    np.testing.assert_allclose(along.sum(axis=1), [0, 4, 0], atol=1e-6)
    corner = beam_rays.matrix(np.array([np.pi / 4]), size=1, width=1, center=0.0, beam=1e-3)
    np.testing.assert_allclose(corner, np.sqrt(2), rtol=1e-3)


def test_the_blur_is_a_projection_along_an_axis() -> None:
    along = beam_rays.matrix(np.zeros(1), size=(1, 8), width=8, center=3.5, beam=1.4)
    np.testing.assert_allclose(beam_rays.blur(8, 1.4), along, atol=1e-7)


def disc(away: Array, radius: float, sigma: float) -> Array:
    """Line integrals of a disc, averaged over a Gaussian beam."""
    offset = np.linspace(-6, 6, 241) * sigma
    weight = np.exp(-0.5 * (offset / sigma) ** 2)
    place = away[..., None] + offset
    chord = 2 * np.sqrt(np.clip(radius**2 - place**2, 0, None))
    return np.asarray(chord @ weight / weight.sum())


def test_slices_are_what_the_beam_sees() -> None:
    """A ring, thinner than two columns: rays without width make of it what the beam does not."""
    angle, count, sigma = np.linspace(0, 2 * np.pi, 80, endpoint=False), 32, beam_rays.sigma_of(1.0)
    away = np.tile(np.arange(count) - 15.76, (80, 1))
    lines = (disc(away, 11.0, sigma) - disc(away, 9.4, sigma)).astype(np.float32)[..., None]
    part = (np.arange(count * 9) + 0.5) / 9 - count / 2
    r = np.hypot(part[:, None], part)
    fine = ((r < 11.0) & (r > 9.4)).astype(float)
    reach = np.arange(-27, 28)
    line = np.exp(-0.5 * (reach / (9 * sigma)) ** 2)
    line /= line.sum()
    for axis in (0, 1):
        fine = np.apply_along_axis(np.convolve, axis, fine, line, mode="same")
    truth = fine[4::9, 4::9]
    given: dict[str, Any] = {"method": "cgls", "center": 15.76, "iterations": 20}
    error = []
    for beam in (None, 1.0):
        found, left = dense_iterative.reconstruct(lines, angle, beam=beam, **given)
        error.append(float(np.sqrt(np.mean((found[..., 0] - truth) ** 2)) / truth.max()))
    assert error[1] < 0.02
    assert error[1] < 0.6 * error[0], error
    assert float(left[0]) < 0.03


def test_what_the_beam_sees_is_not_negative() -> None:
    lines = np.abs(np.random.default_rng(3).normal(size=(12, 9, 2))).astype(np.float32)
    angle = np.linspace(0, np.pi, 12, endpoint=False)
    found, _ = dense_iterative.reconstruct(
        lines, angle, method="mlem", center=4.0, iterations=5, beam=1.0
    )
    assert found.min() >= 0
    assert found.max() > 0


@pytest.mark.parametrize("beam", [0.0, -1.0, np.inf, np.nan])
def test_a_beam_has_a_width(beam: float) -> None:
    with pytest.raises(ArgumentError, match="a beam has a width"):
        beam_rays.matrix(np.zeros(1), size=2, width=2, center=0.5, beam=beam)
    with pytest.raises(ArgumentError, match="a beam has a width"):
        beam_rays.blur(2, beam)


def test_rays_without_width_are_those_of_joseph() -> None:
    """With a beam of next to no width, only what lies between pixels differs."""
    angle = np.array([0.0, np.pi / 2])
    thin = beam_rays.matrix(angle, size=4, width=4, center=1.5, beam=1e-3)
    np.testing.assert_allclose(thin, projector.matrix(angle, size=4, width=4), atol=1e-6)
