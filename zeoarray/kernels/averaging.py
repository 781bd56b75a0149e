"""Voxels of one size as means over voxels of another, one axis at a time: exact, no aliasing.

Unlike `affine.average`, which follows any map voxel by voxel, this is for grids along the same
axes: a few matrix products a patch, and a point-spread function that is convolved with the voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import erf

Array = np.ndarray[Any, Any]

REACH = 4.0
"""Standard deviations of the point-spread function that count."""


def weights(source: Array, width: float, target: Array, step: float, sigma: float = 0.0) -> Array:
    """(targets, sources): the share of each source voxel in each target voxel; rows add up to 1.

    A target voxel is the mean of what it covers; with `sigma`, of what a Gaussian point-spread
    function of that standard deviation brings into it. Where the target is finer than the source,
    values are interpolated between the centres of source voxels instead.

    Parameters
    ----------
    source, target
        Centres, ascending and equally spaced [um].
    width, step
        Size of a source and of a target voxel [um].
    sigma
        Standard deviation of the point-spread function [um].
    """
    distance = target[:, None] - source[None, :]
    if sigma > 0:
        upper, lower = distance + step / 2, distance - step / 2
        table = _ramp(upper, width, sigma) - _ramp(lower, width, sigma)
    elif step > width * (1 + 1e-9):
        high = np.minimum(distance + step / 2, width / 2)
        table = np.clip(high - np.maximum(distance - step / 2, -width / 2), 0, None)
    else:
        table = np.clip(1 - np.abs(distance) / width, 0, None)
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def reach(width: float, step: float, sigma: float = 0.0) -> float:
    """How far beyond a target voxel's centre its values come from, along one axis [um]."""
    if sigma > 0:
        return step / 2 + width / 2 + REACH * sigma
    return step / 2 + width / 2 if step > width * (1 + 1e-9) else width


def _ramp(position: Array, width: float, sigma: float) -> Array:
    """Integral up to `position` of a box convolved with a Gaussian, divided by nothing."""

    def integral(t: Array) -> Array:
        # Of the Gaussian's distribution function: t Phi(t) + phi(t), in units of sigma.
        s = t / sigma
        return np.asarray(
            sigma * (s * 0.5 * (1 + erf(s / np.sqrt(2))) + np.exp(-(s**2) / 2) / np.sqrt(2 * np.pi))
        )

    return integral(position + width / 2) - integral(position - width / 2)


def apply(block: Array, tables: tuple[Array, Array, Array]) -> Array:
    """(..., z, y, x) -> (..., z', y', x'): the axes one after the other, the coarsest first."""
    out = block
    for axis in _order([(t.shape[1], t.shape[0]) for t in tables]):
        table = np.asarray(tables[axis], dtype=out.dtype)
        *lead, z, y, x = out.shape
        if axis == 0:
            out = (table @ out.reshape(*lead, z, y * x)).reshape(*lead, -1, y, x)
        else:
            out = table @ out if axis == 1 else out @ table.T
    return np.ascontiguousarray(out)


def shapes(given: Sequence[int], made: Sequence[int]) -> list[tuple[int, ...]]:
    """What `apply` goes through from (z, y, x) to (z', y', x'), both included.

    Examples
    --------
    >>> shapes((8, 8, 8), (8, 2, 4))
    [(8, 8, 8), (8, 2, 8), (8, 2, 4), (8, 2, 4)]
    """
    out = [list(given)]
    for axis in _order(list(zip(given, made, strict=True))):
        out.append([*out[-1]])
        out[-1][axis] = made[axis]
    return [tuple(s) for s in out]


def _order(sizes: list[tuple[int, int]]) -> list[int]:
    """Axes, those that lose most first."""
    return sorted(range(3), key=lambda axis: sizes[axis][1] / sizes[axis][0])
