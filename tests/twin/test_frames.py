"""Frames: their statistics, what disturbs them, and that nothing depends on how they are cut."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from tests.twin.matter import FLAT, Cylinders, plan
from zeoarray.errors import ArgumentError, UnknownNameError
from zeoarray.twin import diffraction, faujasite, frames, scan_xrdct, spots, truth_xrdct
from zeoarray.twin.frames import LayerFrames
from zeoarray.twin.geometry import gaps
from zeoarray.twin.sample import Crystals
from zeoarray.twin.scan_xrdct import Layer

MATTER = Cylinders((("sodium", 120.0, 40.0, 150.0), ("zinc", -150.0, -60.0, 120.0)))


def _good(of: scan_xrdct.Plan) -> np.ndarray:
    return frames.mask(of) == 0


# --- counting statistics ----------------------------------------------------------------------
@pytest.mark.parametrize("photons", [3e7, 1.5e9])
def test_counts_are_poisson_about_the_expected_by_chi_square(photons):
    of = plan(photons_per_s=photons, hot_pixels=0.0, dead_pixels=0.0)
    layer = LayerFrames(of, MATTER, 0)
    good = _good(of)
    total, number = 0.0, 0
    for rotation in range(4):
        expected = layer.expected(rotation, 1)[good].astype(float)
        counts = layer.counts(rotation, 1)[good]
        total += float(((counts - expected) ** 2 / expected).sum())
        number += expected.size
        spread = float((2 + 1 / expected).sum())
    # The sum of (n - m)^2 / m has mean 1 and variance 2 + 1/m for each pixel.
    assert abs(total - number) < 4 * np.sqrt(4 * spread)


def test_counts_have_the_distribution_of_poisson():
    of = plan(photons_per_s=2e8, hot_pixels=0.0, dead_pixels=0.0)
    layer = LayerFrames(of, MATTER, 0)
    good = _good(of)
    rank = np.concatenate(
        [
            stats.poisson.cdf(n, m)
            - np.random.default_rng(1).random(m.size) * stats.poisson.pmf(n, m)
            for r in range(4)
            for n, m in [(layer.counts(r, 0)[good], layer.expected(r, 0)[good])]
        ]
    )
    # Randomised ranks of Poisson counts are uniform: the whole distribution is tested at once.
    found, _ = np.histogram(rank, 40, (0, 1))
    assert stats.chisquare(found).pvalue > 1e-3


# --- one frame, however it is come by ---------------------------------------------------------
def test_a_frame_is_the_same_in_any_order_and_in_a_part_of_the_scan():
    of = plan(layers=(Layer(1, 0.0), Layer(2, 60.0)), snake=True, jitter_um=0.4, spots=True)
    whole = LayerFrames(of, MATTER, 1)
    forward = [whole.counts(r, t) for r in range(4) for t in range(3)]
    again = LayerFrames(of, MATTER, 1)
    backward = [again.counts(r, t) for r in (3, 2, 1, 0) for t in (2, 1, 0)][::-1]
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(one, other)
    part = scan_xrdct.part(of, layers=2, rotations=2)
    assert part.shape(1) == (2, 3, 195, 487)
    np.testing.assert_array_equal(LayerFrames(part, MATTER, 1).counts(1, 2), forward[5])
    dropped = dataclasses.replace(of, layers=(Layer(1, 0.0), Layer(2, 60.0, (0, 1))))
    np.testing.assert_array_equal(LayerFrames(dropped, MATTER, 1).counts(0, 1), forward[7])


def test_other_seeds_frames_and_scans_have_other_noise():
    first = LayerFrames(plan(rotations=2), MATTER, 0).counts(0, 0)
    for other in (plan(rotations=2, seed=6), plan(rotations=2, name="other")):
        assert (LayerFrames(other, MATTER, 0).counts(0, 0) != first).mean() > 0.5


# --- what is wrong with a frame ---------------------------------------------------------------
def test_gaps_dead_and_hot_pixels():
    of = plan(hot_pixels=1e-4, dead_pixels=1e-4)
    layer = LayerFrames(of, MATTER, 0)
    counts, bad, mask = layer.counts(0, 0), frames.bad_pixels(of), frames.mask(of)
    assert (counts[gaps("Pilatus 100k")] == frames.GAP).all()
    assert (counts.flat[bad.dead] == frames.BAD).all()
    assert (counts >= 0).sum() == counts.size - 585 - bad.dead.size
    excess = counts.flat[bad.hot] - layer.expected(0, 0).flat[bad.hot]
    np.testing.assert_allclose(excess, 10 * bad.rate, atol=6 * np.sqrt(10 * bad.rate.max() + 200))
    assert mask.flat[bad.dead].all()
    assert mask.flat[bad.hot[bad.known]].all()
    # Some hot pixels nobody knows of.
    assert not mask.flat[bad.hot[~bad.known]].any()
    assert (~bad.known).sum() == bad.hot.size // 2


def test_the_ring_decays_and_the_monitor_tells():
    of = plan(rotations=50, lifetime_h=1.0, drift=0.02, monitor_noise=1e-3, refill_h=0.3)
    motors = of.motors(0)
    current = motors["ring_current"].values.ravel()
    assert current[0] == 300
    assert np.isclose(current, 300 * np.exp(-(motors["time"].values.ravel() / 3600 % 0.3))).all()
    assert (np.diff(current) > 0).sum() == 1
    ratio = (motors["monitor"] / motors["photons"]).values
    assert ratio.std() / ratio.mean() == pytest.approx(1e-3, rel=0.2)
    bright = [LayerFrames(of, MATTER, 0).expected(r, 1).sum() for r in (0, 25)]
    turned = plan(rotations=50)
    still = [LayerFrames(turned, MATTER, 0).expected(r, 1).sum() for r in (0, 25)]
    photons = motors["photons"].values[[0, 25], 1]
    assert bright[1] / bright[0] == pytest.approx(still[1] / still[0] * photons[1] / photons[0])


def test_dropped_rotations_and_snake_order_are_in_the_motors():
    of = plan(layers=(Layer(1, 0.0, (2,)),), snake=True, rotations=5, translations=4)
    motors = of.motors(0)
    assert of.shape(0)[0] == 4
    np.testing.assert_array_equal(motors["angle"].values[:, 0], [0, 72, 216, 288])
    steps = np.sign(np.diff(motors["planned_u"].values, axis=1)[:, 0])
    np.testing.assert_array_equal(steps, [1, -1, -1, 1])
    assert (np.diff(motors["time"].values.ravel()) > 0).all()


@pytest.mark.parametrize("rotation_sense", [1, -1])
@pytest.mark.parametrize("u_sense", [1, -1])
@pytest.mark.parametrize("z_sense", [1, -1])
def test_every_sense_gives_the_same_physics_at_other_motor_positions(
    rotation_sense, u_sense, z_sense
):
    """A frame depends on where the beam truly is; a moving stage leaves the detector's geometry."""
    of = plan(
        rotation_sense=rotation_sense, u_sense=u_sense, z_sense=z_sense, rotations=8,
        layers=(Layer(1, 40.0),), step_um=100.0, axis_um=20.0,
    )  # fmt: skip
    layer = LayerFrames(of, MATTER, 0)
    content = layer.content(1, 2)
    true_u, angle = u_sense * (100.0 - 20.0), rotation_sense * 45.0
    straight = layer.slab.along(true_u, angle, width_um=25.0, depth_um=layer.depth_um)
    np.testing.assert_allclose(content.amount_um, straight.amount_um)
    moved = of.geometry.at(100.0, z_sense * 40.0) if u_sense > 0 else of.geometry
    assert layer.geometry(1, 2) == moved


