"""Building the integration matrix from a geometry, a mask and a flat.

pyFAI supplies the geometry and the detector. Patterns are built here, as pyFAI would build them but
pixel by pixel; cakes and what is rare come from pyFAI and are turned.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from zeoarray.errors import ArgumentError
from zeoarray.kernels.azimuthal_config import (
    UNITS,
    Configuration,
    Range,
    Split,
    Unit,
    configuration,
    unpacked,
)
from zeoarray.kernels.azimuthal_geometry import pixel_normalization, pixels_of
from zeoarray.kernels.azimuthal_loops import spread, turn
from zeoarray.kernels.azimuthal_matrix import IntegrationMatrix
from zeoarray.kernels.azimuthal_own import Entries, index_dtype, plain, shared

if TYPE_CHECKING:
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

Array = np.ndarray[Any, Any]

KEPT = 2
"""Matrices that a process keeps: each is about 100 MB."""

_BUILT: OrderedDict[str, IntegrationMatrix] = OrderedDict()
_LOCK = threading.Lock()
Matrix = IntegrationMatrix | Configuration
"""A matrix, or what it is built from where it is needed."""


def matrix_of(matrix: Matrix) -> IntegrationMatrix:
    """The matrix itself; where it is still a configuration, built once and kept for a while."""
    if isinstance(matrix, IntegrationMatrix):
        return matrix
    key = matrix.fingerprint
    with _LOCK:
        if key not in _BUILT:
            # Room is made first: two matrices and the building of a third are not needed at once.
            while len(_BUILT) >= KEPT:
                _BUILT.popitem(last=False)
            _BUILT[key] = build(matrix, matrix.integrator())
        _BUILT.move_to_end(key)
        return _BUILT[key]


def integration_matrix(
    integrator: AzimuthalIntegrator,
    npt: int | tuple[int, int],
    *,
    unit: Unit = "q_A^-1",
    split: Split = "full",
    polarization_factor: float | None = None,
    solid_angle: bool = True,
    radial_range: Range | None = None,
    azimuth_range: Range | None = None,
    mask: Any = None,
    flat: Any = None,
    energy_kev: float | None = None,
) -> IntegrationMatrix:
    """Build the matrix that turns frames into patterns.

    Parameters
    ----------
    integrator
        pyFAI's, with geometry, detector and wavelength.
    npt
        Radial bins; or radial and azimuthal bins, for a cake or for sectors.
    unit
        Radial quantity, by pyFAI's names. Bins are equal in it. For ``d_A`` give `radial_range`:
        d has no end towards the beam.
    split
        How a pixel is shared out: ``no`` to the bin of its centre, ``bbox`` by the box around its
        corners, ``full`` by the area of the pixel itself.
    polarization_factor
        1 for horizontal, -1 for vertical, 0 for none; None leaves the correction out.
    solid_angle
        Whether to divide by the solid angle of a pixel.
    radial_range
        First and last edge, in `unit`; all that the detector sees where None.
    azimuth_range
        Sector that is kept [deg], anticlockwise from the first to the second; it may pass 180.
    mask
        (det_y, det_x), not 0 where a pixel is bad; in addition to the detector's own.
    flat
        (det_y, det_x), response of the pixels. Those with 0, or no number, are left out.
    energy_kev
        Energy stated elsewhere [keV], to be held against the geometry's wavelength.

    Raises
    ------
    ArgumentError
        Where mask or flat are of another detector, a range lies off it, or the energy contradicts
        the wavelength.
    MissingMetadataError
        Where the unit needs a wavelength, and the geometry has none.

    References
    ----------
    J. Kieffer, J. P. Wright, "PyFAI: a Python library for high performance azimuthal integration
    on GPU", Powder Diffr. 28, S339 (2013), doi:10.1017/S0885715613000924.
    """
    config = configuration(
        integrator, npt, unit=unit, split=split, polarization_factor=polarization_factor,
        solid_angle=solid_angle, radial_range=radial_range, azimuth_range=azimuth_range, mask=mask,
        flat=flat, energy_kev=energy_kev,
    )  # fmt: skip
    return build(config, integrator)


# --- building -------------------------------------------------------------------------------------
def build(config: Configuration, integrator: AzimuthalIntegrator) -> IntegrationMatrix:
    """Build the matrix with an integrator that `config` was made from."""
    mask = unpacked(config)
    if integrator.detector.mask is not None:
        mask |= np.asarray(integrator.detector.mask, bool)
    if mask.all():
        raise ArgumentError("the mask leaves no pixel", do="a mask is 1 where a pixel is bad")
    pixels = pixels_of(integrator, config.shape)
    norm = pixel_normalization(config, integrator, pixels)
    keep = np.isfinite(norm) & (norm > 0) & _sector(config, integrator).ravel()
    if plain(config, integrator):
        keep = keep.reshape(config.shape) & ~mask
        built, radial = shared(config, integrator, pixels, mask, keep)
        azimuth, bins = None, radial.size
    else:
        built, radial, azimuth = _peer(config, integrator, mask, keep)
        bins = radial.size * (1 if azimuth is None else azimuth.size)
    if not built[1].size:
        raise _off_detector(config, integrator)
    total = np.zeros(bins)
    spread(*built, norm, total)
    return IntegrationMatrix(
        *built, norm, total, radial, azimuth, UNITS[config.unit], config.shape, config.fingerprint
    )


def _peer(
    config: Configuration, integrator: AzimuthalIntegrator, mask: Array, keep: Array
) -> tuple[Entries, Array, Array | None]:
    """Entries by pixels, and the bin centres, from pyFAI's matrix."""
    shares, pixels, pointer, radial, azimuth = _split(config, integrator, mask)
    inside = keep[pixels]
    if not inside.all():
        # The bins' pointer moves back by what was left out before it.
        pointer = np.concatenate(([0], np.cumsum(inside)))[pointer].astype(np.int32)
        shares, pixels = shares[inside], pixels[inside]
    indptr = np.zeros(keep.size + 1, np.int32)
    indices = np.empty(pixels.size, index_dtype(pointer.size - 1))
    data = np.empty(pixels.size, np.float32)
    turn(pointer, pixels, shares, indptr, indices, data)
    return (indptr, indices, data), radial, azimuth


