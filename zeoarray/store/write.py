"""`save`: the only way by which a dataset becomes a node of a store.

The dataset is cut into shards by its layout, whatever its own chunks are; each shard is read,
written and recorded once, by one task. So the trap of misaligned dask writes (dask#12583) cannot
be set. The node grows beside the store without any ``zarr.json``, so that it cannot be opened,
and is renamed in when the last file of it is there.
"""

from __future__ import annotations

import concurrent.futures as cf
import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import xxhash

from zeoarray import chunks
from zeoarray.errors import FingerprintError, StoreError
from zeoarray.store import durable, encode, ledger, lock, places, record

Progress = Callable[[int, int], None]
"""Called with the bytes (uncompressed) that are done, and with all there are."""


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


def plan(ds: xr.Dataset) -> Plan:
    """Decide which variables are cut into shards, and how; only the small ones are read."""
    large, variables = {}, {}
    for name, data in ds.data_vars.items():
        dims = tuple(map(str, data.dims))
        if data.size and (dims in encode.SHARDED or data.nbytes >= encode.SMALL):
            large[str(name)] = encode.sharded(data.variable, str(name))
            variables[str(name)] = data.variable
    return Plan(ds.drop_vars(large).compute(), large, variables)


def save(
    ds: xr.Dataset,
    store: str | Path,
    node: str,
    *,
    executor: cf.Executor | None = None,
    in_flight: int = 4,
    overwrite: bool = False,
    restart: bool = False,
    wait: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write a dataset to a node of a store; run again after an interruption, it goes on.

    Parameters
    ----------
    ds
        Any dataset whose large variables are numbers; lazy ones are read shard by shard.
    store
        Folder of the zarr store, made where it is not there.
    node
        Name of the node, as ``xct/i13-2.6um/scan``.
    executor
        Runs the blocks (a process pool, or ``distributed.Client.get_executor()``); None runs
        them here, one after the other.
    in_flight
        At most this many blocks are given to the executor at once.
    overwrite
        Replace a node that exists; the old one stays until the new one is whole.
    restart
        Drop a half-written node that was begun with other inputs or parameters.
    wait
        Wait for another process that writes the same node, instead of raising.
    progress
        Called as blocks are finished.

    Returns
    -------
    Path
        Folder of the node, whole.

    Raises
    ------
    ArgumentError
        For the name of a node that is not allowed.
    StoreError
        Where the node exists with another content, or the disk is full.
    FingerprintError
        Where a half-written node was begun with other inputs or parameters.
    LockedError
        Where another process writes this node.
    """
    target = places.locate(store, node)
    if not ds.variables:
        raise StoreError(f"{node}: the dataset is empty", expected="at least one variable")
    todo = plan(ds)
    fingerprint = record.fingerprint(ds, todo.small, todo.large)
    with lock.held(target.lock, wait=wait):
        recover(target)
        _nesting(target, todo)
        if target.data.exists() and not overwrite:
            _same_or_raise(target, fingerprint)
            return target.data
        book = _begin(target, fingerprint, restart=restart)
        _write_blocks(target, todo, book, executor, in_flight, progress)
        _finish(target, ds, todo, book)
    return target.data


def write_block(
    folder: Path, array: encode.Sharded, index: chunks.Index, variable: xr.Variable
) -> ledger.Record:
    """Read one shard's values and write its file; the unit of work of every executor."""
    values = np.ascontiguousarray(variable[array.layout.box(index)].values)
    checksum = xxhash.xxh3_128(values.data.cast("B") if values.size else b"").hexdigest()
    key = array.key(index)
    written = durable.write(folder / key, encode.shard(values, array))
    return ledger.Record(key, written.nbytes, written.digest, checksum)


def _begin(
    target: places.Places, fingerprint: Mapping[str, Any], *, restart: bool
) -> ledger.Ledger:
    """Take up a half-written node, or begin it; blocks that are not as recorded are forgotten."""
    path, data = target.growing / "ledger.jsonl", target.growing / "data"
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
    try:
        if target.growing.exists():
            shutil.rmtree(target.growing)
        data.mkdir(parents=True)
    except OSError as error:
        raise durable.failed(target.growing, error) from error
    return ledger.create(path, fingerprint, record.versions())


def _write_blocks(
    target: places.Places,
    todo: Plan,
    book: ledger.Ledger,
    executor: cf.Executor | None,
    in_flight: int,
    progress: Progress | None,
) -> None:
    folder, done, total = target.growing / "data", 0, todo.nbytes
    tell = progress or (lambda done, total: None)

    def size(array: encode.Sharded, index: chunks.Index) -> int:
        box = array.layout.box(index)
        return int(np.prod([s.stop - s.start for s in box])) * array.dtype.itemsize

    missing = []
    for array, index in todo.tasks():
        if array.key(index) in book.records:
            done += size(array, index)
        else:
            missing.append((array, index))
    tell(done, total)
    if executor is None:
        for array, index in missing:
            book.append(write_block(folder, array, index, todo.variables[array.name]))
            done += size(array, index)
            tell(done, total)
        return
    running: dict[cf.Future[ledger.Record], int] = {}
    queue = iter(missing)
    try:
        while True:
            for array, index in itertools.islice(queue, in_flight - len(running)):
                variable = todo.variables[array.name]
                future = executor.submit(write_block, folder, array, index, variable)
                running[future] = size(array, index)
            if not running:
                return
            finished, _ = cf.wait(running, return_when=cf.FIRST_COMPLETED)
            try:
                book.append(*(future.result() for future in finished))
            except cf.BrokenExecutor as error:
                raise StoreError(
                    f"{target.node}: a worker process died",
                    got="killed, perhaps since the memory ran out",
                    do="run the same command again, with fewer workers: finished blocks are kept",
                ) from error
            done += sum(running.pop(future) for future in finished)
            tell(done, total)
    finally:
        # An error elsewhere: blocks not begun are dropped, those running end and are redone.
        for future in running:
            future.cancel()
        cf.wait(running)


def _finish(target: places.Places, ds: xr.Dataset, todo: Plan, book: ledger.Ledger) -> None:
    """Write what makes the node readable, then rename it into the store."""
    folder = target.growing / "data"
    files = metadata_files(ds, todo, book)
    records = []
    # The group's own metadata comes last: before it, nothing opens this folder.
    for key in sorted(files, key=lambda k: (k.endswith("zarr.json"), k == "zarr.json", k)):
        written = durable.write(folder / key, [files[key]])
        records.append(ledger.Record(key, written.nbytes, written.digest))
    book.append(*records)
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


def metadata_files(ds: xr.Dataset, todo: Plan, book: ledger.Ledger) -> dict[str, bytes]:
    """Everything of a node but its shards: group, array metadata, coordinates, provenance."""
    attrs = record.provenance(ds, book)
    files = encode.small(todo.small.assign_attrs(attrs))
    for name, array in todo.large.items():
        files[f"{name}/zarr.json"] = encode.metadata(array, todo.variables[name].attrs)
    return files


def recover(target: places.Places) -> None:
    """Complete a finish that was interrupted between its renames."""
    path = target.growing / "ledger.jsonl"
    if path.exists() and not (target.growing / "data").exists() and target.data.exists():
        durable.rename(path, target.ledger)
        shutil.rmtree(target.growing)
    elif target.growing.exists() and not path.exists() and target.data.exists():
        shutil.rmtree(target.growing)


def _same_or_raise(target: places.Places, fingerprint: Mapping[str, Any]) -> None:
    known = ledger.read(target.ledger)
    changed = ["its ledger is missing"]
    if known is not None:
        changed = record.differences(known.fingerprint, fingerprint)
    if changed:
        raise StoreError(
            f"{target.node} exists in {target.root} and was made otherwise",
            got="\n".join(changed),
            do="choose another node, or replace it (--overwrite)",
        )


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
