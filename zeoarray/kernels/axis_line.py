"""A line through the axis found in a few rows, that a wrong row hardly moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

HUBER = 1.5
"""Residuals of more standard deviations than this count less, as 1 / residual."""
FAR = 4.0
"""And beyond this many not at all."""
LEAST = 0.05
"""No row is believed to be known better than this [pixels]."""
UNKNOWN = 10.0
"""Standard deviation of a row about which nothing is known [pixels]."""


class AxisWarning(UserWarning):
    """The rotation axis may not be where `find_center` says."""


@dataclass(frozen=True)
class Line:
    """center(z) = offset + slope * (z - middle), with its covariance."""

    middle: float
    """Where the line is pivoted [um]."""
    offset: float
    """[pixels]."""
    slope: float
    """[pixels/um]."""
    covariance: Array
    """(2, 2) of offset and slope."""
    used: Array
    """(row,) Which rows counted."""

    @property
    def slope_sigma(self) -> float:
        """Standard deviation of the slope [pixels/um]; 0 for a line that has none."""
        return float(np.sqrt(max(self.covariance[1, 1], 0.0)))

    def at(self, place: Array) -> Array:
        """Index of u at heights [um]."""
        out: Array = self.offset + self.slope * (place - self.middle)
        return out

    def sigma_at(self, place: Array) -> Array:
        """Standard deviation of it."""
        away, c = place - self.middle, self.covariance
        out: Array = np.sqrt(np.maximum(c[0, 0] + 2 * away * c[0, 1] + away**2 * c[1, 1], 0))
        return out


def fit(place: Array, center: Array, sigma: Array, good: Array) -> Line:
    """Fit the line; with fewer than three good rows it has no slope.

    Parameters
    ----------
    place
        Heights [um].
    center, sigma
        The axis there and its standard deviation [pixels].
    good
        Rows without a flag: the others do not count while one is good.
    """
    known = np.where(np.isfinite(sigma), np.clip(sigma, LEAST, UNKNOWN), UNKNOWN)
    allowed = good if good.any() else np.ones(place.size, bool)
    tilted = int(np.count_nonzero(allowed)) >= 3 and bool(np.ptp(place[allowed]) > 0)
    middle = float(place[allowed].mean())
    x = (place - middle) / (float(np.ptp(place[allowed])) if tilted else 1.0)
    columns = np.stack([np.ones(place.size), x], axis=1)[:, : 1 + tilted]
    offset, slope = _median_line(x[allowed], center[allowed], tilted)
    at = np.array([offset, slope][: 1 + tilted])
    share = allowed.astype(float)
    for _ in range(20):
        away = np.abs(center - columns @ at)
        # Where rows scatter by more than they say, that is what they are known to.
        spread = float(np.median(away[allowed])) / 0.67 if allowed.sum() > 3 else 0.0
        scaled = away / np.maximum(known, spread)
        share = np.where(
            allowed & (scaled < FAR), np.minimum(1, HUBER / np.maximum(scaled, 1e-9)), 0
        )
        if np.count_nonzero(share) <= columns.shape[1]:
            share = allowed.astype(float)
        weight = share / known**2
        inverse = np.linalg.inv(columns.T @ (weight[:, None] * columns))
        at = inverse @ (columns.T @ (weight * center))
    residual = center - columns @ at
    freedom = np.count_nonzero(share) - columns.shape[1]
    excess = float((weight * residual**2).sum()) / freedom if freedom > 0 else 1.0
    covariance = np.zeros((2, 2))
    covariance[: 1 + tilted, : 1 + tilted] = inverse * max(excess, 1.0)
    scale = np.diag([1.0, 1 / float(np.ptp(place[allowed])) if tilted else 1.0])
    slope = float(at[1]) * scale[1, 1] if tilted else 0.0
    return Line(middle, float(at[0]), slope, scale @ covariance @ scale, share > 0)


def _median_line(x: Array, center: Array, tilted: bool) -> tuple[float, float]:
    """The line by medians of Theil and Sen, which a quarter of wrong rows does not move far."""
    slope = 0.0
    if tilted:
        i, j = np.triu_indices(x.size, 1)
        apart = x[j] - x[i] != 0
        slope = float(np.median((center[j] - center[i])[apart] / (x[j] - x[i])[apart]))
    return float(np.median(center - slope * x)), slope
