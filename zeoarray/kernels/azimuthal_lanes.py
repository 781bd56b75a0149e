"""Passes over the entries of one bin for sixteen frames at once, as vectors of the processor.

The frames lie turned, so that the sixteen values of a pixel are one line of the cache. A pass goes
over some entries of a bin, keeps its sums in registers, and leaves them in `out` (row, lane). Sums
of counts are in single precision: whoever calls goes on in double precision every `CHUNK` entries.
The weight below a quantile is in double precision in the end: whether a pixel is in hangs on it.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic

from zeoarray.kernels.azimuthal_loops import GIVEN, LANES, POISSON, UTILITIES, Code, compiled

CHUNK = 256
"""Entries that are summed up in single precision."""
AHEAD = 24
"""Entries before its turn that a pixel is sent for."""
LAST = 0x7FFFFFFF
"""The key of what is no number: above those of all numbers."""
AZIMUTHAL, DARKENED = 4, 5
"""Variances beside the kinds of `azimuthal_loops`: that of the bin, and counts of which the dark
was taken away."""

_SIZE, _FLOAT = numba.types.intp, numba.types.float32
_INT = ir.IntType(32)
_INTS = ir.VectorType(_INT, LANES)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)


class Pass(Code):
    """One pass in the making: its sums, and the loop over entries."""

    def sums(self, count: int, kind: Any = _FLOATS, start: float = 0.0) -> list[Any]:
        """Sums that begin at `start`, in registers."""
        first = ir.Constant(kind, [start] * LANES)
        places = [UTILITIES.alloca_once(self.builder, kind) for _ in range(count)]
        for place in places:
            self.builder.store(first, place)
        return places

    def add(self, place: Any, keep: Any, what: Any) -> None:
        """Add where `keep`."""
        nothing = ir.Constant(what.type, [0.0] * LANES)
        chosen = self.builder.select(keep, what, nothing)
        self.builder.store(self.builder.fadd(self.builder.load(place), chosen), place)

    def leave(self, out: int, places: list[Any]) -> None:
        """Write the sums into the rows of `out`."""
        for row, place in enumerate(places):
            target = self.builder.bitcast(self.data(out), place.type)
            self.put(target, ir.Constant(ir.IntType(64), row), self.builder.load(place))

    def put(self, pointer: Any, index: Any, value: Any) -> None:
        """Write a vector."""
        place = self.builder.gep(pointer, [index])
        self.builder.store(value, self.builder.bitcast(place, value.type.as_pointer()), align=4)

    def number(self, array: int, index: Any) -> Any:
        """One number of an array."""
        return self.builder.load(self.builder.gep(self.data(array), [index]))

    def spread(self, array: int, index: Any) -> Any:
        """One number of an array, in all lanes."""
        return self.splat(self.number(array, index))

    def wide(self, array: int, index: Any) -> Any:
        """The same in double precision."""
        return self.builder.fpext(self.spread(array, index), _DOUBLES)

    def whole(self, array: int, index: Any) -> Any:
        """A whole number of an array, as an index."""
        return self.builder.sext(self.number(array, index), index.type)

    def keys(self, array: int, index: Any) -> Any:
        """One row of whole numbers."""
        pointer = self.builder.bitcast(self.data(array), _INTS.as_pointer())
        return self.load(pointer, index)

    def ahead(self, pixel: int, values: int, j: Any, stop: Any) -> None:
        """Send for the values of an entry further on, which lie anywhere in memory."""
        builder, pointer = self.builder, ir.IntType(8).as_pointer()
        late = builder.add(j, ir.Constant(j.type, AHEAD))
        last = builder.sub(stop, ir.Constant(j.type, 1))
        late = builder.select(builder.icmp_signed("<", late, last), late, last)
        place = builder.gep(self.vectors(values), [self.whole(pixel, late)])
        kind = ir.FunctionType(ir.VoidType(), [pointer, _INT, _INT, _INT])
        fetch = UTILITIES.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        how = [ir.Constant(_INT, n) for n in (0, 3, 1)]
        builder.call(fetch, [builder.bitcast(place, pointer), *how])

    def squared(self, kind: int, value: Any, p: Any, j: Any) -> Any:
        """Variance of the counts of pixel p, times the square of entry j's share."""
        square = self.load(self.vectors(10), p) if kind == GIVEN else value
        if kind == DARKENED:
            square = self.builder.fadd(value, self.spread(10, p))
        if kind != GIVEN:
            one = ir.Constant(_FLOATS, [1.0] * LANES)
            square = self.builder.select(self.builder.fcmp_ordered(">", square, one), square, one)
        factor = self.number(1, j)
        return self.builder.fmul(self.splat(self.builder.fmul(factor, factor)), square)

    def within(self, x: Any, low: Any, high: Any) -> Any:
        """Which numbers lie from low to high; no NaN does."""
        above = self.builder.fcmp_ordered(">=", x, low)
        return self.builder.and_(above, self.builder.fcmp_ordered("<=", x, high))


