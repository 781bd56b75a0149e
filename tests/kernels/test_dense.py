"""Dense operators against the kernels that they are made of, closed forms and Monte Carlo."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import ellipses
from zeoarray.errors import ArgumentError
from zeoarray.kernels import (
    dense,
    dense_iterative,
    dense_lines,
    dense_operators,
    dense_resampled,
    gaps,
    projector,
    radon,
)

Array = np.ndarray[Any, Any]
COLUMNS, CENTER = 20, 9.7
TURN = np.deg2rad(np.r_[np.arange(0, 360, 12.0), 200.0])
RNG = np.random.default_rng(5)
LINES = RNG.uniform(1, 3, (2, TURN.size, COLUMNS, 5)).astype("float32")


def of_discs(angle: Array, columns: int, half: float, center: float) -> Array:
    """(angle, u): the mean over each column of the projections of lopsided ellipses."""
    fine = ellipses.project(
        ellipses.LOPSIDED, angle, 4 * columns, 4 * half, 4 * (center + 0.5) - 0.5
    )
    return fine.reshape(angle.size, columns, 4).mean(axis=-1) / 4


@pytest.mark.parametrize("window", ["ramp", "hann"])
@pytest.mark.parametrize("size", [None, 13, (9, 24)])
@pytest.mark.parametrize("radius", [None, np.inf, 3.3])
def test_one_product_is_filtered_back_projection(window: Any, size: Any, radius: Any) -> None:
    centers = np.array([CENTER, 10.4])
    options = {"center": centers, "size": size, "filter": window, "radius": radius}
    found = dense.filtered_backprojection(LINES, TURN, **options)
    stack = np.moveaxis(LINES, -1, 0)
    one = radon.filtered_backprojection(stack, TURN, **options)
    # The transform is asked for a relative error of 1e-3.
    np.testing.assert_allclose(np.moveaxis(found, -1, 0), one, atol=5e-3 * abs(one).max())


ANGLES = {
    "full turn": np.deg2rad(np.arange(0, 360, 9.0)),
    "half turn with its end": np.deg2rad(np.linspace(0, 180, 31)),
    "irregular": RNG.uniform(-4, 9, 37),
    "two directions, many times": np.tile([0.3, 1.9, 0.3 + np.pi], 11),
}


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize("size", [None, (9, 24)])
@pytest.mark.parametrize("angle", ANGLES.values(), ids=ANGLES)
def test_fine_lines_give_what_the_operator_gives(angle: Array, size: Any, gap: bool) -> None:
    """To 1e-5 of the range, with channels that do not fill the last group."""
    count = dense_lines.LANES + 3
    lines = RNG.poisson(30, (angle.size, COLUMNS, count)).astype("float32")
    valid = RNG.random(lines.shape[:2]) < (0.8 if gap else 2)
    valid[4] = not gap
    lines[~valid] = np.nan
    options: dict[str, Any] = {"center": CENTER, "size": size, "radius": np.inf, "valid": valid}
    whole = dense_operators.backprojection(angle, width=COLUMNS, **options)
    expected = whole.matrix.astype(float) @ lines.reshape(-1, count)[whole.rays]
    found = dense.filtered_backprojection(lines, angle, **options)
    off = abs(found.reshape(expected.shape) - expected).max()
    assert off < 1e-5 * np.ptp(expected)
    few = dense.filtered_backprojection(lines[..., 7:9], angle, **options)
    np.testing.assert_allclose(few, found[..., 7:9], atol=1e-6 * np.ptp(expected))


def test_projections_of_one_direction_are_read_once() -> None:
    rows = {n: len(dense_lines.lines_of(a, width=9, center=4.1).starts) for n, a in ANGLES.items()}
    # Eight at a time, of 22 of one direction and 11 of the other.
    assert list(rows.values()) == [20, 30, 37, 5]


def test_large_values_are_no_error() -> None:
    """Their sum is beyond single precision, and they are not."""
    lines = np.full((12, 9, 2), 1e36, "float32")
    found = dense.filtered_backprojection(lines, np.linspace(0, np.pi, 12, False), center=4.0)
    assert np.isfinite(found).all()


def test_rotations_that_are_missing_are_weighed_out() -> None:
    valid = np.ones(LINES.shape[1:3], bool)
    valid[[3, 4, 17]] = False
    broken = np.where(valid[..., None], LINES, np.float32(np.nan))
    found = dense.filtered_backprojection(broken, TURN, center=CENTER, valid=valid)
    kept = dense.filtered_backprojection(LINES[:, valid[:, 0]], TURN[valid[:, 0]], center=CENTER)
    np.testing.assert_allclose(found, kept, atol=1e-5)


def test_missing_rays_are_as_if_measured_where_their_opposite_is() -> None:
    """Over a full turn each ray of a slice is measured twice."""
    angle = np.deg2rad(np.arange(0, 360, 9.0))
    sinogram = of_discs(angle, COLUMNS, 9, 9.5)[..., None].astype("float32")
    valid = RNG.random(sinogram.shape[:2]) < 0.8
    # A ray and its opposite are not both lost.
    valid[20:] |= ~valid[:20, ::-1]
    whole = dense.filtered_backprojection(sinogram, angle, center=9.5)
    broken = np.where(valid[..., None], sinogram, np.nan)
    found = dense.filtered_backprojection(broken, angle, center=9.5, valid=valid)
    np.testing.assert_allclose(found, whole, atol=1e-4 * whole.max())
    filled = gaps.fill_rays(broken, angle, center=9.5, valid=valid)
    np.testing.assert_allclose(filled, sinogram, atol=1e-5 * sinogram.max())


def test_what_stands_for_a_ray_lies_between_the_next_directions() -> None:
    angle, lines = np.deg2rad([0.0, 30.0, 90.0]), np.arange(9.0).reshape(3, 3, 1)
    valid = np.ones((3, 3), bool)
    valid[1, 0] = False
    found = gaps.fill_rays(lines, angle, center=1.0, valid=valid)
    assert found[1, 0, 0] == pytest.approx(0 * 2 / 3 + 6 / 3)
    # No direction has the column: along u, and nothing beyond the last one.
    valid = np.array([[1, 0, 1], [1, 0, 1], [1, 0, 1]], bool)
    assert gaps.fill_rays(lines, angle, center=0.7, valid=valid)[0, 1, 0] == pytest.approx(1.0)
    valid = np.array([[0, 1, 1]] * 3, bool)
    assert gaps.fill_rays(lines, angle, center=0.0, valid=valid)[2, 0, 0] == 0.0


def test_variance_and_covariance_are_those_of_noise() -> None:
    """A linear map of white noise: A diag(v) A' from as many draws as settle it."""
    valid = RNG.random((TURN.size, COLUMNS)) < 0.9
    noise = RNG.uniform(0.2, 2, (TURN.size, COLUMNS, 1)).astype("float32")
    options: dict[str, Any] = {"center": CENTER, "valid": valid}
    draws = RNG.standard_normal((TURN.size, COLUMNS, 6000), dtype="float32") * np.sqrt(noise)
    images = dense.filtered_backprojection(draws, TURN, **options)
    found = dense.variance(noise, TURN, **options)[..., 0]
    inside = found > 0
    ratio = images.var(axis=-1)[inside] / found[inside]
    assert ratio.mean() == pytest.approx(1, abs=0.005)
    assert ratio.std() == pytest.approx(np.sqrt(2 / 6000), rel=0.3)
    same = dense.covariance(noise, TURN, **options)[..., 0]
    np.testing.assert_array_equal(same, found)
    beside = dense.covariance(noise, TURN, offset=(1, -1), **options)[..., 0]
    measured = (images[:-1, 1:] * images[1:, :-1]).mean(axis=-1)
    both = inside[:-1, 1:] & inside[1:, :-1]
    error = (measured - beside[:-1, 1:])[both] / found.max()
    assert abs(error).max() < 0.1
    assert np.corrcoef(measured[both], beside[:-1, 1:][both])[0, 1] > 0.9
    assert not beside[-1].any()


