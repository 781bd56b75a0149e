"""Floor 4: process lists of Savu (``.nxs``) and HTTomo (``.yaml``) become our pipelines.

Steps keep the order of the list. What has no counterpart is an error that names all of it; what a
parameter meant and we do not have is said in a comment where it stood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeoarray.convert import httomo, savu
from zeoarray.convert.draft import Draft, check_scan, node_name, render
from zeoarray.convert.given import Given
from zeoarray.convert.verbs import NoCounterpart
from zeoarray.errors import ArgumentError, SourceError, nearest
from zeoarray.ingest.parts import hdf5, process_list
from zeoarray.ingest.parts.process_list import printable

__all__ = ["convert"]

Converter = Callable[[Draft, Given, str], None]

PLUMBING = ("pattern",)
"""Parameters of any plug-in of Savu that say how it cuts data, which changes nothing."""


@dataclass(frozen=True)
class Entry:
    """One step of a list."""

    place: str
    """How the list counts it: ``4``."""
    name: str
    parameters: dict[str, Any]
    active: bool
    find: Callable[[], Converter]
    """Gives what converts it, or raises `NoCounterpart`."""


def convert(
    path: str | Path,
    *,
    source: str | Path | None = None,
    store: str | Path | None = None,
    scan: str | None = None,
    skip: Sequence[str] = (),
) -> str:
    """Return a process list of Savu or HTTomo as the YAML of a pipeline.

    Parameters
    ----------
    path
        Savu's ``.nxs`` (a process list, or the ``_processed.nxs`` of a run), or HTTomo's ``.yaml``.
    source
        The raw scan; ``scan.nxs`` where it is left out.
    store
        The store; named after the source where it is left out.
    scan
        Name of the scan in the store; named after the source where it is left out.
    skip
        Names, or numbers, of steps to leave out knowingly.

    Returns
    -------
    str
        YAML, with comments that say what became of each step and parameter.

    Raises
    ------
    SourceError
        For a file that is no process list, for values that cannot be used, and for steps that
        have no counterpart: all of these at once, each with what to use instead.
    ArgumentError
        For a step to skip that the list does not have, and a scan that cannot be named so.
    """
    path = Path(path)
    file = str(source) if source is not None else "scan.nxs"
    named = node_name(Path(file).stem)
    into = str(store) if store is not None else f"{named}.zarr"
    draft = Draft(check_scan(scan if scan is not None else named), into)
    if hdf5.is_hdf5(path) or path.suffix in (".nxs", ".h5", ".hdf5"):
        entries = list(_of_savu(path, draft))
    else:
        entries = list(_of_httomo(path, draft))
    if source is None:
        draft.ingest_notes.append("type the scan's file here, or convert with --source FILE")
    _fill(path, draft, entries, skip)
    if not draft.verbs:
        raise SourceError(
            f"{path} has no step that does anything",
            got=", ".join(f"{e.place} {e.name}" for e in entries) or "an empty list",
            expected="steps that are active and not skipped",
        )
    return render(draft, source=file)


def _of_savu(path: Path, draft: Draft) -> Iterable[Entry]:
    found = process_list.read(path)
    by = f"Savu {found.version}" if found.version else "Savu"
    draft.title.append(f"The process list {path.name} of {by}, by `zeoarray convert`.")
    draft.title.append(
        "Values per pixel become 1/cm, by the pixel size of the scan (ingest: pixel_size)."
    )
    if found.loops:
        raise SourceError(
            f"{path}: the list runs some plug-ins several times over",
            got="iterations " + ", ".join(found.loops),
            expected="plug-ins that run once each",
            do="remove the iteration in Savu's configurator",
        )
    for row in found.rows:
        yield Entry(
            str(row.number),
            row.name,
            row.parameters,
            row.active,
            lambda name=row.name: savu.converter(name),  # type: ignore[misc]
        )


def _of_httomo(path: Path, draft: Draft) -> Iterable[Entry]:
    draft.title.append(f"The process list {path.name} of HTTomo, by `zeoarray convert`.")
    for i, row in enumerate(httomo.read(path), start=1):
        yield Entry(
            str(i),
            row.method,
            row.parameters,
            True,
            lambda row=row: httomo.converter(row),  # type: ignore[misc]
        )


def _fill(path: Path, draft: Draft, entries: Sequence[Entry], skip: Sequence[str]) -> None:
    _check_skips(path, entries, skip)
    lacking: list[str] = []
    flow = _Flow()
    for entry in entries:
        told = f"{entry.name} ({entry.place})"
        given = Given(f"{path}: {told}", entry.parameters)
        if not entry.active:
            draft.last.append(f"{told}: switched off in the list, left out")
            continue
        if entry.name in skip or entry.place in skip:
            draft.last.append(f"{told}: left out as asked, --skip")
            flow.pass_by(given)
            continue
        flow.follow(given)
        given.drop(PLUMBING)
        try:
            entry.find()(draft, given, told)
        except NoCounterpart as gap:
            lacking.append(f"{entry.place} {entry.name}: {gap.instead}")
    if lacking:
        count = "a step" if len(lacking) == 1 else f"{len(lacking)} steps"
        raise SourceError(
            f"{path}: {count} of the list cannot be converted",
            got="what each has, or is to be replaced by:\n" + "\n".join(lacking),
            expected="steps that zeoarray has",
            do="change the list, or leave them out: "
            + " ".join(f"--skip {line.split()[0]}" for line in lacking),
        )


def _check_skips(path: Path, entries: Sequence[Entry], skip: Sequence[str]) -> None:
    known = {entry.name for entry in entries} | {entry.place for entry in entries}
    for name in skip:
        if name not in known:
            near = nearest(name, known)
            raise ArgumentError(
                f"{path}: there is no step {printable(name)!r} to skip",
                expected=", ".join(f"{e.place} {e.name}" for e in entries),
                do=f"did you mean {near!r}?" if near else None,
            )


class _Flow:
    """Which dataset each step of Savu works on: a list that branches cannot be followed."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        """Names of what the last step gave; none is known at first."""

    def follow(self, given: Given) -> None:
        """Check that a step takes what the one before it gave."""
        takes, gives = self._ends(given)
        if takes and self._names and not (len(takes) == 1 and takes[0] in self._names):
            raise SourceError(
                f"{given.where} does not work on what the step before it gave",
                got=printable(f"in_datasets={takes}"),
                expected=" or ".join(sorted(map(printable, self._names))),
                do="a list that branches is several pipelines: convert one branch, and --skip the "
                "steps of the other",
            )
        if len(gives) == 1:
            self._names = {gives[0]}

    def pass_by(self, given: Given) -> None:
        """Take what a step that is left out would have given for what it takes."""
        self._names |= set(self._ends(given)[1])

    def _ends(self, given: Given) -> tuple[list[str], list[str]]:
        takes, gives = (_names(given.take(f"{end}_datasets")) for end in ("in", "out"))
        name = given.peek("name")
        if isinstance(name, str) and not takes and not gives:
            # A loader names what it loads.
            gives = [name]
        return takes, gives


def _names(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