def _sums_in_llvm(
    typing: Any, pixel: Any, share: Any, weight: Any, inverse: Any, base: Any, start: Any,
    stop: Any, values: Any, low: Any, high: Any, out: Any,
) -> Any:  # fmt: skip
    """Signal, normalisation, its square, and pixels, of intensities from low to high."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Pass(context, builder, signature, args)
        places, zero = code.sums(4), ir.Constant(ir.IntType(64), 0)
        least, most = code.load(code.vectors(8), zero), code.load(code.vectors(9), zero)
        with code.entries(args[5], args[6]) as (j, _):
            code.ahead(0, 7, j, args[6])
            value = code.load(code.vectors(7), code.whole(0, j))
            n = builder.sub(j, args[4])
            x = builder.fmul(value, code.spread(3, n))
            keep = code.within(x, least, most)
            share_, weight_ = code.spread(1, j), code.spread(2, n)
            code.add(places[0], keep, builder.fmul(share_, value))
            code.add(places[1], keep, weight_)
            code.add(places[2], keep, builder.fmul(weight_, weight_))
            code.add(places[3], keep, share_)
        code.leave(10, places)
        return context.get_dummy_value()

    types = (pixel, share, weight, inverse, _SIZE, _SIZE, _SIZE, values, low, high, out)
    return numba.types.void(*types), generate


def _spread_in_llvm(kind: int) -> Any:
    def typed(
        typing: Any, pixel: Any, share: Any, weight: Any, inverse: Any, base: Any, start: Any,
        stop: Any, values: Any, low: Any, high: Any, beside: Any, out: Any,
    ) -> Any:  # fmt: skip
        """Variance of the signal; `beside`: the means, the dark, or the variance of each pixel."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            code = Pass(context, builder, signature, args)
            places, zero = code.sums(1), ir.Constant(ir.IntType(64), 0)
            least, most = code.load(code.vectors(8), zero), code.load(code.vectors(9), zero)
            with code.entries(args[5], args[6]) as (j, _):
                p, n = code.whole(0, j), builder.sub(j, args[4])
                value = code.load(code.vectors(7), p)
                x = builder.fmul(value, code.spread(3, n))
                keep = code.within(x, least, most)
                if kind == AZIMUTHAL:
                    away = builder.fsub(x, code.load(code.vectors(10), zero))
                    away = builder.fmul(away, code.spread(2, n))
                    code.add(places[0], keep, builder.fmul(away, away))
                else:
                    code.add(places[0], keep, code.squared(kind, value, p, j))
            code.leave(11, places)
            return context.get_dummy_value()

        types = (pixel, share, weight, inverse, _SIZE, _SIZE, _SIZE, values, low, high, beside,
                 out)  # fmt: skip
        return numba.types.void(*types), generate

    return typed


def _keys_in_llvm(
    typing: Any, pixel: Any, weight: Any, inverse: Any, base: Any, start: Any, stop: Any,
    values: Any, keys: Any, out: Any, ends: Any,
) -> Any:  # fmt: skip
    """Whole numbers that sort as the intensities; their weight, the least and the largest."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Pass(context, builder, signature, args)
        (total,) = code.sums(1, _DOUBLES)
        (least,), (most,) = code.sums(1, _INTS, LAST), code.sums(1, _INTS, -LAST)
        last, none = ir.Constant(_INTS, [LAST] * LANES), ir.Constant(_INTS, [-LAST] * LANES)
        zero, end = ir.Constant(_FLOATS, [0.0] * LANES), ir.Constant(_INTS, [31] * LANES)
        with code.entries(args[4], args[5]) as (j, _):
            code.ahead(0, 6, j, args[5])
            n = builder.sub(j, args[3])
            x = builder.fmul(code.load(code.vectors(6), code.whole(0, j)), code.spread(2, n))
            valid = builder.fcmp_ordered("==", x, x)
            # There is one zero only, once 0 is added; negative numbers descend with their bits.
            bits = builder.bitcast(builder.fadd(x, zero), _INTS)
            key = builder.xor(bits, builder.and_(builder.ashr(bits, end), last))
            code.add(total, valid, code.wide(1, n))
            key, top = builder.select(valid, key, last), builder.select(valid, key, none)
            for place, sign, new in ((least, "<", key), (most, ">", top)):
                old = builder.load(place)
                better = builder.icmp_signed(sign, new, old)
                builder.store(builder.select(better, new, old), place)
            code.put(builder.bitcast(code.data(7), _INTS.as_pointer()), n, key)
        code.leave(8, [total])
        target = builder.bitcast(code.data(9), _INTS.as_pointer())
        for row, place in enumerate((least, most)):
            code.put(target, ir.Constant(ir.IntType(64), row), builder.load(place))
        return context.get_dummy_value()

    types = (pixel, weight, inverse, _SIZE, _SIZE, _SIZE, values, keys, out, ends)
    return numba.types.void(*types), generate


def _below_in_llvm(kind: Any) -> Any:
    def typed(
        typing: Any, weight: Any, start: Any, stop: Any, keys: Any, pivots: Any, out: Any
    ) -> Any:
        """Weight of the keys below two pivots (2, lane)."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            code = Pass(context, builder, signature, args)
            places, rows = code.sums(2, kind), [ir.Constant(ir.IntType(64), row) for row in (0, 1)]
            edges = [code.keys(4, row) for row in rows]
            with code.entries(args[1], args[2]) as (n, _):
                key = code.keys(3, n)
                weight_ = code.wide(0, n) if kind is _DOUBLES else code.spread(0, n)
                for place, edge in zip(places, edges, strict=True):
                    code.add(place, builder.icmp_signed("<", key, edge), weight_)
            code.leave(5, places)
            return context.get_dummy_value()

        return numba.types.void(weight, _SIZE, _SIZE, keys, pivots, out), generate

    return typed


