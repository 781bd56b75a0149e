"""Line integrals along the rays of one frame: the capillary, and the matrix less its cuts.

A ray is ``origin + u * e_u + z * e_z + t * beam`` in sample coordinates; these twelve numbers are
a *frame*. The pellet is convex, so that each ray has one piece [near, far] within it, known
exactly. The matrix varies smoothly: its integral up to t is kept on a coarse lattice that turns
with the frame (`Bulk`), so that the integral over any piece of any ray takes two look-ups.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from zeoarray.twin.field import interpolate
from zeoarray.twin.scene import Scene, compiled

Array = np.ndarray[Any, Any]

STEP_UM = 8.0
"""Spacing of `Bulk`, against a zinc front of 28 um."""


class Grid(NamedTuple):
    """Where the rays of a frame go, and which ray is nearest to a given position."""

    u: Array
    """(row, column) undistorted lateral position of each ray on the detector [um]."""
    z: Array
    """(row, column) height [um]."""
    pixel: float
    """Distance of neighbouring rays [um]."""
    fine: int
    """Rays along each side of a pixel."""
    start: Array
    """(2,): column and row, counted in rays over the whole detector, of the first ray here."""
    lens: Array
    """(2 + n,): centre (column, row) and coefficients of the distortion, in pixels."""
    senses: Array
    """(4,): pixels of one um along u and z (signed), and the pixel where u and z are zero."""


class Bulk(NamedTuple):
    """Integral of the matrix's attenuation along the beam, up to each node of a lattice."""

    sums: Array
    """(z, u, t) float32 [um/cm]"""
    first: Array
    """(3,) int64: index of the first node along z, u and t, where node n is at n * STEP_UM."""


@compiled
def pixel_of(grid: Grid, u: float, z: float) -> tuple[float, float]:
    """Ray (column, row) of the whole detector, fractional, that looks at the position (u, z)."""
    column = u * grid.senses[0] + grid.senses[2] - grid.lens[0]
    row = z * grid.senses[1] + grid.senses[3] - grid.lens[1]
    radius = math.sqrt(column * column + row * row)
    stretch = 0.0
    for n in range(grid.lens.shape[0] - 1, 1, -1):
        stretch = stretch * radius + grid.lens[n]
    return (
        (grid.lens[0] + stretch * column + 0.5) * grid.fine - 0.5,
        (grid.lens[1] + stretch * row + 0.5) * grid.fine - 0.5,
    )


@compiled
def matrix_between(bulk: Bulk, u: float, z: float, t0: float, t1: float) -> float:
    """Integral of the matrix's attenuation along a ray from t0 to t1 [um/cm]."""
    sums = bulk.sums
    fz = min(max(z / STEP_UM - bulk.first[0], 0.0), sums.shape[0] - 1.001)
    fu = min(max(u / STEP_UM - bulk.first[1], 0.0), sums.shape[1] - 1.001)
    k, j = int(fz), int(fu)
    fz, fu = fz - k, fu - j
    total, sign = 0.0, -1.0
    for t in (t0, t1):
        ft = min(max(t / STEP_UM - bulk.first[2], 0.0), sums.shape[2] - 1.001)
        i = int(ft)
        ft -= i
        low = (sums[k, j, i] * (1 - ft) + sums[k, j, i + 1] * ft) * (1 - fu) + (
            sums[k, j + 1, i] * (1 - ft) + sums[k, j + 1, i + 1] * ft
        ) * fu
        high = (sums[k + 1, j, i] * (1 - ft) + sums[k + 1, j, i + 1] * ft) * (1 - fu) + (
            sums[k + 1, j + 1, i] * (1 - ft) + sums[k + 1, j + 1, i + 1] * ft
        ) * fu
        total += sign * (low * (1 - fz) + high * fz)
        sign = 1.0
    return total


