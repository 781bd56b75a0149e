"""A pipeline on its way to YAML: stages in their order, each with what is to be said about it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from zeoarray.errors import ArgumentError
from zeoarray.ingest.parts.process_list import printable

WIDTH = 98
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass
class Verb:
    """A step, or a measure, with its parameters."""

    name: str
    """``module.verb``."""
    parameters: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What is said above it, as comments."""
    into: str | None = None
    """Last part of the node that a measure makes; None for a step."""
    raw: bool = True
    """Of a measure: whether it reads raw frames; if not, it wants them normalised."""
    moves: bool = False
    """Whether it moves columns, so that an axis found before it is not the axis after it."""


@dataclass
class Draft:
    """What is known of a pipeline so far."""

    scan: str
    store: str
    title: list[str] = field(default_factory=list)
    """What is said at the top."""
    ingest: dict[str, Any] = field(default_factory=dict)
    """Options of ingest."""
    ingest_notes: list[str] = field(default_factory=list)
    verbs: list[Verb] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    """What is said at the end."""
    result: str = "corrected"
    """Last part of the node that the last stage makes."""

    def node(self, name: str) -> str:
        """Path of a node of the scan."""
        return f"xct/{self.scan}/{name}"

    def measured(self, name: str) -> bool:
        """Whether a measure makes the node `name`."""
        return any(verb.into == name for verb in self.verbs)

    def applied(self, name: str) -> bool:
        """Whether the step `name` is there already."""
        return any(verb.name == name for verb in self.verbs)

    def add(self, verb: Verb) -> None:
        """Append a step or a measure."""
        self.verbs.append(verb)


def node_name(text: str) -> str:
    """Return `text` as one part of a node's name, with '-' for what it may not have.

    Examples
    --------
    >>> node_name("scan 169078_(1)")
    'scan-169078_-1'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "scan"


def check_scan(name: str) -> str:
    """Return the name of a scan, or raise where it cannot be part of a node's name."""
    if not _NAME.fullmatch(name):
        raise ArgumentError(
            f"{printable(name)!r} cannot be the name of a scan",
            expected="letters, digits, '.', '_' and '-', beginning with a letter or digit",
            do="--scan i13-2.6um",
        )
    return name


def stages(draft: Draft) -> list[tuple[list[str], dict[str, Any]]]:
    """Return the stages after ingest, each with its notes.

    A measure that can reads the scan itself, without the steps that stand before it in the list. If
    it wants normalised frames, or one of the steps moves columns, these are made into a node, and
    the measure reads that.
    """
    out: list[tuple[list[str], dict[str, Any]]] = []
    source, waiting, count = draft.node("scan"), list[Verb](), 0
    for verb in draft.verbs:
        if verb.into is None:
            waiting.append(verb)
            continue
        if waiting and not (verb.raw and not any(step.moves for step in waiting)):
            count += 1
            into = draft.node("corrected" if count == 1 else f"corrected{count}")
            out.append(_steps(source, into, waiting))
            source, waiting = into, []
        stage: dict[str, Any] = {
            "measure": verb.name,
            "from": source,
            "into": draft.node(verb.into),
        }
        if verb.parameters:
            stage["with"] = verb.parameters
        out.append((verb.notes, stage))
    if waiting:
        out.append(_steps(source, draft.node(draft.result), waiting))
    return out


def _steps(source: str, into: str, verbs: list[Verb]) -> tuple[list[str], dict[str, Any]]:
    return [], {"from": source, "into": into, "steps": list(verbs)}


def render(draft: Draft, *, source: str) -> str:
    """Return the pipeline as YAML, with what is to be said as comments.

    Parameters
    ----------
    draft
        The pipeline.
    source
        The file to ingest.
    """
    return "\n".join(_lines(draft, source)) + "\n"


def _lines(draft: Draft, source: str) -> Iterator[str]:
    yield from _comments(draft.title, 0)
    yield "zeoarray: 1"
    yield f"store: {_flow(draft.store)}"
    yield "stages:"
    yield from _comments(draft.ingest_notes, 2)
    yield "  - ingest:"
    for key, value in {"source": source, "into": draft.node("scan"), **draft.ingest}.items():
        yield f"      {key}: {_flow(value)}"
    for notes, stage in stages(draft):
        yield from _comments(notes, 2)
        lead = "  - "
        for key, value in stage.items():
            if key == "steps":
                yield "    steps:"
                yield from _step_lines(value)
            else:
                yield f"{lead}{key}: {_flow(value)}"
                lead = "    "
    yield from _comments(draft.last, 0)


def _step_lines(verbs: list[Verb]) -> Iterator[str]:
    for verb in verbs:
        yield from _comments(verb.notes, 6)
        told = f": {_flow(verb.parameters)}" if verb.parameters else ""
        line = f"      - {verb.name}{told}"
        if len(line) <= WIDTH:
            yield line
            continue
        yield f"      - {verb.name}:"
        for name, value in verb.parameters.items():
            yield f"          {name}: {_flow(value)}"


def _comments(notes: list[str], indent: int) -> Iterator[str]:
    margin = " " * indent + "# "
    for note in notes:
        # Notes hold text of the list: it may not end the comment.
        text = printable(note, most=2000)
        yield from textwrap.wrap(
            text,
            WIDTH,
            initial_indent=margin,
            subsequent_indent=margin + "  ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _flow(value: Any) -> str:
    # A text with line breaks is written with escapes: it stays on its line.
    style = '"' if isinstance(value, str) and not value.isprintable() else None
    text = yaml.safe_dump(
        [value], default_flow_style=True, default_style=style, sort_keys=False, width=1 << 30
    )
    return text.strip()[1:-1]
