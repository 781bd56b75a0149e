"""From detector frames to patterns: `integrate`, and `cake` with its azimuthal bins."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import azimuthal_scan
from zeoarray.kernels.azimuthal_config import Configuration, Split
from zeoarray.kernels.azimuthal_scan import Method
from zeoarray.kernels.detector import Quantity
from zeoarray.labelled import known, lift
from zeoarray.step import Count, Distance, Polarization, Positive, Whole, step
from zeoarray.xrdct import geometry
from zeoarray.xrdct.geometry import Moving

__all__ = ["cake", "integrate"]

Array = np.ndarray[Any, Any]
ErrorModel = Literal["none", "poisson", "counts", "variance", "azimuthal"]
Normalize = Literal["none", "monitor", "ring_current"]
Dead = Literal["raise", "leave_out"]
Photons = Literal["agree", "wavelength"]
Range = tuple[float, float]

CITES = ("10.1107/S1600577520000776", "10.1017/S0885715613000924")
OUTPUTS = ("intensity", "variance", "signal", "normalization")
CORRELATED = (
    "errors of neighbouring bins are correlated, since a pixel's counts go into several: "
    "xrdct.bin_covariance measures it"
)


@step(cites=CITES)
def integrate(
    ds: xr.Dataset,
    *,
    npt: Count = 5000,
    unit: Quantity = "q",
    radial_range: Range | None = None,
    azimuth_range: Range | None = None,
    split: Split = "full",
    polarization_factor: Polarization | None = None,
    solid_angle: bool = True,
    error_model: ErrorModel = "poisson",
    method: Method = "mean",
    cutoff: Positive = 5.0,
    cycles: Whole = 5,
    quantiles: Range = (0.1, 0.9),
    normalize_by: Normalize = "none",
    per_second: bool = False,
    dead: Dead = "raise",
    dark: xr.Dataset | None = None,
    flat: xr.Dataset | None = None,
    dummy: float | None = None,
    delta_dummy: Distance = 0.0,
    saturation: Positive | None = None,
    moving: tuple[Moving, ...] = (),
    positions: xr.Dataset | None = None,
    calibrated_at: Range = (0.0, 0.0),
    photons: Photons = "agree",
) -> xr.Dataset:
    r"""Integrate frames around the beam: patterns, with their variance and what they are made of.

    :math:`I_k = S_k / N_k`, with the sum :math:`S_k = \sum_p c_{kp} (counts_p - dark_p)` over the
    shares c of pixels in bin k, and :math:`N_k = f \sum_p c_{kp} n_p`; n is solid angle times
    polarization times flat, f what the frame is normalised by. Sums of frames may be added.

    Parameters
    ----------
    ds
        ``counts(frame, det_y, det_x)`` with the detector's geometry and, perhaps, ``mask``.
        Negative integers, the largest number of an integer dtype, NaN and infinity are no counts.
    npt
        Number of bins.
    unit
        Quantity in which bins are equal: ``q`` [1/angstrom], ``two_theta`` [deg], ``d``
        [angstrom], or ``r`` [mm], the distance from the beam.
    radial_range
        First and last edge, in the units of `unit`; all that the detector sees where None (for
        ``d`` it must be given, which has no end towards the beam).
    azimuth_range
        Sector that is kept [deg], anticlockwise from the first to the second; it may pass 180.
    split
        How a pixel is shared out: ``no`` to the bin of its centre, ``bbox`` by the box around it,
        ``full`` by its area.
    polarization_factor
        1 for horizontal, -1 for vertical; None leaves the correction out.
    solid_angle
        Whether to divide by the solid angle of a pixel.
    error_model
        ``poisson``: the variance of a pixel is max(counts, 1), as pyFAI has it. ``counts``: it is
        the counts, which is right for sums over pixels that see few photons. ``variance``: the
        scan has ``variance(frame, det_y, det_x)``. ``azimuthal``: from the spread within a bin.
    method
        ``mean``; or, where single crystals make spots, ``sigma_clip`` (which wants ``split="no"``)
        or ``trimmed_mean``.
    cutoff, cycles
        Of sigma clipping: standard deviations, and how often.
    quantiles
        Of the trimmed mean: the shares of a bin between which pixels count.
    normalize_by
        What the beam's intensity is known by.
    per_second
        Whether to divide by the exposure as well.
    dead
        What becomes of frames whose monitor, current or exposure is not above 0: ``raise`` names
        them, ``leave_out`` makes their patterns NaN.
    dark, flat
        ``dark(det_y, det_x)`` is subtracted; ``flat(det_y, det_x)`` is the response of the pixels.
    dummy, delta_dummy
        Counts no further than `delta_dummy` from `dummy` are left out.
    saturation
        Counts at and above this are left out.
    moving
        Motors that move the beam, not the sample, and with it the beam centre on the detector:
        ``[u, z]`` at DIAD, where mirrors set both. u grows to the right, seen along the beam, and
        z upwards (downwards where ``z_sense`` is -1); the beam stays parallel to itself. A matrix
        is built for each position: sort frames by it (``order: [z, u, angle]`` in a pipeline).
    positions
        Where the beam stops, from `find_positions`, or the jitter of motors makes every frame a
        position of its own.
    calibrated_at
        u and z [um] of the beam when the geometry was calibrated.
    photons
        ``agree``: raise where ``energy`` and the geometry's wavelength contradict each other;
        ``wavelength``: take the geometry's, whatever the energy.

    Returns
    -------
    xarray.Dataset
        ``intensity(frame, q)``, ``variance`` (of it; not without an error model), ``signal`` and
        ``normalization``; coords ``q``, ``two_theta``, ``d``; with ``unit="r"`` over ``r``. NaN in
        bins without a pixel. The variance is that of single bins: errors of neighbouring bins are
        correlated, which is a matter of the geometry and is kept once for a scan, not for every
        frame (`bin_covariance`).

    Raises
    ------
    MissingMetadataError
        Where geometry or wavelength are missing.
    SchemaError
        Where frames, mask, dark or flat are of another detector.
    ArgumentError
        Where energy and wavelength disagree, a range lies off the detector, a frame cannot be
        normalised, or there is no frame.

    References
    ----------
    "The moving-beam diffraction geometry: the DIAD application of a diffraction scanning probe",
    J. Appl. Cryst. 59 (2026) 1.
    """
    by = "xrdct.integrate"
    config = _configured(
        ds, by, npt=npt, unit=unit, radial_range=radial_range, azimuth_range=azimuth_range,
        split=split, polarization_factor=polarization_factor, solid_angle=solid_angle,
        photons=photons,
    )  # fmt: skip
    factor, alive = _factor(ds, normalize_by, per_second, dead, by)
    model = {"none": None, "counts": "variance"}.get(error_model, error_model)
    parameters: dict[str, Any] = {
        "config": config, "method": method, "cutoff": cutoff, "cycles": cycles,
        "quantiles": quantiles, "error_model": model,
        "factor": factor, "dummy": dummy, "delta_dummy": delta_dummy, "saturation": saturation,
        "variance": _frame_variance(ds, error_model, by),
    }  # fmt: skip
    place = geometry.places(ds, by, moving=moving, positions=positions, calibrated_at=calibrated_at)
    found = lift(
        azimuthal_scan.patterns, ds["counts"], place, *images(ds, dark, flat, by),
        parameters=parameters,
    )  # fmt: skip
    return _finished(ds, found, config, unit, alive, errors=error_model != "none")


@step(cites=CITES)
def cake(
    ds: xr.Dataset,
    *,
    npt: Count = 1000,
    sectors: Count = 36,
    unit: Quantity = "q",
    radial_range: Range | None = None,
    split: Split = "full",
    polarization_factor: Polarization | None = None,
    solid_angle: bool = True,
    error_model: Literal["none", "poisson", "azimuthal"] = "poisson",
    normalize_by: Normalize = "none",
    per_second: bool = False,
    dead: Dead = "raise",
    dark: xr.Dataset | None = None,
    flat: xr.Dataset | None = None,
    dummy: float | None = None,
    delta_dummy: Distance = 0.0,
    saturation: Positive | None = None,
    moving: tuple[Moving, ...] = (),
    positions: xr.Dataset | None = None,
    calibrated_at: Range = (0.0, 0.0),
    photons: Photons = "agree",
) -> xr.Dataset:
    """Integrate frames in sectors: patterns over q and the azimuth chi, for texture and strain.

    Parameters are those of `integrate`.

    Parameters
    ----------
    ds
        ``counts(frame, det_y, det_x)`` with the detector's geometry.
    npt, sectors
        Radial bins, and equal azimuthal bins from -180 to 180 degrees.

    Returns
    -------
    xarray.Dataset
        ``intensity(frame, chi, q)``, ``variance``, ``signal`` and ``normalization``.

    Raises
    ------
    MissingMetadataError, SchemaError, ArgumentError
        As `integrate`.
    """
    by = "xrdct.cake"
    config = _configured(
        ds, by, npt=(npt, sectors), unit=unit, radial_range=radial_range,
        azimuth_range=(-180.0, 180.0), split=split, polarization_factor=polarization_factor,
        solid_angle=solid_angle, photons=photons,
    )  # fmt: skip
    factor, alive = _factor(ds, normalize_by, per_second, dead, by)
    parameters: dict[str, Any] = {
        "config": config, "error_model": None if error_model == "none" else error_model,
        "factor": factor, "dummy": dummy, "delta_dummy": delta_dummy, "saturation": saturation,
    }  # fmt: skip
    place = geometry.places(ds, by, moving=moving, positions=positions, calibrated_at=calibrated_at)
    found = lift(
        azimuthal_scan.cakes, ds["counts"], place, *images(ds, dark, flat, by),
        parameters=parameters,
    )  # fmt: skip
    out = _finished(ds, found, config, unit, alive, errors=error_model != "none")
    middle = -180 + 360 * (np.arange(sectors) + 0.5) / sectors
    return schema.describe(out.assign_coords(chi=("chi", middle)), schema.CAKES)


# --- what goes in ---------------------------------------------------------------------------------
def _configured(ds: xr.Dataset, by: str, **given: Any) -> Configuration:
    frames = schema.Schema("XRD-CT scan", (schema.FRAMES,), (schema.MONITOR, schema.RING_CURRENT))
    schema.validate(ds, frames, by=by)
    if not ds.sizes["frame"]:
        raise ArgumentError(f"{by}: the scan is empty", got="0 frames", do="ingest one with frames")
    return geometry.configured(ds, by, **given)


def _factor(
    ds: xr.Dataset, normalize_by: Normalize, per_second: bool, dead: Dead, by: str
) -> tuple[xr.DataArray | float, xr.DataArray | None]:
    """What the frames are divided by, and which of them can be (None: all of them)."""
    names = ([] if normalize_by == "none" else [normalize_by]) + ["exposure"] * per_second
    if not names:
        return 1.0, None
    total, good = np.ones(ds.sizes["frame"]), np.ones(ds.sizes["frame"], bool)
    for name in names:
        if name not in ds.variables:
            raise ArgumentError(
                f"{by}: the frames have no {name!r} to be normalised by",
                got=", ".join(n for n in ("monitor", "ring_current", "exposure")
                              if n in ds.variables) or "no such readings",
                do="ingest it by a mapping, or choose another",
            )  # fmt: skip
        readings = np.broadcast_to(known(ds[name], whole=False).astype(float), total.shape)
        fine = np.isfinite(readings) & (readings > 0)
        if dead == "raise" and not fine.all():
            raise _dead(name, readings, fine, by)
        total, good = total * np.where(fine, readings, 1), good & fine
    alive = None if good.all() else xr.DataArray(good, dims="frame")
    return xr.DataArray(np.where(good, total, 1), dims="frame"), alive


def _dead(name: str, readings: Array, fine: Array, by: str) -> ArgumentError:
    bad = np.flatnonzero(~fine)
    shown = ", ".join(map(str, bad[:10])) + (", ..." if bad.size > 10 else "")
    return ArgumentError(
        f"{by}: the {name.replace('_', ' ')} of {bad.size} frames is dead",
        got=f"{readings[bad[0]]:g} in frame {bad[0]}; frames {shown}",
        expected="readings above 0",
        do='dead="leave_out" makes their patterns NaN; or normalise by another',
    )


def images(
    ds: xr.Dataset, dark: xr.Dataset | None, flat: xr.Dataset | None, by: str
) -> tuple[xr.DataArray, xr.DataArray]:
    """The response of the pixels, 0 where they are bad, and the dark."""
    sizes = {"det_y": ds.sizes["det_y"], "det_x": ds.sizes["det_x"]}
    even = xr.DataArray(np.ones(tuple(sizes.values()), np.float32), dims=tuple(sizes))
    response = even if flat is None else _image(flat, schema.DETECTOR_FLAT, sizes, by)
    if "mask" in ds.variables:
        schema.validate(ds, schema.Schema("XRD-CT scan", (schema.MASK,)), by=by)
        response = response.where(ds["mask"].reset_coords(drop=True) == 0, 0)
    shade = 0 * even if dark is None else _image(dark, schema.DETECTOR_DARK, sizes, by)
    return response, shade


def _image(given: xr.Dataset, var: schema.Var, sizes: dict[str, int], by: str) -> xr.DataArray:
    schema.validate(given, schema.Schema(f"dataset with a {var.name}", (var,)), by=by)
    image = given[var.name].reset_coords(drop=True).astype(np.float32)
    size, frames = image.shape, tuple(sizes.values())
    if size != frames:
        turned = " (transposed?)" if size == frames[::-1] else ""
        raise SchemaError(
            f"{by}: the {var.name} does not fit the frames",
            got=f"{size} pixels{turned}",
            expected=f"{frames} pixels",
        )
    return image


def _frame_variance(ds: xr.Dataset, error_model: ErrorModel, by: str) -> xr.DataArray | None:
    if error_model == "counts":
        return ds["counts"].reset_coords(drop=True)
    if error_model != "variance":
        return None
    schema.validate(ds, schema.Schema("scan with variances", (schema.PIXEL_VARIANCE,)), by=by)
    return ds["variance"].reset_coords(drop=True)


# --- what comes out -------------------------------------------------------------------------------
def _finished(
    ds: xr.Dataset,
    found: tuple[xr.DataArray, ...],
    config: Configuration,
    unit: Quantity,
    alive: xr.DataArray | None,
    *,
    errors: bool,
) -> xr.Dataset:
    coords = geometry.axis(config, unit, float(ds["wavelength"]))
    dim = "r" if unit == "r" else "q"
    values = {}
    for name, array in zip(OUTPUTS, found, strict=True):
        if name == "variance" and not errors:
            continue
        out = array.reset_coords(drop=True).rename(bin=dim)
        values[name] = out if alive is None else out.where(alive, 0 if name == "signal" else np.nan)
    if alive is not None:
        values["normalization"] = values["normalization"].fillna(0)
    rest = ds.drop_dims(["det_y", "det_x"])
    made = rest.assign(values).assign_coords(coords)
    if unit == "d":  # q ascends in every node
        made = made.isel(q=slice(None, None, -1))
    made = schema.describe(made, schema.PATTERNS_RADIUS if unit == "r" else schema.PATTERNS)
    return made.assign_attrs({**ds.attrs, "limits": [*ds.attrs.get("limits", []), CORRELATED]})
