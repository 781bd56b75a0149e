"""From raw frames to absorbance: flats, darks, and minus the logarithm."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.kernels import flatfield, references
from zeoarray.labelled import lift
from zeoarray.step import Share, step
from zeoarray.xct import flats

__all__ = ["minus_log", "normalize"]

Average = Literal["mean", "median"]


@step(version=2, cites=("10.1137/1.9780898719277",))
def normalize(
    ds: xr.Dataset,
    *,
    average: Average = "mean",
    scale_by: flats.Reading = "none",
    bounds: tuple[float, float] | None = None,
    frames: xr.Dataset | None = None,
) -> xr.Dataset:
    """Divide raw projections by the beam: counts to transmission.

    T = (counts - dark) / (flat - dark). Flats without a projection between them are one set, which
    is averaged; between two sets the flat is interpolated linearly in time, before the first and
    after the last the nearest is taken. Where the scan has no times of one clock, all flats are
    one set. Darks are one set. Of a flat, rows without any value above 0 (no beam) are left out,
    and of any frame values that are not finite. Pixels whose flats are no brighter than the dark
    are filled from their neighbours along `u`, and named by `usable`; every value is finite.

    Parameters
    ----------
    ds
        A scan: ``counts(angle, z, u)``, ``flat(flat_frame, z, u)``, ``dark(dark_frame, z, u)``,
        with the coordinates `time`, `flat_time` where they are known.
    average
        How the frames of a set are averaged. The median is not moved by a few zingers, and costs
        eight times as much.
    scale_by
        Multiply each projection by how much brighter the beam was in the flats than in it: by
        ``monitor(angle)`` and ``flat_monitor(flat_frame)``, or by ``ring_current(angle)`` and
        ``flat_ring_current(flat_frame)``, the flats' readings interpolated as the flats are.
    bounds
        Least and greatest transmission: values outside, such as (0, 1.5), are set to the nearer
        bound. By default all are kept, also the noise below 0 and above 1, so that means stay
        right; `minus_log` has its own floor.
    frames
        What `check_frames` gave: frames that are not good are left out, and named in the notes.

    Returns
    -------
    xarray.Dataset
        ``transmission(angle, z, u)`` and ``usable(z, u)``, with the coordinates of the scan.

    Raises
    ------
    SchemaError
        For a dataset that is no scan with flats and darks, or has not the readings to scale by.
    SourceError
        For a check of another scan, and a monitor that is dead.
    ArgumentError
        Where no flats or no darks are left, and for bounds that are none.
    """
    flats.demand(ds, by="xct.normalize")
    good = {kind: flats.good_frames(ds, frames, kind) for kind in flats.KINDS}
    sets, position, note = flats.sets_of(ds, good["flat"])
    scale = flats.scale_of(ds, scale_by, sets, position)
    (flat,) = lift(
        references.average,
        ds["flat"],
        parameters={"sets": sets, "method": average, "lit": True},
        dims={"frame": "flat_frame", "set": "flat_set"},
    )
    (dark,) = lift(
        references.average,
        ds["dark"],
        parameters={"sets": tuple(0 if g else -1 for g in good["dark"]), "method": average},
        dims={"frame": "dark_frame", "set": "dark_set"},
    )
    flat = flat.drop_vars("flat_time", errors="ignore")
    dark = dark.isel(dark_set=0, drop=True).drop_vars("dark_time", errors="ignore")
    (ratio,) = lift(
        flatfield.transmission,
        ds["counts"],
        flat,
        dark,
        xr.DataArray(position, dims="angle"),
        scale,
        parameters={"bounds": bounds},
        dims={"set": "flat_set"},
    )
    (usable,) = lift(flatfield.usable, flat, dark, dims={"set": "flat_set"})
    out = {"transmission": _as(ratio, schema.TRANSMISSION), "usable": _as(usable, schema.USABLE)}
    left = [f"{kind} {i}" for kind, flags in good.items() for i in np.flatnonzero(~np.array(flags))]
    note += f"; scaled by {scale_by}" * (scale_by != "none")
    note += f"; left out: {', '.join(left)}" * bool(left)
    return xr.Dataset(out, attrs={**ds.attrs, "notes": [*ds.attrs.get("notes", []), note]})


@step()
def minus_log(
    ds: xr.Dataset,
    *,
    floor: Share = 1e-5,
) -> xr.Dataset:
    """Turn transmission into absorbance, the line integral of attenuation: -log(T).

    Parameters
    ----------
    ds
        ``transmission(angle, z, u)``.
    floor
        The least transmission believed: T is held between it and its inverse. The default is
        under one count of a 16-bit camera.

    Returns
    -------
    xarray.Dataset
        ``absorbance(angle, z, u)``, all finite, and ``clipped(angle, z)``, the share of each row
        that was held; its mean is that of the scan.

    Raises
    ------
    SchemaError
        For a dataset that has no transmission.
    """
    schema.validate(ds, schema.NORMALIZED_XCT, by="xct.minus_log")
    absorbance, clipped = lift(flatfield.minus_log, ds["transmission"], parameters={"floor": floor})
    out = ds.drop_vars("transmission")
    return out.assign(
        absorbance=_as(absorbance, schema.ABSORBANCE), clipped=_as(clipped, schema.CLIPPED)
    )


def _as(array: xr.DataArray, var: schema.Var) -> xr.DataArray:
    return array.rename(var.name).assign_attrs(schema.attrs_of(var))
