"""Wrong input, one row each: one clear error, exit code 1 or 2, nothing half-written."""

# ruff: noqa: E501

from __future__ import annotations

import json
import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from zeoarray.__main__ import main
from zeoarray.store import lock, places

Arguments = list[str]
INTO = ["--into", "xct/a/scan"]
PIXEL = ["--pixel-size", "2.6um"]


def nxtomo(
    path: Path,
    *,
    frames: int = 30,
    keys: object = None,
    angles: object = None,
    units: str | None = "deg",
    data: np.ndarray | None = None,
) -> str:
    counts = np.random.default_rng(0).poisson(900, (frames, 6, 8)).astype("u2")
    default = np.r_[np.full(3, 2), np.full(3, 1), np.zeros(frames - 6)].astype("i4")
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry1/tomo_entry")
        entry.attrs["NX_class"] = "NXsubentry"
        entry["definition"] = "NXtomo"
        entry["data/data"] = counts if data is None else data
        entry["instrument/detector/image_key"] = default if keys is None else keys
        if not isinstance(angles, str):
            entry["data/rotation_angle"] = np.linspace(0, 180, frames) if angles is None else angles
            if units is not None:
                entry["data/rotation_angle"].attrs["units"] = units
    return str(path)


def ingest(tmp: Path, source: str | list[str], *more: str) -> Arguments:
    sources = [source] if isinstance(source, str) else source
    return ["ingest", *sources, str(tmp / "a.zarr"), *INTO, *more]


