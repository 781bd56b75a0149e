"""`to_tiff`: one image a file, as ImageJ and most other programs read it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import xarray as xr

from zeoarray.errors import ArgumentError, SourceError
from zeoarray.export import place, source
from zeoarray.export.grey import Dtype, Grey, Range, grey_of
from zeoarray.store import durable

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int], None]

_REQUEST = "request.json"
_MOST = 1 << 32
"""Bytes of the largest file that ImageJ reads by its description."""


def to_tiff(
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
    """Write a stack of TIFF files, one for each step along the first dim, into a new folder.

    16-bit numbers mean value = least + number * (greatest - least) / 65535. Both ends stand in
    every file, where ImageJ shows the values by them, and in ``export.json`` beside the files,
    with the share of clipped pixels and how the data was made. The folder appears when it is
    whole; an export of a store's node that was interrupted goes on where it stopped.

    Parameters
    ----------
    ds
        A volume or scan, lazy or not; it is read block by block.
    out
        Folder to make.
    variable
        What to write; None takes the first of attenuation, absorbance, transmission, counts.
    dtype
        ``uint16``, or ``float32``, which keeps every value.
    limits
        Values [units of the variable] that become 0 and 65535; None takes the least and the
        greatest of the data. Integers of 16 bits are written as they are.
    percentiles
        Instead: shares [%] of the data below these two values.
    rows
        First and past-the-last row of z, from 0.
    fill
        Value written where one is not finite; None refuses such data in 16 bits.
    overwrite
        Replace an export that exists, once this one is whole.
    wait
        Wait for another process that writes the same.
    progress
        Called with the bytes read so far and in all.

    Returns
    -------
    dict
        What ``export.json`` holds.

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
        if int(np.prod(array.shape[1:])) * grey.dtype.itemsize >= _MOST:
            raise ArgumentError(
                "one image is too large for a TIFF file that ImageJ reads",
                got=f"{array.shape[1:]} {grey.dtype}",
                do="export to HDF5",
            )
        told = place.record(ds, array, grey)
        names = _names(array, rows)
        done = _begin(partial, told, names)
        todo = (len(names) - len(done)) * int(np.prod(array.shape[1:])) * grey.dtype.itemsize
        place.room(target.parent, todo)
        try:
            clipped = _write(array, grey, partial, names, done, told, progress)
        except SourceError:
            # No later run with these parameters could end otherwise.
            place.remove(partial)
            raise
        told["clipped_share"] = clipped / array.size
        told["files"] = [names[0], names[-1]]
        durable.write(partial / place.RECORD, [json.dumps(told, indent=1).encode()])
        (partial / _REQUEST).unlink()
        place.finish(partial, target)
    return told


def _names(array: xr.DataArray, rows: tuple[int, int] | None) -> list[str]:
    # Counted as in the store, so that a part has the names that it has in the whole.
    first = rows[0] if rows is not None and array.dims[0] == "z" else 0
    digits = max(len(str(first + array.shape[0] - 1)), 4)
    return [f"{array.name}_{first + i:0{digits}d}.tif" for i in range(array.shape[0])]


def _begin(partial: Path, told: dict[str, Any], names: list[str]) -> dict[str, int]:
    """Files that an interrupted export has left whole, with their clipped pixels."""
    request = json.dumps(told, sort_keys=True)
    kept = partial / _REQUEST
    # Only a node of a store says by its checksums that the data is the same.
    same = told.get("checksums") and kept.is_file() and kept.read_text("utf-8") == request
    if not same:
        place.remove(partial)
        durable.write(kept, [request.encode()])
        return {}
    return {n: _clipped(partial / n) for n in names if (partial / n).is_file()}


def _clipped(path: Path) -> int:
    with tifffile.TiffFile(path) as tif:
        return int((tif.imagej_metadata or {}).get("clipped", 0))


def _write(
    array: xr.DataArray,
    grey: Grey,
    partial: Path,
    names: list[str],
    done: dict[str, int],
    told: dict[str, Any],
    progress: Progress | None,
) -> int:
    """Write what is not done; how many pixels were clipped in all."""
    clipped = sum(done.values())
    missing = [i for i, name in enumerate(names) if name not in done]
    if not missing:
        return clipped
    skipped = missing[0]
    for start, block in source.blocks(array[skipped:]):
        for i, image in enumerate(block, skipped + start):
            if names[i] in done:
                continue
            numbers, outside = grey.encode(image, f"image {i} of {array.name}")
            durable.write(
                partial / names[i], [_encoded(numbers, grey, told, outside)], parent_synced=True
            )
            clipped += outside
        if progress is not None:
            whole = skipped + start + len(block)
            progress(array.nbytes * whole // len(names), array.nbytes)
    durable.sync_folder(partial)
    return clipped


def _encoded(numbers: Array, grey: Grey, told: dict[str, Any], clipped: int) -> bytes:
    """The bytes of one file, described as ImageJ does it."""
    first, y, x = (told["spacing_um"][d] for d in told["dims"])
    described: dict[str, Any] = {"axes": "YX", "clipped": clipped}
    if y and x:
        described["unit"] = "um"
        if first:
            described["spacing"] = first
    if grey.step:
        # ImageJ's calibration by a straight line: it shows values and their unit.
        described |= {"cf": 0, "c0": grey.low, "c1": grey.step, "vunit": told["units"],
                      "min": 0.0, "max": 65535.0}  # fmt: skip
    file = io.BytesIO()
    resolution = (1 / x, 1 / y) if x and y else None
    tifffile.imwrite(file, numbers, imagej=True, resolution=resolution, metadata=described)
    return file.getvalue()
