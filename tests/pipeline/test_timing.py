"""One block of each stage is run aside: the store stays as it was, and what cannot be is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.ingest.files import exchange, frames
from zeoarray import pipeline
from zeoarray.errors import PipelineError

Write = Callable[..., Path]
STEPS = """
- from: xct/a/scan
  into: xct/a/absorbance
  steps: [xct.normalize, xct.minus_log]
- measure: xct.find_center
  from: xct/a/absorbance
  into: xct/a/axis
- from: xct/a/absorbance
  into: xct/a/volume
  block: 8
  steps:
    - xct.reconstruct: {center: 22}
"""
SPLIT = """
- from: xct/a/scan
  into: xct/a/absorbance
  steps:
    - xct.normalize
    - xct.retrieve_phase: {delta_beta: 100}
    - xct.remove_rings: {la_size: 11, sm_size: 5}
    - xct.minus_log
"""

INGEST = """
zeoarray: 1
store: a.zarr
stages:
  - ingest: {source: raw.h5, into: xct/b/scan}
"""


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.filterwarnings("ignore::zeoarray.xct.AxisWarning")
def test_inputs_that_are_not_there_are_made_small(yaml: Write, written: Path) -> None:
    loaded = pipeline.read(yaml(STEPS))
    before = files(written)
    first, axis, volume = pipeline.time_stages(loaded)
    assert files(written) == before, "nothing is left behind"
    assert [t.node for t in (first, axis, volume)] == [
        "xct/a/absorbance",
        "xct/a/axis",
        "xct/a/volume",
    ]
    planned = pipeline.plan(loaded).rows
    assert [first.blocks, axis.blocks, volume.blocks] == [r.tasks for r in planned]
    assert [first.planned, volume.planned] == [planned[0].memory, planned[2].memory]
    assert first.note == ""
    assert axis.note == volume.note == "on 8 rows"
    for one in (first, axis, volume):
        assert one.block_s is not None
        assert one.whole_s is not None
        assert one.whole_s == pytest.approx(one.block_s * one.blocks)
        assert one.block_s > 0


def test_inputs_that_are_there_are_taken_as_they_are(yaml: Write, written: Path) -> None:
    loaded = pipeline.read(yaml(STEPS))
    pipeline.run(replace(loaded, stages=loaded.stages[:1]))
    before = files(written)
    (volume,) = pipeline.time_stages(replace(loaded, stages=loaded.stages[2:]))
    assert volume.note == ""
    assert volume.peak is None or volume.peak > 0
    assert files(written) == before


def test_later_parts_of_a_split_stage_say_what_they_wait_for(yaml: Write) -> None:
    first, second = pipeline.time_stages(pipeline.read(yaml(SPLIT)))
    assert (first.node, second.node) == ("xct/a/absorbance-part1", "xct/a/absorbance")
    assert first.block_s is not None
    assert (second.block_s, second.note) == (None, "once xct/a/absorbance-part1 is made")


def test_what_fails_on_few_rows_is_told(yaml: Write) -> None:
    path = yaml("""
    - {from: xct/a/scan, into: xct/a/transmission, steps: [xct.normalize]}
    - {measure: xct.find_center, from: xct/a/transmission, into: xct/a/axis, with: {start: 100}}
    """)
    _, axis = pipeline.time_stages(pipeline.read(path))
    assert (axis.block_s, axis.whole_s) == (None, None)
    assert "the axis cannot be looked for there" in axis.note


def test_faults_are_told_before_anything_runs(yaml: Write) -> None:
    with pytest.raises(PipelineError, match="did you mean"):
        pipeline.time_stages(pipeline.read(yaml("""
        - {from: xct/a/scan, into: xct/a/out, steps: [xct.normalise]}
        """)))  # fmt: skip


def test_an_ingest_is_measured_on_one_of_its_shards(written: Path) -> None:
    source = exchange(written / "raw.h5", theta=np.linspace(0, 179, 70))
    with h5py.File(source, "r+") as file:
        del file["exchange/data"]
        file["exchange/data"] = frames(70)
    path = written / "i.yaml"
    path.write_text(INGEST, encoding="utf-8")
    loaded = pipeline.read(path)
    before = files(written)
    (one,) = pipeline.time_stages(loaded)
    assert files(written) == before
    (row,) = pipeline.plan(loaded).rows
    assert (one.node, one.blocks, one.planned) == ("xct/b/scan", row.tasks, row.memory)
    assert row.tasks == 5  # 70 projections in shards of 32, a shard of flats and one of darks
    assert one.block_s is not None
    assert one.block_s > 0
    assert one.whole_s == pytest.approx(5 * one.block_s)