def test_white_noise_has_the_textbook_variance() -> None:
    """At the axis (pi^2 / angles) times the integral of the filter's square, by Parseval.

    There each ray is one column: what is interpolated beyond the Nyquist frequency, up to 5/8,
    comes back from the other side of it.
    """
    f = (np.arange(100_000) + 0.5) / 200_000
    between = np.cos(np.pi * f / 2) / (1 + (f / (1 - f)) ** 3)
    beyond = np.cos(np.pi * (1 - f) / 2) / (1 + ((1 - f) / f) ** 3) * (1 - f <= 5 / 8)
    expected = np.pi**2 / 30 * np.mean((f * (between + beyond)) ** 2)
    angle = np.linspace(0, np.pi, 30, endpoint=False)
    found = dense.variance(np.ones((30, 41, 1)), angle, center=20.0)[20, 20, 0]
    assert found == pytest.approx(expected, rel=5e-3)


# --- iterative methods ----------------------------------------------------------------------------
@pytest.mark.parametrize(("method", "iterations"), [("sirt", 60), ("cgls", 12), ("mlem", 60)])
def test_methods_find_what_was_projected(method: Any, iterations: int) -> None:
    y, x = np.mgrid[-8:9, -8:9]
    truth = np.exp(-((x - 2) ** 2 + y**2 / 2) / 8) + 0.5 * np.exp(
        -((x + 3) ** 2 + (y - 2) ** 2) / 6
    )
    truth *= np.hypot(y, x) <= 8
    angle = np.linspace(0, np.pi, 40, endpoint=False)
    lines = projector.project(truth, angle, size=25, center=11.6)
    weights = np.ones((40, 25))
    weights[7], weights[20, 4:9] = 0, 0
    lines = np.where(weights > 0, lines, np.nan)[..., None] * np.array([1, 5, 0])
    found, left = dense_iterative.reconstruct(
        lines, angle, method=method, iterations=iterations, center=11.6, size=17, weights=weights
    )
    assert np.sqrt(np.mean((found[..., 0] - truth) ** 2)) < 0.01
    np.testing.assert_allclose(found[..., 1], 5 * found[..., 0], atol=1e-3)
    assert not found[..., 2].any()
    assert (left[:2] < 0.01).all()
    assert left[2] == 0


