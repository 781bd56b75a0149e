"""Integration matrices that the laws draw, made without pyFAI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from zeoarray.kernels.azimuthal_matrix import IntegrationMatrix

Sizes = Mapping[str, int]
Draw = Callable[[Sizes], st.SearchStrategy[Any]]


def _matrix(sizes: Sizes, seed: int, bins: int, split: str) -> IntegrationMatrix:
    rng = np.random.default_rng(seed)
    pixels = sizes["det_y"] * sizes["det_x"]
    # Some pixels are masked; the others fall into neighbouring bins.
    count = rng.integers(0, 1 + min(bins, 1 if split == "no" else 4), pixels)
    indptr = np.concatenate(([0], np.cumsum(count))).astype("int32")
    first = rng.integers(0, bins - count + 1)
    indices = np.repeat(first - indptr[:-1], count) + np.arange(indptr[-1])
    data = rng.uniform(0.1, 1, indices.size) if split == "full" else np.ones(indices.size)
    norm = rng.uniform(0.5, 1, pixels).astype("float32")
    total = np.bincount(indices, data * np.repeat(norm, count), bins).astype(float)
    return IntegrationMatrix(
        indptr, indices.astype("uint16"), data.astype("float32"), norm, total,
        np.arange(bins) + 0.5, None, "1/angstrom", (sizes["det_y"], sizes["det_x"]), "",
    )  # fmt: skip


def matrices(*splits: str) -> Draw:
    """Matrices for detectors of the size that a law draws."""
    seeds, bins = st.integers(0, 2**32 - 1), st.integers(1, 50)
    return lambda sizes: st.builds(_matrix, st.just(sizes), seeds, bins, st.sampled_from(splits))


def any_of(*values: Any) -> Draw:
    """One of some values."""
    return lambda sizes: st.sampled_from(values)
