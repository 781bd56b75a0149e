"""The points of a sinogram: which were measured, and whether their positions ascend."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray.errors import SchemaError
from zeoarray.labelled import known

Array = np.ndarray[Any, Any]
POINT = ("z", "angle", "u")


def valid_of(ds: xr.Dataset) -> xr.DataArray:
    """``valid(z, angle, u)`` of a sinogram; 1 everywhere, where it says nothing of it."""
    if "valid" in ds.variables:
        return ds["valid"]
    return xr.DataArray(np.ones([ds.sizes[d] for d in POINT], bool), dims=POINT)


def ascending(ds: xr.Dataset, dim: str, by: str) -> Array:
    """Positions along a dim, which have to ascend.

    Raises
    ------
    SchemaError
        Where they do not, or are not finite.
    """
    place = known(ds[dim]).astype(float)
    if not (np.isfinite(place).all() and (np.diff(place) > 0).all()):
        raise SchemaError(
            f"{by}: positions along {dim!r} do not ascend",
            got=f"{place.size} positions, {int((~np.isfinite(place)).sum())} of them not finite",
            do="xrdct.sinogram(ds) puts them in order",
        )
    return place
