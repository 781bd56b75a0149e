"""Patches turned, mirrored and made noisier: the same for all sources of one patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Turn:
    """One of the sixteen ways in which a tomogram may lie that keep its axis upright."""

    quarters: int
    """Quarter turns about z, from y to x."""
    mirrored: bool
    """x mirrored, after that."""
    upturned: bool
    """z mirrored."""

    def __call__(self, patch: Array) -> Array:
        """(..., z, y, x) -> (..., z, y, x), a view."""
        out = np.rot90(patch, self.quarters, axes=(-2, -1))
        out = out[..., ::-1] if self.mirrored else out
        return out[..., ::-1, :, :] if self.upturned else out


def drawn(rng: np.random.Generator, *, square: bool) -> Turn:
    """A turn at random; only half turns where patches are not square."""
    quarters = int(rng.integers(4)) if square else 2 * int(rng.integers(2))
    return Turn(quarters, bool(rng.integers(2)), bool(rng.integers(2)))


def noisier(patch: Array, sigma: Array, share: float, rng: np.random.Generator) -> Array:
    """Add Gaussian noise of `share` times the measured noise.

    Parameters
    ----------
    patch
        (channel, z, y, x).
    sigma
        (channel): measured standard deviation of the noise.
    share
        How much of it is added; 1 doubles the variance.
    """
    noise = rng.standard_normal(patch.shape, dtype=np.float32)
    return np.asarray(patch + share * sigma.reshape(-1, 1, 1, 1).astype(np.float32) * noise)
