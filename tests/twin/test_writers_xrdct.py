"""XRD-CT files: opened by the paper's own paths, by pyFAI, and by the project's readers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import fabio
import h5py
import hdf5plugin  # noqa: F401  registers bitshuffle
import numpy as np
import pyFAI
import pytest

from tests.twin.matter import FLAT, Cylinders, plan
from zeoarray.errors import ArgumentError
from zeoarray.ingest import dawn, diad
from zeoarray.ingest.reader import Options
from zeoarray.twin import faujasite, writers_xrdct
from zeoarray.twin.frames import BAD, GAP, LayerFrames
from zeoarray.twin.geometry import Geometry
from zeoarray.twin.scan_xrdct import Layer, Plan
from zeoarray.twin.writers_dawn import q_axis

MATTER = Cylinders((("sodium", 120.0, 40.0, 150.0), ("zinc", -150.0, -60.0, 120.0)))
TILTED = Geometry("Pilatus 100k", 0.350, 0.01677, -0.0207, rot1=-0.0017, rot2=0.0026)
PLAN = plan(
    geometry=TILTED, layers=(Layer(43322, -30.0, (1,)), Layer(43323, 30.0)), rotations=4,
    translations=3, step_um=150.0, snake=True, jitter_um=0.4, lifetime_h=5.0, spots=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> writers_xrdct.Written:
    return writers_xrdct.write_scan(tmp_path_factory.mktemp("xrdct"), PLAN, MATTER, workers=2)


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_raw_file_opens_by_the_papers_paths(written):
    with h5py.File(written.raw[0], locking=False) as file:
        data = file["entry/diffraction/data"]
        assert data.shape == (3, 3, 195, 487)
        assert data.dtype == np.int32
        assert data.chunks == (1, 1, 195, 487)
        frame = LayerFrames(PLAN, MATTER, 0).counts(2, 1)
        np.testing.assert_array_equal(data[2, 1], frame)
        assert (frame == GAP).sum() == 585
        assert (frame == BAD).any()
        angle = file["entry/diffraction/gts_cs_theta"]
        np.testing.assert_array_equal(angle[:, 0], [0, 180, 270])
        assert angle.attrs["units"] == "deg"
        assert file["entry/diffraction/kb_cs_x"].attrs["units"] == "um"
        np.testing.assert_array_equal(file["entry/diffraction/kb_cs_y"][()], -30.0)
        # A snake: rotations 0 and 2 of those planned run forward, 3 backward.
        went = file["entry/diffraction/kb_cs_x_value_set"][()]
        np.testing.assert_array_equal(went[[0, 2]], [[-150, 0, 150], [150, 0, -150]])
        assert np.abs(file["entry/diffraction/kb_cs_x"][()] - went).max() < 3
        sums = np.where(data[()] > 0, data[()], 0).sum((2, 3))
        np.testing.assert_array_equal(file["entry/diffraction_sum/sum"][()], sums)
        assert file["entry/diffraction/RingCurrent"].shape == (3, 3)
        link = file.get("entry/diffraction/data", getlink=True)
        assert link.filename == "k11-43322/k11-43322-diffraction.h5"


def test_names_are_those_of_the_papers_scans(written):
    assert [p.name for p in written.raw] == ["k11-43322.nxs", "k11-43323.nxs"]
    assert [p.name for p in written.reduced] == [
        "k11-43322_processed.nxs",
        "k11-43323_processed.nxs",
    ]


def test_reduced_file_opens_by_the_papers_paths(written):
    with h5py.File(written.reduced[0], locking=False) as file:
        assert file["processed/result/data"].shape == (1, 3, 3, 5000)
        q = file["processed/result/q"]
        assert (q[866], q[871]) == pytest.approx((1.6488, 1.6538), abs=1e-9)
        assert q.attrs["units"] == "1/angstrom"
        np.testing.assert_array_equal(file["processed/result/gts_cs_theta"][()], [0, 180, 270])
        x = file["processed/result/kb_cs_x"][()]
        np.testing.assert_array_equal(x, [-150, 0, 150])
        said = json.loads(file["processed/process/0/data"][()])
        assert said["moving_beam"]


def test_reduced_patterns_are_pyfais_of_the_raw_frames(written):
    """By the .poni and mask files alone, moved to the beam's position by hand."""
    with h5py.File(written.raw[0], locking=False) as file:
        frame = file["entry/diffraction/data"][2, 0]
    with h5py.File(written.reduced[0], locking=False) as file:
        # Row 2 is rotation 3, which ran backward: its first frame is the last position.
        reduced = file["processed/result/data"][0, 2, 2]
    integrator = pyFAI.load(str(written.poni))
    turn = integrator.rotation_matrix()
    across = turn.T @ np.array([-30e-6, 150e-6, 0.0])
    integrator.poni1 += across[0]
    integrator.poni2 += across[1]
    integrator.dist -= across[2]
    pattern = integrator.integrate1d(
        frame, 5000, unit="q_A^-1", radial_range=(0.7823, 5.7823), mask=np.load(written.mask),
        polarization_factor=0.95, method=("bbox", "csr", "cython"),
    )  # fmt: skip
    np.testing.assert_allclose(pattern.radial, q_axis(), atol=1e-5)
    np.testing.assert_allclose(reduced, pattern.intensity, rtol=1e-4, atol=1e-3)


