"""Attenuation from absorbance, against ellipses: their slices and projections are known exactly."""

from __future__ import annotations

import itertools
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

from tests import ellipses
from zeoarray import xct
from zeoarray.errors import ArgumentError, SchemaError, UnknownNameError

Array = np.ndarray[Any, Any]
PIXEL = 2.6
PER_CM = 1e4 / PIXEL
HALF_CIRCLE = np.linspace(0, 180, 120, endpoint=False)
DISC = ((0.01, 0.5, 0.5, 0.1, 0.2, 0.0),)


def scan(lines: Array, angle: Array = HALF_CIRCLE, *, z: Array | None = None, **coords: Any) -> Any:
    """(angle, z, u) as a dataset, 0 in the middle of u."""
    rows, columns = lines.shape[1:]
    place = {
        "angle": ("angle", angle, {"units": "deg"}),
        "z": ("z", np.arange(rows) * PIXEL if z is None else z, {"units": "um"}),
        "u": ("u", (np.arange(columns) - (columns - 1) / 2) * PIXEL, {"units": "um"}),
        "resolution": ((), PIXEL, {"units": "um"}),
    }
    values = (("angle", "z", "u"), lines.astype("float32"), {"units": "1"})
    return xr.Dataset({"absorbance": values}, place | coords)


def axis_node(z: Array, place: Any) -> xr.Dataset:
    """What a measure of the axis gives."""
    axis = ("z", np.broadcast_to(place, z.shape).astype(float), {"units": "um"})
    return xr.Dataset({"axis_u": axis}, {"z": ("z", z, {"units": "um"})})


def lines_of(
    of: Any, angle: Array = HALF_CIRCLE, columns: int = 96, half: float = 44, center: Any = None
) -> Array:
    middle = (columns - 1) / 2 if center is None else center
    return ellipses.project(of, np.deg2rad(angle), columns, half, middle)


def inside(size: int, radius: float) -> Array:
    y = np.arange(size) - (size - 1) / 2
    return np.hypot(y[:, None], y) <= radius


# --- where and how much -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("rotation", "lateral", "height"), list(itertools.product((1, -1), repeat=3))
)
def test_every_combination_of_senses(rotation: int, lateral: int, height: int) -> None:
    """Two slices that differ, at heights -1 and 1 of the laboratory."""
    columns, axis = 96, 50.0
    upper = tuple((2 * v, 0.8 * a, b, x, -y, 0.3 + t) for v, a, b, x, y, t in ellipses.LOPSIDED)
    slices = {-1: ellipses.LOPSIDED, 1: upper}
    z = np.array([-1.0, 1.0])
    lines = np.empty((HALF_CIRCLE.size, 2, columns))
    for i, at in enumerate(z):
        # u of the laboratory is `lateral` times what was recorded, from the axis.
        center = axis if lateral > 0 else columns - 1 - axis
        seen = lines_of(slices[int(height * at)], rotation * HALF_CIRCLE, center=center, half=40)
        lines[:, i] = seen[:, ::lateral]
    senses = {"rotation_sense": rotation, "u_sense": lateral, "z_sense": height}
    found = xct.reconstruct(scan(lines, z=z, **senses), center=axis, circle=0.9)
    # With z the other way round, y is: turned about x, not mirrored.
    for i, at in enumerate(z):
        truth = ellipses.sample(slices[int(height * at)], (columns, columns), 40)[::height]
        image = found["attenuation"].values[i] / PER_CM
        within = inside(columns, 42)
        assert np.sqrt(np.mean((image - truth)[within] ** 2)) < 0.12
        for other in (image[::-1], image[:, ::-1], image.T, image[::-1, ::-1]):
            assert np.sqrt(np.mean((other - truth)[within] ** 2)) > 0.25
    assert found["z"].values.tolist() == z.tolist()
    assert "rotation_sense" not in found.variables


