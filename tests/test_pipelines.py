"""Every shipped pipeline runs, pruned, on the twin's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import zeoarray
from zeoarray import pipeline, store
from zeoarray.twin import generate

SHIPPED = Path(__file__).parents[1] / "pipelines"
SMALLER = {"xct.remove_rings.la_size": "15", "xct.remove_rings.sm_size": "5"}
"""The tiny twin is narrower than the windows of the paper, and its camera is binned."""
LENS = {
    "xct.correct_distortion.center_from_top": "5",
    "xct.correct_distortion.center_from_left": "40",
    "xct.correct_distortion.crop_edges": "2",
    "xct.find_center.center_from_top": "5",
    "xct.find_center.center_from_left": "40",
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
    "tomogram.yaml": {"ingest.source": "169068.nxs", "ingest.sidecar": "169068.yaml", **SMALLER},
}
DEMO = "demo.yaml"
CORRELATE = "correlate.yaml"
"""Reads volumes that others make: tests/volume/test_correlate.py runs it."""
PATCHES = "patches.yaml"
"""The same: tests/patches/test_shipped.py runs it."""


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twin")
    generate(folder, preset="tiny", seed=1, only=["i13-2.6um", "diad", "100um", "powder"])
    return folder


def test_every_shipped_pipeline_is_tested() -> None:
    assert {path.name for path in SHIPPED.glob("*.yaml")} == {*SETTINGS, DEMO, CORRELATE, PATCHES}


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


def test_the_demonstration_tells_the_phases_apart(demo: Path) -> None:
    made = zeoarray.open(demo / "demo/zn13x.zarr")
    truth = zeoarray.open(demo / "demo/files/truth.zarr")["xrdct/100um/phases"].to_dataset().load()
    found = made["xrdct/25um/phases"]["fraction"].sel(phase="zinc").load()
    true = truth["weight"].sel(phase=["sodium", "zinc"]).sum("phase")
    matter = (true > 0.6 * true.max()).values & np.isfinite(found.values)
    assert matter.sum() > 50
    expected = (truth["weight"].sel(phase="zinc") / true).values[matter]
    assert np.corrcoef(found.values[matter], expected)[0, 1] > 0.9


def test_the_demonstration_reconstructs_every_tomogram(demo: Path) -> None:
    made = zeoarray.open(demo / "demo/zn13x.zarr")
    scans = [f"i13-{size}um" for size in (2.6, 1.625, 0.8125, 0.325)]
    pixels = [26.0, 16.25, 8.125, 3.25, 10.8]
    for scan, pixel in zip([*scans, "diad"], pixels, strict=True):
        volume = made[f"xct/{scan}/volume/bin1"].to_dataset().isel(z=[5, 6]).load()
        assert float(volume["resolution"]) == pixel
        # The sample lies about the axis and is denser than the air about it; the finest scan has
        # no air, and what it has is above nothing.
        radius = np.hypot(volume["x"], volume["y"])
        inner = float(volume["attenuation"].where(radius < 150).mean())
        assert inner > 1.0
        if scan != "i13-0.325um":
            outer = float(volume["attenuation"].where((radius > 700) & (radius < 780)).mean())
            assert abs(outer) < 0.1 * inner


def test_a_real_tomogram_of_images(real: Path, tmp_path: Path) -> None:
    files = real / "i13_xct"
    given = {
        "store": str(tmp_path / "a.zarr"),
        "ingest.source": str(files / "tiffs/raw_*.tiff"),
        "ingest.angles": str(files / "angles.txt"),
        "ingest.angle_lines": "[10, 101]",
        "ingest.flats": str(files / "flat_00001.tiff"),
        "ingest.darks": str(files / "dark_00001.tiff"),
        "ingest.pixel_size": "2.6 um",
    }
    pipeline.run(pipeline.read(SHIPPED / "tomogram.yaml", given=given))
    made = zeoarray.open(tmp_path / "a.zarr")
    axis = made["xct/sample/axis"].to_dataset().load()
    u = made["xct/sample/scan"]["u"].values
    center = (axis["axis_u"].values - u[0]) / 2.6
    np.testing.assert_allclose(center, 86.0, atol=0.5)  # verified by hand
    volume = made["xct/sample/volume/bin1"].to_dataset().load()["attenuation"]
    assert np.isfinite(volume).all()
    # A dense pin stands near the axis of the middle slice, in little else.
    radius = np.hypot(volume["x"], volume["y"])
    inner, outer = radius < 40, (radius > 100) & (radius < 180)
    pin, rest = (float(volume.isel(z=67).where(where).mean()) for where in (inner, outer))
    assert pin > 5 * abs(rest)


def test_a_real_scan_with_linked_files(real: Path, tmp_path: Path) -> None:
    given = {
        "store": str(tmp_path / "a.zarr"),
        "ingest.source": str(real / "diad_xct/k11-18014.nxs"),
        "ingest.pixel_size": "54 um",  # every hundredth pixel of 0.54 um
        "xct.remove_rings.la_size": "7",
        "xct.remove_rings.sm_size": "3",
    }
    pipeline.run(pipeline.read(SHIPPED / "tomogram.yaml", given=given))
    volume = zeoarray.open(tmp_path / "a.zarr")["xct/sample/volume/bin1"].to_dataset().load()
    assert volume["attenuation"].shape == (22, 26, 26)
    assert np.isfinite(volume["attenuation"]).all()
    assert volume["attenuation"].isel(y=slice(8, 18), x=slice(8, 18)).mean() > 0
