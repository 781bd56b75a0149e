"""Total variation: against a slow minimiser, and on slices of few values from few angles."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from tests import ellipses
from zeoarray.errors import ArgumentError
from zeoarray.kernels import dense_iterative, projector
from zeoarray.kernels.iterative import sirt
from zeoarray.kernels.radon import filtered_backprojection, project
from zeoarray.kernels.total_variation import total_variation

Array = np.ndarray[Any, Any]

FEW = np.linspace(0, np.pi, 20, endpoint=False)
TINY = 8


def sinogram(angle: Array = FEW) -> Array:
    return ellipses.project(ellipses.LOPSIDED, angle, 80, 40, 39.5).astype("float32")


def inside(size: int, radius: float) -> Array:
    y = np.arange(size) - (size - 1) / 2
    return np.hypot(y[:, None], y) <= radius


def error(found: Array) -> float:
    truth = ellipses.sample(ellipses.LOPSIDED, (80, 80), 40)
    return float(np.sqrt(np.mean((found - truth)[inside(80, 37)] ** 2)))


# --- a reference that is slow and plain ---------------------------------------------------------
def differences() -> Array:
    """(pixel x 2, pixel): to the next pixel along y and along x, 0 at the last."""
    pixels = np.eye(TINY**2).reshape(TINY**2, TINY, TINY)
    down = np.diff(pixels, axis=1, append=pixels[:, -1:])
    right = np.diff(pixels, axis=2, append=pixels[:, :, -1:])
    return np.stack([down, right], axis=-1).reshape(TINY**2, -1).T


def objective(operator: Array, lines: Array, rays: Array, image: Array, weight: float) -> float:
    steps = (differences() @ image).reshape(-1, 2)
    misfit = 0.5 * float((rays * (operator @ image - lines) ** 2).sum())
    return misfit + weight * float(np.hypot(*steps.T).sum())


def minimised(
    operator: Array, lines: Array, rays: Array, weight: float, lower: float | None, keep: Array
) -> Array:
    """Primal and dual steps after Chambolle and Pock, doi:10.1007/s10851-010-0251-1."""
    root, steps = np.sqrt(rays), differences()
    matrix, wanted = root[:, None] * operator, root * lines
    length = 0.99 / np.linalg.norm(np.concatenate([matrix, steps]), 2)
    image = ahead = np.zeros(TINY**2)
    of_lines, of_steps = np.zeros(len(matrix)), np.zeros((TINY**2, 2))
    for _ in range(8000):
        of_lines = (of_lines + length * (matrix @ ahead - wanted)) / (1 + length)
        of_steps = of_steps + length * (steps @ ahead).reshape(-1, 2)
        of_steps /= np.maximum(1, np.hypot(*of_steps.T) / weight)[:, None]
        new = image - length * (matrix.T @ of_lines + steps.T @ of_steps.ravel())
        new = (new if lower is None else np.maximum(new, lower)) * keep
        image, ahead = new, 2 * new - image
    return image


@pytest.mark.parametrize(
    ("weight", "lower", "gaps"),
    [(0.1, None, False), (0.1, 0.0, True), (0.5, 0.2, False), (2.0, None, True)],
)
def test_it_meets_a_slow_minimiser(weight: float, lower: float | None, gaps: bool) -> None:
    rng = np.random.default_rng(0)
    angle = np.linspace(0, np.pi, 5, endpoint=False)
    pixels = np.eye(TINY**2, dtype="float32").reshape(-1, TINY, TINY)
    operator = project(pixels, angle, size=TINY).reshape(TINY**2, -1).T.astype(float)
    image = np.zeros((TINY, TINY))
    image[2:5, 3:6] = 1
    lines = operator @ image.ravel() + 0.3 * rng.normal(size=5 * TINY)
    rays = (
        rng.uniform(0.2, 2, lines.size) * (rng.random(lines.size) < 0.8) if gaps else 1 + 0 * lines
    )
    keep = inside(TINY, TINY / 2).ravel()
    best = minimised(operator, lines, rays, weight, lower, keep)
    found, curve = total_variation(
        np.where(rays > 0, lines, np.nan).reshape(5, TINY).astype("float32"), angle, center=3.5,
        weight=weight, lower=lower, iterations=2000, tolerance=0,
        weights=rays.reshape(5, TINY) if gaps else None,
    )  # fmt: skip
    least = objective(operator, lines, rays, best, weight)
    assert objective(operator, lines, rays, found.ravel(), weight) < least * 1.0001
    last = float(curve[np.isfinite(curve)][-1])
    nothing = objective(operator, lines, rays, 0 * best, weight)
    assert last * nothing == pytest.approx(least, rel=1e-4)
    np.testing.assert_allclose(found.ravel(), best, atol=0.02)


@pytest.mark.parametrize(
    ("weight", "lower", "gaps"), [(0.1, 0.0, True), (0.5, 0.2, False), (2.0, None, True)]
)
def test_channels_meet_the_slow_minimiser(weight: float, lower: float | None, gaps: bool) -> None:
    """The dense operator and its fixed number of iterations: each channel as if it were alone."""
    rng = np.random.default_rng(0)
    angle = np.linspace(0, np.pi, 5, endpoint=False)
    operator = projector.matrix(angle, size=(TINY, TINY), width=TINY, center=3.5).astype(float)
    image = np.zeros((TINY, TINY))
    image[2:5, 3:6] = 1
    lines = (operator @ image.ravel())[:, None] * [1, 4, 0] + 0.3 * rng.normal(size=(5 * TINY, 3))
    rays = 1 + 0 * lines[:, 0]
    if gaps:
        rays = rng.uniform(0.2, 2, rays.size) * (rng.random(rays.size) < 0.8)
    # Rays that hardly meet the circle are not looked at.
    keep = inside(TINY, TINY / 2).ravel()
    crossed = operator[:, keep].sum(axis=1)
    counted = rays * (crossed > 1e-6 * crossed.max())
    found, _ = dense_iterative.reconstruct(
        np.where(rays[:, None] > 0, lines, np.nan).reshape(5, TINY, 3).astype("float32"), angle,
        method="tv", center=3.5, edges=weight, lower=lower, iterations=800,
        weights=rays.reshape(5, TINY),
    )  # fmt: skip
    for channel in range(3):
        best = minimised(operator, lines[:, channel], counted, weight, lower, keep)
        least = objective(operator, lines[:, channel], counted, best, weight)
        own = found[..., channel].ravel()
        assert objective(operator, lines[:, channel], counted, own, weight) < least * 1.0001
        np.testing.assert_allclose(own, best, atol=0.02)


def test_channels_take_no_more_memory_than_they_say() -> None:
    """The laws of kernels try this method without edges, which takes less."""
    values = np.random.default_rng(0).random((30, 30, 500), "f4")
    given: dict[str, Any] = {"method": "tv", "center": 14.5, "iterations": 2, "edges": 1.0}
    angle, contract = np.linspace(0, 3, 30), dense_iterative.reconstruct.contract
    sizes = {"angle": 30, "u": 30, "q": 500, "batch": 1}
    declared = contract.memory(sizes, contract.resolve(given), 1)
    dense_iterative.reconstruct(values, angle, **given)
    tracemalloc.start()
    try:
        out = dense_iterative.reconstruct(values, angle, **given)
        peak = tracemalloc.get_traced_memory()[1] - sum(o.nbytes for o in out)
    finally:
        tracemalloc.stop()
    assert 0.7 * (declared.fixed + declared.block) < peak <= declared.fixed + declared.block


def test_slices_of_few_values_from_few_angles() -> None:
    found, curve = total_variation(sinogram(), FEW, center=39.5, weight=3.0, lower=0.0)
    back = filtered_backprojection(sinogram(), FEW, center=39.5)
    iterated, _ = sirt(sinogram(), FEW, center=39.5, iterations=500, tolerance=0, lower=0.0)
    assert found.dtype == np.float32
    assert error(found) < 0.5 * error(iterated) < 0.5 * error(back)
    assert found.min() >= 0
    assert (found[~inside(80, 40)] == 0).all()
    finite = curve[np.isfinite(curve)]
    assert 10 < finite.size < 300
    assert finite[-1] < 0.001


@pytest.mark.parametrize("weight", [0.0, 0.03, 30.0])
def test_the_objective_never_rises(weight: float) -> None:
    noisy = sinogram() + np.random.default_rng(1).normal(size=(20, 80)).astype("float32")
    _, curve = total_variation(noisy, FEW, center=39.5, weight=weight, iterations=120, tolerance=0)
    assert (np.diff(curve[np.isfinite(curve)]) <= 0).all()
    assert np.isfinite(curve).sum() > 20


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_noise_needs_a_weight_of_its_own_size(sigma: float) -> None:
    angle = np.linspace(0, np.pi, 90, endpoint=False)
    noise = sigma * np.random.default_rng(0).normal(size=(90, 80))
    noisy = (sinogram(angle) + noise).astype("float32")
    scale = sigma * np.sqrt(90)
    few, right, many = (
        error(total_variation(noisy, angle, center=39.5, weight=factor * scale)[0])
        for factor in (0.1, 2, 20)
    )
    assert right < 0.6 * min(few, many)


def test_gaps_are_not_looked_at() -> None:
    angle = np.linspace(0, np.pi, 30, endpoint=False)
    whole = sinogram(angle)
    weights = np.ones(whole.shape)
    weights[7], weights[20, 10:30] = 0, 0
    weights[np.random.default_rng(3).random(whole.shape) < 0.1] = 0
    broken = np.where(weights > 0, whole, np.nan)
    more: dict[str, Any] = {"center": 39.5, "weight": 3.0}
    found, _ = total_variation(broken, angle, weights=weights, **more)
    full, _ = total_variation(whole, angle, **more)
    filled, _ = total_variation(np.where(weights > 0, whole, 0), angle, **more)
    assert error(found) < min(1.3 * error(full), 0.1 * error(filled))
    silent = np.ones((30, 1))
    silent[7] = 0
    with_, _ = total_variation(whole, angle, weights=silent, **more)
    without, _ = total_variation(np.delete(whole, 7, axis=0), np.delete(angle, 7), **more)
    np.testing.assert_allclose(with_, without, atol=0.03)


def test_slices_stop_each_by_itself() -> None:
    stack = np.stack([sinogram(), np.zeros((20, 80), "float32"), 0.3 * sinogram()])
    axes = np.array([39.5, 39.5, 38.0])
    more: dict[str, Any] = {"weight": 3.0, "iterations": 40, "tolerance": 1e-3}
    found, curve = total_variation(stack, FEW, center=axes, **more)
    for i in range(3):
        image, objectives = total_variation(stack[i], FEW, center=axes[i], **more)
        np.testing.assert_array_equal(found[i], image)
        np.testing.assert_array_equal(curve[i], objectives)
    assert not found[1].any()
    assert np.isfinite(curve[1]).sum() == 1
    assert (np.isfinite(curve).sum(axis=1)[[0, 2]] > 10).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": -1.0}, "the weight of edges is not negative"),
        ({"weight": np.nan}, "the weight of edges is not negative"),
        ({"tolerance": -1.0}, "the rule to stop has no negative numbers"),
        ({"iterations": 0}, "there is one iteration or more"),
        ({"weights": np.ones(20)}, "the weights do not fit the sinogram"),
        ({"weights": -np.ones((20, 80))}, "a weight is negative or not finite"),
        ({"center": 90.0}, "the rotation axis is outside the detector"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        total_variation(sinogram(), FEW, **({"center": 39.5, "weight": 1.0} | arguments))


def test_values_that_are_no_numbers() -> None:
    lines = sinogram()
    lines[3, 40] = np.nan
    with pytest.raises(ArgumentError, match="values that are not finite"):
        total_variation(lines, FEW, center=39.5, weight=1.0)
