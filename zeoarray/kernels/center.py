"""Where the rotation axis is: the method of Vo, from one sinogram over a half circle.

A sinogram and its mirror image, moved so that both axes meet, make a sinogram over a full circle.
The transform of such a one is empty outside a double wedge; the axis is where least lies there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage

from zeoarray.backend import PIECE, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.packed import each, runs
from zeoarray.kernels.polar import fft_of

Array = np.ndarray[Any, Any]

COARSE_COLUMNS, COARSE_ROWS = 640, 900
"""The coarse search sees a sinogram of about this size."""
LARGE = 1000
"""Sinograms of more rows or columns are averaged before the coarse search."""
SHALLOW = 0.12
"""A minimum is trusted where it is deeper than this share of the curve's median: of 150 sinograms
of random ellipses with noise, 1 in 100 right centres was shallower, and nearly all wrong ones."""
ROUGH = 6.0
"""And deeper than this many times what the curve scatters by from one position to the next."""
RIVAL = 0.5
"""It is not trusted where another minimum has more than this share of its depth."""


class Center(NamedTuple):
    """What `find_center_vo` gives for each slice."""

    center: Any
    """(...). Index of u where the axis is: the fine position where the metric is least."""
    at_edge: Any
    """(...). Whether that is the first or last position tried: the axis may lie beyond."""
    ambiguous: Any
    """(...). Whether the minimum is shallow, lost in scatter, or has a rival."""
    coarse: Any
    """(..., coarse). Positions tried first."""
    coarse_metric: Any
    """(..., coarse). Mean magnitude outside the double wedge, of the averaged sinogram."""
    fine: Any
    """(..., fine). Positions tried around the best of them."""
    fine_metric: Any
    """(..., fine). Mean magnitude outside the double wedge."""


def _factors(rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns that are averaged for the coarse search."""
    return (
        rows // COARSE_ROWS if rows > LARGE else 1,
        columns // COARSE_COLUMNS if columns > LARGE else 1,
    )


