"""A pipeline run block by block gives what the steps give on the whole, and goes on by itself."""

from __future__ import annotations

import concurrent.futures as cf
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import zeoarray
from zeoarray import cluster, pipeline, store, xct
from zeoarray.errors import FingerprintError, LockedError, PipelineError, StoreError
from zeoarray.pipeline import stages, work
from zeoarray.step import STEPS, step
from zeoarray.store import ledger, lock, places

Write = Callable[..., Path]
ABSORBANCE = """
- from: xct/a/scan
  into: xct/a/absorbance
  steps:
    - xct.normalize
    - xct.minus_log
"""
LENS = """
- from: xct/a/scan
  into: xct/a/absorbance
  block: 6
  steps:
    - xct.normalize
    - xct.remove_rings: {la_size: 11, sm_size: 5}
    - xct.correct_distortion:
        {polynomial: [1.0, 1.0e-3], center_from_top: 10, center_from_left: 24, crop_edges: 3}
    - xct.minus_log
"""
PHASE = """
- from: xct/a/scan
  into: xct/a/absorbance
  steps:
    - xct.normalize
    - xct.retrieve_phase: {delta_beta: 100}
    - xct.remove_rings: {la_size: 11, sm_size: 5}
    - xct.minus_log
"""


AXIS = """
- measure: xct.find_center
  from: xct/a/scan
  into: xct/a/axis
"""
VOLUME = """
- from: xct/a/scan
  into: xct/a/volume
  steps:
    - xct.normalize
    - xct.minus_log
    - xct.reconstruct: {axis: xct/a/axis}
"""


def whole(path: Path) -> xr.Dataset:
    """The same steps on the whole scan in memory."""
    ds = store.open_node("a.zarr", "xct/a/scan", chunked=False).load()
    (stage,) = pipeline.read(path).stages
    for call in stage.calls:
        ds = getattr(xct, call.name.removeprefix("xct."))(ds, **call.given)
    return ds


@pytest.mark.parametrize("stages", [ABSORBANCE, LENS, PHASE], ids=["plain", "halo", "split"])
def test_blocks_give_what_the_whole_gives(yaml: Write, stages: str) -> None:
    path = yaml(stages)
    expected = whole(path)
    assert pipeline.run(pipeline.read(path)) == ["xct/a/absorbance"]
    made = store.open_node("a.zarr", "xct/a/absorbance", chunked=False).load()
    for name in ("absorbance", "clipped", "usable"):
        np.testing.assert_array_equal(made[name].values, expected[name].values, err_msg=name)
    assert made["absorbance"].dtype == np.float32
    xr.testing.assert_equal(made.coords.to_dataset(), expected.coords.to_dataset())
    assert made.attrs["steps"] == json.loads(json.dumps(expected.attrs["steps"]))
    assert store.nodes(Path("a.zarr").resolve()) == ["xct/a/absorbance", "xct/a/scan"]
    assert zeoarray.store.verify("a.zarr") == []


@pytest.mark.filterwarnings("ignore::zeoarray.kernels.axis_line.AxisWarning")  # it is noise
def test_what_goes_on_after_a_measure_takes_what_was_measured(yaml: Write) -> None:
    pipeline.run(pipeline.read(yaml(AXIS, "first.yaml")))
    assert pipeline.run(pipeline.read(yaml(AXIS + VOLUME))) == ["xct/a/volume"]
    axis, volume = (store.open_node("a.zarr", f"xct/a/{n}").load() for n in ("axis", "volume"))
    assert abs(axis["axis_u"]).max() > 0
    # Known at once and hanging on no block: on a template of the axis it would be zero.
    np.testing.assert_allclose(volume["axis_u"], axis["axis_u"], atol=1e-12)


def test_segments_and_halo_follow_from_the_contracts(yaml: Write) -> None:
    (lens,) = pipeline.check(pipeline.read(yaml(LENS)))
    (segment,) = lens.segments
    assert (segment.dim, segment.rows, segment.blocks) == ("z", 6, 3)
    assert segment.halo >= 2
    assert [segment.spans(i)[0][0] for i in range(3)] == [
        max(3 + 6 * i - segment.halo, 0) for i in range(3)
    ]
    assert [segment.spans(i)[-1] for i in range(3)] == [(0, 6), (6, 12), (12, 16)]
    assert [(p.start, p.stop, p.dim) for p in segment.phases()] == [
        (0, 2, "z"),
        (2, 3, "angle"),
        (3, 4, "z"),
    ]
    (phase,) = pipeline.check(pipeline.read(yaml(PHASE)))
    assert [s.dim for s in phase.segments] == ["angle", "z"]
    assert [r.node for r in pipeline.plan(pipeline.read(yaml(PHASE))).rows] == [
        "xct/a/absorbance-part1",
        "xct/a/absorbance",
    ]


