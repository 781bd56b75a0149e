"""Integrated data as DAWN writes it: XRD-CT layers, single patterns, two-theta axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from zeoarray import schema
from zeoarray.errors import LinkError, MissingMetadataError, SourceError, UnknownNameError
from zeoarray.ingest import dawn
from zeoarray.ingest.parts import arrays, labels
from zeoarray.ingest.reader import Options

ROTATIONS, TRANSLATIONS, BINS = 8, 6, 20
DATA = np.random.default_rng(3).random((1, ROTATIONS, TRANSLATIONS, BINS)).astype("f4")
Q = np.linspace(1.0, 3.0, BINS)
THETA = np.linspace(0, 315, ROTATIONS)


def layer(path: Path, **more: Any) -> Path:
    """The layout of the paper's layers: processed/result with q and gts_cs_theta."""
    given = {"data": DATA, "q": Q, "gts_cs_theta": THETA, **more}
    with h5py.File(path, "w") as file:
        group = file.create_group(given.pop("group", "processed/result"))
        group.attrs["NX_class"] = "NXdata"
        for name, value in given.items():
            if isinstance(value, dict):
                group.attrs.update(value)
            elif value is not None:
                group[name] = value
        if "q" in group:
            group["q"].attrs["units"] = "1/Å"
    return path


def unit(path: Path, name: str, units: str) -> None:
    with h5py.File(path, "a") as file:
        file[f"processed/result/{name}"].attrs["units"] = units


