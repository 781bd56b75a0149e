"""What is measured before frames are integrated: where the beam stops, how bins correlate."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError
from zeoarray.kernels import azimuthal, azimuthal_scan, phases
from zeoarray.kernels.azimuthal_config import Split
from zeoarray.kernels.detector import Quantity
from zeoarray.kernels.gridding import find_grid
from zeoarray.labelled import known
from zeoarray.step import Count, Distance, Polarization, Positive, measure
from zeoarray.xrdct import geometry
from zeoarray.xrdct.integrate import Photons, Range, images

__all__ = ["bin_covariance", "find_positions"]

Array = np.ndarray[Any, Any]


# --- where the beam stops -------------------------------------------------------------------------
def _stops(ds: xr.Dataset, *, tolerance_um: float | None = None) -> xr.Dataset:
    by = "xrdct.find_positions"
    motors = (schema.FRAME_ANGLE, schema.FRAME_U, schema.FRAME_Z)
    frames = schema.Schema("frames at motor positions", motors)
    schema.validate(ds, frames, by=by)
    # What is one position shows in that every angle has a frame at it.
    at = {name: known(ds[name]).astype(float) for name in ("angle", "u", "z")}
    good = np.all([np.isfinite(a) for a in at.values()], axis=0)
    if not good.any():
        raise ArgumentError(f"{by}: the position of no frame is known", got=f"{good.size} frames")
    if tolerance_um is not None and not tolerance_um >= 0:
        raise ArgumentError(f"{by}: a tolerance is a distance", got=tolerance_um, expected="um")
    tolerance = {} if tolerance_um is None else dict.fromkeys(("u", "z"), tolerance_um)
    levels = find_grid({n: a[good] for n, a in at.items()}, tolerance=tolerance)
    sizes = levels["z"].value.size, levels["u"].value.size
    count = np.zeros(sizes, np.int64)
    np.add.at(count, (levels["z"].index, levels["u"].index), 1)
    out = xr.Dataset(
        {"stops": (("beam_z", "beam_u"), count)},
        {f"beam_{n}": (f"beam_{n}", levels[n].value) for n in ("u", "z")},
    )
    return schema.describe(out, schema.BEAM_POSITIONS).assign_attrs(ds.attrs)


@measure(expects=_stops)
def find_positions(ds: xr.Dataset, *, tolerance_um: float | None = None) -> xr.Dataset:
    """Find the positions at which the beam stops, among those that its motors read back.

    Motors come back to a position within their jitter; frames of one position share a matrix
    (`integrate`). Frames themselves are not read.

    Parameters
    ----------
    ds
        ``angle(frame)``, ``u(frame)`` and ``z(frame)``.
    tolerance_um
        Positions are one where a chain of gaps below this joins them; found where None.

    Returns
    -------
    xarray.Dataset
        ``beam_u``, ``beam_z`` [um] and ``stops(beam_z, beam_u)``, the frames taken at each.

    Raises
    ------
    SchemaError
        For frames without positions.
    ArgumentError
        Where none of the positions is known.
    """
    return _stops(ds, tolerance_um=tolerance_um)


# --- how errors of bins correlate -----------------------------------------------------------------
def _covariance_expected(
    ds: xr.Dataset,
    *,
    frames: int = 16,
    lags: int = 8,
    npt: int = 5000,
    unit: Quantity = "q",
    radial_range: Range | None = None,
    azimuth_range: Range | None = None,
    split: Split = "full",
    polarization_factor: float | None = None,
    solid_angle: bool = True,
    dummy: float | None = None,
    delta_dummy: float = 0.0,
    saturation: float | None = None,
    photons: Photons = "agree",
) -> xr.Dataset:
    config = geometry.configured(
        ds, "xrdct.bin_covariance", npt=npt, unit=unit, radial_range=radial_range,
        azimuth_range=azimuth_range, split=split, polarization_factor=polarization_factor,
        solid_angle=solid_angle, photons=photons,
    )  # fmt: skip
    band = np.zeros((npt, lags + 1))
    band[:, 0] = 1
    return _covariances(ds, band, config, unit)


@measure(expects=_covariance_expected)
def bin_covariance(
    ds: xr.Dataset,
    *,
    frames: Count = 16,
    lags: Count = 8,
    npt: Count = 5000,
    unit: Quantity = "q",
    radial_range: Range | None = None,
    azimuth_range: Range | None = None,
    split: Split = "full",
    polarization_factor: Polarization | None = None,
    solid_angle: bool = True,
    dummy: float | None = None,
    delta_dummy: Distance = 0.0,
    saturation: Positive | None = None,
    photons: Photons = "agree",
) -> xr.Dataset:
    """Measure how the errors of neighbouring bins are correlated, on a sample of frames.

    A pixel's counts go into several bins, so bins narrower than a pixel have no independent
    errors. The correlation is a matter of the geometry and hardly changes from frame to frame, so
    one band serves a scan; of a moving beam, the resting beam's.

    Parameters
    ----------
    ds
        ``counts(frame, det_y, det_x)`` with the detector's geometry.
    frames
        Number of frames that are read, evenly spread over the scan.
    lags
        The last distance of two bins; where a pixel spreads over more, those are left out.
    npt, unit, radial_range, azimuth_range, split, polarization_factor, solid_angle, dummy
        As for `integrate`, whose bins these are.
    delta_dummy, saturation, photons
        As for `integrate`.

    Returns
    -------
    xarray.Dataset
        ``covariance(q, lag)`` of the intensity, with the variance at lag 0, the mean over the
        frames; ``correlation(q, lag)``, which `fit_phases` takes.

    Raises
    ------
    MissingMetadataError, SchemaError, ArgumentError
        As `integrate`.
    """
    by = "xrdct.bin_covariance"
    if unit == "r":
        raise ArgumentError(f"{by}: covariances are over q", got="unit='r'", expected="q")
    schema.validate(ds, schema.Schema("XRD-CT scan", (schema.FRAMES,)), by=by)
    count = ds.sizes["frame"]
    if not count:
        raise ArgumentError(f"{by}: the scan is empty", got="0 frames", do="ingest one with frames")
    config = geometry.configured(
        ds, by, npt=npt, unit=unit, radial_range=radial_range, azimuth_range=azimuth_range,
        split=split, polarization_factor=polarization_factor, solid_angle=solid_angle,
        photons=photons,
    )  # fmt: skip
    response, _ = images(ds, None, None, by)
    place = geometry.places(ds, by, moving=(), positions=None, calibrated_at=(0.0, 0.0)).values
    matrix = azimuthal_scan.matrix_at(
        config, place, response.compute(scheduler="synchronous").values
    )
    total, seen = np.zeros((npt, lags + 1)), 0
    for index in np.unique(np.linspace(0, count - 1, min(frames, count)).round().astype(int)):
        frame = ds["counts"].isel(frame=int(index)).compute(scheduler="synchronous").values
        total += _band(frame, matrix, lags, dummy, delta_dummy, saturation)
        seen += 1
    return _covariances(ds, total / seen, config, unit)


def _band(
    frame: Array,
    matrix: azimuthal.IntegrationMatrix,
    lags: int,
    dummy: float | None,
    delta_dummy: float,
    saturation: float | None,
) -> Array:
    """(bin, lag). Covariance of the intensity; 0 where bins have no pixel."""
    given: dict[str, Any] = {
        "matrix": matrix, "dummy": dummy, "delta_dummy": delta_dummy, "saturation": saturation,
    }  # fmt: skip
    band = np.asarray(azimuthal.covariance_band(frame, lags=lags, **given), float)
    _, norm, _ = azimuthal.sums(frame, **given)
    inverse = np.divide(1.0, norm, out=np.zeros(norm.shape), where=norm > 0)
    for lag in range(lags + 1):
        other = np.zeros_like(inverse)
        other[: inverse.size - lag] = inverse[lag:]
        band[:, lag] *= inverse * other
    return band


def _covariances(ds: xr.Dataset, band: Array, config: Any, unit: Quantity) -> xr.Dataset:
    coords = geometry.axis(config, unit, float(ds["wavelength"]))
    correlation = phases.correlation_of(band[None]).astype(np.float32)
    out = xr.Dataset(
        {
            "covariance": (("q", "lag"), band.astype(np.float32)),
            "correlation": (("q", "lag"), correlation),
        },
        {"q": coords["q"], "lag": np.arange(band.shape[1])},
    )
    if unit == "d":  # bins of ascending q follow each other the other way round
        out = _turned(out)
    return schema.describe(out, schema.BIN_COVARIANCES).assign_attrs(ds.attrs)


def _turned(out: xr.Dataset) -> xr.Dataset:
    """The band counted from its other end: bin k with k + lag becomes k - lag with k."""
    turned = out.isel(q=slice(None, None, -1))
    for name in ("covariance", "correlation"):
        values = turned[name].values.copy()
        for lag in range(values.shape[1]):
            values[:, lag] = np.concatenate([values[lag:, lag], np.zeros(lag, values.dtype)])
        turned[name] = (("q", "lag"), values)
    return turned
