"""The compiled loops that share out pixels over radial bins: by centre, by box, by area.

Each pixel's entries are written where they belong, pixel by pixel, so that nothing is turned or
sorted afterwards. A pixel that reaches over an end of the bins counts whole, as with pyFAI.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zeoarray.kernels.azimuthal_loops import compiled

Array = np.ndarray[Any, Any]


@compiled
def ends(radius: Any, reach: Any, mask: Any) -> tuple[float, float]:
    """Least and largest radius of pixels (det_y, det_x) that are not masked, +- their reach."""
    least, most = np.inf, -np.inf
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            if not mask[i, j]:
                half = reach[i, j] if reach.size else 0.0
                least = min(least, radius[i, j] - half)
                most = max(most, radius[i, j] + half)
    return least, most


@compiled
def corner_ends(radius: Any, mask: Any) -> tuple[float, float]:
    """The same of the corners (det_y, det_x, 2, 2)."""
    least, most = np.inf, -np.inf
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            if not mask[i, j]:
                for k in range(2):
                    for l in range(2):  # noqa: E741
                        least = min(least, np.float64(radius[i, j, k, l]))
                        most = max(most, np.float64(radius[i, j, k, l]))
    return least, most


@compiled
def reach(radius: Any, corner: Any, out: Any) -> None:
    """How far the corners of a pixel are from its centre in radius, at most."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            far = 0.0
            for k in range(2):
                for l in range(2):  # noqa: E741
                    far = max(far, abs(np.float64(corner[i, j, k, l]) - radius[i, j]))
            out[i, j] = far


# --- by centre and by box -------------------------------------------------------------------------
@compiled
def count_boxes(
    radius: Any, reach: Any, keep: Any, low: float, width: float, bins: int, indptr: Any
) -> None:
    """Entries of each pixel, summed up: where they begin (pixel + 1)."""
    total = 0
    indptr[0] = 0
    columns = keep.shape[1]
    for i in range(keep.shape[0]):
        for j in range(columns):
            if keep[i, j]:
                half = reach[i, j] if reach.size else 0.0
                first = int((radius[i, j] - half - low) / width)
                last = int((radius[i, j] + half - low) / width)
                if last >= 0 and first < bins:
                    total += min(last, bins - 1) - max(first, 0) + 1
            indptr[i * columns + j + 1] = total


