"""Counts to transmission, by flats interpolated in time; and -log.

A pixel whose flat is no brighter than its dark says nothing. Such pixels are left out, and filled
from the nearest usable ones of the same row, so that no Inf or NaN comes out; `usable` says which
they are.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from zeoarray.backend import PIECE, pieces, to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel

FAINT = 1e-4
"""A pixel is usable where its flat is above its dark by more than this share of its row's mean."""


def _base(flat: Any, dark: Any, dtype: Any) -> tuple[Any, Any]:
    """Flat minus dark, with 1 where a pixel is not usable; and where it is."""
    xp = xp_of(flat, dark)
    with np.errstate(invalid="ignore", over="ignore"):
        base = xp.subtract(flat, dark[..., None, :, :], dtype=dtype)
        row = xp.where(xp.isfinite(base) & (base > 0), base, 0).mean(axis=-1, keepdims=True)
    good = (xp.isfinite(base) & (base > 0) & (base > FAINT * row)).all(axis=-3)
    base[~xp.broadcast_to(good[..., None, :, :], base.shape)] = 1
    return base, good


def _usable_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    return Memory(0, 12 * sizes["batch"] * sizes["set"] * sizes["z"] * sizes["u"])


@kernel("(set,z,u),(z,u)->(z,u)", halo={"z": 0}, memory=_usable_memory, dtype="flag")
def usable(flat: Any, dark: Any) -> Any:
    """(..., set, z, u), (..., z, u) -> (..., z, u). Pixels whose flats are brighter than the dark.

    True where flat - dark is finite and above 1e-4 of its row's mean, in every set.

    Parameters
    ----------
    flat
        Average flat of each set.
    dark
        Average dark.

    Examples
    --------
    >>> usable(np.array([[[9.0, 1.0, 9.0]]]), np.array([[1.0, 1.0, 1.0]]))
    array([[ True, False,  True]])
    """
    return _base(flat, dark, contract_of(transmission).output_dtype(0, flat.dtype))[1]


def _transmission_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    frame = sizes["z"] * sizes["u"]
    base = _usable_memory(sizes, parameters, threads).block + 8 * frame * sizes["batch"]
    piece = max(PIECE, frame) * 16
    return Memory(0, base + piece)


@kernel(
    "(angle,z,u),(set,z,u),(z,u),(angle),(angle)->(angle,z,u)",
    halo={"angle": 0, "z": 0},
    memory=_transmission_memory,
)
def transmission(
    counts: Any,
    flat: Any,
    dark: Any,
    position: Any,
    scale: Any = 1.0,
    *,
    bounds: tuple[float, float] | None = None,
) -> Any:
    """(..., angle, z, u), (..., set, z, u), (..., z, u), 2 (..., angle) -> (..., angle, z, u).

    T = scale (counts - dark) / (flat - dark), the flat interpolated linearly between two sets.
    Pixels that are not `usable`, and values that are not finite, are interpolated along u from
    their nearest neighbours; a row without any is 1. So every value is finite. Values below 0 and
    above 1 are noise, and are kept, unless `bounds` are given.

    Parameters
    ----------
    counts
        Projections.
    flat
        Average flat of each set.
    dark
        Average dark.
    position
        Where each projection lies between the sets: see `references.positions`.
    scale
        What each projection is multiplied by: see `references.factors`.
    bounds
        Least and greatest transmission; what lies outside is set to the nearer of them.

    Raises
    ------
    ArgumentError
        For bounds that are not finite or not in order.

    References
    ----------
    A. C. Kak, M. Slaney, "Principles of Computerized Tomographic Imaging", SIAM (2001),
    doi:10.1137/1.9780898719277, section 4.1.

    Examples
    --------
    >>> counts = np.array([[[6, 8, 0]]], "uint16")
    >>> flat, dark = np.array([[[10.0, 10.0, 0.0]]]), np.array([[2.0, 2.0, 2.0]])
    >>> transmission(counts, flat, dark, np.zeros(1))
    array([[[0.5 , 0.75, 0.75]]], dtype=float32)
    """
    xp = xp_of(counts, flat, dark, position)
    low, high = _limits(bounds)
    dtype = contract_of(transmission).output_dtype(0, counts.dtype)
    base, good = _base(flat, dark, dtype)
    level = xp.where(good, dark, 0).astype(dtype)
    factor = xp.asarray(scale, dtype) * xp.ones(counts.shape[-3], dtype)
    arrays = ((counts, 3), (base, 3), (level, 2), (position, 1), (good, 2), (factor, 1))
    batch = np.broadcast_shapes(*(a.shape[: a.ndim - n] for a, n in arrays))
    parts = [xp.broadcast_to(a, batch + a.shape[a.ndim - n :]) for a, n in arrays]
    out = xp.empty(batch + counts.shape[-3:], dtype)
    for index in np.ndindex(*batch):
        raw, above, below, place, known, times = (part[index] for part in parts)
        with np.errstate(all="ignore"):
            finite = _divide(raw, above, below, place, out[index], times, (low, high))
        _mend(out[index], known, finite=finite, empty=min(max(1.0, low), high))
    return out


