"""`run`: one pure function over the blocks of each stage, in waves, with resume by itself."""

from __future__ import annotations

import concurrent.futures as cf
import functools
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from zeoarray.backend import single_threaded
from zeoarray.errors import StoreError
from zeoarray.ingest import reference
from zeoarray.ingest.into import into_store
from zeoarray.pipeline import cut, log
from zeoarray.pipeline.check import INGEST, Checked, check, check_stage, existing
from zeoarray.pipeline.document import Faults, Pipeline, Stage
from zeoarray.pipeline.plan import segment_nodes
from zeoarray.step import find
from zeoarray.store import encode, grow, ledger, places, write

Progress = Callable[[str, int, int], None]
"""Called with a node, the blocks of it that are done, and all of them."""

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
    part: int
    """Rows of output that go through the steps at a time."""
    grain: int
    """Rows of input that become one of output."""
    arrays: tuple[encode.Sharded, ...]
    folder: str


@dataclass(frozen=True)
class Block:
    """One block of a segment."""

    index: int
    outer: slice
    """Rows of input that are read."""
    inner: slice
    """Rows of the result that are written."""


def run(
    pipeline: Pipeline,
    *,
    executor: cf.Executor | None = None,
    in_flight: int = 4,
    overwrite: bool = False,
    restart: bool = False,
    wait: bool = False,
    progress: Progress | None = None,
) -> list[str]:
    """Run every stage that is not whole yet; run again after an interruption, it goes on.

    Parameters
    ----------
    pipeline
        As `read` gives it; it is checked first.
    executor
        Runs the blocks; None runs them here, one after the other.
    in_flight
        At most this many blocks are given to the executor at once.
    overwrite
        Replace nodes that were made otherwise.
    restart
        Drop half-written nodes that were begun with other inputs or parameters.
    wait
        Wait for another process that writes a node, instead of raising.
    progress
        Called as blocks are finished.

    Returns
    -------
    list of str
        The nodes that this run made; those that were whole already are not among them.

    Raises
    ------
    PipelineError
        For the faults that `check` finds.
    StoreError
        Where a node exists that was made otherwise, or the disk is full.
    """
    check(pipeline)
    tell = progress or (lambda node, done, total: None)
    how = _How(executor, in_flight, overwrite, restart, wait, tell)
    made = []
    book = log.Log(pipeline)
    for stage in pipeline.stages:
        begun = time.perf_counter()
        if _RUN[stage.kind](pipeline, stage, how):
            made.append(stage.into)
            book.stage(stage.into, time.perf_counter() - begun)
    book.end(made)
    return made


@dataclass(frozen=True)
class _How:
    executor: cf.Executor | None
    in_flight: int
    overwrite: bool
    restart: bool
    wait: bool
    tell: Progress

    @property
    def flags(self) -> dict[str, bool]:
        return {"overwrite": self.overwrite, "restart": self.restart, "wait": self.wait}


def _run_ingest(pipeline: Pipeline, stage: Stage, how: _How) -> bool:
    given = {k: v for k, v in stage.scan.items() if k not in INGEST}
    target = places.locate(pipeline.store, stage.into)
    before = _ledger_digest(target)
    into_store(
        stage.scan["source"],
        pipeline.store,
        stage.into,
        given,
        sidecar=stage.scan.get("sidecar"),
        reader=stage.scan.get("reader"),
        join=stage.scan.get("join"),
        reference=bool(stage.scan.get("reference", False)),
        executor=how.executor,
        in_flight=how.in_flight,
        progress=lambda done, total: how.tell(stage.into, done, total),
        **how.flags,
    )
    return _ledger_digest(target) != before


