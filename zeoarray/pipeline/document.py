"""The YAML of a pipeline: stages, their steps, and the line where each stands.

::

    zeoarray: 1
    store: zn13x.zarr
    stages:
      - ingest: {source: 169068.nxs, into: xct/i13-2.6um/scan, pixel_size: 2.6 um}
      - measure: xct.find_center
        from: xct/i13-2.6um/scan
        into: xct/i13-2.6um/axis
        with: {rows: 8}
      - from: xct/i13-2.6um/scan
        into: xct/i13-2.6um/volume/bin1
        steps:
          - xct.normalize
          - xct.minus_log
          - xct.reconstruct: {axis: xct/i13-2.6um/axis, filter: ramp}

A parameter of a step that is a dataset is given as the path of a node. ``block: 80`` sets the rows
of a block, ``order: [z, u, angle]`` the order in which rows are taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from zeoarray.errors import PipelineError, SourceError, ZeoError, nearest
from zeoarray.ingest.parts import plain_yaml
from zeoarray.pipeline import settings
from zeoarray.store import places

Keys = tuple[str | int, ...]
Kind = Literal["ingest", "measure", "steps"]

TOP = ("zeoarray", "store", "stages")
STAGE: dict[Kind, tuple[str, ...]] = {
    "ingest": ("ingest",),
    "measure": ("measure", "from", "into", "with"),
    "steps": ("from", "into", "steps", "block", "order"),
}
VERSION = 1


@dataclass(frozen=True)
class Call:
    """One verb as the file calls it."""

    name: str
    given: Mapping[str, Any]
    keys: Keys
    """Where in the document it stands."""


@dataclass(frozen=True)
class Stage:
    """One stage of a pipeline."""

    number: int
    kind: Kind
    into: str
    """Node that it makes."""
    source: str | None
    """Node that it reads; None for an ingest."""
    calls: tuple[Call, ...]
    """Its steps, or its one measure."""
    scan: Mapping[str, Any]
    """Of an ingest: source and options, as `open_scan` takes them."""
    block: int | None
    """Rows of a block, where the file decides."""
    order: tuple[str, ...] = ()
    """Coords by which the rows of what is read are ordered; as they lie where empty."""

    @property
    def keys(self) -> Keys:
        """Where in the document it stands."""
        return ("stages", self.number)


@dataclass
class Faults:
    """Every fault of a file, each with its line, told at once."""

    document: plain_yaml.Document
    lines: list[tuple[int, str]] = field(default_factory=list)
    whole: tuple[str, ...] = ()
    """Nodes of the stages before, where a fault shows only once they are made."""

    def add(self, keys: Keys, fault: ZeoError | str) -> None:
        """Note what is wrong at a place of the document."""
        self.lines.append((self.document.line(keys), str(fault)))

    def raise_any(self) -> None:
        """Raise `PipelineError` with all of them, in the order of the file; nothing where none."""
        if not self.lines:
            return
        told = [f"line {line}: {text}" for line, text in sorted(dict.fromkeys(self.lines))]
        many = f"{len(told)} faults" if len(told) > 1 else "a fault"
        ran = "nothing was run"
        if self.whole:
            ran = f"what is made before it is kept: {', '.join(self.whole)}"
        raise PipelineError(f"{self.document.path} has {many}; {ran}\n" + "\n".join(told))


@dataclass(frozen=True)
class Pipeline:
    """A file that was read: its form is right, its content is not checked yet."""

    document: plain_yaml.Document
    store: Path
    stages: tuple[Stage, ...]


def read(path: str | Path, *, given: Mapping[str, str] | None = None) -> Pipeline:
    """Read a pipeline and set values in it.

    Paths in it are relative to the folder where the command runs.

    Parameters
    ----------
    path
        The YAML file.
    given
        Values to set, as text: ``store``, ``ingest.source`` (of every ingest), a parameter of a
        step wherever it is called (``xct.reconstruct.center``), or a place in the file
        (``stages.2.block``).

    Raises
    ------
    SourceError
        For a file that is not plain YAML.
    PipelineError
        Naming every fault of its form, with its line.
    """
    document = plain_yaml.read(Path(path))
    faults = Faults(document)
    for key, text in (given or {}).items():
        settings.apply(document.content, key, text)
    content = document.content
    for key in content:
        if key not in TOP:
            faults.add((key,), _strange("key", key, TOP))
    if content.get("zeoarray") != VERSION:
        faults.add(
            ("zeoarray",),
            SourceError(
                "the first key says which form the file has",
                got=repr(content.get("zeoarray")),
                expected=f"zeoarray: {VERSION}",
            ),
        )
    store = content.get("store")
    if not isinstance(store, str) or not store:
        faults.add(("store",), "'store' names the folder of the store: store: zn13x.zarr")
    else:
        try:
            places.root_of(store)
        except ZeoError as error:
            faults.add(("store",), error)
    stages = content.get("stages")
    if not isinstance(stages, list) or not stages:
        faults.add(("stages",), "'stages' is a list of at least one stage")
        stages = []
    made = [_stage(number, entry, faults) for number, entry in enumerate(stages)]
    faults.raise_any()
    return Pipeline(document, Path(str(store)), tuple(stage for stage in made if stage))


def _strange(kind: str, name: object, known: Sequence[str]) -> str:
    near = nearest(str(name), known)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"there is no {kind} {name!r}{hint} (there are: {', '.join(known)})"


def _stage(number: int, entry: object, faults: Faults) -> Stage | None:
    keys: Keys = ("stages", number)
    if not isinstance(entry, dict):
        faults.add(keys, f"a stage is a mapping with 'ingest', 'measure' or 'steps', got {entry!r}")
        return None
    kinds = [kind for kind in STAGE if kind in entry]
    if len(kinds) != 1:
        got = ", ".join(map(repr, kinds or entry)) or "nothing"
        faults.add(keys, f"a stage has one of 'ingest', 'measure' and 'steps', got {got}")
        return None
    kind = kinds[0]
    before = len(faults.lines)
    for key in entry:
        if key not in STAGE[kind]:
            faults.add((*keys, key), _strange(f"key of a stage with {kind!r}", key, STAGE[kind]))
    scan: Mapping[str, Any] = {}
    calls: tuple[Call, ...] = ()
    if kind == "ingest":
        scan, into = _ingest(entry["ingest"], (*keys, "ingest"), faults)
        source = None
    else:
        into, source = entry.get("into"), entry.get("from")
        _node(source, (*keys, "from"), "'from' names the node that is read", faults)
        calls = tuple(_calls(kind, entry, keys, faults))
    _node(into, (*keys, "into"), "'into' names the node that is made", faults)
    block = entry.get("block")
    if block is not None and (not isinstance(block, int) or isinstance(block, bool) or block < 1):
        faults.add((*keys, "block"), f"'block' is a number of rows, 1 or more, got {block!r}")
    order = entry.get("order", [])
    if not isinstance(order, list) or not all(isinstance(name, str) for name in order):
        faults.add(
            (*keys, "order"), f"'order' is a list of coords, as [z, u, angle], got {order!r}"
        )
        order = []
    if len(faults.lines) > before:
        return None
    return Stage(number, kind, str(into), source, calls, scan, block, tuple(order))


def _node(node: object, keys: Keys, what: str, faults: Faults) -> None:
    if not isinstance(node, str):
        faults.add(keys, f"{what}, as xct/i13-2.6um/scan; got {node!r}")
        return
    try:
        places.node_parts(node)
    except ZeoError as error:
        faults.add(keys, error)


def _ingest(entry: object, keys: Keys, faults: Faults) -> tuple[Mapping[str, Any], object]:
    if not isinstance(entry, dict):
        faults.add(keys, f"'ingest' is a mapping {{source: FILE, into: NODE}}, got {entry!r}")
        return {}, "-"
    source = entry.get("source")
    listed = source if isinstance(source, list) else [source]
    if not listed or not all(isinstance(item, str) for item in listed):
        faults.add((*keys, "source"), f"'source' is a path or a list of paths, got {source!r}")
    return {k: v for k, v in entry.items() if k != "into"}, entry.get("into")


def _calls(kind: Kind, entry: Mapping[str, Any], keys: Keys, faults: Faults) -> Iterator[Call]:
    if kind == "measure":
        given = entry.get("with") or {}
        if not isinstance(given, dict):
            faults.add((*keys, "with"), f"'with' is a mapping of parameters, got {given!r}")
            given = {}
        yield Call(str(entry["measure"]), given, (*keys, "with" if given else "measure"))
        return
    steps = entry["steps"]
    if not isinstance(steps, list) or not steps:
        faults.add((*keys, "steps"), f"'steps' is a list of at least one step, got {steps!r}")
        return
    for i, item in enumerate(steps):
        at: Keys = (*keys, "steps", i)
        if isinstance(item, str):
            yield Call(item, {}, at)
        elif isinstance(item, dict) and len(item) == 1:
            ((name, given),) = item.items()
            if given is not None and not isinstance(given, dict):
                faults.add(at, f"parameters of {name} are a mapping {{name: value}}, got {given!r}")
                given = {}
            yield Call(str(name), given or {}, (*at, str(name)))
        else:
            faults.add(at, f"a step is a name or {{name: {{parameter: value}}}}, got {item!r}")
