"""Small files: what is encoded here against what xarray and zarr make of the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from zarr.storage import MemoryStore

from zeoarray.store import encode


def peer(ds: xr.Dataset) -> dict[str, bytes]:
    """All files as xarray and zarr write them."""
    memory = MemoryStore()
    chunks = {str(n): {"chunks": v.shape} for n, v in ds.variables.items() if v.size}
    ds.to_zarr(memory, mode="w", zarr_format=3, consolidated=False, encoding=chunks)
    return {key: bytes(data.to_bytes()) for key, data in memory._store_dict.items()}


VALUES = {
    "floats": np.array([1.5, np.nan, -0.0]),
    "nothing": np.full(3, np.nan, "f4"),
    "minus nought": np.array([-0.0, 0.0, 0.0]),
    "half": np.arange(3, dtype="f2"),
    "big-endian": np.arange(3, dtype=">f4"),
    "ints": np.array([-1, 0, 7], "i8"),
    "noughts": np.zeros(3, "i4"),
    "bytes": np.arange(3, dtype="u1"),
    "flags": np.array([True, False, True]),
    "no flags": np.zeros(3, bool),
    "complex": np.arange(3) * 1j,
    "dates": pd.date_range("2026-01-01", periods=3).values,
    "text": np.array(["a", "bb", "c"], object),
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_a_small_array_is_written_as_zarr_writes_it(values: np.ndarray) -> None:
    ds = xr.Dataset(
        {"a": ("z", values, {"long_name": "some", "of": np.arange(2)}), "b": ("one", values[:1])},
        {"z": ("z", [1.0, 2.0, 3.0]), "side": ("z", values), "alone": 2.6},
        {"steps": [{"step": "xct.normalize"}], "n": np.float64(3.0), "none": None},
    )
    assert encode.small(ds) == peer(ds)


def test_arrays_of_two_dims_and_without_rows_too() -> None:
    ds = xr.Dataset({"a": (("z", "u"), np.arange(6.0).reshape(2, 3)[:, ::-1])}, {"u": [1, 2, 3]})
    assert encode.small(ds) == peer(ds)
    ds = xr.Dataset({"a": ("z", np.zeros(0)), "b": 1})
    assert encode.small(ds) == peer(ds)


def test_values_that_xarray_scales_are_left_to_it() -> None:
    ds = xr.Dataset({"a": ("z", np.arange(3.0), {"scale_factor": 2.0})})
    assert encode.small(ds) == peer(ds)


def test_what_a_file_said_of_its_encoding_is_not_taken_over() -> None:
    ds = xr.Dataset({"a": ("z", np.arange(3.0))}, {"z": [1.0, 2.0, 3.0]})
    plain = encode.small(ds)
    ds["a"].encoding.update(scale_factor=0.5, coordinates="nowhere", dtype="i2")
    assert encode.small(ds) == plain
