"""What pores, grains and other ellipsoids change along the rays of one frame: exact chords."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zeoarray.twin.inclusions import Inclusions
from zeoarray.twin.rays import Bulk, Grid, matrix_between, pixel_of
from zeoarray.twin.scene import FIXED, MATRIX, compiled

Array = np.ndarray[Any, Any]

CLEAR = 1e30
"""Depth of what the pellet's surface does not clip."""
NARROW = 0.75
"""What has a smaller radius than this many distances of rays is spread over the nearest four."""
LENS_STRETCH = 1.04
"""No lens magnifies its edge by more than this against its middle."""
SMALL_UM = 6.0
"""Across an inclusion of less than this radius, the matrix is taken as constant."""


@compiled
def times(f: Array, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Product of an ellipsoid's matrix and a vector."""
    return (
        f[3] * x + f[4] * y + f[5] * z,
        f[4] * x + f[6] * y + f[7] * z,
        f[5] * x + f[7] * y + f[8] * z,
    )


@compiled
def dot(a: tuple[float, float, float], x: float, y: float, z: float) -> float:
    """Scalar product."""
    return a[0] * x + a[1] * y + a[2] * z


@compiled
def quadratic(forms: Array, first: int, parts: int, frame: Array, out: Array) -> None:
    """Coefficients of each ellipsoid's quadratic in t, for rays at offsets (du, dz).

    It is ``c0 t^2 + 2 (c1 du + c2 dz + c3) t + (c4 du + c5 dz + c7) du + (c6 dz + c8) dz + c9``.
    """
    ux, uy, uz = frame[3], frame[4], frame[5]
    zx, zy, zz = frame[6], frame[7], frame[8]
    bx, by, bz = frame[9], frame[10], frame[11]
    for m in range(parts):
        f = forms[first + m]
        au, az, ab = times(f, ux, uy, uz), times(f, zx, zy, zz), times(f, bx, by, bz)
        out[m, 0] = dot(ab, bx, by, bz)
        out[m, 1] = dot(ab, ux, uy, uz)
        out[m, 2] = dot(ab, zx, zy, zz)
        out[m, 4] = dot(au, ux, uy, uz)
        out[m, 5] = 2 * dot(au, zx, zy, zz)
        out[m, 6] = dot(az, zx, zy, zz)
        out[m, 3], out[m, 7], out[m, 8], out[m, 9] = 0.0, 0.0, 0.0, -1.0
        if parts > 1:
            ox, oy, oz = f[0], f[1], f[2]
            out[m, 3] = -dot(ab, ox, oy, oz)
            out[m, 7], out[m, 8] = -2 * dot(au, ox, oy, oz), -2 * dot(az, ox, oy, oz)
            out[m, 9] = dot(times(f, ox, oy, oz), ox, oy, oz) - 1.0


@compiled
def pieces(form: Array, parts: int, du: float, dz: float, low: Array, high: Array) -> int:
    """Pieces of a ray inside a group of ellipsoids, sorted and merged; how many there are."""
    count = 0
    for m in range(parts):
        f = form[m]
        half = du * f[1] + dz * f[2] + f[3]
        rest = (du * f[4] + dz * f[5] + f[7]) * du + (dz * f[6] + f[8]) * dz + f[9]
        square = half * half - f[0] * rest
        if square <= 0:
            continue
        root = math.sqrt(square)
        a, b = (-half - root) / f[0], (-half + root) / f[0]
        n = count
        while n > 0 and low[n - 1] > a:
            low[n], high[n] = low[n - 1], high[n - 1]
            n -= 1
        low[n], high[n] = a, b
        count += 1
    merged = 0
    for n in range(1, count):
        if low[n] <= high[merged]:
            high[merged] = max(high[merged], high[n])
        else:
            merged += 1
            low[merged], high[merged] = low[n], high[n]
    return merged + 1 if count else 0


@compiled
def volume(f: Array) -> float:
    """Volume of an ellipsoid from its matrix [um3]."""
    det = (
        f[3] * (f[6] * f[8] - f[7] * f[7])
        - f[4] * (f[4] * f[8] - f[7] * f[5])
        + f[5] * (f[4] * f[7] - f[6] * f[5])
    )
    return 4.1887902047863905 / math.sqrt(det)


@compiled
def spread(image: Array, c: int, r: int, fc: float, fr: float, amount: float) -> None:
    """Share `amount` among the four rays round (c + fc, r + fr)."""
    for i in range(2):
        for j in range(2):
            if 0 <= r + i < image.shape[0] and 0 <= c + j < image.shape[1]:
                weight = (fr if i else 1 - fr) * (fc if j else 1 - fc)
                image[r + i, c + j] += amount * weight


@compiled
def span(middle: float, low: float, high: float, scale: float, size: int) -> tuple[int, int]:
    """Rays from `low` to `high` [um] about the one at `middle`, with a tenth of a ray to spare."""
    a, b = middle + low * scale, middle + high * scale
    if a > b:
        a, b = b, a
    return max(0, math.ceil(a - 0.1)), min(size, math.floor(b + 0.1) + 1)


@compiled
def add_small(
    image: Array, grid: Grid, f: Array, middle: tuple[float, float], uc: float, zc: float,
    amount: float,
) -> None:  # fmt: skip
    """Add `amount` [1/cm] times the chord of one ellipsoid that nothing clips."""
    # The discriminant is d0 - (a du^2 + 2 b du dz + c dz^2); where it is positive, the ray hits.
    d0 = -f[0] * f[9]
    a, b, c = f[0] * f[4] - f[1] * f[1], 0.5 * f[0] * f[5] - f[1] * f[2], f[0] * f[6] - f[2] * f[2]
    scale = 2 * amount / f[0]
    tall = math.sqrt(d0 * a / (a * c - b * b))
    loose = 1.0 if grid.lens.shape[0] == 3 else LENS_STRETCH
    along, down = grid.senses[0] * grid.fine, grid.senses[1] * grid.fine
    first, last = span(middle[1], -loose * tall, loose * tall, down, image.shape[0])
    for r in range(first, last):
        h = min(max((r - middle[1]) / (loose * down), -tall), tall)
        width = loose * math.sqrt(max(a * d0 - (a * c - b * b) * h * h, 0.0)) / a
        width += 0.2 * grid.pixel
        begin, end = span(middle[0], -b * h / a - width, -b * h / a + width, along, image.shape[1])
        for n in range(begin, end):
            du, dz = grid.u[r, n] - uc, grid.z[r, n] - zc
            square = d0 - (a * du + 2 * b * dz) * du - c * dz * dz
            if square > 0:
                image[r, n] += scale * math.sqrt(square)


@compiled
def add_group(
    image: Array, near: Array, far: Array, grid: Grid, form: Array, parts: int,
    middle: tuple[float, float], place: tuple[float, float, float], radius: float,
    clipped: bool, amount: tuple[float, float, float], bulk: Bulk, low: Array, high: Array,
) -> None:  # fmt: skip
    """Add what a group of ellipsoids changes: ``gain * chord + factor * matrix``.

    `amount` is gain [1/cm], factor, and the matrix at the centre, or negative to look it up.
    """
    uc, zc, tc = place
    gain, factor, local = amount
    loose = 1.0 if grid.lens.shape[0] == 3 else LENS_STRETCH
    along, down = grid.senses[0] * grid.fine, grid.senses[1] * grid.fine
    first, last = span(middle[1], -loose * radius, loose * radius, down, image.shape[0])
    for r in range(first, last):
        h = (r - middle[1]) / (loose * down)
        width = loose * math.sqrt(max(radius * radius - h * h, 0.0)) + 0.2 * grid.pixel
        begin, end = span(middle[0], -width, width, along, image.shape[1])
        for c in range(begin, end):
            u, z = grid.u[r, c], grid.z[r, c]
            if clipped and near[r, c] > far[r, c]:
                continue
            for m in range(pieces(form, parts, u - uc, z - zc, low, high)):
                t0, t1 = low[m] + tc, high[m] + tc
                if clipped:
                    t0, t1 = max(t0, near[r, c]), min(t1, far[r, c])
                if t1 <= t0:
                    continue
                if factor == 0.0 or local >= 0.0:
                    image[r, c] += (gain + factor * local) * (t1 - t0)
                else:
                    image[r, c] += gain * (t1 - t0) + factor * matrix_between(bulk, u, z, t0, t1)


@compiled
def include(
    image: Array, near: Array, far: Array, grid: Grid, frame: Array, things: Inclusions,
    local: Array, materials: Array, bulk: Bulk,
) -> None:  # fmt: skip
    """Add to `image` [um/cm] what each inclusion changes along the rays through it.

    `local` is the matrix's attenuation at each centre, `materials` that of each kind [1/cm].
    One that is `NARROW` is spread over the nearest four rays, as a pixel averages it.
    """
    form, low, high = np.empty((8, 10)), np.empty(8), np.empty(8)
    rows, columns = image.shape
    for n in range(things.radius.shape[0]):
        x = things.centre[n, 0] - frame[0]
        y = things.centre[n, 1] - frame[1]
        z = things.centre[n, 2] - frame[2]
        uc = x * frame[3] + y * frame[4] + z * frame[5]
        zc = x * frame[6] + y * frame[7] + z * frame[8]
        column, row = pixel_of(grid, uc, zc)
        radius = float(things.radius[n])
        # Whole rays are taken off last: a cut of the detector must not change a rounding.
        left, top = math.floor(column), math.floor(row)
        fc, fr = column - left, row - top
        left, top = left - grid.start[0], top - grid.start[1]
        reach = LENS_STRETCH * radius / grid.pixel + 1
        if not (-reach < left < columns + reach and -reach < top < rows + reach):
            continue
        kind, depth = things.kind[n], float(things.depth[n])
        factor, gain = (-1.0 if depth < CLEAR else 0.0), materials[kind]
        if kind == MATRIX:
            factor, gain = things.value[n] - 1.0, 0.0
        elif kind == FIXED:
            gain = float(things.value[n])
        first = things.first[n]
        parts = things.first[n + 1] - first
        constant = gain + factor * local[n]
        if parts == 1 and radius < NARROW * grid.pixel:
            share = min(max(0.5 + 0.5 * depth / radius, 0.0), 1.0)
            amount = constant * share * volume(things.forms[first]) / (grid.pixel * grid.pixel)
            spread(image, left, top, fc, fr, amount)
            continue
        quadratic(things.forms, first, parts, frame, form)
        clipped = depth < radius
        small = radius < SMALL_UM
        if parts == 1 and not clipped and (small or factor == 0.0):
            add_small(image, grid, form[0], (left + fc, top + fr), uc, zc, constant)
            continue
        place = (uc, zc, x * frame[9] + y * frame[10] + z * frame[11])
        amounts = (gain, factor, local[n] if small else -1.0)
        add_group(
            image, near, far, grid, form, parts, (left + fc, top + fr), place, radius, clipped,
            amounts, bulk, low, high,
        )  # fmt: skip
