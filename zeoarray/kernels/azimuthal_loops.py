"""The compiled loops of azimuthal integration: batches of frames through a pixel-major matrix.

Sixteen frames go through the matrix side by side. A tile of their pixels is turned so that the
values of one pixel lie together; then each entry of the matrix is one multiply-add of two vectors.
The matrix, which is larger than sixteen frames, is read once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])
UTILITIES: Any = cgutils  # which is half typed

LANES = 16
"""Frames that go through the matrix at once: a cache line of float32."""
TILE = 1024
"""Pixels that are turned at once: with their sixteen values they stay in the cache of one core."""
NONE, POISSON, GIVEN, NORM = range(4)
"""What `load` puts beside the values: nothing, max(counts, 1), a variance, the normalisation."""


def compiled(function: F) -> F:
    """Compile at the first call, to disk; without the GIL, in one thread."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def tiles(pixels: int) -> Iterator[slice]:
    """The pixels of a frame, in tiles."""
    for first in range(0, pixels, TILE):
        yield slice(first, min(first + TILE, pixels))


# --- frames to tiles ------------------------------------------------------------------------------
@compiled
def load(
    frames: Any,
    variance: Any,
    kind: int,
    dark: Any,
    limits: Any,
    norm: Any,
    first: int,
    values: Any,
    beside: Any,
) -> int:
    """Turn pixels `first`, ... of frames (frame, pixel) into values (pixel, lane).

    Returns how many are not valid; those become NaN in `values` and 0 `beside`. `limits` are the
    least valid count, what is above every valid count, and the first and last of the dummies.
    """
    low, top, dummy_low, dummy_high = limits
    bad = 0
    for lane in range(frames.shape[0]):
        for p in range(values.shape[0]):
            x = np.float64(frames[lane, first + p])
            valid = (x >= low) & (x < top) & ~((x >= dummy_low) & (x <= dummy_high))
            second = 0.0
            if kind == POISSON:
                second = max(x, 1.0)
            elif kind == GIVEN:
                second = np.float64(variance[lane, first + p])
                valid &= (second >= 0.0) & (second < np.inf)
            elif kind == NORM:
                second = np.float64(norm[first + p])
            if dark.size:
                x -= np.float64(dark[first + p])
                valid &= np.isfinite(x)
            if valid:
                values[p, lane] = x
                if kind != NONE:
                    beside[p, lane] = second
            else:
                bad += 1
                values[p, lane] = np.nan
                if kind != NONE:
                    beside[p, lane] = 0.0
    return bad


@compiled
def count_lost(
    values: Any, lanes: int, first: int, indptr: Any, indices: Any, weights: Any, norm: Any,
    lost: Any,
) -> None:  # fmt: skip
    """Add up the normalisation (bin, lane) of pixels that are NaN, and make them 0."""
    for p in range(values.shape[0]):
        for lane in range(lanes):
            if np.isnan(values[p, lane]):
                values[p, lane] = 0.0
                for j in range(indptr[first + p], indptr[first + p + 1]):
                    share = np.float64(weights[j]) * np.float64(norm[first + p])
                    lost[indices[j], lane] += share


