"""Memory of large arrays, used again once nobody holds the array.

The pages of a new array are given by the system one by one as they are first written, which takes
about as long as decoding into them.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Free = deque[Array]


class _Lent:
    """Holds the memory of one array; gives it back when the last view of that array is gone."""

    def __init__(self, memory: Array, free: Free) -> None:
        self._memory, self._free = memory, free
        self.__array_interface__ = memory.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._memory)


class Buffers:
    """Arrays of one size after the other, in memory that is kept.

    Safe to be used by several threads.

    Parameters
    ----------
    keep
        So many pieces of memory are kept while nobody uses them.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._free: Free = deque(maxlen=keep)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return an array whose values are not set, as `numpy.empty` does."""
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        try:
            memory = self._free.popleft()
        except IndexError:
            memory = np.empty(nbytes, np.uint8)
        if memory.size < nbytes:
            memory = np.empty(nbytes, np.uint8)
        lent: Array = np.asarray(_Lent(memory, self._free))[:nbytes]
        out: Array = lent.view(dtype).reshape(shape)
        return out

    def __reduce__(self) -> tuple[type[Buffers], tuple[int]]:
        return Buffers, (self._keep,)
