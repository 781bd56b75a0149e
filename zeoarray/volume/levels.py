"""A volume at several voxel sizes, read in boxes: from memory where it is coarse, else as asked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import lazy
from zeoarray.errors import ArgumentError, SourceError
from zeoarray.kernels import affine
from zeoarray.labelled import known

Array = np.ndarray[Any, Any]
Box = tuple[slice, slice, slice]

SAME = 1.02
"""Voxels whose sizes differ by less than this factor are left as they are."""
UNEVEN = 1e-3
"""Positions may depart from even spacing by this share of it."""


class Level:
    """A volume at one voxel size, of which boxes are read.

    Parameters
    ----------
    array
        (z, y, x) with coordinates in um; lazy or not. Only boxes of it are ever read.
    voxel_um
        Size of the voxels wanted; the volume's own along axes where those are as large.
    circle
        Voxels beyond this share of the half width from the axis in the middle do not count.
    """

    def __init__(
        self, array: xr.DataArray, voxel_um: float = 0.0, *, circle: float | None = None
    ) -> None:
        self._array, self._circle = array, circle
        axes = [known(array[d]).astype(float) for d in "zyx"]
        fine = np.array([_spacing(d, a) for d, a in zip("zyx", axes, strict=True)])
        factor = np.maximum(voxel_um / np.abs(fine), 1.0)
        factor[factor < SAME] = 1.0
        whole = np.array(array.shape)
        self.shape: tuple[int, ...] = tuple(int(n) for n in np.maximum(whole / factor + 1e-6, 1))
        # In the middle, so that as much is left out on either side.
        self._offset = (whole - self.shape * factor) / 2 + (factor - 1) / 2
        self._factor = factor
        first = np.array([a[0] for a in axes]) + self._offset * fine
        step = factor * fine
        self.to_um = np.zeros((4, 4))
        """(4, 4): index (k, j, i, 1) to position (x, y, z, 1) [um]."""
        for row, axis in enumerate((2, 1, 0)):
            self.to_um[row, axis], self.to_um[row, 3] = step[axis], first[axis]
        self.to_um[3, 3] = 1

    @property
    def spacing(self) -> Array:
        """(3). Voxel along x, y, z [um], with the sign of the coordinates' direction."""
        return np.array([self.to_um[row, 2 - row] for row in range(3)])

    @property
    def voxel_um(self) -> float:
        """Largest side of a voxel."""
        return float(np.abs(self.spacing).max())

    @property
    def extent(self) -> Array:
        """(3). Width along x, y, z [um]."""
        return np.asarray(np.abs(self.spacing) * self.shape[::-1])

    @property
    def middle(self) -> Array:
        """(3). Centre of the volume as x, y, z [um]."""
        return np.asarray(self.positions((np.array([self.shape]) - 1) / 2)[0])

    @property
    def voxels(self) -> int:
        """How many there are."""
        return math.prod(self.shape)

    def positions(self, index: Array) -> Array:
        """(point, 3) indices z, y, x -> (point, 3) x, y, z [um]."""
        return np.asarray(index @ self.to_um[:3, :3].T + self.to_um[:3, 3])

    def indices(self, position: Array) -> Array:
        """(point, 3) x, y, z [um] -> (point, 3) indices z, y, x, not rounded."""
        back = np.linalg.inv(self.to_um)
        return np.asarray(position @ back[:3, :3].T + back[:3, 3])

    def clipped(self, box: Box) -> Box:
        """The part of a box that is in the volume."""
        parts = [
            slice(min(max(s.start, 0), n), max(min(s.stop, n), min(max(s.start, 0), n)))
            for s, n in zip(box, self.shape, strict=True)
        ]
        return parts[0], parts[1], parts[2]

    def read(self, box: Box) -> Array:
        """Values of a box that lies in the volume, float32, NaN where there is none."""
        size = tuple(s.stop - s.start for s in box)
        if 0 in size:
            return np.empty(size, np.float32)
        first = tuple(s.start for s in box)
        if (self._factor == 1).all():
            values, start = self._values(box), first
            return self._cut(values, start)
        matrix = np.c_[np.diag(self._factor), self._offset]
        margin = affine.average_margin(self._factor)
        need = affine.reads(matrix, size, whole=self._array.shape, first=first, margin=margin)
        begin = tuple(s.start for s in need)
        values = self._cut(self._values(need), begin)
        return np.asarray(
            affine.average(
                values, matrix=matrix, shape=size, first=first, start=begin,
                whole=self._array.shape,
            )
        )  # fmt: skip

    def _values(self, box: Box) -> Array:
        if self._array.chunks is None and not lazy.is_lazy(self._array.variable):
            return np.array(self._array.variable.values[box], np.float32)
        part = self._array.isel(z=box[0], y=box[1], x=box[2])
        return np.array(part.compute(scheduler="synchronous").values, np.float32)

    def _cut(self, values: Array, start: tuple[int, ...]) -> Array:
        if self._circle is not None:
            y, x = (
                (np.arange(n) + s - (whole - 1) / 2) / (whole / 2)
                for n, s, whole in zip(
                    values.shape[1:], start[1:], self._array.shape[1:], strict=True
                )
            )
            values[:, y[:, None] ** 2 + x**2 > self._circle**2] = np.nan
        values[~np.isfinite(values)] = np.nan
        return values

    def boxes(self, most_bytes: int) -> Iterator[Box]:
        """Boxes that cover the volume, each read with at most so many bytes."""
        per_row = 4 * float(np.prod(self._factor)) * self.shape[2]
        across = int(np.clip(most_bytes / (2 * per_row), 1, self.shape[1]))
        rows = int(np.clip(most_bytes / (2 * per_row * across), 1, self.shape[0]))
        for z in range(0, self.shape[0], rows):
            for y in range(0, self.shape[1], across):
                stop = (min(z + rows, self.shape[0]), min(y + across, self.shape[1]))
                yield slice(z, stop[0]), slice(y, stop[1]), slice(0, self.shape[2])

    def loaded(self, most_bytes: int) -> Level:
        """The same, held in memory."""
        values = np.empty(self.shape, np.float32)
        for box in self.boxes(most_bytes):
            values[box] = self.read(box)
        along = [
            (d, self.to_um[2 - axis, 3] + self.to_um[2 - axis, axis] * np.arange(n))
            for axis, (d, n) in enumerate(zip("zyx", self.shape, strict=True))
        ]
        return Level(xr.DataArray(values, dims=("z", "y", "x"), coords=dict(along)))

    def coarser(self, voxel_um: float) -> Level:
        """The same volume at larger voxels."""
        return Level(self._array, voxel_um, circle=self._circle)


