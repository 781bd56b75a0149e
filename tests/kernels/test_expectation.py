"""MLEM and OSEM against the dense matrix, the exact slice, and Poisson statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import ellipses
from zeoarray.errors import ArgumentError
from zeoarray.kernels.expectation import mlem, osem
from zeoarray.kernels.projector import matrix

Array = np.ndarray[Any, Any]

FEW = np.linspace(0, np.pi, 24, endpoint=False)
BOTH = pytest.mark.parametrize("method", [mlem, osem])


def sinogram(columns: int = 60, center: float = 29.5, angle: Array = FEW) -> Array:
    return ellipses.project(ellipses.LOPSIDED, angle, columns, 30, center).astype("float32")


def inside(size: int = 60, radius: float = 27) -> Array:
    y = np.arange(size) - (size - 1) / 2
    return np.hypot(y[:, None], y) <= radius


TRUTH = ellipses.sample(ellipses.LOPSIDED, (60, 60), 30)


def error(found: Array) -> float:
    return float(np.sqrt(np.mean((found - TRUTH)[inside()] ** 2)))


def likelihood(operator: Array, image: Array, lines: Array, weights: Array) -> float:
    """Deviance per ray that crosses the circle, in double precision."""
    ahead = operator @ image.ravel().astype(float)
    lines, weights = lines.ravel().astype(float), weights.ravel()
    met = (ahead > 0) & (weights > 0)
    b, p = lines[met], ahead[met]
    logs = np.where(b > 0, b * np.log(np.where(b > 0, b, 1) / p), 0)
    return float((2 * weights[met] * (logs - b + p)).sum() / met.sum())


@pytest.mark.parametrize("weighted", [False, True])
def test_mlem_is_the_iteration_of_the_paper(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, np.pi, 9)
    lines = rng.poisson(30, (9, 14)).astype("float32")
    weights = rng.uniform(0.2, 1, (9, 14)) if weighted else np.ones((9, 14))
    weights[2, 3:6] = 0 if weighted else 1
    more = {"center": 6.2, "size": (11, 12), "radius": np.inf, "tolerance": 0.0}
    start = rng.uniform(1, 2, (11, 12))
    found, curve = mlem(lines, angle, iterations=3, start=start,
                        weights=weights if weighted else None, **more)  # fmt: skip
    dense = matrix(angle, size=(11, 12), width=14, center=6.2).astype(float)
    image, w = start.ravel(), weights.ravel()
    for i in range(3):
        ahead = dense @ image
        ratio = np.divide(lines.ravel(), ahead, out=np.zeros(ahead.size), where=ahead > 0)
        seen = dense.T @ w
        image = np.where(seen > 0, image / np.where(seen > 0, seen, 1) * (dense.T @ (w * ratio)), 0)
        assert curve[i] == pytest.approx(likelihood(dense, image, lines, weights), rel=1e-4)
    np.testing.assert_allclose(found.ravel(), image, rtol=1e-4, atol=1e-5)


def test_few_angles_give_the_slice() -> None:
    found, curve = mlem(sinogram(), FEW, center=29.5, iterations=40, tolerance=0)
    assert found.dtype == np.float32
    assert found.min() == 0
    assert (found[~inside(60, 30)] == 0).all()
    assert (np.diff(curve) < 0).all()
    few, _ = mlem(sinogram(), FEW, center=29.5, iterations=5, tolerance=0)
    assert error(found) < 0.6 * error(few)
    disc = inside(60, 15)
    assert found[disc].mean() == pytest.approx(TRUTH[disc].mean(), rel=0.01)
    for other in (TRUTH[::-1], TRUTH[:, ::-1], TRUTH.T):
        assert np.sqrt(np.mean((found - other)[inside()] ** 2)) > 2 * error(found)


@pytest.mark.parametrize("subsets", [2, 5, 8])
def test_subsets_do_in_one_iteration_what_as_many_do(subsets: int) -> None:
    one, _ = mlem(sinogram(), FEW, center=29.5, iterations=3 * subsets, tolerance=0)
    fast, curve = osem(sinogram(), FEW, center=29.5, subsets=subsets, iterations=3, tolerance=0)
    short, _ = mlem(sinogram(), FEW, center=29.5, iterations=3, tolerance=0)
    assert np.abs(fast - one)[inside()].mean() < 0.4 * np.abs(short - one)[inside()].mean()
    assert error(fast) < error(short)
    assert (np.diff(curve) < 0).all()


def test_one_subset_is_mlem() -> None:
    for found, wanted in zip(
        osem(sinogram(), FEW, center=29.5, subsets=1, iterations=4, tolerance=0),
        mlem(sinogram(), FEW, center=29.5, iterations=4, tolerance=0),
        strict=True,
    ):
        np.testing.assert_array_equal(found, wanted)


def test_it_stops_where_only_poisson_noise_is_left() -> None:
    rng = np.random.default_rng(1)
    counts = rng.poisson(np.stack([sinogram()] * 3) * np.array([5, 20, 20])[:, None, None])
    assert counts.dtype.kind == "i"
    found, curve = mlem(counts, FEW, center=29.5, deviance=1, tolerance=0)
    _, more = mlem(counts, FEW, center=29.5, tolerance=0)
    assert found.dtype == np.float32
    for image, line, scale in zip(found, curve, (5, 20, 20), strict=True):
        done = np.isfinite(line).sum()
        assert 5 < done < 90
        assert line[done - 1] <= 1 < line[done - 2]
        assert np.isnan(line[done:]).all()
        assert error(image / scale) < 0.2
    # Each stops by itself.
    assert np.isfinite(curve[0]).sum() != np.isfinite(curve[1]).sum()
    assert np.nanmin(more) < 1
    alone, _ = mlem(counts[1], FEW, center=29.5, deviance=1, tolerance=0)
    np.testing.assert_array_equal(found[1], alone)


@BOTH
def test_what_counts_were_divided_by_is_their_weight(method: Any) -> None:
    rng = np.random.default_rng(2)
    # A beam that decays: without weights the late and noisy half counts as much.
    beam = np.geomspace(30, 0.05, 24)[rng.permutation(24), None]
    counts = rng.poisson(sinogram() * beam)
    lines = (counts / beam).astype("float32")
    known, curve = method(lines, FEW, center=29.5, weights=beam, iterations=8, tolerance=0)
    plain, _ = method(lines, FEW, center=29.5, iterations=8, tolerance=0)
    assert error(known) < 0.8 * error(plain)
    assert np.isfinite(curve).all()


@BOTH
def test_gaps_are_not_looked_at(method: Any) -> None:
    angle = np.linspace(0, np.pi, 60, endpoint=False)
    whole = sinogram(angle=angle)
    weights = np.ones(whole.shape)
    weights[7], weights[20:24], weights[40, 10:30] = 0, 0, 0
    weights[np.random.default_rng(3).random(whole.shape) < 0.1] = 0
    broken = np.where(weights > 0, whole, np.nan)
    broken[7] = -5
    found, _ = method(broken, angle, center=29.5, weights=weights, iterations=20)
    full, _ = method(whole, angle, center=29.5, iterations=20)
    assert error(found) < 1.15 * error(full)
    # Whole projections of weight 0 are as if they were not there.
    rows = np.delete(np.arange(60), [7, 8])
    without, _ = mlem(whole[rows], angle[rows], center=29.5, iterations=5, tolerance=0)
    silent = np.ones((60, 1))
    silent[[7, 8]] = 0
    with_, _ = mlem(whole, angle, center=29.5, weights=silent, iterations=5, tolerance=0)
    np.testing.assert_allclose(with_, without, rtol=1e-4, atol=1e-6)


def test_an_image_may_be_given_to_start_from() -> None:
    first, head = mlem(sinogram(), FEW, center=29.5, iterations=6, tolerance=0)
    second, tail = mlem(sinogram(), FEW, center=29.5, iterations=4, tolerance=0, start=first)
    whole, curve = mlem(sinogram(), FEW, center=29.5, iterations=10, tolerance=0)
    np.testing.assert_allclose(second, whole, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([head, tail]), curve, rtol=1e-4)
    support = np.pad(np.ones((60, 30)), ((0, 0), (0, 30)))
    half, _ = mlem(sinogram(), FEW, center=29.5, iterations=3, start=support)
    assert not half[:, 30:].any()
    assert half[:, :30].any()


@BOTH
@pytest.mark.parametrize("size", [53, 61, 64])
def test_odd_and_prime_sizes_and_an_axis_aside(method: Any, size: int) -> None:
    stack = np.stack([sinogram(71, c) for c in (31.25, 35.0, 38.7)])
    found, _ = method(stack, FEW, center=np.array([31.25, 35.0, 38.7]), size=size, iterations=12)
    truth = ellipses.sample(ellipses.LOPSIDED, (size, size), 30)
    within = inside(size, 25)
    for image in found:
        assert np.sqrt(np.mean((image - truth)[within] ** 2)) < 0.3
        assert image[within].mean() == pytest.approx(truth[within].mean(), rel=0.02)


@BOTH
def test_three_angles_and_nothing_at_all(method: Any) -> None:
    angle = np.array([0.0, 1.0, 2.0])
    subsets = {} if method is mlem else {"subsets": 3}
    stack = np.stack([sinogram(angle=angle), np.zeros((3, 60), np.float32)])
    found, curve = method(stack, angle, center=29.5, **subsets)
    assert np.isfinite(found).all()
    assert found[0].sum() == pytest.approx(TRUTH.sum(), rel=0.02)
    assert not found[1].any()
    assert curve[1, 0] == 0
    assert np.isfinite(curve[1]).sum() == 1


def test_values_of_any_size_and_pixels_that_no_ray_sees() -> None:
    plain, _ = mlem(sinogram(), FEW, center=29.5, iterations=5, tolerance=0)
    for scale in (1e-12, 1e12):
        found, curve = mlem(sinogram() * scale, FEW, center=29.5, iterations=5, tolerance=0)
        np.testing.assert_allclose(found / scale, plain, rtol=1e-3, atol=1e-6)
        assert np.isfinite(curve).all()
    angle = np.array([0.0, 0.1])
    found, _ = mlem(np.ones((2, 9), np.float32), angle, center=4.0, size=41, radius=np.inf)
    assert (found[:, :10] == 0).all()
    assert (found[20, 17:24] > 0).all()


@BOTH
def test_bad_input_is_told(method: Any) -> None:
    def told(lines: Array, angle: Array = FEW, **more: Any) -> str:
        with pytest.raises(ArgumentError) as info:
            method(lines, angle, **{"center": 29.5, **more})
        return str(info.value)

    values = sinogram()
    assert "iterations=0" in told(values, iterations=0)
    assert "tolerance=-1" in told(values, tolerance=-1)
    assert "deviance=nan" in told(values, deviance=np.nan)
    assert "outside the detector" in told(values, center=60)
    assert "angles of shape (23,), 24 projections" in told(values, FEW[1:])
    assert "radius=-1" in told(values, radius=-1)
    assert "start of shape (4, 4)" in told(values, start=np.ones((4, 4)))
    assert "to start from is negative" in told(values, start=-np.ones((60, 60)))
    assert "weights of shape (24,)" in told(values, weights=np.ones(24))
    assert "weights of shape (2, 24, 60)" in told(values, weights=np.ones((2, 24, 60)))
    assert "a weight is negative or not finite" in told(values, weights=-np.ones((24, 1)))
    values[3, 4] = -2
    assert "slice 0 has negative values" in told(values)
    assert "1 of 1440, the least -2" in told(values)
    values[3, 4] = np.nan
    assert "not finite" in told(values)
    assert "slice 1 has values" in told(np.stack([sinogram(), values]))


@pytest.mark.parametrize("subsets", [0, 25])
def test_there_are_not_more_subsets_than_angles(subsets: int) -> None:
    with pytest.raises(ArgumentError, match=f"subsets={subsets}, 24 angles"):
        osem(sinogram(), FEW, center=29.5, subsets=subsets)
