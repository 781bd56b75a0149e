"""`join`: volumes of several scans side by side on one grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.step import Positive, step
from zeoarray.volume import grids
from zeoarray.volume.grids import AXES
from zeoarray.volume.resample import brought, map_of, way_to
from zeoarray.volume.sampling import Method

__all__ = ["join"]

BY = "volume.join"
KINDS = {
    "resolution": (("attenuation",), "valid", "scan"),
    "spot": (tuple(v.name for v in schema.JOINT_PHASES), "weight_valid", "spot_scan"),
}
"""Dim of scans of a kind: the variables that it has, the flags, and the names of the scans."""


@step()
def join(
    ds: xr.Dataset,
    *,
    volume: xr.Dataset,
    name: str,
    registration: xr.Dataset | None = None,
    scan: str | None = None,
    inverse: bool = False,
    interpolation: Method = "mean",
    psf: Positive | None = None,
    circle: Positive | None = None,
) -> xr.Dataset:
    """Bring a volume onto a grid as `resample` does, beside those that are there already.

    Called once for each scan, in one stage: attenuation joins along `resolution`, phases along
    `spot`. A block of rows of the grid reads the boxes of all scans behind it, so none of them need
    fit in memory.

    Parameters
    ----------
    ds
        The grid, as `volume.grid` gives it, or what this verb gave.
    volume
        What is added: attenuation(z, y, x), or weight(phase, z, y, x) with its errors, and its
        nominal `resolution`.
    name
        What the scan is called.
    scan
        Which of the scans it is in a registration of several (`volume.connect`); None takes `name`.
    registration, inverse, interpolation, psf, circle
        As for `volume.resample`.

    Returns
    -------
    xarray.Dataset
        attenuation(resolution, z, y, x) and `valid`, weight(spot, phase, z, y, x) and
        ``weight_valid``, as far as such volumes were added; ``scan`` and ``spot_scan`` name them.

    Raises
    ------
    SchemaError
        Where the first dataset is no grid, or the volume is of neither kind or has not the
        phases or variables of those that are there.
    ArgumentError
        For a name that is there already; and as `volume.resample`.

    Examples
    --------
    >>> z = ("z", [0.0, 1.0, 2.0, 3.0], {"units": "um"})
    >>> axes = {"z": z, "y": ("y", *z[1:]), "x": ("x", *z[1:]), "resolution": ((), 1.0, z[2])}
    >>> ds = xr.Dataset({"attenuation": (tuple("zyx"), np.ones((4, 4, 4), "f4"))}, axes)
    >>> one = join(grids.grid(ds, voxel=2.0), volume=ds, name="a")
    >>> join(one, volume=ds, name="b").attenuation.shape
    (2, 2, 2, 2)
    """
    grids.is_grid(ds, BY)
    dim, names = _kind(volume)
    _, flag, named = KINDS[dim]
    size = _nominal(volume)
    there = [str(n) for n in ds[named].values] if named in ds.coords else []
    if name in there:
        raise ArgumentError(
            f"{BY}: a scan of this name is there already", got=repr(name),
            expected="another than " + ", ".join(there),
        )  # fmt: skip
    of = map_of(registration, name if scan is None else scan, BY)
    way = way_to(ds, volume, of, inverse, interpolation, psf, circle, by=BY)
    found = brought(ds, volume, names, way, f"{BY} {name}")
    found[flag] = found.pop("valid")
    if there:
        _alike(ds, volume, found, dim)
    elif taken := [n for n in found if n in ds]:
        raise SchemaError(
            f"{BY}: the first dataset holds a volume that no scan is named for",
            got=", ".join(f"{n}{ds[n].dims}" for n in taken),
            expected="an empty grid, or what volume.join gave",
        )
    values = {n: _beside(ds, n, v.variable, dim, bool(there)) for n, v in found.items()}
    coords: dict[str, Any] = {
        dim: _beside(ds, dim, xr.Variable((), size), dim, bool(there)),
        named: xr.Variable(dim, np.array([*there, name])),
    }
    if "phase" in volume.dims:
        coords["phase"] = volume["phase"].variable
    out = ds.drop_vars([*values, *coords], errors="ignore").assign(values).assign_coords(coords)
    return schema.describe(out, schema.JOINT)


def _kind(volume: xr.Dataset) -> tuple[str, list[str]]:
    """The dim along which such a volume is joined, and its variables."""
    for dim, (names, _, _) in KINDS.items():
        lead = ("phase",) if dim == "spot" else ()
        fit = [n for n in names if n in volume and set(volume[n].dims) == {*lead, *AXES}]
        if fit:
            flags = "valid" in volume and set(volume["valid"].dims) == {*AXES}
            return dim, fit + ["valid"] * flags
    raise SchemaError(
        f"{BY}: the volume is neither of attenuation nor of phases",
        got=", ".join(f"{n}{v.dims}" for n, v in volume.data_vars.items()) or "no variable",
        expected="attenuation(z, y, x), or weight(phase, z, y, x)",
        do="volume.resample brings any variable onto a grid, in a node of its own",
    )


def _nominal(volume: xr.Dataset) -> float:
    if "resolution" not in volume.coords or volume["resolution"].ndim:
        raise SchemaError(
            f"{BY}: the volume does not say its nominal voxel or spot size",
            expected="a scalar coordinate 'resolution' [um]",
            do='ds.assign_coords(resolution=((), 2.6, {"units": "um"}))',
        )
    return float(volume["resolution"])


def _alike(ds: xr.Dataset, volume: xr.Dataset, found: dict[str, xr.DataArray], dim: str) -> None:
    before = [n for n in KINDS[dim][0] if n in ds]
    now = [n for n in KINDS[dim][0] if n in found]
    if before != now:
        raise SchemaError(
            f"{BY}: volumes along {dim!r} have the same variables",
            got=", ".join(now),
            expected=", ".join(before),
        )
    if dim == "spot" and not np.array_equal(ds["phase"], volume["phase"]):
        raise SchemaError(
            f"{BY}: volumes along 'spot' have the same phases",
            got=_listed(volume["phase"]),
            expected=_listed(ds["phase"]),
            do="ds.sel(phase=[...]) in the same order",
        )


def _listed(names: xr.DataArray) -> str:
    return ", ".join(map(str, names.values))


def _beside(ds: xr.Dataset, name: str, new: xr.Variable, dim: str, there: bool) -> xr.Variable:
    """What is there along `dim`, and one more."""
    one: xr.Variable = new.expand_dims(dim)  # type: ignore[assignment]
    if not there:
        return one
    parts = [xr.DataArray(v) for v in (ds[name].variable.to_base_variable(), one)]
    return xr.concat(parts, dim).variable
