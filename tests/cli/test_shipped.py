"""Pipelines and cluster files come with the package, and a command prints them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from zeoarray.cli import shipped, zeoarray
from zeoarray.errors import SourceError, UnknownNameError

ROOT = Path(__file__).parents[2]


def call(*words: str) -> str:
    done = CliRunner().invoke(zeoarray, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_all_are_listed_with_what_they_are() -> None:
    told = call("pipelines")
    for kind in ("pipelines", "cluster"):
        for path in (ROOT / kind).glob("*.yaml"):
            assert f"  {path.stem} " in told
    assert "X-ray tomography at I13-2" in told


def test_one_is_printed_as_it_is() -> None:
    assert call("pipelines", "xct") == (ROOT / "pipelines/xct.yaml").read_text(encoding="utf-8")
    assert call("pipelines", "slurm.yaml") == (ROOT / "cluster/slurm.yaml").read_text("utf-8")
    with pytest.raises(UnknownNameError, match="no shipped file 'xtc'") as error:
        call("pipelines", "xtc")
    assert "did you mean 'xct'" in str(error.value)


def test_shipped_pipeline_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"zeoarray pipelines xct > xct\.yaml"):
        call("check", "xct.yaml")


def test_files_inside_of_the_package_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "zeoarray/shipped/pipelines"
    inside.mkdir(parents=True)
    (inside / "a.yaml").write_text("# What it is.\nzeoarray: 1\n", encoding="utf-8")
    monkeypatch.setattr(shipped, "PACKAGE", tmp_path / "zeoarray")
    assert list(shipped.files("pipelines")) == ["a"]
    assert shipped.summary(inside / "a.yaml") == "What it is"


def test_wheel_has_them(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for kind in ("pipelines", "cluster"):
        for path in (ROOT / kind).glob("*.yaml"):
            assert f"zeoarray/shipped/{kind}/{path.name}" in names
    assert "zeoarray/cli/shipped.py" in names
