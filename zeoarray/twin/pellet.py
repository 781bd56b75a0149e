"""Growing a pellet fragment from a seed: its facets, chips, cracks, crystals and debris."""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.twin.mounts import rotation_from
from zeoarray.twin.random import generator
from zeoarray.twin.scene import AIR, CRUMB, DENSE, MATRIX, Scene, hard_depth, near_cutter

Array = np.ndarray[Any, Any]
Generator = np.random.Generator

OUTER_UM, WALL_UM = 500.0, 12.0
"""Radius of the capillary, and thickness of its glass."""
LARGEST_CELL_UM = 110.0
CRYSTAL_PACKING = 1.5
"""A single crystal has no voids between crystallites: 0.62 * 1.06 times this is still under 1."""


def grow(seed: int, smallest_cell_um: float) -> Scene:
    """Grow the sample of a seed.

    Parameters
    ----------
    seed
        Seed of the twin.
    smallest_cell_um
        Cell of the finest lattice of inclusions; coarser lattices do not depend on it.
    """
    facets = _facets(generator(seed, "sample/facets"))
    cutters = _cutters(generator(seed, "sample/cutters"), facets)
    capillary = _capillary(generator(seed, "sample/capillary"))
    bodies = _bodies(generator(seed, "sample/bodies"), facets, cutters, capillary)
    rng = generator(seed, "sample/front")
    front = np.array([rng.uniform(95, 120), 28.0, 16.0, 18.0, 0.4])
    modes = _modes(generator(seed, "sample/modes"))
    hashed = int(generator(seed, "sample/lattice").integers(2**62))
    levels = _levels(generator(seed, "sample/levels"), smallest_cell_um)
    return Scene(hashed, facets, front, modes, cutters, bodies, capillary, levels)


def directions(count: int) -> Array:
    """(count, 3) Unit vectors, evenly over the sphere (Fibonacci)."""
    n = np.arange(count) + 0.5
    z, turn = 1 - 2 * n / count, np.pi * (1 + 5**0.5) * n
    flat = np.sqrt(1 - z * z)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)


def exits(facets: Array, rays: Array) -> Array:
    """(n,) Distance from the origin to the pellet's surface along each unit vector."""
    half = rays @ facets[:, :3].T
    square = half**2 - (facets[:, :3] ** 2).sum(1) + facets[:, 3] ** 2
    return np.asarray((half + np.sqrt(np.maximum(square, 0))).min(1))


def _facets(rng: Generator) -> Array:
    # A broken piece: a stone cut by slightly curved faces, each a large ball.
    normals = directions(17) + rng.normal(0, 0.16, (17, 3))
    normals = normals @ rotation_from(rng.uniform(-2, 2, 3)).T
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    semi = np.array([390.0, 330.0, 560.0]) * rng.uniform(0.94, 1.06, 3)
    distance = np.sqrt(((normals * semi) ** 2).sum(1)) * rng.uniform(0.7, 1.02, 17)
    radius = np.exp(rng.uniform(np.log(700), np.log(4000), 17))
    radius = np.maximum(radius, 1.2 * distance)
    facets = np.concatenate([normals * (distance - radius)[:, None], radius[:, None]], axis=1)
    rays = directions(4000)
    width = float((exits(facets, rays) * np.hypot(rays[:, 0], rays[:, 1])).max())
    # It was chosen to slip into the capillary.
    return np.asarray(facets * (0.92 * (OUTER_UM - WALL_UM) / width))


def _cutters(rng: Generator, facets: Array) -> Array:
    cutters = []
    for _ in range(9):
        out = _direction(rng)
        # A flake leaves a shallow scoop; a chip is where several came off beside each other.
        for _ in range(3):
            near = out + 0.22 * rng.normal(size=3)
            near /= np.linalg.norm(near)
            radius, depth = np.exp(rng.uniform(np.log(50), np.log(260))), rng.uniform(8, 34)
            centre = near * (exits(facets, near[None])[0] + radius - depth)
            cutters.append([*centre, radius, 0, 0, 0, 0, 0, 0, 0, 0])
    for n in range(7):
        cutters += _crack(rng, facets, 4 if n < 2 else 2, 12.0 if n < 2 else rng.uniform(4, 9))
    return np.array(cutters)


def _crack(rng: Generator, facets: Array, segments: int, opening: float) -> list[list[float]]:
    """A jagged crack from the surface inwards: segments end to end, each narrower than the last."""
    out = _direction(rng)
    middle, ahead = out * exits(facets, out[None])[0], -out
    side = np.cross(out, _direction(rng))
    side /= np.linalg.norm(side)
    cutters = []
    for _ in range(segments):
        # A segment is the lens between two balls of different radii: `opening` wide in its middle
        # and nothing at `half` from there. The third ball only says where it is.
        half, flat = rng.uniform(70, 130), rng.uniform(2500, 6000)
        bent = 1 / (2 * opening / half**2 + 1 / flat)
        a, b = middle + bent * side, middle + (opening + flat) * side
        cutters.append([*a, bent, *b, flat, *middle, half])
        kink = rng.uniform(-0.4, 0.4) * np.cross(ahead, side) + rng.uniform(-0.2, 0.2) * ahead
        turn = rotation_from(kink)
        middle = middle + 1.2 * half * ahead
        ahead, side, opening = turn @ ahead, turn @ side, 0.75 * opening
    return cutters


