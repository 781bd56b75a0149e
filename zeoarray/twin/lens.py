"""The lens distortion of a camera, in the backward model of Vo et al.

A pixel at radius ``r`` of the corrected image is found in the raw image at ``r P(r)`` from the same
centre, with ``P(r) = k0 + k1 r + k2 r^2 + ...`` (Vo et al., Opt. Express 23 (2015) 32859,
doi:10.1364/OE.23.032859). Correcting needs P alone; making a raw image needs its inverse.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.errors import ArgumentError

Array = np.ndarray[Any, Any]


def undistorted_radius(raw: Array, coefficients: tuple[float, ...]) -> Array:
    """Radius in the corrected image of what the raw image has at radius `raw`, both in pixels.

    Solves ``r P(r) = raw`` by Newton's method.

    Raises
    ------
    ArgumentError
        Where the polynomial folds the image, so that there is no one answer.
    """
    polynomial = np.polynomial.Polynomial((0.0, *coefficients))
    slope = polynomial.deriv()
    radius = np.array(raw, float)
    reach = np.linspace(0, 1.1 * float(radius.max(initial=1.0)), 200)
    if (slope(reach) <= 0).any():
        raise ArgumentError(
            "the distortion polynomial folds the image",
            got=coefficients,
            expected="r P(r) that increases over the whole detector",
        )
    for _ in range(50):
        change = (polynomial(radius) - raw) / slope(radius)
        radius -= change
        if np.abs(change).max(initial=0.0) < 1e-10:
            break
    return radius


def undistort(
    column: Array, row: Array, centre: tuple[float, float], coefficients: tuple[float, ...]
) -> tuple[Array, Array]:
    """Corrected (column, row) of raw positions, all in pixels.

    Examples
    --------
    >>> c, r = undistort(np.array([101.0]), np.array([0.0]), (1.0, 0.0), (1.0, 1e-4))
    >>> bool(np.isclose((c[0] - 1) * (1 + 1e-4 * (c[0] - 1)), 100))
    True
    """
    across, down = column - centre[0], row - centre[1]
    raw = np.hypot(across, down)
    if coefficients == (1.0,):
        return np.broadcast_arrays(column, row)  # type: ignore[return-value]
    scale = np.where(raw > 0, undistorted_radius(raw, coefficients) / np.where(raw > 0, raw, 1), 1)
    return centre[0] + across * scale, centre[1] + down * scale
