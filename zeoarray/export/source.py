"""What is exported: a variable of a dataset, some of its rows, read block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError, SchemaError, unknown

Array = np.ndarray[Any, Any]

FIRST = ("attenuation", "absorbance", "transmission", "counts", "intensity")
"""Variables that are meant where none is named, in this order."""
BLOCK_BYTES = 1 << 26
"""What is read at once, unless one stored chunk of whole slices is more."""
MOST_BYTES = 1 << 29
"""What is never read at once, though chunks are then read several times."""


def choose(ds: xr.Dataset, name: str | None, rows: tuple[int, int] | None) -> xr.DataArray:
    """Return the variable to export, of two or three dims, along `z` from row to row.

    Raises
    ------
    UnknownNameError
        For a variable that is not there, with the nearest that is.
    ArgumentError
        For rows beyond the end, or none at all.
    SchemaError
        For a variable that is no stack of images of numbers.
    """
    stacks = [
        str(n) for n, v in ds.data_vars.items() if v.ndim in (2, 3) and v.dtype.kind in "biuf"
    ]
    if name is None:
        named = [n for n in FIRST if n in stacks] or stacks
        if not named:
            raise SchemaError(
                f"{ds.attrs.get('node', 'the dataset')} has nothing to export",
                got=", ".join(f"{n}{v.dims}" for n, v in ds.data_vars.items()) or "no variables",
                expected="a variable of two or three dims: slices, projections, frames",
            )
        name = named[0]
    elif name not in ds.data_vars:
        raise unknown("variable", name, map(str, ds.data_vars))
    array = ds[name]
    if name not in stacks:
        raise SchemaError(
            f"{name!r} is no stack of images",
            got=f"{dict(array.sizes)} {array.dtype}",
            expected="two or three dims of numbers",
            do="one channel, for instance, in Python: zeoarray.export.to_tiff(ds.isel(q=866), ...)"
            if array.ndim > 3
            else None,
        )
    array = array if array.ndim == 3 else array.expand_dims("image")
    return array if rows is None else _rows(array, rows)


def _rows(array: xr.DataArray, rows: tuple[int, int]) -> xr.DataArray:
    first, past = rows
    if "z" not in array.dims:
        raise ArgumentError(
            f"{array.name!r} has no rows: rows are of z", got=f"the dims {array.dims}"
        )
    size = array.sizes["z"]
    if not 0 <= first < past <= size:
        raise ArgumentError(
            "the rows to export are not there",
            got=f"{first}:{past}",
            expected=f"FIRST:PAST within 0:{size}, the first below the second",
        )
    return array.isel(z=slice(first, past))


def spacing(array: xr.DataArray, dim: str) -> float | None:
    """Distance [um] of neighbours along `dim`; None where it is not known, or not one."""
    if dim not in array.coords or array[dim].attrs.get("units") != "um":
        return None
    values = np.asarray(array[dim].values, np.float64)
    if values.size == 1:
        return float(array["resolution"]) if "resolution" in array.coords else None
    steps = np.diff(values)
    step = float(np.abs(steps).mean())
    return step if step > 0 and np.ptp(steps) <= 1e-3 * step else None


def blocks(array: xr.DataArray) -> Iterator[tuple[int, Array]]:
    """Read `array` in blocks of whole slices along its first dim: (first slice, values)."""
    stored = array.encoding.get("chunks") or array.encoding.get("preferred_chunks")
    thick = 1
    if array.chunks is not None:
        thick = max(array.chunks[0])
    elif isinstance(stored, tuple) and len(stored) == array.ndim:
        thick = int(stored[0])
    one = max(int(np.prod(array.shape[1:])) * array.dtype.itemsize, 1)
    # Whole chunks, so that none is decoded twice, as long as they fit.
    count = max(thick, BLOCK_BYTES // one // thick * thick)
    count = max(1, min(count, MOST_BYTES // one, array.shape[0]))
    for start in range(0, array.shape[0], count):
        part = array[start : start + count].compute(scheduler="synchronous")
        yield start, np.asarray(part.values)
