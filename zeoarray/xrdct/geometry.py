"""The detector's geometry as a scan carries it: what integration needs to know, checked."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from zeoarray import schema, units
from zeoarray.errors import ArgumentError, MissingMetadataError, SchemaError
from zeoarray.kernels import azimuthal, detector
from zeoarray.kernels.azimuthal_config import Configuration, Split
from zeoarray.labelled import known

if TYPE_CHECKING:
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

Array = np.ndarray[Any, Any]
Moving = Literal["u", "z"]
Values = tuple[tuple[str, Any], ...]

PYFAI: dict[detector.Quantity, Any] = {
    "q": "q_A^-1", "two_theta": "2th_deg", "d": "d_A", "r": "r_mm",
}  # fmt: skip
UNITS = {"q": "1/angstrom", "two_theta": "deg", "d": "angstrom", "r": "mm"}
CLOSE = 1e-3
"""Share by which energy and wavelength may contradict each other."""
ORIENTATIONS = (1, 2, 3, 4)


def integrator(ds: xr.Dataset, by: str) -> AzimuthalIntegrator:
    """Return pyFAI's integrator for the geometry of `ds`; the same one for the same geometry.

    Raises
    ------
    MissingMetadataError
        Where a number of the geometry is missing, the wavelength above all.
    SchemaError
        Where the frames are of another detector.
    """
    optional = (schema.DETECTOR_CONFIG, schema.SENSOR_PARALLAX)
    for var in schema.GEOMETRY:
        if var.name not in ds.variables and var not in optional:
            raise MissingMetadataError(
                f"{by}: the frames have no geometry: {var.name!r} ({var.doc}) is missing",
                expected=", ".join(v.name for v in schema.GEOMETRY if v not in optional),
                do="ingest them with poni=FILE"
                + (", wavelength='... angstrom'" if var.name == "wavelength" else ""),
            )
    schema.validate(ds, schema.Schema("frames with geometry", (), schema.GEOMETRY), by=by)
    values, frames = _stated(ds)
    stated = dict(values)
    if int(stated["orientation"]) not in ORIENTATIONS:
        raise SchemaError(
            f"{by}: the geometry has an orientation that there is not",
            got=stated["orientation"],
            expected="1 to 4, as pyFAI counts the corner where the image begins",
        )
    found = _integrator(values, frames)
    shape = tuple(map(int, found.detector.shape))
    if shape != frames:
        turned = " (transposed?)" if shape == frames[::-1] else ""
        raise SchemaError(
            f"{by}: the frames are of another detector than the geometry",
            got=f"frames of {frames} pixels{turned}",
            expected=f"{shape} pixels: {stated['detector']}",
            do="ingest them with their own poni=FILE; binned or cropped frames need their own",
        )
    return found


def _stated(ds: xr.Dataset) -> tuple[Values, tuple[int, int]]:
    values = tuple(
        (v.name, ds[v.name].values.item()) for v in schema.GEOMETRY if v.name in ds.variables
    )
    return values, (ds.sizes["det_y"], ds.sizes["det_x"])


# A step is called for each block; what it needs to know of the geometry is the same in all.
@functools.lru_cache(maxsize=4)
def _integrator(values: Values, shape: tuple[int, int]) -> AzimuthalIntegrator:
    return detector.integrator_of(dict(values), shape)


@functools.lru_cache(maxsize=8)
def _extent(values: Values, shape: tuple[int, int], unit: detector.Quantity) -> tuple[float, float]:
    return detector.extent(_integrator(values, shape), unit)


def check_energy(ds: xr.Dataset, by: str) -> None:
    """Raise where energy and wavelength of a scan contradict each other."""
    if "energy" not in ds.variables:
        return
    energy, stated = float(ds["energy"]), float(ds["wavelength"])
    wanted = units.wavelength_of(energy)
    if not abs(stated / wanted - 1) <= CLOSE:
        raise ArgumentError(
            f"{by}: energy and wavelength disagree",
            got=f"{energy:g} keV, which is {wanted:.5g} angstrom",
            expected=f"{stated:.5g} angstrom, as the geometry was calibrated",
            do='photons="wavelength", if the calibration is right; else calibrate anew: distance '
            "and wavelength belong together",
        )


def configured(
    ds: xr.Dataset,
    by: str,
    *,
    npt: int | tuple[int, int],
    unit: detector.Quantity,
    radial_range: tuple[float, float] | None,
    azimuth_range: tuple[float, float] | None,
    split: Split,
    polarization_factor: float | None,
    solid_angle: bool,
    photons: Literal["agree", "wavelength"],
) -> Configuration:
    """Return what matrices of this scan are built from, with a range that is known.

    Where no range is given, it is what the detector sees of the resting beam, masked or not, so
    that bins hang on nothing but the geometry.

    Raises
    ------
    ArgumentError
        Where energy and wavelength disagree, or the range lies off the detector.
    """
    found = integrator(ds, by)
    if photons == "agree":
        check_energy(ds, by)
    low, high = _extent(*_stated(ds), unit)
    if radial_range is None and unit != "d":
        radial_range = (low, high)
    elif radial_range is not None and not (radial_range[0] < high and radial_range[1] > low):
        raise ArgumentError(
            f"{by}: radial_range lies off the detector",
            got=f"{radial_range[0]:g} to {radial_range[1]:g} {UNITS[unit]}",
            expected=f"a part of {low:.4g} to {high:.4g} {UNITS[unit]}",
            do=f"unit={unit!r} is counted in {UNITS[unit]}; pyFAI's own default is 1/nm"
            if unit == "q"
            else None,
        )
    return azimuthal.configuration(
        found,
        npt,
        unit=PYFAI[unit],
        split=split,
        polarization_factor=polarization_factor,
        solid_angle=solid_angle,
        radial_range=radial_range,
        azimuth_range=azimuth_range,
    )


def axis(config: Configuration, unit: detector.Quantity, wavelength: float) -> dict[str, Any]:
    """The coords of bins: ``q`` with ``two_theta`` and ``d``, or ``r``; and their order.

    Parameters
    ----------
    config
        With a range.
    unit
        The quantity that bins are equal in.
    wavelength
        In angstrom.
    """
    count = config.npt if isinstance(config.npt, int) else config.npt[0]
    low, high = config.radial_range or (0.0, 1.0)
    middle = low + (high - low) * (np.arange(count) + 0.5) / count
    if unit == "r":
        return {"r": ("r", middle)}
    two_theta = detector.to_two_theta(middle, unit, wavelength)
    values = {"two_theta": two_theta} | {
        name: detector.from_two_theta(two_theta, name, wavelength) for name in ("q", "d")
    }
    values[unit] = middle
    return {name: ("q", v) for name, v in values.items()}


def places(
    ds: xr.Dataset,
    by: str,
    *,
    moving: Sequence[Moving],
    positions: xr.Dataset | None,
    calibrated_at: tuple[float, float],
) -> xr.DataArray:
    """(frame, place) or (place). Distance, poni1, poni2 [m] as the beam of each frame sees them.

    Parameters
    ----------
    ds
        Frames with their geometry.
    moving
        Motors that move the beam; the others move the sample.
    positions
        Where the beam stops, by `find_positions`; each frame is taken at the nearest.
    calibrated_at
        u and z [um] of the beam when the geometry was calibrated.

    Raises
    ------
    ArgumentError
        Where the scan says that it is the sample that a motor moves.
    """
    found = integrator(ds, by)
    if not moving:
        base = np.array([found.dist, found.poni1, found.poni2])
        return xr.DataArray(base, dims="place")
    if "u" in moving and "u_sense" in ds.variables and float(ds["u_sense"]) < 0:
        raise ArgumentError(
            f"{by}: the scan says that u moves the sample (u_sense -1), not the beam",
            got=f"moving={tuple(moving)}",
            do="leave u out of moving=, or ingest with u_sense=1",
        )
    z_sense = float(ds["z_sense"]) if "z_sense" in ds.variables else 1.0
    shift = {}
    for motor, origin in zip(("u", "z"), calibrated_at, strict=True):
        at = known(ds[motor], whole=False).astype(float)
        if motor not in moving:
            shift[motor] = np.zeros(at.shape)
            continue
        if not np.isfinite(at).all():
            raise ArgumentError(
                f"{by}: the beam's position is not known",
                got=f"{motor} of {int((~np.isfinite(at)).sum())} frames is not finite",
                do="leave those frames out: ds.isel(frame=...)",
            )
        shift[motor] = _snapped(at, motor, positions, by) - origin
    seen = detector.seen_from(found, shift["u"], z_sense * shift["z"])
    return xr.DataArray(seen, dims=("frame", "place"))


def _snapped(at: Array, motor: str, positions: xr.Dataset | None, by: str) -> Array:
    if positions is None:
        return at
    stops = schema.Schema("positions of the beam", (schema.BEAM_U, schema.BEAM_Z))
    schema.validate(positions, stops, by=by)
    levels = np.sort(known(positions[f"beam_{motor}"]).astype(float))
    right = np.searchsorted(levels, at).clip(1, max(levels.size - 1, 1))
    left = levels[right - 1]
    upper = levels[np.minimum(right, levels.size - 1)]
    nearest: Array = np.where(at - left <= upper - at, left, upper)
    return nearest
