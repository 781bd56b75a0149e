"""Opposite rays of a full circle averaged: `fold`."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError
from zeoarray.kernels import fold as folding
from zeoarray.labelled import known, lift
from zeoarray.positions import axis_of
from zeoarray.step import step
from zeoarray.xrdct.points import valid_of
from zeoarray.xrdct.positions import spacing_of

__all__ = ["fold"]

Array = np.ndarray[Any, Any]
BY = "xrdct.fold"
CLOSE = 0.25
"""Projections are opposite where they are half a turn apart within this share of a step."""


@step()
def fold(
    ds: xr.Dataset, *, axis: xr.Dataset | None = None, center: float | None = None
) -> xr.Dataset:
    """Average each ray of a full circle with its opposite.

    A ray and its opposite pass through the same matter. What is measured of them differs by
    parallax, since matter nearer to the detector scatters to smaller radii, and by absorption of
    what is scattered, which leaves the sample on the other side: both change sign to first order
    and cancel in the mean, where a point was measured from both sides. Their second order, a
    broadening, stays. What parallax itself says is lost: fit it before. Reconstruction of the
    unfolded circle gives the same mean where every ray counts alike; folding first keeps the rays
    that lack an opposite apart, makes half of the projections, and halves the variance of each.

    Parameters
    ----------
    ds
        A sinogram over more than half a circle.
    axis
        What `find_center` gave.
    center
        In its place, the index of u where the axis is.

    Returns
    -------
    xarray.Dataset
        Intensity and variance over half a circle, beginning at the first angle; `valid`, 1 where
        a ray was measured from either side, and ``both_sides``, where from both. Between positions
        opposite rays are interpolated linearly.

    Raises
    ------
    ArgumentError
        Where no projection has an opposite, or the axis is not known.
    SchemaError
        For a dataset that is no sinogram, and uneven positions.
    """
    schema.validate(ds, schema.SINOGRAM, by=BY)
    angle = known(ds["angle"]).astype(float)
    half, group, side = _opposites(angle)
    _, columns = axis_of(ds, axis, center, spacing_of(ds, by=BY), by=BY, rows="layers")
    plan = [xr.DataArray(a, dims="angle") for a in (group, side)]
    parameters: dict[str, Any] = {"count": half.size, "center": columns}
    valid = valid_of(ds)
    bare = valid.drop_vars(list(valid.coords)) != 0
    one, both = lift(folding.fold_flags, bare, *plan, parameters=parameters)
    out = {"valid": (one, schema.VALID), "both_sides": (both, schema.BOTH_SIDES)}
    made = {
        n: v.transpose(*var.dims).assign_attrs(schema.attrs_of(var)) for n, (v, var) in out.items()
    }
    for name, power in (("intensity", 1), ("variance", 2)):
        if name in ds.variables:
            value = ds[name].drop_vars(list(ds[name].coords))
            (mean,) = lift(
                folding.fold, value, bare, *plan, parameters={**parameters, "power": power}
            )
            made[name] = mean.assign_attrs(ds[name].attrs)
    rest = ds.drop_dims("angle").assign(made)
    return rest.assign_coords(angle=("angle", half, ds["angle"].attrs))


def _opposites(angle: Array) -> tuple[Array, Array, Array]:
    """Angles of the folded projections; for each projection, which it is, and from which side."""
    if not (angle.size and np.isfinite(angle).all()):
        raise ArgumentError(
            f"{BY}: an angle is not finite", do="xrdct.sinogram puts frames on a grid"
        )
    gaps = np.diff(np.unique(angle))
    close = CLOSE * float(np.median(gaps)) if gaps.size else 0.0
    turns = np.floor((angle - angle.min() + close) / 180).astype(np.int64)
    direction = angle - 180 * turns
    order = np.argsort(direction, kind="stable")
    group = np.empty(angle.size, np.int64)
    group[order] = np.concatenate([[0], np.cumsum(np.diff(direction[order]) > close)])
    side = turns % 2
    pairs = np.intersect1d(group[side == 0], group[side == 1])
    if not pairs.size:
        raise ArgumentError(
            f"{BY}: no projection has an opposite",
            got=f"{angle.size} angles from {angle.min():g} to {angle.max():g} deg",
            expected="a full circle, with projections half a turn apart",
            do="reconstruct without folding",
        )
    half = np.bincount(group, direction) / np.bincount(group)
    return half, group, side
