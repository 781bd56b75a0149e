"""Flats and darks: which belong together, their average, and where projections lie between."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.kernels import references

rng = np.random.default_rng(4)


@pytest.mark.parametrize(
    ("flats", "projections", "expected"),
    [
        ([0, 1, 2], [10, 11], (0, 0, 0)),
        ([0, 1, 30, 31], [10, 11], (0, 0, 1, 1)),
        ([31, 0, 30, 1], [10, 11], (1, 0, 1, 0)),
        ([0, 5, 10], [2, 3, 7, 8], (0, 1, 2)),
        ([20, 21], [1, 2], (0, 0)),
        ([0, 1], [], (0, 0)),
    ],
)
def test_sets(flats: list[float], projections: list[float], expected: tuple[int, ...]) -> None:
    assert references.sets_of(flats, projections) == expected


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_times_that_are_none(bad: float) -> None:
    with pytest.raises(ArgumentError, match="must be finite"):
        references.sets_of([0, bad], [1])
    with pytest.raises(ArgumentError, match="must be finite"):
        references.sets_of([0], [bad])
    with pytest.raises(ArgumentError, match="must be finite"):
        references.positions([0], (0,), [bad])


def test_positions_leave_out_and_clamp() -> None:
    found = references.positions([0, 100, 2, 10, 20], (0, -1, 0, 1, 2), [-5, 1, 5.5, 15, 99])
    np.testing.assert_allclose(found, [0, 0, 0.5, 1.5, 2])


@pytest.mark.parametrize("method", ["mean", "median"])
@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("frames", [1, 2, 5, 6])
def test_against_numpy(method: Any, dtype: str, frames: int) -> None:
    stack = (60000 * rng.random((2, frames, 3, 4))).astype(dtype)
    sets = tuple(i % min(frames, 2) for i in range(frames))
    out = references.average(stack, sets=sets, method=method)
    for i in range(max(sets) + 1):
        members = stack[:, [k for k, n in enumerate(sets) if n == i]].astype(float)
        expected = getattr(np, method)(members, axis=1)
        np.testing.assert_allclose(out[:, i], expected, rtol=1e-6)


def test_the_mean_of_many_counts_is_exact() -> None:
    stack = rng.integers(0, 2**16, (1000, 1, 50)).astype("uint16")
    expected = (stack.astype("int64").sum(0) / 1000).astype("float32")
    np.testing.assert_array_equal(references.average(stack)[0], expected)
    # In any memory order, since rows are cut from larger arrays.
    other = references.average(np.asfortranarray(stack))
    np.testing.assert_array_equal(other[0], expected)


def test_the_median_is_not_moved_by_a_zinger() -> None:
    stack = np.full((5, 1, 2), 100, "uint16")
    stack[2, 0, 1] = 65535
    assert references.average(stack, method="median").tolist() == [[[100.0, 100.0]]]
    assert references.average(stack)[0, 0, 1] > 10_000


def test_frames_left_out() -> None:
    stack = np.array([1, 1000, 3], "uint16").reshape(3, 1, 1)
    assert references.average(stack, sets=(0, -1, 0)).item() == 2.0


@pytest.mark.parametrize("method", ["mean", "median"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_that_are_not_finite_are_left_out(method: Any, dtype: str) -> None:
    stack = (100 * rng.random((2, 7, 3, 4)) + 1).astype(dtype)
    stack[rng.random(stack.shape) < 0.3] = np.nan
    stack[:, :, 1, 2] = np.nan
    stack[0, 1, 2, 0] = np.inf
    stack[1, 2, 0, 3] = -np.inf
    finite = np.where(np.isfinite(stack), stack, np.nan).astype(float)
    some = np.isfinite(finite).any(axis=1)
    expected = np.full(some.shape, np.nan)
    expected[some] = getattr(np, f"nan{method}")(np.moveaxis(finite, 1, -1)[some], axis=-1)
    out = references.average(stack, method=method)[:, 0]
    np.testing.assert_allclose(out, expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["mean", "median"])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_rows_without_beam_are_left_out_of_flats(method: Any, dtype: str) -> None:
    stack = rng.integers(50, 100, (4, 3, 5)).astype(dtype)
    stack[0] = 0
    stack[2, 1] = 0
    stack[1, 2, 3] = 0  # one dead pixel is no dark row
    out = references.average(stack, method=method, lit=True)[0]
    of = getattr(np, method)
    expected = np.stack([of(stack[1:, 0], axis=0), of(stack[[1, 3], 1], axis=0),
                         of(stack[1:, 2], axis=0)])  # fmt: skip
    np.testing.assert_allclose(out, expected, rtol=1e-6)
    assert np.isnan(references.average(np.zeros((2, 1, 3), dtype), method=method, lit=True)).all()
    assert (references.average(np.zeros((2, 1, 3), dtype), method=method) == 0).all()


def test_factors_follow_the_flats() -> None:
    reading, flats = np.array([90.0, 100.0, 55.0]), np.array([90.0, 110.0, 777.0, 50.0])
    found = references.factors(reading, flats, (0, 0, -1, 1), np.array([0, 0.5, 1]))
    np.testing.assert_allclose(found, [100 / 90, 75 / 100, 50 / 55])


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ((0, 2, 2), "3 frames, none in set 1"),
        ((-1, -1, -1), "3 frames, all left out"),
        ((0, 0), "2 for 3 frames"),
    ],
)
def test_sets_that_cannot_be(sets: tuple[int, ...], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        references.average(np.zeros((3, 1, 1)), sets=sets)


def test_no_frames_at_all() -> None:
    with pytest.raises(ArgumentError, match="has no frames") as info:
        references.average(np.zeros((0, 2, 2)))
    assert "flats=, darks= at ingest" in str(info.value)


def test_another_method() -> None:
    with pytest.raises(ArgumentError, match="cannot be averaged like this"):
        references.average(np.zeros((1, 1, 1)), method="mode")  # type: ignore[arg-type]