def test_a_layer_of_the_paper(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.nxs")
    assert dawn.recognise(path)
    ds = dawn.read(path, Options(beam_size=25.0, wavelength=0.155))
    schema.validate(ds, schema.SINOGRAM, by="test")
    assert ds["intensity"].dims == ("z", "angle", "u", "q")
    np.testing.assert_array_equal(ds["intensity"], DATA)
    np.testing.assert_array_equal(ds["angle"], THETA)
    np.testing.assert_allclose(ds["u"], (np.arange(TRANSLATIONS) - 2.5) * 25)
    np.testing.assert_allclose(ds["q"], Q)
    np.testing.assert_allclose(ds["d"], 2 * np.pi / Q)
    assert float(ds["resolution"]) == 25.0
    assert "gts_cs_theta has no unit: deg is assumed" in ds.attrs["notes"]
    assert any("steps of one beam size" in note for note in ds.attrs["notes"])


def test_a_full_layer_opens_without_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        group = file.create_group("processed/result")
        group.create_dataset("data", (1, 80, 40, 5000), "f8", chunks=(1, 1, 40, 5000))
        group["q"] = np.linspace(0.5, 8, 5000)
        group["gts_cs_theta"] = np.linspace(0, 355.5, 80)

    read: list[str] = []
    original = arrays.HDF5Array._read

    def counted(self: arrays.HDF5Array, key: tuple[Any, ...]) -> np.ndarray:
        read.append(self.dataset)
        return original(self, key)

    monkeypatch.setattr(arrays.HDF5Array, "_read", counted)
    ds = dawn.read(tmp_path / "a.nxs", Options(beam_size=25.0))
    assert ds["intensity"].shape == (1, 80, 40, 5000)
    assert read == []
    assert ds["intensity"][0, 3, :, 100].values.shape == (40,)
    assert len(read) == 1


def test_errors_become_variance(tmp_path: Path) -> None:
    sigma = np.sqrt(DATA)
    path = layer(tmp_path / "a.nxs", errors=sigma)
    ds = dawn.read(path, Options(beam_size=25.0))
    np.testing.assert_array_equal(ds["variance"], sigma**2)
    np.testing.assert_array_equal(ds["variance"][0, 2].values, sigma[0, 2] ** 2)


def test_79_of_80_rotations(tmp_path: Path) -> None:
    theta = np.where(np.arange(ROTATIONS) == 5, np.nan, THETA)
    ds = dawn.read(layer(tmp_path / "a.nxs", gts_cs_theta=theta), Options(beam_size=25.0))
    keep = [0, 1, 2, 3, 4, 6, 7]
    np.testing.assert_array_equal(ds["angle"], THETA[keep])
    np.testing.assert_array_equal(ds["intensity"], DATA[:, keep])
    assert "rotations without an angle are left out: [5]" in ds.attrs["notes"]


def test_positions_in_the_file_are_taken(tmp_path: Path) -> None:
    x = np.arange(TRANSLATIONS) * 0.03 - 0.075
    attrs = {"gts_x_indices": 2, "axes": np.array(["gts_y", "gts_cs_theta", "gts_x", "q"], "S")}
    path = layer(tmp_path / "a.nxs", gts_x=x, gts_y=np.array([0.4]), attrs=attrs)
    unit(path, "gts_x", "mm")
    unit(path, "gts_y", "mm")
    unit(path, "gts_cs_theta", "deg")
    ds = dawn.read(path, Options())
    np.testing.assert_allclose(ds["u"], x * 1000)
    np.testing.assert_allclose(ds["z"], [400])
    assert {"u is gts_x", "z is gts_y"} <= set(ds.attrs["notes"])
    assert not any("assumed" in note for note in ds.attrs["notes"])


def test_translations_may_come_before_rotations(tmp_path: Path) -> None:
    attrs = {"gts_cs_theta_indices": np.array([2]), "x_indices": np.array([1])}
    path = layer(
        tmp_path / "a.nxs",
        data=DATA.transpose(0, 2, 1, 3),
        x=np.arange(6.0),
        attrs=attrs,
    )
    unit(path, "x", "um")
    ds = dawn.read(path, Options())
    np.testing.assert_array_equal(ds["intensity"], DATA)
    np.testing.assert_array_equal(ds["u"], np.arange(6))


def test_rotations_of_every_point(tmp_path: Path) -> None:
    every = np.broadcast_to(THETA[None, :, None], DATA.shape[:3])
    ds = dawn.read(layer(tmp_path / "a.nxs", gts_cs_theta=every), Options(beam_size=25.0))
    np.testing.assert_allclose(ds["angle"], THETA)


def test_given_angles_go_first(tmp_path: Path) -> None:
    angles = tuple(np.arange(ROTATIONS) * 10.0)
    ds = dawn.read(layer(tmp_path / "a.nxs"), Options(beam_size=25.0, angles=angles))
    np.testing.assert_array_equal(ds["angle"], angles)


def test_a_single_point_is_a_powder_pattern(tmp_path: Path) -> None:
    path = layer(
        tmp_path / "a.nxs", group="entry/result", data=DATA[:, :1, 0], errors=DATA[:, :1, 1]
    )
    ds = dawn.read(path, Options())
    schema.validate(ds, schema.POWDER, by="test")
    np.testing.assert_array_equal(ds["intensity"], DATA[0, 0, 0])
    np.testing.assert_array_equal(ds["variance"], DATA[0, 0, 1] ** 2)


def test_q_in_1_per_nm_is_converted(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.nxs", q=Q * 10)
    unit(path, "q", "1/nm")
    np.testing.assert_allclose(dawn.read(path, Options(beam_size=1.0))["q"], Q)


def test_a_two_theta_axis_needs_the_wavelength(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.nxs", q=None, binning=np.linspace(2, 9, BINS))
    with h5py.File(path, "a") as file:
        file["processed/result/binning"].attrs["unit"] = "deg"
    with pytest.raises(MissingMetadataError, match="wavelength is needed"):
        dawn.read(path, Options(beam_size=1.0))
    ds = dawn.read(path, Options(beam_size=1.0, wavelength=0.155))
    np.testing.assert_allclose(ds["q"], labels.q_of(np.linspace(2, 9, BINS), 0.155))
    np.testing.assert_allclose(ds["two_theta"], np.linspace(2, 9, BINS))


def test_the_energy_of_the_monochromator_is_found(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.nxs")
    with h5py.File(path, "a") as file:
        file["entry/instrument/monochromator/energy"] = 71.0
        file["entry/instrument/monochromator/energy"].attrs["units"] = "keV"
        file["entry/instrument/source/energy"] = 3.0
        file["entry/instrument/source/energy"].attrs["units"] = "GeV"
    ds = dawn.read(path, Options(beam_size=1.0))
    assert float(ds["energy"]) == 71.0
    assert "two_theta" in ds.coords


def test_a_crop(tmp_path: Path) -> None:
    crop = {"q": (3, 9), "u": (1, 2)}
    ds = dawn.read(layer(tmp_path / "a.nxs"), Options(beam_size=25.0, crop=crop))
    np.testing.assert_array_equal(ds["intensity"], DATA[:, :, 1:2, 3:9])
    np.testing.assert_allclose(ds["q"], Q[3:9])


def test_what_was_done_is_kept(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.nxs")
    with h5py.File(path, "a") as file:
        for i, name in ((1, "Azimuthal Integration"), (0, "Import Mask")):
            file[f"processed/process/{i}/name"] = name
            file[f"processed/process/{i}/data"] = '{"bins": 5000}'
    ds = dawn.read(path, Options(beam_size=25.0))
    assert ds.attrs["process"] == [
        'Import Mask {"bins": 5000}',
        'Azimuthal Integration {"bins": 5000}',
    ]


# --- what is wrong ------------------------------------------------------------------------------


def test_without_positions_the_beam_size_is_needed(tmp_path: Path) -> None:
    with pytest.raises(MissingMetadataError, match="beam size is needed") as caught:
        dawn.read(layer(tmp_path / "a.nxs"), Options())
    assert "--beam-size" in str(caught.value)


def test_without_angles(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.nxs", gts_cs_theta=None)
    with pytest.raises(MissingMetadataError, match="angles are needed"):
        dawn.read(path, Options(beam_size=25.0))
    ds = dawn.read(path, Options(beam_size=25.0, partial=True))
    np.testing.assert_array_equal(ds["angle"], np.arange(ROTATIONS))


@pytest.mark.parametrize(
    ("q", "message"),
    [
        (np.linspace(1, 3, BINS - 1), "cannot be the radial axis"),
        (np.linspace(3, 1, BINS), "cannot be the radial axis"),
        (np.full(BINS, np.nan), "cannot be the radial axis"),
        (None, "has no radial axis"),
    ],
)
def test_a_radial_axis_that_cannot_be(tmp_path: Path, q: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        dawn.read(layer(tmp_path / "a.nxs", q=q), Options(beam_size=25.0))


@pytest.mark.parametrize(("units", "message"), [("mm", "is a length"), ("furlong", "has the unit")])
def test_a_radial_axis_in_another_unit(tmp_path: Path, units: str, message: str) -> None:
    path = layer(tmp_path / "a.nxs")
    unit(path, "q", units)
    with pytest.raises(SourceError, match=message):
        dawn.read(path, Options(beam_size=25.0))


def test_errors_of_another_shape(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="errors does not match the data"):
        dawn.read(layer(tmp_path / "a.nxs", errors=DATA[0]), Options(beam_size=25.0))


def test_too_many_dims(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.nxs", data=np.zeros((2, 2, 2, 2, BINS)))
    with pytest.raises(SourceError, match="has too many dims"):
        dawn.read(path, Options(beam_size=25.0))


def test_several_results_need_a_choice(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.nxs")
    with h5py.File(path, "a") as file:
        file.copy("processed", "entry")
    with pytest.raises(SourceError, match="holds 2 results"):
        dawn.read(path, Options(beam_size=25.0))
    chosen = Options(beam_size=25.0, dataset="processed/result/data")
    assert dawn.read(path, chosen)["intensity"].shape == DATA.shape
    with pytest.raises(UnknownNameError, match="did you mean 'processed/result'"):
        dawn.read(path, Options(dataset="procesed/result"))


def test_data_behind_a_dangling_link(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.nxs")
    with h5py.File(path, "a") as file:
        del file["processed/result/data"]
        file["processed/result/data"] = h5py.ExternalLink("gone.h5", "data")
    with pytest.raises(LinkError, match="linked data cannot be reached"):
        dawn.read(path, Options(beam_size=25.0))


def test_a_crop_of_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no dim to crop here 'x'"):
        dawn.read(layer(tmp_path / "a.nxs"), Options(beam_size=25.0, crop={"x": (0, 1)}))


# --- real files ---------------------------------------------------------------------------------


@pytest.mark.real
def test_a_real_pattern_of_i22(real: Path) -> None:
    path = real / "dawn" / "i22-363061_processed.nxs"
    assert dawn.recognise(path)
    assert not dawn.recognise(real / "dawn" / "i22-363061.nxs")
    ds = dawn.read(path, Options())
    schema.validate(ds, schema.POWDER, by="test")
    with h5py.File(path, "r", locking=False) as file:
        result = file["entry/result"]
        np.testing.assert_array_equal(ds["intensity"], result["data"][0, 0])
        np.testing.assert_array_equal(ds["variance"], result["errors"][0, 0] ** 2)
        np.testing.assert_array_equal(ds["q"], result["q"][()])
    assert len(ds.attrs["process"]) == 8
    assert ds.attrs["process"][-1].startswith("Azimuthal Integration")
    assert ds.attrs["notes"] == []


@pytest.mark.real
def test_a_real_result_in_two_theta(real: Path) -> None:
    path = real / "dawn" / "dioptas_lambda_proc.nxs"
    ds = dawn.read(path, Options(wavelength=0.29, angles=tuple(map(float, range(50)))))
    schema.validate(ds, schema.SINOGRAM, by="test")
    with h5py.File(path, "r", locking=False) as file:
        result = file["processed/result"]
        np.testing.assert_array_equal(ds["intensity"][0, :, 0], result["data"][()])
        np.testing.assert_array_equal(ds["two_theta"], result["binning"][()])
    assert ds["intensity"].dtype == np.float32
