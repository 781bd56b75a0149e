"""The total variation of images, and images with less of it.

Of (y, x), or of (y, x, ...) with images side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from zeoarray.backend import xp_of


def gradient(image: Any) -> Any:
    """(y, x, ...) -> (2, y, x, ...). Differences to the next pixel along y and x, 0 at the last."""
    out = xp_of(image).zeros((2, *image.shape), np.float32)
    out[0, :-1] = image[1:] - image[:-1]
    out[1, :, :-1] = image[:, 1:] - image[:, :-1]
    return out


def divergence(field: Any) -> Any:
    """(2, y, x, ...) -> (y, x, ...). Minus the adjoint of `gradient`."""
    out = xp_of(field).zeros(field.shape[1:], np.float32)
    out[:-1] += field[0, :-1]
    out[1:] -= field[0, :-1]
    out[:, :-1] += field[1, :, :-1]
    out[:, 1:] -= field[1, :, :-1]
    return out


def variation(image: Any) -> float:
    """Sum over the pixels of the length of the gradient."""
    xp, steps = xp_of(image), gradient(image)
    return float(xp.sum(xp.hypot(steps[0], steps[1]), dtype=np.float64))


def smoothed(
    image: Any, strength: float, dual: Any, count: int, within: Callable[[Any], Any]
) -> tuple[Any, Any]:
    """Nearly the x that minimises sum (x - image)^2 / 2 + strength * TV(x), and its dual.

    By a gradient for each pixel (A. Beck, M. Teboulle, IEEE Trans. Image Process. 18 (2009) 2419,
    doi:10.1109/TIP.2009.2028250).

    Parameters
    ----------
    image
        (y, x, ...).
    strength
        How much edges count; above 0.
    dual
        (2, y, x, ...). Where to begin: zeros, or what came of an image like this one.
    count
        Iterations.
    within
        Puts an image into the set that x must be of, and gives it back.

    Examples
    --------
    >>> step = np.repeat([[0.0, 1.0]], 4, axis=0)
    >>> out, dual = smoothed(step, 0.1, np.zeros((2, 4, 2), "f4"), 50, lambda image: image)
    >>> out[0].round(2).tolist()
    [0.1, 0.9]
    """
    xp = xp_of(image)
    strength32, step = np.float32(strength), np.float32(1 / (8 * strength))
    ahead, momentum = dual, 1.0
    for _ in range(count):
        found = gradient(within(image + strength32 * divergence(ahead)))
        found *= step
        found += ahead
        found /= xp.maximum(xp.hypot(found[0], found[1]), np.float32(1))
        after = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = found + np.float32((momentum - 1) / after) * (found - dual)
        dual, momentum = found, after
    return within(image + strength32 * divergence(dual)), dual
