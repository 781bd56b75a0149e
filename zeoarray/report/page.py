"""`write`: all of a store on one page."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import jinja2

from zeoarray.chunks import format_bytes
from zeoarray.errors import StoreError, ZeoError
from zeoarray.report import contents as stores
from zeoarray.report import overview, truth
from zeoarray.report.blocks import Block, Note, Picture
from zeoarray.report.contents import Contents, Node
from zeoarray.report.registry import Around, Section, fitting
from zeoarray.store import record

MOST_BYTES = 16_000_000
"""Of the page; pictures of pixels are made smaller until it fits."""
SMALLEST = 0.5
"""But not smaller than this share of their sides: their text must be read."""
Progress = Callable[[str, int, int], None]


@dataclass
class Part:
    """One section of one node, drawn."""

    anchor: str
    title: str
    order: int
    place: str
    """The node, within its group."""
    pictures: list[Picture] = field(default_factory=list)
    rest: list[Block] = field(default_factory=list)
    """Tables, facts and notes, in their order."""

    @property
    def warnings(self) -> list[Note]:
        """What has to be told at the top."""
        return [b for b in self.rest if isinstance(b, Note) and b.kind != "note"]


@dataclass
class Group:
    """All parts of one scan."""

    anchor: str
    name: str
    parts: list[Part]
    undrawn: list[str]
    """Nodes that no section draws."""


def write(
    store: str | Path,
    out: str | Path | None = None,
    *,
    truth_from: str | Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write one HTML page that shows a store; it holds all it shows and asks no network.

    Of arrays, only planes and parts are read, as much as is held easily. What cannot be drawn is
    said in its place, with the reason.

    Parameters
    ----------
    store
        Folder of the zarr store; one that is unfinished is shown as far as it is.
    out
        File to write; beside the store, ``<store>.report.html``, where None. It is replaced as a
        whole.
    truth_from
        Folder of a twin's files, or its ``truth.zarr``; where None it is looked for beside the
        files that the store was made of.
    progress
        Called with what is drawn, the number of nodes done, and of all.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    StoreError
        Where there is no store, or the file cannot be written.
    ArgumentError
        Where `truth_from` holds no truth.
    """
    found = stores.read(store)
    around = Around(found, truth.find(found, None if truth_from is None else Path(truth_from)))
    target = found.root.with_name(found.root.name + ".report.html") if out is None else Path(out)
    groups = list(_groups(found, around, progress))
    _fit([p for g in groups for part in g.parts for p in part.pictures])
    text = _rendered(found, around, groups)
    part = target.with_name(target.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(
            f"{target} cannot be written", got=error.strerror, do="choose another place: -o FILE"
        ) from error
    return target


def _groups(contents: Contents, around: Around, progress: Progress | None) -> Iterable[Group]:
    done, total = 0, len(contents.nodes)
    for i, (name, nodes) in enumerate(contents.groups().items()):
        parts: list[Part] = []
        undrawn = []
        for node in nodes:
            sections = list(fitting(node, around))
            for section in sections:
                part = _drawn(section, node, around, f"g{i}s{len(parts)}")
                # A section that has nothing to say of this node leaves no heading.
                if part.pictures or part.rest:
                    parts.append(part)
            if not sections:
                undrawn.append(node.name)
            done += 1
            if progress is not None:
                progress("draw", done, total)
        yield Group(f"g{i}", name, sorted(parts, key=lambda part: part.order), undrawn)


def _drawn(section: Section, node: Node, around: Around, anchor: str) -> Part:
    part = Part(anchor, section.title, section.order, node.place)
    try:
        for block in section.draw(node, around):
            if isinstance(block, Picture):
                part.pictures.append(block)
            else:
                part.rest.append(block)
    except Exception as error:  # the page is for looking at what is wrong: it is told, not raised
        what = error.what if isinstance(error, ZeoError) else f"{type(error).__name__}: {error}"
        detail = str(error) if isinstance(error, ZeoError) and str(error) != what else ""
        part.rest.append(
            Note(f"This could not be drawn. {overview.clipped(what, 600)}", "failure",
                 overview.clipped(detail, 2000))
        )  # fmt: skip
    return part


def _fit(pictures: list[Picture]) -> None:
    """Make pictures of pixels smaller until all fit into the page."""
    # In base 64 three bytes are four letters.
    room, factor = MOST_BYTES * 3 // 4, 1.0
    pixels = [p for p in pictures if p.mime == "image/png"]
    curves = sum(len(p.content) for p in pictures) - sum(len(p.content) for p in pixels)
    for _ in range(4):
        size, left = sum(len(p.content) for p in pixels), room - curves
        if not pixels or size <= left:
            return
        factor = max(0.9 * factor * (max(left, 1) / size) ** 0.5, SMALLEST)
        for shown in pixels:
            shown.shrunk(factor)


def _rendered(contents: Contents, around: Around, groups: list[Group]) -> str:
    # Names and attributes of a store are nobody's to trust: everything is escaped, and the page
    # forbids itself scripts and every address but the pictures it holds.
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined,
                                     trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    template = environment.from_string(_asset("page.html"))
    css = _asset("page.css")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    warnings = [(g, p, note) for g in groups for p in g.parts for note in p.warnings]
    rows = overview.tree(contents)
    return template.render(
        css=css,
        css_digest=digest,
        contents=contents,
        size=format_bytes(contents.nbytes),
        truth="" if around.truth is None else str(around.truth.root),
        tree=rows,
        groups=groups,
        warnings=warnings,
        unsound=[row for row in rows if row.state],
        made=overview.provenance(contents),
        citations=overview.citations(contents),
        runs=overview.runs(contents),
        version=record.versions()["zeoarray"],
    )


def _asset(name: str) -> str:
    return (files("zeoarray.report") / name).read_text(encoding="utf-8")
