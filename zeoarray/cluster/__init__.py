"""Floor 5: where blocks run. One model describes every cluster, one YAML file each.

`read` reads such a file, `started` starts what it says and gives an executor, `described` shows
what would be started: a job script, a manifest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from zeoarray.cluster.processes import processes

if TYPE_CHECKING:
    from zeoarray.cluster.model import Cluster, read
    from zeoarray.cluster.start import Workers, described, sized, started

__all__ = ["Cluster", "Workers", "described", "processes", "read", "sized", "started"]

# Imported when first asked for: distributed takes longer to import than an ingest to begin.
_HOMES = {
    "Cluster": "model",
    "read": "model",
    "Workers": "start",
    "described": "start",
    "sized": "start",
    "started": "start",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"zeoarray.cluster.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'zeoarray.cluster' has no attribute {name!r}")