def _capillary(rng: Generator) -> Array:
    lean = rotation_from(np.deg2rad([*rng.uniform(-0.4, 0.4, 2), 0.0]))
    place = rng.uniform(-8, 8, 2)
    axis = lean @ np.array([0.0, 0.0, 1.0])
    return np.array([*place, 0.0, *axis, OUTER_UM - WALL_UM, OUTER_UM])


def _bodies(rng: Generator, facets: Array, cutters: Array, capillary: Array) -> Array:
    """Ellipsoids that are placed one by one, none touching another, a crack or a chip."""
    bodies: list[Array] = []
    # Count, smallest and largest radius, flatness, kind, value, and where: in, across or outside.
    wanted = (
        (4, 60.0, 105.0, 0.45, AIR, 0.0, "across"),
        (46, 9.0, 22.0, 0.6, MATRIX, CRYSTAL_PACKING, "in"),
        (9, 5.0, 13.0, 0.75, DENSE, 0.0, "in"),
        (14, 8.0, 34.0, 0.55, CRUMB, 0.0, "outside"),
    )
    for count, low, high, flat, kind, value, where in wanted:
        placed = 0
        for _ in range(400 * count):
            if placed == count:
                break
            radius = np.exp(rng.uniform(np.log(low), np.log(high)))
            centre = rng.uniform(-1, 1, 3) * (470, 470, 600)
            semi = radius * np.array([1.0, *rng.uniform(flat, 1.0, 2)])
            turn = rotation_from(rng.uniform(-np.pi, np.pi, 3))
            if _free(bodies, facets, cutters, capillary, centre, radius, where):
                bodies.append(ellipsoid(centre, semi, turn, kind, value, clipped=kind != CRUMB))
                placed += 1
    return np.array(bodies)


def _free(
    bodies: list[Array], facets: Array, cutters: Array, capillary: Array, centre: Array,
    radius: float, where: str,
) -> bool:  # fmt: skip
    x, y, z = (float(v) for v in centre)
    depth = hard_depth(facets, x, y, z)
    if where == "outside":
        off = np.asarray(centre) - capillary[:3]
        off = off - (off @ capillary[3:6]) * capillary[3:6]
        # Crumbs stick to the pellet or to the glass.
        near = depth > -radius - 25 or np.linalg.norm(off) > capillary[6] - radius - 12
        if depth > -radius or np.linalg.norm(off) > capillary[6] - radius or not near:
            return False
    elif depth < (radius + 3 if where == "in" else 0.2 * radius):
        return False
    if near_cutter(cutters, x, y, z, radius):
        return False
    return all(np.linalg.norm(b[:3] - centre) > b[9] + radius for b in bodies)


def ellipsoid(
    centre: Array, semi: Array, turn: Array, kind: int, value: float, *, clipped: bool
) -> Array:
    """One row of `Scene.bodies`.

    Parameters
    ----------
    centre, semi
        Centre and semi-axes [um].
    turn
        (3, 3) rotation of the semi-axes.
    kind, value
        As in `zeoarray.twin.scene`.
    clipped
        Whether only its part within the pellet exists.
    """
    matrix = turn @ np.diag(1 / np.asarray(semi, float) ** 2) @ turn.T
    upper = matrix[np.triu_indices(3)]
    return np.array([*centre, *upper, np.max(semi), kind, value, float(clipped)])


def _modes(rng: Generator) -> Array:
    count = 28
    wavelength = np.exp(rng.uniform(np.log(110), np.log(520), count))
    rays = rng.normal(size=(count, 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    # Half of the modes bend the front, half vary the packing; each half has unit variance.
    amplitude = np.full(count, (2 / (count // 2)) ** 0.5)
    bends = np.arange(count) % 2 == 0
    phase = rng.uniform(0, 2 * np.pi, count)
    columns = (phase, amplitude * bends, amplitude * ~bends)
    return np.concatenate([2 * np.pi * rays / wavelength[:, None], np.stack(columns, 1)], axis=1)


def _levels(rng: Generator, smallest_cell_um: float) -> Array:
    levels, cell = [], LARGEST_CELL_UM
    while cell > smallest_cell_um * 0.999:
        turn = rotation_from(rng.uniform(-np.pi, np.pi, 3))
        occupancy = 0.14 if cell > 80 else 0.35 if cell > 40 else 0.6
        levels.append([*turn.ravel(), cell, occupancy, 3 if cell > 20 else 1])
        cell /= 2
    return np.array(levels)


def _direction(rng: Generator) -> Array:
    vector = rng.normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector))
