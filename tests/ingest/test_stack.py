"""Image stacks: projections and diffraction frames, lazily, and what is wrong with them."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fabio
import fabio.cbfimage
import fabio.edfimage
import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from xarray.core import indexing

from zeoarray import schema
from zeoarray.errors import ArgumentError, MissingMetadataError, SourceError, UnknownNameError
from zeoarray.ingest import stack
from zeoarray.ingest.parts import angles, images
from zeoarray.ingest.reader import Options

ROWS, COLUMNS = 5, 7


def frames(count: int, dtype: str = "u2") -> np.ndarray:
    return np.arange(count * ROWS * COLUMNS).reshape(count, ROWS, COLUMNS).astype(dtype)


def tiffs(folder: Path, numbers: Sequence[int], name: str = "raw_{:d}.tif") -> np.ndarray:
    values = frames(len(numbers))
    for number, frame in zip(numbers, values, strict=True):
        tifffile.imwrite(folder / name.format(number), frame)
    return values


def options(**more: Any) -> Options:
    return Options(**{"pixel_size": 2.0, "angles": (0.0, 10.0, 20.0), **more})


def refuse(self: images.ImageStack, index: int, key: object) -> None:
    raise AssertionError(f"frame {index} was read")


# --- projections ------------------------------------------------------------------------------


def test_projections_have_the_schema_and_the_values(tmp_path: Path) -> None:
    values = tiffs(tmp_path, (9, 10, 11))
    tifffile.imwrite(tmp_path / "flat.tif", np.full((ROWS, COLUMNS), 900, "f4"))
    given_options = options(flats=tmp_path / "flat.tif", energy=20.0, exposure=0.1, distance=0.05)
    ds = stack.read(tmp_path / "raw_*.tif", given_options)
    schema.validate(ds, schema.SCAN_XCT, by="test")
    np.testing.assert_array_equal(ds["counts"].values, values)
    assert ds["counts"].dims == ("angle", "z", "u")
    assert ds["flat"].dtype == np.float32
    np.testing.assert_array_equal(ds["angle"], [0, 10, 20])
    np.testing.assert_array_equal(ds["z"], [-4, -2, 0, 2, 4])
    assert float(ds["resolution"]) == 2.0
    assert float(ds["energy"]) == 20.0
    assert float(ds["wavelength"]) == pytest.approx(0.61992, abs=1e-5)
    assert float(ds["exposure"]) == 0.1
    assert ds.attrs["reader"] == "images"
    assert len(ds.attrs["source"]) == 4
    assert ds.attrs["notes"] == ["there are no dark frames"]


def test_nothing_is_read_at_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiffs(tmp_path, (1, 2, 3))
    monkeypatch.setattr(images.ImageStack, "_frame", refuse)
    ds = stack.read(tmp_path / "raw_*.tif", options(crop={"z": (1, 4)}, ignore=(1,)))
    assert ds["counts"].shape == (2, 3, COLUMNS)
    with pytest.raises(AssertionError, match="frame 0 was read"):
        _ = ds["counts"][0].values


def test_only_the_frames_asked_for_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = tiffs(tmp_path, (1, 2, 3))
    read: list[int] = []
    original = images.ImageStack._frame

    def counted(self: images.ImageStack, index: int, key: tuple[Any, ...]) -> np.ndarray:
        read.append(index)
        return original(self, index, key)

    monkeypatch.setattr(images.ImageStack, "_frame", counted)
    ds = stack.read(tmp_path / "raw_*.tif", options())
    np.testing.assert_array_equal(ds["counts"][2, 1:3].values, values[2, 1:3])
    assert read == [2]


def test_numbers_in_names_are_counted_as_numbers(tmp_path: Path) -> None:
    values = tiffs(tmp_path, (1, 2, 10))
    ds = stack.read(tmp_path / "raw_*.tif", options())
    np.testing.assert_array_equal(ds["counts"].values, values)


def test_a_list_of_files_keeps_its_order(tmp_path: Path) -> None:
    values = tiffs(tmp_path, (1, 2, 3))
    files = [tmp_path / f"raw_{i}.tif" for i in (3, 1, 2)]
    ds = stack.read_files(files, options())
    np.testing.assert_array_equal(ds["counts"].values, values[[2, 0, 1]])


def test_pages_of_one_file_are_frames(tmp_path: Path) -> None:
    values = frames(3)
    tifffile.imwrite(tmp_path / "scan.tif", values, photometric="minisblack")
    ds = stack.read(tmp_path / "scan.tif", options())
    np.testing.assert_array_equal(ds["counts"].values, values)


@pytest.mark.parametrize("how", [{}, {"compression": "zlib"}, {"byteorder": ">"}])
def test_every_way_of_writing_a_tiff_reads_the_same(tmp_path: Path, how: dict[str, str]) -> None:
    values = frames(3)
    for i, frame in enumerate(values):
        tifffile.imwrite(tmp_path / f"a{i}.tif", frame, **how)
    ds = stack.read(tmp_path / "a*.tif", options())
    np.testing.assert_array_equal(ds["counts"].values, values)
    np.testing.assert_array_equal(ds["counts"][:, 2].values, values[:, 2])
    assert ds["counts"].values.dtype.isnative


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_index_gives_what_numpy_gives(data: st.DataObject, small: images.ImageStack) -> None:
    values = frames(4)
    lazy = xr.Variable(("f", "y", "x"), indexing.LazilyIndexedArray(small))
    key = tuple(data.draw(one_index(n)) for n in values.shape)
    wanted = values
    for axis, part in reversed(list(enumerate(key))):
        wanted = wanted[(slice(None),) * axis + (part,)]
    np.testing.assert_array_equal(lazy[key].values, wanted)


def one_index(size: int) -> st.SearchStrategy[Any]:
    places = st.integers(0, size - 1)
    return st.one_of(
        places,
        st.slices(size),
        st.lists(places, min_size=0, max_size=5).map(lambda i: np.array(i, int)),
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> images.ImageStack:
    folder = tmp_path_factory.mktemp("small")
    tiffs(folder, (1, 2, 3, 4))
    return images.stack(images.expand(folder / "raw_*.tif"))


def test_a_stack_pickles_as_its_address(tmp_path: Path) -> None:
    values = tiffs(tmp_path, (1, 2, 3))
    ds = stack.read(tmp_path / "raw_*.tif", options())
    pickled = pickle.dumps(ds)
    assert len(pickled) < 20_000
    np.testing.assert_array_equal(pickle.loads(pickled)["counts"].values, values)


def test_ignored_frames_take_their_angles_with_them(tmp_path: Path) -> None:
    values = tiffs(tmp_path, (1, 2, 3))
    ds = stack.read(tmp_path / "raw_*.tif", options(ignore=(1,)))
    np.testing.assert_array_equal(ds["angle"], [0, 20])
    np.testing.assert_array_equal(ds["counts"].values, values[[0, 2]])


def test_a_crop_changes_positions_and_flats_alike(tmp_path: Path) -> None:
    values = tiffs(tmp_path, (1, 2, 3))
    cropped = options(crop={"z": (1, 3), "u": (2, 7)}, flats=tmp_path / "raw_1.tif")
    ds = stack.read(tmp_path / "raw_*.tif", cropped)
    np.testing.assert_array_equal(ds["counts"].values, values[:, 1:3, 2:7])
    np.testing.assert_array_equal(ds["flat"].values, values[:1, 1:3, 2:7])
    np.testing.assert_array_equal(ds["z"], [-2, 0])
    np.testing.assert_array_equal(ds["u"], [-2, 0, 2, 4, 6])


def test_missing_numbers_are_noted_and_angles_follow_the_numbers(tmp_path: Path) -> None:
    tiffs(tmp_path, (5, 6, 8))
    ds = stack.read(tmp_path / "raw_*.tif", options(angles=(0.0, 1.0, 2.0, 3.0)))
    np.testing.assert_array_equal(ds["angle"], [0, 1, 3])
    assert "the numbered sequence lacks 1 frames: 7" in ds.attrs["notes"]


def test_partial_opens_without_angles_and_pixel_size(tmp_path: Path) -> None:
    tiffs(tmp_path, (1, 2, 3))
    ds = stack.read(tmp_path / "raw_*.tif", Options(partial=True))
    assert ds["u"].attrs["units"] == "px"
    assert "resolution" not in ds.coords
    assert any("counts the frames" in note for note in ds.attrs["notes"])


# --- diffraction frames -------------------------------------------------------------------------


def edf(path: Path, *values: np.ndarray) -> Path:
    image = fabio.edfimage.EdfImage(data=values[0])
    for value in values[1:]:
        image.append_frame(data=value)
    image.write(str(path))
    return path


def cbf(path: Path, values: np.ndarray) -> Path:
    fabio.cbfimage.CbfImage(data=values.astype("i4")).write(str(path))
    return path


@pytest.mark.parametrize("write", [edf, cbf])
def test_a_cbf_or_edf_frame_is_diffraction_by_itself(tmp_path: Path, write: Any) -> None:
    values = frames(1)[0]
    path = write(tmp_path / f"a.{write.__name__}", values)
    assert stack.READERS[0].recognise(path)
    ds = stack.read(path, Options())
    schema.validate(ds, schema.SCAN_XRDCT, by="test")
    np.testing.assert_array_equal(ds["counts"].values, values[None])
    assert [float(ds[n][0]) for n in ("angle", "u", "z")] == [0, 0, 0]
    assert "images state no positions: u and z are 0" in ds.attrs["notes"]


def test_a_tiff_is_diffraction_where_beam_size_or_poni_says_so(tmp_path: Path) -> None:
    tiffs(tmp_path, (1,))
    ds = stack.read(tmp_path / "raw_1.tif", Options(beam_size=25.0, exposure=0.5, distance=0.3))
    assert [float(ds[name]) for name in ("exposure", "distance")] == [0.5, 0.3]
    assert ds["counts"].dims == ("frame", "det_y", "det_x")
    assert float(ds["beam_size"]) == float(ds["resolution"]) == 25.0
    ds = stack.read(tmp_path / "raw_1.tif", Options(poni=tmp_path / "a.poni"))
    assert ds["counts"].dims == ("frame", "det_y", "det_x")


def test_an_edf_stack_with_a_pixel_size_is_projections(tmp_path: Path) -> None:
    values = frames(3)
    for i, frame in enumerate(values):
        edf(tmp_path / f"a{i}.edf", frame)
    ds = stack.read(tmp_path / "a*.edf", options())
    np.testing.assert_array_equal(ds["counts"].values, values)
    assert ds["counts"].dims == ("angle", "z", "u")


def test_several_frames_of_one_edf(tmp_path: Path) -> None:
    values = frames(3)
    path = edf(tmp_path / "a.edf", *values)
    ds = stack.read(path, Options(angles=(0.0, 1.0, 2.0)))
    np.testing.assert_array_equal(ds["counts"].values, values)
    np.testing.assert_array_equal(ds["angle"], [0, 1, 2])


def test_several_diffraction_frames_need_angles(tmp_path: Path) -> None:
    path = edf(tmp_path / "a.edf", *frames(2))
    with pytest.raises(MissingMetadataError, match="positions of 2 diffraction frames") as caught:
        stack.read(path, Options())
    assert "--angles" in str(caught.value)


def test_pixel_size_and_beam_size_contradict_each_other(tmp_path: Path) -> None:
    tiffs(tmp_path, (1,))
    with pytest.raises(ArgumentError, match="projections or diffraction frames"):
        stack.read(tmp_path / "raw_1.tif", options(beam_size=25.0))


def test_diffraction_frames_are_not_cropped(tmp_path: Path) -> None:
    path = edf(tmp_path / "a.edf", frames(1)[0])
    with pytest.raises(ArgumentError, match="'crop' means nothing to diffraction frames"):
        stack.read(path, Options(crop={"z": (0, 2)}))


# --- what is wrong ------------------------------------------------------------------------------


def test_a_missing_pixel_size_names_the_option(tmp_path: Path) -> None:
    tiffs(tmp_path, (1, 2, 3))
    with pytest.raises(MissingMetadataError, match="pixel size is needed"):
        stack.read(tmp_path / "raw_*.tif", Options(angles=(0.0, 1.0, 2.0)))


def test_missing_angles_name_the_option(tmp_path: Path) -> None:
    tiffs(tmp_path, (1, 2, 3))
    with pytest.raises(MissingMetadataError, match="angles are needed and nowhere") as caught:
        stack.read(tmp_path / "raw_*.tif", Options(pixel_size=2.0))
    assert "--angles angles.txt" in str(caught.value)


def test_no_match_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file matches"):
        stack.read(tmp_path / "raw_*.tif", options())
    with pytest.raises(SourceError, match="is a folder"):
        stack.read(tmp_path, options())
    assert not stack.recognise(tmp_path / "raw_*.tif")
    assert not stack.recognise(tmp_path)


def test_two_frames_of_one_number(tmp_path: Path) -> None:
    tiffs(tmp_path, (1, 2))
    tiffs(tmp_path, (2,), name="raw_{:03d}.tif")
    with pytest.raises(SourceError, match="two frames of the sequence have the number 2"):
        stack.read(tmp_path / "raw_*.tif", options())


def test_frames_of_another_shape(tmp_path: Path) -> None:
    tiffs(tmp_path, (1, 2, 3))
    tifffile.imwrite(tmp_path / "raw_2.tif", np.zeros((4, 4), "u2"))
    with pytest.raises(SourceError, match=r"raw_2.tif is not like the other frames") as caught:
        stack.read(tmp_path / "raw_*.tif", options())
    assert "(4, 4) uint16" in str(caught.value)
    assert "(5, 7) uint16" in str(caught.value)


def test_frames_of_another_dtype(tmp_path: Path) -> None:
    tiffs(tmp_path, (1, 2, 3))
    tifffile.imwrite(tmp_path / "raw_3.tif", np.zeros((ROWS, COLUMNS), "f4"))
    with pytest.raises(SourceError, match=r"raw_3.tif is not like the other frames"):
        stack.read(tmp_path / "raw_*.tif", options())


def test_another_dtype_of_the_same_size_is_found_when_read(tmp_path: Path) -> None:
    tiffs(tmp_path, (1, 2, 3))
    tifffile.imwrite(tmp_path / "raw_3.tif", np.zeros((ROWS, COLUMNS), "i2"))
    ds = stack.read(tmp_path / "raw_*.tif", options())
    with pytest.raises(SourceError, match="is not like the other frames"):
        ds.load()


@pytest.mark.parametrize("which", [1, 2])
def test_a_truncated_tiff_is_found_at_open(tmp_path: Path, which: int) -> None:
    tiffs(tmp_path, (1, 2, 3))
    path = tmp_path / f"raw_{which}.tif"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=f"raw_{which}.tif is truncated") as caught:
        stack.read(tmp_path / "raw_*.tif", options())
    assert "fetch it again" in str(caught.value)


@pytest.mark.parametrize("write", [edf, cbf])
def test_a_truncated_edf_or_cbf_is_found_at_open(tmp_path: Path, write: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 60000, (40, 50))
    path = write(tmp_path / f"a.{write.__name__}", noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(SourceError, match=r"truncated|cannot be read as an image"):
        stack.read(path, Options())


def test_a_frame_that_is_torn_later_is_found_when_read(tmp_path: Path) -> None:
    tiffs(tmp_path, (1, 2, 3))
    ds = stack.read(tmp_path / "raw_*.tif", options())
    path = tmp_path / "raw_2.tif"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"raw_2.tif cannot be read as an image"):
        ds["counts"].load()
    path.unlink()
    with pytest.raises(SourceError, match=r"raw_2.tif cannot be read as an image"):
        ds["counts"].load()


@pytest.mark.parametrize("suffix", ["tif", "edf", "cbf"])
def test_text_named_as_an_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text("these are no pixels\n" * 20, encoding="utf-8")
    with pytest.raises(SourceError, match="cannot be read as an image"):
        stack.read(path, Options(beam_size=1.0))


def test_colour_images_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9, 3), "u1"), photometric="rgb")
    with pytest.raises(SourceError, match="does not hold a plain image"):
        stack.read(tmp_path / "a.tif", options())


def test_flats_of_another_size(tmp_path: Path) -> None:
    tiffs(tmp_path, (1, 2, 3))
    tifffile.imwrite(tmp_path / "flat.tif", np.zeros((4, 4), "u2"))
    with pytest.raises(SourceError, match=r"flat frames of .* are of another size"):
        stack.read(tmp_path / "raw_*.tif", options(flats=tmp_path / "flat.tif"))


def test_flats_in_an_hdf5_file(tmp_path: Path) -> None:
    tiffs(tmp_path, (1, 2, 3))
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file["a/b"] = frames(2) + 7
    given = options(flats=f"{tmp_path}/flat.h5::a/b", crop={"u": (1, 3)})
    ds = stack.read(tmp_path / "raw_*.tif", given)
    np.testing.assert_array_equal(ds["flat"], frames(2)[..., 1:3] + 7)
    assert str(tmp_path / "flat.h5") in ds.attrs["source"]


def test_crops_and_ignored_frames_are_checked(tmp_path: Path) -> None:
    tiffs(tmp_path, (1, 2, 3))
    path = tmp_path / "raw_*.tif"
    with pytest.raises(UnknownNameError, match="there is no dim to crop here 'x'"):
        stack.read(path, options(crop={"x": (0, 1)}))
    with pytest.raises(SourceError, match="the crop of 'z' leaves nothing"):
        stack.read(path, options(crop={"z": (0, 99)}))
    with pytest.raises(ArgumentError, match="frames to ignore that do not exist"):
        stack.read(path, options(ignore=(3,)))


# --- angle files --------------------------------------------------------------------------------


def angle_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "angles.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_of_an_angle_file_are_counted_from_0(tmp_path: Path) -> None:
    path = angle_file(tmp_path, "# deg\n-1\n0\n\n1\n2\n")
    np.testing.assert_array_equal(angles.read_angles(path), [-1, 0, 1, 2])
    np.testing.assert_array_equal(angles.read_angles(path, (2, 5)), [0, 1])


@pytest.mark.parametrize("word", ["nan", "inf", "ten", "1 2"])
def test_a_line_that_is_no_angle_is_named(tmp_path: Path, word: str) -> None:
    path = angle_file(tmp_path, f"0\n1\n{word}\n")
    with pytest.raises(SourceError, match="line 3: this is not an angle") as caught:
        angles.read_angles(path)
    assert word in str(caught.value)


def test_an_angle_file_of_the_wrong_length(tmp_path: Path) -> None:
    tiffs(tmp_path, (1, 2, 3))
    path = angle_file(tmp_path, "0\n1\n")
    with pytest.raises(SourceError, match="number of angles is not that of the frames") as caught:
        stack.read(tmp_path / "raw_*.tif", options(angles=path))
    assert "2 angles" in str(caught.value)
    assert "3 frames" in str(caught.value)


def test_lines_that_the_angle_file_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="does not have the lines 1 to 9"):
        angles.read_angles(angle_file(tmp_path, "0\n1\n"), (1, 9))


def test_an_angle_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(SourceError, match="cannot be read"):
        angles.read_angles(tmp_path / "a.txt")
    with pytest.raises(SourceError, match="does not exist"):
        angles.read_angles(tmp_path / "b.txt")


def test_given_angles_must_be_numbers(tmp_path: Path) -> None:
    tiffs(tmp_path, (1,))
    with pytest.raises(ArgumentError, match="holds a value that is no number"):
        stack.read(tmp_path / "raw_1.tif", options(angles=(float("nan"),)))


# --- real files ---------------------------------------------------------------------------------


@pytest.mark.real
def test_the_projections_of_i13(real: Path) -> None:
    folder = real / "i13_xct"
    ds = stack.read(
        folder / "tiffs" / "raw_*.tiff",
        Options(
            pixel_size=2.6,
            angles=folder / "angles.txt",
            angle_lines=(10, 101),
            flats=folder / "flat_*.tiff",
            darks=folder / "dark_*.tiff",
        ),
    )
    schema.validate(ds, schema.SCAN_XCT, by="test")
    files = sorted((folder / "tiffs").glob("*.tiff"))
    np.testing.assert_array_equal(ds["counts"], [tifffile.imread(f) for f in files])
    np.testing.assert_array_equal(ds["dark"][0], tifffile.imread(folder / "dark_00001.tiff"))
    np.testing.assert_array_equal(ds["flat"][0], tifffile.imread(folder / "flat_00001.tiff"))
    assert ds["flat"].dtype == np.float32
    assert ds["angle"].values[[0, -1]] == pytest.approx([-88.2, 91.8], abs=1e-3)
    # One pixel of this camera is dead.
    assert int(((ds["flat"][0] - ds["dark"][0]) <= 0).sum()) == 1
    assert ds.attrs["notes"] == []


@pytest.mark.real
def test_ceo2_as_one_diffraction_frame(real: Path) -> None:
    path = real / "ceo2_pilatus" / "CeO2.cbf"
    ds = stack.read(path, Options())
    assert ds["counts"].shape == (1, 1679, 1475)
    assert ds["counts"].dtype == np.int32
    np.testing.assert_array_equal(ds["counts"][0], fabio.open(str(path)).data)
