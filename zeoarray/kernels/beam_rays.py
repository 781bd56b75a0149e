"""Rays as wide as the beam: what a Gaussian beam sees of square pixels.

A ray of Joseph's (`projector`) is a line through a slice that is linear between the middles of its
pixels. Where the beam is as wide as a pixel, which is how diffraction tomograms are taken, that is
another blur than the beam's, and what an iteration makes of it is noise that no counting explains.
Here a ray is the mean over the beam's profile of the lengths of its lines in each square pixel.
Conventions are those of `radon`; lengths are in pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from zeoarray.errors import ArgumentError
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.slices import Size, centers_of, image_shape

Array = np.ndarray[Any, Any]

FWHM = float(np.sqrt(8 * np.log(2)))
"""Full width at half maximum of a Gaussian, over its standard deviation."""
REACH = 6.0
"""A Gaussian ends after so many standard deviations."""
STEEP = 1e-6
"""A ray whose direction is nearer to an axis than this is along it."""


def sigma_of(beam: float) -> float:
    """Return the standard deviation of a beam from its full width at half maximum.

    Raises
    ------
    ArgumentError
        For a width that is none.
    """
    if not 0 < beam < np.inf:
        raise ArgumentError(
            "a beam has a width",
            got=f"beam={beam}",
            expected="its full width at half maximum, above 0; None for rays without width",
        )
    return beam / FWHM


def matrix(angle_rad: Any, *, size: Size, width: int, center: float, beam: float) -> Array:
    """(angle) -> (angle x u, y x x). What each ray sees of each pixel, as `projector.matrix`.

    The shadow of a square pixel is a trapezoid; it is convolved with the beam in closed form.

    Parameters
    ----------
    angle_rad
        Angle of each projection [rad].
    size
        Pixels of y and x (one number, or both); as many as `width` where None.
    width
        Columns of u.
    center
        Index of u where the rotation axis is.
    beam
        Full width at half maximum of the beam along u [pixels].

    Raises
    ------
    ArgumentError
        Where an angle is not finite, the axis is outside the detector, or the beam has no width.

    Examples
    --------
    >>> operator = matrix(np.zeros(1), size=3, width=5, center=2.0, beam=0.1)
    >>> operator.reshape(5, 3, 3).sum(axis=1).round(3)[1:4]
    array([[3., 0., 0.],
           [0., 3., 0.],
           [0., 0., 3.]], dtype=float32)
    """
    angle, shape = check_angles(angle_rad, np.size(angle_rad)), image_shape(size, width)
    axis, sigma = float(centers_of(center, (), width)[0]), sigma_of(beam)
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    pixels = np.arange(shape[0] * shape[1])
    reach = int(np.ceil(np.sqrt(0.5) + REACH * sigma))
    out = np.zeros((angle.size, width, pixels.size), np.float32)
    for lines, cos, sin in zip(out, np.cos(angle), np.sin(angle), strict=True):
        place = (axis + x * cos + y[:, None] * sin).ravel()
        first = np.floor(place).astype(np.intp)
        for column in range(-reach, reach + 2):
            u = first + column
            there = (u >= 0) & (u < width)
            lines[u[there], pixels[there]] = _shadow((u - place)[there], cos, sin, sigma)
    return out.reshape(angle.size * width, -1)


def _shadow(away: Array, cos: float, sin: float, sigma: float) -> Array:
    """Length of a unit square's lines at a distance from its middle, averaged over a beam."""
    shorter, longer = sorted((abs(cos), abs(sin)))
    if shorter < STEEP:
        box: Array = ndtr((away + 0.5) / sigma) - ndtr((away - 0.5) / sigma)
        return box
    wide, flat = (longer + shorter) / 2, (longer - shorter) / 2
    ends = _twice(away + wide, sigma) + _twice(away - wide, sigma)
    out: Array = (ends - _twice(away + flat, sigma) - _twice(away - flat, sigma)) / (
        shorter * longer
    )
    return out


def _twice(x: Array, sigma: float) -> Array:
    """A Gaussian integrated twice."""
    z = x / sigma
    out: Array = x * ndtr(z) + sigma / np.sqrt(2 * np.pi) * np.exp(-(z**2) / 2)
    return out


def blur(size: int, beam: float) -> Array:
    """(pixel, pixel). What a Gaussian beam sees at the middle of each of a row of square pixels.

    Parameters
    ----------
    size
        How many pixels.
    beam
        Full width at half maximum [pixels].

    Raises
    ------
    ArgumentError
        Where the beam has no width.

    Examples
    --------
    >>> blur(3, 1.0).round(2)
    array([[0.76, 0.12, 0.  ],
           [0.12, 0.76, 0.12],
           [0.  , 0.12, 0.76]], dtype=float32)
    """
    sigma, place = sigma_of(beam), np.arange(size)
    away = place[:, None] - place
    seen: Array = ndtr((away + 0.5) / sigma) - ndtr((away - 0.5) / sigma)
    return seen.astype(np.float32)
