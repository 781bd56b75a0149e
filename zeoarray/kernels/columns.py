"""The columns of a sinogram: sorted, put back, their fluctuation; medians across them.

What Vo's stripe removal is made of. Sorted columns lie as rows, (u, rank), so that a column is
contiguous for the sort, and neighbouring ranks are for the median, which is taken across columns.
Each function has a compiled body for NumPy arrays and a plain one for any array library.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils
from numba.extending import intrinsic

from zeoarray.backend import pieces, xp_of

UTILITIES: Any = cgutils  # which is half typed
F = TypeVar("F", bound=Callable[..., Any])

LANES = 16
"""Ranks whose medians are taken at once: a cache line of float32, and one or two registers."""


def compiled(function: F) -> F:
    """Compile at the first call, to disk; without the GIL, in one thread."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def ndimage_of(array: Any) -> Any:
    """The `scipy.ndimage` that `array` belongs to."""
    return importlib.import_module("scipy.ndimage" if xp_of(array) is np else "cupyx.scipy.ndimage")


def reflected(size: int, count: int, start: int) -> np.ndarray:
    """Indices `start`, `start` + 1, ... of an axis, as `scipy.ndimage` reflects them at its ends.

    Examples
    --------
    >>> reflected(3, 9, -3).tolist()
    [2, 1, 0, 0, 1, 2, 2, 1, 0]
    """
    index = np.arange(start, start + count) % (2 * size)
    return np.minimum(index, 2 * size - 1 - index)


# --- sorting ------------------------------------------------------------------------------------
def transposed(sinogram: Any) -> Any:
    """(angle, u) -> (u, angle), as a contiguous copy."""
    xp = xp_of(sinogram)
    if xp is not np:
        return xp.ascontiguousarray(sinogram.T)
    out = np.empty(sinogram.shape[::-1], sinogram.dtype)
    _transpose(sinogram, out)
    return out


@compiled
def _transpose(sinogram: Any, out: Any) -> None:
    rows, columns = sinogram.shape
    for top in range(0, rows, 16):
        for left in range(0, columns, 16):
            for j in range(left, min(left + 16, columns)):
                for i in range(top, min(top + 16, rows)):
                    out[j, i] = sinogram[i, j]


def sort_rows(values: Any) -> Any:
    """Sort each row of (u, angle) in place, and return the order: the angle of each rank.

    Equal values keep no order of their own: it is what the library's fastest sort makes of them.
    """
    xp = xp_of(values)
    order = xp.empty(values.shape, np.int32)
    for (part,) in pieces(values):
        index = xp.argsort(values[part], axis=1)
        if xp is np:
            _take(values[part], index, order[part])
        else:
            values[part] = xp.take_along_axis(values[part], index, axis=1)
            order[part] = index
    return order


@compiled
def _take(values: Any, index: Any, order: Any) -> None:
    columns, rows = values.shape
    row = np.empty(rows, values.dtype)
    for j in range(columns):
        for k in range(rows):
            row[k] = values[j, k]
        for k in range(rows):
            values[j, k] = row[index[j, k]]
            order[j, k] = index[j, k]


def sort_again(values: Any, order: Any, stale: Any) -> None:
    """Bring the rows that are `stale` back into sorted order, in place."""
    xp = xp_of(values)
    rows = xp.flatnonzero(stale)
    for (part,) in pieces(values[: rows.size]):
        row = rows[part]
        unsorted = xp.empty((row.size, values.shape[1]), values.dtype)
        unsorted[xp.arange(row.size)[:, None], order[row]] = values[row]
        order[row] = sort_rows(unsorted)
        values[row] = unsorted


def divide(values: Any, factor: Any, replaced: Any, out: Any) -> Any:
    """Divide sorted columns by their `factor` into `out`, but for those `replaced` there already.

    Returns which columns of `out` may be out of order by `sort_rows`: those that are replaced or
    change sign, and those where rounding made equal what was not.
    """
    if xp_of(values) is not np:
        return divide_plainly(values, factor, replaced, out)
    stale = replaced | (factor < 0)
    _divide(values, factor, replaced, out, stale)
    return stale


def divide_plainly(values: Any, factor: Any, replaced: Any, out: Any) -> Any:
    """As `divide`, for any array library; all columns may be out of order."""
    xp = xp_of(values)
    for (part,) in pieces(values):
        kept = replaced[part][:, None]
        out[part] = xp.where(kept, out[part], values[part] / factor[part][:, None])
    return xp.ones(len(values), bool)


@compiled
def _divide(values: Any, factor: Any, replaced: Any, out: Any, stale: Any) -> None:
    columns, rows = values.shape
    for j in range(columns):
        if replaced[j]:
            continue
        for k in range(rows):
            out[j, k] = values[j, k] / factor[j]
        merged = False
        for k in range(1, rows):
            merged |= (out[j, k] == out[j, k - 1]) & (values[j, k] != values[j, k - 1])
        stale[j] |= merged


def put_back(values: Any, order: Any, out: Any) -> None:
    """Write the sorted columns (u, rank) back to their angles in `out` (angle, u)."""
    if xp_of(values) is np:
        _put_back(values, order, out)
    else:
        put_back_plainly(values, order, out)


def put_back_plainly(values: Any, order: Any, out: Any) -> None:
    """As `put_back`, for any array library."""
    xp = xp_of(values)
    out[order, xp.arange(len(values))[:, None]] = values


