"""A set of patches made by a pipeline, in blocks and by processes, as it is made at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.placed import volume
from zeoarray import patches, pipeline, store

SET = """
zeoarray: 1
store: {store}
stages:
  - measure: patches.place
    from: xct/fine/volume
    into: patches/sr/places
    with: {{size: 8.0, support: 6.0, overlap: 0.0, threshold: 0.0, along: y}}
  - from: patches/sr/places
    into: patches/sr/fine
    block: {block}
    steps:
      - patches.extract: {{volume: xct/fine/volume}}
  - from: patches/sr/places
    into: patches/sr/coarse
    steps:
      - patches.extract: {{volume: xct/coarse/volume}}
  - measure: patches.statistics
    from: patches/sr/fine
    into: patches/sr/fine-statistics
  - from: xct/fine/volume
    into: patches/sr/back
    steps:
      - patches.stitch: {{patches: patches/sr/fine}}
"""


@pytest.mark.parametrize("block", [16, 64])
def test_a_set_is_made_by_a_pipeline(tmp_path: Path, block: int) -> None:
    path = tmp_path / "s.zarr"
    fine, coarse = volume((40, 160, 24), 2.0), volume((20, 80, 12), 4.0)
    store.save(fine, path, "xct/fine/volume")
    store.save(coarse, path, "xct/coarse/volume")
    text = tmp_path / "patches.yaml"
    text.write_text(SET.format(store=path, block=block), encoding="utf-8")
    read = pipeline.read(text)
    plan = pipeline.plan(read)
    rows = {row.node: row for row in plan.rows}
    pipeline.run(read)
    places = store.open_node(path, "patches/sr/places").load()
    assert places.sizes["patch"] > 2 * block
    for name, of in {"fine": fine, "coarse": coarse}.items():
        made = store.open_node(path, f"patches/sr/{name}").load()
        at_once = patches.extract(places, volume=of)
        np.testing.assert_array_equal(made["attenuation"], at_once["attenuation"])
        assert not patches.check({name: made}).leaks
    assert rows["patches/sr/fine"].tasks >= 1
    assert rows["patches/sr/fine"].dim in {"patch", None}
    back = store.open_node(path, "patches/sr/back")["attenuation"].load()
    known = np.isfinite(back.values)
    np.testing.assert_allclose(back.values[known], fine["attenuation"].values[known], rtol=1e-5)
    assert known.mean() > 0.5
    batches = patches.loader(path, "patches/sr", ["fine"])
    first = next(iter(batches))
    assert abs(float(xr.DataArray(first["fine"]).mean())) < 0.5
