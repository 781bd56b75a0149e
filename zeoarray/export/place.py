"""Where an export goes: nothing half-written looks whole, nothing is replaced unasked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr

from zeoarray.chunks import format_bytes
from zeoarray.errors import ArgumentError, StoreError
from zeoarray.export.grey import Grey
from zeoarray.export.source import spacing
from zeoarray.store import durable, lock

RECORD = "export.json"
"""What tells a folder that was exported from any other."""
_CM_PER_UM = 1e-4


@contextmanager
def prepared(out: Path, *, overwrite: bool, wait: bool) -> Iterator[Path]:
    """Hold the right to write `out`, and give the place where it grows until it is whole.

    Raises
    ------
    StoreError
        Where `out` exists and may not be replaced.
    LockedError
        Where another process writes it.
    """
    if out.name in ("", ".."):
        raise ArgumentError("an export needs a name of its own", got=str(out))
    _free_to_write(out, overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise durable.failed(out, error) from error
    with lock.held(out.with_name(f"{out.name}.lock"), wait=wait):
        # Another process may have made it while this one waited.
        _free_to_write(out, overwrite)
        yield out.with_name(f".{out.name}.partial")


def _free_to_write(out: Path, overwrite: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    ours = out.is_file() if out.is_symlink() or not out.is_dir() else (out / RECORD).is_file()
    if not ours:
        raise StoreError(
            f"{out} exists and is no export",
            got="a folder without " + RECORD if out.is_dir() else "no plain file",
            do="choose another name: what was not exported is never replaced",
        )
    if not overwrite:
        raise StoreError(
            f"{out} exists", do="choose another name, or --overwrite to replace it when it is done"
        )


def finish(partial: Path, out: Path) -> None:
    """Put what is whole in the place of `out`; what was there goes away afterwards."""
    old = out.with_name(f".{out.name}.old")
    try:
        remove(old)
        if out.exists():
            durable.rename(out, old)
        durable.rename(partial, out)
        remove(old)
    except OSError as error:
        raise durable.failed(out, error) from error


def remove(path: Path) -> None:
    """Delete a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def room(folder: Path, nbytes: int) -> None:
    """Raise where the disk has less room than the export needs, before hours are spent on it."""
    free = shutil.disk_usage(folder).free
    if free < nbytes:
        raise StoreError(
            f"{folder} has too little room",
            got=f"{format_bytes(free)} free",
            expected=f"{format_bytes(nbytes)}",
            do="export fewer rows (--rows), 16 bits instead of floats, or to another disk",
        )


def record(ds: xr.Dataset, array: xr.DataArray, grey: Grey) -> dict[str, Any]:
    """What is known of an export before it is written, as JSON holds it."""
    positions = [str(d) for d in array.dims if d in array.coords]
    told: dict[str, Any] = {
        "zeoarray": version("zeoarray"),
        "store": ds.attrs.get("store"),
        "node": ds.attrs.get("node"),
        "variable": str(array.name),
        "long_name": array.attrs.get("long_name"),
        "units": array.attrs.get("units", "1"),
        "dims": list(map(str, array.dims)),
        "shape": list(array.shape),
        "dtype": grey.dtype.name,
        "spacing_um": {str(d): spacing(array, str(d)) for d in array.dims},
        "first_um": {
            d: float(array[d][0]) for d in positions if array[d].attrs.get("units") == "um"
        },
        "scaled_by": grey.why,
        "fill": grey.fill,
    }
    if grey.step:
        told |= {"range": [grey.low, grey.high], "step": grey.step}
        pixel = spacing(array, str(array.dims[-1]))
        if told["units"] == "1/cm" and pixel:
            # As Savu and the readers here count: a stack states its range per pixel.
            told["range_per_pixel"] = [v * pixel * _CM_PER_UM for v in (grey.low, grey.high)]
    for key in ("steps", "inputs", "checksums", "versions", "notes"):
        if key in ds.attrs:
            told[key] = ds.attrs[key]
    return told
