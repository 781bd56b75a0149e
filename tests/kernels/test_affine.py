"""Resampling equals scipy's for any cutting; averaging neither loses nor doubles anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from zeoarray.errors import ArgumentError
from zeoarray.kernels import affine

Array = np.ndarray[Any, Any]


def volume(shape: tuple[int, ...], seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def turned(scale: float = 1.0, shift: tuple[float, ...] = (1.3, -2.1, 0.7), seed: int = 3) -> Array:
    rng = np.random.default_rng(seed)
    return np.c_[scale * (np.eye(3) + 0.08 * rng.normal(size=(3, 3))), np.array(shift)]


def rotation(degrees: float) -> Array:
    axis = np.array([0.6, 0.0, 0.8])
    cross = np.cross(np.eye(3), axis)
    angle = np.deg2rad(degrees)
    return np.eye(3) - np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16"])
def test_resample_is_scipys(order: Any, dtype: str) -> None:
    values = (100 * volume((17, 19, 23)) + 500).astype(dtype)
    matrix, shape = turned(), (18, 16, 21)
    ours = affine.resample(values, matrix=matrix, shape=shape, order=order, fill=-1)
    theirs = scipy.ndimage.affine_transform(
        values.astype(float), matrix[:, :3], matrix[:, 3], shape, order=order, cval=-1
    )
    assert ours.dtype == (dtype if dtype != "uint16" else "float32")
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.ptp(values.astype(float)))
    assert 0.05 < np.mean(ours == -1) < 0.9


@pytest.mark.parametrize("order", [1, 3])
@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_block_is_the_same_as_in_the_whole(order: Any, data: st.DataObject) -> None:
    values = volume((33, 36, 40))
    matrix = turned(data.draw(st.sampled_from([0.5, 1.0, 1.7])), seed=data.draw(st.integers(0, 9)))
    shape = (30, 31, 32)
    whole = scipy.ndimage.affine_transform(
        values.astype(float), matrix[:, :3], matrix[:, 3], shape, order=order, cval=-9
    )
    cuts = [sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in shape]
    first, size = [c[0] for c in cuts], tuple(c[1] - c[0] for c in cuts)
    if 0 in size:
        return
    box = affine.reads(matrix, size, whole=values.shape, first=first, margin=affine.REACH[order])
    block = affine.resample(
        values[box],
        matrix=matrix,
        shape=size,
        order=order,
        first=first,
        start=[s.start for s in box],
        whole=values.shape,
        fill=-9,
    )
    np.testing.assert_allclose(
        block, whole[tuple(slice(*c) for c in cuts)], rtol=0, atol=1e-5 * np.ptp(values)
    )


def test_the_way_of_array_libraries_is_the_same() -> None:
    values, matrix = volume((20, 21, 22)), turned()
    block = affine._Block(matrix, (9, 8, 7), (4, 5, 6), (0, 0, 0), values.shape)
    for order in (1, 3):
        out = np.empty(block.shape, "float32")
        affine._by_library(values, out, block, order, 0.0)
        ours = affine.resample(
            values, matrix=matrix, shape=(9, 8, 7), first=(4, 5, 6), order=order, fill=0
        )
        np.testing.assert_allclose(ours, out, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_thin_volumes(size: int) -> None:
    values = volume((size, 8, 9))
    for order in (1, 3):
        same = affine.resample(values, matrix=np.eye(4), shape=values.shape, order=order)
        np.testing.assert_allclose(same, values, atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 1.37, 2.0, 3.7])
def test_average_conserves_the_mean(scale: float) -> None:
    z, y, x = np.indices((60, 62, 58)) - 29.5
    values = volume((60, 62, 58)) + 3
    values[z**2 + y**2 + x**2 > 20**2] = 0
    matrix = scale * rotation(5.0)
    # The middle of the input goes to the middle of the output.
    shape = tuple(int(np.ceil(75 / scale)) for _ in range(3))
    middle = np.array([29.5, 30.5, 28.5]) - matrix @ ((np.array(shape) - 1) / 2)
    out = affine.average(values, matrix=np.c_[matrix, middle], shape=shape, fill=0)
    volumes = out.sum(dtype=float) * abs(np.linalg.det(matrix))
    assert abs(volumes / values.sum(dtype=float) - 1) < 1e-4


def test_average_of_whole_voxels_is_their_mean() -> None:
    values = volume((16, 18, 20))
    matrix, shape = np.c_[2 * np.eye(3), [0.5] * 3], (8, 9, 10)
    out = affine.average(values, matrix=matrix, shape=shape)
    np.testing.assert_allclose(out, values.reshape(8, 2, 9, 2, 10, 2).mean((1, 3, 5)), atol=1e-6)
    gauss = affine.average(values, matrix=matrix, shape=shape, width=[2.3548] * 3,
                           spread="gaussian")  # fmt: skip
    blurred = scipy.ndimage.gaussian_filter(values.astype(float), 1.0)
    inner = (slice(2, -2),) * 3
    between = affine.resample(blurred, matrix=matrix, shape=shape, order=3)
    assert np.corrcoef(gauss[inner].ravel(), between[inner].ravel())[0, 1] > 0.97
    np.testing.assert_allclose(
        affine.average(np.ones((9, 9, 9)), matrix=matrix, shape=(4, 4, 4), spread="gaussian"), 1
    )


def test_an_average_leaves_out_what_is_not_finite() -> None:
    values = np.ones((4, 4, 8))
    values[..., 3], values[..., 4:] = 5.0, np.nan
    matrix = np.c_[np.diag([1, 1, 4.0]), [0, 0, 1.5]]
    out = affine.average(values, matrix=matrix, shape=(4, 4, 2))
    np.testing.assert_allclose(out[..., 0], 2.0)
    assert np.isnan(out[..., 1]).all()


@pytest.mark.parametrize("spread", ["box", "gaussian"])
def test_an_average_is_the_same_in_a_block(spread: Any) -> None:
    values, matrix = volume((40, 41, 42)), turned(2.3)
    whole = affine.average(values, matrix=matrix, shape=(15, 14, 16), spread=spread)
    margin = affine.average_margin(affine.widths(matrix), spread)
    first, shape = (3, 5, 2), (6, 4, 9)
    box = affine.reads(matrix, shape, whole=values.shape, first=first, margin=margin)
    block = affine.average(
        values[box],
        matrix=matrix,
        shape=shape,
        spread=spread,
        first=first,
        start=[s.start for s in box],
        whole=values.shape,
    )
    np.testing.assert_array_equal(block, whole[3:9, 5:9, 2:11])


def test_what_cannot_be_is_said() -> None:
    values = volume((5, 5, 5))
    with pytest.raises(ArgumentError, match="singular"):
        affine.resample(values, matrix=np.diag([1, 0, 1, 1.0]), shape=(2, 2, 2))
    with pytest.raises(ArgumentError, match="no affine map"):
        affine.resample(values, matrix=np.full((3, 4), np.nan), shape=(2, 2, 2))
    with pytest.raises(ArgumentError, match="interpolated"):
        affine.resample(values, matrix=np.eye(4), shape=(2, 2, 2), order=2)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="three sizes"):
        affine.resample(values, matrix=np.eye(4), shape=(2, 2))
    with pytest.raises(ArgumentError, match="lacks voxels") as caught:
        affine.resample(values, matrix=np.eye(4), shape=(9, 9, 9), whole=(9, 9, 9))
    assert "affine.reads" in str(caught.value)
    with pytest.raises(ArgumentError, match="width along each axis"):
        affine.average(values, matrix=np.eye(4), shape=(2, 2, 2), width=[0, 1, 1])
    with pytest.raises(ArgumentError, match="no such mean"):
        affine.average(values, matrix=np.eye(4), shape=(2, 2, 2), spread="hat")  # type: ignore[arg-type]


def test_a_block_far_away_is_empty() -> None:
    far = np.c_[np.eye(3), [100.0, 0, 0]]
    assert affine.reads(far, (3, 3, 3), whole=(9, 9, 9)) == (slice(0, 0),) * 3
    out = affine.resample(np.empty((0, 0, 0)), matrix=far, shape=(3, 3, 3), whole=(9, 9, 9))
    assert np.isnan(out).all()
