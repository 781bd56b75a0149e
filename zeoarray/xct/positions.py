"""Positions of a scan as kernels need them: spacing of the columns, index of the rotation axis."""

from __future__ import annotations

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.labelled import known

UM_PER_CM = 1e4
UNEVEN = 0.01
"""Columns may stand off an even spacing by this share of it."""
BEYOND = 1.0
"""The axis may be taken this many of its rows beyond those where it was measured."""


def spacing_of(ds: xr.Dataset, by: str, dim: str = "u") -> float:
    """Return the distance of positions along a dim [um]; `resolution` where there is one position.

    Raises
    ------
    SchemaError
        Where positions do not ascend evenly, or a single one comes without `resolution`.
    """
    place = known(ds[dim]).astype(float)
    if place.size == 1:
        schema.validate(ds, schema.Schema("dataset of one position", (schema.RESOLUTION,)), by=by)
        return float(known(ds["resolution"]))
    step = float(place[-1] - place[0]) / (place.size - 1)
    off = np.abs(place - place[0] - step * np.arange(place.size)).max()
    if not (step > 0 and off <= UNEVEN * step):
        raise SchemaError(
            f"{by}: positions along {dim!r} do not ascend evenly",
            got=f"{place[0]:g} to {place[-1]:g} um, off an even spacing by {off:g} um",
            expected=f"one spacing of {dim!r} within {UNEVEN:.0%}",
            do=f"ds.sortby({dim!r}), and keep every column or every n-th",
        )
    return step


def columns_of(
    ds: xr.Dataset, axis: xr.Dataset | None, center: float | None, pixel_um: float, *, by: str
) -> tuple[xr.DataArray, xr.DataArray]:
    """Where the rotation axis is in each row of a scan: in um, and as a fractional index of `u`.

    Raises
    ------
    ArgumentError
        Where it is given twice or not at all, or not known at all rows.
    """
    if axis is not None and center is not None:
        raise ArgumentError(
            f"{by}: the rotation axis is given twice",
            got=f"axis, and center={center:g}",
            do="leave out one of them",
        )
    z, first = known(ds["z"], whole=False).astype(float), float(known(ds["u"])[0])
    if center is not None:
        place = np.full(z.shape, first + center * pixel_um)
    else:
        place = _measured(ds if axis is None else axis, z, axis is not None, by)
    array = xr.DataArray(place, dims="z")
    return array, (array - first) / pixel_um


def _measured(ds: xr.Dataset, z: np.ndarray, asked: bool, by: str) -> np.ndarray:
    """``axis_u(z)`` of a dataset at other heights."""
    if not asked and "axis_u" not in ds.variables:
        raise ArgumentError(
            f"{by}: where the rotation axis is, is not known",
            expected="axis=, what xct.find_center gave, or center=, a fractional index of u",
            do="axis = xct.find_center(ds); then axis=axis",
        )
    schema.validate(ds, schema.Schema("rotation axis", (schema.CENTER, schema.Z)), by=by)
    at, value = known(ds["z"], whole=False).astype(float), known(ds["axis_u"], whole=False)
    if not value.ndim:
        return np.full(z.shape, float(value))
    order = np.argsort(at)
    at, value = at[order], np.asarray(value, dtype=float)[order]
    slack = BEYOND * (at[-1] - at[0]) / max(at.size - 1, 1) if at.size > 1 else np.inf
    if z.size and (z.min() < at[0] - slack or z.max() > at[-1] + slack):
        raise ArgumentError(
            f"{by}: the rotation axis was not measured at all rows",
            got=f"rows at z {z.min():g} to {z.max():g} um, "
            f"axis known at {at[0]:g} to {at[-1]:g} um",
            do="run xct.find_center on the whole of this scan",
        )
    return np.asarray(np.interp(z, at, value))
