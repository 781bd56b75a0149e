"""In which condition the files of a node are: as its ledger says, or missing, torn or altered."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from zeoarray.errors import StoreError
from zeoarray.store import durable, ledger, places

Damage = Literal["missing", "torn", "altered"]

NAMED = 5
"""Damaged files that an error names; of more it tells how many."""


def damage(path: Path, known: ledger.Record, *, digests: bool) -> Damage | None:
    """What is wrong with one file; None where it is as it was recorded.

    Parameters
    ----------
    path, known
        The file, and what its ledger says of it.
    digests
        Read it and compare its digest; otherwise only its size is looked at.
    """
    if digests:
        seen = durable.read_digest(path)
        if seen is None:
            return "missing"
        if seen.nbytes != known.nbytes:
            return "torn"
        return None if seen.digest == known.digest else "altered"
    try:
        return None if path.stat().st_size == known.nbytes else "torn"
    except (FileNotFoundError, NotADirectoryError):
        return "missing"


def damages(folder: Path, book: ledger.Ledger, *, digests: bool) -> dict[str, Damage]:
    """Every file below `folder` that is not as `book` has it, and what is wrong with it."""
    looked = {k: damage(folder / k, r, digests=digests) for k, r in sorted(book.records.items())}
    return {key: fault for key, fault in looked.items() if fault is not None}


def require(store: str | Path, node: str, *, digests: bool = False) -> None:
    """Raise unless a node that is to be read is all there.

    Zarr reads a shard that is missing as zeros, so this is asked before.

    Raises
    ------
    StoreError
        Naming the files that are not as they were written.
    """
    target = places.locate(store, node)
    book = ledger.read(target.ledger)
    found = {} if book is None else damages(target.data, book, digests=digests)
    if found:
        more = [f"and {len(found) - NAMED} more"] if len(found) > NAMED else []
        named = [f"{node}/{key}: {fault}" for key, fault in list(found.items())[:NAMED]]
        raise StoreError(
            f"{node} is damaged: files of it are not as they were written",
            got="\n".join(named + more),
            do=f"zeoarray verify {target.root} --repair, or run the pipeline that made it again",
        )
