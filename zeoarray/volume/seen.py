"""What a diffraction scan would see of a tomogram: its beam, its positions, its reconstruction.

A beam that is round and a motion that is rigid change places: the line integral over a Gaussian
beam, of a volume that is moved, is the integral along a line of the volume smoothed by the beam,
at the places that the line is moved to. So the tomogram is smoothed once, and for every map that
is tried it is read in the planes of the layers, projected to the measured (angle, u) and
reconstructed by the kernel that the layers went through. Nothing is read between the layers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage

from zeoarray.kernels import dense, radon, transform
from zeoarray.kernels.beam_rays import FWHM
from zeoarray.kernels.filters import Filter
from zeoarray.volume.levels import Box, Level

Array = np.ndarray[Any, Any]

VOXELS = 3
"""Voxels of the smoothed tomogram in the width of the beam."""
FINER = 2
"""Points of a plane for each position along u."""
BEYOND = 1.25
"""A plane is so much wider than what the beam is scanned over."""
TAILS = 4.0
"""Standard deviations at which the beam ends."""
CLASSES = 256
"""Of the histogram that tells matter from air."""
SMOOTH = 1.0
"""Both maps are smoothed by this share of the beam, in each direction: noise of channels that the
filter has raised would outweigh what the beam can see."""


class Geometry(NamedTuple):
    """How the layers were measured and reconstructed."""

    z: Array
    """(layer) [um]."""
    angle: Array
    """(angle) for which u - axis_u = x cos + y sin [rad]."""
    columns: int
    step_um: float
    """Distance of positions along u, and side of a pixel."""
    centers: Array
    """(layer): index of u where the axis is."""
    valid: Array
    """(layer, angle, u): which rays were measured."""
    shape: tuple[int, int]
    """Pixels of y and x."""
    filter: Filter
    spot_um: float
    """Full width of the beam at half maximum."""

    def places(self) -> tuple[Array, Array]:
        """Positions of pixels along y and x [um]."""
        y, x = ((np.arange(n) - (n - 1) / 2) * self.step_um for n in self.shape)
        return y, x

    def inside(self) -> Array:
        """(y, x): pixels within the circle that every projection sees."""
        y, x = self.places()
        found: Array = np.hypot(y[:, None], x) <= min(self.shape) * self.step_um / 2
        return found

    def reconstructed(self, lines: Array, layer: int) -> Array:
        """(channel, angle, u) of a layer -> (channel, y, x), as the layers were, then smoothed."""
        found = dense.filtered_backprojection(
            np.moveaxis(lines, 0, -1), self.angle, center=float(self.centers[layer]),
            valid=self.valid[layer], size=self.shape, filter=self.filter,
        )  # fmt: skip
        return self.smoothed(np.moveaxis(np.asarray(found), -1, 0))

    def smoothed(self, maps: Array) -> Array:
        """(..., y, x) -> (..., y, x)."""
        sigma = SMOOTH * self.spot_um / FWHM / self.step_um
        out: Array = scipy.ndimage.gaussian_filter(
            np.asarray(maps, float), (0,) * (maps.ndim - 2) + (sigma, sigma), mode="constant"
        )
        return out


def moved(matrix: Array, points: Array) -> Array:
    """(4, 4), (..., 3) -> (..., 3)."""
    return transform.move(matrix, points.reshape(-1, 3)).reshape(points.shape)


def matter_above(values: Array) -> float:
    """Threshold between two classes of values, by Otsu's method."""
    good = values[np.isfinite(values)]
    counts, edges = np.histogram(good, CLASSES, (float(good.min()), float(good.max())))
    middle = (edges[1:] + edges[:-1]) / 2
    below, first = np.cumsum(counts), np.cumsum(counts * middle)
    above = below[-1] - below
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (first / below - (first[-1] - first) / above) ** 2
    return float(middle[int(np.nanargmax(between))])


