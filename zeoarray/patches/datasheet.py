"""A datasheet of a set of patches: what it is, from where, and what it cannot tell.

The questions are those of "Datasheets for Datasets" (doi:10.1145/3458723), as far as a store can
answer them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from zeoarray import schema
from zeoarray.patches.check import Check, check

LIMITS = (
    "All patches are of one sample: what a model learns here is what this sample shows.",
    "Splits are apart in space. What no split removes: noise that patches share since they were "
    "reconstructed from the same projections, rings, and a registration error that is the same "
    "everywhere.",
)


def datasheet(name: str, sources: Mapping[str, xr.Dataset], *, licence: str | None = None) -> str:
    """The datasheet of a set, in Markdown.

    Parameters
    ----------
    name
        Node of the set.
    sources
        Its nodes, patches by the name of their source; the places among them say what the buffer
        cost.
    licence
        Of the data; None says that it is not known.
    """
    found = check(sources)
    some = next(iter(sources.values()))
    width = " x ".join(f"{float(some[v.name]):g}" for v in schema.SIZES)
    lines = [f"# {name}", "", "## What", ""]
    cut = [n for n, ds in sources.items() if any(v.ndim == 5 for v in ds.data_vars.values())]
    lines += [f"Matched patches, {width} um (z, y, x), of {len(cut)} sources.", ""]
    lines += ["| source | variable | shape of a patch | voxel | bytes |", "|---|---|---|---|---|"]
    for source, ds in sources.items():
        for variable, data in ds.data_vars.items():
            if data.ndim == 5:
                shape = ", ".join(f"{d} {n}" for d, n in list(data.sizes.items())[1:])
                size = f"{float(ds['voxel']):g} um" if "voxel" in ds else "by axis"
                units = f" [{data.attrs['units']}]" if "units" in data.attrs else ""
                lines.append(f"| {source} | {variable}{units} | {shape} | {size} | {data.nbytes} |")
    lines += ["", "## Splits", "", _splits(found), ""]
    lines += ["## From where", ""]
    for source, ds in sources.items():
        lines += [f"**{source}**", "", *_steps(ds), ""]
    lines += ["## Licence", "", licence or "Not known: ask who measured it.", ""]
    lines += ["## Known limits", "", *(f"- {text}" for text in LIMITS), ""]
    return "\n".join(lines)


def _splits(found: Check) -> str:
    counts = ", ".join(f"{n} {count}" for n, count in found.patches.items())
    wide = " x ".join(f"{b:g}" for b in found.buffer)
    text = f"Patches: {counts}. Between splits lies a buffer of {wide} um (z, y, x)"
    text += f", which cost {found.lost:.0%} of the places. " if found.lost == found.lost else ". "
    if not found.leaks:
        return text + "No point of space is seen by two splits: checked over all sources."
    return text + "THE SPLITS LEAK:\n\n" + "\n".join(f"- {leak}" for leak in found.leaks)


def _steps(ds: xr.Dataset) -> list[str]:
    made = ds.attrs.get("made_of", {})
    lines = [f"- {node}, digest {digest}" for node, digest in dict(made).items()]
    records: list[dict[str, Any]] = [dict(r) for r in ds.attrs.get("steps", [])]
    for record in records:
        given = ", ".join(f"{k}={v}" for k, v in record.get("parameters", {}).items()
                          if v is not None and not isinstance(v, dict))  # fmt: skip
        cites = "".join(f" doi:{doi}" for doi in record.get("cites", []))
        lines.append(f"- {record['step']}({given}){cites}")
    return lines
