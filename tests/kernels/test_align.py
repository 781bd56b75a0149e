"""Shifts that are known are found again, with an honest sigma, in one, two and three dims."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.kernels.align import phase_correlation

SHAPES = [(151,), (97,), (64, 101), (127, 97), (48, 61, 53)]


def scene(shape: tuple[int, ...], seed: int, shift: Any) -> Any:
    """Blobs moved by `shift`, exactly."""
    rng = np.random.default_rng(seed)
    count = 30
    places = rng.uniform(-0.1, 1.1, (count, len(shape))) * shape + shift
    widths, heights = rng.uniform(1.5, 4, count), rng.uniform(0.3, 1, count)
    out = np.zeros(shape)
    for place, width, height in zip(places, widths, heights, strict=True):
        blob = height
        for axis, (n, at) in enumerate(zip(shape, place, strict=True)):
            along = np.exp(-((np.arange(n) - at) ** 2) / (2 * width**2))
            blob = blob * along.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        out += blob
    return out


@pytest.mark.parametrize("shape", SHAPES)
def test_known_shifts(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    for seed in range(4 if len(shape) < 3 else 1):
        shift = rng.uniform(-5, 5, len(shape))
        still = scene(shape, seed, np.zeros(len(shape)))
        found = phase_correlation(still, scene(shape, seed, shift))
        np.testing.assert_allclose(found.shift, shift, atol=0.05)
        assert not found.ambiguous
        assert found.correlation > 0.99


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16"])
def test_integers_and_floats(dtype: str) -> None:
    first, second = scene((80, 90), 1, (0, 0)), scene((80, 90), 1, (2.25, -3.5))
    found = phase_correlation((first * 500).astype(dtype), (second * 500).astype(dtype))
    np.testing.assert_allclose(found.shift, (2.25, -3.5), atol=0.02)


def test_sigma_is_what_the_shifts_scatter_by() -> None:
    rng = np.random.default_rng(9)
    shape, pulls = (96, 80), []
    for seed in range(25):
        shift = rng.uniform(-4, 4, 2)
        noisy = [scene(shape, seed, s) + rng.normal(0, 0.05, shape) for s in (0 * shift, shift)]
        found = phase_correlation(*noisy)
        pulls.append((found.shift - shift) / found.sigma)
    assert 0.6 < np.std(pulls) < 1.6


def test_a_background_and_another_brightness_change_nothing() -> None:
    first, second = scene((90, 70), 3, (0, 0)), scene((90, 70), 3, (1.3, 2.7))
    found = phase_correlation(first + 40, 3 * second - 7)
    np.testing.assert_allclose(found.shift, (1.3, 2.7), atol=0.03)


def test_the_order_turns_the_sign() -> None:
    first, second = scene((64, 64), 4, (0, 0)), scene((64, 64), 4, (1.5, -2.0))
    there, back = phase_correlation(first, second), phase_correlation(second, first)
    np.testing.assert_allclose(there.shift, -back.shift, atol=0.02)


def test_what_does_not_correlate_is_said() -> None:
    rng = np.random.default_rng(6)
    image = scene((50, 40), 2, (0, 0))
    for pair in ((np.ones((50, 40)), image), (image, np.zeros((50, 40))), (np.ones((50, 40)),) * 2):
        found = phase_correlation(*pair)
        assert found.ambiguous
        assert np.isinf(found.sigma).all()
        assert not found.shift.any()
    noise = [phase_correlation(*rng.normal(size=(2, 50, 40))) for _ in range(10)]
    assert sum(one.ambiguous for one in noise) >= 7
    # A row of equal teeth fits as well one tooth further on.
    teeth = np.cos(np.arange(120) * 2 * np.pi / 8)
    assert phase_correlation(teeth, np.roll(teeth, 3)).ambiguous


def test_the_largest_shift_that_is_allowed() -> None:
    first, second = scene((120,), 3, (0.0,)), scene((120,), 3, (12.0,))
    assert abs(phase_correlation(first, second).shift[0] - 12) < 0.05
    assert abs(phase_correlation(first, second, most=5.0).shift[0]) <= 5


@pytest.mark.parametrize(
    ("first", "second", "given", "message"),
    [
        (np.ones((5, 5)), np.ones((5, 6)), {}, "one shape, 4 or more pixels"),
        (np.ones((5, 3)), np.ones((5, 3)), {}, "one shape, 4 or more pixels"),
        (np.ones(5), np.array([1, 2, np.nan, 3, 4]), {}, "second array has values that are not"),
        (np.full(5, np.inf), np.ones(5), {}, "first array has values that are not finite"),
        (np.ones(5), np.ones(5), {"upsample": 0}, "upsample of 1 or more"),
        (np.ones(5), np.ones(5), {"most": 0.0}, "most above 0"),
    ],
)
def test_errors(first: Any, second: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as info:
        phase_correlation(first, second, **given)
    assert message in str(info.value)