def test_self_absorption_dims_a_frame_as_the_beam_is_dimmed():
    matter = Cylinders((("sodium", 0.0, 0.0, 200.0),), attenuation_per_cm=10.0)
    small = {"translations": 1, "rotations": 1, "width_um": 10.0}
    free = LayerFrames(plan(**small), matter, 0).expected(0, 0)
    dimmed = LayerFrames(plan(**small, self_absorption=True), matter, 0).expected(0, 0)
    ratio = (dimmed / free)[97]
    # Forward it is the transmission; further out a little less, on the longer way out.
    assert ratio[5] == pytest.approx(np.exp(-10 * 0.04), rel=0.01)
    assert ratio[480] < 0.994 * ratio[5]


def test_the_beam_profile_blurs_over_its_width():
    matter = Cylinders((("zinc", 0.0, 0.0, 40.0),))
    layer = LayerFrames(plan(translations=45, step_um=5.0, width_um=50.0, rotations=1), matter, 0)
    amount = np.array([layer.content(0, t).amount_um[1].sum() for t in range(45)])
    u = 5.0 * (np.arange(45) - 22)
    variance = (amount * u**2).sum() / amount.sum()
    # Variances add: of the beam, (50 / 2.355)^2, and of the disc's chords, R^2 / 4.
    assert variance == pytest.approx((50 / 2.3548) ** 2 + 40**2 / 4, rel=0.02)


