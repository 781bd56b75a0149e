"""Where the rotation axis is in a scan, of either modality."""

from __future__ import annotations

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError
from zeoarray.labelled import known

BEYOND = 1.0
"""The axis may be taken this many of its rows beyond those where it was measured."""


def axis_of(
    ds: xr.Dataset,
    axis: xr.Dataset | None,
    center: float | None,
    pixel_um: float,
    *,
    by: str,
    rows: str = "rows",
) -> tuple[xr.DataArray, xr.DataArray]:
    """Where the rotation axis is at each z: in um, and as a fractional index of `u`.

    Parameters
    ----------
    ds
        What is reconstructed, with `z` and `u`.
    axis, center
        What a ``find_center`` gave, or an index; where neither, the coordinate `axis_u` of `ds`.
    pixel_um
        Spacing of `u`.
    by
        The verb that asks, as messages name it: its module has the ``find_center`` they point to.
    rows
        What messages call positions along `z`.

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
        place = _measured(ds if axis is None else axis, z, axis is not None, by, rows)
    array = xr.DataArray(place, dims="z")
    return array, (array - first) / pixel_um


def _measured(ds: xr.Dataset, z: np.ndarray, asked: bool, by: str, rows: str) -> np.ndarray:
    """``axis_u(z)`` of a dataset at other heights."""
    measure = f"{by.partition('.')[0]}.find_center"
    if not asked and "axis_u" not in ds.variables:
        raise ArgumentError(
            f"{by}: where the rotation axis is, is not known",
            expected=f"axis=, what {measure} gave, or center=, a fractional index of u",
            do=f"axis = {measure}(ds); then axis=axis",
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
            f"{by}: the rotation axis was not measured at all {rows}",
            got=f"{rows} at z {z.min():g} to {z.max():g} um, "
            f"axis known at {at[0]:g} to {at[-1]:g} um",
            do=f"run {measure} on the whole of this scan",
        )
    return np.asarray(np.interp(z, at, value))
