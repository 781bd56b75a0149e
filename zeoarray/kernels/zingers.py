"""Zingers out of projections: single pixels that a stray photon or electron made far too bright.

A zinger is in one projection only and in a few pixels only. So a value counts as one where it
stands out of both: of the same pixel in the projections before and after, and of the median of its
neighbours in the detector. What is bright for good (a hot pixel, an edge, a crack) fails one of
the two tests and is kept. The median filter for such outliers is that of TomoPy's
`remove_outlier`; the noise is estimated robustly, by the median of deviations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.columns import compiled
from zeoarray.kernels.contract import Memory, Parameters, Sizes, kernel

SAMPLE = 512
"""Columns of a row by which its noise is estimated, at most; evenly spread."""
MAD = 0.6744897501960817
"""Median of the magnitude of a normal variable of standard deviation 1."""
NOISY = 0.25
"""Where a smaller share of a row differs from its neighbours, it is constant but for outliers."""
ROUNDING = 1e-6
"""What differs by a smaller share is equal in float32."""
SECOND = 1.5**0.5
"""Spread of a value minus the mean of two others, over the spread of each."""


def _margin(parameters: Parameters) -> int:
    return int(parameters["size"]) // 2


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    return Memory(0, 8 * (3 * SAMPLE + parameters["size"] ** 2) + 64)


@kernel(
    "(angle,z,u)->(angle,z,u),(angle,z)",
    halo={"angle": 1, "z": _margin},
    memory=_memory,
    dtype=("same", "float"),
)
def remove_zingers(
    frames: Any, *, snr: float = 8.0, relative: float = 0.0, size: int = 3
) -> tuple[Any, Any]:
    """(..., angle, z, u) -> (..., angle, z, u), (..., angle, z). Bright outliers, replaced.

    A value is replaced by the median of the `size` x `size` pixels around it where it is greater
    than this median, and than the same pixel in the projections before and after, by more than
    max(snr sigma, relative |median|). The noise sigma is that of the row: the median of what each
    pixel differs from the mean of its two neighbours along u (where it differs), over what that is
    for sigma = 1; for whole numbers at least 1. Rows of fewer than 3 columns are kept as they are.

    Parameters
    ----------
    frames
        Counts or transmission, projections in the order in which they were taken.
    snr
        How many times the noise of its row a zinger stands out.
    relative
        By what share of the median it stands out as well.
    size
        Odd width of the window in the detector [px]. A zinger as large as half of it is found.

    Returns
    -------
    tuple of array
        The frames, and the share of each row that was replaced.

    Raises
    ------
    ArgumentError
        For a window that is not odd and at least 3, and thresholds below 0.

    References
    ----------
    D. Gursoy et al., "TomoPy: a framework for the analysis of synchrotron tomographic data",
    J. Synchrotron Rad. 21 (2014) 1188, doi:10.1107/S1600577514013939.
    P. J. Rousseeuw, C. Croux, "Alternatives to the median absolute deviation", J. Am. Stat. Assoc.
    88 (1993) 1273, doi:10.1080/01621459.1993.10476408.

    Examples
    --------
    >>> frames = np.ones((3, 3, 20))
    >>> frames[1, 1, 2] = 9
    >>> clean, share = remove_zingers(frames)
    >>> float(clean.max()), float(share.max())
    (1.0, 0.05)
    """
    check(snr=snr, relative=relative, size=size)
    xp = xp_of(frames)
    out = frames.copy()
    kind = frames.dtype if frames.dtype.kind == "f" else np.dtype(np.float32)
    share = xp.zeros(frames.shape[:-1], kind)
    if frames.shape[-1] < 3 or not frames.size:
        return out, share
    # Whole numbers differ by 1 where they differ; floats by rounding.
    quantum = 1.0 if frames.dtype.kind in "biu" else 0.0
    body = _replace if xp is np else replace_plainly
    for index in np.ndindex(*frames.shape[:-3]):
        values = (float(snr), float(relative), quantum, int(size))
        body(frames[index], *values, out[index], share[index])
    return out, share


def check(*, snr: float, relative: float, size: int) -> None:
    """Raise unless these can be the parameters of `remove_zingers`.

    Raises
    ------
    ArgumentError
        For a window that is not odd and at least 3, and thresholds below 0.
    """
    if not (snr >= 0 and relative >= 0):
        raise ArgumentError(
            "a zinger stands out by a threshold of at least 0",
            got=f"snr={snr}, relative={relative}",
        )
    if (
        isinstance(size, bool)
        or not isinstance(size, (int, np.integer))
        or size < 3
        or not size % 2
    ):
        raise ArgumentError(
            "the window of the median has a middle", got=f"size={size!r}", expected="3, 5, 7, ..."
        )


@compiled
def _replace(
    frames: Any, snr: float, relative: float, quantum: float, size: int, out: Any, share: Any
) -> None:
    angles, rows, columns = frames.shape
    stride = (columns - 3) // SAMPLE + 1
    spread = np.empty(SAMPLE, np.float64)
    window = np.empty(size * size, np.float64)
    for i in range(angles):
        for j in range(rows):
            least = snr * max(_noise(frames[i, j], stride, spread), quantum)
            count = 0
            for k in range(columns):
                value = np.float64(frames[i, j, k])
                # Of one projection alone there is nothing before and after.
                beside = -np.inf
                # What is not a number says nothing, and is greater than nothing.
                if i > 0 and frames[i - 1, j, k] > beside:
                    beside = np.float64(frames[i - 1, j, k])
                if i < angles - 1 and frames[i + 1, j, k] > beside:
                    beside = np.float64(frames[i + 1, j, k])
                # Most values end here, before any median is taken.
                if not value - beside > least:
                    continue
                middle = _middle(frames[i], j, k, size // 2, window)
                threshold = max(least, relative * abs(middle), ROUNDING * abs(middle))
                if value - max(beside, middle) > threshold:
                    out[i, j, k] = middle
                    count += 1
            share[i, j] = count / columns


@compiled
def _noise(row: Any, stride: int, spread: Any) -> float:
    count = 0
    for k in range(1, row.size - 1, stride):
        other = (np.float64(row[k - 1]) + np.float64(row[k + 1])) / 2
        difference = abs(np.float64(row[k]) - other)
        if np.isfinite(difference):
            spread[count] = difference
            count += 1
    # What is saturated or masked has no noise, and says nothing of the noise of the rest.
    differing = 0
    for k in range(count):
        if spread[k] > 0:
            spread[differing] = spread[k]
            differing += 1
    if not differing or differing < NOISY * count:
        return 0.0
    rank = (differing - 1) // 2
    return float(np.partition(spread[:differing], rank)[rank]) / MAD / SECOND


@compiled
def _middle(frame: Any, j: int, k: int, reach: int, window: Any) -> float:
    """The median of the finite pixels round one; of an even number the lower."""
    rows, columns = frame.shape
    count = 0
    for y in range(max(j - reach, 0), min(j + reach + 1, rows)):
        for x in range(max(k - reach, 0), min(k + reach + 1, columns)):
            value = np.float64(frame[y, x])
            if np.isfinite(value):
                place = count
                while place > 0 and window[place - 1] > value:
                    window[place] = window[place - 1]
                    place -= 1
                window[place] = value
                count += 1
    return window[(count - 1) // 2] if count else np.inf


def replace_plainly(
    frames: Any, snr: float, relative: float, quantum: float, size: int, out: Any, share: Any
) -> None:
    """As the compiled body of `remove_zingers`, for any array library; one scan at a time."""
    xp = xp_of(frames)
    angles, rows, columns = frames.shape
    reach = size // 2
    sampled = xp.arange(1, columns - 1, (columns - 3) // SAMPLE + 1)
    shape = (rows + 2 * reach, columns + 2 * reach)
    for i in range(angles):
        values = frames[i].astype(np.float64)
        with np.errstate(invalid="ignore"):
            difference = xp.abs(
                values[:, sampled] - (values[:, sampled - 1] + values[:, sampled + 1]) / 2
            )
        finite = xp.isfinite(difference)
        differing = finite & (difference > 0)
        noise = _middle_one(xp.where(differing, difference, xp.nan).T, xp)
        enough = differing.sum(axis=-1) >= NOISY * finite.sum(axis=-1)
        sigma = xp.where(enough, xp.nan_to_num(noise), 0) / MAD / SECOND
        least = snr * xp.maximum(sigma, quantum)[:, None]
        padded = xp.full(shape, xp.nan)
        inside = padded[reach : reach + rows, reach : reach + columns]
        inside[...] = xp.where(xp.isfinite(values), values, xp.nan)
        shifts = [(y, x) for y in range(size) for x in range(size)]
        windows = xp.stack([padded[y : y + rows, x : x + columns] for y, x in shifts])
        middle = _middle_one(windows, xp)
        beside = xp.full(values.shape, -xp.inf)
        for other in (i - 1, i + 1):
            if 0 <= other < angles:
                beside = xp.fmax(beside, frames[other].astype(np.float64))
        threshold = xp.maximum(least, max(relative, ROUNDING) * xp.abs(middle))
        with np.errstate(invalid="ignore"):
            found = values - xp.maximum(beside, middle) > threshold
        out[i] = xp.where(found, middle, values).astype(out.dtype)
        share[i] = found.mean(axis=-1)


def _middle_one(values: Any, xp: Any) -> Any:
    """The lower median along the first axis of what is not NaN."""
    ordered = xp.sort(values, axis=0)
    count = (~xp.isnan(ordered)).sum(axis=0, keepdims=True)
    return xp.take_along_axis(ordered, xp.maximum(count - 1, 0) // 2, axis=0)[0]