# --- single crystals --------------------------------------------------------------------------
def test_spots_averaged_over_orientations_are_the_powder_line():
    lines = faujasite.lines("zinc")
    count, total = 6000, 0.0
    for number in range(count):
        crystal = spots.Crystal(np.zeros(3), 1.0, "zinc", spots.orientation(3, number))
        total += spots.excited(crystal, 0.0, FLAT, 1.5)[1].sum()
    k = 2 * np.pi / FLAT.wavelength
    inside = lines.q < 1.5
    powder = 1e8 * (lines.area * 2 * np.pi * lines.q)[inside].sum() / k**2
    assert total / count == pytest.approx(powder, rel=0.08)


def test_spots_lie_on_rings_and_turn_with_the_sample():
    crystals = Crystals(np.array([[100.0, 50.0, 5.0]]), np.array([15.0]), np.array([4]))
    of = plan(spots=True, rotations=60, translations=1, width_um=400.0)
    with_spots = LayerFrames(of, Cylinders((("zinc", 0.0, 0.0, 200.0),), crystals=crystals), 0)
    without = LayerFrames(of, Cylinders((("zinc", 0.0, 0.0, 200.0),)), 0)
    pixels = _radii()
    lines = faujasite.lines("zinc")
    two_theta = 2 * np.arcsin(lines.q * FLAT.wavelength / (4 * np.pi))
    rings = FLAT.distance * np.tan(two_theta) / 172e-6
    seen = []
    for rotation in range(60):
        extra = with_spots.expected(rotation, 0) - without.expected(rotation, 0)
        if extra.max() > 50:
            brightest = np.unravel_index(extra.argmax(), extra.shape)
            seen.append(brightest)
            # Parallax and the crystal's place shift it by a pixel at most from its ring.
            assert np.abs(pixels[brightest] - rings).min() < 2.0
    assert len(seen) > 5
    assert len(set(seen)) > len(seen) / 2


def _radii() -> np.ndarray:
    rows, columns = np.indices(FLAT.shape)
    up = rows + 0.5 - FLAT.poni1 / 172e-6
    return np.hypot(up, columns + 0.5 - FLAT.poni2 / 172e-6)


def test_orientations_are_rotations():
    for number in range(5):
        turn = spots.orientation(1, number)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)


# --- truth ------------------------------------------------------------------------------------
def test_true_weights_are_areas_of_voxels():
    of = plan(translations=20, step_um=30.0, layers=(Layer(1, -40.0), Layer(2, 40.0)))
    truth = truth_xrdct.weights(of, MATTER)
    assert truth["weight"].dims == ("phase", "z", "y", "x")
    assert truth["z"].values.tolist() == [-40, 40]
    area = truth["weight"].sum(("y", "x")).sel(phase="sodium").values * 30**2
    np.testing.assert_allclose(area, np.pi * 150**2, rtol=2e-3)
    middle = truth["weight"].sel(phase="zinc").sel(x=-150, y=-60, method="nearest")
    np.testing.assert_allclose(middle, 1, atol=1e-6)
    x = (truth["weight"].sel(phase="sodium")[0] * truth["x"]).sum() / truth["weight"].sel(
        phase="sodium"
    )[0].sum()
    assert float(x) == pytest.approx(120, abs=0.2)


