"""Two blocks of voxels, one moved onto the grid of the other: how much they are still apart.

For each a shift is looked for over a range (`search`); or, once near, the normal equations of a
least-squares fit of every affine change (`compare`), with grey scale and offset of the block's own:
maximising local normalised correlation. Sums of many blocks' equations are one fit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import scipy.ndimage

from zeoarray.kernels.mutual import Likeness

Array = np.ndarray[Any, Any]

SMOOTH = np.array([0.25, 0.5, 0.25])
"""Both are smoothed so, lest interpolation, which smooths noise between voxels, favour some."""
LEAST_VOXELS = 64
"""Blocks with fewer that both have say nothing."""
TAILS = 2.5
"""A Gaussian is cut off at so many standard deviations."""
FAINT = 1e-10
"""Sums are taken to be rounding below this share."""


class Compared(NamedTuple):
    """The normal equations of one block, in factors of displacements E (3, 4), flattened."""

    information: Array
    """(12, 12), over the variance of a voxel."""
    score: Array
    """(12), over the variance of a voxel."""
    correlation: float
    noise: float
    """What remains at one voxel, as a share of the fixed block's standard deviation."""
    coherence: float
    """Variance of an eighth's shift about the block's, over that expected of voxels alone."""
    seen: float
    """Share of the block's weight that both volumes have."""

    @property
    def local(self) -> tuple[Array, Array]:
        """(3, 3), (3): the equations of the shift of the block as a whole [um]."""
        return self.information[3::4, 3::4], self.score[3::4]


def smooth(values: Array) -> Array:
    """Smooth by a quarter of each neighbour along each axis; NaN spreads to the neighbours."""
    for axis in range(values.ndim):
        values = scipy.ndimage.convolve1d(values, SMOOTH, axis=axis, mode="nearest")
    return values


def blur(values: Array, sigma: Array) -> Array:
    """Smooth by a Gaussian of `sigma` voxels along each axis, over what is finite."""
    valid = np.isfinite(values)
    if valid.all():
        return np.asarray(
            scipy.ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=TAILS)
        )
    share = scipy.ndimage.gaussian_filter(
        valid.astype(np.float32), sigma, mode="nearest", truncate=TAILS
    )
    total = scipy.ndimage.gaussian_filter(
        np.where(valid, values, 0), sigma, mode="nearest", truncate=TAILS
    )
    return np.where(valid, total / np.maximum(share, 1e-6), np.nan)


def edges(values: Array) -> Array:
    """How steep the values are [per voxel], which does not ask what is bright and what is dark."""
    return np.asarray(np.sqrt(sum(np.gradient(values, axis=axis) ** 2 for axis in range(3))))


def window(shape: tuple[int, ...]) -> Array:
    """(z, y, x). Weight of each voxel: falls to the faces over the outer quarter."""
    out = np.ones(shape)
    for axis, n in enumerate(shape):
        edge = np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) / max(0.25 * n, 1)
        ramp = np.sin(np.pi / 2 * np.clip(edge, 0, 1)) ** 2
        out = out * ramp.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return out


def gradient(values: Array, spacing: Array) -> Array:
    """(z, y, x), (x, y, z) spacing [um] -> (3, z, y, x): along x, y and z."""
    by_axis = [np.gradient(values, axis=axis) for axis in range(3)]
    return np.stack([by_axis[2 - i] / spacing[i] for i in range(3)])


