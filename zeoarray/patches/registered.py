"""How far a registration may be off where a patch is."""

from __future__ import annotations

import itertools
from typing import Any, get_args

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import transform

Array = np.ndarray[Any, Any]

NOISE = 3.0
"""Of what a block is still off, so many of its standard deviations are noise."""
MAPS = ("to_sample", "to_fixed")
TURNED = 1e-9
"""A map that differs from none by less than this is none."""


def errors(
    registration: xr.Dataset, scan: str | None, centre: Array, width: Array, *, by: str
) -> Array:
    """(patch): greatest error of a registration over each patch [um].

    One standard deviation of the map, by its covariance, at the worst corner of the patch; and
    where the block of the registration that is nearest is off by more than its noise, by how much.
    The covariance alone would not see a sample that is bent.

    Parameters
    ----------
    registration
        Of another volume onto the one in whose frame patches are placed.
    scan
        Which, where it is of several.
    centre, width
        (patch, 3), (3): z, y, x [um].

    Raises
    ------
    SchemaError
        For what is no registration, or has no such scan.
    """
    of = _one(registration, scan, by)
    fields = _fields(of, by)
    covariance, about = (np.asarray(of[n].values, float) for n in ("covariance", "about"))
    worst = np.zeros(len(centre))
    for corner in itertools.product((-0.5, 0.5), repeat=3):
        points = (centre + np.array(corner) * width)[:, ::-1]
        spread = transform.errors(points, fields, about, covariance)
        worst = np.maximum(worst, np.trace(spread, axis1=1, axis2=2))
    return np.asarray(np.sqrt(worst + _unexplained(of, centre[:, ::-1]) ** 2))


def _one(registration: xr.Dataset, scan: str | None, by: str) -> xr.Dataset:
    several = "scan" in registration.dims
    schema.validate(registration, schema.NETWORK if several else schema.REGISTRATION, by=by)
    if not several:
        return registration
    names = [str(n) for n in registration["scan"].values]
    if scan not in names:
        raise SchemaError(
            f"{by}: the registration is of several scans, and this one is not among them",
            got=repr(scan),
            expected="one of " + ", ".join(names),
        )
    return registration.isel(scan=names.index(scan))


def _fields(of: xr.Dataset, by: str) -> Array:
    names = tuple(str(n) for n in of["parameter"].values)
    for model in get_args(transform.Model):
        basis = transform.basis(model)
        if basis.names == names:
            return basis.fields
    raise SchemaError(
        f"{by}: the parameters of the registration are those of no model",
        got=", ".join(names),
        expected="one of " + ", ".join(get_args(transform.Model)),
        do="give what volume.register gave",
    )


def _unexplained(of: xr.Dataset, points: Array) -> Array:
    """(patch): by how much the nearest block is off beyond its noise [um]."""
    out = np.zeros(len(points))
    if "block_residual" not in of:
        return out
    where, off, sigma = (
        np.asarray(of[f"block_{n}"].values, float) for n in ("position", "residual", "sigma")
    )
    known = np.isfinite(off).all(axis=1) & np.isfinite(sigma).all(axis=1)
    if not known.any():
        return out
    beyond = np.linalg.norm(off[known], axis=1) - NOISE * np.linalg.norm(sigma[known], axis=1)
    for i, point in enumerate(points):
        nearest = int(((where[known] - point) ** 2).sum(axis=1).argmin())
        out[i] = max(beyond[nearest], 0.0)
    return out


def same_frame(volume: xr.Dataset, *, by: str) -> None:
    """Raise for a volume that carries a map into another frame: its positions are not the places'.

    Raises
    ------
    ArgumentError
        Where the map is not the identity.
    """
    for name in MAPS:
        if name not in volume.variables or volume[name].shape != (4, 4):
            continue
        matrix = np.asarray(volume[name].values, float)
        if np.abs(matrix - np.eye(4)).max() > TURNED:
            shift, turn = np.linalg.norm(matrix[:3, 3]), matrix[:3, :3]
            raise ArgumentError(
                f"{by}: positions of this volume are not those of the places: it has a map "
                f"{name!r} that is still to be applied",
                got=f"a shift of {shift:.4g} um, turned and stretched by {turn.tolist()}",
                expected="volumes in one frame: patches are cut along the axes of the volume",
                do="volume.resample onto a grid of the places' frame with this registration, and "
                "cut that",
            )
