"""The shipped pipeline of training data runs on what the demonstration made."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from zeoarray import patches, pipeline, store

SHIPPED = Path(__file__).parents[2] / "pipelines/patches.yaml"
SOURCES = {"sr": ("fine", "coarse"), "fusion": ("structure", "chemistry", "patterns")}


def test_sets_of_the_demonstration(demo: Path, tmp_path: Path) -> None:
    for folder in (demo / "demo").glob("zn13x.zarr*"):
        if folder.is_dir():
            shutil.copytree(folder, tmp_path / folder.name)
    path = tmp_path / "zn13x.zarr"
    loaded = pipeline.read(SHIPPED, given={"store": str(path)})
    assert pipeline.run(loaded) == [stage.into for stage in loaded.stages]
    assert pipeline.run(loaded) == [], "what is whole is not made again"
    for name, sources in SOURCES.items():
        nodes = {n: store.open_node(path, f"patches/{name}/{n}").load()
                 for n in ("places", *sources)}  # fmt: skip
        found = patches.check(nodes)
        assert not found.leaks
        assert min(found.patches.values()) >= 1
        assert {"train", "test"} <= found.patches.keys()
    # Both show the same matter: means of a patch agree, but for what the blur brings in.
    pair = [store.open_node(path, f"patches/sr/{n}")["attenuation"].load() for n in SOURCES["sr"]]
    fine, coarse = (p.mean(("channel", "z", "y", "x")).values for p in pair)
    assert np.corrcoef(fine, coarse)[0, 1] > 0.9
    first = next(iter(patches.loader(path, "patches/sr", SOURCES["sr"], batch=8)))
    assert first["coarse"].shape[1:] == (1, 1, 5, 5)
    # Each source has voxels of its own: diffraction's are the coarse ones.
    chemistry, structure = nodes["chemistry"], nodes["structure"]
    assert chemistry["weight"].dims == ("patch", "channel", "z", "y", "x")
    assert chemistry.sizes["x"] < structure.sizes["x"]
    assert np.isfinite(chemistry["weight"]).mean() > 0.9
    assert nodes["patterns"]["intensity"].dims[1] == "q"