@pytest.mark.parametrize(("columns", "size"), [(96, None), (97, None), (101, 64), (96, 121)])
def test_units_and_positions(columns: int, size: int | None) -> None:
    """A disc of 0.01 a pixel is one of 38.5 a centimetre in pixels of 2.6 um."""
    ds = scan(np.repeat(lines_of(DISC, columns=columns)[:, None], 2, axis=1))
    found = xct.reconstruct(ds, center=(columns - 1) / 2, size=size, circle=1.2)
    image, pixels = found["attenuation"], size or columns
    assert image.dims == ("z", "y", "x")
    assert image.shape == (2, pixels, pixels)
    assert image.dtype == np.float32
    assert image.attrs["units"] == "1/cm"
    for dim in ("y", "x"):
        assert found[dim].values[(pixels - 1) // 2 : pixels // 2 + 1].mean() == pytest.approx(0)
        assert np.diff(found[dim].values) == pytest.approx(PIXEL)
    away = np.hypot(found["y"] - 0.2 * 44 * PIXEL, found["x"] - 0.1 * 44 * PIXEL)
    assert float(image.where(away < 18 * PIXEL).mean()) == pytest.approx(0.01 * PER_CM, rel=2e-3)
    assert float(found["resolution"]) == PIXEL
    assert bool(found["offset_known"])


def test_the_axis_by_index_by_node_and_by_coordinate() -> None:
    lines = np.repeat(lines_of(DISC, center=51.25)[:, None], 4, axis=1)
    ds = scan(lines)
    um = float(ds["u"].values[0] + 51.25 * PIXEL)
    by_index = xct.reconstruct(ds, center=51.25)
    node = axis_node(np.array([-5.0, 50.0]), um)
    for other in (
        xct.reconstruct(ds, axis=node),
        xct.reconstruct(ds.assign_coords(axis_u=("z", np.full(4, um), {"units": "um"}))),
    ):
        np.testing.assert_allclose(other["attenuation"], by_index["attenuation"], atol=2e-4)
        np.testing.assert_allclose(other["axis_u"], um)
    # Positions count, not indices: a scan cropped along u has its axis where it was.
    cropped = xct.reconstruct(ds.isel(u=slice(3, None)), axis=node, size=96)
    np.testing.assert_allclose(cropped["attenuation"], by_index["attenuation"], atol=0.5)


def test_a_tilted_axis() -> None:
    z = np.arange(5) * PIXEL
    centers = 47.5 + np.linspace(-3, 3, 5)
    lines = np.stack([lines_of(DISC, center=c) for c in centers], axis=1)
    um = (centers - 47.5) * PIXEL
    found = xct.reconstruct(scan(lines), axis=axis_node(z[[0, -1]], um[[0, -1]]))
    upright = xct.reconstruct(scan(lines_of(DISC)[:, None]), center=47.5)
    for image in found["attenuation"].values:
        error = (image - upright["attenuation"].values[0])[inside(96, 40)]
        assert np.sqrt(np.mean(error**2)) < 0.06 * 0.01 * PER_CM
    taken_as_upright = xct.reconstruct(scan(lines), center=47.5)["attenuation"].values[0]
    error = (taken_as_upright - upright["attenuation"].values[0])[inside(96, 40)]
    assert np.sqrt(np.mean(error**2)) > 0.12 * 0.01 * PER_CM
    np.testing.assert_allclose(found["axis_u"], um)


def test_outside_the_circle_is_what_is_asked() -> None:
    ds = scan(lines_of(DISC)[:, None])
    outside = ~inside(96, 0.95 * 48)
    for fill in (0.0, -1.5, np.nan):
        image = xct.reconstruct(ds, center=47.5, fill=fill)["attenuation"].values[0]
        np.testing.assert_array_equal(image[outside], np.float32(fill))
        assert np.isfinite(image[~outside]).all()
    whole = xct.reconstruct(ds, center=47.5, circle=None)["attenuation"].values
    assert (whole != 0).all()


# --- angles -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "angle",
    [
        np.linspace(0, 360, 240, endpoint=False),
        np.linspace(0, 180, 121),
        np.delete(np.linspace(0, 180, 180, endpoint=False), np.r_[30:34, 100]),
        np.sort(np.random.default_rng(0).uniform(0, 360, 300)),
        np.random.default_rng(1).permutation(HALF_CIRCLE),
    ],
    ids=["full", "closed", "gaps", "irregular", "unordered"],
)
def test_any_angles(angle: Array) -> None:
    found = xct.reconstruct(scan(lines_of(DISC, angle)[:, None], angle), center=47.5)
    away = np.hypot(found["y"] - 0.2 * 44 * PIXEL, found["x"] - 0.1 * 44 * PIXEL)
    within = found["attenuation"].where(away < 18 * PIXEL)
    assert float(within.mean()) == pytest.approx(0.01 * PER_CM, rel=0.01)


