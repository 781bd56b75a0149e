"""Whether phases share voxels because they are mixed, or because the beam is wide."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

Array = np.ndarray[Any, Any]

FINE = 4
"""Parts of a voxel's side in which a sharp map is drawn, before it is blurred."""
FWHM = float(np.sqrt(8 * np.log(2)))


def minority(weight: Array) -> Array:
    """(phase, ...) -> (...). Share of all phases but the greatest.

    Examples
    --------
    >>> minority(np.array([3.0, 1.0])).tolist()
    0.25
    """
    positive = np.maximum(weight, 0)
    total = positive.sum(axis=0)
    most = positive.max(axis=0)
    share: Array = np.divide(total - most, total, out=np.zeros_like(total), where=total > 0)
    return share


def isolated(weight: Array, blur_px: float) -> Array:
    """(phase, y, x) -> (phase, y, x). What the map would be if phases were isolated.

    Each voxel is given to its greatest phase, and the beam's profile, a Gaussian of full width
    `blur_px`, is laid over it. Edges are drawn finer than voxels, where the phases interpolated
    between them are equal.

    Parameters
    ----------
    weight
        Weights of phases.
    blur_px
        Full width at half maximum of the beam [voxels].
    """
    fine = np.stack([_finer(w) for w in np.maximum(weight, 0)])
    total = fine.sum(axis=0)
    owner = fine.argmax(axis=0)
    out = np.empty(weight.shape)
    for i in range(len(weight)):
        sharp = np.where(owner == i, total, 0.0)
        wide = gaussian_filter(sharp, FINE * blur_px / FWHM, mode="constant")
        y, x = weight.shape[1:]
        out[i] = wide.reshape(y, FINE, x, FINE).mean(axis=(1, 3))
    return out


def _finer(image: Array) -> Array:
    """Linear interpolation at the centres of parts of voxels."""
    for axis in (0, 1):
        size = image.shape[axis]
        place = np.clip((np.arange(size * FINE) + 0.5) / FINE - 0.5, 0, size - 1)
        low = np.minimum(place.astype(int), max(size - 2, 0))
        part = np.expand_dims(place - low, 1 - axis)
        high = np.minimum(low + 1, size - 1)
        image = (1 - part) * image.take(low, axis) + part * image.take(high, axis)
    return image


def drawn(covariance: Array, draws: int, rng: np.random.Generator) -> Array:
    """(phase, other, ...) -> (draw, phase, ...). Errors with this covariance; 0 where unknown."""
    phases = len(covariance)
    matrices = np.moveaxis(covariance.reshape(phases, phases, -1), -1, 0)
    matrices = np.where(np.isfinite(matrices), matrices, 0.0)
    value, vector = np.linalg.eigh((matrices + matrices.transpose(0, 2, 1)) / 2)
    root = vector * np.sqrt(np.maximum(value, 0))[:, None, :]
    normal = rng.standard_normal((draws, len(root), phases))
    errors = np.einsum("vpk,dvk->dpv", root, normal)
    out: Array = errors.reshape(draws, phases, *covariance.shape[2:])
    return out


def shares(
    weight: Array, covariance: Array, *, blur_px: float, pure: float, least: float, draws: int,
    rng: np.random.Generator,
) -> tuple[float, float, float, float, int]:  # fmt: skip
    """Share of mixed voxels, and of those that blur and noise make of isolated phases.

    Parameters
    ----------
    weight, covariance
        (phase, y, x), (phase, other, y, x) of one layer.
    blur_px
        Full width of the beam [voxels].
    pure
        A voxel is mixed where the lesser phases have more than this share.
    least
        Voxels with a smaller sum of weights hold no matter.
    draws
        Of the noise.
    rng
        Where they come from.

    Returns
    -------
    tuple
        Share and its error, the same of isolated phases, number of voxels.
    """
    known = np.isfinite(weight).all(axis=0)
    values = np.where(known, weight, 0.0)
    matter = known & (values.sum(axis=0) > least)
    count = int(matter.sum())
    if not count:
        return np.nan, np.nan, np.nan, np.nan, 0
    model = isolated(values, blur_px)
    noise = drawn(covariance, draws, rng)
    measured = float((minority(values)[matter] > pure).mean())
    again = np.array([(minority(values + e)[matter] > pure).mean() for e in noise])
    null = np.array([(minority(model + e)[matter] > pure).mean() for e in noise])
    return measured, float(again.std(ddof=1)), float(null.mean()), float(null.std(ddof=1)), count
