"""What the laws draw for reconstructions of many channels: rays with gaps, and their variance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from zeoarray.kernels import filters

Array = np.ndarray[Any, Any]
Draw = st.DrawFn
Sizes = Mapping[str, int]


def _drawn(draw: Draw, sizes: Sizes, dtype: str, dims: str) -> Array:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = tuple(sizes[d] for d in dims.split())
    return (rng.uniform(1, 200, shape)).astype(dtype)


def angles(sizes: Sizes) -> Array:
    """Angles in as many directions."""
    return np.linspace(0, 3, sizes["angle"])


def channels(draw: Draw, sizes: Sizes, dtype: str) -> tuple[Array, ...]:
    """A sinogram of many channels, above 0."""
    return _drawn(draw, sizes, dtype, "angle u q"), angles(sizes)


def channels_with_variance(draw: Draw, sizes: Sizes, dtype: str) -> tuple[Array, ...]:
    """The same with the variance of each ray."""
    return *pairs(draw, sizes, dtype), angles(sizes)


def pairs(draw: Draw, sizes: Sizes, dtype: str) -> tuple[Array, ...]:
    """A sinogram and its variance."""
    return _drawn(draw, sizes, dtype, "angle u q"), _drawn(draw, sizes, dtype, "angle u q")


def flags(sizes: Sizes) -> st.SearchStrategy[Array | None]:
    """Rays that were measured: one or more in each projection."""

    def some(seed: int) -> Array:
        rng = np.random.default_rng(seed)
        found = rng.random((sizes["angle"], sizes["u"])) < 0.9
        found[np.arange(sizes["angle"]), rng.integers(0, sizes["u"], sizes["angle"])] = True
        return found

    return st.none() | st.integers(0, 2**32 - 1).map(some)


def ray_weights(sizes: Sizes) -> st.SearchStrategy[Array | None]:
    """The same, each counting something."""
    return flags(sizes).map(lambda found: None if found is None else 0.5 * found)


@st.composite
def sinograms(draw: Draw) -> xr.Dataset:
    """Sinograms of a few layers, rotations and channels, with any senses."""
    sizes = {"z": draw(st.integers(1, 3)), "angle": draw(st.integers(3, 6)),
             "u": draw(st.integers(2, 6)), "q": draw(st.integers(1, 4))}  # fmt: skip
    shape = tuple(sizes.values())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.uniform(1, 20, shape).astype("float32")
    senses = {n: draw(st.sampled_from([1, -1])) for n in ("rotation_sense", "u_sense", "z_sense")}
    place = {d: (np.arange(sizes[d]) - (sizes[d] - 1) / 2) * 25.0 for d in ("z", "u")}
    ds = xr.Dataset(
        {"intensity": (tuple(sizes), values, {"units": "counts"})},
        {
            "angle": ("angle", np.linspace(0, 350, sizes["angle"]), {"units": "deg"}),
            **{d: (d, p, {"units": "um"}) for d, p in place.items()},
            "q": ("q", 1 + 0.1 * np.arange(sizes["q"]), {"units": "1/angstrom"}),
            "axis_u": ("z", np.linspace(-9, 9, sizes["z"]), {"units": "um"}),
            **senses,
        },
    )
    if draw(st.booleans()):
        ds["variance"] = (tuple(sizes), rng.uniform(0, 2, shape).astype("float32"))
    if draw(st.booleans()):
        valid = rng.random(shape[:-1]) < 0.9
        valid[:, :3, 0] = True
        ds["valid"] = (("z", "angle", "u"), valid)
        ds["intensity"] = ds["intensity"].where(ds["valid"])
    return ds


def operators(ds: xr.Dataset) -> st.SearchStrategy[str]:
    """Operators that a sinogram allows: only one has a variance."""
    return st.sampled_from(["dense"] if "variance" in ds else ["auto", "dense", "nufft"])


@st.composite
def absorbing(draw: Draw) -> xr.Dataset:
    """Such sinograms, with an energy or scattering angles, and a beam that is wide or not."""
    ds = draw(sinograms())
    if draw(st.booleans()):
        ds = ds.assign_coords(energy=((), 60.0, {"units": "keV"}))
    else:
        rings = np.linspace(2, 40, ds.sizes["q"])
        ds = ds.assign_coords(two_theta=("q", rings, {"units": "deg"}))
    if draw(st.booleans()):
        ds = ds.assign_coords(beam_size=((), 30.0, {"units": "um"}))
    return ds


def maps(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset]:
    """Attenuation over all of the width and height, its middle off the axis."""

    def some(seed: int) -> xr.Dataset:
        rng, sizes = np.random.default_rng(seed), {"z": 9, "y": 16, "x": 14}
        place = {d: (np.arange(n) - (n - 1) / 2) * 15.0 for d, n in sizes.items()}
        place["y"] = place["y"] + 7.0
        return xr.Dataset(
            {"attenuation": (tuple(sizes), rng.uniform(0, 20, tuple(sizes.values()))
                             .astype("float32"), {"units": "1/cm"})},
            {d: (d, p, {"units": "um"}) for d, p in place.items()},
        )  # fmt: skip

    return st.integers(0, 2**32 - 1).map(some)


def crossed(draw: Draw, sizes: Sizes, dtype: str) -> tuple[Array, ...]:
    """A map, shares of its rows, angles, and rays of which some miss it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reach = max(sizes["y"], sizes["x"])
    return (
        _drawn(draw, sizes, dtype, "layer y x"), rng.uniform(0.1, 1, sizes["layer"]),
        rng.uniform(-4, 4, sizes["angle"]), rng.uniform(-reach, reach, sizes["u"]),
    )  # fmt: skip