class Seen:
    """A tomogram through a beam, read in planes.

    Parameters
    ----------
    level
        The tomogram, at any voxel.
    geometry
        Of the layers.
    matrix
        Where the layers are thought to be: (4, 4), a position of theirs to one in the tomogram.
    reach_um
        How far they may be from there.
    memory
        Bytes that a box may take while it is read.
    """

    def __init__(
        self, level: Level, geometry: Geometry, matrix: Array, reach_um: float, memory: int
    ) -> None:
        self.geometry = geometry
        coarse = level.coarser(geometry.spot_um / VOXELS)
        box = _box(coarse, geometry, matrix, reach_um)
        self.empty = any(s.start >= s.stop for s in box)
        if self.empty:
            return
        values = _read(coarse, box, memory)
        self._origin = np.array([s.start for s in box], float)
        self._level = coarse
        has = np.isfinite(values)
        self.empty = not has.any()
        if self.empty:
            return
        self.spread = float(np.ptp(values[has]))
        self.threshold = matter_above(values)
        filled = np.where(has, values, 0)
        sigma = self._sigma()
        channels = [filled, (filled > self.threshold).astype(np.float32)]
        smooth = [
            scipy.ndimage.gaussian_filter(c, sigma, mode="constant", truncate=TAILS)
            for c in channels
        ]
        self.channels = len(channels)
        self._spline = [scipy.ndimage.spline_filter(s, 3, np.float32, "mirror") for s in smooth]
        self._has = scipy.ndimage.gaussian_filter(
            has.astype(np.float32), sigma, mode="constant", truncate=TAILS
        )
        side = int(np.ceil(geometry.columns * BEYOND)) * FINER
        self._axis = (np.arange(side) - (side - 1) / 2) * geometry.step_um / FINER

    def _sigma(self) -> Array:
        """Of the beam, less what voxels smooth by themselves [voxels]."""
        wide = np.abs(self._level.spacing[::-1])
        of_beam = self.geometry.spot_um / FWHM
        out: Array = np.sqrt(np.clip((of_beam / wide) ** 2 - 1 / 12, 0.01, None))
        return out

    def planes(self, layer: int) -> Array:
        """(y, x, 3): x, y, z [um] of the points of a layer's plane."""
        y, x = np.meshgrid(self._axis, self._axis, indexing="ij")
        return np.stack([x, y, np.full_like(x, self.geometry.z[layer])], axis=-1)

    def _at(self, volume: Array, points: Array, order: int) -> Array:
        index = self._level.indices(points.reshape(-1, 3)) - self._origin
        found: Array = scipy.ndimage.map_coordinates(
            volume, index.T, order=order, mode="constant", prefilter=False, output=np.float32
        )
        return found.reshape(points.shape[:-1])

    def read(self, points: Array) -> Array:
        """(..., 3) x, y, z [um] in the tomogram -> (channel, ...)."""
        return np.stack([self._at(s, points, 3) for s in self._spline])

    def covered(self, points: Array) -> Array:
        """(..., 3) -> (...): how much of the beam there meets the tomogram, 0 to 1."""
        return self._at(self._has, points, 1)

    def lines(self, planes: Array, layer: int) -> Array:
        """(channel, y, x) on a plane's points -> (channel, angle, u), the positions measured."""
        geometry = self.geometry
        size = FINER * (geometry.columns - 1) + 1
        fine = radon.project(
            np.ascontiguousarray(planes, np.float32), geometry.angle, size=size,
            center=FINER * float(geometry.centers[layer]),
        )  # fmt: skip
        return np.asarray(fine)[..., ::FINER]

    def images(self, planes: Array, layer: int) -> Array:
        """(channel, y, x) on a plane's points -> (channel, y, x): as the scan would show them."""
        return self.geometry.reconstructed(self.lines(planes, layer), layer)

    def model(self, matrix: Array, layer: int) -> Array:
        """(channel, y, x). What the layer would show of the tomogram."""
        return self.images(self.read(moved(matrix, self.planes(layer))), layer)


def _box(level: Level, geometry: Geometry, matrix: Array, reach_um: float) -> Box:
    """What the planes can reach."""
    half = BEYOND * geometry.columns * geometry.step_um / 2
    corners = np.array([
        (a, b, c) for a in (-half, half) for b in (-half, half)
        for c in (geometry.z.min(), geometry.z.max())
    ])  # fmt: skip
    at = level.indices(transform.move(matrix, corners))
    more = (reach_um + TAILS * geometry.spot_um / FWHM) / np.abs(level.spacing[::-1]) + 2
    low, high = np.floor(at.min(axis=0) - more), np.ceil(at.max(axis=0) + more) + 1
    parts = [slice(int(a), int(b)) for a, b in zip(low, high, strict=True)]
    return level.clipped((parts[0], parts[1], parts[2]))


def _read(level: Level, box: Box, memory: int) -> Array:
    """A box, some rows at a time."""
    shape = tuple(s.stop - s.start for s in box)
    out = np.empty(shape, np.float32)
    per_row = max(8 * shape[1] * shape[2] * 27, 1)
    rows = int(np.clip(memory // per_row, 1, shape[0]))
    for first in range(0, shape[0], rows):
        last = min(first + rows, shape[0])
        part = slice(box[0].start + first, box[0].start + last)
        out[first:last] = level.read((part, box[1], box[2]))
    return out