def _limits(bounds: tuple[float, float] | None) -> tuple[float, float]:
    low, high = bounds if bounds is not None else (-np.inf, np.inf)
    if bounds is not None and not -np.inf < low < high < np.inf:
        raise ArgumentError(
            "the bounds of transmission are two finite numbers in ascending order",
            got=f"bounds={bounds}",
            expected="for example (0, 1.5)",
        )
    return low, high


def _divide(
    counts: Any,
    base: Any,
    dark: Any,
    position: Any,
    out: Any,
    scale: Any,
    bounds: tuple[float, float],
) -> bool:
    """Fill `out`, and return whether every value of it is surely finite."""
    xp = xp_of(counts, base)
    last = base.shape[0] - 1
    place = to_host(position).clip(0, last)
    lower = np.minimum(place.astype(int), max(last - 1, 0))
    weight = xp.asarray(place - lower, out.dtype)[:, None, None]
    scaled, held = bool((scale != 1).any()), bounds != (-np.inf, np.inf)
    finite = True
    edges = [0, *(np.flatnonzero(np.diff(lower)) + 1).tolist(), lower.size]
    for start, stop in itertools.pairwise(edges):
        step = base[lower[start] + 1] - base[lower[start]] if last else None
        for part in pieces(out[start:stop], keep=1):
            # (angles,) or, where one frame is large, (angle, rows of it).
            run, rows = part if len(part) > 1 else (*part, slice(None))
            piece = out[start:stop][run, rows]
            xp.subtract(counts[start:stop][run, rows], dark[rows], out=piece, dtype=out.dtype)
            if step is None:
                piece /= base[0, rows]
            else:
                below = weight[start:stop][run] * step[rows]
                below += base[lower[start], rows]
                piece /= below
            if scaled:
                piece *= scale[start:stop][run][..., None, None]
            if held:
                xp.clip(piece, *bounds, out=piece)
            # Where a sum is finite its terms are, and no mask is made to know it.
            finite = finite and bool(xp.isfinite(piece.sum()))
    return finite


def _mend(out: Any, good: Any, *, finite: bool, empty: float) -> None:
    """Fill pixels that are not `good`, then (unless all are `finite`) what is not finite.

    A row without anything to fill it from is `empty`.
    """
    xp = xp_of(out)
    column = xp.arange(good.shape[-1])
    for j in np.flatnonzero(to_host(~good.all(axis=-1))):
        for (part,) in pieces(out[:, j], keep=1):
            _fill(out[part, j], column[good[j]], column[~good[j]], empty)
    if finite:
        return
    for (part,) in pieces(out, keep=2):
        known = xp.isfinite(out[part])
        for i, j in np.argwhere(to_host(~known.all(axis=-1))):
            _fill(out[part][i, j : j + 1], column[known[i, j]], column[~known[i, j]], empty)


