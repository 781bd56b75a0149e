"""Two real slices as the real and imaginary part of one complex array: packing and unpacking.

What is done between is linear and keeps +m and -m apart from each other alike, so the two do not
mix but for rounding; each is brought to one scale, so that this is rounding of its own size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.polar import fft_of, frequencies
from zeoarray.kernels.truncation import extend

Array = np.ndarray[Any, Any]
Rows = Sequence[int]

TOGETHER = 2
"""Slices that go through a transform at once."""
PIECE = 1 << 18
"""Complex numbers that are filtered at once: two such pieces stay in the cache of one core."""


def each(array: Any, core: int) -> list[Any]:
    """Views of the slices of an array, in the order of its flattened batch."""
    return [array[index] for index in np.ndindex(*array.shape[: array.ndim - core])]


def pairs(batch: tuple[int, ...], *keys: Array) -> Iterator[Rows]:
    """Rows 2n and 2n+1 of the last batch dim together, where all their keys are equal.

    Parameters
    ----------
    batch
        Sizes of the batch dims. Pairs do not reach over the end of the last.
    keys
        Numbers, one for each slice of the flattened batch.

    Examples
    --------
    >>> list(pairs((2, 3), np.array([1, 1, 1, 1, 2, 2])))
    [(0, 1), (2,), (3,), (4,), (5,)]
    """
    inner = batch[-1] if batch else 1
    for first in range(0, keys[0].size, inner):
        for i in range(first, first + inner, TOGETHER):
            both = i + 1 < first + inner and all(k[i] == k[i + 1] for k in keys)
            if both:
                yield i, i + 1
            else:
                yield from ((j,) for j in range(i, min(i + TOGETHER, first + inner)))


def scale_of(part: Any, weight: Array | None, row: int) -> tuple[float, Array]:
    """A power of two near the largest magnitude of a slice; and which of its lines to leave out.

    Brought to one scale, a faint slice does not drown in the rounding of its partner.
    """
    xp = xp_of(part)
    both = xp.stack([part.max(axis=-1), part.min(axis=-1)]).astype(np.float64)
    most = to_host(abs(both).max(axis=0))
    broken = ~np.isfinite(most)
    silent = broken if weight is None else broken & (weight != 0)
    if silent.any():
        raise ArgumentError(
            f"slice {row} has values that are not finite",
            got=f"{np.count_nonzero(silent)} of {silent.size} lines with NaN or Inf, the first at "
            f"index {np.flatnonzero(silent)[0]}",
            expected="finite values wherever the weight is not 0",
            do="fill them, or give those angles the weight 0 (angular_weights(..., valid=))",
        )
    top = float(np.where(broken, 0, most).max(initial=0))
    return (2.0 ** np.floor(np.log2(top)) if top > 0 else 1.0), broken


def runs(angles: int, length: int, xp: Any) -> Iterator[slice]:
    """Cut `angles` lines of a sinogram into runs of about `PIECE` numbers, more on a GPU."""
    step = max(1, (PIECE if xp is np else 256 * PIECE) // length)
    for start in range(0, angles, step):
        yield slice(start, min(start + step, angles))


def place(part: Any, values: Any, first: int) -> None:
    """Write values along the last axis from index `first` on, going round at the end."""
    first %= part.shape[-1]
    fit = min(part.shape[-1] - first, values.shape[-1])
    part[..., first : first + fit] = values[..., :fit]
    if fit < values.shape[-1]:
        part[..., : values.shape[-1] - fit] = values[..., fit:]


def fetch(part: Any, first: int, out: Any) -> None:
    """Read what `place` wrote."""
    first %= part.shape[-1]
    fit = min(part.shape[-1] - first, out.shape[-1])
    out[..., :fit] = part[..., first : first + fit]
    if fit < out.shape[-1]:
        out[..., fit:] = part[..., : out.shape[-1] - fit]


def phases(
    xp: Any, points: int, period: int, shifts: Sequence[float], factor: Any
) -> tuple[Any, Any]:
    """What moves two packed rows each by its own part of a pixel, times `factor`: for `move`.

    For `points` frequencies of rows of `period` samples.
    """
    wave = 2j * np.pi * frequencies(points) / period
    first, last = (np.exp(wave * shift) for shift in (shifts[0], shifts[-1]))
    # Of C = A + iB, A is the part with C(-m) = conj C(m).
    common = xp.asarray((factor * (first + last) / 2).astype(np.complex64))
    if shifts[0] == shifts[-1]:
        return common, None
    return common, xp.asarray((factor * (first - last) / 2).astype(np.complex64))


def move(spectra: Any, by: tuple[Any, Any]) -> Any:
    """Apply `phases` to spectra, in place."""
    common, apart = by
    if apart is None:
        spectra *= common
        return spectra
    xp = xp_of(spectra)
    mirrored = xp.roll(spectra[:, ::-1], 1, axis=-1).conj()
    mirrored *= apart
    spectra *= common
    spectra += mirrored
    return spectra


def gather(
    slices: Sequence[Any],
    centers: Sequence[float],
    weights: Sequence[Array],
    rows: Rows,
    *,
    length: int,
    period: int,
    turn: Any,
    out: Any,
    response: Array | None = None,
    factor: Array | None = None,
    continued: bool = False,
) -> list[float]:
    """Write spectra (angle, frequency) of one slice or two, the axis at sample period // 2.

    Rows are filtered by `response` where given, cut off after `period` samples, and multiplied by
    `factor` and by `turn`, at as many frequencies as this has: the spectrum of samples goes on
    periodically. Where `continued`, rows go on at their edges; they are zero beyond them otherwise.
    Returns the scale of each slice, for `unpack`.
    """
    xp, fft = xp_of(*slices), fft_of(xp_of(*slices))
    scales = [scale_of(*one) for one in zip(slices, weights, rows, strict=True)]
    whole = [int(np.rint(c)) for c in centers]
    shifts = [c - w for c, w in zip(centers, whole, strict=True)]
    factors = [
        xp.asarray(np.where(broken, 0, w / scale).astype(np.float32)[:, None])
        for w, (scale, broken) in zip(weights, scales, strict=True)
    ]
    angles = slices[0].shape[0]
    points = turn.shape[-1]
    by = phases(xp, points, period, shifts, 1 if factor is None else factor)
    transfer = None if response is None else xp.asarray(response)
    for lines in runs(angles, length, xp):
        packed = xp.zeros((lines.stop - lines.start, length), np.complex64)
        for i, part in enumerate(slices):
            values, broken = part[lines].astype(np.float32, copy=False), scales[i][1][lines]
            if broken.any():
                values = xp.where(xp.asarray(broken)[:, None], np.float32(0), values)
            values = values * factors[i][lines]
            target = packed.imag if i else packed.real
            place(target, values, period // 2 - whole[i])
            if continued and length > values.shape[-1]:
                extend(target, values, period // 2 - whole[i])
        spectra = fft.fft(packed, overwrite_x=True)
        if transfer is not None:
            spectra *= transfer
            filtered = fft.ifft(spectra, overwrite_x=True)
            spectra = fft.fft(filtered[:, :period])
        target = out[lines]
        target[:, : points // 2 + 1] = spectra[:, : points // 2 + 1]
        if points > 1:
            target[:, -(points // 2) :] = spectra[:, -(points // 2) :]
        move(target, by)
        target *= turn[lines]
    return [scale for scale, _ in scales]


def unpack(image: Any, scales: Sequence[float], out: Sequence[Any], keep: Any) -> None:
    """Write real and imaginary part into `out`, at their own scales, times `keep` where given."""
    for i, (scale, target) in enumerate(zip(scales, out, strict=True)):
        part, factor = image.imag if i else image.real, target.dtype.type(scale)
        for lines in runs(image.shape[0], image.shape[1], xp_of(image)):
            xp_of(image).multiply(part[lines], factor, out=target[lines])
            if keep is not None:
                target[lines] *= keep[lines]
