"""Which array library an array belongs to, decided in this one place; and the count of threads."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np

from zeoarray.errors import ArgumentError


def xp_of(*arrays: object) -> ModuleType:
    """Return the array module (numpy or cupy) that all `arrays` belong to.

    Raises
    ------
    ArgumentError
        Where one array is on a GPU and another in host memory: nothing is copied in silence.
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
