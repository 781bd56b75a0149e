"""Savu's results: reconstructions in HDF5 and scaled TIFF, and the .nxs of a run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

from zeoarray import schema
from zeoarray.errors import (
    ArgumentError,
    LinkError,
    MissingMetadataError,
    SourceError,
    UnknownNameError,
)
from zeoarray.ingest import savu, stack
from zeoarray.ingest.parts import arrays
from zeoarray.ingest.reader import Options

# voxel_x, voxel_y (height), voxel_z: three sizes, so that a wrong axis shows.
VOLUME = np.random.default_rng(1).normal(0, 5e-4, (6, 4, 5)).astype("f4")
PIXEL = 2.6
PER_CM = np.float32(1 / (PIXEL * 1e-4))


def recon(path: Path, *names: str) -> Path:
    with h5py.File(path, "w") as file:
        for name in names or ("4-TomopyRecon-tomo",):
            group = file.create_group(name)
            group.attrs["NX_class"] = "NXdata"
            group.create_dataset("data", data=VOLUME, chunks=(2, 1, 5))
    return path


def processed(
    path: Path, axes: tuple[str, ...], shape: tuple[int, ...], *plugins: str, link: str = "out.h5"
) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/final_result_tomo")
        group.attrs["axes"] = np.array(axes, "S")
        group["data"] = h5py.ExternalLink(link, "3-Any-tomo/data")
        for name, size in zip(axes, shape, strict=True):
            group[name] = np.arange(size, dtype=float)
        for i, name in enumerate(plugins, 1):
            note = file.create_group(f"entry/plugin/{i:4d} ")
            note["name"] = np.array([name], "S")
            note["active"] = np.array([True])
            note["data"] = np.array(['{"in_datasets": ["tomo"], "snr": 3.0, "null": null}'], "S")
    return path


# --- volumes ------------------------------------------------------------------------------------


def test_a_reconstruction_is_transposed_and_in_1_per_cm(tmp_path: Path) -> None:
    path = recon(tmp_path / "a.h5")
    assert savu.recognise(path)
    ds = savu.read(path, Options(pixel_size=PIXEL))
    schema.validate(ds, schema.VOLUME_XCT, by="test")
    assert ds["attenuation"].dims == ("z", "y", "x")
    assert ds["attenuation"].dtype == np.float32
    np.testing.assert_array_equal(ds["attenuation"], VOLUME.transpose(1, 2, 0) * PER_CM)
    np.testing.assert_allclose(ds["z"], (np.arange(4) - 1.5) * PIXEL)
    np.testing.assert_allclose(ds["x"], (np.arange(6) - 2.5) * PIXEL)
    assert any("divided by the pixel size of 2.6 um = 0.00026 cm" in n for n in ds.attrs["notes"])
    assert ds.attrs["reader"] == "savu"


def test_nothing_is_read_at_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: arrays.HDF5Array, key: object) -> None:
        raise AssertionError("it was read")

    path = recon(tmp_path / "a.h5")
    monkeypatch.setattr(arrays.HDF5Array, "_read", refuse)
    ds = savu.read(path, Options(pixel_size=PIXEL, crop={"z": (1, 3)}))
    assert ds["attenuation"].shape == (2, 5, 6)
    with pytest.raises(AssertionError, match="it was read"):
        ds.load()


def test_one_slice_reads_one_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    original = arrays.HDF5Array._pick

    def recorded(self: arrays.HDF5Array, source: h5py.Dataset, key: Any) -> np.ndarray:
        asked.append(key)
        return original(self, source, key)

    path = recon(tmp_path / "a.h5")
    monkeypatch.setattr(arrays.HDF5Array, "_pick", recorded)
    ds = pickle.loads(pickle.dumps(savu.read(path, Options(pixel_size=PIXEL))))
    np.testing.assert_array_equal(ds["attenuation"][2], VOLUME[:, 2].T * PER_CM)
    assert [key[1] for key in asked] == [2]


def test_a_crop_changes_the_positions(tmp_path: Path) -> None:
    crop = {"z": (1, 3), "y": (0, 2), "x": (4, 6)}
    ds = savu.read(recon(tmp_path / "a.h5"), Options(pixel_size=PIXEL, crop=crop))
    whole = VOLUME.transpose(1, 2, 0) * PER_CM
    np.testing.assert_array_equal(ds["attenuation"], whole[1:3, 0:2, 4:6])
    np.testing.assert_allclose(ds["x"], np.array([1.5, 2.5]) * PIXEL)
    with pytest.raises(UnknownNameError, match="no dim to crop here 'u'"):
        savu.read(tmp_path / "a.h5", Options(pixel_size=PIXEL, crop={"u": (0, 1)}))


def test_without_a_pixel_size(tmp_path: Path) -> None:
    path = recon(tmp_path / "a.h5")
    with pytest.raises(MissingMetadataError, match="pixel size is needed"):
        savu.read(path, Options())
    ds = savu.read(path, Options(partial=True))
    assert ds["attenuation"].attrs["units"] == "1/px"
    assert ds["x"].attrs["units"] == "px"
    np.testing.assert_array_equal(ds["attenuation"], VOLUME.transpose(1, 2, 0))


def test_several_results_need_a_choice(tmp_path: Path) -> None:
    path = recon(tmp_path / "a.h5", "4-TomopyRecon-tomo", "5-AstraReconCpu-tomo")
    with pytest.raises(SourceError, match="holds several results of Savu") as caught:
        savu.read(path, Options(pixel_size=PIXEL))
    assert "--dataset 5-AstraReconCpu-tomo/data" in str(caught.value)
    chosen = Options(pixel_size=PIXEL, dataset="4-TomopyRecon-tomo/data")
    assert savu.read(path, chosen)["attenuation"].shape == (4, 5, 6)
    with pytest.raises(UnknownNameError, match="did you mean '4-TomopyRecon-tomo/data'"):
        savu.read(path, Options(pixel_size=PIXEL, dataset="4-TomopyRecn-tomo/data"))


def test_a_plugin_that_does_not_reconstruct_is_not_taken_for_a_volume(tmp_path: Path) -> None:
    path = recon(tmp_path / "a.h5", "2-RingRemoval-tomo")
    with pytest.raises(SourceError, match="does not look like a reconstruction"):
        savu.read(path, Options(pixel_size=PIXEL))
    named = Options(pixel_size=PIXEL, dataset="2-RingRemoval-tomo/data")
    assert savu.read(path, named)["attenuation"].shape == (4, 5, 6)


def test_a_result_that_is_no_volume(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["4-TomopyRecon-tomo/data"] = VOLUME[0]
    with pytest.raises(SourceError, match="is not a volume"):
        savu.read(tmp_path / "a.h5", Options(pixel_size=PIXEL))


def test_the_nxs_of_a_run_leads_to_the_volume(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "out.h5", "w") as file:
        file["3-Any-tomo/data"] = VOLUME
    axes = ("voxel_x", "voxel_y", "voxel_z")
    path = processed(tmp_path / "a.nxs", axes, VOLUME.shape, "NxtomoLoader", "TomopyRecon")
    ds = savu.read(path, Options(pixel_size=PIXEL))
    np.testing.assert_array_equal(ds["attenuation"], VOLUME.transpose(1, 2, 0) * PER_CM)
    assert "Savu's plug-ins: NxtomoLoader(snr=3.0), TomopyRecon(snr=3.0)" in ds.attrs["notes"]


# --- corrected projections --------------------------------------------------------------------


def test_corrected_projections_are_transmission(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "out.h5", "w") as file:
        file["3-Any-tomo/data"] = VOLUME
    axes = ("rotation_angle", "detector_x", "detector_y")
    path = processed(tmp_path / "a.nxs", axes, VOLUME.shape, "DarkFlatFieldCorrection")
    ds = savu.read(path, Options(pixel_size=PIXEL))
    np.testing.assert_array_equal(ds["transmission"], VOLUME.transpose(0, 2, 1))
    assert ds["transmission"].dims == ("angle", "z", "u")
    np.testing.assert_array_equal(ds["angle"], np.arange(6))
    assert ds["transmission"].attrs["units"] == "1"
    cut = savu.read(path, Options(pixel_size=PIXEL, crop={"z": (1, 3)}))
    np.testing.assert_array_equal(cut["transmission"], ds["transmission"][:, 1:3])
    np.testing.assert_array_equal(cut["z"], ds["z"][1:3])


def test_a_dangling_link_opens_and_raises_when_touched(tmp_path: Path) -> None:
    axes = ("rotation_angle", "detector_y", "detector_x")
    path = processed(tmp_path / "a.nxs", axes, (6, 4, 5), "NxtomoLoader", link="gone.h5")
    ds = savu.read(path, Options(pixel_size=PIXEL))
    assert ds["counts"].shape == (6, 4, 5)
    assert ds.attrs["missing"][0]["variable"] == "counts"
    with pytest.raises(LinkError, match="linked data cannot be reached") as caught:
        ds.load()
    assert "gone.h5" in str(caught.value)
    assert "--link-root" in str(caught.value)


def test_angles_that_do_not_match(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "out.h5", "w") as file:
        file["3-Any-tomo/data"] = VOLUME
    axes = ("rotation_angle", "detector_y", "detector_x")
    path = processed(tmp_path / "a.nxs", axes, (7, 4, 5))
    with pytest.raises(SourceError, match="rotation_angle does not match the projections"):
        savu.read(path, Options(pixel_size=PIXEL))


def test_axes_that_are_not_known(tmp_path: Path) -> None:
    axes = ("rotation_angle", "energy", "detector_x")
    path = processed(tmp_path / "a.nxs", axes, (6, 4, 5))
    with pytest.raises(SourceError, match="has axes that are not known"):
        savu.read(path, Options(pixel_size=PIXEL))


def test_a_group_that_leaves_the_file_is_not_followed(tmp_path: Path) -> None:
    recon(tmp_path / "other.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["4-TomopyRecon-tomo"] = h5py.ExternalLink("other.h5", "4-TomopyRecon-tomo")
    assert not savu.recognise(tmp_path / "a.h5")
    with pytest.raises(SourceError, match="holds no result of Savu"):
        savu.read(tmp_path / "a.h5", Options(pixel_size=PIXEL))


# --- scaled slices ------------------------------------------------------------------------------


def slices(folder: Path, dtype: str = "u2") -> np.ndarray:
    top = np.iinfo(dtype).max
    values = np.random.default_rng(2).integers(0, top, (3, 5, 6), endpoint=True).astype(dtype)
    for i, frame in enumerate(values):
        tifffile.imwrite(folder / f"image_{i:05d}.tif", frame)
    return values


@pytest.mark.parametrize("dtype", ["u2", "u1"])
def test_scaled_slices_are_attenuation(tmp_path: Path, dtype: str) -> None:
    values = slices(tmp_path, dtype)
    limits = (-0.0008, 0.0018)
    ds = stack.read(tmp_path / "image_*.tif", Options(range=limits, pixel_size=PIXEL))
    schema.validate(ds, schema.VOLUME_XCT, by="test")
    assert ds["attenuation"].dtype == np.float32
    per_pixel = limits[0] + values / np.iinfo(dtype).max * (limits[1] - limits[0])
    np.testing.assert_allclose(ds["attenuation"], per_pixel / (PIXEL * 1e-4), rtol=1e-5, atol=1e-6)
    assert any("are -0.0008 to 0.0018 per pixel" in note for note in ds.attrs["notes"])
    assert any("y and x exchanged" in note for note in ds.attrs["notes"])


@pytest.mark.parametrize("limits", [(1.0, 0.0), (0.5, 0.5), (float("nan"), 1.0)])
def test_a_range_that_cannot_be(tmp_path: Path, limits: tuple[float, float]) -> None:
    slices(tmp_path)
    with pytest.raises(ArgumentError, match="range that the slices were scaled to cannot be"):
        stack.read(tmp_path / "image_*.tif", Options(range=limits, pixel_size=PIXEL))


def test_slices_that_were_not_scaled(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VOLUME[0])
    with pytest.raises(SourceError, match="unsigned integers of 8 or 16 bits"):
        stack.read(tmp_path / "a.tif", Options(range=(0.0, 1.0), pixel_size=PIXEL))


def test_slices_are_not_ignored(tmp_path: Path) -> None:
    slices(tmp_path)
    with pytest.raises(ArgumentError, match="'ignore' means nothing to slices of a volume"):
        stack.read(
            tmp_path / "image_*.tif", Options(range=(0.0, 1.0), pixel_size=PIXEL, ignore=(1,))
        )


# --- real files ---------------------------------------------------------------------------------


@pytest.mark.real
def test_a_real_run_shows_its_metadata_and_names_its_missing_file(real: Path) -> None:
    path = real / "i13_xct" / "24737_processed.nxs"
    assert savu.recognise(path)
    ds = savu.read(path, Options(pixel_size=PIXEL))
    with h5py.File(path, "r", locking=False) as file:
        angle = file["entry/final_result_tomo/rotation_angle"][()]
    np.testing.assert_array_equal(ds["angle"], angle)
    assert dict(ds["transmission"].sizes) == {"angle": 91, "z": 135, "u": 160}
    assert "DarkFlatFieldCorrection(pattern=PROJECTION" in ds.attrs["notes"][0]
    with pytest.raises(LinkError) as caught:
        _ = ds["transmission"][0].values
    assert "tomo_p1_dark_flat_field_correction.h5" in str(caught.value)


@pytest.mark.real
def test_process_lists_and_raw_files_are_not_results(real: Path) -> None:
    assert not savu.recognise(real / "i13_xct" / "24888.nxs")
    for path in (real / "process_lists").glob("*.nxs"):
        assert not savu.recognise(path)
