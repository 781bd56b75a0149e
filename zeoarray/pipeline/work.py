"""What a worker does with one block: read, call the steps, write its shards; and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import volume, xct  # noqa: F401  their verbs are registered
from zeoarray.backend import single_threaded
from zeoarray.ingest import reference
from zeoarray.step import find
from zeoarray.store import encode, ledger, write

HELD_BYTES = 1 << 26
"""A node that is an argument of a step is kept in memory up to this size."""


@dataclass(frozen=True)
class Work:
    """All that a worker needs to know to make any block of a segment; small, and pickled once."""

    store: str
    source: str
    steps: tuple[tuple[str, Mapping[str, Any], Mapping[str, str]], ...]
    """Name, parameters and nodes of each step."""
    dim: str | None
    part: int | None
    """Rows of output that go through the steps at a time; None for the block at once."""
    grain: int
    """Rows of input that become one of output."""
    arrays: tuple[encode.Sharded, ...]
    folder: str

    def placed(self, index: int) -> Iterator[tuple[encode.Sharded, tuple[int, ...]]]:
        """Each array that block `index` writes, and the shard of it."""
        for array in self.arrays:
            if self.dim in array.dims:
                yield array, tuple(index if d == self.dim else 0 for d in array.dims)
            elif index == 0:  # the same in every block: the first one writes it
                yield array, (0,) * len(array.dims)

    def keys(self, index: int) -> set[str]:
        """Files that block `index` writes."""
        return {array.key(place) for array, place in self.placed(index)}


@dataclass(frozen=True)
class Block:
    """One block of a segment."""

    index: int
    outer: slice
    """Rows of input that are read."""
    inner: slice
    """Rows of the result that are written."""


def run_block(work: Work, block: Block) -> list[ledger.Record]:
    """Read one block, call the steps on it, write its shards: the unit of work of every executor.

    Returns
    -------
    list of ledger.Record
        One for each file written.
    """
    with single_threaded():
        source = _opened(work.store, work.source)
        ds = (source if work.dim is None else source.isel({work.dim: block.outer})).load()
        values = _computed(work, ds, block.inner)
        del ds
        return [
            write.write_values(Path(work.folder), array, place, values.pop(array.name))
            for array, place in work.placed(block.index)
        ]


def _computed(work: Work, ds: xr.Dataset, inner: slice) -> dict[str, np.ndarray[Any, Any]]:
    """The block's results: the steps run on a part of it at a time."""
    dim = work.dim
    if dim is None or work.part is None:
        result = _chain(work, ds)
        kept = result if dim is None else result.isel({dim: inner})
        return {array.name: kept[array.name].values for array in work.arrays}
    out: dict[str, np.ndarray[Any, Any]] = {}
    rows = work.part * work.grain
    for start in range(0, ds.sizes[dim], rows):
        result = _chain(work, ds.isel({dim: slice(start, start + rows)}))
        for array in work.arrays:
            _put(out, array, result[array.name].values, dim, start // work.grain, inner.stop)
    return out


def _put(
    out: dict[str, np.ndarray[Any, Any]],
    array: encode.Sharded,
    values: np.ndarray[Any, Any],
    dim: str,
    first: int,
    count: int,
) -> None:
    """Put the result of a part into its place in that of the block."""
    if dim not in array.dims:
        out.setdefault(array.name, values)
        return
    axis = array.dims.index(dim)
    if array.name not in out:
        shape = (*values.shape[:axis], count, *values.shape[axis + 1 :])
        out[array.name] = np.empty(shape, array.dtype)
    place = slice(first, first + values.shape[axis])
    out[array.name][(slice(None),) * axis + (place,)] = values


def _chain(work: Work, ds: xr.Dataset) -> xr.Dataset:
    for name, parameters, nodes in work.steps:
        arguments = {n: argument(work.store, path) for n, path in nodes.items()}
        ds = find(name)(ds, {**parameters, **arguments})
    return ds


@functools.lru_cache(maxsize=4)
def _opened(store: str, node: str) -> xr.Dataset:
    return reference.open_node(store, node, chunked=False)


@functools.lru_cache(maxsize=8)
def argument(store: str, node: str) -> xr.Dataset:
    """Open a node that is an argument of a step: in memory where it is small."""
    ds = reference.open_node(store, node, chunked=False)
    return ds.load() if ds.nbytes <= HELD_BYTES else ds
