"""Mappings of values: NumPy's interpolation between knots, known laws beyond, known functions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import scipy.stats

from zeoarray.errors import ArgumentError
from zeoarray.kernels import mapping

rng = np.random.default_rng(3)


def test_between_knots_it_is_numpys_and_beyond_it_goes_on() -> None:
    x, y = np.array([-1.0, 0.0, 2.0, 5.0]), np.array([3.0, 1.0, 1.5, 7.0])
    values = rng.uniform(-1, 5, (3, mapping.PIECE)).astype("float32")
    out = mapping.remap(values, source=x, target=y)
    np.testing.assert_allclose(out, np.interp(values, x, y), rtol=1e-6)
    assert out.dtype == np.float32
    outside = mapping.remap(np.array([-3.0, 8.0, np.nan]), source=x, target=y)
    np.testing.assert_allclose(outside, [3 + 4, 7 + 5.5, np.nan])
    counts = mapping.remap(np.array([[0, 2]], "uint16"), source=x, target=y)
    assert counts.dtype == np.float32
    assert counts.tolist() == [[1.0, 1.5]]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ([0.0], [1.0], "no knots of a mapping"),
        ([0.0, 1.0], [1.0], "no knots of a mapping"),
        ([1.0, 1.0], [0.0, 1.0], "which do not ascend"),
    ],
)
def test_what_is_no_mapping_is_said(source: list[float], target: list[float], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        mapping.remap(np.zeros(3), source=source, target=target)


def test_quantiles_find_a_function_again() -> None:
    a = rng.uniform(0, 1, 100_000)
    knots = mapping.by_quantiles(a, np.exp(a), 20)
    np.testing.assert_allclose(knots.target, np.exp(knots.source), rtol=1e-4)
    full = mapping.beyond(knots)
    assert full.source.size == knots.source.size + 2
    assert full.source[0] == pytest.approx(2 * knots.source[0] - knots.source[-1])
    repeated = mapping.by_quantiles(np.repeat([0.0, 1.0], 50), np.repeat([2.0, 3.0], 50), 20)
    assert (np.diff(repeated.source) > 0).all()


def test_peaks_are_where_materials_are() -> None:
    values = np.concatenate([rng.normal(m, 0.1, 20_000) for m in (0.0, 1.0, 2.5)])
    np.testing.assert_allclose(mapping.peaks(values), [0, 1, 2.5], atol=0.02)
    assert mapping.peaks(np.full(9, 4.0)).tolist() == [4.0]


def test_prominent_maxima_are_those_of_scipy() -> None:
    """Of smooth curves, of rough ones, and of steps with flat tops and equal heights."""
    rng = np.random.default_rng(0)
    curves = [rng.normal(size=60).cumsum() for _ in range(20)]
    curves += [rng.integers(0, 4, 40).astype(float) for _ in range(40)]
    for curve in [*curves, np.zeros(5), np.arange(6.0)]:
        for least in (0.5, 1.0, 2.5):
            wanted, _ = scipy.signal.find_peaks(curve, prominence=least)
            np.testing.assert_array_equal(mapping.prominent(curve, least), wanted)


def test_rank_correlation_is_spearmans() -> None:
    a = rng.normal(size=500)
    b = a + rng.normal(size=500)
    assert mapping.rank_correlation(a, b) == pytest.approx(scipy.stats.spearmanr(a, b)[0])
    tied = scipy.stats.spearmanr(a.round(1), b.round(1))[0]
    assert mapping.rank_correlation(a.round(1), b.round(1)) == pytest.approx(tied)
    assert mapping.rank_correlation(a, np.ones(500)) == 0
