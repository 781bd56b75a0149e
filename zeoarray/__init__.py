"""Labelled, distributed, out-of-core arrays for synchrotron tomography and diffraction.

``zeoarray.open(store)`` opens a store as a tree of lazy datasets, ``zeoarray.open_scan(path)`` a
facility's file as one; the verbs live in their modules, as ``zeoarray.xct.normalize``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from zeoarray.ingest.into import into_store
    from zeoarray.ingest.reference import open_tree as open
    from zeoarray.ingest.scan import open_scan
    from zeoarray.store import save

__all__ = ["into_store", "open", "open_scan", "save"]

# Imported when first asked for: the command line answers --help without xarray and HDF5.
_HOMES = {
    "open": ("zeoarray.ingest.reference", "open_tree"),
    "open_scan": ("zeoarray.ingest.scan", "open_scan"),
    "into_store": ("zeoarray.ingest.into", "into_store"),
    "save": ("zeoarray.store", "save"),
}
_MODULES = (
    "cluster", "convert", "export", "ingest", "kernels", "pipeline", "plot", "quality", "report",
    "schema", "store", "twin", "volume", "xct", "xrdct",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, attribute = _HOMES[name]
        return getattr(importlib.import_module(module), attribute)
    if name in _MODULES:
        return importlib.import_module(f"zeoarray.{name}")
    raise AttributeError(f"module 'zeoarray' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES, "__version__"})