@compiled
def fill_boxes(
    radius: Any, reach: Any, low: float, width: float, bins: int, indptr: Any, indices: Any,
    data: Any,
) -> None:  # fmt: skip
    """Bins and shares of each pixel's entries."""
    columns = radius.shape[1]
    for p in range(indptr.size - 1):
        start, size = indptr[p], indptr[p + 1] - indptr[p]
        if size == 0:
            continue
        r = radius[p // columns, p % columns]
        half = reach[p // columns, p % columns] if reach.size else 0.0
        left, right = (r - half - low) / width, (r + half - low) / width
        first = max(int(left), 0)
        for n in range(size):
            indices[start + n] = first + n
            # What lies beyond the ends is in the end bins.
            begin = left if n == 0 else np.float64(first + n)
            end = right if n == size - 1 else np.float64(first + n + 1)
            data[start + n] = (end - begin) / (right - left) if size > 1 else 1.0


# --- by area --------------------------------------------------------------------------------------
@compiled
def _in_bins(
    radius: Any, i: int, j: int, low: float, width: float
) -> tuple[float, float, float, float, int, int]:
    """The corners' radii in bins, and the first and the last bin that they lie in."""
    a, b = np.float64(radius[i, j, 0, 0]), np.float64(radius[i, j, 1, 0])
    c, d = np.float64(radius[i, j, 1, 1]), np.float64(radius[i, j, 0, 1])
    a, b, c, d = (a - low) / width, (b - low) / width, (c - low) / width, (d - low) / width
    least, most = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
    return a, b, c, d, math.floor(least), math.floor(most)


@compiled
def count_areas(radius: Any, keep: Any, low: float, width: float, bins: int, indptr: Any) -> None:
    """Entries of each pixel, summed up: where they begin (pixel + 1)."""
    total = 0
    indptr[0] = 0
    columns = keep.shape[1]
    for i in range(keep.shape[0]):
        for j in range(columns):
            if keep[i, j]:
                _, _, _, _, first, last = _in_bins(radius, i, j, low, width)
                if last >= 0 and first < bins:
                    total += min(last, bins - 1) - max(first, 0) + 1
            indptr[i * columns + j + 1] = total


@compiled
def _under(x: float, y: float, to_x: float, to_y: float, first: int, last: int, area: Any) -> None:
    """Add to each bin the signed area under a line from (x, y), as far as it lies in the bins."""
    if x == to_x:
        return
    slope = (to_y - y) / (to_x - x)
    height, half, sign = y - slope * x, 0.5 * slope, np.float64(1.0)
    begin, end = math.floor(x), math.floor(to_x)
    if x > to_x:
        x, to_x, begin, end, sign = to_x, x, end, begin, np.float64(-1.0)
    # In single precision, as pyFAI holds it: shares are then its own to the last digits.
    if begin < first or end > last:
        for k in range(max(begin, first), min(end, last) + 1):
            low, high = max(x, np.float64(k)), min(to_x, np.float64(k + 1))
            area[k - first] += sign * (high - low) * (half * (high + low) + height)
        return
    if begin == end:
        # Without a sign, numbers need no look whether they count from the end.
        area[np.uint64(end - first)] += sign * (to_x - x) * (half * (to_x + x) + height)
        return
    high, low = np.float64(begin + 1), np.float64(end)
    area[np.uint64(begin - first)] += sign * (high - x) * (half * (high + x) + height)
    for k in range(begin + 1, end):
        area[np.uint64(k - first)] += sign * (half * np.float64(2 * k + 1) + height)
    area[np.uint64(end - first)] += sign * (to_x - low) * (half * (to_x + low) + height)


@compiled
def fill_areas(
    radius: Any, azimuth: Any, low: float, width: float, bins: int, mirrored: bool, indptr: Any,
    indices: Any, data: Any,
) -> None:  # fmt: skip
    """Bins and shares of each pixel's entries, by its area in the plane of radius and azimuth."""
    rows, columns = radius.shape[:2]
    area = np.zeros(bins, np.float32)
    for i in range(rows):
        for j in range(columns):
            start = indptr[i * columns + j]
            size = indptr[i * columns + j + 1] - start
            if size == 0:
                continue
            a, b, c, d, first, last = _in_bins(radius, i, j, low, width)
            whole, first = first == last, max(first, 0)
            total = 0.0
            if not whole:
                e, f, g, h = _unrolled(radius, azimuth, i, j, mirrored)
                area[:size] = 0.0
                last = first + size - 1
                _under(a, e, b, f, first, last, area)
                _under(b, f, c, g, first, last, area)
                _under(c, g, d, h, first, last, area)
                _under(d, h, a, e, first, last, area)
                for n in range(size):
                    total += area[n]
            by = 1 / total if total != 0 else 0.0
            for n in range(size):
                indices[start + n] = first + n
                data[start + n] = area[n] * by if total != 0 else 1.0 / size


@compiled
def _unrolled(
    radius: Any, azimuth: Any, i: int, j: int, mirrored: bool
) -> tuple[float, float, float, float]:
    """The corners' azimuths, in one turn where the pixel lies across the seam."""
    a, b = np.float64(azimuth[i, j, 0, 0]), np.float64(azimuth[i, j, 1, 0])
    c, d = np.float64(azimuth[i, j, 1, 1]), np.float64(azimuth[i, j, 0, 1])
    down = np.float64(radius[i, j, 1, 1]) - np.float64(radius[i, j, 0, 0])
    across = np.float64(radius[i, j, 0, 1]) - np.float64(radius[i, j, 1, 0])
    # Across the seam the contour is gone round the wrong way. This is no area, but it has the sign
    # of one, and where it has not, near the beam, pyFAI goes by it.
    way = 0.5 * down * (d - b) - (c - a) * across
    if (way > 0) != mirrored and way != 0:
        turn = 2 * math.pi
        a, b = a + turn * (a < 0), b + turn * (b < 0)
        c, d = c + turn * (c < 0), d + turn * (d < 0)
        if a + b + c + d > 2 * turn:
            a, b, c, d = a - turn, b - turn, c - turn, d - turn
    return a, b, c, d
