"""Where patches are cut: on a grid, at random, or at random and apart from each other."""

from __future__ import annotations

import heapq
import math
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from zeoarray.errors import ArgumentError

Array = np.ndarray[Any, Any]

CANDIDATES = 4
"""Random points, for each that is kept, out of which the kept ones are chosen."""
_FALLOFF = 8
"""Power by which a neighbour counts less with its distance (doi:10.1111/cgf.12538)."""


def grid(low: Array, high: Array, stride: Array) -> Array:
    """(n, 3): the points of a grid from `low` on, x fastest; none lies beyond `high`.

    Parameters
    ----------
    low, high
        (3): where the first and the last may be.
    stride
        (3): distance of neighbours; an axis whose low is its high has one.
    """
    counts = np.floor((high - low) / stride + 1e-6).astype(int) + 1
    axes = [a + s * np.arange(n) for a, s, n in zip(low, stride, counts, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def chosen(count: int, weight: Array, rng: np.random.Generator) -> Array:
    """Indices of `count` different points, drawn with probabilities in proportion to `weight`.

    By exponential clocks (doi:10.1016/j.ipl.2005.11.003), so that no draw hangs on another's
    rounding.

    Raises
    ------
    ArgumentError
        Where fewer points have a weight above 0.
    """
    possible = np.flatnonzero(weight > 0)
    if possible.size < count:
        raise ArgumentError(
            "there are fewer places than patches asked for",
            got=f"{possible.size} places, {count} patches",
            do="ask for fewer, or let them overlap more or hold less of the sample",
        )
    clock = rng.exponential(size=possible.size) / weight[possible]
    return np.asarray(np.sort(possible[np.argsort(clock, kind="stable")[:count]]))


def apart(points: Array, count: int, extent: Array) -> Array:
    """Indices of `count` of the points that lie apart from each other: blue noise.

    Points that crowd are left out one after the other (sample elimination, doi:10.1111/cgf.12538).

    Parameters
    ----------
    points
        (n, 3), more than are kept.
    count
        How many are kept.
    extent
        (3): width of the space that they are in; 0 along an axis in which they do not differ.
    """
    if count >= len(points):
        return np.arange(len(points))
    radius = 2 * _spacing(count, extent)
    tree = cKDTree(points)
    pairs = tree.query_pairs(radius, output_type="ndarray")
    distance = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    push = (1 - np.minimum(distance / radius, 1)) ** _FALLOFF
    crowd = np.bincount(pairs.ravel(), np.repeat(push, 2), minlength=len(points))
    both = np.concatenate([pairs, pairs[:, ::-1]])
    order = np.argsort(both[:, 0], kind="stable")
    neighbour, felt = both[order, 1], np.tile(push, 2)[order]
    start = np.searchsorted(both[order, 0], np.arange(len(points) + 1))
    heap = [(-c, i) for i, c in enumerate(crowd.tolist())]
    heapq.heapify(heap)
    kept = np.ones(len(points), dtype=bool)
    left = len(points)
    while left > count:
        value, i = heapq.heappop(heap)
        if not kept[i] or -value != crowd[i]:
            continue  # out already, or less crowded since: its newer entry follows
        kept[i] = False
        left -= 1
        for k in range(start[i], start[i + 1]):
            j = int(neighbour[k])
            if kept[j]:
                crowd[j] -= felt[k]
                heapq.heappush(heap, (-float(crowd[j]), j))
    return np.flatnonzero(kept)


def _spacing(count: int, extent: Array) -> float:
    """Distance of points packed as closely as they can be, over two (doi:10.1111/cgf.12538)."""
    wide = extent[extent > 0]
    measure = float(np.prod(wide))
    if wide.size == 3:
        return float((measure / (4 * math.sqrt(2) * count)) ** (1 / 3))
    if wide.size == 2:
        return math.sqrt(measure / (2 * math.sqrt(3) * count))
    return measure / (2 * count) if wide.size else 1.0
