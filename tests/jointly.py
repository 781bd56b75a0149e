"""Volumes, grids and maps that tests and laws bring onto each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.ndimage
import xarray as xr
from hypothesis import strategies as st

from tests.placed import UM, volume
from zeoarray import schema
from zeoarray.volume import grid, join

Draw = st.DrawFn
Array = np.ndarray[Any, Any]


def turn(
    degrees: float = 3.0, shift: tuple[float, float, float] = (1.0, -2.0, 0.5), scale: float = 1.0
) -> Array:
    """(4, 4): x, y, z to x, y, z, turned about an oblique axis."""
    axis = np.array([0.36, 0.48, 0.8])
    cross = np.cross(np.eye(3), axis)
    angle = np.deg2rad(degrees)
    out = np.eye(4)
    out[:3, :3] = scale * (np.eye(3) - np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
    out[:3, 3] = shift
    return out


def registration(matrix: Array) -> xr.Dataset:
    """What a registration says of the map alone."""
    return xr.Dataset({"to_fixed": (("to", "from"), matrix, UM)})


def phases(shape: tuple[int, int, int] = (8, 16, 12), voxel: float = 2.0) -> xr.Dataset:
    """Weights of two phases, with flags."""
    fine = volume(shape, voxel)
    values = fine["attenuation"].values
    return xr.Dataset(
        {
            "weight": (("phase", *"zyx"), np.stack([values, 1 - values])),
            "valid": (tuple("zyx"), values > 0.9),
        },
        {**fine.coords, "phase": ["sodium", "zinc"]},
    )


def soft(shape: tuple[int, int, int], voxel: float, low: float = 0.0) -> xr.Dataset:
    """A soft ball in a void, well inside."""
    out = volume(shape, voxel, low=low)
    r = np.sqrt(sum((out[d] - low) ** 2 for d in "zyx"))
    wide = min(shape) * voxel / 9
    ball = np.exp(-0.5 * (r / wide) ** 2).transpose(*"zyx").astype("float32")
    return out.assign(attenuation=ball.assign_attrs(out["attenuation"].attrs))


@st.composite
def some_volumes(draw: Draw) -> xr.Dataset:
    shape = tuple(draw(st.integers(4, 9)) for _ in "zyx")
    return volume((shape[0], shape[1], shape[2]), seed=draw(st.integers(0, 99)))


@st.composite
def some_grids(draw: Draw) -> xr.Dataset:
    return grid(draw(some_volumes()), voxel=draw(st.sampled_from([1.5, 2.0, 3.3])))


@st.composite
def some_joints(draw: Draw) -> xr.Dataset:
    out = draw(some_grids())
    if draw(st.booleans()):
        return out
    return join(out, volume=volume((6, 8, 7), 2.5), name="a").drop_attrs(deep=False)


def materials(
    shape: tuple[int, int, int] = (16, 40, 40),
    voxel: float = 2.0,
    noise: float = 0.05,
    seed: int = 0,
) -> xr.Dataset:
    """Air, matter and grains: three grey levels and noise, in blobs."""
    out = volume(shape, voxel)
    field = np.random.default_rng(1).normal(size=shape)
    field = scipy.ndimage.gaussian_filter(field, 2.5)
    low, high = np.quantile(field, [0.4, 0.8])
    levels = np.array([0.1, 1.0, 1.8])[(field > low).astype(int) + (field > high)]
    values = levels + noise * np.random.default_rng(seed).normal(size=shape)
    return out.assign(attenuation=(tuple("zyx"), values.astype("float32"), {"units": "1/cm"}))


def mapping(*knots: float) -> xr.Dataset:
    """The mapping x -> 1 + x**2 / 4 between knots."""
    x = np.array(knots)
    out = xr.Dataset(
        {
            "knot_from": ("knot", x),
            "knot_to": ("knot", 1 + x**2 / 4),
            "knot_sigma": ("knot", 0 * x),
            "overlap_voxels": ((), 5),
            "rank_correlation": ((), 1.0),
            "residual_rms": ((), 0.0),
        }
    )
    return schema.describe(out, schema.MAPPING)


def _others(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset]:
    return st.just(materials(seed=1).map(lambda v: 2 * v + 1).astype("float32"))


def _sources(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset]:
    return st.sampled_from([volume((7, 9, 8), 1.4), phases((6, 8, 7), 2.5)])


def _maps(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset | None]:
    return st.sampled_from([None, registration(turn()), registration(turn(-9.0, scale=1.02))])


DATASETS: dict[str, st.SearchStrategy[xr.Dataset]] = {
    "volume.grid": some_volumes(),
    "volume.resample": some_grids(),
    "volume.join": some_joints(),
    "volume.harmonize": st.integers(0, 9).map(lambda seed: materials(seed=seed)),
    "volume.apply_mapping": some_volumes(),
}
PARAMETERS: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    "volume.grid.voxel": lambda ds: st.sampled_from([None, 1.5, 4.0]),
    "volume.resample.volume": _sources,
    "volume.resample.registration": _maps,
    "volume.resample.inverse": lambda ds: st.booleans(),
    "volume.resample.interpolation": lambda ds: st.sampled_from(["mean", "linear", "cubic"]),
    "mapping.remap.source": lambda sizes: st.just(np.array([-1.0, 0.5, 2.0])),
    "mapping.remap.target": lambda sizes: st.just(np.array([0.0, 1.0, 5.0])),
    "volume.harmonize.fixed": _others,
    "volume.harmonize.match": lambda ds: st.sampled_from(["overlap", "peaks"]),
    "volume.harmonize.voxel": lambda ds: st.just(2.0),
    "volume.harmonize.rows": lambda ds: st.just(5),
    "volume.harmonize.least_overlap": lambda ds: st.just(100),
    "volume.apply_mapping.mapping": lambda ds: st.just(mapping(0.2, 0.9, 1.4)),
    "volume.join.volume": _sources,
    "volume.join.registration": _maps,
    "volume.join.name": lambda ds: st.sampled_from(["b", "c-25um"]),
    "volume.resample.circle": lambda ds: st.sampled_from([None, 0.8]),
}