def test_three_angles_and_one() -> None:
    disc = ((0.01, 0.5, 0.5, 0.0, 0.0, 0.0),)
    for angle in (np.array([10.0, 70.0, 130.0]), np.array([40.0])):
        found = xct.reconstruct(scan(lines_of(disc, angle)[:, None], angle), center=47.5)
        image = found["attenuation"].values[0]
        assert np.isfinite(image).all()
        assert image[47:49, 47:49].mean() == pytest.approx(0.01 * PER_CM, rel=0.05)


# --- blocks -------------------------------------------------------------------------------------
def noisy(rows: int, columns: int = 30, angles: int = 14) -> Any:
    lines = np.random.default_rng(3).normal(size=(angles, rows, columns))
    return scan(lines, np.linspace(0, 180, angles, endpoint=False))


@pytest.mark.parametrize("truncation", ["zero", "edge"])
def test_a_block_is_those_rows_of_the_whole_to_the_bit(truncation: Any) -> None:
    ds = noisy(35)
    node = axis_node(ds["z"].values, np.linspace(-6, 6, 35))
    options: dict[str, Any] = {"axis": node, "noise": "halves", "truncation": truncation}
    whole = xct.reconstruct(ds, **options)
    for rows in (slice(16, 32), slice(2, 35), slice(0, 4)):
        part = xct.reconstruct(ds.isel(z=rows), **options)
        xr.testing.assert_identical(part.drop_attrs(), whole.isel(z=rows).drop_attrs())
    # Dask blocks of three rows are joined until they hold pairs.
    with dask.config.set(scheduler="synchronous"):
        cut = xct.reconstruct(ds.chunk(z=3, angle=5), **options)
        assert cut["attenuation"].chunks is not None
        np.testing.assert_array_equal(cut["attenuation"], whole["attenuation"])
        np.testing.assert_array_equal(cut["noise"], whole["noise"])


# --- truncated projections ----------------------------------------------------------------------
# A region of 120 columns in a sample of 280: solid, with discs in the region that differ.
SAMPLE = (
    (0.004, 0.95, 0.80, 0.02, -0.03, 0.2),
    (0.002, 0.12, 0.09, 0.10, 0.08, 0.5),
    (-0.003, 0.08, 0.10, -0.14, 0.05, 0.0),
    (0.003, 0.15, 0.15, 0.60, 0.30, 0.0),
)
HALF, SEEN, WIDE = 140.0, 120, 4


@pytest.fixture(scope="module")
def region() -> tuple[xr.Dataset, xr.Dataset, Array]:
    """The scan, a full-field volume with voxels four times as large, and the truth per pixel."""
    angle = np.linspace(0, 180, 400, endpoint=False)
    lines = lines_of(SAMPLE, angle, SEEN, HALF, center=61.3)
    coarse = ellipses.sample(SAMPLE, (76, 76), HALF / WIDE) * PER_CM
    place = (np.arange(76) - 37.5) * WIDE * PIXEL
    um = {"units": "um"}
    volume = xr.Dataset(
        {"attenuation": (("z", "y", "x"), np.stack([coarse] * 2).astype("float32"),
                         {"units": "1/cm"})},
        {"z": ("z", [-10.0, 20.0], um), "y": ("y", place, um), "x": ("x", place, um),
         "resolution": ((), WIDE * PIXEL, um)},
    )  # fmt: skip
    ds = scan(np.stack([lines] * 2, axis=1), angle)
    return ds, volume, ellipses.sample(SAMPLE, (SEEN, SEEN), HALF)