def _run_measure(pipeline: Pipeline, stage: Stage, how: _How) -> bool:
    (call,) = stage.calls
    entry = find(call.name)
    parameters = entry.resolve({k: v for k, v in call.given.items() if k not in entry.nodes})
    nodes = {n: str(call.given[n]) for n in entry.nodes if call.given.get(n) is not None}
    marks = {
        "format": 1,
        "steps": [entry.record(parameters | nodes)],
        "inputs": _digests(pipeline, [str(stage.source), *nodes.values()]),
    }
    marks = json.loads(json.dumps(marks))
    nothing = xr.Dataset({"nothing": 0})
    with grow.growing(
        nothing, grow.plan(nothing), pipeline.store, stage.into, marks, **how.flags
    ) as node:
        if node.whole:
            return False
        how.tell(stage.into, 0, 1)
        given = {n: _argument(str(pipeline.store), path) for n, path in nodes.items()}
        source = reference.open_node(pipeline.store, str(stage.source))
        result = entry(source, {**parameters, **given}).compute()
        result = result.assign_attrs(made_of=marks["inputs"])
        node.ds, node.todo = result, grow.plan(result)
        node.append(*(_whole(node, a, i) for a, i in node.todo.tasks()))
        node.finish()
    how.tell(stage.into, 1, 1)
    return True


def _whole(node: grow.Growing, array: encode.Sharded, index: tuple[int, ...]) -> ledger.Record:
    return write.write_block(node.folder, array, index, node.todo.variables[array.name])


def _run_steps(pipeline: Pipeline, stage: Stage, how: _How) -> bool:
    checked = _on_real_nodes(pipeline, stage)
    names = segment_nodes(stage.into, len(checked.segments))
    sources = [str(stage.source), *names[:-1]]
    target = places.locate(pipeline.store, stage.into)
    # Temporary nodes are gone once the stage is whole: its steps and first input say what it is.
    marks = _marks(pipeline, stage, checked)
    last = checked.segments[-1]
    after = last.after.assign_attrs(made_of=marks["inputs"])
    todo = grow.plan(after, last.arrays())
    with grow.growing(after, todo, pipeline.store, stage.into, marks, **how.flags) as node:
        if node.whole:
            return False
        for name, source, segment in zip(names[:-1], sources, checked.segments, strict=False):
            part = {**marks, "segment": name, "arrays": _arrays(segment)}
            plan = grow.plan(segment.after, segment.arrays())
            stale = not grow.made_of(pipeline.store, name, part)
            with grow.growing(
                segment.after, plan, pipeline.store, name, part, overwrite=stale, restart=stale
            ) as temporary:
                _run_segment(pipeline, segment, source, temporary, how)
        _run_segment(pipeline, last, sources[-1], node, how)
    for name in names[:-1]:
        grow.remove(pipeline.store, name)
    return target.data.exists()


def _on_real_nodes(pipeline: Pipeline, stage: Stage) -> Checked:
    """The stage on what its nodes hold by now: measures before it have run."""
    faults = Faults(pipeline.document)
    checked = check_stage(stage, existing(pipeline), faults)
    faults.raise_any()
    if checked is None or checked.template is None:
        raise StoreError(f"{stage.into}: a node that it reads is not there")
    return checked


def _marks(pipeline: Pipeline, stage: Stage, checked: Checked) -> dict[str, Any]:
    steps = [s for segment in checked.segments for s in segment.steps]
    nodes = [path for step in steps for path in step.nodes.values()]
    records = []
    for step in steps:
        given = {k: v for k, v in step.arguments.items() if k not in step.nodes}
        records.append(step.entry.record(step.entry.resolve(given) | dict(step.nodes)))
    marks = {
        "format": 1,
        "steps": records,
        "inputs": _digests(pipeline, [str(stage.source), *nodes]),
        "arrays": _arrays(checked.segments[-1]),
    }
    plain: dict[str, Any] = json.loads(json.dumps(marks))
    return plain


def _arrays(segment: cut.Segment) -> dict[str, Any]:
    return {
        name: {"shape": list(a.layout.shape), "shard": list(a.layout.shard), "dtype": a.dtype.str}
        for name, a in segment.arrays().items()
    }


def _digests(pipeline: Pipeline, nodes: list[str]) -> dict[str, str]:
    """Digest of each node that is read, by which a result knows what it was made of."""
    found = {}
    for node in nodes:
        book = ledger.read(places.locate(pipeline.store, node).ledger)
        if book is None:
            raise StoreError(
                f"{node}: its ledger is missing, so it cannot be told what results are made of",
                do=f"keep {pipeline.store}.ledger beside the store, or make the node again",
            )
        found[node] = book.digest()
    return found


