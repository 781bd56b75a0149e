"""Reconstruction against closed forms: ellipses, whose projections and slices are known exactly."""

from __future__ import annotations

import threading
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
from zeoarray.errors import ArgumentError, DependencyError, UnknownNameError
from zeoarray.kernels import polar
from zeoarray.kernels.angles import angular_weights
from zeoarray.kernels.filters import WINDOWS, interpolation, ramp
from zeoarray.kernels.radon import backproject, filtered_backprojection, project

Array = np.ndarray[Any, Any]
HALF = np.linspace(0, np.pi, 180, endpoint=False)


def sinogram(
    columns: int, angle: Array = HALF, center: float | None = None, of: Any = ellipses.LOPSIDED
) -> Array:
    middle = (columns - 1) / 2 if center is None else center
    return ellipses.project(of, angle, columns, 48, middle).astype("float32")


def truth(size: int, of: Any = ellipses.LOPSIDED) -> Array:
    return ellipses.sample(of, (size, size), 48)


def inside(size: int, radius: float = 44) -> Array:
    y = np.arange(size) - (size - 1) / 2
    return np.hypot(y[:, None], y) <= radius


def error(found: Array, size: int) -> float:
    return float(np.sqrt(np.mean((found - truth(size))[inside(size)] ** 2)))


@pytest.mark.parametrize("size", [96, 97, 101, 128])
def test_a_slice_is_where_and_what_it_was(size: int) -> None:
    found = filtered_backprojection(sinogram(size), HALF, center=(size - 1) / 2)
    assert found.dtype == np.float32
    assert error(found, size) < 0.06
    # Not one of its images is as near.
    images = (np.flipud(found), np.fliplr(found), found.T, np.rot90(found), np.rot90(found, 2))
    assert min(error(image, size) for image in images) > 0.25
    # Half a pixel off is worse in every direction.
    for axis in (0, 1):
        for step in (-1, 1):
            assert error((found + np.roll(found, step, axis)) / 2, size) > error(found, size)


def test_the_scale_is_right_to_a_thousandth() -> None:
    disc = ((0.7, 0.5, 0.5, 0.1, 0.2, 0.0),)
    found = filtered_backprojection(sinogram(96, of=disc), HALF, center=47.5)
    y = np.arange(96) - 47.5
    within = np.hypot(y[:, None] - 0.2 * 48, y - 0.1 * 48) < 20
    assert found[within].mean() == pytest.approx(0.7, rel=1e-3)
    outside = (np.hypot(y[:, None] - 0.2 * 48, y - 0.1 * 48) > 28) & inside(96)
    assert abs(found[outside].mean()) < 1e-3
    assert found.sum() == pytest.approx(0.7 * np.pi * 24**2, rel=2e-3)


@pytest.mark.parametrize("window", sorted(WINDOWS))
def test_windows_trade_resolution_for_noise_and_keep_the_scale(window: Any) -> None:
    noise = np.random.default_rng(0).normal(size=(180, 96)).astype("float32")
    found = filtered_backprojection(sinogram(96), HALF, center=47.5, filter=window)
    flat = inside(96, 12)
    assert found[flat].mean() == pytest.approx(truth(96)[flat].mean(), rel=0.01)
    plain = filtered_backprojection(noise, HALF, center=47.5)
    windowed = filtered_backprojection(noise, HALF, center=47.5, filter=window)
    assert (windowed.std() < plain.std()) == (window != "ramp")


def test_the_ramp_has_no_offset_but_that_of_its_length() -> None:
    response = ramp(2079, "ramp")
    frequency = np.abs(np.fft.fftfreq(2079))
    np.testing.assert_allclose(response, frequency, atol=1e-4)
    assert 0 < response[0] < 1e-4


