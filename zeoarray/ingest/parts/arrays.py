"""Datasets of HDF5 files as lazy arrays: read where they are indexed, pickled as an address."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers bitshuffle, LZ4, Blosc with the HDF5 library
import numpy as np
import xarray as xr
from xarray.backends import BackendArray, CachingFileManager
from xarray.core import indexing

from zeoarray.buffers import Buffers
from zeoarray.errors import LinkError, SourceError
from zeoarray.ingest.parts.bitshuffled import Frames
from zeoarray.ingest.parts.views import OuterArray

Array = np.ndarray[Any, Any]

FRAMES = 3
"""Axes of a list of frames: its number, rows, columns."""

# The last part of frames that was decoded: new memory takes half as long as to decode into it.
_FRAMES = Buffers(1)


@dataclass
class HDF5Array(OuterArray):
    """A dataset of an HDF5 file that is read where it is indexed, and pickles as its address."""

    path: Path
    dataset: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None = field(default=None, kw_only=True)
    """What the file compresses by itself, along each axis; None where it is not chunked."""
    _files: CachingFileManager[h5py.File] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._files = CachingFileManager(
            h5py.File, str(self.path), mode="r", kwargs={"locking": False}
        )

    def _read(self, key: tuple[Any, ...]) -> Array:
        try:
            with self._files.acquire_context() as file:
                return self._pick(_in_part(file, self.dataset), key)
        except (OSError, KeyError, RuntimeError) as error:
            # The library's words for a torn file, a bad checksum or a filter it does not have.
            raise unreadable(f"{self.path}: {self.dataset} cannot be read", error) from error

    def _pick(self, source: h5py.Dataset, key: tuple[Any, ...]) -> Array:
        return read_outer(source, key)


def _in_part(file: h5py.File, name: str) -> h5py.Dataset:
    """Open a dataset so that a few rows of a chunk are read as such, where nothing is compressed.

    With a cache the HDF5 library fetches every chunk whole: the row of a tomogram for a preview
    would cost the whole file.
    """
    found = file[name]
    if found.chunks is None or found.id.get_create_plist().get_nfilters():
        return found
    path = found.name.encode()
    found.id.close()  # while it is open, it keeps its cache
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(1, 0, 1.0)
    return h5py.Dataset(h5py.h5d.open(file.id, path, access))


@dataclass
class FlattenedArray(HDF5Array):
    """The frames of a scan over a grid as one list: (rotation, translation, y, x) as (frame, y, x).

    Nothing is copied: a frame number becomes its place in the grid where it is read.
    """

    grid: tuple[int, ...]
    """Sizes of the leading axes that are one list here."""

    def _pick(self, source: h5py.Dataset, key: tuple[Any, ...]) -> Array:
        frames = np.arange(math.prod(self.grid))[key[0]]
        if frames.ndim == 0:
            one: Array = self._pick(source, (slice(int(frames), int(frames) + 1), *key[1:]))[0]
            return one
        row, places = self.grid[-1], []
        for run in runs(frames):
            start = run.start
            # A run of frames is read row by row of the grid: one row is contiguous in the file.
            while start < run.stop:
                stop = min(run.stop, (start // row + 1) * row)
                lead = map(int, np.unravel_index(start // row, self.grid[:-1]))
                places.append((*lead, slice(start % row, start % row + stop - start)))
                start = stop
        return _read_runs(source, frames.size, places, key[1:], self.shape[1:])


@dataclass
class MissingArray(BackendArray):
    """Data behind a link that leads nowhere: it has a shape, and raises when touched."""

    source: Path
    link: str
    target: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    why: str = "no such file"

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Array:
        raise self.error()

    def error(self) -> LinkError:
        """What touching it raises."""
        return missing(self.source, self.link, self.target, self.why)

    def entry(self, variable: str) -> dict[str, str]:
        """What the attribute `missing` of a dataset says of `variable`."""
        target = str(self.target)
        return {"variable": variable, "link": self.link, "target": target, "why": self.why}


def missing(source: Path, link: str, target: Path, why: str = "no such file") -> LinkError:
    """Build the error for data whose linked file is not there."""
    return LinkError(
        f"{source}: the linked data cannot be reached",
        got=f"link {link}; {why}: {target}",
        expected="the linked file in the folder of the file that links to it, or beneath",
        do=f"--link-root OLD=NEW where it was moved, e.g. --link-root {target.parent}=FOLDER",
    )


def flattened(array: HDF5Array | MissingArray, lead: int) -> HDF5Array | MissingArray:
    """The first `lead` axes of `array` as one list of frames; nothing is read.

    Parameters
    ----------
    array
        Frames along its first axes.
    lead
        How many axes become one.
    """
    if lead == 1:
        return array
    shape = (math.prod(array.shape[:lead]), *array.shape[lead:])
    if isinstance(array, HDF5Array):
        grid = array.shape[:lead]
        chunks = None if array.chunks is None else array.chunks[lead - 1 :]
        return FlattenedArray(array.path, array.dataset, shape, array.dtype, grid, chunks=chunks)
    return MissingArray(array.source, array.link, array.target, shape, array.dtype, array.why)


def variable(dims: tuple[str, ...], array: BackendArray) -> xr.Variable:
    """`array` as a variable that is not read, with the chunks of the file as those preferred."""
    out = xr.Variable(dims, indexing.LazilyIndexedArray(array))
    chunks = getattr(array, "chunks", None)
    if chunks is not None:
        out.encoding["preferred_chunks"] = dict(zip(dims, chunks, strict=True))
    return out


def check_images(array: HDF5Array | MissingArray, *, one_axis: bool) -> None:
    """Raise unless `array` holds images, and at least one of them (or is missing).

    Parameters
    ----------
    array
        Axes of the scan, then rows and columns.
    one_axis
        Whether the scan must have one axis; otherwise any number of them will do.

    Raises
    ------
    SourceError
        Saying which dims are expected.
    """
    if isinstance(array, MissingArray):
        return
    axes = len(array.shape) - 2
    if axes < 1 or (one_axis and axes > 1):
        raise SourceError(
            f"{array.path}: {array.dataset} is not a stack of images",
            got=f"shape {array.shape}",
            expected="three dims: frame, row, column"
            if one_axis
            else "scan axes, then rows and columns of the detector",
            do="--dataset PATH, where the frames are elsewhere in the file",
        )
    if 0 in array.shape:
        raise SourceError(
            f"{array.path}: {array.dataset} holds nothing",
            got=f"shape {array.shape}",
            expected="frames; an interrupted scan leaves such datasets",
        )
    if array.dtype.kind not in "uif":
        raise SourceError(
            f"{array.path}: {array.dataset} holds no images", got=f"dtype {array.dtype}"
        )


def read_outer(source: Any, key: tuple[Any, ...]) -> Array:
    """Read ``source[key]``, where an index array counts along its own axis only.

    h5py takes one index array at a time, and slowly. Frames are picked run by run; along the
    other axes the covering range is read and picked from.
    """
    if isinstance(key[0], np.ndarray):
        places = [(run,) for run in runs(key[0])]
        return _read_runs(source, key[0].size, places, key[1:], source.shape[1:])
    if Frames.of(source) and source.ndim == FRAMES:
        numbers = np.arange(source.shape[0])[key[0]]
        found = read_outer(source, (np.atleast_1d(numbers), *key[1:]))
        return found if numbers.ndim else found[0]
    return _picked(np.asarray(source[(key[0], *_cover(key[1:]))]), key)


def _read_runs(
    source: Any, count: int, places: list[tuple[Any, ...]], rest: tuple[Any, ...],
    shape: tuple[int, ...],
) -> Array:  # fmt: skip
    """So many frames from several places of a dataset, each read to where it belongs.

    Frames are the largest thing that a worker holds: they are not there a second time.
    """
    cover = _cover(rest)
    sizes = [
        len(range(*k.indices(n)))
        for k, n in zip(cover, shape, strict=True)
        if isinstance(k, slice)
    ]  # fmt: skip
    whole, first = Frames.of(source), 0
    out = (_FRAMES.empty if whole else np.empty)((count, *sizes), source.dtype)
    for place in places:
        last = first + place[-1].stop - place[-1].start
        if whole:
            for i, number in enumerate(range(place[-1].start, place[-1].stop), first):
                whole.read((*place[:-1], number), out[i], cover)
        elif out[first:last].size:
            source.read_direct(out, (*place, *cover), slice(first, last))
        first = last
    return _picked(out, (slice(None), *rest))


def _cover(rest: tuple[Any, ...]) -> tuple[Any, ...]:
    """The range that covers each index array."""
    return tuple(
        (slice(int(k.min()), int(k.max()) + 1) if k.size else slice(0, 0))
        if isinstance(k, np.ndarray)
        else k
        for k in rest
    )


def _picked(out: Array, key: tuple[Any, ...]) -> Array:
    """What index arrays pick from what covers them, along all axes but the first."""
    for i, k in enumerate(key[1:], 1):
        if isinstance(k, np.ndarray):
            axis = sum(not isinstance(one, (int, np.integer)) for one in key[:i])
            out = np.take(out, k - (k.min() if k.size else 0), axis=axis)
    return out


def runs(index: Array) -> list[slice]:
    """An index array as slices over its runs of consecutive, ascending indices.

    Examples
    --------
    >>> runs(np.array([3, 4, 5, 9, 0, 1]))
    [slice(3, 6, None), slice(9, 10, None), slice(0, 2, None)]
    """
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    return [slice(int(run[0]), int(run[-1]) + 1) for run in np.split(index, breaks) if run.size]


def as_slice(index: Array) -> slice | Array:
    """Consecutive numbers as a slice, which later indices compose with more cheaply."""
    if index.size and np.all(np.diff(index) == 1):
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


def unreadable(what: str, error: BaseException) -> SourceError:
    """Build the error for a file, or data in it, that the HDF5 library cannot read."""
    do = "fetch the file again if it is torn; h5ls -v FILE names the filters it needs"
    if "locking flag" in str(error):
        do = "it is open in this process with locks: open it as h5py.File(path, locking=False)"
    return SourceError(what, got=reason(error), do=do)


def reason(error: BaseException) -> str:
    """What the HDF5 library says is wrong, without the name of the call that failed."""
    said = str(error.args[-1] if error.args else error)
    return said.partition("(")[2].rstrip(")") or said
