"""Phase retrieval: what propagation did is undone, by the formula of the paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.kernels import propagation
from zeoarray.units import wavelength_of

PIXEL, DISTANCE, ENERGY, RATIO = 1.0, 0.05, 20.0, 150.0
SETTING = {"delta_beta": RATIO, "pixel_um": PIXEL, "distance_m": DISTANCE, "energy_kev": ENERGY}
MU = 800.0
"""Attenuation [1/m]."""
WAVELENGTH = wavelength_of(ENERGY) * 1e-10
DELTA = RATIO * MU * WAVELENGTH / (4 * np.pi)


def thickness(rows: int, columns: int) -> Any:
    """Smooth blobs [m], zero at the edges."""
    j, i = np.mgrid[:rows, :columns]
    out = np.zeros((rows, columns))
    for y, x, s, t in ((0.45, 0.4, 0.07, 4e-4), (0.6, 0.62, 0.05, 2e-4), (0.4, 0.6, 0.03, 1e-4)):
        out += t * np.exp(
            -((j - y * rows) ** 2 + (i - x * columns) ** 2) / (2 * (s * min(rows, columns)) ** 2)
        )
    return out


def frequencies(rows: int, columns: int) -> Any:
    """Squared spatial frequency [1/m^2], without the factor (2 pi)^2."""
    along = [np.fft.fftfreq(n, PIXEL * 1e-6) for n in (rows, columns)]
    return along[0][:, None] ** 2 + along[1][None, :] ** 2


@pytest.mark.parametrize("shape", [(128, 160), (127, 151), (101, 97)])
def test_transport_of_intensity_is_undone(shape: tuple[int, int]) -> None:
    t = thickness(*shape)
    # The equation that the filter solves: I = (1 - R delta / mu laplacian) exp(-mu t).
    k2 = 4 * np.pi**2 * frequencies(*shape)
    spectrum = (1 + DISTANCE * DELTA / MU * k2) * np.fft.fft2(np.exp(-MU * t))
    image = np.fft.ifft2(spectrum).real
    assert np.abs(image - np.exp(-MU * t)).max() > 0.01
    out = propagation.paganin(image, **SETTING)
    np.testing.assert_allclose(-np.log(out) / MU, t, atol=1e-3 * t.max())


def test_fresnel_propagation_of_one_material_is_undone() -> None:
    shape = (256, 256)
    t = thickness(*shape)
    wave = np.exp(-MU * t / 2 - 2j * np.pi / WAVELENGTH * DELTA * t)
    free = np.exp(-1j * np.pi * WAVELENGTH * DISTANCE * frequencies(*shape))
    image = np.abs(np.fft.ifft2(free * np.fft.fft2(wave))) ** 2
    raw_error = np.abs(-np.log(image) / MU - t).max()
    out = -np.log(propagation.paganin(image, **SETTING)) / MU
    error = np.abs(out - t).max()
    assert error < 0.02 * t.max()
    assert error < 0.2 * raw_error


def test_the_divisor_is_that_of_savu() -> None:
    # An impulse far from the edges gives the filter's response.
    size = 255
    image = np.zeros((size, size))
    image[127, 127] = 1
    weak = SETTING | {"delta_beta": 10.0}
    out = propagation.paganin(image, **weak)
    response = np.fft.fft2(np.fft.ifftshift(out)).real
    f2 = frequencies(size, size)
    expected = 1 / (1 + np.pi * WAVELENGTH * DISTANCE * 10.0 * f2)
    np.testing.assert_allclose(response, expected, atol=2e-4)


def test_constant_images_and_no_distance_are_left_alone() -> None:
    image = np.full((2, 7, 11), 0.3, "float32")
    out = propagation.paganin(image, **SETTING)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, image, rtol=1e-6)
    rough = np.random.default_rng(0).random((13, 17))
    np.testing.assert_allclose(
        propagation.paganin(rough, **(SETTING | {"distance_m": 0.0})), rough, atol=1e-12
    )


def test_edges_are_extended() -> None:
    # Dark on the left, bright on the right: they must not meet round the back.
    image = np.ones((40, 200))
    image[:, :100] = 0.2
    out = propagation.paganin(image, **SETTING)
    np.testing.assert_allclose(out[:, 0], 0.2, atol=1e-3)
    np.testing.assert_allclose(out[:, -1], 1.0, atol=1e-3)


@pytest.mark.parametrize("name", SETTING)
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_quantities_that_cannot_be(name: str, value: float) -> None:
    with pytest.raises(ArgumentError, match="is not a positive number") as info:
        propagation.paganin(np.ones((4, 4)), **(SETTING | {name: value}))
    assert f"{name}={value}" in str(info.value)


def test_a_value_that_is_not_finite_is_told() -> None:
    image = np.ones((3, 8, 8))
    image[2, 4, 4] = np.nan
    with pytest.raises(ArgumentError, match=r"projection \(2,\) has values that are not finite"):
        propagation.paganin(image, **SETTING)
