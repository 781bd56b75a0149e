"""Projections against closed forms, against the sample itself, and in every geometry."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from tests.twin.scans import PLAIN, STILL, beads, plain
from zeoarray.errors import ArgumentError
from zeoarray.twin import mounts, presets
from zeoarray.twin.lens import undistort
from zeoarray.twin.mounts import Mount, rotation_from
from zeoarray.twin.projections import Projector
from zeoarray.twin.sample import Sample

ANGLES = (0.0, 33.0, 90.0, 147.3, 262.0)
MIDDLE = (PLAIN.columns - 1) / 2


@pytest.fixture(scope="module")
def pellet():
    return Sample.make(3, "tiny")


def chord_of_ellipsoid(frame, u, z, centre, semi, turn):
    """Closed form: twice the root of the discriminant, in coordinates where it is a unit ball."""
    origin = frame[:3] + u[..., None] * frame[3:6] + z[..., None] * frame[6:9] - centre
    scaled, beam = (origin @ turn) / semi, (frame[9:] @ turn) / semi
    a, half = beam @ beam, scaled @ beam
    square = half**2 - a * ((scaled**2).sum(-1) - 1)
    return 2 * np.sqrt(np.maximum(square, 0)) / a


def seen_at(projector, angle, motion=(0.0, 0.0)):
    """Row and column of the only thing in a picture [px]."""
    place = ndimage.center_of_mass(projector.line_integrals(angle, motion))
    return (np.array(place) + 0.5) / projector.scan.fine - 0.5


def test_ellipsoids_have_their_closed_form():
    centres = np.array([[-30.0, 12.0, 5.0], [40.0, -20.0, -8.0], [2.0, 3.0, 1.0]])
    semi = np.array([[25.0, 14.0, 9.0], [20.0, 30.0, 12.0], [2.0, 1.5, 1.2]])
    turns = np.stack([rotation_from(np.array(v)) for v in ([1, 2, 0.3], [0.2, -1, 1], [0, 0, 0])])
    mu = np.array([12.0, 35.0, 100.0])
    sample = Sample.ellipsoids(centres, semi, mu, turns)
    mount = Mount(rotation_from(np.array([0.02, -0.03, 0.4])), np.array([3.0, -2, 1]), 1.002, 2.3,
                  0.4)  # fmt: skip
    projector = Projector(sample, plain(camera_um=1.0), mount)
    for angle in ANGLES:
        found = projector.line_integrals(angle)
        frame = mount.frame(angle, 1.0, (0.0, 0.0))
        expected = sum(
            m * 1e-4 * chord_of_ellipsoid(frame, projector.grid.u, projector.grid.z, *e)
            for m, *e in zip(mu, centres, semi, turns, strict=True)
        )
        assert expected.max() > 0.05
        # The issue asks for 1e-3; only the places are kept in single precision.
        assert np.abs(found - expected).max() < 1e-4 * expected.max()


def test_a_round_pellet_has_its_closed_form(pellet):
    # One facet, no front: the pellet is a ball of pure sodium zeolite.
    scene = pellet.scene._replace(
        facets=np.array([[10.0, -4.0, 2.0, 70.0]]),
        front=np.array([-1e9, 28.0, 0.0, 18.0, 0.4]),
        modes=np.empty((0, 6)),
        cutters=np.empty((0, 12)),
        bodies=np.empty((0, 13)),
        levels=np.empty((0, 12)),
        capillary=np.zeros(8),
    )
    ball = Sample(0, "tiny", scene)
    mu = float(ball.attenuation(10.0, -4.0, 2.0, 25.0))
    projector = Projector(ball, PLAIN, STILL)
    for angle in ANGLES:
        frame = STILL.frame(angle, PLAIN.pixel_um, (0.0, 0.0))
        at = projector.grid.u, projector.grid.z, np.array([10.0, -4, 2])
        chord = chord_of_ellipsoid(frame, *at, np.full(3, 70.0), np.eye(3))
        expected = mu * chord * 1e-4
        assert np.abs(projector.line_integrals(angle) - expected).max() < 1e-3 * expected.max()


@pytest.mark.parametrize("seed", [3, 8])
def test_projections_are_integrals_of_the_attenuation(seed):
    sample = Sample.make(seed, "tiny")
    scan = plain(camera_um=4.0, columns=240, rows=3)
    mount = Mount(rotation_from(np.array([0.01, 0.02, 0.3])), np.array([30.0, -20, 9]), 1.001, 3.0,
                  0.1)  # fmt: skip
    projector = Projector(sample, scan, mount)
    step = 0.5
    t = np.arange(-560, 560, step) + step / 2
    pick = (slice(None), slice(0, None, 3))
    u, z = projector.grid.u[pick], projector.grid.z[pick]
    for angle in (12.0, 100.0):
        frame = mount.frame(angle, scan.pixel_um, (0.0, 0.0))
        start = frame[:3] + u[..., None] * frame[3:6] + z[..., None] * frame[6:9]
        place = start[..., None, :] + t[:, None] * frame[9:]
        mu = sample.attenuation(*np.moveaxis(place, -1, 0), scan.energy_kev)
        expected = mu.sum(-1) * step * 1e-4
        error = projector.line_integrals(angle)[pick] - expected
        assert expected.max() > 0.2
        # The sum itself errs by a step or so at every edge that a ray crosses.
        assert np.abs(error).max() < 4e-3 * expected.max()
        assert error.std() < 1e-3 * expected.max()
        assert abs(error.mean()) < 3e-4 * expected.max()


def test_narrow_grains_are_spread_and_keep_their_mass():
    # Five balls far narrower than a pixel, away from the edge of the camera.
    places = [(-60, 3, 1.3), (-20, -40, 9.7), (11, 0.4, -12), (33, 35, 4), (70, -3, -3)]
    sample = beads(*places, radius=0.9, attenuation=400.0)
    mass = 5 * 400 * 1e-4 * 4 / 3 * np.pi * 0.9**3
    projector = Projector(sample, PLAIN, STILL)
    for angle in ANGLES:
        image = projector.line_integrals(angle)
        assert image.sum() * PLAIN.pixel_um**2 == pytest.approx(mass, rel=1e-4)
        assert np.count_nonzero(image) <= 20


@pytest.mark.parametrize("senses", list(itertools.product([1, -1], repeat=3)))
def test_all_eight_senses(senses):
    rotation, lateral, vertical = senses
    scan = plain(rotation_sense=rotation, u_sense=lateral, z_sense=vertical, fine=4)
    x, y, z = 50.0, 20.0, 11.0
    projector = Projector(beads((x, y, z)), scan, STILL)
    for recorded in ANGLES:
        row, column = seen_at(projector, rotation * recorded)
        turn = np.deg2rad(rotation * recorded)
        u = x * np.cos(turn) + y * np.sin(turn)
        assert column == pytest.approx(MIDDLE + lateral * u / scan.pixel_um, abs=0.004)
        assert row == pytest.approx((scan.rows - 1) / 2 + vertical * z / scan.pixel_um, abs=0.004)


def test_the_mount_says_where_everything_is():
    mount = Mount(rotation_from(np.array([0.03, -0.02, 0.5])), np.array([12.0, -7, 3]), 1.003, -1.7,
                  0.0)  # fmt: skip
    volume = np.array([31.0, -14.0, 6.0])
    matrix = mount.to_sample()
    sample = beads(matrix[:3, :3] @ volume + matrix[:3, 3], radius=9.0)
    projector = Projector(sample, plain(fine=4), mount)
    for angle in ANGLES:
        row, column = seen_at(projector, angle)
        turn = np.deg2rad(angle)
        # In nominal pixels, the volume's coordinates project as if nothing were off.
        u = volume[0] * np.cos(turn) + volume[1] * np.sin(turn)
        assert column == pytest.approx(MIDDLE - 1.7 + u / PLAIN.pixel_um, abs=0.004)
        assert row == pytest.approx((PLAIN.rows - 1) / 2 + volume[2] / PLAIN.pixel_um, abs=0.004)


@pytest.mark.parametrize("senses", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_the_axis_is_where_it_is_said_to_be(senses):
    scan = plain(u_sense=senses[0], z_sense=senses[1], rows=60, fine=4)
    mount = Mount(np.eye(3), np.zeros(3), 1.002, 4.0, 3.0)
    columns = mount.axis_column(scan)
    roll = np.deg2rad(3.0)
    for height in (-40.0, 0.0, 35.0):
        projector = Projector(beads((0, 0, height), radius=8.0), scan, mount)
        seen = [seen_at(projector, a) for a in (0.0, 77.0, 180.0)]
        row, column = np.mean(seen, axis=0)
        assert np.ptp(seen, axis=0) == pytest.approx([0, 0], abs=0.004)
        assert column == pytest.approx(np.interp(row, np.arange(60), columns), abs=0.004)
        up = height * np.cos(roll) / (scan.pixel_um * mount.scale)
        assert row == pytest.approx((scan.rows - 1) / 2 + senses[1] * up, abs=0.004)


def test_the_lens_is_undone_by_the_backward_model():
    # Bent far more than any real lens: the centre lies outside of this camera.
    scan = plain(columns=220, rows=60, lens=(1.0, 0.0, 2e-7), camera_um=1.0)
    places = [(-80, 0, 12), (-35, 3, -14), (2, 1, 0), (50, -6, 9), (90, 0, -12)]
    sample = beads(*places, radius=7.0)
    raw = Projector(sample, scan, STILL).line_integrals(20.0)
    straight = Projector(sample, plain(columns=220, rows=60, camera_um=1.0), STILL)
    truth = straight.line_integrals(20.0)
    rows, columns = np.indices(raw.shape, dtype=float)
    left, top = scan.lens_centre
    stretch = 1 + 2e-7 * ((columns - left) ** 2 + (rows - top) ** 2)
    place = [top + (rows - top) * stretch, left + (columns - left) * stretch]
    corrected = ndimage.map_coordinates(raw, place, order=1)
    assert np.abs(raw - truth).max() > 0.5 * truth.max()
    # What is left is the interpolation at the rims of the balls.
    seen = (place[0] >= 0) & (place[0] <= 59) & (place[1] >= 0) & (place[1] <= 219)
    assert seen.mean() > 0.8
    assert np.abs(corrected - truth)[seen].mean() < 0.005 * truth.max()
    assert np.corrcoef(corrected[seen], truth[seen])[0, 1] > 0.998


def test_the_lens_of_the_process_list_inverts_exactly():
    column, row = np.meshgrid(np.linspace(0, 2559, 40), np.linspace(0, 2159, 30))
    centre, lens = presets.LENS_CENTRE, presets.LENS
    across, down = undistort(column, row, centre, lens)
    radius = np.hypot(across - centre[0], down - centre[1])
    stretch = sum(k * radius**n for n, k in enumerate(lens))
    assert np.allclose(centre[0] + (across - centre[0]) * stretch, column, atol=1e-6)
    assert np.allclose(centre[1] + (down - centre[1]) * stretch, row, atol=1e-6)
    assert 5 < np.abs(across - column).max() < 30


def test_binning_keeps_the_lens():
    full, small = (presets.find(p).scan("i13-2.6um") for p in ("full", "small"))
    radius = 300.0
    stretch = [
        sum(k * r**n for n, k in enumerate(scan.distortion))
        for scan, r in ((full, radius * small.binning), (small, radius))
    ]
    assert stretch[0] == pytest.approx(stretch[1], rel=1e-12)


def test_a_band_of_rows_is_part_of_the_whole(pellet):
    scan = presets.find("tiny").scan("i13-0.8125um")
    mount = mounts.draw(3, scan)
    whole = Projector(pellet, scan, mount, workers=2).line_integrals(41.0)
    for rows in ((0, 5), (5, 12), (3, 4)):
        band = Projector(pellet, scan, mount, rows=rows).line_integrals(41.0)
        assert np.array_equal(band, whole[rows[0] * scan.fine : rows[1] * scan.fine])
    wide = Projector(pellet, scan, mount, margin=6).line_integrals(41.0)
    assert np.array_equal(wide[:, 6 * scan.fine : -6 * scan.fine], whole)


def test_motion_moves_the_picture():
    projector = Projector(beads((10, 5, 0)), plain(motion_um=8.0, fine=4), STILL)
    for angle in (0.0, 90.0):
        moved = seen_at(projector, angle, (6.0, -4.0)) - seen_at(projector, angle)
        assert moved == pytest.approx([-2.0, 3.0], abs=0.004)


def test_pixels_average_what_they_transmit():
    scan = plain(fine=4)
    projector = Projector(beads((10, 5, 0), attenuation=900.0), scan, STILL)
    rays = projector.line_integrals(0.0)
    passed = projector.transmission(0.0)
    assert passed.shape == (scan.rows, scan.columns)
    assert passed[12, 50] == pytest.approx(np.exp(-rays[48:52, 200:204]).mean(), rel=1e-6)


def test_a_band_without_rows_and_a_lens_that_folds_are_refused():
    with pytest.raises(ArgumentError, match="the band has no rows"):
        Projector(beads((0, 0, 0)), PLAIN, STILL, rows=(4, 4))
    with pytest.raises(ArgumentError, match="folds the image") as error:
        Projector(beads((0, 0, 0)), plain(lens=(1.0, -0.05)), STILL)
    assert "increases over the whole detector" in str(error.value)
