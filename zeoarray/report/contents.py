"""What there is in a store: nodes whole and begun, those that cannot be opened, the run log."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema, store
from zeoarray.errors import StoreError
from zeoarray.ingest import reference
from zeoarray.store import places

MOST_LOG = 1 << 24
"""Bytes of a run log that are read, the last ones."""

ORDER = ("xct", "xrdct", "powder", "registration", "mapping", "grid", "joint", "patches")
"""Groups of nodes as they stand in the page; others come last."""


@dataclass(frozen=True)
class Node:
    """One whole node."""

    name: str
    ds: xr.Dataset
    """Opened, not read; empty where it cannot be opened."""
    nbytes: int
    """On disk."""
    error: str = ""

    @property
    def group(self) -> str:
        """The scan that it belongs to: ``xct/i13-2.6um`` of ``xct/i13-2.6um/volume/bin1``."""
        parts = self.name.split("/")
        return "/".join(parts[:2]) if len(parts) > 2 else parts[0]

    @property
    def place(self) -> str:
        """Its name within the group."""
        return self.name.removeprefix(self.group).strip("/") or self.name

    def has(self, needs: Iterable[schema.Var]) -> bool:
        """Whether it has these variables, with their dims."""
        found = self.ds.variables
        return all(v.name in found and found[v.name].dims == v.dims for v in needs)


@dataclass(frozen=True)
class Begun:
    """A node that was begun and is not whole."""

    name: str
    done: int
    total: int
    """Blocks."""


@dataclass(frozen=True)
class Contents:
    """A store, as far as it can be read without reading its arrays."""

    root: Path
    nodes: list[Node] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    torn: int = 0
    """Lines of the log that cannot be read."""

    @property
    def nbytes(self) -> int:
        """Of all whole nodes, on disk."""
        return sum(node.nbytes for node in self.nodes)

    def groups(self) -> dict[str, list[Node]]:
        """Nodes by the scan that they belong to, in the order in which they are made."""
        out: dict[str, list[Node]] = {}
        for node in sorted(self.nodes, key=lambda node: made_as(node.name)):
            out.setdefault(node.group, []).append(node)
        return out

    def beside(self, node: Node, needs: Iterable[schema.Var]) -> Node | None:
        """The node of the same scan that has these variables; None where there is none."""
        wanted = tuple(needs)
        return next((n for n in self.nodes if n.group == node.group and n.has(wanted)), None)

    def named(self, name: str | None) -> Node | None:
        """The node of that name."""
        return next((n for n in self.nodes if n.name == name), None)


def made_as(name: str) -> tuple[int, str]:
    """Sort nodes as one thing is made of another: scans, then what joins them, then patches."""
    first = name.partition("/")[0]
    return ORDER.index(first) if first in ORDER else len(ORDER), name


def read(path: str | Path) -> Contents:
    """Look at a store; no array is read.

    Raises
    ------
    StoreError
        Where there is neither a store nor one that was begun.
    """
    root = places.root_of(path)
    begun = [
        Begun(name, sum("/c/" in key for key in book.records), _blocks(book.fingerprint))
        for name, book in store.growing(root).items()
    ]
    if not (root / "zarr.json").is_file() and not begun:
        raise StoreError(
            f"{root} is not a zarr store",
            got="nothing there" if not root.exists() else "no zarr.json in it",
            do="zeoarray ingest SOURCE STORE --into NODE makes a store",
        )
    names = store.nodes(root) if (root / "zarr.json").is_file() else []
    log, torn = _log(places.beside(root) / "log.jsonl")
    return Contents(root, [_node(root, name) for name in names], begun, log, torn)


def _node(root: Path, name: str) -> Node:
    nbytes = sum(f.stat().st_size for f in (root / name).rglob("*") if f.is_file())
    try:
        return Node(name, reference.open_node(root, name, chunked=False), nbytes)
    except Exception as error:  # whatever one node's metadata is, the others are shown
        return Node(name, xr.Dataset(), nbytes, str(error) or type(error).__name__)


def _blocks(fingerprint: dict[str, Any]) -> int:
    arrays = fingerprint.get("arrays", {}).values()
    counts = (
        [-(-n // max(s, 1)) for n, s in zip(a["shape"], a["shard"], strict=True)] for a in arrays
    )
    return int(sum(np.prod(c) for c in counts))


def _log(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Lines of the run log, and how many of them are torn."""
    if not path.is_file():
        return [], 0
    with open(path, "rb") as file:
        file.seek(max(path.stat().st_size - MOST_LOG, 0))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    found, torn = [], 0
    for line in filter(None, lines):
        try:
            content = json.loads(line)
        except ValueError:
            content = None
        if isinstance(content, dict):
            found.append(content)
        else:
            torn += 1
    return found, torn
