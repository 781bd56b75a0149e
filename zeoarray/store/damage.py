"""`verify`: every file of a store against its digest, and the healing of what is not as written."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from zeoarray.errors import ZeoError
from zeoarray.store import condition, durable, grow, ledger, lock, places, read, write

Fault = Literal["missing", "torn", "altered", "unexpected", "unrecorded"]

LEFT = "it is left as it is: delete it if it is not wanted"
"""What is said of a file that no ledger names: it may be somebody's."""


@dataclass(frozen=True)
class Finding:
    """One file that is not as it was written."""

    node: str
    key: str
    fault: Fault
    """``missing``; ``torn`` (its size is wrong); ``altered`` (its bytes are); ``unexpected``
    (no ledger names it: it is never touched); ``unrecorded`` (the node has no ledger)."""
    repaired: bool = False
    why_not: str | None = None
    """Why it could not be repaired, where that was asked."""


Rebuild = Callable[[Mapping[str, Any]], xr.Dataset]
"""From the fingerprint in a node's ledger to the dataset that the node was made of."""


def verify(
    store: str | Path,
    *,
    rebuild: Rebuild | None = None,
    progress: write.Progress | None = None,
) -> list[Finding]:
    """Check every file of every node; with `rebuild`, write the damaged ones anew.

    Parameters
    ----------
    store
        Folder of the zarr store.
    rebuild
        Gives the dataset that a node was made of, from the ledger's fingerprint. A rebuilt file
        is put in place only where it has the very digest that was recorded.
    progress
        Called with the bytes checked, and with all there are.

    Returns
    -------
    list of Finding
        One for each file that is not as written; empty where all is well.
    """
    root = places.root_of(store)
    read.check(root)
    names = sorted({*read.nodes(root), *_recorded(root)})
    books = {name: ledger.read(places.Places(root, name).ledger) for name in names}
    total = sum(r.nbytes for b in books.values() if b for r in b.records.values())
    done = 0
    found: list[Finding] = []
    for name in names:
        target = places.Places(root, name)
        grow.recover(target)
        book = ledger.read(target.ledger)
        if book is None:
            found.append(Finding(name, "", "unrecorded", why_not="no ledger beside the store"))
            continue
        faults: dict[str, Fault] = {}
        for key, known in sorted(book.records.items()):
            fault = condition.damage(target.data / key, known, digests=True)
            if fault is not None:
                faults[key] = fault
            done += known.nbytes
            if progress is not None:
                progress(done, total)
        for key in _files(target.data) - book.records.keys():
            faults[key] = "unexpected"
        found += _heal(target, book, faults, rebuild) if faults else []
    return found


def _recorded(root: Path) -> list[str]:
    return [p.stem.replace("+", "/") for p in (places.beside(root) / "nodes").glob("*.jsonl")]


def _files(folder: Path) -> set[str]:
    """Keys of the files of one node; child nodes are not its own."""
    own = {p.relative_to(folder).as_posix() for p in folder.glob("*") if p.is_file()}
    for array in folder.glob("*/zarr.json"):
        if read.node_type(array) != "group":
            own |= {
                p.relative_to(folder).as_posix() for p in array.parent.rglob("*") if p.is_file()
            }
    return own


def _heal(
    target: places.Places,
    book: ledger.Ledger,
    faults: dict[str, Fault],
    rebuild: Rebuild | None,
) -> list[Finding]:
    if rebuild is None:
        return [Finding(target.node, key, fault) for key, fault in faults.items()]
    wrong = {key: fault for key, fault in faults.items() if fault != "unexpected"}
    repaired, why = set[str](), ""
    if wrong:
        try:
            with lock.held(target.lock):
                repaired, why = _rewrite(target, book, set(wrong), rebuild)
        except ZeoError as error:
            why = str(error)
    return [
        Finding(target.node, key, fault, True)
        if key in repaired
        else Finding(target.node, key, fault, why_not=why if key in wrong else LEFT)
        for key, fault in faults.items()
    ]


def _rewrite(
    target: places.Places,
    book: ledger.Ledger,
    faults: set[str],
    rebuild: Rebuild,
) -> tuple[set[str], str]:
    """Write the faulty files anew beside the store; move in those with the recorded digest."""
    ds = rebuild(book.fingerprint)
    todo = grow.plan(ds)
    scratch = target.growing.with_name(f"{target.flat}.repair")
    repaired = set()
    try:
        wanted = {array.key(index): (array, index) for array, index in todo.tasks()}
        files = grow.metadata_files(ds, todo, book) if faults - wanted.keys() else {}
        for key in sorted(faults):
            if key in wanted:
                array, index = wanted[key]
                new = write.write_block(scratch, array, index, todo.variables[array.name])
            elif key in files:
                written = durable.write(scratch / key, [files[key]])
                new = ledger.Record(key, written.nbytes, written.digest)
            else:
                continue
            if new.digest == book.records[key].digest:
                durable.rename(scratch / key, target.data / key)
                repaired.add(key)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return repaired, "what its source gives now is not what was written"
