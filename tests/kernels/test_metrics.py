"""Fourier correlation and fitted greys, against what is known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.kernels import metrics

Array = np.ndarray[Any, Any]


def noise(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("shape", [(32, 32), (31, 40), (1, 9), (16, 17, 18)])
def test_an_image_correlates_fully_with_itself_whatever_its_greys(shape: tuple[int, ...]) -> None:
    image = noise(0, *shape)
    correlation = metrics.ring_correlation if len(shape) == 2 else metrics.shell_correlation
    curve = correlation(image, 3 * image + 7)
    assert curve.shape == (min(shape) // 2 + 1,)
    np.testing.assert_allclose(curve[1:], 1, atol=1e-5)
    np.testing.assert_allclose(correlation(image, -image), -1, atol=1e-6)


def test_independent_noise_correlates_as_one_over_the_root_of_the_shell() -> None:
    # n / 2 independent coefficients of two parts each: the cosine of two vectors of n numbers.
    shape, many = (64, 64), 200
    curves = metrics.ring_correlation(noise(1, many, *shape), noise(2, many, *shape))
    count = metrics.shell_sizes(shape)
    rings = slice(3, None)
    np.testing.assert_allclose(curves[:, rings].mean(axis=0), 0, atol=0.06)
    expected = np.sqrt(1 / count[rings])
    np.testing.assert_allclose(curves[:, rings].std(axis=0), expected, rtol=0.15)


@pytest.mark.parametrize("snr", [0.25, 1.0, 4.0])
def test_a_known_ratio_of_signal_to_noise_gives_its_correlation(snr: float) -> None:
    # FSC = SNR / (SNR + 1) where both hold one signal and each its own noise.
    signal = np.sqrt(snr) * noise(0, 48, 48, 48)
    curve = metrics.shell_correlation(signal + noise(1, 48, 48, 48), signal + noise(2, 48, 48, 48))
    np.testing.assert_allclose(curve[10:].mean(), snr / (snr + 1), atol=0.01)


def test_a_stack_is_pooled_by_its_sums() -> None:
    strong, weak = 100 * noise(0, 32, 32), noise(1, 32, 32)
    # The weak pair does not correlate; the strong one fully, and it has all the power.
    pooled = metrics.pooled_correlation(
        np.stack([strong, weak]), np.stack([strong, noise(2, 32, 32)])
    )
    assert pooled[4:].min() > 0.99


def test_a_frequency_lies_in_its_ring() -> None:
    x = np.arange(64)
    one = np.cos(2 * np.pi * 10 * x / 64)[None, :] + np.zeros((64, 1))
    other = np.cos(2 * np.pi * 20 * x / 64)[None, :] + np.zeros((64, 1))
    curve = metrics.ring_correlation(one + other, one - other)
    np.testing.assert_allclose(curve[[10, 20]], [1, -1], atol=1e-6)
    # Rings that hold nothing but rounding correlate with nothing.
    assert not curve[[5, 15, 30]].any()
    assert metrics.frequencies((64, 64))[10] == pytest.approx(10 / 64)


def test_every_coefficient_is_in_a_shell_or_in_a_corner() -> None:
    shape = (9, 9)
    f = np.fft.fftfreq(9) * 9
    radius = np.rint(np.hypot(f[:, None], f[None, :])).astype(int)
    np.testing.assert_array_equal(metrics.shell_sizes(shape), np.bincount(radius.ravel())[:5])


def test_the_half_bit_curve_is_the_published_one() -> None:
    n = np.array([50.0, 500.0, 5e6])  # independent coefficients: half of all
    published = (0.2071 + 1.9102 / np.sqrt(n)) / (1.2071 + 0.9102 / np.sqrt(n))
    np.testing.assert_allclose(metrics.threshold(2 * n), published, rtol=1e-4)
    assert metrics.threshold(np.array([1]))[0] == 1
    with pytest.raises(ArgumentError, match="signal to noise is above 0"):
        metrics.threshold(n, snr=0)


def test_a_curve_that_never_falls_has_no_crossing() -> None:
    f = np.linspace(0, 0.5, 6)
    assert np.isnan(metrics.crossing(f, np.ones(6), np.full(6, 0.2)))
    assert metrics.crossing(f, np.zeros(6), np.full(6, 0.2)) == pytest.approx(0.1)
    assert metrics.crossing(f, np.linspace(1, 0, 6), np.full(6, 0.5)) == pytest.approx(0.25)


def test_greys_are_fitted_where_they_count() -> None:
    b = noise(0, 2, 40, 30)
    residual = 0.1 * noise(1, 2, 40, 30)
    a = np.array([2.5, -4])[:, None, None] * b + 3 + residual
    valid = np.ones((40, 30), bool)
    valid[:5] = False
    a[:, :5] = np.nan
    scale, offset, rms = metrics.fit_grey(a, b, valid)
    for i in range(2):
        design = np.stack([b[i, 5:].ravel(), np.ones(35 * 30)], axis=1).astype(float)
        best, squares, *_ = np.linalg.lstsq(design, a[i, 5:].ravel(), rcond=None)
        np.testing.assert_allclose([scale[i], offset[i]], best, rtol=1e-5)
        assert rms[i] == pytest.approx(np.sqrt(squares[0] / (35 * 30)), rel=1e-4)


def test_greys_of_a_constant_and_of_nothing() -> None:
    a, flat = noise(0, 8, 8), np.full((8, 8), 0.1, "float32")
    scale, offset, rms = metrics.fit_grey(a, flat, np.ones((8, 8)))
    assert scale == 0
    assert offset == pytest.approx(a.mean(), abs=1e-6)
    assert rms == pytest.approx(a.std(), rel=1e-5)
    assert [float(v) for v in metrics.fit_grey(a, flat, np.zeros((8, 8)))] == [0, 0, 0]


def test_the_circle_is_soft() -> None:
    window = metrics.within((41, 61), 0.8)
    assert window[20, 30] == 1
    assert window[20, 30 + 17] == 0
    assert 0 < window[20, 30 + 15] < 1
    assert window.shape == (41, 61)