def levels(found: xr.Dataset, truth: Array) -> tuple[float, float, float]:
    """Relative error of the solid, and contrast of the brighter and the darker disc over true."""
    image = found["attenuation"].values[0] / PER_CM
    place = (np.arange(SEEN) - (SEEN - 1) / 2) / HALF
    y, x = place[:, None], place[None, :]
    bright, dark = np.hypot(y - 0.08, x - 0.1) < 0.07, np.hypot(y - 0.05, x + 0.14) < 0.06
    solid = inside(SEEN, 55) & (truth > 0.0039) & (truth < 0.0041)
    level = image[solid].mean()
    return (
        level / 0.004 - 1,
        (image[bright].mean() - level) / 0.002,
        (image[dark].mean() - level) / -0.003,
    )


def test_a_region_completed_from_the_whole_is_absolute(region: Any) -> None:
    ds, volume, truth = region
    found = xct.reconstruct(ds, center=61.3, complete_from=volume)
    solid, bright, dark = levels(found, truth)
    assert abs(solid) < 0.01
    assert bright == pytest.approx(1, abs=0.03)
    assert dark == pytest.approx(1, abs=0.03)
    assert bool(found["offset_known"])
    # Also where the volume is off by some percent, or is cropped and not symmetric.
    for other in (volume * 1.05, volume.isel(x=slice(2, None), y=slice(0, -3))):
        rescaled = other.assign(attenuation=other["attenuation"].assign_attrs(units="1/cm"))
        solid, bright, _ = levels(
            xct.reconstruct(ds, center=61.3, complete_from=rescaled), truth
        )  # fmt: skip
        assert abs(solid) < 0.03
        assert bright == pytest.approx(1, abs=0.05)


def test_a_region_alone_has_contrast_and_says_that_its_offset_is_unknown(region: Any) -> None:
    ds, _, truth = region
    found = xct.reconstruct(ds, center=61.3, truncation="edge")
    _, bright, dark = levels(found, truth)
    assert bright == pytest.approx(1, abs=0.1)
    assert dark == pytest.approx(1, abs=0.1)
    assert not bool(found["offset_known"])
    assert "offset of each slice is undetermined" in found.attrs["notes"][-1]
    # Taken for all of the sample, there is a rim and a bowl.
    taken_for_all = xct.reconstruct(ds, center=61.3)["attenuation"].values[0] / PER_CM
    continued = found["attenuation"].values[0] / PER_CM
    within = inside(SEEN, 56)
    error = [np.std((image - truth)[within]) for image in (continued, taken_for_all)]
    assert error[0] < 0.05 * 0.004 < 0.3 * error[1]


def test_completion_is_cut_into_blocks_and_lazy(region: Any) -> None:
    ds, volume, _ = region
    options: dict[str, Any] = {"complete_from": volume, "size": 40}
    node = axis_node(ds["z"].values, (np.array([61.3, 60.1]) - 59.5) * PIXEL)
    whole = xct.reconstruct(ds, axis=node, **options)
    cut = xct.reconstruct(ds.chunk(z=1), axis=node, **options)
    assert cut["attenuation"].chunks is not None
    lazily = xct.reconstruct(ds.chunk(z=1), axis=node, size=40, complete_from=volume.chunk(z=1))
    for other in (cut, lazily):
        np.testing.assert_array_equal(
            other["attenuation"].compute(scheduler="synchronous"), whole["attenuation"]
        )
    # As many columns are added to a block as to the whole: what differs is rounding.
    for i in range(2):
        alone = xct.reconstruct(ds.isel(z=[i]), axis=node, **options)["attenuation"].values[0]
        np.testing.assert_allclose(alone, whole["attenuation"].values[i], atol=1e-4)


