"""What the laws draw for azimuthal integration of scans: tiny detectors, and frames on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from hypothesis import strategies as st
from pyFAI.detectors import Detector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from tests.matrices import any_of
from zeoarray import schema
from zeoarray.kernels import azimuthal
from zeoarray.kernels.azimuthal_config import Configuration

Array = np.ndarray[Any, Any]
DISTANCE, PIXEL, WAVELENGTH = 0.05, 2e-4, 0.5
SHAPE = (9, 12)


def _integrator(shape: tuple[int, int]) -> AzimuthalIntegrator:
    detector = Detector(PIXEL, PIXEL, max_shape=shape)
    return AzimuthalIntegrator(
        DISTANCE, -1e-3, -2e-3, 0.02, -0.03, detector=detector, wavelength=WAVELENGTH * 1e-10
    )


def config(shape: tuple[int, int], npt: int | tuple[int, int], split: str) -> Configuration:
    """Bins over most of what a detector sees."""
    azimuth = (-180.0, 180.0) if isinstance(npt, tuple) else None
    return azimuthal.configuration(
        _integrator(shape), npt, unit="r_mm", split=split, radial_range=(0.5, 20.0),
        azimuth_range=azimuth,
    )  # fmt: skip


def _configs(*bins: Any) -> Callable[[Mapping[str, int]], st.SearchStrategy[Configuration]]:
    def some(sizes: Mapping[str, int]) -> st.SearchStrategy[Configuration]:
        shape = (sizes["det_y"], sizes["det_x"])
        split = st.sampled_from(["no", "full"])
        return st.builds(config, st.just(shape), st.sampled_from(bins), split)

    return some


def _frames(draw: Any, sizes: Mapping[str, int], dtype: str) -> tuple[Array, ...]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (sizes["det_y"], sizes["det_x"])
    counts = rng.poisson(50, shape).astype(dtype)
    place = np.array([DISTANCE, -1e-3, -2e-3]) + draw(st.sampled_from([0.0, 1e-4]))
    mask = rng.random(shape) < 0.1
    mask.flat[0] = False
    response = draw(st.sampled_from([np.ones(shape), rng.uniform(0.5, 1.5, shape)]))
    dark = draw(st.sampled_from([np.zeros(shape), rng.uniform(0, 3, shape)]))
    return counts, place, np.where(mask, 0, response).astype("f4"), dark.astype("f4")


@st.composite
def scans(draw: Any) -> xr.Dataset:
    """Frames at motor positions, with geometry, monitor, and at times a mask."""
    frames = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = rng.poisson(20, (frames, *SHAPE)).astype(draw(st.sampled_from(["int32", "uint16"])))
    geometry = {
        "distance": DISTANCE, "poni1": -1e-3, "poni2": -2e-3, "rot1": 0.02, "rot2": -0.03,
        "rot3": 0.0, "pixel1": PIXEL, "pixel2": PIXEL, "wavelength": WAVELENGTH,
        "detector": "Detector", "orientation": 3, "sensor_parallax": 0,
        "detector_config": json.dumps({"max_shape": list(SHAPE)}),
    }  # fmt: skip
    beam = rng.choice([-40.0, 0.0, 60.0], (2, frames))
    ds = xr.Dataset(
        {"counts": (("frame", "det_y", "det_x"), counts)},
        {
            "angle": ("frame", np.arange(frames) * 7.0),
            "u": ("frame", beam[0]),
            "z": ("frame", beam[1]),
            "monitor": ("frame", rng.uniform(0.5, 1, frames)),
            "exposure": ("frame", np.full(frames, 2.0)),
            "u_sense": 1,
            "z_sense": draw(st.sampled_from([1, -1])),
            **geometry,
        },
    )
    if draw(st.booleans()):
        ds["mask"] = (("det_y", "det_x"), rng.random(SHAPE) < 0.1)
    return schema.describe(ds, schema.SCAN_XRDCT)


def _stops(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset | None]:
    levels = {n: np.unique(ds[n].values).round(-1) for n in ("u", "z")}
    stops = np.ones((levels["z"].size, levels["u"].size), np.int64)
    out = xr.Dataset(
        {"stops": (("beam_z", "beam_u"), stops)},
        {"beam_u": levels["u"], "beam_z": levels["z"]},
    )
    return st.none() | st.just(schema.describe(out, schema.BEAM_POSITIONS))


def _darks(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset | None]:
    image = np.linspace(0, 3, SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE)
    dark = xr.Dataset({"dark": (("det_y", "det_x"), image, {"units": "counts"})})
    return st.none() | st.just(dark)


def _flats(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset | None]:
    image = np.linspace(0.5, 1.5, SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE)
    flat = xr.Dataset({"flat": (("det_y", "det_x"), image, {"units": "1"})})
    return st.none() | st.just(flat)


ARRAYS = {"azimuthal_scan.patterns": _frames, "azimuthal_scan.cakes": _frames}
DATASETS = {
    "xrdct.integrate": scans(),
    "xrdct.cake": scans(),
    "xrdct.find_positions": scans(),
    "xrdct.bin_covariance": scans(),
}
_OF_BOTH: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    "normalize_by": any_of("none", "monitor"),
    "per_second": any_of(False, True),
    "moving": any_of((), ("u", "z"), ("z",)),
    "positions": _stops,
    "dark": _darks,
    "flat": _flats,
    "unit": any_of("q", "two_theta"),
}
PARAMETERS: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    "azimuthal_scan.patterns.config": _configs(1, 7, 50),
    "azimuthal_scan.patterns.method": any_of("mean", "trimmed_mean"),
    "azimuthal_scan.patterns.error_model": any_of(None, "poisson"),
    "azimuthal_scan.patterns.factor": any_of(0.1, 1.0, 7.5),
    # Only with the error model of its name.
    "azimuthal_scan.patterns.variance": any_of(None),
    "azimuthal_scan.cakes.config": _configs((5, 3), (20, 1)),
    "azimuthal_scan.cakes.error_model": any_of(None, "poisson", "azimuthal"),
    "azimuthal_scan.cakes.factor": any_of(0.1, 1.0, 7.5),
    **{f"xrdct.integrate.{name}": strategy for name, strategy in _OF_BOTH.items()},
    **{f"xrdct.cake.{name}": strategy for name, strategy in _OF_BOTH.items()},
    "xrdct.integrate.npt": any_of(1, 30),
    "xrdct.integrate.split": any_of("no", "full"),
    "xrdct.integrate.error_model": any_of("none", "poisson", "counts", "azimuthal"),
    "xrdct.cake.npt": any_of(1, 8),
    "xrdct.cake.sectors": any_of(1, 6),
    "xrdct.bin_covariance.npt": any_of(5, 30),
    "xrdct.bin_covariance.frames": any_of(1, 3),
    "xrdct.bin_covariance.lags": any_of(1, 4),
}
