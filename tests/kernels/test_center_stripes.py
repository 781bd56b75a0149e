"""Stripes near the ends of a half circle: found by what opposite projections differ in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import ellipses
from zeoarray.kernels import center_opposite
from zeoarray.kernels.center_opposite import find_center_opposite
from zeoarray.kernels.center_pairs import both_sides
from zeoarray.kernels.center_stripes import without_stripes

Array = np.ndarray[Any, Any]

ANGLE = np.linspace(0, np.pi, 120)
CENTER = 61.3


def sinogram() -> Array:
    out = ellipses.project(ellipses.LOPSIDED, ANGLE, 120, 54.0, CENTER)
    rng = np.random.default_rng(0)
    return (out / out.max() + 0.02 * rng.normal(size=out.shape)).astype("float32")


@pytest.mark.parametrize("rows", [slice(0, 40), slice(80, 120)], ids=["first", "last"])
def test_a_stripe_at_either_end_is_filled(rows: slice) -> None:
    """In the projections that have it, and in no others."""
    values, plain = sinogram(), sinogram()
    values[rows, 34:38] += 0.15
    (sides,), _ = both_sides(values, ANGLE)
    mended = without_stripes(values, ANGLE, sides, CENTER)
    assert mended is not None
    end = slice(0, 30) if rows.start == 0 else slice(90, 120)
    changed = (mended != values).any(axis=0)
    assert changed[34:38].all()
    assert changed.sum() <= 12
    assert (mended != values).any(axis=1).nonzero()[0].tolist() == list(range(120))[end]
    off = np.abs(mended - plain)[end, 34:38].mean()
    assert off < 0.4 * 0.15


def test_without_stripes_nothing_is_changed() -> None:
    values = sinogram()
    (sides,), _ = both_sides(values, ANGLE)
    assert without_stripes(values, ANGLE, sides, CENTER) is None
    flat = np.zeros(120), np.zeros(120)
    assert without_stripes(values, ANGLE, flat, CENTER) is None
    assert without_stripes(values, ANGLE, sides, -200.0) is None


@pytest.mark.parametrize(
    ("rows", "columns", "change"),
    [(slice(0, 30), slice(50, 55), 0.1), (slice(60, 120), slice(30, 34), -0.15)],
)
def test_a_stripe_does_not_move_the_axis(
    rows: slice, columns: slice, change: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = sinogram()
    plain = float(find_center_opposite(values, ANGLE).center)
    values[rows, columns] += change
    found = float(find_center_opposite(values, ANGLE).center)
    monkeypatch.setattr(center_opposite, "ROUNDS", 0)
    moved = float(find_center_opposite(values, ANGLE).center)
    assert abs(found - plain) < min(0.12, 0.7 * abs(moved - plain))
    assert found == pytest.approx(CENTER, abs=0.12)


def test_what_is_no_stripe_is_not_filled() -> None:
    """Two discs without noise: few projections differ at their edges, and nowhere else."""
    angle, u = np.linspace(0, np.pi, 40), np.arange(48) - 22.3
    values = np.zeros((40, 48))
    for x, y, radius in ((9.0, 2.0, 6.0), (-8.0, -7.0, 4.0)):
        away = u - x * np.cos(angle)[:, None] - y * np.sin(angle)[:, None]
        values += 0.1 * np.sqrt(np.clip(radius**2 - away**2, 0, None))
    (sides,), _ = both_sides(values, angle)
    assert without_stripes(values, angle, sides, 22.3) is not None
    assert float(find_center_opposite(values, angle).center) == pytest.approx(22.3, abs=0.05)
