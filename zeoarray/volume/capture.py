"""Where one volume lies on another, from nothing: guesses of shift and turn about z.

Angles by the magnitudes of both transforms; at each of them the shift by masked correlation; what
correlates best is followed up on the next finer level.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage

from zeoarray.kernels import affine, blocks, fourier_mellin, masked
from zeoarray.volume.levels import Level

Array = np.ndarray[Any, Any]

SLOW = 4.0
"""Structures slower than this are left out [voxels]: their scale differs from scan to scan."""
NEAR_DEG = (0.0, -2.5, 2.5, -5.0, 5.0)
"""Angles that are always tried: samples are mounted alike."""
SWEEP_DEG = 6.0
"""Steps round the circle where nothing else has led anywhere."""
LARGEST, SMALLEST = 48, 32
"""Voxels along the longest side of the larger volume, and least along that of the smaller."""
MOST = 192
"""The larger volume is never searched with more voxels along a side."""
THINNEST = 12
"""Voxels across a volume that is a slab, as far as `MOST` allows."""
LEAST_OVERLAP = 0.15
"""Share of the smaller volume that must lie on the other."""


class Guess(NamedTuple):
    """A candidate."""

    matrix: Array
    """(4, 4): a position in the fixed volume to one in the moving volume [um]."""
    correlation: float
    overlap: float


def voxel(fixed: Level, moving: Level, finest_um: float) -> float:
    """Voxel size to search with: `finest_um` times a power of two."""
    large = max(float(fixed.extent.max()), float(moving.extent.max()))
    small = min(float(fixed.extent.max()), float(moving.extent.max()))
    thin = min(float(fixed.extent.min()), float(moving.extent.min()))
    wanted = max(min(large / LARGEST, small / SMALLEST, thin / THINNEST), large / MOST)
    return finest_um * float(2 ** max(0, round(np.log2(max(wanted / finest_um, 1)))))


class Search:
    """Both volumes as they are searched: on cubic voxels, without their slow changes.

    Parameters
    ----------
    fixed, moving
        Levels of about one voxel size.
    voxel_um
        That size.
    edges
        Compare how steep both are, not what they are: for two modalities.
    """

    def __init__(
        self, fixed: Level, moving: Level, voxel_um: float, *, edges: bool = False
    ) -> None:
        self.voxel_um, self._moving_level, self._edges = voxel_um, moving, edges
        self._fixed, origin = _turned(fixed, 0.0, voxel_um, edges)
        self._fixed_origin = origin + fixed.middle
        self._moving, _ = _turned(moving, 0.0, voxel_um, edges)
        self._known: dict[tuple[int, ...], masked.Transformed] = {}

    def angles(self) -> list[float]:
        """Likely turns about z [rad], each with the one opposite to it."""
        both = [np.where(np.isfinite(v), v, 0) for v in (self._fixed, self._moving)]
        likely = fourier_mellin.turns(both[0], both[1])
        return [a for one in likely for a in (one, one - np.copysign(np.pi, one))]

    def guesses(self, angles: list[float], *, each: int = 2) -> list[Guess]:
        """The best shifts at each angle, the best of all first."""
        found = [guess for angle in angles for guess in self._at(angle, each)]
        return sorted(found, key=lambda g: -g.correlation)

    def _at(self, angle: float, count: int) -> list[Guess]:
        values, origin = _turned(self._moving_level, angle, self.voxel_um, self._edges)
        valid = np.isfinite(values)
        if not valid.any():
            return []
        padded = masked.padded_shape(self._fixed.shape, values.shape)
        if padded not in self._known:
            ours = np.isfinite(self._fixed)
            self._known = {padded: masked.transformed(self._fixed, ours, padded, flip=False)}
        other = masked.transformed(values, valid, padded, flip=True)
        surface = masked.correlate(self._known[padded], other, padded, least=LEAST_OVERLAP)
        tops = masked.peaks(*surface, values.shape, count=count)
        return [Guess(self._matrix(angle, origin, t.shift), t.correlation, t.overlap) for t in tops]

    def _matrix(self, angle: float, origin: Array, shift: Array) -> Array:
        """A position in the fixed volume to one in the moving, as it was before it was turned."""
        place = np.eye(4)
        place[:3, 3] = origin - self._fixed_origin - shift[::-1] * self.voxel_um
        return _about(angle, self._moving_level.middle) @ place


def _about(angle: float, middle: Array) -> Array:
    """(4, 4): from the frame turned by `angle` about z through `middle`, origin there, back."""
    out = np.eye(4)
    out[:2, :2] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    out[:3, 3] = middle
    return out


def _turned(level: Level, angle: float, voxel_um: float, edges: bool) -> tuple[Array, Array]:
    """The volume turned about z through its middle, on cubic voxels; its first voxel from there."""
    cos, sin = abs(np.cos(angle)), abs(np.sin(angle))
    x, y, z = level.extent
    sides = np.array([z, cos * y + sin * x, cos * x + sin * y])
    shape = tuple(int(n) for n in np.maximum(np.rint(sides / voxel_um), 4))
    origin = -(np.array(shape[::-1]) - 1) / 2 * voxel_um
    to_um = np.zeros((4, 4))
    for row, axis in enumerate((2, 1, 0)):
        to_um[row, axis], to_um[row, 3] = voxel_um, origin[row]
    to_um[3, 3] = 1
    back = _about(angle, level.middle)
    matrix = np.linalg.inv(level.to_um) @ back @ to_um
    whole = (slice(0, level.shape[0]), slice(0, level.shape[1]), slice(0, level.shape[2]))
    values = np.asarray(affine.average(level.read(whole), matrix=matrix, shape=shape))
    return without_slow(blocks.edges(values) if edges else values), origin


def without_slow(values: Array) -> Array:
    """The volume less its blurred self, over what is finite."""
    valid = np.isfinite(values)
    share = scipy.ndimage.gaussian_filter(valid.astype(np.float32), SLOW, mode="constant")
    filled = np.where(valid, values, 0).astype(np.float32)
    slow = scipy.ndimage.gaussian_filter(filled, SLOW, mode="constant")
    rest: Array = np.where(valid, values - slow / np.maximum(share, 1e-3), np.nan)
    return rest
