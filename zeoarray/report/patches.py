"""Sections of training patches: where they lie, whether splits leak, and some beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import patches, plot, schema
from zeoarray.labelled import known
from zeoarray.plot import canvas
from zeoarray.report.blocks import Block, Facts, Note, Picture, Table, picture
from zeoarray.report.contents import Node
from zeoarray.report.registry import Around, section
from zeoarray.report.tomograms import number

Array = np.ndarray[Any, Any]

MOST_BOXES = 600
"""Patches that are drawn on the map: every n-th, where there are more."""
COLOURS = ("#1f5fa8", "#c8553d", "#3c8d5a", "#8a5fa8", "#b08a2e")
WIDTH = 4.4
"""Of a picture of patches [inches]: few voxels need no more, and a phone has no more."""
_PLACES = (*schema.CENTRES, schema.SPLIT, *schema.SIZES, *schema.SUPPORTS, schema.LOST)


@section("Splits", order=10, needs=_PLACES)
def splits(node: Node, around: Around) -> Iterator[Block]:
    """Where the patches of each split lie, and whether any two splits share a part of space."""
    sources = _sources(node, around)
    found = patches.check({node.place: node.ds, **{n: s.ds for n, s in sources.items()}})
    yield _map(node.ds, list(found.patches))
    wide = " x ".join(f"{b:g}" for b in found.buffer)
    facts = {f"patches in {name!r}": str(count) for name, count in found.patches.items()}
    facts["size (z, y, x)"] = " x ".join(number(node.ds[v.name]) for v in schema.SIZES) + " µm"
    facts["buffer between splits (z, y, x)"] = f"{wide} µm"
    facts["places lost to the buffer"] = f"{100 * found.lost:.3g} %"
    facts["sources"] = ", ".join(sources) or "none yet"
    yield Facts(facts)
    for leak in found.leaks:
        yield Note(f"Splits leak: {leak}.", "warn")
    if not found.leaks:
        yield Note(
            f"No leak in {found.pairs} pairs of sources and splits: no point of space is seen by "
            "two splits, as far as supports are recorded. Noise that projections share is not "
            "removed by any split."
        )


@section("Patches", order=12, needs=(*schema.CENTRES, *schema.CUTS, schema.SPLIT))
def examples(node: Node, around: Around) -> Iterator[Block]:
    """One patch of each split; of every source of a set the same."""
    cut = _first(node.ds)
    if cut is None:
        yield Note("There is no variable of patches here.")
        return
    chosen = _one_of_each(node.ds)
    images = [_plane(cut.isel(patch=i)) for i in chosen.values()]
    if not all(np.isfinite(image).any() for image in images):
        yield Note(f"{node.name}: a patch holds no finite value.", "warn")
        return
    shown = plot.montage(
        images, list(chosen), title=f"{node.place}: {canvas.label(cut)}", columns=len(images),
        width=WIDTH,
    )  # fmt: skip
    yield picture(shown, f"{node.place}: {_told(node.ds, cut)}")


@section("Normalisation", order=20, needs=schema.STATISTICS_PATCHES.required)
def statistics(node: Node, around: Around) -> Iterator[Block]:
    """By what each channel is normalised."""
    ds = node.ds.compute()
    names = ds["channel"].values.tolist() if "channel" in ds else range(ds.sizes["channel"])
    rows = [
        [str(name), *(number(ds[v.name][i]) for v in schema.STATISTICS_PATCHES.required)]
        for i, name in enumerate(names)
    ]
    columns = ("channel", *(v.name for v in schema.STATISTICS_PATCHES.required))
    yield Table(columns, rows, "Over the training split only.")


def _sources(node: Node, around: Around) -> dict[str, Node]:
    """What was cut at these places: the nodes of the same set, by name."""
    needs = (*schema.CENTRES, *schema.CUTS)
    count = node.ds.sizes["patch"]
    return {
        n.place: n
        for n in around.contents.nodes
        if n.group == node.group and n.has(needs) and n.ds.sizes["patch"] == count
    }


def _one_of_each(ds: xr.Dataset) -> dict[str, int]:
    """The patch of each split that holds most of the sample, the middle one of several."""
    split = known(ds["split"])
    share = known(ds["foreground"]) if "foreground" in ds else np.ones(split.size)
    out = {}
    for name in dict.fromkeys(str(s) for s in split.tolist()):
        here = np.flatnonzero(split == name)
        best = here[share[here] >= share[here].max() - 1e-6]
        out[name] = int(best[len(best) // 2])
    return out


def _first(ds: xr.Dataset) -> xr.DataArray | None:
    """The first variable of patches: what was cut, rather than how sure it is."""
    fit = [n for n, v in ds.data_vars.items() if v.ndim == 5 and v.dtype.kind == "f"]
    fit.sort(key=lambda n: str(n).endswith("_sigma"))
    return ds[fit[0]] if fit else None


def _plane(patch: xr.DataArray) -> xr.DataArray:
    """The middle slice of a patch: of its last channel, or of all q together."""
    layer = patch.isel(z=patch.sizes["z"] // 2).compute()
    return layer.mean("q") if "q" in layer.dims else layer.isel(channel=-1)


def _told(ds: xr.Dataset, cut: xr.DataArray) -> str:
    shape = " x ".join(str(cut.sizes[d]) for d in ("z", "y", "x"))
    size = f", voxels of {number(ds['voxel'])} µm" if "voxel" in ds else ""
    if "q" in cut.dims:
        which = f"; the mean over {cut.sizes['q']} q"
    elif cut.sizes["channel"] > 1:
        last = ds["channel"].values[-1] if "channel" in ds else cut.sizes["channel"] - 1
        which = f"; channel {last} of {cut.sizes['channel']}"
    else:
        which = ""
    return f"{shape} voxels{size}{which}. The middle slice of one patch of each split."


def _map(ds: xr.Dataset, names: list[str]) -> Picture:
    """Boxes of the patches, seen along the axis over which they spread least."""
    from matplotlib.patches import Rectangle

    at = {v.name[0]: known(ds[v.name]).astype(float) for v in schema.CENTRES}
    size = {v.name[-1]: float(ds[v.name]) for v in schema.SIZES}
    far = {v.name[-1]: float(ds[v.name]) for v in schema.SUPPORTS}
    flat = min("zyx", key=lambda d: np.ptp(at[d]) + size[d])
    up, along = (d for d in "zyx" if d != flat)
    split = known(ds["split"])
    colours: Mapping[str, str] = {n: COLOURS[i % len(COLOURS)] for i, n in enumerate(names)}
    with canvas.styled():
        figure = canvas.figure(5.5, 4.6)
        axes = figure.add_subplot()
        for i in range(0, split.size, -(-split.size // MOST_BOXES)):
            colour = colours[str(split[i])]
            for grown, face in ((0.0, True), (1.0, False)):
                wide, high = (size[d] + 2 * grown * far[d] for d in (along, up))
                low = at[along][i] - wide / 2, at[up][i] - high / 2
                axes.add_patch(
                    Rectangle(low, wide, high, fill=face, alpha=0.25 if face else 0.12,
                              facecolor=colour, edgecolor=colour, linewidth=0 if face else 0.6)
                )  # fmt: skip
        for name, colour in colours.items():
            axes.plot([], [], "s", color=colour, alpha=0.6, label=canvas.plain(name))
        axes.autoscale_view()
        axes.set(aspect="equal", xlabel=f"{along} [µm]", ylabel=f"{up} [µm]")
        figure.legend(loc="outside upper center", ncols=len(names), frameon=False)
    return picture(
        figure,
        f"Patches of each split, seen along {flat}: filled, what they cover; in outline, all that "
        "their values come from. Outlines of two splits may touch and not cross.",
    )
