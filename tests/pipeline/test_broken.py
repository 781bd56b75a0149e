"""Broken pipeline files, more of them: the line, what is wrong, and the nearest right name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline import test_document as document
from zeoarray import pipeline
from zeoarray.errors import ArgumentError, PipelineError, SourceError

Write = Callable[..., Path]

STEPS = "- from: xct/a/scan\n  into: xct/a/out\n  steps:\n    "
MEASURE = "- from: xct/a/scan\n  into: xct/a/out\n  "

BROKEN: dict[str, tuple[str, list[str]]] = {
    "misspelt measure": (MEASURE + "measure: xct.find_centre", ["'xct.find_center'"]),
    "step as a measure": (
        MEASURE + "measure: xct.normalize",
        ["there is no measure 'xct.normalize'"],
    ),
    "parameter of a measure": (
        MEASURE + "measure: xct.find_center\n  with: {row: 3}",
        ["line 7", "no parameter 'row'", "did you mean 'rows'"],
    ),
    "range of a measure": (
        MEASURE + "measure: xct.check_frames\n  with: {rows: 0}",
        ["line 7", "'rows'", "greater than or equal to 1"],
    ),
    "with as a list": (
        MEASURE + "measure: xct.check_frames\n  with: [rows]",
        ["line 7", "'with' is a mapping of parameters"],
    ),
    "with under steps": (
        STEPS + "- xct.normalize\n  with: {average: mean}",
        ["line 8", "no key of a stage with 'steps' 'with'"],
    ),
    "from is a number": ("- {from: 3, into: b, steps: [xct.normalize]}", ["line 4", "got 3"]),
    "steps as a mapping": (
        "- {from: xct/a/scan, into: b, steps: {xct.normalize: {}}}",
        ["line 4", "'steps' is a list of at least one step"],
    ),
    "no steps": (
        "- {from: xct/a/scan, into: b, steps: []}",
        ["'steps' is a list of at least one step, got []"],
    ),
    "two measures in one": (
        MEASURE + "measure: [xct.check_frames, xct.find_center]",
        ["there is no step"],
    ),
    "required parameter": (
        STEPS + "- xct.correct_distortion",
        ["line 7", "xct.correct_distortion needs the parameter 'polynomial'"],
    ),
    "list for a number": (
        STEPS + "- xct.remove_rings: {snr: [3]}",
        ["line 7", "'snr'", "valid number"],
    ),
    "text for a switch": (
        STEPS + "- xct.remove_rings: {norm: perhaps}",
        ["line 7", "'norm'", "valid boolean"],
    ),
    "choice": (
        STEPS + "- xct.remove_rings: {method: sort}",
        ["line 7", "'method'", "'sorting'"],
    ),
    "step of another module": (
        STEPS + "- xrdct.normalize",
        ["line 7", "there is no step 'xrdct.normalize'"],
    ),
    "capital letters": (
        STEPS + "- XCT.Normalize",
        ["line 7", "there is no step 'XCT.Normalize'"],
    ),
    "argument misspelt": (
        STEPS + "- xct.normalize: {frame: xct/a/scan}",
        ["line 7", "no parameter 'frame'", "did you mean 'frames'"],
    ),
    "node of an argument misspelt": (
        STEPS + "- xct.normalize: {frames: xct/a/scam}",
        ["line 7", "there is no node 'xct/a/scam'", "did you mean 'xct/a/scan'"],
    ),
    "node of another kind": (
        STEPS + "- xct.normalize: {frames: xct/a/scan}",
        ["line 7", "xct.normalize"],
    ),
    "order by what is not there": (
        "- {from: xct/a/scan, into: b, order: [zz], steps: [xct.normalize]}",
        ["line 4", "coord to order by 'zz'", "did you mean 'z'"],
    ),
    "order as text": (
        "- {from: xct/a/scan, into: b, order: z, steps: [xct.normalize]}",
        ["line 4", "'order' is a list of coords", "got 'z'"],
    ),
    "block is a fraction": (
        "- {from: xct/a/scan, into: b, block: 1.5, steps: [xct.normalize]}",
        ["line 4", "'block' is a number of rows, 1 or more, got 1.5"],
    ),
    "a loop of one": (
        "- {from: b, into: b, steps: [xct.normalize]}",
        ["line 4", "b is made by a later stage, or by this one"],
    ),
    "a loop of three": (
        "- {from: c, into: a, steps: [xct.normalize]}\n"
        "- {from: a, into: b, steps: [xct.normalize]}\n"
        "- {from: b, into: c, steps: [xct.normalize]}",
        ["line 4", "c is made by a later stage"],
    ),
    "measure and steps into one node": (
        "- {from: xct/a/scan, into: b, measure: xct.check_frames}\n"
        "- {from: xct/a/scan, into: b, steps: [xct.normalize]}",
        ["line 5", "two stages make b: the other is in line 4"],
    ),
    "two ingests into one node": (
        "- ingest: {source: a.nxs, into: b}\n- ingest: {source: c.nxs, into: b}",
        ["line 5", "two stages make b"],
    ),
    "unit of a length for an energy": (
        "- ingest: {source: a.zarr, into: b, energy: 19 um}",
        ["line 4", "option 'energy'", "keV"],
    ),
    "length without a unit": (
        "- ingest: {source: a.zarr, into: b, pixel_size: '2.6'}",
        ["line 4", "option 'pixel_size'"],
    ),
    "sense of rotation": (
        "- ingest: {source: a.zarr, into: b, rotation_sense: 2}",
        ["line 4", "option 'rotation_sense'"],
    ),
    "reader": (
        "- ingest: {source: p.yaml, into: b, reader: nxtomos}",
        ["line 4", "no reader 'nxtomos'", "did you mean 'nxtomo'"],
    ),
    "sidecar": (
        "- ingest: {source: p.yaml, into: b, sidecar: no.yaml}",
        ["line 4", "no.yaml cannot be read"],
    ),
    "tag on a parameter": (
        STEPS + "- xct.remove_rings: {snr: !!python/object/apply:os.system [id]}",
        ["line 7", "tags are refused"],
    ),
    "node of nothing": (
        STEPS.replace("xct/a/out", "''") + "- xct.normalize",
        ["line 5", "cannot be the name of a node"],
    ),
    "node inside of a node": (
        STEPS.replace("xct/a/out", "xct/a/scan/../../../etc") + "- xct.normalize",
        ["line 5", "cannot be the name of a node", "the part '..'"],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file(yaml: Write, name: str) -> None:
    stages, parts = BROKEN[name]
    with pytest.raises((PipelineError, SourceError, ArgumentError)) as error:
        pipeline.check(pipeline.read(yaml(stages)))
    text = str(error.value)
    for part in parts:
        assert part in text, text


def test_at_least_sixty_broken_files_are_tried() -> None:
    tables = (document.STAGES, document.FILES, document.KEYS, document.INGESTS, BROKEN)
    assert sum(map(len, tables)) >= 60