def test_each_step_is_what_the_formula_says() -> None:
    angle, shape = TURN[:6], (9, 9)
    matrix = projector.matrix(angle, size=shape, width=COLUMNS, center=CENTER).astype(float)
    lines, weights = LINES[0, :6, :, :1].astype(float), RNG.uniform(0.5, 2, (6, COLUMNS))
    crossed = matrix.sum(axis=1) > 1e-4
    b, w = lines.reshape(-1)[crossed], weights.ravel()[crossed]
    a = matrix[crossed]
    options: dict[str, Any] = {"center": CENTER, "size": 9, "radius": np.inf, "weights": weights}
    x = (a.T @ (w * b / a.sum(axis=1))) / (a.T @ w)
    found = dense_iterative.reconstruct(lines, angle, method="sirt", iterations=1, **options)[0]
    np.testing.assert_allclose(found.ravel(), x, rtol=1e-4)
    gradient = a.T @ (w * b)
    x = gradient * (gradient @ gradient) / ((w * (a @ gradient) ** 2).sum())
    found = dense_iterative.reconstruct(lines, angle, method="cgls", iterations=1, **options)[0]
    np.testing.assert_allclose(found.ravel(), x, rtol=1e-4)
    level = (w * b).sum() / (w * a.sum(axis=1)).sum()
    x = level / (a.T @ w) * (a.T @ (w * b / (a.sum(axis=1) * level)))
    found = dense_iterative.reconstruct(lines, angle, method="mlem", iterations=1, **options)[0]
    np.testing.assert_allclose(found.ravel(), x, rtol=1e-4)
    bounded = dense_iterative.reconstruct(
        LINES[0] - 2, TURN, method="sirt", iterations=9, center=CENTER, lower=0.01
    )[0]
    assert bounded[4:-4, 4:-4].min() == pytest.approx(0.01)


def test_weights_are_what_counts_were_divided_by() -> None:
    monitor = RNG.uniform(10, 30, (3, 4))
    counts = RNG.poisson(50, (3, 4, 900))
    counts[1, 2] = 0
    valid = np.ones((3, 4), bool)
    valid[2, 3] = False
    by = monitor[..., None]
    found = dense_resampled.poisson_weights(counts / by, counts / by**2, valid=valid)
    expected = np.where(valid, monitor, 0)
    expected[1, 2] = found[1, 2]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert 10 < found[1, 2] < 30


