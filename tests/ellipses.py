"""Phantoms of ellipses, whose slices and projections are known in closed form.

Lengths are in units of half the slice. An ellipse is (value, a, b, x, y, turn [rad]).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Ellipse = tuple[float, float, float, float, float, float]

SHEPP_LOGAN: tuple[Ellipse, ...] = tuple(
    (value, a, b, x, y, float(np.deg2rad(turn)))
    for value, a, b, x, y, turn in (
        # With the contrast of Toft (1996).
        (1.0, 0.69, 0.92, 0, 0, 0),
        (-0.8, 0.6624, 0.8740, 0, -0.0184, 0),
        (-0.2, 0.1100, 0.3100, 0.22, 0, -18),
        (-0.2, 0.1600, 0.4100, -0.22, 0, 18),
        (0.1, 0.2100, 0.2500, 0, 0.35, 0),
        (0.1, 0.0460, 0.0460, 0, 0.1, 0),
        (0.1, 0.0460, 0.0460, 0, -0.1, 0),
        (0.1, 0.0460, 0.0230, -0.08, -0.605, 0),
        (0.1, 0.0230, 0.0230, 0, -0.606, 0),
        (0.1, 0.0230, 0.0460, 0.06, -0.605, 0),
    )
)

# No rotation, reflection or exchange of axes leaves it as it is.
LOPSIDED: tuple[Ellipse, ...] = (
    (1.0, 0.80, 0.62, 0.05, -0.08, 0.3),
    (0.6, 0.20, 0.12, 0.45, 0.10, 0.9),
    (-0.5, 0.13, 0.25, -0.30, 0.22, -0.4),
    (0.8, 0.07, 0.07, -0.15, -0.45, 0.0),
)


def project(
    ellipses: tuple[Ellipse, ...], angle: Array, columns: int, half: float, center: float
) -> Array:
    """(angle, u): line integrals [pixels] at the middle of each column, `half` pixels a unit."""
    u = (np.arange(columns) - center) / half
    out = np.zeros((angle.size, columns))
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    for value, a, b, x, y, turn in ellipses:
        along = angle[:, None] - turn
        width = (a * np.cos(along)) ** 2 + (b * np.sin(along)) ** 2
        distance = u - x * cos - y * sin
        chord = np.sqrt(np.clip(width - distance**2, 0, None)) * 2 * a * b / width
        out += value * half * chord
    return out


def sample(
    ellipses: tuple[Ellipse, ...], shape: tuple[int, int], half: float, fine: int = 5
) -> Array:
    """(y, x): the mean over `fine` by `fine` points of each pixel."""
    y, x = (((np.arange(n * fine) + 0.5) / fine - n / 2) / half for n in shape)
    out = np.zeros((shape[0] * fine, shape[1] * fine), np.float32)
    for value, a, b, x0, y0, turn in ellipses:
        dx, dy = (x - x0)[None, :], (y - y0)[:, None]
        along = dx * np.cos(turn) + dy * np.sin(turn)
        across = dy * np.cos(turn) - dx * np.sin(turn)
        out += np.float32(value) * ((along / a) ** 2 + (across / b) ** 2 <= 1)
    return out.reshape(shape[0], fine, shape[1], fine).mean(axis=(1, 3))
