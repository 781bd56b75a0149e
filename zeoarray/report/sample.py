"""Reading a part of what may be larger than memory: planes, strides, sums by blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import xarray as xr

HELD = 1 << 26
"""What is held of one array at a time [bytes]."""
MOST_READ = 1 << 30
"""What is read of one array for one picture [bytes]: the rest is skipped evenly."""
SIDE = 1024
"""Pixels along a side of a picture, at most: what is beyond is skipped evenly while reading."""


def plane(array: xr.DataArray, *, side: int = SIDE) -> xr.DataArray:
    """Read a plane, of which every n-th row and column where it is large.

    Neighbours are averaged as long as the whole fits into `HELD`; only beyond that are pixels
    skipped, so that fine grain does not turn into patterns.

    Parameters
    ----------
    array
        Two dims, not read yet.
    side
        Pixels along a side of what is given back, at most.
    """
    steps = {d: math.ceil(n / side) for d, n in array.sizes.items()}
    skipped = array.size * 4 > HELD
    if skipped:
        array = array.isel({d: slice(None, None, s) for d, s in steps.items()})
    read = array.compute().astype(np.float32, keep_attrs=True)
    if skipped or max(steps.values()) == 1:
        return read
    with_mean = read.coarsen({d: s for d, s in steps.items() if s > 1}, boundary="trim")
    return with_mean.mean(keep_attrs=True)


def strides(array: xr.DataArray, dims: tuple[str, ...], most: int = HELD) -> dict[str, slice]:
    """How to skip along `dims`, evenly and each as much, until at most `most` bytes are left."""
    steps = dict.fromkeys(dims, 1)
    left = array.size * array.dtype.itemsize
    rest = left // max(math.prod(array.sizes[d] for d in dims), 1)
    while left > most and any(steps[d] < array.sizes[d] for d in dims):
        factor = max((left / most) ** (1 / len(dims)), 1.01)
        steps = {d: min(math.ceil(s * factor), array.sizes[d]) for d, s in steps.items()}
        left = rest * math.prod(math.ceil(array.sizes[d] / s) for d, s in steps.items())
    return {d: slice(None, None, step) for d, step in steps.items()}


def thin(array: xr.DataArray, dims: tuple[str, ...], most: int = HELD) -> xr.DataArray:
    """Skip along `dims` as `strides` says; nothing is read."""
    return array.isel(strides(array, dims, most))


def middle(array: xr.DataArray, dim: str) -> int:
    """Index of the middle of a dim."""
    return array.sizes[dim] // 2


def blocks(array: xr.DataArray, dim: str) -> Iterator[xr.DataArray]:
    """Read an array piece by piece along one dim, each piece of at most `HELD` bytes."""
    one = max(array.size * array.dtype.itemsize // max(array.sizes[dim], 1), 1)
    step = max(HELD // one, 1)
    for first in range(0, array.sizes[dim], step):
        yield array.isel({dim: slice(first, first + step)}).compute()
