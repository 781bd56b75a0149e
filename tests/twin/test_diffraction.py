"""What materials scatter, and where it lands: patterns, geometry, rings and their parallax."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import voigt_profile

from tests.twin.matter import FLAT, Cylinders, plan
from zeoarray.errors import UnknownNameError
from zeoarray.twin import diffraction, faujasite
from zeoarray.twin.frames import LayerFrames
from zeoarray.twin.geometry import Geometry, PixelMap, beamstop_shadow, gaps
from zeoarray.twin.rings import Lookup, RingTable
from zeoarray.twin.slab import Slab

TILTED = Geometry("Pilatus 100k", 0.31, 0.0168, -0.02, rot1=0.02, rot2=-0.015, rot3=0.1)
SHARP = diffraction.Broadening(bandwidth=0, divergence=1e-4, size=1e5, strain=0)


# --- patterns ---------------------------------------------------------------------------------
def test_pseudo_voigt_follows_voigt_and_has_unit_area():
    x = np.linspace(-60, 60, 240001)
    for gauss, lorentz in ((1.0, 0.0), (1.0, 0.7), (0.4, 1.0)):
        width, share = diffraction.pseudo_voigt_width(np.array(gauss), np.array(lorentz))
        mine = diffraction.pseudo_voigt(x, width, share)
        true = voigt_profile(x, gauss / np.sqrt(8 * np.log(2)), lorentz / 2)
        # Thompson, Cox and Hastings state 1.2 % of the peak at worst.
        assert np.abs(mine - true).max() < 0.013 * true.max()
        assert np.trapezoid(mine, x) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("name", ["sodium", "zinc"])
def test_patterns_peak_where_the_lists_say(name):
    q = np.arange(1.0, 3.1, 1e-4)
    pattern = diffraction.pattern(name, q, SHARP)
    for listed in faujasite.structure(name).listed:
        near = np.flatnonzero(np.abs(q - listed) < 3e-3)
        assert q[near[pattern[near].argmax()]] == pytest.approx(listed, abs=1.5e-4)


def test_a_line_holds_the_cross_section_of_its_structure_factor():
    lines = faujasite.lines("sodium")
    k = int(np.flatnonzero(lines.order == 19)[0])
    q = np.arange(lines.q[k] - 0.06, lines.q[k] + 0.06, 1e-5)
    pattern = diffraction.pattern("sodium", q, SHARP)
    line = pattern - diffraction.diffuse("sodium", q)
    assert np.trapezoid(line, q) == pytest.approx(1e8 * lines.area[k], rel=0.01)
    # By hand: 2 pi^2 r_e^2 m |F|^2 / (v^2 q^2), m = 24 for 331.
    factor = faujasite.structure_factor(faujasite.SODIUM, [(3, 3, 1)])[0]
    by_hand = 2 * np.pi**2 * 2.818e-5**2 * 24 * factor**2 / (lines.volume * 1.096) ** 2
    assert lines.area[k] == pytest.approx(by_hand, rel=1e-3)


def test_scattering_far_out_is_that_of_free_atoms():
    q = np.array([0.0, 5.9])
    per_cm3 = 2.23 * 0.602214076e24 / 60.08
    atoms = (faujasite.form_factor("Si", q) ** 2 + 2 * faujasite.form_factor("O", q) ** 2)[1]
    free = per_cm3 * (2.818e-13) ** 2 * atoms
    assert diffraction.glass(q)[1] == pytest.approx(free, rel=0.2)
    assert diffraction.glass(np.linspace(0.3, 6, 600)).argmax() == pytest.approx(128, abs=3)
    # 14 electrons of a molecule in phase at q = 0, 2.5e19 molecules in a cm3.
    assert diffraction.air(q)[0] == pytest.approx(2.5e19 * (14 * 2.818e-13) ** 2, rel=5e-3)


def test_a_material_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"no material 'glas'(?s:.*)did you mean 'glass'"):
        diffraction.pattern("glas", np.linspace(1, 2, 10))


# --- geometry ---------------------------------------------------------------------------------
@pytest.mark.parametrize("geometry", [FLAT, TILTED, TILTED.at(420.0, -150.0)])
def test_pixel_map_is_pyfais_two_theta_solid_angle_and_polarization(geometry):
    integrator = geometry.integrator()
    pixels = PixelMap.of(geometry)
    two_theta = integrator.center_array(unit="2th_rad", scale=False)
    expected = geometry.distance * np.tan(two_theta) / geometry.pixel[1]
    np.testing.assert_allclose(pixels.radius, expected, atol=2e-4)
    weight = integrator.solidAngleArray() * integrator.polarization(factor=geometry.polarization)
    np.testing.assert_allclose(pixels.weight, weight, rtol=1e-6)


def test_moving_the_beam_moves_the_origin_and_leaves_the_detector():
    here = np.array(TILTED.integrator().calc_pos_zyx(corners=False))
    there = np.array(TILTED.at(420.0, -150.0).integrator().calc_pos_zyx(corners=False))
    # pyFAI gives (z, y, x): along the beam, up, across.
    shift = (here - there).reshape(3, -1)
    np.testing.assert_allclose(shift.mean(1), [0.0, -150e-6, 420e-6], atol=1e-9)
    assert np.ptp(shift, axis=1).max() < 1e-9


def test_rays_toward_a_pixel_hit_it_from_wherever_they_start():
    # pyFAI gives (z, y, x): along the beam, up, across.
    places = np.array(TILTED.integrator().calc_pos_zyx(corners=False)).reshape(3, *TILTED.shape)
    along, up, across = places[:, 40, 300]
    start_um = np.array([30.0, -200.0, 450.0])
    direction = np.array([up, across, along]) - start_um * 1e-6
    row, column, forward = TILTED.project(start_um, direction)
    assert forward
    assert (float(row), float(column)) == pytest.approx((40, 300), abs=1e-3)


def test_gaps_and_beamstop_are_where_they_are():
    assert gaps("Pilatus CdTe 2M").sum() == 211405
    module = gaps("Pilatus 100k")
    assert module[:, 242:245].all()
    assert module.sum() == 3 * 195
    centred = Geometry("Pilatus 100k", 0.35, 0.0168, 0.0419)
    shadow = beamstop_shadow(centred)
    assert shadow[97, 243]
    assert shadow[0, 243]
    assert not shadow[194, 243]
    assert shadow.sum() == pytest.approx(np.pi * (3 / 0.172) ** 2, rel=0.9)


# --- rings, and Bragg's law with parallax -----------------------------------------------------
def _ring_radius(image, geometry, radius):
    """Radius [px] of the ring near `radius`, from the pixels and plain trigonometry alone."""
    rows, columns = np.indices(image.shape)
    up = rows + 0.5 - geometry.poni1 / geometry.pixel[0]
    across = columns + 0.5 - geometry.poni2 / geometry.pixel[1]
    distance = np.hypot(up, across)
    cos = geometry.distance / np.hypot(geometry.distance, distance * geometry.pixel[0])
    chi = np.arctan2(up, across)
    polarized = 0.5 * (1 + cos**2 - geometry.polarization * np.cos(2 * chi) * (1 - cos**2))
    flat = image / (polarized * cos**3)
    edges = np.arange(radius - 14, radius + 14.01, 0.25)
    near = (distance > edges[0]) & (distance < edges[-1])
    total, _ = np.histogram(distance[near], edges, weights=flat[near])
    number, _ = np.histogram(distance[near], edges)
    middle = (edges[1:] + edges[:-1]) / 2
    height = total / number
    height = height - np.interp(middle, middle[[0, -1]], height[[0, -1]])
    core = np.abs(middle - middle[height.argmax()]) < 2.5
    return float((middle * height)[core].sum() / height[core].sum())


@pytest.mark.parametrize("depth_um", [-450.0, -130.0, 0.0, 260.0, 450.0])
@pytest.mark.parametrize(("order", "q"), [(19, 1.096), (43, 1.651), (56, 1.883), (75, 2.180)])
def test_rings_stand_at_braggs_law_parallax_included(depth_um, order, q):
    table = _table()
    share = np.clip(1 - np.abs(table.depth_um - depth_um) / 50, 0, None)
    amount = np.zeros((3, len(table.depth_um)))
    amount[0] = 300 * share
    image = Lookup.of(PixelMap.of(FLAT), table.step).image(table.profile(amount, 0.0) * 1e10)
    two_theta = 2 * np.arcsin(q * FLAT.wavelength / (4 * np.pi))
    expected = (FLAT.distance - depth_um * 1e-6) * np.tan(two_theta) / 172e-6
    assert _ring_radius(image, FLAT, expected) == pytest.approx(expected, abs=0.05)


_TABLES: list[RingTable] = []


def _table() -> RingTable:
    if not _TABLES:
        broadening = {"sodium": SHARP, "zinc": SHARP}
        _TABLES.append(RingTable.of(FLAT, np.arange(-500.0, 501, 50), broadening=broadening))
    return _TABLES[0]


def test_rings_of_a_voxel_shift_with_its_depth_in_a_frame():
    """Turned by half a turn, an off-axis column swaps its depth: its ring moves by 2 s tan."""
    matter = Cylinders((("sodium", 0.0, 400.0, 60.0),))
    frames = LayerFrames(plan(translations=1, rotations=2), matter, 0)
    two_theta = 2 * np.arcsin(1.651 * FLAT.wavelength / (4 * np.pi))
    for rotation, depth in ((0, 400e-6), (1, -400e-6)):
        expected = (FLAT.distance - depth) * np.tan(two_theta) / 172e-6
        found = _ring_radius(frames.expected(rotation, 0), FLAT, expected)
        assert found == pytest.approx(expected, abs=0.1)


def test_solid_angle_follows_the_depth():
    table = _table()
    middle, near = 10, 18
    sums = table.rings[2].sum(axis=1)
    nearer = (FLAT.distance / (FLAT.distance - table.depth_um[near] * 1e-6)) ** 2
    # The glass is smooth: what is nearer fills a larger solid angle, pixel by pixel.
    inner = slice(800, 2400)
    ratio = table.rings[2, near, inner].sum() / table.rings[2, middle, inner].sum()
    assert ratio == pytest.approx(nearer, rel=3e-3)
    assert (np.diff(sums) > 0).all()


# --- what lies along a ray --------------------------------------------------------------------
def test_chords_of_a_disc_have_their_length_and_depth():
    matter = Cylinders((("zinc", 100.0, -50.0, 200.0),))
    slab = Slab.of(matter, 0.0, height_um=10.0, pitch_um=4.0)
    depth = np.arange(-750.0, 751, 50)
    for u, angle in ((0.0, 0.0), (60.0, 33.0), (-150.0, 211.0)):
        content = slab.along(u, angle, width_um=4.0, depth_um=depth)
        cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        off, middle = u - (100 * cos - 50 * sin), -50 * cos - 100 * sin
        chord = 2 * np.sqrt(max(200**2 - off**2, 0))
        assert content.amount_um[1].sum() == pytest.approx(chord, abs=3.0)
        if chord:
            mean = content.amount_um[1] @ depth / content.amount_um[1].sum()
            assert mean == pytest.approx(middle, abs=3.0)
        assert content.amount_um[[0, 2]].max() == 0


def test_absorption_takes_the_beam_and_more_on_the_way_out():
    matter = Cylinders((("sodium", 0.0, 0.0, 300.0),), attenuation_per_cm=12.0)
    slab = Slab.of(matter, 0.0, height_um=10.0, pitch_um=4.0, energy_kev=23.0)
    depth = np.arange(-750.0, 751, 50)
    content = slab.along(0.0, 0.0, width_um=4.0, depth_um=depth)
    assert content.transmission == pytest.approx(np.exp(-12 * 0.06), rel=5e-3)
    assert content.out is not None
    # Zeolite at depth s has 300 um - s of itself still to cross.
    inside = np.abs(depth) < 280
    np.testing.assert_allclose(content.out[inside], 12 * (300 - depth[inside]) * 1e-4, atol=5e-3)
    table = _table()
    content = slab.along(0.0, 0.0, width_um=4.0, depth_um=table.depth_um)
    free = table.profile(content.amount_um, 0.0)
    absorbed = table.profile(content.amount_um, 0.0, content.out)
    k = 8 * 290
    longer = table.secant[k] - 1
    assert absorbed[k] / free[k] == pytest.approx(np.exp(-longer * 12 * 0.03), rel=2e-3)
