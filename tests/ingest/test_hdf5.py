"""HDF5 access: links followed only where they may lead, arrays read only where indexed."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st
from xarray.core import indexing

from tests.ingest.files import frames
from zeoarray.errors import LinkError, SourceError
from zeoarray.ingest.parts import arrays, hdf5


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A file with a link to another in a folder beside it."""
    (tmp_path / "parts").mkdir()
    with h5py.File(tmp_path / "parts/data.h5", "w") as file:
        file["entry/detector"] = frames(6)
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        file["entry/data"] = h5py.ExternalLink("parts/data.h5", "/entry/detector")
        file["entry/own"] = frames(2)
        file["entry/soft"] = h5py.SoftLink("/entry/data")
        file["entry/relative"] = h5py.SoftLink("own")
        file["entry/nowhere"] = h5py.SoftLink("/entry/absent")
        file["entry/gone"] = h5py.ExternalLink("parts/lost.h5", "/entry/detector")
        file["entry/hollow"] = h5py.ExternalLink("parts/data.h5", "/entry/absent")
        file["entry/a"] = h5py.SoftLink("/entry/b")
        file["entry/b"] = h5py.SoftLink("/entry/a")
        file["entry/name\n\t\t"] = 4.0
    return tmp_path / "scan.nxs"


def lazy(path: Path, name: str, **options: object) -> xr.Variable:
    with hdf5.opened(path) as file:
        return xr.Variable(
            ("frame", "y", "x"), indexing.LazilyIndexedArray(hdf5.array(file, name, **options))
        )


@pytest.mark.parametrize("name", ["entry/data", "/entry/soft", "entry/own", "entry/relative"])
def test_links_are_followed(scan: Path, name: str) -> None:
    read = lazy(scan, name)
    expected = frames(read.shape[0])
    np.testing.assert_array_equal(read.values, expected)
    with hdf5.opened(scan) as file:
        place = hdf5.resolve(file, name)
    assert place is not None
    assert not place.dangling


def test_names_may_hold_line_breaks(scan: Path) -> None:
    with hdf5.opened(scan) as file:
        found = hdf5.read(file, "entry/name\n\t\t")
        assert found is not None
        assert found[0] == 4.0
        message = str(hdf5.absent(file, "entry/nam"))
    assert "entry/name" in message
    assert "\t" not in message


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("entry/gone", "no such file: parts/lost.h5"),
        ("entry/hollow", "no /entry/absent in the file"),
        ("entry/nowhere", "its target is not in the file"),
    ],
)
def test_a_dangling_link_has_a_shape_and_raises_when_touched(
    scan: Path, name: str, why: str
) -> None:
    missing = lazy(scan, name, shape_if_missing=(4, 0, 0))
    assert missing.shape == (4, 0, 0)
    with pytest.raises(LinkError) as caught:
        missing[1:].load()
    message = str(caught.value)
    assert f"link /{name} -> " in message
    assert why in message
    assert "--link-root" in message


def test_links_in_a_circle_are_said_to_be(scan: Path) -> None:
    with pytest.raises(LinkError, match="go in a circle"):
        lazy(scan, "entry/a")


