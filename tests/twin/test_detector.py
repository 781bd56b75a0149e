"""The camera: its statistics, its faults, and that nothing depends on how the work is cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.twin.scans import PLAIN, STILL, beads, plain
from zeoarray.errors import ArgumentError
from zeoarray.twin import presets, schedule, stripes
from zeoarray.twin.beam import ring_current
from zeoarray.twin.detector import FULL_SCALE, Camera
from zeoarray.twin.sample import Sample
from zeoarray.twin.schedule import DARK, FLAT, PROJECTION

FAULTY = presets.find("tiny").scan("i13-0.8125um")


@pytest.fixture(scope="module")
def pellet():
    return Sample.make(3, "tiny")


@pytest.fixture(scope="module")
def camera(pellet):
    return Camera(3, pellet, FAULTY, workers=2)


def empty():
    """A sample that is hardly there."""
    return beads((0, 0, 0), radius=0.01, attenuation=0.0)


def frames_of(camera, key):
    return np.flatnonzero(camera.schedule.image_key == key)


def test_photons_are_poisson_numbers():
    camera = Camera(11, empty(), plain(photons=60.0), mount=STILL)
    flats = frames_of(camera, FLAT)
    mean = np.stack([camera.expected(n) for n in flats])
    counts = np.stack([camera.photons(n) for n in flats])
    # Pearson: the dispersion about the expected mean.
    chi2 = ((counts - mean) ** 2 / mean).sum()
    assert 1e-3 < stats.chi2.sf(chi2, counts.size) < 1 - 1e-3
    # The shape: the distribution's own probabilities, made continuous, are uniform.
    blur = np.random.default_rng(0).uniform(size=counts.shape)
    level = stats.poisson.cdf(counts - 1, mean) + blur * stats.poisson.pmf(counts, mean)
    observed, _ = np.histogram(level, 20, (0, 1))
    assert stats.chisquare(observed).pvalue > 1e-3
    # Neighbours are independent.
    noise = (counts - mean) / np.sqrt(mean)
    for axis in (0, 1, 2):
        a, b = np.moveaxis(noise, axis, 0)[:-1].ravel(), np.moveaxis(noise, axis, 0)[1:].ravel()
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / a.size**0.5


def test_grey_values_scatter_as_gain_and_readout_say():
    scan = plain(photons=3000.0, gain=2.2, read_noise=2.3, projections=60)
    camera = Camera(5, empty(), scan, mount=STILL)
    numbers = frames_of(camera, PROJECTION)
    grey = np.stack([camera.frame(n).astype(float) for n in numbers])
    mean = np.stack([camera.expected(n) for n in numbers])
    rest = grey - camera.offset - scan.gain * mean
    # Rounding to whole grey values adds a twelfth.
    variance = scan.gain**2 * mean + scan.read_noise**2 + 1 / 12
    chi2 = (rest**2 / variance).sum()
    assert 1e-3 < stats.chi2.sf(chi2, rest.size) < 1 - 1e-3


def test_darks_show_offset_and_readout_only(camera):
    darks = np.stack([camera.frame(n).astype(float) for n in frames_of(camera, DARK)])
    quiet = np.median(darks, axis=0)
    assert abs(quiet - camera.offset).max() < 6
    assert darks.shape[0] == 2 * FAULTY.darks
    assert np.median(darks.std(0)) == pytest.approx(FAULTY.read_noise, rel=0.1)


def test_a_band_is_part_of_the_whole_in_any_order_by_any_number(pellet, camera):
    wanted = [0, 15, 40, 41, 100, 129]
    whole = list(camera.frames(wanted))
    assert all(f.dtype == np.uint16 and f.shape == (12, 160) for f in whole)
    backwards = list(Camera(3, pellet, FAULTY, workers=1).frames(wanted[::-1]))[::-1]
    band = list(Camera(3, pellet, FAULTY, rows=(4, 9), workers=3).frames(wanted))
    for a, b, c in zip(whole, backwards, band, strict=True):
        assert a.tobytes() == b.tobytes()
        assert a[4:9].tobytes() == c.tobytes()
    other = Camera(4, pellet, FAULTY, workers=2).frame(40)
    assert other.tobytes() != whole[2].tobytes()


def test_bands_agree_with_phase_contrast_and_blur_too(pellet):
    scan = replace(FAULTY, propagation_m=0.05, blur_px=1.3, motion_um=5.0)
    whole = Camera(3, pellet, scan).frame(60)
    assert np.array_equal(Camera(3, pellet, scan, rows=(6, 8)).frame(60), whole[6:8])


def test_flat_fielding_leaves_the_transmission():
    scan = plain(photons=1e6, read_noise=0.0)
    camera = Camera(2, beads((0, 0, 0), radius=20.0, attenuation=40.0), scan, mount=STILL)
    before, after = frames_of(camera, FLAT)[:4], frames_of(camera, FLAT)[4:]
    number = frames_of(camera, PROJECTION)[-1]
    true = camera.projector.transmission(camera.schedule.angle[number])
    light = camera.expected(number)
    late, early = light / camera.expected(after[0]), light / camera.expected(before[0])
    assert true.min() < 0.87
    assert np.abs(late - true).max() < 0.01
    # The beam has moved since the flats before the scan: beside the ring's current, which is one
    # factor, they fit worse.
    spread = [(ratio / true).std() for ratio in (late, early)]
    assert spread[1] > 3 * spread[0]


def test_the_beam_drifts_and_the_ring_decays(camera):
    flats = frames_of(camera, FLAT)
    first, last = camera.expected(flats[0]), camera.expected(flats[-1])
    assert 1e-3 < np.abs(last / first - 1).mean() < 0.05
    time = np.linspace(0, 100, 1000)
    current = ring_current(time, 100.0)
    assert current.mean() == pytest.approx(1, abs=1e-3)
    steps = np.diff(current)
    assert (steps > 1e-3).sum() == 3
    assert (steps < 0).sum() == 996


def test_stripes_are_of_three_kinds(pellet):
    scan = replace(FAULTY, stripes=2, rows=40, zingers=0.0)
    camera = Camera(9, pellet, scan)
    clean = Camera(9, pellet, replace(scan, stripes=0))
    found = camera.stripes
    assert [stripes.KINDS[k] for k in found.kind] == [k for k in stripes.KINDS for _ in range(2)]
    numbers = frames_of(camera, PROJECTION)[::3]
    progress = camera.schedule.progress[numbers]
    ratio = np.stack([camera.expected(n) / clean.expected(n) for n in numbers])
    flat = frames_of(camera, FLAT)[0]
    assert np.array_equal(camera.expected(flat), clean.expected(flat))
    for n, kind in enumerate(found.kind):
        change = ratio[:, round(found.row[n]), round(found.column[n])] - 1
        if stripes.KINDS[kind] == "full":
            assert change == pytest.approx(found.amplitude[n], abs=1e-9)
        elif stripes.KINDS[kind] == "partial":
            acting = (progress >= found.begin[n]) & (progress <= found.end[n])
            assert 0.1 < acting.mean() < 0.7
            assert change == pytest.approx(found.amplitude[n] * acting, abs=1e-9)
        else:
            assert change.std() == pytest.approx(found.amplitude[n], rel=0.5)
            assert abs(np.corrcoef(change[1:], change[:-1])[0, 1]) < 0.6


def test_zingers_are_where_the_truth_says(pellet):
    scan = replace(FAULTY, zingers=3000.0)
    camera, clean = Camera(9, pellet, scan), Camera(9, pellet, replace(scan, zingers=0.0))
    number = frames_of(camera, PROJECTION)[10]
    extra = camera.frame(number).astype(int) - clean.frame(number)
    hits = camera.zingers(number)
    assert len(hits) > 1
    assert {(int(r), int(c)) for r, c, _ in hits} == set(zip(*np.nonzero(extra), strict=True))
    assert extra[extra > 0].min() >= 4000


def test_bright_pixels_saturate():
    camera = Camera(1, empty(), plain(photons=60_000.0, gain=2.2), mount=STILL)
    assert camera.frame(frames_of(camera, FLAT)[0]).max() == FULL_SCALE


def test_phase_contrast_adds_fringes_and_keeps_the_light():
    scan = plain(camera_um=1.0)
    sample = beads((0, 0, 0), radius=9.0, attenuation=20.0)
    near = Camera(2, sample, scan, mount=STILL)
    far = Camera(2, sample, replace(scan, propagation_m=0.02), mount=STILL)
    number = frames_of(near, PROJECTION)[0]
    ratio = far.expected(number) / near.expected(number)
    # Bright outside of the edge, dark inside of it; all light arrives somewhere.
    row = ratio[scan.rows // 2]
    assert row.max() > 1.02
    assert row.min() < 0.99
    assert far.expected(number).sum() == pytest.approx(near.expected(number).sum(), rel=2e-4)
    outside = np.abs(np.arange(scan.columns) - 47.5) > 12
    assert row[outside] == pytest.approx(1, abs=1e-9)


def test_blur_widens_an_edge_by_its_sigma():
    scan = plain(camera_um=1.0, columns=96)
    sample = beads((0, 0, 0), radius=2.0, attenuation=800.0)
    number = 4 + 3
    profile = []
    for blur in (0.0, 1.5):
        camera = Camera(2, sample, replace(scan, blur_px=blur), mount=STILL)
        bare = Camera(2, empty(), replace(scan, blur_px=blur), mount=STILL)
        dip = (1 - camera.expected(number) / bare.expected(number))[:, 30:66].sum(0)
        place = np.arange(36) - 17.5
        profile.append((dip * place**2).sum() / dip.sum() - ((dip * place).sum() / dip.sum()) ** 2)
    assert profile[1] - profile[0] == pytest.approx(1.5**2, rel=0.1)


def test_schedules_follow_the_beamlines():
    i13, diad = (presets.find("tiny").scan(n) for n in ("i13-2.6um", "diad"))
    first, second = schedule.plan(1, i13), schedule.plan(1, diad)
    assert [first.image_key[n] for n in (0, 10, 20, 110, 120)] == [
        DARK,
        FLAT,
        PROJECTION,
        FLAT,
        DARK,
    ]
    assert [second.image_key[n] for n in (0, 10, 20, 110, 120)] == [
        FLAT,
        DARK,
        PROJECTION,
        FLAT,
        DARK,
    ]
    assert (np.diff(first.time) > 0).all()
    angle = second.angle_set[second.image_key == PROJECTION]
    assert (angle[0], angle[-1]) == (90.0, 270.0)
    assert 0 < np.abs(second.angle - second.angle_set).max() < 0.02
    back = schedule.plan(1, replace(i13, rotation_sense=-1))
    assert back.angle_set[-1] == -180.0


def test_motion_is_slow_and_slips_once():
    scan = plain(motion_um=10.0, projections=400)
    plan = schedule.plan(4, scan)
    path = schedule.motion(4, scan, plan)[plan.image_key == PROJECTION]
    steps = np.abs(np.diff(path, axis=0))
    assert ((steps > 2).sum(0) == 1).all()
    assert 3 < np.abs(path).max() < 20
    assert not schedule.motion(4, PLAIN, schedule.plan(4, PLAIN)).any()


def test_a_camera_refuses_a_band_without_rows(pellet):
    with pytest.raises(ArgumentError, match="the band has no rows"):
        Camera(1, pellet, PLAIN, rows=(8, 8))
