"""What a slice is: its pixels, its circle, where its axis lies, and what each angle counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import to_host
from zeoarray.errors import ArgumentError
from zeoarray.kernels.angles import angular_weights

Array = np.ndarray[Any, Any]
Size = int | tuple[int, int] | None

GUARD = 0.06
"""A filtered projection is cut off, and repeats, this share of its length beyond what is used."""


def image_shape(size: Size, default: int) -> tuple[int, int]:
    """Pixels of y and x, for a `size` that is one number, both, or None for the default."""
    pair = size if isinstance(size, tuple) else (size, size)
    shape = tuple(default if n is None else n for n in pair)
    if len(shape) != 2 or min(shape) < 1:
        raise ArgumentError("a slice has one pixel or more along y and x", got=f"size={size}")
    return shape[0], shape[1]


def reach_of(shape: tuple[int, int], radius: float | None) -> float:
    """Distance from the axis to the farthest pixel that is kept, about."""
    return float(min(radius_of(shape, radius), np.hypot(*shape) / 2))


def radius_of(shape: tuple[int, int], radius: float | None) -> float:
    """Radius of the circle that is kept: the largest in the slice where None."""
    if radius is not None and not radius > 0:
        raise ArgumentError("the circle that is kept has a radius above 0", got=f"radius={radius}")
    return min(shape) / 2 if radius is None else float(radius)


def far_of(center: Array, columns: int) -> Array:
    """Distance from the axis to the last column, at least; in steps of an eighth of the detector.

    Lengths of transforms hang on it. They shall not change where the axis drifts from row to row,
    and least of all where it is near the middle: `GUARD` covers what is neglected there.
    """
    step = max(columns // 8, 1)
    aside = np.abs(center - (columns - 1) / 2) - columns / 50
    return columns / 2 + step * np.ceil(np.maximum(aside, 0) / step)


def centers_of(center: Any, batch: tuple[int, ...], columns: int) -> Array:
    """One centre for each slice of the flattened batch, checked."""
    value = np.asarray(to_host(center), dtype=float)
    try:
        rows = np.broadcast_to(value, batch).ravel()
    except ValueError as error:
        raise ArgumentError(
            "the rotation axis does not fit the slices",
            got=f"center of shape {value.shape}, batch dims {batch}",
            expected="one number, or one for each slice",
        ) from error
    outside = ~((rows > -1) & (rows < columns))
    if outside.any():
        raise ArgumentError(
            "the rotation axis is outside the detector",
            got=f"center={rows[outside][0]:g} (slice {np.flatnonzero(outside)[0]})",
            expected=f"an index of u between 0 and {columns - 1}",
            do="give the axis as a fractional index, not in um; extend the scan where the axis is "
            "really off the detector",
        )
    return rows


def weights_of(weights: Any, angle: Array, batch: tuple[int, ...]) -> Array:
    """One weight for each slice of the flattened batch and each angle, checked."""
    given = angular_weights(angle) if weights is None else np.asarray(to_host(weights), dtype=float)
    try:
        rows = np.broadcast_to(given, (*batch, angle.size)).reshape(-1, angle.size)
    except ValueError as error:
        raise ArgumentError(
            "the angular weights do not fit the sinogram",
            got=f"weights of shape {given.shape}, batch dims {batch}, {angle.size} angles",
            expected="one weight for each angle, or one for each slice and angle",
        ) from error
    if not np.isfinite(rows).all():
        raise ArgumentError("an angular weight is not finite", do="give 0 to leave an angle out")
    return rows


def disc(xp: Any, shape: tuple[int, int], radius: float | None) -> Any:
    """1 within `radius` of the axis, 0 beyond; None where nothing is beyond."""
    far = radius_of(shape, radius)
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    if np.hypot(y[-1], x[-1]) <= far:
        return None
    # Squares of halves are exact, and much faster than a root.
    within: Array = (y * y)[:, None] + x * x <= far * far
    return xp.asarray(within, dtype=np.float32)
