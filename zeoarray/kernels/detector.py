"""Where a detector stands, in pyFAI's terms: for a resting beam, and for one that moves.

Axes are pyFAI's: 1 up, 2 horizontal, to the right when looking along the beam, 3 along the beam;
lengths are in m.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from pyFAI.detectors import Detector
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

Array = np.ndarray[Any, Any]
Quantity = Literal["q", "two_theta", "d", "r"]

PIXELS = 40
"""Pixels along each axis at which a detector is looked at, where all of them are too many."""


def integrator_of(
    values: Mapping[str, Any], shape: tuple[int, int] | None = None
) -> AzimuthalIntegrator:
    """Return pyFAI's integrator for a geometry.

    Parameters
    ----------
    values
        ``distance``, ``poni1``, ``poni2`` [m], ``rot1``, ``rot2``, ``rot3`` [rad], ``pixel1``,
        ``pixel2`` [m], ``wavelength`` [angstrom], ``detector``, ``orientation``; perhaps
        ``detector_config`` (JSON) and ``sensor_parallax``.
    shape
        Rows and columns of the frames, for detectors that do not know their size.
    """
    config = json.loads(str(values.get("detector_config", "{}")))
    if not config and shape is not None and not _sized(str(values["detector"])):
        config["max_shape"] = list(shape)
    config |= {"pixel1": float(values["pixel1"]), "pixel2": float(values["pixel2"])}
    config["orientation"] = int(values["orientation"])
    parallax = bool(values.get("sensor_parallax", False))
    return _placed(values, config, None, parallax)


def _placed(
    values: Mapping[str, Any], config: dict[str, Any], place: Array | None, parallax: bool
) -> AzimuthalIntegrator:
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

    base = [values[n] for n in ("distance", "poni1", "poni2")] if place is None else place
    out = AzimuthalIntegrator(
        *map(float, base),
        *(float(values[n]) for n in ("rot1", "rot2", "rot3")),
        detector=_detector(str(values["detector"]), config),
        wavelength=float(values["wavelength"]) * 1e-10,
    )
    if parallax:
        out.enable_parallax()
    return out


def _sized(name: str) -> bool:
    """Whether pyFAI knows how many pixels such a detector has."""
    from pyFAI.detectors import detector_factory

    try:
        return detector_factory(name).max_shape is not None
    except (RuntimeError, TypeError):
        return False


def _detector(name: str, config: dict[str, Any]) -> Detector:
    from pyFAI.detectors import detector_factory

    try:
        own = detector_factory(name).get_config()
    except (RuntimeError, TypeError):
        own = {}
    # Detectors of fixed pixels do not take them, and pyFAI logs an error for each.
    known = {*own, "max_shape", "sensor", "orientation"}
    return detector_factory(name, {k: v for k, v in config.items() if k in known})


def moved(geometry: str, place: Array | None = None) -> AzimuthalIntegrator:
    """Return pyFAI's integrator for its own configuration, from another place.

    Whatever is set on an integrator that exists makes pyFAI collect garbage, which takes longer
    than building a matrix.

    Parameters
    ----------
    geometry
        pyFAI's configuration, JSON.
    place
        Distance, poni1, poni2 [m] that replace those of the configuration.
    """
    stated = json.loads(geometry)
    config = dict(stated["detector_config"])
    values = {n: stated[n] for n in ("rot1", "rot2", "rot3")} | {
        "distance": stated["dist"],
        "poni1": stated["poni1"],
        "poni2": stated["poni2"],
        "wavelength": stated["wavelength"] * 1e10,
        "detector": stated["detector"],
    }
    return _placed(values, config, place, bool(stated.get("parallax", False)))


def seen_from(integrator: AzimuthalIntegrator, right_um: Any, up_um: Any) -> Array:
    """(..., 3) Distance, poni1, poni2 [m], as a beam sees them that is moved parallel to itself.

    pyFAI's origin is where the beam meets the sample. It moves with the beam while the detector
    rests: with R the rotation of the detector's axes into those of the laboratory,
    (poni1, poni2, -distance) grows by R^T (up, right, 0).

    Parameters
    ----------
    integrator
        The geometry for the beam at rest.
    right_um, up_um
        How far the beam is moved to the right, seen along it, and upwards [um].

    References
    ----------
    "The moving-beam diffraction geometry: the DIAD application of a diffraction scanning probe",
    J. Appl. Cryst. 59 (2026) 1.
    """
    right, up = np.broadcast_arrays(np.asarray(right_um, float), np.asarray(up_um, float))
    rotation = np.asarray(integrator.rotation_matrix(), float)
    moved = np.stack([up, right, np.zeros_like(up)], axis=-1) @ rotation * 1e-6
    base = np.array([integrator.dist, integrator.poni1, integrator.poni2])
    seen: Array = base + np.stack([-moved[..., 2], moved[..., 0], moved[..., 1]], axis=-1)
    return seen


# --- radial quantities ----------------------------------------------------------------------------
def radial(integrator: AzimuthalIntegrator, row: Array, column: Array, unit: Quantity) -> Array:
    """(...) Radial quantity at positions in pixels, where pixel centres are integers.

    Parameters
    ----------
    integrator
        The geometry.
    row, column
        Of the same shape.
    unit
        ``q`` [1/angstrom], ``two_theta`` [deg], ``d`` [angstrom] or ``r`` [mm].
    """
    along, across, up = integrator.calc_pos_zyx(None, row.ravel(), column.ravel())
    radius = np.hypot(across, up).reshape(row.shape)
    if unit == "r":
        return np.asarray(radius * 1e3)
    two_theta = np.arctan2(radius, np.asarray(along).reshape(row.shape))
    return from_two_theta(np.rad2deg(two_theta), unit, integrator.wavelength * 1e10)


def from_two_theta(two_theta_deg: Array, unit: Quantity, wavelength: float) -> Array:
    """Return q [1/angstrom] or d [angstrom] of scattering angles [deg]; wavelength in angstrom.

    Examples
    --------
    >>> float(from_two_theta(np.array([60.0]), "d", 1.5)[0].round(6))
    1.5
    """
    if unit == "two_theta":
        return two_theta_deg
    with np.errstate(divide="ignore"):
        q = 4 * np.pi * np.sin(np.deg2rad(two_theta_deg) / 2) / wavelength
        return np.asarray(q if unit == "q" else 2 * np.pi / q)


def to_two_theta(values: Array, unit: Quantity, wavelength: float) -> Array:
    """Scattering angles [deg] of q [1/angstrom] or d [angstrom]; NaN beyond backscattering."""
    if unit == "two_theta":
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        q = values if unit == "q" else 2 * np.pi / values
        return np.asarray(np.rad2deg(2 * np.arcsin(q * wavelength / (4 * np.pi))))


def extent(integrator: AzimuthalIntegrator, unit: Quantity) -> tuple[float, float]:
    """Least and largest radial quantity on the detector, masked pixels included."""
    rows, columns = integrator.detector.shape
    down, right = np.arange(rows + 1) - 0.5, np.arange(columns + 1) - 0.5
    sides = [np.stack([down, np.full_like(down, c)]) for c in (-0.5, columns - 0.5)]
    sides += [np.stack([np.full_like(right, r), right]) for r in (-0.5, rows - 0.5)]
    edge = np.concatenate(sides, axis=1)
    border = radial(integrator, edge[0], edge[1], "two_theta" if unit != "r" else "r")
    low, high = float(border.min()), float(border.max())
    if float(_inside(integrator, "r" if unit == "r" else "two_theta").min()) < low:
        low = 0.0  # the beam meets the detector
    if unit == "r":
        return low, high
    ends = from_two_theta(np.array([low, high]), unit, integrator.wavelength * 1e10)
    return float(ends.min()), float(ends.max())


def _grid(integrator: AzimuthalIntegrator) -> tuple[Array, Array]:
    rows, columns = integrator.detector.shape
    at = [np.unique(np.linspace(0, n - 1, min(n, PIXELS)).round()) for n in (rows, columns)]
    row, column = np.meshgrid(*at, indexing="ij")
    return row, column


def _inside(integrator: AzimuthalIntegrator, unit: Quantity) -> Array:
    return radial(integrator, *_grid(integrator), unit)


def pixel_width(integrator: AzimuthalIntegrator, unit: Quantity) -> float:
    """Mean difference between the corners of a pixel, in the radial quantity."""
    row, column = _grid(integrator)
    corners = np.stack([
        radial(integrator, row + i, column + j, unit) for i in (-0.5, 0.5) for j in (-0.5, 0.5)
    ])  # fmt: skip
    width = np.ptp(np.where(np.isfinite(corners), corners, 0), axis=0)
    return float(width.mean())
