"""The smooth part of the sample, the answer for arrays of points, and a table for fast rays."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from zeoarray.twin.scene import (
    AIR,
    CRUMB,
    DENSITY_SWING,
    GLASS,
    MATRIX,
    PACKING,
    Scene,
    ball,
    cell_hash,
    compiled,
    displaced,
    hard_depth,
    in_cutter,
    inside,
    nature,
    part,
    uniform,
)

Array = np.ndarray[Any, Any]

TABLE_STEP_UM = 8.0
"""Spacing of the table, against a zinc front of 28 um; half of it changes no ray by 1e-4."""


@compiled
def soft_depth(scene: Scene, x: float, y: float, z: float) -> float:
    """Depth below the surface [um] with rounded edges; cracks bring the surface nearer."""
    facets, soft = scene.facets, scene.front[3]
    least = hard_depth(facets, x, y, z)
    total = 0.0
    for n in range(facets.shape[0]):
        dx, dy, dz = x - facets[n, 0], y - facets[n, 1], z - facets[n, 2]
        depth = facets[n, 3] - math.sqrt(dx * dx + dy * dy + dz * dz)
        total += math.exp((least - depth) / soft)
    depth = least - soft * math.log(total)
    for n in range(scene.cutters.shape[0]):
        c = scene.cutters[n]
        if c[7] <= 0:
            continue
        off = math.sqrt((x - c[0]) ** 2 + (y - c[1]) ** 2 + (z - c[2]) ** 2) - c[3]
        beyond = math.sqrt((x - c[8]) ** 2 + (y - c[9]) ** 2 + (z - c[10]) ** 2) - c[11]
        if scene.front[4] * depth + abs(off) + 2 * max(beyond, 0.0) > depth + 10 * soft:
            # Too far to matter: it would change the depth by less than a nanometre.
            continue
        beyond = soft * math.log1p(math.exp(beyond / soft))
        along = scene.front[4] * depth + math.sqrt(off * off + soft * soft) + 2 * beyond
        least = min(depth, along)
        depth = least - soft * math.log1p(math.exp(-abs(depth - along) / soft))
    return float(depth)


@compiled
def smooth(scene: Scene, x: float, y: float, z: float) -> tuple[float, float]:
    """Fraction of the zeolite that is exchanged to zinc, and packing of the matrix."""
    waviness, swing = 0.0, 0.0
    for n in range(scene.modes.shape[0]):
        m = scene.modes[n]
        wave = math.cos(m[0] * x + m[1] * y + m[2] * z + m[3])
        waviness += m[4] * wave
        swing += m[5] * wave
    packing = PACKING * (1 + DENSITY_SWING * math.tanh(swing))
    if scene.front[0] <= -1e6:
        return 0.0, packing
    level = soft_depth(scene, x, y, z) - scene.front[0] - scene.front[2] * waviness
    return 0.5 * math.erfc(level / (math.sqrt(2.0) * scene.front[1])), packing


@compiled
def capillary_part(capillary: Array, x: float, y: float, z: float) -> int:
    """0 within the capillary's bore (or without any), 1 in its wall, 2 outside."""
    if capillary[7] <= 0:
        return 0
    dx, dy, dz = x - capillary[0], y - capillary[1], z - capillary[2]
    along = dx * capillary[3] + dy * capillary[4] + dz * capillary[5]
    square = dx * dx + dy * dy + dz * dz - along * along
    if square > capillary[7] ** 2:
        return 2
    return 1 if square > capillary[6] ** 2 else 0


@compiled
def at(scene: Scene, form: Array, x: float, y: float, z: float) -> tuple[int, float]:
    """Kind of the point, and its value: relative packing, or 1/cm for FIXED."""
    where = capillary_part(scene.capillary, x, y, z)
    if where:
        return (GLASS, 1.0) if where == 1 else (AIR, 0.0)
    solid = hard_depth(scene.facets, x, y, z) >= 0
    for n in range(scene.bodies.shape[0]):
        b = scene.bodies[n]
        dx, dy, dz = x - b[0], y - b[1], z - b[2]
        if dx * dx + dy * dy + dz * dz > b[9] * b[9] or not inside(b, 3, dx, dy, dz):
            continue
        return (int(b[10]), b[11]) if solid or b[12] == 0 else (AIR, 0.0)
    if not solid or in_cutter(scene.cutters, x, y, z):
        return AIR, 0.0
    for level in range(scene.levels.shape[0]):
        rows = scene.levels[level]
        cell = rows[9]
        i = math.floor((rows[0] * x + rows[1] * y + rows[2] * z) / cell)
        j = math.floor((rows[3] * x + rows[4] * y + rows[5] * z) / cell)
        k = math.floor((rows[6] * x + rows[7] * y + rows[8] * z) / cell)
        state = cell_hash(scene.seed, level, i, j, k)
        if uniform(state, 0) >= rows[10]:
            continue
        cx, cy, cz, radius = ball(rows, state, i, j, k)
        dx, dy, dz = x - cx, y - cy, z - cz
        if dx * dx + dy * dy + dz * dz > radius * radius:
            continue
        parts = int(rows[11])
        for number in range(parts):
            part(state, radius, number, parts, form)
            if inside(form, 3, dx - form[0], dy - form[1], dz - form[2]):
                if displaced(scene, level, cx, cy, cz, radius):
                    break
                return nature(state, hard_depth(scene.facets, cx, cy, cz), radius)
    return MATRIX, 1.0


