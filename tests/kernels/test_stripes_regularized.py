"""Stripes out by one offset for each column: against dense algebra, a closed form and algotom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.kernels.stripes_regularized import remove_stripe_based_regularization

Array = np.ndarray[Any, Any]
ALPHAS = pytest.mark.parametrize("alpha", [5e-4, 0.005, 0.05])


def sinogram(width: int = 200) -> Array:
    rng = np.random.default_rng(2)
    place = (np.arange(width) - width / 2) / (0.4 * width)
    values = rng.normal(1, 0.1, (50, width)) + np.sqrt(np.clip(1 - place**2, 0, None))
    values[:, width // 5] += 1
    values[:, width // 2 : width // 2 + 3] -= 0.5
    return values


@ALPHAS
def test_offsets_are_those_of_the_least_sum(alpha: float) -> None:
    values = sinogram()
    mean, size = values.mean(axis=0), values.shape[1]
    steps = np.diff(np.eye(size), axis=0)
    dense = np.linalg.lstsq(
        np.concatenate([steps, np.sqrt(alpha) * np.eye(size)]),
        np.concatenate([-steps @ mean, np.zeros(size)]),
        rcond=None,
    )[0]
    added = remove_stripe_based_regularization(values, alpha=alpha) - values
    np.testing.assert_allclose(added, np.tile(dense, (50, 1)), atol=1e-5)
    # The closed form: with reflections at both ends, from column to column.
    tau, i = 2 * np.arcsinh(np.sqrt(alpha) / 2), np.arange(size)
    near, far = np.abs(i[:, None] - i), i[:, None] + i
    inverse = np.cosh((size - near) * tau) + np.cosh((size - 1 - far) * tau)
    inverse /= 2 * np.sinh(tau) * np.sinh(size * tau)
    np.testing.assert_allclose(dense, -inverse @ steps.T @ steps @ mean, atol=1e-9)


@ALPHAS
def test_algotom_is_near(alpha: float) -> None:
    removal = pytest.importorskip("algotom.prep.removal")
    values = sinogram()
    theirs = removal.remove_stripe_based_regularization(
        values, alpha=alpha, apply_log=False, sort=False
    )
    mine, other = remove_stripe_based_regularization(values, alpha=alpha) - values, theirs - values
    share = abs(mine - other).max() / abs(mine).max()
    # Its closed form counts columns from 0 where the paper counts from 1.
    assert 0.5 * np.sqrt(alpha) < share < 1.5 * np.sqrt(alpha)

    def total(offsets: Array) -> float:
        whole = np.diff(values.mean(axis=0) + offsets[0])
        return float((whole**2).sum() + alpha * (offsets[0] ** 2).sum())

    assert total(mine) < total(other)


def test_small_alpha_leaves_no_stripe_and_a_large_one_all() -> None:
    values = sinogram()
    strong = remove_stripe_based_regularization(values, alpha=1e-9).mean(axis=0)
    assert np.ptp(strong) < 1e-3
    np.testing.assert_allclose(
        remove_stripe_based_regularization(values, alpha=1e9), values, atol=1e-6
    )
    one = remove_stripe_based_regularization(values[:, :1])
    np.testing.assert_allclose(one, values[:, :1], rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, -1.0, np.nan, np.inf, 1e-300])
def test_weights_that_cannot_be(alpha: float) -> None:
    with pytest.raises(ArgumentError, match="the weight of the offsets is a number of at least"):
        remove_stripe_based_regularization(sinogram(), alpha=alpha)


def test_values_that_are_no_numbers() -> None:
    values = sinogram()
    values[1, 1] = np.nan
    with pytest.raises(ArgumentError, match="values that are not finite"):
        remove_stripe_based_regularization(values)
