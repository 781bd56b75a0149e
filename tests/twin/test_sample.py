"""The sample: composition, shape, and what may be asked of it anywhere."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial import cKDTree

from zeoarray.errors import ArgumentError, UnknownNameError
from zeoarray.twin.attenuation import GLASS, SODIUM_X, ZINC_X, Material, mass_attenuation
from zeoarray.twin.field import soft_depth
from zeoarray.twin.inclusions import Slab, survey
from zeoarray.twin.sample import Sample
from zeoarray.twin.scene import AIR, MATRIX, hard_depth


@pytest.fixture(scope="module")
def sample():
    return Sample.make(3, "tiny")


def anywhere(count, seed=0, reach=520.0):
    return np.random.default_rng(seed).uniform(-reach, reach, (3, count))


# Hubbell and Seltzer, NISTIR 5632, table 3, [cm2/g].
@pytest.mark.parametrize(
    ("element", "energy", "nist"),
    [("O", 10, 5.952), ("O", 60, 0.1907), ("Si", 20, 4.464), ("Al", 30, 1.128), ("Na", 15, 4.694),
     ("Zn", 10, 233.1), ("Zn", 20, 37.19), ("Zn", 30, 12.07), ("Fe", 10, 170.6), ("K", 20, 10.93),
     ("B", 20, 0.3014), ("H", 40, 0.3458)],
)  # fmt: skip
def test_coefficients_are_those_of_nist(element, energy, nist):
    assert mass_attenuation(element, energy) == pytest.approx(nist, rel=2e-3)


def test_the_zinc_edge_is_a_step():
    below, above = mass_attenuation("Zn", 9.65), mass_attenuation("Zn", 9.67)
    assert below == pytest.approx(35.2, rel=0.01)
    assert above == pytest.approx(252.9, rel=0.01)


def test_attenuation_of_water_follows_from_its_atoms():
    water = Material("water", {"H": 2, "O": 1}, 1.0)
    # NISTIR 5632, table 4: water, liquid, at 20 and 60 keV.
    assert water.attenuation(20) == pytest.approx(0.8096, rel=2e-3)
    assert water.attenuation(60) == pytest.approx(0.2059, rel=2e-3)
    # 1 - n of water at 10 keV, Henke et al. 1993: 2.30e-6.
    assert water.delta(10.0) == pytest.approx(2.30e-6, rel=0.01)


def test_zinc_zeolite_attenuates_more():
    assert 3 < ZINC_X.attenuation(25) / SODIUM_X.attenuation(25) < 5


def test_an_energy_beyond_the_table_is_refused():
    with pytest.raises(ArgumentError, match="does not reach this energy") as error:
        GLASS.attenuation(140.0)
    assert "5 to 100 keV" in str(error.value)
    with pytest.raises(UnknownNameError, match="there is no element 'Pb'"):
        mass_attenuation("Pb", 20)


def test_the_same_seed_is_the_same_sample(sample):
    x, y, z = anywhere(20_000)
    again, other = Sample.make(3, "tiny"), Sample.make(4, "tiny")
    mine = sample.attenuation(x, y, z, 25.0)
    assert np.array_equal(mine, again.attenuation(x, y, z, 25.0))
    assert not np.array_equal(mine, other.attenuation(x, y, z, 25.0))


def test_presets_differ_in_their_smallest_pores_only(sample):
    x, y, z = anywhere(40_000)
    coarse, fine = sample.points(x, y, z), Sample.make(3, "small").points(x, y, z)
    assert np.array_equal(coarse.zinc[coarse.kind == MATRIX].mean() > 0, True)
    same = coarse.kind == fine.kind
    assert 0.95 < same.mean() < 1.0
    # What a coarse preset already has, a fine one keeps.
    kept = (coarse.kind == AIR) | (coarse.value != 1.0)
    assert np.array_equal(coarse.value[kept], fine.value[kept])


def test_fractions_are_fractions(sample):
    phases = sample.phases(*anywhere(50_000))
    assert set(phases) == {"sodium", "zinc", "glass"}
    assert all((p >= 0).all() for p in phases.values())
    assert (sum(phases.values()) <= 1).all()
    assert all(p.max() > 0.5 for p in phases.values())


def test_attenuation_is_that_of_the_phases(sample):
    points = sample.points(*anywhere(50_000))
    phases, mu = points.phases(), points.attenuation(25.0)
    crystalline = points.kind == MATRIX
    expected = phases["sodium"] * SODIUM_X.attenuation(25) + phases["zinc"] * ZINC_X.attenuation(25)
    assert np.allclose(mu[crystalline], expected[crystalline], rtol=1e-12)


def test_zinc_fades_inwards(sample):
    x, y, z = anywhere(60_000, reach=400)
    points = sample.points(x, y, z)
    inside = points.kind == MATRIX
    depth = np.array([soft_depth(sample.scene, *p) for p in np.stack([x, y, z], 1)[inside]])
    zinc = points.zinc[inside]
    edges = [0, 40, 80, 120, 160, 400]
    mean = [zinc[(depth > a) & (depth <= b)].mean() for a, b in itertools.pairwise(edges)]
    assert mean[0] > 0.98
    assert mean[-1] < 0.05
    assert all(a > b for a, b in itertools.pairwise(mean))
    # The front is smooth: neither phase is ever alone between rim and core.
    between = (depth > 80) & (depth < 130)
    assert ((zinc > 0.05) & (zinc < 0.95))[between].mean() > 0.5


def test_nothing_lies_beyond_the_bounds(sample):
    (x0, x1), (y0, y1), (z0, z1) = sample.bounds
    x, y, z = anywhere(60_000, reach=900)
    mu, glass = sample.attenuation(x, y, z, 25.0), sample.phases(x, y, z)["glass"]
    aside = (x < x0) | (x > x1) | (y < y0) | (y > y1)
    beyond = (z < z0) | (z > z1)
    # The capillary leans, so far above the pellet it may leave the box.
    assert (mu[aside & ~beyond] == 0).all()
    assert (mu[beyond & (glass == 0)] == 0).all()


def test_positions_broadcast(sample):
    x, y = np.linspace(-400, 400, 9), np.linspace(-300, 300, 7)[:, None]
    plane = sample.attenuation(x, y, np.array(10.0), 25.0)
    assert plane.shape == (7, 9)
    assert plane[2, 3] == sample.attenuation(x[3], y[2, 0], 10.0, 25.0)
    assert sample.phases(np.empty(0), np.empty(0), np.empty(0))["zinc"].shape == (0,)


def test_crystals_are_dense_and_lie_apart(sample):
    crystals = sample.crystals
    assert len(crystals) >= 30
    phases = sample.phases(*crystals.position.T)
    assert (phases["sodium"] + phases["zinc"] > 0.85).all()
    gap = np.linalg.norm(crystals.position[:, None] - crystals.position, axis=2)
    gap[np.diag_indices(len(gap))] = np.inf
    assert (gap > crystals.radius + crystals.radius[:, None]).all()
    assert len(np.unique(crystals.orientation)) == len(crystals)


def test_pores_span_two_decades():
    scene = Sample.make(3, "full").scene
    low, high = np.full(3, -60.0), np.full(3, 60.0)
    slab = Slab(np.zeros(3), np.array([0.0, 0.0, 1.0]), -10.0, 10.0)
    found = survey(scene, slab, low, high, workers=2)
    # The list begins with the bodies, among them the largest voids, wherever they are.
    pores = 2 * found.radius[found.kind == AIR]
    assert pores.min() < 2.6
    assert pores.max() / pores.min() > 100


def test_inclusions_do_not_overlap(sample):
    low, high = sample.box
    slab = Slab(np.zeros(3), np.array([0.0, 0.0, 1.0]), -60.0, 60.0)
    found = survey(sample.scene, slab, low, high, workers=2)
    tree = cKDTree(found.centre)
    pairs = tree.query_pairs(2.0 * float(found.radius.max()), output_type="ndarray")
    near = np.linalg.norm(found.centre[pairs[:, 0]] - found.centre[pairs[:, 1]], axis=1)
    touch = near < (found.radius[pairs[:, 0]] + found.radius[pairs[:, 1]]) * (1 - 1e-5)
    assert not touch.any()


def test_the_pellet_fits_into_the_capillary(sample):
    x, y, z = anywhere(60_000)
    scene = sample.scene
    solid = np.array([hard_depth(scene.facets, *p) for p in np.stack([x, y, z], 1)]) > 0
    assert np.hypot(x, y)[solid].max() < scene.capillary[6]
    assert 0.12 < solid.mean() < 0.4


def test_unknown_presets_are_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="there is no preset 'smal'") as error:
        Sample.make(1, "smal")
    assert "did you mean 'small'?" in str(error.value)


def test_a_phantom_says_what_is_wrong_with_it():
    with pytest.raises(ArgumentError, match="do not fit together"):
        Sample.ellipsoids(np.zeros((2, 3)), np.ones((2, 3)), np.ones(3))
    with pytest.raises(ArgumentError, match="two ellipsoids may overlap") as error:
        Sample.ellipsoids([[0, 0, 0], [3, 0, 0]], np.full((2, 3), 2.0), np.ones(2))
    assert "move them apart" in str(error.value)
