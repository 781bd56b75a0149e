"""Angles of parallel projections: checked, and how much of the half circle each stands for."""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import to_host
from zeoarray.errors import ArgumentError

Array = np.ndarray[Any, Any]

EQUAL = 1e-4
"""Directions closer than this share of the mean spacing are one direction, measured twice."""


def check_angles(angle_rad: Any, lines: int) -> Array:
    """Return angles as float64 in host memory.

    Raises
    ------
    ArgumentError
        Where there is not one finite angle for each of the sinogram's `lines`.
    """
    angle = np.asarray(to_host(angle_rad), dtype=np.float64)
    if angle.shape != (lines,):
        raise ArgumentError(
            "angles and projections do not match",
            got=f"angles of shape {angle.shape}, {lines} projections",
            expected=f"{lines} angles",
        )
    if not lines:
        raise ArgumentError("a reconstruction needs a projection or more", got="0 angles")
    if not np.isfinite(angle).all():
        bad = np.flatnonzero(~np.isfinite(angle))[0]
        raise ArgumentError(
            "an angle is not finite",
            got=f"{angle[bad]} at index {bad}",
            do="leave the projections out whose angle is not known",
        )
    return angle


def angular_weights(angle_rad: Any, *, valid: Any = None) -> Array:
    """(angle), (..., angle) -> (..., angle). The part of the half circle nearest to each angle.

    A ray and its opposite are one direction, so spacing is counted modulo pi, and the weights sum
    to pi: for half and full circles, for irregular angles, for any subset of them. Directions
    measured more than once share their part. At a gap both neighbours stand for half of it.

    Parameters
    ----------
    angle_rad
        Angles [rad], in any order.
    valid
        Which projections there are, for each slice; the others get the weight 0.

    Returns
    -------
    np.ndarray
        Weights [rad], float64.

    Raises
    ------
    ArgumentError
        For angles that are not finite, and for a slice without any valid projection.

    Examples
    --------
    >>> (angular_weights(np.deg2rad([0, 45, 90, 180])) / np.pi).round(3).tolist()
    [0.188, 0.25, 0.375, 0.188]
    """
    angle = check_angles(angle_rad, np.size(angle_rad))
    if valid is None:
        return _nearest(angle)
    flags = np.asarray(to_host(valid), dtype=bool)
    if flags.shape[-1:] != angle.shape:
        raise ArgumentError(
            "flags and angles do not match", got=f"{flags.shape}, {angle.size} angles"
        )
    out = np.zeros(flags.shape)
    for row in np.ndindex(*flags.shape[:-1]):
        if not flags[row].any():
            raise ArgumentError(
                "a slice has no valid projection", got=f"none of {angle.size} in slice {row}"
            )
        out[row][flags[row]] = _nearest(angle[flags[row]])
    return out


def _nearest(angle: Array) -> Array:
    direction = np.mod(angle, np.pi)
    order = np.argsort(direction, kind="stable")
    gaps = np.diff(direction[order], append=direction[order[0]] + np.pi)
    # Begin after the widest gap, so that no direction is cut in two where pi meets 0.
    first = (int(np.argmax(gaps)) + 1) % angle.size
    order, gaps = np.roll(order, -first), np.roll(gaps, -first)
    new = np.concatenate([[True], gaps[:-1] > EQUAL * np.pi / angle.size])
    group = np.cumsum(new) - 1
    place = np.concatenate([[0.0], np.cumsum(gaps[:-1])])
    count = np.bincount(group)
    center = np.bincount(group, place) / count
    between = np.diff(center, append=center[0] + np.pi)
    share = (between + np.roll(between, 1)) / 2 / count
    out = np.empty(angle.size)
    out[order] = share[group]
    return out
