"""Sigma clipping and the trimmed mean, beside pyFAI and by hand."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from tests.diffraction_frames import SHAPE, frames, geometry
from zeoarray.errors import ArgumentError
from zeoarray.kernels import azimuthal
from zeoarray.kernels.azimuthal import integration_matrix
from zeoarray.kernels.azimuthal_robust import sigma_clip, trimmed_mean

rng = np.random.default_rng(8)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("pyFAI").setLevel(logging.CRITICAL)


def spotted(count: int) -> np.ndarray[Any, Any]:
    """Frames with a few spots."""
    data = frames(count, background=40)
    for frame in data:
        frame.flat[rng.integers(0, frame.size, 15)] += 5000
    return data


def pattern(sums: Any) -> tuple[Any, Any]:
    signal, norm, variance = sums
    return azimuthal.intensity(signal, norm), azimuthal.sigma(variance, norm)


@pytest.mark.parametrize("model", ["azimuthal", "poisson"])
def test_clipping_is_pyfais(model: Any) -> None:
    data = spotted(9)
    matrix = integration_matrix(geometry(), 25, split="no")
    found, sigma = pattern(
        sigma_clip(data, matrix=matrix, error_model=model, cutoff=4, cycles=3, factor=3.0)
    )
    for i in (0, 8):
        expected = geometry().sigma_clip(
            data[i], 25, unit="q_A^-1", method=("no", "csr", "cython"), error_model=model,
            thres=4, max_iter=3, normalization_factor=3.0,
        )  # fmt: skip
        # Where every pixel is an outlier, pyFAI has 0.
        np.testing.assert_allclose(np.nan_to_num(found[i]), expected.intensity, rtol=1e-5)
        # Its variance of a bin is summed up pixel by pixel, which is not quite that of the bin.
        np.testing.assert_allclose(np.nan_to_num(sigma[i]), expected.sem, rtol=3e-3)


@pytest.mark.parametrize("split", ["no", "full"])
@pytest.mark.parametrize("quantiles", [(0.1, 0.9), (0.5, 0.5), (0.0, 1.0), (0.0, 0.3)])
def test_trimming_is_pyfais(quantiles: tuple[float, float], split: Any) -> None:
    # Intensities without ties, whose order is nobody's.
    data = spotted(2) + rng.uniform(0, 1, (2, *SHAPE)).astype("float32")
    data = data.astype("float32")
    matrix = integration_matrix(geometry(), 25, split=split)
    sums = trimmed_mean(data, matrix=matrix, quantiles=quantiles, error_model="poisson")
    found, sigma = pattern(sums)
    expected = geometry().medfilt1d_ng(
        data[1], 25, unit="q_A^-1", method=(split, "csr", "cython"), error_model="poisson",
        percentile=tuple(100 * n for n in quantiles),
    )  # fmt: skip
    # Where a quantile falls on the edge of a pixel, rounding decides whether that one is in.
    near = np.isclose(found[1], expected.intensity, rtol=1e-5)
    assert near.mean() > 0.8
    np.testing.assert_allclose(found[1], expected.intensity, rtol=0.02)
    np.testing.assert_allclose(sigma[1][near], expected.sem[near], rtol=1e-4)


def by_sorting(frame: Any, matrix: Any, low: float, high: float) -> Any:
    """Intensities between two quantiles, each bin sorted as a whole."""
    pointer, pixel, share = matrix.by_bin
    norm = matrix.pixel_normalization.astype(float)
    out = np.full(matrix.bins, np.nan)
    for k in range(matrix.bins):
        part = slice(pointer[k], pointer[k + 1])
        p, c = pixel[part], share[part].astype(float)
        c, p = c[np.isfinite(frame.flat[p])], p[np.isfinite(frame.flat[p])]
        x = (frame.flat[p] / norm[p]).astype("float32")
        order = np.argsort(x, kind="stable")
        after = np.cumsum((c * norm[p])[order])
        before = np.append(0, after[:-1])
        least, most = low * after[-1], high * after[-1]
        keep = (before >= least) & (after <= most) | (before <= least) & (after >= most)
        chosen = order[keep]
        if chosen.size:
            out[k] = (c * frame.flat[p])[chosen].sum() / (c * norm[p])[chosen].sum()
    return out


@pytest.mark.parametrize("quantiles", [(0.25, 0.75), (0.5, 0.5), (0.33, 0.34)])
@pytest.mark.parametrize("kind", ["counts", "zeros", "negative", "holes", "wide"])
def test_trimming_is_sorting(kind: str, quantiles: tuple[float, float]) -> None:
    data = rng.poisson(3, SHAPE).astype("float32")
    if kind == "zeros":
        data *= rng.random(SHAPE) < 0.1
    elif kind == "negative":
        data = rng.normal(0, 5, SHAPE).astype("float32")
    elif kind == "holes":
        data[rng.random(SHAPE) < 0.2] = np.nan
    elif kind == "wide":
        data = (10 ** rng.uniform(-20, 20, SHAPE)).astype("float32")
    matrix = integration_matrix(geometry(), 12)
    found, _ = pattern(trimmed_mean(data, matrix=matrix, quantiles=quantiles))
    expected = by_sorting(data, matrix, *quantiles)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_spots_are_gone() -> None:
    clean = rng.poisson(40, (3, *SHAPE)).astype("int32")
    data = clean.copy()
    for frame in data:
        frame.flat[rng.integers(0, frame.size, 15)] += 5000
    matrix = integration_matrix(geometry(), 25, split="no", solid_angle=False)
    truth, sigma = azimuthal.integrate(clean, matrix, error_model="poisson")
    raw = azimuthal.integrate(data, matrix)
    assert np.abs(raw - truth).max() > 20
    for sums in (
        sigma_clip(data, matrix=matrix),
        trimmed_mean(data, matrix=matrix, quantiles=(0.1, 0.9)),
    ):
        assert (np.abs(pattern(sums)[0] - truth) < sigma).all()


def test_dark_and_variance_are_taken_along() -> None:
    data = spotted(2)
    dark = rng.uniform(0, 3, SHAPE).astype("float32")
    matrix = integration_matrix(geometry(), 25, split="no")
    everything = {"cutoff": 1e6, "cycles": 2}
    for model, variance in (("poisson", None), ("variance", np.full(data.shape, 7.0))):
        given = {"error_model": model, "variance": variance, "dark": dark}
        expected = azimuthal.sums(data, matrix=matrix, **given)
        for found in (
            sigma_clip(data, matrix=matrix, **given, **everything),
            trimmed_mean(data, matrix=matrix, quantiles=(0.0, 1.0), **given),
        ):
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4)


def test_nothing_is_left_of_frames_without_counts() -> None:
    matrix = integration_matrix(geometry(), 9, split="no")
    data = np.full((2, *SHAPE), -1, "int32")
    for sums in (sigma_clip(data, matrix=matrix), trimmed_mean(data, matrix=matrix)):
        assert np.isnan(pattern(sums)[0]).all()
    assert sigma_clip(data[:0], matrix=matrix)[0].shape == (0, 9)


@pytest.mark.parametrize(
    ("verb", "given", "message"),
    [
        (sigma_clip, {"cutoff": 0}, "cutoff above 0"),
        (sigma_clip, {"cycles": -1}, "and cycles"),
        (sigma_clip, {"error_model": "poison"}, "did you mean 'poisson'"),
        (sigma_clip, {"error_model": "variance"}, "belong together"),
        (trimmed_mean, {"quantiles": (10, 90)}, "between 0 and 1"),
        (trimmed_mean, {"quantiles": (0.9, 0.1)}, "ascend"),
        (trimmed_mean, {"error_model": "azimuthal"}, "error model of trimming"),
        (trimmed_mean, {"variance": np.ones(SHAPE)}, "belong together"),
    ],
)
def test_bad_arguments(verb: Any, given: dict[str, Any], message: str) -> None:
    matrix = integration_matrix(geometry(), 9, split="no")
    with pytest.raises(ArgumentError, match=message):
        verb(np.zeros(SHAPE, "int32"), matrix=matrix, **given)
