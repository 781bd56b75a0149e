"""A sample of a scan's patterns, read at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError
from zeoarray.xrdct import model

Array = np.ndarray[Any, Any]


def spread_evenly(intensity: xr.DataArray, patterns: int) -> dict[Any, xr.DataArray]:
    """Indices along every dim but q of at most so many patterns, evenly spread over the scan."""
    dims = [d for d in intensity.dims if d != "q"]
    sizes = [intensity.sizes[d] for d in dims]
    count = int(np.prod(sizes, dtype=int))
    picked = np.unique(np.linspace(0, max(count - 1, 0), min(patterns, count)).round().astype(int))
    index = np.unravel_index(picked, sizes) if sizes else ()
    return {d: xr.DataArray(i, dims="pattern") for d, i in zip(dims, index, strict=True)}


def read(ds: xr.Dataset, chosen: slice, patterns: int, by: str) -> tuple[Array, Array | None]:
    """(pattern, q) Patterns evenly spread over the scan, and their variance.

    Where nothing was measured, which `valid` tells where it is there, intensities are NaN.

    Raises
    ------
    SchemaError
        For a dataset without patterns.
    ArgumentError
        For a negative variance.
    """
    intensity, variance = model.intensities(ds, by)
    at = spread_evenly(intensity, patterns)

    def values_of(array: xr.DataArray) -> Array:
        part = array.isel({d: i for d, i in at.items() if d in array.dims})
        if "q" in part.dims:
            part = part.isel(q=chosen)
        part = part.compute(scheduler="synchronous")
        made: Array = np.asarray(part.transpose(..., "q", missing_dims="ignore").values, float)
        return made.reshape(-1, part.sizes.get("q", 1))

    values = values_of(intensity)
    if "valid" in ds.variables:
        values = np.where(values_of(ds["valid"]) > 0, values, np.nan)
    if variance is None:
        return values, None
    spread = np.broadcast_to(values_of(variance), values.shape)
    if (spread < 0).any():
        raise ArgumentError(f"{by}: a variance is negative", got=f"{np.nanmin(spread):g}")
    return values, spread
