"""Savu's process lists are read as plain rows; a list from anybody cannot do harm."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.convert.lists import FLAT, LOADER, RINGS, savu
from zeoarray.errors import SourceError
from zeoarray.ingest.parts import process_list


def edited(path: Path, name: str, value: object, plugin: str = "3") -> Path:
    """Write a list of three plug-ins, with one value of one of them replaced."""
    savu(path, [LOADER, FLAT, RINGS])
    with h5py.File(path, "r+") as file:
        del file[f"entry/plugin/{plugin}/{name}"]
        if value is not None:
            file[f"entry/plugin/{plugin}/{name}"] = value
    return path


def refused(path: Path) -> str:
    with pytest.raises(SourceError) as error:
        process_list.read(path)
    return str(error.value)


def test_rows_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = savu(tmp_path / "a.nxs", [("NoProcess", {"i": i}) for i in range(12)])
    found = process_list.read(path)
    # As names, "10" would come before "2".
    assert [row.number for row in found.rows] == list(range(1, 13))
    assert [row.parameters["i"] for row in found.rows] == list(range(12))
    assert found.version == "4.2"
    assert found.loops == ()


def test_a_plug_in_may_be_switched_off_or_not_say(tmp_path: Path) -> None:
    path = savu(tmp_path / "a.nxs", [LOADER, FLAT, RINGS], off=["RemoveAllRings"], version=None)
    with h5py.File(path, "r+") as file:
        del file["entry/plugin/1/active"]
    found = process_list.read(path)
    assert [row.active for row in found.rows] == [True, True, False]
    assert found.version is None


def test_text_of_any_hdf5_kind(tmp_path: Path) -> None:
    path = edited(tmp_path / "a.nxs", "data", '{"snr": 2}')
    assert process_list.read(path).rows[2].parameters == {"snr": 2}


@pytest.mark.parametrize("name", ["savu_process_list_xct.nxs", "savu_process_list_DIAD.nxs"])
def test_real_lists(real: Path, name: str) -> None:
    found = process_list.read(real / "process_lists" / name)
    assert found.version == "4.2"
    assert [row.name for row in found.rows][:3] == [
        "NxtomoLoader",
        "DarkFlatFieldCorrection",
        "RemoveAllRings",
    ]
    assert all(row.active for row in found.rows)


def test_the_record_of_a_real_run(real: Path) -> None:
    # Its keys are padded: "   1 ".
    found = process_list.read(real / "i13_xct" / "24737_processed.nxs")
    assert [(row.number, row.name) for row in found.rows] == [
        (1, "NxtomoLoader"),
        (2, "DarkFlatFieldCorrection"),
    ]


def test_a_file_without_a_list_says_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "scan.nxs"
    with h5py.File(path, "w") as file:
        file["entry1/data"] = np.zeros(3)
    told = refused(path)
    assert "holds no process list of Savu" in told
    assert "these groups: entry1" in told
    assert "entry/plugin/1 with name, data and active" in told


def test_files_that_are_no_hdf5(tmp_path: Path) -> None:
    (tmp_path / "a.nxs").write_text("plugin: yes", encoding="utf-8")
    assert "is not a whole HDF5 file" in refused(tmp_path / "a.nxs")
    assert "does not exist" in refused(tmp_path / "b.nxs")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("name", None, "entry/plugin/3/name is missing"),
        ("name", 3.5, "entry/plugin/3/name is not text"),
        ("name", "rm -rf; \x1b[31m", "has a name that no plug-in can have"),
        ("name", "A" * 5000, "has a name that no plug-in can have"),
        ("data", None, "entry/plugin/3/data is missing"),
        ("data", np.arange(4), "entry/plugin/3/data is no value of a process list"),
        ("data", "{'snr': 3}", "the parameters of plug-in 3, RemoveAllRings, cannot be read"),
        ("data", '{"snr": NaN}', "NaN is no number"),
        ("data", '{"snr": 1e999}', "1e999 is too large"),
        ("data", "[" * 100_000, "the parameters of plug-in 3, RemoveAllRings, cannot be read"),
        ("data", "[3.0]", "are no names with values"),
        ("data", "9" * 2_000_000, "is longer than any plug-in's parameters"),
        ("active", "yes", "does not say whether the plug-in is active"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, value: object, message: str
) -> None:
    told = refused(edited(tmp_path / "a.nxs", name, value))
    assert message in told
    assert len(told) < 1000
    assert "\x1b" not in told


def test_a_value_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    path = savu(tmp_path / "a.nxs", [LOADER])
    with h5py.File(path, "r+") as file:
        del file["entry/plugin/1/data"]
        file["entry/plugin/1"].create_dataset("data", (1 << 40,), "u1", chunks=(1 << 20,))
    assert "shape (1099511627776,)" in refused(path)


def test_links_out_of_the_file_are_not_followed(tmp_path: Path) -> None:
    savu(tmp_path / "other.nxs", [RINGS])
    path = savu(tmp_path / "a.nxs", [LOADER])
    with h5py.File(path, "r+") as file:
        del file["entry/plugin/1/data"]
        file["entry/plugin/1/data"] = h5py.ExternalLink("other.nxs", "entry/plugin/1/data")
    assert "is no value of this file" in refused(path)
    with h5py.File(path, "r+") as file:
        del file["entry/plugin"]
        file["entry/plugin"] = h5py.ExternalLink("other.nxs", "entry/plugin")
    assert "holds no process list" in refused(path)


def test_numbers_that_are_none_or_stand_twice(tmp_path: Path) -> None:
    path = savu(tmp_path / "a.nxs", [LOADER, FLAT])
    with h5py.File(path, "r+") as file:
        file.move("entry/plugin/1", "entry/plugin/ 2 ")
    assert "two plug-ins have the number 2" in refused(path)
    with h5py.File(path, "r+") as file:
        file.move("entry/plugin/ 2 ", "entry/plugin/first")
    assert "a plug-in has no number" in refused(path)


def test_a_plug_in_that_is_no_group_and_a_list_without_end(tmp_path: Path) -> None:
    path = savu(tmp_path / "a.nxs", [LOADER])
    with h5py.File(path, "r+") as file:
        file["entry/plugin/2"] = 1
    assert "plug-in 2 is not a group" in refused(path)
    with h5py.File(path, "r+") as file:
        for i in range(3, process_list.MOST_PLUGINS + 3):
            file.create_group(f"entry/plugin/{i}")
    assert "is no process list that a person made" in refused(path)
