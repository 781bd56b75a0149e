"""The command line: it teaches, it answers fast, and what it prints is what was done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cli.test_malformed import INTO, PIXEL, nxtomo
from zeoarray.__main__ import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return int(stop.value.code or 0)


def test_help_teaches_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; import zeoarray; from zeoarray.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'xarray', 'zarr', 'h5py', 'dask', 'pyFAI'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "zeoarray ingest 169068.nxs" in done.stdout


@pytest.mark.parametrize("command", ["info", "ingest", "verify", "readers", "twin"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert "Usage: zeoarray" in capsys.readouterr().out


def test_completion_is_there() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zeoarray"],
        env={"_ZEOARRAY_COMPLETE": "bash_source", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "_zeoarray_completion" in done.stdout


def test_info_ingest_info_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, root = nxtomo(tmp_path / "a.nxs"), str(tmp_path / "a.zarr")
    assert run("info", source) == 0
    told = capsys.readouterr().out
    assert "(nxtomo)" in told
    assert "counts (angle 24, z 6, u 8) uint16" in told
    assert "--pixel-size 2.6um" in told
    assert run("info", source, *PIXEL) == 0
    assert "lacks" not in capsys.readouterr().out
    assert run("ingest", source, root, *INTO, *PIXEL) == 0
    assert "xct/a/scan is whole" in capsys.readouterr().out
    assert run("info", root) == 0
    told = capsys.readouterr().out
    assert "/xct/a/scan" in told
    assert "angle (angle 24)" in told
    assert "whole" in told
    assert source in told
    assert run("verify", root) == 0
    assert "every block as it was written" in capsys.readouterr().out


def test_verify_names_repairs_and_exits_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, root = nxtomo(tmp_path / "a.nxs"), tmp_path / "a.zarr"
    assert run("ingest", source, str(root), *INTO, *PIXEL) == 0
    (root / "xct/a/scan/counts/c/0/0/0").unlink()
    capsys.readouterr()
    assert run("verify", str(root)) == 1
    told = capsys.readouterr().out
    assert "missing: xct/a/scan/counts/c/0/0/0" in told
    assert "--repair" in told
    assert run("verify", str(root), "--repair") == 0
    assert "repaired: xct/a/scan/counts/c/0/0/0" in capsys.readouterr().out
    assert run("verify", str(root)) == 0


def test_an_unfinished_node_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, root = nxtomo(tmp_path / "a.nxs"), tmp_path / "a.zarr"
    assert run("ingest", source, str(root), *INTO, *PIXEL) == 0
    assert run("ingest", source, str(root), "--into", "xct/b/scan", *PIXEL) == 0
    ledgers = tmp_path / "a.zarr.ledger"
    growing = ledgers / "growing/xct+b+scan"
    growing.mkdir(parents=True)
    (root / "xct/b/scan").rename(growing / "data")
    (ledgers / "nodes/xct+b+scan.jsonl").rename(growing / "ledger.jsonl")
    capsys.readouterr()
    assert run("info", str(root)) == 0
    assert "/xct/b/scan  unfinished" in capsys.readouterr().out


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        main(["--debug", "info", str(tmp_path / "no.nxs")])


def test_readers_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("readers") == 0
    told = capsys.readouterr().out
    for name in ("nxtomo", "mapping"):
        assert name in told


def test_info_of_a_huge_file_reads_no_frame(tmp_path: Path) -> None:
    """50 GB by shape, a few kB on disk: chunks that were never written take no space."""
    path = tmp_path / "huge.nxs"
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry1/tomo_entry")
        entry.attrs["NX_class"] = "NXsubentry"
        entry["definition"] = "NXtomo"
        entry.create_dataset("data/data", (4500, 2160, 2560), "u2", chunks=(1, 2160, 2560))
        entry["instrument/detector/image_key"] = np.zeros(4500, "i4")
        entry["data/rotation_angle"] = np.linspace(0, 180, 4500)
    # Reading the frames would take minutes.
    command = [sys.executable, "-m", "zeoarray", "info", str(path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert "49.8 GB" in told
