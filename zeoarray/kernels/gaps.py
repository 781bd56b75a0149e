"""Rays that were not measured: what stands for them, and what their projections count.

In diffraction tomography a sinogram has gaps: rotations that were lost, single frames. A filter
along `u` wants whole projections. So a missing ray is taken from those that run the nearest to it:
the rays at the same distance from the axis, or at minus that distance half a turn away, of the next
directions to either side. All of it is linear, and known before any intensity is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.angles import EQUAL, angular_weights, check_angles
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.slices import centers_of

Array = np.ndarray[Any, Any]

SNAP = 1e-3
"""Places nearer to a column than this share of a column are at it."""


@dataclass(frozen=True)
class Stand:
    """What stands for one missing ray: a sum of measured ones."""

    angle: int
    u: int
    rays: Array
    """Indices of measured rays in the flattened (angle, u)."""
    shares: Array


def check_valid(valid: Any, angle: Array, batch: tuple[int, ...], columns: int) -> Array | None:
    """Flags of rays, one row of (angle, u) for each slice of the flattened batch; None for all.

    Raises
    ------
    ArgumentError
        Where they do not fit, or a slice has measurements of one direction only, or of none.
    """
    if valid is None:
        return None
    given = np.asarray(to_host(valid)).astype(bool)
    shape = (angle.size, columns)
    try:
        rows = np.broadcast_to(given, (*batch, *shape)).reshape(-1, *shape)
    except ValueError as error:
        raise ArgumentError(
            "the flags of measured rays do not fit the sinogram",
            got=f"flags of shape {given.shape}, batch dims {batch}, (angle, u) {shape}",
            expected="(angle, u), for all slices or for each",
        ) from error
    for row, flags in enumerate(rows):
        seen = angle[flags.any(axis=-1)]
        if not seen.size or (angle.size > 1 and directions(seen) < 2):
            raise ArgumentError(
                f"slice {row} cannot be reconstructed",
                got="no valid measurement"
                if not seen.size
                else "valid measurements of one direction only",
                expected="measurements of two directions or more",
                do="leave this layer out: ds.isel(z=...)",
            )
    return rows


def directions(angle_rad: Array) -> int:
    """Count the directions among angles: a ray and its opposite are one."""
    place = np.sort(np.mod(angle_rad, np.pi))
    apart = np.diff(place, append=place[0] + np.pi) > EQUAL * np.pi / place.size
    return max(int(np.count_nonzero(apart)), 1)


def stands(angle: Array, center: float, valid: Array) -> Iterator[Stand]:
    """Give what stands for each missing ray of projections that have measured ones.

    Projections without any are left out by their weight. Where no direction has the ray, its own
    projection is interpolated along `u`; beyond the last measured column there is nothing.
    """
    columns = np.arange(valid.shape[1])
    for j in np.flatnonzero(valid.any(axis=1) & ~valid.all(axis=1)):
        apart = np.mod(angle - angle[j] + np.pi / 2, np.pi) - np.pi / 2
        opposite = np.rint((angle - angle[j] - apart) / np.pi) % 2 == 1
        for u in np.flatnonzero(~valid[j]):
            place = np.where(opposite, 2 * center - u, float(u))
            left, part = _between(place)
            usable = _measured(valid, left) & ((part == 0) | _measured(valid, left + 1))
            if not usable.any():
                yield _along(int(j), int(u), valid[j], columns)
                continue
            rays, shares = [], []
            for k, share in _nearest(apart, usable, EQUAL * np.pi / angle.size):
                for column, weight in ((left[k], 1 - part[k]), (left[k] + 1, part[k])):
                    if weight > 0:
                        rays.append(k * columns.size + column)
                        shares.append(share * weight)
            yield Stand(int(j), int(u), np.array(rays), np.array(shares, np.float32))


def _between(place: Array) -> tuple[Array, Array]:
    """Column left of each place, and the share of the way to the next one."""
    snapped = np.where(abs(place - np.rint(place)) < SNAP, np.rint(place), place)
    left = np.floor(snapped).astype(int)
    return left, snapped - left


def _measured(valid: Array, column: Array) -> Array:
    inside = (column >= 0) & (column < valid.shape[1])
    flags: Array = valid[np.arange(len(valid)), np.where(inside, column, 0)] & inside
    return flags


def _nearest(apart: Array, usable: Array, equal: float) -> list[tuple[int, float]]:
    """Index and share of the next usable directions to either side."""
    found = np.flatnonzero(usable)
    away = apart[found]
    same = found[abs(away) <= equal]
    if same.size:
        return [(int(k), 1 / same.size) for k in same]
    above, below = found[away > 0], found[away < 0]
    if not above.size or not below.size:
        return [(int(found[np.argmin(abs(away))]), 1.0)]
    up, down = above[np.argmin(apart[above])], below[np.argmax(apart[below])]
    share = apart[up] / (apart[up] - apart[down])
    return [(int(up), 1 - share), (int(down), share)]


def _along(j: int, u: int, valid: Array, columns: Array) -> Stand:
    have = columns[valid]
    left, right = have[have < u], have[have > u]
    if not left.size or not right.size:
        return Stand(j, u, np.zeros(0, int), np.zeros(0, np.float32))
    share = (u - left[-1]) / (right[0] - left[-1])
    rays = j * columns.size + np.array([left[-1], right[0]])
    return Stand(j, u, rays, np.array([1 - share, share], np.float32))


def _fill_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    rays = sizes["angle"] * sizes["u"]
    return Memory(0, 20 * rays + sizes["batch"] * rays + 200 * sizes["angle"])


@kernel(
    "(angle,u,q),(angle)->(angle,u,q)",
    rows={"center": (), "valid": ("angle", "u")},
    halo={"q": 0},
    memory=_fill_memory,
)
def fill_rays(sinogram: Any, angle_rad: Any, *, center: Any, valid: Any = None) -> Any:
    """(..., angle, u, q), (angle) -> (..., angle, u, q). Missing rays taken from the nearest ones.

    Parameters
    ----------
    sinogram
        Intensities; what is not valid may be NaN.
    angle_rad
        Angle of each projection [rad].
    center
        Index of u where the rotation axis is: one, or one for each slice.
    valid
        (angle, u), or one for each slice: which rays were measured; all where None. Projections
        without any are 0, and meant to be left out.

    Raises
    ------
    ArgumentError
        Where angles, axis or flags do not fit, or a slice has no measured ray.

    Examples
    --------
    >>> lines = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, np.nan], [2.0, 2.0, 2.0]])[..., None]
    >>> flags = np.isfinite(lines[..., 0])
    >>> fill_rays(lines, np.deg2rad([0, 180, 90]), center=1.0, valid=flags)[1, :, 0]
    array([3., 2., 1.])
    """
    xp = xp_of(sinogram)
    batch, (angles, columns) = sinogram.shape[:-3], sinogram.shape[-3:-1]
    angle = check_angles(angle_rad, angles)
    centers, rows = centers_of(center, batch, columns), check_valid(valid, angle, batch, columns)
    out = sinogram.astype(contract_of(fill_rays).output_dtype(0, sinogram.dtype))
    if rows is None:
        return out
    for i, index in enumerate(np.ndindex(*batch)):
        one, flags = out[index], rows[i]
        one[xp.asarray(~flags)] = 0
        for stand in stands(angle, centers[i], flags):
            for ray, share in zip(stand.rays, stand.shares, strict=True):
                one[stand.angle, stand.u] += share * one[divmod(int(ray), columns)]
    return out


@kernel("(angle,u),(angle)->(angle)", memory=lambda sizes, parameters, threads: Memory(
    0, 400 * sizes["angle"] + sizes["batch"] * (sizes["u"] + 9) * sizes["angle"]))  # fmt: skip
def projection_weights(valid: Any, angle_rad: Any) -> Any:
    """(..., angle, u), (angle) -> (..., angle). `angular_weights` of the projections there are.

    Parameters
    ----------
    valid
        Which rays were measured. A projection with any of them counts, the others have weight 0.
    angle_rad
        Angle of each projection [rad].

    Raises
    ------
    ArgumentError
        As `angles.angular_weights`.

    Examples
    --------
    >>> flags = np.array([[1, 1], [0, 0], [0, 1]])
    >>> (projection_weights(flags, np.deg2rad([0, 60, 90])) / np.pi).tolist()
    [0.5, 0.0, 0.5]
    """
    xp = xp_of(valid)
    angle = check_angles(angle_rad, valid.shape[-2])
    weights = angular_weights(angle, valid=to_host((valid != 0).any(axis=-1)))
    return xp.asarray(weights, contract_of(projection_weights).output_dtype(0, valid.dtype))
