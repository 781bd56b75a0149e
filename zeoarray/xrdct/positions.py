"""Positions of a sinogram as kernels need them: angles, spacing of `u`, index of the axis."""

from __future__ import annotations

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels.gaps import directions
from zeoarray.labelled import known

UNEVEN = 0.01
"""Positions may stand off an even spacing by this share of it."""
BEYOND = 1.0
"""The axis may be taken this many of its rows beyond those where it was measured."""
SENSES = ("rotation_sense", "u_sense", "z_sense")


def angles_of(ds: xr.Dataset, *, by: str) -> xr.DataArray:
    """Return angles [rad] for which u - axis_u = x cos + y sin, in axes that have the scan's `z`.

    Raises
    ------
    SchemaError
        For a sense that is neither +1 nor -1.
    ArgumentError
        Where angles are not finite, or are all of one direction.
    """
    sense = {name: int(known(ds[name])) if name in ds.variables else 1 for name in SENSES}
    for name, value in sense.items():
        if value not in (-1, 1):
            raise SchemaError(
                f"{by}: the coordinate {name!r} is a sense", got=value, expected="+1 or -1"
            )
    angle = np.deg2rad(known(ds["angle"]).astype(float))
    if not np.isfinite(angle).all():
        bad = np.flatnonzero(~np.isfinite(angle))[0]
        raise ArgumentError(
            f"{by}: an angle is not finite",
            got=f"{angle[bad]} at index {bad}",
            do="leave the rotations out whose angle is not known",
        )
    if not angle.size or directions(angle) < 2:
        raise ArgumentError(
            f"{by}: a slice cannot be told from one direction",
            got=f"{angle.size} rotations, all in one direction (a ray and its opposite are one)",
            expected="rotations in two directions or more, and better in as many as u has columns",
        )
    opposite = 0.0 if sense["u_sense"] > 0 else np.pi
    return xr.DataArray(angle * sense["rotation_sense"] * sense["z_sense"] + opposite, dims="angle")


def spacing_of(ds: xr.Dataset, *, by: str) -> float:
    """Return the distance of positions along `u` [um].

    Raises
    ------
    SchemaError
        Where they do not ascend evenly, or there is only one.
    """
    place = known(ds["u"]).astype(float)
    step = float(place[-1] - place[0]) / max(place.size - 1, 1)
    off = np.abs(place - place[0] - step * np.arange(place.size)).max()
    if not (step > 0 and off <= UNEVEN * step):
        raise SchemaError(
            f"{by}: positions along 'u' do not ascend evenly",
            got=f"{place.size} positions, {place[0]:g} to {place[-1]:g} um, off an even spacing "
            f"by {off:g} um",
            expected=f"two or more, with one spacing within {UNEVEN:.0%}",
            do="xrdct.sinogram puts frames on an even grid",
        )
    return step


def axis_of(
    ds: xr.Dataset, axis: xr.Dataset | None, center: float | None, pixel_um: float, *, by: str
) -> tuple[xr.DataArray, xr.DataArray]:
    """Where the rotation axis is in each layer: in um, and as a fractional index of `u`.

    Raises
    ------
    ArgumentError
        Where it is given twice or not at all, or not known at all layers.
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
            expected="axis=, what xrdct.find_center gave, or center=, a fractional index of u",
            do="axis = xrdct.find_center(ds); then axis=axis",
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
            f"{by}: the rotation axis was not measured at all layers",
            got=f"layers at z {z.min():g} to {z.max():g} um, "
            f"axis known at {at[0]:g} to {at[-1]:g} um",
            do="run xrdct.find_center on the whole of this scan",
        )
    return np.asarray(np.interp(z, at, value))
