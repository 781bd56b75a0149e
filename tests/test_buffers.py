"""Memory that is used again."""

from __future__ import annotations

import pickle

import numpy as np

from zeoarray.buffers import Buffers


def test_memory_is_used_again_only_when_nobody_holds_it() -> None:
    buffers = Buffers(1)
    first = buffers.empty((3, 4), np.float32)
    at = first.ctypes.data
    first[:] = 1
    part = first[1:, ::2].view(np.int32)  # a view of a view holds it too
    other = buffers.empty((3, 4), np.float32)
    other[:] = 2
    del first
    assert buffers.empty((3, 4), np.float32).ctypes.data != at
    np.testing.assert_array_equal(part.view(np.float32), 1)
    del part
    again = buffers.empty((2, 2), np.float64)  # smaller, and of another kind
    assert again.ctypes.data == at
    assert buffers.empty((99,), np.float64).shape == (99,)
    assert pickle.loads(pickle.dumps(buffers)).empty((2,), bool).shape == (2,)
