"""Mean patterns of a scan, of voxels that see parallax alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.interpolate import CubicSpline

from zeoarray.errors import ArgumentError
from zeoarray.xrdct import model, samples

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Means:
    """Mean patterns of a sample of the scan, of voxels as far off the axis as each other."""

    mean: Array
    """(ring, q)"""
    sigma: Array
    """(ring, q) Error of the bins, to a common factor."""
    share: Array
    """(ring) How many of the patterns are in each."""
    spread: Array
    """(ring) Relative shift of lines at the ends of the circle, 0 where it is not modelled."""


def means_of(
    ds: xr.Dataset, chosen: slice, patterns: int, parallax: xr.Dataset | None, by: str
) -> Means:
    """Read a sample of the scan's patterns."""
    intensity, _ = model.intensities(ds, by)
    at = samples.spread_evenly(intensity, patterns)
    sample = intensity.isel(at).isel(q=chosen).compute(scheduler="synchronous")
    values = np.asarray(sample.values, float).reshape(-1, sample.sizes["q"])
    spread: Array = np.zeros(len(values))
    if parallax is not None:
        everywhere = model.spread_of(intensity, parallax, by)
        spread = everywhere.isel(y=at["y"], x=at["x"]).values
    fine = np.isfinite(values).all(axis=1)
    values, spread = values[fine], spread[fine]
    if not len(values):
        raise ArgumentError(
            f"{by}: no pattern of the sample is finite",
            got=f"{fine.size} patterns",
            do="a q_range= that the detector covers, or more patterns=",
        )
    ring = (spread / model.LEVEL).round().astype(int)
    kinds, number, members = np.unique(ring, return_inverse=True, return_counts=True)
    one = np.zeros((kinds.size, len(values)))
    one[number, np.arange(len(values))] = 1 / members[number]
    mean, share = one @ values, members / len(values)
    # Counts: the variance goes with the mean, to a factor that nothing here hangs on.
    least = 1e-3 * np.abs(values.mean(axis=0)).max()
    sigma = np.sqrt(np.maximum(mean, least) / share[:, None])
    return Means(mean, sigma, share, one @ spread)


def around(found: Array, q: Array, spread: Array) -> Iterator[Array]:
    """Patterns as voxels see them that are as far off the axis as each of `spread` says."""
    if not spread.any():
        yield from (found for _ in spread)
        return
    curves = [CubicSpline(q, pattern) for pattern in found]
    yield from (model.around(curves, q, float(amplitude)) for amplitude in spread)
