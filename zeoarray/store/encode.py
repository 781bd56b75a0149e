"""Arrays to the bytes that zarr v3 lays down: metadata, and shards compressed chunk by chunk.

zarr writes the metadata and everything small, into memory. Shards are put together here: one
pass over the block, each chunk compressed, digested and written before the next, so that nothing
is held twice. What is written is what zarr's own `sharding_indexed` codec reads; a test holds the
two together.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import google_crc32c
import numcodecs.blosc
import numcodecs.zstd
import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec
from zarr.storage import MemoryStore

from zeoarray import chunks
from zeoarray.errors import StoreError

Array = np.ndarray[Any, Any]

# Of lz4 and zstd at levels 1 to 5, with byte and bit shuffle, on real frames: tomography at most
# 5 % larger than the best, diffraction 15 to 30 %, at three to five times the speed of zstd.
# `python -m benchmarks compression` prints the table.
CNAME: Final = "lz4"
CLEVEL: Final = 5

MISSING = 2**64 - 1

SHARDED: dict[tuple[str, ...], tuple[tuple[int | None, ...], tuple[int | None, ...]]] = {
    ("angle", "z", "u"): ((32, None, None), (16, 8, None)),
    ("flat_frame", "z", "u"): ((16, None, None), (16, 8, None)),
    ("dark_frame", "z", "u"): ((16, None, None), (16, 8, None)),
    ("frame", "det_y", "det_x"): ((16, None, None), (1, None, None)),
    ("frame", "q"): ((32, None), (32, None)),
    ("frame", "r"): ((32, None), (32, None)),
    ("frame", "chi", "q"): ((16, None, None), (1, None, None)),
    ("z", "angle", "u", "q"): ((1, None, 1, None), (1, None, 1, None)),
    ("z", "angle", "u"): ((1, None, None), (1, None, None)),
    ("z", "y", "x"): ((16, None, None), (16, 128, 128)),
    ("z", "y", "x", "q"): ((1, 1, None, None), (1, 1, None, None)),
    ("phase", "z", "y", "x"): ((1, 16, None, None), (1, 16, 128, 128)),
    ("resolution", "z", "y", "x"): ((1, 16, None, None), (1, 16, 128, 128)),
    ("spot", "z", "y", "x"): ((1, 16, None, None), (1, 16, 128, 128)),
    ("spot", "phase", "z", "y", "x"): ((1, 1, 16, None, None), (1, 1, 16, 128, 128)),
    ("patch", "channel", "z", "y", "x"): (
        (64, None, None, None, None),
        (1, None, None, None, None),
    ),
    ("patch", "q", "z", "y", "x"): ((64, None, None, None, None), (1, None, None, None, None)),
}
"""(shard, chunk) of the dims that the data model names; None is the whole dim.

