"""Whether any voxel, with all that it came from, is in two splits; and what a set is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.kernels import boxes
from zeoarray.labelled import known
from zeoarray.patches import windows

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Leak:
    """Patches of two splits that share a part of space."""

    splits: tuple[str, str]
    sources: tuple[str, str]
    patches: int
    """Patches of the second split that overlap one of the first."""
    example: tuple[int, int]
    """Index along `patch` of the two that overlap most deeply."""
    overlap: tuple[float, float, float]
    """How far those overlap along (z, y, x) [um]."""

    def __str__(self) -> str:
        wide = " x ".join(f"{o:.4g}" for o in self.overlap)
        return (
            f"{self.patches} patches of {self.splits[1]!r} in {self.sources[1]} share space with "
            f"{self.splits[0]!r} in {self.sources[0]}; patch {self.example[1]} overlaps patch "
            f"{self.example[0]} by {wide} um"
        )


@dataclass(frozen=True)
class Check:
    """What was looked at, and what was found."""

    patches: Mapping[str, int]
    """How many are in each split."""
    pairs: int
    """Pairs of sources and splits that were compared."""
    lost: float
    """Share of the places that the buffer between splits cost."""
    buffer: tuple[float, float, float]
    """Width of that buffer along (z, y, x) [um]."""
    leaks: tuple[Leak, ...]


def check(sources: Mapping[str, xr.Dataset]) -> Check:
    """Look whether any two splits of a set share a part of space, over all its sources.

    Each patch is taken with its support: all of space that its values came from. Boxes that only
    touch do not leak.

    Parameters
    ----------
    sources
        The nodes of one set: patches by the name of their source, or their places.

    Returns
    -------
    Check
        ``leaks`` is empty where none was found. That is a proof for the supports as they are
        recorded; what no split removes (noise that projections share) is not seen by it.
    """
    found: list[Leak] = []
    pairs = 0
    split_of = {n: windows.splits(ds) for n, ds in sources.items()}
    names = sorted({str(s) for split in split_of.values() for s in split})
    for first, second in combinations(names, 2):
        for a, b in _pairs(list(sources)):
            pairs += 1
            one = np.flatnonzero(split_of[a] == first)
            other = np.flatnonzero(split_of[b] == second)
            half = _half(sources[a]) + _half(sources[b])
            count, leak = boxes.leaks(_centres(sources[a])[one], _centres(sources[b])[other], half)
            if leak is not None:
                pair = int(one[leak.one]), int(other[leak.other])
                found.append(Leak((first, second), (a, b), count, pair, leak.overlap))
    some = next(iter(sources.values()))
    counts = dict(zip(*np.unique(next(iter(split_of.values())), return_counts=True), strict=True))
    wide = 2 * np.array([float(some[v.name]) for v in schema.SUPPORTS])
    lost = max((float(ds["lost"]) for ds in sources.values() if "lost" in ds), default=float("nan"))
    return Check(
        {str(k): int(v) for k, v in counts.items()}, pairs, lost,
        (float(wide[0]), float(wide[1]), float(wide[2])), tuple(found),
    )  # fmt: skip


def _pairs(names: list[str]) -> list[tuple[str, str]]:
    return [(a, b) for a in names for b in names]


def _half(ds: xr.Dataset) -> Array:
    size = np.array([float(ds[v.name]) for v in schema.SIZES])
    support = np.array([float(ds[v.name]) for v in schema.SUPPORTS])
    return np.asarray(size / 2 + support)


def _centres(ds: xr.Dataset) -> Array:
    return np.stack([known(ds[v.name]).astype(float) for v in schema.CENTRES], 1)
