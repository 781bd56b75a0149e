"""Floor 2b: the only writer of zarr, and what it leaves behind to resume and to verify.

`save` writes a dataset to a node; `open_tree` and `open_node` read; `verify` checks and heals.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeoarray.store.damage import Finding, verify
    from zeoarray.store.read import growing, nodes, open_node, open_tree
    from zeoarray.store.write import save

__all__ = ["Finding", "growing", "nodes", "open_node", "open_tree", "save", "verify"]

# Imported when first asked for: looking at a facility's file does not wait for zarr.
_HOMES = {
    "growing": "read",
    "nodes": "read",
    "open_node": "read",
    "open_tree": "read",
    "Finding": "damage",
    "verify": "damage",
    "save": "write",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"zeoarray.store.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'zeoarray.store' has no attribute {name!r}")
