"""`to_hdf5`: one NeXus file, a plot of it by default."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import xarray as xr

from zeoarray.errors import StoreError
from zeoarray.export import place, source
from zeoarray.export.grey import Dtype, Grey, Range, grey_of
from zeoarray.store import durable

Progress = Callable[[int, int], None]

_ERRNO = re.compile(r"errno = (\d+)")


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
        What ``/entry/process/record`` holds, as JSON.

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
            _write(array, grey, partial, told, progress)
            _sync(partial)
        except BaseException as error:
            place.remove(partial)
            if isinstance(error, (OSError, RuntimeError)):
                raise _failed(target, error) from error
            raise
        place.finish(partial, target)
    return told


def _write(
    array: xr.DataArray,
    grey: Grey,
    path: Path,
    told: dict[str, Any],
    progress: Progress | None,
) -> None:
    with h5py.File(path, "w", locking=False) as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="data")
        data = entry.create_group("data")
        axes = [str(d) if d in array.coords else "." for d in array.dims]
        data.attrs.update(NX_class="NXdata", signal=str(array.name), axes=axes)
        for name, coord in array.coords.items():
            if coord.dtype.kind in "biuf" and coord.ndim <= 1:
                data[str(name)] = coord.values
                data[str(name)].attrs.update(_text(coord.attrs))
                if coord.dims:
                    data.attrs[f"{name}_indices"] = array.dims.index(coord.dims[0])
        values = data.create_dataset(str(array.name), array.shape, grey.dtype)
        values.attrs.update(_text(array.attrs))
        if grey.step:
            values.attrs.update(scale_factor=grey.step, add_offset=grey.low)
            values.attrs["range"] = [grey.low, grey.high]
        clipped = _fill(values, array, grey, progress)
        told["clipped_share"] = values.attrs["clipped_share"] = clipped / array.size
        process = entry.create_group("process")
        process.attrs["NX_class"] = "NXprocess"
        process["program"], process["version"] = "zeoarray", told["zeoarray"]
        process["record"] = json.dumps(told)


def _fill(values: h5py.Dataset, array: xr.DataArray, grey: Grey, progress: Progress | None) -> int:
    clipped = 0
    for start, block in source.blocks(array):
        for i, image in enumerate(block, start):
            values[i], outside = grey.encode(image, f"image {i} of {array.name}")
            clipped += outside
        if progress is not None:
            progress(array.nbytes * (start + len(block)) // array.shape[0], array.nbytes)
    return clipped


def _text(attrs: dict[Any, Any]) -> dict[str, str]:
    return {str(k): str(v) for k, v in attrs.items() if k in ("units", "long_name")}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _failed(path: Path, error: Exception) -> StoreError:
    """An error that says what to do; HDF5 tells the operating system's number in its text."""
    if isinstance(error, StoreError):
        return error
    number = getattr(error, "errno", None) or _number(str(error))
    system = OSError(number, os.strerror(number)) if number else OSError(str(error))
    told = durable.failed(path, system)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreError(
            told.what,
            got=os.strerror(number),
            do="free some space, or export fewer rows (--rows) or 16 bits; the file begins anew",
        )
    return told


def _number(text: str) -> int | None:
    found = _ERRNO.search(text)
    return int(found[1]) if found else None
