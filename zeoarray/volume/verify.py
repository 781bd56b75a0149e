"""How far a registration can be believed: figures that the fit itself does not give."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from zeoarray.kernels import affine, blocks, metrics, transform
from zeoarray.kernels.mutual import Likeness
from zeoarray.volume import refine
from zeoarray.volume.levels import Level
from zeoarray.volume.refine import Block, Pair, Solved

Array = np.ndarray[Any, Any]

CUBE = 128
"""Voxels along a side of the cube whose Fourier shells are correlated, at the most."""
HELD = 4
"""One block in so many is held out of the fit."""
BLUR = 2.5
"""Standard deviation of the Gaussian that leaves coarse structures alone [voxels]."""
FEW = 48
"""Blocks by which these are compared."""
POINTS = 9
"""Points along each axis at which errors are predicted."""


class Held(NamedTuple):
    """What the blocks that were held out say."""

    chi2: float
    """Mean square of their shifts in sigmas of the prediction; 1 where all is as told."""
    blocks: int


def held_out(count: int) -> Array:
    """(block) Which blocks are kept from the fit: spread evenly."""
    return np.asarray(np.arange(count) % HELD == HELD - 1)


def seen_points(pair: Pair, mapped: Array) -> Array:
    """(point, 3) x, y, z [um] in the fixed frame: a lattice over what both volumes see."""
    low, high = refine.seen_box(pair, mapped)
    places = low + refine.lattice(np.maximum(high - low, 1), POINTS)
    seen = places[refine.inside(pair, mapped, places)]
    return pair.fixed.positions(seen if len(seen) else places)


def predicted(solved: Solved, points: Array) -> tuple[float, float]:
    """Error expected of the map at these points of the fixed frame: rms and largest [um]."""
    return transform.rms(points, solved.fields, solved.about, solved.covariance)


def by_held_out(solved: Solved, block_list: Sequence[Block], held: Array) -> Held:
    """Chi-square, for each degree of freedom, of the blocks that the fit has not seen."""
    apart, information, distance = refine.shifts(solved.compared)
    points = np.array([b.centre for b in block_list])
    of_map = transform.errors(points, solved.fields, solved.about, solved.covariance)
    total, count = 0.0, 0
    for i in np.flatnonzero(held & np.isfinite(distance)):
        covariance = np.linalg.inv(information[i]) * solved.inflation + of_map[i]
        total += float(apart[i] @ np.linalg.solve(covariance, apart[i]))
        count += 1
    return Held(total / (3 * count) if count else float("nan"), count)


def split_half(solved: Solved, points: Array) -> float:
    """Half the rms difference between maps from either half of the blocks [um].

    Both halves are as uncertain as one, and the whole half of their difference.
    """
    flat = solved.fields.reshape(len(solved.fields), 12)
    used = np.flatnonzero(solved.weight > 0)
    found = []
    for part in (used[::2], used[1::2]):
        weight = np.zeros(len(solved.weight))
        weight[part] = solved.weight[part]
        left, right = refine.summed(solved.compared, weight, flat)
        found.append(np.linalg.lstsq(left, right, rcond=1e-12)[0])
    moves = transform.design(points, solved.fields, solved.about) @ (found[0] - found[1])
    return float(np.sqrt((moves**2).sum(axis=1).mean())) / 2


class Scales(NamedTuple):
    """What the coarse structures alone say."""

    apart: float
    """By how much their map differs from the one of all structures, rms [um]."""
    expected: float
    """What it may differ by, from the covariances of both [um]."""


def by_scale(
    pair: Pair, solved: Solved, model: transform.Model, block_list: Sequence[Block], points: Array
) -> Scales:
    """Fit again to what is left when both volumes are smoothed.

    Fine structure may be alike and yet not be the sample's: the streaks of few angles, which come
    to lie on each other where volumes are turned by the angle between projections. It goes first.
    """
    coarse = pair._replace(blur=max(BLUR * pair.voxel_um, 2 * pair.blur))
    chosen = block_list[:: max(len(block_list) // FEW, 1)]
    firsts, size = np.array([b.start for b in chosen]), max(chosen[0].fixed.shape)
    smoothed = refine.cut(coarse, solved.matrix, firsts, size)
    if 3 * len(smoothed) < 2 * len(solved.fields):
        return Scales(0.0, float("inf"))
    used = np.ones(len(smoothed), bool)
    other = refine.solve(coarse, solved.matrix, model, smoothed, used, settled=0.03)
    apart = transform.move(other.matrix, points) - transform.move(solved.matrix, points)
    expected = np.hypot(predicted(other, points)[0], predicted(solved, points)[0])
    return Scales(float(np.sqrt((apart**2).sum(axis=1).mean())), float(expected))


def round_trip(
    pair: Pair, guide: Pair, solved: Solved, model: transform.Model, points: Array, most: int
) -> float:
    """How far points are off when mapped there, and back by the fit with the roles exchanged [um].

    Infinite where that fit has too few blocks.
    """
    back = pair._replace(fixed=pair.moving, moving=pair.fixed)
    guess = np.linalg.inv(solved.matrix)
    size = refine.size_of_blocks(back, guess)
    chooser = guide._replace(fixed=guide.moving, moving=guide.fixed)
    firsts = refine.starts(back, chooser, guess, size, most)
    if 3 * len(firsts) < 2 * len(solved.fields):
        return float("inf")
    chosen = refine.cut(back, guess, firsts, size)
    if 3 * len(chosen) < 2 * len(solved.fields):
        return float("inf")
    other = refine.solve(back, guess, model, chosen, np.ones(len(chosen), bool))
    round_ = transform.move(other.matrix @ solved.matrix, points) - points
    return float(np.sqrt((round_**2).sum(axis=1).mean()))


def correlations(pair: Pair, mapped: Array, block_list: Sequence[Block]) -> tuple[Array, Array]:
    """Correlation of each block where it belongs, and on the place of another: the null."""
    matrix = pair.matrix(mapped)
    values = [refine.moved(b, matrix) for b in block_list]
    turn = max(len(values) // 2, 1)
    fixed = [b.fixed for b in block_list]
    if pair.unlike:
        fixed, values = [blocks.edges(v) for v in fixed], [blocks.edges(v) for v in values]
    own = [_correlation(f, v) for f, v in zip(fixed, values, strict=True)]
    wrong = [_correlation(f, values[(i + turn) % len(values)]) for i, f in enumerate(fixed)]
    return np.array(own), np.array(wrong)


def _correlation(a: Array, b: Array) -> float:
    if a.shape != b.shape:
        return 0.0
    weight = np.where(np.isfinite(a) & np.isfinite(b), blocks.window(a.shape), 0)
    if not weight.any():
        return 0.0
    one, other = (np.where(weight > 0, v, 0) for v in (a, b))
    one, other = (v - (weight * v).sum() / weight.sum() for v in (one, other))
    power = (weight * one**2).sum() * (weight * other**2).sum()
    return float((weight * one * other).sum() / np.sqrt(power)) if power > 0 else 0.0


class Shells(NamedTuple):
    """Fourier shell correlation of the registered volumes."""

    frequency: Array
    """(shell) [1/mm]."""
    correlation: Array
    limit: Array
    """The half-bit criterion."""
    agrees_to: float
    """Half a period where the criterion is met [um]; the voxel where it never is."""


def shells(pair: Pair, mapped: Array, alike: Likeness | None = None) -> Shells | None:
    """Correlate the largest cube that both volumes fill; None where it has less than 16 voxels.

    Of two modalities the moving volume is brought to the grey values of the fixed one before.
    """
    low, high = refine.seen_box(pair, mapped)
    side = int(min(CUBE, (high - low).min()))
    while side >= 16:
        first = ((low + high) / 2 - side / 2).astype(int)
        corners = first + (side - 1) * np.array(list(itertools.product((0, 1), repeat=3)))
        if refine.inside(pair, mapped, corners).all():
            break
        side = int(side * 0.9)
    if side < 16:
        return None
    box = (*(slice(int(f), int(f) + side) for f in first),)
    fixed = pair.fixed.read(pair.fixed.clipped((box[0], box[1], box[2])))
    moved = resampled(pair.moving, pair.matrix(mapped), tuple(first), (side,) * 3)
    if fixed.shape != moved.shape:
        return None
    if alike is not None:
        moved = alike.as_fixed(moved).astype(np.float32)
    taper = blocks.window(fixed.shape)
    both = []
    for values in (fixed, moved):
        good = np.isfinite(values)
        if good.mean() < 0.5:
            return None
        mean = values[good].mean()
        both.append((np.where(good, values - mean, 0) * taper).astype(np.float32))
    curve = np.asarray(metrics.shell_correlation(both[0], both[1]), float)
    voxel_mm = pair.voxel_um / 1000
    frequency = metrics.frequencies(fixed.shape) / voxel_mm
    limit = metrics.threshold(metrics.shell_sizes(fixed.shape))
    met = metrics.crossing(frequency, curve, limit)
    agrees = pair.voxel_um if not np.isfinite(met) or met <= 0 else 500 / met
    return Shells(frequency, curve, limit, float(agrees))


def resampled(level: Level, matrix: Array, first: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """A box of the fixed grid, filled from the moving level."""
    need = affine.reads(matrix, shape, whole=level.shape, first=first, margin=affine.REACH[3])
    values = level.read(need)
    if not values.size:
        return np.full(shape, np.nan, np.float32)
    good = np.isfinite(values)
    if not good.all():
        values = np.where(good, values, values[good].mean() if good.any() else 0)
    return np.asarray(
        affine.resample(
            values, matrix=matrix, shape=shape, order=3, first=first,
            start=tuple(s.start for s in need), whole=level.shape,
        )
    )  # fmt: skip
