"""A variable of one volume at the voxels of a grid: which boxes are read, and what that takes.

A block of rows of the grid is made tile by tile, each so small that the box of the volume behind
it stays below `READ` bytes: a turned volume is never read as a whole for a few rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError
from zeoarray.kernels import affine
from zeoarray.kernels.contract import Kernel, Memory, Parameters, Sizes
from zeoarray.labelled import Call, told
from zeoarray.volume.grids import AXES

Array = np.ndarray[Any, Any]
Method = Literal["mean", "linear", "cubic"]
Three = tuple[int, int, int]

READ = 1 << 26
"""Bytes of a volume that are read at once, at most, as long as a tile can be cut."""
TOGETHER = 16
"""Rows that are made at once where they fit: the volume's chunks are as high."""
HELD = 1 << 26
"""A volume of fewer bytes may be kept in memory from block to block."""
DECODED = 1 << 25
"""Bytes of chunks that are being decoded, where a volume is read in boxes: measured."""
FWHM = math.sqrt(8 * math.log(2))
"""Full width at half maximum of a Gaussian, in standard deviations."""


@dataclass(frozen=True)
class Way:
    """How a volume is brought onto a grid."""

    matrix: Array
    """(4, 4): index of the grid, (k, j, i, 1), to index of the volume, with k counted from where
    z is 0."""
    step: float
    """Voxel of the grid [um]."""
    whole: Three
    """Shape of the volume."""
    plane: tuple[int, int]
    """Voxels of the grid along y and x."""
    method: Method
    spread: tuple[float, ...] | None
    """Width of a point-spread function along the volume's axes [voxels], where one is given."""
    circle: float | None = None
    layer: float | None = None
    """Thickness of the volume's layers along z, where there are gaps between them [voxels]."""

    @property
    def width(self) -> Array:
        """(3). Extent of what one voxel of the grid hangs on [voxels of the volume]."""
        if self.method != "mean":
            return np.zeros(3)
        return affine.widths(self.matrix) if self.spread is None else np.array(self.spread)

    @property
    def margin(self) -> Array:
        """(3). Voxels beyond a point that its value hangs on."""
        if self.method == "mean":
            kind = "box" if self.spread is None else "gaussian"
            return affine.average_margin(self.width, kind)
        return np.full(3, float(affine.REACH[3 if self.method == "cubic" else 1]))

    @property
    def own_height(self) -> float:
        """Extent along the volume's z of a voxel of the grid [voxels]; 0 for values at points."""
        return float(np.linalg.norm(self.matrix[0, :3])) if self.method == "mean" else 0.0

    def at(self, z: float) -> Array:
        """(4, 4): the matrix for a block whose first row lies at this position [um]."""
        out = self.matrix.copy()
        out[:, 3] += out[:, 0] * (z / self.step)
        return out

    def box(self, tile: Three) -> Three:
        """Voxels of the largest box behind any tile of this shape."""
        span = np.abs(self.matrix[:3, :3]) @ (np.array(tile) - 1) + 2 * self.margin + 2
        size = np.minimum(np.ceil(span), self.whole).astype(int)
        return int(size[0]), int(size[1]), int(size[2])

    def tile(self, rows: int, nbytes: int) -> Three:
        """Tiles of so many rows, halved where most is read while it is too much.

        `nbytes` is what a voxel of the volume takes.
        """
        tile = [rows, *self.plane]
        most = READ // nbytes
        while math.prod(self.box((tile[0], tile[1], tile[2]))) > most and max(tile) > 1:
            reach = np.abs(self.matrix[:3, :3]).max(axis=0) * np.array(tile)
            if reach.max() < self.margin.max():  # the rest is margin, whatever is cut
                break
            wide = int(np.argmax(np.where(np.array(tile) > 1, reach, -1)))
            tile[wide] = -(-tile[wide] // 2)
        return tile[0], tile[1], tile[2]


def rows(z: Array, source: xr.Variable, way: Way) -> Array:
    """(row) -> (row, ..., y, x): values of `source` at rows of the grid, float32.

    `source` has z, y, x and any other dims, which come first.
    """
    z = np.asarray(z, float)
    lead = leading(source)
    out = np.empty((*lead, z.size, *way.plane), np.float32)
    if z.size:
        matrix = way.at(float(z[0]))
        for first, shape in _tiles((z.size, *way.plane), way.tile(z.size, 4 * math.prod(lead))):
            k, j, i = (slice(a, a + n) for a, n in zip(first, shape, strict=True))
            out[..., k, j, i] = _tile(source, way, matrix, first, shape)
    return np.moveaxis(out, len(lead), 0)


def leading(source: xr.Variable) -> tuple[int, ...]:
    """Sizes of the dims that are not z, y, x."""
    return tuple(n for d, n in source.sizes.items() if d not in AXES)


def _tiles(whole: Three, tile: Three) -> Iterator[tuple[Three, Three]]:
    starts = [range(0, n, t) for n, t in zip(whole, tile, strict=True)]
    for z, y, x in itertools.product(*starts):
        first = (z, y, x)
        size = [min(t, n - a) for t, n, a in zip(tile, whole, first, strict=True)]
        yield first, (size[0], size[1], size[2])


def _tile(source: xr.Variable, way: Way, matrix: Array, first: Three, shape: Three) -> Array:
    margin = way.margin if way.layer is None else np.maximum(way.margin, (0.5, 0, 0))
    need = affine.reads(matrix, shape, whole=way.whole, first=first, margin=margin)
    if need[0].start == need[0].stop:
        return np.full((*leading(source), *shape), np.nan, np.float32)
    part = source.isel(dict(zip(AXES, need, strict=True)))
    read = part.compute(scheduler="synchronous").values if part.chunks else part.values
    # Turned when it is read: a lazy array that is turned first is read point by point.
    values = xr.Variable(part.dims, read).transpose(..., *AXES).values
    values = np.ascontiguousarray(values, np.float32)
    del read
    if way.circle is not None:
        values = _within(values, need, way.whole, way.circle)
    if way.layer is not None:
        return _by_layer(values, way, need, matrix, first, shape)
    return _sampled(values, way, need, way.whole, matrix, first, shape)


def _by_layer(
    values: Array, way: Way, need: affine.Box, matrix: Array, first: Three, shape: Three
) -> Array:
    """Each voxel from the layer that it lies in: as though that one went on above and below."""
    out = np.full((*values.shape[:-3], *shape), np.nan, np.float32)
    k, j, i = (m * (np.arange(n) + f) for m, n, f in zip(matrix[0], shape, first, strict=False))
    height = (k + matrix[0, 3])[:, None, None] + j[:, None] + i
    nearest = np.rint(height)
    within = np.abs(height - nearest) <= _half_layer(way) + 1e-6
    copies = 2 * int(np.ceil(way.margin[0])) + 3
    whole = (copies, way.whole[1], way.whole[2])
    box = (slice(0, copies), *need[1:])
    for layer in range(need[0].start, need[0].stop):
        here = within & (nearest == layer)
        if not here.any():
            continue
        one = values[..., layer - need[0].start, :, :]
        many = np.ascontiguousarray(np.stack([one] * copies, axis=-3))
        moved = matrix.copy()
        moved[0, 3] += copies // 2 - layer
        found = _sampled(many, way, (box[0], box[1], box[2]), whole, moved, first, shape)
        out[..., here] = found[..., here]
    return out


def _half_layer(way: Way) -> float:
    """How far from the middle of a layer a voxel's middle may be that lies in it [voxels]."""
    if way.layer is None:
        return np.inf
    return (way.layer - way.own_height) / 2


def _sampled(
    values: Array, way: Way, need: affine.Box, whole: Three, matrix: Array, first: Three,
    shape: Three,
) -> Array:  # fmt: skip
    where: dict[str, Any] = {
        "matrix": matrix, "shape": shape, "first": first, "whole": whole,
        "start": [s.start for s in need],
    }  # fmt: skip
    if way.method == "mean":
        kind: Any = "box" if way.spread is None else "gaussian"
        return np.asarray(affine.average(values, width=way.width.tolist(), spread=kind, **where))
    if way.method == "linear":
        return np.asarray(affine.resample(values, order=1, **where))
    bad = ~np.isfinite(values)
    if not bad.any():
        return np.asarray(affine.resample(values, order=3, **where))
    # A spline would carry one NaN everywhere: it goes through zeros there, which are left out.
    out = np.asarray(affine.resample(np.where(bad, np.float32(0), values), order=3, **where))
    out[affine.resample(bad.astype(np.float32), order=1, **where) > 0] = np.nan
    return out


def _within(values: Array, box: affine.Box, whole: Three, circle: float) -> Array:
    y, x = (
        (np.arange(s.start, s.stop) - (n - 1) / 2) / (n / 2)
        for s, n in zip(box[1:], whole[1:], strict=True)
    )
    return np.where(y[:, None] ** 2 + x**2 > circle**2, np.float32(np.nan), values)


def covered(z: Array, way: Way) -> Array:
    """(row) -> (row, y, x): whether the volume covers what each voxel of the grid hangs on."""
    z = np.asarray(z, float)
    out = np.ones((z.size, *way.plane), bool)
    # A mean wants the whole voxel inside the faces; a point, the centres of eight.
    half = np.maximum(way.width, 1) / 2 if way.method == "mean" and way.spread is None else 0.5
    low, high = -0.5 + half - 1e-4, np.array(way.whole) - 0.5 - half + 1e-4
    low, high = (np.array(np.broadcast_to(v, 3), float) for v in (low, high))
    if way.layer is not None:  # the layers at the ends are whole
        low[0], high[0] = -0.5, way.whole[0] - 0.5
    j, i = np.arange(way.plane[0])[:, None], np.arange(way.plane[1])
    for k, at in enumerate(z):
        matrix = way.at(float(at))
        for axis in range(3):
            place = matrix[axis, 1] * j + matrix[axis, 2] * i + matrix[axis, 3]
            out[k] &= (place >= low[axis]) & (place <= high[axis])
            if way.layer is not None and axis == 0:
                out[k] &= np.abs(place - np.rint(place)) <= _half_layer(way) + 1e-6
    return out


def planned(source: xr.Variable, way: Way, name: str) -> bool:
    """Tell a planner what a block takes; whether one listens, who wants the result lazily."""
    lead, itemsize = math.prod(leading(source)), source.dtype.itemsize
    held = source.size * itemsize
    fixed = held if held <= HELD else 0

    plain = source.dtype == np.float32 and source.dims[-3:] == AXES

    def memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
        tile = way.tile(sizes["batch"], 4 * lead)
        box = lead * math.prod(way.box(tile))
        block = 4 * box + (0 if plain else itemsize * box)
        if way.method == "cubic":  # coefficients, and where values are missing
            block += 9 * box + 4 * box // max(lead, 1)
        if way.circle is not None:
            block += 4 * box
        rows = sizes["batch"] * math.prod(way.plane)
        if way.layer is not None:  # copies of one layer, its samples, and heights
            copies = 2 * math.ceil(way.margin[0]) + 3
            one = math.prod(way.box(tile)[1:]) * lead
            samples = (2 if way.method == "cubic" else 1) * 4 * lead
            block += (3 if way.method == "cubic" else 1) * 4 * copies * one
            block += (samples + 28) * math.prod(tile)
        tiles = (2 if way.method == "cubic" else 1) * math.prod(tile)
        block += 4 * lead * (tiles + rows) + 2 * rows + 32 * math.prod(way.plane)
        block += 0 if fixed else DECODED
        return Memory(fixed, block)

    kernel = Kernel(
        name=name, function=affine.resample, inputs=(("y", "x"),), outputs=(("y", "x"),),
        rows={}, halo={}, grain={}, memory=memory, dtype=("float",), sizes=None,
        together=TOGETHER,
    )  # fmt: skip
    y, x = way.plane
    return told(Call(kernel, {"y": "y", "x": "x"}, {"y": y, "x": x}, {}, ("z",)))


def overlap(corners: Array, way: Way, by: str, told_of: str) -> None:
    """Raise where no voxel of the whole grid can lie in the volume.

    Parameters
    ----------
    corners
        (8, 3): indices of the volume at the corners of the whole grid.
    way
        How it is brought there.
    by, told_of
        Who asks, and what the message says of the extents.

    Raises
    ------
    ArgumentError
        Where they do not meet.
    """
    low, high = corners.min(axis=0), corners.max(axis=0)
    apart = (high < -0.5) | (low > np.array(way.whole) - 0.5)
    if apart.any():
        where = ", ".join(np.array(AXES)[apart])
        raise ArgumentError(
            f"{by}: the volume and the grid have nothing in common",
            got=f"{told_of}; apart along {where} of the volume",
            expected="extents that overlap, all in um: a factor of 1000 is a wrong unit",
            do="give the registration that brings them together (or inverse=true), or mend the "
            "coordinates",
        )
