"""Phase weights of the twin beside the truth: pulls, bias, and what is taken for another phase."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.phase_twin import Layer, layer, powder
from zeoarray import xrdct

Array = np.ndarray[Any, Any]

# Frames are drawn one by one, on machines that may be shared.
pytestmark = [pytest.mark.prove, pytest.mark.timeout(3600)]

ROTATIONS, TRANSLATIONS = 80, 40
EXPOSURES = (1.0, 0.1, 0.01)
TERMS = 12
MATTER = 0.02
"""A voxel with more than this of a phase holds it."""
WINDOW = (1.6488, 1.6538)
"""Bins 866 and 871 of the dataset's reduced files: where users look for sodium and for zinc."""


@pytest.fixture(scope="module")
def scan() -> Layer:
    return layer(ROTATIONS, TRANSLATIONS, EXPOSURES)


@pytest.fixture(scope="module")
def volumes(scan: Layer) -> dict[float, xr.Dataset]:
    return {e: xrdct.reconstruct(s, center=scan.axis) for e, s in scan.sinograms.items()}


@pytest.fixture(scope="module")
def model(scan: Layer, volumes: dict[float, xr.Dataset]) -> dict[str, Any]:
    """References and parallax, measured on the scan without noise as pipelines/xrdct.yaml does."""
    clean = scan.sinograms[0.0]
    powders: dict[str, Any] = {
        "first": powder("sodium"), "second": powder("zinc"), "polarization": "none",
        "background": TERMS,
    }  # fmt: skip
    given: dict[str, Any] = {"background": TERMS, "correlation": scan.correlation}
    rays = xrdct.reference_patterns(clean, **powders)
    depth = xrdct.parallax(clean, center=scan.axis, references=rays, **given)
    # Measured beside the distance of the detector, 0.35 m.
    assert abs(float(depth["shift_per_m"]) * 0.35 + 1) < 0.05
    own = xrdct.reference_patterns(volumes[0.0], parallax=depth, **powders)
    return {"parallax": depth, "references": own, **given}


@pytest.fixture(scope="module")
def found(volumes: dict[float, xr.Dataset], model: dict[str, Any]) -> dict[float, xr.Dataset]:
    return {exposure: xrdct.fit_phases(ds, **model) for exposure, ds in volumes.items()}


def circle(ds: xr.Dataset) -> Array:
    reach = 0.95 * float(np.abs(ds["x"]).max())
    return np.asarray(np.hypot(ds["y"].values[:, None], ds["x"].values) <= reach)


@pytest.mark.parametrize("exposure", EXPOSURES)
def test_pulls_beside_the_noise_free_pipeline(
    found: dict[float, xr.Dataset], exposure: float
) -> None:
    clean, noisy = found[0.0], found[exposure]
    weight, drawn, sigma = (
        a.isel(z=0).values for a in (clean["weight"], noisy["weight"], noisy["weight_sigma"])
    )
    # What is near the bound is cut off there: both phases have to stand out, in truth.
    free = circle(clean) & (weight > 4 * sigma).all(axis=0)
    bound = noisy["at_bound"].isel(z=0).values.any(axis=0)
    assert bound[free].mean() < 0.01
    left_out = circle(clean) & ~free
    pull = ((drawn - weight) / sigma)[:, free & ~bound]
    told = f"{pull.shape[1]} voxels, {left_out.sum()} left out: {pull.mean(1)}, {pull.std(1)}"
    assert pull.shape[1] > 100, told
    assert np.abs(pull.mean(axis=1)).max() < 0.1, told
    assert np.abs(pull.std(axis=1) - 1).max() < 0.1, told


@pytest.fixture(scope="module")
def best(scan: Layer, volumes: dict[float, xr.Dataset], model: dict[str, Any]) -> xr.Dataset:
    """Without noise, by least squares with rays as wide as the beam."""
    # Each channel counts its own variance, which takes no part in what is reconstructed.
    rays = scan.sinograms[0.0].drop_vars("variance")
    iterated = xrdct.reconstruct(
        rays, center=scan.axis, method="cgls", iterations=20, beam=float(rays["resolution"])
    )
    return xrdct.fit_phases(iterated.assign(variance=volumes[0.0]["variance"]), **model)


@pytest.mark.parametrize(("method", "limit"), [("fbp", 0.06), ("cgls", 0.04)])
def test_noise_free_weights_are_the_truth(
    scan: Layer, found: dict[float, xr.Dataset], best: xr.Dataset, method: str, limit: float
) -> None:
    """Errors are in voxels that hold the phase, and over its mean there: stricter than the maximum.

    Totals are those of the fit with its bound, as the pipelines have it.
    """
    fit = found[0.0] if method == "fbp" else best
    weight, inside = fit["weight"].isel(z=0).values, circle(fit)
    for mine, truth in zip(weight, scan.truth, strict=True):
        matter = truth > MATTER
        bias = mine[inside].sum() / truth[inside].sum() - 1
        rms = np.sqrt(np.mean((mine - truth)[matter] ** 2)) / truth[matter].mean()
        everywhere = np.sqrt(np.mean((mine - truth)[inside] ** 2)) / truth.max()
        told = f"rms {rms:.4f}, of the maximum {everywhere:.4f}, bias {bias:.4f}"
        assert rms < limit, told
        assert everywhere < 0.03, told
        assert abs(bias) < 0.02, told


def confusion(maps: Array, truth: Array) -> float:
    """How much of the other phase each map takes for its own."""
    both = truth.reshape(2, -1).T
    (own, other), (second, last) = (np.linalg.lstsq(both, m.ravel(), rcond=None)[0] for m in maps)
    return float(max(abs(other / own), abs(second / last)))


def test_less_confusion_than_windows_of_two_bins(
    scan: Layer, found: dict[float, xr.Dataset]
) -> None:
    volume = xrdct.reconstruct(scan.sinograms[1.0], center=scan.axis)["intensity"].isel(z=0)
    inside = circle(found[1.0])
    maps = np.stack([volume.sel(q=q, method="nearest").values[inside] for q in WINDOW])
    mine = found[1.0]["weight"].isel(z=0).values[:, inside]
    truth = scan.truth[:, inside]
    theirs, ours = confusion(maps, truth), confusion(mine, truth)
    assert ours < theirs / 3, f"{ours:.3f} and {theirs:.3f}"
