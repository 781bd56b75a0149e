"""Zingers: single pixels of single projections that are far too bright."""

from __future__ import annotations

import xarray as xr

from zeoarray import schema
from zeoarray.kernels import zingers
from zeoarray.labelled import lift
from zeoarray.step import step

__all__ = ["remove_zingers"]


@step(cites=("10.1107/S1600577514013939", "10.1080/01621459.1993.10476408"))
def remove_zingers(
    ds: xr.Dataset, *, snr: float = 8.0, relative: float = 0.0, size: int = 3
) -> xr.Dataset:
    """Replace bright outliers of single projections by the median of their neighbours.

    A zinger stands out of the same pixel in the projections before and after, and of the median of
    the pixels around it, by `snr` times the noise of its row. What is bright in all projections
    (a hot pixel) is a stripe: `remove_rings`. Flats are not changed: average them by the median.

    Parameters
    ----------
    ds
        ``transmission(angle, z, u)``, or, where it has none, raw ``counts(angle, z, u)``.
    snr
        How many times the noise of its row a zinger stands out.
    relative
        By what share of the median around it, at least. With ``snr=0`` it is the only threshold.
    size
        Odd width of the window in the detector [px].

    Returns
    -------
    xarray.Dataset
        The same without zingers, and ``zingers(angle, z)``, the share of each row replaced.

    Raises
    ------
    SchemaError
        For a dataset that has neither.
    ArgumentError
        For a window that is not odd and at least 3, and thresholds below 0.
    """
    raw = "transmission" not in ds.variables and "counts" in ds.variables
    schema.validate(ds, schema.SCAN_XCT if raw else schema.NORMALIZED_XCT, by="xct.remove_zingers")
    var = schema.COUNTS if raw else schema.TRANSMISSION
    parameters = {"snr": snr, "relative": relative, "size": size}
    zingers.check(snr=snr, relative=relative, size=size)
    clean, share = lift(zingers.remove_zingers, ds[var.name], parameters=parameters)
    clean = clean.rename(var.name).assign_attrs(ds[var.name].attrs)
    share = share.assign_attrs(schema.attrs_of(schema.ZINGERS))
    return ds.assign({var.name: clean, "zingers": share})
