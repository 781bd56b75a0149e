"""Frames of bitshuffle and LZ4 are decoded to what the HDF5 library makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
import xarray as xr
from xarray.core import indexing

from zeoarray.errors import SourceError
from zeoarray.ingest.parts import arrays
from zeoarray.ingest.parts.bitshuffled import HEADER, Frames

GRID, SHAPE = (3, 4), (37, 61)
"""A frame holds 2257 values: whole eights, and one value that is left."""


def written(path: Path, dtype: str, **options: Any) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(3)
    values = rng.poisson(3, (*GRID, *SHAPE)).astype(dtype)
    values[..., 20:23, :] = values.max()
    given: dict[str, Any] = {"chunks": (1, 1, *SHAPE), **hdf5plugin.Bitshuffle(cname="lz4")}
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=values, **(given | options))
    return values.reshape(-1, *SHAPE)


def opened(path: Path, dtype: str) -> xr.Variable:
    array = arrays.FlattenedArray(path, "frames", (12, *SHAPE), np.dtype(dtype), GRID)
    return xr.Variable(("frame", "y", "x"), indexing.LazilyIndexedArray(array))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "uint32", "float32", "float64"])
def test_frames_are_those_of_the_library(tmp_path: Path, dtype: str) -> None:
    values = written(tmp_path / "a.h5", dtype)
    with h5py.File(tmp_path / "a.h5") as file:
        assert Frames.of(file["frames"]) is not None
    found = opened(tmp_path / "a.h5", dtype)
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_array_equal(found[[5, 2, 3, 11]].values, values[[5, 2, 3, 11]])
    np.testing.assert_array_equal(found[3:7, 4:9, ::2].values, values[3:7, 4:9, ::2])
    np.testing.assert_array_equal(found[7].values, values[7])


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (1, 2, *SHAPE)},
        {"chunks": (1, 1, 37, 30)},
        dict(hdf5plugin.Bitshuffle(cname="zstd")),
        dict(hdf5plugin.LZ4()),
    ],
    ids=["two frames", "parts of frames", "zstd", "no shuffle"],
)
def test_other_chunks_are_left_to_the_library(tmp_path: Path, options: dict[str, Any]) -> None:
    values = written(tmp_path / "a.h5", "int32", **options)
    with h5py.File(tmp_path / "a.h5") as file:
        assert Frames.of(file["frames"]) is None
    np.testing.assert_array_equal(opened(tmp_path / "a.h5", "int32").values, values)


def test_the_other_order_of_bytes_is_left_to_the_library(tmp_path: Path) -> None:
    values = written(tmp_path / "a.h5", ">i4")
    with h5py.File(tmp_path / "a.h5") as file:
        assert Frames.of(file["frames"]) is None
    np.testing.assert_array_equal(opened(tmp_path / "a.h5", ">i4").values, values)


def test_frames_that_were_not_written_or_not_packed(tmp_path: Path) -> None:
    written(tmp_path / "a.h5", "int32")
    raw = np.arange(np.prod(SHAPE), dtype="int32").reshape(SHAPE)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.create_dataset(
            "more", (*GRID, *SHAPE), "i4", chunks=(1, 1, *SHAPE), fillvalue=-7,
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )  # fmt: skip
        file["more"].id.write_direct_chunk((0, 2, 0, 0), raw.tobytes(), filter_mask=1)
        frames = Frames.of(file["more"])
        assert frames is not None
        out = np.empty(SHAPE, "int32")
        frames.read((0, 1), out, (slice(None), slice(None)))
        assert (out == -7).all()
        frames.read((0, 2), out, (slice(None), slice(None)))
        np.testing.assert_array_equal(out, raw)


@pytest.mark.parametrize("how", ["cut", "header", "length", "values", "more"])
def test_a_torn_chunk_is_refused(tmp_path: Path, how: str) -> None:
    written(tmp_path / "a.h5", "int32")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        chunk = bytearray(file["frames"].id.read_direct_chunk((1, 1, 0, 0))[1])
        if how == "cut":
            chunk = chunk[:5]
        elif how == "header":
            chunk[:8] = (2**40).to_bytes(8, "big")
        elif how == "length":
            chunk[HEADER.size : HEADER.size + 4] = (2**30).to_bytes(4, "big")
        elif how == "values":
            chunk[HEADER.size + 4 : HEADER.size + 40] = bytes([255] * 36)
        else:
            chunk += bytes(9)
        file["frames"].id.write_direct_chunk((1, 1, 0, 0), bytes(chunk))
    found = opened(tmp_path / "a.h5", "int32")
    with pytest.raises(SourceError, match=r"frames cannot be read.*\n.*frame \[1, 1\] is torn"):
        _ = found[5].values
    with pytest.raises(SourceError, match="cannot be read"):
        _ = found[4:6].values
