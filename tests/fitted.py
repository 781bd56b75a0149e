"""Patterns, references and weights that the laws draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from hypothesis import strategies as st

Array = np.ndarray[Any, Any]
Draw = st.DrawFn


def um(dim: str, size: int) -> tuple[str, Array, dict[str, str]]:
    """Positions along a dim, 0 in its middle."""
    return dim, (np.arange(size) - (size - 1) / 2) * 25.0, {"units": "um"}


Q = 1.0 + 0.01 * np.arange(40)


def noisy_arrays(draw: Draw, sizes: Mapping[str, int], dtype: str) -> tuple[Array, ...]:
    """Patterns of any numbers, and variances, a few of them 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    variance = rng.uniform(1, 4, sizes["q"]) * (rng.random(sizes["q"]) > 0.1)
    pattern = 100 * rng.normal(size=sizes["q"])
    if np.dtype(dtype).kind in "iu":
        pattern = np.abs(pattern)
    return pattern.astype(dtype), variance.astype("float32")


def peak_arrays(draw: Draw, sizes: dict[str, int], dtype: str) -> tuple[Array, ...]:
    """The same, long enough for windows about peaks, not so long that slopes drown."""
    sizes["q"] = min(max(sizes["q"], 41), 20_000)
    return noisy_arrays(draw, sizes, dtype)


def fit_designs(sizes: Mapping[str, int]) -> st.SearchStrategy[Array]:
    # Each term has bins of its own beside what it shares, so that none is a sum of the others.
    def some(seed: int, terms: int) -> Array:
        own = np.arange(sizes["q"]) % terms == np.arange(terms)[:, None]
        return own + 0.2 * np.random.default_rng(seed).random((2, terms, sizes["q"]))

    return st.builds(some, st.integers(0, 2**32 - 1), st.integers(1, 3))


def fit_bands(sizes: Mapping[str, int]) -> st.SearchStrategy[Array | None]:
    return st.none() | st.just(np.tile([1.0, 0.4, 0.1], (sizes["q"], 1)))


def _lines(*centres: float) -> Array:
    return sum((np.exp(-(((Q - c) / 0.02) ** 2)) for c in centres), np.zeros_like(Q))


TWO = xr.Dataset(
    {"pattern": (("phase", "q"), np.stack([_lines(1.1, 1.3), _lines(1.13, 1.2)]))},
    {"phase": ["a", "b"], "q": ("q", Q, {"units": "1/angstrom"})},
)
"""Reference patterns of two phases."""


