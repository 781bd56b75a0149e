"""Binning against NumPy, in any order of memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.kernels import windows

rng = np.random.default_rng(3)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("factor", [1, 2, 3, 7])
@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
def test_sum_and_mean(axis: int, factor: int, dtype: str) -> None:
    array = (1000 * rng.random((14, 15, 16))).astype(dtype)
    view = np.moveaxis(array, axis, -1)
    size = view.shape[-1] // factor
    exact = view[..., : size * factor].reshape(*view.shape[:-1], size, factor).astype(float)
    made = "float32" if dtype in ("uint16", "int32") else dtype
    for kernel, expected in (
        (windows.bin_sum, exact.sum(-1)),
        (windows.bin_mean, exact.mean(-1)),
    ):
        out = kernel(view, factor=factor)
        assert out.dtype == made
        np.testing.assert_allclose(out, expected, rtol=1e-6)
        # The axis that was last in memory is so in the result.
        assert np.moveaxis(out, -1, axis).flags.c_contiguous


def test_sums_of_counts_are_exact() -> None:
    counts = np.full((3, 128), 65535, "uint16")
    assert (windows.bin_sum(counts, factor=128) == 65535 * 128).all()


def test_mean_of_a_ramp_is_at_the_centre_of_the_bin() -> None:
    centres = np.arange(10.0) * 2.5 + 7
    out = windows.bin_mean(centres, factor=3)
    np.testing.assert_allclose(out, 7 + 2.5 * (1 + 3 * np.arange(3)))


def test_flags() -> None:
    flags = np.array([1, 1, 1, 0, 1], bool)
    assert windows.bin_all(flags, factor=2).tolist() == [True, False]
    assert windows.bin_all(flags.astype("uint8"), factor=2).tolist() == [1, 0]


@pytest.mark.parametrize("kernel", [windows.bin_sum, windows.bin_mean, windows.bin_all])
@pytest.mark.parametrize("factor", [0, -1, 6])
def test_factors_that_do_not_fit(kernel: Any, factor: int) -> None:
    with pytest.raises(ArgumentError, match="cannot be binned by this factor") as info:
        kernel(np.zeros((2, 5)), factor=factor)
    assert f"factor {factor}, 5 elements" in str(info.value)
    assert "1 to 5" in str(info.value)