# --- between the samples ------------------------------------------------------------------------
def means(columns: int, center: float, of: Any, fine: int = 8) -> Array:
    """What a detector measures: means over each column."""
    middle = (center + 0.5) * fine - 0.5
    lines = ellipses.project(of, HALF, columns * fine, 48 * fine, middle)
    return lines.reshape(HALF.size, columns, fine).mean(axis=-1).astype("float32") / fine


def test_samples_are_interpolated_as_it_says() -> None:
    kernel = interpolation(105)
    f = np.abs(np.r_[0:66, -65:0]) / 105
    np.testing.assert_allclose(kernel, np.cos(np.pi * f / 2) / (1 + (f / (1 - f)) ** 3))
    assert kernel[0] == 1


@pytest.mark.parametrize("center", [67.0, 67.25, 67.5, 67.75, 80.4])
def test_errors_are_the_same_wherever_the_axis_is_between_columns(center: float) -> None:
    """Frequencies beyond that of Nyquist are moved along with the axis."""
    # Band-limited samples leave 0.042 and 0.028, linear interpolation 0.031 of both.
    for lines, most in (
        (sinogram(136, center=center), 0.0306),
        (means(136, center, ellipses.LOPSIDED), 0.0288),
    ):
        other = means(136, 60.1, ellipses.LOPSIDED)
        found = filtered_backprojection(
            np.stack([lines, other]), HALF, center=np.array([center, 60.1]), size=96
        )
        assert error(found[0], 96) < most
        assert error(found[1], 96) < 0.0288


def test_a_disc_keeps_its_mean_its_edge_and_its_level() -> None:
    disc = ((0.01, 0.6, 0.6, 0.013, 0.021, 0.0),)
    angle = np.linspace(0, np.pi, 400, endpoint=False)
    lines = ellipses.project(disc, angle, 8 * 256, 8 * 128, 8 * 128 - 0.5)
    lines = lines.reshape(400, 256, 8).mean(axis=-1) / 8
    found = filtered_backprojection(lines.astype("float32"), angle, center=127.5) / 0.01
    y = np.arange(256) - 127.5
    r = np.hypot(y[:, None] - 0.021 * 128, y - 0.013 * 128) - 0.6 * 128
    assert found[r < -10].mean() == pytest.approx(1, abs=1e-4)
    assert found[r < -10].std() < 5e-4
    assert found.max() < 1.06
    # From a tenth of the way to nine tenths: two pixels at most from one level to the other.
    assert found[r > 0.75].max() < 0.1
    assert found[r < -0.75].min() > 0.9


def test_a_factor_is_one() -> None:
    plain = filtered_backprojection(sinogram(96), HALF, center=47.5)
    found = filtered_backprojection(sinogram(96), HALF, center=47.5, scale=3846.0)
    np.testing.assert_allclose(found, 3846 * plain, atol=1e-5 * found.max())


@pytest.mark.parametrize("center", [38.3, 47.5, 55.0, 61.75])
def test_the_axis_may_be_anywhere(center: float) -> None:
    # Wide enough that nothing is cut off.
    shifted = sinogram(140, center=center + 20)
    found = filtered_backprojection(shifted, HALF, center=center + 20, size=96)
    assert error(found, 96) < 0.06


def test_each_slice_may_have_its_axis() -> None:
    centers = np.array([[40.25, 47.5], [55.6, 47.5]])
    stack = np.stack([[sinogram(128, center=c + 16) for c in row] for row in centers])
    found = filtered_backprojection(stack, HALF, center=centers + 16, size=96)
    assert found.shape == (2, 2, 96, 96)
    for row in np.ndindex(2, 2):
        assert error(found[row], 96) < 0.06
        alone = filtered_backprojection(stack[row], HALF, center=centers[row] + 16, size=96)
        np.testing.assert_allclose(found[row], alone, atol=1e-5)


