"""What `register_layers` is given: positions, maps of what was diffracted, and a tomogram."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, RegistrationError, SchemaError, SourceError
from zeoarray.kernels.filters import Filter
from zeoarray.labelled import known
from zeoarray.positions import axis_of
from zeoarray.volume.levels import Level
from zeoarray.volume.seen import Geometry

Array = np.ndarray[Any, Any]
BY = "volume.register_layers"
UNEVEN = 0.01
"""Positions may stand off an even spacing by this share of it."""
UNITS = 1000.0
"""A beam that is wider than so many voxels is of another unit."""
CONSTANT = 1e-6
"""A map is constant where it spreads by less than this share of its size."""
SENSES = ("rotation_sense", "u_sense", "z_sense")


def geometry_of(
    ds: xr.Dataset,
    phases: xr.Dataset | None,
    axis: xr.Dataset | None,
    beam: float | None,
    filter: Filter,
) -> Geometry:
    """How the layers were measured, and on which pixels they are compared."""
    schema.validate(ds, schema.SINOGRAM, by=BY)
    step = _even("u", known(ds["u"]).astype(float), "xrdct.sinogram puts frames on an even grid")
    z, columns = known(ds["z"]).astype(float), ds.sizes["u"]
    if not z.size:
        raise SourceError(f"{BY}: the diffraction scan has no layer", got=str(dict(ds.sizes)))
    spot = beam or next(
        (float(known(ds[n])) for n in ("beam_size", "resolution") if n in ds.variables), step
    )
    of_axis = ds
    if axis is None and phases is not None and "axis_u" in phases.variables:
        of_axis = ds.assign_coords(axis_u=phases["axis_u"])
    _, centers = axis_of(of_axis, axis, None, step, by=BY, rows="layers")
    shape = (columns, columns)
    if phases is not None:
        shape = _grid_of(phases, z, step)
    return Geometry(
        z, _angles(ds), columns, step, np.asarray(centers, float), _valid(ds), shape, filter, spot
    )


def _even(name: str, place: Array, do: str) -> float:
    step = float(place[-1] - place[0]) / max(place.size - 1, 1) if place.size else 0.0
    off = np.abs(place - place[:1] - step * np.arange(place.size)).max(initial=0)
    if not (step > 0 and off <= UNEVEN * step):
        raise SchemaError(
            f"{BY}: positions along {name!r} do not ascend evenly",
            got=f"{place.size} positions, off an even spacing by {off:g} um",
            expected=f"two or more, with one spacing within {UNEVEN:.0%}",
            do=do,
        )
    return step


def _angles(ds: xr.Dataset) -> Array:
    """Angles [rad] for which u - axis_u = x cos + y sin, in axes that have the scan's z."""
    sense = {name: int(known(ds[name])) if name in ds.variables else 1 for name in SENSES}
    for name, value in sense.items():
        if value not in (-1, 1):
            raise SchemaError(
                f"{BY}: the coordinate {name!r} is a sense", got=value, expected="+1 or -1"
            )
    opposite = 0.0 if sense["u_sense"] > 0 else np.pi
    turn = sense["rotation_sense"] * sense["z_sense"]
    return np.asarray(np.deg2rad(known(ds["angle"]).astype(float)) * turn + opposite)


def _valid(ds: xr.Dataset) -> Array:
    if "valid" in ds.variables:
        return np.asarray(ds["valid"].transpose("z", "angle", "u").values, bool)
    return np.ones((ds.sizes["z"], ds.sizes["angle"], ds.sizes["u"]), bool)


def _grid_of(phases: xr.Dataset, z: Array, step: float) -> tuple[int, int]:
    """Pixels of y and x of phases that were reconstructed from this sinogram."""
    schema.validate(phases, schema.PHASES_XRDCT, by=f"{BY}: phases")
    place = {d: known(phases[d]).astype(float) for d in "zyx"}
    wanted = {"z": z} | {
        d: (np.arange(place[d].size) - (place[d].size - 1) / 2) * step for d in "yx"
    }
    for dim, at in wanted.items():
        if place[dim].size != at.size or np.abs(place[dim] - at).max() > UNEVEN * step:
            raise ArgumentError(
                f"{BY}: the phases are not on the pixels of this sinogram",
                got=f"{dim} of {place[dim].size} positions, {place[dim].min():g} to "
                f"{place[dim].max():g} um",
                expected=f"{at.size} positions, {at.min():g} to {at.max():g} um",
                do="give the sinogram that they were reconstructed from",
            )
    return place["y"].size, place["x"].size


