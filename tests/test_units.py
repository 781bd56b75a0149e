"""Units are recognised in the field's spellings, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from zeoarray import units
from zeoarray.errors import UnitError


@pytest.mark.parametrize(
    ("spelled", "unit"),
    [
        ("um", "um"), ("microns", "um"), ("µm", "um"), ("Micrometre", "um"), (" mm ", "mm"),
        ("Angstrom", "angstrom"), ("A", "angstrom"), ("Å", "angstrom"), ("1/A", "1/angstrom"),
        ("Å^-1", "1/angstrom"), ("q_A^-1", "1/angstrom"), ("nm^-1", "1/nm"), ("cm^-1", "1/cm"),
        ("degrees", "deg"), ("°", "deg"), ("KEV", "keV"), ("mA", "mA"), ("", "1"), ("pixel", "px"),
    ],
)  # fmt: skip
def test_spellings(spelled: str, unit: str) -> None:
    assert units.canonical(spelled) == unit


@pytest.mark.parametrize("unit", units.UNITS)
def test_every_unit_is_its_own_canonical_spelling_in_lower_case_too(unit: str) -> None:
    assert units.canonical(unit) == unit
    assert units.canonical(unit.lower()) == unit


def test_unknown_unit_offers_the_nearest() -> None:
    with pytest.raises(UnitError, match="the unit 'micrns' is not known") as info:
        units.canonical("micrns")
    assert "did you mean 'um'?" in str(info.value)


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        (1.0, "mm", "um", 1000.0), (1.0, "1/nm", "1/angstrom", 0.1),
        (1.0, "1/cm", "1/angstrom", 1e-8),
        (np.pi, "rad", "deg", 180.0), (3.0, "GeV", "keV", 3e6), (1.0, "m", "angstrom", 1e10),
    ],
)  # fmt: skip
def test_conversion(value: float, unit: str, to: str, expected: float) -> None:
    assert units.convert(value, unit, to) == pytest.approx(expected, rel=1e-12)
    assert units.convert(np.array([value]), unit, to)[0] == pytest.approx(expected, rel=1e-12)


def test_conversion_between_quantities_is_refused() -> None:
    with pytest.raises(UnitError, match="'deg' is an angle and cannot be turned into 'um'") as info:
        units.convert(1.0, "deg", "um")
    assert "a length: um, nm, angstrom" in str(info.value)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("2.6 um", "um", 2.6), ("0.0026mm", "um", 2.6), ("75keV", "keV", 75.0),
        ("-1e3 um", "mm", -1.0),
        (" .5 m ", "mm", 500.0),
        ("3 1/nm", "1/angstrom", 0.3), ("+3. deg", "deg", 3.0),
    ],
)  # fmt: skip
def test_quantities(text: str, unit: str, value: float) -> None:
    assert units.parse(text, unit) == pytest.approx(value)


@pytest.mark.parametrize("text", ["2.6", 2.6, "um", "", "2,6 um", "two um", "nan um"])
def test_what_is_no_quantity(text: str | float) -> None:
    with pytest.raises(UnitError, match="the pixel size needs a number with a unit") as info:
        units.parse(text, "um", what="the pixel size")
    assert "for example '2.6 um'" in str(info.value)


def test_bare_number_is_told_how_to_go_on() -> None:
    with pytest.raises(UnitError, match=r"write '2.6 um' if it is in um"):
        units.parse(2.6, "um")


def test_infinite_quantity() -> None:
    with pytest.raises(UnitError, match="no finite number"):
        units.parse("1e999 um", "um")


def test_wavelength_and_energy_are_each_others() -> None:
    assert units.wavelength_of(75.0) == pytest.approx(0.165312, abs=1e-6)
    assert units.wavelength_of(units.wavelength_of(19.0)) == pytest.approx(19.0)
    with pytest.raises(UnitError, match="positive"):
        units.wavelength_of(0.0)


def test_wrong_unit_of_a_quantity_says_of_which() -> None:
    with pytest.raises(UnitError, match="the pixel size: 'keV' is an energy") as info:
        units.parse("2.6 keV", "um", what="the pixel size")
    assert "got:      '2.6 keV'" in str(info.value)
    with pytest.raises(UnitError, match="the pixel size: the unit 'microz' is not known"):
        units.parse("2.6 microz", "um", what="the pixel size")
