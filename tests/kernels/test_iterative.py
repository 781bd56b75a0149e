"""SIRT and CGLS on few angles, beside filtered back-projection and the exact slice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import ellipses
from zeoarray.errors import ArgumentError
from zeoarray.kernels.iterative import cgls, sirt
from zeoarray.kernels.radon import filtered_backprojection

Array = np.ndarray[Any, Any]

FEW = np.linspace(0, np.pi, 24, endpoint=False)
BOTH = pytest.mark.parametrize("method", [sirt, cgls])


def sinogram(columns: int = 80, center: float = 39.5, angle: Array = FEW) -> Array:
    out = ellipses.project(ellipses.LOPSIDED, angle, columns, 40, center)
    return out.astype("float32")


def inside(size: int = 80, radius: float = 37) -> Array:
    y = np.arange(size) - (size - 1) / 2
    return np.hypot(y[:, None], y) <= radius


def error(found: Array) -> float:
    truth = ellipses.sample(ellipses.LOPSIDED, (80, 80), 40)
    return float(np.sqrt(np.mean((found - truth)[inside()] ** 2)))


@BOTH
def test_few_angles_are_better_used_than_by_back_projection(method: Any) -> None:
    found, curve = method(sinogram(), FEW, center=39.5)
    assert found.dtype == np.float32
    assert (found[~inside(80, 40)] == 0).all()
    assert error(found) < 0.75 * error(filtered_backprojection(sinogram(), FEW, center=39.5))
    finite = curve[np.isfinite(curve)]
    assert (np.diff(finite) < 0).all()
    assert finite[-1] < 0.05
    disc = inside(80, 20)
    truth = ellipses.sample(ellipses.LOPSIDED, (80, 80), 40)
    assert found[disc].mean() == pytest.approx(truth[disc].mean(), rel=0.01)


@BOTH
def test_a_gap_in_the_angles_and_an_axis_aside(method: Any) -> None:
    angle = np.delete(np.linspace(0, np.pi, 90, endpoint=False), slice(30, 36))
    stack = np.stack([sinogram(100, c, angle) for c in (46.25, 49.5, 53.7)])
    found, curve = method(stack, angle, center=np.array([46.25, 49.5, 53.7]), size=80)
    assert found.shape == (3, 80, 80)
    for image, residuals in zip(found, curve, strict=True):
        assert error(image) < 0.1
        assert np.nanmin(residuals) < 0.05


@BOTH
def test_it_stops_where_it_is_told(method: Any) -> None:
    _, full = method(sinogram(), FEW, center=39.5, iterations=12, tolerance=0)
    assert np.isfinite(full).all()
    level = float(full[6]) * 1.0001
    _, cut = method(sinogram(), FEW, center=39.5, iterations=12, tolerance=0, residual=level)
    np.testing.assert_allclose(cut[:7], full[:7], rtol=1e-4)
    assert np.isnan(cut[7:]).all()
    _, lazy = method(sinogram(), FEW, center=39.5, iterations=12, tolerance=0.5)
    assert 1 <= np.isfinite(lazy).sum() < 12


@BOTH
def test_slices_stop_each_by_itself(method: Any) -> None:
    rng = np.random.default_rng(0)
    noisy = sinogram() + rng.normal(size=(24, 80)).astype("float32") * 5
    stack = np.stack([sinogram(), noisy, np.zeros_like(noisy)])
    found, curve = method(stack, FEW, center=39.5, iterations=15, tolerance=0.03)
    for i in range(3):
        image, residuals = method(stack[i], FEW, center=39.5, iterations=15, tolerance=0.03)
        assert np.isfinite(residuals).sum() == np.isfinite(curve[i]).sum()
        np.testing.assert_allclose(found[i], image, atol=1e-4)
    assert not found[2].any()
    assert np.isfinite(curve[2]).sum() == 1


def test_nothing_is_below_the_lower_limit() -> None:
    free, _ = sirt(sinogram(), FEW, center=39.5, iterations=50)
    held, _ = sirt(sinogram(), FEW, center=39.5, iterations=50, lower=0)
    assert free.min() < 0 <= held.min()
    assert error(held) < error(free)


@BOTH
def test_it_stops_where_only_noise_is_left(method: Any) -> None:
    rng = np.random.default_rng(1)
    sigma = np.array([2.0, 0.5])
    stack = np.stack([sinogram()] * 2)
    noise = rng.normal(size=stack.shape) * sigma[:, None, None]
    noisy = (stack + noise).astype("float32")
    more = {"center": 39.5, "iterations": 60, "tolerance": 0}
    found, curve = method(noisy, FEW, sigma=sigma, **more)
    late, _ = method(noisy, FEW, **more)
    # All rays cross the circle but the outermost, whose middles lie in it as well.
    level = sigma * np.sqrt(stack[0].size) / np.linalg.norm(noisy.reshape(2, -1), axis=1)
    for line, enough in zip(curve, level, strict=True):
        done = np.isfinite(line).sum()
        assert 1 < done < 60
        assert line[done - 1] <= enough < line[done - 2]
    assert error(found[0]) < 0.9 * error(late[0])
    alone, _ = method(noisy[1], FEW, sigma=0.5, **more)
    np.testing.assert_allclose(found[1], alone, atol=1e-4)


@BOTH
def test_gaps_are_not_looked_at(method: Any) -> None:
    angle = np.linspace(0, np.pi, 60, endpoint=False)
    whole = sinogram(angle=angle)
    weights = np.ones(whole.shape)
    weights[7], weights[40, 10:30] = 0, 0
    weights[np.random.default_rng(3).random(whole.shape) < 0.1] = 0
    broken = np.where(weights > 0, whole, np.nan)
    more = {"center": 39.5, "iterations": 40, "tolerance": 0}
    found, curve = method(broken, angle, weights=weights, **more)
    full, _ = method(whole, angle, **more)
    filled, _ = method(np.where(weights > 0, whole, 0), angle, **more)
    assert error(found) < min(1.6 * error(full), 0.2 * error(filled))
    assert (np.diff(curve) < 0).all()
    # The value of a weight does not count, nor does a projection that has none.
    scaled, _ = method(broken, angle, weights=7 * weights, **more)
    np.testing.assert_allclose(scaled, found, atol=0.02)
    rows = np.delete(np.arange(60), [7, 8])
    silent = np.ones((60, 1))
    silent[[7, 8]] = 0
    few = {"center": 39.5, "iterations": 4, "tolerance": 0}
    without, left = method(whole[rows], angle[rows], **few)
    with_, same = method(whole, angle, weights=silent, **few)
    np.testing.assert_allclose(with_, without, atol=0.01)
    np.testing.assert_allclose(same, left, rtol=2e-3)


@BOTH
def test_noisy_rays_count_for_less_by_their_weight(method: Any) -> None:
    rng = np.random.default_rng(4)
    angle = np.linspace(0, np.pi, 60, endpoint=False)
    sigma = np.where(np.arange(60) % 2, 0.3, 6.0)[:, None]
    noisy = (sinogram(angle=angle) + sigma * rng.normal(size=(60, 80))).astype("float32")
    # Of rays of weight 1 the noise is 1.
    more = {"center": 39.5, "iterations": 100, "tolerance": 0, "sigma": 1.0}
    known, curve = method(noisy, angle, weights=sigma**-2.0, **more)
    plain, _ = method(noisy, angle, **{**more, "sigma": float(np.sqrt(np.mean(sigma**2)))})
    assert error(known) < 0.7 * error(plain)
    assert 2 < np.isfinite(curve).sum() < 100


@BOTH
def test_odd_and_prime_sizes_and_three_angles(method: Any) -> None:
    angle = np.array([0.0, 1.0, 2.0])
    for size in (53, 61):
        found, curve = method(sinogram(91, 43.3), FEW, center=43.3, size=size, iterations=10)
        assert found.shape == (size, size)
        assert np.isfinite(curve).any()
    found, curve = method(sinogram(angle=angle), angle, center=39.5)
    assert np.isfinite(found).all()
    truth = ellipses.sample(ellipses.LOPSIDED, (80, 80), 40)
    assert found.sum() == pytest.approx(truth.sum(), rel=0.05)
    assert np.nanmin(curve) < 0.1


@BOTH
def test_bad_input_is_told(method: Any) -> None:
    def told(lines: Array, angle: Array = FEW, **more: Any) -> str:
        with pytest.raises(ArgumentError) as info:
            method(lines, angle, **{"center": 39.5, **more})
        return str(info.value)

    values = sinogram()
    assert "iterations=0" in told(values, iterations=0)
    assert "tolerance=-1" in told(values, tolerance=-1)
    assert "residual=nan" in told(values, residual=np.nan)
    assert "sigma=-2" in told(values, sigma=-2)
    assert "sigma of shape (2,)" in told(values, sigma=np.ones(2))
    assert "weights of shape (80, 24)" in told(values, weights=np.ones((80, 24)))
    assert "a weight is negative or not finite" in told(values, weights=np.full((24, 80), np.nan))
    assert "outside the detector" in told(values, center=90)
    assert "angles of shape (23,), 24 projections" in told(values, FEW[1:])
    assert "radius=-1" in told(values, radius=-1)
    values[3, 4] = np.nan
    assert "not finite" in told(values)
