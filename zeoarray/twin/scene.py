"""What lies where: the pellet's shape, its zinc front and its inclusions, at any point.

A `Scene` is a handful of small arrays. The compiled functions here answer for one point; whole
arrays of points are `classify` and `matrix`. No voxel grid is stored: the pores and grains, in
their hundred thousands, are drawn from a hash of the cell of a lattice they live in, so that each
is known wherever it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np

Array = np.ndarray[Any, Any]
F = TypeVar("F", bound=Callable[..., Any])

AIR, MATRIX, BINDER, DENSE, GLASS, CRUMB, FIXED = range(7)
"""What a point is made of. MATRIX is zeolite, at a packing that inclusions may scale."""

PACKING = 0.62
"""Mean volume fraction of zeolite crystallites in the pellet; the rest is too fine to resolve."""
DENSITY_SWING = 0.06
"""The packing varies smoothly by up to this fraction."""

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)


def compiled(function: F) -> F:
    """Compile on first use; cached on disk, and running without the interpreter's lock."""
    # No fastmath: a value must not depend on how a loop happened to be cut.
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


class Scene(NamedTuple):
    """The sample as numbers; all lengths [um]."""

    seed: int
    facets: Array
    """(n, 4): the pellet is the intersection of these balls: centre, radius."""
    front: Array
    """(5,): depth and width of the zinc front, its waviness, rounding of edges, crack factor."""
    modes: Array
    """(n, 6): smooth noise: wave vector [rad/um], phase, amplitude on zinc, on packing."""
    cutters: Array
    """(n, 12): voids (A without B) within C, each a ball: centre, radius. B or C may be absent."""
    bodies: Array
    """(n, 13): ellipsoids, no two overlapping: centre, matrix (6), reach, kind, value, clipped."""
    capillary: Array
    """(8,): point on the axis, direction, inner and outer radius; radii 0 where there is none."""
    levels: Array
    """(n, 12): lattices of inclusions: rotation (9), cell, occupancy, ellipsoids in each."""


@compiled
def mix(value: np.uint64) -> np.uint64:
    """Scramble 64 bits (the finaliser of SplitMix64)."""
    value = (value ^ (value >> np.uint64(30))) * _M1
    value = (value ^ (value >> np.uint64(27))) * _M2
    return value ^ (value >> np.uint64(31))


@compiled
def cell_hash(seed: int, level: int, i: int, j: int, k: int) -> np.uint64:
    """Hash of one lattice cell."""
    state = mix(np.uint64(seed) + GOLDEN * np.uint64(level + 1))
    state = mix(state ^ np.uint64(i))
    state = mix(state ^ np.uint64(j))
    return mix(state ^ np.uint64(k))


