"""YAML as plain data: no tags, no aliases, no key twice; and the line where each key stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from zeoarray.errors import SourceError

MOST_BYTES = 1_000_000
"""More than anybody writes by hand."""

_PLAIN = {"null", "bool", "int", "float", "str", "seq", "map"}


class Document:
    """One YAML document: its content, and its lines."""

    def __init__(self, path: Path, content: dict[str, Any], node: yaml.Node) -> None:
        self.path, self.content, self._node = path, content, node

    def line(self, keys: Sequence[str | int]) -> int:
        """Return the line (from 1) of the key at the end of `keys`, or of the last one found."""
        node, found = self._node, self._node.start_mark.line
        for key in keys:
            if isinstance(node, yaml.MappingNode):
                pairs = {str(name.value): (name, value) for name, value in node.value}
                if str(key) not in pairs:
                    break
                name, node = pairs[str(key)]
                found = name.start_mark.line
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
                node = node.value[key]
                found = node.start_mark.line
        return int(found) + 1


def read(path: Path) -> Document:
    """Read a YAML file that holds one mapping of plain values.

    Raises
    ------
    SourceError
        For a file that cannot be read or is no YAML, for tags, aliases, and keys given twice,
        each with its line.
    """
    text, node = _plain(path)
    if not isinstance(node, yaml.MappingNode):
        raise SourceError(f"{path} holds no keys", expected="lines of 'key: value'")
    return Document(path, yaml.safe_load(text), node)


def read_list(path: Path) -> list[Any]:
    """Read a YAML file that holds one list of plain values.

    Raises
    ------
    SourceError
        For a file that cannot be read or is no YAML, for tags, aliases, and keys given twice,
        each with its line.
    """
    text, node = _plain(path)
    if not isinstance(node, yaml.SequenceNode):
        raise SourceError(f"{path} holds no list", expected="lines that begin with '- '")
    content: list[Any] = yaml.safe_load(text)
    return content


def _plain(path: Path) -> tuple[str, yaml.Node | None]:
    """Text of a YAML file, and what it is made of."""
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= MOST_BYTES else ""
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist", do="check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read as text", got=str(error)) from None
    if size > MOST_BYTES:
        raise SourceError(f"{path} is no file that a person wrote", got=f"{size} bytes")
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            _refuse_live(path, event)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SourceError(
            f"{path}, line {mark.line + 1 if mark else 1}: this is not YAML", got=error.problem
        ) from None
    except yaml.YAMLError as error:
        raise SourceError(f"{path} is not YAML", got=" ".join(str(error).split())) from None
    if node is not None:
        _refuse_twice(path, node)
    return text, node


def _refuse_live(path: Path, event: yaml.Event) -> None:
    line = event.start_mark.line + 1 if event.start_mark else 1
    tag = getattr(event, "tag", None)
    if tag is not None:
        raise SourceError(
            f"{path}, line {line}: tags are refused",
            got=str(tag).replace("tag:yaml.org,2002:", "!!"),
            expected="plain values: text, numbers, lists and keys",
            do="remove the tag",
        )
    if isinstance(event, yaml.AliasEvent):
        raise SourceError(
            f"{path}, line {line}: aliases are refused",
            got=f"*{event.anchor}",
            do="write the value out again",
        )


def _refuse_twice(path: Path, node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for name, value in node.value:
            kind = name.tag.rpartition(":")[2]
            if kind not in _PLAIN - {"seq", "map"}:
                raise SourceError(f"{path}, line {name.start_mark.line + 1}: a key must be plain")
            if name.value in seen:
                raise SourceError(
                    f"{path}, line {name.start_mark.line + 1}: the key {name.value!r} stands twice",
                    got=f"first in line {seen[name.value]}",
                    do="keep one of them",
                )
            seen[name.value] = name.start_mark.line + 1
            _refuse_twice(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_twice(path, value)
