"""Least squares with some coefficients not negative, for many small systems side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from zeoarray.errors import ArgumentError

Array = np.ndarray[Any, Any]
F = TypeVar("F", bound=Callable[..., Any])

ROUNDS = 10
"""Changes of the active set that are tried for each coefficient, before the search is given up."""
ROUNDING = 1e-11
"""A gradient below this share of the largest moment is none."""


def compiled(function: F) -> F:
    """Compile at the first call, to disk; without the GIL, in one thread."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


@compiled
def passive_solution(gram: Any, moment: Any, passive: Any, factor: Any, out: Any) -> bool:
    """Solve for the coefficients in `passive`, the others being 0; False where it is singular."""
    count = moment.size
    out[:] = 0.0
    for i in range(count):
        if not passive[i]:
            continue
        for j in range(i + 1):
            if not passive[j]:
                continue
            total = gram[i, j]
            for m in range(j):
                if passive[m]:
                    total -= factor[i, m] * factor[j, m]
            if i == j:
                if not total > 0.0:
                    return False
                factor[i, i] = np.sqrt(total)
            else:
                factor[i, j] = total / factor[j, j]
        total = moment[i]
        for m in range(i):
            if passive[m]:
                total -= factor[i, m] * out[m]
        out[i] = total / factor[i, i]
    for i in range(count - 1, -1, -1):
        if not passive[i]:
            continue
        for m in range(i + 1, count):
            if passive[m]:
                out[i] -= factor[m, i] * out[m]
        out[i] /= factor[i, i]
    return True


@compiled
def _feasible(x: Any, trial: Any, passive: Any, bounded: int) -> bool:
    """Go from `x` towards `trial` as far as nothing is negative; what meets the bound leaves."""
    step = 1.0
    for i in range(bounded):
        if passive[i] and trial[i] <= 0.0:
            step = min(step, x[i] / (x[i] - trial[i]) if x[i] > trial[i] else 0.0)
    moved = step < 1.0
    for i in range(x.size):
        x[i] += step * (trial[i] - x[i])
    for i in range(bounded):
        if passive[i] and trial[i] <= 0.0 and x[i] <= 1e-300 + 1e-14 * abs(trial[i]):
            passive[i] = False
            x[i] = 0.0
            moved = True
    return not moved


@compiled
def active_set(gram: Any, moment: Any, bounded: int, x: Any, passive: Any) -> bool:
    """Lawson and Hanson's search on normal equations; the first `bounded` are not negative.

    `x` gets the solution and `passive` the coefficients that are not at their bound. False where
    the system is singular or the search does not end.
    """
    count = moment.size
    factor = np.empty((count, count))
    trial = np.empty(count)
    passive[:] = True
    if not passive_solution(gram, moment, passive, factor, x):
        return False
    # Most often nothing is negative, and all is done.
    fine = True
    for i in range(bounded):
        fine = fine and x[i] >= 0.0
    if fine:
        return True
    x[:] = 0.0
    passive[:bounded] = False
    if bounded < count and not passive_solution(gram, moment, passive, factor, x):
        return False
    scale = np.abs(moment).max()
    for _ in range(ROUNDS * (bounded + 1)):
        best, steepest = -1, ROUNDING * scale
        for i in range(bounded):
            if not passive[i]:
                gradient = moment[i]
                for j in range(count):
                    gradient -= gram[i, j] * x[j]
                if gradient > steepest:
                    best, steepest = i, gradient
        if best < 0:
            return True
        passive[best] = True
        for _ in range(bounded + 1):
            if not passive_solution(gram, moment, passive, factor, trial):
                return False
            if _feasible(x, trial, passive, bounded):
                break
    return False


@compiled
def _each(gram: Any, moment: Any, bounded: int, x: Any, passive: Any) -> int:
    for row in range(len(moment)):
        if not active_set(gram[row], moment[row], bounded, x[row], passive[row]):
            return row
    return -1


def solve(gram: Array, moment: Array, *, bounded: int) -> tuple[Array, Array]:
    r"""(..., term, term), (..., term) -> (..., term), (..., term). Least squares with a bound.

    Minimises :math:`x^T G x / 2 - m^T x` with the first coefficients not negative: for a model
    ``A x = b``, ``G = A.T @ A`` and ``m = A.T @ b``.

    Parameters
    ----------
    gram
        Positive definite matrices.
    moment
        Right-hand sides.
    bounded
        How many coefficients, counted from the first, are not negative; the others are free.

    Returns
    -------
    tuple
        The coefficients, and whether each is at its bound.

    Raises
    ------
    ArgumentError
        For arrays that do not fit, and for a matrix that is not positive definite.

    References
    ----------
    C. L. Lawson, R. J. Hanson, "Solving Least Squares Problems", SIAM 1995,
    doi:10.1137/1.9781611971217; R. Bro, S. de Jong, J. Chemometrics 11, 393 (1997),
    doi:10.1002/(SICI)1099-128X(199709/10)11:5<393::AID-CEM483>3.0.CO;2-L.

    Examples
    --------
    >>> coefficients, bound = solve(np.eye(2), np.array([3.0, -1.0]), bounded=2)
    >>> coefficients.tolist(), bound.tolist()
    ([3.0, 0.0], [False, True])
    """
    gram, moment = np.asarray(gram, float), np.asarray(moment, float)
    terms = moment.shape[-1]
    if gram.shape != (*moment.shape, terms) or not 0 <= bounded <= terms:
        raise ArgumentError(
            "the normal equations do not fit together",
            got=f"matrices {gram.shape}, right-hand sides {moment.shape}, bounded={bounded}",
            expected="(..., term, term), (..., term), and at most as many bounds as terms",
        )
    x = np.empty((int(np.prod(moment.shape[:-1])), terms))
    passive = np.empty(x.shape, bool)
    failed = _each(gram.reshape(-1, terms, terms), moment.reshape(-1, terms), bounded, x, passive)
    if failed >= 0:
        raise ArgumentError(
            "normal equations are singular",
            got=f"system {failed} of {len(x)}",
            expected="positive definite matrices",
            do="leave out terms that are sums of others",
        )
    return x.reshape(moment.shape), ~passive.reshape(moment.shape)
