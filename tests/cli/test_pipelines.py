"""``zeoarray check``, ``plan``, ``run``, ``steps`` and ``preview`` as a user calls them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.pipeline.conftest import scan
from zeoarray import pipeline, store
from zeoarray.cli import zeoarray
from zeoarray.errors import ArgumentError, PipelineError
from zeoarray.pipeline import plans

STAGES = """
zeoarray: 1
store: a.zarr
stages:
  - from: xct/a/scan
    into: xct/a/absorbance
    steps: [xct.normalize, {xct.remove_rings: {la_size: 11, sm_size: 5}}, xct.minus_log]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    store.save(scan(), "a.zarr", "xct/a/scan")
    Path("p.yaml").write_text(STAGES, encoding="utf-8")
    return tmp_path


def call(*words: str) -> str:
    done = CliRunner().invoke(zeoarray, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_check_plan_run() -> None:
    assert "1 stages, no fault" in call("check", "p.yaml")
    plan = call("plan", "p.yaml", "--workers", "2", "--memory", "1GB")
    assert "xct/a/absorbance" in plan
    assert "2 workers:" in plan
    assert "made xct/a/absorbance" in call("run", "p.yaml", "--workers", "1")
    assert "whole already: xct/a/absorbance" in call("run", "p.yaml", "--workers", "1")


def test_plan_measures_a_block_of_each_stage() -> None:
    out = call("plan", "p.yaml", "--workers", "2", "--measure").splitlines()
    (head,) = [i for i, line in enumerate(out) if line.split()[-1:] == ["measured"]]
    assert out[head + 1].split()[0] == "xct/a/absorbance"
    assert out[-1].endswith("with 2 workers, if the disk keeps up")
    assert "made xct/a/absorbance" in call("run", "p.yaml", "--workers", "1")


def test_set_and_cluster() -> None:
    Path("c.yaml").write_text("zeoarray: 1\ncluster: threads\nworkers: 2\n", encoding="utf-8")
    out = call("run", "p.yaml", "--set", "stages.0.into=xct/b/absorbance", "--cluster", "c.yaml")
    assert "made xct/b/absorbance" in out
    with pytest.raises(ArgumentError, match="--cluster says how many workers"):
        call("run", "p.yaml", "--cluster", "c.yaml", "--workers", "3")
    with pytest.raises(ArgumentError, match="--set takes KEY=VALUE"):
        call("check", "p.yaml", "--set", "store")


def test_plan_refuses_what_does_not_fit_and_says_what_would() -> None:
    (stage,) = pipeline.check(pipeline.read("p.yaml"))
    enough = plans.memory_of(replace(stage.segments[-1], rows=5)) / 1e6 + 0.01
    with pytest.raises(PipelineError) as error:
        call("plan", "p.yaml", "--memory", f"{enough}MB")
    assert "line 5: xct/a/absorbance needs" in str(error.value)
    assert "with 'block: " in str(error.value)
    with pytest.raises(PipelineError, match="one row of z does not fit"):
        call("plan", "p.yaml", "--memory", "1MB")
    with pytest.raises(ArgumentError, match="--memory takes a size"):
        call("plan", "p.yaml", "--memory", "8")


def test_steps_are_listed_and_documented() -> None:
    assert "xct.reconstruct" in call("steps")
    told = call("steps", "xct.remove_rings")
    assert "snr: float, default 3.0" in told or "snr:" in told
    assert "Parameters" in told
