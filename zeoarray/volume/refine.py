"""A map that is nearly right, made right: by blocks that are compared one by one.

First each block's shift is looked for and a model fitted to all in spite of outliers; then their
normal equations are summed, which is Gauss-Newton on the local normalised correlation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.ndimage

from zeoarray.kernels import affine, blocks, mutual, transform
from zeoarray.volume.levels import Box, Level

Array = np.ndarray[Any, Any]

LEAST_SIZE, SIZE = 8, 24
"""Voxels along each side of a block."""
SLACK = 10
"""Voxels read beyond a block of the moving volume: for interpolation, and for what moves yet."""
HALF = 0.5
"""Share of a block that must lie in the moving volume."""
ROUNDS, SETTLED = 12, 3e-3
"""Steps are taken until none moves a block by more [voxels]."""
FROZEN = 5
"""Steps after which it does not change any more how far each block is believed."""
DAMP = 1e-9
"""Added to the equations, as a share of their diagonal."""
BELIEVED = 0.25
"""Correlation of a block below which its shift is not used."""


class Block(NamedTuple):
    """A block of the fixed volume, and the box of the moving one that it may lie in."""

    centre: Array
    """(3): x, y, z [um]."""
    fixed: Array
    start: Array
    """Index of its first voxel."""
    moving: Array
    has: Array | None
    """Where the moving box is finite; None where it is everywhere."""
    moving_start: Array


class Pair(NamedTuple):
    """Two levels of about one voxel size."""

    fixed: Level
    moving: Level
    unlike: bool = False
    """Whether they are of two modalities."""
    blur: float = 0.0
    """Standard deviation of the Gaussian by which blocks are smoothed [um]."""

    @property
    def voxel_um(self) -> float:
        """The larger one [um]."""
        return max(self.fixed.voxel_um, self.moving.voxel_um)

    def matrix(self, mapped: Array) -> Array:
        """Index of the fixed level to index of the moving one."""
        return np.asarray(np.linalg.inv(self.moving.to_um) @ mapped @ self.fixed.to_um)


def size_of_blocks(pair: Pair, mapped: Array) -> int:
    """Blocks are so large that some fit along each side of what both volumes see."""
    shape = np.array(pair.fixed.shape)
    within = inside(pair, mapped, lattice(shape, 9)).reshape(9, 9, 9)
    seen = [within.any(axis=tuple({0, 1, 2} - {axis})).mean() * shape[axis] for axis in range(3)]
    return int(np.clip(2 * round(min(seen) / 8), LEAST_SIZE, SIZE))


def lattice(shape: Array, count: int) -> Array:
    """(count^3, 3): places z, y, x spread evenly over a volume of this shape [voxels]."""
    axes = [(np.arange(count) + 0.5) / count * n - 0.5 for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def inside(pair: Pair, mapped: Array, index: Array, margin: float = 0.0) -> Array:
    """Whether each voxel (z, y, x) of the fixed level is mapped into the moving one."""
    m = pair.matrix(mapped)
    at = index @ m[:3, :3].T + m[:3, 3]
    limit = np.array(pair.moving.shape) - 1
    return np.asarray(((at >= -margin) & (at <= limit + margin)).all(axis=1))


def starts(pair: Pair, guide: Pair, mapped: Array, size: int, most: int) -> Array:
    """(block, 3): first voxels of the blocks to compare, those with most to see first chosen.

    Parameters
    ----------
    pair
        The levels that blocks are of.
    guide
        Levels in memory, by which blocks are chosen.
    mapped
        A position in the fixed volume to one in the moving.
    size
        Voxels along a side.
    most
        How many blocks at the most.
    """
    shape = np.array(pair.fixed.shape)
    low, high = seen_box(pair, mapped)
    room = np.maximum(high - low, 1)
    side = np.minimum(size, shape)
    # As many as fit side by side, but no more than are asked for; evenly spread.
    count = np.maximum(room // side, 1)
    while np.prod(count) > 4 * most:
        count = np.maximum(count * 0.9, 1).astype(int)
    axes = [
        np.rint(first + (np.arange(n) + 0.5) * (wide / n) - s / 2).astype(int).clip(0, full - s)
        for first, n, wide, s, full in zip(low, count, room, side, shape, strict=True)
    ]
    all_starts = np.unique(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3), axis=0)
    corners = all_starts[:, None] + side * _CORNERS[None]
    within = inside(pair, mapped, corners.reshape(-1, 3), margin=1).reshape(len(corners), -1)
    share = (within[:, :8].mean(axis=1) + within[:, 8]) / 2
    usable: Array = all_starts[share >= HALF]
    if len(usable) <= most:
        return usable
    middle = pair.fixed.positions(usable + (side - 1) / 2)
    order = np.argsort(-_busy(guide.fixed, middle, side * np.abs(pair.fixed.spacing[::-1])))
    return np.asarray(usable[np.sort(order[:most])])


_CORNERS = np.array(
    [(a, b, c) for a in (0.1, 0.9) for b in (0.1, 0.9) for c in (0.1, 0.9)] + [(0.5, 0.5, 0.5)]
)


def seen_box(pair: Pair, mapped: Array) -> tuple[Array, Array]:
    """First and past the last voxel of the fixed level that both volumes see."""
    shape = np.array(pair.fixed.shape)
    points = lattice(shape, 17)
    seen = points[inside(pair, mapped, points)]
    if not len(seen):
        return np.zeros(3, int), np.zeros(3, int)
    half = shape / 34
    low = np.floor(seen.min(axis=0) - half + 0.5).clip(0).astype(int)
    high = np.ceil(seen.max(axis=0) + half + 0.5).astype(int)
    return low, np.minimum(high, shape)


def _busy(level: Level, middle: Array, side_um: Array) -> Array:
    """How much the values of a level vary in boxes about these places."""
    whole = level.read(
        (slice(0, level.shape[0]), slice(0, level.shape[1]), slice(0, level.shape[2]))
    )
    filled = np.where(np.isfinite(whole), whole, np.nanmean(whole))
    edges = scipy.ndimage.gaussian_gradient_magnitude(filled, 0.7)
    width = np.maximum(side_um / np.abs(level.spacing[::-1]), 1)
    mean = scipy.ndimage.uniform_filter(edges**2, np.rint(width).astype(int), mode="constant")
    at = np.rint(level.indices(middle)).astype(int).clip(0, np.array(level.shape) - 1)
    return np.asarray(mean[tuple(at.T)])


def cut(pair: Pair, mapped: Array, firsts: Array, size: int, *, edges: bool = False) -> list[Block]:
    """Read both parts of each block, smoothed; or how steep they are, where edges are asked."""
    found = []
    side = np.minimum(size, pair.fixed.shape)
    matrix = pair.matrix(mapped)
    for first in firsts:
        box = _box(first, side)
        fixed = blocks.smooth(_read(pair.fixed, box, pair.blur))
        need = affine.reads(
            matrix, tuple(side), whole=pair.moving.shape, first=tuple(first), margin=SLACK
        )
        values = _read(pair.moving, need, pair.blur)
        if not values.size or not np.isfinite(fixed).any() or not np.isfinite(values).any():
            continue
        moving = blocks.smooth(values)
        if edges:
            fixed, moving = blocks.edges(fixed), blocks.edges(moving)
        has = np.isfinite(moving)
        if not has.all():
            moving = np.where(has, moving, moving[has].mean()) if has.any() else moving
        centre = pair.fixed.positions((first + (side - 1) / 2)[None])[0]
        start = np.array([s.start for s in need])
        found.append(Block(centre, fixed, first, moving, None if has.all() else has, start))
    return [b for b in found if b.has is None or b.has.any()]


def _read(level: Level, box: Box, blur_um: float) -> Array:
    """A box of a level, smoothed as though with all that lies round it."""
    if not blur_um or 0 in [s.stop - s.start for s in box]:
        return level.read(box)
    sigma = blur_um / np.abs(level.spacing[::-1])
    more = np.ceil(blocks.TAILS * sigma).astype(int)
    wide = [slice(s.start - int(m), s.stop + int(m)) for s, m in zip(box, more, strict=True)]
    need = level.clipped((wide[0], wide[1], wide[2]))
    values = blocks.blur(level.read(need), sigma)
    inner = [slice(s.start - n.start, s.stop - n.start) for s, n in zip(box, need, strict=True)]
    return np.asarray(values[tuple(inner)])


def _box(first: Array, side: Array) -> Box:
    z, y, x = (slice(int(f), int(f + n)) for f, n in zip(first, side, strict=True))
    return z, y, x


def moved(block: Block, matrix: Array, *, more: int = 0, order: Literal[1, 3] = 3) -> Array:
    """The moving volume on the grid of a block, and `more` voxels on each side; NaN outside."""
    local = matrix[:3].copy()
    local[:, 3] += local[:, :3] @ (block.start - more) - block.moving_start
    shape = tuple(n + 2 * more for n in block.fixed.shape)
    out = np.asarray(affine.resample(block.moving, matrix=local, shape=shape, order=order))
    if block.has is not None:
        has = affine.resample(block.has.astype(np.float32), matrix=local, shape=shape, fill=0)
        out[has < 0.999] = np.nan
    return out


def match(
    pair: Pair, mapped: Array, model: transform.Model, block_list: Sequence[Block], reach: int
) -> tuple[Array, float, float]:
    """The map after one fit to the shifts of blocks; median correlation; share of inliers."""
    matrix, spacing = pair.matrix(mapped), pair.fixed.spacing
    points, moves, precision, correlation = [], [], [], []
    for block in block_list:
        found = blocks.search(block.fixed, moved(block, matrix, more=reach, order=1), reach)
        correlation.append(-1.0 if found is None else found.correlation)
        if found is None or found.at_edge or found.correlation < BELIEVED:
            continue
        rho = min(found.correlation, 0.999)
        count = block.fixed.size / 16
        inverse = found.curvature[::-1, ::-1] * (rho * count / (1 - rho**2))
        points.append(block.centre)
        moves.append(found.shift[::-1] * spacing)
        precision.append(inverse / np.outer(spacing, spacing))
    median = float(np.median(correlation)) if correlation else -1.0
    free = transform.basis(model).fields
    if 3 * len(points) < 2 * len(free):
        return mapped, median, 0.0
    at = np.array(points)
    about = at.mean(axis=0)
    fit = transform.fit(
        at, np.array(moves), np.array(precision), free, about, floor=0.05 * pair.voxel_um
    )
    field = np.einsum("p,pij->ij", fit.factors, free)
    share = float((fit.weight > 0.2).sum()) / len(block_list)
    return mapped @ transform.change(field, about), median, share


class Solved(NamedTuple):
    """What `solve` gives."""

    matrix: Array
    """(4, 4): a position in the fixed volume to one in the moving."""
    covariance: Array
    """(parameter, parameter) of the change in the fixed frame, about `about`."""
    fields: Array
    names: tuple[str, ...]
    about: Array
    compared: list[blocks.Compared | None]
    """One for each block, with the equations at the end."""
    weight: Array
    """(block): how far each was believed; 0 for those that were held out."""
    inflation: float
    """Scatter of the blocks' shifts about the model, over that of independent voxels."""
    settled: bool


