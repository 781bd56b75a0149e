"""The parts of stripe removal: where stripes are, and what is put in their place.

Algorithms 2 to 6 of N. T. Vo, R. C. Atwood, M. Drakopoulos, Opt. Express 26 (2018) 28396,
doi:10.1364/OE.26.028396, for one sinogram; `rings` makes kernels of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from zeoarray.backend import pieces, to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels import columns
from zeoarray.kernels.contract import Kernel

NOISELESS = 1e-5
"""A profile that is flatter than this has no noise to measure a stripe by (as in algotom)."""
SMOOTH_ANGLES = 10
"""A column fluctuates where it differs from its own mean over so many angles (as in the paper)."""
FAINTEST = 1e-16
"""A frequency that the low-pass leaves no more of is left out."""


def each(contract: Kernel, sinogram: Any, one: Callable[[Any], None]) -> Any:
    """A copy of `sinogram`, each of its batch changed by `one`."""
    xp = xp_of(sinogram)
    if sinogram.ndim < 2 or sinogram.dtype.kind not in "biuf":
        raise ArgumentError(
            f"{contract.name} takes sinograms of real numbers",
            got=f"shape {sinogram.shape}, dtype {sinogram.dtype}",
            expected="(..., angle, u)",
        )
    out = xp.empty(sinogram.shape, contract.output_dtype(0, sinogram.dtype))
    for index in np.ndindex(sinogram.shape[:-2]) if sinogram.size else ():
        own = out.dtype == np.float32
        work = out[index] if own else xp.empty(sinogram.shape[-2:], np.float32)
        with np.errstate(over="ignore"):
            work[...] = sinogram[index]
        _demand_finite(work, index)
        one(work)
        if not own:
            out[index] = work
    return out


def _demand_finite(work: Any, index: tuple[int, ...]) -> None:
    xp = xp_of(work)
    wrong = sum(int(xp.count_nonzero(~xp.isfinite(work[part]))) for part in pieces(work))
    if wrong:
        raise ArgumentError(
            "the sinogram has values that are not finite" + (f" at {index}" if index else ""),
            got=f"{wrong} of {work.size} are NaN or Inf",
            do="fill them first: flatfield.transmission leaves none",
        )


def find(profile: np.ndarray, snr: float) -> np.ndarray:
    """(u) -> (u). Where a profile stands out: algorithm 4 of the paper.

    A line through the middle half of the sorted values gives the noise, which is what the line
    rises by over all columns. A profile that stands out of the line by `snr` times the noise has
    stripes, where it is half as far from the line.

    Parameters
    ----------
    profile
        One number for each column, about 1 where there is no stripe.
    snr
        How many times the noise a stripe stands out.

    Examples
    --------
    >>> find(np.array([1.0, 1.1, 0.9, 1.2, 3.0, 0.8, 1.1, 1.0, 0.9]), 3.0).nonzero()[0].tolist()
    [4]
    """
    found = np.zeros(profile.size, bool)
    drop = profile.size // 4
    place = np.arange(profile.size, dtype=np.float64)
    values = np.sort(profile)
    x, y = place[drop : -drop - 1], values[drop : -drop - 1]
    if x.size < 2:
        return found
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    low = y.mean() - slope * x.mean()
    high = low + slope * place[-1]
    noise = abs(high - low)
    if noise < NOISELESS:
        return found
    if abs(values[-1] - high) >= snr * noise:
        found |= profile > high + noise * snr / 2
    if abs(low - values[0]) >= snr * noise:
        found |= profile <= low - noise * snr / 2
    return found


def _with_neighbours(found: np.ndarray) -> np.ndarray:
    wider = found.copy()
    wider[1:] |= found[:-1]
    wider[:-1] |= found[1:]
    return wider


def sort(work: Any) -> tuple[Any, Any]:
    """Sorted columns of (angle, u) as rows of (u, rank), and their order."""
    values = columns.transposed(work)
    return values, columns.sort_rows(values)


def smooth_sorted(work: Any, values: Any, order: Any, size: int) -> None:
    """Algorithm 3: the median across sorted columns, put back into `work`."""
    smooth = xp_of(values).empty_like(values)
    columns.running_median(values, size, smooth)
    columns.put_back(smooth, order, work)


def without_large(
    work: Any, snr: float, size: int, drop_ratio: float, norm: bool
) -> tuple[Any, Any, Any]:
    """Algorithm 5: sorted columns without large stripes, their order, which may be out of order.

    Columns whose ratio is 0 are not divided by it.
    """
    xp = xp_of(work)
    values, order = sort(work)
    smooth = xp.empty_like(values)
    columns.running_median(values, size, smooth)
    drop = int(0.5 * drop_ratio * len(work))
    inner = slice(drop, len(work) - drop)
    level, around = (to_host(a[:, inner].mean(axis=1, dtype=np.float64)) for a in (values, smooth))
    ratio = np.divide(level, around, out=np.ones_like(level), where=around != 0)
    bad = _with_neighbours(find(ratio, snr))
    factor = np.where((ratio != 0) & norm, ratio, 1.0)
    stale = columns.divide(values, xp.asarray(factor), xp.asarray(bad), smooth)
    return smooth, order, stale


def interpolate_dead(work: Any, snr: float, size: int) -> None:
    """Algorithm 6: fill unresponsive and fluctuating columns of `work` from the nearest others."""
    level = to_host(columns.fluctuation(work, SMOOTH_ANGLES)).astype(np.float32)
    around = np.empty_like(level)
    columns.running_median(level[:, None], size, around[:, None])
    around[around == 0] = around.mean(dtype=np.float64)
    if not around.any():
        return
    bad = _with_neighbours(find(level / around, snr))
    bad[:2] = bad[-2:] = False
    gaps, good = np.flatnonzero(bad), np.flatnonzero(~bad)
    if not 0 < gaps.size < bad.size // 3:
        return
    after = np.searchsorted(good, gaps)
    before, behind = good[after - 1], good[after]
    places = (gaps, before, behind, (gaps - before) / (behind - before))
    missing, left, right, weight = (xp_of(work).asarray(a) for a in places)
    for (part,) in pieces(work):
        rows = work[part]
        rows[:, missing] = rows[:, left] * (1 - weight) + rows[:, right] * weight


def low_pass_of(angles: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Algorithm 2: what keeps the slow part of rows of `angles`: (angle, mode), (mode, angle).

    The row is padded by reflection and its Fourier transform multiplied by a Gaussian of `sigma`
    frequencies. As few pass, two thin matrices are faster than two transforms.
    """
    pad = min(150, angles // 10)
    size = angles + 2 * pad
    place = np.arange(size)
    window = np.exp(-0.5 * ((place - (size - 1) / 2) / sigma) ** 2)
    # algotom brings the zero frequency into the middle by alternating signs, and takes the real
    # part of the result. For real data that is a real transform with the window's even part.
    even = (window + np.roll(window[::-1], 1)) / 2
    mode = np.flatnonzero(even[: size // 2 + 1] > FAINTEST)
    phase = 2 * np.pi / size * (mode[:, None] * place % size)
    waves = np.concatenate([np.cos(phase), np.sin(phase)]) * (1 - 2 * (place % 2))
    once = (mode == 0) | (2 * mode == size)
    weight = np.tile(even[mode] * np.where(once, 1, 2) / size, 2)
    into = np.zeros((angles, len(waves)))
    np.add.at(into, np.pad(np.arange(angles), pad, mode="reflect"), waves.T)
    return into, weight[:, None] * waves[:, pad : pad + angles]