def compare(fixed: Array, moved: Array, offsets: Array, spacing: Array) -> Compared | None:
    """Normal equations for the change that brings `moved` onto `fixed`, to first order.

    Parameters
    ----------
    fixed, moved
        (z, y, x) on one grid; NaN where a volume has nothing.
    offsets
        (4, z, y, x): x, y, z from where displacements are counted about [um], and 1.
    spacing
        Of the grid along x, y, z [um].

    Returns
    -------
    Compared or None
        None where too little is in both, or either is constant there.
    """
    slopes = gradient(fixed, spacing), gradient(moved, spacing)
    valid = np.isfinite(slopes[0]).all(axis=0) & np.isfinite(slopes[1]).all(axis=0)
    valid &= np.isfinite(fixed) & np.isfinite(moved)
    full = window(fixed.shape)
    weight = np.where(valid, full, 0)
    if np.count_nonzero(weight) < LEAST_VOXELS:
        return None
    total = weight.sum()
    f, m = (np.where(valid, v, 0) for v in (fixed, moved))
    f = np.where(valid, f - (weight * f).sum() / total, 0)
    m = np.where(valid, m - (weight * m).sum() / total, 0)
    ff, mm, fm = ((weight * a * b).sum() / total for a, b in ((f, f), (m, m), (f, m)))
    if not min(ff, mm) > 0 or not fm > FAINT * np.sqrt(ff * mm):
        return None
    gain = fm / mm
    rest = f - gain * m
    variance = max((weight * rest**2).sum() / total, FAINT * ff)
    slope = np.where(valid, (slopes[0] + gain * slopes[1]) / 2, 0)
    equations = _equations(slope, rest, m, weight, offsets, variance)
    return Compared(
        *equations,
        correlation=float(fm / np.sqrt(ff * mm)),
        noise=float(np.sqrt(variance / ff)),
        coherence=_coherence(slope, rest, weight, variance),
        seen=float(total / full.sum()),
    )


def compare_unlike(
    fixed: Array, moved: Array, offsets: Array, spacing: Array, alike: Likeness
) -> Compared | None:
    """As `compare`, for volumes of two modalities: the equations raise mutual information."""
    slope = gradient(moved, spacing)
    valid = np.isfinite(slope).all(axis=0) & np.isfinite(moved) & np.isfinite(fixed)
    full = window(fixed.shape)
    weight = np.where(valid, full, 0)
    if np.count_nonzero(weight) < LEAST_VOXELS:
        return None
    f, m = (np.where(valid, v, 0) for v in (fixed, moved))
    variance = 1 / alike.information
    rest = alike.slopes(f, m) * variance
    slope = np.where(valid, slope, 0)
    total = weight.sum()
    both = [v - (weight * v).sum() / total for v in (f, alike.as_fixed(m))]
    ff, mm, fm = ((weight * a * b).sum() for a, b in
                  ((both[0], both[0]), (both[1], both[1]), (both[0], both[1])))  # fmt: skip
    if not min(ff, mm) > 0:
        return None
    return Compared(
        *_equations(slope, rest, m, weight, offsets, variance),
        correlation=float(fm / np.sqrt(ff * mm)),
        noise=float(np.sqrt(max(1 - fm**2 / (ff * mm), 0))),
        coherence=_coherence(slope, rest, weight, variance),
        seen=float(total / full.sum()),
    )


def _equations(
    slope: Array, rest: Array, m: Array, weight: Array, offsets: Array, variance: float
) -> tuple[Array, Array]:
    root = np.sqrt(weight).ravel()
    columns = (slope[:, None] * offsets[None]).reshape(12, -1) * root
    # What grey scale and offset could explain is no sign of a displacement.
    flat = np.stack([root, m.ravel() * root])
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    columns -= (columns @ flat.T) @ flat
    return columns @ columns.T / variance, columns @ (rest.ravel() * root) / variance


