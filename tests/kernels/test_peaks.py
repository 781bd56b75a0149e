"""Peak fits: closed forms, pulls, overlap, and what does not stand out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError, UnknownNameError
from zeoarray.kernels.peaks import fit_peaks, groups_of
from zeoarray.kernels.peaks_loops import shapes
from zeoarray.kernels.profiles import pseudo_voigt

Array = np.ndarray[Any, Any]
Q = 0.9 + 0.001 * np.arange(900)
# Area, position, width, Lorentzian share: two overlap, five bins apart.
TRUE = np.array([[6000, 1.651, 0.008, 0.3], [3000, 1.6565, 0.009, 0.3], [4000, 1.423, 0.008, 0.2]])
BEGIN = (1.650, 1.656, 1.4225)


def mean() -> Array:
    peaks = sum(a * pseudo_voigt(Q - p, w, s) for a, p, w, s in TRUE)
    return np.asarray(2000 + 100 * Q + peaks)


def test_peaks_are_found_where_and_what_they_were() -> None:
    values, sigma, chi2, converged = fit_peaks(mean(), mean(), q=Q, peaks=BEGIN)
    np.testing.assert_allclose(values[:, :3], TRUE[:, :3], rtol=2e-5)
    np.testing.assert_allclose(values[:, 3], TRUE[:, 3], atol=1e-3)
    assert np.isfinite(sigma).all()
    assert chi2.max() < 1e-5
    assert converged.all()


def test_pulls_have_width_one() -> None:
    counts = np.random.default_rng(0).poisson(mean(), (400, Q.size)).astype(float)
    values, sigma, chi2, converged = fit_peaks(counts, counts, q=Q, peaks=BEGIN)
    pull = ((values - TRUE) / sigma)[..., :3]
    assert np.abs(pull.mean(0)).max() < 0.2
    assert 0.9 < pull.std(0).min() <= pull.std(0).max() < 1.12
    assert abs(chi2.mean() - 1) < 0.03
    assert converged.all()


def test_slopes_are_derivatives() -> None:
    numbers = np.array([1.0, 0.5, *TRUE[0], *TRUE[2]])
    place = Q[500:800:7].copy()
    model, jacobian = np.empty(place.size), np.empty((place.size, numbers.size))
    shapes(place, 1.5, numbers, model, jacobian)
    for i, size in enumerate(np.maximum(np.abs(numbers), 0.01) * 1e-5):
        sides = []
        for sign in (1, -1):
            moved = numbers.copy()
            moved[i] += sign * size
            out = np.empty(place.size)
            shapes(place, 1.5, moved, out, np.empty(jacobian.shape))
            sides.append(out)
        slope = (sides[0] - sides[1]) / (2 * size)
        np.testing.assert_allclose(jacobian[:, i], slope, atol=5e-5 * np.abs(slope).max())


def test_where_there_is_no_peak_the_area_is_zero_on_average() -> None:
    flat = np.random.default_rng(1).poisson(2000, (400, Q.size)).astype(float)
    values, sigma, _, converged = fit_peaks(flat, flat, q=Q, peaks=[1.2])
    pull = values[:, 0, 0] / sigma[:, 0, 0]
    assert abs(pull.mean()) < 0.2
    assert 0.9 < pull.std() < 1.12
    assert np.isnan(values[:, 0, 1]).mean() > 0.98
    assert converged.all()


def test_errors_heed_the_correlation_of_bins() -> None:
    rng = np.random.default_rng(2)
    root = np.sqrt(1 / 3)
    white = rng.normal(size=(600, Q.size + 2))
    noise = root * (white[:, :-2] + white[:, 1:-1] + white[:, 2:])
    band = np.tile([1, 2 / 3, 1 / 3], (Q.size, 1))
    data, variance = mean() + 40 * noise, np.full(Q.size, 1600.0)
    alone, with_band = (
        fit_peaks(data, variance, q=Q, peaks=[1.4225], profile="gaussian", correlation=b)
        for b in (None, band)
    )
    scatter = with_band[0][:, 0, 0].std()
    assert abs(with_band[1][:, 0, 0].mean() / scatter - 1) < 0.08
    assert alone[1][:, 0, 0].mean() < 0.75 * scatter


def test_peaks_whose_windows_meet_are_one_group() -> None:
    assert [g[0] for g in groups_of([1.0, 1.5, 1.03], 0.02)] == [[0, 2], [1]]


def test_patterns_without_bins_give_nothing() -> None:
    values, sigma, chi2, converged = fit_peaks(
        np.full(Q.size, np.nan), np.ones(Q.size), q=Q, peaks=BEGIN
    )
    assert np.isnan(values).all()
    assert np.isnan(sigma).all()
    assert np.isnan(chi2).all()
    assert not converged.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peaks": [1.2, 2.5]}, "outside the range of q"),
        ({"peaks": []}, "nothing to fit"),
        ({"window": 0.002}, "too few bins"),
        ({"q": Q[::-1]}, "does not fit"),
        ({"variance": -np.ones(Q.size)}, "variance is negative"),
    ],
)
def test_what_cannot_be_fitted_is_told(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"q": Q, "peaks": [1.2], "variance": np.ones(Q.size)} | change
    with pytest.raises(ArgumentError, match=message):
        fit_peaks(mean(), given.pop("variance"), **given)


def test_profiles_have_names() -> None:
    with pytest.raises(UnknownNameError, match="gaussian"):
        fit_peaks(mean(), mean(), q=Q, peaks=BEGIN, profile="gausian")  # type: ignore[arg-type]