# --- noise --------------------------------------------------------------------------------------
@pytest.mark.parametrize("full", [False, True])
def test_noise_is_that_of_repeated_scans(full: bool) -> None:
    angle = np.linspace(0, 360 if full else 180, 300, endpoint=False)
    rng = np.random.default_rng(11)
    lines = lines_of(ellipses.LOPSIDED, angle, half=36) * 0.01
    scans = lines[:, None] + 0.02 * rng.normal(size=(angle.size, 16, 96))
    found = xct.reconstruct(scan(scans, angle), center=47.5, noise="halves", filter="shepp-logan")
    spread = found["attenuation"].values[:, inside(96, 0.95 * 48)].std(axis=0, ddof=1)
    wanted = np.sqrt(np.mean(spread**2))
    assert found["noise"].attrs["units"] == "1/cm"
    np.testing.assert_allclose(found["noise"], wanted, rtol=0.1)
    one = xct.reconstruct(scan(scans[:1], angle[:1]), center=47.5, noise="halves")
    assert np.isnan(one["noise"]).all()


# --- iterations ---------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["sirt", "cgls", "mlem", "osem"])
def test_iterative_methods_have_the_same_scale_and_say_what_is_left(method: Any) -> None:
    angle = np.linspace(0, 180, 60, endpoint=False)
    lines = lines_of(DISC, angle, columns=64, half=30)[:, None]
    lines[0, 0, :3] = -1e-4
    ds = scan(np.concatenate([lines, lines], axis=1), angle)
    more = {"subsets": 4} if method == "osem" else {}
    found = xct.reconstruct(ds, center=31.5, method=method, iterations=12, **more)
    away = np.hypot(found["y"] - 0.2 * 30 * PIXEL, found["x"] - 0.1 * 30 * PIXEL)
    inner = found["attenuation"].where(away < 10 * PIXEL)
    assert float(inner.mean()) == pytest.approx(0.01 * PER_CM, rel=0.05)
    curve = found["residual"].values
    assert curve.shape == (2, 12)
    assert np.nanmin(curve, axis=1) == pytest.approx(curve[:, ~np.isnan(curve[0])][:, -1])


def test_what_stops_iterations_is_handed_over() -> None:
    ds = scan(lines_of(DISC, columns=64, half=30)[:, None])
    bounded = xct.reconstruct(ds, center=31.5, method="sirt", iterations=5, lower=0.0)
    assert float(bounded["attenuation"].min()) >= 0
    early = xct.reconstruct(ds, center=31.5, method="sirt", iterations=50, residual=0.2)
    assert np.isnan(early["residual"].values[0, -1])
    assert np.nanmin(early["residual"]) <= 0.2
    count = xct.reconstruct(ds, center=31.5, method="mlem", iterations=30, residual=1e9)
    assert np.isfinite(count["residual"]).sum() == 1


def test_total_variation_has_the_same_scale_in_any_block() -> None:
    angle = np.linspace(0, 180, 15, endpoint=False)
    lines = np.repeat(lines_of(DISC, angle, columns=64, half=30)[:, None], 3, axis=1)
    lines[:, 1:] += np.random.default_rng(4).normal(size=lines[:, 1:].shape) * 0.003
    ds = scan(lines, angle)
    more: dict[str, Any] = {"center": 31.5, "method": "tv", "weight": 0.02, "iterations": 60}
    found = xct.reconstruct(ds, lower=0.1, **more)
    away = np.hypot(found["y"] - 0.2 * 30 * PIXEL, found["x"] - 0.1 * 30 * PIXEL)
    inner = found["attenuation"].where(away < 10 * PIXEL)
    np.testing.assert_allclose(inner.mean(("y", "x")), 0.01 * PER_CM, rtol=0.03)
    within = xr.DataArray(inside(64, 30), dims=("y", "x"))
    least = found["attenuation"].where(within).min()
    assert float(least) == pytest.approx(0.1, rel=1e-4)
    assert "residual" not in found
    curve = found["objective"].values
    assert curve.shape == (3, 60)
    assert (np.diff(curve[0][np.isfinite(curve[0])]) <= 0).all()
    assert found["objective"].attrs["units"] == "1"
    for rows in (slice(0, 1), slice(1, 3)):
        block = xct.reconstruct(ds.isel(z=rows), lower=0.1, **more)
        for name in ("attenuation", "objective"):
            np.testing.assert_array_equal(block[name], found[name].isel(z=rows))


