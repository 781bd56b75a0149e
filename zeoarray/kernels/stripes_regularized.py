"""Stripes out of sinograms by offsets of columns: the regularised method of Titarenko et al.

S. Titarenko, V. Titarenko, A. Kyrieleis, P. J. Withers, "A ring artifact suppression algorithm
based on a priori information", Appl. Phys. Lett. 95 (2009) 071113, doi:10.1063/1.3216041, and
"A priori information in a regularized sinogram-based method for removing ring artefacts in
tomography", J. Synchrotron Rad. 17 (2010) 540; with F. De Carlo, Opt. Express 18 (2010) 22775.
Each column has an offset that is the same at all angles; without it the mean over angles is smooth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import solveh_banded

from zeoarray.backend import pieces, to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels import stripes
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel

LEAST = 1e-12
"""With less, the equations are no more independent than rounding leaves them."""


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    # One sinogram in float32, where it is not, and a few numbers for each column.
    return Memory(0, 4 * sizes["angle"] * sizes["u"] + 96 * sizes["u"])


@kernel("(angle,u)->(angle,u)", memory=_memory)
def remove_stripe_based_regularization(sinogram: Any, *, alpha: float = 0.005) -> Any:
    """(..., angle, u) -> (..., angle, u). Full stripes out: one offset for each column.

    The offsets q(u) minimise sum (m(u + 1) + q(u + 1) - m(u) - q(u))^2 + alpha sum q(u)^2, where m
    is the mean over angles: (D'D + alpha) q = -D'D m, with as many equations as columns.

    Parameters
    ----------
    sinogram
        Absorbance, where offsets are what a wrong gain makes; or transmission, where they are not
        quite.
    alpha
        How much an offset counts beside a step of the mean. Smaller removes more: all that is
        narrower than about 1 / sqrt(alpha) columns.

    Raises
    ------
    ArgumentError
        For values that are not finite real numbers, and an alpha below 1e-12.

    References
    ----------
    doi:10.1063/1.3216041, doi:10.1364/OE.18.022775. The default is that of Savu's
    RingRemovalRegularization; algotom's is 0.0005. Theirs is the closed form of
    doi:10.1016/j.aml.2010.08.022 with indices that begin at 0 where it has 1: not the least sum,
    offsets that differ by about sqrt(alpha) of the largest.

    Examples
    --------
    >>> stripe = np.ones((4, 5)) * [1, 1, 2, 1, 1]
    >>> remove_stripe_based_regularization(stripe, alpha=1e-6)[0].round(4)
    array([1.2, 1.2, 1.2, 1.2, 1.2])
    """
    if not LEAST <= alpha < np.inf:
        raise ArgumentError(
            f"the weight of the offsets is a number of at least {LEAST:g}",
            got=f"alpha={alpha}",
            expected="about 0.0005 (strong) to 0.05",
        )

    def one(work: Any) -> None:
        work += xp_of(work).asarray(_offsets(_mean(work), alpha), dtype=np.float32)

    return stripes.each(contract_of(remove_stripe_based_regularization), sinogram, one)


def _mean(work: Any) -> np.ndarray:
    """Mean over the angle, in double precision."""
    total = xp_of(work).zeros(work.shape[1])
    for (part,) in pieces(work):
        total += work[part].sum(axis=0, dtype=np.float64)
    return to_host(total) / len(work)


def _offsets(mean: np.ndarray, alpha: float) -> np.ndarray:
    if mean.size < 2:
        return np.zeros(mean.size)
    bands = np.zeros((2, mean.size))
    bands[0, 1:] = -1
    bands[1] = alpha + 2
    bands[1, 0] -= 1
    bands[1, -1] -= 1
    steps = np.diff(mean, prepend=mean[:1], append=mean[-1:])
    # -D'D m is the second difference of m, whose ends go on as they are.
    return np.asarray(solveh_banded(bands, np.diff(steps)))
