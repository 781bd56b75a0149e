"""What the laws draw: arrays, parameters and datasets for every kernel and step.

A new kernel or step is under the laws as soon as it is registered. Where it has a required
parameter, or a dataset of its own, it needs an entry here:

- `PARAMETERS["module.function.parameter"]`: a function of the sizes of the core dims (a kernel) or
  of the dataset (a step) that gives a strategy. An optional parameter without entry keeps its
  default.
- `ARRAYS["module.function"]`: for a kernel whose arrays are not any numbers.
- `DATASETS["module.verb"]`: for every step and measure.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests import diffracted, fitted, framed, gridded, jointly, placed, registered
from tests.matrices import any_of, matrices
from zeoarray import schema
from zeoarray.kernels import filters
from zeoarray.kernels.contract import Kernel
from zeoarray.step import Step
from zeoarray.xct.rings import METHODS as RINGS

Array = np.ndarray[Any, Any]
Draw = st.DrawFn

LAW = settings(
    max_examples=int(os.environ.get("ZEO_EXAMPLES", "8")),
    derandomize="ZEO_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    # Explaining a failure takes longer than finding it.
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


# --- kernels ------------------------------------------------------------------------------------
@dataclass
class Case:
    """One call of a kernel."""

    arrays: tuple[Array, ...] = field(repr=False)
    parameters: dict[str, Any]
    sizes: dict[str, int]


SMALL = (1, 7)
LARGE = {1: 100_000, 2: 400, 3: 80}
"""Size of each core dim, by how many the first input has, where memory is measured."""
SLOW = {
    "center_opposite.find_center_opposite": 40,
    **dict.fromkeys(
        (
            "center.find_center_vo",
            "center_sharpness.find_center_sharpness",
            "expectation.mlem",
            "expectation.osem",
            "projector.project",
            "projector.backproject",
            "total_variation.total_variation",
        ),
        200,
    ),
}
"""The same, of kernels that take long over noise; an array of such a size is more than `SLACK`."""

DTYPES: dict[str, tuple[str, ...]] = {
    "windows.bin_all": ("bool", "uint8"),
    "orient.to_orientation": ("uint16", "int32", "float32", "bool"),
}


def numbers(draw: Draw, shape: tuple[int, ...], dtype: str) -> Array:
    """Any numbers: counts, or floats of either sign."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = np.dtype(dtype).kind
    if kind in "biu":
        return rng.integers(0, 2 if kind == "b" else 200, shape).astype(dtype)
    return (100 * rng.normal(size=shape)).astype(dtype)


