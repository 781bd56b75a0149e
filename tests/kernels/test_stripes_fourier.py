"""Stripes out by wavelets and Fourier transforms: against PyWavelets, algotom and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.kernels.stripes_fourier import daubechies, remove_stripe_based_wavelets

Array = np.ndarray[Any, Any]


def sinogram(angles: int, width: int = 230) -> Array:
    rng = np.random.default_rng(1)
    place = (np.arange(width) - width / 2 + 20) / 80
    values = rng.normal(1, 0.05, (angles, width)) + np.sqrt(np.clip(1 - place**2, 0, None))
    values[:, 40] += 1
    values[:, 100:103] -= 0.5
    return values.astype("float32")


def slowly(values: Array, level: int, sigma: float, order: int) -> Array:
    """The paper's algorithm, with all bands and the whole Fourier transform."""
    pywt = pytest.importorskip("pywt")
    angles, width = values.shape
    pad = min(150, min(angles, width) // 10)
    wide = np.pad(values.astype(float), ((pad, pad), (0, 0)), mode="mean")
    wide = np.pad(wide, ((0, 0), (pad, pad)), mode="edge")
    rest, *bands = pywt.wavedec2(wide, f"db{order}", level=level)
    damped = [rest]
    for across, along, both in bands:
        k = np.fft.fftfreq(len(along), 1 / len(along))[:, None]
        spectrum = np.fft.fft(along, axis=0) * (1 - np.exp(-(k**2) / (2 * sigma**2)))
        damped.append((across, np.fft.ifft(spectrum, axis=0).real, both))
    out = pywt.waverec2(damped, f"db{order}")
    return np.asarray(out[pad : pad + angles, pad : pad + width])


@pytest.mark.parametrize(("angles", "level", "sigma", "order"), [
    (290, 4, 1.0, 8), (233, 4, 2.5, 5), (150, 3, 0.4, 1), (101, 2, 1.0, 15),
])  # fmt: skip
def test_it_is_the_algorithm_of_the_paper(
    angles: int, level: int, sigma: float, order: int
) -> None:
    values = sinogram(angles)
    out = remove_stripe_based_wavelets(values, level=level, sigma=sigma, order=order)
    expected = slowly(values, level, sigma, order)
    np.testing.assert_allclose(out, expected, atol=5e-6)
    assert abs(expected - values).max() > 0.3


def test_results_are_algotoms_where_bands_have_odd_numbers_of_rows() -> None:
    removal = pytest.importorskip("algotom.prep.removal")
    # 290 angles, continued by 23 at both ends: bands of 175, 95, 55 and 35 rows.
    values = sinogram(290)
    out = remove_stripe_based_wavelets(values)
    theirs = removal.remove_stripe_based_wavelet_fft(values, level=4, size=1, wavelet_name="db8")
    np.testing.assert_allclose(out, theirs, atol=5e-6)
    # 178, 96, 55 and 35 rows: there it damps about a frequency that is not 0.
    values = sinogram(296)
    out = remove_stripe_based_wavelets(values)
    theirs = removal.remove_stripe_based_wavelet_fft(values, level=4, size=1, wavelet_name="db8")
    left = [a.mean(axis=0)[40] - a.mean(axis=0)[[36, 44]].mean() for a in (out, theirs[:296, :230])]
    assert left[1] - left[0] > 0.05


@pytest.mark.parametrize("order", [1, 2, 3, 8, 15, 20])
def test_filters_are_orthonormal_and_flat(order: int) -> None:
    taps = np.array(daubechies(order))
    assert taps.size == 2 * order
    for shift in range(order):
        product = float(taps[2 * shift :] @ taps[: taps.size - 2 * shift])
        assert product == pytest.approx(float(shift == 0), abs=1e-10)
    # As many zeros at the highest frequency as the order says.
    sign = (-1.0) ** np.arange(taps.size)
    for power in range(min(order, 4)):
        assert abs((sign * taps * np.linspace(-1, 1, taps.size) ** power).sum()) < 1e-9
    root = np.sqrt(3)
    closed = np.array([1 + root, 3 + root, 3 - root, 1 - root]) / (4 * np.sqrt(2))
    np.testing.assert_allclose(daubechies(2), closed, atol=1e-14)


def test_what_is_the_same_at_all_angles_and_fine_is_removed() -> None:
    comb = np.tile((-1.0) ** np.arange(200), (150, 1)).astype("float32")
    out = remove_stripe_based_wavelets(5 + comb, level=1)
    np.testing.assert_allclose(out[:, 20:-20], 5, atol=1e-5)
    turned = np.tile((-1.0) ** np.arange(150)[:, None], (1, 200)).astype("float32")
    np.testing.assert_allclose(remove_stripe_based_wavelets(turned), turned, atol=1e-5)
    np.testing.assert_array_equal(remove_stripe_based_wavelets(comb, level=0), comb)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": 0.0}, "width of the damping is positive"),
        ({"sigma": np.nan}, "width of the damping is positive"),
        ({"order": 21}, "no Daubechies wavelets of this order"),
        ({"order": 0}, "a whole number from 1 to 20"),
        ({"level": -1}, "levels are a whole number"),
        ({"level": 1.5}, "levels are a whole number"),
        ({"level": 7}, "do:       level=6"),
    ],
)
def test_parameters_that_cannot_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        remove_stripe_based_wavelets(sinogram(100, 120), **arguments)


def test_sinograms_that_cannot_be() -> None:
    values = sinogram(100, 120)
    values[3, 7] = np.inf
    with pytest.raises(ArgumentError, match="values that are not finite"):
        remove_stripe_based_wavelets(values)
    with pytest.raises(ArgumentError, match="another method"):
        remove_stripe_based_wavelets(values[:1])
