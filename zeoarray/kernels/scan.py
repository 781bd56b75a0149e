"""What iterations on the NUFFT pair of `radon` share: slices with their rays and their geometry."""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.kernels.radon import backproject, disc, project, radius_of

Array = np.ndarray[Any, Any]

EDGE = 4.0
"""Rays that cross the reconstructed circle on less than this many pixels count as if on so many."""


class Scan:
    """One slice or two with their rays: what was measured, what it counts, and where it lies.

    Parameters
    ----------
    lines
        (slice, angle, u). Rays of weight 0 may be NaN.
    weights
        The same, or None where all rays count the same.
    angle
        Angle of each projection [rad].
    center
        Index of u where the axis is, for each slice.
    shape
        Pixels of y and x.
    radius
        Of the circle that is reconstructed, in pixels; as `disc` takes it.
    """

    def __init__(
        self, lines: Any, weights: Any, angle: Array, center: Array, shape: tuple[int, int],
        radius: float | None,
    ) -> None:  # fmt: skip
        xp = xp_of(lines)
        self.angle, self.center, self.shape, self.columns = angle, center, shape, lines.shape[-1]
        self.keep = disc(xp, shape, radius)
        reach = min(radius_of(shape, radius), float(np.hypot(*shape)) / 2)
        u = np.arange(self.columns) - center[:, None]
        chord = 2 * np.sqrt(np.clip(reach**2 - u**2, 0, None))
        # (slice, 1, u): length of each ray in the circle, 0 where it misses it.
        self.chord = xp.asarray(
            np.where(chord > 0, np.maximum(chord, EDGE), 0)[:, None, :], dtype=np.float32
        )
        # (slice, 1 or angle, u): what each ray counts for.
        self.weights = (self.chord > 0).astype(np.float32)
        self.lines = lines.astype(np.float32)
        if weights is not None:
            self.lines = xp.where(weights > 0, self.lines, np.float32(0))
            self.weights = self.weights * weights.astype(np.float32)
        self.norm = square(self.lines, self.weights)
        rays = (self.weights > 0).sum(axis=(1, 2)) * (angle.size // self.weights.shape[1])
        self.rays = to_host(rays)

    def forth(self, image: Any) -> Any:
        """(slice, y, x) -> (slice, angle, u). Projections."""
        return project(image, self.angle, size=self.columns, center=self.center)

    def back(self, lines: Any) -> Any:
        """(slice, angle, u) -> (slice, y, x). The adjoint, within the circle."""
        image = backproject(lines, self.angle, center=self.center, size=self.shape)
        if self.keep is not None:
            image *= self.keep
        return image


def square(array: Any, weights: Any = None) -> Array:
    """(slices, ...) -> (slices). Sum of squares times the weights, in double precision."""
    xp = xp_of(array)
    squares = array * array
    if weights is not None:
        squares *= weights
    return to_host(xp.asarray([xp.sum(one, dtype=np.float64) for one in squares]))


def over(numerator: Array, denominator: Array) -> Array:
    """Quotient; 0 where the denominator is not positive."""
    return np.divide(
        numerator, denominator, out=np.zeros_like(numerator), where=np.asarray(denominator) > 0
    )
