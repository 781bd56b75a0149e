"""Projections that are cut off: what is put in the place of what is not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import ellipses
from zeoarray.errors import ArgumentError, UnknownNameError
from zeoarray.kernels.radon import filtered_backprojection, project
from zeoarray.kernels.truncation import check_truncation, complete, edges, extend

Array = np.ndarray[Any, Any]
HALF = np.linspace(0, np.pi, 90, endpoint=False)


def test_edges_fall_off_to_zero_in_the_middle_of_what_is_left() -> None:
    values = np.tile(np.linspace(2, 5, 40, dtype="float32"), (3, 1))
    for first in (0, 25, 60, 99):
        row = np.full((3, 100), np.nan, "float32")
        row[:, (first + np.arange(40)) % 100] = values
        extend(row, values, first)
        assert np.isfinite(row).all()
        turned = np.roll(row[0], -first)
        after, before = turned[40:70], turned[70:]
        assert (np.diff(after) <= 0).all()
        assert (np.diff(before) >= 0).all()
        assert after[0] == pytest.approx(5, rel=0.01)
        assert before[-1] == pytest.approx(2, rel=0.01)
        assert turned[69:71].max() < 1.3


def test_the_level_of_an_edge_is_a_mean_where_there_are_columns_for_it() -> None:
    noisy = np.random.default_rng(0).normal(size=(1, 2048))
    left, right = edges(noisy)
    assert left[0, 0] == pytest.approx(noisy[0, :16].mean())
    assert right[0, 0] == pytest.approx(noisy[0, -16:].mean())
    assert edges(noisy[:, :20])[0] == noisy[0, 0]


def test_what_is_not_seen_is_that_of_the_wider_field() -> None:
    """Projections cut from wide ones come back, from a slice with larger pixels, off its middle."""
    wide = ellipses.project(ellipses.LOPSIDED, HALF, 300, 120, 149.5)
    coarse = ellipses.sample(ellipses.LOPSIDED, (76, 84), 30)[:, 6:]  # 3 pixels off along x
    lines = 4 * project(coarse.astype("float32"), HALF, size=120)
    seen = wide[:, 100:200].astype("float32")
    found = complete(seen, lines, HALF, center=49.5, margin=100, spacing=4.0, offset=(12.0, 0.0))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, 100:200], seen)
    assert np.sqrt(np.mean((found - wide) ** 2)) < 0.02 * wide.max()
    # A level that is off fades in: no step at the seam.
    raised = complete(
        seen + 10, lines, HALF, center=49.5, margin=100, spacing=4.0, offset=(12.0, 0.0)
    )
    np.testing.assert_allclose(raised[:, 99] - found[:, 99], 10, atol=0.1)
    np.testing.assert_allclose(raised[:, 0], found[:, 0], atol=0.1)


def test_a_slice_of_the_region_is_absolute_only_when_completed() -> None:
    wide = ellipses.project(ellipses.LOPSIDED, HALF, 300, 120, 149.5).astype("float32")
    coarse = ellipses.sample(ellipses.LOPSIDED, (76, 76), 30).astype("float32")
    lines, seen = 4 * project(coarse, HALF, size=120), wide[:, 100:200]
    whole = filtered_backprojection(wide, HALF, center=149.5, size=80)
    filled = complete(seen, lines, HALF, center=49.5, margin=100, spacing=4.0)
    completed = filtered_backprojection(filled, HALF, center=149.5, size=80)
    alone = filtered_backprojection(seen, HALF, center=49.5, size=80, truncation="edge")
    assert abs((completed - whole)[10:-10, 10:-10].mean()) < 0.003
    assert np.abs(completed - whole).max() < 0.06
    offset = (alone - whole)[10:-10, 10:-10]
    assert abs(offset.mean()) > 0.04
    assert offset.std() < 0.05


def test_bad_input_is_told() -> None:
    lines, wide, angle = np.ones((2, 6), "float32"), np.ones((2, 9), "float32"), np.zeros(2)

    def told(**more: Any) -> str:
        options: dict[str, Any] = {"center": 2.5, "margin": 2, "spacing": 1.0, **more}
        with pytest.raises(ArgumentError) as info:
            complete(lines, wide, angle, **options)
        return str(info.value)

    assert "margin=-1" in told(margin=-1)
    assert "seam=0" in told(seam=0)
    assert "spacing=nan" in told(spacing=np.nan)
    assert "outside the detector" in told(center=6.0)
    with pytest.raises(UnknownNameError, match="did you mean 'edge'"):
        check_truncation("edges")