def _coarse(columns: int, start: float | None, stop: float | None) -> Array:
    """Columns of the averaged sinogram to try."""
    factor = _factors(1, columns)[1]
    low = columns // 2 - columns // 16 if start is None else start
    high = columns // 2 + columns // 16 if stop is None else stop
    ends = np.array([np.floor(low / factor), np.ceil(high / factor)])
    if not (np.isfinite(ends).all() and -1 < low <= high < columns):
        raise ArgumentError(
            "the axis cannot be looked for there",
            got=f"start={low:g}, stop={high:g}, {columns} columns",
            expected=f"0 <= start <= stop <= {columns - 1}: indices of u",
        )
    first, last = np.clip(ends, 0, columns // factor - 1).astype(int)
    return np.arange(first, last + 1)


def _fine(columns: int, step: float, radius: float) -> Array:
    """Steps around the best coarse position."""
    if not 0 < step <= radius:
        raise ArgumentError(
            "the fine search needs a step and a radius",
            got=f"step={step}, radius={radius}",
            expected="0 < step <= radius [pixels]",
        )
    reach = max(radius, _factors(1, columns)[1])
    out: Array = np.arange(-reach, reach + step, step)
    return out


def wedge(rows: int, columns: int, ratio: float) -> Array:
    """(rows + 1, columns). How often each frequency of a real full circle counts.

    Rows of the result are the frequencies 0 to `rows` along the angle, of which there are twice
    `rows`, and stand for their negatives too; columns are in the order of the FFT.

    References
    ----------
    N. T. Vo et al., Opt. Express 22, 19078 (2014), doi:10.1364/OE.22.019078, equation 3.
    """
    height = 2 * rows
    slope = (height - 1.0) / (height * 2.0 * np.pi) / (0.5 * ratio * columns) / (1.0 / columns)
    along = np.arange(rows + 1)
    across = np.abs(np.fft.ifftshift(np.arange(columns) - columns // 2))
    # The published mask rounds up, so its halves differ by a column.
    positive = across <= np.ceil(along * slope)[:, None]
    negative = across <= np.floor(along * slope)[:, None]
    weight: Array = positive.astype(np.float32) + negative
    weight[-1] = negative[-1]
    weight[: min(20, int(0.05 * height)) + 1] = 0
    weight[:, across <= 1] = 0
    return weight


def _moves(centers: Array, columns: int) -> Iterator[tuple[float, Array, Array]]:
    """Candidates by the part of a pixel that they move by: it, whole pixels, which candidates."""
    move = (columns - 1.0) - 2.0 * centers
    whole = np.floor(move + 1e-9)
    part = np.round(np.maximum(move - whole, 0), 9)
    for one in np.unique(part):
        which = np.flatnonzero(part == one)
        yield float(one), whole[which].astype(int), which


def _between(coefficients: Any, part: float) -> Any:
    """Cubic spline at `part` of the way from each column to the next."""
    t = part
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    xp, columns = xp_of(coefficients), coefficients.shape[-1]
    padded = xp.pad(coefficients, ((0, 0), (1, 1)), mode="reflect")
    out = padded[:, : columns - 1] * np.float32(weights[0] / 6)
    for i in (1, 2, 3):
        out += padded[:, i : i + columns - 1] * np.float32(weights[i] / 6)
    return out


def metric(sinogram: Any, centers: Array, ratio: float) -> Array:
    """(angle, u) -> (centers). Mean magnitude outside the double wedge, for each axis.

    The transform along the angle does not know where the mirror image is moved to along u: it is
    done once for all candidates.
    """
    xp, fft = xp_of(sinogram), fft_of(xp_of(sinogram))
    rows, columns = sinogram.shape
    weight = wedge(rows, columns, ratio)
    used = np.flatnonzero(weight.any(axis=1))
    total = np.zeros(len(centers))
    if not used.size:
        return total
    sign = xp.asarray((1 - 2 * (used % 2)).astype(np.float32)[:, None])
    counts = xp.asarray(weight[used])
    first = fft.rfft(sinogram, 2 * rows, axis=0)[used[0] :]
    fill = sign * fft.rfft(sinogram[::-1], 2 * rows, axis=0)[used[0] :]
    mirror = sign * first[:, ::-1]
    curves = xp.ascontiguousarray(_spline(mirror)) if columns > 1 else mirror
    for run in runs(used.size, columns, xp):
        base, beyond = first[run], fill[run]
        for part, moves, which in _moves(centers, columns):
            moved = _between(curves[run], part) if part else mirror[run]
            for move, i in zip(moves, which, strict=True):
                low, high = max(0, -move), min(columns, moved.shape[-1] - move)
                both = base + 0
                both[:, low:high] += moved[:, low + move : high + move]
                both[:, :low] += beyond[:, :low]
                both[:, high:] += beyond[:, high:]
                magnitude = abs(fft.fft(both, overwrite_x=True))
                total[i] += float(xp.vdot(counts[run], magnitude))
    total /= 2 * rows * columns
    return total


def _spline(values: Any) -> Any:
    """Coefficients of the cubic spline through each row of complex numbers."""
    filter1d = _ndimage(xp_of(values)).spline_filter1d
    out = xp_of(values).empty_like(values)
    out.real = filter1d(values.real, 3, axis=1, output=np.float32, mode="mirror")
    out.imag = filter1d(values.imag, 3, axis=1, output=np.float32, mode="mirror")
    return out


def _ndimage(xp: Any) -> Any:
    if xp is np:
        return scipy.ndimage
    import cupyx.scipy.ndimage

    return cupyx.scipy.ndimage


def _averaged(sinogram: Any, factors: tuple[int, int]) -> Any:
    rows, columns = (n // f for n, f in zip(sinogram.shape, factors, strict=True))
    cut = sinogram[: rows * factors[0], : columns * factors[1]]
    return cut.reshape(rows, factors[0], columns, factors[1]).mean(axis=(1, 3))


def _is_ambiguous(curve: Array, apart: int) -> bool:
    """Whether a curve's minimum is shallow, or lost in scatter, or another one rivals it."""
    best, level = int(np.argmin(curve)), float(np.median(curve))
    depth = level - curve[best]
    # Of a few positions, the minimum itself is what scatters.
    scatter = np.median(np.abs(np.diff(curve, 2))) if curve.size > 8 else 0.0
    if not depth > max(SHALLOW * level, ROUGH * scatter):
        return True
    inner = curve[1:-1]
    low = 1 + np.flatnonzero((inner <= curve[:-2]) & (inner <= curve[2:]))
    others = low[np.abs(low - best) > apart]
    return bool(others.size and level - curve[others].min() > RIVAL * depth)


def _vo_sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return {
        "coarse": _coarse(sizes["u"], parameters["start"], parameters["stop"]).size,
        "fine": _fine(sizes["u"], parameters["step"], parameters["radius"]).size,
    }


def _vo_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    pixels = (sizes["angle"] + 1) * sizes["u"]
    # Smoothed values, four transforms with a copy of one, the weights, and pieces.
    return Memory(0, 60 * pixels + 64 * max(PIECE, sizes["u"]) + 16 * sizes["batch"])


@kernel(
    "(angle,u)->(),(),(),(coarse),(coarse),(fine),(fine)",
    memory=_vo_memory,
    dtype=("float", "flag", "flag", "float", "float", "float", "float"),
    sizes=_vo_sizes,
)
def find_center_vo(
    sinogram: Any,
    *,
    start: float | None = None,
    stop: float | None = None,
    step: float = 0.25,
    radius: float = 4.0,
    ratio: float = 0.5,
) -> Center:
    """(..., angle, u) -> (...), (...), (...), (..., coarse) twice, (..., fine) twice.

    Parameters
    ----------
    sinogram
        Absorbance or transmission over a half circle, in even steps and in order.
    start, stop
        Where the axis may be [index of u]; a sixteenth of the width around the middle where None.
    step
        Of the fine search [pixels].
    radius
        Of the fine search around the best coarse position [pixels].
    ratio
        Width of the sample as a share of that of the sinogram.

    Returns
    -------
    Center
        The axis, whether it can be trusted, and the metric at every position tried.

    Raises
    ------
    ArgumentError
        For values that are not finite, and for positions outside the sinogram.

    References
    ----------
    N. T. Vo, M. Drakopoulos, R. C. Atwood, C. Reinhard, "Reliable method for calculating the
    center of rotation in parallel-beam tomography", Opt. Express 22, 19078 (2014),
    doi:10.1364/OE.22.019078.

    Examples
    --------
    >>> angle, u = np.linspace(0, np.pi, 91)[:, None], np.arange(96)
    >>> where = 50 + 20 * np.cos(angle)
    >>> found = find_center_vo(np.exp(-(((u - where) / 3) ** 2)))
    >>> float(found.center), bool(found.at_edge)
    (50.0, False)
    """
    xp, batch, columns = xp_of(sinogram), sinogram.shape[:-2], sinogram.shape[-1]
    if not ratio > 0:
        raise ArgumentError("the sample has a width", got=f"ratio={ratio}", expected="above 0")
    coarse, fine = _coarse(columns, start, stop), _fine(columns, step, radius)
    shapes = ((), (), (), coarse.shape, coarse.shape, fine.shape, fine.shape)
    contract = contract_of(find_center_vo)
    out = Center(
        *(
            np.empty((*batch, *shape), contract.output_dtype(i, sinogram.dtype))
            for i, shape in enumerate(shapes)
        )
    )
    for index, part in zip(np.ndindex(*batch), each(sinogram, 2), strict=True):
        one = _search(part, coarse, fine, ratio, index)
        for target, value in zip(out, one, strict=True):
            target[index] = value
    return out if xp is np else Center(*(xp.asarray(a) for a in out))


def _search(
    part: Any, coarse: Array, fine: Array, ratio: float, index: tuple[int, ...]
) -> tuple[Any, ...]:
    xp, ndimage = xp_of(part), _ndimage(xp_of(part))
    values = part.astype(np.float32)
    if not bool(xp.isfinite(values).all()):
        raise ArgumentError(
            f"slice {index} has values that are not finite",
            got=f"{int((~xp.isfinite(values)).sum())} of {values.size}",
            do="look for the axis in another slice, or fill them",
        )
    factors = _factors(*part.shape)
    smooth = ndimage.gaussian_filter(values, (3, 1), mode="reflect")
    curve = metric(_averaged(smooth, factors), coarse.astype(float), ratio)
    best = int(np.argmin(curve))
    factor = factors[1]
    last = part.shape[1] - 1.0
    positions = np.clip(coarse[best] * factor + 0.5 * factor + fine, 0.0, last)
    smooth = ndimage.gaussian_filter(values, (2, 2), mode="reflect")
    values = metric(smooth, positions, ratio)
    least = int(np.argmin(values))
    at_edge = best in (0, coarse.size - 1) or least in (0, fine.size - 1)
    # The middle of the pixels that were averaged.
    seen = coarse * factor + 0.5 * (factor - 1)
    ambiguous = _is_ambiguous(curve, 2) or not np.ptp(values) > 0
    return positions[least], at_edge, ambiguous, seen, curve, positions, values
