"""``zeoarray patches``: leaks are told, and a set has a datasheet."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.placed import places, volume
from zeoarray import patches, store
from zeoarray.cli import zeoarray


@pytest.fixture
def made(tmp_path: Path) -> Path:
    of = volume((8, 96, 12))
    found = places(of)
    path = tmp_path / "set.zarr"
    store.save(found, path, "patches/sr/places")
    store.save(patches.extract(found, volume=of), path, "patches/sr/fine")
    return path


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(zeoarray, list(map(str, arguments)), standalone_mode=False)
    return done.return_value or 0, done.output + (str(done.exception) if done.exception else "")


def test_a_sound_set_is_said_to_be_sound(made: Path) -> None:
    code, out = run("patches", "check", made)
    assert code == 0
    assert "patches/sr: 2 sources" in out
    assert "no leak in" in out
    assert "which cost" in out


def test_a_leaking_set_is_told_and_exits_with_1(made: Path) -> None:
    fine = store.open_node(made, "patches/sr/fine", chunked=False).load()
    wide = fine.assign_coords(support_y=fine["support_y"] + 20.0)
    store.save(wide.drop_attrs(deep=False), made, "patches/other/fine")
    code, out = run("patches", "check", made, "patches/other")
    assert code == 1
    assert "LEAK" in out


def test_a_datasheet_says_what_and_from_where(made: Path, tmp_path: Path) -> None:
    code, out = run("patches", "datasheet", made, "patches/sr", "--licence", "CC BY 4.0")
    assert code == 0
    assert "| fine | attenuation [1/cm] | channel 1, z 4, y 4, x 4 | 2 um |" in out
    for said in ("CC BY 4.0", "patches.place(", "one sample", "is seen by two splits"):
        assert said in out
    run("patches", "datasheet", made, "patches/sr", "-o", tmp_path / "sheet.md")
    assert "Not known" in (tmp_path / "sheet.md").read_text(encoding="utf-8")


def test_a_store_without_patches_is_said_so(tmp_path: Path) -> None:
    store.save(volume(), tmp_path / "v.zarr", "xct/volume")
    _, out = run("patches", "check", tmp_path / "v.zarr")
    assert "has no patches" in out