def test_frames_are_the_reference_patterns_times_the_true_path_lengths():
    """The truth suffices to predict a frame: integrate one with pyFAI, and compare."""
    matter = Cylinders((("sodium", 0.0, 0.0, 100.0), ("glass", 0.0, 250.0, 60.0)))
    of = plan(translations=1, rotations=1, air_um=1000.0, width_um=10.0)
    layer = LayerFrames(of, matter, 0)
    intensity = layer.geometry(0, 0).integrator().integrate1d(
        layer.expected(0, 0), 400, unit="q_A^-1", polarization_factor=of.geometry.polarization,
        method=("full", "csr", "cython"), radial_range=(0.8, 3.2),
    )  # fmt: skip
    lengths = layer.content(0, 0).amount_um.sum(1)
    np.testing.assert_allclose(lengths, [200, 0, 120], atol=4)
    q = np.arange(0.7, 3.4, 2e-4)
    patterns = truth_xrdct.reference(q)["pattern"]
    per_pixel = 1e-4 * (172e-6 / of.geometry.distance) ** 2 * 1.5e10
    predicted = per_pixel * (
        lengths[0] * patterns.sel(phase="sodium") + lengths[2] * patterns.sel(phase="glass")
        + 1000 * patterns.sel(phase="air")
    )  # fmt: skip
    for first, last in ((1.45, 1.80), (2.0, 2.3), (2.7, 3.1)):
        inside = (intensity.radial > first) & (intensity.radial < last)
        span = (q > first) & (q < last)
        measured = intensity.intensity[inside].mean()
        assert measured == pytest.approx(float(predicted[span].mean()), rel=0.01)


def test_nuisance_holds_the_motors_of_every_layer_and_gaps():
    of = plan(layers=(Layer(1, 0.0, (1,)), Layer(2, 60.0)), snake=True)
    truth = truth_xrdct.nuisance(of)
    assert truth["true_u"].dims == ("layer", "rotation", "translation")
    assert np.isnan(truth["photons"].values[0, 1]).all()
    assert np.isfinite(truth["photons"].values[1]).all()
    np.testing.assert_array_equal(truth["true_u"].values[1], of.motors(1)["true_u"].values)
    assert truth.attrs["geometry_distance"] == FLAT.distance
    assert truth.attrs["snake"] == 1
    assert truth["scan_number"].values.tolist() == [1, 2]


def test_crystals_are_told_with_their_phase_and_orientation():
    crystals = Crystals(
        np.array([[120.0, 40, 5], [-150, -60, 0]]), np.array([9.0, 8.0]), np.array([4, 7])
    )
    matter = Cylinders(MATTER.discs, crystals=crystals)
    truth = truth_xrdct.crystals(plan(spots=True), matter)
    assert truth["phase"].values.tolist() == ["sodium", "zinc"]
    np.testing.assert_array_equal(truth["rotation"][1], spots.orientation(5, 7))
    assert truth_xrdct.crystals(plan(spots=False), matter).sizes["crystal"] == 0


# --- plans, and what users get wrong ----------------------------------------------------------
def test_presets_have_the_sizes_of_the_dataset():
    full = scan_xrdct.plans(1, "full")
    assert full["25um"].shape(0) == (79, 40, 1679, 1475)
    assert full["25um"].shape(1) == (80, 40, 1679, 1475)
    assert [k.number for k in full["25um"].layers] == [43322, 43323, 43324, 43325]
    assert full["50um"].shape(0)[1] == 20
    assert full["50um"].layers[0].number == 43336
    small = scan_xrdct.plans(1, "small")["25um"]
    assert small.shape(1) == (20, 40, 195, 487)


def test_a_plan_that_cannot_be_scanned_says_what_is_wrong():
    with pytest.raises(ArgumentError, match=r"cannot be scanned: step_um(?s:.*)got:(?s:.*)-5"):
        plan(step_um=-5.0)
    with pytest.raises(ArgumentError, match="dropped"):
        plan(layers=(Layer(1, 0.0, (9,)),))
    with pytest.raises(ArgumentError, match="senses"):
        plan(u_sense=2)
    with pytest.raises(ArgumentError, match=r"no such part(?s:.*)1 to 1 layers"):
        scan_xrdct.part(plan(), layers=2, rotations=1)
    with pytest.raises(UnknownNameError, match=r"no preset 'smal'(?s:.*)did you mean 'small'"):
        scan_xrdct.plans(1, "smal")


def test_reference_patterns_are_those_of_the_model():
    q = np.linspace(1, 2, 500)
    truth = truth_xrdct.reference(q)
    expected = diffraction.pattern("zinc", q)
    np.testing.assert_array_equal(truth["pattern"].sel(phase="zinc"), expected)
