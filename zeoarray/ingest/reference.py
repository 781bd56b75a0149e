"""Referenced scans: a node that points at the original chunks instead of copying them.

The node holds all but the frames, and for these the address, size and checksum of every chunk in
the original file. Opening the store opens the file by the same reader; a file that has changed
since is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
import xxhash
from xarray.backends import BackendArray
from xarray.core import indexing

from zeoarray import lazy, store
from zeoarray.errors import LinkError, SourceError, ZeoError
from zeoarray.ingest import concat, scan
from zeoarray.ingest.parts import hdf5
from zeoarray.ingest.parts.arrays import HDF5Array

Progress = Callable[[int, int], None]
Array = np.ndarray[Any, Any]

FIELDS = ("part", "offset", "nbytes", "filter_mask", "checksum")
PIECE = 1 << 24
"""A contiguous dataset has no chunks; it is mapped in pieces of about this many bytes."""


def chunk_map(ds: xr.Dataset, *, progress: Progress | None = None) -> xr.Dataset:
    """Return `ds` with its large HDF5 variables replaced by the map of their chunks.

    A replaced variable ``counts`` becomes ``counts_part``, ``counts_offset``, ``counts_nbytes``,
    ``counts_filter_mask`` and ``counts_checksum`` (xxh3-64 of the bytes as stored), along
    ``counts_chunk``, in the order of the file. ``attrs["references"]`` tells the files and
    datasets that ``counts_part`` counts.

    Raises
    ------
    SourceError
        Where nothing of the dataset lies in HDF5 files.
    """
    arrays = {str(n): found for n, v in ds.data_vars.items() if (found := _behind(v.variable))}
    if not arrays:
        raise SourceError(
            f"{', '.join(ds.attrs.get('source', []))}: only data in HDF5 files can be referenced",
            do="copy it: leave --reference out",
        )
    # A scan's projections, flats and darks may be frames of the same datasets: mapped once.
    mapped: dict[tuple[tuple[Path, str], ...], str] = {}
    out = ds.drop_vars(arrays)
    references: dict[str, Any] = {}
    tell = _Told(arrays, progress)
    for name, parts in arrays.items():
        addresses = tuple((a.path, a.dataset) for a in parts)
        if addresses not in mapped:
            mapped[addresses] = name
            rows = [(k, *row) for k, part in enumerate(parts) for row in tell.each(_chunks(part))]
            columns = np.array(rows, dtype="u8").reshape(-1, len(FIELDS))
            for field, column in zip(FIELDS, columns.T, strict=True):
                out[f"{name}_{field}"] = (f"{name}_chunk", np.ascontiguousarray(column))
        references[name] = {
            "parts": [{"file": str(path), "dataset": dataset} for path, dataset in addresses],
            "map": mapped[addresses],
            "dims": list(map(str, ds[name].dims)),
            "shape": list(ds[name].shape),
            "dtype": ds[name].dtype.str,
        }
    return out.assign_attrs(references=references)


class _Told:
    """Tells how many of the bytes to be mapped are done."""

    def __init__(self, arrays: dict[str, list[HDF5Array]], progress: Progress | None) -> None:
        distinct = {(a.path, a.dataset): a for parts in arrays.values() for a in parts}.values()
        self.total = sum(int(np.prod(a.shape)) * a.dtype.itemsize for a in distinct)
        self.done, self.progress = 0, progress
        if progress is not None:
            progress(0, self.total)

    def each(self, rows: Iterator[tuple[int, int, int, int]]) -> Iterator[tuple[int, ...]]:
        for row in rows:
            self.done += row[1]
            if self.progress is not None:
                self.progress(min(self.done, self.total), self.total)
            yield row


def _behind(variable: xr.Variable) -> list[HDF5Array]:
    """The HDF5 datasets that a lazy variable reads from; none where it reads from elsewhere."""
    data: Any = variable._data
    while data is not None and not isinstance(data, (HDF5Array, concat.JoinedArray)):
        data = getattr(data, "array", None)
    if isinstance(data, concat.JoinedArray):
        found = [_behind(part) for part in data.parts]
        return [array for parts in found for array in parts] if all(found) else []
    return [] if data is None else [data]


def picks_frames(variable: xr.Variable) -> bool:
    """Whether rows that lie apart are each read straight to their place: those of an HDF5 file."""
    return bool(_behind(variable))


def _chunks(array: HDF5Array) -> Iterator[tuple[int, int, int, int]]:
    """Offset, bytes, filter mask and checksum of every chunk, in the order of the dataset."""
    with hdf5.opened(array.path) as file:
        dataset = file[array.dataset]
        if dataset.chunks is None:
            offset, nbytes = dataset.id.get_offset(), dataset.id.get_storage_size()
            if offset is None:
                raise SourceError(f"{array.path}: {array.dataset} holds no data yet")
            spans = [(offset + i, min(PIECE, nbytes - i), 0) for i in range(0, nbytes, PIECE)]
        else:
            spans = _stored_chunks(dataset)
    with open(array.path, "rb") as raw:
        for offset, nbytes, mask in spans:
            raw.seek(offset)
            content = raw.read(nbytes)
            yield offset, nbytes, mask, xxhash.xxh3_64_intdigest(content)


def _stored_chunks(dataset: h5py.Dataset) -> list[tuple[int, int, int]]:
    found: list[tuple[tuple[int, ...], int, int, int]] = []
    dataset.id.chunk_iter(
        lambda info: found.append(
            (info.chunk_offset, info.byte_offset, info.size, info.filter_mask)
        )
    )
    return [(offset, size, mask) for _, offset, size, mask in sorted(found)]


def open_tree(path: str | Path) -> xr.DataTree:
    """Open a store as a tree of lazy datasets, referenced frames included.

    Parameters
    ----------
    path
        Folder of the zarr store.

    Returns
    -------
    xarray.DataTree
        One node a group; large variables are dask arrays.

    Raises
    ------
    StoreError
        Where there is no store, or no node of it is whole yet.
    """
    tree = store.open_tree(path)
    for node in tree.subtree:
        if "references" in node.attrs:
            node.dataset = attach(node.to_dataset())
    return tree


def open_node(path: str | Path, node: str, *, chunked: bool = True) -> xr.Dataset:
    """Open one node of a store, referenced frames included."""
    ds = store.open_node(path, node, chunked=chunked)
    return attach(ds, chunked=chunked) if "references" in ds.attrs else ds


def attach(ds: xr.Dataset, *, chunked: bool = True) -> xr.Dataset:
    """Return a referenced node with its frames, read from the original file.

    The frames of a file that is gone or has changed raise where they are touched.
    """
    request = ds.attrs["request"]
    references: dict[str, Any] = ds.attrs["references"]
    try:
        changed = changed_inputs(ds)
        if changed:
            raise LinkError(
                "a referenced file is gone or has changed",
                got="\n".join(changed),
                do="put the original back, or ingest it anew",
            )
        original = scan.open_scan(
            request["source"],
            request["options"],
            reader=request["reader"],
            join=request["join"],
            chunked=False,
        )
        frames = {name: original[name].variable for name in references}
    except ZeoError as error:
        frames = {name: _unreachable(ds, name, error) for name in references}
    maps = {told["map"] for told in references.values()}
    out = ds.drop_vars([f"{name}_{field}" for name in maps for field in FIELDS]).assign(frames)
    return lazy.chunked(out) if chunked else out


def changed_inputs(ds: xr.Dataset) -> list[str]:
    """Say which of a node's input files are gone, or differ in size or time from the ingest."""
    changed = []
    for item in ds.attrs["inputs"]:
        path, stamp = Path(item["path"]), item["stamp"]
        now = path.stat() if path.exists() else None
        if now is None:
            changed.append(f"{path}: gone")
        elif [now.st_size, now.st_mtime_ns] != list(stamp):
            changed.append(f"{path}: {stamp[0]} bytes then, {now.st_size} now, of another time")
    return changed


