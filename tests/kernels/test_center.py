"""The rotation axis, found in sinograms whose axis is known, and beside algotom's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zeoarray
from tests import ellipses
from tests.strategies import LAW
from zeoarray import xct
from zeoarray.errors import ArgumentError
from zeoarray.kernels.center import find_center_vo, metric, wedge

Array = np.ndarray[Any, Any]


def sinogram(columns: int, center: float, *, angles: int = 181, noise: float = 0.01) -> Array:
    angle = np.linspace(0, np.pi, angles)
    out = ellipses.project(ellipses.LOPSIDED, angle, columns, 0.45 * columns, center)
    rng = np.random.default_rng(0)
    return (out / out.max() + noise * rng.normal(size=out.shape)).astype("float32")


@given(columns=st.integers(120, 220), aside=st.floats(-1, 1))
@LAW
def test_the_axis_is_found(columns: int, aside: float) -> None:
    center = (columns - 1) / 2 + aside * (columns / 16 - 2)
    found = find_center_vo(sinogram(columns, center))
    assert float(found.center) == pytest.approx(center, abs=0.25)
    assert not found.at_edge
    assert not found.ambiguous


def test_each_slice_has_its_axis() -> None:
    centers = np.array([[98.0, 99.5], [101.25, 103.0]])
    stack = np.stack([[sinogram(201, c) for c in row] for row in centers])
    found = find_center_vo(stack)
    np.testing.assert_allclose(found.center, centers, atol=0.25)
    assert found.center.dtype == np.float32
    assert found.coarse.shape == found.coarse_metric.shape == (2, 2, 25)
    assert found.fine.shape == found.fine_metric.shape == (2, 2, 33)
    assert (np.take_along_axis(found.fine_metric, found.fine_metric.argmin(-1)[..., None], -1)
            == found.fine_metric.min(-1)[..., None]).all()  # fmt: skip


def test_large_sinograms_are_averaged_first() -> None:
    large = np.repeat(sinogram(1300, 670.0, angles=101), 11, axis=0)
    found = find_center_vo(large, step=0.5)
    assert float(found.center) == pytest.approx(670, abs=0.5)
    # The coarse curve's positions are those of whole columns.
    low = float(found.coarse[found.coarse_metric.argmin()])
    assert low == pytest.approx(670, abs=2.5)


def test_the_axis_beyond_the_search_is_told() -> None:
    values = sinogram(201, 130.0)
    missed = find_center_vo(values)
    assert missed.at_edge or missed.ambiguous
    found = find_center_vo(values, start=115, stop=145)
    assert float(found.center) == pytest.approx(130, abs=0.25)
    assert not found.at_edge
    assert find_center_vo(values, start=131, stop=145).at_edge


@pytest.mark.parametrize("values", [np.zeros((60, 90)), np.ones((60, 90)), np.ones((1, 1))])
def test_what_has_no_axis_is_ambiguous(values: Array) -> None:
    assert find_center_vo(values).ambiguous


def test_noise_is_ambiguous() -> None:
    noise = np.random.default_rng(0).normal(size=(12, 90, 120))
    assert find_center_vo(noise).ambiguous.mean() > 0.9


def test_the_mask_is_that_of_the_paper() -> None:
    """Row by row, as equation 3 has it, over all frequencies."""
    rows, columns, ratio = 30, 41, 0.5
    height = 2 * rows
    full = np.zeros((height, columns))
    for i in range(height):
        v, u = np.fft.fftfreq(height)[i], np.fft.fftfreq(columns)
        radius, step = ratio * columns / 2, (height - 1) / (height * 2 * np.pi)
        reach = abs(np.ceil(round(v * height) * step / radius * columns))
        full[i] = np.abs(np.rint(u * columns)) <= reach
    drop = int(0.05 * height)
    full[np.abs(np.rint(np.fft.fftfreq(height) * height)) <= drop] = 0
    full[:, np.abs(np.rint(np.fft.fftfreq(columns) * columns)) <= 1] = 0
    folded = full[: rows + 1].copy()
    folded[1:rows] += full[:rows:-1]
    np.testing.assert_array_equal(wedge(rows, columns, ratio), folded)


def test_the_metric_is_the_transform_of_both_halves() -> None:
    """By its definition: shift the mirror image, fill what is bare, transform, average."""
    values = sinogram(60, 31.0, angles=40)
    weight = wedge(40, 60, 0.5)
    found = metric(values, np.array([29.0, 29.5, 31.0, 33.5]), 0.5)
    for center, one in zip((29.0, 29.5, 31.0, 33.5), found, strict=True):
        move = int(2 * center - 59)
        mirror = np.roll(values[:, ::-1], move, axis=1)
        bare = slice(0, move) if move >= 0 else slice(move, None)
        mirror[:, bare] = values[::-1, bare]
        whole = np.abs(np.fft.fft2(np.vstack([values, mirror])))[:41]
        assert one == pytest.approx((whole * weight).sum() / (80 * 60), rel=1e-5)


@pytest.mark.parametrize("columns", [95, 160, 1101])
def test_it_is_what_algotom_finds(columns: int) -> None:
    calculation = pytest.importorskip("algotom.prep.calculation")
    values = sinogram(columns, columns / 2 + 1.3, angles=91, noise=0.02)
    theirs = calculation.find_center_vo(values, ncore=1)
    ours = find_center_vo(values)
    assert float(ours.center) == pytest.approx(theirs, abs=0.05)
    mask = calculation.make_inverse_double_wedge_mask(182, columns, 0.25 * columns)
    positions = np.array([columns / 2 - 1.4, columns / 2, columns / 2 + 2.15])
    wanted = [
        calculation.calculate_center_metric(c, values, values[:, ::-1], values[::-1], mask)
        for c in positions
    ]
    np.testing.assert_allclose(metric(values, positions, 0.5), wanted, rtol=1e-5)


@pytest.mark.real
def test_the_axis_of_a_real_scan(real: Path) -> None:
    """I13: 86.0 where the first pixel's edge is 0, so 85.5 here. Rows of mere air are told."""
    folder = real / "i13_xct"
    ds = zeoarray.open_scan(
        folder / "tiffs" / "raw_*.tiff",
        {
            "flats": folder / "flat_00001.tiff",
            "darks": folder / "dark_00001.tiff",
            "angles": folder / "angles.txt",
            "angle_lines": (10, 101),
            "pixel_size": 2.6,
        },
    )
    values = xct.minus_log(xct.normalize(ds))["absorbance"].transpose("z", "angle", "u").values
    found = find_center_vo(values[[5, 75, 85, 95, 115, 125]])
    np.testing.assert_allclose(found.center[1:], 85.5, atol=0.01)
    assert found.ambiguous.tolist() == [True, False, False, False, False, False]


def test_bad_input_is_told() -> None:
    values = sinogram(100, 50.0, angles=20)

    def told(array: Array = values, **more: Any) -> str:
        with pytest.raises(ArgumentError) as info:
            find_center_vo(array, **more)
        return str(info.value)

    assert "start=60, stop=40" in told(start=60, stop=40)
    assert "0 <= start <= stop <= 99" in told(start=10, stop=100)
    assert "start=nan" in told(start=np.nan)
    assert "step=0" in told(step=0)
    assert "step=5.0, radius=4.0" in told(step=5.0)
    assert "ratio=0" in told(ratio=0)
    broken = np.stack([values, values])
    broken[1, 3] = np.nan
    text = told(broken)
    assert "slice (1,) has values that are not finite" in text
    assert "100 of 2000" in text
