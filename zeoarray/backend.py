"""Which array library an array belongs to, and how many threads libraries may start: each once."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from zeoarray.errors import ArgumentError


def xp_of(*arrays: object) -> ModuleType:
    """Return the array module (numpy or cupy) that all `arrays` belong to.

    Raises
    ------
    ArgumentError
        Where one array is on a GPU and another in host memory: nothing is copied in silence.

    Examples
    --------
    >>> xp_of(np.zeros(3), 2.0).__name__
    'numpy'
    """
    on_gpu = {type(a).__module__.partition(".")[0] == "cupy" for a in arrays if hasattr(a, "dtype")}
    if on_gpu == {True, False}:
        raise ArgumentError(
            "the arrays of one call are in two memories",
            got=", ".join(f"{type(a).__module__}.{type(a).__name__}" for a in arrays),
            expected="all NumPy or all CuPy arrays",
            do="move them first: cupy.asarray(a), or cupy.asnumpy(a)",
        )
    # Who holds a CuPy array has imported cupy: no import here, so none at import time either.
    return sys.modules["cupy"] if on_gpu == {True} else np


def to_host(array: object) -> np.ndarray:
    """Return `array` as a NumPy array, copying it from the GPU where it lives there."""
    if xp_of(array) is np:
        return np.asarray(array)
    return np.asarray(sys.modules["cupy"].asnumpy(array))


@contextmanager
def single_threaded() -> Iterator[None]:
    """Hold BLAS, OpenMP and Blosc to one thread: parallelism is by tasks, not inside one.

    Safe where several threads are in it at once: what a library counts for the whole process is
    set by the first that enters and put back by the last that leaves; what OpenMP counts for each
    thread is set and put back in each. Numba needs nothing: our kernels are not compiled with
    ``parallel=True``, and asking it for one thread would start its pool, after which a process
    that uses GNU OpenMP cannot fork.

    Examples
    --------
    >>> with single_threaded():
    ...     float(np.eye(3).dot(np.ones(3)).sum())
    3.0
    """
    with ExitStack() as held:
        libraries = _libraries()
        held.enter_context(_process_wide(libraries))
        held.enter_context(libraries.select(user_api="openmp").limit(limits=1))
        yield


_TRANSFORMS: ContextVar[int] = ContextVar("threads of one transform", default=1)


@contextmanager
def threaded_transforms(count: int) -> Iterator[None]:
    """Let a single NUFFT take so many threads: for one slice, while other cores would wait."""
    token = _TRANSFORMS.set(count)
    try:
        yield
    finally:
        _TRANSFORMS.reset(token)


def transform_threads() -> int:
    """Threads that one NUFFT may take here: 1, but within `threaded_transforms`."""
    return _TRANSFORMS.get()


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_LOCK = threading.Lock()
_INSIDE = ExitStack()
_ENTERED = 0
_SEEN: tuple[int, ThreadpoolController] | None = None


def _libraries() -> ThreadpoolController:
    # Finding the loaded libraries takes milliseconds, a block often less: looked for again only
    # where a module was imported since.
    global _SEEN
    seen = _SEEN
    if seen is None or seen[0] != len(sys.modules):
        seen = _SEEN = (len(sys.modules), ThreadpoolController())
    return seen[1]


@contextmanager
def _process_wide(libraries: ThreadpoolController) -> Iterator[None]:
    global _ENTERED
    with _LOCK:
        _ENTERED += 1
        if _ENTERED == 1:
            _INSIDE.enter_context(libraries.select(user_api="blas").limit(limits=1))
            if blosc := sys.modules.get("numcodecs.blosc"):
                _INSIDE.callback(setattr, blosc, "use_threads", getattr(blosc, "use_threads", None))
                setattr(blosc, "use_threads", False)  # noqa: B010  mypy does not know it
    try:
        yield
    finally:
        with _LOCK:
            _ENTERED -= 1
            if _ENTERED == 0:
                _INSIDE.close()


def pieces(array: Any, *, keep: int = 1) -> Iterator[tuple[Any, ...]]:
    """Indices that cut the leading axes of `array` into pieces which fit into a core's cache.

    Several operations on one piece after another read main memory once. On a GPU pieces are
    larger, since each operation costs a launch.

    Parameters
    ----------
    array
        Any array.
    keep
        How many trailing axes are never cut.

    Examples
    --------
    >>> list(pieces(np.empty((3, 1000, 500)), keep=2))
    [(slice(0, 1, None),), (slice(1, 2, None),), (slice(2, 3, None),)]
    """
    limit = PIECE if xp_of(array) is np else 256 * PIECE
    yield from _pieces(array.shape, keep, limit)


PIECE = 1 << 18
"""Elements of a piece that stays in the cache of one core."""


def _pieces(shape: tuple[int, ...], keep: int, limit: int) -> Iterator[tuple[Any, ...]]:
    if len(shape) <= keep:
        yield ()
        return
    inner = math.prod(shape[1:])
    if inner <= limit or len(shape) == keep + 1:
        rows = max(1, limit // max(inner, 1))
        for start in range(0, shape[0], rows):
            yield (slice(start, min(start + rows, shape[0])),)
        return
    for i in range(shape[0]):
        for rest in _pieces(shape[1:], keep, limit):
            yield (i, *rest)
