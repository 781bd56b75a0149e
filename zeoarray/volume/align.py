"""Coarse to fine: from nothing, or a start, to the map with everything that is known of it."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from zeoarray.errors import RegistrationError
from zeoarray.kernels import transform
from zeoarray.volume import capture, refine, verify
from zeoarray.volume.levels import Level, Pyramid
from zeoarray.volume.refine import Block, Pair, Solved

Array = np.ndarray[Any, Any]

FOLLOWED = 4
"""Guesses that are followed up."""
FEW = 40
"""Blocks compared on the way, where only the way is to be found."""
NEAR = 0.15
"""A step on the way that moves no block by more [voxels] is the last on its level."""
TRIES = 3
"""Steps on one level."""
ALIKE = 0.35
"""Median correlation of blocks below which a guess has led nowhere."""
DISTINCT = 3.0
"""Guesses whose maps differ by more are different answers [voxels of the search]."""
BEHIND = 0.9
"""Answers that correlate by less than this share of the best are given up."""
CLEARER = 0.1
"""A mirrored volume must correlate better by this much to be called so."""
AGREED = 0.5
"""And this share of its blocks must agree on where it lies."""


class Settings(NamedTuple):
    """What does not change on the way."""

    model: transform.Model
    modality: Literal["same", "cross"]
    turn: float
    """Largest turn about z [rad]."""
    blocks: int
    voxel_um: float
    blur: float = 0.0
    """Standard deviation of the Gaussian by which both are smoothed [um]."""

    @property
    def unlike(self) -> bool:
        """Whether the volumes are of two modalities."""
        return self.modality == "cross"


class Aligned(NamedTuple):
    """What `align` gives."""

    pair: Pair
    guide: Pair
    """Levels in memory."""
    solved: Solved
    block_list: list[Block]
    held: Array
    guess_correlation: float
    rival: float
    """Correlation of the best answer that is a different one, over that of this one."""


class Followed(NamedTuple):
    """A guess after blocks were compared on the level of the search."""

    matrix: Array
    correlation: float
    share: float = 1.0
    """Of the blocks, those that agree on the map; 0 where too few are alike within their range."""


def align(fixed: Pyramid, moving: Pyramid, settings: Settings, begin: Array | None) -> Aligned:
    """Find the map from the fixed to the moving frame."""
    finest = settings.voxel_um
    voxel = capture.voxel(fixed.at(finest), moving.at(finest), finest)
    if begin is None:
        candidates = find(fixed.at(voxel), moving.at(voxel), voxel, settings)
    else:
        candidates = [Followed(begin, 1.0)]
        _must_overlap(Pair(fixed.at(voxel), moving.at(voxel)), begin)
    while True:
        pair = Pair(fixed.at(voxel), moving.at(voxel), settings.unlike, settings.blur)
        guide = Pair(fixed.coarse, moving.coarse) if voxel < fixed.coarse.voxel_um else pair
        model = settings.model if voxel <= finest else _stiff(settings.model)
        few = min(FEW, settings.blocks)
        candidates = _distinct(
            pair, [_matched(pair, guide, c.matrix, model, few, TRIES) for c in candidates]
        )
        if voxel <= finest:
            break
        voxel /= 2
    best, *others = candidates
    rival = others[0].correlation / best.correlation if others else 0.0
    return _finished(pair, guide, best.matrix, settings, best.correlation, rival)


def _finished(
    pair: Pair, guide: Pair, mapped: Array, settings: Settings, correlation: float, rival: float
) -> Aligned:
    size = refine.size_of_blocks(pair, mapped)
    firsts = refine.starts(pair, guide, mapped, size, settings.blocks)
    block_list = refine.cut(pair, mapped, firsts, size)
    free = len(transform.basis(settings.model).names)
    if 3 * len(block_list) < 2 * free:
        raise RegistrationError(
            "volume.register: what both volumes see is too small to be compared",
            got=f"{len(block_list)} blocks for {free} free parameters",
            expected=f"{-(-2 * free // 3)} or more",
            do="take a model with less freedom, or volumes that have more in common",
        )
    held = verify.held_out(len(block_list))
    solved = refine.solve(pair, mapped, settings.model, block_list, ~held)
    return Aligned(pair, guide, solved, block_list, held, correlation, rival)


def _stiff(model: transform.Model) -> transform.Model:
    """What is fitted on the way, where scale and shear do not show yet."""
    return "translation" if model == "translation" else "rigid"


def find(fixed: Level, moving: Level, voxel: float, settings: Settings) -> list[Followed]:
    """The best answers on the level of the search, the best first."""
    search = capture.Search(fixed, moving, voxel, edges=settings.unlike)
    near = [np.deg2rad(a) for a in capture.NEAR_DEG]
    angles = [a for a in [*near, *search.angles()] if abs(a) <= settings.turn]
    if settings.model == "translation":
        angles = [0.0]
    pair = Pair(fixed, moving, settings.unlike)
    found = _follow(pair, search.guesses(angles or [0.0]), settings.model, voxel)
    if (not found or found[0].correlation < ALIKE) and settings.model != "translation":
        steps = int(np.pi / np.deg2rad(capture.SWEEP_DEG))
        sweep = np.arange(-steps, steps) * np.deg2rad(capture.SWEEP_DEG)
        sweep = sweep[np.abs(sweep) <= settings.turn]
        more = _follow(pair, search.guesses(list(sweep), each=1), settings.model, voxel)
        found = _distinct(pair, found + more)
    if not found or found[0].correlation < ALIKE:
        mirrored_answer(fixed, moving, voxel, settings, found[0].correlation if found else 0.0)
        raise RegistrationError(
            "volume.register: nowhere do both volumes show the same",
            got=f"blocks correlate by {found[0].correlation:.2f} at the best"
            if found
            else "no place where they overlap and both vary",
            expected=f"{ALIKE:g} or more, over {capture.LEAST_OVERLAP:.0%} of the smaller volume",
            do="check that they overlap; give a start near the answer, or modality=cross",
        )
    return found


def _follow(
    pair: Pair, guesses: list[capture.Guess], model: transform.Model, voxel: float
) -> list[Followed]:
    kept: list[capture.Guess] = []
    for guess in guesses:
        if all(_apart(pair, guess.matrix, k.matrix) > DISTINCT * voxel for k in kept):
            kept.append(guess)
        if len(kept) == FOLLOWED:
            break
    out = [_matched(pair, pair, g.matrix, _stiff(model), FEW, 2) for g in kept]
    return _distinct(pair, out)


def _distinct(pair: Pair, answers: list[Followed]) -> list[Followed]:
    """The best first; none that is another's, or far behind the best, or that nothing bears out."""
    answers = [a for a in answers if a.share > 0] or answers
    kept: list[Followed] = []
    for one in sorted(answers, key=lambda f: -f.correlation):
        if kept and one.correlation < BEHIND * kept[0].correlation:
            break
        if all(_apart(pair, one.matrix, k.matrix) > DISTINCT * pair.voxel_um for k in kept):
            kept.append(one)
    return kept


