"""The few units of the field, and conversion between them.

A table of twenty spellings serves better here than a unit library: facility files write
`degrees`, `Angstrom`, `microns` and `1/A`, and what counts is that each is recognised or refused.
"""

from __future__ import annotations

import math
import re
from typing import Any, TypeVar

import numpy as np

from zeoarray.errors import UnitError, nearest

T = TypeVar("T", float, np.ndarray[Any, Any])

# unit -> (quantity, factor to the first unit of that quantity)
UNITS: dict[str, tuple[str, float]] = {
    "um": ("length", 1.0),
    "nm": ("length", 1e-3),
    "angstrom": ("length", 1e-4),
    "mm": ("length", 1e3),
    "cm": ("length", 1e4),
    "m": ("length", 1e6),
    "deg": ("angle", 1.0),
    "rad": ("angle", float(np.rad2deg(1.0))),
    "keV": ("energy", 1.0),
    "eV": ("energy", 1e-3),
    "GeV": ("energy", 1e6),
    "1/angstrom": ("wavenumber", 1.0),
    "1/nm": ("wavenumber", 0.1),
    "1/cm": ("wavenumber", 1e-8),
    "1/mm": ("wavenumber", 1e-7),
    "1/m": ("wavenumber", 1e-10),
    "s": ("time", 1.0),
    "ms": ("time", 1e-3),
    "mA": ("current", 1.0),
    "1": ("number", 1.0),
    "px": ("pixel", 1.0),
    "counts": ("counts", 1.0),
}

_SPELLINGS: dict[str, str] = {
    "micron": "um", "microns": "um", "micrometer": "um", "micrometre": "um", "µm": "um",
    "μm": "um", "nanometer": "nm", "nanometre": "nm", "a": "angstrom", "å": "angstrom",
    "ang": "angstrom", "angstroms": "angstrom", "millimeter": "mm", "millimetre": "mm",
    "meter": "m", "metre": "m", "meters": "m", "metres": "m", "centimeter": "cm",
    "degree": "deg", "degrees": "deg", "deg.": "deg", "°": "deg", "radian": "rad",
    "radians": "rad", "kev": "keV", "ev": "eV", "gev": "GeV", "second": "s", "seconds": "s",
    "sec": "s", "1/a": "1/angstrom", "1/å": "1/angstrom", "1/ang": "1/angstrom",
    "a^-1": "1/angstrom", "a-1": "1/angstrom", "å^-1": "1/angstrom", "angstrom^-1": "1/angstrom",
    "1/angstroms": "1/angstrom", "q_a^-1": "1/angstrom", "angstrom-1": "1/angstrom",
    "angstroms^-1": "1/angstrom", "å-1": "1/angstrom", "ångström": "angstrom",
    "nm^-1": "1/nm", "nm-1": "1/nm",
    "q_nm^-1": "1/nm", "cm^-1": "1/cm", "cm-1": "1/cm", "mm^-1": "1/mm", "m^-1": "1/m",
    "ma": "mA", "pixel": "px", "pixels": "px", "": "1", "count": "counts", "cts": "counts",
}  # fmt: skip

_LOWER = {name.lower(): name for name in UNITS} | _SPELLINGS
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*((?![\d.,](?!/)).*?)\s*")


def canonical(unit: str) -> str:
    """Return the one spelling that zeoarray uses for `unit`.

    Examples
    --------
    >>> canonical("degrees"), canonical("Angstrom"), canonical("1/A")
    ('deg', 'angstrom', '1/angstrom')
    """
    spelled = unit.strip()
    if spelled in UNITS:
        return spelled
    try:
        return _LOWER[spelled.lower()]
    except KeyError:
        near = nearest(spelled.lower(), _LOWER)
        raise UnitError(
            f"the unit {unit!r} is not known",
            expected="one of " + ", ".join(UNITS),
            do=f"did you mean {_LOWER[near]!r}?" if near else None,
        ) from None


def factor(unit: str, to: str) -> float:
    """Return the number by which a value in `unit` is multiplied to be in `to`."""
    quantity, size = UNITS[canonical(unit)]
    wanted, target = UNITS[canonical(to)]
    if quantity != wanted:
        raise UnitError(
            f"{unit!r} is {_a(quantity)} and cannot be turned into {to!r}",
            expected=f"{_a(wanted)}: " + ", ".join(u for u, (q, _) in UNITS.items() if q == wanted),
        )
    return size / target


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def convert(value: T, unit: str, to: str) -> T:
    """Return `value` [unit] in the unit `to`."""
    scale = factor(unit, to)
    return value if scale == 1.0 else value * scale


def parse(text: str | float, unit: str, *, what: str = "the value") -> float:
    """Read a quantity such as ``"2.6 um"`` or ``"0.0026mm"`` as a number in `unit`.

    A bare number is refused: whoever writes 2.6 may mean um or mm.

    Examples
    --------
    >>> parse("2.6 um", "um"), parse("0.5 mm", "um"), parse("75keV", "keV")
    (2.6, 500.0, 75.0)
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None or not match[2]:
        raise UnitError(
            f"{what} needs a number with a unit",
            got=repr(text),
            expected=f"for example '2.6 {unit}'",
            do=f"write '{text} {unit}' if it is in {unit}" if match else None,
        )
    number = float(match[1])
    if not math.isfinite(number):
        raise UnitError(f"{what} is no finite number", got=repr(text))
    try:
        return convert(number, match[2], unit)
    except UnitError as error:
        # Who calls without a name for the quantity says it himself.
        named = error.what if what == "the value" else f"{what}: {error.what}"
        raise UnitError(named, got=repr(text), expected=error.expected, do=error.do) from None


def wavelength_of(energy_kev: float) -> float:
    """Return the wavelength [angstrom] of photons of `energy_kev` (hc, CODATA 2018).

    hc / wavelength is the energy, so the same function turns a wavelength into an energy.

    Raises
    ------
    UnitError
        For an energy that is not positive.

    Examples
    --------
    >>> round(wavelength_of(8.0478), 4)
    1.5406
    """
    if not energy_kev > 0:
        raise UnitError("a photon's energy is positive", got=f"{energy_kev} keV")
    return 12.398419843320026 / energy_kev
