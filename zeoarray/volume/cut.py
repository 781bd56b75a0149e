"""Crop and bin: parts and means of anything that has positions, scans and volumes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import windows
from zeoarray.labelled import lift
from zeoarray.step import Count, step

__all__ = ["bin", "crop"]

Range = tuple[float, float]
Position = Literal["z", "y", "x", "u"]


@step()
def crop(
    ds: xr.Dataset,
    *,
    z: Range | None = None,
    y: Range | None = None,
    x: Range | None = None,
    u: Range | None = None,
) -> xr.Dataset:
    """Keep the part of a scan or volume whose pixel or voxel centres lie in physical ranges.

    Positions stay what they were, and with them everything that is stored in um.

    Parameters
    ----------
    ds
        Any dataset with these dims.
    z, y, x, u
        First and last position kept [um], both included; None keeps all.

    Raises
    ------
    SchemaError
        Where the dataset has no such dim.
    ArgumentError
        For a range that holds no position.

    Examples
    --------
    >>> ds = xr.Dataset(coords={"z": ("z", [0.0, 2.0, 4.0, 6.0], {"units": "um"})})
    >>> crop(ds, z=(1, 4)).z.values
    array([2., 4.])
    """
    wanted = {d: r for d, r in {"z": z, "y": y, "x": x, "u": u}.items() if r is not None}
    schema.validate(ds, schema.positioned(wanted), by="volume.crop")
    return ds.isel({dim: _inside(dim, ds[dim].values, limits) for dim, limits in wanted.items()})


def _inside(dim: str, centres: np.ndarray, limits: Range) -> slice | np.ndarray:
    low, high = limits
    # So that rounding does not decide whether a centre that lies on the limit is in.
    slack = 1e-6 * abs(centres[-1] - centres[0]) / max(centres.size - 1, 1)
    found = np.flatnonzero((centres >= low - slack) & (centres <= high + slack))
    if not found.size:
        raise ArgumentError(
            f"volume.crop: no position along {dim!r} lies in the range",
            got=f"{dim}=({low:g}, {high:g}) um",
            expected=f"within {centres.min():g} to {centres.max():g} um, the lower limit first",
        )
    first, last = int(found[0]), int(found[-1])
    return slice(first, last + 1) if last - first + 1 == found.size else found


@step()
def bin(
    ds: xr.Dataset,
    *,
    factor: Count,
    dims: tuple[Position, ...] | None = None,
) -> xr.Dataset:
    """Average each `factor` neighbours along position dims, of all variables that have them.

    The first centre moves by (factor - 1) / 2 of the old spacing, as the mean of the centres in
    its bin does. A flag is set where it was set in the whole bin. What fills no bin at the end of
    a dim is left out, and said in the attribute `notes`.

    Parameters
    ----------
    ds
        A scan or a volume.
    factor
        Pixels or voxels in a bin, along each dim.
    dims
        Which dims; None takes all of z, y, x, u that the dataset has. Where all of them are
        binned, `resolution` grows by the factor; otherwise it stays as it is.

    Raises
    ------
    SchemaError
        Where the dataset has no such dim, or a variable along it that has no mean.
    ArgumentError
        For a factor above the size of a dim.

    Examples
    --------
    >>> z = ("z", [0.0, 2.0, 4.0, 6.0], {"units": "um"})
    >>> ds = xr.Dataset({"attenuation": ("z", [1.0, 3.0, 5.0, 7.0])}, {"z": z})
    >>> binned = bin(ds, factor=2)
    >>> binned.z.values, binned.attenuation.values
    (array([1., 5.]), array([2., 6.]))
    """
    present = [d for d in schema.POSITIONS if d in ds.dims]
    chosen = present if dims is None else [d for d in schema.POSITIONS if d in dims]
    schema.validate(ds, schema.positioned(chosen), by="volume.bin")
    out, notes = ds, list(ds.attrs.get("notes", []))
    for dim in chosen:
        if factor > ds.sizes[dim]:
            raise ArgumentError(
                f"volume.bin: {dim!r} is too short for this factor",
                got=f"factor {factor}, {ds.sizes[dim]} positions",
                expected=f"1 to {ds.sizes[dim]}",
            )
        if left := ds.sizes[dim] % factor:
            notes.append(f"volume.bin: the last {left} of {ds.sizes[dim]} along {dim} fill no bin")
        out = _binned(out, dim, factor)
        name = {"z": "detector_rows", "u": "detector_columns"}.get(dim)
        if name in out.coords:
            attrs = out[name].attrs
            out = out.assign_coords({str(name): (out[name] // factor).assign_attrs(attrs)})
    if "resolution" in out.coords and chosen == present:
        attrs = out["resolution"].attrs
        out = out.assign_coords(resolution=(out["resolution"] * factor).assign_attrs(attrs))
    return out.assign_attrs(notes=notes) if notes else out


def _binned(ds: xr.Dataset, dim: str, factor: int) -> xr.Dataset:
    trimmed = ds.isel({dim: slice(0, ds.sizes[dim] - ds.sizes[dim] % factor)})
    along = {name: v for name, v in trimmed.variables.items() if dim in v.dims}
    new = {}
    for name, variable in along.items():
        if variable.dtype.kind not in "biuf":
            raise SchemaError(
                f"volume.bin: {name!r} cannot be averaged",
                got=f"dtype {variable.dtype} along {dim!r}",
                do=f'ds.drop_vars("{name}")',
            )
        flag = variable.dtype.kind == "b" or name in schema.FLAGS
        kernel = windows.bin_all if flag else windows.bin_mean
        # Without coordinates: they are binned as variables of their own.
        bare = xr.DataArray(variable.to_base_variable())
        (mean,) = lift(kernel, bare, parameters={"factor": factor}, dims={"n": dim})
        new[name] = mean.variable.copy(deep=False)
        new[name].attrs = variable.attrs
    out = trimmed.drop_vars(list(along)).assign_coords(
        {name: v for name, v in new.items() if name in ds.coords}
    )
    return out.assign({name: v for name, v in new.items() if name in ds.data_vars})
