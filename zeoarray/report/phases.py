"""Sections of phases and peaks: maps with their errors, and whether phases are isolated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from zeoarray import plot, schema
from zeoarray.plot import canvas
from zeoarray.report import sample
from zeoarray.report.blocks import Block, Facts, Note, Table, picture
from zeoarray.report.contents import Node
from zeoarray.report.registry import Around, section
from zeoarray.report.tomograms import number, with_sigma

MOST = 4
"""Phases and peaks that are drawn; the rest is told."""
_VOXELS = (schema.WEIGHT[0], schema.PHASE, schema.Z, schema.Y, schema.X)
_RAYS = (schema.WEIGHT[1], schema.PHASE, schema.Z, schema.ANGLE, schema.U)


@section("Phase maps", order=10, needs=_VOXELS)
def maps(node: Node, around: Around) -> Iterator[Block]:
    """Weights of each phase in the middle layer, each with its standard error beside."""
    yield from _maps(node, ("y", "x"))


@section("Phases of rays", order=16, needs=_RAYS)
def rays(node: Node, around: Around) -> Iterator[Block]:
    """Weights of each phase over angle and u, each with its standard error beside."""
    yield from _maps(node, ("angle", "u"))


def _maps(node: Node, dims: tuple[str, str]) -> Iterator[Block]:
    ds = node.ds
    z = sample.middle(ds["weight"], "z")
    layer = ds.isel(z=z)
    at = f"z = {number(ds['z'][z])} µm"
    names = [str(p) for p in ds["phase"].values]
    for i, name in enumerate(names[:MOST]):
        weight = sample.plane(layer["weight"].isel(phase=i).transpose(*dims))
        top = canvas.greys(weight.values)[1]
        yield picture(
            plot.image(weight, title=f"{name}, {at}", cmap="viridis", limits=_from_zero(top),
                       label=_said("weight", weight)),
            f"Weight of {name}: factor on its reference pattern. Empty: no fit.",
        )  # fmt: skip
        if "weight_sigma" in ds:
            sigma = sample.plane(layer["weight_sigma"].isel(phase=i).transpose(*dims))
            yield picture(
                plot.image(sigma, title=f"sigma of {name}", cmap="cividis",
                           limits=_from_zero(canvas.greys(sigma.values)[1]),
                           label=_said("standard error", weight)),
                f"Standard error of the weight of {name}, in the same unit.",
            )  # fmt: skip
    if len(names) > MOST:
        yield Note(f"Not drawn: {', '.join(names[MOST:])}.")
    if "valid" in ds and set(ds["valid"].dims) == {"z", *dims}:
        there = layer["valid"].compute().transpose(*dims).astype(np.float32)
        yield picture(plot.image(there, title="valid", cmap="gray", limits=(0, 1)),
                      "White: there are data.")  # fmt: skip
    if "chi2" in ds:
        chi2 = sample.plane(layer["chi2"].transpose(*dims))
        yield picture(
            plot.image(
                chi2,
                title="chi square of the fits",
                cmap="cividis",
                label="chi square",
                limits=_from_zero(canvas.greys(chi2.values, share=3)[1]),
            ),
            "What is left over, by what the errors lead one to expect: 1 where the model is right.",
        )
    yield Facts(_facts(layer))


def _facts(layer: xr.Dataset) -> dict[str, str]:
    facts = {}
    weight = sample.thin(layer["weight"], tuple(map(str, layer["weight"].dims[1:]))).compute()
    lost = 1 - float(np.isfinite(weight.values).all(axis=0).mean())
    if lost > 0:
        facts["without a fit"] = f"{100 * lost:.2g} %"
    if "chi2" in layer:
        facts["median chi square"] = number(layer["chi2"].compute().median(), 3)
    if "at_bound" in layer:
        held = layer["at_bound"].compute().mean([d for d in layer["at_bound"].dims if d != "phase"])
        facts |= {
            f"{phase}, held at 0": f"{100 * float(v):.3g} %"
            for phase, v in zip(layer["phase"].values, held.values, strict=True)
        }
    return facts


def _from_zero(top: float) -> canvas.Range:
    return (0.0, top) if top > 0 else (0.0, 1.0)


def _said(name: str, array: xr.DataArray) -> str:
    unit = str(array.attrs.get("units", "1"))
    return name if unit == "1" else f"{name} [{unit}]"


@section("Separation of phases", order=12, needs=_VOXELS)
def separation(node: Node, around: Around) -> Iterator[Block]:
    """How often weights of the two strongest phases occur together."""
    weight = node.ds["weight"]
    if weight.sizes["phase"] < 2:
        yield Note("There is one phase only.")
        return
    thinned = sample.thin(weight, ("z", "y", "x")).compute()
    strength = np.nan_to_num(thinned.clip(min=0).mean(("z", "y", "x")).values)
    first, second = sorted(np.argsort(strength)[::-1][:2].tolist())
    pair = [thinned.isel(phase=i) for i in (first, second)]
    yield picture(
        plot.separation(*pair, title="voxels by the weights of two phases"),
        "Voxels of isolated phases lie along the two axes; a mixture lies between.",
    )
    positive = [np.nan_to_num(np.maximum(p.values, 0)) for p in pair]
    total = positive[0] + positive[1]
    solid = total > 0.2 * float(np.percentile(total[total > 0], 95)) if (total > 0).any() else None
    if solid is not None and solid.any():
        lesser = np.minimum(*positive)[solid] / total[solid]
        mixed = f"{100 * float((lesser > 0.1).mean()):.3g} % of {int(solid.sum())}"
        yield Facts({"voxels of matter in which the lesser phase has more than 10 %": mixed})


@section("Isolation", order=14, needs=schema.ISOLATION.required)
def isolation(node: Node, around: Around) -> Iterator[Block]:
    """The share of mixed voxels, beside what the beam's width mixes."""
    ds = node.ds.compute()
    yield picture(
        plot.isolation(ds),
        "Voxels in which phases are mixed; the same counted in a map of isolated phases, blurred "
        "by the beam; and the difference, which is the sample's.",
    )
    rows = [
        [number(ds["z"][i]), str(int(ds["voxels"][i]))]
        + [with_sigma(100 * ds[n][i], 100 * ds[f"{n}_sigma"][i], "%")
           for n in ("mixed", "mixed_blur", "mixed_excess")]
        for i in range(ds.sizes["z"])
    ]  # fmt: skip
    yield Table(("z [µm]", "voxels", "mixed", "beam's blur alone", "excess"), rows)