def test_files_that_link_to_each_other(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        with h5py.File(tmp_path / f"{one}.h5", "w") as file:
            file["data"] = h5py.ExternalLink(f"{other}.h5", "/data")
    with pytest.raises(LinkError, match="go in a circle"):
        lazy(tmp_path / "a.h5", "data")


def test_link_root_leads_to_where_files_were_moved(tmp_path: Path) -> None:
    copy = tmp_path / "copy/raw"
    copy.mkdir(parents=True)
    with h5py.File(copy / "big.h5", "w") as file:
        file["d"] = frames(3)
    (tmp_path / "here").mkdir()
    with h5py.File(tmp_path / "here/scan.nxs", "w") as file:
        file["data"] = h5py.ExternalLink("/dls/i13/raw/big.h5", "/d")
        file["out"] = h5py.ExternalLink("/dls/i13/../../secret.h5", "/d")
    path = tmp_path / "here/scan.nxs"
    root = {"/dls/i13": str(tmp_path / "copy")}
    np.testing.assert_array_equal(lazy(path, "data", link_root=root).values, frames(3))
    with pytest.raises(LinkError, match="no such file"):
        lazy(path, "data", shape_if_missing=(0, 0, 0)).load()
    with pytest.raises(LinkError, match="leads out of its link root"):
        lazy(path, "out", link_root=root)


@pytest.mark.parametrize("written", ["../secret.h5", "{folder}/secret.h5", "x/../../secret.h5"])
def test_a_link_does_not_lead_out_of_its_folder(tmp_path: Path, written: str) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["d"] = frames(1)
    (tmp_path / "scans").mkdir()
    path = tmp_path / "scans/scan.nxs"
    with h5py.File(path, "w") as file:
        file["data"] = h5py.ExternalLink(written.format(folder=tmp_path), "/d")
    with pytest.raises(LinkError) as caught:
        lazy(path, "data", shape_if_missing=(0, 0, 0)).load()
    assert "not in the folder of the file that links to it" in str(caught.value)
    root = {str(tmp_path): str(tmp_path)}
    if written.startswith("{"):
        assert lazy(path, "data", link_root=root).shape == (1, 5, 7)


def test_a_symbolic_link_is_no_way_out(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["d"] = frames(1)
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/near.h5").symlink_to(tmp_path / "secret.h5")
    with h5py.File(tmp_path / "scans/scan.nxs", "w") as file:
        file["data"] = h5py.ExternalLink("near.h5", "/d")
    with pytest.raises(LinkError, match="cannot be reached"):
        lazy(tmp_path / "scans/scan.nxs", "data", shape_if_missing=(0, 0, 0)).load()


def test_a_virtual_dataset_with_a_missing_part_is_not_read_as_zeros(tmp_path: Path) -> None:
    layout = h5py.VirtualLayout((4, 5, 7), "u2")
    for i, name in enumerate(("one.h5", "two.h5")):
        with h5py.File(tmp_path / name, "w") as file:
            file["d"] = frames(2)
        layout[2 * i : 2 * i + 2] = h5py.VirtualSource(name, "d", (2, 5, 7))
    path = tmp_path / "scan.nxs"
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("data", layout)
    assert lazy(path, "data")[3, 0, 0].values == frames(2)[1, 0, 0]
    (tmp_path / "two.h5").unlink()
    torn = lazy(path, "data")
    assert torn.shape == (4, 5, 7)
    with pytest.raises(LinkError, match=r"no such file: two\.h5"):
        torn[0].load()


def test_external_storage_outside_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"password")
    (tmp_path / "scans").mkdir()
    path = tmp_path / "scans/scan.nxs"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (2, 2, 2), "u1", external=[(str(tmp_path / "secret"), 0, 8)])
    with pytest.raises(LinkError, match="cannot be reached"):
        lazy(path, "data").load()
    with hdf5.opened(path) as file:
        assert hdf5.read(file, "data") is None


INDEX = st.one_of(
    st.integers(0, 4),
    # Backward slices of nothing among them, over which xarray itself stumbles.
    st.slices(5),
    st.lists(st.integers(-5, 4), max_size=7).map(lambda i: np.array(i, dtype=int)),
)


@settings(max_examples=60, deadline=None)
@example(key=(slice(1, -5, -1), 0, 0), flat=False)
@given(key=st.tuples(INDEX, INDEX, INDEX), flat=st.booleans())
def test_indexing_is_that_of_numpy(
    tmp_path_factory: pytest.TempPathFactory, key: tuple[object, ...], flat: bool
) -> None:
    values = np.arange(6 * 5 * 5 * 5, dtype="i4").reshape(6, 5, 5, 5)
    path = tmp_path_factory.getbasetemp() / "indexing.h5"
    if not path.exists():
        with h5py.File(path, "w") as file:
            file.create_dataset("d", data=values, chunks=(1, 2, 3, 5))
    with hdf5.opened(path) as file:
        array = hdf5.array(file, "d")
    expected = values
    if flat:
        array = arrays.flattened(array, 2)
        expected = values.reshape(30, 5, 5)
    read = xr.Variable([f"d{i}" for i in range(expected.ndim)], indexing.LazilyIndexedArray(array))
    picked = dict(zip([str(d) for d in read.dims], key, strict=False))
    known = xr.Variable(read.dims, expected)
    np.testing.assert_array_equal(read.isel(picked).values, known.isel(picked).values)
    assert read.isel(picked).dims == known.isel(picked).dims


def test_frames_are_held_once_while_they_are_read(tmp_path: Path) -> None:
    """Of a grid row by row and picked one by one: nothing is put together from copies."""
    path, values = tmp_path / "grid.h5", np.arange(3 * 5 * 64 * 64).reshape(3, 5, 64, 64)
    with h5py.File(path, "w") as file:
        file["grid"] = values
    with hdf5.opened(path) as file:
        grid = hdf5.array(file, "grid")
    flat = arrays.flattened(grid, 2)
    for key in (slice(1, 14), np.array([2, 3, 4, 7, 12]), np.array([], int)):
        index = indexing.OuterIndexer((key, slice(None), slice(3, 60)))
        tracemalloc.start()
        try:
            read = flat[index]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        np.testing.assert_array_equal(read, values.reshape(15, 64, 64)[key][..., 3:60])
        assert peak < 1.1 * read.nbytes + 40_000