def written(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def truncated(tmp: Path) -> Arguments:
    whole = Path(nxtomo(tmp / "whole.nxs"))
    return ingest(tmp, written(tmp / "a.nxs", whole.read_bytes()[:3000]), *PIXEL)


def truncated_data(tmp: Path) -> Arguments:
    whole = Path(nxtomo(tmp / "whole.nxs"))
    return ingest(tmp, written(tmp / "a.nxs", whole.read_bytes()[:-4000]), *PIXEL)


def hdf5(tmp: Path, **datasets: object) -> str:
    with h5py.File(tmp / "a.h5", "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return str(tmp / "a.h5")


def dangling(tmp: Path) -> str:
    path = Path(nxtomo(tmp / "a.nxs"))
    with h5py.File(path, "r+") as file:
        del file["entry1/tomo_entry/data/data"]
        file["entry1/tomo_entry/data/data"] = h5py.ExternalLink("gone.h5", "/frames")
    return str(path)


def escaping(tmp: Path) -> str:
    (tmp / "in").mkdir()
    hdf5(tmp, frames=np.zeros((30, 6, 8), "u2"))
    path = Path(nxtomo(tmp / "in/a.nxs"))
    with h5py.File(path, "r+") as file:
        del file["entry1/tomo_entry/data/data"]
        file["entry1/tomo_entry/data/data"] = h5py.ExternalLink("../a.h5", "/frames")
    return str(path)


def several(tmp: Path, n: int = 2) -> list[str]:
    return [nxtomo(tmp / f"{i}.nxs") for i in range(n)]


def tiffs(tmp: Path, *, spoil: Callable[[Path], object]) -> str:
    for i in range(4):
        tifffile.imwrite(tmp / f"raw_{i:03}.tif", np.full((6, 8), i, "u2"))
    spoil(tmp / "raw_002.tif")
    return str(tmp / "raw_*.tif")


def stack(tmp: Path, angles: str, spoil: Callable[[Path], object] = lambda path: None) -> Arguments:
    source = tiffs(tmp, spoil=spoil)
    return ingest(tmp, source, *PIXEL, "--angles", written(tmp / "angles.txt", angles))


def locked(tmp: Path) -> Arguments:
    path = places.locate(tmp / "a.zarr", "xct/a/scan").lock
    path.parent.mkdir(parents=True)
    owner = {"host": socket.gethostname(), "pid": os.getppid(), "since": "noon", "token": "t",
             "started": lock._started(os.getppid())}  # fmt: skip
    path.write_text(json.dumps(owner))
    return ingest(tmp, nxtomo(tmp / "a.nxs"), *PIXEL)


def sidecar(tmp: Path, text: str) -> Arguments:
    return ingest(tmp, nxtomo(tmp / "a.nxs"), "--sidecar", written(tmp / "s.yaml", text))


def mapping(tmp: Path, text: str) -> Arguments:
    source = hdf5(tmp, frames=np.zeros((5, 4, 3), "u2"))
    return ingest(tmp, source, *PIXEL, "--mapping", written(tmp / "m.yaml", text))


def other_folder(tmp: Path) -> Arguments:
    (tmp / "a.zarr").mkdir()
    written(tmp / "a.zarr/cat.jpg", "meow")
    return ingest(tmp, nxtomo(tmp / "a.nxs"), *PIXEL)


def existing(tmp: Path) -> Arguments:
    with pytest.raises(SystemExit):
        main(ingest(tmp, nxtomo(tmp / "a.nxs"), *PIXEL))
    return ingest(tmp, nxtomo(tmp / "b.nxs", frames=40), *PIXEL)


GOOD_ANGLES = "0\n60\n120\n180\n"

CASES: dict[str, tuple[Callable[[Path], Arguments], str]] = {
    "no such file": (lambda t: ingest(t, str(t / "no.nxs")), "does not exist"),
    "a folder": (lambda t: ingest(t, str(t)), "is a folder"),
    "an empty file": (lambda t: ingest(t, written(t / "a.nxs", "")), "is empty"),
    "a text file named .nxs": (lambda t: ingest(t, written(t / "a.nxs", "hi\n")), "no reader knows"),
    "HDF5 cut in its head": (truncated, "not a whole HDF5 file"),
    "HDF5 cut in its data": (truncated_data, "not a whole HDF5 file"),
    "HDF5 without datasets": (lambda t: ingest(t, hdf5(t)), "no datasets"),
    "HDF5 of no known layout": (
        lambda t: ingest(t, hdf5(t, frames=np.zeros((3, 4, 5)))), r"frames \(3, 4, 5\)"),
    "image_key too short": (
        lambda t: ingest(t, nxtomo(t / "a.nxs", keys=np.zeros(7)), *PIXEL), "image_key"),
    "image_key of unknown values": (
        lambda t: ingest(t, nxtomo(t / "a.nxs", keys=np.full(30, 9)), *PIXEL), "image_key|projection"),
    "no projections": (
        lambda t: ingest(t, nxtomo(t / "a.nxs", keys=np.ones(30)), *PIXEL), "projection"),
    "angles too few": (
        lambda t: ingest(t, nxtomo(t / "a.nxs", angles=np.arange(7.0)), *PIXEL), "angle"),
    "no angles": (lambda t: ingest(t, nxtomo(t / "a.nxs", angles="none"), *PIXEL), "angle"),
    "an angle that is NaN": (
        lambda t: ingest(t, nxtomo(t / "a.nxs", angles=np.full(30, np.nan)), *PIXEL), "NaN|finite"),
    "angles in GeV": (
        lambda t: ingest(t, nxtomo(t / "a.nxs", units="GeV"), *PIXEL), "GeV"),
    "angles in nonsense": (
        lambda t: ingest(t, nxtomo(t / "a.nxs", units="furlong"), *PIXEL), "furlong"),
    "frames of two dims": (
        lambda t: ingest(t, nxtomo(t / "a.nxs", data=np.zeros((30, 6))), *PIXEL), "dim|shape|3D"),
    "flats that are zero": (
        lambda t: ingest(t, nxtomo(t / "a.nxs", data=np.zeros((30, 6, 8), "u2")), *PIXEL), "zero"),
    "no pixel size": (lambda t: ingest(t, nxtomo(t / "a.nxs")), "--pixel-size"),
    "a pixel size without unit": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), "--pixel-size", "2.6"), "number with a unit"),
    "a pixel size in keV": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), "--pixel-size", "2.6keV"), "energy"),
    "a negative pixel size": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), "--pixel-size", "-1um"), "greater than 0"),
    "a pixel size of infinity": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), "--pixel-size", "inf um"), "number with a unit"),
    "a crop past the detector": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), *PIXEL, "--crop", "z", "0:99"), "crop"),
    "a crop that is none": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), *PIXEL, "--crop", "z", "wide"), "FIRST:PAST"),
    "a crop of an unknown dim": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), *PIXEL, "--crop", "w", "0:2"), "'w'"),
    "frames to ignore that are words": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), *PIXEL, "--ignore", "all"), "--ignore"),
    "a frame to ignore that is not there": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), *PIXEL, "--ignore", "99"), "99"),
    "a link root without =": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), *PIXEL, "--link-root", "/a"), "OLD=NEW"),
    "frames behind a dangling link": (lambda t: ingest(t, dangling(t), *PIXEL), "gone.h5"),
    "frames behind a link out of the folder": (lambda t: ingest(t, escaping(t), *PIXEL), r"\.\./a\.h5"),
    "a node name that escapes": (
        lambda t: ["ingest", nxtomo(t / "a.nxs"), str(t / "a.zarr"), *PIXEL, "--into", "../b"],
        "cannot be the name of a node"),
    "no node name": (
        lambda t: ["ingest", nxtomo(t / "a.nxs"), str(t / "a.zarr")], "--into"),
    "no store": (lambda t: ["ingest", nxtomo(t / "a.nxs"), *INTO], "a source and a store"),
    "a store that is a file": (
        lambda t: ["ingest", nxtomo(t / "a.nxs"), written(t / "b", "x"), *INTO, *PIXEL],
        "not a zeoarray store"),
    "a store that is another folder": (other_folder, "not a zeoarray store"),
    "a store that is a URL": (
        lambda t: ["ingest", nxtomo(t / "a.nxs"), "s3://b/a.zarr", *INTO, *PIXEL], "is a URL"),
    "a node that exists": (existing, "--overwrite"),
    "two writers at once": (locked, "another process"),
    "an unknown reader": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), "--reader", "nxtom"), "did you mean 'nxtomo'"),
    "an unknown command": (lambda t: ["ingset"], "Did you mean 'ingest'"),
    "an unknown option": (lambda t: ingest(t, "a", "--pixle-size", "1um"), "--pixel-size"),
    "no workers": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), *PIXEL, "--workers", "0"), "at least one worker"),
    "a sidecar with a tag": (
        lambda t: sidecar(t, "pixel_size: !!python/object:os.system x\n"), "not plain YAML"),
    "a sidecar with a misspelt key": (
        lambda t: sidecar(t, "pixle_size: 1 um\n"), "did you mean 'pixel_size'"),
    "a sidecar that is a list": (lambda t: sidecar(t, "- 1\n"), "holds no options"),
    "a sidecar that is not there": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), "--sidecar", "no.yaml"), "cannot be read"),
    "a mapping with a tag": (lambda t: mapping(t, "data: !!python/name:os.x\n"), "YAML|tag"),
    "a mapping with a misspelt key": (
        lambda t: mapping(t, "zeoarray: 1\nkind: xct\ndtaa: {path: frames}\n"), "dtaa"),
    "a mapping to a missing dataset": (
        lambda t: mapping(t, "zeoarray: 1\nkind: xct\ndata: {path: framse, dims: [angle, z, u]}\nangle: {path: a, units: deg}\n"),
        "frames"),
    "files without --concat": (lambda t: ingest(t, several(t), *PIXEL), "--concat"),
    "files of which one is missing": (
        lambda t: ingest(t, [*several(t), str(t / "9.nxs")], *PIXEL, "--concat", "z"), "missing: "),
    "a file given twice": (
        lambda t: ingest(t, several(t, 1) * 2, *PIXEL, "--concat", "z"), "more than once"),
    "files of the same positions": (
        lambda t: ingest(t, several(t), *PIXEL, "--concat", "z"), "repeat"),
    "files without the dim": (
        lambda t: ingest(t, several(t), *PIXEL, "--concat", "q"), "no dim 'q'"),
    "a pattern that matches nothing": (lambda t: ingest(t, str(t / "*.tif")), "no file matches"),
    "images of different shapes": (
        lambda t: stack(t, GOOD_ANGLES, lambda p: tifffile.imwrite(p, np.zeros((7, 8), "u2"))),
        r"raw_002"),
    "an image cut short": (
        lambda t: stack(t, GOOD_ANGLES, lambda p: p.write_bytes(p.read_bytes()[:60])), "raw_002"),
    "an angle file too short": (lambda t: stack(t, "0\n90\n"), "angle"),
    "an angle file of words": (lambda t: stack(t, "zero\none\ntwo\nthree\n"), "angles.txt"),
    "an angle file that is not there": (
        lambda t: ingest(t, nxtomo(t / "a.nxs"), *PIXEL, "--angles", "no.txt"), "no.txt"),
    "a stack without angles": (
        lambda t: ingest(t, tiffs(t, spoil=lambda p: None), *PIXEL), "--angles"),
    "a powder file cut short": (
        lambda t: ingest(t, written(t / "a.asc", "*START = 5\n*STOP = 9\n*STEP = 1\n*COUNT = 5\n1,2\n")),
        "a.asc"),
    "a powder file without wavelength": (
        lambda t: ingest(t, written(t / "a.xy", "1 2\n2 3\n3 4\n")), "--wavelength"),
    "info of a folder that is no store": (lambda t: ["info", str(t)], "not a zarr store"),
    "verify of what is no store": (lambda t: ["verify", str(t / "no.zarr")], "not a zarr store"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_wrong_input_gets_one_clear_error(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = CASES[name]
    arguments = make(tmp_path)
    before = set((tmp_path / "a.zarr").rglob("*"))
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    told = capsys.readouterr().err
    assert stop.value.code in (1, 2), told
    assert len(re.findall("^Error:", told, re.MULTILINE)) == 1
    assert "Traceback" not in told

    assert re.search(message, told), told
    assert set((tmp_path / "a.zarr").rglob("*")) == before, "something was left"
    assert not list(tmp_path.rglob("*.tmp"))


def test_at_least_forty_inputs_are_tried() -> None:
    assert len(CASES) >= 40


def test_a_file_without_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = nxtomo(tmp_path / "a.nxs")
    real = open

    def refuse(path: object, *args: object, **more: object) -> object:
        if str(path) == source:
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **more)  # type: ignore[call-overload]

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(SystemExit) as stop:
        main(ingest(tmp_path, source, *PIXEL))
    assert stop.value.code == 1
    assert "may not be read" in capsys.readouterr().err


def test_a_full_disk(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for the disk: a file may not grow past it."""
    frames = np.random.default_rng(0).integers(0, 60000, (400, 64, 64)).astype("u2")
    source = nxtomo(tmp_path / "a.nxs", frames=400, data=frames)
    command = [sys.executable, "-m", "zeoarray", *ingest(tmp_path, source, *PIXEL)]

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    failed = subprocess.run(
        command, capture_output=True, text=True, preexec_fn=small_disk, check=False
    )
    assert failed.returncode == 1
    assert "the disk (or the quota) is full" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (tmp_path / "a.zarr").exists()
    assert not list(tmp_path.rglob("*.tmp"))
    subprocess.run(command, capture_output=True, check=True)
    assert (tmp_path / "a.zarr/xct/a/scan/zarr.json").exists()
