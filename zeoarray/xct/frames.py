"""From raw frames to absorbance: flats, darks, and minus the logarithm."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import SourceError
from zeoarray.kernels import flatfield, references
from zeoarray.labelled import known, lift
from zeoarray.step import Count, Share, measure, step

__all__ = ["check_frames", "minus_log", "normalize"]

Average = Literal["mean", "median"]


@step(cites=("10.1137/1.9780898719277",))
def normalize(
    ds: xr.Dataset, *, average: Average = "mean", frames: xr.Dataset | None = None
) -> xr.Dataset:
    """Divide raw projections by the beam: counts to transmission.

    T = (counts - dark) / (flat - dark). Flats without a projection between them are one set, which
    is averaged; between two sets the flat is interpolated linearly in time, before the first and
    after the last the nearest is taken. Where the scan has no times of one clock, all flats are
    one set. Darks are one set. Pixels whose flats are no brighter than the dark are filled from
    their neighbours along `u`, and named by `usable`; every value is finite.

    Parameters
    ----------
    ds
        A scan: ``counts(angle, z, u)``, ``flat(flat_frame, z, u)``, ``dark(dark_frame, z, u)``,
        with the coordinates `time`, `flat_time` where they are known.
    average
        How the frames of a set are averaged. The median is not moved by a few zingers, and costs
        eight times as much.
    frames
        What `check_frames` gave: frames that are not good are left out.

    Returns
    -------
    xarray.Dataset
        ``transmission(angle, z, u)`` and ``usable(z, u)``, with the coordinates of the scan.

    Raises
    ------
    SchemaError
        For a dataset that is no scan with flats and darks.
    ArgumentError
        Where no flats or no darks are left.
    """
    schema.validate(ds, schema.REFERENCED_XCT, by="xct.normalize")
    sets, position, note = _sets(ds, _good(ds, frames, "flat"))
    darks = tuple(0 if good else -1 for good in _good(ds, frames, "dark"))
    (flat,) = lift(
        references.average,
        ds["flat"],
        parameters={"sets": sets, "method": average},
        dims={"frame": "flat_frame", "set": "flat_set"},
    )
    (dark,) = lift(
        references.average,
        ds["dark"],
        parameters={"sets": darks, "method": average},
        dims={"frame": "dark_frame", "set": "dark_set"},
    )
    flat = flat.drop_vars("flat_time", errors="ignore")
    dark = dark.isel(dark_set=0, drop=True).drop_vars("dark_time", errors="ignore")
    dims = {"set": "flat_set"}
    (ratio,) = lift(flatfield.transmission, ds["counts"], flat, dark, position, dims=dims)
    (usable,) = lift(flatfield.usable, flat, dark, dims=dims)
    out = {"transmission": _as(ratio, schema.TRANSMISSION), "usable": _as(usable, schema.USABLE)}
    notes = [*ds.attrs.get("notes", []), note]
    return xr.Dataset(out, attrs={**ds.attrs, "notes": notes})


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
        that was held.

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


@measure()
def check_frames(ds: xr.Dataset, *, rows: Count = 16) -> xr.Dataset:
    """Find flats and darks that are not what their key says, from a sample of rows.

    The level of the flats is the upper quartile of their means, that of the darks the lower
    quartile, so that neither is moved while most frames of one kind are something else. A flat is
    good where its mean is above the middle of the two levels (and below twice the flats'), a dark
    where it is below: a "dark" as bright as a flat and a flat that is zero are not.

    Parameters
    ----------
    ds
        A scan with flats and darks.
    rows
        How many rows are read of each frame, evenly spread over `z`.

    Returns
    -------
    xarray.Dataset
        Mean and sigma over the pixels of each frame, and whether it is good, for flats and darks.
        `normalize` takes it as `frames`.

    Raises
    ------
    SchemaError
        For a dataset that is no scan with flats and darks.
    SourceError
        Where the flats are no brighter than the darks.
    """
    schema.validate(ds, schema.REFERENCED_XCT, by="xct.check_frames")
    count = ds.sizes["z"]
    chosen = np.unique(np.linspace(0, count - 1, min(rows, count)).round().astype(int))
    means = {kind: _spread(ds[kind].isel(z=chosen)) for kind in ("flat", "dark")}
    bright = float(np.quantile(means["flat"][0], 0.75))
    black = float(np.quantile(means["dark"][0], 0.25))
    if not bright > black:
        raise SourceError(
            "xct.check_frames: the flats are no brighter than the darks",
            got=f"flats {bright:g}, darks {black:g} counts",
            expected="flats taken with beam, darks without",
            do="check the image keys, or give other frames at ingest: flats=, darks=",
        )
    middle = (bright + black) / 2
    good = {
        "flat": (means["flat"][0] > middle) & (means["flat"][0] < 2 * bright - black),
        "dark": means["dark"][0] < middle,
    }
    out = xr.Dataset(attrs={"rows": chosen.tolist()})
    for kind, (mean, sigma) in means.items():
        for name, values in (("mean", mean), ("sigma", sigma), ("good", good[kind])):
            var = schema.FRAMES_XCT[f"{kind}_{name}"]
            out[var.name] = (var.dims, values, schema.attrs_of(var))
    return out


def _spread(frames: xr.DataArray) -> tuple[Any, Any]:
    """Mean and standard deviation over the pixels of each frame, which are read now."""
    pixels = frames.astype(np.float64)
    moments = xr.Dataset({"mean": pixels.mean(("z", "u")), "sigma": pixels.std(("z", "u"))})
    read = moments.compute()
    return read["mean"].values, read["sigma"].values


def _good(ds: xr.Dataset, frames: xr.Dataset | None, kind: str) -> list[bool]:
    """Which frames of a kind are used: those that the check calls good, or all."""
    count = ds.sizes[f"{kind}_frame"]
    if frames is None:
        return [True] * count
    schema.validate(frames, schema.FRAMES_XCT, by="xct.normalize")
    good = [bool(flag) for flag in known(frames[f"{kind}_good"])]
    if len(good) != count:
        raise SourceError(
            f"xct.normalize: the check of frames is not of this scan's {kind}s",
            got=f"{len(good)} {kind}s checked, {count} in the scan",
            do="run xct.check_frames on this scan",
        )
    return good


def _sets(ds: xr.Dataset, good: list[bool]) -> tuple[tuple[int, ...], xr.DataArray, str]:
    """Set of each flat (-1 where it is not used), where projections lie between, and a sentence."""
    number = np.where(good, 0, -1)
    position = np.zeros(ds.sizes["angle"])
    used = np.flatnonzero(good)
    clocks = {ds[name].attrs.get("units") for name in ("time", "flat_time") if name in ds.variables}
    timed = all(name in ds.variables and ds[name].ndim for name in ("time", "flat_time"))
    note = "their times are not known by one clock"
    if timed and len(clocks) == 1 and used.size:
        flat_time = known(ds["flat_time"])
        if "flat_set" in ds.variables:
            found = known(ds["flat_set"])[used]
        else:
            # Which flats make a set hangs on all projections, and so `angle` cannot be cut here.
            found = np.asarray(references.sets_of(flat_time[used], known(ds["time"])))
        number[used] = np.unique(found, return_inverse=True)[1]
        position = references.positions(flat_time, number.tolist(), known(ds["time"], whole=False))
        note = "interpolated in time"
    counts = np.bincount(number[used]).tolist()
    shown = f"{len(counts)} set{'s' * (len(counts) != 1)} of {counts} frames"
    return tuple(number.tolist()), xr.DataArray(position, dims="angle"), f"flats: {shown}; {note}"


def _as(array: xr.DataArray, var: schema.Var) -> xr.DataArray:
    return array.rename(var.name).assign_attrs(schema.attrs_of(var))