def test_geometry_and_mask_files(written):
    integrator = pyFAI.load(str(written.poni))
    assert integrator.dist == 0.350
    assert integrator.detector.shape == (195, 487)
    assert integrator.detector.orientation == 3
    assert integrator.wavelength * 1e10 == pytest.approx(12.39842 / 23, rel=1e-6)
    mask = np.load(written.mask)
    np.testing.assert_array_equal(fabio.open(str(written.mask.with_suffix(".edf"))).data, mask)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 1}


def _peaks(q, intensity, near, reach=0.004):
    """Position of the maximum near each of `near`, by a parabola through the logarithm."""
    found = []
    for centre in near:
        inside = np.flatnonzero(np.abs(q - centre) < reach)
        k = inside[intensity[inside].argmax()]
        around = slice(k - 3, k + 4)
        curve = np.polyfit(q[around] - q[k], np.log(intensity[around]), 2)
        found.append(q[k] - curve[1] / (2 * curve[0]))
    return np.array(found)


@pytest.mark.parametrize("phase", ["sodium", "zinc"])
def test_pyfai_alone_finds_the_listed_peaks_in_a_written_frame(phase, tmp_path):
    """Within 0.0006 1/angstrom, a tenth of a pixel; 622, a shoulder of 533, within 0.0014."""
    matter = Cylinders(((phase, 0.0, 0.0, 200.0), ("glass", 0.0, 480.0, 15.0)))
    of = plan(geometry=TILTED, translations=1, rotations=1, air_um=3e4, photons_per_s=2e10,
              hot_pixels=0.0)  # fmt: skip
    written = writers_xrdct.write_scan(tmp_path, of, matter, workers=1, reduced=False)
    with h5py.File(written.raw[0], locking=False) as file:
        frame = file["entry/diffraction/data"][0, 0]
    pattern = pyFAI.load(str(written.poni)).integrate1d(
        frame, 3000, unit="q_A^-1", mask=np.load(written.mask), polarization_factor=0.95,
        method=("full", "csr", "cython"),
    )  # fmt: skip
    listed = np.array(faujasite.structure(phase).listed)
    error = np.abs(_peaks(pattern.radial, pattern.intensity, listed) - listed)
    assert (error < np.where(listed == 1.675, 14e-4, 6e-4)).all()


def test_same_seed_gives_the_same_bytes_whoever_does_the_work(written, tmp_path):
    other = writers_xrdct.write_scan(tmp_path, PLAN, MATTER, workers=3)
    assert _digests(tmp_path) == _digests(written.poni.parent)
    assert [p.name for p in other.raw] == [p.name for p in written.raw]


def test_another_seed_gives_other_frames_in_the_same_places(tmp_path):
    one_layer = dataclasses.replace(PLAN, layers=PLAN.layers[1:], rotations=1, translations=2)
    frames = []
    for seed in (1, 2):
        of: Plan = dataclasses.replace(one_layer, seed=seed)
        made = writers_xrdct.write_scan(tmp_path / str(seed), of, MATTER, reduced=False)
        assert made.reduced == ()
        with h5py.File(made.raw[0], locking=False) as file:
            frames.append(file["entry/diffraction/data"][()])
    assert (frames[0] != frames[1]).mean() > 0.5


def test_the_raw_reader_lists_the_frames_with_their_positions(written):
    ds = diad.read_xrdct(written.raw[0], Options(beam_size=25.0))
    assert ds["counts"].sizes == {"frame": 9, "det_y": 195, "det_x": 487}
    motors = PLAN.motors(0)
    np.testing.assert_allclose(ds["angle"], motors["angle"].values.ravel())
    np.testing.assert_allclose(ds["u"], motors["u"].values.ravel(), atol=3)
    np.testing.assert_allclose(ds["z"], -30)
    np.testing.assert_allclose(ds["monitor"], motors["monitor"].values.ravel())
    np.testing.assert_allclose(ds["ring_current"], motors["ring_current"].values.ravel())
    assert float(ds["exposure"]) == 10
    frame = LayerFrames(PLAN, MATTER, 0).counts(1, 2)
    np.testing.assert_array_equal(ds["counts"][5], frame)


def test_the_dawn_reader_labels_the_reduced_layer(written):
    ds = dawn.read(written.reduced[1], Options(beam_size=25.0))
    assert dict(ds["intensity"].sizes) == {"z": 1, "angle": 4, "u": 3, "q": 5000}
    np.testing.assert_allclose(ds["u"], [-150, 0, 150])
    np.testing.assert_allclose(ds["z"], [30])
    np.testing.assert_allclose(ds["angle"], [0, 90, 180, 270])


def test_progress_is_told_and_no_workers_are_refused(tmp_path):
    of = dataclasses.replace(PLAN, layers=PLAN.layers[:1], rotations=2)
    told: list[tuple[int, int]] = []
    writers_xrdct.write_scan(
        tmp_path, of, MATTER, reduced=False, on_frame=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(ArgumentError, match=r"frames need a worker(?s:.*)1 or more"):
        writers_xrdct.write_scan(tmp_path, of, MATTER, workers=0)


def test_the_large_detector_has_its_gaps_in_frame_and_poni(tmp_path):
    large = Geometry("Pilatus CdTe 2M", 0.35, 0.1444, 0.1271)
    of = plan(geometry=large, translations=1, rotations=1)
    made = writers_xrdct.write_scan(tmp_path, of, MATTER, workers=1, reduced=False)
    with h5py.File(made.raw[0], locking=False) as file:
        frame = file["entry/diffraction/data"][0, 0]
    integrator = pyFAI.load(str(made.poni))
    assert frame.shape == (1679, 1475) == integrator.detector.shape
    assert ((frame == GAP) == integrator.detector.mask.astype(bool)).all()
    assert FLAT.detector != large.detector