def maps_of(ds: xr.Dataset, phases: xr.Dataset | None, geometry: Geometry) -> Array:
    """(layer, target, y, x). What was diffracted: in all, or by each phase."""
    if phases is None:
        maps = np.stack([_total(ds, geometry, i) for i in range(geometry.z.size)])
    else:
        weight = phases["weight"].transpose("z", "phase", "y", "x").values.astype(float)
        bad = ~np.isfinite(weight)
        maps = np.where(bad, np.nan, geometry.smoothed(np.where(bad, 0, weight)))
    good = maps[:, :, geometry.inside()]
    good = good[np.isfinite(good)]
    if not good.size:
        raise SourceError(
            f"{BY}: the layers are empty",
            got="no finite pixel within the circle",
            expected="what the sample diffracted",
        )
    if not np.ptp(good) > CONSTANT * np.abs(good).max():
        raise SourceError(
            f"{BY}: the layers are constant",
            got=f"{good.mean():g} everywhere",
            expected="layers with structure",
        )
    return np.asarray(maps)


def _total(ds: xr.Dataset, geometry: Geometry, layer: int) -> Array:
    """(1, y, x). The sum over q of one layer, reconstructed."""
    valid = geometry.valid[layer]
    if not valid.any():
        return np.full((1, *geometry.shape), np.nan)
    rays = ds["intensity"].isel(z=layer).transpose("angle", "u", "q")
    lines = rays.compute(scheduler="synchronous").values.sum(axis=-1, dtype=float)
    return geometry.reconstructed(np.where(valid, lines, 0)[None].astype(np.float32), layer)


def tomogram_of(fixed: xr.Dataset, variable: str | None, geometry: Geometry) -> Level:
    """The volume that the layers are compared with."""
    schema.validate(fixed, schema.positioned("zyx"), by=BY)
    fit = [str(n) for n, v in fixed.data_vars.items() if set(v.dims) == {"z", "y", "x"}]
    if (variable is None and len(fit) != 1) or (variable is not None and variable not in fit):
        raise SchemaError(
            f"{BY}: the tomogram has "
            + ("no such volume" if variable or not fit else "several volumes, and none was named"),
            got=", ".join(f"{n} {dict(v.sizes)}" for n, v in fixed.data_vars.items())
            or "no variable",
            expected="one variable of (z, y, x)" + (f": {variable}" if variable else ""),
            do=f"name it: variable={fit[0]!r}" if fit else None,
        )
    array = fixed[variable or fit[0]].transpose("z", "y", "x")
    if min(array.shape) < 4:
        raise SourceError(
            f"{BY}: the tomogram is empty, or too thin to be compared",
            got=str(dict(array.sizes)),
            expected="4 voxels or more along each of z, y, x",
        )
    level = Level(array)
    ratio = geometry.spot_um / level.voxel_um
    if not 1 / UNITS < ratio < UNITS or not 1 / UNITS < geometry.step_um / level.voxel_um < UNITS:
        raise RegistrationError(
            f"{BY}: the beam and the voxels of the tomogram are too unlike to be of one unit",
            got=f"a beam of {geometry.spot_um:g} um at steps of {geometry.step_um:g} um, voxels of "
            f"{level.voxel_um:g} um",
            expected=f"a factor below {UNITS:g}; all in um",
            do='check the coordinates: ds["x"] * 1000 makes um of mm, / 1000 of nm',
        )
    if ratio < 1:
        raise ArgumentError(
            f"{BY}: the voxels of the tomogram are wider than the beam",
            got=f"voxels of {level.voxel_um:g} um, a beam of {geometry.spot_um:g} um",
            expected="voxels of a third of the beam or less, at most as wide as it",
            do="reconstruct the tomogram on finer voxels, or check beam=",
        )
    return level
