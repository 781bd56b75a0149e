"""Volumes, places and patches that the laws of training data draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from zeoarray import patches

Draw = st.DrawFn
UM = {"units": "um"}
THIRDS = {"train": 0.4, "validation": 0.3, "test": 0.3}


def volume(
    shape: tuple[int, int, int] = (8, 64, 12), voxel: float = 2.0, seed: int = 0, low: float = 0.0
) -> xr.Dataset:
    """Attenuation of about 1 everywhere, no voxel like another."""
    values = 1 + 0.1 * np.random.default_rng(seed).normal(size=shape)
    axes = {
        d: (d, low + (np.arange(n) - (n - 1) / 2) * voxel, UM)
        for d, n in zip("zyx", shape, strict=True)
    }
    return xr.Dataset(
        {"attenuation": (("z", "y", "x"), values.astype("float32"), {"units": "1/cm"})},
        {**axes, "resolution": ((), voxel, UM)},
    )


def places(of: xr.Dataset, **given: Any) -> xr.Dataset:
    """Places over a volume, in slabs along y."""
    asked = {"size": 8.0, "support": 1.0, "threshold": 0.0, "along": "y", "splits": THIRDS}
    return patches.place(of, **{**asked, **given})


@st.composite
def some_volumes(draw: Draw) -> xr.Dataset:
    shape = (draw(st.integers(4, 9)), draw(st.integers(48, 60)), draw(st.integers(4, 9)))
    return volume(shape, seed=draw(st.integers(0, 99)))


@st.composite
def some_places(draw: Draw) -> xr.Dataset:
    return places(volume(seed=draw(st.integers(0, 9))), overlap=draw(st.sampled_from([0.0, 0.5])),
                  support=draw(st.sampled_from([7.5, 9.0])), size=(8.0, 4.0, 8.0))  # fmt: skip


@st.composite
def some_patches(draw: Draw) -> xr.Dataset:
    of = volume(seed=draw(st.integers(0, 9)))
    return patches.extract(places(of), volume=of).drop_attrs(deep=False)


def _sources(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset]:
    fine = volume(seed=5)
    phases = xr.Dataset(
        {"weight": (("phase", *"zyx"), np.stack([fine["attenuation"]] * 2))},
        {**fine.coords, "phase": ["sodium", "zinc"]},
    )
    return st.sampled_from([fine, volume((4, 32, 6), 4.0), phases])


def _cut(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset]:
    return st.sampled_from([0.0, 0.5]).map(
        lambda overlap: patches.extract(places(ds, overlap=overlap, threshold=-9.0), volume=ds)
    )


DATASETS: dict[str, st.SearchStrategy[xr.Dataset]] = {
    "patches.place": some_volumes(),
    "patches.extract": some_places(),
    "patches.statistics": some_patches(),
    "patches.stitch": some_volumes(),
}
PARAMETERS: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    "patches.place.size": lambda ds: st.sampled_from([4.0, (4.0, 6.0, 4.0)]),
    "patches.place.support": lambda ds: st.sampled_from([0.0, 1.0]),
    "patches.place.sampling": lambda ds: st.just("grid"),
    "patches.place.overlap": lambda ds: st.sampled_from([0.0, 0.5]),
    "patches.place.threshold": lambda ds: st.just(0.0),
    "patches.place.along": lambda ds: st.just("y"),
    "patches.place.splits": lambda ds: st.just(THIRDS),
    "patches.extract.volume": _sources,
    "patches.extract.voxel": lambda ds: st.sampled_from([None, 2.0, 4.0]),
    "patches.extract.psf": lambda ds: st.sampled_from([0.0, 0.5]),
    "patches.stitch.patches": _cut,
}
