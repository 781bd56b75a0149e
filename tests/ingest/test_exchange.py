"""APS Data Exchange: projections, whites, darks, theta, and what the format does not say."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from tests.ingest.files import exchange as written
from tests.ingest.files import forbid_reading, frames, put
from zeoarray import lazy, schema
from zeoarray.errors import ArgumentError, LinkError, MissingMetadataError, SourceError
from zeoarray.ingest import exchange
from zeoarray.ingest.reader import Options


def opened(path: Path, **options: Any) -> xr.Dataset:
    ds = exchange.read(path, Options(**options))
    schema.validate(ds, schema.SCAN_XCT, by="test")
    return ds


def noted(ds: xr.Dataset, text: str) -> bool:
    return any(text in note for note in ds.attrs["notes"])


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return written(tmp_path / "scan.h5")


def test_projections_flats_and_darks(scan: Path) -> None:
    assert exchange.recognise(scan)
    ds = opened(scan)
    np.testing.assert_array_equal(ds.counts, frames(6))
    np.testing.assert_array_equal(ds.flat, frames(3) + 1000)
    np.testing.assert_array_equal(ds.dark, frames(2))
    np.testing.assert_allclose(ds.angle, np.linspace(0, 150, 6))
    assert float(ds.resolution) == pytest.approx(1.17)
    assert float(ds.energy) == 25
    assert float(ds.exposure) == pytest.approx(0.1)
    assert float(ds.distance) == pytest.approx(0.15)
    for name, variable in ds.variables.items():
        assert variable.attrs.get("units"), name
        assert variable.attrs.get("long_name"), name
    assert ds.attrs["reader"] == "exchange"
    assert ds.attrs["source"] == [str(scan)]


def test_no_times_are_invented(scan: Path) -> None:
    ds = opened(scan)
    assert not {"time", "flat_time", "dark_time"} & set(ds.coords)
    assert noted(ds, "does not say when flats and darks were taken")


def test_the_pixel_is_that_at_the_sample_not_the_camera_s(scan: Path) -> None:
    with h5py.File(scan, "a") as file:
        del file["measurement/instrument/detection_system"]
    with pytest.raises(MissingMetadataError, match="pixel size"):
        opened(scan)
    with h5py.File(scan, "a") as file:
        for axis in "xy":
            put(
                file,
                f"measurement/instrument/detector/actual_pixel_size_{axis}",
                b"2.04",
                "microns",
            )
    assert float(opened(scan).resolution) == pytest.approx(2.04)


def test_crop_ignore_and_given_angles(scan: Path) -> None:
    ds = opened(
        scan, crop={"u": (1, 5), "z": (2, 4)}, ignore=(0, 3), angles=tuple(range(10, 70, 10))
    )
    np.testing.assert_array_equal(ds.counts, frames(6)[[1, 2, 4, 5], 2:4, 1:5])
    np.testing.assert_array_equal(ds.dark, frames(2)[:, 2:4, 1:5])
    np.testing.assert_allclose(ds.angle, [20, 30, 50, 60])
    np.testing.assert_allclose(ds.u, 1.17 * (np.arange(1, 5) - 3))


def test_opening_reads_no_frame(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_reading(monkeypatch)
    opened(scan)
    exchange.read(scan, Options())
    ds = exchange.read(scan, Options())
    with pytest.raises(AssertionError, match="was read"):
        ds.flat.load()


def test_an_averaged_flat_is_a_stack_of_one(tmp_path: Path) -> None:
    ds = opened(written(tmp_path / "a.h5", white=frames(1)[0] + 7.5))
    np.testing.assert_array_equal(ds.flat, frames(1) + 7.5)
    np.testing.assert_array_equal(ds.flat[0, 1:3], frames(1)[0, 1:3] + 7.5)


def test_without_flats_and_darks(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", white=np.zeros((0, 5, 7)))
    with h5py.File(path, "a") as file:
        del file["exchange/data_dark"]
    ds = opened(path)
    assert set(ds.data_vars) == {"counts"}
    assert noted(ds, "exchange/data_white holds nothing")
    assert noted(ds, "there are no dark frames")


def test_flats_from_another_file(tmp_path: Path) -> None:
    other = written(tmp_path / "other.h5")
    ds = opened(written(tmp_path / "a.h5"), flats=f"{other}::exchange/data_white")
    np.testing.assert_array_equal(ds.flat, frames(3) + 1000)
    assert noted(ds, "the scan's own flat frames are left out")


def test_other_projections_in_the_file(scan: Path) -> None:
    with h5py.File(scan, "a") as file:
        file["exchange/data2"] = frames(6) + 1
    np.testing.assert_array_equal(opened(scan, dataset="exchange/data2").counts, frames(6) + 1)
    with pytest.raises(SourceError, match="did you mean 'exchange/data"):
        opened(scan, dataset="exchange/data3")


def test_frames_behind_a_link(scan: Path, tmp_path: Path) -> None:
    with h5py.File(scan, "a") as file:
        del file["exchange/data"]
        file["exchange/data"] = h5py.ExternalLink("raw.h5", "/d")
    assert exchange.recognise(scan)
    ds = opened(scan)
    assert ds.counts.shape == (6, 5, 7)
    np.testing.assert_array_equal(ds.flat, frames(3) + 1000)
    assert [m["variable"] for m in ds.attrs["missing"]] == ["counts"]
    with pytest.raises(LinkError, match=r"/exchange/data -> raw\.h5::/d; no such file"):
        pickle.loads(pickle.dumps(ds)).counts.load()
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["d"] = frames(6)
    ds = opened(scan)
    np.testing.assert_array_equal(lazy.chunked(ds).counts.compute(), frames(6))
    assert len(ds.attrs["source"]) == 2


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("theta", np.arange(5.0), ["5 angles in exchange/theta", "6 (one for every frame)"]),
        ("theta", np.full(6, np.nan), ["6 of 6 projections have no angle"]),
        ("theta", None, ["angles of the projections cannot be found", "exchange/theta"]),
        ("data", np.zeros((6, 5)), ["is not a stack of images"]),
        ("data", np.zeros((0, 5, 7)), ["holds nothing"]),
        ("data_white", np.zeros((3, 5, 6)), ["5 rows, 6 columns", "5 rows, 7 columns"]),
        ("data_dark", np.zeros((3, 1, 5, 7)), ["is not a stack of images"]),
        ("data", None, ["has no dataset 'exchange/data'", "exchange/data_dark"]),
    ],
)
def test_what_does_not_fit_is_one_clear_error(
    scan: Path, name: str, values: Any, said: list[str]
) -> None:
    with h5py.File(scan, "a") as file:
        del file[f"exchange/{name}"]
        if values is not None:
            file[f"exchange/{name}"] = values
    with pytest.raises(SourceError) as caught:
        opened(scan)
    for text in [str(scan), *said]:
        assert text in str(caught.value)


def test_sinograms_are_not_taken_for_projections(scan: Path) -> None:
    with h5py.File(scan, "a") as file:
        file["exchange/data"].attrs["axes"] = "theta:y:x"
    opened(scan)
    with h5py.File(scan, "a") as file:
        file["exchange/data"].attrs["axes"] = "y:theta:x"
    with pytest.raises(SourceError) as caught:
        opened(scan)
    assert "axes 'y:theta:x'" in str(caught.value)
    assert "--mapping" in str(caught.value)


def test_options_that_do_not_fit(scan: Path) -> None:
    with pytest.raises(ArgumentError, match="frames to ignore that do not exist"):
        opened(scan, ignore=(6,))
    with pytest.raises(SourceError, match="leaves nothing"):
        opened(scan, crop={"u": (4, 4)})


def test_other_files_are_not_recognised(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["exchange/theta"] = 1
    assert not exchange.recognise(tmp_path / "a.h5")
    (tmp_path / "b.h5").write_text("no", encoding="utf-8")
    assert not exchange.recognise(tmp_path / "b.h5")