@compiled
def classify(
    scene: Scene,
    x: Array,
    y: Array,
    z: Array,
    kind: Array,
    value: Array,
    zinc: Array,
    packing: Array,
) -> None:
    """Fill kind, value, zinc fraction and packing for flat arrays of points."""
    form = np.empty(9)
    for n in range(x.size):
        what, amount = at(scene, form, x[n], y[n], z[n])
        kind[n], value[n] = what, amount
        if what == MATRIX:
            zinc[n], packing[n] = smooth(scene, x[n], y[n], z[n])
        elif what == CRUMB:
            zinc[n], packing[n] = 1.0, PACKING


MARGIN_STEPS = 5
"""Nodes of the table round the pellet."""


class Table(NamedTuple):
    """The matrix's attenuation [1/cm] on a lattice, for linear interpolation along rays."""

    values: Array
    """(z, y, x) float32"""
    origin: Array
    """(3,): x, y, z of the first node [um]."""
    step: float
    """[um]"""


@compiled
def _fill(
    scene: Scene, origin: Array, step: float, first: int, zinc: Array, packing: Array
) -> None:
    # The table matters inside the pellet only, and as far beyond as interpolation reaches.
    margin = -MARGIN_STEPS * step
    for k in range(zinc.shape[0]):
        z = origin[2] + (first + k) * step
        for j in range(zinc.shape[1]):
            y = origin[1] + j * step
            for i in range(zinc.shape[2]):
                x = origin[0] + i * step
                if hard_depth(scene.facets, x, y, z) < margin:
                    zinc[k, j, i], packing[k, j, i] = 1.0, PACKING
                else:
                    zinc[k, j, i], packing[k, j, i] = smooth(scene, x, y, z)


class Fields(NamedTuple):
    """Zinc fraction and packing on the table's nodes, from which any energy's table is made."""

    zinc: Array
    packing: Array
    origin: Array
    step: float

    def table(self, sodium: float, zinc: float, *, twice_um: float = 0.0) -> Table:
        """The table for a beam that pure sodium and zinc zeolite attenuate by these [1/cm].

        `twice_um` is the spacing of the lattice that is interpolated in a second time.
        """
        values = self.packing * (np.float32(sodium) + np.float32(zinc - sodium) * self.zinc)
        # Linear interpolation over a spacing h adds h^2 / 12 of the curvature on average. Rays
        # interpolate twice, here and in their own lattice; taken off beforehand, it is gone.
        curvature = np.zeros_like(values)
        for axis in range(3):
            inner = np.moveaxis(curvature, axis, 0)
            inner[1:-1] += np.diff(np.moveaxis(values, axis, 0), 2, axis=0)
        share = (self.step**2 + twice_um**2) / (12 * self.step**2)
        return Table(values - np.float32(share) * curvature, self.origin, self.step)


def tabulate(scene: Scene, low: Array, high: Array, *, workers: int) -> Fields:
    """Evaluate the smooth fields on the lattice that covers the box from `low` to `high`."""
    step = TABLE_STEP_UM
    origin = np.asarray(low, float) - MARGIN_STEPS * step
    size = (np.asarray(high) - low)[::-1] / step
    shape = tuple(int(np.ceil(n)) + 2 * MARGIN_STEPS + 1 for n in size)
    zinc, packing = np.empty(shape, np.float32), np.empty(shape, np.float32)

    def fill(first: int) -> None:
        rows = slice(first, first + 8)
        _fill(scene, origin, step, first, zinc[rows], packing[rows])

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(fill, range(0, shape[0], 8)))
    return Fields(zinc, packing, origin, step)


@compiled
def interpolate(values: Array, origin: Array, step: float, x: float, y: float, z: float) -> float:
    """Linear interpolation in a table; beyond its edge, the edge's value."""
    fz = min(max((z - origin[2]) / step, 0.0), values.shape[0] - 1.001)
    fy = min(max((y - origin[1]) / step, 0.0), values.shape[1] - 1.001)
    fx = min(max((x - origin[0]) / step, 0.0), values.shape[2] - 1.001)
    k, j, i = int(fz), int(fy), int(fx)
    fz, fy, fx = fz - k, fy - j, fx - i
    low = (values[k, j, i] * (1 - fx) + values[k, j, i + 1] * fx) * (1 - fy) + (
        values[k, j + 1, i] * (1 - fx) + values[k, j + 1, i + 1] * fx
    ) * fy
    high = (values[k + 1, j, i] * (1 - fx) + values[k + 1, j, i + 1] * fx) * (1 - fy) + (
        values[k + 1, j + 1, i] * (1 - fx) + values[k + 1, j + 1, i + 1] * fx
    ) * fy
    return float(low * (1 - fz) + high * fz)
