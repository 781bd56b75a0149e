"""OME-Zarr 0.5 on the group above ``bin1, bin2, ...``: viewers find the pyramid at its place.

What is said follows from the bins that are whole in the store, so it is made anew when one is
finished or removed, and when a run finds one whole.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from zeoarray.store import durable, lock, places

VERSION = "0.5"
AXES = ("z", "y", "x")
UNITS = {"um": "micrometer"}
"""Of positions, as OME names them."""
UNEVEN = 1e-3
"""Steps may differ by this share of themselves."""

_BIN = re.compile(r"bin([1-9][0-9]*)")


def update(root: Path, node: str) -> None:
    """Say on the group above a node ``.../bin<factor>`` which bins there are, and where they lie.

    Other nodes have no such group: nothing is done for them. Nor for volumes whose axes OME-Zarr
    has no words for, as those that descend.

    Parameters
    ----------
    root
        Folder of the store.
    node
        Name of a node that was finished or removed.
    """
    above, _, last = node.rpartition("/")
    path = root / above / "zarr.json"
    if not above or not _BIN.fullmatch(last) or not path.is_file():
        return
    # Two bins may be finished at once: what is said is of all that are there, in turn.
    with lock.held(places.Places(root, above).lock, wait=True):
        content = json.loads(path.read_bytes())
        attributes = {k: v for k, v in content["attributes"].items() if k != "ome"}
        images = multiscales(root / above)
        if images:
            attributes["ome"] = {"version": VERSION, "multiscales": images}
        if attributes != content["attributes"]:
            text = json.dumps({**content, "attributes": attributes}, indent=2)
            durable.write(path, [text.encode()])


def multiscales(folder: Path) -> list[dict[str, Any]]:
    """Images of a group, one for each variable of z, y, x, each with its bins from fine to coarse.

    Parameters
    ----------
    folder
        The group above the bins.
    """
    bins = sorted((int(m[1]), p) for p in folder.iterdir() if (m := _BIN.fullmatch(p.name)))
    found: dict[str, list[dict[str, Any]]] = {}
    for _, path in bins:
        if (path / "zarr.json").is_file():
            for name, level in _levels(path).items():
                found.setdefault(name, []).append(level)
    axes = [{"name": name, "type": "space", "unit": UNITS["um"]} for name in AXES]
    return [
        {"name": name, "axes": axes, "datasets": levels, "type": "mean"}
        for name, levels in sorted(found.items())
    ]


def _levels(path: Path) -> dict[str, dict[str, Any]]:
    """Each variable of z, y, x of one bin, with its path and place."""
    arrays = dict(zarr.open_group(path, mode="r").arrays())
    places = [_along(arrays.get(name), arrays.get("resolution")) for name in AXES]
    known = [place for place in places if place is not None]
    if len(known) < len(AXES):
        return {}
    transforms = [
        {"type": "scale", "scale": [step for step, _ in known]},
        {"type": "translation", "translation": [first for _, first in known]},
    ]
    return {
        name: {"path": f"{path.name}/{name}", "coordinateTransformations": transforms}
        for name, array in arrays.items()
        if getattr(array.metadata, "dimension_names", None) == AXES
    }


def _along(centres: Any, resolution: Any) -> tuple[float, float] | None:
    """Step and first centre of an axis that ascends evenly, in um."""
    if centres is None or centres.attrs.get("units") not in UNITS or not centres.size:
        return None
    values = np.asarray(centres[...], float)
    if values.size == 1:
        if resolution is None or resolution.ndim:
            return None
        return _plain(float(resolution[...])), _plain(float(values[0]))
    steps = np.diff(values)
    mean = float(steps.mean())
    if not mean > 0 or not (np.abs(steps - mean) <= UNEVEN * mean).all():
        return None
    return _plain(mean), _plain(float(values[0]))


def _plain(value: float) -> float:
    """Without the last digits, which are rounding."""
    return float(f"{value:.12g}")
