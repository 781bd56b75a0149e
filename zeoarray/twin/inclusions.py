"""The pores and grains of a slab of the sample, listed from their lattices."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from zeoarray.twin.scene import (
    Scene,
    ball,
    cell_hash,
    compiled,
    displaced,
    hard_depth,
    nature,
    part,
    uniform,
)

Array = np.ndarray[Any, Any]


class Inclusions(NamedTuple):
    """Ellipsoids, in groups of which each is one pore or grain; positions in sample coordinates."""

    centre: Array
    """(n, 3) [um]"""
    radius: Array
    """(n,) of the ball that holds the group [um]."""
    kind: Array
    """(n,) one of the kinds of `zeoarray.twin.scene`."""
    value: Array
    """(n,) packing relative to the matrix, or attenuation [1/cm] of FIXED."""
    depth: Array
    """(n,) of the centre below the pellet's surface [um]; infinite where nothing clips it."""
    first: Array
    """(n + 1,) index of each group's first ellipsoid."""
    forms: Array
    """(m, 9) offset from the group's centre, and matrix, of each ellipsoid."""

    def __len__(self) -> int:
        return len(self.radius)


class Slab(NamedTuple):
    """The part of space between two planes."""

    point: Array
    normal: Array
    low: float
    high: float


@compiled
def _first_k(rows: Array, slab: Slab, i: int, j: int, k: int, n: int) -> tuple[int, int]:
    # Height above the slab's point is linear in k: the cells of a column that matter are a run.
    cell = rows[9]
    px = (i + 0.5) * cell, (j + 0.5) * cell, 0.5 * cell
    height, slope = 0.0, 0.0
    for axis in range(3):
        p = rows[axis] * px[0] + rows[3 + axis] * px[1] + rows[6 + axis] * px[2]
        height += (p - slab.point[axis]) * slab.normal[axis]
        slope += rows[6 + axis] * cell * slab.normal[axis]
    if abs(slope) < 1e-9:
        return (k, k + n) if slab.low - cell < height < slab.high + cell else (k, k)
    a, b = (slab.low - cell - height) / slope, (slab.high + cell - height) / slope
    if a > b:
        a, b = b, a
    return max(k, math.floor(a)), min(k + n, math.ceil(b) + 1)


@compiled
def _survey(
    scene: Scene,
    slab: Slab,
    level: int,
    i: int,
    box: Array,
    centre: Array,
    meta: Array,
    forms: Array,
) -> int:
    """Fill one lattice plane's inclusions, or only count candidates where `meta` is empty."""
    rows = scene.levels[level]
    parts = int(rows[11])
    found = 0
    for j in range(box[1], box[1] + box[4]):
        low, high = _first_k(rows, slab, i, j, box[2], box[5])
        for k in range(low, high):
            state = cell_hash(scene.seed, level, i, j, k)
            if uniform(state, 0) >= rows[10]:
                continue
            x, y, z, radius = ball(rows, state, i, j, k)
            height = (
                (x - slab.point[0]) * slab.normal[0]
                + (y - slab.point[1]) * slab.normal[1]
                + (z - slab.point[2]) * slab.normal[2]
            )
            if height < slab.low - radius or height > slab.high + radius:
                continue
            depth = hard_depth(scene.facets, x, y, z)
            if depth < -radius:
                continue
            if meta.shape[0]:
                if displaced(scene, level, x, y, z, radius):
                    continue
                centre[found, 0], centre[found, 1], centre[found, 2] = x, y, z
                kind, value = nature(state, depth, radius)
                meta[found, 0], meta[found, 1], meta[found, 2], meta[found, 3] = (
                    radius,
                    kind,
                    value,
                    depth,
                )
                for number in range(parts):
                    part(state, radius, number, parts, forms[found * parts + number])
            found += 1
    return found


def _plane(scene: Scene, slab: Slab, level: int, i: int, box: Array) -> tuple[Array, Array, Array]:
    parts = int(scene.levels[level, 11])
    nothing = np.empty((0, 4))
    most = _survey(scene, slab, level, i, box, nothing, nothing, np.empty((0, 9)))
    if most == 0:
        return np.empty((0, 3)), nothing, np.empty((0, 9))
    centre, meta, forms = np.empty((most, 3)), np.empty((most, 4)), np.empty((most * parts, 9))
    n = _survey(scene, slab, level, i, box, centre, meta, forms)
    return (
        centre[:n].astype(np.float32),
        meta[:n].astype(np.float32),
        forms[: n * parts].astype(np.float32),
    )


def _boxes(scene: Scene, low: Array, high: Array) -> list[Array]:
    """Range of cells of each lattice that covers the box from `low` to `high`."""
    corners = np.array([[(low, high)[n >> a & 1][a] for a in range(3)] for n in range(8)])
    boxes = []
    for rows in scene.levels:
        cells = corners @ rows[:9].reshape(3, 3).T / rows[9]
        first = np.floor(cells.min(0)).astype(np.int64)
        boxes.append(np.concatenate([first, np.ceil(cells.max(0)).astype(np.int64) - first]))
    return boxes


def survey(scene: Scene, slab: Slab, low: Array, high: Array, *, workers: int) -> Inclusions:
    """List everything that the hash put into `slab`, and the bodies, in an order of their own.

    The order does not depend on the slab: what two slabs share, they list in the same order.

    Parameters
    ----------
    scene
        The sample.
    slab
        What is asked for.
    low, high
        Corners of the box that holds the pellet [um].
    workers
        Threads.
    """
    jobs = [
        (level, i, box)
        for level, box in enumerate(_boxes(scene, low, high))
        for i in range(int(box[0]), int(box[0] + box[3]))
    ]
    with ThreadPoolExecutor(workers) as pool:
        planes = list(pool.map(lambda job: _plane(scene, slab, *job), jobs))
    centre, meta, forms, counts = _bodies(scene)
    of_level = [
        np.full(len(p[1]), scene.levels[j[0], 11]) for j, p in zip(jobs, planes, strict=True)
    ]
    centre = np.concatenate([centre] + [p[0] for p in planes]).astype(np.float32)
    meta = np.concatenate([meta] + [p[1] for p in planes]).astype(np.float32)
    forms = np.concatenate([forms] + [p[2] for p in planes]).astype(np.float32)
    parts = np.concatenate([counts, *of_level]).astype(np.int64)
    # By height: neighbours in the list then fall on neighbouring rows, which halves the time.
    height = (centre * slab.normal).sum(1)
    order = np.argsort(height, kind="stable")
    begin = np.cumsum(parts) - parts
    first = np.concatenate([[0], np.cumsum(parts[order])]).astype(np.int64)
    within = np.arange(first[-1]) - np.repeat(first[:-1], parts[order])
    forms = forms[np.repeat(begin[order], parts[order]) + within]
    radius, kind, value, depth = (np.ascontiguousarray(meta[order, n]) for n in range(4))
    return Inclusions(centre[order], radius, kind.astype(np.uint8), value, depth, first, forms)


def _bodies(scene: Scene) -> tuple[Array, Array, Array, Array]:
    bodies = scene.bodies
    depth = np.array(
        [hard_depth(scene.facets, *b[:3]) if b[12] else np.inf for b in bodies], dtype=float
    )
    meta = np.stack([bodies[:, 9], bodies[:, 10], bodies[:, 11], depth], axis=1)
    forms = np.concatenate([np.zeros((len(bodies), 3)), bodies[:, 3:9]], axis=1)
    return bodies[:, :3], meta, forms, np.ones(len(bodies))