def equations(
    pair: Pair, mapped: Array, block_list: Sequence[Block], about: Array
) -> list[blocks.Compared | None]:
    """Compare every block under this map."""
    matrix, spacing, out = pair.matrix(mapped), pair.fixed.spacing, []
    alike = likeness(pair, mapped, block_list) if pair.unlike else None
    for block in block_list:
        index = np.indices(block.fixed.shape).reshape(3, -1).T + block.start
        offsets = np.empty((4, *block.fixed.shape))
        offsets[:3] = (pair.fixed.positions(index) - about).T.reshape(3, *block.fixed.shape)
        offsets[3] = 1
        both = block.fixed, moved(block, matrix)
        if not pair.unlike:
            out.append(blocks.compare(*both, offsets, spacing))
        elif alike is None:
            out.append(None)
        else:
            out.append(blocks.compare_unlike(*both, offsets, spacing, alike))
    return out


def likeness(pair: Pair, mapped: Array, block_list: Sequence[Block]) -> mutual.Likeness | None:
    """What the values of both volumes say of each other under this map."""
    matrix = pair.matrix(mapped)

    def each() -> Iterator[tuple[Array, Array, Array]]:
        for block in block_list:
            values = moved(block, matrix)
            valid = np.isfinite(values) & np.isfinite(block.fixed)
            yield block.fixed, values, np.where(valid, blocks.window(values.shape), 0)

    return mutual.likeness(each())