def _spacing(dim: str, centres: Array) -> float:
    if centres.size < 2:
        raise SourceError(
            f"volume.register: a volume is a single voxel along {dim!r}",
            got=f"{centres.size} positions",
            expected="4 or more along each of z, y, x",
        )
    steps = np.diff(centres)
    mean = float(steps.mean())
    if not np.isfinite(steps).all() or mean == 0 or np.abs(steps - mean).max() > UNEVEN * abs(mean):
        raise ArgumentError(
            f"volume.register: positions along {dim!r} are not evenly spaced",
            got=f"steps from {steps.min():g} to {steps.max():g} um",
            do="resample the volume onto an even grid first",
        )
    return mean


class Pyramid:
    """A volume from `voxel_um` up, each level twice as coarse; the coarse ones in memory."""

    def __init__(self, finest: Level, voxel_um: float, *, most_bytes: int) -> None:
        self._finest, self._voxel = finest, voxel_um
        held = voxel_um
        while 4 * finest.coarser(held).voxels > most_bytes:
            held *= 2
        self._held = held
        self._most = most_bytes
        self._memory = finest.coarser(held).loaded(most_bytes)
        self._levels: dict[float, Level] = {held: self._memory}

    @property
    def coarse(self) -> Level:
        """The finest level that is in memory."""
        return self._memory

    def at(self, voxel_um: float) -> Level:
        """The level of this voxel."""
        if voxel_um not in self._levels:
            if voxel_um > self._held:
                level = self._memory.coarser(voxel_um).loaded(self._most)
            else:
                level = self._finest.coarser(voxel_um)
            self._levels[voxel_um] = level
        return self._levels[voxel_um]
