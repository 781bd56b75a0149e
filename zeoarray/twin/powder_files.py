r"""Laboratory powder patterns, as a Rigaku diffractometer writes them (``.asc``).

Four capillaries in Cu K-alpha1 radiation: the sodium form (``13X``), the zinc form (``Zn13X``),
a pellet ground after 15 minutes of exchange (``Zn13X_15min``, a mixture of both) and an empty
capillary. Counts are what `zeoarray.twin.diffraction` scatters, with the polarization of an
unpolarized source, :math:`(1+\cos^2 2\theta)/2`, the absorption of a cylinder [1]_, and Poisson
noise.

References
----------
.. [1] A. W. Hewat, Acta Cryst. A35 (1979) 248; International Tables for Crystallography C,
   ch. 6.3. https://doi.org/10.1107/97809553602060000602
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zeoarray.errors import unknown
from zeoarray.twin import diffraction
from zeoarray.twin.attenuation import GLASS, SODIUM_X, ZINC_X
from zeoarray.twin.random import generator

Array = np.ndarray[Any, Any]

WAVELENGTH = 1.5406
"""Cu K-alpha1 [angstrom]."""
ENERGY_KEV = 12.398419843320026 / WAVELENGTH
START, STOP, STEP = 4.0, 80.0, 0.01
"""Scattering angles [deg]."""
RADIUS_CM = 0.0125
"""Inner radius of the capillary: 0.25 mm wide, so that little is absorbed."""
WALL_CM = 0.001
"""Thickness of its wall."""
AIR_CM = 4.0
"""Air that the detector sees."""
PACKING = 0.45
"""Volume fraction of powder in a filled capillary."""
PHOTONS = 3.2e6
"""What makes counts of 1 1/sr."""
LABORATORY = diffraction.Broadening(
    bandwidth=3e-4, divergence=1.1e-3, wavelength=WAVELENGTH, size=1500.0, strain=5e-4
)
"""Widths of the lines: about 0.08 deg in 2 theta."""


@dataclass(frozen=True)
class Specimen:
    """What is in a capillary."""

    sodium: float
    """Volume fraction of the zeolite that is the sodium form."""
    zinc: float
    """The same of the zinc form; both are 0 in an empty capillary."""
    memo: str


SPECIMENS: dict[str, Specimen] = {
    "13X": Specimen(1.0, 0.0, "zeolite 13X as bought"),
    "Zn13X": Specimen(0.0, 1.0, "zeolite 13X, zinc exchanged"),
    "Zn13X_15min": Specimen(0.42, 0.58, "zeolite 13X pellet, 15 min in zinc nitrate, ground"),
    "empty_capillary": Specimen(0.0, 0.0, "borosilicate capillary"),
}


def specimen(name: str) -> Specimen:
    """Return what is in the capillary `name`, or raise with the nearest there is."""
    if name not in SPECIMENS:
        raise unknown("powder specimen", name, SPECIMENS)
    return SPECIMENS[name]


def angles() -> Array:
    """Scattering angles of every pattern [deg]."""
    return START + STEP * np.arange(round((STOP - START) / STEP) + 1)


def expected(name: str) -> Array:
    """Counts without noise at `angles`.

    Parameters
    ----------
    name
        A key of `SPECIMENS`.

    Raises
    ------
    UnknownNameError
        For any other name.
    """
    of = specimen(name)
    theta = np.deg2rad(angles() / 2)
    q = 4 * np.pi / WAVELENGTH * np.sin(theta)
    powder = np.zeros_like(q)
    inside = np.pi * RADIUS_CM / 2 * PACKING
    for phase, share in (("sodium", of.sodium), ("zinc", of.zinc)):
        if share:
            powder += share * diffraction.pattern(phase, q, LABORATORY)
    linear = PACKING * sum(
        share * material.attenuation(ENERGY_KEV)
        for material, share in ((SODIUM_X, of.sodium), (ZINC_X, of.zinc))
    )
    # Twice through the wall, in and out, whatever the angle.
    wall = np.exp(-2 * WALL_CM * GLASS.attenuation(ENERGY_KEV))
    filled = cylinder_absorption(linear * RADIUS_CM, theta) * wall
    glass = 2 * np.pi / 2 * WALL_CM * diffraction.pattern("glass", q)
    air = AIR_CM * diffraction.pattern("air", q)
    polarized = (1 + np.cos(2 * theta) ** 2) / 2
    counts: Array = PHOTONS * polarized * (filled * (inside * powder + glass) + air)
    return counts


def cylinder_absorption(exponent: float, theta: Array) -> Array:
    """Share of the scattered light that leaves a cylinder.

    Parameters
    ----------
    exponent
        Linear attenuation times radius, up to about 1.
    theta
        Half of the scattering angle [rad].

    Examples
    --------
    >>> cylinder_absorption(0.0, np.zeros(1)).tolist()
    [1.0]
    """
    sine2 = np.sin(theta) ** 2
    first, second = 1.7133 - 0.0368 * sine2, -0.0927 - 0.375 * sine2
    share: Array = np.exp(-first * exponent - second * exponent**2)
    return share


def write(folder: Path, seed: int) -> dict[str, Path]:
    """Write every specimen's pattern as ``<name>.asc``, and return the paths by name.

    Parameters
    ----------
    folder
        Where; made if it is not there.
    seed
        Seed of the twin.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name in SPECIMENS:
        counts = generator(seed, f"powder/{name}").poisson(expected(name))
        paths[name] = folder / f"{name}.asc"
        paths[name].write_text(asc_text(name, counts), encoding="ascii", newline="")
    return paths


