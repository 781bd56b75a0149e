"""Spots of single crystals out of a sinogram: `remove_spots`."""

from __future__ import annotations

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.kernels import spots
from zeoarray.labelled import lift
from zeoarray.step import step
from zeoarray.xrdct.points import ascending, valid_of

__all__ = ["remove_spots"]

BY = "xrdct.remove_spots"
CLOSED = 1.5
"""A circle is full where first and last projection are at most this many steps apart."""


@step()
def remove_spots(
    ds: xr.Dataset, *, snr: float = 6.0, relative: float = 0.5, reach: int = 1, span: int = 1
) -> xr.Dataset:
    """Replace spots, that a large crystal makes in single projections, by their neighbours.

    For each q, a point that is brighter than the projections before and after, there and `reach`
    positions to either side, by `snr` times the noise of counts and by the share `relative`, is
    replaced by the mean of both. Clipping pixels within a ring while integrating finds more of
    them; what is left, and data that comes integrated, is for this.

    Parameters
    ----------
    ds
        A sinogram, with its angles in order.
    snr
        How many times the noise a spot stands out.
    relative
        By what share of its neighbours, at least.
    reach
        How far the edge of the sample moves between projections that are compared [positions].
    span
        How many projections a spot extends over, at most.

    Returns
    -------
    xarray.Dataset
        The sinogram without spots, and ``spots(z, angle, q)``, the share of each projection that
        was replaced. The variance is kept: that of a spot is large, so what stands for it counts
        little.

    Raises
    ------
    ArgumentError
        For thresholds below 0, a reach below 0, or a span below 1.
    SchemaError
        For a dataset that is no sinogram, and angles that do not ascend.
    """
    schema.validate(ds, schema.SINOGRAM, by=BY)
    spots.check(snr=snr, relative=relative, reach=reach, span=span)
    angle = ascending(ds, "angle", BY)
    usual = float(np.median(np.diff(angle))) if angle.size > 1 else 0.0
    around = bool(angle.size > 2 and angle[0] + 360 - angle[-1] <= CLOSED * usual)
    parameters = {
        "snr": snr, "relative": relative, "reach": reach, "span": span, "around": around
    }  # fmt: skip
    clean, share = lift(spots.remove_spots, ds["intensity"], valid_of(ds), parameters=parameters)
    return ds.assign(
        intensity=clean.assign_attrs(ds["intensity"].attrs),
        spots=share.transpose("z", "angle", "q").assign_attrs(schema.attrs_of(schema.SPOTS)),
    )
