"""The compiled loops of `affine`: a block of voxels out of a block of another grid.

Coordinates are counted in the whole volumes, so that a voxel is the same in any block. `matrix`
(3, 4) takes an index of the output, (k, j, i, 1), to an index of the input, (z, y, x).
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from zeoarray.kernels.columns import compiled

Array = np.ndarray[Any, Any]

SLACK = 1e-6
"""A point this far beyond the first or last voxel's centre is still on it: rounding."""
POLE = math.sqrt(3.0) - 2.0
"""Of the recursive filter that turns values into coefficients of cubic B-splines."""
GAIN = 6.0

inlined = numba.njit(error_model="numpy", nogil=True)


@compiled
def linear(values: Array, out: Array, matrix: Array, first: Array, start: Array, whole: Array,
           fill: float) -> None:  # fmt: skip
    """Fill `out` with values interpolated between the eight voxels round each point."""
    nz, ny, nx = values.shape
    one = values.dtype.type(1)
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            az, ay, ax = _row(matrix, k + first[0], j + first[1])
            low, high = _inside(matrix, az, ay, ax, whole, first[2], out.shape[2])
            out[k, j, :low] = fill
            out[k, j, high:] = fill
            for i in range(low, high):
                at = float(i + first[2])
                z = min(max(az + matrix[0, 2] * at, 0.0), whole[0] - 1.0) - start[0]
                y = min(max(ay + matrix[1, 2] * at, 0.0), whole[1] - 1.0) - start[1]
                x = min(max(ax + matrix[2, 2] * at, 0.0), whole[2] - 1.0) - start[2]
                z0, y0, x0 = int(z), int(y), int(x)
                z1, y1, x1 = min(z0 + 1, nz - 1), min(y0 + 1, ny - 1), min(x0 + 1, nx - 1)
                wz, wy, wx = (one * (z - z0), one * (y - y0), one * (x - x0))
                a = values[z0, y0, x0] * (one - wx) + values[z0, y0, x1] * wx
                b = values[z0, y1, x0] * (one - wx) + values[z0, y1, x1] * wx
                c = values[z1, y0, x0] * (one - wx) + values[z1, y0, x1] * wx
                d = values[z1, y1, x0] * (one - wx) + values[z1, y1, x1] * wx
                low_z = a * (one - wy) + b * wy
                out[k, j, i] = low_z * (one - wz) + (c * (one - wy) + d * wy) * wz


@inlined
def _row(matrix: Array, k: float, j: float) -> tuple[float, float, float]:
    """Where a row of the output starts in the input."""
    az = matrix[0, 0] * k + matrix[0, 1] * j + matrix[0, 3]
    ay = matrix[1, 0] * k + matrix[1, 1] * j + matrix[1, 3]
    ax = matrix[2, 0] * k + matrix[2, 1] * j + matrix[2, 3]
    return az, ay, ax


@inlined
def _is_inside(matrix: Array, az: float, ay: float, ax: float, whole: Array, at: float) -> bool:
    z, y, x = az + matrix[0, 2] * at, ay + matrix[1, 2] * at, ax + matrix[2, 2] * at
    return bool(
        -SLACK <= z <= whole[0] - 1 + SLACK
        and -SLACK <= y <= whole[1] - 1 + SLACK
        and -SLACK <= x <= whole[2] - 1 + SLACK
    )


@inlined
def _inside(matrix: Array, az: float, ay: float, ax: float, whole: Array, first: int,
            size: int) -> tuple[int, int]:  # fmt: skip
    """First and past the last voxel of a row that lie within the input: a line is convex."""
    low = 0
    while low < size and not _is_inside(matrix, az, ay, ax, whole, float(low + first)):
        low += 1
    high = size
    while high > low and not _is_inside(matrix, az, ay, ax, whole, float(high - 1 + first)):
        high -= 1
    return low, high


