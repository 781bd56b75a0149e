"""Scans of one sample on one raster, of which some lack rows: gaps are marked, rows never shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.core import indexing

from zeoarray import schema
from zeoarray.errors import SourceError
from zeoarray.ingest.parts.views import OuterArray

Array = np.ndarray[Any, Any]
Opened = Sequence[tuple[Path, xr.Dataset]]

RASTER = ("angle", "u")
"""Dims whose positions the layers of one sample share."""
CLOSE = 0.25
"""Positions of two layers are one position where they differ by less than this share of a step."""


@dataclass
class GappedArray(OuterArray):
    """A lazy array with NaN put in along one axis, where nothing was measured."""

    source: xr.Variable
    axis: int
    where: tuple[int, ...]
    """For each index along `axis`, that of `source`; -1 where there is none."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes with the gaps."""
        sizes = list(self.source.shape)
        sizes[self.axis] = len(self.where)
        return tuple(sizes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the source."""
        dtype: np.dtype[Any] = self.source.dtype
        return dtype

    def _read(self, key: tuple[Any, ...]) -> Array:
        before, after = key[: self.axis], key[self.axis + 1 :]
        wanted = np.atleast_1d(np.array(self.where)[key[self.axis]])
        there = wanted >= 0
        read = np.asarray(self.source[(*before, wanted[there], *after)].values)
        axis = self.axis - sum(isinstance(k, (int, np.integer)) for k in before)
        shape = list(read.shape)
        shape[axis] = wanted.size
        out = np.full(shape, np.nan, self.dtype)
        out[(slice(None),) * axis + (there,)] = read
        single = isinstance(key[self.axis], (int, np.integer))
        return np.asarray(out.take(0, axis)) if single else out


def aligned(opened: Opened, along: str) -> list[tuple[Path, xr.Dataset]]:
    """Return the scans on the raster of the one that has most of it, with `valid` where one lacks.

    Parameters
    ----------
    opened
        The scans, and where they are from.
    along
        The dim that they will be joined along.

    Raises
    ------
    SourceError
        Where positions of one scan are not among those of the fullest.
    """
    out = list(opened)
    for dim in RASTER:
        if dim != along and all(dim in ds.dims and dim in ds.coords for _, ds in out):
            out = _on_one_raster(out, dim)
    if any("valid" in ds for _, ds in out):
        out = [(path, ds if "valid" in ds else ds.assign(valid=_valid(ds))) for path, ds in out]
    return out


def _on_one_raster(opened: Opened, dim: str) -> list[tuple[Path, xr.Dataset]]:
    fullest, most = max(opened, key=lambda pair: pair[1].sizes[dim])
    grid = most[dim].values
    if grid.size < 2:
        return list(opened)
    step = float(np.median(np.abs(np.diff(np.sort(grid)))))
    out = []
    for path, ds in opened:
        away = np.abs(ds[dim].values[:, None] - grid[None, :])
        nearest = away.argmin(axis=1)
        if away.min(axis=1).max() > CLOSE * step or np.unique(nearest).size < nearest.size:
            raise SourceError(
                f"{path} does not match {fullest}",
                got=f"positions {dim!r} that are up to {away.min(axis=1).max():g} apart, "
                f"{np.unique(nearest).size} of {nearest.size} distinct",
                expected=f"positions of the same raster, to {CLOSE:g} of a step of {step:g}",
            )
        out.append((path, _gapped(ds, dim, grid, nearest)))
    return out


def _gapped(ds: xr.Dataset, dim: str, grid: Array, nearest: Array) -> xr.Dataset:
    where = np.full(grid.size, -1)
    where[nearest] = np.arange(nearest.size)
    position = xr.Variable((dim,), grid, ds[dim].attrs)
    if np.array_equal(where, np.arange(grid.size)):
        return ds.assign_coords({dim: position})
    valid = (ds["valid"] if "valid" in ds else _valid(ds)).astype("f4")
    moved = {}
    for name, variable in ds.assign(valid=valid).variables.items():
        if dim in variable.dims and name != dim:
            if variable.dtype.kind != "f":
                raise SourceError(
                    f"{name!r} has gaps along {dim!r} and whole numbers, which cannot mark them"
                )
            array = GappedArray(variable, variable.dims.index(dim), tuple(where.tolist()))
            lazy = indexing.LazilyIndexedArray(array)
            moved[name] = xr.Variable(variable.dims, lazy, variable.attrs)
    coords = {n: v for n, v in moved.items() if n in ds.coords} | {dim: position}
    rest = ds.drop_vars([n for n in (*moved, dim) if n in ds.variables])
    out = rest.assign({n: v for n, v in moved.items() if n not in coords}).assign_coords(coords)
    return out.assign(valid=(out["valid"].fillna(0) > 0).astype("u1").assign_attrs(_ATTRS))


_ATTRS = {"long_name": schema.VALID.doc}


def _valid(ds: xr.Dataset) -> xr.DataArray:
    dims = [dim for dim in schema.VALID.dims if dim in ds.dims]
    return xr.DataArray(np.ones([ds.sizes[d] for d in dims], "u1"), dims=dims, attrs=_ATTRS)
