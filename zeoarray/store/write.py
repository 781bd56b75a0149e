"""`save`: the only way by which a dataset becomes a node of a store.

The dataset is cut into shards by its layout, whatever its own chunks are; each shard is read,
written and recorded once, by one task. So the trap of misaligned dask writes (dask#12583) cannot
be set.
"""

from __future__ import annotations

import concurrent.futures as cf
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import xxhash

from zeoarray import chunks
from zeoarray.errors import StoreError
from zeoarray.store import durable, encode, ledger, record
from zeoarray.store.grow import Growing, growing, plan

Progress = Callable[[int, int], None]
"""Called with the bytes (uncompressed) that are done, and with all there are."""


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
    verify: bool = False,
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
    verify
        Compare every block of a node that is whole already with its digest, not only its size;
        what is damaged is written anew.
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
    todo = plan(ds)
    marks = record.fingerprint(ds, todo.small, todo.large)
    with growing(
        ds,
        todo,
        store,
        node,
        marks,
        overwrite=overwrite,
        restart=restart,
        wait=wait,
        verify=verify,
    ) as grow:
        if not grow.whole:
            _write_blocks(grow, executor, in_flight, progress)
            grow.finish()
    return grow.target.data


def write_block(
    folder: Path, array: encode.Sharded, index: chunks.Index, variable: xr.Variable
) -> ledger.Record:
    """Read one shard's values and write its file; the unit of work of every executor."""
    return write_values(folder, array, index, variable[array.layout.box(index)].values)


def write_values(
    folder: Path, array: encode.Sharded, index: chunks.Index, block: np.ndarray[Any, Any]
) -> ledger.Record:
    """Write the file of one shard from its values, which are cut at the end of the array."""
    values = np.ascontiguousarray(block, dtype=array.dtype)
    checksum = xxhash.xxh3_128(values.data.cast("B") if values.size else b"").hexdigest()
    key = array.key(index)
    written = durable.write(folder / key, encode.shard(values, array))
    return ledger.Record(key, written.nbytes, written.digest, checksum)


def _write_blocks(
    grow: Growing, executor: cf.Executor | None, in_flight: int, progress: Progress | None
) -> None:
    todo, folder, known = grow.todo, grow.folder, grow.keys
    done, total = 0, todo.nbytes
    tell = progress or (lambda done, total: None)

    def size(array: encode.Sharded, index: chunks.Index) -> int:
        box = array.layout.box(index)
        return int(np.prod([s.stop - s.start for s in box])) * array.dtype.itemsize

    missing = []
    for array, index in todo.tasks():
        if array.key(index) in known:
            done += size(array, index)
        else:
            missing.append((array, index))
    tell(done, total)
    if executor is None:
        for array, index in missing:
            grow.append(write_block(folder, array, index, todo.variables[array.name]))
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
                grow.append(*(future.result() for future in finished))
            except cf.BrokenExecutor as error:
                raise StoreError(
                    f"{grow.target.node}: a worker process died",
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
