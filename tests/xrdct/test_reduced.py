"""From a reduced file to a sinogram in a store: steps by blocks give what they give at once."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import numpy as np

from tests.xrdct import blobs
from zeoarray import pipeline, store, xrdct

PIPELINE = """
    zeoarray: 1
    store: a.zarr
    stages:
      - from: xrdct/a/reduced
        into: xrdct/a/sinogram
        steps:
          - xrdct.sinogram
          - xrdct.subtract_background: {outer: 2}
          - xrdct.scale_projections
          - xrdct.remove_spots
      - measure: xrdct.find_center
        from: xrdct/a/sinogram
        into: xrdct/a/axis
      - from: xrdct/a/sinogram
        into: xrdct/a/folded
        steps:
          - xrdct.fold: {axis: xrdct/a/axis}
"""


def test_a_pipeline_gives_what_the_verbs_give(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ds = blobs.blobs(np.arange(40) * 9.0, layers=3, columns=40, center=19.7)
    ds["intensity"] += (5 + 0.05 * rng.normal(size=ds.intensity.shape)).astype("float32")
    ds["intensity"][0, 7, 20, 1] *= 20
    ds = ds.isel(angle=rng.permutation(40))
    store.save(ds, "a.zarr", "xrdct/a/reduced")
    Path("p.yaml").write_text(dedent(PIPELINE), encoding="utf-8")
    read = pipeline.read("p.yaml")
    assert not any(row.temporary for row in pipeline.plan(read).rows)
    pipeline.run(read)
    made = store.open_node("a.zarr", "xrdct/a/sinogram", chunked=False).load()
    expected = xrdct.remove_spots(
        xrdct.scale_projections(xrdct.subtract_background(xrdct.sinogram(ds)))
    )
    np.testing.assert_array_equal(made.intensity, expected.intensity)
    np.testing.assert_array_equal(made.valid, expected.valid)
    assert float(made.spots.max()) > 0
    axis = store.open_node("a.zarr", "xrdct/a/axis", chunked=False).load()
    np.testing.assert_allclose(axis.axis_u / blobs.STEP, 19.7, atol=0.1)
    folded = store.open_node("a.zarr", "xrdct/a/folded", chunked=False).load()
    assert folded.sizes["angle"] == 20
