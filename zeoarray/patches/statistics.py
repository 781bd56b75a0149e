"""`statistics`: what a model's input is normalised by, from the training split only."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError
from zeoarray.patches import windows
from zeoarray.step import measure

Array = np.ndarray[Any, Any]
BY = "patches.statistics"

AT_ONCE = 64
"""Patches that are read at once: a shard of them."""


def _expected(ds: xr.Dataset, **arguments: Any) -> xr.Dataset:
    name = _chosen(ds, arguments["variable"])
    many = ds[name].shape[1]
    ones = np.ones(many)
    return _node(ds, name, ones, ones, ones, ones, ones.astype(np.int64))


@measure(expects=_expected)
def statistics(ds: xr.Dataset, *, variable: str | None = None, split: str = "train") -> xr.Dataset:
    """Mean, standard deviation and range of each channel over one split, the training split.

    A validation or test patch counts nowhere: what it is normalised by must not know it. Values
    that are not finite are left out.

    Parameters
    ----------
    ds
        Patches, as `patches.extract` gives them; read once, a shard at a time.
    variable
        Which; None takes the only one.
    split
        The split that counts.

    Raises
    ------
    ArgumentError
        Where the split is empty, or holds no finite value.
    """
    schema.validate(ds, schema.PATCHES, by=BY)
    name = _chosen(ds, variable)
    chosen = np.flatnonzero(windows.splits(ds) == split)
    if not chosen.size:
        raise ArgumentError(
            f"{BY}: the split has no patches",
            got=repr(split),
            expected="one of " + ", ".join(sorted(set(windows.splits(ds)))),
        )
    found = _Sums(ds[name].shape[1])
    for start in range(0, ds.sizes["patch"], AT_ONCE):
        here = chosen[(chosen >= start) & (chosen < start + AT_ONCE)]
        if here.size:
            part = ds[name].variable.isel(patch=here)
            found.add(part.compute(scheduler="synchronous").values if part.chunks else part.values)
    if not (found.count > 0).all():
        raise ArgumentError(f"{BY}: a channel of {name!r} has no finite value in {split!r}")
    deviation = np.sqrt(found.square / found.count)
    return _node(ds, name, found.mean, deviation, found.low, found.high, found.count)


class _Sums:
    """Mean and squares of each channel, a group of patches after the other."""

    def __init__(self, channels: int) -> None:
        self.count = np.zeros(channels, np.int64)
        self.mean, self.square = np.zeros(channels), np.zeros(channels)
        self.low, self.high = np.full(channels, np.inf), np.full(channels, -np.inf)

    def add(self, values: Array) -> None:
        """Count (patch, channel, z, y, x) in."""
        rows = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1).astype(np.float64)
        good = np.isfinite(rows)
        count = good.sum(axis=1)
        mean = np.where(good, rows, 0).sum(axis=1) / np.maximum(count, 1)
        square = (np.where(good, rows - mean[:, None], 0) ** 2).sum(axis=1)
        # Squares of two groups joined (doi:10.1080/00031305.1983.10483115).
        both = np.maximum(self.count + count, 1)
        gap = mean - self.mean
        self.square += square + gap**2 * self.count * count / both
        self.mean += gap * count / both
        self.count += count
        self.low = np.minimum(self.low, np.where(good, rows, np.inf).min(axis=1))
        self.high = np.maximum(self.high, np.where(good, rows, -np.inf).max(axis=1))


def _chosen(ds: xr.Dataset, variable: str | None) -> str:
    fit = [str(n) for n, v in ds.data_vars.items() if v.ndim == 5 and v.dtype.kind == "f"]
    if variable is None and len(fit) == 1:
        return fit[0]
    if variable not in fit:
        raise ArgumentError(
            f"{BY}: of which variable?", got=repr(variable), expected="one of " + ", ".join(fit)
        )
    return str(variable)


def _node(
    ds: xr.Dataset, name: str, mean: Array, deviation: Array, low: Array, high: Array, count: Array
) -> xr.Dataset:
    values = {"mean": mean, "deviation": deviation, "least": low, "greatest": high}
    out = xr.Dataset(
        {n: ("channel", np.asarray(v, np.float64)) for n, v in values.items()}
        | {"measured": ("channel", np.asarray(count, np.int64))}
    )
    if "channel" in ds.coords:
        out = out.assign_coords(channel=ds["channel"].variable)
    out = schema.describe(out, schema.STATISTICS_PATCHES)
    for n in values:
        if units := ds[name].attrs.get("units"):
            out[n].attrs["units"] = units
    return out.assign_attrs(variable=name)
