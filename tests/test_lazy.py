"""Arrays of files become dask arrays without being read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.on_disk import scan_on_disk, unread
from zeoarray import lazy
from zeoarray.errors import ArgumentError


@pytest.fixture
def file(tmp_path: Path) -> xr.Dataset:
    return scan_on_disk(tmp_path)


def test_chunked_reads_nothing() -> None:
    ds = xr.Dataset(
        {
            "counts": (("angle", "z", "u"), unread(400, 2160, 2560)),
            "flat": (("flat_frame", "z", "u"), unread(3, 2160, 2560)),
            "time": ("angle", unread(400)),
            "empty": (("frame", "z", "u"), unread(0, 2160, 2560)),
        }
    )
    out = lazy.chunked(ds)
    assert out["counts"].chunksizes["angle"][:2] == (6, 6), "whole frames, up to 64 MB"
    assert out["counts"].chunksizes["u"] == (2560,)
    assert out["flat"].chunks == ((3,), (2160,), (2560,))
    assert out["time"].chunks is None
    assert out["empty"].shape == (0, 2160, 2560)
    assert lazy.chunked(ds, {"z": 100})["counts"].chunksizes["z"][0] == 100


def test_chunked_follows_the_chunks_on_disk() -> None:
    variable = xr.Variable(
        ("angle", "z", "u"), unread(400, 2160, 2560), encoding={"chunks": (32, 8, 2560)}
    )
    chunks = lazy.chunked(xr.Dataset({"counts": variable}))["counts"].chunksizes
    assert chunks["angle"][0] == 32
    assert chunks["z"][0] == 51 * 8, "51 chunks are 67 MB"
    preferred = {"chunks": (1, 1, 1), "preferred_chunks": {"angle": 4, "z": 2160}}
    variable.encoding = preferred
    chunks = lazy.chunked(xr.Dataset({"counts": variable}))["counts"].chunksizes
    assert (chunks["angle"][0], chunks["z"][0], chunks["u"][0]) == (4, 2160, 2560)


def test_chunked_leaves_what_is_in_memory() -> None:
    values = np.zeros((3, 4))
    ds = xr.Dataset({"a": (("y", "x"), values)})
    assert lazy.chunked(ds)["a"].variable._data is values
    cut = ds.chunk(y=1)
    assert lazy.chunked(cut)["a"].chunks == cut["a"].chunks
    with pytest.raises(ArgumentError, match="not in the dataset") as info:
        lazy.chunked(ds, {"zz": 1})
    assert "some of y, x" in str(info.value)


def test_file_arrays_give_what_is_in_the_file(file: xr.Dataset) -> None:
    whole = np.arange(8 * 6 * 4).reshape(8, 6, 4)
    part = file.isel(angle=slice(1, 7), z=[0, 5, 2])
    out = lazy.chunked(part, {"angle": 4})
    assert out["counts"].chunksizes["angle"] == (4, 2)
    np.testing.assert_array_equal(out["counts"].values, whole[1:7][:, [0, 5, 2]])