def test_vectorized_indexing_is_that_of_numpy(scan: Path) -> None:
    read = lazy(scan, "entry/data")
    at = {d: xr.Variable("point", [0, 3, 5, 3]) for d in ("frame",)} | {
        "y": xr.Variable("point", [4, 0, 1, 2])
    }
    np.testing.assert_array_equal(read.isel(at).values, frames(6)[[0, 3, 5, 3], [4, 0, 1, 2]])


def test_an_array_pickles_as_its_address(scan: Path) -> None:
    read = lazy(scan, "entry/data")[2:4]
    sent = pickle.dumps(read)
    assert len(sent) < 4000
    np.testing.assert_array_equal(pickle.loads(sent).values, frames(6)[2:4])


def test_a_missing_array_pickles_too(scan: Path) -> None:
    with pytest.raises(LinkError, match=r"parts/lost\.h5"):
        pickle.loads(pickle.dumps(lazy(scan, "entry/gone", shape_if_missing=(1, 0, 0)))).load()


def test_chunks_of_the_file_are_those_preferred(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", (8, 4, 6, 6), "u2", chunks=(1, 2, 6, 6))
    with hdf5.opened(tmp_path / "a.h5") as file:
        array = hdf5.array(file, "d")
    assert isinstance(array, arrays.HDF5Array)
    listed = arrays.variable(("frame", "y", "x"), arrays.flattened(array, 2))
    assert listed.shape == (32, 6, 6)
    assert listed.encoding["preferred_chunks"] == {"frame": 2, "y": 6, "x": 6}


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"shuffle": True}])
def test_rows_of_a_chunk_are_read_alike_compressed_or_not(
    tmp_path: Path, options: dict[str, object]
) -> None:
    values = np.random.default_rng(0).integers(0, 1000, (5, 8, 6)).astype("uint16")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("entry/data", data=values, chunks=(2, 8, 6), **options)
    read = lazy(tmp_path / "a.h5", "entry/data")
    np.testing.assert_array_equal(read[:, 3:5, 1:].values, values[:, 3:5, 1:])
    np.testing.assert_array_equal(read[4].values, values[4])
    np.testing.assert_array_equal(read.values, values)


def test_a_torn_chunk_is_said_where_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("d", data=frames(2), chunks=(1, 5, 7), compression="gzip")
        place = made.id.get_chunk_info(1).byte_offset
    with open(path, "r+b") as raw:
        raw.seek(place)
        raw.write(b"\xff" * 8)
    read = lazy(path, "d")
    np.testing.assert_array_equal(read[0].values, frames(2)[0])
    with pytest.raises(SourceError, match="/d cannot be read") as caught:
        read[1].load()
    assert "fetch the file again" in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text.nxs").write_text("no", encoding="utf-8")
    whole = tmp_path / "whole.h5"
    with h5py.File(whole, "w") as file:
        file["d"] = frames(50)
    (tmp_path / "torn.h5").write_bytes(whole.read_bytes()[:3000])
    for name, said in (
        ("absent.h5", "does not exist"),
        ("text.nxs", "not a whole HDF5 file"),
        ("torn.h5", "truncated"),
        (".", "is a folder"),
    ):
        with pytest.raises(SourceError, match=said), hdf5.opened(tmp_path / name):
            pass
    assert not hdf5.is_hdf5(tmp_path)
    assert not hdf5.is_hdf5(tmp_path / "text.nxs")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(SourceError, match="may not be read"), hdf5.opened(tmp_path / "a.h5"):
        pass


def test_what_is_asked_for_must_be_a_dataset_that_exists(scan: Path) -> None:
    with pytest.raises(SourceError, match="is a group, not a dataset"):
        lazy(scan, "entry")
    with pytest.raises(SourceError) as caught:
        lazy(scan, "entry/owm")
    assert "did you mean 'entry/own'?" in str(caught.value)


def test_a_file_that_is_open_with_locks_in_the_same_process(scan: Path) -> None:
    with (
        h5py.File(scan, "r", locking=True),
        pytest.raises(SourceError) as caught,
        hdf5.opened(scan),
    ):
        pass
    assert "locking=False" in str(caught.value)
    assert "cannot be opened" in str(caught.value)