def _between_in_llvm(
    typing: Any, start: Any, stop: Any, keys: Any, brackets: Any, masks: Any
) -> Any:
    """A bit for each lane whose key lies in one of two brackets: (4, lane), their ends in turn."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Pass(context, builder, signature, args)
        ends = [code.keys(3, ir.Constant(ir.IntType(64), row)) for row in range(4)]
        with code.entries(args[0], args[1]) as (n, _):
            key, inside = code.keys(2, n), []
            for low, high in (ends[:2], ends[2:]):
                above = builder.icmp_signed(">=", key, low)
                inside.append(builder.and_(above, builder.icmp_signed("<", key, high)))
            bits = builder.bitcast(builder.or_(*inside), ir.IntType(LANES))
            builder.store(bits, builder.gep(code.data(4), [n]))
        return context.get_dummy_value()

    return numba.types.void(_SIZE, _SIZE, keys, brackets, masks), generate


sums: Any = intrinsic(_sums_in_llvm)
deviation: Any = intrinsic(_spread_in_llvm(AZIMUTHAL))
poisson: Any = intrinsic(_spread_in_llvm(POISSON))
darkened: Any = intrinsic(_spread_in_llvm(DARKENED))
given: Any = intrinsic(_spread_in_llvm(GIVEN))
keys_of: Any = intrinsic(_keys_in_llvm)
below: Any = intrinsic(_below_in_llvm(_FLOATS))
just_below: Any = intrinsic(_below_in_llvm(_DOUBLES))
between: Any = intrinsic(_between_in_llvm)


# --- whole bins -----------------------------------------------------------------------------------
@compiled
def gather(
    start: int, stop: int, pixel: Any, share: Any, norm: Any, weight: Any, inverse: Any
) -> None:
    """Weight of each entry of a bin, and one over the normalisation of its pixel."""
    for j in range(start, stop):
        n = norm[pixel[j]]
        weight[j - start] = share[j] * n
        # What has no share is as good as no number.
        inverse[j - start] = 1 / n if share[j] > 0 else np.nan


@compiled
def sum_up(
    start: int, stop: int, pixel: Any, share: Any, weight: Any, inverse: Any, values: Any,
    low: Any, high: Any, part: Any, total: Any,
) -> None:  # fmt: skip
    """Total (4, lane): signal, normalisation, its square, and pixels from `low` to `high`."""
    total[:] = 0.0
    for first in range(start, stop, CHUNK):
        last = min(first + CHUNK, stop)
        sums(pixel, share, weight, inverse, start, first, last, values, low, high, part)
        total += part


@compiled
def spread_up(
    start: int, stop: int, pixel: Any, share: Any, weight: Any, inverse: Any, values: Any,
    low: Any, high: Any, kind: int, mean: Any, dark: Any, beside: Any, part: Any, total: Any,
) -> None:  # fmt: skip
    """Total (lane): variance of the signal from `low` to `high`."""
    total[:] = 0.0
    for first in range(start, stop, CHUNK):
        last = min(first + CHUNK, stop)
        if kind == AZIMUTHAL:
            deviation(
                pixel, share, weight, inverse, start, first, last, values, low, high, mean, part
            )
        elif kind == GIVEN:
            given(
                pixel, share, weight, inverse, start, first, last, values, low, high, beside, part
            )
        elif dark.size:
            darkened(
                pixel, share, weight, inverse, start, first, last, values, low, high, dark, part
            )
        else:
            poisson(
                pixel, share, weight, inverse, start, first, last, values, low, high, dark, part
            )
        total += part[0]