def _references(draw: Draw, sizes: Mapping[str, int]) -> tuple[Array, Array]:
    """Flats above their dark, but for a few pixels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    frame = (sizes["z"], sizes["u"])
    dark = rng.uniform(0, 20, frame).astype("float32")
    flat = rng.uniform(60, 200, (sizes["set"], *frame)).astype("float32")
    flat[rng.random(flat.shape) < draw(st.sampled_from([0.3, 0.1, 0.0, 1.0]))] = 0
    return flat, dark


def _transmission_arrays(draw: Draw, sizes: Mapping[str, int], dtype: str) -> tuple[Array, ...]:
    counts = numbers(draw, (sizes["angle"], sizes["z"], sizes["u"]), dtype)
    flat, dark = _references(draw, sizes)
    # Beyond the sets as well: there the nearest is taken.
    position = draw(st.lists(st.floats(-1, sizes["set"]), min_size=1, max_size=4))
    scale = draw(st.sampled_from([np.ones(sizes["angle"]), np.linspace(0.5, 2, sizes["angle"])]))
    return counts, flat, dark, np.resize(np.array(position), sizes["angle"]), scale.copy()


def _counted_arrays(draw: Draw, sizes: Mapping[str, int], dtype: str) -> tuple[Array, ...]:
    """Sinograms that are not negative."""
    lines = np.abs(numbers(draw, (sizes["angle"], sizes["u"]), dtype))
    return lines, numbers(draw, (sizes["angle"],), dtype)


def _long_lines(draw: Draw, sizes: dict[str, int], dtype: str) -> tuple[Array, ...]:
    """Lines with room for air at both ends."""
    sizes["u"] = max(sizes["u"], 3)
    return (np.abs(numbers(draw, (sizes["u"],), dtype)) + np.dtype(dtype).type(1),)


def _usable_arrays(draw: Draw, sizes: Mapping[str, int], dtype: str) -> tuple[Array, ...]:
    return _references(draw, sizes)


def _on_a_detector(draw: Draw, sizes: Mapping[str, int], dtype: str) -> tuple[Array, ...]:
    first = draw(st.integers(0, 3))
    pixels = (np.arange(sizes[dim]) + first for dim in ("z", "u"))
    return numbers(draw, (sizes["z"], sizes["u"]), dtype), *pixels


def _circle_arrays(draw: Draw, sizes: Mapping[str, int], dtype: str) -> tuple[Array, ...]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pairs = (rng.integers(0, sizes["angle"], sizes["half"]) for _ in range(3))
    sinogram = numbers(draw, (sizes["angle"], sizes["u"]), dtype)
    return sinogram, *pairs, rng.uniform(0, 1, sizes["half"])


LENSES = st.sampled_from([(1.0,), (0.9, 0.03), (1.05, 0.0, -1e-3)])


def _lenses(sizes: Mapping[str, int]) -> st.SearchStrategy[tuple[float, ...]]:
    # Large images are to be moved a little, and not folded.
    return LENSES if sizes["u"] < 40 else st.just((0.99, 1e-5))


def _half_circle(draw: Draw, sizes: Mapping[str, int], dtype: str) -> tuple[Array, ...]:
    """A sinogram of any numbers, at even angles."""
    values = numbers(draw, (sizes["angle"], sizes["u"]), dtype)
    return values, np.linspace(0, np.pi, sizes["angle"])


def _affine(sizes: Mapping[str, int]) -> st.SearchStrategy[Array]:
    """Maps of indices that turn, scale and shift a little."""

    def drawn(seed: int) -> Array:
        rng = np.random.default_rng(seed)
        return np.c_[np.eye(3) + 0.2 * rng.normal(size=(3, 3)), rng.uniform(0, 2, 3)]

    return st.integers(0, 2**32 - 1).map(drawn)


ARRAYS: dict[str, Callable[[Draw, Mapping[str, int], str], tuple[Array, ...]]] = {
    "flatfield.over_air": _long_lines,
    "center_opposite.find_center_opposite": _half_circle,
    "center_sharpness.find_center_sharpness": _half_circle,
    "flatfield.transmission": _transmission_arrays,
    "flatfield.usable": _usable_arrays,
    "expectation.mlem": _counted_arrays,
    "expectation.osem": _counted_arrays,
    **fitted.ARRAYS,
    **framed.ARRAYS,
    **diffracted.ARRAYS,
    **gridded.ARRAYS,
    "distortion.unwarp": _on_a_detector,
    "overlap.unfold": _circle_arrays,
    "distortion.unwarp_flags": _on_a_detector,
}


_BOUNDS = st.sampled_from([None, (0.0, 1.5), (0.2, 0.9)])


def _factors(sizes: Mapping[str, int]) -> st.SearchStrategy[int]:
    return st.integers(1, min(sizes["n"], 5))


def _sets(sizes: Mapping[str, int]) -> st.SearchStrategy[tuple[int, ...] | None]:
    frames = sizes["frame"]
    count = st.integers(1, min(frames, 3))
    # Every set has a frame; the rest belong to any, or (-1) to none.
    some = count.flatmap(
        lambda n: st.lists(st.integers(-1, n - 1), min_size=frames - n, max_size=frames - n).map(
            lambda rest: (*range(n), *rest)
        )
    )
    return st.none() | some


def _on_detector(sizes: Mapping[str, int]) -> st.SearchStrategy[float]:
    return st.floats(0, sizes["u"] - 1)


def _weights(sizes: Mapping[str, int]) -> st.SearchStrategy[Array | None]:
    some = st.lists(st.floats(0, 1), min_size=sizes["angle"], max_size=sizes["angle"])
    return st.none() | some.map(np.array)


def _ray_weights(sizes: Mapping[str, int]) -> st.SearchStrategy[Array | None]:
    def some(seed: int) -> Array:
        rng = np.random.default_rng(seed)
        given = rng.uniform(0.1, 1, (sizes["angle"], sizes["u"]))
        return given * (rng.random(given.shape) < 0.8)

    return st.none() | st.integers(0, 2**32 - 1).map(some)


def _starts(sizes: Mapping[str, int]) -> st.SearchStrategy[Array | None]:
    def some(seed: int) -> Array:
        return np.random.default_rng(seed).uniform(0.5, 2, (sizes["u"], sizes["u"]))

    return st.none() | st.integers(0, 2**32 - 1).map(some)


def _levels(sizes: Mapping[str, int]) -> st.SearchStrategy[int]:
    return st.integers(0, int(np.log2(min(sizes["angle"], sizes["u"]))))


def _slices(sizes: Mapping[str, int]) -> st.SearchStrategy[int | tuple[int, int] | None]:
    some = st.integers(1, max(sizes["u"], 7))
    return st.none() | some | st.tuples(some, some)


# --- steps --------------------------------------------------------------------------------------
def um(dim: str, size: int, spacing: float = 2.5) -> tuple[str, Array, dict[str, str]]:
    """Positions along a dim, 0 in its middle."""
    return dim, (np.arange(size) - (size - 1) / 2) * spacing, {"units": "um"}


@st.composite
def scans(draw: Draw) -> xr.Dataset:
    """Raw XCT scans with flats before and after, sometimes amid the projections."""
    angles, z, u = draw(st.integers(2, 6)), draw(st.integers(2, 6)), draw(st.integers(2, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dark = rng.integers(90, 110, (draw(st.integers(1, 3)), z, u)).astype("uint16")
    flat = rng.integers(900, 1100, (draw(st.integers(1, 5)), z, u)).astype("uint16")
    flat[:, 0, 0] = draw(st.sampled_from([0, 1000]))
    counts = rng.integers(80, 1000, (angles, z, u)).astype("uint16")
    variables = {
        "counts": (("angle", "z", "u"), counts, {"units": "counts"}),
        "flat": (("flat_frame", "z", "u"), flat, {"units": "counts"}),
        "dark": (("dark_frame", "z", "u"), dark, {"units": "counts"}),
    }
    coords: dict[str, Any] = {
        "angle": ("angle", np.linspace(0, 180, angles), {"units": "deg"}),
        "z": um("z", z),
        "u": um("u", u),
        "resolution": ((), 2.5, {"units": "um"}),
    }
    if draw(st.booleans()):
        for name, unit in (("monitor", "1"), ("ring_current", "mA")):
            coords[name] = ("angle", rng.uniform(200, 300, angles), {"units": unit})
            level = rng.uniform(200, 300, len(flat))
            coords[f"flat_{name}"] = ("flat_frame", level, {"units": unit})
    if draw(st.booleans()):
        time = np.arange(angles + len(flat), dtype=float)
        taken = draw(st.permutations(range(time.size)))[: len(flat)]
        coords["flat_time"] = ("flat_frame", np.sort(time[taken]), {"units": "s"})
        coords["time"] = ("angle", np.delete(time, taken), {"units": "s"})
        if draw(st.booleans()):
            sets = np.sort(rng.integers(0, 3, len(flat)))
            coords["flat_set"] = ("flat_frame", sets, {"units": "1"})
    return xr.Dataset(variables, coords)


@st.composite
def transmissions(draw: Draw) -> xr.Dataset:
    """Normalised XCT scans, with zeros, negative values and opaque pixels."""
    ds = draw(scans())
    values = ds["counts"].values.astype("float32") / 500 - 0.3
    ratio = ds["counts"].copy(data=values).assign_attrs(units="1")
    usable = xr.Variable(("z", "u"), np.ones(values.shape[1:], bool))
    return ds.drop_dims(["flat_frame", "dark_frame"]).drop_vars("counts").assign(
        transmission=ratio, usable=usable
    )  # fmt: skip


@st.composite
def absorbances(draw: Draw) -> xr.Dataset:
    """Line integrals of either sign, with a measured axis and any senses."""
    ds = draw(transmissions())
    lines = ds["transmission"].rename("absorbance")
    place = draw(st.floats(-0.4, 0.4)) * float(np.ptp(ds["u"].values))
    tilt = np.linspace(-0.5, 0.5, ds.sizes["z"])
    senses = {n: draw(st.sampled_from([1, -1])) for n in ("rotation_sense", "u_sense", "z_sense")}
    return ds.drop_vars("transmission").assign(absorbance=lines).assign_coords(
        axis_u=("z", place + tilt, {"units": "um"}), **senses
    )  # fmt: skip


def _axes(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset | None]:
    axis = xr.Dataset(coords={"z": ds["z"]}).assign(axis_u=ds["axis_u"].variable + 0.3)
    axis["axis_u"].attrs["units"] = "um"
    return st.none() | st.just(axis)


@st.composite
def sinograms(draw: Draw) -> xr.Dataset:
    """Transmission or absorbance of a few blobs about an axis that is not in the middle."""
    z, u, center = draw(st.integers(1, 5)), 40, 20.6
    angle = np.linspace(0, 180, 41)
    turn = np.deg2rad(angle)[:, None, None]
    place = np.arange(u) - center
    values = np.zeros((angle.size, z, u))
    for x, y in ((9, 2), (-6, 8), (1, -11)):
        away = place - x * np.cos(turn) - y * np.sin(turn)
        values += 0.4 * np.exp(-((away / 1.5) ** 2))
    coords = {"angle": ("angle", angle, {"units": "deg"}), "z": um("z", z), "u": um("u", u)}
    name = draw(st.sampled_from(["absorbance", "transmission"]))
    data = values if name == "absorbance" else np.exp(-values)
    return xr.Dataset({name: (("angle", "z", "u"), data.astype("float32"), {"units": "1"})}, coords)


@st.composite
def volumes(draw: Draw) -> xr.Dataset:
    """Attenuation in a volume, and a measured axis along z."""
    shape = tuple(draw(st.integers(3, 8)) for _ in "zyx")
    attenuation = numbers(draw, shape, "float32")
    return xr.Dataset(
        {"attenuation": (("z", "y", "x"), attenuation, {"units": "1/cm"})},
        {
            **{d: um(d, n) for d, n in zip("zyx", shape, strict=True)},
            "axis_u": ("z", np.linspace(0, 1, shape[0]), {"units": "um"}),
            "resolution": ((), 2.5, {"units": "um"}),
        },
    )


def _windows(ds: xr.Dataset) -> st.SearchStrategy[int]:
    return st.integers(1, ds.sizes["u"])


def _ranges(dim: str) -> Callable[[xr.Dataset], st.SearchStrategy[tuple[float, float] | None]]:
    def limits(ds: xr.Dataset) -> st.SearchStrategy[tuple[float, float] | None]:
        if dim not in ds.dims:
            return st.none()
        index = st.integers(0, ds.sizes[dim] - 1)
        pair = st.tuples(index, index).map(sorted)
        return st.none() | pair.map(lambda p: tuple(float(ds[dim].values[i]) for i in p))

    return limits


def _bin_factors(ds: xr.Dataset) -> st.SearchStrategy[int]:
    return st.integers(1, min(n for d, n in ds.sizes.items() if d in schema.POSITIONS))


def _bin_dims(ds: xr.Dataset) -> st.SearchStrategy[tuple[str, ...] | None]:
    present = [d for d in schema.POSITIONS if d in ds.dims]
    return st.none() | st.lists(st.sampled_from(present), unique=True, min_size=1).map(tuple)


def _frame_checks(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset | None]:
    def check(good: list[bool]) -> xr.Dataset:
        flags = {"flat": good, "dark": [True] * ds.sizes["dark_frame"]}
        out = xr.Dataset()
        for kind, flag in flags.items():
            for name, values in (("mean", np.ones(len(flag))), ("sigma", np.ones(len(flag)))):
                var = schema.FRAMES_XCT[f"{kind}_{name}"]
                out[var.name] = (var.dims, values, schema.attrs_of(var))
            out[f"{kind}_good"] = (f"{kind}_frame", np.array(flag))
        return out

    count = ds.sizes["flat_frame"]
    some = st.lists(st.booleans(), min_size=count, max_size=count).filter(any)
    return st.none() | some.map(check)


def _another(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset]:
    """The same volume with other greys, and some turned."""
    values = (1000 - 3 * ds["attenuation"]).assign_attrs(units="1/cm")
    turned = values.isel(y=slice(None, None, -1)).assign_coords(y=ds["y"])
    return st.sampled_from([ds.assign(attenuation=v) for v in (values, turned)])


@st.composite
def circles(draw: Draw) -> xr.Dataset:
    """Absorbance of a ball over a full circle, the axis off the middle of the detector."""
    angles, z, u = draw(st.integers(4, 7)), draw(st.integers(16, 19)), draw(st.integers(7, 12))
    angle = np.arange(angles) * 360.0 / angles
    turn = np.deg2rad(angle)[:, None, None]
    across = np.arange(u)[None, None, :] - draw(st.floats(1, 3)) - 2 * np.cos(turn)
    along = np.arange(z)[None, :, None] - z / 2
    values = 0.1 + np.exp(-(along**2) / 5 - across**2 / 8)
    um_of = {"z": um("z", z), "u": um("u", u), "resolution": ((), 2.5, {"units": "um"})}
    return xr.Dataset(
        {"absorbance": (("angle", "z", "u"), values.astype("float32"), {"units": "1"})},
        {"angle": ("angle", angle, {"units": "deg"}), **um_of},
    )


def _drifts(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset]:
    def drift(seed: int) -> xr.Dataset:
        rng = np.random.default_rng(seed)
        out = xr.Dataset(coords={"angle": ds["angle"]})
        for name in ("drift_z", "drift_u"):
            values = rng.choice([0.0, 1.0]) * rng.uniform(-6, 6, ds.sizes["angle"])
            out[name] = ("angle", values, {"units": "um"})
        return out

    return st.integers(0, 2**32 - 1).map(drift)


DATASETS: dict[str, st.SearchStrategy[xr.Dataset]] = {
    "xrdct.reconstruct": diffracted.sinograms(),
    "xrdct.correct_absorption": diffracted.absorbing(),
    **gridded.DATASETS,
    "quality.compare": volumes(),
    "quality.summary": scans() | volumes(),
    **fitted.DATASETS,
    **framed.DATASETS,
    **placed.DATASETS,
    **registered.DATASETS,
    **jointly.DATASETS,
    "volume.crop": scans() | volumes(),
    "volume.bin": scans() | volumes(),
    "xct.normalize": scans(),
    "xct.minus_log": transmissions(),
    "xct.reconstruct": absorbances(),
    "xct.find_center": sinograms(),
    "xct.normalize_by_air": circles().map(lambda ds: ds.rename(absorbance="intensity")),
    "xct.check_frames": scans(),
    "xct.remove_zingers": scans() | transmissions(),
    "xct.remove_rings": transmissions(),
    "xct.ring_check": transmissions(),
    "xct.correct_drift": circles() | transmissions(),
    "xct.find_drift": circles(),
    "xct.find_overlap": circles(),
    "xct.unfold": circles(),
    "xct.correct_distortion": scans() | transmissions(),
    "xct.retrieve_phase": transmissions(),
}

PARAMETERS: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    **placed.PARAMETERS,
    **registered.PARAMETERS,
    **jointly.PARAMETERS,
    "affine.resample.matrix": _affine,
    "affine.resample.shape": lambda sizes: st.tuples(*[st.integers(1, 6)] * 3),
    "affine.resample.order": lambda sizes: st.sampled_from([1, 3]),
    "affine.average.matrix": _affine,
    "affine.average.shape": lambda sizes: st.tuples(*[st.integers(1, 6)] * 3),
    "affine.average.spread": lambda sizes: st.sampled_from(["box", "gaussian"]),
    "quality.compare.theirs": _another,
    "quality.summary.rows": lambda ds: st.integers(1, 10),
    "quality.compare.rows": lambda ds: st.integers(1, 10),
    "windows.bin_sum.factor": _factors,
    "windows.bin_mean.factor": _factors,
    "windows.bin_all.factor": _factors,
    "orient.to_orientation.current": lambda sizes: st.integers(1, 4),
    "orient.to_orientation.wanted": lambda sizes: st.integers(1, 4),
    "references.average.sets": _sets,
    "references.average.method": lambda sizes: st.sampled_from(["mean", "median"]),
    "references.average.lit": lambda sizes: st.booleans(),
    "flatfield.transmission.bounds": lambda sizes: _BOUNDS,
    "flatfield.over_air.margin": lambda sizes: st.integers(1, max((sizes["u"] - 1) // 2, 1)),
    "xct.normalize_by_air.margin": lambda ds: st.integers(1, (ds.sizes["u"] - 1) // 2),
    "flatfield.minus_log.floor": lambda sizes: st.floats(1e-6, 0.5),
    "zingers.remove_zingers.snr": lambda sizes: st.sampled_from([0.0, 1.0, 8.0]),
    "zingers.remove_zingers.size": lambda sizes: st.sampled_from([3, 5]),
    "ring_score.ring_score_slice.radius": lambda sizes: st.none() | st.floats(1, 400),
    "rings.remove_stripe_based_sorting.size": lambda sizes: st.integers(1, 40),
    "rings.remove_stripe_based_filtering.sigma": lambda sizes: st.floats(0.1, 100),
    "rings.remove_stripe_based_filtering.sort": lambda sizes: st.booleans(),
    "rings.remove_large_stripe.size": lambda sizes: st.integers(1, 40),
    "rings.remove_large_stripe.drop_ratio": lambda sizes: st.floats(0, 0.8),
    "rings.remove_large_stripe.norm": lambda sizes: st.booleans(),
    "rings.remove_dead_stripe.residual": lambda sizes: st.booleans(),
    "rings.remove_all_stripe.snr": lambda sizes: st.floats(1, 5),
    "rings.remove_all_stripe.la_size": lambda sizes: st.integers(1, 40),
    "stripes_fourier.remove_stripe_based_wavelets.level": _levels,
    "stripes_fourier.remove_stripe_based_wavelets.sigma": lambda sizes: st.floats(0.3, 4),
    "stripes_fourier.remove_stripe_based_wavelets.order": lambda sizes: st.integers(1, 20),
    "stripes_regularized.remove_stripe_based_regularization.alpha": (
        lambda sizes: st.floats(1e-3, 10)
    ),
    "center_sharpness.find_center_sharpness.step": lambda sizes: st.sampled_from([6.0, 10.0]),
    "radon.filtered_backprojection.center": _on_detector,
    "radon.filtered_backprojection.size": _slices,
    "radon.filtered_backprojection.filter": lambda sizes: st.sampled_from(sorted(filters.WINDOWS)),
    "radon.filtered_backprojection.radius": lambda sizes: st.none() | st.just(np.inf),
    "radon.filtered_backprojection.weights": _weights,
    "radon.filtered_backprojection.truncation": lambda sizes: st.sampled_from(["zero", "edge"]),
    "radon.filtered_backprojection.scale": lambda sizes: st.sampled_from([1.0, 3846.0, 1e-3]),
    "noise.from_halves.center": _on_detector,
    "truncation.complete.center": _on_detector,
    "truncation.complete.margin": lambda sizes: st.integers(0, 9),
    "truncation.complete.spacing": lambda sizes: st.floats(0.5, 8),
    "truncation.complete.offset": lambda sizes: st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    "radon.backproject.center": _on_detector,
    "radon.backproject.size": _slices,
    "radon.project.center": lambda sizes: st.floats(0, max(sizes["y"], sizes["x"]) - 1),
    "projector.project.center": lambda sizes: st.floats(0, max(sizes["y"], sizes["x"]) - 1),
    "projector.backproject.center": _on_detector,
    "projector.backproject.size": _slices,
    "expectation.mlem.center": _on_detector,
    "expectation.mlem.weights": _ray_weights,
    "expectation.mlem.start": _starts,
    "expectation.mlem.iterations": lambda sizes: st.integers(1, 2),
    "expectation.mlem.tolerance": lambda sizes: st.just(0.0),
    "expectation.osem.center": _on_detector,
    "expectation.osem.subsets": lambda sizes: st.integers(1, min(sizes["angle"], 4)),
    "expectation.osem.weights": _ray_weights,
    "expectation.osem.start": _starts,
    "expectation.osem.iterations": lambda sizes: st.just(1),
    "expectation.osem.tolerance": lambda sizes: st.just(0.0),
    "iterative.sirt.center": _on_detector,
    "iterative.sirt.weights": _ray_weights,
    "iterative.sirt.sigma": lambda sizes: st.just(0.0),
    "iterative.sirt.size": _slices,
    "iterative.sirt.iterations": lambda sizes: st.integers(1, 3),
    # Rounding may decide when to stop.
    "iterative.sirt.tolerance": lambda sizes: st.just(0.0),
    "iterative.cgls.center": _on_detector,
    "iterative.cgls.size": _slices,
    "iterative.cgls.weights": _ray_weights,
    "iterative.cgls.sigma": lambda sizes: st.just(0.0),
    "iterative.cgls.iterations": lambda sizes: st.just(1),
    "iterative.cgls.tolerance": lambda sizes: st.just(0.0),
    "total_variation.total_variation.center": _on_detector,
    "total_variation.total_variation.weight": lambda sizes: st.sampled_from([0.0, 5.0, 300.0]),
    "total_variation.total_variation.weights": _ray_weights,
    "total_variation.total_variation.size": _slices,
    "total_variation.total_variation.lower": lambda sizes: st.sampled_from([None, 0.0, -1.0]),
    "total_variation.total_variation.iterations": lambda sizes: st.integers(1, 2),
    "total_variation.total_variation.tolerance": lambda sizes: st.just(0.0),
    **{
        f"distortion.{name}.{parameter}": strategy
        for name in ("unwarp", "unwarp_flags")
        for parameter, strategy in (
            ("polynomial", _lenses),
            ("center", lambda sizes: st.tuples(st.floats(0, 3), st.floats(0, 3))),
            ("detector", lambda sizes: st.just((sizes["z"] + 3, sizes["u"] + 3))),
            ("interpolation", lambda sizes: st.sampled_from(["linear", "cubic"])),
        )
    },
    **diffracted.PARAMETERS,
    **gridded.PARAMETERS,
    "shift.move.down": lambda sizes: st.floats(-2, 2),
    "shift.move.across": lambda sizes: st.floats(-4, 4),
    "shift.move.reach": lambda sizes: st.just(2.0),
    "overlap.unfold.center": lambda sizes: st.floats(0, sizes["u"] - 1),
    "propagation.paganin.delta_beta": lambda sizes: st.floats(1, 300),
    "propagation.paganin.pixel_um": lambda sizes: st.floats(1, 10),
    "propagation.paganin.distance_m": lambda sizes: st.floats(0, 0.2),
    "propagation.paganin.energy_kev": lambda sizes: st.floats(10, 80),
    "azimuthal.sums.matrix": matrices("no", "full"),
    "azimuthal.sums.error_model": any_of(None, "poisson", "azimuthal"),
    "azimuthal.sums.factor": any_of(0.1, 1.0, 7.5),
    # Only with the error model of its name.
    "azimuthal.sums.variance": any_of(None),
    "azimuthal.covariance_band.matrix": matrices("no", "full"),
    "azimuthal.covariance_band.lags": lambda sizes: st.none() | st.integers(0, 5),
    "azimuthal_robust.sigma_clip.matrix": matrices("no"),
    "azimuthal_robust.sigma_clip.error_model": any_of("poisson", "azimuthal"),
    "azimuthal_robust.sigma_clip.factor": any_of(0.1, 1.0, 7.5),
    "azimuthal_robust.sigma_clip.variance": any_of(None),
    "azimuthal_robust.trimmed_mean.matrix": matrices("no", "full"),
    "azimuthal_robust.trimmed_mean.error_model": any_of(None, "poisson"),
    "azimuthal_robust.trimmed_mean.factor": any_of(0.1, 1.0, 7.5),
    "azimuthal_robust.trimmed_mean.variance": any_of(None),
    **fitted.PARAMETERS,
    **framed.PARAMETERS,
    "volume.crop.z": _ranges("z"),
    "volume.crop.y": _ranges("y"),
    "volume.crop.x": _ranges("x"),
    "volume.crop.u": _ranges("u"),
    "volume.bin.factor": _bin_factors,
    "volume.bin.dims": _bin_dims,
    "xct.normalize.average": lambda ds: st.sampled_from(["mean", "median"]),
    "xct.normalize.scale_by": lambda ds: st.sampled_from(
        ["none", *(n for n in ("monitor", "ring_current") if n in ds.coords)]
    ),
    "xct.normalize.bounds": lambda ds: _BOUNDS,
    "xct.normalize.frames": _frame_checks,
    "xct.minus_log.floor": lambda ds: st.floats(1e-6, 0.5),
    "xct.reconstruct.axis": _axes,
    "xrdct.reconstruct.axis": _axes,
    "xct.reconstruct.filter": lambda ds: st.none() | st.sampled_from(sorted(filters.WINDOWS)),
    "xct.reconstruct.size": lambda ds: st.none() | st.integers(1, 9),
    "xct.reconstruct.circle": lambda ds: st.none() | st.floats(0.1, 1.5),
    "xct.reconstruct.fill": lambda ds: st.sampled_from([0.0, -1.5]),
    "xct.reconstruct.truncation": lambda ds: st.sampled_from([None, "zero", "edge"]),
    "xct.reconstruct.noise": lambda ds: st.sampled_from(["none", "halves"]),
    # Of so small a sinogram another method may say otherwise, and the warning is an error.
    "xct.find_center.method": lambda ds: st.sampled_from(["opposite"]),
    "xct.find_center.rows": lambda ds: st.integers(1, 6),
    "xct.check_frames.rows": lambda ds: st.integers(1, 10),
    "xct.remove_zingers.snr": lambda ds: st.sampled_from([0.0, 1.0, 8.0]),
    "xct.remove_zingers.size": lambda ds: st.sampled_from([3, 5]),
    **{
        f"xct.{verb}.{name}": strategy
        for verb in ("remove_rings", "ring_check")
        for name, strategy in {
            "method": lambda ds: st.sampled_from(sorted(RINGS)),
            "level": lambda ds: st.just(1),
            "la_size": _windows,
            "sm_size": _windows,
        }.items()
    },
    "xct.ring_check.rows": lambda ds: st.integers(1, 10),
    "xct.correct_drift.drift": _drifts,
    "xct.unfold.overlap_columns": lambda ds: st.floats(1, ds.sizes["u"]),
    "xct.unfold.side": lambda ds: st.sampled_from(["left", "right"]),
    "xct.correct_distortion.polynomial": lambda ds: LENSES,
    "xct.correct_distortion.center_from_top": lambda ds: st.floats(0, ds.sizes["z"] - 1),
    "xct.correct_distortion.center_from_left": lambda ds: st.floats(0, ds.sizes["u"] - 1),
    "xct.correct_distortion.detector": lambda ds: st.just((ds.sizes["z"], ds.sizes["u"])),
    "xct.correct_distortion.interpolation": lambda ds: st.sampled_from(["linear", "cubic"]),
    "xct.retrieve_phase.delta_beta": lambda ds: st.floats(1, 300),
    "xct.retrieve_phase.distance_m": lambda ds: st.floats(0, 0.2),
    "xct.retrieve_phase.energy_kev": lambda ds: st.floats(10, 80),
}


# --- drawing ------------------------------------------------------------------------------------
def parameters(draw: Draw, name: str, defaults: Mapping[str, Any], about: Any) -> dict[str, Any]:
    """Values for the keyword arguments of a kernel or step."""
    given = {}
    for parameter, default in defaults.items():
        if strategy := PARAMETERS.get(f"{name}.{parameter}"):
            given[parameter] = draw(strategy(about))
        elif default is inspect.Parameter.empty:
            pytest.fail(
                f"{name} has the required parameter {parameter!r}, and the laws do not know what "
                f"to give: add PARAMETERS['{name}.{parameter}'] in tests/strategies.py"
            )
    return given


@st.composite
def calls_of(draw: Draw, contract: Kernel, large: bool = False) -> Case:
    """One call of a kernel, its arrays without batch dims and read-only."""
    dims = dict.fromkeys(d for group in contract.inputs for d in group)
    if large:
        size = LARGE[len(contract.inputs[0])]
        size = (diffracted.LARGE | SLOW).get(contract.name, size)
        sizes = dict.fromkeys(dims, size)
    else:
        sizes = {d: draw(st.integers(*SMALL)) for d in dims}
    dtype = draw(st.sampled_from(DTYPES.get(contract.name, ("uint16", "float32", "float64"))))
    if large and dtype == "float64":
        # Memory is declared for data of at most four bytes.
        dtype = "float32"
    if contract.name in ARRAYS:
        arrays = ARRAYS[contract.name](draw, sizes, dtype)
    else:
        arrays = tuple(
            numbers(draw, tuple(sizes[d] for d in group), dtype) for group in contract.inputs
        )
    for array in arrays:
        array.flags.writeable = False
    return Case(arrays, parameters(draw, contract.name, contract.defaults, sizes), sizes)


@st.composite
def steps_of(draw: Draw, entry: Step) -> tuple[xr.Dataset, dict[str, Any]]:
    """A dataset of read-only NumPy arrays for a step, and its arguments."""
    if entry.name not in DATASETS:
        pytest.fail(
            f"{entry.name} is new and the laws have no dataset for it: add "
            f"DATASETS['{entry.name}'] in tests/strategies.py"
        )
    ds = draw(DATASETS[entry.name])
    for variable in ds.variables.values():
        variable.values.flags.writeable = False
    return ds, parameters(draw, entry.name, entry.defaults, ds)


def parts(draw: Draw, size: int) -> tuple[int, ...]:
    """Any cutting of a dim into chunks."""
    cuts = draw(st.lists(st.integers(1, max(size - 1, 1)), unique=True, max_size=3).map(sorted))
    edges = [0, *(c for c in cuts if c < size), size]
    return tuple(int(n) for n in np.diff(edges))