def test_processes_give_the_same_bytes(yaml: Write) -> None:
    path = yaml(LENS)
    pipeline.run(pipeline.read(path))
    here = ledger.read(places.locate("a.zarr", "xct/a/absorbance").ledger)
    with cluster.processes(2) as executor:
        pipeline.run(
            pipeline.read(path, given={"stages.0.into": "xct/b/absorbance"}), executor=executor
        )
    there = ledger.read(places.locate("a.zarr", "xct/b/absorbance").ledger)
    assert here is not None
    assert there is not None
    data = {k: r.digest for k, r in here.records.items() if "/c/" in k}
    assert data == {k: r.digest for k, r in there.records.items() if "/c/" in k}


def test_interrupted_run_goes_on(yaml: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = yaml(LENS)
    finished: list[int] = []
    real = work.run_block

    def counted(blocks: work.Work, block: work.Block) -> list[ledger.Record]:
        if len(finished) == 2:
            raise KeyboardInterrupt
        finished.append(block.index)
        return real(blocks, block)

    with monkeypatch.context() as patch:
        patch.setattr(work, "run_block", counted)
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(pipeline.read(path))
    assert "xct/a/absorbance" not in store.nodes(Path("a.zarr").resolve())
    seen: list[tuple[int, int]] = []
    pipeline.run(pipeline.read(path), progress=lambda node, done, total: seen.append((done, total)))
    assert seen[0] == (2, 3), "the blocks that were finished are not redone"
    expected = whole(path)
    made = store.open_node("a.zarr", "xct/a/absorbance").load()
    np.testing.assert_array_equal(made["absorbance"], expected["absorbance"])
    assert pipeline.run(pipeline.read(path)) == []


def test_other_parameters_are_refused_and_named(yaml: Write) -> None:
    path = yaml(ABSORBANCE)
    pipeline.run(pipeline.read(path))
    other = pipeline.read(path, given={"xct.minus_log.floor": "0.01"})
    with pytest.raises(StoreError, match=r"floor: was 1e-05, is 0\.01"):
        pipeline.run(other)
    assert pipeline.run(other, overwrite=True) == ["xct/a/absorbance"]


def test_half_written_node_of_other_parameters_is_refused(
    yaml: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = yaml(LENS)

    def stopped(blocks: work.Work, block: work.Block) -> list[ledger.Record]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(work, "run_block", stopped)
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(pipeline.read(path))
    other = pipeline.read(path, given={"xct.minus_log.floor": "0.01"})
    with pytest.raises(FingerprintError, match=r"floor: was 1e-05, is 0\.01"):
        pipeline.run(other)
    assert pipeline.run(other, restart=True) == ["xct/a/absorbance"]


def test_changed_input_makes_another_result(yaml: Write) -> None:
    path = yaml(ABSORBANCE)
    pipeline.run(pipeline.read(path))
    scan = store.open_node("a.zarr", "xct/a/scan", chunked=False).load()
    scan["counts"][0, 0, 0] += 1
    store.save(scan.drop_attrs(deep=False), "a.zarr", "xct/a/scan", overwrite=True)
    with pytest.raises(StoreError, match="inputs"):
        pipeline.run(pipeline.read(path))


def test_input_that_was_made_anew_is_read_anew(yaml: Write) -> None:
    path = yaml(ABSORBANCE)
    pipeline.run(pipeline.read(path))
    scan = store.open_node("a.zarr", "xct/a/scan", chunked=False).load()
    scan["counts"] = scan["counts"] // 2 + 60
    store.save(scan.drop_attrs(deep=False), "a.zarr", "xct/a/scan", overwrite=True)
    pipeline.run(pipeline.read(path), overwrite=True)
    made = store.open_node("a.zarr", "xct/a/absorbance").load()
    np.testing.assert_array_equal(made["absorbance"], whole(path)["absorbance"])


def test_second_run_on_a_node_is_refused(yaml: Write) -> None:
    path = yaml(ABSORBANCE)
    target = places.locate("a.zarr", "xct/a/absorbance")
    with lock.held(target.lock), pytest.raises(LockedError):
        pipeline.run(pipeline.read(path))


def test_measures_run_before_the_steps_that_take_them(yaml: Write) -> None:
    path = yaml(
        "- {measure: xct.check_frames, from: xct/a/scan, into: xct/a/frames}"
        + """
- from: xct/a/scan
  into: xct/a/absorbance
  steps:
    - xct.normalize: {frames: xct/a/frames}
    - xct.minus_log
"""
    )
    assert pipeline.run(pipeline.read(path)) == ["xct/a/frames", "xct/a/absorbance"]
    made = store.open_node("a.zarr", "xct/a/absorbance")
    taken = made.attrs["steps"][0]["parameters"]["frames"]
    assert taken["node"] == "xct/a/frames"
    assert taken["flat_good"] == [True] * 6
    assert made.attrs["made_of"].keys() == {"xct/a/scan", "xct/a/frames"}
    assert pipeline.run(pipeline.read(path)) == []


def test_run_leaves_a_log(yaml: Write) -> None:
    pipeline.run(pipeline.read(yaml(ABSORBANCE)))
    lines = Path("a.zarr.ledger/log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["what"] for line in lines] == ["begin", "made", "end"]


def test_array_that_a_step_knows_at_once_is_written(yaml: Write) -> None:
    name = "test_run.mark"
    if name not in STEPS:

        @step()
        def mark(ds: xr.Dataset) -> xr.Dataset:
            """Add a flag of every pixel, known without any data."""
            flags = np.ones([ds.sizes[d] for d in ("angle", "z", "u")], bool)
            return ds.assign(seen=(("angle", "z", "u"), flags))

    path = yaml("""
    - {from: xct/a/scan, into: xct/a/marked, steps: [xct.normalize, test_run.mark, xct.minus_log]}
    """)
    pipeline.run(pipeline.read(path))
    made = store.open_node("a.zarr", "xct/a/marked", chunked=False).load()
    assert made["seen"].all()


LATE = """
- from: xct/a/scan
  into: xct/a/absorbance
  steps: [xct.normalize, xct.minus_log]
- measure: quality.summary
  from: xct/a/absorbance
  into: xct/a/summary
- from: xct/a/summary
  into: xct/a/volume
  steps:
    - xct.reconstruct: {center: 22}
"""


def test_a_fault_that_a_measure_brings_to_light_says_what_was_made(yaml: Write) -> None:
    loaded = pipeline.read(yaml(LATE))
    with pytest.raises(PipelineError) as caught:
        pipeline.run(loaded)
    told = str(caught.value)
    assert "what is made before it is kept: xct/a/absorbance, xct/a/summary" in told
    assert "nothing was run" not in told
    assert "line 13: " in told
    assert "xct.reconstruct" in told
    assert store.open_node("a.zarr", "xct/a/absorbance")["absorbance"].notnull().all()


class Inline(cf.Executor):
    """Runs a task as it is submitted, and notes how many blocks it has."""

    def __init__(self) -> None:
        self.blocks: list[int] = []

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.blocks.append(len(args[2]))
        done: cf.Future[Any] = cf.Future()
        try:
            done.set_result(function(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


def test_quick_blocks_go_together_and_none_is_lost(
    yaml: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = yaml(ABSORBANCE.replace("steps:", "block: 1\n  steps:", 1))
    real = work.run_block

    def breaks(blocks: work.Work, block: work.Block) -> list[ledger.Record]:
        if block.index == 10:
            raise ValueError("block 10")
        return real(blocks, block)

    monkeypatch.setattr(stages, "TASK_S", 1e9)
    here = Inline()
    with monkeypatch.context() as patch:
        patch.setattr(work, "run_block", breaks)
        with pytest.raises(ValueError, match="block 10"):
            pipeline.run(pipeline.read(path), executor=here, in_flight=2)
    seen: list[tuple[int, int]] = []
    pipeline.run(
        pipeline.read(path),
        executor=here,
        in_flight=2,
        progress=lambda node, done, total: seen.append((done, total)),
    )
    assert seen[0] == (10, 40), "what was made before it in the same task is kept"
    assert here.blocks == [1, 1, 38, 1, 1, 28], "blocks that take no time go together"
    slow = pipeline.read(path, given={"stages.0.into": "xct/b/absorbance"})
    monkeypatch.setattr(stages, "TASK_S", 0.0)
    here.blocks.clear()
    pipeline.run(slow, executor=here, in_flight=2)
    assert here.blocks == [1] * 40, "blocks that take longer than a task go alone"
    one, other = (store.open_node("a.zarr", f"xct/{n}/absorbance").load() for n in "ab")
    np.testing.assert_array_equal(one["absorbance"], other["absorbance"])