def absorbed(draw: Draw, sizes: Sizes, dtype: str) -> tuple[Array, ...]:
    """Channels of a ray, its line integral, and ways out."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    exponent = np.array(draw(st.sampled_from([0.0, 0.3, 2.0, -0.1])))
    return _drawn(draw, sizes, dtype, "q"), exponent, rng.uniform(0, 1, sizes["q"])


PRODUCTS = ("dense.filtered_backprojection", "dense.variance", "dense.covariance")
ITERATED = ("dense_iterative.reconstruct", "dense_resampled.variance")
LARGE = dict.fromkeys((*PRODUCTS, *ITERATED, "gaps.fill_rays"), 28)
"""Sizes where memory is measured, of kernels whose memory goes with the square of the rays."""

ARRAYS: dict[str, Callable[[Draw, Sizes, str], tuple[Array, ...]]] = {
    **dict.fromkeys((*PRODUCTS, "dense_iterative.reconstruct", "gaps.fill_rays"), channels),
    "dense_resampled.variance": channels_with_variance,
    "dense_resampled.poisson_weights": pairs,
    "dense_resampled.backprojected_noise": lambda *known: pairs(*known)[1:],
    "absorption.line_integrals": crossed,
    "absorption.correct": absorbed,
}

_CENTER = {"center": lambda sizes: st.floats(0, sizes["u"] - 1)}
_SLICE: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    "size": lambda sizes: st.none() | st.integers(1, max(sizes["u"], 7)),
    "radius": lambda sizes: st.none() | st.just(np.inf),
}
_FILTERED = {"filter": lambda sizes: st.sampled_from(sorted(filters.WINDOWS)), "valid": flags}
_ITERATED: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    "method": lambda sizes: st.sampled_from(["sirt", "cgls", "mlem", "tv"]),
    # Conjugate gradients make much of rounding.
    "iterations": lambda sizes: st.just(1),
    "weights": ray_weights,
    "beam": lambda sizes: st.none() | st.floats(0.5, 2.0),
}
PARAMETERS: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    **{f"{k}.{n}": s for k in PRODUCTS for n, s in (_CENTER | _SLICE | _FILTERED).items()},
    **{f"{k}.{n}": s for k in ITERATED for n, s in (_CENTER | _SLICE | _ITERATED).items()},
    "absorption.line_integrals.offset": lambda sizes: st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
    "absorption.line_integrals.beam": lambda sizes: st.sampled_from([0.0, 0.7, 6.0]),
    "absorption.correct.power": lambda sizes: st.integers(1, 2),
    "xrdct.correct_absorption.attenuation": maps,
    "xrdct.correct_absorption.beam": lambda ds: st.sampled_from([None, 0.0, 40.0]),
    "xrdct.correct_absorption.scale": lambda ds: st.sampled_from([None, 0.5]),
    "dense.covariance.offset": lambda sizes: st.sampled_from([(0, 0), (0, 1), (-2, 1)]),
    "dense_resampled.variance.resamples": lambda sizes: st.integers(2, 3),
    "dense_resampled.variance.seed": lambda sizes: st.integers(0, 2**32 - 1),
    "dense_resampled.poisson_weights.valid": flags,
    "dense_resampled.backprojected_noise.valid": flags,
    "gaps.fill_rays.center": _CENTER["center"],
    "gaps.fill_rays.valid": flags,
    "xrdct.reconstruct.method": lambda ds: st.sampled_from(["fbp", "sirt", "mlem"]),
    "xrdct.reconstruct.size": lambda ds: st.none() | st.integers(1, 9),
    "xrdct.reconstruct.circle": lambda ds: st.none() | st.floats(0.5, 1.5),
    "xrdct.reconstruct.operator": operators,
}
