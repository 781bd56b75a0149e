"""``--set KEY=VALUE``: values put into a pipeline from outside the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from zeoarray.errors import ArgumentError


def apply(content: dict[str, Any], key: str, text: str) -> None:
    """Set one value in the content of a pipeline.

    Parameters
    ----------
    content
        The document; changed.
    key
        ``store``, ``ingest.NAME``, ``module.step.parameter`` or a place such as ``stages.2.block``.
    text
        The value, as it would stand in the file.

    Raises
    ------
    ArgumentError
        Where nothing in the pipeline has this key, or the text is no plain value.

    Examples
    --------
    >>> content = {"stages": [{"steps": ["xct.reconstruct"]}]}
    >>> apply(content, "xct.reconstruct.center", "1265.5")
    >>> content
    {'stages': [{'steps': [{'xct.reconstruct': {'center': 1265.5}}]}]}
    """
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ArgumentError(
            f"--set {key}: the value is not plain YAML", got=repr(text), do=f"{key}=1265.5"
        ) from error
    parts = key.split(".")
    if parts[0] in ("store", "zeoarray") and len(parts) == 1:
        content[key] = value
        return
    if parts[0] == "stages":
        _place(content, parts, key, value)
        return
    found = list(_called(content, parts))
    for parameters in found:
        parameters[parts[-1]] = value
    if not found:
        called = sorted(set(_names(content)))
        raise ArgumentError(
            f"--set {key}: nothing in the pipeline has this key",
            expected="store, ingest.NAME, or NAME.parameter of " + ", ".join(called),
        )


def _stages(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    stages = content.get("stages")
    yield from (s for s in stages if isinstance(s, dict)) if isinstance(stages, list) else ()


def _names(content: dict[str, Any]) -> Iterator[str]:
    for stage in _stages(content):
        if "measure" in stage:
            yield str(stage["measure"])
        for item in stage.get("steps") or ():
            yield str(next(iter(item), "")) if isinstance(item, dict) else str(item)


def _called(content: dict[str, Any], parts: list[str]) -> Iterator[dict[str, Any]]:
    """Parameters of every call of the verb (or of every ingest) that `parts` begin with."""
    verb = ".".join(parts[:-1])
    for stage in _stages(content):
        if verb == "ingest" and isinstance(stage.get("ingest"), dict):
            yield stage["ingest"]
        if verb and stage.get("measure") == verb:
            if not isinstance(stage.get("with"), dict):
                stage["with"] = {}
            yield stage["with"]
        listed = stage.get("steps")
        steps: list[Any] = listed if isinstance(listed, list) else []
        for i, item in enumerate(steps):
            if item == verb:
                steps[i] = {verb: {}}
                yield steps[i][verb]
            elif isinstance(item, dict) and verb in item:
                if not isinstance(item[verb], dict):
                    item[verb] = {}
                yield item[verb]


def _place(content: dict[str, Any], parts: list[str], key: str, value: object) -> None:
    node: Any = content
    try:
        for part in parts[:-1]:
            node = node[int(part)] if isinstance(node, list) else node[part]
        node[int(parts[-1]) if isinstance(node, list) else parts[-1]] = value
    except (KeyError, IndexError, ValueError, TypeError):
        raise ArgumentError(f"--set {key}: the pipeline has no such place") from None
