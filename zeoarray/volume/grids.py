"""Grids: where voxels lie, as a matrix from index to position; and the verb that names one."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError, SourceError
from zeoarray.labelled import known
from zeoarray.step import Positive, measure

__all__ = ["grid"]

Array = np.ndarray[Any, Any]
Range = tuple[float, float]
AXES = ("z", "y", "x")

UNEVEN = 1e-3
"""Steps may differ by this share of themselves, as coordinates are rounded."""


def _expected(ds: xr.Dataset, **arguments: Any) -> xr.Dataset:
    out: xr.Dataset = laid(ds, **arguments)
    return out


@measure(expects=_expected)
def grid(
    ds: xr.Dataset,
    *,
    voxel: Positive | None = None,
    z: Range | None = None,
    y: Range | None = None,
    x: Range | None = None,
) -> xr.Dataset:
    """Lay a grid of cubic voxels over a volume, for other volumes to be brought onto.

    It lies in the frame of `ds` and begins at its lower faces, so that a voxel that is a multiple
    of the volume's own makes the grid of `volume.bin`. Nothing is read but positions.

    Parameters
    ----------
    ds
        A volume of (z, y, x), or any dataset with these positions.
    voxel
        Size of a voxel [um]; None takes the volume's own.
    z, y, x
        First and last face of the grid [um], which may lie outside; None takes the volume's.

    Returns
    -------
    xarray.Dataset
        The coordinates z, y, x, the scalar `voxel`, and ``from_z``, ``to_z``, by which a part of
        the grid knows of the whole.

    Raises
    ------
    SchemaError
        For a volume without z, y, x in um.
    ArgumentError
        For steps that are not even, for a range without a voxel, and where voxels are not cubic
        and `voxel` is not given.

    Examples
    --------
    >>> z = ("z", [0.0, 2.0, 4.0, 6.0], {"units": "um"})
    >>> ds = xr.Dataset(coords={"z": z, "y": z[1:], "x": z[1:]} | {
    ...     d: (d, *z[1:]) for d in "yx"})
    >>> grid(ds, voxel=4.0).z.values
    array([1., 5.])
    """
    return laid(ds, voxel=voxel, z=z, y=y, x=x)


def laid(
    ds: xr.Dataset,
    *,
    voxel: float | None = None,
    z: Range | None = None,
    y: Range | None = None,
    x: Range | None = None,
) -> xr.Dataset:
    by = "volume.grid"
    schema.validate(ds, schema.positioned(AXES), by=by)
    steps = {d: abs(spacing(ds, d, by)) for d in AXES}
    if voxel is None and max(steps.values()) > (1 + UNEVEN) * min(steps.values()):
        raise ArgumentError(
            f"{by}: the voxels of this volume are not cubic",
            got=", ".join(f"{d} {s:g} um" for d, s in steps.items()),
            expected="voxel=, the size of the grid's voxels [um]",
        )
    size = steps["x"] if voxel is None else voxel
    coords: dict[str, Any] = {}
    for dim, limits in zip(AXES, (z, y, x), strict=True):
        low, high = faces(ds, dim, steps[dim]) if limits is None else limits
        count = int(np.floor((high - low) / size + 1e-6))
        if count < 1:
            raise ArgumentError(
                f"{by}: along {dim!r} there is no voxel",
                got=f"{low:g} to {high:g} um, voxels of {size:g} um",
                expected="the lower limit first, and room for one voxel",
            )
        coords[dim] = dim, low + (np.arange(count) + 0.5) * size
    first, last = coords["z"][1][[0, -1]]
    scalars = {"voxel": size, "from_z": first - size / 2, "to_z": last + size / 2}
    out = xr.Dataset(coords=coords | {name: ((), value) for name, value in scalars.items()})
    return schema.describe(out, schema.GRID)


def spacing(ds: xr.Dataset, dim: str, by: str) -> float:
    """Distance of neighbours along an axis [um]; below 0 where it descends.

    Raises
    ------
    SourceError
        For an axis without voxels.
    ArgumentError
        Where steps are not even, or there is one voxel and nothing says how large it is.
    """
    centres = known(ds[dim], whole=False).astype(float)
    if not centres.size:
        raise SourceError(
            f"{by}: the volume is empty", got=str(dict(ds.sizes)), expected=f"voxels along {dim!r}"
        )
    if centres.size == 1:
        size = next((ds[n] for n in ("voxel", "resolution") if n in ds.coords), None)
        if size is None or size.ndim:
            raise ArgumentError(
                f"{by}: there is one voxel along {dim!r}, and nothing says how large it is",
                expected="a scalar coordinate 'resolution' [um]",
                do='ds.assign_coords(resolution=((), 2.6, {"units": "um"}))',
            )
        return float(size)
    steps = np.diff(centres)
    mean = float(steps.mean())
    if not np.isfinite(mean) or not (np.abs(steps - mean) <= UNEVEN * abs(mean)).all() or not mean:
        raise ArgumentError(
            f"{by}: positions along {dim!r} are not evenly spaced",
            got=f"steps from {steps.min():g} to {steps.max():g} um",
            do="take a part whose steps are even, as ds.isel(z=slice(...))",
        )
    return mean


def faces(ds: xr.Dataset, dim: str, step: float) -> Range:
    """Outer faces of the voxels along an axis [um]."""
    centres = known(ds[dim], whole=False).astype(float)
    return float(centres.min()) - abs(step) / 2, float(centres.max()) + abs(step) / 2


def to_um(ds: xr.Dataset, by: str, steps: tuple[float, ...] | None = None) -> Array:
    """(4, 4): index (z, y, x, 1) to position (x, y, z, 1) [um]."""
    given = steps or tuple(spacing(ds, d, by) for d in AXES)
    out = np.zeros((4, 4))
    for axis, (dim, step) in enumerate(zip(AXES, given, strict=True)):
        out[2 - axis, axis] = step
        out[2 - axis, 3] = float(known(ds[dim][:1], whole=False)[0])
    out[3, 3] = 1
    return out


def is_grid(ds: xr.Dataset, by: str) -> None:
    """Raise unless `ds` is a grid, or a block of one.

    Raises
    ------
    SchemaError
        Where something is missing.
    """
    if not {"voxel", "from_z", "to_z"} <= set(ds.coords):
        raise SchemaError(
            f"{by}: the first dataset is the grid that volumes are brought onto",
            got=", ".join(map(str, ds.variables)) or "an empty dataset",
            expected="what volume.grid gives: z, y, x and voxel",
            do=f"{by}(volume.grid(fixed, voxel=2.6), volume=ds)",
        )
    schema.validate(ds, schema.GRID, by=by)
    size = float(ds["voxel"])
    for dim in AXES:
        if ds.sizes[dim] > 1 and abs(spacing(ds, dim, by) - size) > UNEVEN * size:
            raise SchemaError(
                f"{by}: the grid's positions along {dim!r} are not `voxel` apart",
                got=f"{spacing(ds, dim, by):g} um, voxel {size:g} um",
                do="volume.grid makes a grid of another voxel",
            )
