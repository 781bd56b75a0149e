"""Slices of many channels from sinograms, against ellipses and repeated scans."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests import ellipses
from zeoarray import xrdct
from zeoarray.errors import ArgumentError, SchemaError, UnknownNameError
from zeoarray.kernels import dense_iterative, projector

Array = np.ndarray[Any, Any]
STEP = 25.0
COLUMNS, HALF = 40, 18.0
FULL = np.arange(80) * 4.5
CHANNELS = np.array([1.0, 0.2, 3.0])
PER_CM = 1e4 / STEP


def lines_of(
    angle: Array = FULL, center: float = 19.62, columns: int = COLUMNS, half: float = HALF,
    of: Any = ellipses.LOPSIDED,
) -> Array:  # fmt: skip
    """(angle, u): the mean over each column, in voxels."""
    middle = 4 * (center + 0.5) - 0.5
    fine = ellipses.project(of, np.deg2rad(angle), 4 * columns, 4 * half, middle)
    return fine.reshape(angle.size, columns, 4).mean(axis=-1) / 4


def scan(lines: Array, angle: Array = FULL, channels: Array = CHANNELS, **coords: Any) -> Any:
    """(z, angle, u) as a dataset with channels, 0 in the middle of u."""
    values = (lines[..., None] * channels).astype("float32")
    layers, _, columns, _ = values.shape
    return xr.Dataset(
        {"intensity": (("z", "angle", "u", "q"), values, {"units": "counts"})},
        {
            "z": ("z", np.arange(layers) * 50.0, {"units": "um"}),
            "angle": ("angle", angle, {"units": "deg"}),
            "u": ("u", (np.arange(columns) - (columns - 1) / 2) * STEP, {"units": "um"}),
            "q": ("q", 1 + 0.1 * np.arange(channels.size), {"units": "1/angstrom"}),
            **coords,
        },
    )


def rms(image: Array, truth: Array, radius: float = 17) -> float:
    """Root mean square error within a circle, as a share of the largest value."""
    y = np.arange(truth.shape[0]) - (truth.shape[0] - 1) / 2
    inside = np.hypot(y[:, None], y) < radius
    return float(np.sqrt(np.mean((image - truth)[inside] ** 2)) / truth.max())


TRUTH = ellipses.sample(ellipses.LOPSIDED, (COLUMNS, COLUMNS), HALF)


# --- where and how much ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "worst"), [("fbp", 0.04), ("sirt", 0.03), ("cgls", 0.03), ("mlem", 0.045)]
)
def test_every_channel_of_a_scan_with_gaps(method: Any, worst: float) -> None:
    """A lost rotation and one frame in twenty lost: as good as without, a voxel in counts/cm."""
    ds = scan(lines_of()[None])
    valid = np.random.default_rng(0).random((1, 80, COLUMNS)) > 0.05
    valid[:, 7] = False
    gaps = ds.assign(valid=(("z", "angle", "u"), valid))
    gaps["intensity"] = gaps["intensity"].where(gaps["valid"])
    options = {"iterations": 40} if method in ("sirt", "mlem") else {}
    whole = xrdct.reconstruct(ds, center=19.62, method=method, **options)
    found = xrdct.reconstruct(gaps, center=19.62, method=method, **options)
    assert found["intensity"].dims == ("z", "y", "x", "q")
    assert found["intensity"].attrs["units"] == "counts/cm"
    for out, channel in itertools.product((whole, found), range(3)):
        image = out["intensity"].values[0, ..., channel] / CHANNELS[channel] / PER_CM
        assert rms(image, TRUTH) < worst
    assert found.attrs["notes"] == ["xrdct.reconstruct: operator dense"]
    assert set(found.data_vars) == {"intensity"} | ({"residual"} if method != "fbp" else set())


def grain_of(sigma: Array, angle: Array = FULL[::8]) -> Any:
    """Few angles, a square grain, and channels with noise of their own."""
    grain = np.zeros((COLUMNS, COLUMNS))
    grain[12:24, 16:30] = 1.0
    clean = projector.project(grain, np.deg2rad(angle), size=COLUMNS, center=19.5)[None]
    ds = scan(clean, angle, np.array([1.0, 50.0]))
    noise = np.random.default_rng(0).normal(size=ds["intensity"].shape) * sigma
    variance = np.broadcast_to(sigma**2, noise.shape).astype("float32")
    ds["variance"] = ds["intensity"].dims, variance
    return ds.assign(intensity=ds["intensity"] + noise.astype("float32")), grain


def test_edges_are_weighed_beside_the_noise_of_each_channel() -> None:
    """One weight is right for channels with signals of 1 and of 50, and so is another unit."""
    ds, grain = grain_of(np.array([0.5, 25.0]))
    given: dict[str, Any] = {"center": 19.5, "method": "tv", "edges": 2.0, "lower": 0.0}
    found = xrdct.reconstruct(ds, **given)
    plain = xrdct.reconstruct(ds, center=19.5, method="sirt", lower=0.0)
    for channel, signal in enumerate((1.0, 50.0)):
        few, plainly = (
            rms(out["intensity"].values[0, ..., channel] / signal / PER_CM, grain)
            for out in (found, plain)
        )
        assert few < min(0.05, 0.6 * plainly)
    other = ds.assign(intensity=3 * ds["intensity"], variance=9 * ds["variance"])
    scaled = xrdct.reconstruct(other, **given)["intensity"] / 3
    np.testing.assert_allclose(scaled, found["intensity"], rtol=1e-3, atol=1e-3 * PER_CM)
    one = xrdct.reconstruct(ds.isel(q=[1]), **given)["intensity"]
    np.testing.assert_allclose(one, found["intensity"][..., 1:], rtol=1e-3, atol=1e-2 * PER_CM)
    largest = xrdct.reconstruct(ds, operator="nufft", **given)["intensity"].values
    assert rms(largest[0, ..., 1] / 50 / PER_CM, grain) < 0.05
    known = xrdct.reconstruct(ds, resamples=20, iterations=40, **given)["variance"].values[0]
    flat = known[14:22, 18:28].mean(axis=(0, 1))
    assert flat[1] / flat[0] == pytest.approx(2500, rel=0.5)
    assert 0 < np.sqrt(flat[0]) < 0.1 * PER_CM


def test_projecting_gives_the_sinogram_back() -> None:
    """The sum over a slice, each voxel `STEP` wide and long, is that over a projection."""
    ds = scan(lines_of()[None])
    found = xrdct.reconstruct(ds, center=19.62)["intensity"].sum(("y", "x")) * STEP * 1e-4
    np.testing.assert_allclose(found[0], ds["intensity"].sum("u").mean("angle")[0], rtol=0.02)


@pytest.mark.parametrize(
    ("rotation", "lateral", "height"), list(itertools.product((1, -1), repeat=3))
)
def test_every_combination_of_senses(rotation: int, lateral: int, height: int) -> None:
    center = 21.0
    in_laboratory = center if lateral > 0 else COLUMNS - 1 - center
    angle = FULL[::2]
    seen = lines_of(rotation * angle, in_laboratory, half=16.0)[None, :, ::lateral]
    senses = {"rotation_sense": rotation, "u_sense": lateral, "z_sense": height}
    ds = scan(seen, angle, **senses)
    found = xrdct.reconstruct(ds, center=center)["intensity"].values[0, ..., 0]
    # With z the other way round, y is: turned about x, not mirrored.
    truth = ellipses.sample(ellipses.LOPSIDED, (COLUMNS, COLUMNS), 16.0)[::height]
    image = found / PER_CM
    assert rms(image, truth) < 0.08
    assert min(rms(o, truth) for o in (image[::-1], image[:, ::-1], image.T)) > 0.15


def test_positions_and_the_axis_layer_by_layer() -> None:
    centers = np.array([18.5, 21.25])
    lines = np.stack([lines_of(FULL[::2], c, half=15.0) for c in centers])
    um = (centers - 19.5) * STEP
    ds = scan(
        lines, FULL[::2], axis_u=("z", um, {"units": "um"}), resolution=((), 25.0, {"units": "um"})
    )
    node = xr.Dataset({"axis_u": ds["axis_u"].variable}, {"z": ds["z"].variable})
    truth = ellipses.sample(ellipses.LOPSIDED, (COLUMNS, COLUMNS), 15.0)
    for out in (xrdct.reconstruct(ds), xrdct.reconstruct(ds.drop_vars("axis_u"), axis=node)):
        np.testing.assert_allclose(out["axis_u"], um)
        for image in out["intensity"].values[..., 0] / PER_CM:
            assert rms(image, truth) < 0.08
        assert np.diff(out["x"]) == pytest.approx(STEP)
        assert float(out["x"].mean()) == pytest.approx(0)
    small = xrdct.reconstruct(ds, size=21, circle=0.5)
    image = small["intensity"].values[0, ..., 0]
    assert image.shape == (21, 21)
    assert not image[:4].any()
    assert image[10, 8:13].any()


def test_both_operators_are_one() -> None:
    other = lines_of(FULL[::4], 9.4, 20, 9.0, ellipses.SHEPP_LOGAN[:2])
    ds = scan(np.stack([lines_of(FULL[::4], 9.4, 20, 9.0), other]), FULL[::4])
    valid = np.random.default_rng(1).random((2, 20, 20)) > 0.05
    valid[1, 3:6] = False
    ds["valid"] = (("z", "angle", "u"), valid)
    ds["intensity"] = ds["intensity"].where(ds["valid"])
    options: dict[str, Any] = {"center": 9.4, "filter": "hann"}
    one = xrdct.reconstruct(ds, operator="dense", **options)
    other = xrdct.reconstruct(ds, operator="nufft", **options)
    largest = float(abs(one["intensity"]).max())
    np.testing.assert_allclose(other["intensity"], one["intensity"], atol=2e-3 * largest)
    assert other.attrs["notes"] == ["xrdct.reconstruct: operator nufft"]
    for method in ("sirt", "cgls", "mlem"):
        run = {"center": 9.4, "method": method, "iterations": 8}
        one = xrdct.reconstruct(ds, operator="dense", **run)["intensity"].values
        other = xrdct.reconstruct(ds, operator="nufft", **run)["intensity"].values
        # SIRT divides by lengths that the two take a little differently.
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99


# --- error bars -----------------------------------------------------------------------------------
def noisy(draws: int, angles: int = 24, columns: int = 16) -> tuple[xr.Dataset, xr.Dataset]:
    """As many scans of counts, a channel each, with their variance; and the mean of them all."""
    angle = np.arange(angles) * 360.0 / angles
    mean = 60 * lines_of(angle, 7.6, columns, 7.0)[None] + 40
    many = scan(mean, angle, np.ones(draws))
    expected = many["intensity"].values
    counts = np.random.default_rng(7).poisson(expected).astype("float32")
    known = many.assign(variance=many["intensity"].drop_attrs(deep=False))
    return known.assign(intensity=many["intensity"].copy(data=counts)), known.isel(q=[0])


def test_pulls_have_the_width_1() -> None:
    ds, mean = noisy(200)
    found, truth = xrdct.reconstruct(ds, center=7.6), xrdct.reconstruct(mean, center=7.6)
    off = found["intensity"].values - truth["intensity"].values
    inside = truth["variance"].values[0, ..., 0] > 0
    pull = (off / np.sqrt(found["variance"].where(found["variance"] > 0)).values)[0][inside]
    assert pull.std() == pytest.approx(1, abs=0.05)
    assert pull.std(axis=-1) == pytest.approx(1, abs=0.25)
    assert pull.mean() == pytest.approx(0, abs=0.05)
    assert found["variance"].attrs["units"] == "(counts/cm)^2"


@pytest.mark.parametrize("method", ["sirt", "mlem"])
def test_pulls_of_resampled_methods(method: Any) -> None:
    ds, _ = noisy(200)
    options: dict[str, Any] = {"center": 7.6, "method": method, "iterations": 8}
    spread = xrdct.reconstruct(ds, **options)["intensity"].values.std(axis=-1)
    # Of the counts themselves, as of a measured scan.
    few = ds.isel(q=slice(8)).assign(
        variance=ds["intensity"].isel(q=slice(8)).drop_attrs(deep=False)
    )
    found = xrdct.reconstruct(few, resamples=50, seed=1, **options)
    ratio = np.sqrt(found["variance"].values.mean(axis=-1)) / np.where(spread > 0, spread, np.nan)
    assert np.nanmean(ratio) == pytest.approx(1, abs=0.05)


def test_draws_are_the_same_in_whatever_block_a_layer_comes() -> None:
    ds = scan(np.repeat(60 * lines_of(FULL[::8], 7.6, 16, 7.0)[None] + 40, 3, axis=0), FULL[::8])
    ds["variance"] = ds["intensity"].drop_attrs(deep=False)
    options: dict[str, Any] = {"center": 7.6, "method": "sirt", "iterations": 4, "resamples": 4}
    whole = xrdct.reconstruct(ds, **options)["variance"]
    block = xrdct.reconstruct(ds.isel(z=slice(1, 3)), **options)["variance"]
    np.testing.assert_array_equal(whole[1:], block)
    lazily = xrdct.reconstruct(ds.chunk(z=1, q=1), **options)["variance"]
    np.testing.assert_array_equal(whole, lazily.compute(scheduler="synchronous"))
    # Layers that are alike have draws of their own.
    assert not np.array_equal(whole[0], whole[1])
    other = xrdct.reconstruct(ds, seed=5, **options)["variance"]
    assert not np.array_equal(whole, other)


# --- bad input ------------------------------------------------------------------------------------
def told(of: xr.Dataset, kind: type[Exception] = ArgumentError, **options: Any) -> str:
    with pytest.raises(kind) as info:
        xrdct.reconstruct(of, **options)
    return str(info.value)


def test_bad_scans_are_told() -> None:
    ds = scan(lines_of(FULL[::8], 7.6, 16, 7.0)[None], FULL[::8])
    ds["variance"] = ds["intensity"].drop_attrs(deep=False)
    run: dict[str, Any] = {"center": 7.6}
    text = told(ds.isel(angle=[2]), **run)
    assert "a slice cannot be told from one direction" in text
    assert "1 rotations" in text
    assert "2 rotations, all in one direction" in told(ds.isel(angle=[0, 5]), **run)
    short = ds.drop_vars(["angle"]).assign_coords(angle=("frame", FULL, {"units": "deg"}))
    assert "the dims (frame)" in told(short, SchemaError, **run)
    lost = ds.assign_coords(angle=("angle", np.r_[np.nan, FULL[8::8]], {"units": "deg"}))
    assert "nan at index 0" in told(lost, **run)
    none = ds.assign(valid=(("z", "angle", "u"), np.zeros((1, 10, 16), bool)))
    assert "no valid measurement" in told(none, **run)
    assert "no valid measurement" in told(none, method="mlem", **run)
    nan = ds.copy(deep=True)
    nan["intensity"][0, 3, 4, 1] = np.nan
    assert "nan at angle 3, u 4, q 1" in told(nan, **run)
    assert "not finite" in told(nan, method="cgls", **run)
    negative = ds.assign(variance=ds["variance"] - 5)
    assert "the variance of slice 0 is negative" in told(negative, **run)
    assert "is negative" in told(negative, method="mlem", **run)
    assert "outside the detector" in told(ds, center=30.0)
    turned = ds.assign_coords(rotation_sense=3)
    assert "'rotation_sense' is a sense" in told(turned, SchemaError, **run)
    uneven = ds.assign_coords(u=("u", ds["u"].values ** 3, {"units": "um"}))
    assert "do not ascend evenly" in told(uneven, SchemaError, **run)
    assert "do not ascend evenly" in told(ds.isel(u=[3]), SchemaError, **run)
    assert "no 'intensity'" in told(ds.drop_vars("intensity"), SchemaError, **run)


@pytest.mark.parametrize("method", ["sirt", "cgls", "mlem"])
def test_a_beam_as_wide_as_its_steps_is_modelled(method: str) -> None:
    """The width is in um, as `u` is; the kernel's own test says what it is good for."""
    lines = lines_of(FULL[::4], 7.6, 16, 7.0)[None]
    given: dict[str, Any] = {"center": 7.6, "method": method, "iterations": 4}
    found = xrdct.reconstruct(scan(lines, FULL[::4]), beam=1.2 * STEP, **given)
    values = (lines[..., None] * CHANNELS).astype("float32")
    expected, left = dense_iterative.reconstruct(
        values, np.deg2rad(FULL[::4]), beam=1.2, radius=8.0, **given
    )
    np.testing.assert_allclose(found["intensity"] / PER_CM, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["residual"], left, rtol=1e-5)
    thin = xrdct.reconstruct(scan(lines, FULL[::4]), **given)
    assert rms(found["intensity"].values[0, ..., 0], thin["intensity"].values[0, ..., 0], 7) > 0.01


