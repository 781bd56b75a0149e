"""Volumes in a store are OME-Zarr: validators accept them, readers find every voxel's place."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.placed import UM, volume
from zeoarray import pipeline, store
from zeoarray.store import grow, multiscales

YAML = """
zeoarray: 1
store: {store}
stages:
  - {{from: xct/a/volume/bin1, into: xct/a/volume/bin2, steps: [volume.bin: {{factor: 2}}]}}
  - {{from: xct/a/volume/bin2, into: xct/a/volume/bin4, steps: [volume.bin: {{factor: 2}}]}}
"""


@pytest.fixture
def pyramid(tmp_path: Path) -> Path:
    """Store of a volume with a bright voxel, binned twice by a pipeline."""
    of = volume((16, 20, 24), 1.3, low=7.0)
    of["attenuation"][4:8, 8:12, 16:20] += 100.0
    root, path = tmp_path / "a.zarr", tmp_path / "p.yaml"
    store.save(of, root, "xct/a/volume/bin1")
    path.write_text(YAML.format(store=root), encoding="utf-8")
    pipeline.run(pipeline.read(path))
    return root


def said(root: Path) -> dict[str, Any]:
    content = json.loads((root / "xct/a/volume/zarr.json").read_text(encoding="utf-8"))
    ome: dict[str, Any] = content["attributes"].get("ome", {})
    return ome


def test_bins_are_where_their_coordinates_say(pyramid: Path) -> None:
    (image,) = said(pyramid)["multiscales"]
    assert said(pyramid)["version"] == "0.5"
    assert [a["name"] for a in image["axes"]] == ["z", "y", "x"]
    assert {a["unit"] for a in image["axes"]} == {"micrometer"}
    assert [d["path"] for d in image["datasets"]] == [f"bin{n}/attenuation" for n in (1, 2, 4)]
    finest = image["datasets"][0]["coordinateTransformations"]
    for factor, level in zip((1, 2, 4), image["datasets"], strict=True):
        scale, translation = level["coordinateTransformations"]
        np.testing.assert_allclose(scale["scale"], [1.3 * factor] * 3)
        # The first centre moves by half of what the voxel grew.
        moved = np.array(finest[1]["translation"]) + (factor - 1) / 2 * 1.3
        np.testing.assert_allclose(translation["translation"], moved)
        node = store.open_node(pyramid, f"xct/a/volume/bin{factor}")
        assert [float(node[d][0]) for d in "zyx"] == pytest.approx(translation["translation"])


def test_ngff_zarr_accepts_it_and_finds_the_place(pyramid: Path) -> None:
    ngff_zarr = pytest.importorskip("ngff_zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = ngff_zarr.from_ngff_zarr(
            str(pyramid / "xct/a/volume"), validate=True, version="0.5"
        )
    middles = []
    for image in found.images:
        values = np.asarray(image.data)
        bright = np.argwhere(values > 50).mean(axis=0)
        middles.append(
            [image.translation[d] + image.scale[d] * bright[i] for i, d in enumerate("zyx")]
        )
    of = store.open_node(pyramid, "xct/a/volume/bin1")
    there = [float(of[d][slice(*r)].mean()) for d, r in
             {"z": (4, 8), "y": (8, 12), "x": (16, 20)}.items()]  # fmt: skip
    assert len(middles) == 3
    for middle in middles:
        np.testing.assert_allclose(middle, there, atol=1e-6)


def test_ome_zarr_reads_it(pyramid: Path) -> None:
    pytest.importorskip("ome_zarr")
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (node,) = list(Reader(parse_url(str(pyramid / "xct/a/volume")))())
    assert [level.shape for level in node.data] == [(16, 20, 24), (8, 10, 12), (4, 5, 6)]
    transforms = node.metadata["coordinateTransformations"]
    assert transforms[2][0]["scale"] == pytest.approx([5.2] * 3)


def test_it_follows_what_is_there(pyramid: Path, tmp_path: Path) -> None:
    grow.remove(pyramid, "xct/a/volume/bin2")
    (image,) = said(pyramid)["multiscales"]
    assert [d["path"] for d in image["datasets"]] == ["bin1/attenuation", "bin4/attenuation"]
    # A kill between a node and what is said of it: the next run says it.
    path = pyramid / "xct/a/volume/zarr.json"
    path.write_bytes(grow.GROUP)
    assert said(pyramid) == {}
    read = pipeline.read(tmp_path / "p.yaml")
    assert pipeline.run(read) == ["xct/a/volume/bin2"]  # the next is of the same bytes
    before = path.read_bytes()
    assert [len(m["datasets"]) for m in said(pyramid)["multiscales"]] == [3]
    path.write_bytes(grow.GROUP)
    assert pipeline.run(read) == []
    assert path.read_bytes() == before
    assert store.verify(pyramid) == []
    assert store.nodes(pyramid) == [f"xct/a/volume/bin{n}" for n in (1, 2, 4)]


def test_volumes_that_ome_has_no_words_for_are_left_alone(tmp_path: Path) -> None:
    of, root = volume((6, 8, 8)), tmp_path / "a.zarr"
    store.save(of.isel(z=slice(None, None, -1)), root, "xct/a/volume/bin1")
    assert said(root) == {}
    store.save(of.isel(z=[0, 1, 4]), root, "xct/a/volume/bin1", overwrite=True)
    assert said(root) == {}
    store.save(of.isel(z=[0]), root, "xct/a/volume/bin1", overwrite=True)
    (image,) = said(root)["multiscales"]
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"] == [2.0, 2.0, 2.0]
    without = of.drop_vars("attenuation").assign(mask=(("y", "x"), np.ones((8, 8)), UM))
    store.save(without, root, "xct/a/volume/bin1", overwrite=True)
    assert said(root) == {}
    multiscales.update(root, "xct")