def _ledger_digest(target: places.Places) -> str | None:
    book = ledger.read(target.ledger) if target.data.exists() else None
    return None if book is None else book.digest()


def _run_segment(
    pipeline: Pipeline, segment: cut.Segment, source: str, node: grow.Growing, how: _How
) -> None:
    if node.whole:
        return
    arrays = tuple(segment.arrays().values())
    work = Work(
        str(places.root_of(pipeline.store)),
        source,
        tuple(
            (
                s.entry.name,
                {k: v for k, v in s.arguments.items() if k not in s.nodes},
                dict(s.nodes),
            )
            for s in segment.steps
        ),
        segment.dim,
        segment.part,
        segment.grain,
        arrays,
        str(node.folder),
    )
    done = {i for i in range(segment.blocks) if _keys(work, i) <= node.keys}
    how.tell(node.target.node, len(done), segment.blocks)
    missing = [Block(i, *segment.reads(i)) for i in range(segment.blocks) if i not in done]
    for count, records in enumerate(_results(work, missing, how, node.target.node), len(done) + 1):
        node.append(*records)
        how.tell(node.target.node, count, segment.blocks)
    node.finish()


def _results(work: Work, missing: list[Block], how: _How, name: str) -> Iterator[list[ledger.Record]]:
    """What each block wrote, as they finish; a bounded number of them is in flight."""
    if how.executor is None:
        yield from (run_block(work, block) for block in missing)
        return
    running: set[cf.Future[list[ledger.Record]]] = set()
    queue = iter(missing)
    try:
        while True:
            for block in itertools.islice(queue, how.in_flight - len(running)):
                running.add(how.executor.submit(run_block, work, block))
            if not running:
                return
            finished, running = cf.wait(running, return_when=cf.FIRST_COMPLETED)
            try:
                for future in finished:
                    yield future.result()
            except cf.BrokenExecutor as error:
                raise StoreError(
                    f"{name}: a worker process died",
                    got="killed, perhaps since the memory ran out",
                    do="run the same command again, with fewer workers: finished blocks are kept",
                ) from error
    finally:
        for future in running:
            future.cancel()
        cf.wait(running)


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
            for array, place in _placed(work, block.index)
        ]


def _computed(work: Work, ds: xr.Dataset, inner: slice) -> dict[str, np.ndarray[Any, Any]]:
    """The block's results: the steps run on a part of it at a time."""
    dim, rows = work.dim, work.part * work.grain
    if dim is None or rows >= ds.sizes[dim]:
        result = _chain(work, ds)
        kept = result if dim is None else result.isel({dim: inner})
        return {array.name: kept[array.name].values for array in work.arrays}
    out: dict[str, np.ndarray[Any, Any]] = {}
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
        arguments = {n: _argument(work.store, path) for n, path in nodes.items()}
        ds = find(name)(ds, {**parameters, **arguments})
    return ds


def _placed(work: Work, index: int) -> Iterator[tuple[encode.Sharded, tuple[int, ...]]]:
    """Each array that block `index` writes, and the shard of it."""
    for array in work.arrays:
        if work.dim in array.dims:
            yield array, tuple(index if d == work.dim else 0 for d in array.dims)
        elif index == 0:  # the same in every block: the first one writes it
            yield array, (0,) * len(array.dims)


def _keys(work: Work, index: int) -> set[str]:
    return {array.key(place) for array, place in _placed(work, index)}


@functools.lru_cache(maxsize=4)
def _opened(store: str, node: str) -> xr.Dataset:
    return reference.open_node(store, node, chunked=False)


@functools.lru_cache(maxsize=8)
def _argument(store: str, node: str) -> xr.Dataset:
    ds = reference.open_node(store, node, chunked=False)
    return ds.load() if ds.nbytes <= HELD_BYTES else ds


_RUN: dict[str, Callable[[Pipeline, Stage, _How], bool]] = {
    "ingest": _run_ingest,
    "measure": _run_measure,
    "steps": _run_steps,
}
