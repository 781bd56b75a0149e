"""Positions of a scan as kernels need them: the spacing of its columns."""

from __future__ import annotations

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import SchemaError
from zeoarray.labelled import known

UM_PER_CM = 1e4
UNEVEN = 0.01
"""Columns may stand off an even spacing by this share of it."""


def spacing_of(ds: xr.Dataset, by: str, dim: str = "u") -> float:
    """Return the distance of positions along a dim [um]; `resolution` where there is one position.

    Raises
    ------
    SchemaError
        Where positions do not ascend evenly, or a single one comes without `resolution`.
    """
    place = known(ds[dim]).astype(float)
    if place.size == 1:
        schema.validate(ds, schema.Schema("dataset of one position", (schema.RESOLUTION,)), by=by)
        return float(known(ds["resolution"]))
    step = float(place[-1] - place[0]) / (place.size - 1)
    off = np.abs(place - place[0] - step * np.arange(place.size)).max()
    if not (step > 0 and off <= UNEVEN * step):
        raise SchemaError(
            f"{by}: positions along {dim!r} do not ascend evenly",
            got=f"{place[0]:g} to {place[-1]:g} um, off an even spacing by {off:g} um",
            expected=f"one spacing of {dim!r} within {UNEVEN:.0%}",
            do=f"ds.sortby({dim!r}), and keep every column or every n-th",
        )
    return step
