"""Phase fits beside dense generalised least squares, by pulls, and as functionals of counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.diffraction_frames import frames, geometry
from zeoarray.errors import ArgumentError
from zeoarray.kernels import azimuthal, phases

Array = np.ndarray[Any, Any]

Q = np.linspace(1.0, 1.6, 300)
BAND = np.tile([1.0, 0.6, 0.25], (Q.size, 1))


def lines(*centres: float) -> Array:
    return sum((np.exp(-(((Q - c) / 0.01) ** 2)) for c in centres), np.zeros_like(Q))


MODEL = np.stack([lines(1.1, 1.4), lines(1.106, 1.3), np.ones_like(Q), Q])
TRUE = np.array([2.0, 1.0, 3.0, -1.0])


def covariance(variance: Array) -> Array:
    full = np.eye(Q.size)
    for lag in (1, 2):
        full += np.diag(BAND[:-lag, lag], lag) + np.diag(BAND[:-lag, lag], -lag)
    sigma = np.sqrt(variance)
    return full * sigma[:, None] * sigma


def noisy(rows: int, variance: Array, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(covariance(variance))
    return TRUE @ MODEL + rng.normal(size=(rows, Q.size)) @ root.T


VARIANCE = 0.04 * (1 + 0.5 * np.sin(9 * Q)) ** 2


def test_fit_is_generalised_least_squares() -> None:
    data = noisy(3, VARIANCE)
    # Without a floor and without smoothing the weights are the inverse of the covariance.
    found, spread, chi2, bound = phases.fit(
        data, VARIANCE, design=MODEL, bounded=0, correlation=BAND, floor=0.0, smooth=1
    )
    inverse = np.linalg.inv(covariance(VARIANCE))
    gram = MODEL @ inverse @ MODEL.T
    expected = np.linalg.solve(gram, MODEL @ inverse @ data.T).T
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    np.testing.assert_allclose(spread, np.stack([np.linalg.inv(gram)] * 3), rtol=1e-6, atol=1e-12)
    rest = data - expected @ MODEL
    dense = np.einsum("ri,ij,rj->r", rest, inverse, rest) / (Q.size - len(MODEL))
    np.testing.assert_allclose(chi2, dense, rtol=1e-6)
    assert not bound.any()


def test_errors_are_exact_for_any_weights() -> None:
    """The covariance of the estimate is F V F', whatever floor and smoothing made F."""
    found = phases.fit(
        noisy(1, VARIANCE), VARIANCE, design=MODEL, bounded=0, correlation=BAND, floor=0.1,
        smooth=31,
    )  # fmt: skip
    rows = phases.functionals(VARIANCE, design=MODEL, correlation=BAND, floor=0.1, smooth=31)
    np.testing.assert_allclose(rows @ MODEL.T, np.eye(4), atol=1e-8)
    np.testing.assert_allclose(
        found[1][0], rows @ covariance(VARIANCE) @ rows.T, rtol=1e-6, atol=1e-12
    )


def test_pulls_have_width_one_only_with_correlation() -> None:
    data = noisy(1500, VARIANCE)
    for band, low, high in ((BAND, 0.94, 1.06), (None, 1.3, 1.7)):
        found, spread, _, _ = phases.fit(data, VARIANCE, design=MODEL, bounded=2, correlation=band)
        pull = (found - TRUE)[:, :2] / np.sqrt(np.diagonal(spread, axis1=1, axis2=2))[:, :2]
        assert np.abs(pull.mean(0)).max() < 0.1
        assert low < pull.std(0).min() <= pull.std(0).max() < high


def test_chi_square_is_one_where_the_model_is_right() -> None:
    data = noisy(200, VARIANCE)
    given: dict[str, Any] = {"design": MODEL, "bounded": 2, "correlation": BAND}
    chi2 = phases.fit(data, VARIANCE, **given)[2]
    assert abs(chi2.mean() - 1) < 0.02
    wrong = phases.fit(data + lines(1.2), VARIANCE, **given)[2]
    assert wrong.mean() > 1.5


def test_weights_are_not_negative_and_say_so() -> None:
    data = (np.array([-0.5, 1.0, 3.0, -1.0]) @ MODEL)[None]
    weight, _, _, bound = phases.fit(data, VARIANCE, design=MODEL, bounded=2)
    assert weight[0, 0] == 0
    assert weight[0, 1] > 0
    assert bound[0].tolist() == [True, False, False, False]


