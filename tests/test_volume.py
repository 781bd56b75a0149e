"""Crop and bin change coordinates, and with them nothing that is stored in um."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

from zeoarray import volume
from zeoarray.errors import ArgumentError, SchemaError

rng = np.random.default_rng(7)


def um(dim: str, size: int, first: float, spacing: float) -> tuple[str, Any, dict[str, str]]:
    return dim, first + spacing * np.arange(size), {"units": "um"}


@pytest.fixture
def attenuation() -> xr.Dataset:
    values = rng.normal(size=(5, 6, 8)).astype("float32")
    return xr.Dataset(
        {
            "attenuation": (("z", "y", "x"), values, {"units": "1/cm"}),
            "energy": ((), 19.0, {"units": "keV"}),
        },
        {
            "z": um("z", 5, 100.0, 2.6),
            "y": um("y", 6, -6.5, 2.6),
            "x": um("x", 8, -9.1, 2.6),
            "axis_u": ("z", np.linspace(0, 4, 5), {"units": "um"}),
            "resolution": ((), 2.6, {"units": "um", "long_name": "voxel"}),
        },
    )


@pytest.fixture
def scan() -> xr.Dataset:
    return xr.Dataset(
        {
            "counts": (
                ("angle", "z", "u"),
                rng.integers(0, 60000, (3, 4, 6)).astype("uint16"),
                {"units": "counts"},
            ),
            "flat": (("flat_frame", "z", "u"), np.ones((2, 4, 6), "uint16"), {"units": "counts"}),
            "usable": (("z", "u"), np.arange(24).reshape(4, 6) != 3),
        },
        {
            "angle": ("angle", [0.0, 1.0, 2.0], {"units": "deg"}),
            "z": um("z", 4, 0.0, 1.0),
            "u": um("u", 6, 0.0, 1.0),
            "resolution": ((), 1.0, {"units": "um"}),
        },
    )


def test_bin_moves_the_first_centre_by_half_the_voxels_that_are_gained(
    attenuation: xr.Dataset,
) -> None:
    for factor in (1, 2, 3, 4, 5):
        out = volume.bin(attenuation, factor=factor)
        for dim in ("z", "y", "x"):
            first = float(attenuation[dim][0]) + (factor - 1) / 2 * 2.6
            size = attenuation.sizes[dim] // factor
            expected = first + factor * 2.6 * np.arange(size)
            np.testing.assert_allclose(out[dim], expected, atol=1e-12)
            assert out[dim].attrs == {"units": "um"}
        assert float(out["resolution"]) == pytest.approx(2.6 * factor)
        assert out["resolution"].attrs == attenuation["resolution"].attrs
        assert float(out["energy"]) == 19.0


def test_a_linear_field_is_the_same_field_when_binned(attenuation: xr.Dataset) -> None:
    """Values and positions move together: what is linear in um stays so."""
    field = attenuation["z"] + 2 * attenuation["y"] - 3 * attenuation["x"]
    field = field.transpose("z", "y", "x").assign_attrs(units="1/cm")
    ds = attenuation.assign(attenuation=field)
    out = volume.bin(ds, factor=2)
    expected = out["z"] + 2 * out["y"] - 3 * out["x"]
    np.testing.assert_allclose(out["attenuation"], expected.transpose("z", "y", "x"))
    np.testing.assert_allclose(out["axis_u"], [0.5, 2.5])


def test_bin_is_the_mean_of_blocks(attenuation: xr.Dataset) -> None:
    out = volume.bin(attenuation, factor=2)
    values = attenuation["attenuation"].values[:4, :6, :8].reshape(2, 2, 3, 2, 4, 2)
    np.testing.assert_allclose(out["attenuation"], values.mean((1, 3, 5)), rtol=1e-5, atol=1e-6)
    assert out["attenuation"].dims == ("z", "y", "x")
    assert out["attenuation"].dtype == np.float32
    assert out["attenuation"].attrs == {"units": "1/cm"}
    assert out.attrs["notes"] == ["volume.bin: the last 1 of 5 along z fill no bin"]


def test_bin_some_dims(attenuation: xr.Dataset) -> None:
    out = volume.bin(attenuation, factor=2, dims=("z",))
    assert dict(out.sizes) == {"z": 2, "y": 6, "x": 8}
    assert float(out["resolution"]) == 2.6, "the voxel is no cube: its nominal size stays"
    with pytest.raises(ArgumentError, match="Input should be 'z', 'y', 'x' or 'u'"):
        volume.bin(attenuation, factor=2, dims=("angle",))
    with pytest.raises(SchemaError, match="dataset with positions has no 'u'"):
        volume.bin(attenuation, factor=2, dims=("u",))


def test_bin_a_scan(scan: xr.Dataset) -> None:
    out = volume.bin(scan, factor=2)
    assert dict(out.sizes) == {"angle": 3, "z": 2, "u": 3, "flat_frame": 2}
    assert out["counts"].dtype == np.float32
    expected = scan["counts"].values.reshape(3, 2, 2, 3, 2).mean((2, 4))
    np.testing.assert_allclose(out["counts"], expected)
    assert float(out["resolution"]) == 2.0
    usable = np.ones((2, 3), bool)
    usable[0, 1] = False
    np.testing.assert_array_equal(out["usable"], usable)


def test_flags_by_name_are_flags(scan: xr.Dataset) -> None:
    out = volume.bin(scan.assign(usable=scan["usable"].astype("uint8")), factor=2)
    assert out["usable"].dtype == np.uint8
    assert out["usable"].values.tolist() == [[1, 0, 1], [1, 1, 1]]


def test_bin_errors(scan: xr.Dataset) -> None:
    with pytest.raises(ArgumentError, match="'z' is too short for this factor") as info:
        volume.bin(scan, factor=5)
    assert "factor 5, 4 positions" in str(info.value)
    with pytest.raises(ArgumentError, match="greater than or equal to 1"):
        volume.bin(scan, factor=0)
    named = scan.assign_coords(name=("z", ["a", "b", "c", "d"]))
    with pytest.raises(SchemaError, match=r"volume.bin: 'name' cannot be averaged") as other:
        volume.bin(named, factor=2)
    assert 'ds.drop_vars("name")' in str(other.value)


def test_crop_by_centres(attenuation: xr.Dataset) -> None:
    out = volume.crop(attenuation, z=(102.0, 107.8), x=(0, 1000))
    np.testing.assert_allclose(out["z"], [102.6, 105.2, 107.8])
    np.testing.assert_allclose(out["x"], [1.3, 3.9, 6.5, 9.1])
    assert out.sizes["y"] == 6
    xr.testing.assert_identical(
        out["attenuation"], attenuation["attenuation"].isel(z=slice(1, 4), x=slice(4, None))
    )
    assert float(out["resolution"]) == 2.6
    record = out.attrs["steps"][0]["parameters"]
    assert record == {"z": [102.0, 107.8], "y": None, "x": [0.0, 1000.0], "u": None}


def test_limits_are_included_whatever_the_rounding(attenuation: xr.Dataset) -> None:
    z = attenuation["z"].values
    for low, high in ((1, 3), (0, 4), (2, 2)):
        limits = (z[low] + 1e-9, z[high] - 1e-9)
        assert volume.crop(attenuation, z=limits).sizes["z"] == high - low + 1


def test_crop_a_scan(scan: xr.Dataset) -> None:
    out = volume.crop(scan, u=(1, 3), z=(2, 2))
    assert out["counts"].shape == (3, 1, 3)
    assert out["flat"].shape == (2, 1, 3)
    assert out["usable"].shape == (1, 3)


def test_crop_keeps_what_lies_in_the_range_in_any_order() -> None:
    ds = xr.Dataset(coords={"u": ("u", [5.0, 1.0, 4.0, 2.0], {"units": "um"})})
    assert volume.crop(ds, u=(2, 4)).u.values.tolist() == [4.0, 2.0]
    assert volume.crop(ds, u=(3.5, 4.5)).u.values.tolist() == [4.0]
    assert volume.crop(ds).u.size == 4


def test_crop_of_nothing(attenuation: xr.Dataset) -> None:
    for limits in ((0, 1), (200, 300), (103, 102), (103, 104)):
        with pytest.raises(ArgumentError, match="no position along 'z' lies in the range") as info:
            volume.crop(attenuation, z=limits)
        assert "within 100 to 110.4 um" in str(info.value)
    with pytest.raises(SchemaError, match="has no 'u'"):
        volume.crop(attenuation, u=(0, 1))
    with pytest.raises(ArgumentError, match="parameter 'z'"):
        volume.crop(attenuation, z=(1, 2, 3))
    with pytest.raises(SchemaError, match="coordinate 'z' is in mm"):
        volume.crop(attenuation.assign_coords(z=("z", np.arange(5.0), {"units": "mm"})), z=(0, 1))


def test_lazy(attenuation: xr.Dataset) -> None:
    def computing(*args: Any, **kwargs: Any) -> None:
        pytest.fail("something was computed before it was asked for")

    with dask.config.set(scheduler=computing):
        out = volume.crop(volume.bin(attenuation.chunk(z=2, y=3), factor=2), y=(-3, 3))
    assert out["attenuation"].chunks is not None
    whole = volume.crop(volume.bin(attenuation, factor=2), y=(-3, 3))
    xr.testing.assert_identical(out.compute(), whole)
