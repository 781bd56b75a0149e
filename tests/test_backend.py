"""One place decides the array library, and one the threads."""

from __future__ import annotations

import sys
import threading
from types import ModuleType
from typing import Any

import numcodecs.blosc
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from zeoarray import backend
from zeoarray.errors import ArgumentError


class _OnGpu:
    dtype = np.dtype("float32")
    shape = (2,)


_OnGpu.__module__ = "cupy._core.core"


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("cupy")
    module.asnumpy = lambda array: np.zeros(array.shape)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def test_the_array_decides(cupy: ModuleType) -> None:
    assert backend.xp_of(np.zeros(2), 1.0) is np
    assert backend.xp_of() is np
    assert backend.xp_of(_OnGpu(), 1.0) is cupy


def test_two_memories_are_refused(cupy: ModuleType) -> None:
    with pytest.raises(ArgumentError, match="in two memories") as info:
        backend.xp_of(np.zeros(2), _OnGpu())
    assert "cupy.asarray(a), or cupy.asnumpy(a)" in str(info.value)


def test_to_host(cupy: ModuleType) -> None:
    array = np.ones(2)
    assert backend.to_host(array) is array
    assert backend.to_host(_OnGpu()).tolist() == [0.0, 0.0]


def blas() -> list[int]:
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]


def test_one_thread_inside_and_what_was_before_after() -> None:
    before, blosc = blas(), numcodecs.blosc.use_threads
    with backend.single_threaded():
        assert set(blas()) == {1}
        assert numcodecs.blosc.use_threads is False
        with backend.single_threaded():
            assert set(blas()) == {1}
        assert set(blas()) == {1}
    assert blas() == before
    assert numcodecs.blosc.use_threads is blosc


def test_the_first_to_leave_does_not_free_the_others() -> None:
    before = blas()
    entered, left = threading.Event(), threading.Event()

    def briefly() -> None:
        with backend.single_threaded():
            entered.set()
        left.set()

    with backend.single_threaded():
        thread = threading.Thread(target=briefly)
        thread.start()
        assert entered.wait(10)
        assert left.wait(10)
        assert set(blas()) == {1}
        thread.join()
    assert blas() == before


def test_an_error_inside_frees_the_threads() -> None:
    before = blas()
    with pytest.raises(ZeroDivisionError), backend.single_threaded():
        _ = 1 // 0
    assert blas() == before


@pytest.mark.parametrize(
    "shape", [(5,), (3, 4), (2, 3, 4), (7, 300, 1000), (3, 2, 600, 500), (0, 4)]
)
@pytest.mark.parametrize("keep", [1, 2])
def test_pieces_cover_everything_once(shape: tuple[int, ...], keep: int) -> None:
    array: Any = np.zeros(shape, np.int8)
    for index in backend.pieces(array, keep=keep):
        piece = array[index]
        assert piece.shape[-1] == shape[-1]
        if piece.size > backend.PIECE:
            assert piece.ndim == keep or piece.shape[0] == 1
        piece += 1
    assert (array == 1).all()