def asc_text(name: str, counts: Array) -> str:
    """One scan in Rigaku's ASCII format, with its line ends.

    Parameters
    ----------
    name
        Of the specimen.
    counts
        Integer counts at `angles`.
    """
    head = [_line(key, value) for key, value in _header(name)]
    block = [_line(key, value) for key, value in _block(counts)]
    values = [", ".join(map(str, counts[i : i + 4].tolist())) for i in range(0, len(counts), 4)]
    return "\r\n".join([*head, "", "*BEGIN", *block, *values, "*END", "", "*EOF", ""])


def _line(key: str, value: str) -> str:
    """``*KEY`` padded with tabs to the column of the equals sign, as Rigaku writes it."""
    if not key:
        return ""
    tabs = "\t" * (2 if len(key) < 7 else 1)
    return f"*{key}{tabs}=  {value}"


def _header(name: str) -> list[tuple[str, str]]:
    unknown_material = "Unknown, Unknown" + 6 * ", 0.000000"
    constants = "0, Unknown, Unknown" + 6 * ", 0.000000"
    return [
        ("TYPE", "Raw"),
        ("CLASS", "ASCII CLASS"),
        ("SAMPLE", name),
        ("COMMENT", ""),
        ("FNAME", f"{name}.asc"),
        ("DATE", "05-Mar-24 10:00"),
        ("", ""),
        ("GROUP_COUNT", "1"),
        ("GONIO", "SmartLab, 0.000000"),
        ("ATTACHMENT", "Capillary"),
        ("ASC", "0, 0, 0.000000, 0.000000"),
        ("I_MONOCHRO", "Ge(220)x2, 0.000000"),
        ("FILTER", "None"),
        ("C_MONOCHRO", "None, 0.000000"),
        ("SLIT_NAME", "0, Incident slit"),
        ("SLIT_NAME", "1, Receiving slit # 1"),
        ("SLIT_NAME", "2, Receiving slit # 2"),
        ("COUNTER", "D/teX Ultra 250, 0"),
        ("POS_FORMAT", "0"),
        ("SCAN_AXIS", "2theta"),
        ("MEAS_MODE", "Continuous Scanning"),
        ("TARGET", "29"),
        ("XRAY_CHAR", "K-ALPHA1"),
        ("WAVE_LENGTH1", f"{WAVELENGTH}"),
        ("WAVE_LENGTH2", "1.54441"),
        ("THICKNESS", "0, 0.000000"),
        ("MU", "0, 0.000000"),
        ("SCAN_MODE", "2theta"),
        ("SPEED_DIM", "deg./min."),
        ("XUNIT", "deg."),
        ("YUNIT", "counts"),
        ("SCALE_MODE", "1"),
        ("REP_COUNT", "0"),
        ("SE_COUNT", "0"),
        ("STD_MATERIAL", unknown_material),
        ("LATT_CONS", constants),
        ("SEC_COUNT", "1"),
        ("TSPEC_SIZE", "0"),
        ("EXTRA_SIZE", "0"),
        ("MEMO", specimen(name).memo),
    ]


def _block(counts: Array) -> list[tuple[str, str]]:
    angles_at_rest = [("PAREX", f"{i}, 0.000000") for i in range(16)]
    return [
        ("GROUP", "0"),
        ("START", f"{START:g}"),
        ("STOP", f"{STOP:g}"),
        ("STEP", f"{STEP:g}"),
        ("OFFSET", "0.000000"),
        ("SPEED", "0.6"),
        ("SLIT_SPEC", "0, 2/3deg, 2, 0.000000"),
        ("SLIT_SPEC", "1, 2/3deg, 2, 0.000000"),
        ("SLIT_SPEC", "2, 0.300mm, 0.3, 0.000000"),
        ("KV", "45"),
        ("MA", "200"),
        ("LOW", "0.000000"),
        ("HIGH", "0.000000"),
        ("CTEMPER", "0, 0.000000"),
        ("CTEMPER", "1, 0.000000"),
        ("CTEMPER", "2, 0.000000"),
        *angles_at_rest,
        ("FULL_SCALE", str(int(counts.max()))),
        ("INDEX", "0, 0, 0"),
        ("COUNT", str(len(counts))),
    ]
