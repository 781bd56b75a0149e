"""Lens and propagation, as the user calls them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from zeoarray import volume, xct
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import distortion, propagation
from zeoarray.labelled import recorded

A, Z, U = 3, 41, 53
PIXEL = 2.6
LENS: dict[str, Any] = {
    "polynomial": (0.98, 2e-4, 1e-5),
    "center_from_top": 22.4,
    "center_from_left": 24.7,
}
PARAMETERS: dict[str, Any] = {
    "polynomial": LENS["polynomial"],
    "center": (22.4, 24.7),
    "detector": (Z, U),
}


def um(size: int) -> Any:
    return (np.arange(size) - (size - 1) / 2) * PIXEL


@pytest.fixture
def scan() -> xr.Dataset:
    rng = np.random.default_rng(8)
    usable = np.ones((Z, U), bool)
    usable[20, 30] = False
    return xr.Dataset(
        {
            "transmission": (
                ("angle", "z", "u"),
                rng.uniform(0.3, 1, (A, Z, U)).astype("float32"),
                {"units": "1"},
            ),
            "usable": (("z", "u"), usable),
        },
        {
            "angle": ("angle", [0.0, 1.0, 2.0], {"units": "deg"}),
            "z": ("z", um(Z), {"units": "um"}),
            "u": ("u", um(U), {"units": "um"}),
            "resolution": ((), PIXEL, {"units": "um"}),
            "energy": ((), 20.0, {"units": "keV"}),
            "distance": ((), 0.05, {"units": "m"}),
        },
    )


def whole(image: Any) -> Any:
    return distortion.unwarp(image, np.arange(Z), np.arange(U), **PARAMETERS)


def test_distortion(scan: xr.Dataset) -> None:
    out = xct.correct_distortion(scan, **LENS)
    np.testing.assert_array_equal(out["transmission"], whole(scan["transmission"].values))
    assert out["transmission"].attrs == scan["transmission"].attrs
    assert 0 < (~out["usable"]).sum() < 12
    assert not out["usable"].values[19:22, 29:32].all()


def test_a_cropped_scan_keeps_its_place_on_the_detector(scan: xr.Dataset) -> None:
    expected = whole(scan["transmission"].values)
    cropped = volume.crop(scan, z=(-15 * PIXEL, 14 * PIXEL), u=(-20 * PIXEL, 21 * PIXEL))
    assert (cropped.sizes["z"], cropped.sizes["u"]) == (30, 42)
    out = xct.correct_distortion(cropped, **LENS, detector=(Z, U))
    rows, columns = slice(5, 35), slice(6, 48)
    inner = (slice(None), slice(4, -4), slice(4, -4))
    np.testing.assert_array_equal(
        out["transmission"].values[inner], expected[:, rows, columns][inner]
    )
    with pytest.raises(ArgumentError, match="are not pixels of this detector") as info:
        xct.correct_distortion(cropped, **LENS)
    assert "detector=(rows, columns)" in str(info.value)


def test_what_is_known_of_the_detector_decides_whether_rows_may_be_cut(scan: xr.Dataset) -> None:
    with recorded() as record:
        xct.correct_distortion(scan, **LENS, detector=(Z, U))
    assert "z" not in record.whole
    assert record.calls[0].halo["z"] > 1
    with recorded() as record:
        xct.correct_distortion(scan, **LENS)
    assert "z" in record.whole


def test_edges_are_cropped(scan: xr.Dataset) -> None:
    out = xct.correct_distortion(scan, **LENS, crop_edges=5, detector=(Z, U))
    expected = whole(scan["transmission"].values)[:, 5:-5, 5:-5]
    np.testing.assert_array_equal(out["transmission"], expected)
    np.testing.assert_array_equal(out["z"], scan["z"][5:-5])
    with recorded() as record:
        xct.correct_distortion(scan, **LENS, crop_edges=5, detector=(Z, U))
    assert "z" not in record.whole
    upper = xct.correct_distortion(scan.isel(z=slice(0, 20)), **LENS, crop_edges=5, detector=(Z, U))
    np.testing.assert_array_equal(upper["z"], scan["z"][5:20])
    for edges in (-1, 21):
        with pytest.raises(ArgumentError, match="crop_edges leaves nothing"):
            xct.correct_distortion(scan, **LENS, crop_edges=edges)


def test_flats_and_darks_go_with_their_counts(scan: xr.Dataset) -> None:
    counts = (scan["transmission"] * 1000).astype("uint16").assign_attrs(units="counts")
    flat = counts.rename(angle="flat_frame").drop_vars("flat_frame")
    raw = scan.drop_vars("transmission").assign(counts=counts, flat=flat)
    out = xct.correct_distortion(raw, **LENS)
    np.testing.assert_array_equal(out["flat"], out["counts"])
    assert out["counts"].dtype == np.float32


def test_a_centre_outside_the_detector(scan: xr.Dataset) -> None:
    with pytest.raises(ArgumentError, match="centre of the distortion is outside"):
        xct.correct_distortion(scan, **(LENS | {"center_from_left": 53.0}))
    with pytest.raises(SchemaError, match="has no 'transmission'"):
        xct.correct_distortion(scan.drop_vars("transmission"), **LENS)
    with pytest.raises(SchemaError, match="has no 'resolution'"):
        xct.correct_distortion(scan.drop_vars("resolution"), **LENS)


def test_phase(scan: xr.Dataset) -> None:
    setting = {"delta_beta": 80.0, "pixel_um": PIXEL, "distance_m": 0.05, "energy_kev": 20.0}
    expected = propagation.paganin(scan["transmission"].values, **setting)
    out = xct.retrieve_phase(scan, delta_beta=80)
    np.testing.assert_array_equal(out["transmission"], expected)
    assert "notes" not in out.attrs
    bare = scan.drop_vars(["energy", "distance"])
    out = xct.retrieve_phase(bare, delta_beta=80, distance_m=0.05, energy_kev=20)
    np.testing.assert_array_equal(out["transmission"], expected)
    wave = bare.assign_coords(wavelength=((), 0.6199209921660013, {"units": "angstrom"}))
    out = xct.retrieve_phase(wave, delta_beta=80, distance_m=0.05)
    np.testing.assert_allclose(out["transmission"], expected, rtol=1e-6)
    assert set(xct.minus_log(out).data_vars) == {"absorbance", "clipped", "usable"}


def test_what_is_given_goes_before_what_the_scan_says(scan: xr.Dataset) -> None:
    out = xct.retrieve_phase(scan, delta_beta=80, distance_m=0.5)
    assert out.attrs["notes"] == [
        "xct.retrieve_phase: distance 0.5 m was given, the scan says 0.05 m"
    ]


@pytest.mark.parametrize("missing", ["energy", "distance"])
def test_a_quantity_that_is_not_known(scan: xr.Dataset, missing: str) -> None:
    with pytest.raises(SchemaError, match=f"the {missing} is not known") as info:
        xct.retrieve_phase(scan.drop_vars(missing), delta_beta=80)
    assert "do:       " + {"energy": "energy_kev", "distance": "distance_m"}[missing] in str(
        info.value
    )
    with pytest.raises(ArgumentError, match="is not a positive number"):
        xct.retrieve_phase(scan, delta_beta=-1)
