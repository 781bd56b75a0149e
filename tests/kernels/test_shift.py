"""Moving images by parts of a pixel, against what was moved exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import contract_of
from zeoarray.kernels.shift import move


def waves(z: Any, u: Any) -> Any:
    return np.sin(0.5 * z[:, None]) * np.cos(0.4 * u[None, :]) + 0.1 * z[:, None]


@pytest.mark.parametrize("shape", [(40, 53), (37, 41), (64, 64)])
@pytest.mark.parametrize("by", [(0.0, 0.3), (2.75, -1.5), (-0.5, 3.0), (-3.2, 0.0)])
def test_waves_are_moved(shape: tuple[int, int], by: tuple[float, float]) -> None:
    z, u = np.arange(shape[0]), np.arange(shape[1])
    out = move(waves(z, u), down=by[0], across=by[1], reach=4)
    inner = (slice(7, -7), slice(7, -7))
    np.testing.assert_allclose(out[inner], waves(z - by[0], u - by[1])[inner], atol=1e-3)


def test_each_image_by_its_own() -> None:
    image = np.random.default_rng(0).random((3, 20, 30)).astype("float32")
    down, across = np.array([0.0, 1.25, -2.0]), np.array([0.5, 0.0, 1.75])
    out = move(image, down=down, across=across, reach=2.0)
    assert out.dtype == np.float32
    for i in range(3):
        single = move(image[i], down=down[i], across=across[i], reach=2.0)
        np.testing.assert_array_equal(out[i], single)
    np.testing.assert_array_equal(out[2][:-2, 5:-5], move(image[2], across=1.75)[2:, 5:-5])


def test_a_block_with_its_halo_is_bitwise_the_whole() -> None:
    image = np.random.default_rng(1).random((2, 41, 17)).astype("float32")
    given: dict[str, Any] = {
        "down": np.array([2.3, -1.9]), "across": np.array([0.4, 0.0]), "reach": 2.3
    }  # fmt: skip
    whole = move(image, **given)
    margin = contract_of(move).overlap(contract_of(move).resolve(given))["z"]
    assert margin == 6
    for first in range(0, 41, 5):
        last, start = min(first + 5, 41), max(first - margin, 0)
        block = move(image[:, start : last + margin], **given)
        np.testing.assert_array_equal(block[:, first - start : last - start], whole[:, first:last])


def test_ends_are_extended_and_nothing_moves_by_nothing() -> None:
    image = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(move(image), image)
    np.testing.assert_array_equal(move(image, down=2.0, reach=2)[:, 0], [0, 0, 0, 3])
    np.testing.assert_allclose(move(np.full((5, 7), 0.3), down=0.4, across=0.6, reach=1), 0.3)


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="by more rows than were said") as info:
        move(np.ones((8, 8)), down=3.0, reach=2.5)
    assert "at most reach=2.5" in str(info.value)
    with pytest.raises(ArgumentError, match="by what is not finite"):
        move(np.ones((8, 8)), across=np.nan)
