"""Rays through pixels after Joseph: what `projector` and `expectation` are made of.

Conventions are those of `radon`: u = x cos(angle) + y sin(angle), the rotation axis at index
(size - 1) / 2 of y and x and at index `center` of u, lengths in pixels. A ray takes from each row
(or column, where it is steeper) of pixels that it crosses what linear interpolation gives there. So
a pixel whose middle is d from a ray adds max(0, c - d) / c^2, with c the larger one of abs(cos) and
abs(sin). Projection walks along rays and back-projection along pixels, and each only adds to what
it walks along.

Slices that share an axis go through together, as the last and contiguous axis, `LANES` at a time:
where a ray is, is computed once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic

from zeoarray.backend import xp_of
from zeoarray.kernels.columns import compiled

Array = np.ndarray[Any, Any]

LANES = 16
"""Slices that go through together: a cache line of float32."""
CACHE = 1 << 18
"""Bytes of pixels that stay in the cache of a core while all rays pass over them."""


class Rays:
    """The pair for slices that share an axis: arrays (y, x, slice) to (angle, u, slice) and back.

    Parameters
    ----------
    angle
        Angle of each projection [rad].
    shape
        Pixels of y and x.
    columns
        Columns of u.
    center
        Index of u where the axis is.
    """

    def __init__(self, angle: Array, shape: tuple[int, int], columns: int, center: float) -> None:
        self.shape, self.columns, self.lines = shape, columns, angle.size
        cos, sin = np.cos(angle), np.sin(angle)
        middle = [(n - 1) / 2 for n in shape]
        longer = np.maximum(abs(cos), abs(sin))
        # Column of u that a pixel is seen in: start + slope y + step x.
        self._seen = (center - middle[1] * cos - middle[0] * sin, sin, cos, longer)
        self._sides = []
        for side, (along, across) in enumerate(((cos, sin), (sin, cos))):
            # Rays that cross rows of pixels (or columns), and where: start + slope row + step u.
            chosen = np.flatnonzero((abs(cos) >= abs(sin)) == (side == 0))
            one, other = along[chosen], across[chosen]
            start = middle[1 - side] + (middle[side] * other - center) / one
            self._sides.append((chosen, start, -other / one, 1 / one, longer[chosen]))

    def forth(self, image: Any) -> Any:
        """(y, x, slice) -> (angle, u, slice)."""
        xp, lanes = xp_of(image), image.shape[-1]
        out = xp.zeros((self.lines, self.columns, lanes), np.float32)
        body = _forth if xp is np else forth_plainly
        for side, (chosen, start, slope, step, longer) in enumerate(self._sides):
            if chosen.size:
                rows = image.swapaxes(0, 1) if side else image
                # Not by name: the copy of the other side goes before this one comes.
                body(_bordered(xp, rows), chosen, start + 1, slope, step, longer, out, (0,) * lanes)
        return out

    def back(self, sinogram: Any) -> Any:
        """(angle, u, slice) -> (y, x, slice)."""
        xp, lanes = xp_of(sinogram), sinogram.shape[-1]
        out = xp.zeros((*self.shape, lanes), np.float32)
        body = _back if xp is np else back_plainly
        start, slope, step, longer = self._seen
        body(_bordered(xp, sinogram), start + 1, slope, step, longer, out, (0,) * lanes)
        return out


def _bordered(xp: Any, rows: Any) -> Any:
    """As float32, with an empty cell before and behind each row."""
    out = xp.empty((rows.shape[0], rows.shape[1] + 2, rows.shape[2]), np.float32)
    out[:, 0] = out[:, -1] = 0
    out[:, 1:-1] = rows
    return out


# --- compiled -----------------------------------------------------------------------------------
def _blend_in_llvm(
    typing: Any, target: Any, to: Any, source: Any, at: Any, one: Any, other: Any, lanes: Any
) -> Any:
    """Add to the lanes at target[to] those at source[at] and at the next cell, with two weights.

    LLVM makes no vectors of the loop over lanes, since it cannot know that the arrays do not
    overlap; so it gets vectors. How many lanes there are stands in the type of `lanes`, a tuple.
    """
    count = lanes.count

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), count)

        def pointer(array: int, index: Any) -> Any:
            data = context.make_array(signature.args[array])(context, builder, args[array]).data
            return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())

        def spread(value: Any) -> Any:
            single = builder.insert_element(
                ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0)
            )
            where = ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
            return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), where)

        out = pointer(0, args[1])
        following = builder.add(args[3], ir.Constant(args[3].type, count))
        near, far = (builder.load(pointer(2, i), align=4) for i in (args[3], following))
        added = builder.fadd(
            builder.fmul(spread(args[4]), near), builder.fmul(spread(args[5]), far)
        )
        builder.store(builder.fadd(builder.load(out, align=4), added), out, align=4)
        return context.get_dummy_value()

    index, real = numba.types.intp, numba.types.float32
    return numba.types.void(target, index, source, index, real, real, lanes), generate


_blend: Any = intrinsic(_blend_in_llvm)


@compiled
def _span(start: float, step: float, limit: float, count: int) -> tuple[int, int]:
    """First and last plus one of the indices i < count with 0 <= start + step i < limit."""
    end = start + step * (count - 1)
    if abs(step) < 1e-9:
        # Nobody adds anything as near to a border as that.
        return (0, count) if min(start, end) >= 0 and max(start, end) < limit else (0, 0)
    enter, leave = -start / step, (limit - start) / step
    if step < 0:
        enter, leave = leave, enter
    first = int(min(max(np.ceil(enter), 0.0), float(count)))
    last = int(min(max(np.floor(leave) + 1, 0.0), float(count)))
    while first < last and not 0 <= start + step * first < limit:
        first += 1
    while first < last and not 0 <= start + step * (last - 1) < limit:
        last -= 1
    return first, last


@compiled
def _forth(
    cells: Any, chosen: Any, start: Any, slope: Any, step: Any, longer: Any, out: Any, lanes: Any
) -> None:
    """Add to `out` (angle, u, slice) the rays `chosen` through `cells` (row, cell, slice)."""
    rows, width, columns, wide = cells.shape[0], cells.shape[1], out.shape[1], len(lanes)
    source, target = cells.reshape(-1), out.reshape(-1)
    tile = max(1, CACHE // (4 * wide * width))
    for first in range(0, rows, tile):
        for k in range(chosen.size):
            scale, stride, line = np.float32(1 / longer[k]), step[k], chosen[k] * columns
            for row in range(first, min(first + tile, rows)):
                begin = start[k] + slope[k] * row
                low, high = _span(begin, stride, width - 1.0, columns)
                for u in range(low, high):
                    place = begin + stride * u
                    cell = int(place)
                    part = np.float32(place - cell) * scale
                    to, at = (line + u) * wide, (row * width + cell) * wide
                    _blend(target, to, source, at, scale - part, part, lanes)


@compiled
def _back(cells: Any, start: Any, slope: Any, step: Any, longer: Any, out: Any, lanes: Any) -> None:
    """Add to `out` (y, x, slice) what its pixels are seen with in `cells` (angle, u, slice)."""
    rows, columns, width, wide = out.shape[0], out.shape[1], cells.shape[1], len(lanes)
    source, target = cells.reshape(-1), out.reshape(-1)
    tile = max(1, CACHE // (4 * wide * columns))
    none = np.float32(0)
    for first in range(0, rows, tile):
        for k in range(start.size):
            reach, scale = np.float32(longer[k]), np.float32(1 / longer[k] ** 2)
            stride = step[k]
            for row in range(first, min(first + tile, rows)):
                begin = start[k] + slope[k] * row
                low, high = _span(begin, stride, width - 1.0, columns)
                for x in range(low, high):
                    place = begin + stride * x
                    cell = int(place)
                    off = np.float32(place - cell)
                    near = max(reach - off, none) * scale
                    far = max(reach - (np.float32(1) - off), none) * scale
                    to, at = (row * columns + x) * wide, (k * width + cell) * wide
                    _blend(target, to, source, at, near, far, lanes)


# --- for any array library ----------------------------------------------------------------------
def forth_plainly(
    cells: Any, chosen: Array, start: Array, slope: Array, step: Array, longer: Array, out: Any,
    lanes: tuple[int, ...],
) -> None:  # fmt: skip
    """As the compiled projection, for any array library; all rows at once."""
    xp, (rows, width) = xp_of(cells), cells.shape[:2]
    row, u = xp.arange(rows)[:, None], xp.arange(out.shape[1])
    for k, line in enumerate(chosen.tolist()):
        place = start[k] + slope[k] * row + step[k] * u
        cell = xp.clip(xp.floor(place).astype(np.int64), 0, width - 2)
        part = xp.where((place >= 0) & (place < width - 1), place - cell, -1)[..., None]
        within, part = part >= 0, part.astype(np.float32)
        crossed = cells[row, cell] * (1 - part) + cells[row, cell + 1] * part
        out[line] += (crossed * within).sum(axis=0) / np.float32(longer[k])


def back_plainly(
    cells: Any, start: Array, slope: Array, step: Array, longer: Array, out: Any,
    lanes: tuple[int, ...],
) -> None:  # fmt: skip
    """As the compiled back-projection, for any array library; all pixels at once."""
    xp, width = xp_of(cells), cells.shape[1]
    y, x = xp.arange(out.shape[0])[:, None], xp.arange(out.shape[1])
    for k in range(start.size):
        place = start[k] + slope[k] * y + step[k] * x
        cell = xp.clip(xp.floor(place).astype(np.int64), 0, width - 2)
        for neighbour in (cell, cell + 1):
            weight = xp.clip(longer[k] - abs(place - neighbour), 0, None) / longer[k] ** 2
            out += cells[k][neighbour] * weight[..., None].astype(np.float32)


# --- slices -------------------------------------------------------------------------------------
def groups(centers: Array) -> Iterator[tuple[Sequence[int], int]]:
    """Rows of the flattened batch that go through together, and how many lanes they take."""
    first = 0
    while first < centers.size:
        last = first + 1
        while last < min(first + LANES, centers.size) and centers[last] == centers[first]:
            last += 1
        yield range(first, last), lanes_of(last - first)
        first = last


def lanes_of(slices: int) -> int:
    """Lanes that so many slices take: all of them, as a few cost as much."""
    return 1 if slices == 1 else LANES


def interleaved(slices: Sequence[Any], lanes: int) -> Any:
    """Slices as the last axis of one float32 array, with zeros in the lanes that are left."""
    xp = xp_of(*slices)
    out = xp.zeros((*slices[0].shape, lanes), np.float32)
    for i, part in enumerate(slices):
        out[..., i] = part
    return out


def pair_bytes(angles: int, columns: int, shape: tuple[int, int], lanes: int) -> tuple[int, int]:
    """Bytes of the bordered copies that `Rays.forth` and `Rays.back` hold beside their results."""
    y, x = shape
    return 4 * lanes * max(y * (x + 2), x * (y + 2)), 4 * lanes * angles * (columns + 2)