def solve(
    pair: Pair, mapped: Array, model: transform.Model, block_list: Sequence[Block], used: Array,
    *, settled: float = SETTLED,
) -> Solved:  # fmt: skip
    """Gauss-Newton on all blocks that are `used`, outliers losing their weight.

    It ends with a step that moves no block by more than `settled` [voxels].
    """
    names, fields = transform.basis(model)
    flat = fields.reshape(len(fields), 12)
    about = np.mean([b.centre for b in block_list], axis=0)
    points = np.array([b.centre for b in block_list])
    done = False
    for round_ in range(ROUNDS):
        compared = equations(pair, mapped, block_list, about)
        if round_ < FROZEN:
            weight = _weights(compared, used)
        left, right = summed(compared, weight, flat)
        factors = np.linalg.solve(left, right)
        field = np.einsum("p,pij->ij", factors, fields)
        step = np.abs(transform.design(points, fields, about) @ factors).max() / pair.voxel_um
        if done:
            break
        if step > 2:
            factors, field = factors * (2 / step), field * (2 / step)
        mapped = mapped @ transform.change(field, about)
        done = bool(step < settled)
    inflation = scatter(compared, weight, len(fields))
    return Solved(
        mapped, np.linalg.inv(left) * inflation, fields, names, about, compared, weight,
        inflation, done,
    )  # fmt: skip


