"""`stitch`: predictions of patches put back into a volume, blended where they overlap."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.labelled import known
from zeoarray.patches import windows
from zeoarray.step import step

Array = np.ndarray[Any, Any]
BY = "patches.stitch"

SHARED = 1e-3
"""Steps and places that differ by less than this share of a voxel are the same."""


@step()
def stitch(ds: xr.Dataset, *, patches: xr.Dataset, variable: str | None = None) -> xr.Dataset:
    """Put patches where they were cut, blended by Hann windows where they overlap.

    Voxels that no patch covers become NaN.

    Parameters
    ----------
    ds
        A volume on whose voxels the result lies: z, y, x. Its values are not read.
    patches
        What `patches.extract` cut, or predictions of the same shape and coordinates.
    variable
        Which; None takes the only one.

    Returns
    -------
    xarray.Dataset
        The variable as (z, y, x), or (channel, z, y, x) where there are several channels.

    Raises
    ------
    SchemaError
        For patches whose voxels are not those of the volume.
    """
    schema.validate(ds, schema.positioned(windows.AXES), by=BY)
    schema.validate(patches, schema.PATCHES, by=BY)
    name = _chosen(patches, variable)
    values = patches[name].variable.transpose("patch", ..., *windows.AXES)
    starts, first = _starts(ds, patches)
    channels = values.shape[1]
    dims = windows.AXES if channels == 1 else ("channel", *windows.AXES)
    like = next((v for v in ds.variables.values() if set(windows.AXES) <= set(v.dims)), None)
    rows = xr.DataArray(np.arange(first, first + ds.sizes["z"]), dims="z")
    if like is not None and like.chunks is not None:
        rows = rows.chunk(z=dict(zip(like.dims, like.chunks, strict=True))["z"])
    out = xr.apply_ufunc(
        _blended,
        rows,
        kwargs={"values": values, "starts": starts, "size": (ds.sizes["y"], ds.sizes["x"])},
        input_core_dims=[[]],
        output_core_dims=[["channel", "y", "x"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={
            "output_sizes": {"channel": channels, "y": ds.sizes["y"], "x": ds.sizes["x"]}
        },
    )
    whole = out.transpose("channel", *windows.AXES)
    whole = whole.isel(channel=0) if channels == 1 else whole
    coords = {n: v for n, v in ds.coords.items() if set(v.dims) <= set(windows.AXES)}
    if channels > 1 and "channel" in patches.coords:
        coords["channel"] = patches["channel"]
    return xr.Dataset({name: (dims, whole.variable.data, patches[name].attrs)}, coords)


def _chosen(patches: xr.Dataset, variable: str | None) -> str:
    fit = [str(n) for n, v in patches.data_vars.items() if {"patch", *windows.AXES} <= set(v.dims)]
    if variable is None and len(fit) == 1:
        return fit[0]
    if variable not in fit:
        raise ArgumentError(
            f"{BY}: which variable shall be put together?",
            got=repr(variable),
            expected="one of " + (", ".join(fit) or "a variable with patch, z, y, x"),
        )
    return str(variable)


def _starts(ds: xr.Dataset, patches: xr.Dataset) -> tuple[Array, int]:
    """(patch, 3): first voxel of each patch; along z in the count of rows whose first is given."""
    found, first = [], 0
    for axis, var in zip(windows.axes(ds, by=BY), schema.CUTS, strict=True):
        inside = known(patches[axis.name], whole=False).astype(float)
        steps = np.diff(inside)
        if steps.size and (np.abs(steps - axis.step) > SHARED * axis.step).any():
            raise SchemaError(
                f"{BY}: the voxels of the patches are not those of the volume along {axis.name!r}",
                got=f"{steps.mean():g} um",
                expected=f"{axis.step:g} um",
                do="stitch onto a volume with voxels of that size (volume.resample)",
            )
        # Whole voxels from the origin, so that a block of the volume says the same as the whole.
        begin = round(axis.first / axis.step - _phase(axis))
        lowest = known(patches[var.name], whole=False).astype(float) + inside[0]
        index = (lowest - axis.first) / axis.step
        start = np.rint(index).astype(np.int64)
        if (np.abs(index - start) > 0.5 - SHARED).any():
            raise SchemaError(
                f"{BY}: patches lie half-way between voxels along {axis.name!r}",
                do="stitch onto the grid that they were cut from",
            )
        found.append(start + (begin if axis.name == "z" else 0))
        first = begin if axis.name == "z" else first
    return np.stack(found, 1), first


def _phase(axis: windows.Axis) -> float:
    """Where the grid lies between whole voxels from the origin, 0 to 1."""
    return float(np.round((axis.first / axis.step) % 1, 6))


def _blended(rows: Array, *, values: xr.Variable, starts: Array, size: tuple[int, int]) -> Array:
    """(z, channel, y, x) of some rows: each patch that reaches them is read once."""
    shape = values.shape[2:]
    channels = values.shape[1]
    total = np.zeros((rows.size, channels, *size), np.float32)
    weight = np.zeros((rows.size, 1, *size), np.float32)
    first, last = int(rows[0]), int(rows[-1])
    hann = [np.hanning(n + 2)[1:-1].astype(np.float32) for n in shape]
    plane = hann[1][:, None] * hann[2][None, :]
    for i in np.flatnonzero((starts[:, 0] <= last) & (starts[:, 0] + shape[0] > first)):
        z0, y0, x0 = (int(s) for s in starts[i])
        low, high = max(z0, first), min(z0 + shape[0], last + 1)
        y, x = _within(y0, shape[1], size[0]), _within(x0, shape[2], size[1])
        if y.stop <= y.start or x.stop <= x.start:
            continue
        inner = values.isel(patch=int(i), z=slice(low - z0, high - z0))
        part = inner.compute(scheduler="synchronous").values if inner.chunks else inner.values
        at = slice(low - first, high - first)
        cut = (slice(y.start - y0, y.stop - y0), slice(x.start - x0, x.stop - x0))
        share = hann[0][low - z0 : high - z0, None, None] * plane[cut]
        part = np.moveaxis(np.asarray(part, np.float32), 0, 1)[(..., *cut)]
        total[at, :, y, x] += share[:, None] * part
        weight[at, :, y, x] += share[:, None]
    with np.errstate(invalid="ignore"):
        out = total / weight
    return np.where(weight > 0, out, np.nan).astype(np.float32)


def _within(start: int, count: int, size: int) -> slice:
    return slice(max(start, 0), min(start + count, size))
