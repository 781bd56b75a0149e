"""What a worker does with one block: read, call the steps, write its shards; and nothing else."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from zeoarray.backend import single_threaded
from zeoarray.errors import StoreError
from zeoarray.ingest import reference
from zeoarray.pipeline import cut, order
from zeoarray.pipeline.verbs import find
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
    digests: Mapping[str, str]
    """Of each node that is read: what a worker keeps open is known by it."""
    phases: tuple[cut.Phase, ...]
    dim: str | None
    arrays: tuple[encode.Sharded, ...]
    folder: str
    order: tuple[str, ...] = ()
    """Coords by which the rows of the source are ordered."""
    in_parts: bool = False
    """Whether the first steps read a part of a block at a time."""

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
    reads: slice
    """Rows of input that are read."""
    keeps: tuple[slice, ...]
    """Rows of the result of each step that are needed on."""


def run_block(work: Work, block: Block) -> list[ledger.Record]:
    """Read one block, call the steps on it, write its shards: the unit of work of every executor.

    Returns
    -------
    list of ledger.Record
        One for each file written.
    """
    with single_threaded():
        read = functools.partial(_read, work, block)
        first, size = work.phases[0], block.reads.stop - block.reads.start
        if work.in_parts:
            ds = _run_parts(work, first, block, size, read)
        else:
            ds = _run_phase(work, first, block, read(slice(0, size)))
        for phase in work.phases[1:]:
            ds = _run_phase(work, phase, block, ds)
        values = {array.name: ds[array.name].values for array in work.arrays}
        del ds
        return [
            write.write_values(Path(work.folder), array, place, values.pop(array.name))
            for array, place in work.placed(block.index)
        ]


@dataclass(frozen=True)
class Made:
    """What a task gives: of every block that it made, and of one that failed."""

    records: tuple[list[ledger.Record], ...]
    slowest_s: float
    error: Exception | None = None


def run_blocks(
    make: Callable[[Work, Block], list[ledger.Record]], work: Work, blocks: Sequence[Block]
) -> Made:
    """Make blocks, one after the other, in one task: to schedule a quick one takes longer than it.

    What was made before one failed is not lost.
    """
    records: list[list[ledger.Record]] = []
    slowest = 0.0
    for block in blocks:
        begun = time.perf_counter()
        try:
            records.append(make(work, block))
        except Exception as error:
            if not records:
                raise
            return Made(tuple(records), slowest, error)
        slowest = max(slowest, time.perf_counter() - begun)
    return Made(tuple(records), slowest)


def _read(work: Work, block: Block, rows: slice) -> xr.Dataset:
    """Some rows of a block, counted in it."""
    digest = work.digests[work.source]
    source = _opened(work.store, work.source, digest)
    if work.dim is None and not work.order:
        return source.load()
    here = slice(block.reads.start + rows.start, min(block.reads.start + rows.stop,
                 block.reads.stop))  # fmt: skip
    if not work.order:
        return source.isel({work.dim: here}).load()
    dim, index = _sequence(work.store, work.source, digest, work.order)
    if dim == work.dim:
        return order.read(source, dim, index[here])
    whole = order.read(source, dim, index)
    return whole if work.dim is None else whole.isel({work.dim: here})


def _run_phase(work: Work, phase: cut.Phase, block: Block, ds: xr.Dataset) -> xr.Dataset:
    """Run some steps on a block, a part of it at a time: what they hold stays in the caches."""
    dim = phase.dim
    if dim is None or phase.rows >= ds.sizes[dim]:
        return _chain(work, phase, block, ds)
    return _run_parts(work, phase, block, ds.sizes[dim], lambda rows: ds.isel({dim: rows}))


def _run_parts(
    work: Work,
    phase: cut.Phase,
    block: Block,
    size: int,
    read: Callable[[slice], xr.Dataset],
) -> xr.Dataset:
    """Run some steps on the parts of a block, as `read` gives them."""
    dim = str(phase.dim)
    joined: _Joined | None = None
    for start in range(0, size, phase.rows):
        part = read(slice(start, start + phase.rows))
        rows = part.sizes[dim]
        result = _chain(work, phase, block, part)
        del part
        if joined is None and rows >= size:
            return result
        if joined is None:
            joined = _Joined(result, dim, size / rows)
        joined.add(result)
    if joined is None:
        raise StoreError(f"{work.source}: a block of it has no rows", got=f"block {block.index}")
    return joined.whole()


def _chain(work: Work, phase: cut.Phase, block: Block, ds: xr.Dataset) -> xr.Dataset:
    for number in range(phase.start, phase.stop):
        name, parameters, nodes = work.steps[number]
        arguments = {n: argument(work.store, p, work.digests[p]) for n, p in nodes.items()}
        ds = find(name)(ds, {**parameters, **arguments})
        if work.dim is not None and work.dim != phase.dim:
            ds = ds.isel({work.dim: block.keeps[number]})
    return ds


class _Joined:
    """Results of parts, put together along a dim as they come: nothing is held twice."""

    def __init__(self, first: xr.Dataset, dim: str, parts: float) -> None:
        self._first, self._dim, self._filled = first, dim, 0
        self._size = math.ceil(first.sizes[dim] * parts - 1e-9)
        self._values = {
            name: np.empty([self._size if d == dim else n for d, n in v.sizes.items()], v.dtype)
            for name, v in first.variables.items()
            if dim in v.dims
        }

    def add(self, part: xr.Dataset) -> None:
        stop = self._filled + part.sizes[self._dim]
        for name, values in self._values.items():
            variable = part.variables[name]
            place = tuple(
                slice(self._filled, stop) if d == self._dim else slice(None) for d in variable.dims
            )
            values[place] = variable.values
        self._filled = stop

    def whole(self) -> xr.Dataset:
        size = slice(0, self._filled)
        variables = {
            name: xr.Variable(v.dims, self._values[name], v.attrs).isel({self._dim: size})
            if name in self._values
            else v
            for name, v in self._first.variables.items()
        }
        coords = {name: v for name, v in variables.items() if name in self._first.coords}
        data = {name: v for name, v in variables.items() if name in self._first.data_vars}
        return xr.Dataset(data, coords, self._first.attrs)


@functools.lru_cache(maxsize=4)
def _opened(store: str, node: str, digest: str) -> xr.Dataset:
    """A node whose positions and times are in memory: they are read once, not for each block."""
    ds = reference.open_node(store, node, chunked=False)
    return ds.assign({n: v.compute() for n, v in ds.variables.items() if v.ndim < 2})


@functools.lru_cache(maxsize=32)  # a stage that joins scans has a volume of each as argument
def argument(store: str, node: str, digest: str) -> xr.Dataset:
    """Open a node that is an argument of a step: in memory where it is small.

    The digest is that of the node as it is now: one that was made anew is opened anew.
    """
    ds = reference.open_node(store, node, chunked=False)
    return ds.load() if ds.nbytes <= HELD_BYTES else ds


@functools.lru_cache(maxsize=4)
def _sequence(
    store: str, node: str, digest: str, names: tuple[str, ...]
) -> tuple[str, np.ndarray[Any, Any]]:
    return order.sequence(_opened(store, node, digest), names)
