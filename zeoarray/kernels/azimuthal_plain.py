"""Azimuthal integration by sparse matrix products, for any array library: CuPy above all."""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.kernels.azimuthal_frames import FAINT, Frames
from zeoarray.kernels.azimuthal_matrix import IntegrationMatrix


def _values(source: Frames, rows: slice) -> tuple[Any, Any, Any]:
    """(frame, pixel). Counts without dark, those as they came, and which are valid."""
    chosen = source.frames[rows]
    xp = xp_of(chosen[0])
    raw = xp.stack(list(chosen)).reshape(len(chosen), -1).astype(np.float64)
    low, top, dummy_low, dummy_high = source.limits
    valid = (raw >= low) & (raw < top) & ~((raw >= dummy_low) & (raw <= dummy_high))
    values = raw
    if source.dark.size:
        values = raw - xp.asarray(source.dark)
        valid &= xp.isfinite(values)
    return values, raw, valid


def batch(
    source: Frames, matrix: IntegrationMatrix, rows: slice, error_model: str | None
) -> tuple[Any, Any, Any]:
    """As the compiled batch of `azimuthal.sums`: signal, normalisation, variance (frame, bin)."""
    values, raw, valid = _values(source, rows)
    xp = xp_of(values)
    shares = matrix.sparse(xp).astype(np.float64)
    squares = shares.multiply(shares).tocsr()
    norm = xp.asarray(matrix.pixel_normalization).astype(np.float64)
    if source.variance is not None:
        given = source.variance[rows]
        spread = xp.stack(list(given)).reshape(values.shape).astype(np.float64)
        valid &= (spread >= 0) & xp.isfinite(spread)
    values = xp.where(valid, values, 0)
    signal = (shares @ values.T).T
    full = xp.asarray(matrix.normalization)
    left = (shares @ (valid * norm).T).T
    left = xp.where(left <= FAINT * full, 0, left)
    factor = xp.asarray(source.factor[rows])[:, None]
    if error_model is None:
        return signal, left * factor, xp.broadcast_to(xp.asarray(np.nan), left.shape)
    if error_model == "azimuthal":
        mean = xp.where(left > 0, signal / xp.where(left > 0, left, 1), 0)
        share = valid * norm
        variance = (
            (squares @ (values**2).T).T
            - 2 * mean * (squares @ (values * share).T).T
            + mean**2 * (squares @ (share**2).T).T
        )
        return signal, left * factor, xp.maximum(variance, 0)
    if error_model == "poisson":
        spread = xp.maximum(raw, 1)
    return signal, left * factor, (squares @ xp.where(valid, spread, 0).T).T


def band(source: Frames, matrix: IntegrationMatrix, rows: slice, count: int, poisson: bool) -> Any:
    """As the compiled band of `azimuthal.covariance_band`: (frame, bin, lag)."""
    values, raw, valid = _values(source, rows)
    xp = xp_of(values)
    values = xp.where(valid, xp.maximum(raw, 1) if poisson else raw, 0)
    shares = matrix.sparse(xp).astype(np.float64)
    out = xp.zeros((len(values), matrix.bins, count))
    for lag in range(min(count, matrix.bins)):
        both = shares[: matrix.bins - lag].multiply(shares[lag:]).tocsr()
        out[:, : matrix.bins - lag, lag] = (both @ values.T).T
    return out
