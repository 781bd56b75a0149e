"""`preview`: one slice straight from a facility's file, and sweeps of one parameter over it."""

from __future__ import annotations

import concurrent.futures as cf
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from zeoarray.backend import cores, threaded_transforms
from zeoarray.errors import ArgumentError, unknown
from zeoarray.pipeline import cut, settings
from zeoarray.pipeline.document import Call, Pipeline, Stage
from zeoarray.pipeline.verbs import find

Steps = Sequence[tuple[str, Mapping[str, Any]]]

STEPS: Steps = (
    ("xct.normalize", {}),
    ("xct.remove_rings", {}),
    ("xct.minus_log", {}),
    ("xct.reconstruct", {}),
)
"""What is done where no pipeline says otherwise."""

MOST_TILES = 400


@dataclass(frozen=True)
class Sweep:
    """One parameter of one step, and the values that it takes."""

    step: str
    parameter: str
    values: tuple[float, ...]

    @classmethod
    def parse(cls, text: str) -> Sweep:
        """Read ``xct.reconstruct.center=1260:1271:0.5`` (the end included), or ``...=3,5,9``.

        Raises
        ------
        ArgumentError
            For any other text.

        Examples
        --------
        >>> Sweep.parse("xct.reconstruct.center=10:11:0.5").values
        (10.0, 10.5, 11.0)
        """
        key, _, value = text.partition("=")
        step, _, parameter = key.strip().rpartition(".")
        try:
            if ":" in value:
                first, last, by = map(float, value.split(":"))
                count = int(np.floor((last - first) / by + 1e-9)) + 1
                values = [first + i * by for i in range(min(count, MOST_TILES + 1))]
            else:
                values = [float(part) for part in value.split(",")]
        except (ValueError, ZeroDivisionError, OverflowError):
            values = []
        if not step or not values or len(values) > MOST_TILES:
            raise ArgumentError(
                "a sweep is STEP.PARAMETER=FIRST:LAST:BY or =A,B,C",
                got=repr(text),
                expected=f"1 to {MOST_TILES} values",
                do="--sweep xct.reconstruct.center=1260:1271:0.5",
            )
        return cls(step, parameter, tuple(values))


def preview(
    scan: xr.Dataset,
    steps: Steps = STEPS,
    *,
    row: int,
    sweep: Sweep | None = None,
    measures: Mapping[str, Call] | None = None,
) -> Iterator[tuple[float | None, xr.Dataset]]:
    """Reconstruct one row of a scan: only what it needs is read.

    Parameters
    ----------
    scan
        A raw scan, lazily opened, whose rows are along `z`.
    steps
        Names and parameters, in their order. Where ``xct.reconstruct`` is given neither `center`
        nor `axis`, the axis is measured on this row, by opposite projections: the check of
        ``xct.find_center`` by a second method takes longer than all the rest.
    row
        Index of the row.
    sweep
        A parameter that takes several values in turn.
    measures
        Measures behind those arguments that are nodes, by the path of the node: they are taken on
        the rows that are read, and the axis on the middle one.

    Yields
    ------
    tuple
        The swept value (None without a sweep), and the result: ``attenuation`` of one row.

    Raises
    ------
    ArgumentError
        For a row off the detector, a step that needs all rows, a sweep of a step that is not there.
    """
    count = scan.sizes.get("z", 0)
    if not 0 <= row < count:
        raise ArgumentError("there is no such row", got=row, expected=f"0 to {count - 1}")
    names = [name for name, _ in steps]
    if sweep is not None and sweep.step not in names:
        raise unknown("step in this preview", sweep.step, names)
    values: tuple[float | None, ...] = (None,) if sweep is None else sweep.values
    first, stop = _span(scan, steps, row)
    slab = scan.isel(z=slice(first, stop)).load()
    place = scan["z"].values[row]
    steps = _with_nodes(slab, steps, measures or {})
    swept = len(steps) if sweep is None else names.index(sweep.step)
    at = next((i for i in range(len(steps)) if _lacks_axis(steps[i], sweep)), len(steps))
    # The axis is looked for while the steps before it run.
    with cf.ThreadPoolExecutor(1) as pool:
        axis = pool.submit(_axis, slab.isel(z=[row - first])) if at < len(steps) else None
        done = min(swept, at)
        for name, given in steps[:done]:
            slab = find(name)(slab, given)
        if axis is not None:
            steps[at][1]["axis"] = axis.result()
    for name, given in steps[done:swept]:
        slab = find(name)(slab, given)
    for value in values:
        ds = slab
        for number, (name, given) in enumerate(steps[swept:], swept):
            more = {sweep.parameter: value} if sweep is not None and number == swept else {}
            with threaded_transforms(cores()):
                ds = find(name)(ds, {**given, **more})
        yield value, ds.isel(z=ds["z"].values == place)


