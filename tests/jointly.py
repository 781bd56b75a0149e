"""Volumes, grids and maps that tests and laws bring onto each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from tests.placed import UM, volume
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


def _sources(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset]:
    return st.sampled_from([volume((7, 9, 8), 1.4), phases((6, 8, 7), 2.5)])


def _maps(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset | None]:
    return st.sampled_from([None, registration(turn()), registration(turn(-9.0, scale=1.02))])


DATASETS: dict[str, st.SearchStrategy[xr.Dataset]] = {
    "volume.grid": some_volumes(),
    "volume.resample": some_grids(),
    "volume.join": some_joints(),
}
PARAMETERS: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    "volume.grid.voxel": lambda ds: st.sampled_from([None, 1.5, 4.0]),
    "volume.resample.volume": _sources,
    "volume.resample.registration": _maps,
    "volume.resample.inverse": lambda ds: st.booleans(),
    "volume.resample.interpolation": lambda ds: st.sampled_from(["mean", "linear", "cubic"]),
    "volume.join.volume": _sources,
    "volume.join.registration": _maps,
    "volume.join.name": lambda ds: st.sampled_from(["b", "c-25um"]),
    "volume.resample.circle": lambda ds: st.sampled_from([None, 0.8]),
}
