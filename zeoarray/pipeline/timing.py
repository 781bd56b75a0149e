"""`time_stages`: one block of each stage is run aside, and what it took is scaled to the whole.

A stage whose inputs are in the store is measured on one of its own blocks. Where an input is not
there yet, the stages up to it run on a few rows of what is there, in a store of their own, and
the time is scaled by the bytes that are read. What was made is deleted.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zeoarray import store
from zeoarray.errors import StoreError, ZeoError
from zeoarray.ingest import reference
from zeoarray.pipeline import cut, plans, pruning, stages, work
from zeoarray.pipeline.checks import Checked, check, open_scan
from zeoarray.pipeline.document import Pipeline, Stage
from zeoarray.pipeline.verbs import find
from zeoarray.store import durable, encode, places, read, write

LINKED = 1 << 26
"""A node of the store that has no rows and is larger than this is not taken into a small run."""


@dataclass(frozen=True)
class Timed:
    """What one block of a stage took, and what all will."""

    node: str
    block_s: float | None
    """Of one block of the size that is planned; None where it was not measured."""
    blocks: int
    whole_s: float | None
    """Of all blocks, one after the other."""
    planned: int = 0
    """Peak bytes of one worker that `plan` says."""
    peak: int | None = None
    """The same, measured: what is kept from block to block is counted as planned."""
    note: str = ""
    """What it was measured on, where that was not a block of the node; or why it was not."""


def time_stages(pipeline: Pipeline) -> list[Timed]:
    """Run one block of each stage aside, and estimate what all of them will take.

    Parameters
    ----------
    pipeline
        As `read` gives it. No node of its store is touched.

    Returns
    -------
    list of Timed
        One for each segment of each stage, in their order. A measure counts as one block; an
        ingest is measured on a shard. Stages whose inputs cannot be made small say so.

    Raises
    ------
    PipelineError
        For the faults that `check` finds.
    """
    checked = check(pipeline)
    out: list[Timed] = []
    small: _Small | None = None
    with _scratch(pipeline) as folder:
        there = _nodes(pipeline)
        for one in checked:
            if one.stage.kind == "ingest":
                out.append(_shard(one, folder))
            elif set(_inputs(one.stage)) <= there:
                out += _own(pipeline, one, folder)
            else:
                small = small or _Small(pipeline, checked, there, folder / "small.zarr")
                out += small.timed(one)
    return out


@contextmanager
def _scratch(pipeline: Pipeline) -> Iterator[Path]:
    # Beside the store: what is written there costs what it costs in the store.
    beside = places.root_of(pipeline.store).parent
    try:
        beside.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".zeoarray-measure-", dir=beside))
    except OSError as error:
        raise durable.failed(beside, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _nodes(pipeline: Pipeline) -> set[str]:
    root = places.root_of(pipeline.store)
    return set(read.nodes(root)) if (root / "zarr.json").is_file() else set()


def _inputs(stage: Stage) -> list[str]:
    nodes = [str(c.given[n]) for c in stage.calls for n in find(c.name).nodes if n in c.given]
    return [str(stage.source), *nodes] if stage.source is not None else nodes


def _shard(one: Checked, folder: Path) -> Timed:
    """One shard of an ingest."""
    ds = open_scan(one.stage)
    arrays = [encode.sharded(v.variable, str(n)) for n, v in ds.data_vars.items()
              if encode.is_large(v.variable)]  # fmt: skip
    count = sum(math.prod(a.layout.grid) for a in arrays)
    if not arrays:
        return Timed(one.stage.into, 0.0, 0, 0.0, note="small: written at once")
    largest = max(arrays, key=lambda a: math.prod(a.layout.shape) * a.dtype.itemsize)
    begun = time.perf_counter()
    index = (0,) * len(largest.dims)
    write.write_block(folder / "shard", largest, index, ds[largest.name].variable)
    seconds = time.perf_counter() - begun
    (row,) = plans.rows_of(one)
    return Timed(one.stage.into, seconds, count, seconds * count, row.memory)


def _own(pipeline: Pipeline, one: Checked, folder: Path) -> list[Timed]:
    """A stage whose inputs are there: a block of its first segment, or the whole measure."""
    stage = one.stage
    if stage.kind == "measure":
        (call,) = stage.calls
        entry = find(call.name)
        opened = {n: reference.open_node(pipeline.store, str(call.given[n]))
                  for n in entry.nodes if call.given.get(n) is not None}  # fmt: skip
        given = {k: v for k, v in call.given.items() if k not in entry.nodes}
        source = reference.open_node(pipeline.store, str(stage.source))
        begun = time.perf_counter()
        entry(source, {**given, **opened}).compute()
        seconds = time.perf_counter() - begun
        return [Timed(stage.into, seconds, 1, seconds)]
    names = plans.segment_nodes(stage.into, len(one.segments))
    first = _block(pipeline, one.segments[0], names[0], str(stage.source), folder / "block")
    rest = [
        Timed(name, None, s.blocks, None, plans.memory_of(s), note=f"once {names[0]} is made")
        for name, s in zip(names[1:], one.segments[1:], strict=True)
    ]
    return [first, *rest]


def _block(pipeline: Pipeline, segment: cut.Segment, node: str, source: str, folder: Path) -> Timed:
    """Run one block of a segment, after a few rows of it: what is compiled and imported is kept."""
    index, need = min(1, segment.blocks - 1), plans.needs(segment)
    few = replace(segment, rows=min(cut.PAIR, segment.rows))
    work.run_block(stages.work_of(pipeline, few, source, str(folder)), stages.block_of(few, 0))
    blocks = stages.work_of(pipeline, segment, source, str(folder))
    before = _resident()
    begun = time.perf_counter()
    work.run_block(blocks, stages.block_of(segment, index))
    seconds = time.perf_counter() - begun
    peak = None if before is None else need.fixed + _highest() - before
    planned = need.fixed + need.block
    return Timed(node, seconds, segment.blocks, seconds * segment.blocks, planned, peak)


def _resident() -> int | None:
    """Bytes that this process holds, and its peak begun anew; None where Linux does not tell."""
    if sys.platform != "linux":
        return None
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return None
    return _status("VmRSS")


def _highest() -> int:
    return _status("VmHWM")


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = [line for line in lines if line.startswith(key + ":")]
    return int(line.split()[1]) * 1024


class _Small:
    """The stages on a few rows of what is there, in a store of their own."""

    def __init__(
        self, pipeline: Pipeline, checked: list[Checked], there: set[str], root: Path
    ) -> None:
        spans = [s.spans(min(1, s.blocks - 1))[0] for c in checked for s in c.segments
                 if s.dim == "z"]  # fmt: skip
        self._rows = max((stop - start for start, stop in spans), default=pruning.ROWS)
        self._from, self._there = pipeline, there
        self._pipeline = replace(pipeline, store=root, stages=())
        self._lacking: dict[str, str] = {}
        """Nodes that could not be made, and why."""

    def timed(self, one: Checked) -> list[Timed]:
        """Run the stages up to this one, and scale what it took."""
        try:
            for stage in self._from.stages:
                if stage.number < one.stage.number:
                    self._make(stage)
            seconds, there = self._run(one.stage)
        except ZeoError as error:
            self._lacking[one.stage.into] = str(error).partition("\n")[0]
            planned = max(map(plans.memory_of, one.segments), default=0)
            count = sum(s.blocks for s in one.segments)
            return [Timed(one.stage.into, None, count, None, planned, note=self._lacking[
                one.stage.into])]  # fmt: skip
        note = f"on {self._rows} rows"
        if one.stage.kind == "measure":
            return [Timed(one.stage.into, seconds, 1, seconds, note=note)]
        if not one.segments:
            return [Timed(one.stage.into, None, 0, None, note="its blocks hang on a measure")]
        share = sum(map(plans.bytes_read, one.segments)) / sum(map(plans.bytes_read, there))
        count = sum(s.blocks for s in one.segments)
        planned = max(map(plans.memory_of, one.segments))
        whole = seconds * share
        return [Timed(one.stage.into, whole / count, count, whole, planned, note=note)]

    def _make(self, stage: Stage) -> None:
        """Bring a node into the small store: as it is, some rows of it, or by its own stage."""
        if stage.into in _nodes(self._pipeline) or stage.into in self._lacking:
            return
        if stage.into in self._there:
            self._take(stage.into)
        elif stage.kind == "ingest":
            small = pruning.pruned(stage, self._rows)
            if small is stage:
                self._lacking[stage.into] = f"once {stage.into} is there: run its ingest first"
                return
            store.save(open_scan(small), self._pipeline.store, stage.into)
        else:
            self._run(stage)

    def _take(self, node: str) -> None:
        ds = reference.open_node(self._from.store, node, chunked=False)
        if "z" in ds.dims:
            first = max((ds.sizes["z"] - self._rows) // 2, 0)
            ds = ds.isel(z=slice(first, first + self._rows))
        elif ds.nbytes > LINKED:
            self._lacking[node] = f"{node} has no rows of which a few would do"
            return
        # Without the marks of how it was made: some rows are another node.
        store.save(ds.drop_attrs(deep=False).assign_attrs(_plain(ds.attrs)),
                   self._pipeline.store, node)  # fmt: skip

    def _run(self, stage: Stage) -> tuple[float, tuple[cut.Segment, ...]]:
        for node in _inputs(stage):
            if node in self._lacking:
                raise StoreError(self._lacking[node])
            if node not in _nodes(self._pipeline):
                self._take(node)
        own = replace(self._pipeline, stages=(stage,))
        (checked,) = check(own)
        stages.run(own)
        log = places.beside(places.root_of(own.store)) / "log.jsonl"
        made = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        (last,) = [m for m in made if m["what"] == "made" and m["node"] == stage.into][-1:]
        return float(last["seconds"]), checked.segments


def _plain(attrs: dict[Any, Any]) -> dict[str, Any]:
    away = {"node", "store", "references", "request", "made_of", "checksums", "inputs"}
    return {str(k): v for k, v in attrs.items() if k not in away}
