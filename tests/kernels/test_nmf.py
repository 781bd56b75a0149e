"""Factors that are not negative: exact ones come back, and the loss is no worse than of peers."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.kernels import nmf

Array = np.ndarray[Any, Any]

RNG = np.random.default_rng(3)
PARTS = RNG.uniform(size=(3, 120)) * (RNG.random((3, 120)) > 0.4)
"""Components with bins of their own."""
MIXED = RNG.dirichlet([0.4] * 3, 200) * RNG.uniform(0.2, 1, (200, 1))
MIXED[:3] = np.eye(3) * [[3.0], [2.0], [1.0]]
EXACT = MIXED @ PARTS
EVEN = np.ones(EXACT.shape)
NOISY = EXACT + 0.1 * RNG.normal(size=EXACT.shape)


def unit(patterns: Array) -> Array:
    return patterns / patterns.sum(axis=1, keepdims=True)


def test_what_has_pure_patterns_comes_back_exactly() -> None:
    found = nmf.factorize(EXACT, EVEN, components=3, tolerance=1e-9)
    total = MIXED.sum(axis=0) * PARTS.sum(axis=1)
    order = np.argsort(-total)
    np.testing.assert_allclose(found.patterns, unit(PARTS)[order], atol=1e-9)
    np.testing.assert_allclose(found.total, total[order], rtol=1e-9)
    assert found.residual[-1] < 1e-6


def test_what_was_not_measured_takes_no_part() -> None:
    gap = np.random.default_rng(4).random(EXACT.shape) < 0.2
    gap[:3] = False
    weight = np.where(gap, 0.0, 1.0 + EXACT)
    found = nmf.factorize(np.where(gap, 99.0, EXACT), weight, components=3, tolerance=1e-9)
    again = nmf.factorize(np.where(gap, np.nan, EXACT), weight, components=3, tolerance=1e-9)
    np.testing.assert_array_equal(found.patterns, again.patterns)
    order = np.argsort(-MIXED.sum(axis=0) * PARTS.sum(axis=1))
    np.testing.assert_allclose(found.patterns, unit(PARTS)[order], atol=1e-7)


def test_noise_counts_by_its_variance() -> None:
    """Bins whose noise is large do not spoil the others, once they are told."""
    good = np.arange(120) % 2 == 1
    sigma = np.where(good, 0.02, 2.0)
    values = EXACT + sigma * np.random.default_rng(5).normal(size=EXACT.shape)
    error = []
    for weight in (np.broadcast_to(sigma**-2, EXACT.shape), EVEN):
        found = nmf.factorize(values, weight, components=3).patterns[:, good]
        # What no sum of the components is, of the true ones.
        share = np.linalg.lstsq(found.T, PARTS[:, good].T, rcond=None)[0]
        error.append(np.abs(PARTS[:, good] - share.T @ found).max())
    assert error[0] < 0.02 < 0.1 < error[1]


def multiplicative(values: Array, components: int, seed: int) -> float:
    """Sum of squares that Lee and Seung's updates come to."""
    rng = np.random.default_rng(seed)
    w, h = rng.random((len(values), components)), rng.random((components, values.shape[1]))
    for _ in range(1500):
        h *= (w.T @ values) / (w.T @ w @ h + 1e-12)
        w *= (values @ h.T) / (w @ (h @ h.T) + 1e-12)
    return float(((values - w @ h) ** 2).sum())


def test_loss_is_no_worse_than_by_multiplicative_updates() -> None:
    values = np.maximum(NOISY, 0)
    found = nmf.factorize(values, EVEN, components=3, tolerance=1e-7)
    mine = found.residual[-1] ** 2 * (values**2).sum()
    assert mine <= 1.0001 * min(multiplicative(values, 3, seed) for seed in range(2))


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="no scikit-learn here")
def test_loss_is_no_worse_than_scikit_learns() -> None:
    peer = importlib.import_module("sklearn.decomposition").NMF
    values = np.maximum(NOISY, 0)
    found = nmf.factorize(values, EVEN, components=3, tolerance=1e-7)
    other = peer(3, init="nndsvd", tol=1e-6, max_iter=2000).fit(values)
    norm = np.sqrt((values**2).sum())
    assert found.residual[-1] * norm <= 1.0001 * other.reconstruction_err_