@section("Peak maps", order=26, needs=schema.PEAKS_XRDCT.required)
def peaks(node: Node, around: Around) -> Iterator[Block]:
    """Areas of the first peaks in the middle layer, and where the peaks are."""
    ds = node.ds
    z = sample.middle(ds["area"], "z")
    layer = ds.isel(z=z)
    for i, place in enumerate(ds["peak"].values[:MOST]):
        area = sample.plane(layer["area"].isel(peak=i).transpose("y", "x"))
        yield picture(
            plot.image(area, title=f"peak at {number(place)} 1/Å", cmap="viridis",
                       limits=_from_zero(canvas.greys(area.values)[1]), label="area"),
            f"Area of the peak at {number(place)} 1/Å, without its background.",
        )  # fmt: skip
    names = [n for n in ("position", "position_sigma", "width", "peak_chi2") if n in ds]
    medians = {n: layer[n].compute().median(("y", "x")).values for n in names}
    shares = layer["converged"].compute().mean(("y", "x")).values if "converged" in ds else None
    rows = [
        [number(place)] + [number(medians[n][i], 6 if n == "position" else 3) for n in names]
        + ([f"{100 * shares[i]:.3g} %"] if shares is not None else [])
        for i, place in enumerate(ds["peak"].values)
    ]  # fmt: skip
    heads = {"position": "position [1/Å]", "position_sigma": "its sigma", "width": "width [1/Å]",
             "peak_chi2": "chi square"}  # fmt: skip
    columns = ["peak [1/Å]", *(heads[n] for n in names)] + ["converged"] * (shares is not None)
    yield Table(columns, rows, "Medians over the voxels of this layer.")
    if ds.sizes["peak"] > MOST:
        yield Note(f"{ds.sizes['peak'] - MOST} more peaks are in the table only.")