# --- one pixel into its bins ----------------------------------------------------------------------
class Code:
    """What the generators below share: vectors of lanes, and the loop over a pixel's entries."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.lanes = ir.VectorType(ir.FloatType(), LANES)
        self.context, self.builder, self.types, self.args = context, builder, signature.args, args

    def data(self, i: int) -> Any:
        """Where array i begins."""
        return self.context.make_array(self.types[i])(self.context, self.builder, self.args[i]).data

    def vectors(self, i: int) -> Any:
        """The same, as vectors."""
        return self.builder.bitcast(self.data(i), self.lanes.as_pointer())

    def load(self, pointer: Any, index: Any) -> Any:
        """Read a vector."""
        return self.builder.load(self.builder.gep(pointer, [index]), align=4)

    def splat(self, number: Any) -> Any:
        """One number in all lanes."""
        nothing, zero = ir.Constant(self.lanes, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        one = self.builder.insert_element(nothing, number, zero)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(one, nothing, mask)

    def add_product(self, pointer: Any, index: Any, one: Any, other: Any) -> None:
        """Add a product to a vector in memory."""
        place = self.builder.gep(pointer, [index])
        product = self.builder.fmul(one, other, flags=("contract",))
        total = self.builder.fadd(product, self.builder.load(place, align=4), flags=("contract",))
        self.builder.store(total, place, align=4)

    def entries(self, start: Any, stop: Any) -> Any:
        """Loop from start to stop."""
        return UTILITIES.for_range_slice(self.builder, start, stop, start.type(1))

    def entry(self, indices: int, weights: int, j: Any) -> tuple[Any, Any]:
        """Bin and weight of entry j."""
        index = self.builder.load(self.builder.gep(self.data(indices), [j]))
        weight = self.builder.load(self.builder.gep(self.data(weights), [j]))
        return self.builder.zext(index, self.args[3].type), weight


def _add_in_llvm(
    typing: Any, indices: Any, weights: Any, pixel: Any, start: Any, stop: Any, values: Any,
    total: Any,
) -> Any:  # fmt: skip
    """total[bin] += w values[pixel], over the entries start to stop."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature, args)
        value, total = code.load(code.vectors(5), args[2]), code.vectors(6)
        with code.entries(args[3], args[4]) as (j, _):
            k, weight = code.entry(0, 1, j)
            code.add_product(total, k, code.splat(weight), value)
        return context.get_dummy_value()

    size = numba.types.intp
    return numba.types.void(indices, weights, size, size, size, values, total), generate


def _add_both_in_llvm(
    typing: Any, indices: Any, weights: Any, pixel: Any, start: Any, stop: Any, values: Any,
    total: Any, variance: Any, squares: Any,
) -> Any:  # fmt: skip
    """As `_add`, and squares[bin] += w^2 variance[pixel]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature, args)
        value, total = code.load(code.vectors(5), args[2]), code.vectors(6)
        spread, squares = code.load(code.vectors(7), args[2]), code.vectors(8)
        with code.entries(args[3], args[4]) as (j, _):
            k, weight = code.entry(0, 1, j)
            code.add_product(total, k, code.splat(weight), value)
            code.add_product(squares, k, code.splat(builder.fmul(weight, weight)), spread)
        return context.get_dummy_value()

    size = numba.types.intp
    types = (indices, weights, size, size, size, values, total, variance, squares)
    return numba.types.void(*types), generate


def _add_deviation_in_llvm(
    typing: Any, indices: Any, weights: Any, pixel: Any, start: Any, stop: Any, values: Any,
    norms: Any, mean: Any, squares: Any,
) -> Any:  # fmt: skip
    """squares[bin] += (w (values[pixel] - norms[pixel] mean[bin]))^2."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature, args)
        value, norm = (code.load(code.vectors(i), args[2]) for i in (5, 6))
        mean, squares = code.vectors(7), code.vectors(8)
        with code.entries(args[3], args[4]) as (j, _):
            k, weight = code.entry(0, 1, j)
            away = builder.fsub(value, builder.fmul(norm, code.load(mean, k)))
            away = builder.fmul(away, code.splat(weight))
            code.add_product(squares, k, away, away)
        return context.get_dummy_value()

    size = numba.types.intp
    types = (indices, weights, size, size, size, values, norms, mean, squares)
    return numba.types.void(*types), generate


