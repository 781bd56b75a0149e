"""How a list of steps may be cut into blocks: on templates and integers only, nothing is read.

A template is a dataset of the true shapes and coordinates whose large variables are dask arrays of
zeros. Calling the steps on it tells what comes out, and, by the contracts of the kernels, along
which dim the work may be cut, with which halo, and what memory a block takes. Where no dim is left
free, the list is split: a temporary node lies between the segments.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from zeoarray import chunks
from zeoarray.labelled import Record, recorded
from zeoarray.step import Step
from zeoarray.store import encode

READ_BYTES = 1 << 27
"""A block reads about this much, where no layout says how many rows a shard has."""
PART_BYTES = 1 << 26
"""Inside a task the steps run on parts of a block about this large: they stay in the caches."""
PAIR = 2
"""Blocks begin at even rows: reconstruction takes two slices as one complex one."""


@dataclass(frozen=True)
class Applied:
    """One step, called on templates."""

    entry: Step
    arguments: Mapping[str, Any]
    nodes: Mapping[str, str]
    """Arguments that are datasets: the node of each."""
    before: xr.Dataset
    after: xr.Dataset
    record: Record

    def grain(self, dim: str) -> int:
        """Rows along `dim` that become one."""
        return self._margins(dim)[0]

    def halo(self, dim: str) -> int:
        """Rows of either neighbour that a block needs along `dim`."""
        return self._margins(dim)[1]

    def free(self) -> set[str]:
        """Dims along which a block gives what the whole gives there."""
        return {dim for dim in map(str, self.before.dims) if self._cuttable(dim)}

    def dropped(self, dim: str) -> int | None:
        """Rows that the step leaves out before the first it keeps; None where it keeps no run."""
        return self._margins(dim)[2]

    @functools.cached_property
    def _known(self) -> dict[str, tuple[int, int, int | None]]:
        return {}

    def _margins(self, dim: str) -> tuple[int, int, int | None]:
        # Asked for each block: a scan may have ten thousand.
        if dim not in self._known:
            calls = self.record.calls
            grain = math.lcm(1, *(call.grain.get(dim, 1) for call in calls))
            halo = max((call.reach(dim) for call in calls), default=0)
            self._known[dim] = grain, halo, self._left_out(dim, grain)
        return self._known[dim]

    def _left_out(self, dim: str, grain: int) -> int | None:
        before, after = self.before, self.after
        if dim not in after.dims or dim not in before.dims:
            return None
        if grain > 1:
            return 0 if after.sizes[dim] == before.sizes[dim] // grain else None
        if dim not in before.coords or dim not in after.coords:
            return 0 if after.sizes[dim] == before.sizes[dim] else None
        here, there = after[dim].values, before[dim].values
        first = int(np.argmax(there == here[0])) if here.size else 0
        return first if np.array_equal(there[first : first + here.size], here) else None

    def _cuttable(self, dim: str) -> bool:
        if dim in self.record.whole or dim not in self.after.dims:
            return False
        return self.dropped(dim) is not None


def template(ds: xr.Dataset) -> xr.Dataset:
    """Return `ds` with its large variables as zeros that cost nothing; the small ones are read."""
    out = {}
    for name, variable in ds.variables.items():
        lazy = variable.chunks is not None
        if variable.ndim > 1:
            out[name] = xr.Variable(variable.dims, _zeros(variable), variable.attrs)
        elif lazy:
            nothing = np.zeros(variable.shape, variable.dtype)
            out[name] = xr.Variable(variable.dims, nothing, variable.attrs)
    return ds.drop_vars(out).compute().assign(out)


def argument(ds: xr.Dataset) -> xr.Dataset:
    """Return a node that is an argument of a step: what a measure gave is read, a volume is not."""
    out = {}
    for name, v in ds.variables.items():
        if v.ndim > 1 and v.nbytes > encode.SMALL:
            out[name] = xr.Variable(v.dims, _zeros(v), v.attrs)
    return ds.drop_vars(out).compute().assign(out)


def _zeros(like: xr.Variable) -> Any:
    # Named here: to find a name of its own takes dask longer than all the rest.
    name = f"zeros-{like.dtype.str}-{like.shape}"
    return da.zeros(like.shape, dtype=like.dtype, chunks=-1, name=name)


def applied(
    before: xr.Dataset, entry: Step, arguments: Mapping[str, Any], nodes: Mapping[str, str]
) -> Applied:
    """Call a step on a template.

    Parameters
    ----------
    before
        The template of its input.
    entry, arguments
        The step, and its arguments with datasets in the place of nodes.
    nodes
        The nodes behind those datasets.
    """
    with recorded() as record:
        after = entry(before, arguments)
    return Applied(entry, arguments, nodes, before, after, record)


@dataclass(frozen=True)
class Phase:
    """Neighbouring steps that run, inside a task, on the same parts of a block."""

    start: int
    stop: int
    """Steps from `start` to before `stop`."""
    dim: str | None
    """Dim that the parts are cut along; None where they need the block at once."""
    rows: int
    """Rows of a part: of the input of its first step."""


@dataclass(frozen=True)
class Segment:
    """Steps that one task runs on one block, from a node to a node."""

    steps: tuple[Applied, ...]
    dim: str | None
    """Dim along which blocks are cut; None where there is one block."""
    rows: int
    """Rows of output along it, of one block."""
    order: tuple[str, ...] = ()
    """Coords by which the rows of what is read are ordered; as they lie where empty."""

    @property
    def before(self) -> xr.Dataset:
        """Template of what is read."""
        return self.steps[0].before

    @property
    def after(self) -> xr.Dataset:
        """Template of what is written."""
        return self.steps[-1].after

    @property
    def size(self) -> int:
        """Rows of the whole output."""
        return 1 if self.dim is None else self.after.sizes[self.dim]

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return math.ceil(self.size / self.rows)

    def spans(self, index: int) -> list[tuple[int, int]]:
        """Rows that block `index` needs before each step, and those it gives after the last.

        Each counted in the rows of the dataset that stands there.
        """
        if self.dim is None:
            return [(0, 1)] * (len(self.steps) + 1)
        here = (index * self.rows, min((index + 1) * self.rows, self.size))
        out = [here]
        for step in reversed(self.steps):
            whole, grain = step.before.sizes[self.dim], step.grain(self.dim)
            halo, dropped = step.halo(self.dim), step.dropped(self.dim) or 0
            start, stop = dropped + here[0] * grain, min(dropped + here[1] * grain, whole)
            here = (max(start - halo, 0), min(stop + halo, whole))
            out.append(here)
        return out[::-1]

    def keeps(self, index: int) -> list[slice]:
        """Rows of the result of each step that are needed on, counted in this result.

        What a halo was read for is left as soon as it has served.
        """
        if self.dim is None:
            return [slice(None)] * len(self.steps)
        spans, out = self.spans(index), []
        for step, here, there in zip(self.steps, spans, spans[1:], strict=False):
            # What a step drops at the edge of the whole, it drops of the first blocks as well.
            first = max(here[0] - (step.dropped(self.dim) or 0), 0) // step.grain(self.dim)
            out.append(slice(there[0] - first, there[1] - first))
        return out

    @property
    def halo(self) -> int:
        """Rows of input that are read on either side of a block, at most."""
        if self.dim is None or self.blocks < 3:
            return 0 if self.dim is None else max(s.halo(self.dim) for s in self.steps)
        here, there = self.spans(1)[0], self.spans(1)[-1]
        return (here[1] - here[0] - (there[1] - there[0]) * self.grain + 1) // 2

    @property
    def grain(self) -> int:
        """Input rows that become one row of output."""
        return 1 if self.dim is None else math.prod(s.grain(self.dim) for s in self.steps)

    def phases(self) -> list[Phase]:
        """The steps joined to runs whose parts are cut along the same dim."""
        out: list[Phase] = []
        for number, step in enumerate(self.steps):
            dim = self._parts_along(step)
            joins = bool(out) and dim is not None and out[-1].dim == dim
            out.append(Phase(out.pop().start if joins else number, number + 1, dim, 0))
        return [replace(phase, rows=self._part_rows(phase)) for phase in out]

    def _parts_along(self, step: Applied) -> str | None:
        """A dim along which parts of a block need nothing of each other: its own, if it can be."""
        free = [d for d in step.free() if not step.halo(d) and not step.dropped(d)]
        if self.dim in free:
            return self.dim
        return next(
            (d for d in map(str, step.after.dims) if d in free and step.grain(d) == 1), None
        )

    def _part_rows(self, phase: Phase) -> int:
        steps = self.steps[phase.start : phase.stop]
        if phase.dim is None:
            return 0
        share = 1.0
        if self.dim is not None and phase.dim != self.dim:
            span = self.spans(min(1, self.blocks - 1))[phase.start]
            share = (span[1] - span[0]) / steps[0].before.sizes[self.dim]
        row = max(nbytes(t, phase.dim, 1) for s in steps for t in (s.before, s.after)) * share
        together = (n for s in steps for c in s.record.calls for d, n in c.together.items()
                    if d == phase.dim)  # fmt: skip
        grain = math.lcm(PAIR, math.prod(s.grain(phase.dim) for s in steps), *together)
        return max(round(PART_BYTES / max(row, 1) / grain), 1) * grain

    @property
    def in_parts(self) -> bool:
        """Whether the first steps read a part of a block at a time: rows lie by themselves."""
        first = self.phases()[0]
        stored = [
            encode.layout_of(tuple(map(str, v.dims)), v.shape, v.dtype.itemsize).chunk
            for v in self.before.variables.values()
            if v.ndim > 1 and v.dims[0] == self.dim
        ]
        return first.dim == self.dim and bool(stored) and all(c[0] == 1 for c in stored)

    def arrays(self) -> dict[str, encode.Sharded]:
        """Layout of every variable that blocks write: one shard a block."""
        return {
            str(name): _sharded(str(name), v.variable, self.dim, self.rows)
            for name, v in self.after.data_vars.items()
            if v.chunks is not None
        }


def segments(
    steps: Sequence[Applied], rows: int | None = None, order: tuple[str, ...] = ()
) -> list[Segment]:
    """Join steps as long as a dim is left along which all of them may be cut.

    Parameters
    ----------
    steps
        In their order, each on the template that the one before gave.
    rows
        Rows of a block of the last segment; None decides by the layout.
    order
        Coords by which the rows that the first segment reads are ordered.
    """
    groups = list(_groups(steps))
    made = []
    for number, (group, free) in enumerate(groups):
        dim, count = _choose(group[-1].after, free)
        if rows is not None and dim is not None and number == len(groups) - 1:
            count = min(rows, group[-1].after.sizes[dim])
        made.append(Segment(tuple(group), dim, count, () if number else order))
    return made


def _groups(steps: Sequence[Applied]) -> Iterator[tuple[list[Applied], set[str]]]:
    group: list[Applied] = []
    free: set[str] = set()
    for step in steps:
        now = step.free()
        if group and not free & now:
            yield group, free
            group = []
        free = free & now if group else now
        group.append(step)
    yield group, free


def _choose(after: xr.Dataset, free: set[str]) -> tuple[str | None, int]:
    """The dim along which the largest variable is cut, and how many rows a block has."""
    lazy = [v for v in after.data_vars.values() if v.chunks is not None]
    largest = max(lazy, key=lambda v: v.nbytes, default=None)
    dims = [str(d) for d in largest.dims if str(d) in free] if largest is not None else []
    if largest is None or not dims:
        return None, 1
    names = tuple(map(str, largest.dims))
    shard, chunk = encode.SHARDED.get(names, ((None,) * len(names),) * 2)
    for dim in dims:
        wanted = shard[names.index(dim)]
        if wanted is not None:
            return dim, min(wanted, after.sizes[dim])
    dim = dims[0]
    least = chunk[names.index(dim)] or PAIR
    row = max(nbytes(after, dim, 1), 1)
    count = max(READ_BYTES // (row * least), 1) * least
    return dim, min(count, after.sizes[dim])


def nbytes(ds: xr.Dataset, dim: str | None, rows: int) -> int:
    """Bytes of the variables of `ds` with `rows` rows along `dim`."""
    total = 0
    for v in ds.variables.values():
        if v.ndim > 1 or v.chunks is not None:
            share = rows / v.sizes[dim] if dim in v.dims and v.sizes[dim] else 1
            total += round(v.size * v.dtype.itemsize * share)
    return total


def _sharded(name: str, variable: xr.Variable, dim: str | None, rows: int) -> encode.Sharded:
    array = encode.sharded(variable, name)
    shard, chunk = list(variable.shape), list(array.layout.chunk)
    for i, d in enumerate(array.dims):
        if d == dim:
            shard[i] = rows
            chunk[i] = math.gcd(chunk[i], rows) if chunk[i] < rows else rows
    layout = chunks.fit(variable.shape, shard, chunk)
    return encode.Sharded(array.name, array.dims, array.dtype, layout)
