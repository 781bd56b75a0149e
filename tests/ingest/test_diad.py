"""DIAD: tomographies and diffraction scans, with linked files there and missing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from tests.ingest.files import KEYS, diad_xct, diad_xrdct, forbid_reading, frames, put
from zeoarray import lazy, schema
from zeoarray.errors import ArgumentError, LinkError, MissingMetadataError, SourceError
from zeoarray.ingest import diad
from zeoarray.ingest.reader import Options

KEY = np.array(KEYS)
ALL = frames(len(KEYS))
GROUP = "entry/diffraction"


def xct(path: Path, **options: Any) -> xr.Dataset:
    ds = diad.read_xct(path, Options(**({"pixel_size": 0.54} | options)))
    schema.validate(ds, schema.SCAN_XCT, by="test")
    return ds


def xrdct(path: Path, **options: Any) -> xr.Dataset:
    ds = diad.read_xrdct(path, Options(**({"beam_size": 25} | options)))
    schema.validate(ds, schema.SCAN_XRDCT, by="test")
    return ds


def noted(ds: xr.Dataset, text: str) -> bool:
    return any(text in note for note in ds.attrs["notes"])


# --- tomography --------------------------------------------------------------------------------
def test_a_whole_tomography(tmp_path: Path) -> None:
    path = diad_xct(tmp_path)
    assert diad.recognise_xct(path)
    assert not diad.recognise_xrdct(path)
    ds = xct(path)
    np.testing.assert_array_equal(ds.counts, ALL[KEY == 0])
    np.testing.assert_array_equal(ds.dark, ALL[KEY == 2])
    np.testing.assert_allclose(ds.angle, [50, 60, 70, 80])
    assert ds.angle.attrs["from"] == "entry/imaging_sum/gts_theta_value_set"
    assert float(ds.exposure) == 0.02
    assert "energy" not in ds.coords
    parts = tmp_path.resolve() / "k11-18"
    assert ds.attrs["source"] == [
        str(path), str(parts / "k11-18-imaging.h5"), str(parts / "k11-18-EtherCAT.h5")
    ]  # fmt: skip


def test_the_ring_current_of_a_tomography(tmp_path: Path) -> None:
    path = diad_xct(tmp_path)
    current = 300 - 0.1 * np.arange(len(KEY))
    with h5py.File(path, "a") as file:
        put(file, "entry/imaging_sum/RingCurrent", current, "mA")
    ds = xct(path)
    np.testing.assert_allclose(ds.ring_current, current[KEY == 0])
    np.testing.assert_allclose(ds.flat_ring_current, current[KEY == 1])
    assert ds.flat_ring_current.attrs["units"] == "mA"


def test_angles_are_taken_from_the_first_link_that_can_be_followed(tmp_path: Path) -> None:
    ds = xct(diad_xct(tmp_path, leave_out=["EtherCAT"]))
    np.testing.assert_allclose(ds.angle, [55, 65, 75, 85])
    assert ds.angle.attrs["from"] == "entry/imaging_sum/gts_theta_value"
    assert noted(ds, "k11-18-EtherCAT.h5::entry/detector/gts_theta_set, no such file")


def test_without_its_frames_a_tomography_opens(tmp_path: Path) -> None:
    ds = xct(diad_xct(tmp_path, leave_out=["imaging"]))
    assert ds.counts.shape == (4, 0, 0)
    np.testing.assert_allclose(ds.flat_time, 0.02 * np.flatnonzero(KEY == 1))
    assert [m["variable"] for m in ds.attrs["missing"]] == ["counts", "flat", "dark"]
    for name in ("counts", "flat", "dark"):
        with pytest.raises(LinkError) as caught:
            ds[name].load()
        assert "/entry/imaging/data -> k11-18/k11-18-imaging.h5" in str(caught.value)


def test_without_any_angle_a_tomography_says_which_link_is_missing(tmp_path: Path) -> None:
    path = diad_xct(tmp_path, leave_out=["EtherCAT", "pcompPanda"])
    with pytest.raises(SourceError) as caught:
        xct(path)
    assert "k11-18-EtherCAT.h5" in str(caught.value)
    assert "--angles FILE" in str(caught.value)
    np.testing.assert_allclose(xct(path, angles=(1, 2, 3, 4)).angle, [1, 2, 3, 4])


def test_a_tomography_that_was_moved(tmp_path: Path) -> None:
    diad_xct(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "k11-18").rename(tmp_path / "elsewhere/k11-18")
    (tmp_path / "nexus").mkdir()
    path = (tmp_path / "k11-18.nxs").rename(tmp_path / "nexus/k11-18.nxs")
    with pytest.raises(SourceError, match="cannot be found"):
        xct(path)
    ds = xct(path, link_root={"k11-18": str(tmp_path / "elsewhere/k11-18")})
    np.testing.assert_array_equal(ds.counts, ALL[KEY == 0])


def test_other_frames_of_a_tomography(tmp_path: Path) -> None:
    path = diad_xct(tmp_path)
    with h5py.File(path, "a") as file:
        file["entry/other/data"] = ALL + 1
    np.testing.assert_array_equal(xct(path, dataset="entry/other/data").flat, (ALL + 1)[KEY == 1])
    with pytest.raises(SourceError, match="did you mean 'entry/other/data'"):
        xct(path, dataset="entry/othr/data")
    with pytest.raises(MissingMetadataError, match="pixel size"):
        xct(path, pixel_size=None)


# --- diffraction -------------------------------------------------------------------------------
def test_a_grid_of_frames_becomes_a_list(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs", up=0.1)
    assert diad.recognise_xrdct(path)
    assert not diad.recognise_xct(path)
    ds = xrdct(path)
    assert ds.counts.dims == ("frame", "det_y", "det_x")
    np.testing.assert_array_equal(ds.counts, frames(12))
    np.testing.assert_allclose(ds.angle, np.repeat([0, 90, 180, 270], 3))
    np.testing.assert_allclose(ds.u, np.tile([0, 25, 50], 4))
    np.testing.assert_allclose(ds.z, np.full(12, 100))
    np.testing.assert_allclose(ds.ring_current, 300 - 0.1 * np.arange(12))
    np.testing.assert_allclose(ds.monitor, 1e5 + np.arange(12))
    assert float(ds.exposure) == 10
    assert float(ds.resolution) == 25
    assert float(ds.beam_size) == 25
    assert "energy" not in ds.coords
    assert int(ds.u_sense) == 1
    for name, variable in ds.variables.items():
        assert variable.attrs.get("units"), name
        assert variable.attrs.get("long_name"), name


@pytest.mark.parametrize("at", [0, 5, slice(2, 8), slice(None, None, 5), [11, 3, 3, 0], []])
def test_frames_are_read_where_they_are_asked_for(tmp_path: Path, at: Any) -> None:
    steps = np.arange(12).reshape(2, 2, 3)
    ds = xrdct(diad_xrdct(tmp_path / "k11.nxs", grid=(2, 2, 3), theta=steps, across=steps / 1e3))
    np.testing.assert_array_equal(
        ds.counts.isel(frame=at, det_x=slice(1, 4)), frames(12)[at, :, 1:4]
    )


def test_opening_reads_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs")
    with h5py.File(path, "a") as file:
        del file[f"{GROUP}/data"], file[f"{GROUP}/RingCurrent"], file[f"{GROUP}/I0"]
        shape = (80, 40, 1679, 1475)
        file.create_dataset(f"{GROUP}/data", shape, "i4", chunks=(1, 1, 1679, 1475))
        put(file, f"{GROUP}/gts_cs_theta", np.linspace(0, 360, 80), "deg")
        put(file, f"{GROUP}/kb_cs_x", np.arange(40) * 0.025, "mm")
    forbid_reading(monkeypatch)
    xrdct(path)
    diad.read_xrdct(path, Options(beam_size=25))
    ds = diad.read_xrdct(path, Options(beam_size=25))
    assert ds.counts.shape == (3200, 1679, 1475)
    assert lazy.chunked(ds).counts.chunks[1:] == ((1679,), (1475,))
    with pytest.raises(AssertionError, match="was read"):
        ds.counts[0].load()


def test_a_flat_list_of_frames(tmp_path: Path) -> None:
    path = diad_xrdct(
        tmp_path / "k11.nxs", grid=(6,), theta=np.arange(6.0), across=np.arange(6) / 1e3
    )
    ds = xrdct(path)
    np.testing.assert_array_equal(ds.counts, frames(6))
    np.testing.assert_allclose(ds.angle, np.arange(6))
    np.testing.assert_allclose(ds.u, np.arange(6))


def test_a_snake_stays_where_the_motors_say(tmp_path: Path) -> None:
    across = np.array([[0, 1, 2], [2, 1, 0]]) / 1e3
    theta = np.array([[0.0] * 3, [90.0] * 3])
    ds = xrdct(diad_xrdct(tmp_path / "k11.nxs", grid=(2, 3), theta=theta, across=across))
    np.testing.assert_allclose(ds.u, [0, 1, 2, 2, 1, 0])


def test_a_scan_that_lacks_a_rotation(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs", grid=(3, 3), theta=np.array([0.0, 90, 180, 270]))
    ds = xrdct(path)
    np.testing.assert_allclose(ds.angle, np.repeat([0, 90, 180], 3))
    assert noted(ds, "has (4,) positions for (3,) scan points")


def test_frames_that_were_never_taken_are_left_out(tmp_path: Path) -> None:
    theta = np.repeat([[0.0], [90], [180], [np.nan]], 3, axis=1)
    theta[2, 1:] = np.nan
    across = np.where(np.isnan(theta), np.nan, np.arange(3) / 1e3)
    ds = xrdct(diad_xrdct(tmp_path / "k11.nxs", theta=theta, across=across))
    np.testing.assert_array_equal(ds.counts, frames(12)[:7])
    np.testing.assert_allclose(ds.monitor, 1e5 + np.arange(7))
    assert noted(ds, "5 of 12 frames are left out: they have no position")
    never = diad_xrdct(tmp_path / "never.nxs", theta=np.full((4, 3), np.nan), across=across)
    with pytest.raises(SourceError, match="no frame has a position"):
        xrdct(never)


def test_frames_to_ignore_and_those_that_are_no_projections(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs")
    with h5py.File(path, "a") as file:
        file["entry/instrument/diffraction/image_key"] = np.r_[1, np.zeros(11, int)].reshape(4, 3)
    ds = xrdct(path, ignore=(1, 11))
    np.testing.assert_array_equal(ds.counts, frames(12)[2:11])
    assert noted(ds, "1 of 10 frames are left out: the image_key")


def test_positions_that_moved_are_taken_before_those_that_rest(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs", across=np.zeros(3))
    with h5py.File(path, "a") as file:
        put(file, f"{GROUP}/gts_cs_x", np.array([0, 0.05, 0.1]), "mm")
        file[GROUP].attrs["gts_cs_x_indices"] = 1
    ds = xrdct(path)
    np.testing.assert_allclose(ds.u[:3], [0, 50, 100])
    assert int(ds.u_sense) == -1
    assert noted(ds, "u is the position of the sample, not the beam: u_sense is -1")
    assert int(xrdct(path, u_sense=1).u_sense) == 1


def test_what_was_read_back_goes_before_what_was_asked_for(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs")
    with h5py.File(path, "a") as file:
        put(file, f"{GROUP}/kb_cs_x_value_set", np.array([0, 0.5, 1.0]), "mm")
        file[GROUP].attrs["kb_cs_x_value_set_indices"] = [1]
    np.testing.assert_allclose(xrdct(path).u[:3], [0, 25, 50])
    with h5py.File(path, "a") as file:
        del file[f"{GROUP}/kb_cs_x"]
    np.testing.assert_allclose(xrdct(path).u[:3], [0, 500, 1000])


def test_the_height_of_the_stage_before_the_scan(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs")
    assert noted(xrdct(path), "no height is stated; it is 0")
    with h5py.File(path, "a") as file:
        put(file, "entry/instrument/gts/gts_y", 25.5, "mm")
    ds = xrdct(path)
    np.testing.assert_allclose(ds.z, np.full(12, 25500))
    assert int(ds.z_sense) == -1


def test_mirror_positions_in_pixels_of_the_camera(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs", across=np.array([1200.0, 1280, 1360]))
    with pytest.raises(MissingMetadataError, match="--pixel-size"):
        xrdct(path)
    ds = xrdct(path, pixel_size=0.5)
    np.testing.assert_allclose(ds.u[:3], [600, 640, 680])
    assert noted(ds, "it is taken as pixels of the imaging camera, of 0.5 um")
    path = diad_xrdct(tmp_path / "px.nxs", units="pixel")
    np.testing.assert_allclose(xrdct(path, pixel_size=2).u[:3], [0, 0.05, 0.1])


def test_units_that_are_missing_or_wrong(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs", units=None)
    ds = xrdct(path)
    np.testing.assert_allclose(ds.u[:3], [0, 25, 50])
    assert noted(ds, "kb_cs_x has no units; taken as mm")
    with h5py.File(path, "a") as file:
        file[f"{GROUP}/gts_cs_theta"].attrs["units"] = "mm"
    with pytest.raises(SourceError) as caught:
        xrdct(path)
    assert "positions of angle cannot be found" in str(caught.value)
    assert "says its units are 'mm'" in str(caught.value)
    np.testing.assert_allclose(xrdct(path, angles=(1, 2, 3, 4)).angle[::3], [1, 2, 3, 4])


def test_angles_that_are_given(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs")
    np.testing.assert_allclose(xrdct(path, angles=(4, 3, 2, 1)).angle[::3], [4, 3, 2, 1])
    np.testing.assert_allclose(xrdct(path, angles=tuple(range(12))).angle, np.arange(12))
    (tmp_path / "angles.txt").write_text("0\n10\n20\n30\n", encoding="utf-8")
    ds = xrdct(path, angles=tmp_path / "angles.txt")
    np.testing.assert_allclose(ds.angle[::3], [0, 10, 20, 30])
    assert str(tmp_path / "angles.txt") in ds.attrs["source"]
    with pytest.raises(SourceError, match="positions of angle do not fit the frames"):
        xrdct(path, angles=(1, 2))


def test_a_height_that_claims_to_be_an_angle(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs", up=1.0)
    with h5py.File(path, "a") as file:
        file[f"{GROUP}/kb_cs_y"].attrs["units"] = "deg"
    with pytest.raises(SourceError, match="positions of z cannot be found"):
        xrdct(path)


def test_a_monitor_may_be_in_any_unit(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs")
    with h5py.File(path, "a") as file:
        file[f"{GROUP}/I0"].attrs["units"] = "volts"
    np.testing.assert_allclose(xrdct(path).monitor, 1e5 + np.arange(12))


def test_a_motor_at_rest_does_not_stand_for_one_out_of_reach(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs")
    with h5py.File(path, "a") as file:
        put(file, f"{GROUP}/gts_cs_x", 0.0, "mm")
        file[f"{GROUP}/kb_cs_x_value_set"] = h5py.ExternalLink("lost.h5", "/x")
    np.testing.assert_allclose(xrdct(path).u[:3], [0, 25, 50])
    with h5py.File(path, "a") as file:
        del file[f"{GROUP}/kb_cs_x"]
    with pytest.raises(SourceError, match=r"lost\.h5::/x, no such file"):
        xrdct(path)


def test_a_reading_that_fits_no_frame_is_left_out(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs")
    with h5py.File(path, "a") as file:
        put(file, f"{GROUP}/RingCurrent", np.zeros(7), "mA")
    ds = xrdct(path)
    assert "ring_current" not in ds.variables
    assert noted(ds, "ring_current: entry/diffraction/RingCurrent of the shape (7,) does not fit")


def linked(tmp_path: Path) -> Path:
    """A scan whose frames and motors lie in other files, which are not there."""
    path = diad_xrdct(tmp_path / "k11-43322.nxs", up=0.0)
    with h5py.File(path, "a") as file:
        del file[f"{GROUP}/data"], file[f"{GROUP}/RingCurrent"]
        file[f"{GROUP}/data"] = h5py.ExternalLink("k11-43322/k11-43322-pilatus.h5", "/entry/data")
        file[f"{GROUP}/RingCurrent"] = h5py.ExternalLink("k11-43322/panda.h5", "/entry/current")
    return path


def test_without_its_frames_a_scan_opens(tmp_path: Path) -> None:
    ds = xrdct(linked(tmp_path))
    assert ds.counts.shape == (12, 0, 0)
    np.testing.assert_allclose(ds.u, np.tile([0, 25, 50], 4))
    assert ds.attrs["missing"][0]["target"] == "k11-43322/k11-43322-pilatus.h5"
    assert noted(ds, "panda.h5::/entry/current, no such file")
    for load in (ds.counts[3].load, pickle.loads(pickle.dumps(ds.counts)).load):
        with pytest.raises(LinkError, match=r"k11-43322-pilatus\.h5"):
            load()


def test_without_its_motors_a_scan_says_which_link_is_missing(tmp_path: Path) -> None:
    path = linked(tmp_path)
    with h5py.File(path, "a") as file:
        del file[f"{GROUP}/kb_cs_x"]
        file[f"{GROUP}/kb_cs_x"] = h5py.ExternalLink("k11-43322/kb.h5", "/x")
    with pytest.raises(SourceError) as caught:
        xrdct(path)
    assert "positions of u cannot be found" in str(caught.value)
    assert "k11-43322/kb.h5::/x, no such file" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"beam_size": None}, "--beam-size '25 um'"),
        ({"ignore": (12,)}, "0 to 11"),
        ({"dataset": "entry/diffraction/dta"}, "did you mean 'entry/diffraction/data'?"),
        ({"dataset": f"{GROUP}/I0"}, "is not a stack of images"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises((ArgumentError, SourceError)) as caught:
        xrdct(diad_xrdct(tmp_path / "k11.nxs"), **options)
    assert said in str(caught.value)


def test_frames_that_hold_nothing(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs")
    with h5py.File(path, "a") as file:
        put(file, f"{GROUP}/data", np.zeros((4, 0, 5, 7)))
    with pytest.raises(SourceError, match="holds nothing"):
        xrdct(path)


def test_positions_that_could_belong_to_either_axis(tmp_path: Path) -> None:
    path = diad_xrdct(tmp_path / "k11.nxs", grid=(3, 3))
    with h5py.File(path, "a") as file:
        del file[GROUP].attrs["kb_cs_x_indices"]
    with pytest.raises(SourceError, match="positions of u do not fit the frames"):
        xrdct(path)


def test_a_scan_pickles_and_reads_elsewhere(tmp_path: Path) -> None:
    ds = xrdct(diad_xrdct(tmp_path / "k11.nxs"))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ds)).counts, frames(12))
    np.testing.assert_array_equal(lazy.chunked(ds).counts.compute(), frames(12))


# --- the real file -----------------------------------------------------------------------------
@pytest.mark.real
def test_a_real_tomography(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = real / "diad_xct/k11-18014.nxs"
    folder = path.with_suffix("")
    with h5py.File(folder / "k11-18014-imaging.h5", "r") as file:
        images = file["entry/detector/detector"][()]
    with h5py.File(folder / "k11-18014-pcompPanda.h5", "r") as file:
        theta = file["entry/gts_theta.value/gts_theta.value"][()]
    assert diad.recognise_xct(path)
    assert not diad.recognise_xrdct(path)
    ds = xct(path, crop={"z": (3, 20)})
    np.testing.assert_array_equal(ds.counts[::100], images[100:3101:100, 3:20])
    np.testing.assert_array_equal(ds.flat, np.r_[images[:50], images[3101:3151]][:, 3:20])
    np.testing.assert_array_equal(ds.dark, np.r_[images[50:100], images[3151:]][:, 3:20])
    np.testing.assert_array_equal(ds.angle, theta[100:3101])
    assert float(ds.angle[0]) == pytest.approx(89.995, abs=1e-3)
    assert float(ds.angle[-1]) == pytest.approx(269.995, abs=1e-3)
    assert float(ds.exposure) == 0.02
    np.testing.assert_allclose(ds.flat_time[[0, 49, 50]], 0.02 * np.array([0, 49, 3101]))
    assert "energy" not in ds.coords
    assert noted(ds, "gts_theta_value is taken, for entry/imaging_sum/gts_theta_value_set")
    assert len(ds.attrs["source"]) == 3
    with pytest.raises(MissingMetadataError, match="pixel size"):
        xct(path, pixel_size=None)
    forbid_reading(monkeypatch)
    xct(path)