def _apart(pair: Pair, one: Array, other: Array) -> float:
    """How far two maps are apart within the fixed volume, rms [um]."""
    points = pair.fixed.positions(refine.lattice(np.array(pair.fixed.shape), 3))
    moves = transform.move(one, points) - transform.move(other, points)
    return float(np.sqrt((moves**2).sum(axis=1).mean()))


def _matched(
    pair: Pair, guide: Pair, mapped: Array, model: transform.Model, most: int, tries: int
) -> Followed:
    """Steps on one level, until one changes nothing; and the blocks' median correlation."""
    median, share = -1.0, 0.0
    for attempt in range(tries):
        size = refine.size_of_blocks(pair, mapped)
        firsts = refine.starts(pair, guide, mapped, size, most)
        block_list = refine.cut(pair, mapped, firsts, size, edges=pair.unlike)
        before = mapped
        mapped, median, share = refine.match(
            pair, mapped, model, block_list, 4 if attempt == 0 else 3
        )
        if _apart(pair, before, mapped) < NEAR * pair.voxel_um:
            break
    return Followed(mapped, median, share)


def _must_overlap(pair: Pair, mapped: Array) -> None:
    points = refine.lattice(np.array(pair.fixed.shape), 9)
    if not refine.inside(pair, mapped, points, margin=0.5).any():
        corners = transform.move(
            np.linalg.inv(mapped),
            pair.moving.positions(refine.lattice(np.array(pair.moving.shape), 2)),
        )
        raise RegistrationError(
            "volume.register: with this start the volumes do not overlap",
            got="the moving volume round x, y, z = "
            + ", ".join(f"{v:g}" for v in corners.mean(axis=0).round(1))
            + " um",
            expected="a place in the fixed volume, whose middle is "
            + ", ".join(f"{v:g}" for v in pair.fixed.middle.round(1))
            + " um",
        )


def refuse_mirrored(fixed: Pyramid, moving: Pyramid, settings: Settings, found: Aligned) -> None:
    """Raise where the answer is bad because one volume is the mirror image of the other."""
    voxel = capture.voxel(fixed.at(settings.voxel_um), moving.at(settings.voxel_um),
                          settings.voxel_um)  # fmt: skip
    pair = Pair(fixed.at(voxel), moving.at(voxel), settings.unlike)
    # On the level of the search, as the mirrored one: coarser voxels correlate better.
    own = _matched(pair, pair, found.solved.matrix, _stiff(settings.model), FEW, 1).correlation
    mirrored_answer(*pair[:2], voxel, settings, max(own, found.guess_correlation))


def mirrored_answer(
    fixed: Level, moving: Level, voxel: float, settings: Settings, correlation: float
) -> None:
    """Raise where the mirrored volume correlates clearly better than the volume itself."""
    pair = Pair(fixed, moving, settings.unlike)
    for axis in "xz":
        flipped = _flipped(moving, axis)
        search = capture.Search(fixed, flipped, voxel, edges=settings.unlike)
        angles = [0.0] if settings.model == "translation" else [
            a for a in [0.0, *search.angles()] if abs(a) <= max(settings.turn, 0.1)
        ]  # fmt: skip
        guesses = search.guesses(angles)
        found = _follow(pair._replace(moving=flipped), guesses, settings.model, voxel)
        best = found[0] if found else Followed(np.eye(4), -1.0, 0.0)
        if best.share >= AGREED and best.correlation > max(correlation + CLEARER, ALIKE):
            raise RegistrationError(
                f"volume.register: one volume is the mirror image of the other, along {axis}",
                got=f"blocks correlate by {best.correlation:.2f} when mirrored, by "
                f"{correlation:.2f} as they are",
                expected="both in one right-handed frame",
                do="check rotation_sense, u_sense and z_sense of the scans; no rotation can undo "
                "a mirror",
            )


def _flipped(level: Level, axis: str) -> Level:
    whole = (slice(0, level.shape[0]), slice(0, level.shape[1]), slice(0, level.shape[2]))
    values = level.read(whole)
    flipped = np.flip(values, "zyx".index(axis))
    coords = {
        d: level.to_um[2 - n, 3] + level.to_um[2 - n, n] * np.arange(level.shape[n])
        for n, d in enumerate("zyx")
    }
    return Level(xr.DataArray(flipped, dims=("z", "y", "x"), coords=coords))
