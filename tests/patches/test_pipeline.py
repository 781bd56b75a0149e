"""A set of patches made by a pipeline, in blocks and by processes, as it is made at once."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.placed import volume
from zeoarray import patches, pipeline, store
from zeoarray.errors import ZeoError
from zeoarray.labelled import recorded

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


def test_a_set_is_made_by_a_pipeline(tmp_path: Path) -> None:
    block = 64
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


def written(path: Path, factor: int = 1) -> tuple[Path, xr.Dataset]:
    """A store with a volume, and the first two stages of the set."""
    of = volume((40, 160 * factor, 24), 2.0)
    store.save(of, path / "s.zarr", "xct/fine/volume")
    text = path / "patches.yaml"
    stages = SET.split("  - from: patches/sr/places\n    into: patches/sr/coarse")[0]
    text.write_text(stages.format(store=path / "s.zarr", block=16), encoding="utf-8")
    return text, of


class Stopped(Exception):
    """Somebody pressed a key."""


def test_extraction_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    text, of = written(tmp_path)
    read = pipeline.read(text)

    def stop(node: str, done: int, total: int) -> None:
        if node == "patches/sr/fine" and done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        pipeline.run(read, progress=stop)
    seen: list[tuple[int, int]] = []
    pipeline.run(read, progress=lambda node, done, total: seen.append((done, total)))
    blocks = seen[-1][1]
    assert blocks > 4
    assert len(seen) <= blocks - 2, "blocks that were done are not done again"
    places = store.open_node(tmp_path / "s.zarr", "patches/sr/places").load()
    made = store.open_node(tmp_path / "s.zarr", "patches/sr/fine").load()
    np.testing.assert_array_equal(
        made["attenuation"], patches.extract(places, volume=of)["attenuation"]
    )


@pytest.mark.parametrize("asked", ["", "voxel: 4.0", "voxel: 4.0, psf: 0.4"])
def test_the_plan_knows_what_extraction_holds(tmp_path: Path, asked: str) -> None:
    """Beyond what it is given and what it gives, of one block: as `tracemalloc` counts it."""
    text, of = written(tmp_path)
    more = f"volume: xct/fine/volume, {asked}" if asked else "volume: xct/fine/volume"
    stages = text.read_text(encoding="utf-8").replace("volume: xct/fine/volume}", more + "}")
    text.write_text(stages, encoding="utf-8")
    with recorded() as record:
        found = patches.place(of, size=8.0, support=6.0, threshold=0.0, along="y")
        given = {k: float(v) for k, v in (pair.split(": ") for pair in asked.split(", ") if asked)}
        planned = patches.extract(found, volume=of, **given)
    assert planned["attenuation"].chunks is not None, "a planner wants it lazy"
    (call,) = (c for c in record.calls if c.kernel.name.startswith("patches.extract"))
    need = call.memory({}, batch=found.sizes["patch"])
    assert need.fixed == of["attenuation"].nbytes
    patches.extract(found, volume=of, **given)
    tracemalloc.start()
    made = patches.extract(found, volume=of, **given)
    peak = tracemalloc.get_traced_memory()[1] - made["attenuation"].nbytes
    tracemalloc.stop()
    # The volume is NumPy here, and parts of it are views; positions of places are small.
    assert peak <= need.block + 200_000
    assert sum(r.memory for r in pipeline.plan(pipeline.read(text)).rows) > need.block


def test_a_missing_volume_is_said_before_anything_runs(tmp_path: Path) -> None:
    text, _ = written(tmp_path)
    stages = text.read_text(encoding="utf-8").replace("xct/fine/volume}", "xct/fin/volume}")
    text.write_text(stages, encoding="utf-8")
    with pytest.raises(ZeoError, match=r"(?s)xct/fin/volume.*xct/fine/volume"):
        pipeline.check(pipeline.read(text))
