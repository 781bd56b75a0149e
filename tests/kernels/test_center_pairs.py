"""Estimates of opposite projections, and how unlike they are about an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import ellipses
from zeoarray.kernels.center_pairs import DIRECTIONS, both_sides, differences

Array = np.ndarray[Any, Any]


def bell(columns: int, middle: float, width: float = 4.0) -> Array:
    out: Array = np.exp(-(((np.arange(columns) - middle) / width) ** 2))
    return out


def test_mirror_images_are_equal_about_their_axis_alone() -> None:
    one, two = bell(80, 30.0) + bell(80, 55.2, 3), bell(80, 53.0) + bell(80, 27.8, 3)
    curve = differences([(one, two)], np.array([38.5, 41.5, 44.5]))
    assert curve[1] < 1e-3
    assert curve[[0, 2]].min() > 0.2


def test_squares_are_those_of_the_residual() -> None:
    one, two = np.full(50, 3.0), np.full(50, 1.0)
    assert differences([(one, two)], np.array([24.5, 20.0]), squared=True) == pytest.approx(4.0)
    assert differences([(one, two)], np.array([24.5])) == pytest.approx(0.5)


def test_where_too_few_columns_are_in_both_nothing_is_alike() -> None:
    line = bell(40, 20)
    # About 4 only 9 of 40 columns have an image, about 5 it is 11.
    curve = differences([(line, line)], np.array([4.0, 5.0, 35.5]))
    assert curve[[0, 2]].tolist() == [1.0, 1.0]
    assert curve[1] < 1


@pytest.mark.parametrize(
    ("turn", "count"), [(180.0, 1), (200.0, 5), (360.0, DIRECTIONS)], ids=["half", "more", "whole"]
)
def test_directions_that_are_measured_from_both_sides(turn: float, count: int) -> None:
    angle = np.deg2rad(np.linspace(0, turn, round(turn / 2) + 1))
    values = ellipses.project(ellipses.LOPSIDED, angle, 90, 40.0, 46.5)
    values += 0.001 * values.max() * np.random.default_rng(0).normal(size=values.shape)
    pairs, freedom = both_sides(values, angle)
    assert len(pairs) == count
    assert 0 < freedom <= 90 * count
    curve = differences(pairs, np.array([45.5, 46.5, 47.5]))
    assert curve[1] < 0.5 * min(curve[0], curve[2])
