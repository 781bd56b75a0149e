"""Motor positions of frames: the levels of a grid among them, and frames put on that grid.

Only positions count, never the order of rows: a snake, a scan that was resumed or one that lacks a
rotation come out right by themselves.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import Memory, Parameters, Sizes, kernel

Array = np.ndarray[Any, Any]

APART = 3.0
"""Steps between levels are at least so many times what positions of one level differ by."""
FINEST = 0.02
"""No step is taken for one of the grid that is less than this share of the usual one."""
TRIED = 3
"""Ways to part the positions of a motor that are tried at most."""
EXACT = 1e-7
"""Positions that differ by less than this share of their span are equal."""
EVEN = 0.05
"""Levels that stand off an even spacing by less than this share of it are even: what they stand
off by is jitter."""
ADDED = 0.25
"""Levels are added in the gaps of an even spacing up to this share of those that there are."""


@dataclass(frozen=True)
class Levels:
    """The positions of one motor, and which of them each frame is at."""

    value: Array
    """(level) Ascending."""
    index: Array
    """(frame) Level of each frame."""
    jitter: float
    """Root mean square of what frames differ from their level."""
    even: bool
    """Whether the levels are evenly spaced."""

    @property
    def empty(self) -> int:
        """Levels without a frame: gaps of an even spacing."""
        return int(self.value.size - np.unique(self.index).size)


def _cuts(position: Array) -> list[tuple[float, float]]:
    """Ways to part sorted positions: the least step between levels, and how clear it is.

    Where positions of a motor cluster, their gaps are of two kinds. Candidates are the widest
    relative breaks between the two; and that every position is a level.
    """
    gaps = np.diff(position)
    span = float(position[-1] - position[0])
    wide = np.sort(gaps[gaps > EXACT * span])[::-1]
    if not wide.size:
        return [(np.inf, 1.0)]
    # What follows the least of the steps: a smaller gap, or none, which counts as a tiny one.
    following = np.append(wide[1:], EXACT * span if wide.size < gaps.size else wide[-1])
    usual = np.array([np.median(wide[: k + 1]) for k in range(wide.size)])
    clear = np.where(wide >= FINEST * usual, wide / following, 0.0)
    best = np.argsort(-clear, kind="stable")[:TRIED]
    out = [(float(wide[k]), float(clear[k])) for k in best if clear[k] >= APART]
    return [*out, (EXACT * span, 1.0)]


def _labels(position: Array, order: Array, least: float) -> Array:
    """Level of each frame, where gaps of `least` and more part levels."""
    new = np.diff(position[order]) >= least * (1 - 1e-9)
    out = np.empty(position.size, np.int64)
    out[order] = np.concatenate([[0], np.cumsum(new)])
    return out


def find_grid(
    positions: dict[str, Array],
    *,
    tolerance: dict[str, float] | None = None,
    complete: tuple[str, ...] = (),
) -> dict[str, Levels]:
    """Find the levels of every motor of a scan.

    The positions of a motor are parted where their gaps are much wider than within a level. Where
    there are several ways to do so (a motor that stops elsewhere when it comes from the other
    side), those are taken together whose grid is filled best and with each point measured once.

    Parameters
    ----------
    positions
        (frame) Positions of each motor; finite.
    tolerance
        For some motors: positions whose gaps are less than this are one level.
    complete
        Motors of which levels are added where an even spacing has gaps.

    Returns
    -------
    dict
        `Levels` of each motor.

    Raises
    ------
    ArgumentError
        For no frames, or a tolerance that is none.
    """
    count = next(iter(positions.values())).size
    if not count:
        raise ArgumentError("there are no frames to put on a grid")
    given = tolerance or {}
    for name, value in given.items():
        if not value >= 0:
            raise ArgumentError(
                f"the tolerance of {name} is a distance", got=value, expected="0 or more"
            )
    ways: dict[str, list[tuple[Array, float]]] = {}
    for name, position in positions.items():
        order = np.argsort(position, kind="stable")
        cuts = [(given[name], 1.0)] if name in given else _cuts(position[order])
        # Gaps of exactly the tolerance are within it.
        cuts = [(max(least, 1e-300) * (1 + 2e-9 * (name in given)), clear) for least, clear in cuts]
        ways[name] = [(_labels(position, order, least), clear) for least, clear in cuts]
    chosen = min(itertools.product(*ways.values()), key=lambda way: _cost(way, count))
    return {
        name: _levels(positions[name], labels, name in complete)
        for name, (labels, _) in zip(ways, chosen, strict=True)
    }


def _cost(way: tuple[tuple[Array, float], ...], count: int) -> tuple[float, float]:
    """Least for a full grid of points that are measured once; then for the clearest steps."""
    shape = tuple(int(labels.max()) + 1 for labels, _ in way)
    taken = np.unique(np.ravel_multi_index([labels for labels, _ in way], shape)).size
    spread = math.log(math.prod(shape) / taken) + math.log(count / taken)
    return round(spread, 1), -math.prod(clear for _, clear in way)


def _levels(position: Array, labels: Array, complete: bool) -> Levels:
    size = np.bincount(labels)
    value = np.bincount(labels, position) / size
    even = True
    if value.size > 2:
        step = float(np.median(np.diff(value)))
        number = np.round((value - value[0]) / step)
        whole = np.diff(number).min() >= 1
        # A line through the levels; those that more frames were taken at say more.
        slope, first = np.polyfit(number, value, 1, w=np.sqrt(size)) if whole else (step, value[0])
        off = float(np.abs(value - first - slope * number).max())
        added = int(number[-1]) + 1 - value.size
        even = whole and off <= EVEN * step and (added == 0 or complete)
        if even and added <= ADDED * value.size:
            labels = number.astype(np.int64)[labels]
            line = first + slope * np.arange(int(number[-1]) + 1)
            # Commanded positions are exact, and stay so.
            exact = off <= EXACT * abs(float(value[-1] - value[0]))
            if exact:
                line[number.astype(np.int64)] = value
            value = line
        elif even:
            even = False
    jitter = float(np.sqrt(np.mean((position - value[labels]) ** 2)))
    return Levels(value, labels, jitter, bool(even))


PLACED = 2**16
"""Values that are put in place at once: single numbers go together, a large frame alone."""


def _at_once(batch: int) -> int:
    return max(1, PLACED // max(1, batch))


def _placed_sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return dict(zip(("z", "angle", "u"), parameters["shape"], strict=True))


def _placed_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    # Frames that go at once, twice, in double precision at most; flags of cells; what goes where.
    cells = math.prod(parameters["shape"])
    together = min(sizes["frame"], _at_once(sizes["batch"]))
    return Memory(
        0, 16 * sizes["batch"] * together + 96 * together + cells + 48 * sizes["frame"] + 4096
    )


@kernel(
    "(frame),(frame),(frame)->(z,angle,u)",
    memory=_placed_memory,
    sizes=_placed_sizes,
)
def place(
    values: Any, cell: Any, share: Any, *, shape: tuple[int, int, int], gap: float = np.nan
) -> Any:
    """(..., frame), (frame), (frame) -> (..., z, angle, u). Frames added up in their cells.

    Parameters
    ----------
    values
        What was measured in each frame.
    cell
        Index of the cell of each frame in the grid, z slowest; below 0 for a frame left out.
    share
        What each frame is multiplied by. Shares of one cell that sum to 1 give the mean, their
        squares the variance of it, ones the sum.
    shape
        Of the grid.
    gap
        Value of cells without a frame.

    Raises
    ------
    ArgumentError
        For a cell outside the grid.

    Examples
    --------
    >>> place(np.array([3.0, 5.0, 1.0]), [1, 1, 0], [0.5, 0.5, 1.0], shape=(1, 1, 2))
    array([[[1., 4.]]])
    """
    xp = xp_of(values)
    kind = values.dtype if values.dtype.kind in "fc" else np.dtype(np.float32)
    cells, where = math.prod(shape), np.asarray(to_host(cell)).astype(np.int64)
    factor = np.asarray(to_host(share), float)
    if where.size and where.max() >= cells:
        raise ArgumentError(
            "a frame lies outside the grid", got=f"cell {where.max()}", expected=f"below {cells}"
        )
    # Frames lie first: a frame's values are one run of memory, as they were measured.
    frames = xp.moveaxis(values, -1, 0)
    out = xp.zeros((cells, *frames.shape[1:]), kind)
    filled = np.zeros(cells, bool)
    kept = np.flatnonzero(where >= 0)
    filled[where[kept]] = True
    together = _at_once(math.prod(values.shape[:-1]))
    for start in range(0, kept.size, together):
        part = kept[start : start + together]
        # Frames of one cell are added in the order of frames, however many go at once.
        while part.size:
            first = np.unique(where[part], return_index=True)[1]
            now = part[first]
            scale = xp.asarray(factor[now].astype(kind).reshape(-1, *[1] * (frames.ndim - 1)))
            out[xp.asarray(where[now])] += frames[xp.asarray(now)] * scale
            part = np.delete(part, first)
    out[xp.asarray(~filled)] = gap
    return xp.moveaxis(out.reshape(*shape, *frames.shape[1:]), (0, 1, 2), (-3, -2, -1))
