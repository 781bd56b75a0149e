"""A block of a volume on another grid: interpolated, or averaged over the voxels of a coarser one.

Grids are joined by an affine map of indices, (k, j, i) of the output to (z, y, x) of the input.
A block of the output hangs on a box of the input only (`reads`), and is the same whether the rest
is there or not: of both it is told where in its whole it lies.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError, DependencyError
from zeoarray.kernels import affine_loops
from zeoarray.kernels.columns import ndimage_of
from zeoarray.kernels.contract import Kernel, Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.packed import each

Array = np.ndarray[Any, Any]
Box = tuple[slice, slice, slice]
Three = Sequence[int]

REACH = {1: 1, 3: 14}
"""Voxels beyond a point that its value hangs on, by order: a cubic spline's coefficients fade by
0.27 a voxel."""
TRUNCATE = 1.7
"""A Gaussian is followed this many times its width to either side."""


_CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))


def reads(
    matrix: Any, shape: Three, *, whole: Three, first: Three = (0, 0, 0), margin: Any = 1
) -> Box:
    """Box of the input that a block of the output hangs on; empty where they do not meet.

    Parameters
    ----------
    matrix
        (3, 4) or (4, 4): an index of the output to one of the input.
    shape, first
        Of the block of the output: its size, and the index of its first voxel.
    whole
        Shape of the whole input.
    margin
        Voxels beyond the points themselves: `REACH` of an order, or half a width and one.

    Examples
    --------
    >>> reads(np.eye(4), (4, 4, 4), whole=(9, 9, 9), first=(3, 0, 0))
    (slice(2, 8, None), slice(0, 5, None), slice(0, 5, None))
    """
    m = _matrix(matrix)
    corners = np.asarray(first, float) + _CORNERS * (np.asarray(shape, float) - 1)
    points = m[:, :3] @ corners.T + m[:, 3:]
    beyond = np.broadcast_to(np.asarray(margin, float), 3)
    box = []
    for at, n, more in zip(points, whole, beyond, strict=True):
        low, high = np.floor(at.min() - more + 1e-6), np.ceil(at.max() + more - 1e-6) + 1
        low, high = (int(np.clip(v, 0, n)) for v in (low, high))
        box.append(slice(low, max(low, high)))
    if any(s.start == s.stop for s in box):
        return slice(0, 0), slice(0, 0), slice(0, 0)
    return box[0], box[1], box[2]


def _sizes(sizes: Sizes, parameters: Parameters) -> Mapping[str, int]:
    return dict(zip("kji", map(int, parameters["shape"]), strict=True))


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    # One item of a batch at a time, as floats; a cubic spline's coefficients stand in their place.
    return Memory(0, 4 * sizes["z"] * sizes["y"] * sizes["x"])


@kernel("(z,y,x)->(k,j,i)", sizes=_sizes, memory=_memory)
def resample(
    values: Any,
    *,
    matrix: Any,
    shape: Three,
    order: Literal[1, 3] = 1,
    first: Three = (0, 0, 0),
    start: Three = (0, 0, 0),
    whole: Three | None = None,
    fill: float = np.nan,
) -> Any:
    """(..., z, y, x) -> (..., k, j, i). Values interpolated at the voxels of another grid.

    out[n] = values(matrix @ n). As `scipy.ndimage.affine_transform` in its mode ``constant``:
    linear, or by the cubic spline through all values, mirrored at the faces of the volume; `fill`
    where a point lies beyond the centres of the outermost voxels. One value that is not finite
    spreads over a cubic spline: fill it before.

    Parameters
    ----------
    values
        A volume, or a block of one that holds what `reads` says; integers become float32.
    matrix
        (3, 4) or (4, 4): index (k, j, i, 1) of the output to index (z, y, x) of the input.
    shape
        Sizes of the block of the output.
    order
        1 linear, 3 cubic.
    first
        Index, in the whole output, of the block's first voxel.
    start, whole
        Index of the first voxel of `values` in the whole input, and the whole's shape; None where
        `values` is the whole.
    fill
        Value outside.

    Raises
    ------
    ArgumentError
        For a matrix that is singular or not finite, another order, or a block that lacks voxels.

    References
    ----------
    M. Unser, A. Aldroubi, M. Eden, "B-spline signal processing: part II", IEEE Trans. Signal
    Process. 41, 834 (1993), doi:10.1109/78.193221.

    Examples
    --------
    >>> half = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.5]])
    >>> resample(np.arange(4.0)[None, None], matrix=half, shape=(1, 1, 4), fill=-1)[0, 0]
    array([ 0.5,  1.5,  2.5, -1. ])
    """
    if order not in REACH:
        raise ArgumentError("a volume cannot be interpolated so", got=order, expected="1 or 3")
    block = _block(values, matrix, shape, first, start, whole, REACH[order])
    xp, dtype = xp_of(values), contract_of(resample).output_dtype(0, values.dtype)
    out = xp.empty((*values.shape[:-3], *block.shape), dtype)
    for part, target in zip(each(values, 3), each(out, 3), strict=True):
        if not part.size:
            target[...] = fill
        elif xp is not np:
            _by_library(part.astype(dtype), target, block, order, fill)
        else:
            _interpolate(part, target, block, order, float(fill))
    return out


def _average_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    return Memory(0, 4 * sizes["z"] * sizes["y"] * sizes["x"])


@kernel("(z,y,x)->(k,j,i)", sizes=_sizes, memory=_average_memory)
def average(
    values: Any,
    *,
    matrix: Any,
    shape: Three,
    width: Sequence[float] | None = None,
    spread: Literal["box", "gaussian"] = "box",
    first: Three = (0, 0, 0),
    start: Three = (0, 0, 0),
    whole: Three | None = None,
    fill: float = np.nan,
) -> Any:
    """(..., z, y, x) -> (..., k, j, i). Means of a finer grid over the voxels of a coarser one.

    Each voxel of the output is the mean of the input over a box of its size, voxels of the input
    taken as constant: what is in the volume is neither lost nor counted twice, and nothing finer
    than the target is folded into it. Where both grids are turned against each other the box stays
    along the axes of the input. At a width of 1 this is linear interpolation. A mean over a box
    that reaches out of the volume, or over values that are not finite, is that of the rest.

    Parameters
    ----------
    values
        A volume, or a block of one that holds what `reads` says with ``margin=average_margin``;
        integers become float32.
    matrix
        (3, 4) or (4, 4): index (k, j, i, 1) of the output to index (z, y, x) of the input.
    shape
        Sizes of the block of the output.
    width
        Full width of the box (or the Gaussian at half its height) along z, y, x [voxels of the
        input], 1 or more for a box; that of the output's voxel where None.
    spread
        ``gaussian`` weighs by a point-spread function in place of the box.
    first, start, whole, fill
        As in `resample`. Outside is what lies beyond the faces of the volume.

    Raises
    ------
    ArgumentError
        For a matrix that is singular or not finite, a width that is not positive, or a block that
        lacks voxels.

    Examples
    --------
    >>> coarse = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1.5, 0.25]])
    >>> average(np.array([[[3.0, 0.0, 6.0]]]), matrix=coarse, shape=(1, 1, 2))[0, 0]
    array([2., 4.])
    """
    wide = widths(matrix) if width is None else np.asarray(width, float)
    if wide.shape != (3,) or not (wide > 0).all():
        raise ArgumentError(
            "a mean is over a width along each axis", got=width, expected="three positive numbers"
        )
    if spread not in ("box", "gaussian"):
        raise ArgumentError("there is no such mean", got=spread, expected="box or gaussian")
    if spread == "box":
        wide = np.maximum(wide, 1.0)
    block = _block(values, matrix, shape, first, start, whole, average_margin(wide, spread))
    if xp_of(values) is not np:
        raise DependencyError(
            "volumes are averaged on the CPU only", do="move the volume: cupy.asnumpy(values)"
        )
    dtype = contract_of(average).output_dtype(0, values.dtype)
    out = np.empty((*values.shape[:-3], *block.shape), dtype)
    for part, target in zip(each(values, 3), each(out, 3), strict=True):
        if part.size:
            _mean(part, target, block, wide, spread == "gaussian", float(fill))
        else:
            target[...] = fill
    return out


def widths(matrix: Any) -> Array:
    """(3). Extent of one voxel of the output along z, y, x of the input, 1 or more [voxels].

    Examples
    --------
    >>> widths(np.diag([2.0, 0.5, 4.0, 1.0])).tolist()
    [2.0, 1.0, 4.0]
    """
    out: Array = np.maximum(np.linalg.norm(_matrix(matrix)[:, :3], axis=1), 1.0)
    return out


def average_margin(width: Any, spread: str = "box") -> Array:
    """(3). Voxels beyond a point that `average` over this width hangs on, for `reads`."""
    out: Array = np.asarray(width, float) * (TRUNCATE if spread == "gaussian" else 0.5) + 1
    return out


class _Block:
    """Where a block of the output and one of the input lie in their wholes."""

    def __init__(self, matrix: Array, shape: Three, first: Three, start: Three, whole: Three):
        self.matrix, self.shape = matrix, tuple(map(int, shape))
        self.first, self.start, self.whole = (np.array(v, np.int64) for v in (first, start, whole))

    @property
    def where(self) -> tuple[Array, Array, Array, Array]:
        return self.matrix, self.first, self.start, self.whole


def _matrix(matrix: Any) -> Array:
    m = np.array(to_host(matrix), float)
    if m.shape not in ((3, 4), (4, 4)) or not np.isfinite(m).all():
        raise ArgumentError(
            "this is no affine map of indices",
            got=f"shape {m.shape}" if m.shape not in ((3, 4), (4, 4)) else "NaN or Inf",
            expected="(3, 4) or (4, 4), finite",
        )
    size = np.linalg.norm(m[:3, :3], axis=0)
    if not abs(np.linalg.det(m[:3, :3])) > 1e-9 * size.prod():
        raise ArgumentError(
            "the affine map is singular: it takes a volume to a plane, a line or a point",
            got=m[:3, :3].tolist(),
            expected="a matrix with an inverse",
        )
    return m[:3]


def _block(
    values: Any, matrix: Any, shape: Three, first: Three, start: Three, whole: Three | None,
    margin: Any,
) -> _Block:  # fmt: skip
    given = values.shape[-3:]
    full = given if whole is None else tuple(map(int, whole))
    if len(shape) != 3 or min(shape) < 0:
        raise ArgumentError("a block has three sizes", got=tuple(shape))
    block = _Block(_matrix(matrix), shape, first, start, full)
    if 0 in block.shape:
        return block
    need = reads(block.matrix, shape, whole=full, first=first, margin=margin)
    have = [(s, s + n) for s, n in zip(start, given, strict=True)]
    lacking = [
        (need_of.start, need_of.stop)
        for need_of, (low, high) in zip(need, have, strict=True)
        if need_of.stop > need_of.start and not low <= need_of.start < need_of.stop <= high
    ]
    if lacking:
        raise ArgumentError(
            "the block of the input lacks voxels that the output hangs on",
            got=f"voxels {have}",
            expected=f"voxels {[(s.start, s.stop) for s in need]}",
            do="read affine.reads(matrix, shape, whole=, first=, margin=affine.REACH[order])",
        )
    return block


def _interpolate(values: Any, out: Array, block: _Block, order: int, fill: float) -> None:
    if order == 1:
        affine_loops.linear(np.ascontiguousarray(values, out.dtype), out, *block.where, fill)
        return
    coefficients = np.array(values, out.dtype, order="C")
    affine_loops.prefilter(coefficients)
    affine_loops.cubic(coefficients, out, *block.where, fill)


def _mean(values: Any, out: Array, block: _Block, width: Array, smooth: bool, fill: float) -> None:
    given = np.ascontiguousarray(values, out.dtype)
    affine_loops.average(given, out, *block.where, width, smooth, fill)


def _by_library(values: Any, out: Any, block: _Block, order: int, fill: float) -> None:
    """As the compiled loops do it, by the array library's own transform of the block."""
    linear = block.matrix[:, :3]
    offset = block.matrix[:, 3] + linear @ block.first - block.start
    out[...] = ndimage_of(values).affine_transform(
        values, xp_of(values).asarray(linear), offset, block.shape, order=order, cval=fill
    )


CONTRACTS: tuple[Kernel, ...] = (contract_of(resample), contract_of(average))
