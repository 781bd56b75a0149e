"""The faujasites: lattice, symmetry, structure factors, and the lists of peaks."""

from __future__ import annotations

import numpy as np
import pytest

from zeoarray.errors import UnknownNameError
from zeoarray.twin import faujasite

NAMES = ["sodium", "zinc"]


def test_symmetry_is_a_group_of_192_and_makes_the_known_multiplicities():
    assert len(faujasite.operations()) == 192
    sites = faujasite.SODIUM.sites
    assert [len(faujasite.equivalents(s.position)) for s in sites] == [192, 96, 96, 96, 96, 32, 32]
    assert len(faujasite.equivalents((0.0, 0.0, 0.0))) == 16
    assert len(faujasite.equivalents((0.375, 0.375, 0.375))) == 8


def test_tetrahedra_have_four_oxygens_at_the_length_of_a_bond():
    atom, *oxygens = faujasite.SODIUM.sites[:5]
    bonds = []
    for oxygen in oxygens:
        apart = faujasite.equivalents(oxygen.position) - np.array(atom.position)
        lengths = 24.966 * np.linalg.norm(apart - np.rint(apart), axis=1)
        bonds += lengths[lengths < 2.5].tolist()
    # Between Si-O (1.61) and Al-O (1.73 angstrom), as an average of both is.
    np.testing.assert_allclose(bonds, 4 * [1.66], atol=0.02)


@pytest.mark.parametrize(
    ("name", "a", "rms"), [("sodium", 24.966, 0.0009), ("zinc", 24.876, 0.0006)]
)
def test_every_listed_peak_indexes_on_the_lattice(name, a, rms):
    fit = faujasite.fit_lattice(faujasite.structure(name).listed)
    assert fit.a == pytest.approx(a, abs=2e-3)
    assert np.sqrt(np.mean(np.square(fit.residual))) < rms
    assert max(np.abs(fit.residual)) < 0.0018
    assert len(set(fit.order)) == len(fit.order)


@pytest.mark.parametrize("name", NAMES)
def test_listed_peaks_stand_where_they_are_listed_and_are_not_weak(name):
    lines, of = faujasite.lines(name), faujasite.structure(name)
    place = np.searchsorted(lines.order, faujasite.fit_lattice(of.listed).order)
    np.testing.assert_array_equal(lines.q[place], of.listed)
    strongest = lines.area[lines.q > 0.78].max()
    assert (lines.area[place] > 0.04 * strongest).all()
    others = np.delete(np.arange(len(lines.q)), place)
    expected = 2 * np.pi * np.sqrt(lines.order[others]) / of.lattice
    np.testing.assert_allclose(lines.q[others], expected, rtol=1e-12)


def test_intensities_against_a_sum_over_all_atoms_of_the_cell():
    of, hkl = faujasite.ZINC, (7, 5, 1)
    q = np.array([2 * np.pi * np.sqrt(75) / of.lattice])
    total = 0j
    for site in of.sites:
        scatter = sum(n * faujasite.form_factor(element, q)[0] for element, n in site.atoms)
        scatter *= np.exp(-site.displacement * (q[0] / (4 * np.pi)) ** 2)
        for atom in faujasite.equivalents(site.position):
            total += scatter * np.exp(2j * np.pi * np.dot(hkl, atom))
    for cage in of.cages:
        x = q[0] * cage.radius
        scatter = sum(n * faujasite.form_factor(element, q)[0] for element, n in cage.atoms)
        scatter *= 3 * (np.sin(x) - x * np.cos(x)) / x**3
        for atom in faujasite.equivalents(cage.centre):
            total += scatter * np.exp(2j * np.pi * np.dot(hkl, atom))
    assert abs(total.imag) < 1e-8
    assert faujasite.structure_factor(of, [hkl])[0] == pytest.approx(total.real, rel=1e-12)


def test_reflections_that_diamond_glides_forbid_are_absent():
    # 420 mixes no parity and breaks the glide only: the sites must cancel it by themselves.
    forbidden = [(4, 2, 0), (2, 0, 0), (6, 0, 0), (8, 2, 0), (2, 1, 1)]
    assert np.abs(faujasite.structure_factor(faujasite.SODIUM, forbidden)).max() < 1e-9
    listed = {hkl for group in faujasite.families(3.0).values() for hkl in group}
    assert not listed & set(forbidden)


def test_strongest_lines_are_those_known_of_hydrated_zeolite_x():
    lines = faujasite.lines("sodium")
    strong = lines.order[np.argsort(lines.area)[::-1][:4]]
    # 111, 533, 642, 331: the lines that every pattern of zeolite X is recognised by.
    assert set(strong.astype(int)) == {3, 43, 56, 19}


def test_zinc_makes_622_stronger_as_the_lists_say():
    def ratio(name: str) -> float:
        lines = faujasite.lines(name)
        return float(lines.area[lines.order == 44][0] / lines.area[lines.order == 43][0])

    assert ratio("zinc") > 1.4 * ratio("sodium")


def test_form_factors_at_zero_angle_are_the_number_of_electrons():
    for element, electrons in {"O": 8, "Na": 11, "Al": 13, "Si": 14, "Zn": 30, "N": 7}.items():
        assert faujasite.form_factor(element, np.zeros(1))[0] == pytest.approx(electrons, abs=0.02)


def test_a_phase_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"no faujasite 'zink'(?s:.*)did you mean 'zinc'"):
        faujasite.lines("zink")
