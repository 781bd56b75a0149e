"""A layer of the twin as a sinogram with and without noise, and the truth about its phases."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from zeoarray import schema
from zeoarray.kernels import azimuthal, phases
from zeoarray.twin import scan_xrdct, truth_xrdct
from zeoarray.twin.frames import LayerFrames, mask
from zeoarray.twin.sample import Sample

Array = np.ndarray[Any, Any]

FIRST, LAST, STEP = 0.9, 3.0, 0.001
FWHM = float(np.sqrt(8 * np.log(2)))


@dataclass(frozen=True)
class Layer:
    """One layer: sinograms by exposure (0 for none: no noise), correlation of bins, and truth."""

    sinograms: dict[float, xr.Dataset]
    correlation: xr.Dataset
    truth: Array
    """(phase, y, x) volume fractions, blurred by the beam: sodium, zinc."""
    axis: float
    """Index of u."""


def plan_of(rotations: int, translations: int) -> scan_xrdct.Plan:
    """The scan of the small preset with other numbers of angles and places, in one layer."""
    small = scan_xrdct.plans(1, "small")["25um"]
    step = 25.0 * 40 / translations
    return dataclasses.replace(
        small, layers=(scan_xrdct.Layer(43322, 0.0),), rotations=rotations,
        translations=translations, step_um=step, width_um=step, height_um=25.0, spots=False,
        snake=False, jitter_um=0.0, hot_pixels=0.0, monitor_noise=0.0, drift=0.0,
    )  # fmt: skip


def blurred(plan: scan_xrdct.Plan, sample: Sample) -> Array:
    """(phase, y, x) What a beam of the scan's width sees, at the centres of its voxels."""
    parts = 5
    fine = dataclasses.replace(
        plan, step_um=plan.step_um / parts, translations=plan.translations * parts
    )
    weight = truth_xrdct.weights(fine, sample)["weight"].sel(phase=["sodium", "zinc"])
    sigma = parts / FWHM
    wide = [gaussian_filter(w, sigma, mode="constant") for w in weight.isel(z=0).values]
    middle = parts // 2
    return np.stack(wide)[:, middle::parts, middle::parts]


def layer(rotations: int, translations: int, exposures: tuple[float, ...]) -> Layer:
    """Frames of a layer, drawn and integrated place by place, as the beam moves."""
    plan, sample = plan_of(rotations, translations), Sample.make(1, "small")
    frames = LayerFrames(plan, sample, 0)
    bins = round((LAST - FIRST) / STEP)
    q = FIRST + STEP * (np.arange(bins) + 0.5)
    shape = (rotations, translations, bins)
    pattern = {e: np.empty(shape) for e in (0.0, *exposures)}
    variance = {e: np.empty(shape) for e in (0.0, *exposures)}
    rng, bands = np.random.default_rng(5), []
    solid = (frames.plan.geometry.pixel[0] / plan.geometry.distance) ** 2
    bad = mask(plan)
    for place in range(translations):
        geometry = frames.geometry(0, place)
        matrix = azimuthal.integration_matrix(
            geometry.integrator(), bins, radial_range=(FIRST, LAST), mask=bad,
            polarization_factor=geometry.polarization,
        )  # fmt: skip
        lookup = frames.lookup(0, place)
        images = np.stack([frames.expected(r, place, lookup) for r in range(rotations)])
        photons = frames.motors["photons"].values[:, place] * solid
        for exposure in pattern:
            counts = images if not exposure else rng.poisson(images * exposure)
            scale = photons * (exposure or 1.0)
            # Without noise the variance is that of the longest exposure, and serves for weights.
            # Counts are their own variance. The model "poisson" takes max(counts, 1), which is 5
            # times too much where a pixel sees 0.2 photons, as most do in the shortest exposure.
            seen = np.asarray(counts, np.float32)
            s, n, v = azimuthal.sums(
                seen, matrix=matrix, error_model="variance", variance=seen, factor=scale
            )
            pattern[exposure][:, place] = azimuthal.intensity(s, n)
            variance[exposure][:, place] = azimuthal.sigma(v, n) ** 2
        if place % 8 == 4:
            bands.append(azimuthal.covariance_band(images[:2].astype(np.float32), matrix=matrix))
    reach = max(b.shape[-1] for b in bands)
    bands = [np.pad(b, ((0, 0), (0, 0), (0, reach - b.shape[-1]))) for b in bands]
    band = phases.correlation_of(np.concatenate(bands))
    axis_q = {"q": ("q", q, {"units": "1/angstrom"})}
    correlation = xr.Dataset({"correlation": (("q", "lag"), band.astype(np.float32))}, axis_q)
    correlation = schema.describe(correlation, schema.CORRELATIONS)
    u = (np.arange(translations) - (translations - 1) / 2) * plan.step_um
    coords = {
        "z": ("z", [0.0], {"units": "um"}),
        "angle": ("angle", frames.motors["true_angle"].values[:, 0], {"units": "deg"}),
        "u": ("u", u, {"units": "um"}),
        "resolution": ((), plan.step_um, {"units": "um"}),
        **axis_q,
    }
    dims = ("z", "angle", "u", "q")
    sinograms = {
        e: xr.Dataset(
            {
                "intensity": (dims, pattern[e][None].astype(np.float32)),
                "variance": (dims, variance[e][None].astype(np.float32)),
            },
            coords,
        )
        for e in pattern
    }
    axis = plan.axis_um / plan.step_um + (translations - 1) / 2
    return Layer(sinograms, correlation, blurred(plan, sample), axis)


def powder(name: str) -> xr.Dataset:
    """What a phase scatters, without anything that widens lines at the scan's detector."""
    q = np.arange(FIRST - 0.2, LAST + 0.2, STEP / 2)
    values = truth_xrdct.reference(q)["pattern"].sel(phase=name).values
    return xr.Dataset(
        {"intensity": ("q", values)}, {"q": ("q", q, {"units": "1/angstrom"})}
    ).assign_attrs(sample=name)
