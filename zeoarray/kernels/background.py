"""What does not come from the sample taken out of diffraction sinograms; projections made equal.

Outer positions of a projection see air, or air and capillary, and no sample. What they measure is
either the background itself, or says how strong a known background is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel

Array = np.ndarray[Any, Any]


def outer(valid: Any, count: int) -> Array:
    """(..., u) -> (..., u). The first and the last `count` positions that were measured.

    Examples
    --------
    >>> outer(np.array([0, 1, 1, 1, 1, 1]), 1).astype(int).tolist()
    [0, 1, 0, 0, 0, 1]
    """
    flags = np.asarray(to_host(valid)).astype(bool)
    rank = np.cumsum(flags, axis=-1)
    last = rank[..., -1:] - rank < count
    out: Array = flags & ((rank <= count) | last)
    return out


def _rows(values: Any, flags: Array, dims: int) -> Iterator[tuple[Any, Array]]:
    """Index of each batch row of `values`, and its flags."""
    batch = values.shape[:-dims]
    spread = np.broadcast_to(flags, (*batch, *flags.shape[flags.ndim - (dims - 1) :]))
    for index in np.ndindex(*batch):
        yield index, spread[index]


def _outer_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    # Outer rows of one projection as they are and in double precision, and a row's result.
    rows = min(2 * int(parameters["count"]), sizes["u"])
    return Memory(
        0, sizes["q"] * (12 * rows + 32) + 4 * sizes["u"] * sizes["q"] + 24 * sizes["u"] + 1024
    )


@kernel("(u,q),(u)->(u,q)", halo={"q": 0}, memory=_outer_memory)
def subtract_outer(values: Any, valid: Any, *, count: int) -> Any:
    """(..., u, q), (..., u) -> (..., u, q). Less the mean pattern of the outer positions.

    x_u - (1 / n) sum_o x_o, over the first and last `count` valid positions o.

    Parameters
    ----------
    values
        Intensity.
    valid
        Which positions were measured. A projection without any becomes NaN.
    count
        Positions on either side that see no sample.
    """
    xp, kind = xp_of(values), contract_of(subtract_outer).output_dtype(0, values.dtype)
    out = xp.empty(values.shape, kind)
    for index, flags in _rows(values, outer(valid, count), 2):
        level = _mean(values[index], flags, xp)
        xp.subtract(values[index], level.astype(kind), out=out[index])
    return out


def _mean(values: Any, flags: Array, xp: Any) -> Any:
    if not flags.any():
        return xp.full(values.shape[-1], np.nan)
    return values[xp.asarray(flags)].mean(axis=0, dtype=np.float64)


@kernel("(u,q),(u)->(u,q)", halo={"q": 0}, memory=_outer_memory)
def outer_variance(variance: Any, valid: Any, *, count: int) -> Any:
    """(..., u, q), (..., u) -> (..., u, q). Variance of what `subtract_outer` gives.

    V_u + sum_o V_o / n^2; for an outer position itself, V_u (1 - 2 / n) + sum_o V_o / n^2.

    Parameters
    ----------
    variance
        Of the intensity; positions are independent of each other.
    valid
        Which positions were measured.
    count
        Positions on either side.
    """
    xp, kind = xp_of(variance), contract_of(outer_variance).output_dtype(0, variance.dtype)
    out = xp.empty(variance.shape, kind)
    for index, flags in _rows(variance, outer(valid, count), 2):
        number = max(int(flags.sum()), 1)
        shared = (_mean(variance[index], flags, xp) / number).astype(kind)
        own = np.where(flags, 1 - 2 / number, 1.0).astype(kind)
        xp.multiply(variance[index], xp.asarray(own)[:, None], out=out[index])
        out[index] += shared
    return out


def _scale_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    rows = min(2 * int(parameters["count"]), sizes["u"])
    return Memory(0, sizes["q"] * (8 * rows + 48) + 24 * sizes["u"] + 1024)


@kernel("(u,q),(u),(q)->()", memory=_scale_memory)
def pattern_scale(values: Any, valid: Any, pattern: Any, *, count: int) -> Any:
    """(..., u, q), (..., u), (q) -> (...). How strong a known pattern is in the outer positions.

    Least squares: sum_q m_q p_q / sum_q p_q^2, with m the mean of the outer positions, over the q
    at which both are finite. NaN where nothing was measured.

    Parameters
    ----------
    values
        Intensity.
    valid
        Which positions were measured.
    pattern
        The background's.
    count
        Positions on either side that see no sample.
    """
    xp, kind = xp_of(values), contract_of(pattern_scale).output_dtype(0, values.dtype)
    out = xp.full(values.shape[:-2], np.nan, kind)
    for index, flags in _rows(values, outer(valid, count), 2):
        level = _mean(values[index], flags, xp)
        good = xp.isfinite(level) & xp.isfinite(pattern)
        at = xp.asarray(pattern, np.float64)[good]
        power = float(at @ at)
        if flags.any() and power > 0:
            out[index] = float(level[good] @ at) / power
    return out


def _pattern_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    # The pattern in the dtype of the values, and broadcast.
    return Memory(0, 8 * sizes["q"])


@kernel("(q),(q),()->(q)", halo={"q": 0}, memory=_pattern_memory)
def subtract_pattern(values: Any, pattern: Any, scale: Any) -> Any:
    """(..., q), (..., q), (...) -> (..., q). Less `scale` times a pattern.

    Parameters
    ----------
    values
        Intensity.
    pattern
        What is subtracted.
    scale
        Of the pattern; negative to add it.
    """
    xp, kind = xp_of(values), contract_of(subtract_pattern).output_dtype(0, values.dtype)
    shape = np.broadcast_shapes(values.shape, pattern.shape, (*np.shape(scale), 1))
    out = xp.empty(shape, kind)
    xp.multiply(
        xp.asarray(pattern).astype(kind), xp.asarray(scale).astype(kind)[..., None], out=out
    )
    return xp.subtract(values, out, out=out)


@kernel("(q),()->(q)", halo={"q": 0})
def scaled(values: Any, scale: Any) -> Any:
    """(..., q), (...) -> (..., q). Patterns times a number each; where that is NaN, as they are.

    Parameters
    ----------
    values
        Intensity or variance.
    scale
        What each pattern is multiplied by.
    """
    xp, kind = xp_of(values), contract_of(scaled).output_dtype(0, values.dtype)
    factor = xp.asarray(scale, kind)
    factor = xp.where(xp.isnan(factor), kind.type(1), factor)
    shape = np.broadcast_shapes(values.shape, (*factor.shape, 1))
    return xp.multiply(values, factor[..., None], out=xp.empty(shape, kind))


def _sum_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    points = sizes["angle"] * sizes["u"]
    return Memory(0, 14 * sizes["q"] + 64 * points + 64 * sizes["angle"] + 2048)


@kernel("(angle,u,q),(angle,u)->(angle)", memory=_sum_memory)
def sum_scale(values: Any, valid: Any) -> Any:
    """(..., angle, u, q), (..., angle, u) -> (..., angle). Factors that make all sums equal.

    A parallel beam that passes over the whole sample meets all of it at every angle, so the sum
    over u and q does not hang on the angle. The factor is the median of these sums over each.
    Positions that were not measured are interpolated along u for it; bins that are not finite
    everywhere do not count. NaN for a projection of which less than half was measured, and where
    the sum is not above 0.

    Parameters
    ----------
    values
        Intensity less background.
    valid
        Which positions were measured.
    """
    xp, kind = xp_of(values), contract_of(sum_scale).output_dtype(0, values.dtype)
    out = xp.full(values.shape[:-2], np.nan, kind)
    given = np.asarray(to_host(valid)).astype(bool)
    for index, flags in _rows(values, given, 3):
        profile = _profile(values[index], flags, xp)
        total = np.full(flags.shape[0], np.nan)
        u = np.arange(flags.shape[1])
        for i, row in enumerate(flags):
            if 2 * row.sum() >= row.size and row.any():
                total[i] = np.interp(u, u[row], profile[i][row]).sum()
        good = total > 0
        if good.any():
            total[~good] = np.nan
            out[index] = xp.asarray(np.nanmedian(total) / total)
    return out


def _profile(values: Any, flags: Array, xp: Any) -> Array:
    """(angle, u) Sums over the bins that are finite at every point that was measured."""
    finite = xp.ones(values.shape[-1], bool)
    for i, k in zip(*np.nonzero(flags), strict=True):
        finite &= xp.isfinite(values[i, k])
    out = np.zeros(flags.shape)
    for i, k in zip(*np.nonzero(flags), strict=True):
        out[i, k] = float(xp.sum(values[i, k], where=finite, dtype=np.float64))
    return out
