"""Frames as azimuthal integration reads them: checked, in batches, without what is not valid."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.azimuthal_loops import LANES, TILE, count_lost, load, tiles
from zeoarray.kernels.azimuthal_matrix import IntegrationMatrix

Array = np.ndarray[Any, Any]

FAINT = 1e-9
"""A bin that keeps less than this share of its normalisation has lost all of its pixels."""
FLUSH = 16
"""Pixels for each bin, after which single-precision sums go into double precision."""


class Frames:
    """The frames of one call, with what belongs to each.

    Parameters
    ----------
    frames
        (..., det_y, det_x).
    matrix
        What they go through.
    variance, factor, dark, dummy, delta_dummy, saturation
        As in `azimuthal.sums`.
    """

    def __init__(
        self,
        frames: Any,
        matrix: IntegrationMatrix,
        *,
        variance: Any,
        factor: Any,
        dark: Any,
        dummy: float | None,
        delta_dummy: float,
        saturation: float | None,
    ) -> None:
        self.matrix = matrix
        _check_shape(frames, matrix.shape, "frames")
        self.shape = frames.shape[:-2]
        self.frames = _pixels(frames)
        self.variance: Any = None
        if variance is not None:
            _check_shape(variance, matrix.shape, "variance")
            self.variance = _pixels(_fitted(variance, frames.shape, "variance"))
        self.factor = _factor(factor, self.shape)
        self.dark = np.empty(0, np.float32)
        if dark is not None:
            _check_shape(dark, matrix.shape, "dark", dims=2)
            self.dark = np.asarray(to_host(dark), np.float32).ravel()
        self.limits = _limits(frames.dtype, dummy, delta_dummy, saturation)

    def batches(self, most: int) -> Iterator[slice]:
        """Rows of the flattened batch, `most` at a time."""
        count = math.prod(self.shape)
        for first in range(0, count, most):
            yield slice(first, min(first + most, count))

    def tiles(
        self, rows: slice, kind: int, lost: Lost | None = None
    ) -> Iterator[tuple[int, Array, Array]]:
        """First pixel, values (pixel, lane) and what stands beside them, tile by tile.

        What is not valid is 0 in both, and is counted by `lost`. The arrays are overwritten by the
        next tile.
        """
        frames, variance = self.rows(rows)
        values = np.zeros((TILE, LANES), np.float32)
        beside = np.zeros((TILE, LANES), np.float32)
        matrix = self.matrix
        entries = matrix.indptr, matrix.indices, matrix.data, matrix.pixel_normalization
        for part in tiles(frames.shape[1]):
            size = part.stop - part.start
            v, b = values[:size], beside[:size]
            bad = load(
                frames, variance, kind, self.dark, self.limits, matrix.pixel_normalization,
                part.start, v, b,
            )  # fmt: skip
            if bad and lost is not None:
                count_lost(v, len(frames), part.start, *entries, lost.table())
            elif bad:
                np.nan_to_num(v, copy=False)
            yield part.start, v, b

    def rows(self, rows: slice) -> tuple[Array, Array]:
        """Some frames (frame, pixel) and their variances, as the compiled loops take them."""
        frames = _plain(self.frames, rows)
        variance = np.empty((0, 0), np.float32)
        if self.variance is not None:
            variance = _plain(self.variance, rows)
        return frames, variance

    def normalize(self, rows: slice, lost: Lost, out: Array) -> None:
        """(frame, bin). What is left of the matrix's normalisation, times the frames' factors."""
        left = lost.left(rows.stop - rows.start)
        np.multiply(left, self.factor[rows, None], out=out, casting="same_kind")


class Lost:
    """The normalisation (bin, lane) of pixels that were left out of a batch."""

    def __init__(self, matrix: IntegrationMatrix) -> None:
        self._full = matrix.normalization
        self._table: Array | None = None

    def table(self) -> Array:
        """The table itself, which only exists once something is lost."""
        if self._table is None:
            self._table = np.zeros((self._full.size, LANES))
        return self._table

    def left(self, count: int) -> Array:
        """(frame, bin). The normalisation that is left, 0 where all pixels are lost."""
        if self._table is None:
            return self._full[None, :]
        left: Array = self._full - self._table[:, :count].T
        left[left <= FAINT * self._full] = 0
        return left


class Totals:
    """Sums (row, bin, lane) in single precision, which go into double precision now and then."""

    def __init__(self, *shape: int) -> None:
        self.part = np.zeros((*shape, LANES), np.float32)
        self._total: Array | None = None
        self._held, self._due = 0, FLUSH * self.part[0].size // LANES

    def added(self, pixels: int) -> None:
        """Some pixels are in: what they added goes over where it is time."""
        self._held += pixels
        if self._held >= self._due:
            self._total = self.whole()
            self.part.fill(0)
            self._held = 0

    def whole(self) -> Array:
        """All that was added."""
        if self._total is None:
            return self.part if self._held < self._due else self.part.astype(np.float64)
        self._total += self.part
        return self._total


def _pixels(array: Any) -> Any:
    """(..., det_y, det_x) -> list of frames, or one array (frame, pixel) where that is a view."""
    pixels = array.shape[-2] * array.shape[-1]
    if array.flags.c_contiguous:
        return array.reshape(math.prod(array.shape[:-2]), pixels)
    return [array[index] for index in np.ndindex(*array.shape[:-2])]


def _plain(source: Any, rows: slice) -> Array:
    part = source[rows]
    if isinstance(part, list):
        part = np.stack(part).reshape(len(part), -1)
    part = np.asarray(part)
    if not part.dtype.isnative:
        part = part.astype(part.dtype.newbyteorder("="))
    return part.astype(np.float32) if part.dtype == np.float16 else part


def _check_shape(array: Any, shape: tuple[int, int], name: str, dims: int | None = None) -> None:
    if array.shape[-2:] == shape and dims in (None, array.ndim) and array.ndim > 1:
        if array.dtype.kind in "iuf":
            return
        raise ArgumentError(f"the {name} are no counts", got=f"dtype {array.dtype}")
    turned = " (transposed?)" if array.shape[-2:] == shape[::-1] else ""
    raise ArgumentError(
        f"the {name} are of another detector than the geometry",
        got=f"{array.shape[-2:]} pixels{turned}",
        expected=f"{shape} pixels",
        do="build the matrix with the geometry of these frames; binned or cropped frames need "
        "their own",
    )


def _fitted(array: Any, shape: tuple[int, ...], name: str) -> Any:
    try:
        return xp_of(array).broadcast_to(array, shape)
    except ValueError as error:
        raise ArgumentError(
            f"the {name} does not fit the frames", got=array.shape, expected=shape
        ) from error


def _factor(factor: Any, shape: tuple[int, ...]) -> Array:
    values = np.asarray(to_host(factor), dtype=float)
    try:
        rows = np.broadcast_to(values, shape).ravel()
    except ValueError as error:
        raise ArgumentError(
            "the factors do not fit the frames",
            got=f"shape {values.shape}",
            expected=f"one number, or {shape}",
        ) from error
    bad = ~(np.isfinite(rows) & (rows > 0))
    if bad.any():
        raise ArgumentError(
            "a frame cannot be normalised",
            got=f"factor {rows[bad][0]:g} of frame {np.flatnonzero(bad)[0]}"
            f" ({np.count_nonzero(bad)} of {rows.size})",
            expected="finite numbers above 0",
            do="leave out frames with a dead monitor, or normalise by another",
        )
    return rows


def _limits(
    dtype: Any, dummy: float | None, delta: float, saturation: float | None
) -> tuple[float, float, float, float]:
    """The least valid count, what is above every valid one, the first and last of the dummies."""
    if dtype.kind in "iu":
        low, top = 0.0, float(np.iinfo(dtype).max)
    else:
        # Values go through single precision.
        top = float(np.finfo(np.float32).max)
        low = -top
    if saturation is not None:
        if not saturation > 0:
            raise ArgumentError("counts saturate above 0", got=f"saturation={saturation}")
        top = min(top, float(saturation))
    if not delta >= 0:
        raise ArgumentError("delta_dummy is a distance", got=delta, expected="0 or more")
    if dummy is None:
        return low, top, np.inf, -np.inf
    return low, top, dummy - delta, dummy + delta
