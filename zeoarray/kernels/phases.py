"""Phase weights: patterns as sums of reference patterns, by generalised least squares.

A pattern is a sum of columns, y = A x: references, whose weights are not negative, and a smooth
background, which is free. The same weights are linear functionals of the pattern where no bound is
met (`functionals`), and so of the frame's counts (`frame_functionals`), whose variance is exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.azimuthal_matrix import IntegrationMatrix
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.phases_loops import (
    backward,
    factorise,
    fit_rows,
    forward,
    weigh,
)

__all__ = ["correlation_of", "fit", "frame_functionals", "functionals", "share"]

Array = np.ndarray[Any, Any]

FLOOR = 0.05
"""Share of a bin's variance that is taken as not correlated, for the weights only."""
SMOOTH = 15
"""Bins over which variances are averaged for the weights."""
ROWS = 16
"""Patterns that are copied into double precision at once."""


def _terms(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    terms = np.shape(parameters["design"])[-2]
    return {"term": terms, "other": terms}


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    bins, terms = sizes["q"], np.shape(parameters["design"])[-2]
    levels = int(np.prod(np.shape(parameters["design"])[:-2], dtype=int))
    band = parameters["correlation"]
    lags = 1 if band is None else np.shape(band)[-1]
    # The designs turned; the whitened model and data, and what is solved and multiplied with it;
    # factor and inverse of the band; patterns and variances of some rows; flags and scales.
    columns = levels * terms + 5 * terms + 3 + 3 * lags + 2 * ROWS + 6
    return Memory(0, 8 * bins * columns + 16 * sizes["batch"] + 64 * terms**2 * ROWS)


@kernel(
    "(q),(q)->(term),(term,other),(),(term)",
    rows={"level": ()},
    memory=_memory,
    sizes=_terms,
    dtype=("float", "float", "float", "flag"),
)
def fit(
    intensity: Any,
    variance: Any,
    *,
    design: Any,
    bounded: int,
    correlation: Any = None,
    level: Any = 0.0,
    floor: float = FLOOR,
    smooth: int = SMOOTH,
) -> tuple[Any, Any, Any, Any]:
    r"""(..., q), (..., q) -> (..., term), (..., term, other), (...), (..., term). Fit patterns.

    Minimises :math:`(y - A x)^T W (y - A x)` with the first `bounded` coefficients not negative.
    W is the inverse of the bins' covariance, but for a floor under its small eigenvalues and
    variances averaged over neighbours (single variances of counts hang on the fluctuation that they
    weigh, which would bias the sum). The covariance of the coefficients is the exact one of these
    weights, :math:`(A^TWA)^{-1} A^TWVWA\,(A^TWA)^{-1}`, of the fit without bound. It is computed on
    the CPU: CuPy arrays are copied there and back.

    Parameters
    ----------
    intensity
        Patterns. Bins that are not finite, or whose variance is not positive, are left out.
    variance
        Of each bin.
    design
        (term, q), the columns of the model; or (level, term, q), several models of which
        neighbours are mixed by `level`.
    bounded
        How many terms, counted from the first, are not negative.
    correlation
        (q, lag), the correlation of each bin with that `lag` bins on, 1 at lag 0; None for
        independent bins.
    level
        Which of several models: 1.25 is three quarters of model 1 and one of model 2.
    floor
        Added to the correlation of a bin with itself, for the weights; only with `correlation`.
    smooth
        Bins over which variances are averaged, for the weights.

    Returns
    -------
    tuple
        Coefficients; their covariance; the residual's square over its expectation (1 where the
        model is right); whether each coefficient is at its bound. NaN where no more bins are left
        than there are terms.

    Raises
    ------
    ArgumentError
        Where the design, the correlation or `level` do not fit, variances are negative, or columns
        of the design are collinear.

    References
    ----------
    A. C. Aitken, Proc. R. Soc. Edinburgh 55, 42 (1936), doi:10.1017/S0370164600014346.

    Examples
    --------
    >>> q = np.linspace(0, 1, 50)
    >>> lines = np.exp(-(((q - np.array([[0.4], [0.5]])) / 0.1) ** 2))
    >>> weight, covariance, chi2, bound = fit(
    ...     2 * lines[0] + lines[1], np.full(50, 0.01), design=lines, bounded=2)
    >>> weight.round(6).tolist(), float(chi2.round(6))
    ([2.0, 1.0], 0.0)
    """
    xp = xp_of(intensity)
    models = _designs(design, intensity.shape[-1])
    levels, terms, bins = models.shape
    if not 0 <= bounded <= terms:
        raise ArgumentError("there are fewer terms than bounds", got=f"{bounded} of {terms}")
    band = _band(correlation, bins)
    ridge = 0.0 if correlation is None else float(floor)
    batch = intensity.shape[:-1]
    at = np.broadcast_to(np.asarray(to_host(level), float), batch).reshape(-1)
    if at.size and not (
        np.nanmin(at) >= 0 and np.nanmax(at) <= levels - 1 and np.isfinite(at).all()
    ):
        raise ArgumentError(
            "there is no such level of the model", got=f"{at.min():g} to {at.max():g}",
            expected=f"0 to {levels - 1}",
        )  # fmt: skip
    turned = np.ascontiguousarray(models.transpose(0, 2, 1))
    contract, dtype = contract_of(fit), intensity.dtype
    shapes = ((terms,), (terms, terms), (), (terms,))
    out = [np.empty((at.size, *s), contract.output_dtype(i, dtype)) for i, s in enumerate(shapes)]
    values = to_host(intensity).reshape(-1, bins)
    spread = np.broadcast_to(to_host(variance), (*batch, bins)).reshape(-1, bins)
    for first in range(0, at.size, ROWS):
        rows = slice(first, first + ROWS)
        pattern, noise = (np.array(a[rows], np.float64) for a in (values, spread))
        if (noise < 0).any():
            raise ArgumentError("a variance is negative", got=f"{noise[noise < 0][0]:g}")
        done = [np.empty((len(pattern), *s), bool if i == 3 else float)
                for i, s in enumerate(shapes)]  # fmt: skip
        failed = fit_rows(pattern, noise, turned, at[rows], band, ridge, int(smooth) // 2,
                          int(bounded), *done)  # fmt: skip
        _check_done(failed, first)
        for target, part in zip(out, done, strict=True):
            target[rows] = part
    results = tuple(xp.asarray(a.reshape(batch + s)) for a, s in zip(out, shapes, strict=True))
    return results[0], results[1], results[2], results[3]


def _check_done(failed: int, first: int) -> None:
    if failed >= 0:
        raise ArgumentError(
            "columns of the model are collinear",
            got=f"pattern {first + failed}, in the bins that it has",
            do="leave out a reference, or make the background less flexible",
        )
    if failed < -1:
        raise ArgumentError(
            "the correlations of bins are not positive definite",
            got=f"pattern {first - 2 - failed}",
            expected="(q, lag) with every lag in which bins share pixels",
            do="take the whole covariance band (xrdct.bin_covariance measures it on a scan), or "
            f"raise the floor, which is {FLOOR} where nothing is said",
        )


def floor_of(correlation: Any, floor: float = FLOOR) -> float:
    """(q, lag) -> least floor, `floor` or that doubled again and again, that `fit` can weigh with.

    A band that was cut off, averaged over geometries or written with other lags need not be a
    covariance. More of a floor costs precision of the weights and nothing else: whatever they are,
    the sum is unbiased, and its covariance is taken of the correlations as they are.

    Parameters
    ----------
    correlation
        As of `fit`.
    floor
        To begin with.

    Examples
    --------
    >>> floor_of(np.array([[1.0, 0.5]] * 9)), floor_of(np.array([[1.0, 0.9]] * 9))
    (0.05, 0.8)
    """
    values = np.asarray(to_host(correlation), np.float64)
    band = _band(values, len(values))
    used, factor = np.ones(len(band), bool), np.zeros(band.shape)
    found = float(floor)
    # With more than every row's other elements it is positive definite.
    enough = 2 * float(np.abs(band[:, 1:]).sum(axis=1).max(initial=0)) + float(
        np.abs(1 - band[:, 0]).max(initial=0)
    )
    while found <= enough and not factorise(band, found, used, factor):
        found = max(2 * found, FLOOR)
    return found


def _designs(design: Any, bins: int) -> Array:
    models = np.asarray(to_host(design), np.float64)
    models = models[None] if models.ndim == 2 else models
    if models.ndim != 3 or models.shape[-1] != bins or 0 in models.shape[:2]:
        raise ArgumentError(
            "the model does not fit the patterns",
            got=f"design {np.shape(design)}, patterns of {bins} bins",
            expected="(term, q) or (level, term, q)",
        )
    if not np.isfinite(models).all():
        raise ArgumentError("the model is not finite in every bin")
    return models


def _band(correlation: Any, bins: int) -> Array:
    if correlation is None:
        return np.ones((bins, 1))
    band = np.ascontiguousarray(to_host(correlation), np.float64)
    if band.ndim != 2 or len(band) != bins or not np.isfinite(band).all():
        raise ArgumentError(
            "the correlations do not fit the patterns",
            got=f"{band.shape}, patterns of {bins} bins",
            expected="(q, lag), finite",
        )
    return band


def _share_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    return Memory(0, 8 * sizes["batch"] * (8 * sizes["phase"] + 2))


def correlation_of(band: Any) -> Array:
    """(..., bin, lag) -> (bin, lag). Mean correlation of bins, from their covariance bands.

    Parameters
    ----------
    band
        From `azimuthal.covariance_band`; bins without variance are not correlated with any.

    Examples
    --------
    >>> correlation_of(np.array([[4.0, 1.0], [1.0, 0.0]])).tolist()
    [[1.0, 0.5], [1.0, 0.0]]
    """
    values = np.asarray(to_host(band), np.float64)
    values = values.reshape(-1, *values.shape[-2:])
    sigma = np.sqrt(values[..., 0])
    bins, lags = (int(n) for n in values.shape[-2:])
    out = np.zeros((bins, lags))
    out[:, 0] = 1.0
    for lag in range(1, lags):
        pair = sigma[:, :-lag] * sigma[:, lag:]
        share = np.divide(values[:, :-lag, lag], pair, out=np.zeros_like(pair), where=pair > 0)
        seen = np.maximum((pair > 0).sum(0), 1)
        out[:-lag, lag] = share.sum(0) / seen
    return out


@kernel("(phase),(phase,other)->(phase),(phase)", memory=_share_memory)
def share(weight: Any, covariance: Any, *, least: float = 0.0) -> tuple[Any, Any]:
    r"""(..., phase), (..., phase, other) -> (..., phase), (..., phase). Fractions and their errors.

    :math:`f_p = w_p / \sum_r w_r`, with the variance :math:`g^T C g`,
    :math:`g_r = (\delta_{pr} - f_p) / \sum w`.

    Parameters
    ----------
    weight
        Of each phase.
    covariance
        Of the weights.
    least
        Where the sum of weights is not above this there is no fraction: NaN.

    Examples
    --------
    >>> fraction, sigma = share(np.array([3.0, 1.0]), np.eye(2))
    >>> fraction.tolist(), sigma.round(3).tolist()
    ([0.75, 0.25], [0.198, 0.198])
    """
    xp = xp_of(weight)
    dtype = contract_of(share).output_dtype(0, weight.dtype)
    values = weight.astype(dtype)
    total = values.sum(axis=-1, keepdims=True)
    total = xp.where(total > least, total, xp.nan)
    fraction = values / total
    row = covariance.sum(axis=-1)
    own = xp.diagonal(covariance, axis1=-2, axis2=-1)
    spread = own - 2 * fraction * row + fraction**2 * row.sum(axis=-1, keepdims=True)
    sigma = xp.sqrt(xp.maximum(spread, 0)) / xp.abs(total)
    return fraction, sigma.astype(dtype)


# --- the same weights as linear functionals -------------------------------------------------------
def functionals(
    variance: Any,
    *,
    design: Any,
    correlation: Any = None,
    floor: float = FLOOR,
    smooth: int = SMOOTH,
) -> Array:
    r"""(q) -> (term, q). Rows f with ``f @ y`` the coefficients that `fit` finds without a bound.

    :math:`F = (A^TWA)^{-1} A^TW`, with the W of `fit`.

    Parameters
    ----------
    variance
        Of each bin of one pattern; where it is not positive a bin is left out (its column is 0).
    design
        (term, q).
    correlation, floor, smooth
        As of `fit`.

    Raises
    ------
    ArgumentError
        As `fit` does.
    """
    spread = np.asarray(to_host(variance), np.float64)
    model = _designs(design, spread.size)[0].T
    band, ridge = _band(correlation, spread.size), 0.0 if correlation is None else float(floor)
    used = np.isfinite(spread) & (spread > 0)
    scale, excess = np.empty(spread.size), np.empty(spread.size)
    weigh(spread, used, int(smooth) // 2, scale, excess)
    factor = np.zeros(band.shape)
    if not factorise(band, ridge, used, factor):
        _check_done(-2, 0)
    white = np.ascontiguousarray(scale[:, None] * model)
    forward(factor, white)
    gram = white.T @ white
    backward(factor, white)
    found: Array = np.linalg.solve(gram, (white * scale[:, None]).T)
    return found


def frame_functionals(rows: Array, matrix: IntegrationMatrix, normalization: Array) -> Array:
    """(term, bin), (bin) -> (term, pixel). What each count of a frame adds to each coefficient.

    With w of a term, its coefficient is ``w @ counts`` and, of Poisson counts, its variance
    ``w**2 @ counts``: exact, with all that bins share.

    Parameters
    ----------
    rows
        From `functionals`, over the bins of `matrix`.
    matrix
        Which share of each pixel falls into which bin.
    normalization
        What the sums of the bins were divided by, with the monitor.
    """
    seen = np.asarray(normalization, float)
    each = np.divide(rows, seen, out=np.zeros_like(rows), where=seen > 0)
    turned: Array = (matrix.sparse(np).T @ each.T).T
    return turned
