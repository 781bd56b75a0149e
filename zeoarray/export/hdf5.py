"""`to_hdf5`: one NeXus file, a plot of it by default."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from zeoarray.errors import StoreError
from zeoarray.export import place, source
from zeoarray.export.grey import Dtype, Grey, Range, grey_of
from zeoarray.store import durable

Progress = Callable[[int, int], None]

_ROOM = 1 << 20
"""Bytes for what is not values: positions, attributes, the record."""


def to_hdf5(
    ds: xr.Dataset,
    out: str | Path,
    *,
    variable: str | None = None,
    dtype: Dtype = "uint16",
    limits: Range | None = None,
    percentiles: Range | None = None,
    rows: tuple[int, int] | None = None,
    fill: float | None = None,
    overwrite: bool = False,
    wait: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write one HDF5 file: ``/entry/data``, an NXdata group with positions and units.

    16-bit numbers mean value = add_offset + number * scale_factor, the names by which xarray and
    netCDF programs decode them. The data is contiguous. The file appears when it is whole; an
    interrupted export begins anew.

    Parameters
    ----------
    ds, variable, dtype, limits, percentiles, rows, fill, overwrite, wait, progress
        As in `to_tiff`.
    out
        File to make.

    Returns
    -------
    dict
        What ``/entry/process/record`` holds as JSON, and the share of values that was clipped.

    Raises
    ------
    ArgumentError
        For an unknown variable, rows that are not there, a reversed range.
    SourceError
        For values that are not finite, in 16 bits without `fill`.
    StoreError
        Where `out` exists, the disk is full or too small.
    """
    target = Path(out)
    with place.prepared(target, overwrite=overwrite, wait=wait) as partial:
        array = source.choose(ds, variable, rows)
        grey = grey_of(array, dtype=dtype, limits=limits, percentiles=percentiles, fill=fill)
        told = place.record(ds, array, grey)
        place.remove(partial)
        place.room(target.parent, array.size * grey.dtype.itemsize)
        try:
            told["clipped_share"] = _write(array, grey, partial, told, progress)
        except OSError as error:
            place.remove(partial)
            raise _failed(target, error) from error
        except BaseException:
            place.remove(partial)
            raise
        place.finish(partial, target)
    return told


def _write(
    array: xr.DataArray,
    grey: Grey,
    path: Path,
    told: dict[str, Any],
    progress: Progress | None,
) -> float:
    """Write the file; the share of its values that was clipped."""
    nbytes = array.size * grey.dtype.itemsize
    # Where writing fails, HDF5 leaves objects that take the process down. So it writes what is
    # small, and says where the values belong; these are written as bytes.
    with open(path, "xb") as file:
        file.truncate(nbytes + _ROOM)
    offset = _skeleton(array, grey, path, told)
    clipped = 0
    with open(path, "r+b", buffering=0) as file:
        for start, block in source.blocks(array):
            for i, image in enumerate(block, start):
                numbers, outside = grey.encode(image, f"image {i} of {array.name}")
                _put(file.fileno(), numbers, offset + i * numbers.nbytes)
                clipped += outside
            if progress is not None:
                progress(array.nbytes * (start + len(block)) // array.shape[0], array.nbytes)
        os.fsync(file.fileno())
    share = clipped / array.size
    with h5py.File(path, "r+", locking=False) as file:
        file[f"entry/data/{array.name}"].attrs.modify("clipped_share", share)
    _sync(path)
    return share


def _put(handle: int, numbers: Any, offset: int) -> None:
    left = memoryview(numbers).cast("B")
    while left:
        done = os.pwrite(handle, left, offset)
        left, offset = left[done:], offset + done


def _skeleton(array: xr.DataArray, grey: Grey, path: Path, told: dict[str, Any]) -> int:
    """Everything but the values; where in the file these begin."""
    with h5py.File(path, "w", locking=False) as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="data")
        process = entry.create_group("process")
        process.attrs["NX_class"] = "NXprocess"
        process["program"], process["version"] = "zeoarray", told["zeoarray"]
        process["record"] = json.dumps(told)
        data = entry.create_group("data")
        axes = [str(d) if d in array.coords else "." for d in array.dims]
        data.attrs.update(NX_class="NXdata", signal=str(array.name), axes=axes)
        for name, coord in array.coords.items():
            if coord.dtype.kind in "biuf" and coord.ndim <= 1:
                data[str(name)] = coord.values
                data[str(name)].attrs.update(_text(coord.attrs))
                if coord.dims:
                    data.attrs[f"{name}_indices"] = array.dims.index(coord.dims[0])
        values = _contiguous(data, str(array.name), array.shape, grey.dtype)
        values.attrs.update(_text(array.attrs))
        values.attrs["clipped_share"] = 0.0
        if grey.step:
            values.attrs.update(scale_factor=grey.step, add_offset=grey.low)
            values.attrs["range"] = [grey.low, grey.high]
        return int(values.id.get_offset())


def _contiguous(
    group: h5py.Group, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> h5py.Dataset:
    """A dataset whose place in the file is known at once, and which is not filled."""
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_layout(h5py.h5d.CONTIGUOUS)
    how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    how.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space, kind = h5py.h5s.create_simple(shape), h5py.h5t.py_create(dtype)
    return h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space, how))


def _text(attrs: dict[Any, Any]) -> dict[str, str]:
    return {str(k): str(v) for k, v in attrs.items() if k in ("units", "long_name")}


def _failed(path: Path, error: OSError) -> OSError:
    """An error that says what to do: unlike a stack, one file does not go on where it stopped."""
    if isinstance(error, StoreError):
        return error
    told = durable.failed(path, error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreError(
            told.what,
            got=os.strerror(error.errno),
            do="free some space, or export fewer rows (--rows) or 16 bits; the file begins anew",
        )
    return told


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