def test_the_loss_never_rises_and_ends_where_it_is_told() -> None:
    found = nmf.factorize(NOISY, EVEN, components=3, tolerance=1e-5)
    assert (np.diff(found.residual) <= 1e-12).all()
    loss = found.residual**2
    assert loss[-6] - loss[-1] <= 5e-5 * loss[-1]
    assert loss[-7] - loss[-2] > 5e-5 * loss[-2]
    assert len(nmf.factorize(NOISY, EVEN, components=3, iterations=4).residual) == 4
    # Weights are the exact ones of the patterns, and the noise is what is left.
    expected = np.sqrt(((NOISY - EXACT) ** 2).sum() / (NOISY**2).sum())
    assert 0.93 * expected < found.residual[-1] < expected


def test_seeds_and_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"components": 3, "seed": 11}
    found = nmf.factorize(NOISY, EVEN, **given)
    np.testing.assert_array_equal(found.patterns, nmf.factorize(NOISY, EVEN, **given).patterns)
    monkeypatch.setattr(nmf, "ROWS", 7)
    cut = nmf.factorize(NOISY, EVEN, **given)
    np.testing.assert_allclose(cut.patterns, found.patterns, atol=1e-9)
    # The first start draws nothing.
    one, other = (nmf.factorize(NOISY, EVEN, components=3, starts=1, seed=s) for s in (1, 2))
    np.testing.assert_array_equal(one.patterns, other.patterns)
    assert one.start == 0


def test_more_starts_leave_no_more_than_few() -> None:
    """The best goes on: of more starts, which begin with the same, it is never worse."""
    losses = [
        nmf.factorize(NOISY, EVEN, components=4, starts=n, iterations=nmf.TRIAL).residual[-1]
        for n in (1, 2, 6)
    ]
    assert losses[0] >= losses[1] >= losses[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"components": 0}, "no patterns with their weights"),
        ({"components": 4, "values": EXACT[:3], "weight": EVEN[:3]}, "3 patterns and 120 bins"),
        ({"weight": EVEN * (np.arange(120) < 2)}, "200 patterns and 2 bins"),
        ({"weight": EVEN[:, :5]}, r"weights \(200, 5\)"),
        ({"weight": -EVEN}, "not negative"),
        ({"values": EXACT * np.nan}, "not finite"),
        ({"values": -EXACT}, "patterns are not above 0"),
        ({"weight": 0 * EVEN}, "0 patterns and 0 bins"),
    ],
)
def test_what_has_no_factors_is_told(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"values": EXACT, "weight": EVEN, "components": 3} | change
    values, weight = given.pop("values"), given.pop("weight")
    with pytest.raises(ArgumentError, match=message):
        nmf.factorize(values, weight, **given)


def test_more_components_than_there_are() -> None:
    one = np.outer(np.arange(1.0, 9), PARTS[0])
    assert nmf.factorize(one, np.ones(one.shape), components=1).residual[-1] < 1e-6
    with pytest.raises(ArgumentError, match="1 of 2 components are no sums"):
        nmf.factorize(one, np.ones(one.shape), components=2)


def test_smooth_curves_lie_under_lines_in_noise() -> None:
    q = np.linspace(0, 1, 400)
    smooth = np.stack([q**n for n in range(3)])
    line = sum(np.exp(-(((q - c) / 0.01) ** 2)) for c in (0.2, 0.25, 0.6))
    truth = 3 - 2 * q + q**2
    scale = np.array([0.0, 1.0, 20.0])[:, None]
    noise = 0.1 * np.random.default_rng(6).normal(size=(3, 400))
    weight = np.full((3, 400), 100.0)
    weight[:, 40:60] = 0
    values = np.where(weight > 0, truth + scale * line + noise, np.nan)
    found = nmf.valleys(values, weight, smooth)
    # Beside a mean of 2.3 and noise of 0.1: what lines leave below two sigma.
    assert np.abs(found - truth).max() < 0.06
