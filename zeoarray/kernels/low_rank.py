"""Patterns brought to what a few curves can make, and which curves, by singular values."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import cholesky_banded, eigh

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.phases import floor_of

__all__ = ["basis_of", "correlated", "edge_of", "project", "variance"]

Array = np.ndarray[Any, Any]

ROWS = 64
"""Patterns that go through at once."""


def basis_of(white: Array) -> tuple[Array, Array]:
    """(pattern, bin) -> (component, bin), (component). Right singular vectors and their values.

    Parameters
    ----------
    white
        Patterns over the standard error of each bin.

    Examples
    --------
    >>> basis, values = basis_of(np.array([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))
    >>> values.tolist(), np.abs(basis).tolist()
    ([3.0, 2.0], [[1.0, 0.0], [0.0, 1.0]])
    """
    _, values, basis = np.linalg.svd(white, full_matrices=False)
    # Of either sign: the one whose sum is positive.
    return basis * np.where(basis.sum(axis=1) < 0, -1.0, 1.0)[:, None], values


def correlated(rng: np.random.Generator, rows: int, band: Array) -> Array:
    """(bin, lag) -> (row, bin). Normal numbers of variance 1 that correlate as `band` says.

    Parameters
    ----------
    rng
        They are drawn from.
    rows
        How many.
    band
        Correlation of each bin with that `lag` bins on. Of a band that was cut off the diagonal is
        raised until it is a covariance, and variances brought back to 1.
    """
    floor = floor_of(band, 0.0)
    lower = np.array(band.T, np.float64)
    lower[0] += floor
    factor = cholesky_banded(lower / (1 + floor), lower=True)
    drawn = rng.normal(size=(rows, len(band)))
    out: Array = drawn * factor[0]
    for lag in range(1, len(factor)):
        out[:, lag:] += drawn[:, :-lag] * factor[lag, :-lag]
    return out


def edge_of(sigma: Array, *, seed: int, band: Array | None = None) -> float:
    """(pattern, bin) -> the singular value below which a component is better left out.

    The greatest singular value of noise with these standard errors, from a draw, times the ratio
    of the best hard threshold to the edge of noise, which is 1.15 for a square.

    Parameters
    ----------
    sigma
        Standard error of each bin, over what patterns are divided by.
    seed
        Of the draw.
    band
        (bin, lag) Correlation of neighbouring bins; None for independent ones.

    References
    ----------
    M. Gavish, D. L. Donoho, IEEE Trans. Inf. Theory 60, 5040 (2014),
    doi:10.1109/TIT.2014.2323359.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=sigma.shape) if band is None else correlated(rng, len(sigma), band)
    noise = sigma * drawn
    small = noise if noise.shape[0] <= noise.shape[1] else noise.T
    last = len(small) - 1
    top = eigh(small @ small.T, eigvals_only=True, subset_by_index=(last, last))[0]
    beta = small.shape[0] / small.shape[1]
    best = np.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + np.sqrt(beta**2 + 14 * beta + 1)))
    return float(np.sqrt(max(top, 0.0)) * best / (1 + np.sqrt(beta)))


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    terms = len(parameters["basis"])
    # Curves in both metrics; some rows in double precision, before and after.
    return Memory(0, 8 * sizes["q"] * (3 * terms + 3 * ROWS + 6) + 8 * ROWS * terms)


def _pair_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    terms = len(parameters["basis"])
    pairs = terms * (terms + 1) // 2
    return Memory(0, 8 * sizes["q"] * (5 * pairs + 3 * ROWS + 6) + 8 * ROWS * pairs)


@kernel("(q)->(q)", memory=_memory)
def project(values: Any, *, basis: Any, scale: Any) -> Any:
    r"""(..., q) -> (..., q). The sum of curves that is nearest to each pattern.

    :math:`y = s\,V V^T (x / s)`. Computed on the CPU: CuPy arrays are copied there and back.

    Parameters
    ----------
    values
        Patterns; one with a bin that is not finite, of those with a scale, becomes NaN.
    basis
        (component, q) V, orthonormal.
    scale
        (q) s; bins without one (0) stay as they are.

    Raises
    ------
    ArgumentError
        Where the basis does not fit.
    """
    curves, own = _basis(basis, scale, values.shape[-1])
    used = own > 0
    left = np.divide(curves, own, out=np.zeros_like(curves), where=used).T
    right = curves * own
    return _through(values, used, left, right, contract_of(project).output_dtype(0, values.dtype))


@kernel("(q)->(q)", memory=_pair_memory)
def variance(values: Any, *, basis: Any, scale: Any) -> Any:
    r"""(..., q) -> (..., q). Variance of what `project` gives, of that of its bins.

    :math:`s_q^2 \sum_{ij} V_{iq} V_{jq} \sum_r V_{ir} V_{jr} v_r / s_r^2`: exact where bins have
    independent errors and the basis is taken for known.

    Parameters
    ----------
    values
        v, the variance of each bin.
    basis, scale
        As of `project`.

    Raises
    ------
    ArgumentError
        Where the basis does not fit.
    """
    curves, own = _basis(basis, scale, values.shape[-1])
    used = own > 0
    one, other = np.triu_indices(len(curves))
    right = curves[one] * curves[other]
    left = np.divide(right, own**2, out=np.zeros_like(right), where=used).T
    right = np.where(one == other, 1.0, 2.0)[:, None] * right * own**2
    return _through(values, used, left, right, contract_of(variance).output_dtype(0, values.dtype))


def _through(values: Any, used: Array, left: Array, right: Array, kind: np.dtype[Any]) -> Any:
    """Rows times both matrices; bins that are not used stay."""
    bins = values.shape[-1]
    flat = to_host(values).reshape(-1, bins)
    out = np.empty(flat.shape, kind)
    for first in range(0, len(flat), ROWS):
        rows = slice(first, first + ROWS)
        some = np.where(used, flat[rows], 0.0).astype(np.float64, copy=False)
        out[rows] = (some @ left) @ right
    out[:, ~used] = flat[:, ~used]
    return xp_of(values).asarray(out.reshape(values.shape))


def _basis(basis: Any, scale: Any, bins: int) -> tuple[Array, Array]:
    curves, own = (np.asarray(to_host(a), np.float64) for a in (basis, scale))
    if curves.ndim != 2 or curves.shape[1] != bins or own.shape != (bins,) or not len(curves):
        raise ArgumentError(
            "the basis does not fit the patterns",
            got=f"basis {curves.shape}, scale {own.shape}, patterns of {bins} bins",
            expected="(component, q) and (q)",
        )
    if not (np.isfinite(curves).all() and np.isfinite(own).all() and (own >= 0).all()):
        raise ArgumentError("the basis is not finite, or its scale is negative")
    return curves, own