def test_bins_that_are_not_known_are_left_out() -> None:
    data, variance = np.stack([TRUE @ MODEL] * 2), np.stack([VARIANCE] * 2)
    data[0, 40:60], variance[0, 100:130] = np.nan, 0
    data[0, 100:130] = 1e6
    weight, spread, _, _ = phases.fit(data, variance, design=MODEL, bounded=2, correlation=BAND)
    np.testing.assert_allclose(weight[0], TRUE, rtol=1e-6)
    assert spread[0, 0, 0] > spread[1, 0, 0]
    data[:] = np.nan
    weight, spread, chi2, bound = phases.fit(data, variance, design=MODEL, bounded=2)
    assert np.isnan(weight).all()
    assert np.isnan(spread).all()
    assert np.isnan(chi2).all()
    assert not bound.any()


def test_variances_of_counts_do_not_bias_the_weights() -> None:
    """A variance that is the count itself favours bins that came out low."""
    rng = np.random.default_rng(2)
    mean = 40 * lines(1.1, 1.4) + 20
    counts = rng.poisson(mean, (3000, Q.size)).astype(float)
    model = np.stack([lines(1.1, 1.4), np.ones_like(Q)])
    pulls = []
    for smooth in (1, 15):
        weight, spread, _, _ = phases.fit(
            counts, np.maximum(counts, 1), design=model, bounded=1, smooth=smooth
        )
        pulls.append(((weight - [40, 20]) / np.sqrt(np.diagonal(spread, 0, 1, 2)))[:, 1].mean())
    assert pulls[0] < -0.5
    assert abs(pulls[1]) < 0.4 * abs(pulls[0])


def test_levels_mix_neighbouring_models() -> None:
    two = np.stack([MODEL, MODEL * [[1], [1], [1], [2]]])
    data = TRUE @ (0.75 * two[0] + 0.25 * two[1])
    weight, *_ = phases.fit(data, VARIANCE, design=two, bounded=2, level=0.25)
    np.testing.assert_allclose(weight, TRUE, rtol=1e-8)
    with pytest.raises(ArgumentError, match="no such level"):
        phases.fit(data, VARIANCE, design=two, bounded=2, level=1.5)


def test_functionals_of_frames_give_weights_and_exact_variance() -> None:
    """f = w'A counts is the fit of the integrated pattern; its variance is (A'w)^2 counts."""
    counts = frames(1)[0]
    matrix = azimuthal.integration_matrix(geometry(), 120)
    signal, norm, spread = azimuthal.sums(counts, matrix=matrix, error_model="poisson")
    pattern, variance = signal / norm, spread / norm**2
    place = np.linspace(-1, 1, matrix.bins)
    model = np.stack([np.exp(-((place / 0.3) ** 2)), np.ones_like(place), place])
    band = azimuthal.covariance_band(counts, matrix=matrix)
    correlation = phases.correlation_of(band)
    given: dict[str, Any] = {"design": model, "correlation": correlation}
    weight, errors, _, _ = phases.fit(
        pattern.astype(float), variance.astype(float), bounded=0, **given
    )
    rows = phases.functionals(variance, **given)
    np.testing.assert_allclose(rows @ pattern, weight, rtol=1e-6)
    pixels = phases.frame_functionals(rows, matrix, norm)
    assert pixels.shape == (3, counts.size)
    np.testing.assert_allclose(pixels @ counts.ravel(), weight, rtol=2e-5)
    exact = pixels**2 @ np.maximum(counts, 1).ravel()
    np.testing.assert_allclose(exact, np.diag(errors), rtol=2e-3)


def test_fractions_have_the_error_of_their_ratio() -> None:
    rng = np.random.default_rng(3)
    spread = np.array([[0.04, -0.02], [-0.02, 0.09]])
    draws = rng.multivariate_normal([6.0, 3.0], spread, 40_000)
    fraction, sigma = phases.share(np.array([6.0, 3.0]), spread)
    np.testing.assert_allclose(fraction, [2 / 3, 1 / 3])
    scatter = (draws / draws.sum(1, keepdims=True)).std(0)
    np.testing.assert_allclose(sigma, scatter, rtol=0.03)
    assert np.isnan(phases.share(np.zeros(2), spread)[0]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bounded": 9}, "fewer terms than bounds"),
        ({"design": MODEL[:, 1:]}, "does not fit the patterns"),
        ({"design": np.stack([*MODEL[:2], MODEL[1] * 2])}, "collinear"),
        ({"design": MODEL * np.nan}, "not finite"),
        ({"correlation": BAND[1:]}, "correlations do not fit"),
        ({"correlation": BAND * [1, 1, 4], "floor": 0.0}, "not positive definite"),
        ({"variance": -VARIANCE}, "variance is negative"),
    ],
)
def test_what_cannot_be_fitted_is_told(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"variance": VARIANCE, "design": MODEL, "bounded": 2} | change
    with pytest.raises(ArgumentError, match=message):
        phases.fit(noisy(1, VARIANCE), given.pop("variance"), **given)
