"""What a node says of how it was made: its fingerprint, and its provenance."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import xarray as xr
import xxhash

from zeoarray.errors import StoreError
from zeoarray.store import encode, ledger, places

CITATIONS = {
    "zeoarray": "The zeoarray developers, zeoarray, BSD-3-Clause",
    "xarray": "Hoyer & Hamman 2017, doi:10.5334/jors.148",
}
_VERSIONS = ("zeoarray", "zarr", "xarray", "numpy", "h5py", "pyFAI", "fabio")


def fingerprint(
    ds: xr.Dataset, small: xr.Dataset, large: Mapping[str, encode.Sharded]
) -> dict[str, Any]:
    """Describe what a node is made of, so that a resumed run cannot mix two.

    Steps with their own versions and resolved parameters, the size and time of every source
    file, the layout of every array, and a digest of all small values. Versions of packages are
    left out: an upgrade does not end a week's run.
    """
    return {
        "format": 1,
        "reader": ds.attrs.get("reader"),
        "steps": json.loads(json.dumps(ds.attrs.get("steps", []))),
        "request": json.loads(json.dumps(ds.attrs.get("request", {}))),
        "sources": {str(path): stamp(Path(path)) for path in sources(ds)},
        "arrays": {
            name: {
                "dims": list(a.dims),
                "shape": list(a.layout.shape),
                "shard": list(a.layout.shard),
                "chunk": list(a.layout.chunk),
                "dtype": a.dtype.str,
                # A dask graph has a name of its own; `data` of anything else would read it.
                "content": ds[name].data.name if ds[name].chunks is not None else None,
            }
            for name, a in large.items()
        },
        "small": _digest_small(small),
    }


def sources(ds: xr.Dataset) -> list[str]:
    """Files that the dataset was read from."""
    given = ds.attrs.get("source", [])
    return [given] if isinstance(given, str) else [str(path) for path in given]


def stamp(path: Path) -> list[int] | None:
    """Size and time of a source file; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def unchanged(target: places.Places, fingerprint: Mapping[str, Any]) -> None:
    """Raise where a source file, or a node that is read, is not what it was at the beginning.

    Raises
    ------
    StoreError
        Naming them; the node is not made whole of two contents.
    """
    files: Mapping[str, Any] = fingerprint.get("sources", {})
    changed = [path for path, stamped in files.items() if stamp(Path(path)) != stamped]
    nodes: Mapping[str, str] = fingerprint.get("inputs", {})
    for node, digest in nodes.items():
        book = ledger.read(places.Places(target.root, node).ledger)
        if book is None or book.digest() != digest:
            changed.append(node)
    if changed:
        raise StoreError(
            f"{target.node}: what it is made of changed while it was read",
            got="\n".join(changed),
            do="wait until it is written, then run the same command with --restart",
        )


def _digest_small(small: xr.Dataset) -> str:
    total = xxhash.xxh3_128()
    for key, content in encode.small(small.drop_attrs(deep=False)).items():
        total.update(key.encode())
        total.update(content)
    return total.hexdigest()


def differences(old: Any, new: Any, at: str = "") -> list[str]:
    """Say where two fingerprints differ, one line each.

    Examples
    --------
    >>> differences({"steps": {"snr": 3.0}}, {"steps": {"snr": 5.0}})
    ['steps.snr: was 3.0, is 5.0']
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = dict.fromkeys([*old, *new])
        below = (differences(old.get(k), new.get(k), f"{at}.{k}".lstrip(".")) for k in keys)
        return [line for lines in below for line in lines]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        below = (
            differences(a, b, f"{at}[{i}]") for i, (a, b) in enumerate(zip(old, new, strict=True))
        )
        return [line for lines in below for line in lines]
    return [] if old == new else [f"{at}: was {old!r}, is {new!r}"]


def provenance(ds: xr.Dataset, book: ledger.Ledger) -> dict[str, Any]:
    """Return the attributes of a node: those of the dataset, and how it was made.

    Times are left out, so that the same run gives the same bytes; they are in the run log.
    """
    checksums: dict[str, Any] = {}
    for key in sorted(book.records):
        values = book.records[key].values
        if values is not None:
            name = key.partition("/c")[0]
            checksums.setdefault(name, xxhash.xxh3_128()).update(values.encode())
    inputs = [{"path": str(p), "stamp": stamp(Path(p))} for p in sources(ds)]
    # Where a dataset was opened is no part of what was made of it, and a result holds no map of
    # the chunks that its source refers to.
    away = {"node", "store"}
    if not all(f"{told['map']}_part" in ds for told in ds.attrs.get("references", {}).values()):
        away.add("references")
    attrs = {k: v for k, v in ds.attrs.items() if k not in away}
    return {
        **attrs,
        "inputs": inputs,
        "checksums": {name: total.hexdigest() for name, total in checksums.items()},
        "versions": book.versions,
        "citations": {**CITATIONS, **ds.attrs.get("citations", {})},
    }


def versions() -> dict[str, str | None]:
    """Versions of the packages that a node's values may depend on."""
    # Sorted, as the ledger gives them back: the same bytes whether resumed or not.
    return {name: _version(name) for name in sorted(_VERSIONS)}


@functools.cache
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
