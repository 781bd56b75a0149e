"""What the laws draw for frames on a grid: kernels and verbs between frames and slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from hypothesis import strategies as st

Array = np.ndarray[Any, Any]
Draw = st.DrawFn
Sizes = Mapping[str, int]
SEEDS = st.integers(0, 2**32 - 1)


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    """Intensities above 0, of which a few stand out."""
    out = rng.uniform(10, 100, shape) * np.where(rng.random(shape) < 0.1, 5, 1)
    return out.astype(dtype)


# --- kernels ------------------------------------------------------------------------------------
def _placed(draw: Draw, sizes: Sizes, dtype: str) -> tuple[Array, ...]:
    rng = np.random.default_rng(draw(SEEDS))
    cell = rng.integers(-1, sizes["frame"], sizes["frame"])
    return values(rng, (sizes["frame"],), dtype), cell, rng.uniform(0.1, 1, sizes["frame"])


def _shapes(sizes: Sizes) -> st.SearchStrategy[tuple[int, int, int]]:
    n = sizes["frame"]
    return st.sampled_from([(1, 1, n), (1, n, 1), (n, 1, 1), (2, 1, n)])


def _measured(draw: Draw, sizes: Sizes, dtype: str) -> tuple[Array, ...]:
    """A sinogram, and which points of it were measured."""
    rng = np.random.default_rng(draw(SEEDS))
    valid = rng.random((sizes["angle"], sizes["u"])) < draw(st.sampled_from([1.0, 0.8]))
    return values(rng, (sizes["angle"], sizes["u"], sizes["q"]), dtype), valid


def _opposite(draw: Draw, sizes: Sizes, dtype: str) -> tuple[Array, ...]:
    angles = np.arange(sizes["angle"])
    return *_measured(draw, sizes, dtype), angles % _half(sizes), angles // _half(sizes) % 2


def _opposite_flags(draw: Draw, sizes: Sizes, dtype: str) -> tuple[Array, ...]:
    _, valid, group, side = _opposite(draw, {**sizes, "q": 1}, dtype)
    return valid.astype(dtype), group, side


def _scaled(draw: Draw, sizes: Sizes, dtype: str) -> tuple[Array, ...]:
    rng = np.random.default_rng(draw(SEEDS))
    factor = draw(st.sampled_from([2.5, np.nan, -1.0]))
    return values(rng, (sizes["q"],), dtype), np.array(factor)


def _with_pattern(draw: Draw, sizes: Sizes, dtype: str) -> tuple[Array, ...]:
    one, factor = _scaled(draw, sizes, dtype)
    return one, one[::-1].astype("float32"), factor


def _half(sizes: Sizes) -> int:
    return (sizes["angle"] + 1) // 2


def _counts(sizes: Sizes) -> st.SearchStrategy[int]:
    return st.integers(1, 3)


def _halves(sizes: Sizes) -> st.SearchStrategy[int]:
    return st.just(_half(sizes))


def _columns(sizes: Sizes) -> st.SearchStrategy[float]:
    middle = (sizes["u"] - 1) / 2
    return st.sampled_from([middle, middle + 0.3, middle - 1])


def _ends(sizes: Sizes) -> st.SearchStrategy[int]:
    return st.integers(0, min((sizes["u"] - 1) // 2, 3))


ARRAYS: dict[str, Callable[[Draw, Sizes, str], tuple[Array, ...]]] = {
    "gridding.place": _placed,
    "background.scaled": _scaled,
    "background.subtract_pattern": _with_pattern,
    "background.sum_scale": _measured,
    "spots.remove_spots": _measured,
    "fold.fold": _opposite,
    "fold.fold_flags": _opposite_flags,
}


# --- datasets -----------------------------------------------------------------------------------
@st.composite
def frames(draw: Draw) -> xr.Dataset:
    """Integrated frames of a snake with jitter, some of them lost, some taken twice."""
    rng = np.random.default_rng(draw(SEEDS))
    layers, angles, steps = (draw(st.integers(*span)) for span in ((1, 2), (2, 6), (3, 6)))
    position = [
        (50.0 * z, 20.0 * i, 25.0 * (k if i % 2 else steps - 1 - k))
        for z in range(layers)
        for i in range(angles)
        for k in range(steps)
    ]
    z, angle, u = np.array(position).T
    kept = np.flatnonzero(rng.random(u.size) < 0.95)
    kept = np.concatenate([kept if kept.size > 1 else np.arange(u.size), [0]])
    bins = draw(st.integers(1, 5))
    shape = (kept.size, bins)
    variables = {
        "intensity": (("frame", "q"), values(rng, shape, "float32")),
        "variance": (("frame", "q"), values(rng, shape, "float32")),
    }
    jitter = draw(st.sampled_from([0.0, 0.3]))
    coords: dict[str, Any] = {
        "z": ("frame", z[kept], {"units": "um"}),
        "angle": ("frame", angle[kept], {"units": "deg"}),
        "u": ("frame", (u + jitter * rng.normal(size=u.size))[kept], {"units": "um"}),
        "q": ("q", np.linspace(1, 2, bins), {"units": "1/angstrom"}),
    }
    if draw(st.booleans()):
        coords["monitor"] = ("frame", rng.uniform(0.5, 2, kept.size), {"units": "1"})
    return xr.Dataset(variables, coords)


@st.composite
def sinograms(draw: Draw) -> xr.Dataset:
    """Full circles of a few blobs about an axis, on a background, some points not measured."""
    rng = np.random.default_rng(draw(SEEDS))
    layers, bins, steps = draw(st.integers(1, 3)), draw(st.integers(2, 5)), 24
    angle, center = np.arange(20) * 18.0, 11.8
    turn = np.deg2rad(angle)[:, None]
    place = np.arange(steps) - center
    rays = sum(
        np.exp(-(((place - x * np.cos(turn) - y * np.sin(turn)) / 2) ** 2))
        for x, y in ((4, 1), (-3, 2), (0, -5))
    )
    pattern = rng.uniform(50, 100, (layers, 1, 1, bins))
    intensity = rays[..., None] * pattern + 5 + 0.1 * rng.normal(size=(layers, 20, steps, bins))
    variables = {"intensity": (("z", "angle", "u", "q"), intensity.astype("float32"))}
    if draw(st.booleans()):
        variables["variance"] = (("z", "angle", "u", "q"), np.abs(intensity).astype("float32"))
    if draw(st.booleans()):
        valid = np.ones((layers, 20, steps), bool)
        valid[0, 7] = False
        variables["intensity"][1][~valid] = np.nan
        variables["valid"] = (("z", "angle", "u"), valid)
    coords = {
        "z": ("z", 50.0 * np.arange(layers), {"units": "um"}),
        "angle": ("angle", angle, {"units": "deg"}),
        "u": ("u", 25.0 * np.arange(steps), {"units": "um"}),
        "q": ("q", np.linspace(1, 2, bins), {"units": "1/angstrom"}),
    }
    return xr.Dataset(variables, coords)


def _references(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset | None]:
    q = ("q", np.linspace(0.9, 2.1, 9), {"units": "1/angstrom"})
    pattern = xr.Dataset(
        {"intensity": ("q", np.linspace(1, 3, 9)), "variance": ("q", np.full(9, 0.1))}, {"q": q}
    )
    return st.none() | st.just(pattern)


DATASETS: dict[str, st.SearchStrategy[xr.Dataset]] = {
    "xrdct.sinogram": frames() | sinograms(),
    "xrdct.subtract_background": sinograms(),
    "xrdct.scale_projections": sinograms(),
    "xrdct.remove_spots": sinograms(),
    "xrdct.fold": sinograms(),
    "xrdct.find_center": sinograms(),
}

PARAMETERS: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    "gridding.place.shape": _shapes,
    "background.subtract_outer.count": _counts,
    "background.outer_variance.count": _counts,
    "background.pattern_scale.count": _counts,
    "spots.remove_spots.snr": lambda sizes: st.sampled_from([0.0, 3.0, 6.0]),
    "spots.remove_spots.reach": lambda sizes: st.integers(0, 2),
    "spots.remove_spots.span": lambda sizes: st.integers(1, 2),
    "spots.remove_spots.around": lambda sizes: st.booleans(),
    "fold.fold.count": _halves,
    "fold.fold.center": _columns,
    "fold.fold.power": lambda sizes: st.integers(1, 2),
    "fold.fold_flags.count": _halves,
    "fold.fold_flags.center": _columns,
    "center_mass.find_center_mass.outer": _ends,
    "xrdct.sinogram.weights": lambda ds: st.sampled_from(["auto", "equal"]),
    "xrdct.subtract_background.reference": _references,
    "xrdct.subtract_background.outer": lambda ds: st.integers(1, 4),
    "xrdct.remove_spots.span": lambda ds: st.integers(1, 2),
    "xrdct.fold.center": lambda ds: st.sampled_from([11.5, 11.8]),
    "xrdct.find_center.layers": lambda ds: st.integers(1, 4),
    # Of so small a sinogram another method may say otherwise, and the warning is an error.
    "xrdct.find_center.method": lambda ds: st.sampled_from(["opposite"]),
}
