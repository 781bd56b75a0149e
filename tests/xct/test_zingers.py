"""Zingers out of a scan, raw or normalised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from zeoarray import xct
from zeoarray.errors import ArgumentError, SchemaError

rng = np.random.default_rng(13)
A, Z, U = 7, 6, 60


def scan(name: str) -> xr.Dataset:
    um = {"units": "um"}
    values = rng.poisson(2000, (A, Z, U)).astype("uint16")
    values[3, 2, 30] = 60_000
    unit = {"counts": "counts", "transmission": "1"}[name]
    data: Any = values if name == "counts" else (values / 2000).astype("float32")
    return xr.Dataset(
        {name: (("angle", "z", "u"), data, {"units": unit, "long_name": "as it was"})},
        {
            "angle": ("angle", np.linspace(0, 180, A), {"units": "deg"}),
            "z": ("z", np.arange(Z) * 2.5, um),
            "u": ("u", np.arange(U) * 2.5, um),
            "resolution": ((), 2.5, um),
        },
    )


@pytest.mark.parametrize("name", ["counts", "transmission"])
def test_zingers_go(name: str) -> None:
    ds = scan(name)
    out = xct.remove_zingers(ds)
    assert np.argwhere((out[name] != ds[name]).values).tolist() == [[3, 2, 30]]
    assert out[name].attrs == ds[name].attrs
    assert out[name].dtype == ds[name].dtype
    assert float(out["zingers"].sum()) == pytest.approx(1 / U)
    assert out["zingers"].attrs["units"] == "1"
    lazy = xct.remove_zingers(ds.chunk(angle=2, z=3))
    assert lazy[name].chunks == ((2, 2, 2, 1), (3, 3), (U,))
    xr.testing.assert_identical(lazy.compute(), out)


def test_a_block_with_its_halo_is_the_whole() -> None:
    ds = scan("counts")
    whole = xct.remove_zingers(ds, size=5)["counts"]
    block = xct.remove_zingers(ds.isel(angle=slice(2, 5), z=slice(0, 5)), size=5)["counts"]
    np.testing.assert_array_equal(block[1:2, :3], whole[3:4, :3])


def test_what_it_cannot_do() -> None:
    ds = scan("counts")
    with pytest.raises(ArgumentError, match="has a middle"):
        xct.remove_zingers(ds.chunk(z=1), size=4)
    with pytest.raises(SchemaError, match="has no 'transmission'"):
        xct.remove_zingers(ds.rename(counts="absorbance"))


def test_flats_stay() -> None:
    ds = scan("counts")
    flat = ds["counts"].values[:2].copy()
    flat[1, 1, 1] = 60_000
    ds["flat"] = (("flat_frame", "z", "u"), flat, {"units": "counts"})
    np.testing.assert_array_equal(xct.remove_zingers(ds)["flat"], flat)