@st.composite
def patterns(draw: Draw) -> xr.Dataset:
    """Patterns of two phases with noise, of voxels or rays, with or without variance."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dims = draw(st.sampled_from([("z", "y", "x"), ("z", "angle", "u")]))
    shape = tuple(draw(st.integers(1, 3)) for _ in dims)
    mean = np.moveaxis(rng.uniform(0, 2, (*shape, 2)), -1, 0)
    values = np.einsum("p...,pq->...q", mean, TWO["pattern"].values) + 0.5 - 0.2 * Q
    values += 0.02 * rng.normal(size=values.shape)
    coords: dict[str, Any] = {
        d: um(d, n) if d != "angle" else (d, np.linspace(0, 300, n), {"units": "deg"})
        for d, n in zip(dims, shape, strict=True)
    }
    ds = xr.Dataset(
        {"intensity": ((*dims, "q"), values.astype("float32"))},
        coords | {"q": ("q", Q, {"units": "1/angstrom"})},
    )
    if draw(st.booleans()):
        ds["variance"] = ((*dims, "q"), np.full(values.shape, 4e-4, "float32"))
    return ds


@st.composite
def rotated(draw: Draw) -> xr.Dataset:
    """Sinograms of a blob off the axis, whose lines move with its depth."""
    z, u, angle = draw(st.integers(1, 2)), 9, np.arange(0, 360, 30.0)
    turn = np.deg2rad(angle)[:, None]
    away = np.arange(u) - 4.0 - 2 * np.cos(turn)
    depth = -2 * np.sin(turn)
    amount = np.exp(-(away**2))
    place = Q / (1 + 2e-4 * depth[..., None])
    line = np.exp(-(((place - 1.1) / 0.02) ** 2)) + np.exp(-(((place - 1.3) / 0.02) ** 2))
    values = 5 * amount[..., None] * line + 0.1
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=(z, *values.shape))
    data = (values + 0.01 * noise).astype("float32")
    dims = ("z", "angle", "u", "q")
    return xr.Dataset(
        {"intensity": (dims, data), "variance": (dims, np.full(data.shape, 1e-4, "float32"))},
        {
            "z": um("z", z),
            "angle": ("angle", angle, {"units": "deg"}),
            "u": um("u", u),
            "q": ("q", Q, {"units": "1/angstrom"}),
        },
    )


def middles(sizes: dict[str, int]) -> st.SearchStrategy[tuple[float, ...]]:
    """A peak in the middle, and of long patterns two that overlap."""
    middle = sizes["q"] // 2 * 0.01
    return st.sampled_from([(middle,), (middle, middle + 0.02)])


def bands(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset | None]:
    """Correlations of the bins of `patterns`."""
    band = np.tile(np.float32([1, 0.4]), (Q.size, 1))
    node = xr.Dataset({"correlation": (("q", "lag"), band)}, {"q": ds["q"]})
    return st.none() | st.just(node)


BASIS = xr.Dataset(
    {
        "basis": (("component", "q"), np.linalg.qr(TWO["pattern"].values.T)[0].T),
        "scale": ("q", 1 + Q),
    },
    {"q": ("q", Q, {"units": "1/angstrom"})},
)
"""Two curves that patterns are brought to."""


def _curves(sizes: Mapping[str, int]) -> st.SearchStrategy[Array]:
    def some(seed: int, count: int) -> Array:
        # Orthonormal beyond what one bin allows.
        made = np.random.default_rng(seed).normal(size=(count, sizes["q"]))
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    return st.builds(some, st.integers(0, 2**32 - 1), st.integers(1, 3))


def _scales(sizes: Mapping[str, int]) -> st.SearchStrategy[Array]:
    return st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.default_rng(seed).choice([0.0, 0.5, 1.0, 2.0], sizes["q"])
    )


def _parts(ds: xr.Dataset) -> st.SearchStrategy[int]:
    """Components that the patterns may have: not more than there are patterns."""
    return st.integers(1, 2 if ds["intensity"][..., 0].size > 2 else 1)


def parallaxes(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset | None]:
    """Of voxels, how lines move along the beam."""
    node = xr.Dataset({"shift_per_m": ((), -40.0, {"units": "1/m"})})
    return st.none() | st.just(node) if "y" in ds.dims else st.none()


def share_arrays(draw: Draw, sizes: dict[str, int], dtype: str) -> tuple[Array, ...]:
    """Weights and their covariance."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # As many of the one dim as of the other, and so not as many as a pattern has bins.
    count = sizes["phase"] = sizes["other"] = min(sizes["phase"], 300)
    return rng.uniform(0, 99, count).astype(dtype), np.eye(count, dtype="float32")


