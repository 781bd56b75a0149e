"""Chunks of bitshuffle and LZ4, as detectors write them, decoded straight into their place.

The HDF5 library decodes under a lock of the whole process, into memory that is new for every chunk,
and copies from there: half of the time that such frames take to read. Here a chunk is read as it
lies in the file, and the code of the plugin unpacks it into the array that is wanted, beside other
threads.

References
----------
K. Masui et al., "A compression scheme for radio data in high performance computing", Astronomy
and Computing 12 (2015), doi:10.1016/j.ascom.2015.07.002.
"""

from __future__ import annotations

import ctypes
import functools
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

Array = np.ndarray[Any, Any]

FILTER, LZ4 = 32008, 2
"""Number of the filter in HDF5, and of the compression within it."""
HEADER = struct.Struct(">QI")
"""Bytes of values in the chunk, and in a block, before its blocks."""
LENGTH = struct.Struct(">I")
"""Bytes of each block, before it."""
EIGHT = 8
"""Values whose bits share bytes: a block holds a multiple of them, and what is left lies as is."""


@functools.cache
def _library() -> Any:
    """The plugin's own unpacking; None where it was built without."""
    for file in Path(hdf5plugin.PLUGIN_PATH).glob("*bshuf*"):
        unpack = getattr(ctypes.CDLL(str(file)), "bshuf_decompress_lz4", None)
        if unpack is not None:
            unpack.restype = ctypes.c_int64
            unpack.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_size_t] * 3
            return unpack
    return None


@dataclass(frozen=True)
class Frames:
    """A dataset whose chunks are single frames of bitshuffle and LZ4."""

    dataset: h5py.Dataset

    @classmethod
    def of(cls, dataset: h5py.Dataset) -> Frames | None:
        """`dataset`, or None where it is of another kind and the HDF5 library reads it."""
        chunks, shape = dataset.chunks, dataset.shape
        if chunks is None or chunks[-2:] != shape[-2:] or math.prod(chunks[:-2]) != 1:
            return None
        made = dataset.id.get_create_plist()
        if made.get_nfilters() != 1 or not dataset.dtype.isnative or _library() is None:
            return None
        code, _, given, _ = made.get_filter(0)
        plain = dataset.dtype.kind in "uif" and given[4:5] == (LZ4,)
        return cls(dataset) if code == FILTER and plain else None

    def read(self, place: tuple[int, ...], out: Array, cover: tuple[Any, ...]) -> None:
        """Read what `cover` names of the frame at `place`.

        Parameters
        ----------
        place
            Its number along each leading axis.
        out
            Where it goes: contiguous, of the dtype of the file.
        cover
            A slice or an integer along rows and along columns.

        Raises
        ------
        OSError
            Where its chunk is not what its header says.
        """
        at, shape = (*place, 0, 0), self.dataset.shape[-2:]
        found = self.dataset.id.get_chunk_info_by_coord(at)
        if found.byte_offset is None or found.filter_mask:
            # Never written, or stored as it is.
            out[...] = self.dataset[(*place, *cover)]
            return
        frame = out if out.shape == shape else np.empty(shape, out.dtype)
        if not _unpack(self.dataset.id.read_direct_chunk(at)[1], frame):
            raise OSError(f"frame {list(place)} is torn or altered")
        if frame is not out:
            out[...] = frame[cover]


def _unpack(chunk: bytes, out: Array) -> bool:
    """Unpack a chunk into `out`; False where it is not what it says."""
    if len(chunk) < HEADER.size:
        return False
    total, block = HEADER.unpack_from(chunk)
    size = out.dtype.itemsize
    if total != out.nbytes or not block or block % (EIGHT * size):
        return False
    # The plugin goes by the lengths in the file: they must not lead out of the chunk.
    at, groups = HEADER.size, total // (EIGHT * size)
    for _ in range(-(-groups * EIGHT * size // block)):
        if at + LENGTH.size > len(chunk):
            return False
        at += LENGTH.size + LENGTH.unpack_from(chunk, at)[0]
    if at + total % (EIGHT * size) != len(chunk):
        return False
    source = np.frombuffer(chunk, np.uint8).ctypes.data + HEADER.size
    used = _library()(source, out.ctypes.data, total // size, size, block // size)
    return bool(used == len(chunk) - HEADER.size)
