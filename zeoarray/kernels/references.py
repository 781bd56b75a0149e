"""Flats and darks: which frames make a set, their average, and where each projection lies between.

References are frames taken without sample (flats) or without beam (darks), before, after and
sometimes amid the projections.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel


def sets_of(time: Any, projection_time: Any) -> tuple[int, ...]:
    """Number of the set that each flat belongs to: flats without a projection between are one set.

    Parameters
    ----------
    time
        Time of each flat.
    projection_time
        Time of each projection, by the same clock.

    Raises
    ------
    ArgumentError
        For times that are not finite.

    Examples
    --------
    >>> sets_of([0, 1, 2, 30, 31], [10, 11, 12])
    (0, 0, 0, 1, 1)
    """
    flats, projections = _finite(time, projection_time)
    gaps = np.searchsorted(np.sort(projections), flats)
    return tuple(np.unique(gaps, return_inverse=True)[1].tolist())


def positions(time: Any, sets: Sequence[int], projection_time: Any) -> np.ndarray:
    """Where each projection lies between the sets of flats: 0.5 is midway from set 0 to set 1.

    Before the first set and after the last, the nearest is taken.

    Parameters
    ----------
    time
        Time of each flat.
    sets
        Number of its set, ascending in time; -1 leaves it out.
    projection_time
        Time of each projection, by the same clock.

    Raises
    ------
    ArgumentError
        For times that are not finite.

    Examples
    --------
    >>> positions([0, 2, 10, 12], (0, 0, 1, 1), [1, 6, 20]).tolist()
    [0.0, 0.5, 1.0]
    """
    (flats, projections), number = _finite(time, projection_time), np.asarray(sets)
    middles = [flats[number == i].mean() for i in range(number.max() + 1)]
    return np.asarray(np.interp(projections, middles, np.arange(len(middles))))


def _finite(time: Any, projection_time: Any) -> tuple[np.ndarray, np.ndarray]:
    flats, projections = np.asarray(time, float), np.asarray(projection_time, float)
    if not (np.isfinite(flats).all() and np.isfinite(projections).all()):
        raise ArgumentError("the times of flats and projections must be finite numbers")
    return flats, projections


def factors(
    reading: Any, flat_reading: Any, sets: Sequence[int], position: np.ndarray
) -> np.ndarray:
    """(angle), (frame), (angle) -> (angle). What transmission is multiplied by as the beam varies.

    The mean reading of each set of flats, interpolated as the flats are, over the reading of each
    projection.

    Parameters
    ----------
    reading, flat_reading
        Monitor or ring current during each projection and each flat; positive.
    sets
        Number of the set of each flat; -1 leaves it out.
    position
        Where each projection lies between the sets: see `positions`.

    Examples
    --------
    >>> factors([90, 95], [100, 100], (0, 0), np.zeros(2)).round(3).tolist()
    [1.111, 1.053]
    """
    flats, number = np.asarray(flat_reading, float), np.asarray(sets)
    levels = [flats[number == i].mean() for i in range(number.max() + 1)]
    expected = np.interp(position, np.arange(len(levels)), levels)
    return np.asarray(expected / np.asarray(reading, float))


def _sets(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    sets = parameters["sets"]
    return {"set": 1 if sets is None else max(sets, default=-1) + 1}


def _average_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    if parameters["method"] == "median":
        return Memory(0, 6 * 4 * sizes["frame"] * sizes["u"])
    # The sum, and how many were summed; what of one frame counts.
    image = sizes["batch"] * sizes["z"] * sizes["u"]
    return Memory(0, (8 + 8 + 8 + 2) * image)


@kernel("(frame,z,u)->(set,z,u)", halo={"z": 0}, sizes=_sets, memory=_average_memory)
def average(
    frames: Any,
    *,
    sets: Sequence[int] | None = None,
    method: Literal["mean", "median"] = "mean",
    lit: bool = False,
) -> Any:
    """(..., frame, z, u) -> (..., set, z, u). The average frame of each set.

    Values that are not finite are left out; a pixel that has none in a set is NaN.

    Parameters
    ----------
    frames
        Flats, or darks.
    sets
        Number of the set of each frame, from 0 on; -1 leaves a frame out. None: all are one set.
    method
        The mean (summed in float64, so that no order of frames or blocks matters), or the median,
        which a few zingers do not move.
    lit
        Leave out rows of a frame without any value above 0: flats taken without beam.

    Raises
    ------
    ArgumentError
        For another method, or a set without frames.

    Examples
    --------
    >>> frames = np.array([1, 3, 10], "uint16").reshape(3, 1, 1)
    >>> average(frames, sets=(0, 0, 1)).ravel()
    array([ 2., 10.], dtype=float32)
    >>> average(np.array([[[0, 0]], [[6, 8]]]), lit=True).ravel()
    array([6., 8.], dtype=float32)
    """
    xp = xp_of(frames)
    members = _members(frames.shape[-3], sets)
    if method not in ("mean", "median"):
        raise ArgumentError(
            "frames cannot be averaged like this", got=repr(method), expected="'mean' or 'median'"
        )
    dtype = contract_of(average).output_dtype(0, frames.dtype)
    shape = (*frames.shape[:-3], len(members), *frames.shape[-2:])
    out = xp.empty(shape, dtype)
    one = _median if method == "median" else _mean
    for i, chosen in enumerate(members):
        one(frames, chosen, lit, out[..., i, :, :])
    return out


def _members(frames: int, sets: Sequence[int] | None) -> list[list[int]]:
    number = [0] * frames if sets is None else list(sets)
    if len(number) != frames:
        raise ArgumentError(
            "each frame needs the number of its set", got=f"{len(number)} for {frames} frames"
        )
    count = max(number, default=-1) + 1
    members = [[i for i, n in enumerate(number) if n == wanted] for wanted in range(count)]
    if not members or not all(members):
        empty = [i for i, m in enumerate(members) if not m]
        raise ArgumentError(
            "a set of flats or darks has no frames",
            got=f"{frames} frames" + (f", none in set {empty[0]}" if empty else ", all left out"),
            do="take darks and flats from another scan (flats=, darks= at ingest)",
        )
    return members


def _mean(frames: Any, chosen: Sequence[int], lit: bool, out: Any) -> None:
    xp = xp_of(frames)
    whole = frames.dtype.kind != "f"
    total = xp.zeros(out.shape, np.float64)
    # Counted by row where every pixel of a row has as many.
    count = xp.zeros((*out.shape[:-1], 1 if whole else out.shape[-1]), np.float64)
    for number in chosen:
        frame = frames[..., number, :, :]
        used: Any = True if whole else xp.isfinite(frame)
        if lit:
            used = used & (frame > 0).any(axis=-1, keepdims=True)
        total += frame if used is True else xp.where(used, frame, 0)
        count += used
    with np.errstate(invalid="ignore", over="ignore"):
        out[...] = total / count


def _median(frames: Any, chosen: Sequence[int], lit: bool, out: Any) -> None:
    xp = xp_of(frames)
    # Sorted along contiguous memory, in a dtype of which sorting is vectorised; NaN comes last.
    single = frames.dtype.itemsize < 4 or frames.dtype == np.float32
    for row in np.ndindex(*out.shape[:-1]):
        values = frames[(*row[:-1], chosen, row[-1])]
        columns = xp.array(values.T, dtype=np.float32 if single else np.float64, order="C")
        if lit:
            columns[:, ~(values > 0).any(axis=-1)] = np.nan
        columns[~xp.isfinite(columns)] = np.nan
        columns.sort(axis=-1)
        count = xp.isfinite(columns).sum(axis=-1, keepdims=True)
        low, high = xp.maximum(count - 1, 0) // 2, count // 2
        high = xp.minimum(high, columns.shape[-1] - 1)
        below, above = (xp.take_along_axis(columns, i, axis=-1)[:, 0] for i in (low, high))
        with np.errstate(over="ignore"):
            out[row] = below.astype(np.float64) / 2 + above.astype(np.float64) / 2
