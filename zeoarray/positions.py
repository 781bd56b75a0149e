"""Where the rotation axis is in a scan, of either modality."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError
from zeoarray.kernels.axis_line import Line
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


def axis_node(
    ds: xr.Dataset,
    chosen: np.ndarray,
    found: Any,
    line: Line,
    difference_um: float,
    pixel_um: float,
    *,
    at_edge: bool,
    ambiguous: bool,
) -> xr.Dataset:
    """The node of a rotation axis: the line over `z`, and what it was drawn through.

    Parameters
    ----------
    ds
        What was searched, with `z` and `u`.
    chosen
        Indices of the rows of `z` that were.
    found
        By row, in columns: ``center``, ``sigma``, ``at_edge``, ``ambiguous``, ``candidate``,
        ``metric``.
    line
        What was drawn through the centers, in columns.
    difference_um
        Between the method and its check; NaN without one.
    pixel_um
        Spacing of `u`.
    at_edge, ambiguous
        Of the whole.
    """
    first = float(known(ds["u"])[0])
    place = known(ds["z"]).astype(float)
    slope, slope_sigma = line.slope * pixel_um, line.slope_sigma * pixel_um
    values: dict[str, Any] = {
        "axis_u": first + line.at(place) * pixel_um,
        "axis_sigma": line.sigma_at(place) * pixel_um,
        "axis_tilt": np.rad2deg(np.arctan(slope)),
        "axis_tilt_sigma": np.rad2deg(slope_sigma / (1 + slope**2)),
        "axis_check": float(difference_um),
        "at_edge": at_edge,
        "ambiguous": ambiguous,
        "row_z": place[chosen],
        "row_axis_u": first + found.center * pixel_um,
        "row_sigma": found.sigma * pixel_um,
        "row_used": line.used,
        "row_at_edge": found.at_edge,
        "row_ambiguous": found.ambiguous,
        "candidate_u": (first + found.candidate * pixel_um).astype(np.float32),
        "axis_metric": found.metric.astype(np.float32),
    }
    variables = {name: (schema.AXIS_XCT[name].dims, value) for name, value in values.items()}
    node = xr.Dataset(variables, {"z": ds["z"].variable.to_base_variable()})
    return schema.describe(node, schema.AXIS_XCT).assign_attrs(ds.attrs)
