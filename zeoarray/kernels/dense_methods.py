"""SIRT, CGLS, MLEM and total variation by matrix products, of many channels at once.

Each does as many iterations as it is told, in every channel, and no channel looks at another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.kernels.dense_operators import Operator
from zeoarray.kernels.edges import smoothed

SEEN = 1e-6
"""Rays and pixels that meet less than this share of the most count as not met."""

HELD = {"sirt": (3, 2, 0), "cgls": (4, 3, 0), "mlem": (4, 2, 0), "tv": (2, 4, 14)}
"""Arrays over the rays, over the pixels within the circle, and over all pixels, of a group of
channels that a method holds."""

SMOOTHING = 4
"""Iterations of the smoothing within a step of `_tv`; each goes on where the last one ended."""
INERTIA = 8
"""Of `_tv`: the greater, the less it swings about the end."""
POWER = 8
"""Iterations for the largest eigenvalue of A'WA, from ones, which are nearly its vector."""
SAFETY = 1.05
"""On that eigenvalue, which is found from below."""


@dataclass(frozen=True)
class System:
    """The rays of one slice, and what each counts for."""

    operator: Operator
    weights: Any
    """(ray, 1), 0 for rays that miss the circle."""
    lower: float | None = None
    edges: float = 0.0
    """What edges count for, where they do."""

    @property
    def forth(self) -> Any:
        """Pixels to rays."""
        return self.operator.matrix

    @property
    def back(self) -> Any:
        """Rays to pixels."""
        return self.operator.matrix.T


def _inverse(seen: Any) -> Any:
    """One over what is seen, and 0 where that is nothing."""
    xp = xp_of(seen)
    met = seen > SEEN * xp.max(seen) if seen.size else seen > 0
    return xp.where(met, 1 / xp.where(met, seen, 1), 0)


def _sirt(system: System, lines: Any, iterations: int) -> Any:
    """SIRT: x <- x + C A'W R (b - A x), R one over lengths of rays, C over what pixels are seen."""
    xp = xp_of(lines)
    by_ray = system.weights * _inverse(system.forth.sum(axis=1, keepdims=True))
    by_pixel = _inverse(system.back @ system.weights)
    image = xp.zeros((system.forth.shape[1], lines.shape[1]), np.float32)
    for _ in range(iterations):
        rest = lines - system.forth @ image
        rest *= by_ray
        step = system.back @ rest
        step *= by_pixel
        image += step
        if system.lower is not None:
            xp.maximum(image, np.float32(system.lower), out=image)
    return image


def _cgls(system: System, lines: Any, iterations: int) -> Any:
    """Conjugate gradients on A'WA x = A'Wb, of each channel by itself."""
    xp = xp_of(lines)
    image = xp.zeros((system.forth.shape[1], lines.shape[1]), np.float32)
    rest = lines.copy()
    direction = system.back @ (rest * system.weights)
    gradient = _squares(direction)
    # What is left at the limit of rounding has no direction: going on would blow it up.
    least = gradient * 1e-12
    for _ in range(iterations):
        ahead = system.forth @ direction
        length = _over(gradient, _squares(ahead, system.weights), least)
        image += length * direction
        rest -= length * ahead
        steepest = system.back @ (rest * system.weights)
        now = _squares(steepest)
        direction *= _over(now, gradient, least)
        direction += steepest
        gradient = now
    return image


def _mlem(system: System, lines: Any, iterations: int) -> Any:
    """MLEM: x <- x / (A'w) * A'(w b / (A x)), begun with one value that has the sum of the data."""
    xp = xp_of(lines)
    inverse = _inverse(system.back @ system.weights)
    total = (system.weights * system.forth.sum(axis=1, keepdims=True)).sum()
    level = (system.weights * lines).sum(axis=0) / total
    image = (inverse > 0) * level.astype(np.float32)
    for _ in range(iterations):
        ahead = system.forth @ image
        met = ahead > 0
        ratio = xp.where(met, lines, 0)
        ratio /= xp.where(met, ahead, 1)
        ratio *= system.weights
        factor = system.back @ ratio
        factor *= inverse
        image *= factor
    return image


def _tv(system: System, lines: Any, iterations: int) -> Any:
    """Minimise sum w (b - A x)^2 / 2 + edges * TV(x) by FISTA.

    With the steps of A. Chambolle, C. Dossal, J. Optim. Theory Appl. 166 (2015) 968,
    doi:10.1007/s10957-015-0746-4, which never begin again: no decision hangs on rounding.
    """
    xp, at, (y, x) = (
        xp_of(lines),
        xp_of(lines).asarray(system.operator.pixels),
        system.operator.shape,
    )
    lanes = lines.shape[1]

    def whole(inside: Any) -> Any:
        out = xp.zeros((y * x, inside.shape[1]), np.float32)
        out[at] = inside
        return out.reshape(y, x, -1)

    keep = whole(xp.ones((at.size, 1), np.float32))

    def within(image: Any) -> Any:
        if system.lower is not None:
            xp.maximum(image, np.float32(system.lower), out=image)
        image *= keep
        return image

    steepest = SAFETY * _largest(system)
    image = ahead = xp.zeros((at.size, lanes), np.float32)
    dual = xp.zeros((2, y, x, lanes), np.float32)
    for done in range(iterations):
        rest = system.forth @ ahead
        rest -= lines
        rest *= system.weights
        found = system.back @ rest
        found *= np.float32(-1 / steepest)
        found += ahead
        if system.edges > 0:
            strength = system.edges / steepest
            smooth, dual = smoothed(whole(found), strength, dual, SMOOTHING, within)
            found = smooth.reshape(y * x, lanes)[at]
        elif system.lower is not None:
            xp.maximum(found, np.float32(system.lower), out=found)
        ahead = found + np.float32(done / (done + 1 + INERTIA)) * (found - image)
        image = found
    return image


def _largest(system: System) -> float:
    """The largest eigenvalue of A'WA; 1 where that is 0."""
    xp, value = xp_of(system.weights), 0.0
    image = xp.ones((system.forth.shape[1], 1), np.float32)
    for _ in range(POWER):
        size = float(xp.sqrt(_squares(image)[0]))
        if not size > 0:
            break
        image = system.back @ (system.forth @ (image / np.float32(size)) * system.weights)
        value = float(xp.sqrt(_squares(image)[0]))
    return value if value > 0 else 1.0


METHODS: dict[str, Callable[[System, Any, int], Any]] = {
    "sirt": _sirt,
    "cgls": _cgls,
    "mlem": _mlem,
    "tv": _tv,
}


def _squares(array: Any, weights: Any = None) -> Any:
    """(row, channel) -> (channel). Sums of squares, in double precision."""
    squares = array * array if weights is None else array * array * weights
    return xp_of(array).sum(squares, axis=0, dtype=np.float64)


def _over(numerator: Any, denominator: Any, least: Any) -> Any:
    xp = xp_of(numerator)
    there = (denominator > 0) & (numerator > least)
    return xp.where(there, numerator / xp.where(there, denominator, 1), 0).astype(np.float32)


def residual_of(system: System, lines: Any, image: Any) -> Any:
    """(ray, channel), (pixel, channel) -> (channel). norm(b - A x) / norm(b), weighted."""
    xp = xp_of(lines)
    left = _squares(lines - system.forth @ image, system.weights)
    whole = _squares(lines, system.weights)
    return xp.sqrt(left / xp.where(whole > 0, whole, 1))
