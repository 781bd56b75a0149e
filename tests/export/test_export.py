"""Exports are read back by other programs' readers, and by ours, to the same values."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr

import zeoarray
from tests.on_disk import unread
from tests.strategies import um
from zeoarray import export
from zeoarray.errors import ArgumentError, LockedError, SchemaError, SourceError, StoreError
from zeoarray.export import source
from zeoarray.store import durable, lock

PIXEL = 2.5
VOLUME = "xct/a/volume/bin1"


def volume(shape: tuple[int, int, int] = (12, 9, 7)) -> xr.Dataset:
    values = np.random.default_rng(0).normal(1.0, 0.5, shape).astype("float32")
    return xr.Dataset(
        {"attenuation": (("z", "y", "x"), values, {"units": "1/cm", "long_name": "mu"})},
        {
            **{d: um(d, n, PIXEL) for d, n in zip("zyx", shape, strict=True)},
            "resolution": ((), PIXEL, {"units": "um"}),
        },
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stores") / "a.zarr"
    zeoarray.save(volume(), root, VOLUME)
    return root


@pytest.fixture
def node(store: Path) -> xr.Dataset:
    return zeoarray.store.open_node(store, VOLUME, chunked=False)


def decoded(folder: Path) -> Any:
    told = json.loads((folder / "export.json").read_text("utf-8"))
    files = sorted(folder.glob("*.tif"))
    numbers = np.stack([tifffile.imread(f) for f in files]).astype(float)
    low, high = told["range"]
    return low + numbers * (high - low) / 65535


def test_a_stack_holds_the_values_to_half_a_step(node: xr.Dataset, tmp_path: Path) -> None:
    told = export.to_tiff(node, tmp_path / "out")
    values = node.attenuation.values
    assert told["range"] == pytest.approx([values.min(), values.max()])
    assert told["clipped_share"] == 0
    assert np.abs(decoded(tmp_path / "out") - values).max() <= 0.5001 * told["step"]
    assert sorted(f.name for f in tmp_path.iterdir()) == ["out"]
    assert len(list((tmp_path / "out").iterdir())) == 12 + 1


def test_imagej_sees_micrometres_and_values(node: xr.Dataset, tmp_path: Path) -> None:
    told = export.to_tiff(node, tmp_path / "out", limits=(0.0, 2.0))
    with tifffile.TiffFile(tmp_path / "out/attenuation_0003.tif") as tif:
        page, described = tif.pages[0], tif.imagej_metadata
        assert tif.is_imagej
        assert page.dtype == np.uint16
        per_um = page.tags["XResolution"].value
        assert per_um[0] / per_um[1] == pytest.approx(1 / PIXEL, rel=1e-6)
    assert described["unit"] == "um"
    assert described["spacing"] == PIXEL
    # Its calibration by a straight line, value = c0 + c1 * number.
    assert (described["cf"], described["c0"], described["vunit"]) == (0, 0.0, "1/cm")
    assert described["c1"] == pytest.approx(2 / 65535)
    share = ((node.attenuation.values < 0) | (node.attenuation.values > 2)).mean()
    assert told["clipped_share"] == pytest.approx(share, abs=0.003)
    assert share > 0.02


def test_a_stack_is_ingested_to_the_same_values(
    node: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = export.to_tiff(node, tmp_path / "out")
    ds = zeoarray.open_scan(
        str(tmp_path / "out" / "*.tif"),
        {"range": tuple(told["range_per_pixel"]), "pixel_size": "2.5 um"},
    )
    error = np.abs(ds.attenuation.values - node.attenuation.values).max()
    assert error <= 0.501 * told["step"]
    for dim in "zyx":
        np.testing.assert_allclose(ds[dim], node[dim])


def test_floats_keep_every_bit(node: xr.Dataset, tmp_path: Path) -> None:
    export.to_tiff(node, tmp_path / "out", dtype="float32")
    files = sorted((tmp_path / "out").glob("*.tif"))
    read = np.stack([tifffile.imread(f) for f in files])
    np.testing.assert_array_equal(read, node.attenuation.values)
    export.to_hdf5(node, tmp_path / "a.h5", dtype="float32")
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["entry/data/attenuation"], node.attenuation.values)
        assert "scale_factor" not in file["entry/data/attenuation"].attrs


def test_counts_are_written_as_they_are(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).integers(0, 60000, (4, 3, 5)).astype("uint16")
    coords = {
        "angle": ("angle", np.arange(4.0), {"units": "deg"}),
        "z": um("z", 3, PIXEL),
        "u": um("u", 5, PIXEL),
    }
    ds = xr.Dataset({"counts": (("angle", "z", "u"), counts)}, coords)
    told = export.to_tiff(ds, tmp_path / "out", rows=(1, 3))
    assert "range" not in told
    files = sorted((tmp_path / "out").glob("*.tif"))
    assert files[0].name == "counts_0000.tif"
    np.testing.assert_array_equal(np.stack([tifffile.imread(f) for f in files]), counts[:, 1:3])


def test_a_nexus_file_says_what_it_is(node: xr.Dataset, tmp_path: Path) -> None:
    told = export.to_hdf5(node, tmp_path / "a.h5", rows=(2, 9))
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["default"] == "entry"
        data = file["entry/data"]
        assert data.attrs["NX_class"] == "NXdata"
        assert list(data.attrs["axes"]) == ["z", "y", "x"]
        assert data.attrs["signal"] == "attenuation"
        np.testing.assert_array_equal(data["z"], node.z[2:9])
        assert {data[d].attrs["units"] for d in "zyx"} == {"um"}
        assert data["attenuation"].attrs["units"] == "1/cm"
        assert json.loads(file["entry/process/record"][()])["node"] == VOLUME
        raw, attrs = data["attenuation"][...], dict(data["attenuation"].attrs)
    assert raw.dtype == np.uint16
    # As netCDF decodes it.
    values = raw * attrs["scale_factor"] + attrs["add_offset"]
    error = np.abs(values - node.attenuation.values[2:9]).max()
    assert error <= 0.5001 * told["step"]


def test_percentiles_leave_out_what_is_beyond(tmp_path: Path) -> None:
    ds = volume((10, 40, 40))
    ds["attenuation"].values[0, 0, 0] = 1e4
    told = export.to_tiff(ds, tmp_path / "out", percentiles=(0.0, 99.0))
    low, high = told["range"]
    # To one of 65536 bins between least and greatest.
    exact = np.percentile(ds.attenuation.values, 99)
    assert low == pytest.approx(ds.attenuation.values.min())
    assert exact <= high <= exact + 2 * 1e4 / 65536
    assert 0 < told["clipped_share"] <= 0.0101


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 5)])
def test_a_constant_volume_is_itself(shape: tuple[int, int, int], tmp_path: Path) -> None:
    ds = volume(shape)
    ds["attenuation"].values[:] = 0.25
    export.to_tiff(ds, tmp_path / "out")
    np.testing.assert_allclose(decoded(tmp_path / "out"), 0.25, atol=1e-12)
    assert export.to_tiff(ds, tmp_path / "p", percentiles=(1, 99))["range"][0] == 0.25


def test_what_is_not_finite_needs_a_value(tmp_path: Path) -> None:
    ds = volume()
    ds["attenuation"].values[3, 2, 1] = np.nan
    with pytest.raises(SourceError, match="16 bits hold no value that is not finite: image 3") as e:
        export.to_tiff(ds, tmp_path / "out")
    assert e.value.got == "1 of 63 pixels"
    assert "--fill" in str(e.value.do)
    with pytest.raises(SourceError, match="not finite"):
        export.to_hdf5(ds, tmp_path / "a.h5")
    # Nothing is left behind, neither whole nor half.
    assert not list(tmp_path.iterdir())
    told = export.to_tiff(ds, tmp_path / "out", limits=(0, 2), fill=1.0)
    assert decoded(tmp_path / "out")[3, 2, 1] == pytest.approx(1, abs=told["step"])
    export.to_tiff(ds, tmp_path / "floats", dtype="float32")
    assert np.isnan(tifffile.imread(tmp_path / "floats/attenuation_0003.tif")[2, 1])
    ds["attenuation"].values[:] = np.nan
    with pytest.raises(SourceError, match="has no finite value"):
        export.to_tiff(ds, tmp_path / "none")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"limits": (2.0, -1.0)}, "--range -1:2"),
        ({"limits": (0.0, np.nan)}, "lower number first"),
        ({"percentiles": (1.0, 101.0)}, "within 0 to 100"),
        ({"limits": (0.0, 1.0), "percentiles": (1.0, 99.0)}, "either a range or percentiles"),
        ({"limits": (0.0, 1.0), "dtype": "float32"}, "floats are written as they are"),
        ({"fill": 0.0, "dtype": "float32"}, "with --fill"),
        ({"fill": np.inf}, "a finite number"),
        ({"rows": (5, 2)}, "FIRST:PAST within 0:12"),
        ({"rows": (0, 13)}, "FIRST:PAST within 0:12"),
        ({"variable": "atenuation"}, "did you mean 'attenuation'?"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], told: str, tmp_path: Path) -> None:
    for write, name in ((export.to_tiff, "out"), (export.to_hdf5, "a.h5")):
        with pytest.raises(ArgumentError) as caught:
            write(volume(), tmp_path / name, **given)
        assert told in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_data_that_is_no_stack_is_refused(tmp_path: Path) -> None:
    ds = xr.Dataset({"intensity": (("z", "y", "x", "q"), np.zeros((2, 2, 2, 2), "f4"))})
    with pytest.raises(SchemaError, match="nothing to export"):
        export.to_tiff(ds, tmp_path / "out")
    with pytest.raises(SchemaError, match="no stack of images") as caught:
        export.to_tiff(ds, tmp_path / "out", variable="intensity")
    assert "isel(q=" in str(caught.value.do)
    flat = xr.Dataset({"pattern": ("q", np.zeros(4))})
    with pytest.raises(ArgumentError, match="rows are of z"):
        export.to_tiff(
            xr.Dataset({"a": (("y", "x"), np.zeros((2, 2)))}), tmp_path / "o", rows=(0, 1)
        )
    with pytest.raises(SchemaError, match="nothing to export"):
        export.to_hdf5(flat, tmp_path / "a.h5")


def test_what_exists_is_kept_unless_asked(node: xr.Dataset, tmp_path: Path) -> None:
    export.to_tiff(node, tmp_path / "out", rows=(0, 2))
    with pytest.raises(StoreError, match="out exists") as caught:
        export.to_tiff(node, tmp_path / "out")
    assert "--overwrite" in str(caught.value.do)
    export.to_tiff(node, tmp_path / "out", overwrite=True)
    assert len(list((tmp_path / "out").glob("*.tif"))) == 12
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter.tex").write_text("...", "utf-8")
    for write in (export.to_tiff, export.to_hdf5):
        with pytest.raises(StoreError, match="exists and is no export"):
            write(node, precious, overwrite=True)
    assert (precious / "chapter.tex").exists()
    export.to_hdf5(node, tmp_path / "a.h5", rows=(0, 2))
    export.to_hdf5(node, tmp_path / "a.h5", overwrite=True)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["entry/data/attenuation"].shape[0] == 12
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a.h5", "out", "thesis"]


def test_two_exports_do_not_write_the_same(node: xr.Dataset, tmp_path: Path) -> None:
    with lock.held(tmp_path / "out.lock"), pytest.raises(LockedError, match="out is being written"):
        export.to_tiff(node, tmp_path / "out")


def test_an_interrupted_stack_goes_on(
    node: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = durable.write, []

    def full_at_the_fifth(path: Path, pieces: Any, **options: Any) -> durable.Written:
        written.append(path.name)
        if len(written) == 6:
            raise durable.failed(path, OSError(errno.ENOSPC, "No space left on device"))
        return write(path, pieces, **options)

    monkeypatch.setattr(durable, "write", full_at_the_fifth)
    with pytest.raises(StoreError, match=r"the disk .* is full"):
        export.to_tiff(node, tmp_path / "out", limits=(0.0, 2.0))
    assert [f.name for f in tmp_path.iterdir()] == [".out.partial"]
    before = list(written)
    told = export.to_tiff(node, tmp_path / "out", limits=(0.0, 2.0))
    # The four that were whole are not written again.
    assert not {n for n in before[1:5] if n.endswith(".tif")} & set(written[6:])
    monkeypatch.undo()
    whole = export.to_tiff(node, tmp_path / "whole", limits=(0.0, 2.0))
    assert told["clipped_share"] == whole["clipped_share"]
    for file in (tmp_path / "whole").glob("*.tif"):
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()


def test_other_parameters_do_not_go_on_with_what_is_half_there(
    node: xr.Dataset, tmp_path: Path
) -> None:
    partial = tmp_path / ".out.partial"
    partial.mkdir()
    (partial / "attenuation_0000.tif").write_bytes(b"of another run")
    export.to_tiff(node, tmp_path / "out")
    assert tifffile.imread(tmp_path / "out/attenuation_0000.tif").shape == (9, 7)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_no_file_that_looks_whole(
    node: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*args: Any) -> int:
        raise OSError(number, "no room")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StoreError, match=r"the disk .* is full") as caught:
        export.to_hdf5(node, tmp_path / "a.h5")
    assert "begins anew" in str(caught.value.do)
    assert not list(tmp_path.iterdir())


def test_a_limit_of_file_size_is_met_before_hdf5_is_asked(node: xr.Dataset, tmp_path: Path) -> None:
    # HDF5 would take the process down at its end: a real limit, in a process of its own.
    code = (
        "import resource, sys, zeoarray; from zeoarray import export\n"
        f"ds = zeoarray.store.open_node({node.attrs['store']!r}, {VOLUME!r})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
        f"try: export.to_hdf5(ds, {str(tmp_path / 'a.h5')!r})\n"
        "except zeoarray.errors.StoreError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "is full" in done.stdout
    assert not list(tmp_path.iterdir())


def test_too_little_room_is_told_before(
    node: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    for write, name in ((export.to_tiff, "out"), (export.to_hdf5, "a.h5")):
        with pytest.raises(StoreError, match="has too little room") as caught:
            write(node, tmp_path / name)
        assert "1.0 kB free" in str(caught.value.got)


def test_a_store_is_read_in_blocks(node: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 1)
    array = node.attenuation.copy()
    array.encoding["chunks"] = (5, 4, 4)
    sizes = [len(block) for _, block in source.blocks(array)]
    assert sizes == [5, 5, 2]
    monkeypatch.setattr(source, "MOST_BYTES", 2 * 9 * 7 * 4)
    assert [len(block) for _, block in source.blocks(array)] == [2] * 6


def test_choosing_reads_nothing() -> None:
    lazy = xr.Dataset({"counts": (("angle", "z", "u"), unread(4, 3, 5))})
    assert source.choose(lazy, None, (1, 2)).shape == (4, 1, 5)


@pytest.fixture
def command(store: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    from tests.cli.test_cli import run

    def told(*arguments: str) -> tuple[int, str]:
        code = run("export", str(store), *arguments)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return told


def test_the_command_line_says_how_to_read_it_back(command: Any, tmp_path: Path) -> None:
    out = tmp_path / "slices"
    code, told = command(VOLUME, str(out), "--tiff", "--range", "-0.5:2.5", "--rows", "2:5")
    assert code == 0
    assert "3 x 9 x 7 uint16" in told
    assert "0 to 65535 are -0.5 to 2.5 1/cm (given)" in told
    assert "--pixel-size 2.5um --range -0.000125:0.000625" in told
    assert sorted(f.name for f in out.glob("*.tif"))[0] == "attenuation_0002.tif"
    code, told = command(VOLUME, str(tmp_path / "v.h5"), "--hdf5", "--dtype", "float32")
    assert code == 0
    assert "12 x 9 x 7 float32" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("xct/a/volume/bin2", "OUT", "--tiff"), "did you mean 'xct/a/volume/bin1'?"),
        ((VOLUME, "OUT", "--tiff", "--var", "atenuation"), "did you mean 'attenuation'?"),
        ((VOLUME, "OUT"), "--tiff for a stack"),
        ((VOLUME, "OUT", "--tiff", "--range", "2:1"), "--range 1:2?"),
        ((VOLUME, "OUT", "--hdf5", "--range", "a:b"), "--range takes two numbers"),
    ],
)
def test_the_command_line_helps(
    command: Any, arguments: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    code, said = command(*(out if a == "OUT" else a for a in arguments))
    assert code == 2
    assert told in said
    assert not list(tmp_path.iterdir())
