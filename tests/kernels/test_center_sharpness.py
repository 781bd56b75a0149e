"""The axis by the sharpness of slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import ellipses
from zeoarray.errors import ArgumentError
from zeoarray.kernels.center_sharpness import find_center_sharpness

Array = np.ndarray[Any, Any]


def sinogram(columns: int, center: float, angle: Array) -> Array:
    out = ellipses.project(ellipses.LOPSIDED, angle, columns, 0.45 * columns, center)
    rng = np.random.default_rng(0)
    return (out / out.max() + 0.005 * rng.normal(size=out.shape)).astype("float32")


@pytest.mark.parametrize(
    ("columns", "center", "turn"), [(97, 50.4, 1), (128, 61.8, 1), (96, 46, 2)]
)
def test_the_axis_is_found(columns: int, center: float, turn: int) -> None:
    angle = np.linspace(0, turn * np.pi, 150 * turn)
    found = find_center_sharpness(
        sinogram(columns, center, angle), angle, start=center - 2.9, stop=center + 3.3, step=0.5
    )
    assert float(found.center) == pytest.approx(center, abs=0.2)
    assert not found.at_edge
    assert not found.ambiguous


def test_the_edge_is_told_and_a_constant_has_no_axis() -> None:
    angle = np.linspace(0, np.pi, 90)
    beyond = find_center_sharpness(sinogram(96, 50, angle), angle, start=44, stop=48, step=0.5)
    assert bool(beyond.at_edge)
    none = find_center_sharpness(np.zeros((90, 33), "float32"), angle)
    assert bool(none.ambiguous)


def test_bad_input_is_told() -> None:
    angle = np.linspace(0, np.pi, 20)
    values = sinogram(40, 20.0, angle)
    with pytest.raises(ArgumentError, match="the axis cannot be looked for there"):
        find_center_sharpness(values, angle, stop=41)
    values[3, 4] = np.nan
    with pytest.raises(ArgumentError, match="values that are not finite"):
        find_center_sharpness(values, angle)