@compiled
def _put_back(values: Any, order: Any, out: Any) -> None:
    columns, rows = values.shape
    # Scattered into a tile that stays in the cache, then written by lines.
    tile = np.empty((rows, 16), values.dtype)
    for first in range(0, columns, 16):
        count = min(16, columns - first)
        for j in range(count):
            for k in range(rows):
                tile[order[first + j, k], j] = values[first + j, k]
        for i in range(rows):
            for j in range(count):
                out[i, first + j] = tile[i, j]


# --- fluctuation --------------------------------------------------------------------------------
def fluctuation(sinogram: Any, width: int) -> Any:
    """(angle, u) -> (u). The sum of what each column differs from its mean over `width` angles."""
    if xp_of(sinogram) is not np:
        return fluctuation_plainly(sinogram, width)
    out = np.zeros(sinogram.shape[1])
    angles = len(sinogram)
    _fluctuation(sinogram, reflected(angles, angles + width, -(width // 2)), width, out)
    return out


def fluctuation_plainly(sinogram: Any, width: int) -> Any:
    """As `fluctuation`, for any array library."""
    smooth = ndimage_of(sinogram).uniform_filter1d(sinogram, width, axis=0)
    return xp_of(sinogram).abs(sinogram - smooth).sum(axis=0, dtype=np.float64)


@compiled
def _fluctuation(sinogram: Any, source: Any, width: int, out: Any) -> None:
    angles, columns = sinogram.shape
    total = np.zeros(columns)
    for k in range(width):
        for j in range(columns):
            total[j] += sinogram[source[k], j]
    for i in range(angles):
        old, new = sinogram[source[i]], sinogram[source[i + width]]
        for j in range(columns):
            out[j] += abs(sinogram[i, j] - np.float32(total[j] / width))
            total[j] += np.float64(new[j]) - np.float64(old[j])


# --- the running median -------------------------------------------------------------------------
def running_median(values: Any, size: int, out: Any) -> None:
    """(u, rank) -> (u, rank). The median over `size` neighbours along u, as `scipy.ndimage`'s.

    An even window reaches one further to the left and gives the upper of its two middle values.
    The ends are reflected, several times where the window is wider than the sinogram (there
    SciPy's own is not right).
    """
    columns, ranks = values.shape
    if xp_of(values) is not np:
        out[...] = ndimage_of(values).median_filter(values, (size, 1))
        return
    source = reflected(columns, columns + size - 1, -(size // 2))
    if ranks >= LANES:
        _running_median(values, source, size, out)
    else:
        wide = np.zeros((2, columns, LANES), np.float32)
        wide[0, :, :ranks] = values
        _running_median(wide[0], source, size, wide[1])
        out[...] = wide[1, :, :ranks]


@compiled
def _running_median(values: Any, source: Any, size: int, out: Any) -> None:
    columns, ranks = values.shape
    # The sorted window of each rank, and above it what is greater than any value.
    window = np.empty((size + 1) * LANES, np.float32)
    nothing = np.full(LANES, np.inf, np.float32)
    middle = (size // 2) * LANES
    for group in range(0, ranks, LANES):
        first = min(group, ranks - LANES)
        last = first + LANES
        window[:] = np.inf
        for u in range(1 - size, columns):
            come = values[source[u + size - 1], first:last]
            leave = values[source[u - 1], first:last] if u > 0 else nothing
            _replace(window, size, leave, come)
            if u >= 0:
                for k in range(LANES):
                    out[u, first + k] = window[middle + k]


def _replace_in_llvm(typing: Any, window: Any, size: Any, leave: Any, come: Any) -> Any:
    """Take `leave` out of the sorted windows and put `come` in: the code, for one vector of lanes.

    With v the window without `leave`, which is w[k] below it and w[k + 1] from it on, the new
    window is min(max(v[k - 1], come), v[k]): one pass without a branch. LLVM makes no vectors of
    the same loop over arrays, since it cannot know that they do not overlap; so it gets vectors,
    and is four times faster.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = ir.VectorType(ir.FloatType(), LANES)

        def pointer(i: int) -> Any:
            array = context.make_array(signature.args[i])(context, builder, args[i])
            return builder.bitcast(array.data, lanes.as_pointer())

        def choose(relation: str, one: Any, other: Any, yes: Any, no: Any) -> Any:
            return builder.select(builder.fcmp_ordered(relation, one, other), yes, no)

        rows = pointer(0)
        old, new = (builder.load(pointer(i), align=4) for i in (2, 3))
        # Variables of the loop, which become registers: w[k], and v[k - 1].
        here = UTILITIES.alloca_once_value(builder, builder.load(rows, align=4))
        lower = UTILITIES.alloca_once_value(builder, ir.Constant(lanes, [float("-inf")] * LANES))
        with UTILITIES.for_range(builder, args[1]) as loop:
            following = builder.add(loop.index, loop.index.type(1))
            this = builder.load(here)
            after = builder.load(builder.gep(rows, [following]), align=4)
            kept = choose("<", this, old, this, after)
            before = builder.load(lower)
            above = choose(">", before, new, before, new)
            result = choose("<", above, kept, above, kept)
            builder.store(result, builder.gep(rows, [loop.index]), align=4)
            builder.store(after, here)
            builder.store(kept, lower)
        return context.get_dummy_value()

    return numba.types.void(window, size, leave, come), generate


_replace: Any = intrinsic(_replace_in_llvm)