@compiled
def uniform(state: np.uint64, n: int) -> float:
    """The n-th uniform number of a cell, in [0, 1)."""
    return (mix(state + GOLDEN * np.uint64(n)) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@compiled
def ball(level: Array, state: np.uint64, i: int, j: int, k: int) -> tuple[float, ...]:
    """Centre (sample coordinates) and radius of the ball that an inclusion stays in."""
    cell = level[9]
    radius = cell * (0.22 + 0.24 * uniform(state, 1))
    room = cell - 2 * radius
    a = i * cell + radius + room * uniform(state, 2)
    b = j * cell + radius + room * uniform(state, 3)
    c = k * cell + radius + room * uniform(state, 4)
    # The rows of the rotation are the lattice's axes; back to the sample is its transpose.
    x = level[0] * a + level[3] * b + level[6] * c
    y = level[1] * a + level[4] * b + level[7] * c
    z = level[2] * a + level[5] * b + level[8] * c
    return x, y, z, radius


@compiled
def part(state: np.uint64, radius: float, number: int, parts: int, out: Array) -> None:
    """One ellipsoid of an inclusion: offset from its centre (3) and matrix (6), into `out`."""
    base = 16 + 16 * number
    shift = 0.0 if parts == 1 else radius * (0.2 + 0.25 * uniform(state, base))
    cosine = 2 * uniform(state, base + 1) - 1
    sine = math.sqrt(1 - cosine * cosine)
    turn = 2 * math.pi * uniform(state, base + 2)
    out[0], out[1], out[2] = (
        shift * sine * math.cos(turn),
        shift * sine * math.sin(turn),
        shift * cosine,
    )
    major = radius - shift
    inverse = (
        1 / major**2,
        1 / (major * (0.5 + 0.45 * uniform(state, base + 3))) ** 2,
        1 / (major * (0.4 + 0.45 * uniform(state, base + 4))) ** 2,
    )
    # A random rotation, as a quaternion (Shoemake 1992).
    u1, u2, u3 = uniform(state, base + 5), uniform(state, base + 6), uniform(state, base + 7)
    s1, s2 = math.sqrt(1 - u1), math.sqrt(u1)
    qx, qy = s1 * math.sin(2 * math.pi * u2), s1 * math.cos(2 * math.pi * u2)
    qz, qw = s2 * math.sin(2 * math.pi * u3), s2 * math.cos(2 * math.pi * u3)
    rot = (
        (1 - 2 * (qy * qy + qz * qz), 2 * (qx * qy - qz * qw), 2 * (qx * qz + qy * qw)),
        (2 * (qx * qy + qz * qw), 1 - 2 * (qx * qx + qz * qz), 2 * (qy * qz - qx * qw)),
        (2 * (qx * qz - qy * qw), 2 * (qy * qz + qx * qw), 1 - 2 * (qx * qx + qy * qy)),
    )
    n = 3
    for row in range(3):
        for col in range(row, 3):
            total = 0.0
            for axis in range(3):
                total += rot[row][axis] * inverse[axis] * rot[col][axis]
            out[n] = total
            n += 1


@compiled
def inside(form: Array, at: int, x: float, y: float, z: float) -> bool:
    """Whether the offset (x, y, z) lies in the ellipsoid whose matrix begins at ``form[at]``."""
    square = form[at] * x * x + form[at + 3] * y * y + form[at + 5] * z * z
    mixed = form[at + 1] * x * y + form[at + 2] * x * z + form[at + 4] * y * z
    return bool(square + 2 * mixed <= 1.0)


@compiled
def nature(state: np.uint64, depth: float, radius: float) -> tuple[int, float]:
    """Kind of an inclusion, and the packing relative to the matrix around it."""
    draw = uniform(state, 5)
    # A broken surface is pitted: what it cuts through has mostly fallen out.
    if draw < 0.45 or (depth < radius and draw < 0.9):
        return AIR, 0.0
    if draw < 0.76:
        return MATRIX, 1.25
    if draw < 0.92:
        return MATRIX, 0.75
    return BINDER, 0.0


@compiled
def hard_depth(facets: Array, x: float, y: float, z: float) -> float:
    """Distance to the pellet's surface along the nearest facet, negative outside of it."""
    least = np.inf
    for n in range(facets.shape[0]):
        dx, dy, dz = x - facets[n, 0], y - facets[n, 1], z - facets[n, 2]
        least = min(least, facets[n, 3] - math.sqrt(dx * dx + dy * dy + dz * dz))
    return least if facets.shape[0] else -np.inf


@compiled
def near_cutter(cutters: Array, x: float, y: float, z: float, radius: float) -> bool:
    """Whether a ball may touch one of the cutters: cracks and chips have right of way."""
    for n in range(cutters.shape[0]):
        c = cutters[n]
        from_a = math.sqrt((x - c[0]) ** 2 + (y - c[1]) ** 2 + (z - c[2]) ** 2)
        if from_a > c[3] + radius:
            continue
        if (
            c[7] > 0
            and math.sqrt((x - c[4]) ** 2 + (y - c[5]) ** 2 + (z - c[6]) ** 2) < c[7] - radius
        ):
            continue
        if (
            c[11] > 0
            and math.sqrt((x - c[8]) ** 2 + (y - c[9]) ** 2 + (z - c[10]) ** 2) > c[11] + radius
        ):
            continue
        return True
    return False


@compiled
def in_cutter(cutters: Array, x: float, y: float, z: float) -> bool:
    """Whether a point lies in a crack or a chip."""
    for n in range(cutters.shape[0]):
        c = cutters[n]
        if (x - c[0]) ** 2 + (y - c[1]) ** 2 + (z - c[2]) ** 2 > c[3] ** 2:
            continue
        if c[7] > 0 and (x - c[4]) ** 2 + (y - c[5]) ** 2 + (z - c[6]) ** 2 < c[7] ** 2:
            continue
        if c[11] > 0 and (x - c[8]) ** 2 + (y - c[9]) ** 2 + (z - c[10]) ** 2 > c[11] ** 2:
            continue
        return True
    return False


@compiled
def displaced(scene: Scene, level: int, x: float, y: float, z: float, radius: float) -> bool:
    """Whether an inclusion of this level gives way to a cutter, a body or a larger inclusion."""
    if near_cutter(scene.cutters, x, y, z, radius):
        return True
    for n in range(scene.bodies.shape[0]):
        b = scene.bodies[n]
        reach = b[9] + radius
        if (x - b[0]) ** 2 + (y - b[1]) ** 2 + (z - b[2]) ** 2 < reach * reach:
            return True
    for above in range(level):
        rows = scene.levels[above]
        cell = rows[9]
        a = rows[0] * x + rows[1] * y + rows[2] * z
        b0 = rows[3] * x + rows[4] * y + rows[5] * z
        c = rows[6] * x + rows[7] * y + rows[8] * z
        for i in range(math.floor((a - radius) / cell), math.floor((a + radius) / cell) + 1):
            for j in range(math.floor((b0 - radius) / cell), math.floor((b0 + radius) / cell) + 1):
                for k in range(
                    math.floor((c - radius) / cell), math.floor((c + radius) / cell) + 1
                ):
                    state = cell_hash(scene.seed, above, i, j, k)
                    if uniform(state, 0) >= rows[10]:
                        continue
                    ox, oy, oz, other = ball(rows, state, i, j, k)
                    reach = other + radius
                    if (x - ox) ** 2 + (y - oy) ** 2 + (z - oz) ** 2 < reach * reach:
                        return True
    return False