def test_blocks_that_begin_at_even_rows_are_the_same_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    stack = rng.normal(size=(7, 30, 33)).astype("float32")
    angle = np.linspace(0, np.pi, 30, endpoint=False)
    center = np.linspace(15, 17, 7)
    whole = filtered_backprojection(stack, angle, center=center)
    parts = [
        filtered_backprojection(stack[a:b], angle, center=center[a:b])
        for a, b in ((0, 2), (2, 6), (6, 7))
    ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_a_faint_slice_is_not_drowned_by_its_neighbour() -> None:
    faint = sinogram(96)
    found = filtered_backprojection(np.stack([faint, 1e6 * faint]), HALF, center=47.5)
    np.testing.assert_allclose(found[0], found[1] / 1e6, atol=2e-5)


# --- angles -------------------------------------------------------------------------------------
def test_full_and_half_circles_are_the_same() -> None:
    full = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    closed = np.linspace(0, np.pi, 181)
    turned = -HALF[::-1] + 7 * np.pi
    for angle in (full, closed, turned):
        found = filtered_backprojection(sinogram(96, angle), angle, center=47.5)
        assert error(found, 96) < 0.06


@given(seed=st.integers(0, 1000))
@LAW
def test_any_subset_of_angles_in_any_order_keeps_the_scale(seed: int) -> None:
    rng = np.random.default_rng(seed)
    angle = rng.permutation(np.sort(rng.uniform(0, 2 * np.pi, 500))[rng.random(500) > 0.3])
    disc = ((0.7, 0.5, 0.5, 0.0, 0.0, 0.0),)
    found = filtered_backprojection(sinogram(96, angle, of=disc), angle, center=47.5)
    assert found[inside(96, 20)].mean() == pytest.approx(0.7, rel=0.01)


def test_three_angles_are_enough_for_the_mean() -> None:
    angle = np.deg2rad([10.0, 70.0, 130.0])
    disc = ((0.7, 0.5, 0.5, 0.0, 0.0, 0.0),)
    found = filtered_backprojection(sinogram(96, angle, of=disc), angle, center=47.5)
    assert np.isfinite(found).all()
    assert found[47:49, 47:49].mean() == pytest.approx(0.7, rel=0.05)


def test_projections_that_are_missing_are_left_out() -> None:
    valid = np.ones((2, 180), bool)
    valid[1, 40:46] = False
    stack = np.stack([sinogram(96)] * 2)
    stack[1, 40:46] = np.nan
    stack[1, 42] = np.inf
    weights = angular_weights(HALF, valid=valid)
    found = filtered_backprojection(stack, HALF, center=47.5, weights=weights)
    subset = filtered_backprojection(stack[1, valid[1]], HALF[valid[1]], center=47.5)
    np.testing.assert_allclose(found[1], subset, atol=2e-3)
    assert error(found[0], 96) < error(found[1], 96) < 0.1


@given(angle=st.lists(st.floats(-20, 20), min_size=1, max_size=9))
@LAW
def test_weights_are_the_part_of_the_half_circle_that_is_nearest(angle: list[float]) -> None:
    weights = angular_weights(np.array(angle))
    assert weights.sum() == pytest.approx(np.pi)
    assert (weights >= 0).all()
    direction = np.sort(np.mod(angle, np.pi))
    if np.diff(direction, append=direction[0] + np.pi).min() > 1e-3:
        grid = (np.arange(40000) + 0.5) * np.pi / 40000
        away = np.abs((grid[:, None] - np.array(angle) + np.pi / 2) % np.pi - np.pi / 2)
        count = np.bincount(away.argmin(axis=1), minlength=len(angle))
        np.testing.assert_allclose(weights, count * np.pi / 40000, atol=2e-3)


def test_directions_measured_twice_share_their_part() -> None:
    weights = angular_weights(np.deg2rad([0, 60, 120, 180, 240, 300, 360]))
    np.testing.assert_allclose(weights / np.pi * 9, [1, 1.5, 1.5, 1, 1.5, 1.5, 1])


# --- the pair -----------------------------------------------------------------------------------
def test_projections_are_the_line_integrals() -> None:
    found = project(truth(96), HALF)
    wanted = sinogram(96)
    assert found.dtype == np.float32
    assert np.sqrt(np.mean((found - wanted) ** 2)) < 0.01 * wanted.max()
    np.testing.assert_allclose(found.sum(axis=1), truth(96).sum(), rtol=1e-3)


def test_projections_know_sizes_and_centres() -> None:
    image = np.stack([truth(96)] * 2)[:, 3:-4]
    full = project(np.pad(image[0], ((3, 4), (0, 0))), HALF, size=120, center=53.25)
    # A slice cut by one row more at one end has its axis half a pixel away.
    shift = 0.5 * np.sin(HALF)
    for i, angle in enumerate(HALF[::30]):
        one = project(image, HALF[::30][i : i + 1], size=120, center=53.25 - shift[::30][i])
        assert one.shape == (2, 1, 120)
        np.testing.assert_allclose(one[1], full[::30][i : i + 1], atol=0.02 * full.max())
        assert angle == HALF[::30][i]


@given(data=st.data())
@LAW
def test_back_projection_is_the_adjoint_of_projection(data: st.DataObject) -> None:
    sizes = [data.draw(st.integers(1, 40)) for _ in range(4)]
    height, width, columns, angles = sizes
    center = data.draw(st.floats(0, columns - 1))
    rng = np.random.default_rng(sum(sizes))
    image = rng.normal(size=(2, height, width)).astype("float32")
    lines = rng.normal(size=(2, angles, columns)).astype("float32")
    angle = rng.uniform(0, 7, angles)
    forward = project(image, angle, size=columns, center=center)
    back = backproject(lines, angle, size=(height, width), center=center)
    one, other = np.vdot(forward, lines), np.vdot(image, back)
    scale = np.linalg.norm(forward) * np.linalg.norm(lines)
    assert abs(one - other) < 1e-5 * scale


def test_the_axis_of_the_pair_may_differ_from_slice_to_slice() -> None:
    image = np.stack([truth(96)] * 3)
    center = np.array([44.2, 60.9, 47.5])
    together = project(image, HALF, size=110, center=center)
    for i in range(3):
        alone = project(image[i], HALF, size=110, center=center[i])
        np.testing.assert_allclose(together[i], alone, atol=1e-5 * alone.max())


# --- plans --------------------------------------------------------------------------------------
def test_plans_are_kept_by_thread_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    real = polar.Polar.__init__

    def count(self: Any, *geometry: Any) -> None:
        built.append(threading.get_ident())
        real(self, *geometry)

    monkeypatch.setattr(polar.Polar, "__init__", count)
    polar.forget()
    lines = np.ones((3, 8, 20), "float32")
    angle = np.arange(8) / 3

    def run(size: int = 20) -> Array:
        return filtered_backprojection(lines, angle, center=9.5, size=size)

    first = run()
    assert len(built) == 1
    np.testing.assert_array_equal(run(), first)
    assert len(built) == 1
    for size in (21, 22, 20):
        run(size)
    assert len(built) == 4
    found: list[Array] = []
    threads = [threading.Thread(target=lambda: found.append(run())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 6
    for one in found:
        np.testing.assert_array_equal(one, first)
    polar.forget()


def test_a_gpu_without_its_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cufinufft", None)
    with pytest.raises(DependencyError, match="cufinufft") as info:
        polar._library(__import__("types").ModuleType("cupy"))
    assert "pip install cufinufft" in str(info.value)


@pytest.mark.real
def test_a_real_slice_is_clean_at_its_axis_only(real: Path) -> None:
    """I13: a bright rod in air. With the axis elsewhere it throws shadows that are below zero."""
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
    lines = xct.minus_log(xct.normalize(ds))["absorbance"].isel(z=67).values
    angle = np.deg2rad(ds["angle"].values)
    below = [
        -np.minimum(filtered_backprojection(lines, angle, center=c, radius=70), 0).sum()
        for c in (82.5, 84.0, 85.5, 87.0, 88.5)
    ]
    assert int(np.argmin(below)) == 2
    assert below[2] < 0.8 * below[0]
    found = filtered_backprojection(lines, angle, center=85.5, radius=70)
    assert found.max() > 20 * np.median(np.abs(found))


# --- sizes at the edge, and bad input -----------------------------------------------------------
@pytest.mark.parametrize("columns", [1, 2, 3, 7, 31])
def test_small_and_constant_sinograms(columns: int) -> None:
    for value in (0, 1, 7):
        flat = np.full((5, columns), value, "uint16")
        found = filtered_backprojection(flat, np.arange(5.0), center=(columns - 1) / 2)
        assert found.shape == (columns, columns)
        assert np.isfinite(found).all()
        assert bool(found.any()) == (value > 0)


def test_pixels_beyond_the_circle_are_zero() -> None:
    found = filtered_backprojection(sinogram(96), HALF, center=47.5, radius=30)
    assert (found[~inside(96, 30)] == 0).all()
    whole = filtered_backprojection(sinogram(96), HALF, center=47.5, radius=np.inf)
    assert (whole != 0).all()
    # A projection is interpolated from fewer of its samples, which is no worse.
    within = inside(96, 30)
    errors = [np.std((one - truth(96))[within]) for one in (found, whole)]
    assert errors[0] == pytest.approx(errors[1], rel=0.1)
    corner = whole[~inside(96, 60)]
    assert abs(corner).max() < 0.03
    # Larger than the detector, and not square.
    large = filtered_backprojection(sinogram(96), HALF, center=47.5, size=(90, 120), radius=np.inf)
    np.testing.assert_allclose(large[:, 12:-12], whole[3:-3], atol=0.02)


def message(kind: type[Exception], function: Any, *args: Any, **more: Any) -> str:
    with pytest.raises(kind) as info:
        function(*args, **more)
    return str(info.value)


def test_bad_input_is_told() -> None:
    lines = np.ones((2, 6, 20), "float32")
    angle = np.arange(6.0)

    def told(*args: Any, kind: type[Exception] = ArgumentError, **more: Any) -> str:
        return message(kind, filtered_backprojection, *args, **{"center": 9.5, **more})

    assert "angles of shape (5,), 6 projections" in told(lines, angle[:5])
    assert "nan at index 2" in told(lines, np.where(angle == 2, np.nan, angle))
    assert "0 angles" in told(lines[:, :0], angle[:0])
    assert "outside the detector" in told(lines, angle, center=20.0)
    assert "between 0 and 19" in told(lines, angle, center=np.array([9.5, -4.0]))
    assert "center=nan" in told(lines, angle, center=np.nan)
    assert "center of shape (3,), batch dims (2,)" in told(lines, angle, center=np.ones(3))
    assert "weights of shape (5,)" in told(lines, angle, weights=np.ones(5))
    assert "weight is not finite" in told(lines, angle, weights=np.full(6, np.nan))
    assert "one pixel or more" in told(lines, angle, size=0)
    assert "did you mean 'hann'?" in told(lines, angle, filter="han", kind=UnknownNameError)
    assert "radius=nan" in told(lines, angle, radius=np.nan)
    lines[1, 3] = np.nan
    text = told(lines, angle)
    assert "slice 1 has values that are not finite" in text
    assert "1 of 6 lines" in text
    assert "index 3" in text
    assert "valid=" in text
    assert "one column or more" in message(ArgumentError, project, lines[0], angle, size=0)
    image = np.full((3, 3), np.inf)
    assert "slice 0 has values" in message(ArgumentError, project, image, angle)
    text = message(ArgumentError, angular_weights, angle, valid=np.zeros((2, 6), bool))
    assert "no valid projection" in text
    text = message(ArgumentError, angular_weights, angle, valid=np.ones(5, bool))
    assert "flags and angles do not match" in text