def _fill(rows: Any, have: Any, gaps: Any, empty: float) -> None:
    """(n, u): interpolate the columns `gaps` from the columns they lie between."""
    xp = xp_of(rows)
    if not have.size:
        rows[:] = empty
        return
    after = xp.searchsorted(have, gaps)
    left = have[xp.maximum(after - 1, 0)]
    right = have[xp.minimum(after, have.size - 1)]
    weight = ((gaps - left) / xp.maximum(right - left, 1)).astype(rows.dtype).clip(0, 1)
    with np.errstate(invalid="ignore"):  # where a neighbour is Inf, the second filling follows
        rows[:, gaps] = rows[:, left] * (1 - weight) + rows[:, right] * weight


def _log_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    return Memory(0, 4 * max(PIECE, sizes["u"]) + 8 * sizes["batch"])


@kernel("(u)->(u),()", memory=_log_memory)
def minus_log(ratio: Any, *, floor: float = 1e-5) -> tuple[Any, Any]:
    """(..., u) -> (..., u), (...). The absorbance -log(T), and the share of each row clipped.

    T is held between `floor` and 1 / `floor`; NaN counts as `floor`. So every value is finite.

    Parameters
    ----------
    ratio
        Transmission.
    floor
        The least transmission believed. The default is under one count of a 16-bit camera.

    Raises
    ------
    ArgumentError
        For a floor that is not between 0 and 1.

    Examples
    --------
    >>> absorbance, clipped = minus_log(np.array([1.0, 0.5, 0.0, 2.0]))
    >>> absorbance.round(3).tolist(), float(clipped)
    ([0.0, 0.693, 11.513, -0.693], 0.25)
    """
    if not 0 < floor < 1:
        raise ArgumentError("the least transmission lies between 0 and 1", got=f"floor={floor}")
    xp = xp_of(ratio)
    dtype = contract_of(minus_log).output_dtype(0, ratio.dtype)
    out = xp.empty(ratio.shape, dtype)
    clipped = xp.empty(ratio.shape[:-1], dtype)
    low, high = dtype.type(floor), dtype.type(1 / floor)
    for part in pieces(ratio):
        piece = xp.fmax(ratio[part], low, out=out[part], dtype=dtype)
        xp.minimum(piece, high, out=piece)
        inside = (piece > low) & (piece < high)
        clipped[part] = 1 - xp.count_nonzero(inside, axis=-1) / max(ratio.shape[-1], 1)
        xp.log(piece, out=piece)
        xp.subtract(0, piece, out=piece)
    return out, clipped


def _air_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    # The piece as floats, its air, whether it is lit, the quotient; positions of a line.
    return Memory(0, 17 * max(PIECE, sizes["u"]) + 16 * sizes["u"] + 16 * sizes["batch"])


@kernel("(u)->(u)", memory=_air_memory)
def over_air(lines: Any, *, margin: int) -> Any:
    """(..., u) -> (..., u). Lines over their air: straight from one end of each to the other.

    Where there is no beam in the air, the result is 0.

    Parameters
    ----------
    lines
        Intensity along lines that begin and end beside the sample.
    margin
        Positions at each end that are in air; their mean is the air at their middle.

    Raises
    ------
    ArgumentError
        For a margin that leaves nothing between both ends.

    Examples
    --------
    >>> over_air(np.array([4.0, 4.0, 1.0, 6.0, 6.0]), margin=2).round(3).tolist()
    [1.091, 0.923, 0.2, 1.059, 0.947]
    """
    size = lines.shape[-1]
    if not 1 <= margin <= max((size - 1) // 2, 0):
        raise ArgumentError(
            "the air at both ends leaves no sample between them",
            got=f"margin {margin}, {size} positions",
            expected=f"1 to {max((size - 1) // 2, 0)}",
        )
    xp = xp_of(lines)
    dtype = contract_of(over_air).output_dtype(0, lines.dtype)
    out = xp.empty(lines.shape, dtype)
    first, last = (margin - 1) / 2, size - 1 - (margin - 1) / 2
    share = ((xp.arange(size) - first) / (last - first)).astype(dtype)
    for part in pieces(lines):
        piece = lines[part].astype(dtype, copy=False)
        left = piece[..., :margin].mean(axis=-1, keepdims=True)
        right = piece[..., size - margin :].mean(axis=-1, keepdims=True)
        air = left + (right - left) * share
        lit = air > 0
        out[part] = xp.where(lit, piece, 0) / xp.where(lit, air, 1)
    return out
