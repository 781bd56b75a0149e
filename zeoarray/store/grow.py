"""A node while it grows: begun beside the store, and renamed in when it is whole.

It has no ``zarr.json`` until the last file of it is there, so that it cannot be opened before.
"""

from __future__ import annotations

import concurrent.futures as cf
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from zeoarray import chunks
from zeoarray.errors import FingerprintError, StoreError
from zeoarray.store import condition, durable, encode, ledger, lock, multiscales, places, record

FOLDER = "folder"
"""Names the folder of a node that was begun anew over another."""
SMALL_AT_ONCE = 8
"""Small files that are written side by side."""


@dataclass(frozen=True)
class Plan:
    """What a dataset becomes on disk."""

    small: xr.Dataset
    """Coordinates and all that zarr writes as one chunk each."""
    large: dict[str, encode.Sharded]
    variables: dict[str, xr.Variable]
    """The values of `large`, lazy."""

    @property
    def nbytes(self) -> int:
        """Bytes of the large arrays, uncompressed."""
        return sum(int(v.nbytes) for v in self.variables.values())

    def tasks(self) -> Iterator[tuple[encode.Sharded, chunks.Index]]:
        """Every shard of every large array."""
        for array in self.large.values():
            for index in array.layout.indices():
                yield array, index


def plan(ds: xr.Dataset, arrays: Mapping[str, encode.Sharded] | None = None) -> Plan:
    """Decide which variables are cut into shards, and how; only the small ones are read.

    Parameters
    ----------
    ds
        What will be written.
    arrays
        Variables whose shards are decided already, whatever their size.
    """
    large, variables = dict(arrays or {}), {str(n): ds[n].variable for n in arrays or ()}
    for name, data in ds.data_vars.items():
        if name not in large and encode.is_large(data.variable):
            large[str(name)] = encode.sharded(data.variable, str(name))
            variables[str(name)] = data.variable
    return Plan(ds.drop_vars(large).compute(), large, variables)


@dataclass
class Growing:
    """A node while it is written: what is missing, and how it becomes whole."""

    target: places.Places
    ds: xr.Dataset
    todo: Plan
    book: ledger.Ledger | None
    """None where the node is whole already, made of the same."""

    @property
    def whole(self) -> bool:
        """Whether nothing is left to do."""
        return self.book is None

    @property
    def folder(self) -> Path:
        """Where its files are written."""
        return _folder(self.target)

    @property
    def keys(self) -> set[str]:
        """Files that are finished."""
        return set() if self.book is None else set(self.book.records)

    def append(self, *records: ledger.Record) -> None:
        """Record finished files, durably."""
        if self.book is not None:
            self.book.append(*records)

    def finish(self) -> None:
        """Write what makes the node readable, and rename it into the store."""
        if self.book is not None:
            # Zarr reads a chunk that is not there as zeros.
            record.unchanged(self.target, self.book.fingerprint)
            missing = {a.key(i) for a, i in self.todo.tasks()} - self.book.records.keys()
            if missing:
                raise StoreError(
                    f"{self.target.node} is not whole",
                    got=f"{len(missing)} shards were not written, the first {min(missing)}",
                )
            _finish(self.target, self.ds, self.todo, self.book)
            self.book = None


@contextmanager
def growing(
    ds: xr.Dataset,
    todo: Plan,
    store: str | Path,
    node: str,
    fingerprint: Mapping[str, Any],
    *,
    overwrite: bool = False,
    restart: bool = False,
    wait: bool = False,
    verify: bool = False,
) -> Iterator[Growing]:
    """Lock a node and begin it, or take it up where an interrupted run left it.

    Parameters
    ----------
    ds, todo
        What the node will be; values of the large variables are not touched here.
    store, node
        Where.
    fingerprint
        What it is made of: a half-written node of another fingerprint is refused.
    overwrite, restart, wait, verify
        As for `save`.
    """
    target = places.locate(store, node)
    if not ds.variables:
        raise StoreError(f"{node}: the dataset is empty", expected="at least one variable")
    with lock.held(target.lock, wait=wait):
        recover(target)
        _nesting(target, todo)
        if target.data.exists() and not overwrite:
            book = _same_or_raise(target, fingerprint)
            if not condition.damages(target.data, book, digests=verify):
                multiscales.update(target.root, target.node)  # a kill may have come before it
                yield Growing(target, ds, todo, None)
                return
            _take_back(target)
        yield Growing(target, ds, todo, _begin(target, fingerprint, restart=restart))


