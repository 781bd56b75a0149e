"""Spots of single crystals out of diffraction sinograms.

A crystal that is large against the others of a powder meets Bragg's condition at single rotations:
one ring is far too bright in one projection, and not in the ones before and after. Matter, however
small, is in all projections, and moves by little from one to the next. The test is that of zingers:
what stands out of both neighbouring projections, also to either side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.columns import compiled
from zeoarray.kernels.contract import Memory, Parameters, Sizes, kernel

TILE = 32
"""Bins whose noise is estimated at once."""
SAMPLE = 1024
"""Points of a sinogram by which the noise of a bin is estimated, at most; evenly spread."""
MAD = 0.6744897501960817
"""Median of the magnitude of a normal variable of standard deviation 1."""
SECOND = 1.5**0.5
"""Spread of a value minus the mean of two others, over the spread of each."""
FAINT = 0.1
"""Below this share of a bin's mean the noise is no longer taken to fall."""


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    points = sizes["angle"] * sizes["u"]
    window = 2 * (2 * int(parameters["reach"]) + 1)
    scratch = 4 * TILE * min(SAMPLE, points) + 24 * TILE + 24 * sizes["q"] + 32 * window
    # Compiled loops make short copies of lists of neighbours; the flags of the points.
    return Memory(0, scratch + 16 * min(SAMPLE, points) + 2 * points + 4096)


@kernel(
    "(angle,u,q),(angle,u)->(angle,u,q),(angle,q)",
    halo={"q": 0},
    memory=_memory,
    dtype=("float", "float"),
)
def remove_spots(
    values: Any,
    valid: Any,
    *,
    snr: float = 6.0,
    relative: float = 0.5,
    reach: int = 1,
    span: int = 1,
    around: bool = False,
) -> tuple[Any, Any]:
    """(..., angle, u, q), (..., angle, u) -> (..., angle, u, q), (..., angle, q). Spots, replaced.

    With b the largest value in the projections `span` before and after, at the same position and
    `reach` positions to either side, a value above b + max(snr sigma, relative |b|) is a spot. It
    is replaced by the mean of the two projections at its own position. The noise is that of counts:
    sigma^2 is proportional to the intensity, by a factor that is found for each bin from the median
    difference of points from the mean of their neighbours.

    Parameters
    ----------
    values
        Intensity; projections in the order of their angles.
    valid
        Which points were measured. Others are neither looked at nor compared with.
    snr
        How many times the noise a spot stands out.
    relative
        By what share of its neighbours, at least.
    reach
        How far matter moves along u from one projection to the next, and the one compared with
        [positions].
    span
        How many projections a spot extends over, at most.
    around
        Whether the last projection comes before the first: a full circle.

    Returns
    -------
    tuple of array
        The values without spots, and the share of the positions of each projection replaced.

    Raises
    ------
    ArgumentError
        For thresholds below 0, a reach below 0, or a span below 1.
    """
    check(snr=snr, relative=relative, reach=reach, span=span)
    xp = xp_of(values)
    kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float32)
    given = np.asarray(to_host(values))
    out = given.astype(kind)
    share = np.zeros((*given.shape[:-2], given.shape[-1]), kind)
    flags = np.asarray(to_host(valid)).astype(bool)
    flags = np.broadcast_to(flags, given.shape[:-1])
    for index in np.ndindex(*given.shape[:-3]):
        _replace(
            given[index], np.ascontiguousarray(flags[index]), float(snr), float(relative),
            int(reach), int(span), bool(around), out[index], share[index],
        )  # fmt: skip
    return (out, share) if xp is np else (xp.asarray(out), xp.asarray(share))


def check(*, snr: float, relative: float, reach: int, span: int) -> None:
    """Raise unless these can be the parameters of `remove_spots`.

    Raises
    ------
    ArgumentError
        For thresholds below 0, a reach below 0, or a span below 1.
    """
    if not (snr >= 0 and relative >= 0):
        raise ArgumentError(
            "a spot stands out by a threshold of at least 0", got=f"snr={snr}, relative={relative}"
        )
    if reach < 0 or span < 1:
        raise ArgumentError(
            "a spot is compared with projections beside its own",
            got=f"reach={reach}, span={span}",
            expected="reach of 0 or more, span of 1 or more",
        )


@compiled
def _other(i: int, move: int, angles: int, around: bool) -> int:
    """Index of the projection `move` on; -1 where there is none."""
    j = i + move
    if around and angles > 2 * abs(move):
        return j % angles
    return j if 0 <= j < angles else -1


@compiled
def _replace(
    x: Any, valid: Any, snr: float, relative: float, reach: int, span: int, around: bool, out: Any,
    share: Any,
) -> None:  # fmt: skip
    angles, columns, bins = x.shape
    stride = max((angles * columns) // SAMPLE, 1)
    differences = np.empty((TILE, (angles * columns - 1) // stride + 1), np.float32)
    for first in range(0, bins, TILE):
        last = min(first + TILE, bins)
        noise, faint = _noise(x[:, :, first:last], valid, span, around, stride, differences)
        for i in range(angles):
            before, after = _other(i, -span, angles, around), _other(i, span, angles, around)
            measured = 0
            for k in range(columns):
                measured += valid[i, k]
            for k in range(columns):
                if not valid[i, k]:
                    continue
                for t in range(first, last):
                    value = np.float64(x[i, k, t])
                    beside = -np.inf
                    total, count = 0.0, 0
                    for j in (before, after):
                        if j < 0:
                            continue
                        for c in range(max(k - reach, 0), min(k + reach + 1, columns)):
                            other = np.float64(x[j, c, t])
                            if valid[j, c] and np.isfinite(other):
                                beside = max(beside, other)
                                if c == k:
                                    total += other
                                    count += 1
                        if value <= beside:
                            break
                    if not value > beside or not count:
                        continue
                    level = max(beside, faint[t - first])
                    least = max(snr * noise[t - first] * np.sqrt(level), relative * abs(beside))
                    if value - beside > least:
                        out[i, k, t] = total / count
                        share[i, t] += 1.0 / measured


@compiled
def _noise(
    x: Any, valid: Any, span: int, around: bool, stride: int, differences: Any
) -> tuple[Any, Any]:
    """Of each bin, sigma over the root of the intensity; and the least intensity for that."""
    angles, columns, bins = x.shape
    noise, faint = np.zeros(bins), np.zeros(bins)
    number = np.zeros(bins, np.int64)
    for point in range(0, angles * columns, stride):
        i, k = point // columns, point % columns
        if valid[i, k]:
            for t in range(bins):
                value = np.float64(x[i, k, t])
                if np.isfinite(value):
                    faint[t] += abs(value)
                    number[t] += 1
    for t in range(bins):
        faint[t] = FAINT * faint[t] / max(number[t], 1)
    number[:] = 0
    for point in range(0, angles * columns, stride):
        i, k = point // columns, point % columns
        j, m = _other(i, -span, angles, around), _other(i, span, angles, around)
        if j < 0 or m < 0 or not (valid[i, k] and valid[j, k] and valid[m, k]):
            continue
        for t in range(bins):
            mean = (np.float64(x[j, k, t]) + np.float64(x[m, k, t])) / 2
            value = abs(np.float64(x[i, k, t]) - mean) / np.sqrt(max(mean, faint[t], 1e-300))
            if np.isfinite(value):
                differences[t, number[t]] = value
                number[t] += 1
    for t in range(bins):
        if number[t]:
            middle = (number[t] - 1) // 2
            noise[t] = np.partition(differences[t, : number[t]], middle)[middle] / MAD / SECOND
    return noise, faint
