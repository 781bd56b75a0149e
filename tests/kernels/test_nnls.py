"""Non-negative least squares beside SciPy's, and by the conditions of an optimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls as peer

from zeoarray.errors import ArgumentError
from zeoarray.kernels import nnls


def test_coefficients_are_scipys() -> None:
    rng = np.random.default_rng(0)
    model, data = rng.normal(size=(200, 30, 6)), rng.normal(size=(200, 30))
    gram = np.einsum("rni,rnj->rij", model, model)
    found, bound = nnls.solve(gram, np.einsum("rni,rn->ri", model, data), bounded=6)
    expected = np.stack([peer(a, b)[0] for a, b in zip(model, data, strict=True)])
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert 0 < bound.mean() < 1
    np.testing.assert_array_equal(found == 0, bound)


def test_free_coefficients_may_be_negative() -> None:
    rng = np.random.default_rng(1)
    model, data = rng.normal(size=(40, 5)), rng.normal(size=40)
    gram, moment = model.T @ model, model.T @ data
    found, bound = nnls.solve(gram, moment, bounded=2)
    gradient = moment - gram @ found
    # Karush, Kuhn and Tucker: no free gradient, and none that leads upwards from a bound.
    assert np.abs(gradient[~bound]).max() < 1e-10
    assert (gradient[bound] <= 1e-10).all()
    assert (found[:2] >= 0).all()
    unbounded, none = nnls.solve(gram, moment, bounded=0)
    np.testing.assert_allclose(unbounded, np.linalg.solve(gram, moment))
    assert not none.any()


def test_systems_that_cannot_be_solved_are_told() -> None:
    with pytest.raises(ArgumentError, match="system 1 of 2"):
        nnls.solve(np.stack([np.eye(2), np.ones((2, 2))]), np.ones((2, 2)), bounded=2)
    with pytest.raises(ArgumentError, match="do not fit together"):
        nnls.solve(np.eye(3), np.ones(2), bounded=2)