def from_pipeline(pipeline: Pipeline) -> tuple[Stage | None, Steps, dict[str, Call]]:
    """The ingest, the steps from it to the last node, and the measures of a pipeline."""
    ingest = next((s for s in pipeline.stages if s.kind == "ingest"), None)
    measures = {s.into: s.calls[0] for s in pipeline.stages if s.kind == "measure"}
    steps = [
        (call.name, call.given)
        for stage in pipeline.stages
        if stage.kind == "steps"
        for call in stage.calls
    ]
    return ingest, steps, measures


def with_settings(steps: Steps, given: Mapping[str, str]) -> Steps:
    """Return `steps` with values set, as ``--set`` sets them: by ``module.step.parameter``."""
    content: dict[str, Any] = {"stages": [{"steps": [{name: dict(p)} for name, p in steps]}]}
    for key, text in given.items():
        settings.apply(content, key, text)
    return [next(iter(step.items())) for step in content["stages"][0]["steps"]]


def _span(scan: xr.Dataset, steps: Steps, row: int) -> tuple[int, int]:
    """Rows that are needed for one, by the contracts of the kernels."""
    ds = cut.template(scan)
    applied = []
    for name, given in steps:
        entry = find(name)
        plain = {k: v for k, v in given.items() if k not in entry.nodes}
        if name == "xct.reconstruct":
            break  # each slice by itself
        applied.append(cut.applied(ds, entry, plain, {}))
        ds = applied[-1].after
    if not applied:
        return row, row + 1
    segments = cut.segments(applied)
    if (
        len(segments) > 1
        or segments[0].dim is None
        or "z" not in set.intersection(*(s.free() for s in applied))
    ):
        whole = [s.entry.name for s in applied if "z" not in s.free()]
        raise ArgumentError(
            "a preview of one row cannot do steps that need all rows of a projection",
            got=", ".join(whole),
            do="leave them out of the preview",
        )
    kept = np.flatnonzero(ds["z"].values == scan["z"].values[row])
    if not kept.size:
        raise ArgumentError("the steps leave this row out", got=row, do="choose one further inside")
    return cut.Segment(tuple(applied), "z", 1).spans(int(kept[0]))[0]


def _lacks_axis(step: tuple[str, Mapping[str, Any]], sweep: Sweep | None) -> bool:
    name, given = step
    swept = sweep is not None and (sweep.step, sweep.parameter) == (name, "center")
    return name == "xct.reconstruct" and not swept and not {"center", "axis"} & given.keys()


def _axis(one: xr.Dataset) -> xr.Dataset:
    found: xr.Dataset = find("xct.find_center")(one, {"method": "opposite"})
    return found


def _with_nodes(
    slab: xr.Dataset, steps: Steps, measures: Mapping[str, Call]
) -> list[tuple[str, dict[str, Any]]]:
    """The steps with datasets in the place of nodes: each measured on the rows that were read."""
    made: dict[str, xr.Dataset] = {}
    return [(name, _resolved(slab, name, given, measures, made)) for name, given in steps]


def _resolved(
    slab: xr.Dataset,
    name: str,
    given: Mapping[str, Any],
    measures: Mapping[str, Call],
    made: dict[str, xr.Dataset],
) -> dict[str, Any]:
    """Arguments of one verb, with datasets in the place of nodes; `made` keeps them."""
    arguments = dict(given)
    for node in find(name).nodes:
        path = arguments.pop(node, None)
        if path is None:
            continue
        if path not in measures:
            raise unknown("measure that makes a node of this preview", str(path), measures)
        if path not in made:
            call = measures[path]
            others = {other: c for other, c in measures.items() if other != path}
            inner = _resolved(slab, call.name, call.given, others, made)
            if call.name == "xct.find_center":
                # Of the rows beside the one that is shown not all neighbours were read.
                inner["rows"] = 1
            made[path] = find(call.name)(slab, inner)
        arguments[node] = made[path]
    return arguments