@st.composite
def weighted(draw: Draw) -> xr.Dataset:
    """Phase weights of voxels, with their covariance."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 2)), draw(st.integers(5, 8)), draw(st.integers(5, 8)))
    weight = rng.uniform(0, 1, (2, *shape)).astype("float32")
    covariance = np.full((2, 2, *shape), -1e-4, "float32")
    covariance[[0, 1], [0, 1]] = 4e-4
    return xr.Dataset(
        {
            "weight": (("phase", "z", "y", "x"), weight),
            "weight_sigma": (("phase", "z", "y", "x"), np.full(weight.shape, 0.02, "float32")),
            "weight_covariance": (("phase", "other", "z", "y", "x"), covariance),
        },
        {d: um(d, n) for d, n in zip("zyx", shape, strict=True)}
        | {"phase": ["a", "b"], "other": ["a", "b"]},
    )


@st.composite
def covariances(draw: Draw) -> xr.Dataset:
    """Covariances of neighbouring bins of rays."""
    band = np.zeros((2, draw(st.integers(1, 4)), 3, Q.size, 2), "float32")
    band[..., 0], band[..., 1] = 2, draw(st.floats(0, 0.9))
    return xr.Dataset(
        {"covariance": (("z", "angle", "u", "q", "lag"), band)},
        {"q": ("q", Q, {"units": "1/angstrom"})},
    )


ARRAYS: dict[str, Any] = {
    "peaks.fit_peaks": peak_arrays,
    "phases.fit": noisy_arrays,
    "phases.share": share_arrays,
}
DATASETS: dict[str, st.SearchStrategy[xr.Dataset]] = {
    "xrdct.bin_correlation": covariances(),
    "xrdct.decompose": patterns(),
    "xrdct.find_basis": patterns(),
    "xrdct.low_rank": patterns(),
    "xrdct.fit_phases": patterns(),
    "xrdct.fractions": weighted(),
    "xrdct.isolation": weighted(),
    "xrdct.parallax": rotated(),
    "xrdct.map_peaks": patterns(),
    "xrdct.reference_patterns": patterns(),
}
PARAMETERS: dict[str, Any] = {
    "phases.fit.design": fit_designs,
    "phases.fit.bounded": lambda sizes: st.integers(0, 1),
    "phases.fit.correlation": fit_bands,
    "phases.fit.level": lambda sizes: st.floats(0, 1),
    "phases.fit.smooth": lambda sizes: st.integers(1, 9),
    "peaks.fit_peaks.q": lambda sizes: st.just(np.arange(sizes["q"]) * 0.01),
    "peaks.fit_peaks.peaks": middles,
    "peaks.fit_peaks.window": lambda sizes: st.just(0.12),
    "peaks.fit_peaks.width": lambda sizes: st.just(0.03),
    "peaks.fit_peaks.correlation": fit_bands,
    # Rounding may decide what step is the last.
    "peaks.fit_peaks.significance": lambda sizes: st.just(np.inf),
    "xrdct.decompose.components": _parts,
    "xrdct.decompose.background": lambda ds: st.sampled_from([0, 3]),
    "xrdct.decompose.iterations": lambda ds: st.integers(1, 12),
    "xrdct.decompose.seed": lambda ds: st.integers(0, 2**32 - 1),
    "low_rank.project.basis": _curves,
    "low_rank.project.scale": _scales,
    "low_rank.variance.basis": _curves,
    "low_rank.variance.scale": _scales,
    "xrdct.find_basis.rank": lambda ds: st.just(1),
    "xrdct.find_basis.correlation": bands,
    "xrdct.low_rank.basis": lambda ds: st.just(BASIS),
    "xrdct.map_peaks.peaks": lambda ds: st.just((1.1, 1.13, 1.3)),
    "xrdct.map_peaks.window": lambda ds: st.just(0.05),
    "xrdct.map_peaks.width": lambda ds: st.just(0.03),
    "xrdct.map_peaks.profile": lambda ds: st.sampled_from(["gaussian", "pseudo_voigt"]),
    "xrdct.map_peaks.correlation": bands,
    "xrdct.reference_patterns.peaks": lambda ds: st.just({"a": (1.1, 1.3), "b": (1.13, 1.2)}),
    "xrdct.reference_patterns.background": lambda ds: st.integers(0, 3),
    "xrdct.fit_phases.references": lambda ds: st.just(TWO),
    "xrdct.fit_phases.correlation": bands,
    "xrdct.fit_phases.parallax": parallaxes,
    "xrdct.fit_phases.background": lambda ds: st.integers(0, 5),
    "xrdct.fit_phases.nonnegative": lambda ds: st.booleans(),
    "xrdct.isolation.beam_um": lambda ds: st.just(25.0),
    "xrdct.parallax.references": lambda ds: st.just(TWO),
    "xrdct.parallax.center": lambda ds: st.just(4.0),
    "xrdct.parallax.background": lambda ds: st.just(3),
    "xrdct.fractions.least": lambda ds: st.sampled_from([0.0, 0.5]),
}
