"""From facility files into a store: copied into its layout, or referenced where they lie."""

from __future__ import annotations

import concurrent.futures as cf
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import store as stores
from zeoarray.errors import SourceError
from zeoarray.ingest import reference as references
from zeoarray.ingest import scan

Progress = Callable[[int, int], None]

SETTLED_S = 2.0
"""A source that was changed this recently may still be being written."""


def into_store(
    source: scan.Source,
    store: str | Path,
    into: str,
    options: scan.GivenOptions = None,
    *,
    sidecar: str | Path | None = None,
    reader: str | None = None,
    join: str | None = None,
    reference: bool = False,
    executor: cf.Executor | None = None,
    in_flight: int = 4,
    overwrite: bool = False,
    restart: bool = False,
    wait: bool = False,
    verify: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write a scan into a node of a store; run again after an interruption, it goes on.

    Parameters
    ----------
    source, options, sidecar, reader, join
        As for `open_scan`.
    store, into
        Folder of the store, and the node.
    reference
        Store the addresses and checksums of the original chunks instead of their content.
    executor, in_flight, overwrite, restart, wait, verify, progress
        As for `zeoarray.store.save`.

    Returns
    -------
    Path
        Folder of the node, whole.

    Raises
    ------
    SourceError
        For a source that is not what it should be, lacks data, or is still being written.
    StoreError
        As `zeoarray.store.save` does.
    """
    ds = scan.open_scan(source, options, sidecar=sidecar, reader=reader, join=join, chunked=False)
    _refuse_missing(ds)
    _refuse_dead(ds)
    before = _settled(ds)
    if reference:
        ds = references.chunk_map(ds, progress=progress)
    path = stores.save(
        ds,
        store,
        into,
        executor=executor,
        in_flight=in_flight,
        overwrite=overwrite,
        restart=restart,
        wait=wait,
        verify=verify,
        progress=None if reference else progress,
    )
    _unchanged(
        ds,
        before,
        f"{into}: a source file changed while it was read",
        do="wait until it is written, and ingest it anew (--overwrite)",
    )
    return path


def _refuse_missing(ds: xr.Dataset) -> None:
    missing = ds.attrs.get("missing", [])
    if missing:
        raise SourceError(
            f"{', '.join(ds.attrs['source'][:1])}: linked data cannot be reached",
            got="\n".join(f"{m['variable']}: link {m['link']}" for m in missing),
            expected="the linked files beside the file that links to them",
            do="--link-root OLD=NEW where they were moved",
        )


def _refuse_dead(ds: xr.Dataset) -> None:
    """Refuse flats that are all zero, by their middle rows: dividing by them gives nothing."""
    if "flat" not in ds or not ds["flat"].size:
        return
    middle = ds["flat"].isel(z=ds.sizes["z"] // 2).values
    dead = np.flatnonzero(~middle.any(axis=-1))
    if dead.size == len(middle):
        raise SourceError(
            f"{', '.join(ds.attrs['source'][:1])}: all {dead.size} flats are zero",
            expected="frames of the open beam",
            do="give others with --flats FILE, or leave these out with --ignore",
        )


def _stamps(ds: xr.Dataset) -> dict[str, Any]:
    found = {}
    for name in ds.attrs.get("source", []):
        status = Path(name).stat()
        found[name] = (status.st_size, status.st_mtime_ns)
    return found


def _settled(ds: xr.Dataset) -> dict[str, Any]:
    """Size and time of each source, once those just changed have rested a moment."""
    before = _stamps(ds)
    newest = max((os.stat(name).st_mtime for name in before), default=0.0)
    rest = SETTLED_S - (time.time() - newest)
    if 0 < rest <= SETTLED_S:
        time.sleep(rest)
        _unchanged(
            ds,
            before,
            "a source file is still being written",
            do="wait until it is whole, then run the same command again",
        )
    return before


def _unchanged(ds: xr.Dataset, before: dict[str, Any], what: str, *, do: str) -> None:
    changed = [name for name, stamp in _stamps(ds).items() if stamp != before[name]]
    if changed:
        raise SourceError(what, got=", ".join(changed), do=do)
