"""The two faujasites of the sample: where their powder lines are, and how strong.

**Positions.** Both lists of peaks that users of the dataset work with index on a face-centred
cubic lattice without a line left over (`fit_lattice`): sodium a = 24.966 angstrom with an rms
residual of 0.0008 1/angstrom (largest 0.0017, at 333/511), zinc a = 24.876 with 0.0005 (largest
0.0011, at 840), both about the 0.001 to which the lists are given. Fully hydrated zinc-exchanged
zeolite X has a = 24.872(6) [1]_. Where a line is listed, the twin puts it where the list says;
lines that are not listed stand where the fitted lattice puts them.

**Intensities** are those of a model, not of a refinement. The framework is that of dehydrated Na-X
[2]_, its Si and Al averaged into one tetrahedral site, which raises Fd-3 to Fd-3m. Of the cations,
those at the sites I' and II have their published occupancies, sodium [3]_ and zinc with hydronium
[1]_, and stand 0.57 to 0.84 angstrom off the plane of their three oxygens, as zinc does in zeolite
Y [4]_; the rest, and the water of a hydrated zeolite, is disordered and stands as spheres of even
density in the supercage and the sodalite cage, which is what weakens the lines of lowest angle.
Hydrogen is left out. The model makes every listed line at least 4 % as strong as the strongest
(above 0.78 1/angstrom, where the detector begins), and 622, which only the zinc list has, half
again as strong in the zinc form.

References
----------
.. [1] D. Bae, K. Seff, Microporous Mesoporous Mater. 40 (2000) 233, crystal 1 for occupancies,
       crystal 2 for the lattice. https://doi.org/10.1016/S1387-1811(00)00254-7
.. [2] D. H. Olson, "The crystal structure of dehydrated NaX", Zeolites 15 (1995) 439-443.
.. [3] F. Porcher, M. Souhassou, Y. Dusausoy, C. Lecomte, Eur. J. Mineral. 11 (1999) 333.
       https://doi.org/10.1127/ejm/11/2/0333
.. [4] "Synthesis and structural refinement of fully dehydrated fully Zn2+-exchanged zeolite Y",
       J. Porous Mater. 18 (2011) 47. https://doi.org/10.1007/s10934-010-9355-7
.. [5] International Tables for Crystallography C (2006), table 6.1.1.4, for form factors.
       https://doi.org/10.1107/97809553602060000600
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.errors import unknown

Array = np.ndarray[Any, Any]

CLASSICAL_RADIUS = 2.8179403262e-5
"""Classical electron radius [angstrom]."""

# a1 b1 a2 b2 a3 b3 a4 b4 c of f(s) = c + sum a exp(-b s^2), s = q / (4 pi) [1/angstrom]; [5]_
FORM_FACTORS: dict[str, tuple[float, ...]] = {
    "N": (12.2126, 0.0057, 3.1322, 9.8933, 2.0125, 28.9975, 1.1663, 0.5826, -11.529),
    "O": (3.0485, 13.2771, 2.2868, 5.7011, 1.5463, 0.3239, 0.867, 32.9089, 0.2508),
    "Na": (4.7626, 3.285, 3.1736, 8.8422, 1.2674, 0.3136, 1.1128, 129.424, 0.676),
    "Al": (6.4202, 3.0387, 1.9002, 0.7426, 1.5936, 31.5472, 1.9646, 85.0886, 1.1151),
    "Si": (6.2915, 2.4386, 3.0353, 32.3337, 1.9891, 0.6785, 1.541, 81.6937, 1.1407),
    "Zn": (14.0743, 3.2655, 7.0318, 0.2333, 5.1652, 10.3163, 2.41, 58.7097, 1.3041),
}


def form_factor(element: str, q: Array) -> Array:
    """Electrons scattering in phase at `q` [1/angstrom], for a neutral atom at rest.

    Examples
    --------
    >>> form_factor("O", np.zeros(1)).round(2).tolist()
    [8.0]
    """
    *gauss, constant = FORM_FACTORS[element]
    s2 = (np.asarray(q, float) / (4 * np.pi)) ** 2
    terms = [a * np.exp(-b * s2) for a, b in zip(gauss[::2], gauss[1::2], strict=True)]
    total: Array = constant + np.sum(terms, axis=0)
    return total


@dataclass(frozen=True)
class Site:
    """Atoms on one crystallographic position of Fd-3m, origin at -3m."""

    atoms: tuple[tuple[str, float], ...]
    """Elements with the number of atoms on each position (their occupancy)."""
    position: tuple[float, float, float]
    """Fractional coordinates of one of them."""
    displacement: float
    """Isotropic displacement parameter B [angstrom^2]."""


@dataclass(frozen=True)
class Cage:
    """Disordered contents of a cage, as a sphere of even density about its centre."""

    atoms: tuple[tuple[str, float], ...]
    """Elements with their number in one cage."""
    centre: tuple[float, float, float]
    radius: float
    """Radius of the sphere [angstrom]."""


@dataclass(frozen=True)
class Structure:
    """One faujasite: its unit cell, and where its strongest lines were measured."""

    name: str
    sites: tuple[Site, ...]
    cages: tuple[Cage, ...]
    listed: tuple[float, ...]
    """Measured peak positions [1/angstrom]."""

    @property
    def lattice(self) -> float:
        """Cubic lattice constant [angstrom], fitted to the measured peaks."""
        return fit_lattice(self.listed).a


# Fd-3m average of the Fd-3 framework of [2]_: T from Si and Al, O1 to O4.
_T = Site((("Si", 0.53), ("Al", 0.47)), (-0.0545, 0.1249, 0.0357), 1.3)
_FRAMEWORK = (
    _T,
    Site((("O", 1.0),), (0.0, -0.1077, 0.1077), 2.2),
    Site((("O", 1.0),), (-0.0020, -0.0020, 0.1416), 2.2),
    Site((("O", 1.0),), (0.0735, 0.0735, -0.0346), 2.2),
    Site((("O", 1.0),), (0.0713, 0.0713, 0.3194), 2.2),
)
_SUPERCAGE, _SODALITE = (0.375, 0.375, 0.375), (0.125, 0.125, 0.125)
# Both sites lie on a body diagonal, where the planes of three O3 (for I') and of three O2 (for II)
# cross it at 0.0375 and 0.2152; the rest is the distance off that plane.
SODIUM = Structure(
    "sodium",
    (*_FRAMEWORK,
     Site((("Na", 0.97),), (0.0550, 0.0550, 0.0550), 3.0),
     Site((("Na", 0.93),), (0.2345, 0.2345, 0.2345), 3.5)),
    (Cage((("O", 24.0), ("Na", 3.4)), _SUPERCAGE, 5.2), Cage((("O", 4.0),), _SODALITE, 1.8)),
    (1.096, 1.306, 1.423, 1.651, 1.883, 2.059, 2.137, 2.180, 2.251, 2.360, 2.401, 2.791, 2.848,
     2.881, 2.967),
)  # fmt: skip
ZINC = Structure(
    "zinc",
    (*_FRAMEWORK,
     Site((("Zn", 10 / 32), ("O", 20 / 32)), (0.0530, 0.0530, 0.0530), 4.0),
     Site((("Zn", 12 / 32), ("O", 17 / 32)), (0.2285, 0.2285, 0.2285), 4.0)),
    (Cage((("O", 24.0), ("Zn", 3.0)), _SUPERCAGE, 5.2), Cage((("O", 4.0),), _SODALITE, 1.8)),
    (1.101, 1.429, 1.656, 1.675, 1.890, 2.068, 2.144, 2.187, 2.258, 2.370, 2.410, 2.625, 2.857),
)  # fmt: skip
STRUCTURES: dict[str, Structure] = {s.name: s for s in (SODIUM, ZINC)}


def structure(name: str) -> Structure:
    """Return the faujasite called `name`, or raise with the nearest there is."""
    try:
        return STRUCTURES[name]
    except KeyError:
        raise unknown("faujasite", name, STRUCTURES) from None


@functools.cache
def operations() -> tuple[tuple[Array, Array], ...]:
    """The 192 symmetry operations of Fd-3m (origin at -3m) as rotations and translations."""
    generators: list[tuple[Array, Array]] = [
        (np.diag([-1.0, -1, 1]), np.array([0.75, 0.25, 0.5])),
        (np.diag([-1.0, 1, -1]), np.array([0.25, 0.5, 0.75])),
        (np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), np.zeros(3)),
        (np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]]), np.array([0.75, 0.25, 0.5])),
        (-np.eye(3), np.zeros(3)),
        (np.eye(3), np.array([0.0, 0.5, 0.5])),
        (np.eye(3), np.array([0.5, 0.0, 0.5])),
    ]
    found = {_key(np.eye(3), np.zeros(3)): (np.eye(3), np.zeros(3))}
    front = list(found.values())
    while front:
        made = [(g @ r, (g @ t + s) % 1) for r, t in front for g, s in generators]
        fresh = {_key(r, t): (r, t) for r, t in made}
        front = [op for key, op in fresh.items() if key not in found]
        found |= fresh
    return tuple(found.values())


def _key(rotation: Array, translation: Array) -> tuple[int, ...]:
    # Translations are multiples of 1/4.
    whole = np.rint(np.concatenate([rotation.ravel(), translation * 4])).astype(int)
    return tuple(whole[:9].tolist()) + tuple((whole[9:] % 4).tolist())


@functools.cache
def equivalents(position: tuple[float, float, float]) -> Array:
    """Every position in the unit cell that symmetry makes of `position`, as an (n, 3) array.

    Examples
    --------
    >>> len(equivalents((0.125, 0.125, 0.125))), len(equivalents((0.0735, 0.0735, -0.0346)))
    (8, 96)
    """
    every = np.array([(r @ np.array(position) + t) for r, t in operations()]) % 1
    # 1e-4 of the cell is 2.5 pm: positions nearer than that are one.
    rounded = np.rint(every * 1e4).astype(int) % 10000
    _, first = np.unique(rounded, axis=0, return_index=True)
    unique: Array = every[np.sort(first)]
    return unique


def structure_factor(of: Structure, hkl: Sequence[Sequence[int]]) -> Array:
    """Structure factors of reflections [electrons per unit cell]; real, by the inversion centre."""
    indices = np.asarray(hkl, float)
    q = 2 * np.pi * np.linalg.norm(indices, axis=1) / of.lattice
    total = np.zeros(len(indices))
    for site in of.sites:
        phases = np.cos(2 * np.pi * indices @ equivalents(site.position).T).sum(1)
        total += phases * _scatterers(site.atoms, q) * _debye_waller(site, q)
    for cage in of.cages:
        phases = np.cos(2 * np.pi * indices @ equivalents(cage.centre).T).sum(1)
        total += phases * _scatterers(cage.atoms, q) * _sphere(q * cage.radius)
    return total


def _scatterers(atoms: Iterable[tuple[str, float]], q: Array) -> Array:
    total: Array = np.sum([number * form_factor(element, q) for element, number in atoms], axis=0)
    return total


def _debye_waller(site: Site, q: Array) -> Array:
    factor: Array = np.exp(-site.displacement * (q / (4 * np.pi)) ** 2)
    return factor


def _sphere(x: Array) -> Array:
    """Form factor of a sphere of even density, 1 at x = 0."""
    safe = np.where(x < 1e-3, 1.0, x)
    value: Array = np.where(x < 1e-3, 1.0, 3 * (np.sin(safe) - safe * np.cos(safe)) / safe**3)
    return value


@dataclass(frozen=True)
class LatticeFit:
    """A cubic lattice that peak positions were fitted to."""

    a: float
    """Lattice constant [angstrom]."""
    order: tuple[int, ...]
    """h^2 + k^2 + l^2 of each peak."""
    residual: tuple[float, ...]
    """Measured less fitted position of each peak [1/angstrom]."""


@functools.cache
def fit_lattice(listed: tuple[float, ...], first: float = 24.6, last: float = 25.3) -> LatticeFit:
    """Index peaks on a face-centred cubic lattice of diamond type, and fit its constant.

    Parameters
    ----------
    listed
        Peak positions [1/angstrom].
    first, last
        Lattice constants tried for the indexing [angstrom].
    """
    peaks = np.asarray(listed)
    known = np.array(sorted(families(max(listed) * 1.05)))

    def fit(trial: float) -> LatticeFit:
        near = np.abs((peaks * trial / (2 * np.pi))[:, None] ** 2 - known).argmin(1)
        order = known[near]
        x = 2 * np.pi * np.sqrt(order)
        a = float(x @ x / (x @ peaks))
        return LatticeFit(a, tuple(order.tolist()), tuple((peaks - x / a).tolist()))

    trials = [fit(a) for a in np.arange(first, last, 0.005)]
    return min(trials, key=lambda trial: float(np.square(trial.residual).sum()))


@functools.cache
def families(q_max: float, a: float = 25.5) -> dict[int, tuple[tuple[int, int, int], ...]]:
    """Allowed reflections h >= k >= l >= 0 up to `q_max` [1/angstrom], by h^2 + k^2 + l^2."""
    most = int((q_max * a / (2 * np.pi)) ** 2)
    top = int(np.sqrt(most)) + 1
    found: dict[int, tuple[tuple[int, int, int], ...]] = {}
    for h, k, l in itertools.product(range(1, top + 1), range(top + 1), range(top + 1)):  # noqa: E741
        order = h * h + k * k + l * l
        same_parity = len({h % 2, k % 2, l % 2}) == 1
        glide = l > 0 or (h + k) % 4 == 0
        if h >= k >= l and order <= most and same_parity and glide:
            found[order] = (*found.get(order, ()), (h, k, l))
    return dict(sorted(found.items()))


def multiplicity(h: int, k: int, l: int) -> int:  # noqa: E741
    """Number of reflections that m-3m makes of one.

    Examples
    --------
    >>> multiplicity(1, 1, 1), multiplicity(5, 3, 3), multiplicity(6, 4, 2)
    (8, 24, 48)
    """
    signs: int = 2 ** sum(i != 0 for i in (h, k, l))
    return len(set(itertools.permutations((h, k, l)))) * signs


@dataclass(frozen=True)
class Lines:
    """The powder lines of a faujasite; reflections of one d-spacing are one line."""

    order: Array
    """h^2 + k^2 + l^2."""
    q: Array
    """Position [1/angstrom]."""
    strength: Array
    """Sum of multiplicity times |F|^2 over the reflections of the line [electrons^2]."""
    volume: float
    """Unit cell [angstrom^3]."""

    @property
    def area(self) -> Array:
        r"""Integral over q of the differential cross-section per volume [1/(angstrom^2 sr)].

        For a powder, averaged over all orientations,
        :math:`\int I(q)\,dq = 2\pi^2 r_e^2 m|F|^2 / (v^2 q^2)`: the Lorentz factor is the
        :math:`1/q^2`. Polarization and solid angle belong to the detector.
        """
        return 2 * np.pi**2 * CLASSICAL_RADIUS**2 * self.strength / (self.volume * self.q) ** 2


@functools.cache
def lines(name: str, q_max: float = 6.0) -> Lines:
    """The lines of the faujasite `name` up to `q_max` [1/angstrom], weakest included.

    Raises
    ------
    UnknownNameError
        Where there is no such faujasite.
    """
    of = structure(name)
    groups = {n: hkls for n, hkls in families(q_max).items() if _q(n, of.lattice) <= q_max}
    flat = [hkl for hkls in groups.values() for hkl in hkls]
    squares = structure_factor(of, flat) ** 2 * [multiplicity(*hkl) for hkl in flat]
    order = np.array([sum(i * i for i in hkl) for hkl in flat])
    distinct = np.array(list(groups), float)
    strength = np.bincount(np.searchsorted(distinct, order), squares).astype(float)
    measured = dict(zip(fit_lattice(of.listed).order, of.listed, strict=True))
    q = np.array([measured.get(n, _q(n, of.lattice)) for n in groups])
    return Lines(distinct, q, strength, of.lattice**3)


def _q(order: int, a: float) -> float:
    return float(2 * np.pi * np.sqrt(order) / a)
