"""Zingers: those put in are found, what is bright for good stays; compiled and plain body agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.kernels import zingers

rng = np.random.default_rng(11)
A, Z, U = 9, 8, 300


def noisy(dtype: str) -> Any:
    """A smooth sample in Poisson noise, as counts or as transmission."""
    shape = 3000 - 2000 * np.sin(np.linspace(0, np.pi, U)) ** 2
    counts = rng.poisson(np.broadcast_to(shape, (A, Z, U)))
    return counts.astype(dtype) if dtype == "uint16" else (counts / 3000).astype(dtype)


PLACES = [(0, 0, 0), (4, 3, 150), (4, 3, 151), (5, 7, 299), (8, 0, 40), (2, 5, 7)]


@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
def test_zingers_go_and_nothing_else_changes(dtype: str) -> None:
    clean = noisy(dtype)
    hit = clean.copy()
    for place in PLACES:
        hit[place] *= 3 if place != (4, 3, 151) else 2
    out, share = zingers.remove_zingers(hit)
    changed = np.argwhere(out != hit)
    assert {tuple(map(int, c)) for c in changed} == set(PLACES)
    for i, j, k in PLACES:
        around = clean[i, max(j - 1, 0) : j + 2, max(k - 1, 0) : k + 2]
        # Single hits leave the window's median within its values without the hit.
        assert around.min() <= out[i, j, k] <= around.max()
    assert out.dtype == hit.dtype
    expected = np.zeros((A, Z))
    for i, j, _ in PLACES:
        expected[i, j] += 1 / U
    np.testing.assert_allclose(share, expected, rtol=1e-6)


def test_a_normal_scan_is_left_as_it_is() -> None:
    for dtype in ("uint16", "float32"):
        counts = noisy(dtype)
        out, share = zingers.remove_zingers(counts)
        np.testing.assert_array_equal(out, counts)
        assert not share.any()


def test_what_is_bright_for_good_stays() -> None:
    counts = noisy("uint16")
    counts[:, 4, 100] = 60_000  # a hot pixel: rings are removed elsewhere
    counts[3:5, 2, 200] = 60_000  # in two projections after each other
    counts[6, :, 50] = 60_000  # a line in the detector: no single pixel
    counts[6, :, 51] = 60_000
    counts[7, 2:, 120:] = 30_000  # an edge
    out, _ = zingers.remove_zingers(counts)
    assert np.argwhere(out != counts).tolist() == [[7, 2, 120]], "but for the edge's own corner"


def test_where_most_of_a_row_is_saturated_the_rest_has_its_noise() -> None:
    counts = noisy("uint16")
    counts[:, :, 120:] = 65535
    np.testing.assert_array_equal(zingers.remove_zingers(counts)[0], counts)


def test_dark_outliers_stay() -> None:
    counts = noisy("uint16")
    counts[4, 4, 100] = 0
    np.testing.assert_array_equal(zingers.remove_zingers(counts)[0], counts)


def test_thresholds() -> None:
    frames = np.ones((3, 3, 50))
    frames[1, 1, 20], frames[1, 1, 30] = 1.2, 1.4
    for relative, left in ((0.0, 1.0), (0.3, 1.2), (0.5, 1.4)):
        assert zingers.remove_zingers(frames, snr=0, relative=relative)[0].max() == left
    noise = rng.normal(size=(3, 5, 2000))
    noise[1, 2, 1000] = 15
    assert zingers.remove_zingers(noise, snr=30)[0].max() == 15
    found, _ = zingers.remove_zingers(noise, snr=8)
    assert np.argwhere(found != noise).tolist() == [[1, 2, 1000]]


def test_wider_windows_take_wider_zingers() -> None:
    frames = np.ones((3, 9, 40))
    frames[1, 3:6, 10:13] = 9
    assert zingers.remove_zingers(frames)[0].max() == 9
    assert zingers.remove_zingers(frames, size=5)[0].max() == 1


def test_constant_images_and_small_ones() -> None:
    for shape in ((3, 4, 5), (1, 1, 1), (1, 1, 3), (3, 1, 2), (2, 7, 11), (0, 2, 3)):
        for value in (0, 7):
            frames = np.full(shape, value, "uint16")
            out, share = zingers.remove_zingers(frames)
            np.testing.assert_array_equal(out, frames)
            assert not share.any()
    one = np.zeros((1, 5, 31), "uint16")
    one[0, 2, 2] = 1000
    assert zingers.remove_zingers(one)[0].max() == 0, "of one projection, by its neighbours alone"
    one[0, 2, 2] = 8
    assert zingers.remove_zingers(one)[0].max() == 8, "8 sigma, where sigma is at least 1 count"


def test_values_that_are_no_numbers() -> None:
    frames = noisy("float32")
    frames[2] = np.nan
    frames[4, 4, 10:20] = np.nan
    frames[6, 1, 5] = np.inf
    frames[7, 3, 60] = 9
    out, share = zingers.remove_zingers(frames)
    assert np.argwhere((out != frames) & ~np.isnan(frames)).tolist() == [[6, 1, 5], [7, 3, 60]]
    np.testing.assert_array_equal(np.isnan(out), np.isnan(frames))
    assert np.isfinite(share).all()


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("size", [3, 5])
def test_plain_bodies_and_compiled_ones_agree(dtype: str, size: int) -> None:
    frames = noisy(dtype)[:5, :, :81]
    hit = rng.random(frames.shape) < 0.02
    frames[hit] *= 3
    if dtype == "float32":
        frames[rng.random(frames.shape) < 0.02] = np.nan
        frames[1, 1, 1] = np.inf
        frames[3, 2] = np.nan
    out, share = zingers.remove_zingers(frames, snr=5.0, relative=0.1, size=size)
    plain, plain_share = np.empty_like(frames), np.empty(frames.shape[:-1], "float32")
    quantum = 1.0 if dtype == "uint16" else 0.0
    zingers.replace_plainly(frames, 5.0, 0.1, quantum, size, plain, plain_share)
    np.testing.assert_array_equal(out, plain)
    np.testing.assert_allclose(share, plain_share, rtol=1e-6)
    assert (out != frames).sum() > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 4}, "has a middle"),
        ({"size": 1}, "has a middle"),
        ({"size": True}, "has a middle"),
        ({"snr": -1}, "at least 0"),
        ({"relative": np.nan}, "at least 0"),
    ],
)
def test_parameters_that_cannot_be(arguments: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        zingers.remove_zingers(np.ones((3, 3, 3)), **arguments)