@compiled
def cubic(coefficients: Array, out: Array, matrix: Array, first: Array, start: Array,
          whole: Array, fill: float) -> None:  # fmt: skip
    """Fill `out` with the cubic spline of these coefficients, mirrored at the volume's faces."""
    pz, py, px = np.empty(4, np.int64), np.empty(4, np.int64), np.empty(4, np.int64)
    kind = coefficients.dtype.type
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            az, ay, ax = _row(matrix, k + first[0], j + first[1])
            low, high = _inside(matrix, az, ay, ax, whole, first[2], out.shape[2])
            out[k, j, :low] = fill
            out[k, j, high:] = fill
            for i in range(low, high):
                at = float(i + first[2])
                z = min(max(az + matrix[0, 2] * at, 0.0), whole[0] - 1.0)
                y = min(max(ay + matrix[1, 2] * at, 0.0), whole[1] - 1.0)
                x = min(max(ax + matrix[2, 2] * at, 0.0), whole[2] - 1.0)
                z0, y0, x0 = int(z), int(y), int(x)
                _taps(pz, z0, whole[0], start[0])
                _taps(py, y0, whole[1], start[1])
                _taps(px, x0, whole[2], start[2])
                z_weights = _spline(kind(z - z0))
                y_weights = _spline(kind(y - y0))
                wx0, wx1, wx2, wx3 = _spline(kind(x - x0))
                total = kind(0)
                for a in range(4):
                    plane = kind(0)
                    for b in range(4):
                        c, d = pz[a], py[b]
                        line = coefficients[c, d, px[0]] * wx0 + coefficients[c, d, px[1]] * wx1
                        line += coefficients[c, d, px[2]] * wx2 + coefficients[c, d, px[3]] * wx3
                        plane += y_weights[b] * line
                    total += z_weights[a] * plane
                out[k, j, i] = total


@inlined
def _taps(places: Array, base: int, size: int, start: int) -> None:
    for n in range(4):
        at = base + n - 1
        if at < 0:
            at = -at
        if at > size - 1:
            at = 2 * (size - 1) - at
        # A volume of one or two voxels is mirrored more than once.
        places[n] = min(max(at, 0), size - 1) - start


@inlined
def _spline(t: float) -> tuple[float, float, float, float]:
    """Cubic B-spline at -1 - t, -t, 1 - t and 2 - t."""
    one = type(t)(1)
    s = one - t
    sixth = one / type(t)(6)
    half, two_thirds = one / type(t)(2), type(t)(4) * sixth
    w0 = s * s * s * sixth
    w1 = two_thirds - t * t * (one - t * half)
    w2 = two_thirds - s * s * (one - s * half)
    return w0, w1, w2, one - w0 - w1 - w2


@compiled
def prefilter(values: Array) -> None:
    """Replace values by the coefficients of the cubic spline through them, along each axis."""
    nz, ny, nx = values.shape
    flat = values.reshape(-1)
    _filter(flat, 0, nz, ny * nx, ny * nx)
    for k in range(nz):
        _filter(flat, k * ny * nx, ny, nx, nx)
    for row in range(nz * ny):
        _filter(flat, row * nx, nx, 1, 1)


@inlined
def _filter(c: Array, base: int, n: int, stride: int, lanes: int) -> None:
    """Unser's recursive filter of `lanes` lines at once, each mirrored about its end voxels."""
    if n < 2:
        return
    kind = c.dtype.type
    pole, gain, last = kind(POLE), kind(GAIN), kind(POLE / (POLE * POLE - 1))
    end = base + (n - 1) * stride
    for lane in range(base, base + lanes):
        # What is mirrored sums to this; beyond 40 voxels nothing is left of it.
        total, power, back = float(c[lane]), POLE, POLE ** (2 * n - 3)
        for k in range(1, min(n, 40)):
            total += c[lane + k * stride] * (power + back if k < n - 1 else power)
            power *= POLE
            back /= POLE
        c[lane] = gain * kind(total / (1 - POLE ** (2 * n - 2)))
    for k in range(1, n):
        at = base + k * stride
        for m in range(at, at + lanes):
            c[m] = gain * c[m] + pole * c[m - stride]
    for m in range(end, end + lanes):
        c[m] = last * (c[m] + pole * c[m - stride])
    for k in range(n - 2, -1, -1):
        at = base + k * stride
        for m in range(at, at + lanes):
            c[m] = pole * (c[m + stride] - c[m])


