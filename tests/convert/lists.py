"""Process lists as Savu and HTTomo write them, and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from zeoarray.convert import convert

Step = tuple[str, dict[str, Any]]

LOADER: Step = ("NxtomoLoader", {"name": "tomo", "preview": [":", ":", ":"], "angles": None})
FLAT: Step = ("DarkFlatFieldCorrection", {"lower_bound": None, "upper_bound": None})
RINGS: Step = ("RemoveAllRings", {"snr": 3.0, "la_size": 71, "sm_size": 31})
RECON: Step = (
    "TomopyRecon",
    {"algorithm": "gridrec", "filter_name": "ramlak", "centre_of_rotation": 86.0, "log": True},
)


def savu(
    path: Path, steps: Sequence[Step], *, off: Sequence[str] = (), version: str | None = "4.2"
) -> Path:
    """Write a list as Savu's configurator does: numbered groups of name, data, active."""
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/plugin")
        for i, (name, parameters) in enumerate(steps, start=1):
            one = group.create_group(str(i))
            one["name"] = np.array([name.encode()])
            one["data"] = np.array([json.dumps(parameters).encode()])
            one["active"] = np.array([name not in off])
        file.create_group("entry/iterate_plugin_groups")
        if version is not None:
            file["entry/savu_notes/version"] = version
    return path


def httomo(path: Path, *methods: tuple[str, str, dict[str, Any]]) -> Path:
    """Write a list as HTTomo reads it."""
    entries = [{"method": m, "module_path": p, "parameters": v} for m, p, v in methods]
    path.write_text(yaml.safe_dump(entries, sort_keys=False), encoding="utf-8")
    return path


def content(path: Path, **options: Any) -> dict[str, Any]:
    """Convert a list and read the YAML that comes of it."""
    read: dict[str, Any] = yaml.safe_load(convert(path, **options))
    return read


def verbs(pipeline: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every measure and step with its parameters, in the order of the file."""
    found: list[tuple[str, dict[str, Any]]] = []
    for stage in pipeline["stages"]:
        if "measure" in stage:
            found.append((stage["measure"], stage.get("with", {})))
        for step in stage.get("steps", ()):
            found += [(step, {})] if isinstance(step, str) else list(step.items())
    return found


def comments(text: str) -> str:
    """The comments of a pipeline, as one line."""
    lines = (line.strip() for line in text.splitlines())
    return " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
