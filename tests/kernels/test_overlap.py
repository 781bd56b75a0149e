"""Opposite projections: paired, compared, joined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ellipses import LOPSIDED, project
from zeoarray.errors import ArgumentError
from zeoarray.kernels import overlap

HALF = 60.0
"""Pixels from the axis to the end of the phantom's square."""


def circle(columns: int, center: float, angles: int = 180) -> tuple[Any, Any]:
    """A narrow sinogram over a full circle, and its angles [deg]."""
    angle = np.arange(angles) * 360.0 / angles
    return project(LOPSIDED, np.deg2rad(angle), columns, HALF, center), angle


@pytest.mark.parametrize("columns", [80, 79, 83])
@pytest.mark.parametrize("center", [11.0, 11.5, 15.3, 66.0, 65.25, 40.0])
def test_a_narrow_circle_becomes_the_wide_half(columns: int, center: float) -> None:
    sinogram, angle = circle(columns, center)
    pairs = overlap.opposites(angle)
    assert pairs[0].tolist() == list(range(90))
    out = overlap.unfold(sinogram, *pairs, center=center)
    first, stop = overlap.extent(center, columns)
    wide = project(LOPSIDED, np.deg2rad(angle[:90]), stop - first, HALF, center - first)
    exact = float(2 * center).is_integer()
    error = np.abs(out - wide)
    assert error.max() < (1e-9 if exact else 0.1) * wide.max()
    assert np.sqrt((error**2).mean()) < (1e-9 if exact else 5e-3) * wide.max()


@pytest.mark.parametrize(("center", "side"), [(11.0, 0), (14.5, 0), (66.0, 1)])
def test_algotom_agrees(center: float, side: int) -> None:
    algotom = pytest.importorskip("algotom.prep.conversion", reason="algotom is not installed")
    columns = 80
    angle = np.linspace(0, 360, 181)
    sinogram = project(LOPSIDED, np.deg2rad(angle), columns, HALF, center)
    width = 2 * center + 1 if side == 0 else 2 * (columns - center) - 1
    theirs, axis = algotom.convert_sinogram_360_to_180(sinogram, (width, side), norm=False)
    ours = overlap.unfold(sinogram, *overlap.opposites(angle), center=center)
    first, _ = overlap.extent(center, columns)
    assert theirs.shape[1] == ours.shape[1]
    assert axis == pytest.approx(center - first)
    np.testing.assert_allclose(theirs[:90], ours[:90], atol=1e-6 * ours.max())


def test_opposites() -> None:
    own, low, high, weight = overlap.opposites(np.arange(7) * 360.0 / 7)
    assert own.tolist() == [0, 1, 2, 3]
    target = np.mod(own * 360 / 7 + 180, 360)
    place = np.array([low * 360 / 7, high * 360 / 7])
    place[1][high < low] += 360
    np.testing.assert_allclose(place[0] * (1 - weight) + place[1] * weight, target)
    # Downwards, off zero, with the end repeated.
    own, _, high, weight = overlap.opposites(10 - np.linspace(0, 360, 9))
    assert own.tolist() == [0, 1, 2, 3]
    assert (weight == 1).all()
    assert high[1:].tolist() == [5, 6, 7]
    # A circle that ends early pairs what it can; half a circle only its ends.
    assert overlap.opposites(np.arange(0, 300, 1.0))[0].tolist() == list(range(120))
    for angle in (np.arange(0, 180, 1.0), np.array([3.0]), np.array([])):
        assert overlap.opposites(angle)[0].size == 0


def test_the_curve_is_the_correlation() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.random((2, 5, 13))
    curve = overlap.mirrored_correlation(first, second)
    for lag in range(2, 23):
        u = np.arange(max(0, lag - 12), min(12, lag) + 1)
        expected = np.corrcoef(first[:, u].ravel(), second[:, lag - u].ravel())[0, 1]
        assert curve[lag] == pytest.approx(expected, abs=1e-9)


def test_constant_projections_have_no_correlation() -> None:
    assert np.isnan(overlap.mirrored_correlation(np.ones((3, 9)), np.ones((3, 9)))).all()


def test_an_axis_that_is_not_on_the_detector() -> None:
    sinogram, angle = circle(80, 20.0)
    for center in (-3.0, 80.0, np.nan):
        with pytest.raises(ArgumentError, match="halves of the circle do not meet"):
            overlap.unfold(sinogram, *overlap.opposites(angle), center=center)


def test_one_column() -> None:
    one = np.array([[2.0], [4.0]])
    pairs = np.array([0]), np.array([1]), np.array([1]), np.array([1.0])
    assert overlap.unfold(one, *pairs, center=0.0).tolist() == [[3.0]]
    assert overlap.unfold(one, *pairs, center=-0.4).tolist() == [[2.0]]


def test_a_vertex_between_values() -> None:
    x = np.arange(7.0)
    assert overlap.vertex(-((x - 3.3) ** 2), 3) == pytest.approx(3.3)
    assert overlap.vertex(x, 6) == 6
    assert overlap.vertex(np.array([np.nan, 1.0, 0.0]), 1) == 1