def _split(
    config: Configuration, integrator: AzimuthalIntegrator, mask: Array
) -> tuple[Array, Array, Array, Array, Array | None]:
    """Shares, pixels and pointer by bins, and the bin centres, from pyFAI's own splitting."""
    from pyFAI.units import to_unit

    cake = isinstance(config.npt, tuple) and len(config.npt) == 2
    npt = config.npt if cake or not isinstance(config.npt, tuple) else config.npt[0]
    scale = to_unit(config.unit).scale
    radial, azimuth = config.radial_range, config.azimuth_range
    engine = integrator.setup_sparse_integrator(
        config.shape,
        npt,
        mask=np.ascontiguousarray(mask, np.int8),
        pos0_range=None if radial is None else (radial[0] / scale, radial[1] / scale),
        pos1_range=np.deg2rad(azimuth) if cake and azimuth is not None else None,
        mask_checksum=0,
        unit=(config.unit, "chi_deg") if cake else config.unit,
        split=config.split,
        algo="CSR",
        scale=False,
    )
    shares, pixels, pointer = (np.asarray(a) for a in engine.lut)
    if not cake:
        return shares, pixels, pointer, np.asarray(engine.bin_centers) * scale, None
    centers = np.asarray(engine.bin_centers0) * scale, np.rad2deg(engine.bin_centers1)
    return shares, pixels, pointer, *centers


def _sector(config: Configuration, integrator: AzimuthalIntegrator) -> Array:
    """Pixels whose centre lies in the sector, so that sectors share no pixel."""
    if config.azimuth_range is None or (isinstance(config.npt, tuple) and len(config.npt) == 2):
        return np.ones(config.shape, bool)
    first, last = config.azimuth_range
    chi = integrator.center_array(config.shape, unit="chi_deg")
    width = (last - first) % 360 or 360.0
    inside: Array = (chi - first) % 360 < width
    return inside


def _off_detector(config: Configuration, integrator: AzimuthalIntegrator) -> ArgumentError:
    seen = integrator.center_array(config.shape, unit=config.unit)
    sector = f", azimuth_range={config.azimuth_range}" if config.azimuth_range else ""
    return ArgumentError(
        "no pixel of the detector falls into the bins",
        got=f"radial_range={config.radial_range} {UNITS[config.unit]}{sector}",
        expected=f"something between {seen.min():.4g} and {seen.max():.4g} {UNITS[config.unit]}",
    )