@pytest.mark.parametrize("method", ["sirt", "cgls", "mlem", "tv"])
def test_resampling_gives_the_variance_of_repeated_scans(method: Any) -> None:
    angle = np.linspace(0, np.pi, 12, endpoint=False)
    mean = 300 * of_discs(angle, 12, 5.5, 5.5)[..., None] + 20
    scans = RNG.poisson(np.repeat(mean, 400, axis=-1)).astype("float32")
    options: dict[str, Any] = {"method": method, "center": 5.5, "iterations": 6}
    options |= {"edges": 30.0, "lower": 0.0} if method == "tv" else {}
    truth = dense_iterative.reconstruct(scans, angle, **options)[0].var(axis=-1)
    few = scans[..., :12]
    found = dense_resampled.variance(few, few, angle, resamples=60, seed=3, **options)
    inside = truth > 0
    ratio = found.mean(axis=-1)[inside] / truth[inside]
    # Where edges are kept is not linear in the data: other draws differ more than other scans.
    assert ratio.mean() == pytest.approx(1, abs=0.2 if method == "tv" else 0.06)
    again = dense_resampled.variance(few, few, angle, resamples=60, seed=3, **options)
    np.testing.assert_array_equal(found, again)
    other = dense_resampled.variance(few, few, angle, resamples=60, seed=4, **options)
    assert (found != other)[inside].mean() > 0.95


# --- bad input ------------------------------------------------------------------------------------
def told(function: Any, *arrays: Any, **options: Any) -> str:
    with pytest.raises(ArgumentError) as info:
        function(*arrays, **options)
    return str(info.value)


def test_bad_input_is_told() -> None:
    one = LINES[0]
    fbp, many = dense.filtered_backprojection, dense_iterative.reconstruct
    assert "angles and projections do not match" in told(fbp, one, TURN[1:], center=CENTER)
    assert "outside the detector" in told(fbp, one, TURN, center=99.0)
    valid = np.zeros(one.shape[:2], bool)
    text = told(fbp, one, TURN, center=CENTER, valid=valid)
    assert "slice 0 cannot be reconstructed" in text
    assert "no valid measurement" in text
    valid[[0, 15]] = True
    assert "one direction only" in told(fbp, one, TURN, center=CENTER, valid=valid)
    text = told(many, one, TURN, center=CENTER, method="sirt", iterations=1, weights=valid * 1.0)
    assert "one direction only" in text
    assert "flags of shape" in told(fbp, one, TURN, center=CENTER, valid=valid[1:])
    broken = one.copy()
    broken[4, 3, 2] = np.nan
    text = told(fbp, broken, TURN, center=CENTER)
    assert "the sinogram of slice 0 has values that are not finite" in text
    assert "nan at angle 4, u 3, q 2" in text
    assert "the variance of slice 0 has values" in told(dense.variance, broken, TURN, center=CENTER)
    text = told(dense.variance, one - 1.5, TURN, center=CENTER)
    assert "the variance of slice 0 is negative" in text
    options: dict[str, Any] = {"center": CENTER, "iterations": 2}
    assert "no Poisson process" in told(many, one - 1.5, TURN, method="mlem", **options)
    assert "no iterative method 'srit'" in told(many, one, TURN, method="srit", **options)
    assert "has no bound 'lower'" in told(many, one, TURN, method="cgls", lower=0.0, **options)
    assert "does not look at edges" in told(many, one, TURN, method="cgls", edges=1.0, **options)
    assert "is not negative" in told(many, one, TURN, method="tv", edges=-1.0, **options)
    assert "one iteration or more" in told(
        many, one, TURN, method="cgls", center=CENTER, iterations=0
    )
    resampled = dense_resampled.variance
    options |= {"method": "sirt"}
    assert "two draws or more" in told(resampled, one, one, TURN, resamples=1, **options)
    assert "is negative" in told(resampled, one, one - 1.5, TURN, resamples=2, **options)
    assert "no filter 'hannn'" in told(fbp, one, TURN, center=CENTER, filter="hannn")
