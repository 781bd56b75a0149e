"""`plan`: tasks, bytes and memory of every stage before it runs; what cannot fit is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import xarray as xr

from zeoarray.chunks import format_bytes
from zeoarray.errors import PipelineError
from zeoarray.kernels.contract import Memory
from zeoarray.labelled import Call
from zeoarray.pipeline import cut
from zeoarray.pipeline.checks import Checked, check
from zeoarray.pipeline.document import Pipeline
from zeoarray.store import encode

OBJECTS = 16 << 20
"""What a block takes beside its arrays: metadata, caches, pieces being compressed."""


@dataclass(frozen=True)
class Row:
    """One line of a plan: a segment of a stage, an ingest, or a measure."""

    stage: int
    kind: str
    node: str
    """What it makes."""
    temporary: bool
    """Whether the node is deleted when its stage is whole."""
    known: bool
    """False where it hangs on a measure that has not run: then the numbers are zero."""
    tasks: int = 0
    dim: str | None = None
    rows: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    memory: int = 0
    """Peak bytes of one worker beyond what Python and its libraries hold."""


@dataclass(frozen=True)
class Plan:
    """What a run will do."""

    rows: tuple[Row, ...]

    @property
    def memory(self) -> int:
        """Largest peak of any stage."""
        return max((row.memory for row in self.rows), default=0)


def plan(pipeline: Pipeline, *, memory: int | None = None) -> Plan:
    """Say what each stage of a pipeline will read, write and hold in memory.

    Parameters
    ----------
    pipeline
        As `read` gives it.
    memory
        Bytes that one worker may hold; None refuses nothing.

    Returns
    -------
    Plan
        A row for each segment: a stage that must be split has several, with temporary nodes.

    Raises
    ------
    PipelineError
        For the faults that `check` finds, and for stages that do not fit into `memory`, with the
        block that would.
    """
    checked = check(pipeline)
    rows = [row for stage in checked for row in rows_of(stage)]
    if memory is not None:
        too_large = [r for r in rows if r.memory > memory]
        if too_large:
            told = "\n".join(_road(r, checked, memory, pipeline) for r in too_large)
            raise PipelineError(
                f"{pipeline.document.path}: {len(too_large)} of {len(rows)} parts do not fit into "
                f"{format_bytes(memory)} a worker",
                got=told,
                do="allow more memory with fewer workers, or cut smaller blocks as said above",
            )
    return Plan(tuple(rows))


def segment_nodes(into: str, count: int) -> list[str]:
    """Nodes that the segments of a stage make: temporary ones, and the stage's own at last."""
    return [f"{into}-part{i}" for i in range(1, count)] + [into]


def memory_of(segment: cut.Segment) -> int:
    """Peak bytes of one block of a segment in one worker."""
    need = needs(segment)
    return need.fixed + need.block


