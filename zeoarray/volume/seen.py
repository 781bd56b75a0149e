"""What a diffraction scan would see of a tomogram: its beam, its positions, its reconstruction.

A line integral over a round Gaussian beam, of a volume that is moved rigidly, is the integral along
the moved line of the volume smoothed by the beam. So the tomogram is smoothed once. For every map
that is tried it is read in the planes of the layers, projected to the measured (angle, u), and
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
CLASSES = 128
"""Bins of the histogram that tells matter from air."""
LARGEST = 99.5
"""Percentile of attenuation above which it does not count for more."""
EDGE = 0.7
"""Standard deviation of the Gaussian by which edges are found [voxels]."""
SMOOTH = 1.0
"""Reconstructions are smoothed by this share of the beam: the filter has raised noise of waves that
the beam hardly sees."""


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


def knots_of(values: Array) -> Array:
    """(3): two thresholds between three classes of values, by Otsu's method; and the largest.

    The largest counts without the few that are beyond all others: dense inclusions.
    """
    good = values[np.isfinite(values)]
    low, high = (float(v) for v in np.percentile(good, (0, LARGEST)))
    counts, edges = np.histogram(good, CLASSES, (low, high))
    middle = (edges[1:] + edges[:-1]) / 2
    size, total = (np.concatenate([[0.0], np.cumsum(c)]) for c in (counts, counts * middle))
    first, second = np.triu_indices(CLASSES, 1)
    between = np.zeros(first.size)
    for start, stop in ((0, first + 1), (first + 1, second + 1), (second + 1, CLASSES)):
        of_class = size[stop] - size[start]
        between += (total[stop] - total[start]) ** 2 / np.maximum(of_class, 1)
    best = int(np.argmax(between))
    return np.array([edges[first[best] + 1], edges[second[best] + 1], high])


def channels_of(values: Array, knots: Array) -> list[Array]:
    """What is below the first knot, between it and the second, and up to the largest; and edges.

    Any relation of what is diffracted to attenuation that is a line from knot to knot is a sum of
    the first three: no scattering in air, some in one phase, more or less in a denser one. Voxels
    that are half air are taken for a light phase by it: the edges take that up.
    """
    parts, below = [np.minimum(values, knots[0])], knots[0]
    for knot in knots[1:]:
        parts.append(np.clip(values, below, knot) - below)
        below = knot
    parts.append(scipy.ndimage.gaussian_gradient_magnitude(parts[0], EDGE))
    return [p.astype(np.float32) for p in parts]


def moved(matrix: Array, points: Array) -> Array:
    """(4, 4), (..., 3) -> (..., 3)."""
    return transform.move(matrix, points.reshape(-1, 3)).reshape(points.shape)


def plane(y: Array, x: Array, z: float) -> Array:
    """(y, x, 3): x, y, z [um] of points at one height."""
    return np.stack([*np.meshgrid(x, y), np.full((y.size, x.size), z)], axis=-1)


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
    most_bytes
        What a box may take while it is read.
    """

    def __init__(
        self, level: Level, geometry: Geometry, matrix: Array, reach_um: float, most_bytes: int
    ) -> None:
        self.geometry, self._level = geometry, level.coarser(geometry.spot_um / VOXELS)
        box = _box(self._level, geometry, matrix, reach_um)
        self._origin = np.array([s.start for s in box], float)
        finer = float(np.prod(self._level.spacing / level.spacing))
        values = _read(self._level, box, most_bytes / finer)
        self.size = values.size
        """Voxels that the layers may meet."""
        has = np.isfinite(values)
        self.range = (float(values[has].min()), float(values[has].max())) if has.any() else None
        """Least and largest attenuation; None where none is finite."""
        side = int(np.ceil(geometry.columns * BEYOND)) * FINER
        self._axis = (np.arange(side) - (side - 1) / 2) * geometry.step_um / FINER
        if self.range is None or self.range[0] == self.range[1]:
            return
        spacing = self._level.spacing[::-1]
        # Voxels smooth by themselves.
        wide = (geometry.spot_um / FWHM / spacing) ** 2 - 1 / 12
        sigma = np.sqrt(np.clip(wide, 0.01, None))
        smooth = [
            scipy.ndimage.gaussian_filter(c, sigma, mode="constant", truncate=TAILS)
            for c in (*channels_of(np.where(has, values, 0), knots_of(values)), has.astype("f4"))
        ]
        self._has = smooth.pop()
        self._smooth = smooth
        self._spline = [scipy.ndimage.spline_filter(s, 3, np.float32, "mirror") for s in smooth]
        # Of z, y, x; in the order of positions.
        self._slopes = [np.gradient(s, *map(float, spacing))[::-1] for s in smooth]

    def _at(self, volume: Array, points: Array, order: int) -> Array:
        index = self._level.indices(points.reshape(-1, 3)) - self._origin
        found: Array = scipy.ndimage.map_coordinates(
            volume, index.T, order=order, mode="constant", prefilter=False, output=np.float32
        )
        return found.reshape(points.shape[:-1])

    def rough(self, points: Array) -> Array:
        """(..., 3) x, y, z [um] in the tomogram -> (channel, ...), linear between voxels."""
        return np.stack([self._at(s, points, 1) for s in self._smooth])

    def slopes(self, points: Array) -> Array:
        """(..., 3) -> (channel, axis, ...): derivatives along x, y, z [1/um]."""
        return np.stack([[self._at(g, points, 1) for g in each] for each in self._slopes])

    def covered(self, points: Array) -> Array:
        """(..., 3) -> (...): how much of the beam there meets the tomogram, 0 to 1."""
        return self._at(self._has, points, 1)

    def model(self, matrix: Array, layer: int) -> Array:
        """(channel, y, x). What the layer would show of the tomogram, in its own units."""
        geometry = self.geometry
        points = moved(matrix, plane(self._axis, self._axis, geometry.z[layer]))
        fine = radon.project(
            np.stack([self._at(s, points, 3) for s in self._spline]), geometry.angle,
            size=FINER * (geometry.columns - 1) + 1, center=FINER * float(geometry.centers[layer]),
        )  # fmt: skip
        return geometry.reconstructed(np.asarray(fine)[..., ::FINER] / FINER, layer)


def _box(level: Level, geometry: Geometry, matrix: Array, reach_um: float) -> Box:
    """What the planes can reach."""
    half = BEYOND * geometry.columns * geometry.step_um / 2
    ends = np.array([-half, half])
    corners = np.stack([plane(ends, ends, z) for z in (geometry.z.min(), geometry.z.max())])
    at = level.indices(moved(matrix, corners).reshape(-1, 3))
    more = (reach_um + TAILS * geometry.spot_um / FWHM) / np.abs(level.spacing[::-1]) + 2
    low, high = np.floor(at.min(axis=0) - more), np.ceil(at.max(axis=0) + more) + 1
    parts = [slice(int(a), int(b)) for a, b in zip(low, high, strict=True)]
    return level.clipped((parts[0], parts[1], parts[2]))


def _read(level: Level, box: Box, most_bytes: float) -> Array:
    """A box, some rows at a time."""
    shape = tuple(s.stop - s.start for s in box)
    out = np.empty(shape, np.float32)
    rows = int(np.clip(most_bytes / max(8 * shape[1] * shape[2], 1), 1, max(shape[0], 1)))
    for first in range(0, shape[0], rows):
        last = min(first + rows, shape[0])
        part = slice(box[0].start + first, box[0].start + last)
        out[first:last] = level.read((part, box[1], box[2]))
    return out