@compiled
def average(values: Array, out: Array, matrix: Array, first: Array, start: Array, whole: Array,
            width: Array, smooth: bool, fill: float) -> None:  # fmt: skip
    """Fill `out` with means over a box (or a Gaussian) round each point.

    Voxels of the input are taken as constant. What is not finite is left out of the mean.
    """
    reach = np.empty(3)
    for axis in range(3):
        reach[axis] = width[axis] * (1.7 if smooth else 0.5)
    taps = int(2 * reach.max() + 4)
    wz, wy, wx = np.empty(taps), np.empty(taps), np.empty(taps)
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            az, ay, ax = _row(matrix, k + first[0], j + first[1])
            for i in range(out.shape[2]):
                at = float(i + first[2])
                z, y, x = az + matrix[0, 2] * at, ay + matrix[1, 2] * at, ax + matrix[2, 2] * at
                if not (
                    -0.5 - SLACK <= z <= whole[0] - 0.5 + SLACK
                    and -0.5 - SLACK <= y <= whole[1] - 0.5 + SLACK
                    and -0.5 - SLACK <= x <= whole[2] - 0.5 + SLACK
                ):
                    out[k, j, i] = fill
                    continue
                z0, z1 = _weights(wz, z, width[0], reach[0], smooth, whole[0])
                y0, y1 = _weights(wy, y, width[1], reach[1], smooth, whole[1])
                x0, x1 = _weights(wx, x, width[2], reach[2], smooth, whole[2])
                total = 0.0
                for a in range(z0, z1):
                    for b in range(y0, y1):
                        line = values.dtype.type(0)
                        for c in range(x0, x1):
                            line += values[a - start[0], b - start[1], c - start[2]] * wx[c - x0]
                        total += line * wz[a - z0] * wy[b - y0]
                share = _sum(wz, z1 - z0) * _sum(wy, y1 - y0) * _sum(wx, x1 - x0)
                out[k, j, i] = total / share
                if not np.isfinite(total):
                    out[k, j, i] = _finite(values, wz, wy, wx, (z0, z1, y0, y1, x0, x1), start,
                                           share, fill)  # fmt: skip


@inlined
def _sum(weights: Array, count: int) -> float:
    total = 0.0
    for n in range(count):
        total += weights[n]
    return total


@inlined
def _weights(weights: Array, at: float, width: float, reach: float, smooth: bool,
             size: int) -> tuple[int, int]:  # fmt: skip
    """Share of each voxel that the box or Gaussian covers, and the first and past the last."""
    low = max(math.floor(at - reach + 0.5), 0)
    high = min(math.ceil(at + reach + 0.5 - 1e-9), size)
    for n in range(low, high):
        if smooth:
            scale = 2 * math.sqrt(math.log(2.0)) / width
            weights[n - low] = math.erf((n + 0.5 - at) * scale) - math.erf((n - 0.5 - at) * scale)
        else:
            covered = min(n + 0.5, at + reach) - max(n - 0.5, at - reach)
            weights[n - low] = max(covered, 0.0)
    return low, high


@inlined
def _finite(values: Array, wz: Array, wy: Array, wx: Array, box: tuple[int, ...], start: Array,
            share: float, fill: float) -> float:  # fmt: skip
    """Mean of what is finite, where that is half of the weight or more."""
    z0, z1, y0, y1, x0, x1 = box
    total, seen = 0.0, 0.0
    for a in range(z0, z1):
        for b in range(y0, y1):
            for c in range(x0, x1):
                value = float(values[a - start[0], b - start[1], c - start[2]])
                if np.isfinite(value):
                    weight = wz[a - z0] * wy[b - y0] * wx[c - x0]
                    total += value * weight
                    seen += weight
    return total / seen if seen >= 0.5 * share and seen > 0 else fill
