"""Where layers may lie in a tomogram: every shift at once, and what wrong places look like."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.fft

from zeoarray.volume.layer_fit import LEAST
from zeoarray.volume.seen import Seen, moved, plane

Array = np.ndarray[Any, Any]

TURN_DEG = 4.0
"""Turns that are tried are so far apart."""
RISE = 1.0
"""Heights that are tried are so far apart [spots]."""
RIDGE = 1e-3
"""Channels that say nothing of their own do not count: share of the largest power."""
QUARTERS = (90.0, 180.0, 270.0)


class Found(NamedTuple):
    """A place that `capture` found."""

    unexplained: float
    """Geometric mean, over layers, of the share of what they show that is not explained."""
    matrix: Array
    """From positions of the layers to those of the tomogram."""


def turned(matrix: Array, degrees: float, *, mirrored: bool = False) -> Array:
    """(4, 4). The layers turned about their axis, or mirrored along x before, then mapped."""
    turn, angle = np.eye(4), np.deg2rad(degrees)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return np.asarray(matrix @ turn @ np.diag([-1.0 if mirrored else 1.0, 1, 1, 1]))


def capture(seen: Seen, maps: Array, start: Array, reach: float, turn_deg: float) -> Found:
    """The best of all shifts to so many spots, and of turns about z.

    Parameters
    ----------
    seen
        The tomogram through the beam.
    maps
        (layer, target, y, x): what the layers show.
    start
        Where they are thought to be.
    reach
        Shifts along each axis that are tried [spots].
    turn_deg
        Turns that are tried [deg].
    """
    spot = seen.geometry.spot_um
    turns = TURN_DEG * np.arange(-int(turn_deg / TURN_DEG), int(turn_deg / TURN_DEG) + 1)
    rises = RISE * np.arange(-int(reach / RISE), int(reach / RISE) + 1)
    best = Found(np.inf, start)
    for turn in turns:
        for rise in rises:
            up = np.eye(4)
            up[2, 3] = rise * spot
            found = _shifted(seen, maps, turned(start, float(turn)) @ up, reach)
            if found.unexplained < best.unexplained:
                best = found
    return best


def elsewhere(seen: Seen, maps: Array, matrix: Array) -> tuple[Found, str]:
    """Where layers fit best that are turned by quarters or mirrored, and which of these it is.

    What fits there as well as in its place, as a round sample does, has not been found.
    """
    reach = min(seen.geometry.shape) / 4 * seen.geometry.step_um / seen.geometry.spot_um
    tried = {}
    for mirrored in (False, True):
        for turn in (0.0, *QUARTERS)[not mirrored :]:
            parts = ["mirrored"] * mirrored + [f"turned by {turn:g} deg"] * bool(turn)
            wrong = turned(matrix, turn, mirrored=mirrored)
            tried[" and ".join(parts)] = _shifted(seen, maps, wrong, reach)
    how = min(tried, key=lambda name: tried[name].unexplained)
    return tried[how], how


def _shifted(seen: Seen, maps: Array, matrix: Array, reach: float) -> Found:
    """The best shift in the plane of the layers, of those to `reach` spots."""
    geometry = seen.geometry
    most = int(np.ceil(reach * geometry.spot_um / geometry.step_um))
    size = [scipy.fft.next_fast_len(n + 2 * most, real=True) for n in geometry.shape]
    inside, total = geometry.inside(), np.zeros((2 * most + 1,) * 2)
    rows = np.arange(-most, most + 1)
    counted = 0
    for layer, target in enumerate(maps):
        points = moved(matrix, plane(*geometry.places(), geometry.z[layer]))
        there = inside & np.isfinite(target).all(axis=0) & (seen.covered(points) > 0.5)
        if there.sum() < LEAST:
            continue
        channels = geometry.smoothed(np.where(inside, seen.rough(points), 0))
        channels = np.where(inside, channels - channels[:, inside].mean(axis=1)[:, None, None], 0)
        shown = np.where(there, target, 0).sum(axis=0)
        shown = np.where(there, shown - shown[there].mean(), 0)
        power = float((shown**2).sum())
        if not power > 0:
            continue
        spectrum = scipy.fft.rfft2(shown, size)
        both = scipy.fft.irfft2(np.conj(spectrum) * scipy.fft.rfft2(channels, size), size)
        both = both[:, rows[:, None], rows]
        left = np.einsum("cyx,dyx->cd", channels, channels)
        left += RIDGE * np.trace(left) / len(left) * np.eye(len(left)) + 1e-300 * np.eye(len(left))
        explained = np.einsum("cyx,cd,dyx->yx", both, np.linalg.inv(left), both) / power
        total += np.log(np.clip(1 - explained, 1e-6, 1))
        counted += 1
    if not counted:
        return Found(np.inf, matrix)
    y, x = (int(i) for i in np.unravel_index(int(np.argmin(total)), total.shape))
    shift = np.eye(4)
    between = np.array([_lowest(total[y], x), _lowest(total[:, x], y)])
    shift[:2, 3] = (between - most) * geometry.step_um
    return Found(float(np.exp(total[y, x] / counted)), matrix @ shift)


def _lowest(values: Array, at: int) -> float:
    """Where the parabola through a lowest value and its neighbours has its lowest point."""
    if not 0 < at < values.size - 1:
        return float(at)
    before, here, after = values[at - 1 : at + 2]
    bend = before - 2 * here + after
    return at + float((before - after) / (2 * bend)) if bend > 0 else float(at)
