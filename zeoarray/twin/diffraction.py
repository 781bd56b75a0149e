r"""What each material scatters: differential cross-section per volume over q.

Everything here is :math:`\frac{1}{V}\frac{d\sigma}{d\Omega}(q)` in 1/(cm sr), for unpolarized
incoherent sums over orientations: a sheet of thickness t [cm] in a beam of N photons puts
N t I(q) photons into a steradian, before polarization. So patterns of materials add with their
path lengths, and a phase weight is a volume fraction. Compton scattering is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.errors import unknown
from zeoarray.twin import faujasite

Array = np.ndarray[Any, Any]

PER_CM = 1e8
"""1/angstrom in 1/cm."""


@dataclass(frozen=True)
class Broadening:
    """What widens a powder line, apart from beam size, sample depth and detector pixels."""

    bandwidth: float = 4e-4
    """Full width of the energy band, relative: dq = bandwidth q, Gaussian."""
    divergence: float = 3e-4
    """Full angle of the convergent beam [rad]: dq = 2 pi divergence / wavelength, Gaussian."""
    wavelength: float = 0.5391
    """[angstrom], for the divergence."""
    size: float = 1500.0
    """Coherent domains [angstrom]: dq = 2 pi 0.9 / size (Scherrer), Lorentzian."""
    strain: float = 4e-4
    """Spread of the lattice constant, full width, relative: dq = strain q, Lorentzian."""

    def gaussian(self, q: Array) -> Array:
        """Full width at half maximum of the Gaussian part [1/angstrom]."""
        spread = 2 * np.pi * self.divergence / self.wavelength
        width: Array = np.hypot(self.bandwidth * q, spread)
        return width

    def lorentzian(self, q: Array) -> Array:
        """Full width at half maximum of the Lorentzian part [1/angstrom]."""
        width: Array = 2 * np.pi * 0.9 / self.size + self.strain * np.asarray(q)
        return width


def pseudo_voigt_width(gaussian: Array, lorentzian: Array) -> tuple[Array, Array]:
    """Full width and Lorentzian share of the pseudo-Voigt nearest to a Voigt profile.

    Parameters
    ----------
    gaussian, lorentzian
        Full widths at half maximum of both parts, in one unit.

    References
    ----------
    P. Thompson, D. E. Cox, J. B. Hastings, J. Appl. Cryst. 20 (1987) 79.
    https://doi.org/10.1107/S0021889887087090

    Examples
    --------
    >>> width, share = pseudo_voigt_width(np.array(1.0), np.array(0.0))
    >>> float(width), float(share)
    (1.0, 0.0)
    """
    g, l = np.asarray(gaussian, float), np.asarray(lorentzian, float)  # noqa: E741
    powers = (1.0, 2.69269, 2.42843, 4.47163, 0.07842, 1.0)
    width = sum(c * g ** (5 - i) * l**i for i, c in enumerate(powers)) ** 0.2
    ratio = l / width
    return width, 1.36603 * ratio - 0.47719 * ratio**2 + 0.11116 * ratio**3


def pseudo_voigt(offset: Array, width: Array, share: Array) -> Array:
    """Pseudo-Voigt profile of unit area.

    Parameters
    ----------
    offset
        Distance from the centre.
    width
        Full width at half maximum, in the unit of `offset`.
    share
        Weight of the Lorentzian, 0 to 1.
    """
    x = np.asarray(offset) / width
    gauss = np.sqrt(4 * np.log(2) / np.pi) * np.exp(-4 * np.log(2) * x**2)
    lorentz = (2 / np.pi) / (1 + 4 * x**2)
    profile: Array = (share * lorentz + (1 - share) * gauss) / width
    return profile


def crystalline(name: str, q: Array, broadening: Broadening) -> Array:
    """Powder pattern of the faujasite `name` [1/(cm sr)] at ascending `q` [1/angstrom]."""
    q = np.asarray(q, float)
    lines = faujasite.lines(name)
    width, share = pseudo_voigt_width(broadening.gaussian(lines.q), broadening.lorentzian(lines.q))
    total = np.zeros_like(q)
    # A Lorentzian falls slowly: 150 half widths hold 99.6 % of it; what is cut is below the diffuse
    # scattering everywhere.
    first = np.searchsorted(q, lines.q - 75 * width)
    last = np.searchsorted(q, lines.q + 75 * width)
    for i in np.flatnonzero(last > first):
        near = slice(first[i], last[i])
        total[near] += lines.area[i] * pseudo_voigt(q[near] - lines.q[i], width[i], share[i])
    return PER_CM * total + diffuse(name, q)


def diffuse(name: str, q: Array) -> Array:
    r"""Scattering of a faujasite between its lines [1/(cm sr)]: thermal motion and cage contents.

    Atoms that swing by B lose :math:`1 - e^{-2B(q/4\pi)^2}` of their scattering from the lines;
    what fills the cages in disorder scatters like a liquid of its atoms.
    """
    of = faujasite.structure(name)
    total = np.zeros_like(np.asarray(q, float))
    for site in of.sites:
        number = len(faujasite.equivalents(site.position))
        lost = 1 - np.exp(-2 * site.displacement * (q / (4 * np.pi)) ** 2)
        for element, occupancy in site.atoms:
            total += number * occupancy * lost * faujasite.form_factor(element, q) ** 2
    for cage in of.cages:
        number = len(faujasite.equivalents(cage.centre))
        for element, inside in cage.atoms:
            total += number * inside * _liquid(q) * faujasite.form_factor(element, q) ** 2
    return PER_CM * faujasite.CLASSICAL_RADIUS**2 * total / of.lattice**3


def _liquid(q: Array) -> Array:
    """Structure factor of water, roughly: 0.1 at low q, 1.5 at its peak at 2.1 1/angstrom."""
    rise = 1 / (1 + np.exp(-(q - 1.55) / 0.17))
    factor: Array = 0.1 + 0.9 * rise + 0.5 * np.exp(-(((q - 2.1) / 0.35) ** 2))
    return factor


def glass(q: Array) -> Array:
    """Scattering of borosilicate glass [1/(cm sr)] at `q` [1/angstrom].

    The atoms of 2.23 g/cm3 SiO2 with a structure factor drawn as three broad peaks: the first
    sharp one at 1.52 1/angstrom, and those at 3.0 and 5.2.
    """
    q = np.asarray(q, float)
    per_volume = 2.23 * 0.602214076 / 60.08
    atoms = faujasite.form_factor("Si", q) ** 2 + 2 * faujasite.form_factor("O", q) ** 2
    structure = 0.06 + 0.84 / (1 + np.exp(-(q - 1.9) / 0.35))
    for centre, width, height in ((1.52, 0.27, 0.95), (3.0, 0.5, 0.25), (5.2, 0.7, 0.3)):
        structure = structure + height * np.exp(-(((q - centre) / width) ** 2))
    scattering: Array = PER_CM * faujasite.CLASSICAL_RADIUS**2 * per_volume * atoms * structure
    return scattering


def air(q: Array) -> Array:
    """Scattering of air at 1 bar [1/(cm sr)] at `q` [1/angstrom]: molecules of two N each."""
    q = np.asarray(q, float)
    molecules = 2.5e-5
    apart = np.sinc(q * 1.098 / np.pi)
    squares = 2 * faujasite.form_factor("N", q) ** 2 * (1 + apart)
    scattering: Array = PER_CM * faujasite.CLASSICAL_RADIUS**2 * molecules * squares
    return scattering


MATERIALS = ("sodium", "zinc", "glass", "air")
"""What `pattern` knows."""


def pattern(name: str, q: Array, broadening: Broadening | None = None) -> Array:
    """Scattering of a material [1/(cm sr)] at ascending `q` [1/angstrom].

    Parameters
    ----------
    name
        ``sodium``, ``zinc``, ``glass`` or ``air``.
    q
        Scattering vector lengths, ascending [1/angstrom].
    broadening
        Widths of the powder lines; None takes those of the twin's beamline.

    Raises
    ------
    UnknownNameError
        For any other material.
    """
    if name in faujasite.STRUCTURES:
        return crystalline(name, q, broadening or BROADENING[name])
    if name not in MATERIALS:
        raise unknown("material", name, MATERIALS)
    return glass(q) if name == "glass" else air(q)


BROADENING = {
    "sodium": Broadening(size=2000.0, strain=3e-4),
    # The exchange front leaves the zinc form with smaller domains and a spread of compositions.
    "zinc": Broadening(size=1400.0, strain=6e-4),
}
"""Widths of the lines of both faujasites on the twin's beamline."""