def _take_back(target: places.Places) -> None:
    """Make a whole node a half-written one, of which only what is damaged is missing."""
    try:
        if target.growing.exists():
            shutil.rmtree(target.growing)
        durable.rename(target.data, target.growing / "data")
        durable.rename(target.ledger, target.growing / "ledger.jsonl")
    except OSError as error:
        raise durable.failed(target.growing, error) from error


def _folder(target: places.Places) -> Path:
    """Where files of a half-written node are: another folder each time that it is begun anew."""
    try:
        return target.growing / (target.growing / FOLDER).read_text(encoding="utf-8")
    except FileNotFoundError:
        return target.growing / "data"


def _begin(
    target: places.Places, fingerprint: Mapping[str, Any], *, restart: bool
) -> ledger.Ledger:
    """Take up a half-written node, or begin it; blocks that are not as recorded are forgotten."""
    path, data = target.growing / "ledger.jsonl", _folder(target)
    book = ledger.read(path)
    if book is not None and not restart:
        changed = record.differences(book.fingerprint, fingerprint)
        if changed:
            raise FingerprintError(
                f"{target.node} was begun with other inputs or parameters",
                got="\n".join(changed),
                do="restore them to go on, or drop the half-written node (--restart)",
            )
        torn = {
            key
            for key, known in book.records.items()
            if durable.read_digest(data / key) != durable.Written(known.nbytes, known.digest)
        }
        book.forget(torn)
        return book
    anew = target.growing.exists()
    try:
        if anew:
            shutil.rmtree(target.growing)
        # A worker may outlive the run that was killed: what it writes must not land among this.
        data = target.growing / (f"data-{uuid.uuid4().hex[:8]}" if anew else "data")
        data.mkdir(parents=True)
    except OSError as error:
        raise durable.failed(target.growing, error) from error
    if anew:
        durable.write(target.growing / FOLDER, [data.name.encode()])
    return ledger.create(path, fingerprint, record.versions())


def _finish(target: places.Places, ds: xr.Dataset, todo: Plan, book: ledger.Ledger) -> None:
    """Write what makes the node readable, then rename it into the store."""
    folder = _folder(target)
    files = metadata_files(ds, todo, book)

    def put(key: str) -> ledger.Record:
        written = durable.write(folder / key, [files[key]])
        return ledger.Record(key, written.nbytes, written.digest)

    # Side by side: a file system makes many waiting fsyncs into one. The group's own metadata
    # comes last: before it, nothing opens this folder.
    with cf.ThreadPoolExecutor(SMALL_AT_ONCE) as pool:
        records = list(pool.map(put, sorted(key for key in files if key != "zarr.json")))
    book.append(*records, put("zarr.json"))
    unknown = {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()}
    for stray in unknown - book.records.keys():
        (folder / stray).unlink()  # temporary files of writers that were killed
    try:
        ensure_groups(target.root, target.data.parent)
        retired = target.growing / "replaced"
        if target.data.exists():
            durable.rename(target.data, retired)
        durable.rename(folder, target.data)
        durable.rename(book.path, target.ledger)
        shutil.rmtree(target.growing)
    except OSError as error:
        raise durable.failed(target.data, error) from error
    multiscales.update(target.root, target.node)


