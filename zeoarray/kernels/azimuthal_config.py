"""What an integration matrix is built from: checked, comparable, and small enough to send."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from zeoarray import units
from zeoarray.errors import ArgumentError, MissingMetadataError, unknown

if TYPE_CHECKING:
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

Array = np.ndarray[Any, Any]
Unit = Literal["q_A^-1", "q_nm^-1", "2th_deg", "2th_rad", "r_mm", "r_m", "d_A"]
Split = Literal["no", "bbox", "full"]
Range = tuple[float, float]

UNITS: dict[str, str] = {
    "q_A^-1": "1/angstrom", "q_nm^-1": "1/nm", "2th_deg": "deg", "2th_rad": "rad",
    "r_mm": "mm", "r_m": "m", "d_A": "angstrom",
}  # fmt: skip
"""pyFAI's names of the radial quantities, and the units of the bin centres."""
CLOSE = 1e-3
"""Share by which a stated energy and the geometry's wavelength may differ."""


@dataclass(frozen=True, eq=False)
class Configuration:
    """What an integration matrix is built from: small, comparable, cheap to send to a worker."""

    geometry: str
    """pyFAI's configuration of the geometry and the detector, JSON."""
    npt: int | tuple[int, int]
    unit: Unit
    split: Split
    polarization_factor: float | None
    solid_angle: bool
    radial_range: Range | None
    azimuth_range: Range | None
    shape: tuple[int, int]
    mask: bytes
    """Packed and compressed; empty where the detector's own serves."""
    flat: Array | None

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest of everything that the matrix hangs on."""
        parts = (self.geometry, self.npt, self.unit, self.split, self.polarization_factor,
                 self.solid_angle, self.radial_range, self.azimuth_range, self.shape)  # fmt: skip
        digest = hashlib.blake2b(repr(parts).encode(), digest_size=16)
        digest.update(self.mask)
        if self.flat is not None:
            digest.update(self.flat.tobytes())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and other.fingerprint == self.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def integrator(self) -> AzimuthalIntegrator:
        """A new integrator of pyFAI's."""
        from pyFAI.integrator.azimuthal import AzimuthalIntegrator

        return AzimuthalIntegrator().set_config(json.loads(self.geometry))


def configuration(
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
) -> Configuration:
    """Put the arguments of `azimuthal.integration_matrix` together, checked, and build nothing."""
    if unit not in UNITS:
        raise unknown("radial unit", unit, UNITS)
    if split not in get_args(Split):
        raise unknown("pixel splitting", split, get_args(Split))
    counts = npt if isinstance(npt, tuple) else (npt,)
    if len(counts) > 2 or min(counts) < 1:
        raise ArgumentError(
            "there is one bin or more", got=f"npt={npt}", expected="5000, or (1000, 360) for a cake"
        )
    if polarization_factor is not None and not -1 <= polarization_factor <= 1:
        raise ArgumentError(
            "a polarization factor lies between -1 (vertical) and 1 (horizontal)",
            got=polarization_factor,
        )
    _check_photons(integrator, unit, energy_kev)
    rows, columns = integrator.detector.shape or (0, 0)
    if not rows or not columns:
        raise ArgumentError(
            "the geometry's detector has no size", do="give its shape: detector.shape = (rows, "
            "columns)",
        )  # fmt: skip
    shape = (int(rows), int(columns))
    config = Configuration(
        geometry=json.dumps(integrator.get_config(), sort_keys=True, default=str),
        npt=npt,
        unit=unit,
        split=split,
        polarization_factor=polarization_factor,
        solid_angle=solid_angle,
        radial_range=radial_range,
        azimuth_range=azimuth_range,
        shape=shape,
        mask=b"" if mask is None else _packed(_image(mask, shape, "mask")),
        flat=None if flat is None else _image(flat, shape, "flat").astype(np.float32),
    )
    _check_ranges(config)
    return config


# --- checks ---------------------------------------------------------------------------------------
def _check_photons(integrator: AzimuthalIntegrator, unit: Unit, energy_kev: float | None) -> None:
    stated = integrator.wavelength
    if stated is None and unit.startswith(("q", "d")):
        raise MissingMetadataError(
            f"the geometry has no wavelength, and {unit} needs one",
            do="set it: integrator.wavelength = 0.54e-10 (in m); or take unit='2th_deg'",
        )
    if energy_kev is None or stated is None:
        return
    wanted = units.wavelength_of(energy_kev)
    if abs(stated * 1e10 / wanted - 1) > CLOSE:
        raise ArgumentError(
            "the energy contradicts the wavelength of the geometry",
            got=f"{energy_kev:g} keV, which is {wanted:g} angstrom",
            expected=f"{stated * 1e10:g} angstrom, as calibrated",
            do="leave the energy out: distance and wavelength were calibrated as a pair",
        )


def _check_ranges(config: Configuration) -> None:
    radial, azimuth = config.radial_range, config.azimuth_range
    for name, pair in (("radial_range", radial), ("azimuth_range", azimuth)):
        if pair is not None and not all(map(math.isfinite, pair)):
            raise ArgumentError(f"{name} has two finite ends", got=pair)
    if radial is not None and not radial[0] < radial[1]:
        raise ArgumentError("radial_range ascends", got=radial, do="give (first, last)")
    if config.unit == "d_A" and (radial is None or radial[0] <= 0):
        raise ArgumentError(
            "d has no end towards the beam: radial_range is needed",
            got=radial,
            expected="for example (0.8, 12) angstrom",
        )
    if azimuth is None:
        return
    if azimuth[0] == azimuth[1] or max(map(abs, azimuth)) > 360:
        raise ArgumentError(
            "azimuth_range is no sector", got=azimuth, expected="two different angles [deg]"
        )
    if isinstance(config.npt, tuple) and not -180 <= azimuth[0] < azimuth[1] <= 180:
        raise ArgumentError(
            "the azimuthal bins of a cake cannot pass 180 degrees",
            got=f"azimuth_range={azimuth}",
            expected="an ascending range between -180 and 180",
            do="take the whole circle, and join the ends of the result",
        )


def _image(values: Any, shape: tuple[int, int], name: str) -> Array:
    image = np.asarray(values)
    if image.shape != shape:
        turned = " (transposed?)" if image.shape == shape[::-1] else ""
        raise ArgumentError(
            f"the {name} does not fit the detector",
            got=f"{image.shape} pixels{turned}",
            expected=f"{shape} pixels, the geometry's detector",
        )
    return image


def _packed(mask: Array) -> bytes:
    return zlib.compress(np.packbits(mask.astype(bool)).tobytes(), 1)


def unpacked(config: Configuration) -> Array:
    """The mask (det_y, det_x) of a configuration."""
    size = config.shape[0] * config.shape[1]
    if not config.mask:
        return np.zeros(config.shape, bool)
    bits = np.frombuffer(zlib.decompress(config.mask), np.uint8)
    return np.unpackbits(bits, count=size).astype(bool).reshape(config.shape)
