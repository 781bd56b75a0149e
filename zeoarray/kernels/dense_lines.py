"""Filtered back-projection of many channels in two sparse steps: to fine lines, and off to pixels.

A filtered projection holds no frequency above `filters.REACH`. So it is written down at `RATE`
samples a pixel, a small matrix product, and every pixel takes `TAPS` of them for each direction:
the real-space form of a non-uniform FFT, E(d) = exp(beta (sqrt(1 - (2 d / TAPS)^2) - 1)) after
FINUFFT, whose transform is divided out of the lines beforehand. It gives what the operator that is
written down gives (`dense_operators.backprojection`), to 1e-5 of the range, for a tenth of its
products. Projections of one direction, half a turn apart or repeated, are added before pixels read
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic

from zeoarray.errors import unknown
from zeoarray.kernels.angles import angular_weights, check_angles
from zeoarray.kernels.columns import compiled
from zeoarray.kernels.dense_operators import pixels_of, rays_of, waves, waves_of
from zeoarray.kernels.filters import REACH, WINDOWS, Filter
from zeoarray.kernels.gaps import check_valid, stands
from zeoarray.kernels.kept import Kept
from zeoarray.kernels.slices import Size, centers_of, image_shape, reach_of

Array = np.ndarray[Any, Any]

RATE, TAPS = 2, 6
"""Samples of a fine line in a pixel, and how many of them a pixel takes."""
STEEPNESS = 0.985 * np.pi * TAPS * (1 - REACH / RATE)
"""Beta: where what is neglected within `TAPS` samples and beyond them is the least."""
LANES = 64
"""Channels that go through at once: the fine lines of a direction stay in the first cache."""
TOGETHER = 8
"""Projections that are filtered by one call, at most: their fine lines stay in the second cache."""
SAME = 1e-6
"""Directions are one where no pixel is farther off than this [pixels]."""


@dataclass(frozen=True)
class Lines:
    """Filtered back-projection of a geometry, in two steps."""

    order: Array
    """Projections that count, those of one direction next to each other."""
    matrices: Array
    """(projection, sample, u): fine lines of these projections, times their weight."""
    directions: Array
    """First projection in `order` of each direction, and one for the end."""
    starts: Array
    """(direction, pixel): the first sample that a pixel takes."""
    shares: Array
    """(direction, pixel, tap): how much of it and of the next."""
    missing: Array
    """Rays that were not measured, of the flattened `order` and u."""
    stands: tuple[Array, Array, Array]
    """Bounds, rays and shares of what stands for each missing ray."""
    pixels: Array
    """Indices of the pixels within the circle in the flattened (y, x)."""
    measured: Array
    """Indices of the measured rays in the flattened (angle, u)."""


_KEPT: Kept[Lines] = Kept()


def samples_of(shape: tuple[int, int], radius: float | None) -> int:
    """Samples of a fine line, the axis in their middle."""
    return 2 * (int(np.ceil(reach_of(shape, radius) * RATE)) + TAPS // 2 + 1) + 1


def bytes_of(
    shape: tuple[int, int], radius: float | None, angles: int, columns: int, *, gaps: bool
) -> tuple[int, int]:
    """Bytes of `Lines`, and of what is held beside while it is built or used."""
    samples, inside = samples_of(shape, radius), pixels_of(shape, radius).size
    fixed = 4 * angles * (samples * columns + inside * (1 + TAPS)) + 8 * inside
    # A missing ray may be taken from two places of each direction, where these are the same.
    fixed += 32 * angles * columns * (gaps + 1)
    lines = 4 * LANES * (2 * angles * columns + 2 * inside + 2 * TOGETHER * samples)
    waved = waves_of(shape, radius)
    build = 16 * waved * (2 * samples + 2 * columns + 200) + 32 * samples * columns
    build += (
        100 * columns * (2 * waved + 4 * columns) + 40 * TAPS * inside + 48 * shape[0] * shape[1]
    )
    return fixed, max(lines, build) + (1 << 16)


def lines_of(
    angle_rad: Any,
    *,
    width: int,
    center: float,
    size: Size = None,
    filter: Filter = "ramp",
    radius: float | None = None,
    valid: Any = None,
) -> Lines:
    """(angle) -> `Lines`, for NumPy arrays. The last one is kept.

    Parameters are those of `dense_operators.backprojection`.

    Raises
    ------
    ArgumentError
        Where angles, axis, flags, filter or radius cannot be.
    """
    angle, shape = check_angles(angle_rad, np.size(angle_rad)), image_shape(size, width)
    axis = float(centers_of(center, (), width)[0])
    flags = check_valid(valid, angle, (), width)
    if filter not in WINDOWS:
        raise unknown("filter", filter, WINDOWS)
    measured = np.ones((angle.size, width), bool) if flags is None else flags[0]
    key = (angle.tobytes(), width, axis, shape, filter, radius, measured.tobytes())
    return _KEPT.get(key, lambda: _build(angle, axis, shape, filter, radius, measured))


def _build(
    angle: Array, center: float, shape: tuple[int, int], window: Filter, radius: float | None,
    measured: Array,
) -> Lines:  # fmt: skip
    weights, pixels = angular_weights(angle, valid=measured.any(axis=1)), pixels_of(shape, radius)
    order, first = _directions(angle, np.flatnonzero(weights), reach_of(shape, radius))
    along = angle[order[first[:-1]]]
    fine = _fine(center, shape, window, radius, measured.shape[1])
    matrices = np.empty((order.size, *fine.shape), np.float32)
    for n, (j, direction) in enumerate(zip(order, np.repeat(along, np.diff(first)), strict=True)):
        opposite = np.cos(angle[j] - direction) < 0
        matrices[n] = np.float32(weights[j]) * (fine[::-1] if opposite else fine)
    starts = np.empty((along.size, pixels.size), np.int32)
    shares = np.empty((*starts.shape, TAPS), np.float32)
    y, x = (n - (by - 1) / 2 for n, by in zip(np.divmod(pixels, shape[1]), shape, strict=True))
    for n, direction in enumerate(along):
        place = (x * np.cos(direction) + y * np.sin(direction)) * RATE + (len(fine) - 1) / 2
        begin = np.ceil(place - TAPS / 2)
        starts[n] = begin
        shares[n] = _taper((place - begin)[:, None] - np.arange(TAPS))
    missing, bounds, rays, parts = _missing(angle, center, measured, order)
    return Lines(
        order, matrices, first, starts, shares, missing, (bounds, rays, parts), pixels,
        np.flatnonzero(measured.ravel()),
    )  # fmt: skip


def _directions(angle: Array, chosen: Array, reach: float) -> tuple[Array, Array]:
    """Chosen projections by direction, and where each direction begins, with the end."""
    near = SAME / max(reach, 1.0)
    # What is just below half a turn belongs to what is just above none.
    direction = np.mod(angle[chosen] + near, np.pi)
    order = np.argsort(direction, kind="stable")
    new = np.diff(direction[order], prepend=-np.inf) > near
    rank = np.arange(chosen.size)
    # Repeats without end are taken a few at a time.
    new |= (rank - np.maximum.accumulate(np.where(new, rank, 0))) % TOGETHER == 0
    return chosen[order], np.append(np.flatnonzero(new), chosen.size)


def _taper(distance: Array) -> Array:
    """E: what a pixel takes of a sample at a distance, in samples."""
    inside = np.sqrt(np.maximum(1 - (2 * distance / TAPS) ** 2, 0))
    taper: Array = np.exp(STEEPNESS * (inside - 1))
    return taper


def _fine(
    center: float, shape: tuple[int, int], window: Filter, radius: float | None, columns: int
) -> Array:
    """(sample, u): fine lines of rays of 1."""
    step, parts = waves(np, center, shape, window, radius, columns)
    nodes, by = np.polynomial.legendre.leggauss(64)
    nodes, by = nodes * TAPS / 2, by * TAPS / 2 * _taper(nodes * TAPS / 2)
    passed = (by * np.cos(step[:, None] / RATE * nodes)).sum(axis=1)
    count = samples_of(shape, radius)
    place = (np.arange(count) - (count - 1) / 2) / RATE
    fine: Array = (np.exp(1j * place[:, None] * step) @ (parts / passed[:, None])).real
    return fine.astype(np.float32)


def _missing(
    angle: Array, center: float, measured: Array, order: Array
) -> tuple[Array, Array, Array, Array]:
    """Missing rays of projections that count, and what stands for them, as rays of `order`."""
    columns = measured.shape[1]
    turned = np.full(angle.size, -1)
    turned[order] = np.arange(order.size)
    found = list(stands(angle, center, measured))
    missing = [turned[one.angle] * columns + one.u for one in found]
    bounds = np.cumsum([0, *(one.rays.size for one in found)])
    rays = np.concatenate([np.zeros(0, int), *(one.rays for one in found)])
    parts = np.concatenate([np.zeros(0, np.float32), *(one.shares for one in found)])
    return (
        np.array(missing, np.int64),
        bounds.astype(np.int64),
        turned[rays // columns] * columns + rays % columns,
        parts.astype(np.float32),
    )


def through(one: Lines, sinogram: Array, image: Array, row: int) -> None:
    """(angle, u, q) -> (y, x, q), written to `image`; 0 beyond the circle.

    Raises
    ------
    ArgumentError
        Where a measured ray is not finite.
    """
    flat = image.reshape(-1, image.shape[-1])
    if one.pixels.size < flat.shape[0]:
        flat[...] = 0
    rays = np.zeros((one.order.size, sinogram.shape[1], LANES), np.float32)
    found = np.empty((one.pixels.size, LANES), np.float32)
    runs = list(_runs(one.directions))
    fine = np.empty(
        (max(p.stop - p.start for p, _ in runs), one.matrices.shape[1], LANES), np.float32
    )
    for first in range(0, image.shape[-1], LANES):
        part = slice(first, min(first + LANES, image.shape[-1]))
        lanes = part.stop - first
        rays[..., :lanes] = sinogram[one.order, :, part]
        rays[..., lanes:] = 0
        if one.missing.size:
            _stand_in(rays.reshape(-1, LANES), one.missing, *one.stands)
        with np.errstate(over="ignore", invalid="ignore"):
            total = rays.sum()
        if not np.isfinite(total):
            # Raises, but where it is only the sum that cannot be.
            rays_of(sinogram, part, one.measured, "the sinogram", row)
        found[...] = 0
        for lines, ways in runs:
            filtered = fine[: lines.stop - lines.start]
            np.matmul(one.matrices[lines], rays[lines], out=filtered)
            begin = one.directions[ways.start : ways.stop + 1] - lines.start
            _read_off(
                filtered, begin, one.starts[ways], one.shares[ways], found, (0,) * TAPS,
                (0,) * LANES,
            )  # fmt: skip
        flat[one.pixels, part] = found[:, :lanes]


def _runs(directions: Array) -> Iterator[tuple[slice, slice]]:
    """Projections and directions that go through together."""
    first = 0
    while first < directions.size - 1:
        last = int(np.searchsorted(directions, directions[first] + TOGETHER, "right")) - 1
        yield slice(int(directions[first]), int(directions[last])), slice(first, last)
        first = last


# --- compiled -------------------------------------------------------------------------------------
@compiled
def _stand_in(rays: Any, missing: Any, bounds: Any, sources: Any, shares: Any) -> None:
    """Write into missing rays what stands for them; sources are measured, and never missing."""
    for m in range(missing.size):
        target = rays[missing[m]]
        target[:] = 0
        for s in range(bounds[m], bounds[m + 1]):
            source = rays[sources[s]]
            for lane in range(target.size):
                target[lane] += shares[s] * source[lane]


def _take_in_llvm(
    typing: Any, target: Any, to: Any, source: Any, at: Any, shares: Any, share: Any, taps: Any,
    lanes: Any,
) -> Any:  # fmt: skip
    """Add to the lanes at target[to] those at source[at] and at the next cells, by their shares.

    LLVM makes no vectors of the loop over lanes, since it cannot know that the arrays do not
    overlap; so it gets vectors. How many there are stands in the types of two tuples.
    """
    width, count = lanes.count, taps.count

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, contract = ir.VectorType(ir.FloatType(), width), ("contract",)
        nothing, first = ir.Constant(vector, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
        data = {
            i: context.make_array(signature.args[i])(context, builder, args[i]).data
            for i in (0, 2, 4)
        }

        def place(array: int, index: Any, offset: int) -> Any:
            further = builder.add(index, ir.Constant(index.type, offset))
            return builder.gep(data[array], [further])

        out = builder.bitcast(place(0, args[1], 0), vector.as_pointer())
        total = builder.load(out, align=4)
        for tap in range(count):
            cell = builder.bitcast(place(2, args[3], tap * width), vector.as_pointer())
            part = builder.insert_element(nothing, builder.load(place(4, args[5], tap)), first)
            part = builder.shuffle_vector(part, nothing, everywhere)
            product = builder.fmul(part, builder.load(cell, align=4), flags=contract)
            total = builder.fadd(total, product, flags=contract)
        builder.store(total, out, align=4)
        return context.get_dummy_value()

    index = numba.types.intp
    kind = numba.types.void(target, index, source, index, shares, index, taps, lanes)
    return kind, generate


_take: Any = intrinsic(_take_in_llvm)


@compiled
def _read_off(
    fine: Any, directions: Any, starts: Any, shares: Any, out: Any, taps: Any, lanes: Any
) -> None:
    """Add to `out` (pixel, lane) what pixels take of fine lines (projection, sample, lane)."""
    line, wide, count = fine.shape[1] * fine.shape[2], fine.shape[2], len(taps)
    source, target, parts = fine.reshape(-1), out.reshape(-1), shares.reshape(-1)
    pixels = out.shape[0]
    for way in range(directions.size - 1):
        base = directions[way] * line
        for other in range(directions[way] + 1, directions[way + 1]):
            for i in range(line):
                source[base + i] += source[other * line + i]
        for i in range(pixels):
            at, share = base + np.intp(starts[way, i]) * wide, (way * pixels + i) * count
            _take(target, i * wide, source, at, parts, share, taps, lanes)
