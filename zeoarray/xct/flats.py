"""Flats and darks: which are what their key says, which make a set, and how bright the beam was."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import SchemaError, SourceError
from zeoarray.kernels import references
from zeoarray.labelled import known
from zeoarray.step import Count, measure

__all__ = ["check_frames"]

Reading = Literal["none", "monitor", "ring_current"]
READINGS = {
    "monitor": (schema.PROJECTION_MONITOR, schema.FLAT_MONITOR),
    "ring_current": (schema.PROJECTION_CURRENT, schema.FLAT_CURRENT),
}
DEAD = 1e-3
"""A monitor is dead where it reads less than this share of its mean over the flats."""
KINDS = ("flat", "dark")


def _as_it_may_be(ds: xr.Dataset, *, rows: int = 16) -> xr.Dataset:
    """A check in which every frame is good, made without reading."""
    demand(ds, by="xct.check_frames")
    levels = {"flat": 2.0, "dark": 1.0}
    means = {k: (np.full(n, levels[k]), np.zeros(n)) for k in KINDS if (n := _count(ds, k)) >= 0}
    return _labelled(means, {k: np.ones(_count(ds, k), bool) for k in KINDS})


@measure(expects=_as_it_may_be)
def check_frames(ds: xr.Dataset, *, rows: Count = 16) -> xr.Dataset:
    """Find flats and darks that are not what their key says, from a sample of rows.

    The level of the flats is the upper quartile of their means, that of the darks the lower
    quartile, so that neither is moved while most frames of one kind are something else. A flat is
    good where its mean is above the middle of the two levels (and below twice the flats'), a dark
    where it is below: a "dark" as bright as a flat and a flat that is zero are not. A warning
    names those that are not good.

    Parameters
    ----------
    ds
        A scan with flats and darks.
    rows
        How many rows are read of each frame, evenly spread over `z`.

    Returns
    -------
    xarray.Dataset
        Mean and sigma over the pixels of each frame (those that are finite), and whether it is
        good, for flats and darks. `normalize` takes it as `frames`.

    Raises
    ------
    SchemaError
        For a dataset that is no scan with flats and darks.
    SourceError
        Where the flats are no brighter than the darks.
    """
    demand(ds, by="xct.check_frames")
    count = ds.sizes["z"]
    chosen = np.unique(np.linspace(0, count - 1, min(rows, count)).round().astype(int))
    means = {kind: _spread(ds[kind].isel(z=chosen)) for kind in KINDS}
    bright, black = _level(means["flat"][0], 0.75), _level(means["dark"][0], 0.25)
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
    if bad := [f"{k} {i} ({means[k][0][i]:g} counts)" for k in KINDS
               for i in np.flatnonzero(~good[k])]:  # fmt: skip
        warnings.warn(
            f"xct.check_frames: frames that are not what their key says: {', '.join(bad)}; flats "
            f"have {bright:g} counts, darks {black:g}. xct.normalize(frames=...) leaves them out.",
            stacklevel=4,
        )
    return _labelled(means, good).assign_attrs(rows=chosen.tolist())


def _level(means: Any, share: float) -> float:
    finite = means[np.isfinite(means)]
    return float(np.quantile(finite, share)) if finite.size else float("nan")


def _count(ds: xr.Dataset, kind: str) -> int:
    return int(ds.sizes[f"{kind}_frame"])


def _labelled(means: dict[str, tuple[Any, Any]], good: dict[str, Any]) -> xr.Dataset:
    out = xr.Dataset()
    for kind, (mean, sigma) in means.items():
        for name, values in (("mean", mean), ("sigma", sigma), ("good", good[kind])):
            var = schema.FRAMES_XCT[f"{kind}_{name}"]
            out[var.name] = (var.dims, values, schema.attrs_of(var))
    return out


def _spread(frames: xr.DataArray) -> tuple[Any, Any]:
    """Mean and standard deviation over the pixels of each frame, which are read now."""
    pixels = frames.astype(np.float64)
    if frames.dtype.kind == "f":
        pixels = pixels.where(np.isfinite(pixels))
    share = pixels.notnull().mean(("z", "u"))
    # Sums instead of means: a frame without a finite pixel has no mean, and needs no warning.
    mean = pixels.fillna(0).mean(("z", "u")) / share.where(share > 0)
    power = ((pixels - mean) ** 2).fillna(0).mean(("z", "u")) / share.where(share > 0)
    read = xr.Dataset({"mean": mean, "sigma": np.sqrt(power)}).compute()
    return read["mean"].values, read["sigma"].values


# --- what normalize asks of them ----------------------------------------------------------------
def demand(ds: xr.Dataset, *, by: str) -> None:
    """Raise unless `ds` is a scan with flats and darks, saying where to get them.

    Raises
    ------
    SchemaError
        For a dataset that is not.
    """
    for kind in KINDS:
        if kind not in ds.variables and "counts" in ds.variables:
            raise SchemaError(
                f"{by}: the scan has no {kind!r} ({schema.REFERENCED_XCT[kind].doc}).",
                got=", ".join(map(str, ds.variables)),
                expected=f"{kind}({kind}_frame, z, u)",
                do=f"take them from another scan: open_scan(path, {{'{kind}s': 'other.nxs'}}), or "
                f"--{kind}s other.nxs at ingest",
            )
    schema.validate(ds, schema.REFERENCED_XCT, by=by)


def good_frames(ds: xr.Dataset, frames: xr.Dataset | None, kind: str) -> list[bool]:
    """Which frames of a kind are used: those that the check calls good, or all.

    Raises
    ------
    SourceError
        For a check of another scan.
    """
    count = _count(ds, kind)
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


def sets_of(ds: xr.Dataset, good: list[bool]) -> tuple[tuple[int, ...], np.ndarray, str]:
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
    return tuple(number.tolist()), position, f"flats: {shown}; {note}"


def scale_of(
    ds: xr.Dataset, scale_by: Reading, sets: tuple[int, ...], position: np.ndarray
) -> xr.DataArray:
    """(angle) What transmission is multiplied by as the beam varied since the flats; 1 for none.

    Raises
    ------
    SchemaError
        Where the scan has no such readings.
    SourceError
        Where the monitor is dead, saying at which projections or flats.
    """
    if scale_by == "none" or max(sets, default=-1) < 0:
        return xr.DataArray(np.ones(ds.sizes["angle"]), dims="angle")
    of_projection, of_flat = READINGS[scale_by]
    for var in (of_projection, of_flat):
        if var.name not in ds.variables:
            raise SchemaError(
                f"xct.normalize: the scan has no {var.name!r} to scale by ({var.doc}).",
                got=", ".join(map(str, ds.variables)),
                expected=f"{var.name}({', '.join(var.dims)})",
                do=f'ds.assign_coords({var.name}=("{var.dims[0]}", readings, '
                f'{{"units": "{var.units}"}})), or scale_by="none"',
            )
    wanted = schema.Schema("XCT scan with readings of the beam", (of_projection, of_flat))
    schema.validate(ds, wanted, by="xct.normalize")
    flats = np.broadcast_to(known(ds[of_flat.name]), len(sets)).astype(float)
    used = np.asarray(sets) >= 0
    dead = used & ~(np.isfinite(flats) & (flats > 0))
    _demand_alive(scale_by, dead, flats, "flats", [f"flat {i}" for i in range(flats.size)])
    count = ds.sizes["angle"]
    reading = np.broadcast_to(known(ds[of_projection.name], whole=False), count).astype(float)
    dead = ~(np.isfinite(reading) & (reading > DEAD * flats[used].mean()))
    # By their angles: a block does not know which projection of the scan its first is.
    names = [f"{angle:g} deg" for angle in known(ds["angle"], whole=False)]
    _demand_alive(scale_by, dead, reading, "projections", names)
    return xr.DataArray(references.factors(reading, flats, sets, position), dims="angle")


def _demand_alive(name: str, dead: Any, values: Any, what: str, names: list[str]) -> None:
    if not dead.any():
        return
    where = np.flatnonzero(dead)
    shown = ", ".join(f"{values[i]:g} at {names[i]}" for i in where[:8])
    raise SourceError(
        f"xct.normalize: the {name} is dead in {where.size} of {dead.size} {what}",
        got=shown + (", ..." if where.size > 8 else ""),
        expected=f"positive readings, above {DEAD:g} of their mean over the flats",
        do='leave these frames out at ingest (ignore=), or scale_by="none"',
    )
