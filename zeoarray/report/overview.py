"""What stands on every page: the tree, how each node was made, what to cite, the run log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import xarray as xr

from zeoarray import schema
from zeoarray.chunks import format_bytes
from zeoarray.report.blocks import Table
from zeoarray.report.contents import Contents, Node, made_as

MOST_TEXT = 300
"""Letters of one value of a parameter that are shown."""
MOST_FILES = 12
_DOI = re.compile(r"10\.\d{4,9}/[^\s\"<>]+")


def kind(ds: xr.Dataset) -> str:
    """What the data model calls a node like this; empty where it does not know it."""
    found = [
        s for s in schema.SCHEMAS
        if len(s.required) > 1
        and all(v.name in ds.variables and ds.variables[v.name].dims == v.dims for v in s.required)
    ]  # fmt: skip
    return max(found, key=lambda s: len(s.required)).name if found else ""


@dataclass(frozen=True)
class Row:
    """One node of the tree."""

    name: str
    kind: str
    dims: list[str]
    variables: list[tuple[str, str]]
    """Dims, and the names of those that have them."""
    size: str
    state: str = ""
    """What is wrong with it."""


def tree(contents: Contents) -> list[Row]:
    """Every node, with what is in it."""
    rows = [_row(node) for node in contents.nodes]
    for b in contents.begun:
        # What a measure gives is not known before it is there.
        told = f"{b.done} of {b.total} blocks are written" if b.total else "nothing is written yet"
        rows.append(Row(b.name, "", [], [], "", f"unfinished: {told}"))
    return sorted(rows, key=lambda row: made_as(row.name))


def _row(node: Node) -> Row:
    ds = node.ds
    if node.error:
        state = f"cannot be opened: {node.error}"
        return Row(node.name, "", [], [], format_bytes(node.nbytes), state)
    dims = [f"{d} {n}{_range(ds, str(d))}" for d, n in ds.sizes.items()]
    return Row(node.name, kind(ds), dims, _variables(ds), format_bytes(node.nbytes))


def _variables(ds: xr.Dataset) -> list[tuple[str, str]]:
    """Dims, and the variables that have them: the largest first."""
    together: dict[tuple[str, ...], list[str]] = {}
    for name, v in ds.data_vars.items():
        unit = pretty(str(v.attrs.get("units", "1")))
        kept = [str(v.dtype)] if v.ndim > 1 else []
        told = ", ".join(kept + [unit] * (unit != "1"))
        dims = tuple(map(str, v.dims))
        together.setdefault(dims, []).append(f"{name} [{told}]" if told else str(name))
    ordered = sorted(together, key=lambda dims: (-len(dims), dims))
    return [(f"({', '.join(d)})" if d else "scalars", ", ".join(together[d])) for d in ordered]


_UNITS = {"um": "µm", "deg": "°", "1/angstrom": "1/Å", "angstrom": "Å"}


def pretty(unit: str) -> str:
    """A unit as it is printed."""
    return _UNITS.get(unit) or clipped(unit, 40)


def _range(ds: xr.Dataset, dim: str) -> str:
    if dim not in ds.coords or ds[dim].dtype.kind not in "uif" or not ds[dim].size:
        return ""
    values, unit = ds[dim].values, str(ds[dim].attrs.get("units", "1"))
    shown = f": {values[0]:.4g} to {values[-1]:.4g}" if values.size > 1 else f": {values[0]:.4g}"
    return shown + ("" if unit == "1" else f" {pretty(unit)}")


def clipped(text: object, most: int = MOST_TEXT) -> str:
    """A text that ends somewhere."""
    said = str(text)
    return said if len(said) <= most else said[: most - 1] + "…"


@dataclass(frozen=True)
class Made:
    """How a node was made."""

    name: str
    facts: dict[str, str]
    steps: Table
    inputs: Table
    notes: list[str]


def provenance(contents: Contents) -> list[Made]:
    """How each whole node was made: steps with all their parameters, inputs, versions."""
    return [_made(node) for node in contents.nodes if not node.error]


def _made(node: Node) -> Made:
    attrs = node.ds.attrs
    steps = [
        [clipped(s.get("step", "?")), clipped(s.get("version", "?")),
         "\n".join(_parameters(_mapping(s.get("parameters"))))]
        for s in _mappings(attrs.get("steps"))
    ]  # fmt: skip
    facts = {}
    if attrs.get("reader"):
        facts["read by"] = clipped(attrs["reader"])
    versions = _mapping(attrs.get("versions"))
    if versions:
        facts["made by"] = ", ".join(f"{clipped(k)} {clipped(v)}" for k, v in versions.items() if v)
    return Made(
        node.name, facts,
        Table(("step", "version", "parameters, all of them"), steps),
        Table(("made of", "what it was"), list(_inputs(attrs))),
        [clipped(n, 2000) for n in _list(attrs.get("notes"))],
    )  # fmt: skip


def _parameters(given: Mapping[str, Any]) -> Iterator[str]:
    for name, value in given.items():
        if isinstance(value, Mapping) and value.get("node"):
            yield clipped(f"{name} = node {value['node']}")
        else:
            yield clipped(f"{name} = {json.dumps(value, default=str)}")


def _inputs(attrs: Mapping[str, Any]) -> Iterator[list[str]]:
    files = _mappings(attrs.get("inputs"))
    for item in files[:MOST_FILES]:
        stamp = item.get("stamp")
        told = "not there when this was made"
        if isinstance(stamp, (list, tuple)) and len(stamp) == 2:
            told = f"{format_bytes(stamp[0])}, of {_time(stamp[1])}"
        yield [clipped(item.get("path")), told]
    if len(files) > MOST_FILES:
        yield [f"... {len(files)} files in all", clipped(files[-1].get("path"))]
    for name, digest in _mapping(attrs.get("made_of")).items():
        yield [f"node {clipped(name)}", f"xxh3-128 {clipped(digest)}"]
    for name, digest in _mapping(attrs.get("checksums")).items():
        yield [f"values of {clipped(name)}", f"xxh3-128 {clipped(digest)}"]


def _time(nanoseconds: Any) -> str:
    try:
        return f"{datetime.fromtimestamp(int(nanoseconds) / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "an unknown time"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in _list(value) if isinstance(item, Mapping)]


@dataclass(frozen=True)
class Citation:
    """What to cite, and for what."""

    text: str
    doi: str
    used_by: str


def citations(contents: Contents) -> list[Citation]:
    """Every method and package that the nodes of a store rest on."""
    steps: dict[str, set[str]] = {}
    others: dict[str, str] = {}
    for node in contents.nodes:
        for step in _mappings(node.ds.attrs.get("steps")):
            for doi in _list(step.get("cites")):
                steps.setdefault(clipped(doi), set()).add(clipped(step.get("step")))
        others |= {
            clipped(k): clipped(v) for k, v in _mapping(node.ds.attrs.get("citations")).items()
        }
    packages = [Citation(text, _doi(text), name) for name, text in sorted(others.items())]
    methods = [Citation(d, _doi(d), ", ".join(sorted(by))) for d, by in sorted(steps.items())]
    return packages + methods


def _doi(text: str) -> str:
    found = _DOI.search(text)
    return found.group() if found else ""


@dataclass(frozen=True)
class Run:
    """One run of a pipeline, as the log tells it."""

    title: str
    state: str
    stages: Table


def runs(contents: Contents) -> list[Run]:
    """Every run in the log of a store, the last one first."""
    found: list[list[dict[str, Any]]] = []
    for line in contents.log:
        if line.get("what") == "begin" or not found:
            found.append([])
        found[-1].append(line)
    return [_run(lines, contents) for lines in reversed(found)]


def _run(lines: list[dict[str, Any]], contents: Contents) -> Run:
    head = lines[0] if lines[0].get("what") == "begin" else {}
    ended = any(line.get("what") == "end" for line in lines)
    rows = []
    for line in lines:
        if line.get("what") != "made":
            continue
        node, seconds = contents.named(str(line.get("node"))), line.get("seconds")
        took = float(seconds) if isinstance(seconds, (int, float)) else 0.0
        rate = f"{format_bytes(node.nbytes / took)}/s" if node and took > 0 else "-"
        rows.append([clipped(line.get("node")), clipped(line.get("time")),
                     f"{took:.3g} s" if took > 0 else "-",
                     format_bytes(node.nbytes) if node else "-", rate])  # fmt: skip
    title = f"{clipped(head.get('time', 'a time not known'))}: {clipped(head.get('pipeline', '?'))}"
    title += f" on {clipped(head['host'])}" if head.get("host") else ""
    state = "came to its end" if ended else "did not come to its end"
    table = Table(("node", "made at", "took", "on disk", "written at"), rows)
    return Run(title, state, table)
