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
    flats, projections = np.asarray(time, float), np.sort(np.asarray(projection_time, float))
    if not (np.isfinite(flats).all() and np.isfinite(projections).all()):
        raise ArgumentError("the times of flats and projections must be finite numbers")
    gaps = np.searchsorted(projections, flats)
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

    Examples
    --------
    >>> positions([0, 2, 10, 12], (0, 0, 1, 1), [1, 6, 20]).tolist()
    [0.0, 0.5, 1.0]
    """
    flats, number = np.asarray(time, float), np.asarray(sets)
    middles = [flats[number == i].mean() for i in range(number.max() + 1)]
    found = np.interp(np.asarray(projection_time, float), middles, np.arange(len(middles)))
    return np.asarray(found)


def _sets(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    sets = parameters["sets"]
    return {"set": 1 if sets is None else max(sets, default=-1) + 1}


def _average_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    if parameters["method"] == "median":
        return Memory(0, 2 * 4 * sizes["frame"] * sizes["u"])
    return Memory(0, 8 * sizes["batch"] * sizes["z"] * sizes["u"])


@kernel("(frame,z,u)->(set,z,u)", halo={"z": 0, "u": 0}, sizes=_sets, memory=_average_memory)
def average(
    frames: Any,
    *,
    sets: Sequence[int] | None = None,
    method: Literal["mean", "median"] = "mean",
) -> Any:
    """(..., frame, z, u) -> (..., set, z, u). The average frame of each set.

    Parameters
    ----------
    frames
        Flats, or darks.
    sets
        Number of the set of each frame, from 0 on; -1 leaves a frame out. None: all are one set.
    method
        The mean (summed in float64, so that no order of frames or blocks matters), or the median,
        which a few zingers do not move.

    Raises
    ------
    ArgumentError
        For another method, or a set without frames.

    Examples
    --------
    >>> frames = np.array([1, 3, 10], "uint16").reshape(3, 1, 1)
    >>> average(frames, sets=(0, 0, 1)).ravel()
    array([ 2., 10.], dtype=float32)
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
    if method == "median":
        for row in np.ndindex(*frames.shape[:-3], frames.shape[-2]):
            for i, chosen in enumerate(members):
                out[(*row[:-1], i, row[-1])] = _median(frames[(*row[:-1], chosen, row[-1])], xp)
        return out
    total = xp.empty((*frames.shape[:-3], *frames.shape[-2:]), np.float64)
    for i, chosen in enumerate(members):
        total.fill(0)
        for frame in chosen:
            total += frames[..., frame, :, :]
        total /= len(chosen)
        out[..., i, :, :] = total
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


def _median(rows: Any, xp: Any) -> Any:
    # Sorted along contiguous memory, in a dtype of which sorting is vectorised.
    columns = xp.ascontiguousarray(rows.T, dtype=np.float32 if rows.dtype.itemsize < 4 else None)
    columns.sort(axis=-1)
    low, high = (columns.shape[-1] - 1) // 2, columns.shape[-1] // 2
    return (columns[:, low].astype(np.float64) + columns[:, high]) / 2
