"""Positions of a sinogram as kernels need them: angles, and the spacing of `u`."""

from __future__ import annotations

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels.gaps import directions
from zeoarray.labelled import known

UNEVEN = 0.01
"""Positions may stand off an even spacing by this share of it."""
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
