"""Every shipped pipeline runs, pruned, on the twin's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zeoarray import pipeline, store
from zeoarray.twin import generate

SHIPPED = Path(__file__).parents[1] / "pipelines"
SMALLER = {"xct.remove_rings.la_size": "15", "xct.remove_rings.sm_size": "5"}
"""The tiny twin is narrower than the windows of the paper, and its camera is binned."""
LENS = {
    "xct.correct_distortion.center_from_top": "5",
    "xct.correct_distortion.center_from_left": "40",
    "xct.correct_distortion.crop_edges": "2",
}
SETTINGS: dict[str, dict[str, str]] = {
    "xct.yaml": {"ingest.source": "169068.nxs", "ingest.sidecar": "169068.yaml", **SMALLER, **LENS},
    "diad-xct.yaml": {
        "ingest.source": "k11-43320.nxs",
        "ingest.sidecar": "k11-43320.yaml",
        "ingest.pixel_size": "null",
        **SMALLER,
    },
    "xrdct.yaml": {
        "stages.0.ingest.poni": "diad-100um.poni",
        "stages.0.ingest.mask": "diad-100um-mask.edf",
        "stages.0.ingest.beam_size": "100 um",
        "xrdct.integrate.npt": "400",
        "xrdct.bin_covariance.npt": "400",
    },
    "xrdct-reduced.yaml": {"stages.0.ingest.beam_size": "100 um"},
}


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twin")
    generate(folder, preset="tiny", seed=1, only=["i13-2.6um", "diad", "100um", "powder"])
    return folder


def test_every_shipped_pipeline_is_tested() -> None:
    assert {path.name for path in SHIPPED.glob("*.yaml")} == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_pipeline_runs_pruned(
    twin: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(twin)
    given = {"store": str(tmp_path / "a.zarr"), **SETTINGS[name]}
    loaded = pipeline.prune(pipeline.read(SHIPPED / name, given=given))
    made = pipeline.run(loaded)
    assert made == [stage.into for stage in loaded.stages]
    volume = store.open_node(loaded.store, made[-1], chunked=False).load()
    if "weight" in volume:  # nothing is fitted to voxels beyond the circle that every ray saw
        near = slice(volume.sizes["x"] // 4, -(volume.sizes["x"] // 4))
        assert np.isfinite(volume["weight"].isel(y=near, x=near)).all()
    else:
        assert np.isfinite(volume["attenuation"]).all()
    assert volume.sizes["z"] <= 8
    assert pipeline.run(loaded) == [], "what is whole is not made again"
