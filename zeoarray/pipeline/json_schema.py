"""The JSON schema of a pipeline file, from the signatures and docstrings of the verbs.

Editors that know it complete names of steps and parameters, and underline what is wrong, while a
file is written. `check` remains the judge: a schema cannot know nodes, dims and files.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from zeoarray.ingest.reader import Options
from zeoarray.pipeline import checks  # noqa: F401  every verb is registered
from zeoarray.pipeline.document import VERSION
from zeoarray.pipeline.verbs import every
from zeoarray.step import Kind, Step

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
NODE: Schema = {
    "type": "string",
    "description": "Path of a node of the store, as xct/i13-2.6um/scan.",
    "pattern": "^/?[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*/?$",
}
TEXT_TOO: tuple[str, ...] = (
    "pixel_size",
    "beam_size",
    "energy",
    "wavelength",
    "distance",
    "exposure",
)
"""Options of a scan that take text with a unit, as 2.6 um, beside a number."""


def json_schema() -> Schema:
    """Return the schema of pipeline files, draft 2020-12.

    Examples
    --------
    >>> sorted(json_schema()["properties"])
    ['stages', 'store', 'zeoarray']
    """
    steps = _entries("step")
    measures = _entries("measure")
    return {
        "$schema": DRAFT,
        "title": "zeoarray pipeline",
        "type": "object",
        "additionalProperties": False,
        "required": ["zeoarray", "store", "stages"],
        "properties": {
            "zeoarray": {"const": VERSION, "description": "Which form the file has."},
            "store": {"type": "string", "minLength": 1, "description": "Folder of the zarr store."},
            "stages": {
                "type": "array",
                "minItems": 1,
                "items": {"oneOf": [_ingest(), _measure(measures), _steps(steps)]},
                "description": "In this order; each makes one node.",
            },
        },
        "$defs": {"node": NODE} | {entry.name: _parameters(entry) for entry in (*steps, *measures)},
    }


def _entries(kind: Kind) -> list[Step]:
    """The verbs of the package, by name: a user's own are not in the shipped schema."""
    own = [e for e in every().values() if e.function.__module__.startswith("zeoarray.")]
    return sorted((e for e in own if e.kind == kind), key=lambda e: e.name)


def _stage(properties: Schema, required: list[str], description: str) -> Schema:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }


def _ingest() -> Schema:
    options = Options.model_json_schema()
    told: Schema = {}
    for name, option in options["properties"].items():
        # Null leaves a value to the file and the sidecar; text has a unit.
        others: list[Schema] = [{"type": "string"}] if name in TEXT_TOO else []
        told[name] = {"anyOf": [_untitled(option), *others, {"type": "null"}]}
    path = {"type": "string"}
    paths = {"anyOf": [path, {"type": "array", "items": path, "minItems": 1}]}
    inner = {
        **told,
        "source": {**paths, "description": "File of the scan, or several that make one."},
        "into": {"$ref": "#/$defs/node"},
        "sidecar": {"type": ["string", "null"], "description": "YAML file with such options."},
        "reader": {"type": ["string", "null"], "description": "As `zeoarray readers` lists them."},
        "join": {"type": ["string", "null"], "description": "Dim along which files are joined."},
        "reference": {"type": "boolean", "description": "Point at the original; copy nothing."},
    }
    stage = _stage(inner, ["source", "into"], "Read a file of a facility, with its options.")
    whole = _stage({"ingest": stage}, ["ingest"], "A file of a facility becomes a node.")
    return whole | {"$defs": options.get("$defs", {})} if "$defs" in options else whole


def _measure(entries: list[Step]) -> Schema:
    names = {"enum": [entry.name for entry in entries]}
    node = {"$ref": "#/$defs/node"}
    stage = _stage(
        {"measure": names, "from": node, "into": node, "with": {"type": ["object", "null"]}},
        ["measure", "from", "into"],
        "A sample of a node is read, and what is found is a small node.",
    )
    stage["allOf"] = [
        {
            "if": {"properties": {"measure": {"const": entry.name}}},
            "then": {"properties": {"with": _maybe(entry)}},
        }
        for entry in entries
    ]
    return stage


def _steps(entries: list[Step]) -> Schema:
    calls = {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {entry.name: _maybe(entry) for entry in entries},
    }
    bare = {
        "enum": [entry.name for entry in entries],
        "description": "A step with its defaults.",
    }
    node = {"$ref": "#/$defs/node"}
    return _stage(
        {
            "from": node,
            "into": node,
            "steps": {"type": "array", "minItems": 1, "items": {"anyOf": [bare, calls]}},
            "block": {"type": "integer", "minimum": 1, "description": "Rows of a block."},
            "order": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Coords by which rows are ordered, as [z, u, angle].",
            },
        },
        ["from", "into", "steps"],
        "Steps turn a node into another.",
    )


def _maybe(entry: Step) -> Schema:
    """The parameters of a verb, or nothing where it has defaults for all."""
    return {"anyOf": [{"$ref": f"#/$defs/{entry.name}"}, {"type": "null"}]}


def _parameters(entry: Step) -> Schema:
    told = _described(entry)
    made: Schema = entry.model.model_json_schema()
    properties = {name: _untitled(value) for name, value in made.get("properties", {}).items()}
    properties |= {name: {"$ref": "#/$defs/node"} for name in entry.nodes}
    required = [n for n, d in entry.defaults.items() if d is inspect.Parameter.empty]
    for name, text in told.items():
        if name in properties:
            properties[name] = {**properties[name], "description": text}
    schema = _stage(properties, required, entry.summary)
    if "$defs" in made:
        schema["$defs"] = made["$defs"]
    return schema


def _untitled(value: Schema) -> Schema:
    return {k: v for k, v in value.items() if k != "title"}


def _described(entry: Step) -> dict[str, str]:
    """What the docstring says of each parameter, on one line."""
    text = inspect.getdoc(entry.function) or ""
    match = re.search(
        r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-{3,}$|\Z)", text, re.DOTALL | re.MULTILINE
    )
    found: dict[str, str] = {}
    if match is None:
        return found
    for names, body in re.findall(r"^(\w[\w, ]*)\n((?:[ ]+.*\n?|\n)+)", match[1], re.MULTILINE):
        for name in names.split(","):
            found[name.strip()] = " ".join(body.split())
    return found
