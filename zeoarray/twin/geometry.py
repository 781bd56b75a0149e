"""Where the detector stands, for every position of the beam.

Axes are pyFAI's: 1 up (z), 2 horizontal (u, to the right when looking along the beam), 3 along the
beam (s). The frame is that of the laboratory with its origin where the tomographic axis crosses
the height z = 0, so a beam at (u, z) is at rest while the sample turns. pyFAI puts its origin where
the beam meets the sample: `Geometry.at` moves it there, and with it the beam centre.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyFAI.detectors import detector_factory
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

Array = np.ndarray[Any, Any]

HC_KEV_ANGSTROM = 12.398419843320026


@dataclass(frozen=True)
class Geometry:
    """A flat detector in front of a sample, in pyFAI's parameters."""

    detector: str
    """Detector name, as pyFAI knows it."""
    distance: float
    """Sample to the point of normal incidence [m]."""
    poni1: float
    """Point of normal incidence along det_y [m], for the beam at z = 0."""
    poni2: float
    """Point of normal incidence along det_x [m], for the beam at u = 0."""
    rot1: float = 0.0
    """First rotation [rad]."""
    rot2: float = 0.0
    """Second rotation [rad]."""
    rot3: float = 0.0
    """Third rotation [rad]."""
    energy: float = 23.0
    """Photon energy [keV]."""
    polarization: float = 0.95
    """Polarization factor, +1 for horizontal."""
    beamstop: float = 3.0
    """Radius of the beamstop at the detector [mm]."""

    @property
    def wavelength(self) -> float:
        """Photon wavelength [angstrom]."""
        return HC_KEV_ANGSTROM / self.energy

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the detector."""
        rows, columns = _detector(self.detector).shape
        return int(rows), int(columns)

    @property
    def pixel(self) -> tuple[float, float]:
        """Size of a pixel along det_y and det_x [m]."""
        detector = _detector(self.detector)
        return float(detector.pixel1), float(detector.pixel2)

    def integrator(self) -> AzimuthalIntegrator:
        """The geometry as pyFAI's `AzimuthalIntegrator`."""
        return AzimuthalIntegrator(
            dist=self.distance,
            poni1=self.poni1,
            poni2=self.poni2,
            rot1=self.rot1,
            rot2=self.rot2,
            rot3=self.rot3,
            detector=detector_factory(self.detector),
            wavelength=self.wavelength * 1e-10,
        )

    @functools.cached_property
    def rotation(self) -> Array:
        """Detector axes to laboratory axes, as pyFAI defines its three rotations."""
        matrix: Array = np.asarray(self.integrator().rotation_matrix(), float)
        return matrix

    def at(self, u_um: float, z_um: float) -> Geometry:
        """The geometry seen from a beam at (`u_um`, `z_um`): detector at rest, origin moved."""
        across = self.rotation.T @ (np.array([z_um, u_um, 0.0]) * 1e-6)
        return dataclasses.replace(
            self,
            poni1=self.poni1 + float(across[0]),
            poni2=self.poni2 + float(across[1]),
            distance=self.distance - float(across[2]),
        )

    def project(self, origin_um: Array, direction: Array) -> tuple[Array, Array, Array]:
        """Where rays hit the detector, in pixels, and whether they go forward.

        Parameters
        ----------
        origin_um
            (..., 3) starts (z, u, s) relative to where this geometry's beam meets the sample [um].
        direction
            (..., 3) directions (z, u, s) of any length.

        Returns
        -------
        row, column
            Positions where integers are pixel centres.
        forward
            True where the ray meets the plane of the detector at all.
        """
        start = np.asarray(origin_um, float) * 1e-6
        normal = self.rotation[:, 2]
        toward = direction @ normal
        forward = toward > 1e-9
        steps = (self.distance - start @ normal) / np.where(forward, toward, 1.0)
        on_plane = (start + steps[..., None] * direction) @ self.rotation
        row = (on_plane[..., 0] + self.poni1) / self.pixel[0] - 0.5
        column = (on_plane[..., 1] + self.poni2) / self.pixel[1] - 0.5
        return row, column, forward


@functools.lru_cache(maxsize=4)
def _detector(name: str) -> Any:
    return detector_factory(name)


@functools.lru_cache(maxsize=4)
def gaps(detector: str) -> Array:
    """Pixels of `detector` that do not exist: the gaps between modules, and in CdTe inside them.

    A single module has no gap in pyFAI's tables; as the twin's modules are CdTe, its middle does.
    """
    known = _detector(detector)
    mask = np.zeros(known.shape, bool) if known.mask is None else np.asarray(known.mask, bool)
    if known.shape == (195, 487):
        mask = mask.copy()
        mask[:, 242:245] = True
    return mask


@dataclass(frozen=True)
class PixelMap:
    """For each pixel of a geometry: its ring radius, and what weakens it."""

    radius: Array
    """Radius of the ring through the pixel, distance tan(2 theta) [px], float32."""
    weight: Array
    """Solid angle relative to the point of normal incidence, times polarization, float32."""

    @classmethod
    def of(cls, geometry: Geometry) -> PixelMap:
        """Compute the map by pyFAI's definitions of solid angle and polarization."""
        rows, columns = geometry.shape
        size1, size2 = geometry.pixel
        a = (np.arange(rows) + 0.5) * size1 - geometry.poni1
        b = (np.arange(columns) + 0.5) * size2 - geometry.poni2
        up, across, along = (
            np.add.outer(r[0] * a, r[1] * b) + r[2] * geometry.distance for r in geometry.rotation
        )
        up2, across2, along2 = up * up, across * across, along * along
        total2 = up2 + across2 + along2
        radius = np.sqrt((up2 + across2) / along2) * (geometry.distance / size2)
        share = (geometry.distance**2 / total2) ** 1.5
        # cos(2 chi) (1 - cos^2 2theta) is (across^2 - up^2) / total^2.
        share *= 0.5 * (1 + along2 / total2 - geometry.polarization * (across2 - up2) / total2)
        return cls(radius.astype(np.float32), share.astype(np.float32))


def beamstop_shadow(geometry: Geometry) -> Array:
    """Pixels behind the beamstop and the arm that holds it from below, for the resting beam."""
    row, column, _ = geometry.project(np.zeros(3), np.array([0.0, 0.0, 1.0]))
    size1, size2 = geometry.pixel
    rows, columns = (np.arange(n) for n in geometry.shape)
    up = (rows[:, None] - row) * size1 * 1e3
    across = (columns[None, :] - column) * size2 * 1e3
    disc = np.hypot(up, across) < geometry.beamstop
    arm = (up < 0) & (np.abs(across) < 0.25 * geometry.beamstop)
    shadow: Array = disc | arm
    return shadow