@compiled
def in_ball(o: tuple[float, ...], b: Array, ball: Array, at: int) -> tuple[float, float]:
    """Piece of the ray inside a ball whose centre and radius begin at ``ball[at]``."""
    x, y, z = o[0] - ball[at], o[1] - ball[at + 1], o[2] - ball[at + 2]
    half = x * b[9] + y * b[10] + z * b[11]
    square = half * half - (x * x + y * y + z * z - ball[at + 3] ** 2)
    if square <= 0:
        return 1.0, -1.0
    root = math.sqrt(square)
    return -half - root, -half + root


@compiled
def accumulate(
    sums: Array, first: Array, frame: Array, facets: Array, reach: Array, values: Array,
    origin: Array, step: float,
) -> None:  # fmt: skip
    """Fill `Bulk.sums` from the table of the matrix, by the midpoint rule.

    Only within the pellet and two nodes round it: elsewhere nobody asks.
    """
    # Loops, for a slice assignment drags the text of its error message into the compiler: 5 s.
    wide = np.empty((facets.shape[0] + 1, 4))
    for n in range(wide.shape[0]):
        for m in range(4):
            wide[n, m] = reach[m] if n == facets.shape[0] else facets[n, m]
        wide[n, 3] += 1.6 * STEP_UM
    for k in range(sums.shape[0]):
        z = (first[0] + k) * STEP_UM
        for j in range(sums.shape[1]):
            u = (first[1] + j) * STEP_UM
            x = frame[0] + u * frame[3] + z * frame[6]
            y = frame[1] + u * frame[4] + z * frame[7]
            h = frame[2] + u * frame[5] + z * frame[8]
            t0, t1 = -np.inf, np.inf
            for n in range(wide.shape[0]):
                low, high = in_ball((x, y, h), frame, wide[n], 0)
                t0, t1 = max(t0, low), min(t1, high)
                if t0 >= t1:
                    break
            begin = end = sums.shape[2]
            if t0 < t1:
                begin = max(0, math.floor(t0 / STEP_UM) - first[2])
                end = min(sums.shape[2], math.ceil(t1 / STEP_UM) - first[2])
            total = 0.0
            for i in range(begin):
                sums[k, j, i] = 0.0
            for i in range(begin, end):
                sums[k, j, i] = total
                t = (first[2] + i + 0.5) * STEP_UM
                total += STEP_UM * interpolate(
                    values, origin, step, x + t * frame[9], y + t * frame[10], h + t * frame[11]
                )
            for i in range(end, sums.shape[2]):
                sums[k, j, i] = total


@compiled
def in_cylinder(o: tuple[float, ...], b: Array, capillary: Array, radius: float) -> float:
    """Half length of the ray inside the capillary's cylinder of this radius, 0 where it misses."""
    dx, dy, dz = capillary[3], capillary[4], capillary[5]
    x, y, z = o[0] - capillary[0], o[1] - capillary[1], o[2] - capillary[2]
    along = x * dx + y * dy + z * dz
    cosine = b[9] * dx + b[10] * dy + b[11] * dz
    x, y, z = x - along * dx, y - along * dy, z - along * dz
    bx, by, bz = b[9] - cosine * dx, b[10] - cosine * dy, b[11] - cosine * dz
    a = bx * bx + by * by + bz * bz
    half = x * bx + y * by + z * bz
    square = half * half - a * (x * x + y * y + z * z - radius * radius)
    return math.sqrt(square) / a if square > 0 and a > 1e-12 else 0.0


