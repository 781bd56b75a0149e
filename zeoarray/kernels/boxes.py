"""Boxes in space: parts of it given to splits, and a proof that no two splits share any of it.

A patch's *support* is all of space that its values came from: the box that it covers, grown by
the interpolation, the point-spread function and three standard deviations of the registration. It
belongs to a split only where its whole support does. Patches cut at random instead score too well
by what neighbours have in common (doi:10.1111/ecog.02881).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.spatial import cKDTree

from zeoarray.errors import ArgumentError

Array = np.ndarray[Any, Any]
Parts = Literal["slabs", "octants", "blocks"]

AXES = ("z", "y", "x")
NONE = -1
"""Number of the split of a box that lies in two."""
_TOUCH = 1e-9
"""Boxes that share less than this part of their width only touch: rounding."""


@dataclass(frozen=True)
class Division:
    """Space cut into cells, each given to a split."""

    edges: tuple[Array, Array, Array]
    """Inner edges of the cells along (z, y, x) [um], ascending; none along an axis not cut."""
    owner: Array
    """(z, y, x): number of the split that each cell belongs to."""

    def cell_of(self, centre: Array) -> Array:
        """(n, 3) [um] -> (n): number of the cell that each point lies in."""
        index = [np.searchsorted(e, c, side="right") for e, c in _by_axis(self, centre)]
        return np.asarray(np.ravel_multi_index(tuple(index), self.owner.shape))

    def split_of(self, low: Array, high: Array) -> Array:
        """(n, 3), (n, 3) [um] -> (n): the split that holds the whole box; `NONE` where none does.

        A box may reach over cells of one split.
        """
        first = [np.searchsorted(e, c + _slack(e), side="right") for e, c in _by_axis(self, low)]
        last = [np.searchsorted(e, c - _slack(e), side="left") for e, c in _by_axis(self, high)]
        spans = np.stack([*first, *(np.maximum(a, b) for a, b in zip(first, last, strict=True))], 1)
        kinds, place = np.unique(spans, axis=0, return_inverse=True)
        found = np.empty(len(kinds), dtype=np.int64)
        for i, span in enumerate(kinds):
            cells = self.owner[
                tuple(slice(a, b + 1) for a, b in zip(span[:3], span[3:], strict=True))
            ]
            found[i] = cells.flat[0] if (cells == cells.flat[0]).all() else NONE
        return found[place.reshape(-1)]


def _by_axis(division: Division, points: Array) -> list[tuple[Array, Array]]:
    return list(zip(division.edges, points.T, strict=True))


def _slack(edges: Array) -> float:
    """A box that ends on an edge does not reach beyond it, whatever the rounding."""
    return 1e-9 * float(np.abs(edges).max()) if edges.size else 0.0


def divide(
    centre: Array,
    shares: Sequence[float],
    *,
    parts: Parts,
    along: int = 0,
    blocks: int = 4,
    seed: int = 0,
) -> Division:
    """Cut space into cells of equally many points, and give the cells to splits.

    Parameters
    ----------
    centre
        (n, 3): points (z, y, x) [um] that the splits shall share out: centres of patches.
    shares
        Share of each split; they add up to 1.
    parts
        "slabs": one slab a split, in the order of the splits, along one axis: the fewest
        neighbours. "octants": eight, dealt out at random. "blocks": `blocks` along each axis in
        which points differ, dealt out at random.
    along
        Axis of slabs: 0 is z.
    blocks
        Cells along each axis, for "blocks".
    seed
        Of the dealing.

    Raises
    ------
    ArgumentError
        Where there are fewer cells than splits.
    """
    axes: list[Array] = [np.empty(0)] * 3
    if parts == "slabs":
        axes[along] = _quantiles(centre[:, along], np.cumsum(shares)[:-1])
        owner = np.arange(len(shares)).reshape([-1 if a == along else 1 for a in range(3)])
        if axes[along].size < len(shares) - 1:
            raise _too_few(axes[along].size + 1, shares, parts)
        return Division((axes[0], axes[1], axes[2]), owner)
    count = 2 if parts == "octants" else blocks
    axes = [_quantiles(c, np.arange(1, count) / count) for c in centre.T]
    shape = tuple(e.size + 1 for e in axes)
    numbers = _dealt(math.prod(shape), shares, parts)
    order = np.random.default_rng(seed).permutation(numbers.size)
    return Division((axes[0], axes[1], axes[2]), numbers[order].reshape(shape))


def fold(centre: Array, *, folds: int, chosen: int, blocks: int = 4, seed: int = 0) -> Division:
    """Cut space into blocks dealt to `folds`: the chosen one is 2, the one after it 1, others 0.

    With 0 the training, 1 the validation and 2 the test split, each fold is tested once.
    """
    if folds < 3:
        raise ArgumentError(
            "training, validation and test need a fold each", got=f"{folds} folds", expected=">= 3"
        )
    if not 0 <= chosen < folds:
        raise ArgumentError("there is no such fold", got=chosen, expected=f"0 to {folds - 1}")
    division = divide(centre, [1 / folds] * folds, parts="blocks", blocks=blocks, seed=seed)
    turned = (division.owner - chosen) % folds
    return Division(division.edges, np.where(turned == 0, 2, np.where(turned == 1, 1, 0)))


def _quantiles(values: Array, shares: Array) -> Array:
    """Inner edges that cut the values so; between two of them, and none twice."""
    ordered = np.unique(values)
    if ordered.size < 2:
        return np.empty(0)
    # Half-way between two positions: no centre lies on an edge.
    at = np.searchsorted(ordered, np.quantile(values, shares, method="lower"), side="right")
    at = np.unique(np.clip(at, 1, ordered.size - 1))
    return np.asarray((ordered[at - 1] + ordered[at]) / 2)


def _dealt(cells: int, shares: Sequence[float], parts: str) -> Array:
    """So many cells for each split, at least one, by largest remainders."""
    if cells < len(shares):
        raise _too_few(cells, shares, parts)
    ideal = np.asarray(shares) * cells
    counts = np.maximum(np.floor(ideal), 1).astype(int)
    while counts.sum() != cells:
        step = 1 if counts.sum() < cells else -1
        room = np.where((counts > 1) | (step > 0), (ideal - counts) * step, -np.inf)
        counts[int(np.argmax(room))] += step
    return np.repeat(np.arange(len(shares)), counts)


def _too_few(cells: int, shares: Sequence[float], parts: str) -> ArgumentError:
    return ArgumentError(
        "there are fewer parts of space than splits",
        got=f"{cells} {parts}, {len(shares)} splits",
        do="choose more blocks, a smaller patch, or slabs along an axis with more positions",
    )


@dataclass(frozen=True)
class Leak:
    """Two patches of different splits that share a part of space."""

    one: int
    other: int
    """Index of each in its own list."""
    overlap: tuple[float, float, float]
    """How far they overlap along (z, y, x) [um]."""


def leaks(one: Array, other: Array, half: Array) -> tuple[int, Leak | None]:
    """How many boxes of one list overlap any of another, and the pair that overlaps most deeply.

    Parameters
    ----------
    one, other
        (n, 3), (m, 3): centres (z, y, x) [um].
    half
        (3): half the width of a box of `one` and half that of `other`, added [um]; above 0.

    Returns
    -------
    int
        Boxes of `other` that overlap a box of `one`. Boxes that only touch do not.
    Leak or None
        An example.
    """
    if not len(one) or not len(other):
        return 0, None
    # In units of the sum of half widths two boxes overlap where the greatest difference is below 1.
    tree = cKDTree(one / half)
    distance, nearest = tree.query(other / half, p=np.inf)
    bad = np.flatnonzero(distance < 1 - _TOUCH)
    if not bad.size:
        return 0, None
    worst = int(bad[np.argmin(distance[bad])])
    found = int(nearest[worst])
    shared = half - np.abs(one[found] - other[worst])
    return int(bad.size), Leak(found, worst, (float(shared[0]), float(shared[1]), float(shared[2])))


def shares_of(splits: Mapping[str, float]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Names and shares of splits, checked.

    Raises
    ------
    ArgumentError
        For shares that are not above 0, or do not add up to 1.
    """
    names, shares = tuple(splits), tuple(float(v) for v in splits.values())
    if not names or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ArgumentError(
            "the shares of the splits must be above 0 and add up to 1",
            got=", ".join(f"{n}: {s:g}" for n, s in splits.items()) or "none",
            expected="for example train: 0.8, validation: 0.1, test: 0.1",
        )
    return names, shares