class Unreachable(BackendArray):
    """Frames of a referenced file that is not as it was: they raise when touched."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], error: ZeoError) -> None:
        self.shape, self.dtype, self.error = shape, dtype, error

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Array:
        raise self.error


def _unreachable(ds: xr.Dataset, name: str, error: ZeoError) -> xr.Variable:
    told = ds.attrs["references"][name]
    array = Unreachable(tuple(told["shape"]), np.dtype(told["dtype"]), error)
    return xr.Variable(told["dims"], indexing.LazilyIndexedArray(array))


def altered_chunks(ds: xr.Dataset, *, progress: Progress | None = None) -> list[str]:
    """Read every chunk that a node as stored refers to, and name those that have changed.

    Parameters
    ----------
    ds
        The node as `zeoarray.store.open_node` gives it, with its chunk maps.
    progress
        Called with the bytes read, and with all there are.
    """
    altered = []
    for name, told in ds.attrs["references"].items():
        if told["map"] != name:
            continue
        columns = [ds[f"{name}_{field}"].values.tolist() for field in FIELDS]
        done, total = 0, sum(columns[FIELDS.index("nbytes")])
        for k, part in enumerate(told["parts"]):
            if not Path(part["file"]).is_file():
                altered.append(f"{part['file']}: gone")
                continue
            with open(part["file"], "rb") as raw:
                for which, start, size, _, known in zip(*columns, strict=True):
                    if which != k:
                        continue
                    raw.seek(start)
                    if xxhash.xxh3_64_intdigest(raw.read(size)) != known:
                        place = f"{part['dataset']}, chunk at byte {start}"
                        altered.append(f"{part['file']}: {place}")
                    done += size
                    if progress is not None:
                        progress(done, total)
    return altered
