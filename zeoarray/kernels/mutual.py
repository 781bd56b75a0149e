"""Mutual information of two volumes that show one sample in different ways.

What one volume says of the other is the joint histogram of their values. Its logarithm, as the
likelihood of a voxel of the fixed volume given that of the moving one, is what a registration
raises; its slope in the moving value drives the voxels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage

Array = np.ndarray[Any, Any]

BINS = 48
"""Of each volume's values."""
BLUR = 1.5
"""Bins that the histogram is smoothed by (a Gaussian's standard deviation)."""
TAIL = 0.5
"""Percent of the values at either end that share the outermost bin."""
FLOOR = 1e-3
"""Share of voxels that are spread evenly over all pairs of bins: none is impossible."""


class Likeness(NamedTuple):
    """The joint histogram of two volumes, and what follows from it."""

    low: tuple[float, float]
    width: tuple[float, float]
    """Lower end of the first bin, and width of all, of fixed and moving values."""
    slope: Array
    """(fixed, moving): derivative of log p(fixed | moving) by the moving value."""
    information: float
    """Mean square of the slope."""
    mean: Array
    """(moving): mean of the fixed value, given the moving one."""
    mutual: float
    """Mutual information [nat]."""

    def slopes(self, fixed: Array, moving: Array) -> Array:
        """Slope of the likelihood at each voxel."""
        at = [
            np.clip((v - low) / width - 0.5, 0, BINS - 1)
            for v, low, width in zip((fixed, moving), self.low, self.width, strict=True)
        ]
        return np.asarray(scipy.ndimage.map_coordinates(self.slope, at, order=1, mode="nearest"))

    def as_fixed(self, moving: Array) -> Array:
        """The moving volume in the grey values of the fixed one."""
        centres = self.low[1] + self.width[1] * (np.arange(BINS) + 0.5)
        return np.asarray(np.interp(moving, centres, self.mean))


def likeness(pairs: Iterable[tuple[Array, Array, Array]]) -> Likeness | None:
    """Likeness of two volumes from their blocks; None where a volume has one value only.

    Parameters
    ----------
    pairs
        (fixed, moving, weight) of each block; where the weight is 0, values may be NaN.

    References
    ----------
    P. Viola, W. M. Wells III, "Alignment by maximization of mutual information", Int. J. Comput.
    Vis. 24, 137 (1997), doi:10.1023/A:1007958904918.
    """
    kept = [(f[w > 0], m[w > 0], w[w > 0]) for f, m, w in pairs]
    if not sum(w.size for _, _, w in kept):
        return None
    fixed, moving, weight = (np.concatenate(part) for part in zip(*kept, strict=True))
    low, width = [], []
    for values in (fixed, moving):
        ends = np.percentile(values, [TAIL, 100 - TAIL])
        if not ends[1] > ends[0]:
            return None
        low.append(float(ends[0]))
        width.append(float(ends[1] - ends[0]) / BINS)
    at = [
        np.clip((v - lo) / wide, 0, BINS - 1).astype(int)
        for v, lo, wide in zip((fixed, moving), low, width, strict=True)
    ]
    joint = np.bincount(at[0] * BINS + at[1], weight, BINS * BINS).reshape(BINS, BINS)
    joint = scipy.ndimage.gaussian_filter(joint, BLUR, mode="nearest")
    joint = (1 - FLOOR) * joint / joint.sum() + FLOOR / BINS**2
    of_fixed, of_moving = joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
    mutual = float((joint * np.log(joint / (of_fixed * of_moving))).sum())
    slope = np.gradient(np.log(joint / of_moving), width[1], axis=1)
    centres = low[0] + width[0] * (np.arange(BINS) + 0.5)
    return Likeness(
        (low[0], low[1]), (width[0], width[1]), slope, float((joint * slope**2).sum()),
        (joint * centres[:, None]).sum(axis=0) / of_moving[0], mutual,
    )  # fmt: skip
