"""Broken pipeline files: each is answered with its line, what is wrong and what is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zeoarray import pipeline
from zeoarray.errors import ArgumentError, PipelineError, SourceError

Write = Callable[..., Path]
GOOD = """
- from: xct/a/scan
  into: xct/a/absorbance
  steps:
    - xct.normalize: {average: median}
    - xct.minus_log
"""


def told(path: Path, **given: str) -> str:
    with pytest.raises((PipelineError, SourceError, ArgumentError)) as error:
        pipeline.check(pipeline.read(path, given=given))
    return str(error.value)


def test_good_file_has_no_fault(yaml: Write) -> None:
    (stage,) = pipeline.check(pipeline.read(yaml(GOOD)))
    assert stage.template is not None
    assert dict(stage.template["absorbance"].sizes) == {"angle": 40, "z": 22, "u": 48}


STAGES = {
    "step": ("- xct.normalise", ["line 7", "'xct.normalise'", "did you mean 'xct.normalize'"]),
    "step of no module": ("- reconstruct", ["there is no step 'reconstruct'"]),
    "measure as a step": ("- xct.check_frames", ["there is no step 'xct.check_frames'"]),
    "parameter": (
        "- xct.normalize: {averge: mean}",
        ["line 7", "no parameter 'averge'", "did you mean 'average'"],
    ),
    "choice": ("- xct.normalize: {average: mode}", ["'average'", "'mean' or 'median'"]),
    "type": ("- xct.minus_log: {floor: low}", ["'floor'", "valid number"]),
    "range": ("- xct.minus_log: {floor: 2}", ["'floor'", "less than 1"]),
    "parameters as a list": ("- xct.minus_log: [0.1]", ["parameters of xct.minus_log", "[0.1]"]),
    "two names in one step": (
        "- {xct.normalize: {}, xct.minus_log: {}}",
        ["a step is a name or {name: {parameter: value}}"],
    ),
    "number as a step": ("- 3", ["a step is a name"]),
    "steps that do not fit": (
        "- xct.minus_log",
        ["xct.minus_log", "has no 'transmission'", "counts"],
    ),
    "node of an argument": (
        "- xct.normalize: {frames: xct/a/frame}",
        ["there is no node 'xct/a/frame'"],
    ),
    "node as a number": ("- xct.normalize: {frames: 3}", ["there is no node '3'"]),
}


@pytest.mark.parametrize("name", STAGES)
def test_fault_in_a_step(yaml: Write, name: str) -> None:
    line, parts = STAGES[name]
    text = told(yaml(f"- from: xct/a/scan\n  into: xct/a/out\n  steps:\n    {line}"))
    for part in parts:
        assert part in text, text


FILES = {
    "no stages": ("zeoarray: 1\nstore: a.zarr\n", "'stages' is a list"),
    "empty stages": ("zeoarray: 1\nstore: a.zarr\nstages: []\n", "at least one stage"),
    "no version": ("store: a.zarr\nstages: [{from: a}]\n", "expected: zeoarray: 1"),
    "other version": ("zeoarray: 2\nstore: a.zarr\nstages: [{}]\n", "got:      2"),
    "no store": ("zeoarray: 1\nstages: [{}]\n", "'store' names the folder"),
    "store is a URL": ("zeoarray: 1\nstore: s3://a/b\nstages: [{}]\n", "is a URL"),
    "strange key": ("zeoarray: 1\nstore: a.zarr\nstage: []\n", "did you mean 'stages'"),
    "tag": ("zeoarray: 1\nstore: !!python/name:os.system\n", "tags are refused"),
    "alias": ("zeoarray: 1\nstore: &a b.zarr\nstages: *a\n", "aliases are refused"),
    "key twice": ("zeoarray: 1\nstore: a.zarr\nstore: b.zarr\n", "stands twice"),
    "no YAML": ("zeoarray: 1\n  store: {a.zarr\n", "this is not YAML"),
    "a list": ("- 1\n- 2\n", "holds no keys"),
    "stage is text": ("zeoarray: 1\nstore: a.zarr\nstages: [run]\n", "a stage is a mapping"),
    "stage without verb": (
        "zeoarray: 1\nstore: a.zarr\nstages: [{from: a, into: b}]\n",
        "one of 'ingest', 'measure' and 'steps', got 'from', 'into'",
    ),
    "stage with two verbs": (
        "zeoarray: 1\nstore: a.zarr\nstages: [{measure: a, steps: [b]}]\n",
        "got 'measure', 'steps'",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_fault_in_the_form(written: Path, name: str) -> None:
    content, part = FILES[name]
    path = written / "bad.yaml"
    path.write_text(content, encoding="utf-8")
    assert part in told(path)


KEYS = {
    "misspelt key": ("from: xct/a/scan\nin: b", "did you mean 'into'"),
    "no into": ("from: xct/a/scan", "'into' names the node that is made"),
    "no from": ("into: b", "'from' names the node that is read"),
    "unknown node": ("from: xct/a/scn\ninto: b", "did you mean 'xct/a/scan'"),
    "node escapes": ("from: xct/a/scan\ninto: ../b", "cannot be the name of a node"),
    "absolute node": ("from: xct/a/scan\ninto: /etc/../b", "cannot be the name of a node"),
    "block of nothing": ("from: xct/a/scan\ninto: b\nblock: 0", "'block' is a number of rows"),
    "block as text": ("from: xct/a/scan\ninto: b\nblock: many", "'block' is a number of rows"),
}


@pytest.mark.parametrize("name", KEYS)
def test_fault_in_the_keys_of_a_stage(yaml: Write, name: str) -> None:
    keys, part = KEYS[name]
    lines = [*keys.splitlines(), "steps: [xct.normalize]"]
    assert part in told(yaml("- " + "\n  ".join(lines)))


INGESTS = {
    "text": ("ingest: scan.nxs", "'ingest' is a mapping"),
    "no source": ("ingest: {into: b}", "'source' is a path"),
    "no file": ("ingest: {source: no.nxs, into: b}", "no.nxs does not exist"),
    "wrong unit": (
        "ingest: {source: a.zarr, into: b, pixel_size: 2.6 furlong}",
        "option 'pixel_size'",
    ),
    "misspelt option": ("ingest: {source: a.zarr, into: b, pixelsize: 2 um}", "'pixel_size'"),
}


@pytest.mark.parametrize("name", INGESTS)
def test_fault_in_an_ingest(yaml: Write, name: str) -> None:
    stage, part = INGESTS[name]
    assert part in told(yaml(f"- {stage}"))


def test_every_fault_is_told_at_once(yaml: Write) -> None:
    text = told(
        yaml("""
        - measure: xct.check_frame
          from: xct/a/scan
          into: xct/a/frames
        - from: xct/a/scan
          into: xct/a/absorbance
          steps:
            - xct.normalize: {avrage: mean}
            - xct.minus_log: {floor: -1}
        """)
    )
    assert "3 faults" in text
    assert [line.split(":")[0] for line in text.splitlines() if line.startswith("line")] == [
        "line 4",
        "line 10",
        "line 11",
    ]


def test_two_stages_into_one_node_and_a_loop(yaml: Write) -> None:
    twice = told(yaml(GOOD + GOOD))
    assert "two stages make xct/a/absorbance: the other is in line 4" in twice
    loop = told(
        yaml("""
        - {from: xct/b, into: xct/c, steps: [xct.normalize]}
        - {from: xct/c, into: xct/b, steps: [xct.minus_log]}
        """)
    )
    assert "line 4: xct/b is made by a later stage" in loop


def test_values_are_set_from_outside(yaml: Write) -> None:
    path = yaml(GOOD)
    given = {"xct.minus_log.floor": "0.01", "store": "b.zarr", "stages.0.block": "8"}
    read = pipeline.read(path, given=given)
    assert read.stages[0].calls[1].given == {"floor": 0.01}
    assert (str(read.store), read.stages[0].block) == ("b.zarr", 8)


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("xct.reconstruct.center", "nothing in the pipeline has this key"),
        ("stages.7.block", "no such place"),
        ("ingest.source", "NAME.parameter of xct.minus_log, xct.normalize"),
    ],
)
def test_key_that_sets_nothing(yaml: Write, key: str, part: str) -> None:
    assert part in told(yaml(GOOD), **{key: "3"})