def metadata_files(ds: xr.Dataset, todo: Plan, book: ledger.Ledger) -> dict[str, bytes]:
    """Everything of a node but its shards: group, array metadata, coordinates, provenance."""
    small = todo.small.copy()
    small.attrs = record.provenance(ds, book)  # and not added: what it leaves out is not there
    files = encode.small(small)
    for name, array in todo.large.items():
        files[f"{name}/zarr.json"] = encode.metadata(array, todo.variables[name].attrs)
    return files


def remove(store: str | Path, node: str) -> None:
    """Delete a node and its ledger: the ledger last, so that a half-deleted node is known as one.

    Raises
    ------
    StoreError
        Where a file cannot be deleted.
    """
    target = places.locate(store, node)
    with lock.held(target.lock):
        try:
            # Renamed out of the store first: half a node must never be open for reading.
            if target.data.exists():
                target.growing.mkdir(parents=True, exist_ok=True)
                durable.rename(target.data, target.growing / "removed")
            if target.growing.exists():
                shutil.rmtree(target.growing)
            target.ledger.unlink(missing_ok=True)
        except OSError as error:
            raise durable.failed(target.data, error) from error
        multiscales.update(target.root, target.node)


def recover(target: places.Places) -> None:
    """Complete a finish, or a taking back, that was interrupted between its renames."""
    path = target.growing / "ledger.jsonl"
    if not path.exists() and (target.growing / "data").exists() and not target.data.exists():
        if target.ledger.exists():
            durable.rename(target.ledger, path)
        return
    if path.exists() and not _folder(target).exists() and target.data.exists():
        durable.rename(path, target.ledger)
        shutil.rmtree(target.growing)
    elif target.growing.exists() and not path.exists() and target.data.exists():
        shutil.rmtree(target.growing)


def made_of(store: str | Path, node: str, fingerprint: Mapping[str, Any]) -> bool:
    """Whether what is there of a node, whole or half-written, was made of the same."""
    target = places.locate(store, node)
    paths = (target.growing / "ledger.jsonl", target.ledger)
    book = next((found for path in paths if (found := ledger.read(path)) is not None), None)
    return book is not None and not record.differences(book.fingerprint, fingerprint)


def _same_or_raise(target: places.Places, fingerprint: Mapping[str, Any]) -> ledger.Ledger:
    known = ledger.read(target.ledger)
    changed = ["its ledger is missing"]
    if known is not None:
        changed = record.differences(known.fingerprint, fingerprint)
    if known is None or changed:
        raise StoreError(
            f"{target.node} exists in {target.root} and was made otherwise",
            got="\n".join(changed),
            do="choose another node, or replace it (--overwrite)",
        )
    return known


def _nesting(target: places.Places, todo: Plan) -> None:
    """Refuse what xarray could not open: a node with dims above or below another node."""
    above = [target.data.relative_to(target.root).parents[i] for i in range(target.node.count("/"))]
    taken = [p.as_posix() for p in above if any((target.root / p).glob("*/c"))]
    below = sorted(target.data.glob("**/c")) if target.data.is_dir() and todo.small.sizes else []
    below = [p for p in below if p.parent.parent != target.data]
    if taken or below:
        other = taken[0] if taken else below[0].parent.parent.relative_to(target.root).as_posix()
        raise StoreError(
            f"{target.node} and {other} cannot both hold arrays: one lies inside the other",
            expected="nodes side by side, as xct/<scan>/scan and xct/<scan>/volume",
            do=f"for example {target.node}/scan" if below else f"a node beside {other}",
        )


def ensure_groups(root: Path, folder: Path) -> None:
    """Make `folder` and all above it up to `root` zarr groups."""
    steps = [root, *reversed([p for p in folder.parents if p.is_relative_to(root) and p != root])]
    for place in dict.fromkeys([*steps, folder]):
        if not (place / "zarr.json").exists():
            durable.write(place / "zarr.json", [GROUP])
    durable.sync_folder(root.parent)


GROUP = b'{\n  "attributes": {},\n  "zarr_format": 3,\n  "node_type": "group"\n}'
