"""Pencil-beam scans of I18: frames at motor positions, and sinograms of single numbers."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from tests.ingest.files import forbid_reading, put
from tests.ingest.files import pencil as written
from zeoarray import lazy, schema
from zeoarray.errors import LinkError, MissingMetadataError, SourceError
from zeoarray.ingest import pencil, scan
from zeoarray.ingest.reader import Options

STXM = "entry1/stxm_entry"
XRD = "entry1/xrd_entry"


def opened(path: Path, **options: Any) -> xr.Dataset:
    return pencil.read(path, Options(**({"beam_size": 5} | options)))


def noted(ds: xr.Dataset, text: str) -> bool:
    return any(text in note for note in ds.attrs["notes"])


# --- sinograms of single numbers ---------------------------------------------------------------
def test_one_number_a_point_is_a_sinogram(tmp_path: Path) -> None:
    path = written(tmp_path / "mm.nxs")
    assert pencil.recognise(path)
    ds = opened(path)
    values = np.arange(24.0).reshape(3, 2, 4)
    assert ds.intensity.dims == ("z", "angle", "u")
    np.testing.assert_array_equal(ds.intensity, values.transpose(1, 0, 2))
    np.testing.assert_array_equal(ds.monitor, 1e5 + values.transpose(1, 0, 2))
    np.testing.assert_array_equal(ds.angle, [-42, 63, 0])
    np.testing.assert_allclose(ds.u, [-850, -848, -846, -844])
    np.testing.assert_allclose(ds.z, [13600, 13605])
    assert float(ds.energy) == 17
    assert float(ds.resolution) == 5
    for name, variable in ds.variables.items():
        assert variable.attrs.get("units"), name
        assert variable.attrs.get("long_name"), name


def test_one_height_is_a_scalar(tmp_path: Path) -> None:
    ds = opened(written(tmp_path / "one.nxs", heights=None))
    assert ds.intensity.dims == ("angle", "u")
    assert ds.z.ndim == 0
    assert noted(ds, "no height is stated; it is 0")
    ds = opened(written(tmp_path / "row.nxs", heights=1))
    assert ds.intensity.dims == ("angle", "u")
    np.testing.assert_array_equal(ds.intensity, np.arange(12.0).reshape(3, 4))
    np.testing.assert_array_equal(ds.monitor, 1e5 + np.arange(12.0).reshape(3, 4))
    assert float(ds.z) == pytest.approx(13600)


def test_the_sample_moves_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    path = written(tmp_path / "mm.nxs")
    ds = opened(path)
    assert (int(ds.u_sense), int(ds.z_sense)) == (-1, -1)
    ds = opened(path, u_sense=1)
    assert (int(ds.u_sense), int(ds.z_sense)) == (1, -1)


def test_a_sense_that_was_given_is_kept_where_a_scan_is_opened_again(tmp_path: Path) -> None:
    path = written(tmp_path / "mm.nxs")
    ds = scan.open_scan(path, {"beam_size": "5 um", "u_sense": 1})
    assert ds.attrs["request"]["options"]["u_sense"] == 1
    assert int(scan.open_scan(path, ds.attrs["request"]["options"]).u_sense) == 1


def test_patterns_are_a_sinogram_with_q(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nxs", definition="NXxrd", trailing=(6,), entry=XRD)
    with pytest.raises(SourceError, match="patterns without an axis that says their q"):
        opened(path)
    with h5py.File(path, "a") as file:
        put(file, f"{XRD}/data/q", np.linspace(10, 35, 6), "1/nm")
    ds = opened(path)
    schema.validate(ds, schema.SINOGRAM, by="test")
    assert ds.intensity.dims == ("z", "angle", "u", "q")
    np.testing.assert_array_equal(
        ds.intensity, np.arange(144.0).reshape(3, 2, 4, 6).transpose(1, 0, 2, 3)
    )
    np.testing.assert_allclose(ds.q, np.linspace(1, 3.5, 6))


def test_a_sinogram_is_lazy_and_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "mm.nxs")
    ds = pickle.loads(pickle.dumps(opened(path)))
    expected = np.arange(24.0).reshape(3, 2, 4).transpose(1, 0, 2)
    np.testing.assert_array_equal(ds.intensity[1, :, 2:], expected[1, :, 2:])
    np.testing.assert_array_equal(lazy.chunked(ds).intensity.compute(), expected)
    forbid_reading(monkeypatch)
    opened(path)
    ds = opened(path)
    with pytest.raises(AssertionError, match="was read"):
        ds.intensity.load()


def test_positions_that_are_on_no_grid(tmp_path: Path) -> None:
    path = written(tmp_path / "mm.nxs")
    x = np.array([[0, 1, 2, 3], [0.5, 1.5, 2.5, 3.5]]) / 1e3
    with h5py.File(path, "a") as file:
        put(file, f"{STXM}/data/x", x, "mm")
    with pytest.raises(SourceError) as caught:
        opened(path)
    assert "x is not a position along one axis of the scan" in str(caught.value)
    assert "varies by up to 0.25 um where it should rest" in str(caught.value)


def test_a_column_without_a_position(tmp_path: Path) -> None:
    path = written(tmp_path / "mm.nxs")
    with h5py.File(path, "a") as file:
        put(file, f"{STXM}/data/x", np.array([[np.nan, 1, 2, 3], [np.nan, 1, 2, 3]]), "mm")
    with pytest.raises(SourceError, match="1 of 4 positions of u are not known") as caught:
        opened(path)
    assert "integrate the frames" in str(caught.value)


def test_positions_that_tremble_are_on_a_grid(tmp_path: Path) -> None:
    path = written(tmp_path / "mm.nxs")
    x = np.array([[0, 1, 2, 3], [0.01, 1.01, 2.01, 3.01]])
    with h5py.File(path, "a") as file:
        put(file, f"{STXM}/data/x", x, "um")
    np.testing.assert_allclose(opened(path).u, [0.005, 1.005, 2.005, 3.005])


def test_a_scan_that_does_not_translate(tmp_path: Path) -> None:
    path = written(tmp_path / "mm.nxs")
    with h5py.File(path, "a") as file:
        put(file, f"{STXM}/data/x", np.zeros((2, 4)), "mm")
    with pytest.raises(SourceError, match="no scan that rotates and translates"):
        opened(path)


def test_a_monitor_of_another_shape_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "mm.nxs")
    with h5py.File(path, "a") as file:
        put(file, f"{STXM}/monitor/data", np.zeros((3, 5)))
    ds = opened(path)
    assert "monitor" not in ds
    assert noted(ds, "monitor: its shape (3, 5) is not that of the scan (3, 2, 4)")


# --- frames ------------------------------------------------------------------------------------
def test_frames_are_a_list_at_motor_positions(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nxs", definition="NXxrd", trailing=(5, 6), entry=XRD)
    ds = opened(path)
    schema.validate(ds, schema.SCAN_XRDCT, by="test")
    np.testing.assert_array_equal(ds.counts, np.arange(720.0).reshape(24, 5, 6))
    np.testing.assert_allclose(ds.angle, np.repeat([-42, 63, 0], 8))
    np.testing.assert_allclose(ds.u, np.tile([-850, -848, -846, -844], 6))
    np.testing.assert_allclose(ds.z, np.tile(np.repeat([13600, 13605], 4), 3))
    np.testing.assert_allclose(ds.monitor, 1e5 + np.arange(24))


def test_frames_of_one_height(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nxs", definition="NXxrd", trailing=(5, 6), entry=XRD, heights=None)
    ds = opened(path)
    np.testing.assert_allclose(ds.z, np.zeros(12))
    assert int(ds.z_sense) == 1
    assert noted(ds, "no height is stated; it is 0")


def test_frames_go_before_sinograms_and_the_choice_is_said(tmp_path: Path) -> None:
    path = written(tmp_path / "mm.nxs")
    written(path, definition="NXxrd", trailing=(5, 6), entry=XRD)
    written(path, definition="NXfluo", trailing=(9,), entry="entry1/fluo_entry")
    ds = opened(path)
    assert "counts" in ds
    assert noted(ds, f"/{STXM} (NXstxm), /entry1/fluo_entry (NXfluo, spectra)")
    for name in (STXM, f"/{STXM}/data/data"):
        assert "intensity" in opened(path, dataset=name)
    with pytest.raises(SourceError) as caught:
        opened(path, dataset="entry1/stxm")
    assert "did you mean" in str(caught.value)


def test_a_signal_that_links_nowhere_is_taken_from_the_detector(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nxs", definition="NXxrd", trailing=(5, 6), entry=XRD)
    with h5py.File(path, "a") as file:
        file.move(f"{XRD}/data/data", f"{XRD}/instrument/detector/data")
        file[f"{XRD}/data/data"] = h5py.SoftLink(f"{XRD}/instrument/detector/data")
    ds = opened(path)
    np.testing.assert_array_equal(ds.counts, np.arange(720.0).reshape(24, 5, 6))
    assert noted(ds, "its target is not in the file")


@pytest.mark.parametrize(
    ("definition", "variable", "shape"),
    [("NXxrd", "counts", (24, 0, 0)), ("NXstxm", "intensity", (2, 3, 4))],
)
def test_a_missing_signal_opens_and_raises_when_touched(
    tmp_path: Path, definition: str, variable: str, shape: tuple[int, ...]
) -> None:
    path = written(tmp_path / "a.nxs", definition=definition)
    with h5py.File(path, "a") as file:
        del file[f"{STXM}/data/data"]
        file[f"{STXM}/data/data"] = h5py.ExternalLink("lost.h5", "/d")
    ds = opened(path)
    assert ds[variable].shape == shape
    assert ds.attrs["missing"][0]["variable"] == variable
    with pytest.raises(LinkError, match=r"lost\.h5"):
        ds[variable][:1].load()


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("data", None, "has no dataset"),
        ("data", np.zeros((3, 2, 4, 5, 6, 7)), "neither frames, patterns nor one number"),
        ("data", np.zeros((3, 2, 4, 0, 6)), "holds nothing"),
        ("x", np.zeros((5, 5)), "no scan that rotates and translates"),
        ("theta", np.full(3, np.nan), "no frame has a position"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(
    tmp_path: Path, name: str, values: Any, said: str
) -> None:
    trailing = (5, 6) if name == "theta" else ()
    path = written(tmp_path / "a.nxs", definition="NXxrd", trailing=trailing)
    with h5py.File(path, "a") as file:
        if values is None:
            del file[f"{STXM}/data/{name}"]
        else:
            put(file, f"{STXM}/data/{name}", values, "mm" if name == "x" else None)
    with pytest.raises(SourceError) as caught:
        opened(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_beam_size_is_needed(tmp_path: Path) -> None:
    with pytest.raises(MissingMetadataError, match="--beam-size"):
        opened(written(tmp_path / "a.nxs"), beam_size=None)


def test_other_files_are_not_recognised(tmp_path: Path) -> None:
    assert not pencil.recognise(written(tmp_path / "a.nxs", definition="NXfluo"))
    (tmp_path / "b.nxs").write_text("no", encoding="utf-8")
    assert not pencil.recognise(tmp_path / "b.nxs")


# --- the real files ----------------------------------------------------------------------------
@pytest.mark.real
def test_a_real_sinogram(real: Path) -> None:
    path = real / "i18_pencil_beam/mm.nxs"
    with h5py.File(path, "r", locking=False) as file:
        group = file[f"{STXM}/data"]
        data, theta, x, y = (group[n][()] for n in ("data", "theta", "x", "y"))
        monitor = file[f"{STXM}/monitor/data"][()]
    ds = opened(path, dataset=STXM)
    assert ds.sizes == {"z": 7, "angle": 52, "u": 101}
    np.testing.assert_array_equal(ds.intensity, data.transpose(1, 0, 2))
    np.testing.assert_array_equal(ds.monitor, monitor.transpose(1, 0, 2))
    np.testing.assert_allclose(ds.angle, theta)
    np.testing.assert_allclose(ds.u, 1e3 * x[0])
    np.testing.assert_allclose(ds.z, 1e3 * y[:, 0])
    assert not np.all(np.diff(ds.angle) > 0)
    assert float(ds.energy) == pytest.approx(17.0, abs=1e-4)
    assert noted(ds, "contradicts its energy")


@pytest.mark.real
def test_a_real_sinogram_of_one_height(real: Path) -> None:
    path = real / "i18_pencil_beam/stxm_single_sino.nxs"
    ds = opened(path)
    with h5py.File(path, "r", locking=False) as file:
        np.testing.assert_array_equal(ds.intensity, file[f"{STXM}/data/data"][()])
        np.testing.assert_allclose(ds.u, 1e3 * file[f"{STXM}/data/x"][()])
    assert ds.intensity.dims == ("angle", "u")
    assert noted(ds, "x has no units; taken as mm")


@pytest.mark.real
@pytest.mark.parametrize("name", ["mm.nxs", "xrd_test.nxs"])
def test_real_frames(real: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = real / "i18_pencil_beam" / name
    with h5py.File(path, "r", locking=False) as file:
        data = file[f"{XRD}/instrument/detector/data"][()]
        monitor = file[f"{XRD}/monitor/data"][()]
    ds = opened(path)
    schema.validate(ds, schema.SCAN_XRDCT, by="test")
    np.testing.assert_array_equal(ds.counts, data.reshape(8, 100, 1000))
    np.testing.assert_allclose(ds.monitor, monitor.ravel())
    np.testing.assert_allclose(ds.angle, np.repeat([-42, 63], 4))
    np.testing.assert_allclose(ds.u, np.tile([-850, -848.0198], 4))
    np.testing.assert_allclose(ds.z, np.tile(np.repeat([13600, 13605], 2), 2))
    assert noted(ds, "distance: /entry1/xrd_entry/instrument/detector/distance has no units")
    forbid_reading(monkeypatch)
    opened(path)