Of six layouts of a scan, chunks of 16 angles by 8 rows read projections and sinograms equally fast
(32 angles: projections at less than half the speed of sinograms)."""

SMALL = 1 << 22
"""Arrays of fewer bytes than this, and all coordinates, are written as one chunk by zarr."""


def layout_of(dims: tuple[str, ...], shape: tuple[int, ...], itemsize: int) -> chunks.Layout:
    """Return the shards and chunks of a variable: those of the data model, or about 64 and 1 MB."""
    if dims in SHARDED:
        return chunks.fit(shape, *SHARDED[dims])

    # Whole trailing dims as far as they fit, then part of one, then single rows.
    def box(limit: int) -> list[int]:
        left, out = limit // itemsize, []
        for n in reversed(shape):
            out.append(max(1, min(n, left)))
            left //= max(out[-1], 1)
        return out[::-1]

    inner = box(1 << 20)
    outer = [max(s // c, 1) * c for s, c in zip(box(1 << 26), inner, strict=True)]
    return chunks.fit(shape, outer, inner)


@dataclass(frozen=True)
class Sharded:
    """One large array: what a worker needs to know to write any shard of it."""

    name: str
    dims: tuple[str, ...]
    dtype: np.dtype[Any]
    layout: chunks.Layout

    def key(self, index: chunks.Index) -> str:
        """Path of shard `index` below the node."""
        return "/".join([self.name, "c", *map(str, index)])


def sharded(variable: xr.Variable, name: str) -> Sharded:
    """Plan the shards of a large variable."""
    dtype = np.dtype(variable.dtype).newbyteorder("<")
    if dtype.kind not in "biufc":
        raise StoreError(
            f"variable {name!r} is too large for its dtype",
            got=f"{variable.dtype}, {dict(variable.sizes)}",
            expected="numbers; text and dates are for coordinates",
        )
    dims = tuple(map(str, variable.dims))
    return Sharded(name, dims, dtype, layout_of(dims, variable.shape, dtype.itemsize))


def is_large(variable: xr.Variable) -> bool:
    """Whether a data variable is cut into shards: by its dims, or by its bytes."""
    dims = tuple(map(str, variable.dims))
    return bool(variable.size) and (dims in SHARDED or variable.nbytes >= SMALL)


def metadata(array: Sharded, attrs: Mapping[str, Any]) -> bytes:
    """Return the ``zarr.json`` of a sharded array, as zarr writes it."""
    memory = MemoryStore()
    zarr.create_array(
        memory,
        name=array.name,
        shape=array.layout.shape,
        chunks=array.layout.chunk,
        shards=array.layout.shard,
        dtype=array.dtype,
        compressors=[
            BloscCodec(
                cname=CNAME, clevel=CLEVEL, shuffle="bitshuffle", typesize=array.dtype.itemsize
            )
        ],
        dimension_names=array.dims,
        attributes=dict(attrs),
        fill_value=0,
    )
    return bytes(memory._store_dict[f"{array.name}/zarr.json"].to_bytes())


def shard(block: Array, array: Sharded) -> Iterator[bytes]:
    """Yield the bytes of one shard that holds `block`, chunk after chunk and then the index.

    Parameters
    ----------
    block
        Values of the shard; smaller than it at the end of the array.
    array
        The plan of the array that the shard belongs to.
    """
    numcodecs.blosc.use_threads = False
    inner = array.layout.chunk
    counts = tuple(s // c for s, c in zip(array.layout.shard, inner, strict=True))
    index = np.full((*counts, 2), MISSING, dtype="<u8")
    offset = 0
    for position in np.ndindex(*counts):
        starts = [p * c for p, c in zip(position, inner, strict=True)]
        if any(start >= size for start, size in zip(starts, block.shape, strict=True)):
            continue
        piece = block[tuple(slice(a, a + c) for a, c in zip(starts, inner, strict=True))]
        if piece.shape != inner or piece.dtype != array.dtype:
            whole = np.zeros(inner, array.dtype)
            whole[tuple(slice(0, n) for n in piece.shape)] = piece
            piece = whole
        data = numcodecs.blosc.compress(
            np.ascontiguousarray(piece), CNAME.encode(), CLEVEL, numcodecs.blosc.BITSHUFFLE, 0
        )
        index[position] = offset, len(data)
        offset += len(data)
        yield data
    tail = index.tobytes()
    yield tail + google_crc32c.value(tail).to_bytes(4, "little")


def small(ds: xr.Dataset) -> dict[str, bytes]:
    """Return every file of a dataset of small variables: its group, coordinates, attributes.

    Numbers are encoded here: the twenty coordinates of a scan are a tenth of the time of a small
    run in zarr. Text and dates xarray encodes and zarr writes, into memory. A test holds what is
    made here to what they would have made.
    """
    variables, attrs = xr.conventions.encode_dataset_coordinates(ds.drop_encoding())
    files = {"zarr.json": _json({"attributes": _plain(attrs), **GROUP})}
    others = {}
    for name, variable in variables.items():
        ours = variable.dtype.kind in "biuf" and variable.size and not CF & variable.attrs.keys()
        if ours:
            files |= _number(str(name), variable)
        else:
            others[name] = variable
    if others:
        made = _by_zarr(xr.Dataset(others))
        files |= {key: data for key, data in made.items() if key != "zarr.json"}
    return dict(sorted(files.items()))


CF: Final = {"_FillValue", "missing_value", "scale_factor", "add_offset", "dtype"}
"""Attributes by which xarray encodes values."""
GROUP: Final = {"zarr_format": 3, "node_type": "group"}
ZSTD: Final = 0
"""Level at which zarr compresses what it is told nothing about."""


def _number(name: str, variable: xr.Variable) -> dict[str, bytes]:
    """The files of an array of numbers in one chunk."""
    attrs = _plain(variable.attrs)
    values = np.asarray(variable.values)
    fill: Any = False if values.dtype.kind == "b" else 0
    empty = not values.any()
    if values.dtype.kind == "f":
        fill, empty = "NaN", bool(np.isnan(values).all())  # missing, to xarray
        attrs["_FillValue"] = base64.standard_b64encode(struct.pack("<d", np.nan)).decode()
    bytes_codec: dict[str, Any] = {"name": "bytes"}
    if values.dtype.itemsize > 1:
        bytes_codec["configuration"] = {"endian": "little"}
    made = {
        "shape": values.shape,
        "data_type": values.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": values.shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [
            bytes_codec,
            {"name": "zstd", "configuration": {"level": ZSTD, "checksum": False}},
        ],
        "attributes": attrs,
        **({"dimension_names": variable.dims} if variable.dims else {}),
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }
    files = {f"{name}/zarr.json": _json(made)}
    if not empty:  # zarr leaves out what is nothing but the fill value
        data = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        files["/".join([name, "c", *"0" * values.ndim])] = numcodecs.zstd.compress(data, ZSTD)
    return files


def _plain(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(k): v.tolist() if hasattr(v, "tolist") else v for k, v in attrs.items()}


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode()


def _by_zarr(ds: xr.Dataset) -> dict[str, bytes]:
    memory = MemoryStore()
    encoding = {str(name): {"chunks": v.shape} for name, v in ds.variables.items() if v.size}
    loaded = ds.copy(deep=False)
    for name, variable in ds.variables.items():
        if variable.dtype.kind in "US":  # fixed-length text has no zarr v3 specification
            loaded[name] = variable.astype(str).astype(object)
        loaded[name].encoding = {}
    loaded.to_zarr(memory, mode="w", zarr_format=3, consolidated=False, encoding=encoding)
    return {k: bytes(v.to_bytes()) for k, v in sorted(memory._store_dict.items())}
