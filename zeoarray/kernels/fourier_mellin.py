"""By which angle about z two volumes are turned against each other, whatever their shift.

The magnitude of a slice's transform does not change with shifts in the plane, and turns with the
slice. Its mean over slices is that of a volume, compared along the angle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
import scipy.ndimage

Array = np.ndarray[Any, Any]

INNER, OUTER = 0.04, 0.4
"""Frequencies that are compared [cycles per voxel]: neither outlines nor noise."""
RADII = 32


def spectrum(values: Array, size: int) -> Array:
    """(z, y, x) -> (angle, radius). Magnitudes over half a turn in steps of 180 / `size` degrees.

    Each circle of frequencies without its mean, over its standard deviation: what is alike at all
    angles says nothing.
    """
    window = np.hanning(values.shape[1] + 2)[1:-1, None] * np.hanning(values.shape[2] + 2)[1:-1]
    side = max(int(scipy.fft.next_fast_len(2 * max(values.shape[1:]))), 16)
    total = np.zeros((side, side))
    for plane in values:
        weighted = (plane - (plane * window).sum() / window.sum()) * window
        total += np.abs(scipy.fft.fft2(weighted, (side, side))) ** 2
    magnitude = np.log(np.fft.fftshift(total) + 1e-6 * total.max() + 1e-300)
    angle = np.arange(size) * np.pi / size
    radius = np.linspace(INNER, OUTER, RADII) * side
    at = [side // 2 + radius * f(angle)[:, None] for f in (np.sin, np.cos)]
    polar = scipy.ndimage.map_coordinates(magnitude, at, order=1)
    polar -= polar.mean(axis=0)
    spread = polar.std(axis=0)
    out: Array = polar / np.maximum(spread, 1e-12 + 1e-6 * spread.max())
    return out


def turns(fixed: Array, moving: Array, *, count: int = 3, size: int = 360) -> list[float]:
    """(z, y, x), (z, y, x) -> angles [rad], the likeliest first.

    Each a turn from x to y that brings `moving` onto `fixed`; to each belongs the one half a turn
    further, which magnitudes cannot tell from it. Voxels of both must be of one size.

    References
    ----------
    B. S. Reddy, B. N. Chatterji, IEEE Trans. Image Process. 5, 1266 (1996),
    doi:10.1109/83.506761.
    """
    one, other = spectrum(fixed, size), spectrum(moving, size)
    cross = scipy.fft.fft(one, axis=0) * scipy.fft.fft(other, axis=0).conj()
    likeness = scipy.fft.ifft(cross.sum(axis=1)).real
    found, left = [], likeness.copy()
    for _ in range(count):
        best = int(left.argmax())
        low, mid, high = (likeness[(best + step) % size] for step in (-1, 0, 1))
        bend = low - 2 * mid + high
        part = float(np.clip((low - high) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0
        angle = (best + part) * np.pi / size
        found.append(angle if angle <= np.pi / 2 else angle - np.pi)
        left[(best + np.arange(-size // 60, size // 60 + 1)) % size] = -np.inf
    return found
