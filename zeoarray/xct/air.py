"""`normalize_by_air`: transmission of a beam that was scanned across the sample, without flats."""

from __future__ import annotations

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import SchemaError
from zeoarray.kernels import flatfield
from zeoarray.labelled import known, lift
from zeoarray.step import Count, step

__all__ = ["normalize_by_air"]

BY = "xct.normalize_by_air"


@step()
def normalize_by_air(ds: xr.Dataset, *, margin: Count = 5, by_monitor: bool = True) -> xr.Dataset:
    """Divide the intensity of a scanned beam by that in air, at both ends of each line.

    For a pencil beam, whose lines begin and end beside the sample and which has no flats. Air is a
    straight line between the means of both ends, so that a beam which fades during a line is
    followed. Rotations are sorted by angle.

    Parameters
    ----------
    ds
        ``intensity(angle, u)`` of one height, or with `z` in any place; `monitor` of the same dims
        where it was measured.
    margin
        Positions at each end of a line that are in air.
    by_monitor
        Whether intensity is divided by the monitor first.

    Returns
    -------
    xarray.Dataset
        ``transmission(angle, z, u)``, for `xct.minus_log` and what follows it.

    Raises
    ------
    SchemaError
        For a dataset without intensity(angle, u), or with other dims than z beside them.
    ArgumentError
        For a margin that leaves nothing between both ends.
    """
    schema.validate(ds, schema.Schema("scanned lines", (schema.ANGLE, schema.U)), by=BY)
    lines = ds.get("intensity")
    if lines is None or {*lines.dims} - {"z"} != {"angle", "u"}:
        raise SchemaError(
            f"{BY}: there are no scanned lines",
            got="no intensity" if lines is None else f"intensity {dict(lines.sizes)}",
            expected="intensity(angle, u), with z where there are several heights",
            do="a scan with flats and darks is for xct.normalize",
        )
    if by_monitor and "monitor" in ds.variables:
        read = ds["monitor"].where(ds["monitor"] > 0, np.inf)  # a line without monitor is dark
        lines = (lines / read).astype(lines.dtype if lines.dtype.kind == "f" else "float32")
    if "z" not in lines.dims:
        lines = lines.expand_dims("z")
    lines = lines.transpose("angle", "z", "u")
    order = np.argsort(known(ds["angle"]), kind="stable")
    if (np.diff(order) != 1).any():
        lines = lines.isel(angle=order)
    (ratio,) = lift(flatfield.over_air, lines, parameters={"margin": margin})
    values = ratio.transpose("angle", "z", "u").variable
    values.attrs = schema.attrs_of(schema.TRANSMISSION)
    coords = {n: v.variable for n, v in ds.coords.items() if set(v.dims) <= {"z", "u"}}
    coords["angle"] = ds["angle"].isel(angle=order).variable
    coords["z"] = xr.Variable("z", np.atleast_1d(known(ds["z"], whole=False)), ds["z"].attrs)
    return xr.Dataset({"transmission": values}, coords, ds.attrs)
