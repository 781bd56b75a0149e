"""Sections that set a simulated sample beside its truth."""

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
from zeoarray.twin import truth as twin

MOST_SIDE = 640
"""Voxels along a side of the slice that is compared, about the middle of the sample."""
_AIR = 0.02
"""Attenuation [1/cm] below which the truth is air."""
FINE = 2


@section("Slice against truth", order=20, needs=(schema.ATTENUATION, schema.Z, schema.Y, schema.X),
         of_truth=True)  # fmt: skip
def attenuation(node: Node, around: Around) -> Iterator[Block]:
    """The middle slice less the true one, on its own voxels."""
    truth = around.truth
    mount = None if truth is None else truth.mount(node)
    if truth is None or mount is None:
        yield Note("The truth does not know the scan that this volume was made of.")
        return
    volume = node.ds["attenuation"]
    z = sample.middle(volume, "z")
    reach = max(abs(b) for pair in truth.sample.bounds[:2] for b in pair) * 1.05
    part = volume.isel(z=[z], y=_inside(volume["y"], reach), x=_inside(volume["x"], reach))
    ours = part.isel(z=0).compute().transpose("y", "x").astype(np.float32, keep_attrs=True)
    places = [part[d].values.astype(float) for d in ("z", "y", "x")]
    energy = float((node.ds if "energy" in node.ds.variables else mount)["energy"])
    whole = twin.volume(truth.sample, *places, energy_kev=energy, fine=FINE,
                        to_sample=mount["to_sample"].values)  # fmt: skip
    true = ours.copy(data=whole["attenuation"].values[0])
    error = ours - true
    error.attrs = {"units": "1/cm", "long_name": "error"}
    limits = canvas.greys(true.values, ours.values)
    at = f"z = {number(volume['z'][z])} µm"
    yield picture(plot.image(ours, title=f"reconstructed, {at}", limits=limits), "Reconstructed.")
    yield picture(plot.image(true, title=f"true, {at}", limits=limits),
                  f"True: {volume['z'][z].item():.4g} µm, the same voxels and energy.")  # fmt: skip
    yield picture(
        plot.difference(error, title="reconstructed less true"), "Reconstructed less true."
    )
    yield Table(
        ("where", "voxels", "true mean [1/cm]", "bias [1/cm]", "bias [%]", "rms [1/cm]"),
        _errors(error.values, true.values),
        f"Errors of this slice at {energy:g} keV, over the part that is shown.",
    )


def _inside(positions: xr.DataArray, reach: float) -> slice:
    """The part of a side that the sample can be in, and no more than is quickly compared."""
    near = np.flatnonzero(np.abs(positions.values) <= reach)
    near = near if near.size else np.arange(positions.size)
    spare = max(near.size - MOST_SIDE, 0) // 2
    return slice(int(near[0]) + spare, int(near[-1]) + 1 - spare)


def _errors(error: np.ndarray, true: np.ndarray) -> list[list[str]]:
    finite = np.isfinite(error)
    rows = []
    for name, chosen in (("everywhere", finite), ("matter", finite & (true > _AIR)),
                         ("air", finite & (true <= _AIR))):  # fmt: skip
        if not chosen.any():
            continue
        mean, bias = float(true[chosen].mean()), float(error[chosen].mean())
        share = f"{100 * bias / mean:.2g}" if mean > _AIR else "-"
        rms = float(np.sqrt(np.mean(error[chosen] ** 2)))
        rows.append([name, str(int(chosen.sum())), number(mean), number(bias, 3), share,
                     number(rms, 3)])  # fmt: skip
    return rows


@section("Axis against truth", order=31, needs=schema.AXIS_XCT.required, of_truth=True)
def axis(node: Node, around: Around) -> Iterator[Block]:
    """Where the axis was found, less where it is."""
    mount = None if around.truth is None else around.truth.mount(node)
    if mount is None:
        return
    z = mount["z"].values.astype(float)
    found = np.interp(z, node.ds["z"].values, node.ds["axis_u"].values)
    sigma = np.interp(z, node.ds["z"].values, node.ds["axis_sigma"].values)
    error = found - mount["axis_u"].values
    pixel = float(mount["resolution"])
    middle = z.size // 2
    yield Facts({
        "axis in the middle less the true one": with_sigma(error[middle], sigma[middle], "µm")
        + f" ({number(error[middle] / pixel, 2)} pixels)",
        "rms over height": f"{number(np.sqrt(np.mean(error**2)), 3)} µm",
    })  # fmt: skip
    if np.abs(error[middle]) > 4 * max(float(sigma[middle]), 1e-9):
        yield Note("The axis is further from the true one than four of its sigmas.", "warn")


@section(
    "Phases against truth",
    order=20,
    needs=(schema.WEIGHT[0], schema.PHASE, schema.Z, schema.Y, schema.X),
    of_truth=True,
)
def phases(node: Node, around: Around) -> Iterator[Block]:
    """Weights of the middle layer less the true ones, each phase by one fitted factor."""
    true = None if around.truth is None else around.truth.weights(node)
    if true is None:
        yield Note("The truth does not know the scan that these phases were made of.")
        return
    ds = node.ds
    z = sample.middle(ds["weight"], "z")
    height = float(ds["z"][z])
    near = int(np.abs(true["z"].values - height).argmin())
    if abs(float(true["z"][near]) - height) > float(ds.get("resolution", xr.DataArray(1.0))):
        yield Note(f"The truth has no layer at z = {height:g} µm.")
        return
    layer, rows = true["weight"].isel(z=near).compute(), []
    known = [str(p) for p in true["phase"].values]
    for i, name in enumerate(map(str, ds["phase"].values)):
        if name not in known:
            continue
        ours = ds["weight"].isel(phase=i, z=z).transpose("y", "x").compute()
        real = layer.sel(phase=name, drop=True).interp(y=ours["y"], x=ours["x"])
        both = np.isfinite(ours.values) & np.isfinite(real.values)
        if not (real.values[both] ** 2).sum() > 0:
            continue
        a, b = ours.values[both].astype(float), real.values[both].astype(float)
        factor = float(a @ b / (b @ b))
        share = (ours / factor).rename("share").assign_attrs(units="1")
        error = (share - real).assign_attrs(units="1")
        yield picture(
            plot.difference(error, title=f"{name}: fitted less true", label="volume fraction"),
            f"Weight of {name} over {number(factor)}, less the true volume fraction.",
        )
        sigma = _sigma(ds, i, z, both)
        pull = (
            "-" if sigma is None else number(np.sqrt(np.mean(((a - factor * b) / sigma) ** 2)), 3)
        )
        rows.append([name, number(factor), number(np.corrcoef(a, b)[0, 1]),
                     number(float(np.mean(a / factor - b)), 2),
                     number(float(np.sqrt(np.mean((a / factor - b) ** 2))), 3), pull])  # fmt: skip
    if not rows:
        yield Note(f"No phase has a name of the truth's: {', '.join(known)}.")
        return
    yield Table(("phase", "factor", "correlation", "bias", "rms", "rms over sigma"), rows,
                "Weights over one fitted factor for each phase, against true volume fractions. "
                "The last column would be 1 if noise were the only error.")  # fmt: skip


def _sigma(ds: xr.Dataset, phase: int, z: int, chosen: np.ndarray) -> np.ndarray | None:
    if "weight_sigma" not in ds:
        return None
    sigma = ds["weight_sigma"].isel(phase=phase, z=z).transpose("y", "x").values[chosen]
    out: np.ndarray = np.where(sigma > 0, sigma, np.inf)
    return out
