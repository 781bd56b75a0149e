"""NXtomo wherever it sits: frames by their key, angles, times, crop, and all that may be wrong."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr

from tests.ingest.files import COLUMNS, KEYS, ROWS, forbid_reading, frames, nxtomo, put
from zeoarray import lazy, schema
from zeoarray.errors import ArgumentError, LinkError, MissingMetadataError, SourceError
from zeoarray.ingest import nexus
from zeoarray.ingest.reader import Options

ENTRY = "entry1/tomo_entry"
DETECTOR = f"{ENTRY}/instrument/detector"
ALL = frames(len(KEYS))
KEY = np.array(KEYS)


def opened(path: Path, **options: Any) -> xr.Dataset:
    ds = nexus.read(path, Options(**options))
    schema.validate(ds, schema.SCAN_XCT, by="test")
    return ds


def noted(ds: xr.Dataset, text: str) -> bool:
    return any(text in note for note in ds.attrs["notes"])


def change(path: Path, **datasets: Any) -> Path:
    """Write other values over datasets of the detector, or over the angles; None leaves one out."""
    with h5py.File(path, "a") as file:
        for name, values in datasets.items():
            place = f"{ENTRY}/sample/rotation_angle" if name == "angle" else f"{DETECTOR}/{name}"
            del file[place]
            if values is not None:
                file[place] = values
    return path


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return nxtomo(tmp_path / "scan.nxs")


def test_frames_are_sorted_by_their_key(scan: Path) -> None:
    assert nexus.recognise(scan)
    ds = opened(scan)
    assert ds.counts.dims == ("angle", "z", "u")
    assert ds.flat.dims == ("flat_frame", "z", "u")
    assert ds.dark.dims == ("dark_frame", "z", "u")
    np.testing.assert_array_equal(ds.counts, ALL[KEY == 0])
    np.testing.assert_array_equal(ds.flat, ALL[KEY == 1])
    np.testing.assert_array_equal(ds.dark, ALL[KEY == 2])
    assert ds.counts.dtype == np.uint16
    np.testing.assert_allclose(ds.angle, (-5 + 10.0 * np.arange(11))[KEY == 0])


def test_every_variable_has_units_and_a_description(scan: Path) -> None:
    ds = opened(scan, energy=19.0, distance=0.05)
    for name, variable in ds.variables.items():
        assert variable.attrs.get("units"), name
        assert variable.attrs.get("long_name"), name
    assert float(ds.energy) == 19.0
    assert float(ds.distance) == 0.05
    assert float(ds.exposure) == pytest.approx(0.4)
    assert float(ds.resolution) == 2.6


def test_the_monitor_is_sorted_with_the_frames(scan: Path) -> None:
    read = 50.0 + np.arange(11)
    with h5py.File(scan, "a") as file:
        put(file, f"{ENTRY}/control/data", read)
    ds = opened(scan, ignore=(5,))
    np.testing.assert_array_equal(ds.monitor, np.delete(read, 5)[np.delete(KEY, 5) == 0])
    np.testing.assert_array_equal(ds.flat_monitor, np.delete(read, 5)[np.delete(KEY, 5) == 1])
    assert ds.monitor.dims == ("angle",)
    assert ds.flat_monitor.attrs["units"] == "1"
    with h5py.File(scan, "a") as file:
        del file[f"{ENTRY}/control/data"]
        put(file, f"{ENTRY}/control/data", 1.0)
    ds = opened(scan)
    assert "monitor" not in ds.variables
    assert noted(ds, f"monitor: /{ENTRY}/control/data has 1 values for 11 frames; ignored")


def test_positions_have_their_origin_in_the_middle_of_the_detector(scan: Path) -> None:
    ds = opened(scan)
    np.testing.assert_allclose(ds.u, 2.6 * (np.arange(COLUMNS) - 3))
    np.testing.assert_allclose(ds.z, 2.6 * (np.arange(ROWS) - 2))


def test_opening_reads_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nxtomo(tmp_path / "big.nxs", keys=None, data=0)
    with h5py.File(path, "a") as file:
        del file[f"{DETECTOR}/data"]
        # 4000 frames of 2160 x 2560, of which nothing is stored.
        file.create_dataset(f"{DETECTOR}/data", (4000, 2160, 2560), "u2", chunks=(1, 2160, 2560))
        put(file, f"{DETECTOR}/image_key", np.r_[[2] * 20, [1] * 20, [0] * 3960])
        put(file, f"{ENTRY}/sample/rotation_angle", np.linspace(0, 180, 4000), "deg")
    forbid_reading(monkeypatch)
    opened(path)
    nexus.read(path, Options(crop={"z": (0, 10)}))
    ds = nexus.read(path, Options(crop={"z": (0, 10)}))
    assert ds.counts.shape == (3960, 10, 2560)
    repr(ds)
    lazy.chunked(ds)
    with pytest.raises(AssertionError, match="was read"):
        ds.counts[0, 0].load()


def test_crop_is_applied_before_reading_and_keeps_positions(
    scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = opened(scan, crop={"z": (1, 4), "u": (2, 6)})
    whole = opened(scan)
    np.testing.assert_array_equal(ds.counts, ALL[KEY == 0, 1:4, 2:6])
    np.testing.assert_array_equal(ds.flat, ALL[KEY == 1, 1:4, 2:6])
    np.testing.assert_array_equal(ds.z, whole.z[1:4])
    np.testing.assert_array_equal(ds.u, whole.u[2:6])
    read: list[Any] = []

    def note(self: object, key: tuple[Any, ...]) -> np.ndarray:
        read.append(key)
        return np.zeros((1, 1), "u2")

    monkeypatch.setattr("zeoarray.ingest.parts.arrays.HDF5Array._read", note)
    ds.counts[0, :1, :1].load()
    assert read == [(5, slice(1, 2, 1), slice(2, 3, 1))]


def test_frames_to_ignore_and_invalid_ones_are_left_out(tmp_path: Path) -> None:
    keys = np.array(KEYS)
    keys[8] = 3
    ds = opened(nxtomo(tmp_path / "scan.nxs", keys=keys), ignore=(0, 6))
    np.testing.assert_array_equal(ds.counts, ALL[[5, 7]])
    np.testing.assert_array_equal(ds.dark, ALL[[1, 10]])
    np.testing.assert_allclose(ds.angle, [45, 65])
    np.testing.assert_allclose(ds.dark_time, [0.5, 5.0])
    assert noted(ds, "1 frames are left out: the image_key says invalid")
    assert noted(ds, "2 frames are left out, as asked for")


def test_alignment_images_of_the_esrf_are_left_out(scan: Path) -> None:
    with h5py.File(scan, "a") as file:
        file[f"{DETECTOR}/image_key_control"] = np.where(np.arange(11) == 8, -1, KEY)
    ds = opened(scan)
    np.testing.assert_array_equal(ds.counts, ALL[5:8])
    assert noted(ds, "alignment images")


def test_times_are_the_timestamps_of_the_file(scan: Path) -> None:
    ds = opened(scan)
    seconds = 0.5 * np.arange(11)
    np.testing.assert_allclose(ds.time, seconds[KEY == 0])
    np.testing.assert_allclose(ds.flat_time, seconds[KEY == 1])
    np.testing.assert_allclose(ds.dark_time, seconds[KEY == 2])
    assert ds.time.attrs["units"] == "s"
    assert "timestamps" in ds.time.attrs["clock"]


def test_times_in_milliseconds(scan: Path) -> None:
    with h5py.File(scan, "a") as file:
        del file[f"{DETECTOR}/start_time"]
        file[f"{DETECTOR}/time_ms"] = 3875838000 + 500 * np.arange(11, dtype="u4")
    ds = opened(scan)
    np.testing.assert_allclose(ds.flat_time, 0.5 * np.flatnonzero(KEY == 1))
    assert noted(ds, "time_ms has no units; taken as ms")


def test_a_group_where_numbers_should_be_is_said(scan: Path) -> None:
    with h5py.File(scan, "a") as file:
        file.create_group("entry1/instrument/monochromator/energy")
    assert noted(opened(scan), "energy is no dataset that can be reached; ignored")


def test_without_timestamps_the_order_of_frames_is_the_clock(scan: Path) -> None:
    ds = opened(change(scan, start_time=None))
    np.testing.assert_allclose(ds.flat_time, 0.4 * np.flatnonzero(KEY == 1))
    assert "times the exposure; dead time is not known" in ds.flat_time.attrs["clock"]
    ds = opened(change(scan, count_time=None))
    np.testing.assert_allclose(ds.flat_time, np.flatnonzero(KEY == 1))
    assert ds.flat_time.attrs["units"] == "1"
    assert "number of the frame" in ds.flat_time.attrs["clock"]
    assert "exposure" not in ds.coords
    ds = opened(scan, exposure=2.0)
    np.testing.assert_allclose(ds.time, 2.0 * np.flatnonzero(KEY == 0))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full(11, 7.0), "constant or not finite"),
        (np.r_[np.arange(10.0), np.nan], "constant or not finite"),
        (np.arange(5.0), "has 5 values for 11 frames"),
        (np.array(["noon"] * 11, "S4"), "holds 'noon', no number"),
    ],
)
def test_timestamps_that_cannot_be_are_left_out(scan: Path, values: Any, said: str) -> None:
    ds = opened(change(scan, start_time=values))
    assert noted(ds, said)
    assert "number of the frame" in ds.time.attrs["clock"]


def test_angles_in_radians_and_without_units(scan: Path) -> None:
    with h5py.File(scan, "a") as file:
        put(file, f"{ENTRY}/sample/rotation_angle", np.linspace(0, 1, 11), "rad")
    np.testing.assert_allclose(opened(scan).angle, np.rad2deg(np.linspace(0, 1, 11))[KEY == 0])
    ds = opened(change(scan, angle=np.arange(11.0)))
    np.testing.assert_allclose(ds.angle, np.arange(11.0)[KEY == 0])
    assert noted(ds, "has no units; taken as deg")


@pytest.mark.parametrize("unit", ["mm", "GeV", "furlong"])
def test_angles_that_claim_to_be_something_else_are_not_believed(scan: Path, unit: str) -> None:
    with h5py.File(scan, "a") as file:
        put(file, f"{ENTRY}/sample/rotation_angle", np.arange(11.0), unit)
    with pytest.raises(SourceError) as caught:
        opened(scan)
    assert f"says its units are '{unit}'" in str(caught.value)
    assert "--angles FILE" in str(caught.value)
    np.testing.assert_allclose(opened(scan, angles=(1, 2, 3, 4)).angle, [1, 2, 3, 4])


def test_angles_of_the_file_may_be_those_of_the_projections(scan: Path) -> None:
    ds = opened(change(scan, angle=np.array([1.0, 2, 3, 4])), ignore=(6,))
    np.testing.assert_allclose(ds.angle, [1, 3, 4])


def test_angles_from_the_options(scan: Path, tmp_path: Path) -> None:
    np.testing.assert_allclose(opened(scan, angles=(1, 2, 3, 4)).angle, [1, 2, 3, 4])
    np.testing.assert_allclose(opened(scan, angles=tuple(range(11))).angle, [5, 6, 7, 8])
    np.testing.assert_allclose(opened(scan, angles=(7, 8, 9), ignore=(5,)).angle, [7, 8, 9])
    file = tmp_path / "angles.txt"
    file.write_text("\n".join(str(float(i)) for i in range(20)), encoding="utf-8")
    ds = opened(scan, angles=file, angle_lines=(10, 14))
    np.testing.assert_allclose(ds.angle, [10, 11, 12, 13])
    assert str(file) in ds.attrs["source"]
    assert ds.angle.attrs["from"] == str(file)


def test_angles_out_of_order_stay_in_the_order_of_the_file(scan: Path) -> None:
    ds = opened(scan, angles=(30, 10, 20, 40))
    np.testing.assert_allclose(ds.angle, [30, 10, 20, 40])
    np.testing.assert_array_equal(ds.counts[0], ALL[5])
    assert noted(ds, "angles are not in order")
    assert not noted(opened(scan, angles=(40, 30, 20, 10)), "angles are not in order")


@pytest.mark.parametrize("entry", ["entry", "a/b/c/d", "entry0000"])
def test_an_nxtomo_is_found_anywhere(tmp_path: Path, entry: str) -> None:
    path = nxtomo(tmp_path / "scan.nxs", entry=entry)
    assert nexus.recognise(path)
    np.testing.assert_array_equal(opened(path).counts, ALL[KEY == 0])


def test_an_image_key_beside_3d_data_will_do(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["x/instrument/camera/frames"] = ALL
        file["x/instrument/camera/image_key"] = KEY.astype("f8")
        file["x/sample/rotation_angle"] = np.arange(11.0)
        file["x/other/image_key"] = KEY
    assert nexus.recognise(path)
    ds = opened(path, pixel_size=1.0)
    np.testing.assert_array_equal(ds.flat, ALL[KEY == 1])
    np.testing.assert_allclose(ds.angle, [5, 6, 7, 8])


def test_of_several_tomographies_one_is_chosen_by_its_dataset(tmp_path: Path) -> None:
    path = nxtomo(tmp_path / "two.nxs", entry="entry0000")
    nxtomo(path, entry="entry0001", data=ALL[::-1])
    with pytest.raises(SourceError) as caught:
        opened(path)
    assert "2 tomographies" in str(caught.value)
    assert "--dataset /entry0000/instrument/detector/data" in str(caught.value)
    ds = opened(path, dataset="entry0001/instrument/detector/data")
    np.testing.assert_array_equal(ds.counts, ALL[::-1][KEY == 0])


def test_entries_that_link_to_the_same_frames_are_one(tmp_path: Path) -> None:
    path = nxtomo(tmp_path / "scan.nxs")
    with h5py.File(path, "a") as file:
        file["entry2/definition"] = "NXtomo"
        file["entry2/instrument/detector/data"] = h5py.SoftLink(f"/{DETECTOR}/data")
    np.testing.assert_array_equal(opened(path).counts, ALL[KEY == 0])


def test_a_dataset_without_a_key_is_all_projections(tmp_path: Path) -> None:
    path = tmp_path / "plain.h5"
    with h5py.File(path, "w") as file:
        file["a/frames"] = ALL
    assert not nexus.recognise(path)
    with pytest.raises(SourceError, match="there is no tomography in the file"):
        opened(path, pixel_size=1.0)
    ds = opened(path, dataset="a/frames", pixel_size=1.0, angles=tuple(range(11)))
    np.testing.assert_array_equal(ds.counts, ALL)
    for text in ("every frame is taken as a projection", "no flat frames", "no dark frames"):
        assert noted(ds, text)
    with pytest.raises(SourceError) as caught:
        opened(path, dataset="a/frame")
    assert "did you mean 'a/frames'?" in str(caught.value)


def test_zero_flats_are_allowed_and_noted(tmp_path: Path) -> None:
    ds = opened(nxtomo(tmp_path / "scan.nxs", keys=[0, 0, 0, 2]))
    assert "flat" not in ds
    assert "flat_time" not in ds.coords
    assert noted(ds, "no flat frames")


def test_pixel_sizes_in_other_units_and_of_the_sample_first(scan: Path) -> None:
    with h5py.File(scan, "a") as file:
        put(file, f"{DETECTOR}/x_pixel_size", 0.0026, "mm")
        put(file, f"{DETECTOR}/y_pixel_size", [2.7e-6], "m")
    ds = opened(scan)
    assert float(ds.u[1] - ds.u[0]) == pytest.approx(2.6)
    assert float(ds.z[1] - ds.z[0]) == pytest.approx(2.7)
    assert noted(ds, "pixels are not square")
    with h5py.File(scan, "a") as file:
        put(file, f"{ENTRY}/sample/x_pixel_size", b"0.65", "microns")
        put(file, f"{ENTRY}/sample/y_pixel_size", 0.65, "um")
    assert float(opened(scan).resolution) == pytest.approx(0.65)


@pytest.mark.parametrize(
    ("values", "units", "said"),
    [
        ("b2017b74-c39d-478d", None, "holds 'b2017b74-c39d-478d', no number; ignored"),
        (2.6, None, "has no units; ignored"),
        (0.0, "um", "is 0 um, which cannot be; ignored"),
        (np.nan, "um", "which cannot be; ignored"),
        (-1.0, "mm", "is -1000 um, which cannot be; ignored"),
        (2.6, "keV", "says its units are 'keV'; ignored"),
    ],
)
def test_a_pixel_size_that_is_nonsense_is_not_believed(
    scan: Path, values: Any, units: str | None, said: str
) -> None:
    with h5py.File(scan, "a") as file:
        for axis in "xy":
            put(file, f"{DETECTOR}/{axis}_pixel_size", values, units)
    with pytest.raises(MissingMetadataError) as caught:
        opened(scan)
    assert "--pixel-size '2.6 um'" in str(caught.value)
    ds = opened(scan, pixel_size="0.0013 mm")
    assert float(ds.resolution) == pytest.approx(1.3)
    assert noted(ds, said)


def test_a_pixel_size_that_was_given_goes_before_that_of_the_file(scan: Path) -> None:
    ds = opened(scan, pixel_size=0.325)
    assert float(ds.u[1] - ds.u[0]) == pytest.approx(0.325)
    assert noted(ds, "the file states 2.6, 0.325 was given and is taken")


def test_for_looking_only_positions_are_in_pixels(tmp_path: Path) -> None:
    path = nxtomo(tmp_path / "scan.nxs", pixel=None)
    ds = nexus.read(path, Options(partial=True))
    assert ds.u.attrs["units"] == "px"
    assert "resolution" not in ds.coords
    np.testing.assert_allclose(np.diff(ds.u), 1)


def test_the_energy_is_that_of_the_beam_never_of_the_ring(scan: Path) -> None:
    with h5py.File(scan, "a") as file:
        put(file, f"{ENTRY}/instrument/source/energy", 3.0, "GeV")
    assert "energy" not in opened(scan).coords
    with h5py.File(scan, "a") as file:
        put(file, "entry1/instrument/monochromator/energy", 19000.0, "eV")
    ds = opened(scan)
    assert float(ds.energy) == pytest.approx(19)
    assert float(ds.wavelength) == pytest.approx(0.65255, abs=1e-5)
    with h5py.File(scan, "a") as file:
        put(file, "entry1/instrument/monochromator/energy", 3.0, "GeV")
    ds = opened(scan)
    assert "energy" not in ds.coords
    assert noted(ds, "which cannot be")


def test_senses_are_those_of_the_options(scan: Path) -> None:
    ds = opened(scan, rotation_sense=-1, u_sense=-1)
    assert (int(ds.rotation_sense), int(ds.u_sense), int(ds.z_sense)) == (-1, -1, 1)


def test_exposures_that_differ_are_said_to(scan: Path) -> None:
    ds = opened(change(scan, count_time=np.linspace(0.1, 0.4, 11)))
    assert "exposure" not in ds.coords
    assert noted(ds, "runs from 0.1 to 0.4 s; ignored")


# --- flats and darks from elsewhere ------------------------------------------------------------
def test_flats_of_another_nxtomo(scan: Path, tmp_path: Path) -> None:
    other = nxtomo(tmp_path / "other.nxs", data=ALL + 1)
    ds = opened(scan, flats=other, darks=other, crop={"u": (1, 3)})
    np.testing.assert_array_equal(ds.flat, (ALL + 1)[KEY == 1, :, 1:3])
    np.testing.assert_array_equal(ds.dark, (ALL + 1)[KEY == 2, :, 1:3])
    assert "flat_time" not in ds.coords
    assert "time" in ds.coords
    assert noted(ds, "no clock is shared")
    assert noted(ds, "the scan's own flat frames are left out")
    assert str(other) in ds.attrs["source"]


def test_flats_of_a_scan_that_calls_them_projections(scan: Path, tmp_path: Path) -> None:
    other = nxtomo(tmp_path / "flats.nxs", keys=[0] * 11)
    ds = opened(scan, flats=other)
    np.testing.assert_array_equal(ds.flat, ALL)
    assert noted(ds, "calls all its frames projections")


def test_flats_of_a_plain_dataset_or_images(scan: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["one"] = ALL[:3]
    np.testing.assert_array_equal(opened(scan, flats=tmp_path / "plain.h5").flat, ALL[:3])
    with h5py.File(tmp_path / "plain.h5", "a") as file:
        file["two"] = ALL[3:5]
    with pytest.raises(SourceError) as caught:
        opened(scan, flats=tmp_path / "plain.h5")
    assert "FILE::DATASET" in str(caught.value)
    ds = opened(scan, flats=f"{tmp_path}/plain.h5::two")
    np.testing.assert_array_equal(ds.flat, ALL[3:5])
    for i in range(3):
        tifffile.imwrite(tmp_path / f"flat_{i}.tif", ALL[i])
    ds = opened(scan, flats=f"{tmp_path}/flat_*.tif")
    np.testing.assert_array_equal(ds.flat, ALL[:3])
    assert str(tmp_path / "flat_2.tif") in ds.attrs["source"]


def test_flats_that_do_not_fit(scan: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "flat.tif", frames(1, 4, 7)[0])
    with pytest.raises(SourceError) as caught:
        opened(scan, flats=tmp_path / "flat.tif")
    assert "4 rows, 7 columns" in str(caught.value)
    assert "5 rows, 7 columns" in str(caught.value)
    other = nxtomo(tmp_path / "none.nxs", keys=[0, 0, 2])
    with pytest.raises(SourceError, match="has no flat frames"):
        opened(scan, flats=other)
    short = change(nxtomo(tmp_path / "short.nxs"), image_key=np.zeros(3))
    with pytest.raises(SourceError, match="image_key does not match the frames"):
        opened(scan, darks=short)
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file["d"] = ALL[0]
    with pytest.raises(SourceError, match="not a stack of flat frames"):
        opened(scan, flats=f"{tmp_path}/flat.h5::d")
    with pytest.raises(SourceError, match="no file matches"):
        opened(scan, flats=tmp_path / "absent.h5")
    with pytest.raises(SourceError, match="matches 2 HDF5 files"):
        opened(scan, flats=f"{tmp_path}/s*.nxs")


def test_flats_behind_a_dangling_link(scan: Path, tmp_path: Path) -> None:
    other = nxtomo(tmp_path / "linked.nxs")
    with h5py.File(other, "a") as file:
        del file[f"{DETECTOR}/data"]
        file[f"{DETECTOR}/data"] = h5py.ExternalLink("lost.h5", "/d")
    with pytest.raises(LinkError, match=r"lost\.h5"):
        opened(scan, flats=other)


# --- what may be wrong -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("datasets", "said"),
    [
        ({"image_key": np.zeros(10)}, ["10 keys for 11 frames"]),
        ({"image_key": np.full(11, 0.5)}, ["does not hold whole numbers", "0 projection, 1 flat"]),
        ({"image_key": np.full(11, np.nan)}, ["does not hold whole numbers"]),
        ({"image_key": np.full(11, 9)}, ["has keys that mean nothing", "got:      9"]),
        ({"image_key": np.ones(11)}, ["there are no projections", "11 of 1"]),
        (
            {"angle": np.arange(7.0)},
            ["7 angles in", "11 (one for every frame) or 4 (one for every projection)"],
        ),
        (
            {"angle": np.r_[np.zeros(6), np.nan, np.zeros(4)]},
            ["1 of 4 projections have no angle", "--ignore 6"],
        ),
        ({"angle": None}, ["angles of the projections cannot be found", "--angles FILE"]),
        ({"data": ALL[0]}, ["is not a stack of images", "shape (5, 7)"]),
        ({"data": np.zeros((2, 3, 4, 5))}, ["is not a stack of images", "--dataset PATH"]),
        ({"data": np.zeros((11, 0, 7))}, ["holds nothing", "(11, 0, 7)"]),
        ({"data": np.full((11, 5, 7), b"x")}, ["holds no images", "|S1"]),
        ({"data": None}, ["there are no frames", f"/{DETECTOR}/data"]),
    ],
)
def test_what_does_not_fit_is_one_clear_error(
    scan: Path, datasets: dict[str, Any], said: list[str]
) -> None:
    with pytest.raises(SourceError) as caught:
        opened(change(scan, **datasets))
    for text in [str(scan), *said]:
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"angles": (1.0, 2.0)}, "2 angles in the option 'angles'"),
        ({"angle_lines": (0, 4)}, "and none was given"),
        ({"ignore": (11,)}, "0 to 10"),
        ({"ignore": (-1,)}, "frames to ignore that do not exist"),
        ({"ignore": (5, 6, 7, 8)}, "4 of the projections are ignored"),
        ({"crop": {"x": (0, 2)}}, "there is no dim to crop here 'x'"),
        ({"crop": {"u": (0, 8)}}, "past-the-last <= 7"),
        ({"crop": {"z": (3, 3)}}, "leaves nothing"),
        ({"dataset": f"{ENTRY}/sample"}, "is a group, not a dataset"),
    ],
)
def test_options_that_do_not_fit(scan: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises((ArgumentError, SourceError)) as caught:
        opened(scan, **options)
    assert said in str(caught.value)


def test_for_looking_only_angles_may_be_missing(scan: Path) -> None:
    ds = nexus.read(change(scan, angle=None), Options(partial=True))
    np.testing.assert_allclose(ds.angle, [5, 6, 7, 8])
    assert noted(ds, "counts the frames instead")


def test_no_hdf5_and_no_tomography_are_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "text.nxs").write_text("no", encoding="utf-8")
    assert not nexus.recognise(tmp_path / "text.nxs")
    assert not nexus.recognise(tmp_path / "absent.nxs")
    with h5py.File(tmp_path / "loop.h5", "w") as file:
        file["a/image_key"] = KEY
        file["a/data"] = h5py.SoftLink("/a/data")
        file["b/definition"] = h5py.SoftLink("/nowhere")
        file["c/definition"] = np.zeros(3)
        file["c/again"] = file["c"]
    assert not nexus.recognise(tmp_path / "loop.h5")


def test_missing_frames_open_and_raise_when_touched(scan: Path) -> None:
    with h5py.File(scan, "a") as file:
        del file[f"{DETECTOR}/data"]
        file[f"{DETECTOR}/data"] = h5py.ExternalLink("/dls/i13/raw/pco1.hdf", "/entry/data")
    ds = opened(scan, crop={"u": (0, 3)})
    assert ds.counts.shape == (4, 0, 0)
    assert ds.flat.shape == (4, 0, 0)
    assert [m["variable"] for m in ds.attrs["missing"]] == ["counts", "flat", "dark"]
    assert ds.attrs["missing"][0]["target"] == "/dls/i13/raw/pco1.hdf"
    repr(ds)
    for read in (ds.counts.load, ds.flat[:1].load, lambda: pickle.loads(pickle.dumps(ds)).load()):
        with pytest.raises(LinkError) as caught:
            read()
        assert "/dls/i13/raw/pco1.hdf" in str(caught.value)
        assert f"/{DETECTOR}/data" in str(caught.value)


def test_missing_frames_have_the_size_of_flats_that_are_there(scan: Path, tmp_path: Path) -> None:
    other = nxtomo(tmp_path / "flats.nxs")
    with h5py.File(scan, "a") as file:
        del file[f"{DETECTOR}/data"]
        file[f"{DETECTOR}/data"] = h5py.ExternalLink("lost.h5", "/d")
    ds = opened(scan, flats=other, crop={"u": (0, 3)})
    assert ds.counts.shape == (4, 5, 3)
    np.testing.assert_array_equal(ds.flat, ALL[KEY == 1, :, :3])
    assert [m["variable"] for m in ds.attrs["missing"]] == ["counts", "dark"]


def test_a_scan_pickles_and_reads_elsewhere(scan: Path) -> None:
    ds = pickle.loads(pickle.dumps(opened(scan)))
    np.testing.assert_array_equal(ds.flat, ALL[KEY == 1])
    cut = lazy.chunked(opened(scan))
    np.testing.assert_array_equal(cut.counts.compute(), ALL[KEY == 0])


def test_attributes_say_where_all_is_from(scan: Path) -> None:
    ds = opened(scan)
    assert ds.attrs["reader"] == "nxtomo"
    assert ds.attrs["source"] == [str(scan)]
    assert ds.angle.attrs["from"] == f"/{ENTRY}/sample/rotation_angle"
    assert "missing" not in ds.attrs


# --- the real file -----------------------------------------------------------------------------
@pytest.mark.real
def test_a_real_scan_of_i13(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = real / "i13_xct/24888.nxs"
    forbid_reading(monkeypatch)
    assert nexus.recognise(path)
    opened(path, pixel_size=2.6)
    opened(path, pixel_size=2.6)
    ds = opened(path, pixel_size=2.6)
    assert ds.sizes == {"angle": 91, "flat_frame": 10, "dark_frame": 10, "z": 0, "u": 0}
    with h5py.File(path, "r") as file:
        key = file["entry1/instrument/tomoScanDevice/image_key"][()]
        turned = file["entry1/instrument/tomoScanDevice/ss1_rot"][()]
        began = file["entry1/instrument/pco1_hw_hdf/start_time"][()]
    assert key.dtype == np.float64
    np.testing.assert_array_equal(ds.angle, turned[key == 0])
    np.testing.assert_allclose(ds.time, (began - began[0])[key == 0])
    np.testing.assert_allclose(ds.flat_time, (began - began[0])[key == 1])
    np.testing.assert_allclose(ds.dark_time, (began - began[0])[key == 2])
    assert float(ds.exposure) == pytest.approx(0.1)
    assert "energy" not in ds.coords
    assert noted(ds, "x_pixel_size holds 'b2017b74-c39d-478d-b4fe-ab0c5347227c', no number")
    with pytest.raises(LinkError, match=r"/dls/i13/data/2014/mt9396-1/raw/pco1-24888\.hdf"):
        ds.counts[3].load()
    with pytest.raises(MissingMetadataError, match="pixel size"):
        opened(path)


@pytest.mark.real
def test_a_real_scan_whose_frames_were_moved(real: Path, tmp_path: Path) -> None:
    (tmp_path / "mt9396-1/raw").mkdir(parents=True)
    with h5py.File(tmp_path / "mt9396-1/raw/pco1-24888.hdf", "w") as file:
        file["entry/instrument/detector/data"] = frames(111, 3, 4)
    root = {"/dls/i13/data/2014": str(tmp_path)}
    ds = opened(real / "i13_xct/24888.nxs", pixel_size=2.6, link_root=root)
    np.testing.assert_array_equal(ds.dark[:5], frames(111, 3, 4)[:5])
    np.testing.assert_array_equal(ds.counts, frames(111, 3, 4)[10:101])
    assert str(tmp_path / "mt9396-1/raw/pco1-24888.hdf") in ds.attrs["source"]
