"""The JSON schema of pipeline files says what the steps say, and takes every shipped pipeline."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from zeoarray.cli import zeoarray
from zeoarray.errors import ArgumentError
from zeoarray.pipeline.json_schema import json_schema
from zeoarray.step import STEPS

jsonschema = pytest.importorskip("jsonschema")

SHIPPED = sorted((Path(__file__).parents[2] / "pipelines").glob("*.yaml"))
GOOD: dict[str, Any] = {
    "zeoarray": 1,
    "store": "a.zarr",
    "stages": [
        {"ingest": {"source": "a.nxs", "into": "a/scan", "pixel_size": "2.6 um", "crop": None}},
        {"measure": "xct.find_center", "from": "a/scan", "into": "a/axis", "with": {"rows": 4}},
        {
            "from": "a/scan",
            "into": "a/volume",
            "block": 8,
            "steps": [
                "xct.normalize",
                {"xct.remove_rings": {"snr": 4}},
                {"xct.minus_log": None},
                {"xct.reconstruct": {"axis": "a/axis"}},
            ],
        },
    ],
}


@pytest.fixture(scope="module")
def schema() -> Any:
    made = json_schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_shipped_pipelines_are_valid(path: Path, schema: Any) -> None:
    schema.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_a_good_file_is_valid(schema: Any) -> None:
    schema.validate(GOOD)


WRONG: dict[str, tuple[list[str | int], object]] = {
    "version": (["zeoarray"], 2),
    "key": (["stage"], []),
    "no stages": (["stages"], []),
    "step": (["stages", 2, "steps", 0], "xct.normalise"),
    "measure as a step": (["stages", 2, "steps", 0], "xct.find_center"),
    "step as a measure": (["stages", 1, "measure"], "xct.normalize"),
    "parameter": (["stages", 2, "steps", 1, "xct.remove_rings"], {"snrr": 3.0}),
    "type": (["stages", 2, "steps", 1, "xct.remove_rings"], {"snr": "high"}),
    "range": (["stages", 2, "steps", 1, "xct.remove_rings"], {"la_size": 0}),
    "choice": (["stages", 2, "steps", 3, "xct.reconstruct"], {"filter": "rampe"}),
    "node that escapes": (["stages", 2, "into"], "../b"),
    "argument that is no node": (["stages", 2, "steps", 3, "xct.reconstruct"], {"axis": 3}),
    "block": (["stages", 2, "block"], 0),
    "parameter of a measure": (["stages", 1, "with"], {"row": 3}),
    "option of an ingest": (["stages", 0, "ingest", "pixelsize"], "2.6 um"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name: str, schema: Any) -> None:
    place, value = WRONG[name]
    content = copy.deepcopy(GOOD)
    at: Any = content
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    assert not schema.is_valid(content)


def test_every_verb_is_there_with_what_its_docstring_says() -> None:
    told = json_schema()["$defs"]
    own = {n for n, e in STEPS.items() if e.function.__module__.startswith("zeoarray.")}
    assert told.keys() - {"node"} == own
    rings = told["xct.remove_rings"]
    assert rings["description"] == STEPS["xct.remove_rings"].summary
    assert rings["properties"]["snr"]["default"] == 3.0
    assert "noise" in rings["properties"]["snr"]["description"]
    assert told["xct.reconstruct"]["properties"]["axis"]["$ref"] == "#/$defs/node"


def test_command_prints_it() -> None:
    done = CliRunner().invoke(zeoarray, ["steps", "--schema"], catch_exceptions=False)
    assert json.loads(done.output) == json_schema()
    with pytest.raises(ArgumentError, match="--schema is of all steps"):
        CliRunner().invoke(zeoarray, ["steps", "xct.normalize", "--schema"], catch_exceptions=False)