def _coherence(slope: Array, rest: Array, weight: Array, variance: float) -> float:
    """How much more the eighths of a block differ in their shift than independent voxels would."""
    n = [s // 2 * 2 for s in rest.shape]
    cut = tuple(slice(0, k) for k in n)
    parts = (n[0] // 2, n[1] // 2, n[2] // 2)

    def eighths(a: Array) -> Array:
        split = a[cut].reshape(2, parts[0], 2, parts[1], 2, parts[2])
        return np.asarray(split.transpose(0, 2, 4, 1, 3, 5).reshape(8, -1))

    w, r = eighths(weight), eighths(rest)
    g = np.stack([eighths(s) for s in slope])
    information = np.einsum("iok,jok,ok->oij", g, g, w)
    score = np.einsum("iok,ok,ok->oi", g, w, r)
    whole = information.sum(axis=0)
    if not np.linalg.cond(whole) < 1 / FAINT:
        return 1.0
    score -= information @ np.linalg.solve(whole, score.sum(axis=0))
    inverse = np.linalg.pinv(information, rcond=1e-3, hermitian=True)
    stat = np.einsum("oi,oij,oj->", score, inverse, score) / variance
    return float(stat / 21)


class Found(NamedTuple):
    """What `search` gives."""

    shift: Array
    """(3) along z, y, x: fixed(n) = moved(n + shift), in voxels."""
    correlation: float
    curvature: Array
    """(3, 3): second derivatives of the correlation there, negated."""
    at_edge: bool


def search(fixed: Array, moved: Array, reach: int) -> Found | None:
    """Shift of highest correlation of a block within a larger one, to a part of a voxel.

    Parameters
    ----------
    fixed
        (z, y, x), NaN where there is nothing.
    moved
        The same grid and `reach` more voxels on each side.
    reach
        The largest shift looked for.
    """
    surface = _surface(fixed, moved, reach)
    if surface is None:
        return None
    best = np.unravel_index(int(surface.argmax()), surface.shape)
    at_edge = any(b in (0, 2 * reach) for b in best)
    middle = tuple(min(max(int(b), 1), 2 * reach - 1) for b in best)
    part, curvature = _paraboloid(surface, middle)
    if at_edge or part is None:
        return Found(np.array(best, float) - reach, float(surface.max()), np.eye(3) * 1e-3, True)
    return Found(np.array(middle) + part - reach, float(surface[middle]), curvature, False)


def _surface(fixed: Array, moved: Array, reach: int) -> Array | None:
    """Correlation at every shift, -1 where less than half of the block is in both."""
    valid, inside = np.isfinite(fixed), np.isfinite(moved)
    full = window(fixed.shape)
    weight = np.where(valid, full, 0)
    if np.count_nonzero(weight) < LEAST_VOXELS or np.count_nonzero(inside) < LEAST_VOXELS:
        return None
    f = np.where(valid, fixed, 0)
    f = np.where(valid, f - (weight * f).sum() / weight.sum(), 0)
    m = np.where(inside, moved - moved[inside].mean(), 0)
    shape = tuple(int(scipy.fft.next_fast_len(n, real=True)) for n in moved.shape)

    def over(template: Array, values: Array) -> Array:
        product = template.conj() * values
        return np.asarray(scipy.fft.irfftn(product, shape)[(slice(0, 2 * reach + 1),) * 3])

    def to(values: Array) -> Array:
        return np.asarray(scipy.fft.rfftn(values.astype(np.float32), shape))

    weights, first = to(weight), to(weight * f)
    values, squares = to(m), to(m**2)
    sum_m, sum_mm, cross = over(weights, values), over(weights, squares), over(first, values)
    if inside.all():
        count = np.full(cross.shape, weight.sum())
        sum_f, sum_ff = np.zeros_like(cross), np.full(cross.shape, (weight * f**2).sum())
    else:
        has = to(inside)
        count, sum_f = np.maximum(over(weights, has), 1e-6), over(first, has)
        sum_ff = over(to(weight * f**2), has)
    power_f = sum_ff - sum_f**2 / count
    power_m = sum_mm - sum_m**2 / count
    least = [1e-3 * max(float(p.max()), 0.0) for p in (power_f, power_m)]
    enough = (count > 0.5 * full.sum()) & (power_f > least[0]) & (power_m > least[1])
    if not enough.any():
        return None
    power = np.sqrt(np.where(enough, power_f * power_m, 1))
    return np.where(enough, (cross - sum_f * sum_m / count) / power, -1)


def _paraboloid(surface: Array, at: tuple[int, ...]) -> tuple[Array | None, Array]:
    """Summit of the paraboloid through the 27 values round a maximum, and its curvature."""
    near = surface[tuple(slice(n - 1, n + 2) for n in at)]
    slope = np.array([(near[2, 1, 1] - near[0, 1, 1]), (near[1, 2, 1] - near[1, 0, 1]),
                      (near[1, 1, 2] - near[1, 1, 0])]) / 2  # fmt: skip
    bend = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            one, other = np.eye(3, dtype=int)[i], np.eye(3, dtype=int)[j]
            if i == j:
                bend[i, i] = near[tuple(1 + one)] - 2 * near[1, 1, 1] + near[tuple(1 - one)]
            else:
                plus = near[tuple(1 + one + other)] + near[tuple(1 - one - other)]
                minus = near[tuple(1 + one - other)] + near[tuple(1 - one + other)]
                bend[i, j] = (plus - minus) / 4
    if not np.linalg.eigvalsh(-bend).min() > 1e-6:
        return None, np.eye(3)
    part = np.linalg.solve(-bend, slope)
    return (part, -bend) if np.abs(part).max() <= 1 else (None, np.eye(3))
