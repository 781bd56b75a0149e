"""Transmission and absorbance against the beam that made the counts; never an Inf or NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zeoarray import backend
from zeoarray.errors import ArgumentError
from zeoarray.kernels import flatfield, references

rng = np.random.default_rng(5)
A, Z, U = 20, 6, 11


def beam(sets: int) -> tuple[Any, Any, Any, Any]:
    """A beam that drifts linearly between sets, a dark, positions, and the true transmission."""
    dark = rng.uniform(90, 110, (Z, U)).astype("float32")
    flat = dark + rng.uniform(1000, 2000, (sets, Z, U)).astype("float32")
    position = np.sort(rng.uniform(-0.5, sets - 0.5, A))
    truth = rng.uniform(0.05, 1.1, (A, Z, U))
    return flat, dark, position, truth


def counts_of(flat: Any, dark: Any, position: Any, truth: Any) -> Any:
    place = np.clip(position, 0, len(flat) - 1)
    now = np.empty((A, Z, U))
    for i, p in enumerate(place):
        low = min(int(p), len(flat) - 1)
        high = min(low + 1, len(flat) - 1)
        now[i] = flat[low] * (1 - (p - low)) + flat[high] * (p - low)
    return (now - dark) * truth + dark


@pytest.mark.parametrize("sets", [1, 2, 4])
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("piece", [1, 70, 1 << 18])
def test_transmission_of_a_drifting_beam(
    sets: int, shuffled: bool, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "PIECE", piece)
    flat, dark, position, truth = beam(sets)
    if shuffled:
        position = rng.permutation(position)
    counts = counts_of(flat, dark, position, truth)
    out = flatfield.transmission(counts, flat, dark, position)
    np.testing.assert_allclose(out, truth, rtol=1e-4, atol=1e-5)
    single = flatfield.transmission(counts.astype("float32"), flat, dark, position)
    assert single.dtype == np.float32


def test_counts_round_to_the_transmission() -> None:
    flat, dark, position, truth = beam(2)
    counts = np.rint(counts_of(flat, dark, position, truth)).astype("uint16")
    out = flatfield.transmission(counts, flat, dark, position)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, truth, atol=0.5 / 1000 + 1e-6)


def test_counts_below_the_dark_do_not_wrap() -> None:
    counts = np.zeros((1, 1, 2), "uint16")
    flat, dark = np.full((1, 1, 2), 200.0), np.full((1, 2), 100.0)
    out = flatfield.transmission(counts, flat, dark, np.zeros(1))
    assert out.tolist() == [[[-1.0, -1.0]]]


@pytest.mark.parametrize(
    "bad", [0.0, -5.0, 100.0, np.nan, np.inf, -np.inf], ids=lambda b: f"flat {b}"
)
def test_pixels_without_beam_are_filled_from_their_row(bad: float) -> None:
    dark = np.full((3, 7), 100.0, "float32")
    flat = np.full((2, 3, 7), 1100.0, "float32")
    flat[1, 0, 2:4] = bad  # in one of two sets is enough
    flat[0, 1, 0] = bad
    flat[0, 2] = bad
    ramp = 100 + 100 * np.arange(7) + np.zeros((4, 3, 7))
    counts = ramp.astype("uint16")
    counts[:, 0, 2:4] = 7777
    out = flatfield.transmission(counts, flat, dark, np.linspace(0, 1, 4))
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out[:, 0], np.broadcast_to(np.arange(7) / 10, (4, 7)), atol=1e-6)
    np.testing.assert_allclose(out[:, 1, 0], out[:, 1, 1])
    assert (out[:, 2] == 1).all(), "a row without beam shows nothing"
    good = flatfield.usable(flat, dark)
    expected = np.ones((3, 7), bool)
    expected[0, 2:4] = expected[1, 0] = expected[2] = False
    np.testing.assert_array_equal(good, expected)


def test_a_pixel_with_next_to_no_beam_is_not_believed() -> None:
    flat = np.full((1, 1, 5), 1000.0, "float32")
    flat[0, 0, 2] = 0.05
    assert flatfield.usable(flat, np.zeros((1, 5))).tolist() == [[True, True, False, True, True]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_counts_that_are_no_numbers_are_filled(bad: float) -> None:
    counts = np.arange(24, dtype="float32").reshape(2, 2, 6)
    counts[0, 0, 2:4] = bad
    counts[1, 1] = bad
    out = flatfield.transmission(counts, np.full((1, 2, 6), 10.0), np.zeros((2, 6)), np.zeros(2))
    np.testing.assert_allclose(out[0, 0], np.arange(6) / 10, rtol=1e-6)
    assert (out[1, 1] == 1).all()
    assert np.isfinite(out).all()


def test_a_dark_that_is_no_number() -> None:
    dark = np.zeros((1, 3), "float32")
    dark[0, 1] = np.nan
    out = flatfield.transmission(
        np.full((1, 1, 3), 5, "uint16"), np.full((1, 1, 3), 10.0), dark, np.zeros(1)
    )
    assert out.tolist() == [[[0.5, 0.5, 0.5]]]


def test_batches_of_scans_with_flats_of_their_own() -> None:
    one, two = beam(2), beam(2)
    counts = [counts_of(*b) for b in (one, two)]
    out = flatfield.transmission(
        np.stack(counts),
        np.stack([one[0], two[0]]),
        np.stack([one[1], two[1]]),
        np.stack([one[2], two[2]]),
    )
    np.testing.assert_allclose(out, np.stack([one[3], two[3]]), rtol=1e-4, atol=1e-5)


def test_absorbance_inverts_the_exponential() -> None:
    depth = rng.uniform(0, 8, (5, 4, 30))
    for dtype, rtol in (("float32", 1e-5), ("float64", 1e-12)):
        out, clipped = flatfield.minus_log(np.exp(-depth).astype(dtype))
        np.testing.assert_allclose(out, depth, rtol=rtol, atol=1e-6)
        assert out.dtype == clipped.dtype == dtype
        assert clipped.shape == (5, 4)
        assert not clipped.any()


def test_what_is_clipped_is_counted() -> None:
    ratio = np.full((2, 8), 0.5, "float32")
    ratio[0, :5] = [0, -1, np.nan, np.inf, -np.inf]
    out, clipped = flatfield.minus_log(ratio, floor=1e-3)
    assert np.isfinite(out).all()
    np.testing.assert_allclose(clipped, [5 / 8, 0])
    limit = -np.log(1e-3)
    np.testing.assert_allclose(out[0, :5], [limit, limit, limit, -limit, limit], rtol=1e-5)


@pytest.mark.parametrize("floor", [0.0, 1.0, -1.0, np.nan])
def test_floors_that_are_none(floor: float) -> None:
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        flatfield.minus_log(np.ones(3), floor=floor)


@settings(max_examples=150)
@given(data=st.data())
def test_never_an_inf_or_nan_whatever_comes_in(data: st.DataObject) -> None:
    """Any floats there are, and counts to the brim; also where float32 overflows."""
    sizes = data.draw(st.tuples(*[st.integers(1, 3)] * 4))
    angles, sets, z, u = sizes
    kinds = ("uint16", "int64", "float32", "float64")

    def draw(*shape: int) -> Any:
        return data.draw(hnp.arrays(data.draw(st.sampled_from(kinds)), shape))

    counts, flat, dark = draw(angles, z, u), draw(4, z, u), draw(z, u)
    method: Any = data.draw(st.sampled_from(["mean", "median"]))
    number = tuple(range(sets)) + (-1,) * (4 - sets)
    average = references.average(flat, sets=number, method=method, lit=data.draw(st.booleans()))
    position = np.linspace(-1, sets, angles)
    bounds = data.draw(st.sampled_from([None, (0.0, 1.5), (-1e30, -1.0)]))
    scale = data.draw(st.sampled_from([1.0, 1e30, np.linspace(1e-30, 1, angles)]))
    out = flatfield.transmission(counts, average, dark, position, scale=scale, bounds=bounds)
    assert np.isfinite(out).all()
    if bounds is not None:
        low, high = np.array(bounds, out.dtype)
        assert (out >= low).all()
        assert (out <= high).all()
    absorbance, clipped = flatfield.minus_log(out)
    assert np.isfinite(absorbance).all()
    assert np.isfinite(clipped).all()


def test_scale_is_by_projection_and_by_batch() -> None:
    flat, dark, position, truth = beam(2)
    counts = counts_of(flat, dark, position, truth)
    scale = rng.uniform(0.5, 2, A)
    out = flatfield.transmission(counts, flat, dark, position, scale=scale)
    np.testing.assert_allclose(out, truth * scale[:, None, None], rtol=1e-4, atol=1e-5)
    both = np.stack([scale, 2 * scale])
    out = flatfield.transmission(np.stack([counts] * 2), flat, dark, position, scale=both)
    np.testing.assert_allclose(out, truth * both[..., None, None], rtol=1e-4, atol=1e-5)


def test_bounds_hold_what_is_filled_too() -> None:
    flat = np.full((1, 2, 3), 10.0)
    flat[0, 1] = 0
    counts = np.array([[[0, 5, 100], [1, 2, 3]]], "uint16")
    out = flatfield.transmission(counts, flat, np.zeros((2, 3)), np.zeros(1), bounds=(0.2, 0.8))
    np.testing.assert_allclose(out, [[[0.2, 0.5, 0.8], [0.8, 0.8, 0.8]]], rtol=1e-6)


@pytest.mark.parametrize("bounds", [(1, 0), (0, 0), (0, np.inf), (np.nan, 1)])
def test_bounds_that_are_none(bounds: Any) -> None:
    with pytest.raises(ArgumentError, match="two finite numbers in ascending order"):
        flatfield.transmission(
            np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.zeros((1, 1)), np.zeros(1), bounds=bounds
        )
