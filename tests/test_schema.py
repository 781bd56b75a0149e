"""A dataset is what a step needs, or the message says what it lacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from zeoarray import schema, units
from zeoarray.errors import SchemaError


@pytest.fixture
def scan() -> xr.Dataset:
    counts = np.zeros((4, 2, 3), "uint16")
    return xr.Dataset(
        {"counts": (("angle", "z", "u"), counts, {"units": "counts"})},
        {
            "angle": ("angle", np.arange(4.0), {"units": "deg"}),
            "z": ("z", [0.0, 1.0], {"units": "um"}),
            "u": ("u", [0.0, 1.0, 2.0], {"units": "microns"}),
            "resolution": ((), 1.0, {"units": "um"}),
        },
    )


def check(ds: xr.Dataset) -> None:
    schema.validate(ds, schema.SCAN_XCT, by="xct.reconstruct")


def test_a_scan_is_a_scan(scan: xr.Dataset) -> None:
    check(scan)
    check(scan.assign(anything=("angle", ["a", "b", "c", "d"])))


def message(ds: xr.Dataset) -> str:
    with pytest.raises(SchemaError) as info:
        check(ds)
    return str(info.value)


def test_a_missing_variable(scan: xr.Dataset) -> None:
    text = message(scan.rename(counts="count"))
    assert "xct.reconstruct: XCT scan has no 'counts' (raw projections)." in text
    assert "expected: counts(angle, z, u)" in text
    assert 'ds.rename(count="counts") if that is what it is' in text
    assert "got:      an empty dataset" in message(xr.Dataset())


def test_wrong_dims(scan: xr.Dataset) -> None:
    text = message(scan.transpose("z", "angle", "u"))
    assert "variable 'counts' has the dims (z, angle, u)" in text
    assert 'ds["counts"] = ds["counts"].transpose("angle", "z", "u")' in text
    text = message(scan.isel(z=0))
    assert "variable 'counts' has the dims (angle, u)" in text
    assert 'keep the dim: ds.isel(z=[0]), or ds.expand_dims("z")' in text
    assert "do:" not in message(scan.rename_dims(u="v", z="w"))


def test_no_scalar_for_an_image_or_a_dim(scan: xr.Dataset) -> None:
    assert "variable 'counts' has the dims ()" in message(scan.assign(counts=0))
    bare = scan.drop_vars("counts").isel(angle=0)
    with pytest.raises(SchemaError, match=r"coordinate 'angle' has the dims \(\)"):
        schema.validate(bare, schema.Schema("positions", (schema.ANGLE,)), by="here")


def test_a_scalar_for_a_list(scan: xr.Dataset) -> None:
    check(scan.assign_coords(time=((), 1.0, {"units": "s"})))


def test_wrong_kind(scan: xr.Dataset) -> None:
    text = message(scan.assign_coords(angle=("angle", np.arange(4), {"units": "deg"})))
    assert "coordinate 'angle' has the dtype int64" in text
    assert "expected: a float (dtype kinds 'f')" in text
    assert 'ds["angle"] = ds["angle"].astype("float32")' in text
    assert "variable 'counts' has the dtype bool" in message(scan.assign(counts=scan.counts == 0))


def test_no_units(scan: xr.Dataset) -> None:
    del scan["angle"].attrs["units"]
    assert message(scan) == (
        "xct.reconstruct: coordinate 'angle' has no units.\n"
        "  got:      angle {'angle': 4} float64, attrs {}\n"
        "  expected: units 'deg'\n"
        '  do:       ds["angle"].attrs["units"] = "deg"'
    )


def test_units_of_another_size(scan: xr.Dataset) -> None:
    scan["z"].attrs["units"] = "mm"
    text = message(scan)
    assert "coordinate 'z' is in mm" in text
    assert 'ds["z"] = ds["z"] * 1000; then ds["z"].attrs["units"] = "um"' in text


@pytest.mark.parametrize("unit", ["px", "furlong", "deg"])
def test_units_of_another_quantity(scan: xr.Dataset, unit: str) -> None:
    scan["z"].attrs["units"] = unit
    text = message(scan)
    assert f"coordinate 'z' has units '{unit}'" in text
    assert 'ds["z"].attrs["units"] = "um", if its values are in um' in text


def test_optional_variables_are_checked_where_they_are(scan: xr.Dataset) -> None:
    frames = ("dark_frame", "z", "u")
    dark: Any = (frames, np.zeros((1, 2, 3)), {"units": "deg"})
    assert "variable 'dark' has units 'deg'" in message(scan.assign(dark=dark))


def test_frame_numbers_serve_as_times(scan: xr.Dataset) -> None:
    numbered = scan.assign_coords(time=("angle", np.arange(4.0), {"units": "1"}))
    check(numbered)
    described = schema.describe(numbered, schema.SCAN_XCT)
    assert described["time"].attrs["units"] == "1"


def test_describe_writes_units_and_leaves_the_input(scan: xr.Dataset) -> None:
    scan["angle"].attrs.clear()
    out = schema.describe(scan, schema.SCAN_XCT)
    check(out)
    assert out["angle"].attrs == {"long_name": "rotation angle", "units": "deg"}
    assert scan["angle"].attrs == {}


def test_the_table_is_sound() -> None:
    for var in schema.VARS:
        assert var.kind in schema.KINDS, var
        assert var.units is None or units.canonical(var.units) == var.units, var
        assert var.doc == var.doc.strip() != "", var
    for entry in schema.SCHEMAS:
        both = {*entry.required, *entry.optional}
        assert len(both) == len({var.name for var in both}), f"{entry.name} has a name twice"
    assert schema.SCAN_XCT["flat"] is schema.FLAT
    assert "flat" in schema.SCAN_XCT
    assert "q" not in schema.SCAN_XCT
    with pytest.raises(KeyError):
        schema.SCAN_XCT["q"]


def test_positions_are_a_schema() -> None:
    ds = xr.Dataset(coords={"z": ("z", [0.0], {"units": "um"})})
    schema.validate(ds, schema.positioned("z"), by="volume.crop")
    with pytest.raises(SchemaError, match="dataset with positions has no 'y'"):
        schema.validate(ds, schema.positioned(["z", "y"]), by="volume.crop")