def summed(
    compared: Sequence[blocks.Compared | None], weight: Array, flat: Array
) -> tuple[Array, Array]:
    """The normal equations of all blocks in the factors of a model, its fields flattened."""
    left, right = np.zeros((len(flat), len(flat))), np.zeros(len(flat))
    for one, w in zip(compared, weight, strict=True):
        if one is not None and w > 0:
            left += w * (flat @ one.information @ flat.T)
            right += w * (flat @ one.score)
    return left + DAMP * np.diag(np.diag(left)) + 1e-300 * np.eye(len(flat)), right


def shifts(compared: Sequence[blocks.Compared | None]) -> tuple[Array, Array, Array]:
    """What each block is still apart [um], its information, and its distance in sigmas."""
    apart = np.full((len(compared), 3), np.nan)
    information = np.zeros((len(compared), 3, 3))
    distance = np.full(len(compared), np.nan)
    for i, one in enumerate(compared):
        if one is None:
            continue
        left, right = one.local
        if not np.linalg.cond(left) < 1e8:
            continue
        apart[i], information[i] = np.linalg.solve(left, right), left
        distance[i] = np.sqrt(right @ apart[i])
    return apart, information, distance


def _weights(compared: Sequence[blocks.Compared | None], used: Array) -> Array:
    distance = shifts(compared)[2]
    good = used & np.isfinite(distance)
    if not good.any():
        return np.zeros(len(used))
    scale = max(float(np.median(distance[good])) / 1.54, 1e-12)
    with np.errstate(invalid="ignore"):
        weight = np.clip(1 - (distance / (6 * scale)) ** 2, 0, None) ** 2
    return np.where(good, np.nan_to_num(weight), 0.0)


def scatter(compared: Sequence[blocks.Compared | None], weight: Array, free: int) -> float:
    """Mean square of the blocks' shifts in sigmas of independent voxels, for each degree left."""
    distance = shifts(compared)[2]
    good = (weight > 0) & np.isfinite(distance)
    degrees = 3 * int(good.sum()) - free
    if degrees < 3:
        return float("inf")
    total = float((distance[good] ** 2).sum())
    return max(total / degrees, 1.0)