# --- bad input ----------------------------------------------------------------------------------
def test_bad_input_is_told(region: Any) -> None:
    ds = noisy(2)

    def told(of: xr.Dataset = ds, kind: type[Exception] = ArgumentError, **options: Any) -> str:
        with pytest.raises(kind) as info:
            xct.reconstruct(of, **options)
        return str(info.value)

    text = told()
    assert "where the rotation axis is, is not known" in text
    assert "center=, a fractional index of u" in text
    node = axis_node(ds["z"].values, 0.0)
    assert "given twice" in told(axis=node, center=3.0)
    far = node.assign_coords(z=("z", node["z"].values + 500, {"units": "um"}))
    assert "not measured at all rows" in told(axis=far)
    assert "has no 'axis_u'" in told(axis=node.rename(axis_u="place"), kind=SchemaError)
    assert "outside the detector" in told(center=30.0)
    text = told(center=14.5, method="sirt", filter="ramp")
    assert "method 'sirt' has no 'filter'" in text
    assert "method='fbp'" in text
    assert "has no 'subsets'" in told(center=14.5, subsets=3)
    assert "has no 'noise'" in told(center=14.5, method="cgls", noise="halves")
    text = told(center=14.5, method="tv")
    assert "method 'tv' needs to know how much edges count" in text
    assert "weight=0.4" in text
    assert "got:      weight=-1.0" in told(center=14.5, method="tv", weight=-1.0)
    assert "has no 'weight'" in told(center=14.5, method="sirt", weight=1.0)
    assert "has no 'residual'" in told(center=14.5, method="tv", weight=1.0, residual=0.1)
    assert "parameter 'filter'" in told(center=14.5, filter="hannn")
    assert "no parameter 'centre'" in told(kind=UnknownNameError, centre=14.5)
    assert "'circle' is a share of half the slice" in told(center=14.5, circle=0.0)
    uneven = ds.assign_coords(u=("u", ds["u"].values ** 3, {"units": "um"}))
    assert "do not ascend evenly" in told(uneven, SchemaError, center=14.5)
    assert "no 'angle'" in told(ds.drop_vars("angle"), SchemaError, center=14.5)
    text = told(ds.assign_coords(rotation_sense=0), SchemaError, center=14.5)
    assert "'rotation_sense' is a sense" in text
    angle = ds["angle"].values.copy()
    angle[4] = np.nan
    lost = ds.assign_coords(angle=("angle", angle, {"units": "deg"}))
    assert "nan at index 4" in told(lost, center=14.5)
    broken = ds.copy(deep=True)
    broken["absorbance"][:, 1] = np.nan
    text = told(broken, center=14.5)
    assert "slice 1 has values that are not finite" in text
    assert "14 of 14 lines" in text


def test_bad_volumes_to_complete_from_are_told(region: Any) -> None:
    ds, volume, _ = region

    def told(other: xr.Dataset, kind: type[Exception] = ArgumentError, **options: Any) -> str:
        with pytest.raises(kind) as info:
            xct.reconstruct(ds, center=61.3, complete_from=other, **options)
        return str(info.value)

    assert "leave truncation out" in told(volume, truncation="edge")
    assert "method 'sirt' has no 'complete_from'" in told(volume, method="sirt")
    high = volume.assign_coords(z=("z", volume["z"].values + 99, {"units": "um"}))
    assert "does not reach all rows" in told(high)
    flat = volume.assign_coords(y=("y", volume["y"].values / 2, {"units": "um"}))
    assert "not square" in told(flat)
    text = told(volume.rename(attenuation="mu"), SchemaError)
    assert "complete_from: XCT volume has no 'attenuation'" in text


@pytest.mark.parametrize("columns", [1, 2, 7, 31])
def test_small_prime_and_constant_images(columns: int) -> None:
    for value in (0.0, 1.0):
        ds = scan(np.full((5, 1, columns), value), np.arange(5) * 36.0)
        found = xct.reconstruct(ds, center=(columns - 1) / 2, circle=None)["attenuation"].values
        assert found.shape == (1, columns, columns)
        assert np.isfinite(found).all()
        assert bool(found.any()) == (value > 0)