def _add_band_in_llvm(
    typing: Any, indices: Any, weights: Any, pixel: Any, start: Any, stop: Any, variance: Any,
    lags: Any, band: Any,
) -> Any:  # fmt: skip
    """band[bin, lag] += w w' variance[pixel], w' the weight of the same pixel `lag` bins on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature, args)
        spread, lags, band = code.load(code.vectors(5), args[2]), args[6], code.vectors(7)
        with code.entries(args[3], args[4]) as (i, _):
            k, one = code.entry(0, 1, i)
            scaled = builder.fmul(code.splat(one), spread)
            row = builder.mul(k, lags)
            with code.entries(i, args[4]) as (j, _):
                other_k, other = code.entry(0, 1, j)
                lag = builder.sub(other_k, k)
                with builder.if_then(builder.icmp_signed("<", lag, lags)):
                    code.add_product(band, builder.add(row, lag), code.splat(other), scaled)
        return context.get_dummy_value()

    size = numba.types.intp
    types = (indices, weights, size, size, size, variance, size, band)
    return numba.types.void(*types), generate


_add: Any = intrinsic(_add_in_llvm)
_add_both: Any = intrinsic(_add_both_in_llvm)
_add_deviation: Any = intrinsic(_add_deviation_in_llvm)
_add_band: Any = intrinsic(_add_band_in_llvm)


# --- a tile into the bins -------------------------------------------------------------------------
@compiled
def add(indptr: Any, indices: Any, weights: Any, first: int, values: Any, total: Any) -> None:
    """Total (bin, lane) += matrix @ values (pixel, lane), for the pixels from `first` on."""
    for p in range(values.shape[0]):
        start, stop = indptr[first + p], indptr[first + p + 1]
        _add(indices, weights, p, start, stop, values, total)


@compiled
def add_both(
    indptr: Any, indices: Any, weights: Any, first: int, values: Any, total: Any, variance: Any,
    squares: Any,
) -> None:  # fmt: skip
    """As `add`, and squares += matrix^2 @ variance."""
    for p in range(values.shape[0]):
        start, stop = indptr[first + p], indptr[first + p + 1]
        _add_both(indices, weights, p, start, stop, values, total, variance, squares)


@compiled
def add_deviation(
    indptr: Any, indices: Any, weights: Any, first: int, values: Any, norms: Any, mean: Any,
    squares: Any,
) -> None:  # fmt: skip
    """Squares += sum of (weight (value - norm mean))^2, the means (bin, lane) known."""
    for p in range(values.shape[0]):
        start, stop = indptr[first + p], indptr[first + p + 1]
        _add_deviation(indices, weights, p, start, stop, values, norms, mean, squares)


@compiled
def add_band(indptr: Any, indices: Any, weights: Any, first: int, variance: Any, band: Any) -> None:
    """Band (bin, lag, lane) += covariance of each bin with the `lag`-th after it."""
    for p in range(variance.shape[0]):
        start, stop = indptr[first + p], indptr[first + p + 1]
        _add_band(indices, weights, p, start, stop, variance, band.shape[1], band)


@compiled
def untile(total: Any, out: Any) -> None:
    """(bin, lane) -> (frame, bin), in blocks that stay in the cache."""
    for first in range(0, out.shape[1], 256):
        for lane in range(out.shape[0]):
            for k in range(first, min(first + 256, out.shape[1])):
                out[lane, k] = total[k, lane]


# --- turning a matrix -----------------------------------------------------------------------------
@compiled
def turn(indptr: Any, indices: Any, weights: Any, pointer: Any, column: Any, value: Any) -> None:
    """The transposed of a compressed sparse matrix; `pointer` comes as zeros of rows + 1."""
    for j in range(indices.size):
        pointer[indices[j] + 1] += 1
    for i in range(pointer.size - 1):
        pointer[i + 1] += pointer[i]
    place = pointer.copy()
    for i in range(indptr.size - 1):
        for j in range(indptr[i], indptr[i + 1]):
            at = place[indices[j]]
            place[indices[j]] += 1
            column[at] = i
            value[at] = weights[j]


@compiled
def spread(indptr: Any, indices: Any, weights: Any, norm: Any, total: Any) -> None:
    """Total (bin) += matrix @ norm (pixel), in double precision."""
    for p in range(indptr.size - 1):
        for j in range(indptr[p], indptr[p + 1]):
            total[indices[j]] += np.float64(weights[j]) * np.float64(norm[p])
