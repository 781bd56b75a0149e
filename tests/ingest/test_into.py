"""From files into a store: copied, referenced, interrupted, killed, healed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import zeoarray
from zeoarray import store
from zeoarray.errors import FormatError, LinkError, SourceError
from zeoarray.ingest import reference, scan
from zeoarray.ingest.into import into_store
from zeoarray.store import ledger, places

PIXEL = {"pixel_size": "2.6 um"}


def nxtomo(
    path: Path, frames: int = 60, z: int = 12, u: int = 40, *, chunked: bool = True, seed: int = 0
) -> np.ndarray:
    """An I13-2 file: five darks, five flats, projections; returns the frames."""
    values = np.random.default_rng(seed).poisson(1000, (frames, z, u)).astype("u2")
    keys = np.zeros(frames, "i4")
    keys[:5], keys[5:10] = 2, 1
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry1/tomo_entry")
        entry.attrs["NX_class"] = "NXsubentry"
        entry["definition"] = "NXtomo"
        entry.create_dataset("data/data", data=values, chunks=(1, z, u) if chunked else None)
        entry["instrument/detector/image_key"] = keys
        entry["data/rotation_angle"] = np.linspace(0, 180, frames)
        entry["data/rotation_angle"].attrs["units"] = "deg"
    return values


def test_a_copied_scan_reads_back_as_the_file(tmp_path: Path) -> None:
    values = nxtomo(tmp_path / "a.nxs")
    into_store(tmp_path / "a.nxs", tmp_path / "a.zarr", "xct/a/scan", PIXEL)
    ds = zeoarray.open(tmp_path / "a.zarr")["xct/a/scan"].to_dataset()
    np.testing.assert_array_equal(ds["counts"], values[10:])
    np.testing.assert_array_equal(ds["flat"], values[5:10])
    np.testing.assert_array_equal(ds["dark"], values[:5])
    assert ds["counts"].chunks is not None
    assert ds["u"].attrs["units"] == "um"
    np.testing.assert_allclose(np.diff(ds["u"]), 2.6)
    xr.testing.assert_equal(
        ds.load(), zeoarray.open_scan(tmp_path / "a.nxs", PIXEL).load().drop_attrs()
    )
    assert ds.attrs["inputs"][0]["path"] == str(tmp_path / "a.nxs")
    assert ds.attrs["versions"]["zeoarray"]


def test_open_dataset_with_the_engine(tmp_path: Path) -> None:
    values = nxtomo(tmp_path / "a.nxs")
    with xr.open_dataset(tmp_path / "a.nxs", engine="zeoarray", options=PIXEL) as ds:
        assert ds["counts"].variable._data.__class__.__name__ != "ndarray", "read at open"
        np.testing.assert_array_equal(ds["counts"][3], values[13])
        assert "flat" in ds
    fewer = xr.open_dataset(
        tmp_path / "a.nxs", engine="zeoarray", options=PIXEL, drop_variables="flat", chunks={}
    )
    assert "flat" not in fewer
    assert fewer["counts"].chunks is not None


@pytest.mark.parametrize("chunked", [True, False])
def test_a_referenced_scan_reads_the_original(tmp_path: Path, chunked: bool) -> None:
    values = nxtomo(tmp_path / "a.nxs", chunked=chunked)
    root = tmp_path / "a.zarr"
    into_store(tmp_path / "a.nxs", root, "xct/a/scan", PIXEL, reference=True)
    assert not (root / "xct/a/scan/counts").exists()
    ds = zeoarray.open(root)["xct/a/scan"].to_dataset()
    np.testing.assert_array_equal(ds["counts"], values[10:])
    np.testing.assert_array_equal(ds["flat"], values[5:10])
    assert ds["counts"].chunks is not None
    stored = store.open_node(root, "xct/a/scan", chunked=False)
    told = stored.attrs["references"]["counts"]
    assert [part["file"] for part in told["parts"]] == [str(tmp_path / "a.nxs")]
    name = told["map"]
    raw = (tmp_path / "a.nxs").read_bytes()
    start = int(stored[f"{name}_offset"][7 if chunked else 0])
    size = int(stored[f"{name}_nbytes"][7 if chunked else 0])
    expected = values[7] if chunked else values
    np.testing.assert_array_equal(
        np.frombuffer(raw[start : start + size], "u2"), expected.ravel()[: size // 2]
    )
    assert reference.altered_chunks(stored) == []
    assert store.verify(root) == []


def test_a_referenced_file_that_changed_is_refused_when_touched(tmp_path: Path) -> None:
    nxtomo(tmp_path / "a.nxs")
    root = tmp_path / "a.zarr"
    into_store(tmp_path / "a.nxs", root, "xct/a/scan", PIXEL, reference=True)
    stored = store.open_node(root, "xct/a/scan", chunked=False)
    offset = int(stored[f"{stored.attrs['references']['counts']['map']}_offset"][3])
    with open(tmp_path / "a.nxs", "r+b") as file:
        file.seek(offset)
        file.write(b"\x00\xff\x00\xff")
    (altered,) = reference.altered_chunks(stored)
    assert f"chunk at byte {offset}" in altered
    os.utime(tmp_path / "a.nxs", (1, 1))
    ds = zeoarray.open(root)["xct/a/scan"].to_dataset()
    assert ds["angle"].size == 50
    with pytest.raises(LinkError, match="gone or has changed"):
        ds["counts"][0].load()
    (tmp_path / "a.nxs").unlink()
    with pytest.raises(LinkError, match="gone"):
        zeoarray.open(root)["xct/a/scan"]["counts"][0].load()


def test_layers_in_several_files_are_referenced(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 99, (2, 3, 4, 6, 5), dtype="i4")
    for layer, values in enumerate(frames):
        with h5py.File(tmp_path / f"{layer}.nxs", "w") as file:
            file.create_dataset("f", data=values, chunks=(1, 1, 6, 5))
            file["a"], file["u"], file["z"] = np.arange(3.0), np.arange(4.0), float(layer)
    (tmp_path / "m.yaml").write_text(
        "zeoarray: 1\nkind: xrdct\ndata: {path: f, dims: [angle, u, det_y, det_x]}\n"
        "angle: {path: a, units: deg}\nu: {path: u, units: um}\nz: {path: z, units: um}\n"
        "constants: {beam_size: 25 um}\n"
    )
    into_store(
        [tmp_path / "0.nxs", tmp_path / "1.nxs"],
        tmp_path / "a.zarr",
        "xrdct/a/scan",
        {"mapping": str(tmp_path / "m.yaml")},
        join="z",
        reference=True,
    )
    ds = zeoarray.open(tmp_path / "a.zarr")["xrdct/a/scan"].to_dataset()
    np.testing.assert_array_equal(ds["counts"], frames.reshape(24, 6, 5))
    stored = store.open_node(tmp_path / "a.zarr", "xrdct/a/scan", chunked=False)
    assert [int(n) for n in np.bincount(stored["counts_part"])] == [12, 12]
    assert reference.altered_chunks(stored) == []


def test_images_cannot_be_referenced(tmp_path: Path) -> None:
    (tmp_path / "a.xy").write_text("".join(f"{x} {x * x}\n" for x in range(5, 60)))
    with pytest.raises(SourceError, match="only data in HDF5 files can be referenced"):
        into_store(
            tmp_path / "a.xy",
            tmp_path / "a.zarr",
            "powder/a",
            {"wavelength": "1 angstrom"},
            reference=True,
        )


def test_a_changed_option_is_refused_and_named(tmp_path: Path) -> None:
    nxtomo(tmp_path / "a.nxs")
    into_store(tmp_path / "a.nxs", tmp_path / "a.zarr", "xct/a/scan", PIXEL)
    with pytest.raises(OSError, match=r"request\.options\.pixel_size: was 2.6, is 1.625"):
        into_store(
            tmp_path / "a.nxs", tmp_path / "a.zarr", "xct/a/scan", {"pixel_size": "1.625 um"}
        )


def test_repair_from_the_source_and_why_not(tmp_path: Path) -> None:
    nxtomo(tmp_path / "a.nxs", 120)
    root = tmp_path / "a.zarr"
    into_store(tmp_path / "a.nxs", root, "xct/a/scan", PIXEL)
    node = root / "xct/a/scan/counts/c"
    torn, gone, flipped = (node / f"{i}/0/0" for i in (0, 1, 2))

    def damage() -> None:
        torn.write_bytes(torn.read_bytes()[:-9])
        gone.unlink()
        content = bytearray(flipped.read_bytes())
        content[100] ^= 1
        flipped.write_bytes(content)

    damage()
    assert sorted((f.key, f.fault) for f in store.verify(root)) == [
        ("counts/c/0/0/0", "torn"),
        ("counts/c/1/0/0", "missing"),
        ("counts/c/2/0/0", "altered"),
    ]
    assert all(f.repaired for f in store.verify(root, rebuild=scan.reopen))
    assert store.verify(root) == []
    damage()
    os.utime(tmp_path / "a.nxs", (1, 1))
    found = store.verify(root, rebuild=scan.reopen)
    assert not any(f.repaired for f in found)
    assert "is not the file that was ingested" in str(found[0].why_not)


def test_a_file_no_reader_knows_is_told_what_was_looked_for(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["my/frames"] = np.zeros((5, 4, 3))
        file["my/angles"] = np.zeros(5)
    with pytest.raises(FormatError, match=r"my/frames \(5, 4, 3\)") as caught:
        scan.open_scan(tmp_path / "a.h5")
    assert "NXtomo" in str(caught.value)
    assert "--mapping" in str(caught.value)


def test_options_come_from_a_sidecar_and_are_overridden(tmp_path: Path) -> None:
    nxtomo(tmp_path / "a.nxs")
    (tmp_path / "a.yaml").write_text("pixel_size: 1.625 um\nenergy: 19 keV\n")
    ds = scan.open_scan(tmp_path / "a.nxs", sidecar=tmp_path / "a.yaml")
    assert (float(ds["resolution"]), float(ds["energy"])) == (1.625, 19.0)
    ds = scan.open_scan(tmp_path / "a.nxs", PIXEL, sidecar=tmp_path / "a.yaml")
    assert (float(ds["resolution"]), float(ds["energy"])) == (2.6, 19.0)


def command(source: Path, root: Path, workers: int) -> list[str]:
    return [sys.executable, "-m", "zeoarray", "ingest", str(source), str(root), "--into",
            "xct/a/scan", "--pixel-size", "2.6um", "--workers", str(workers)]  # fmt: skip


def records(root: Path) -> dict[str, ledger.Record]:
    book = ledger.read(places.locate(root, "xct/a/scan").ledger)
    assert book is not None
    return book.records


def kill_and_resume(tmp_path: Path, kills: int, workers: int, seed: int) -> None:
    """Kill an ingest at random moments until it is through; compare with an undisturbed one."""
    source = tmp_path / "a.nxs"
    nxtomo(source, 700, 64, 256)
    whole, root = tmp_path / "whole.zarr", tmp_path / "a.zarr"
    past = time.time() - 60
    os.utime(source, (past, past))
    start = time.monotonic()
    subprocess.run(command(source, whole, workers), check=True, capture_output=True)
    length = time.monotonic() - start
    chance = random.Random(seed)
    for _ in range(kills):
        with subprocess.Popen(
            command(source, root, workers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as running:
            time.sleep(chance.uniform(0.3, 1.05) * length)
            running.send_signal(signal.SIGKILL)
        if root.exists():
            # Either it is not there, or it is whole.
            assert store.verify(root) == []
            shutil.rmtree(root)
            shutil.rmtree(tmp_path / "a.zarr.ledger")
    subprocess.run(command(source, root, workers), check=True, capture_output=True)
    assert records(root) == records(whole)
    assert store.verify(root) == []
    assert list((tmp_path / "a.zarr.ledger/growing").iterdir()) == []


def test_a_killed_ingest_goes_on_to_the_same_store(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=3, workers=1, seed=0)


@pytest.mark.prove
@pytest.mark.parametrize("workers", [1, 2])
def test_thirty_kills_of_an_ingest(tmp_path: Path, workers: int) -> None:
    kill_and_resume(tmp_path, kills=30, workers=workers, seed=workers)
