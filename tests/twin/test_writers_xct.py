"""Files of XCT scans: by the beamlines' own paths, and through the project's readers."""

from __future__ import annotations

import filecmp
from dataclasses import replace

import h5py
import numpy as np
import pytest

from zeoarray import schema, store
from zeoarray.errors import ArgumentError, LinkError, UnknownNameError
from zeoarray.ingest.scan import open_scan
from zeoarray.twin import generate, presets, writers_xct
from zeoarray.twin.detector import Camera
from zeoarray.twin.sample import Sample
from zeoarray.twin.schedule import DARK, FLAT, PROJECTION

TINY = presets.find("tiny")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One scan of each layout, with their cameras."""
    folder = tmp_path_factory.mktemp("twin")
    sample = Sample.make(3, "tiny")
    cameras = {
        "i13": Camera(3, sample, TINY.scan("i13-0.325um"), workers=2),
        "diad": Camera(
            3, sample, replace(TINY.scan("diad"), rotation_sense=-1, z_sense=-1), workers=2
        ),
    }
    return {name: (writers_xct.write(folder, c), c) for name, c in cameras.items()}


def split(camera, values):
    return {k: values[camera.schedule.image_key == k] for k in (PROJECTION, FLAT, DARK)}


def test_an_i13_file_has_the_paths_of_i13(written):
    path, camera = written["i13"]
    assert path.name == "169065.nxs"
    with h5py.File(path, "r") as file:
        frames = file["entry1/tomo_entry/data/data"]
        assert frames.shape == (130, 12, 160)
        assert frames.dtype == np.uint16
        assert frames.chunks == (1, 12, 160)
        keys = file["entry1/tomo_entry/instrument/detector/image_key"][()]
        assert [int((keys == k).sum()) for k in (0, 1, 2)] == [90, 20, 20]
        angle = file["entry1/tomo_entry/data/rotation_angle"]
        assert angle.attrs["units"] == b"deg"
        assert np.array_equal(angle, camera.schedule.angle)
        assert file["entry1/tomo_entry/definition"][0] == b"NXtomo"
        assert np.array_equal(frames[57], camera.frame(57))


@pytest.mark.parametrize(
    "theta", ["entry/imaging_sum/gts_theta_value_set", "entry/imaging.sum/gts_theta.value_set"]
)
def test_a_diad_file_has_the_paths_of_both_spellings(written, theta):
    path, camera = written["diad"]
    assert path.name == "k11-43320.nxs"
    with h5py.File(path, "r") as file:
        assert isinstance(file["entry/imaging"].get("data", getlink=True), h5py.ExternalLink)
        assert file["entry/imaging/data"].shape == (130, 12, 160)
        assert np.array_equal(file[theta], camera.schedule.angle_set)
        assert file[theta][-1] == -270.0
        assert np.array_equal(file["entry/instrument/imaging/image_key"], camera.schedule.image_key)
        assert file["entry/instrument/source/energy"][()] == 3.0
        assert np.array_equal(file["entry/imaging/data"][30], camera.frame(30))
        sums = file["entry/imaging_sum/sum"][()]
        assert sums[30] == camera.frame(30).sum()


def test_the_real_diad_file_links_as_the_twin_does(written, real):
    path, _ = written["diad"]

    def links(name):
        found = {}
        with h5py.File(name, "r", locking=False) as file:
            for group in ("entry/imaging", "entry/imaging_sum", "entry/instrument/imaging"):
                for key in file[group]:
                    link = file[group].get(key, getlink=True)
                    if isinstance(link, h5py.ExternalLink):
                        stem = name.stem
                        found[f"{group}/{key}"] = (link.filename.replace(stem, "*"), link.path)
        return found

    theirs, ours = links(real / "diad_xct" / "k11-18014.nxs"), links(path)
    shared = {k: v for k, v in theirs.items() if k in ours}
    assert len(shared) >= 10
    assert shared == {k: ours[k] for k in shared}


@pytest.mark.parametrize("layout", ["i13", "diad"])
def test_the_readers_open_it(written, layout):
    path, camera = written[layout]
    ds = open_scan(path, sidecar=path.with_suffix(".yaml"))
    schema.validate(ds, schema.SCAN_XCT, by="test")
    scan = camera.scan
    assert float(ds["resolution"]) == scan.pixel_um
    assert float(ds["energy"]) == scan.energy_kev
    senses = [int(ds[n]) for n in ("rotation_sense", "u_sense", "z_sense")]
    assert senses == [scan.rotation_sense, scan.u_sense, scan.z_sense]
    frames = np.stack(list(camera.frames()))
    parts = split(camera, frames)
    for name, key in (("counts", PROJECTION), ("flat", FLAT), ("dark", DARK)):
        assert np.array_equal(ds[name], parts[key])
    angle = camera.schedule.angle if layout == "i13" else camera.schedule.angle_set
    assert np.allclose(ds["angle"], split(camera, angle)[PROJECTION], atol=1e-9)
    times = split(camera, camera.schedule.time)
    assert np.allclose(ds["time"], times[PROJECTION], atol=1e-9)
    assert np.allclose(ds["flat_time"], times[FLAT], atol=1e-9)
    assert ds["u"].values == pytest.approx((np.arange(160) - 79.5) * scan.pixel_um)


def test_a_lost_link_is_named(written, tmp_path):
    path, _ = written["diad"]
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    sidecar = path.with_suffix(".yaml")
    beside = tmp_path / path.stem
    beside.mkdir()
    for kept in ("EtherCAT", "pcompPanda"):
        name = f"{path.stem}-{kept}.h5"
        (beside / name).write_bytes((path.with_suffix("") / name).read_bytes())
    ds = open_scan(copy, sidecar=sidecar)
    with pytest.raises(LinkError, match=r"k11-43320-imaging\.h5"):
        ds["counts"].load()


def test_generate_writes_the_same_data_twice_and_in_slabs(tmp_path):
    told = []
    wanted = ["i13-0.325um", "truth"]
    first = generate(tmp_path / "a", preset="tiny", seed=3, only=wanted, workers=2,
                     progress=lambda *a: told.append(a))  # fmt: skip
    second = generate(tmp_path / "b", preset="tiny", seed=3, only=wanted[:1], workers=1)
    slab = generate(tmp_path / "c", preset="tiny", seed=3, only=wanted[:1], rows=4)
    assert told[129] == ("i13-0.325um", 130, 130)
    assert told[-1] == ("truth", 1, 1)
    assert filecmp.cmp(first / "169065.nxs", second / "169065.nxs", shallow=False)
    name = "entry1/tomo_entry/data/data"
    with h5py.File(first / "169065.nxs") as whole, h5py.File(slab / "169065.nxs") as part:
        assert np.array_equal(whole[name][:, 4:8], part[name])
    assert sorted(p.name for p in slab.iterdir()) == ["169065.nxs", "169065.yaml"]
    nodes = {"sample", "joint/truth"} | {
        f"xct/i13-0.325um/{n}" for n in ("mount", "frames", "stripes")
    }
    assert nodes <= set(store.nodes(first / "truth.zarr"))


def test_generate_says_what_is_wrong(tmp_path):
    with pytest.raises(UnknownNameError, match="there is no preset 'medium'"):
        generate(tmp_path, preset="medium")
    with pytest.raises(UnknownNameError, match="there is no part of the twin 'xrd'") as error:
        generate(tmp_path, preset="tiny", only=["xrd"])
    assert "did you mean 'xrdct'?" in str(error.value)
    with pytest.raises(ArgumentError, match="at least one row and one worker"):
        generate(tmp_path, preset="tiny", rows=0)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(ArgumentError, match="file is not a folder"):
        generate(tmp_path / "file", preset="tiny")
