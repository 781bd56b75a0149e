"""What any window of a volume holds: sample, measured voxels, mean value, mean gradient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError
from zeoarray.patches import windows

Array = np.ndarray[Any, Any]

CELLS = 4
"""What a window holds is counted on cells of about this part of its width."""
READ = 1 << 26
"""Bytes of the volume that are read at once."""


@dataclass(frozen=True)
class Contents:
    """What the cells of a volume hold, summed so that any box of them is eight look-ups."""

    cell: Array
    """(3): voxels of a cell."""
    sums: Array
    """(4, z, y, x): sample, measured, value and gradient of all cells before each corner."""
    count: Array

    @classmethod
    def of(
        cls,
        ds: xr.Dataset,
        variable: str,
        count: Array,
        threshold: float | None,
        detail: bool = True,
    ) -> Contents:
        """Read a volume once, a part at a time.

        Parameters
        ----------
        ds, variable
            What is counted.
        count
            (3): voxels of a window.
        threshold
            Value above which a voxel is sample; None finds it.
        detail
            Whether values and gradients are wanted as well; they are 0 if not.
        """
        cell = np.maximum(count // CELLS, 1)
        level = _otsu(ds[variable]) if threshold is None else threshold
        shape = [-(-ds.sizes[d] // int(c)) for d, c in zip(windows.AXES, cell, strict=True)]
        cells = np.zeros((4, *shape))
        for box, values, flags in _read(ds, variable, cell):
            at = tuple(slice(b.start // c, -(-b.stop // c)) for b, c in zip(box, cell, strict=True))
            cells[(slice(None), *at)] = _summed(values, flags, level, cell, detail)
        sums = np.pad(cells, ((0, 0), (1, 0), (1, 0), (1, 0)))
        for dim in (1, 2, 3):
            np.cumsum(sums, axis=dim, out=sums)
        return cls(cell, sums, count)

    def over(self, starts: Array) -> tuple[Array, Array, Array, Array]:
        """Share of sample, share measured, mean value and mean gradient of windows."""
        top = np.array(self.sums.shape[1:]) - 1
        low = np.minimum(np.rint(starts / self.cell).astype(int), top - 1)
        high = np.clip(np.rint((starts + self.count) / self.cell).astype(int), low + 1, top)
        total = np.zeros((4, len(starts)))
        for corner in np.ndindex(2, 2, 2):
            at = np.where(np.array(corner, bool), high, low)
            sign = (-1) ** (3 - sum(corner))
            total += sign * self.sums[:, at[:, 0], at[:, 1], at[:, 2]]
        voxels = np.prod((high - low) * self.cell, axis=1)
        measured = np.maximum(total[1], 1e-12)
        return total[0] / voxels, total[1] / voxels, total[2] / measured, total[3] / measured


def _read(
    ds: xr.Dataset, variable: str, cell: Array
) -> Iterator[tuple[tuple[slice, slice, slice], Array, Array]]:
    """Parts of a volume, whole cells each: where, the values, and which of them are measured."""
    data = ds[variable].transpose(..., *windows.AXES)
    valid = ds["valid"].transpose(..., *windows.AXES) if "valid" in ds else None
    sizes = [data.sizes[d] for d in windows.AXES]
    plane = data.dtype.itemsize * data.size // (sizes[0] * sizes[1])
    wide = _whole(READ // plane, int(cell[1]), sizes[1])
    high = _whole(READ // (plane * wide), int(cell[0]), sizes[0])
    for k in range(0, sizes[0], high):
        for j in range(0, sizes[1], wide):
            at = slice(k, min(k + high, sizes[0])), slice(j, min(j + wide, sizes[1]))
            part = data.isel(z=at[0], y=at[1]).values.astype(np.float32, copy=False)
            good = np.isfinite(part)
            if valid is not None:
                good &= valid.isel(z=at[0], y=at[1]).values.astype(bool)
            lead = tuple(range(part.ndim - 3))
            mean = np.asarray(np.where(good, part, 0).mean(axis=lead))
            yield (*at, slice(0, sizes[2])), mean, np.asarray(good.all(axis=lead))


def _whole(count: int, cell: int, size: int) -> int:
    """So many rows, of whole cells: at least one cell, at most all of them."""
    return max(min(count // cell, -(-size // cell)), 1) * cell


def _summed(values: Array, good: Array, level: float, cell: Array, detail: bool) -> Array:
    out = [_cells((values > level) & good, cell), _cells(good, cell)]
    if not detail:
        return np.stack([*out, *(np.zeros_like(out[0]) for _ in range(2))])
    # One after the other: of a part of the volume there are three at a time, not twelve.
    out.append(_cells(values * good, cell))
    slope = np.zeros_like(values)
    for dim in range(3):
        if values.shape[dim] > 1:
            gradient = np.gradient(values, axis=dim)
            gradient *= gradient
            slope += gradient
            del gradient
    np.sqrt(slope, out=slope)
    slope *= good
    return np.stack([*out, _cells(slope, cell)])


def _cells(layer: Array, cell: Array) -> Array:
    # Rows of a cell are added plane by plane: all that follows is smaller by as much.
    high = int(cell[0])
    summed = layer[::high].astype(np.float32)
    for k in range(1, high):
        part = layer[k::high]
        summed[: len(part)] += part
    out = summed.astype(np.float64)
    for dim in (1, 2):
        at = np.arange(0, out.shape[dim], int(cell[dim]))
        out = np.add.reduceat(out, at, axis=dim)
    return out


def _otsu(data: xr.DataArray) -> float:
    """The value that parts a volume's voxels into two classes best, from a few of its slices."""
    rows = np.unique(np.linspace(0, data.sizes["z"] - 1, 9).round().astype(int))[1:-1]
    rows = rows if rows.size else np.array([0])
    values = np.concatenate([data.isel(z=int(k)).values.ravel() for k in rows])
    values = values[np.isfinite(values)]
    if not values.size or np.ptp(values) == 0:
        raise ArgumentError(
            "patches.place: the volume is constant, so that sample and air cannot be told apart",
            do="threshold: the value above which a voxel is sample",
        )
    low, high = np.quantile(values, [0.001, 0.999])
    counts, edges = np.histogram(values, bins=512, range=(low, max(high, low + 1e-12)))
    middle = (edges[1:] + edges[:-1]) / 2
    below, above = np.cumsum(counts), counts.sum() - np.cumsum(counts)
    total = np.cumsum(counts * middle)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    return float(edges[1:][int(np.nanargmax(between[:-1]))])
