"""Normalised correlation of two volumes at every shift, over what both have there.

By six products of Fourier transforms of values, squares and masks, for volumes of different
shapes, with parts missing, that overlap only in part.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.fft

from zeoarray.errors import ArgumentError

Array = np.ndarray[Any, Any]

SLIGHT = 1e-5
"""A volume whose variance under the other is below this share of its own is constant there."""


class Peak(NamedTuple):
    """One maximum of the correlation."""

    shift: Array
    """(dim): fixed(n) = moving(n - shift), in voxels."""
    correlation: float
    overlap: float
    """Share of the smaller volume that lies on the other there."""


class Transformed(NamedTuple):
    """A volume as `correlate` needs it: three transforms."""

    shape: tuple[int, ...]
    values: Array
    squares: Array
    mask: Array
    variance: float
    voxels: float


def transformed(values: Array, valid: Array, padded: tuple[int, ...], *, flip: bool) -> Transformed:
    """Transforms of a volume and of its mask; mirrored for the one that moves."""
    count = float(valid.sum())
    if not count:
        raise ArgumentError("a volume without a valid voxel cannot be compared")
    mean = float(values[valid].mean())
    # About its mean, so that rounding does not decide.
    centred = np.where(valid, values - mean, 0).astype(np.float32)
    mask = valid.astype(np.float32)
    variance = float((centred**2).sum() / count)
    if flip:
        reverse = (slice(None, None, -1),) * values.ndim
        centred, mask = centred[reverse], mask[reverse]

    def to(a: Array) -> Array:
        return np.asarray(scipy.fft.rfftn(a, padded))

    return Transformed(values.shape, to(centred), to(centred**2), to(mask), variance, count)


def padded_shape(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """Shape in which no shift wraps round, and that the transform is fast for."""
    return tuple(
        int(scipy.fft.next_fast_len(a + b - 1, real=True)) for a, b in zip(one, other, strict=True)
    )


def correlate(
    fixed: Transformed, moving: Transformed, padded: tuple[int, ...], *, least: float
) -> tuple[Array, Array]:
    """Correlation at every shift, and the overlap as a share of the smaller volume.

    Element n of both belongs to the shift n - (size of moving - 1). Where the overlap is below
    `least` the correlation is -1.

    References
    ----------
    D. Padfield, "Masked object registration in the Fourier domain", IEEE Trans. Image Process. 21,
    2706 (2012), doi:10.1109/TIP.2011.2181402.
    """
    full = tuple(a + b - 1 for a, b in zip(fixed.shape, moving.shape, strict=True))
    inside = tuple(slice(0, n) for n in full)

    def product(a: Array, b: Array) -> Array:
        return np.asarray(scipy.fft.irfftn(a * b, padded)[inside])

    count = np.maximum(np.rint(product(fixed.mask, moving.mask)), 0)
    share = count / min(fixed.voxels, moving.voxels)
    some = np.maximum(count, 1)
    sum_f, sum_m = product(fixed.values, moving.mask), product(fixed.mask, moving.values)
    cross = product(fixed.values, moving.values) - sum_f * sum_m / some
    var_f = product(fixed.squares, moving.mask) - sum_f**2 / some
    var_m = product(fixed.mask, moving.squares) - sum_m**2 / some
    enough = (
        (share >= least)
        & (var_f > SLIGHT * fixed.variance * some)
        & (var_m > SLIGHT * moving.variance * some)
    )
    power = np.sqrt(np.where(enough, var_f, 1)) * np.sqrt(np.where(enough, var_m, 1))
    return np.where(enough, np.clip(cross / power, -1, 1), -1), share


def peaks(
    correlation: Array, share: Array, moving: tuple[int, ...], *, count: int, apart: int = 3
) -> list[Peak]:
    """The highest maxima, at least `apart` voxels from each other along some axis."""
    left, found = correlation.copy(), []
    for _ in range(count):
        best = np.unravel_index(int(left.argmax()), left.shape)
        if not left[best] > -1:
            break
        shift = np.array([b - (n - 1) for b, n in zip(best, moving, strict=True)], float)
        shift += [_summit(correlation, best, axis) for axis in range(correlation.ndim)]
        found.append(Peak(shift, float(correlation[best]), float(share[best])))
        left[tuple(slice(max(b - apart, 0), b + apart + 1) for b in best)] = -1
    return found


def _summit(values: Array, at: tuple[Any, ...], axis: int) -> float:
    """Where a parabola through three neighbours is highest, from the middle one."""
    n = int(at[axis])
    if not 0 < n < values.shape[axis] - 1:
        return 0.0
    low, mid, high = (float(values[(*at[:axis], n + step, *at[axis + 1 :])]) for step in (-1, 0, 1))
    bend = low - 2 * mid + high
    if bend >= 0 or min(low, high) <= -1:
        return 0.0
    return float(np.clip((low - high) / (2 * bend), -0.5, 0.5))
