"""Radial lens distortion, undone by the backward polynomial of Vo et al.

A pixel at radius ``r`` of the corrected image is found in the raw image at ``r P(r)``, in the same
direction from the centre, with ``P(r) = k0 + k1 r + k2 r^2 + ...`` and ``r`` in pixels. Rows and
columns are those of the whole detector, so that any part of an image is corrected as the whole is.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import numba
import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.columns import compiled
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel

Array = np.ndarray[Any, Any]
Interpolation = Literal["linear", "cubic"]

TAPS = {"linear": 2, "cubic": 4}
"""Neighbours along each axis that an interpolated value is made of."""
FULL = 1 - 1e-6
"""A flag is set where all but this rounding of what it is interpolated from is set."""


def check_lens(
    polynomial: tuple[float, ...], center: tuple[float, float], detector: tuple[int, int]
) -> None:
    """Raise unless the lens maps the detector onto itself one to one, from a centre on it.

    Raises
    ------
    ArgumentError
        For a centre outside the detector, and a polynomial that is empty, not finite, or folds
        the image.
    """
    if min(detector) < 1:
        raise ArgumentError(
            "a detector has rows and columns", got=detector, expected="(rows, columns), 1 or more"
        )
    (row, column), (rows, columns) = center, detector
    if not (0 <= row <= rows - 1 and 0 <= column <= columns - 1):
        raise ArgumentError(
            "the centre of the distortion is outside the detector",
            got=f"center_from_top={row:g}, center_from_left={column:g}",
            expected=f"indices of the whole detector: 0 to {rows - 1} from the top, 0 to "
            f"{columns - 1} from the left",
        )
    if not polynomial or not np.isfinite(polynomial).all():
        raise ArgumentError(
            "the polynomial of the distortion cannot be used",
            got=f"polynomial={list(polynomial)}",
            expected="finite coefficients k0, k1, ...; [1.0] where there is no distortion",
        )
    reach = np.hypot(max(row, rows - 1 - row), max(column, columns - 1 - column))
    slope = np.polynomial.Polynomial((0.0, *polynomial)).deriv()
    if (slope(np.linspace(0, reach, 500)) <= 0).any():
        raise ArgumentError(
            "the polynomial of the distortion folds the image",
            got=f"polynomial={list(polynomial)}",
            expected=f"r P(r) that increases from 0 to {reach:.0f} pixels",
            do="check the order (k0 first) and that it was fitted in pixels of this size",
        )


@functools.lru_cache(maxsize=64)
def displacement(
    polynomial: tuple[float, ...], center: tuple[float, float], detector: tuple[int, int]
) -> float:
    """Most rows that any pixel of the detector is moved by.

    Examples
    --------
    >>> displacement((1.01,), (0.0, 0.0), (101, 51))
    1.0
    """
    coefficients = np.array(polynomial, float)
    return round(float(_most_rows(coefficients, float(center[0]), float(center[1]), *detector)), 9)


@compiled
def _scale(coefficients: Any, radius: float) -> float:
    out = 0.0
    for n in range(coefficients.size - 1, -1, -1):
        out = out * radius + coefficients[n]
    return out


@compiled
def _most_rows(coefficients: Any, row: float, column: float, rows: int, columns: int) -> float:
    most = 0.0
    for j in range(rows):
        for i in range(columns):
            radius = np.sqrt((j - row) ** 2 + (i - column) ** 2)
            most = max(most, abs((_scale(coefficients, radius) - 1) * (j - row)))
    return most


def _halo(parameters: Parameters) -> int:
    lens = (tuple(parameters["polynomial"]), tuple(parameters["center"]))
    detector = tuple(parameters["detector"])
    check_lens(*lens, detector)
    return int(np.ceil(displacement(*lens, detector))) + TAPS[parameters["interpolation"]] // 2


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    # A view of the batch and positions and weights of one line of pixels.
    return Memory(0, 96 * sizes["u"] + 16 * sizes["z"])


@kernel("(z,u),(z),(u)->(z,u)", halo={"z": _halo}, memory=_memory)
def unwarp(
    image: Any,
    row: Any,
    column: Any,
    *,
    polynomial: tuple[float, ...],
    center: tuple[float, float],
    detector: tuple[int, int],
    interpolation: Interpolation = "linear",
) -> Any:
    """(..., z, u), (z), (u) -> (..., z, u). The image without the distortion of its lens.

    Each value is interpolated at ``center + P(r) (pixel - center)``. What would come from outside
    the image is taken from its nearest row or column.

    Parameters
    ----------
    image
        Any values; integers become float32.
    row, column
        Number of each row and column of the image on the whole detector, in steps of one.
    polynomial
        k0, k1, ... of P(r), in pixels.
    center
        Row and column of the centre of the distortion; fractions are meant.
    detector
        Rows and columns of the whole detector.
    interpolation
        ``linear``, or ``cubic`` convolution, which blurs less.

    Raises
    ------
    ArgumentError
        For a centre outside the detector, a polynomial that folds the image, and rows or columns
        that are not on the detector one by one.

    References
    ----------
    N. T. Vo, R. C. Atwood, M. Drakopoulos, "Radial lens distortion correction with sub-pixel
    accuracy for X-ray micro-tomography", Opt. Express 23, 32859 (2015), doi:10.1364/OE.23.032859.
    R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. Acoust.
    Speech Signal Process. 29, 1153 (1981), doi:10.1109/TASSP.1981.1163711.

    Examples
    --------
    >>> image = np.arange(5.0)[:, None] * np.ones(5)
    >>> lens = {"polynomial": (0.5,), "center": (2.0, 2.0), "detector": (5, 5)}
    >>> unwarp(image, np.arange(5), np.arange(5), **lens)[:, 0]
    array([1. , 1.5, 2. , 2.5, 3. ])
    """
    xp = xp_of(image)
    check_lens(tuple(polynomial), center, detector)
    if interpolation not in TAPS:
        raise ArgumentError(
            "there is no such interpolation", got=repr(interpolation), expected="linear or cubic"
        )
    top, left = (
        _first(numbers, size, count, what)
        for numbers, size, count, what in zip(
            (row, column), image.shape[-2:], detector, ("rows", "columns"), strict=True
        )
    )
    dtype = contract_of(unwarp).output_dtype(0, image.dtype)
    out = xp.empty(image.shape, dtype)
    if not out.size:
        return out
    coefficients = np.array(polynomial, float)
    body = _linear if interpolation == "linear" else _cubic
    for index in np.ndindex(*image.shape[:-3]):
        part, target = image[index], out[index]
        if part.ndim == 2:
            part, target = part[None], target[None]
        if xp is np:
            body(part, coefficients, float(center[0]), float(center[1]), top, left, target)
        else:
            target[...] = plainly(part, coefficients, center, (top, left), interpolation)
    return out


def _first(numbers: Any, size: int, count: int, what: str) -> int:
    """Number of the first row or column; they follow each other, and are on the detector."""
    start = int(numbers[0]) if size else 0
    if size and not (
        0 <= start <= count - size and bool((numbers == xp_of(numbers).arange(size) + start).all())
    ):
        raise ArgumentError(
            f"the {what} of the image are not those of the detector one by one",
            got=f"{size} {what} from {start} to {numbers[-1]}",
            expected=f"steps of 1 within 0 to {count - 1}",
        )
    return start


def _source(
    coefficients: Any, center_row: float, center_column: float, j: float, i: float
) -> tuple[float, float]:
    down, across = j - center_row, i - center_column
    scale = _scale(coefficients, np.sqrt(down * down + across * across))
    return center_row + scale * down, center_column + scale * across


_source_of = numba.njit(inline="always", error_model="numpy")(_source)


@compiled
def _linear(
    images: Any, coefficients: Any, center_row: float, center_column: float,
    top: int, left: int, out: Any,
) -> None:  # fmt: skip
    count, rows, columns = images.shape
    place = np.empty((columns, 4), np.int64)
    weight = np.empty((columns, 2), out.dtype)
    for j in range(rows):
        for i in range(columns):
            y, x = _source_of(coefficients, center_row, center_column, j + top, i + left)
            below, before = np.floor(y), np.floor(x)
            weight[i, 0], weight[i, 1] = y - below, x - before
            # Whole numbers from here on: a part of an image gives the same as the whole.
            place[i, 0] = min(max(int(below) - top, 0), rows - 1)
            place[i, 1] = min(max(int(below) - top + 1, 0), rows - 1)
            place[i, 2] = min(max(int(before) - left, 0), columns - 1)
            place[i, 3] = min(max(int(before) - left + 1, 0), columns - 1)
        for n in range(count):
            image = images[n]
            for i in range(columns):
                low, high = place[i, 0], place[i, 1]
                near, far = place[i, 2], place[i, 3]
                v, h = weight[i, 0], weight[i, 1]
                one = out.dtype.type(1)
                upper = image[low, near] * (one - h) + image[low, far] * h
                lower = image[high, near] * (one - h) + image[high, far] * h
                out[n, j, i] = upper * (one - v) + lower * v


def _keys(t: float) -> tuple[float, float, float, float]:
    """Weights of the neighbours at -1, 0, 1, 2 for a value at `t` between 0 and 1."""
    return (
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    )


_keys_of = numba.njit(inline="always", error_model="numpy")(_keys)


@compiled
def _cubic(
    images: Any, coefficients: Any, center_row: float, center_column: float,
    top: int, left: int, out: Any,
) -> None:  # fmt: skip
    count, rows, columns = images.shape
    place = np.empty((columns, 2), np.int64)
    weight = np.empty((columns, 8), out.dtype)
    for j in range(rows):
        for i in range(columns):
            y, x = _source_of(coefficients, center_row, center_column, j + top, i + left)
            below, before = np.floor(y), np.floor(x)
            weight[i, 0], weight[i, 1], weight[i, 2], weight[i, 3] = _keys_of(y - below)
            weight[i, 4], weight[i, 5], weight[i, 6], weight[i, 7] = _keys_of(x - before)
            place[i, 0], place[i, 1] = int(below) - top - 1, int(before) - left - 1
        for n in range(count):
            image = images[n]
            for i in range(columns):
                total = out.dtype.type(0)
                for a in range(4):
                    k = min(max(place[i, 0] + a, 0), rows - 1)
                    line = out.dtype.type(0)
                    for b in range(4):
                        m = min(max(place[i, 1] + b, 0), columns - 1)
                        line += image[k, m] * weight[i, 4 + b]
                    total += line * weight[i, a]
                out[n, j, i] = total


def plainly(
    images: Any,
    coefficients: Array,
    center: tuple[float, float],
    first: tuple[int, int],
    interpolation: Interpolation,
) -> Any:
    """(n, z, u) -> (n, z, u). What the compiled bodies do, for any array library."""
    xp = xp_of(images)
    rows, columns = images.shape[-2:]
    (center_row, center_column), (top, left) = center, first
    down = (xp.arange(rows) + top - center_row)[:, None]
    across = (xp.arange(columns) + left - center_column)[None, :]
    radius = xp.sqrt(down * down + across * across)
    scale = xp.zeros_like(radius)
    for k in coefficients[::-1]:
        scale = scale * radius + float(k)
    y, x = center_row + scale * down, center_column + scale * across
    below, before = xp.floor(y), xp.floor(x)
    dtype = images.dtype if images.dtype.kind == "f" else np.dtype(np.float32)
    if interpolation == "linear":
        weights = [(1 - (p - q), p - q) for p, q in ((y, below), (x, before))]
        start = 0
    else:
        weights = [_keys(p - q) for p, q in ((y, below), (x, before))]  # type: ignore[misc]
        start = -1
    out = xp.zeros(images.shape, dtype)
    for a, vertical in enumerate(weights[0]):
        k = xp.clip(below.astype(int) - top + a + start, 0, rows - 1)
        for b, horizontal in enumerate(weights[1]):
            m = xp.clip(before.astype(int) - left + b + start, 0, columns - 1)
            out += images[:, k, m] * (vertical * horizontal).astype(dtype)
    return out


def _flags_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    pixels = sizes["batch"] * sizes["z"] * sizes["u"]
    return Memory(0, 10 * pixels + _memory(sizes, parameters, threads).block)


@kernel("(z,u),(z),(u)->(z,u)", halo={"z": _halo}, memory=_flags_memory, dtype="flag")
def unwarp_flags(
    flags: Any,
    row: Any,
    column: Any,
    *,
    polynomial: tuple[float, ...],
    center: tuple[float, float],
    detector: tuple[int, int],
    interpolation: Interpolation = "linear",
) -> Any:
    """(..., z, u), (z), (u) -> (..., z, u). Where all that `unwarp` interpolates from is set.

    Parameters
    ----------
    flags
        Not 0 where a pixel is good.
    row, column, polynomial, center, detector, interpolation
        As in `unwarp`. Of a cubic interpolation the two nearest pixels along each axis count.

    Examples
    --------
    >>> flags = np.array([[True, True, False, True]])
    >>> lens = {"polynomial": (0.75,), "center": (0.0, 0.0), "detector": (1, 4)}
    >>> unwarp_flags(flags, np.arange(1), np.arange(4), **lens)
    array([[ True,  True, False, False]])
    """
    share = unwarp(
        (flags != 0).astype(np.float32),
        row,
        column,
        polynomial=polynomial,
        center=center,
        detector=detector,
    )
    return share > FULL
