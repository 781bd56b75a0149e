"""The Joseph pair against its matrix, closed forms, itself transposed and its plain twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import ellipses
from tests.strategies import LAW
from zeoarray.errors import ArgumentError
from zeoarray.kernels import rays
from zeoarray.kernels.projector import backproject, matrix, project

Array = np.ndarray[Any, Any]

# With every direction in which a ray is parallel to an axis or to a diagonal.
SPECIAL = np.arange(-4, 12) * np.pi / 4


def by_the_book(image: Array, angle: float, u: float) -> float:
    """One ray through one slice, row by row or column by column."""
    middle_y, middle_x = ((n - 1) / 2 for n in image.shape)
    cos, sin = np.cos(angle), np.sin(angle)
    steep = abs(cos) >= abs(sin)
    rows = image if steep else image.T
    total = 0.0
    for row, values in enumerate(rows):
        if steep:
            at = (u - (row - middle_y) * sin) / cos + middle_x
        else:
            at = (u - (row - middle_x) * cos) / sin + middle_y
        total += np.interp(at, np.arange(-1, values.size + 1), [0, *values, 0], left=0, right=0)
    return float(total / max(abs(cos), abs(sin)))


@pytest.mark.parametrize("shape", [(7, 9), (8, 5), (1, 6), (11, 1)])
def test_a_ray_takes_what_the_paper_says(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.random(shape).astype("float32")
    angle = np.concatenate([SPECIAL, rng.uniform(-4, 7, 8)])
    found = project(image, angle, size=13, center=5.3)
    wanted = [[by_the_book(image, a, j - 5.3) for j in range(13)] for a in angle]
    np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize("slices", [1, 3, 17])
def test_both_are_their_matrix(slices: int) -> None:
    rng = np.random.default_rng(1)
    angle = np.concatenate([SPECIAL[3:6], rng.uniform(-4, 7, 9)])
    dense = matrix(angle, size=(10, 13), width=17, center=6.4)
    assert dense.shape == (12 * 17, 130)
    assert dense.dtype == np.float32
    image = rng.random((slices, 10, 13)).astype("float32")
    lines = rng.random((slices, 12, 17)).astype("float32")
    forth = project(image, angle, size=17, center=6.4)
    back = backproject(lines, angle, center=6.4, size=(10, 13))
    np.testing.assert_allclose(forth.reshape(slices, -1), image.reshape(slices, -1) @ dense.T,
                               atol=2e-5)  # fmt: skip
    np.testing.assert_allclose(back.reshape(slices, -1), lines.reshape(slices, -1) @ dense,
                               atol=2e-5)  # fmt: skip


@LAW
@given(
    shape=st.tuples(st.integers(1, 37), st.integers(1, 37)),
    columns=st.integers(1, 41),
    angles=st.integers(1, 9),
    place=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_they_are_adjoint_and_never_negative(
    shape: tuple[int, int], columns: int, angles: int, place: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    center = place * (columns - 1)
    angle = rng.uniform(-7, 7, angles)
    image = rng.random(shape).astype("float32")
    lines = rng.random((angles, columns)).astype("float32")
    forth = project(image, angle, size=columns, center=center)
    back = backproject(lines, angle, center=center, size=shape)
    one = np.vdot(forth.astype(float), lines.astype(float))
    other = np.vdot(image.astype(float), back.astype(float))
    assert one == pytest.approx(other, rel=1e-6, abs=1e-12)
    assert forth.min() >= 0
    assert back.min() >= 0


def test_an_edge_does_not_ring_below_zero() -> None:
    angle = np.linspace(0, np.pi, 45, endpoint=False)
    image = np.zeros((64, 64), np.float32)
    image[20:40, 25:33] = 1
    assert project(image, angle).min() == 0


@pytest.mark.parametrize("size", [96, 97])
def test_ellipses_have_the_projections_that_are_known(size: int) -> None:
    angle = np.linspace(0, 2 * np.pi, 61)
    center = (size - 1) / 2 + 1.7
    # Disc, and what is lopsided: no image of it is as near.
    disc = ((0.7, 0.5, 0.5, 0.1, 0.2, 0.0),)
    for phantom in (disc, ellipses.LOPSIDED):
        image = ellipses.sample(phantom, (size, size), 45, 9)
        known = ellipses.project(phantom, angle, size, 45, center)
        found = project(image, angle, size=size, center=center)
        assert np.sqrt(np.mean((found - known) ** 2)) < 0.008 * known.max()
        # Every projection has the mass of the slice.
        np.testing.assert_allclose(found.sum(axis=1), image.sum(), rtol=1e-3)
        for other in (image[::-1], image[:, ::-1], image.T):
            if phantom is not disc:
                off = project(other, angle, size=size, center=center) - known
                assert np.sqrt(np.mean(off**2)) > 0.08 * known.max()


def test_each_slice_may_have_its_axis_and_goes_through_as_if_alone() -> None:
    rng = np.random.default_rng(2)
    angle = rng.uniform(0, np.pi, 5)
    image = rng.random((3, 13, 9, 9)).astype("float32")
    center = np.repeat([[3.0], [4.25], [4.25]], 13, axis=1)
    center[2, 5] = 4.5
    lines = project(image, angle, size=9, center=center)
    back = backproject(lines, angle, center=center)
    for row in ((0, 0), (1, 3), (2, 5), (2, 12)):
        alone = project(image[row], angle, size=9, center=center[row])
        np.testing.assert_array_equal(lines[row], alone)
        np.testing.assert_array_equal(back[row], backproject(alone, angle, center=center[row]))


def test_the_plain_bodies_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    angle = np.concatenate([SPECIAL[2:7], rng.uniform(0, 7, 4)])
    image = rng.random((2, 12, 15)).astype("float32")
    forth = project(image, angle, size=14, center=5.0)
    back = backproject(forth, angle, center=5.0, size=(12, 15))
    monkeypatch.setattr(rays, "_forth", rays.forth_plainly)
    monkeypatch.setattr(rays, "_back", rays.back_plainly)
    np.testing.assert_allclose(project(image, angle, size=14, center=5.0), forth, rtol=1e-5)
    plain = backproject(forth, angle, center=5.0, size=(12, 15))
    np.testing.assert_allclose(plain, back, rtol=1e-5)


def test_tiles_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(4).random((16, 700, 12)).astype("float32")
    angle = np.array([0.2, 1.3])
    dense = matrix(angle, size=(700, 12), width=31)
    forth = project(image, angle, size=31, center=15.0)
    assert 4 * rays.LANES * 14 * 700 > 2 * rays.CACHE
    wanted = image.reshape(16, -1) @ dense.T
    np.testing.assert_allclose(forth.reshape(16, -1), wanted, rtol=1e-4)
    back = backproject(forth, angle, center=15.0, size=(700, 12))
    wanted = forth.reshape(16, -1) @ dense
    np.testing.assert_allclose(back.reshape(16, -1), wanted, rtol=1e-4, atol=1e-3)


def test_dtypes_are_kept() -> None:
    angle = np.array([0.3])
    for given_, wanted in (("uint16", "float32"), ("float32", "float32"), ("float64", "float64")):
        assert project(np.ones((4, 4), given_), angle).dtype == wanted
        assert backproject(np.ones((1, 4), given_), angle, center=1.5).dtype == wanted


def test_bad_input_is_told() -> None:
    def told(function: Any, *arrays: Any, **more: Any) -> str:
        with pytest.raises(ArgumentError) as info:
            function(*arrays, **more)
        return str(info.value)

    image, angle = np.ones((5, 7), np.float32), np.array([0.1, 0.2, 0.3])
    lines = np.ones((3, 7), np.float32)
    assert "outside the detector" in told(project, image, angle, center=7.5)
    assert "outside the detector" in told(backproject, lines, angle, center=-2)
    assert "outside the detector" in told(matrix, angle, size=5, width=7, center=8)
    assert "angles of shape (2,), 3 projections" in told(backproject, lines, angle[1:], center=3)
    assert "center of shape (2,)" in told(project, image[None], angle, center=np.array([3.0, 3.0]))
    assert "size=0" in told(project, image, angle, size=0)
    assert "size=0" in told(matrix, angle, size=5, width=0, center=0.0)
    assert "size=0" in told(backproject, lines, angle, center=3, size=0)
    assert "0 angles" in told(project, image, angle[:0])
    assert "an angle is not finite" in told(matrix, np.array([np.nan]), size=3, width=3)
    image[3, 1] = np.nan
    assert "1 of 5 lines with NaN or Inf, the first at index 3" in told(project, image, angle)
    lines[2, 1] = np.inf
    assert "slice 1 has values that are not finite" in told(
        backproject, np.stack([np.ones_like(lines), lines]), angle, center=3
    )
