"""`check`: every fault of a pipeline, found on nodes before a byte of data is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from zeoarray.errors import ZeoError, unknown
from zeoarray.ingest import reference, scan
from zeoarray.pipeline import cut, order
from zeoarray.pipeline.document import Call, Faults, Pipeline, Stage
from zeoarray.pipeline.verbs import every, find, node_names
from zeoarray.step import Step
from zeoarray.store import places, read

Nodes = dict[str, "xr.Dataset | None"]
"""What is in each node: lazily opened, or a template of what will be there; None where that hangs
on a measure which has not run."""

INGEST = ("source", "reader", "join", "reference", "sidecar")
"""Keys of an ingest that are not options of the scan."""


@dataclass(frozen=True)
class Checked:
    """A stage whose names, parameters and data fit together."""

    stage: Stage
    template: xr.Dataset | None
    """What it will give; None where that hangs on a measure which has not run."""
    segments: tuple[cut.Segment, ...] = ()


def check(pipeline: Pipeline) -> list[Checked]:
    """Check every stage, on zero-cost arrays of the true shapes.

    Parameters
    ----------
    pipeline
        As `read` gives it.

    Returns
    -------
    list of Checked
        One for each stage.

    Raises
    ------
    PipelineError
        With every fault of the whole file: wrong names with the nearest right ones, wrong
        parameters, units and types, missing inputs, steps that do not fit together.
    """
    faults = Faults(pipeline.document)
    nodes = existing(pipeline, pipeline.stages)
    _check_names(pipeline, set(nodes), faults)
    made: list[Checked] = []
    if not faults.lines:
        for stage in pipeline.stages:
            checked = check_stage(stage, nodes, faults)
            nodes[stage.into] = checked.template if checked else None
            if checked:
                made.append(checked)
    faults.raise_any()
    return made


def existing(pipeline: Pipeline, stages: Sequence[Stage]) -> Nodes:
    """Open those nodes of the store that some stages read; of others, that they are there."""
    root = places.root_of(pipeline.store)
    whole = read.nodes(root) if (root / "zarr.json").is_file() else []
    wanted = {node for stage in stages for node in reads(stage)}
    return {
        node: reference.open_node(root, node, chunked=False) if node in wanted else None
        for node in whole
    }


def _check_names(pipeline: Pipeline, nodes: set[str], faults: Faults) -> None:
    """Names and parameters of every stage: what can be said without any data."""
    made: dict[str, int] = {}
    later = {stage.into for stage in pipeline.stages}
    for stage in pipeline.stages:
        if stage.into in made:
            line = pipeline.document.line(("stages", made[stage.into]))
            faults.add(
                (*stage.keys, "into"), f"two stages make {stage.into}: the other is in line {line}"
            )
        for call in stage.calls:
            try:
                _resolved(find(call.name), call, stage)
            except ZeoError as error:
                faults.add(call.keys, error)
        for node, keys in _inputs(stage):
            if node not in nodes | made.keys():
                if node in later:
                    faults.add(keys, f"{node} is made by a later stage, or by this one")
                else:
                    faults.add(keys, unknown("node", node, nodes | made.keys()))
        made[stage.into] = stage.number


def reads(stage: Stage) -> set[str]:
    """Return the nodes that a stage reads."""
    return {node for node, _ in _inputs(stage)}


def _inputs(stage: Stage) -> list[tuple[str, tuple[str | int, ...]]]:
    found: list[tuple[str, tuple[str | int, ...]]] = []
    if stage.source is not None:
        found.append((stage.source, (*stage.keys, "from")))
    for call in stage.calls:
        found += [
            (str(call.given[n]), (*call.keys, n))
            for n in node_names(call.name)
            if call.given.get(n) is not None
        ]
    return found


def _resolved(entry: Step, call: Call, stage: Stage) -> dict[str, Any]:
    """Parameters of a call with their final values; its nodes left out."""
    wanted = "measure" if stage.kind == "measure" else "step"
    if entry.kind != wanted:
        raise unknown(wanted, call.name, [n for n, e in every().items() if e.kind == wanted])
    return entry.resolve({k: v for k, v in call.given.items() if k not in entry.nodes})


def check_stage(stage: Stage, nodes: Nodes, faults: Faults) -> Checked | None:
    """Check one stage on what is in the nodes that it reads; its faults are noted."""
    if stage.kind == "ingest":
        try:
            return Checked(stage, open_scan(stage))
        except ZeoError as error:
            faults.add((*stage.keys, "ingest"), error)
            return None
    source = nodes[str(stage.source)]
    if source is None:
        return Checked(stage, None)
    before = cut.template(source)
    if stage.order:
        try:
            before = order.template(before, stage.order)
        except ZeoError as error:
            faults.add((*stage.keys, "order"), error)
            return None
    if stage.kind == "measure":
        return _check_measure(stage, before, nodes, faults)
    steps: list[cut.Applied] = []
    for call in stage.calls:
        arguments = nodes_of(call, nodes)
        if any(given is None for given in arguments.values()):
            return Checked(stage, None)
        try:
            steps.append(apply(call, stage, steps[-1].after if steps else before, arguments))
        except ZeoError as error:
            faults.add(call.keys, error)
            return None
    return Checked(stage, steps[-1].after, tuple(cut.segments(steps, stage.block, stage.order)))


def _check_measure(
    stage: Stage, before: xr.Dataset, nodes: Nodes, faults: Faults
) -> Checked | None:
    (call,) = stage.calls
    entry = find(call.name)
    if entry.expects is None:
        return Checked(stage, None)
    arguments = nodes_of(call, nodes)
    if any(given is None for given in arguments.values()):
        return Checked(stage, None)
    try:
        expected = entry.expects(before, **_resolved(entry, call, stage), **arguments)
    except ZeoError as error:
        faults.add(call.keys, error)
        return None
    return Checked(stage, expected.assign_attrs(node=stage.into))


def nodes_of(call: Call, nodes: Nodes) -> dict[str, Any]:
    """The datasets of those arguments of a call that are nodes."""
    names = find(call.name).nodes
    given = {n: nodes[str(call.given[n])] for n in names if call.given.get(n) is not None}
    return {n: None if ds is None else cut.argument(ds) for n, ds in given.items()}


def apply(
    call: Call, stage: Stage, before: xr.Dataset, arguments: Mapping[str, xr.Dataset]
) -> cut.Applied:
    """Call a step on the template of its input, with the datasets of its nodes."""
    entry = find(call.name)
    nodes = {name: str(call.given[name]) for name in arguments}
    return cut.applied(before, entry, {**_resolved(entry, call, stage), **arguments}, nodes)


def scan_options(stage: Stage) -> dict[str, Any]:
    """Options of the scan that an ingest reads; one that is null is left to file and sidecar."""
    return {k: v for k, v in stage.scan.items() if k not in INGEST and v is not None}


def open_scan(stage: Stage) -> xr.Dataset:
    """Open what an ingest reads, lazily."""
    given = scan_options(stage)
    return scan.open_scan(
        stage.scan["source"],
        given,
        sidecar=stage.scan.get("sidecar"),
        reader=stage.scan.get("reader"),
        join=stage.scan.get("join"),
        chunked=False,
    )
