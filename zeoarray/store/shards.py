"""Single chunks read straight out of shards: what a loader of training data does all day.

zarr-python takes about as long to find a chunk of a megabyte as to decode it. Here the index of a
shard is read once, and a chunk is one read and one decoding into the place where it is wanted.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs.blosc
import numpy as np

from zeoarray.errors import ArgumentError, StoreError
from zeoarray.store import encode, places

Array = np.ndarray[Any, Any]

OPEN = 128
"""Shards that are kept open."""
HEADER = 16
"""Bytes before the values of a Blosc frame; its flags are the third of them."""
STORED = 0x02
"""Flag of a frame whose values follow as they are, since compression gained nothing."""


@dataclass
class _Shard:
    file: int
    index: Array
    """(chunk, 2): offset and bytes."""


@dataclass
class Rows:
    """The chunks of one array that is chunked row by row: one row of its first dim each.

    Safe to be used by several threads; a process that was forked opens its own files.
    """

    folder: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    per_shard: int
    """Rows in a shard."""
    _open: OrderedDict[int, _Shard] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _process: int = field(default_factory=os.getpid)
    _local: threading.local = field(default_factory=threading.local)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.shape[1:]

    def read(self, row: int, out: Array) -> None:
        """Read one row.

        Parameters
        ----------
        row
            Index along the first dim.
        out
            Array of the row's shape and dtype, contiguous, that it is decoded into.

        Raises
        ------
        StoreError
            Where the shard is missing, torn or damaged.
        """
        with self.found(row) as (file, offset, nbytes):
            if nbytes == HEADER + out.nbytes:
                # Most likely not compressed: then the values need no copy.
                head = bytearray(HEADER)
                got = os.preadv(file, [head, out.reshape(-1).view(np.uint8).data], offset)
                if got == nbytes and head[2] & STORED:
                    return
            data = self._scratch(nbytes)
            got = os.preadv(file, [data], offset)
        if got != nbytes:
            raise self._damaged(row // self.per_shard, f"{got} of {nbytes} bytes of row {row}")
        try:
            numcodecs.blosc.use_threads = False
            numcodecs.blosc.decompress(data, out)
        except (RuntimeError, ValueError) as error:
            raise self._damaged(row // self.per_shard, f"row {row}: {error}") from error

    @contextmanager
    def found(self, row: int) -> Iterator[tuple[int, int, int]]:
        """Where the bytes of one row are: an open file, the first of them, and how many.

        Raises
        ------
        StoreError
            Where the shard is missing or torn.
        """
        number, place = divmod(row, self.per_shard)
        with self._lock:
            shard = self._shard(number)
            # Another thread may close the shard while this one reads.
            file, (offset, nbytes) = os.dup(shard.file), (int(n) for n in shard.index[place])
        try:
            yield file, offset, nbytes
        finally:
            os.close(file)

    def _scratch(self, nbytes: int) -> memoryview:
        """Memory of this thread for the bytes of one row."""
        held = getattr(self._local, "data", None)
        if held is None or len(held) < nbytes:
            held = self._local.data = bytearray(nbytes)
        return memoryview(held)[:nbytes]

    def __reduce__(self) -> tuple[type[Rows], tuple[Any, ...]]:
        # Open files and locks stay here.
        return Rows, (self.folder, self.shape, self.dtype, self.per_shard)

    def _shard(self, number: int) -> _Shard:
        if self._process != os.getpid():
            self._open, self._process = OrderedDict(), os.getpid()
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        found = self._opened(number)
        self._open[number] = found
        if len(self._open) > OPEN:
            os.close(self._open.popitem(last=False)[1].file)
        return found

    def _opened(self, number: int) -> _Shard:
        path = self._path(number)
        try:
            file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise self._damaged(number, error.strerror or "") from error
        nbytes = 16 * self.per_shard + 4
        size = os.fstat(file).st_size
        tail = os.pread(file, nbytes, max(size - nbytes, 0))
        crc = google_crc32c.value(tail[:-4]).to_bytes(4, "little")
        if len(tail) != nbytes or tail[-4:] != crc:
            os.close(file)
            raise self._damaged(number, "its index is torn")
        return _Shard(file, np.frombuffer(tail[:-4], "<u8").reshape(-1, 2))

    def _path(self, number: int) -> Path:
        return self.folder / "c" / "/".join([str(number), *"0" * (len(self.shape) - 1)])

    def _damaged(self, number: int, what: str) -> StoreError:
        return StoreError(
            f"{self._path(number)} cannot be read",
            got=what,
            do="zeoarray verify STORE --repair, then run its pipeline again",
        )

    def close(self) -> None:
        """Close its files."""
        with self._lock:
            if self._process == os.getpid():
                for shard in self._open.values():
                    os.close(shard.file)
            self._open.clear()


def rows(store: str | Path, node: str, variable: str) -> Rows:
    """Open an array that has one chunk for each row of its first dim, as patches have.

    Raises
    ------
    StoreError
        Where there is no such array.
    ArgumentError
        For one that is chunked otherwise, or was not written by zeoarray.
    """
    folder = places.locate(store, node).data / variable
    try:
        about = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{store}: {node} has no array {variable!r}", got=str(error)) from error
    try:
        shape = tuple(int(n) for n in about["shape"])
        dtype = np.dtype(about["data_type"])
        outer = tuple(about["chunk_grid"]["configuration"]["chunk_shape"])
        (codec,) = about["codecs"]
        inner = tuple(codec["configuration"]["chunk_shape"])
        names = [c["name"] for c in codec["configuration"]["codecs"]]
        ours = codec["name"] == "sharding_indexed" and names == ["bytes", "blosc"]
    except (KeyError, TypeError, ValueError):
        ours, shape, inner, outer = False, (), (), ()
    if not ours or inner != (1, *shape[1:]) or outer[1:] != shape[1:]:
        raise ArgumentError(
            f"{node}/{variable} is not stored one row a chunk",
            got=f"shape {shape}, shards {outer}, chunks {inner}",
            expected=f"shards of rows compressed by Blosc ({encode.CNAME}), as patches.extract "
            "is written",
            do="write it by a pipeline, or zeoarray.store.save",
        )
    return Rows(folder, shape, dtype, int(outer[0]))