@compiled
def cut_pieces(
    cutters: Array, shadow: Array, work: Array, u: float, z: float, o: tuple[float, ...],
    b: Array, near: float, far: float,
) -> int:  # fmt: skip
    """Write the pieces of [near, far] in each crack and chip to `work`; how many there are."""
    count = 0
    for n in range(shadow.shape[0]):
        du, dz = u - shadow[n, 0], z - shadow[n, 1]
        if du * du + dz * dz >= shadow[n, 2]:
            continue
        c = cutters[n]
        low, high = in_ball(o, b, c, 0)
        low, high = max(low, near), min(high, far)
        if c[11] > 0 and low < high:
            first, last = in_ball(o, b, c, 8)
            low, high = max(low, first), min(high, last)
        if low >= high:
            continue
        first, last = in_ball(o, b, c, 4) if c[7] > 0 else (1.0, -1.0)
        if first >= last or last <= low or first >= high:
            work[count, 0], work[count, 1] = low, high
            count += 1
            continue
        if first > low:
            work[count, 0], work[count, 1] = low, first
            count += 1
        if last < high:
            work[count, 0], work[count, 1] = last, high
            count += 1
    return count


@compiled
def cut_line(work: Array, count: int, bulk: Bulk, u: float, z: float, near: float) -> float:
    """Integral of the matrix over pieces that may overlap where cracks cross, none twice."""
    total, end = 0.0, near
    for _ in range(count):
        pick = 0
        for n in range(1, count):
            if work[n, 0] < work[pick, 0]:
                pick = n
        low = max(work[pick, 0], end)
        if work[pick, 1] > low:
            total += matrix_between(bulk, u, z, low, work[pick, 1])
            end = work[pick, 1]
        work[pick, 0] = np.inf
    return total


@compiled
def shadows(cutters: Array, frame: Array, out: Array) -> None:
    """Centre (u, z) and squared radius of the disc that holds each cutter's projection."""
    for n in range(cutters.shape[0]):
        at = 8 if cutters[n, 11] > 0 else 0
        out[n, 0], out[n, 1] = 0.0, 0.0
        for axis in range(3):
            off = cutters[n, at + axis] - frame[axis]
            out[n, 0] += off * frame[3 + axis]
            out[n, 1] += off * frame[6 + axis]
        out[n, 2] = cutters[n, at + 3] ** 2


@compiled
def integrate(
    image: Array, near: Array, far: Array, grid: Grid, frame: Array, scene: Scene, reach: Array,
    bulk: Bulk, glass: float,
) -> None:  # fmt: skip
    """Fill `image` with capillary and matrix [um/cm]; near and far with the pellet's piece.

    `reach` is the ball around the pellet; `glass` the attenuation of the capillary [1/cm].
    """
    work = np.empty((2 * scene.cutters.shape[0] + 1, 2))
    shadow = np.empty((scene.cutters.shape[0], 3))
    shadows(scene.cutters, frame, shadow)
    bore, wall = scene.capillary[6], scene.capillary[7]
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            u, z = grid.u[r, c], grid.z[r, c]
            o = (
                frame[0] + u * frame[3] + z * frame[6],
                frame[1] + u * frame[4] + z * frame[7],
                frame[2] + u * frame[5] + z * frame[8],
            )
            near[r, c], far[r, c], image[r, c] = 1.0, -1.0, 0.0
            if wall > 0:
                outer = in_cylinder(o, frame, scene.capillary, wall)
                if outer == 0:
                    continue
                image[r, c] = 2 * glass * (outer - in_cylinder(o, frame, scene.capillary, bore))
            t0, t1 = in_ball(o, frame, reach, 0)
            for n in range(scene.facets.shape[0]):
                if t0 >= t1:
                    break
                low, high = in_ball(o, frame, scene.facets[n], 0)
                t0, t1 = max(t0, low), min(t1, high)
            if t0 >= t1:
                continue
            near[r, c], far[r, c] = t0, t1
            total = matrix_between(bulk, u, z, t0, t1)
            count = cut_pieces(scene.cutters, shadow, work, u, z, o, frame, t0, t1)
            if count:
                total -= cut_line(work, count, bulk, u, z, t0)
            image[r, c] += total


@compiled
def sample_table(values: Array, origin: Array, step: float, centre: Array, out: Array) -> None:
    """The table's value at each of many points."""
    for n in range(out.size):
        out[n] = interpolate(values, origin, step, centre[n, 0], centre[n, 1], centre[n, 2])