def needs(segment: cut.Segment) -> Memory:
    """What a worker keeps from block to block, and what it holds beside that for one.

    Phases follow each other: each holds what it is given, what it gives, and what one part of it
    needs.
    """
    spans = segment.spans(min(1, segment.blocks - 1))
    counts = [stop - start for start, stop in spans]
    fixed: dict[str, int] = {}
    most = 0
    for phase in segment.phases():
        steps = segment.steps[phase.start : phase.stop]
        rows_given = counts[phase.start]
        if phase.start == 0 and segment.in_parts:
            rows_given = min(phase.rows, rows_given)
        given = _held(steps[0].before, {segment.dim: rows_given})
        gives = _held(steps[-1].after, {segment.dim: counts[phase.stop]})
        single = phase.dim is None
        part = 0
        for number, step in enumerate(steps, phase.start):
            rows = {segment.dim: counts[number]}
            after = {segment.dim: counts[number + 1]}
            if phase.dim is not None:
                whole = (
                    counts[phase.start]
                    if phase.dim == segment.dim
                    else step.before.sizes[phase.dim]
                )
                single = phase.rows >= whole
                rows |= {phase.dim: min(phase.rows, whole)}
                after |= {phase.dim: min(phase.rows, whole) // step.grain(phase.dim)}
            scratch = 0
            for call in step.record.calls:
                need = _need(call, step.before, rows)
                scratch = max(scratch, need.block)
                fixed[call.kernel.name] = max(fixed.get(call.kernel.name, 0), need.fixed)
            held = 0 if number == phase.start else _held(step.before, rows)
            part = max(part, held + _held(step.after, after) + scratch)
        # Where parts are joined, what they become is there from the first one on.
        most = max(most, given + part + (0 if single else gives))
    return Memory(sum(fixed.values()), most + OBJECTS)


def _held(ds: xr.Dataset, rows: Mapping[str | None, int]) -> int:
    """Bytes of the variables of `ds` with so many rows along some dims."""
    total = 0
    for v in ds.variables.values():
        if v.ndim > 1 or v.chunks is not None:
            size = math.prod(min(rows.get(str(d), n), n) for d, n in v.sizes.items())
            total += size * v.dtype.itemsize
    return total


def _need(call: Call, before: xr.Dataset, rows: Mapping[str | None, int]) -> Memory:
    sizes = {str(d): min(rows.get(str(d), n), n) for d, n in before.sizes.items()}
    batch = math.prod(sizes.get(dim, 1) for dim in call.batch)
    core = {dim: n for dim, n in sizes.items() if dim in call.dims.values()}
    return call.memory(core, batch=batch)


def _block_bytes(array: encode.Sharded) -> int:
    box = (min(s, n) for s, n in zip(array.layout.shard, array.layout.shape, strict=True))
    return math.prod(box) * array.dtype.itemsize


def rows_of(checked: Checked) -> list[Row]:
    """Lines of one stage: its segments, or itself."""
    stage = checked.stage
    row = Row(stage.number, stage.kind, stage.into, False, checked.template is not None)
    if checked.template is None:
        return [row]
    if stage.kind == "ingest":
        size = sum(v.nbytes for v in checked.template.data_vars.values())
        arrays = [
            encode.sharded(v.variable, str(n))
            for n, v in checked.template.data_vars.items()
            if encode.is_large(v.variable)
        ]
        return [
            replace(
                row,
                tasks=sum(math.prod(a.layout.grid) for a in arrays),
                bytes_read=size,
                bytes_written=size,
                memory=2 * max(map(_block_bytes, arrays), default=0),
            )
        ]
    if stage.kind == "measure":
        return [replace(row, tasks=1)]
    nodes = segment_nodes(stage.into, len(checked.segments))
    return [
        replace(
            row,
            node=node,
            temporary=node != stage.into,
            tasks=segment.blocks,
            dim=segment.dim,
            rows=segment.rows,
            bytes_read=bytes_read(segment),
            bytes_written=sum(int(v.nbytes) for v in _written(segment).values()),
            memory=memory_of(segment),
        )
        for node, segment in zip(nodes, checked.segments, strict=True)
    ]


def _written(segment: cut.Segment) -> Mapping[str, xr.DataArray]:
    return {str(n): segment.after[n] for n in segment.arrays()}


def bytes_read(segment: cut.Segment) -> int:
    """Uncompressed bytes that all blocks of a segment read, halos included."""
    total = 0
    for index in range(segment.blocks):
        start, stop = segment.spans(index)[0]
        total += cut.nbytes(segment.before, segment.dim, stop - start)
    return total


def _road(row: Row, checked: list[Checked], memory: int, pipeline: Pipeline) -> str:
    """Say what does not fit, and which number of rows would."""
    line = pipeline.document.line(("stages", row.stage))
    text = f"line {line}: {row.node} needs {format_bytes(row.memory)}"
    (stage,) = [c for c in checked if c.stage.number == row.stage]
    if row.kind != "steps" or row.dim is None or row.temporary:
        return text
    segment = stage.segments[-1]
    rows = row.rows
    while rows > 1:
        rows = max(rows // 2, 1)
        need = memory_of(replace(segment, rows=rows))
        if need <= memory:
            return f"{text}; with 'block: {rows}' it needs {format_bytes(need)}"
    return f"{text}; one row of {row.dim} does not fit"