def test_bad_options_are_told() -> None:
    ds = scan(lines_of(FULL[::8], 7.6, 16, 7.0)[None], FULL[::8])
    run: dict[str, Any] = {"center": 7.6}
    assert "where the rotation axis is, is not known" in told(ds)
    node = xr.Dataset({"axis_u": ("z", [0.0, 1.0], {"units": "um"})},
                      {"z": ("z", [900.0, 950.0], {"units": "um"})})  # fmt: skip
    assert "given twice" in told(ds, axis=node, **run)
    assert "not measured at all layers" in told(ds, axis=node)
    assert "has no 'axis_u'" in told(ds, SchemaError, axis=node.rename(axis_u="place"))
    text = told(ds, method="sirt", filter="hann", **run)
    assert "method 'sirt' has no 'filter'" in text
    assert "method='fbp'" in text
    assert "method 'fbp' has no 'resamples'" in told(ds, resamples=3, **run)
    assert "has no 'lower'" in told(ds, method="mlem", lower=0.0, **run)
    assert "how much edges count" in told(ds, method="tv", **run)
    assert "beside the noise of each channel" in told(ds, method="tv", edges=1.0, **run)
    assert "method 'fbp' has no 'beam'" in told(ds, beam=25.0, **run)
    assert "a beam has a width" in told(ds, method="cgls", beam=0.0, **run)
    text = told(ds, method="cgls", beam=25.0, operator="nufft", **run)
    assert "rays without width" in text
    assert "two draws or more" in told(ds, method="mlem", resamples=1, **run)
    assert "a seed is that of resamples" in told(ds, method="mlem", seed=1, **run)
    assert "without their variance" in told(ds, method="mlem", resamples=4, **run)
    assert "share of half the slice" in told(ds, circle=0.0, **run)
    assert "no parameter 'centre'" in told(ds, UnknownNameError, centre=3)
    assert "parameter 'operator'" in told(ds, operator="sparse", **run)
    ds["variance"] = ds["intensity"].drop_attrs(deep=False)
    assert "the same for all channels" in told(ds, method="tv", edges=1.0, lower=1.0, **run)
    assert "the operator 'nufft' has no variance" in told(ds, operator="nufft", **run)
    text = told(ds, operator="nufft", method="sirt", resamples=4, **run)
    assert "resamples" in text


def test_large_grids_take_the_other_operator() -> None:
    """Nothing of it is computed: 400 angles of 200 positions would be an operator of 10 GB."""
    angle = np.arange(400) * 0.45
    ds = scan(np.zeros((1, 400, 200)), angle, np.ones(1)).chunk(z=1)
    assert xrdct.reconstruct(ds, center=99.5).attrs["notes"][-1].endswith("nufft")
    ds["variance"] = ds["intensity"].drop_attrs(deep=False)
    text = told(ds, center=99.5)
    assert "taken for an operator above 536,870,912 bytes" in text
    assert "ds.drop_vars('variance')" in text
