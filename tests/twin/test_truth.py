"""The truth: what is saved is what the data was made with."""

from __future__ import annotations

import numpy as np
import pytest

from tests.twin.scans import beads
from zeoarray import schema, store
from zeoarray.errors import ArgumentError
from zeoarray.twin import mounts, presets, truth
from zeoarray.twin.detector import Camera
from zeoarray.twin.sample import Sample

SCANS = presets.find("tiny").scans


@pytest.fixture(scope="module")
def sample():
    return Sample.make(3, "tiny")


@pytest.fixture(scope="module")
def saved(sample, tmp_path_factory):
    path = tmp_path_factory.mktemp("truth") / "truth.zarr"
    cameras = {scan.name: Camera(3, sample, scan) for scan in SCANS}
    for camera in cameras.values():
        truth.write_scan(path, camera)
    truth.write_sample(path, sample, voxel_um=60.0)
    return path, cameras


@pytest.mark.parametrize("scan", SCANS, ids=lambda s: s.name)
def test_every_transform_is_recovered_exactly(saved, scan):
    path, cameras = saved
    ds = store.open_node(path, f"xct/{scan.name}/mount")
    mount = cameras[scan.name].mount
    assert np.array_equal(ds["to_sample"], mount.to_sample())
    assert float(ds["pixel_size"]) == scan.pixel_um * mount.scale
    assert 5e-4 <= abs(float(ds["pixel_size"]) / float(ds["resolution"]) - 1) <= 3e-3
    center = ds["axis_u"] / scan.pixel_um + (scan.columns - 1) / 2
    assert np.allclose(center, ds["center"], atol=1e-9)
    assert np.array_equal(ds["distortion"], scan.distortion)
    assert tuple(ds["distortion_center"].values) == scan.lens_centre
    assert ds["z"].attrs["units"] == "um"
    assert ds.attrs["scan_number"] == scan.number


def test_the_sample_has_the_coordinates_of_diad(saved):
    path, cameras = saved
    matrix = store.open_node(path, "xct/diad/mount")["to_sample"].values
    scale = cameras["diad"].mount.scale
    assert np.array_equal(matrix, np.diag([scale, scale, scale, 1.0]))
    others = [mounts.draw(3, s) for s in SCANS if s.layout == "i13"]
    assert all(np.abs(m.shift).max() > 1 for m in others)
    assert all(np.allclose(m.rotation @ m.rotation.T, np.eye(3)) for m in others)


def test_every_nuisance_is_saved(saved):
    path, cameras = saved
    camera = cameras["i13-2.6um"]
    frames = store.open_node(path, "xct/i13-2.6um/frames")
    assert np.array_equal(frames["angle"], camera.schedule.angle)
    assert np.array_equal(frames["image_key"], camera.schedule.image_key)
    assert float(frames["beam_shift"][-1]) == pytest.approx(
        camera.beam.shift(camera.schedule.time[-1]) / camera.scan.binning
    )
    assert int(frames["zingers"][5]) == len(camera.zingers(5))
    stripes = store.open_node(path, "xct/i13-2.6um/stripes")
    assert set(stripes["kind"].values) == {"full", "partial", "fluctuating"}
    assert np.array_equal(stripes["amplitude"], camera.stripes.amplitude)


def test_the_contents_are_saved(saved, sample):
    ds = store.open_node(saved[0], "sample")
    assert np.array_equal(ds["crystal_position"], sample.crystals.position)
    assert ds.attrs["seed"] == 3
    assert float(ds["capillary_radius"][1]) == 500.0


def test_the_saved_volume_is_the_sample(saved, sample):
    ds = store.open_node(saved[0], "joint/truth")
    schema.validate(ds, schema.VOLUME_XCT, by="test")
    assert list(ds["phase"].values) == ["sodium", "zinc", "glass"]
    part = {n: ds[n].values[8:10] for n in "zyx"}
    again = truth.volume(sample, **part, energy_kev=truth.ENERGY_KEV)
    for name in ("attenuation", "weight"):
        box = ds[name].isel({n: slice(8, 10) for n in "zyx"})
        assert np.array_equal(box, again[name])
    assert float(ds["weight"].sum("phase").max()) <= 1
    assert float(ds["attenuation"].max()) > 3


def test_a_volume_is_the_mean_over_its_voxels():
    ball = beads((2.0, -1.0, 3.0), radius=10.0, attenuation=7.0)
    axis = np.arange(-20, 21, 2.0)
    ds = truth.volume(ball, axis, axis, axis, energy_kev=20.0, fine=4)
    mass = float(ds["attenuation"].sum()) * 8
    assert mass == pytest.approx(7.0 * 4 / 3 * np.pi * 1000, rel=2e-3)
    centre = [float((ds["attenuation"] * ds[n]).sum() / ds["attenuation"].sum()) for n in "xyz"]
    assert centre == pytest.approx([2, -1, 3], abs=0.02)


def test_a_volume_follows_its_transform(sample):
    scan = SCANS[1]
    matrix = mounts.draw(3, scan).to_sample()
    x, y, z = 40.0, -90.0, 25.0
    ds = truth.volume(sample, np.array([z]), np.array([y]), np.array([x]), energy_kev=25.0,
                      to_sample=matrix, fine=1)  # fmt: skip
    place = matrix[:3, :3] @ [x, y, z] + matrix[:3, 3]
    expected = sample.attenuation(*(np.array(p) for p in place), 25.0)
    assert float(ds["attenuation"][0, 0, 0]) == pytest.approx(float(expected), rel=1e-6)


def test_a_grid_covers_the_sample(sample):
    at = truth.grid(sample, 30.0)
    for name, (low, high) in zip("xyz", sample.bounds, strict=True):
        assert at[name][0] - 15 <= low < high <= at[name][-1] + 15
        assert at[name][len(at[name]) // 2] == 0
    assert np.ptp(truth.grid(sample, 10.0, height_um=100.0)["z"]) == 100


def test_grids_that_cannot_be_are_refused(sample):
    axis = np.arange(3.0)
    with pytest.raises(ArgumentError, match="the grid's y cannot be used") as error:
        truth.volume(sample, axis, np.array([0, 1, 5.0]), axis, energy_kev=25.0)
    assert "not evenly spaced" in str(error.value)
    with pytest.raises(ArgumentError, match="the grid's z cannot be used"):
        truth.volume(sample, np.empty(0), axis, axis, energy_kev=25.0)
    long = np.arange(2000.0)
    with pytest.raises(ArgumentError, match="too large to be held") as error:
        truth.volume(sample, long, long, long, energy_kev=25.0)
    assert "ask for a part of it" in str(error.value)
