"""`run`: one pure function over the blocks of each stage, in waves, with resume by itself."""

from __future__ import annotations

import concurrent.futures as cf
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import xarray as xr

from zeoarray.errors import StoreError
from zeoarray.ingest import reference
from zeoarray.ingest.into import into_store
from zeoarray.pipeline import cut, log, lost, work
from zeoarray.pipeline.checks import Checked, check, check_stage, existing, reads, scan_options
from zeoarray.pipeline.document import Faults, Pipeline, Stage
from zeoarray.pipeline.plans import segment_nodes
from zeoarray.pipeline.verbs import find
from zeoarray.store import condition, encode, grow, ledger, places, write

TASK_S = 0.05
"""Blocks that together take no longer than this are one task; to schedule one takes about 10 ms."""
TOGETHER = 64
"""Blocks of a task, at most."""
Progress = Callable[[str, int, int], None]
"""Called with a node, the blocks of it that are done, and all of them."""


def run(
    pipeline: Pipeline,
    *,
    executor: cf.Executor | None = None,
    in_flight: int = 4,
    lost: tuple[type[Exception], ...] = (cf.BrokenExecutor,),
    overwrite: bool = False,
    restart: bool = False,
    wait: bool = False,
    verify: bool = False,
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
        At most this many tasks are given to the executor at once: each a block, or several where
        they are so quick that a task is over in a moment.
    lost
        What the executor raises for a block whose worker died.
    overwrite
        Replace nodes that were made otherwise.
    restart
        Drop half-written nodes that were begun with other inputs or parameters.
    wait
        Wait for another process that writes a node, instead of raising.
    verify
        Compare every block that is read, and of nodes that are whole already, with its digest, not
        only its size; damaged blocks of nodes that this pipeline makes are made again.
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
    own = {stage.into for stage in pipeline.stages}
    # What was checked on a template of a node that is made here is not what that node holds.
    checked = {c.stage.number: c for c in check(pipeline) if not own & reads(c.stage)}
    tell = progress or (lambda node, done, total: None)
    how = _How(executor, in_flight, lost, overwrite, restart, wait, verify, tell, checked)
    made: list[str] = []
    book = log.Log(pipeline)
    for stage in pipeline.stages:
        begun = time.perf_counter()
        if wait:  # another process may have made anew what was there when it was checked
            checked.pop(stage.number, None)
        if _RUN[stage.kind](pipeline, stage, how):
            made.append(stage.into)
            book.stage(stage.into, time.perf_counter() - begun)
    book.end(made)
    return made


@dataclass(frozen=True)
class _How:
    executor: cf.Executor | None
    in_flight: int
    lost: tuple[type[Exception], ...]
    overwrite: bool
    restart: bool
    wait: bool
    verify: bool
    tell: Progress
    checked: dict[int, Checked]
    """Stages that were checked on what their nodes hold."""

    @property
    def flags(self) -> dict[str, bool]:
        return {
            "overwrite": self.overwrite,
            "restart": self.restart,
            "wait": self.wait,
            "verify": self.verify,
        }


def _run_ingest(pipeline: Pipeline, stage: Stage, how: _How) -> bool:
    given = scan_options(stage)
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
        _require(pipeline, [str(stage.source), *nodes.values()], how)
        how.tell(stage.into, 0, 1)
        given = {
            n: work.argument(str(pipeline.store), path, marks["inputs"][path])
            for n, path in nodes.items()
        }
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
    checked = how.checked.get(stage.number)
    if checked is None or checked.template is None:
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
        _require(pipeline, list(marks["inputs"]), how)
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
    before = tuple(s.into for s in pipeline.stages if s.number < stage.number)
    faults = Faults(pipeline.document, whole=before)
    checked = check_stage(stage, existing(pipeline, (stage,)), faults)
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
    if stage.order:
        marks["order"] = list(stage.order)
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


def _require(pipeline: Pipeline, nodes: list[str], how: _How) -> None:
    for node in nodes:
        condition.require(pipeline.store, node, digests=how.verify)


def _ledger_digest(target: places.Places) -> str | None:
    book = ledger.read(target.ledger) if target.data.exists() else None
    return None if book is None else book.digest()


def _run_segment(
    pipeline: Pipeline, segment: cut.Segment, source: str, node: grow.Growing, how: _How
) -> None:
    if node.whole:
        return
    blocks = work_of(pipeline, segment, source, str(node.folder))
    written = node.keys
    done = {i for i in range(segment.blocks) if blocks.keys(i) <= written}
    how.tell(node.target.node, len(done), segment.blocks)
    missing = (block_of(segment, i) for i in range(segment.blocks) if i not in done)
    _make(blocks, missing, how, segment, node, len(done))
    # What a step gave at once, on the template, hangs on no block.
    written = node.keys
    known = [t for t in node.todo.tasks() if t[0].key(t[1]) not in written]
    node.append(*(_whole(node, array, index) for array, index in known))
    node.finish()


def work_of(pipeline: Pipeline, segment: cut.Segment, source: str, folder: str) -> work.Work:
    """What workers need to know to make the blocks of a segment."""
    steps = []
    for step in segment.steps:
        given = {k: v for k, v in step.arguments.items() if k not in step.nodes}
        steps.append((step.entry.name, given, dict(step.nodes)))
    read = [source, *(path for *_, nodes in steps for path in nodes.values())]
    return work.Work(
        store=str(places.root_of(pipeline.store)),
        source=source,
        steps=tuple(steps),
        digests=_digests(pipeline, read),
        phases=tuple(segment.phases()),
        dim=segment.dim,
        arrays=tuple(segment.arrays().values()),
        folder=folder,
        order=segment.order,
        in_parts=segment.in_parts,
    )


def block_of(segment: cut.Segment, index: int) -> work.Block:
    """One block of a segment: what is read for it, and what is kept after each step."""
    reads = slice(*segment.spans(index)[0])
    return work.Block(index, reads, tuple(segment.keeps(index)))


def _make(
    blocks: work.Work,
    missing: Iterator[work.Block],
    how: _How,
    segment: cut.Segment,
    node: grow.Growing,
    count: int,
) -> None:
    """Make blocks and record them as they end; a bounded number of them is in flight."""

    def keep(made: list[list[ledger.Record]]) -> None:
        nonlocal count
        # One fsync of the ledger for all that have come.
        node.append(*itertools.chain.from_iterable(made))
        count += len(made)
        how.tell(node.target.node, count, segment.blocks)

    running: set[cf.Future[work.Made]] = set()
    together = 1
    gone: tuple[type[BaseException], ...] = (MemoryError, *how.lost)
    try:
        if how.executor is None:
            for block in missing:
                keep([work.run_block(blocks, block)])
            return
        while True:
            while len(running) < how.in_flight:
                group = tuple(itertools.islice(missing, together))
                if not group:
                    break
                running.add(how.executor.submit(work.run_blocks, work.run_block, blocks, group))
            if not running:
                return
            finished = cf.wait(running, return_when=cf.FIRST_COMPLETED).done
            made = [future.result() for future in finished if future.exception() is None]
            keep([records for one in made for records in one.records])
            for error in [f.exception() for f in finished] + [one.error for one in made]:
                if error is not None:
                    raise error
            running -= finished  # only now: an interrupt must not part a block from its record
            slowest = max(one.slowest_s for one in made)
            together = min(max(int(TASK_S / max(slowest, 1e-6)), 1), TOGETHER)
    except KeyboardInterrupt:
        # What is begun is worth keeping; a second interrupt drops it.
        begun, running = {f for f in running if not f.cancel()}, set()
        for future in cf.as_completed(begun):
            if not future.exception():
                keep(list(future.result().records))
        raise
    except gone as error:
        raise lost.died(node.target.node, segment, error) from error
    finally:
        for future in running:
            future.cancel()
        cf.wait(running)


_RUN: dict[str, Callable[[Pipeline, Stage, _How], bool]] = {
    "ingest": _run_ingest,
    "measure": _run_measure,
    "steps": _run_steps,
}
