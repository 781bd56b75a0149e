"""Sections of registrations: both volumes at once, residuals, detail, and whether to trust it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from scipy.spatial.transform import Rotation

from zeoarray import plot, schema
from zeoarray.report import sample
from zeoarray.report.blocks import Block, Facts, Note, Table, picture
from zeoarray.report.contents import Node
from zeoarray.report.registry import Around, section
from zeoarray.report.tomograms import number, with_sigma
from zeoarray.volume import refine, verify
from zeoarray.volume.levels import Level
from zeoarray.volume.refine import Pair

Array = np.ndarray[Any, Any]

SIDE = 320
"""Voxels along the longest side of a picture of both volumes."""
UNITS = {"shift": "µm", "turn": "°"}


@section("Registration", order=12, needs=schema.REGISTRATION.required)
def registration(node: Node, around: Around) -> Iterator[Block]:
    """The map with its error, what tested it, and pictures that show where it is wrong."""
    ds = node.ds.compute()
    reasons = [str(r) for r in ds.attrs.get("reasons", [])]
    if not bool(ds["trusted"]):
        why = "; ".join(reasons) or "no reason is stated"
        yield Note(f"This registration is not trusted: {why}.", "warn")
    yield from _both(ds, around)
    yield picture(
        plot.residuals(ds),
        "By how much each block is off yet. Arrows that turn or grow together are motion, "
        "distortion, or a model too stiff.",
    )
    if ds.sizes["frequency"]:
        yield picture(
            plot.shell_correlation(ds),
            "Fourier shell correlation of the registered volumes. Up to where it meets the "
            "half-bit criterion they show the same.",
        )
    yield Facts(_facts(ds))
    yield Table(("parameter", "value"), _parameters(ds), _about(ds))
    yield Table(("test", "found", "what it says"), _tests(ds))


def _facts(ds: xr.Dataset) -> dict[str, str]:
    voxel = float(ds["compared_at"])
    out = {
        "trusted": "yes" if bool(ds["trusted"]) else "no",
        "predicted error, rms": f"{number(ds['predicted_rms'], 3)} µm "
        f"({number(float(ds['predicted_rms']) / voxel, 2)} voxels of {number(voxel)} µm)",
        "predicted error, largest": f"{number(ds['predicted_max'], 3)} µm",
        "model": str(ds.attrs.get("model", "not stated")),
    }
    if ds.sizes["frequency"]:
        out["both show the same down to"] = f"{number(ds['agrees_to'], 3)} µm"
    if np.isfinite(ds["pixel_size"]) and "scale" in " ".join(map(str, ds["parameter"].values)):
        out["true size of the moving pixels"] = f"{number(ds['pixel_size'], 6)} µm"
    if "confirmed" in ds:
        out["the frame that both share"] = "confirmed" if bool(ds["confirmed"]) else "not confirmed"
        out["off from it by"] = (
            f"{number(ds['displacement'], 3)} µm, chi-square {number(ds['frame_chi2'], 3)} "
            "for each parameter"
        )
        out["correlation in it"] = number(ds["frame_correlation"], 3)
    return out


def _about(ds: xr.Dataset) -> str:
    at = ", ".join(number(v) for v in ds["about"].values)
    return f"From the moving to the fixed frame: the shift is that of x, y, z = {at} µm."


def _parameters(ds: xr.Dataset) -> list[list[str]]:
    """The map as shifts, turns and scale, each with the error that its covariance says."""
    matrix, about = ds["to_fixed"].values.astype(float), ds["about"].values.astype(float)
    sigma = dict(zip(map(str, ds["parameter"].values), np.sqrt(np.diag(ds["covariance"].values)),
                     strict=True))  # fmt: skip
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    # The point that comes to lie at `about` is the one about which errors are counted.
    there = np.linalg.solve(matrix, [*about, 1.0])[:3]
    values = dict(zip(("shift_x", "shift_y", "shift_z"), about - there, strict=True))
    values |= dict(zip(("turn_x", "turn_y", "turn_z"), _turn(matrix[:3, :3]), strict=True))
    rows = []
    for name, value in values.items():
        of = 1.0 if name.startswith("shift") else np.rad2deg(1.0)
        unit = UNITS[name.partition("_")[0]]
        if name in sigma:
            rows.append([name.replace("_", " "), with_sigma(value, of * sigma[name], unit)])
    if "scale" in sigma:
        rows.append(["scale", with_sigma(scale, scale * sigma["scale"], "")])
    rest = [n for n in sigma if n not in (*values, "scale")]
    rows += [[n.replace("_", " "), f"± {number(sigma[n], 2)}"] for n in rest]
    return rows


def _turn(linear: Array) -> Array:
    """(3). The turn nearest to a linear map, about x, y, z [deg]."""
    left, _, right = np.linalg.svd(linear)
    found = Rotation.from_matrix(left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right)
    return np.asarray(found.as_rotvec(degrees=True))


def _tests(ds: xr.Dataset) -> list[list[str]]:
    off = ds["block_weight"].values[~ds["block_held_out"].values.astype(bool)] <= 0.2
    return [
        ["blocks held out, chi-square for each degree", number(ds["held_out_chi2"], 3),
         f"{int(ds['held_out_blocks'])} blocks that the fit has not seen; 1 where errors are as "
         "told"],
        *([["there and back", f"{number(ds['round_trip'], 3)} µm",
            "by a second fit, the other way"]] if np.isfinite(ds["round_trip"]) else []),
        ["halves of the blocks", f"{number(ds['split_half'], 3)} µm", "half of their difference"],
        ["correlation of blocks", number(ds["block_correlation"], 3), "median, in their place"],
        ["the same in a wrong place", number(ds["null_correlation"], 3), "must collapse"],
        ["blocks given up", f"{int(off.sum())} of {off.size}", "contradict the rest"],
        *([["mutual information", f"{number(ds['mutual_information'], 3)} nat",
            "of both volumes' values"]] if "mutual_information" in ds else []),
    ]  # fmt: skip


# --- both volumes at once -----------------------------------------------------------------------
def _both(ds: xr.Dataset, around: Around) -> Iterator[Block]:
    first, second = (_volume(ds, which, around) for which in ("fixed", "moving"))
    if first is None or second is None:
        yield Note("Not both volumes are in this store, or it is not known which they are: there "
                   "is no picture of both.")  # fmt: skip
        return
    unlike = "mutual_information" in ds
    voxel = _voxel(first, float(ds["compared_at"]))
    pair = Pair(Level(_thinned(first, voxel), voxel), Level(_thinned(second, voxel), voxel), unlike)
    mapped = np.linalg.inv(ds["to_fixed"].values)
    low, high = refine.seen_box(pair, mapped)
    if not (high > low).all():
        yield Note("By this map both volumes have nothing in common.", "warn")
        return
    for dim in "zy":
        fixed, moving = _planes(pair, mapped, dim, (low, high))
        if not (np.isfinite(fixed).any() and np.isfinite(moving).any()):
            continue
        at = f"{dim} = {number(fixed[dim])} µm"
        yield picture(plot.checkerboard(fixed, moving, title=f"both, {at}"),
                      f"Fixed and moving volume in squares by turns, at {at}.")  # fmt: skip
        if not unlike:
            apart = _apart(fixed, moving)
            yield picture(plot.difference(apart, title=f"fixed less moving, {at}"),
                          f"Fixed volume less the moving one, at {at}. Edges that are red on one "
                          "side and blue on the other are a shift.")  # fmt: skip


def _volume(ds: xr.Dataset, which: str, around: Around) -> xr.DataArray | None:
    """The variable that was registered, not read; None where it is not known or not there."""
    node = around.contents.named(ds.attrs.get(which))
    if node is None:
        return None
    steps = reversed(ds.attrs.get("steps", []))
    record: dict[str, Any] = next(
        (s["parameters"] for s in steps if s.get("step") == "volume.register"), {}
    )
    name = record.get("variable" if which == "moving" else "fixed_variable")
    fit = [str(n) for n, v in node.ds.data_vars.items() if set(v.dims) == {"z", "y", "x"}]
    if name not in fit and len(fit) != 1:
        return None
    return node.ds[name if name in fit else fit[0]].transpose("z", "y", "x")


def _voxel(array: xr.DataArray, least: float) -> float:
    """Voxel of the pictures [um]."""
    return max(least, *(float(np.ptp(array[d].values)) / SIDE for d in "zyx"))


def _thinned(array: xr.DataArray, voxel: float) -> xr.DataArray:
    """Whole where a thick plane of it is held easily, so that voxels are averaged; else skipped."""
    steps = {d: abs(float(np.diff(array[d].values[:2])[0])) for d in "zyx"}
    factor = {d: max(math.floor(voxel / s), 1) for d, s in steps.items()}
    thick = max(factor.values()) + 8
    if 4 * thick * array.size / min(array.sizes.values()) <= sample.HELD:
        return array
    return array.isel({d: slice(None, None, f) for d, f in factor.items()})


def _planes(
    pair: Pair, mapped: Array, dim: str, seen: tuple[Array, Array]
) -> tuple[xr.DataArray, xr.DataArray]:
    """One plane of the fixed volume within what both see, and the moving one brought onto it."""
    low, high = (v.copy() for v in seen)
    axis = "zyx".index(dim)
    low[axis] = (low[axis] + high[axis]) // 2
    high[axis] = low[axis] + 1
    box = [slice(int(a), int(b)) for a, b in zip(low, high, strict=True)]
    fixed = pair.fixed.read((box[0], box[1], box[2]))
    shape = tuple(int(n) for n in high - low)
    moving = verify.resampled(pair.moving, pair.matrix(mapped), tuple(map(int, low)), shape)
    to_um = pair.fixed.to_um
    coords = {
        d: (d, to_um[2 - n, 3] + to_um[2 - n, n] * np.arange(low[n], high[n]), {"units": "um"})
        for n, d in enumerate("zyx")
    }
    made = (xr.DataArray(v, coords, ("z", "y", "x")).isel({dim: 0}) for v in (fixed, moving))
    first, second = made
    return first, second


def _apart(fixed: xr.DataArray, moving: xr.DataArray) -> xr.DataArray:
    """Fixed less moving, the latter by the line that fits it best: scale and offset do not show."""
    both = np.isfinite(fixed.values) & np.isfinite(moving.values)
    if both.sum() > 2 and float(moving.values[both].std()) > 0:
        slope, offset = np.polyfit(moving.values[both], fixed.values[both], 1)
    else:
        slope, offset = 1.0, 0.0
    out: xr.DataArray = fixed - (slope * moving + offset)
    return out.rename("difference")


# --- scans in one frame -------------------------------------------------------------------------
@section("Scans in one frame", order=8, needs=schema.NETWORK.required)
def network(node: Node, around: Around) -> Iterator[Block]:
    """Where each scan lies in the sample, with its error; and how registrations agree."""
    ds = node.ds.compute()
    rows = []
    for name in ds["scan"].values:
        one = ds.sel(scan=name)
        matrix = one["to_sample"].values
        shift = ", ".join(number(v) for v in matrix[:3, 3])
        turn = ", ".join(f"{v:.3g}" for v in _turn(matrix[:3, :3]))
        rows.append([str(name), shift, turn, number(one["pixel_scale"], 6),
                     number(one["center_sigma"], 2)])  # fmt: skip
    columns = ("scan", "shift x, y, z [µm]", "turn about x, y, z [°]", "scale", "error [µm]")
    yield Table(columns, rows, "Each scan in the frame of the sample; the error is that at the "
                "middle of all.")  # fmt: skip
    columns_of = (ds[n].values for n in ("pair", "pair_chi2", "pair_residual"))
    pairs = [[str(p), number(c, 3), number(r, 3)] for p, c, r in zip(*columns_of, strict=True)]
    yield Table(("registration", "chi-square for a parameter", "gave way by [µm]"), pairs)
    degrees = int(ds["loop_degrees"])
    closed = number(ds["loop_chi2"], 3) if degrees else "there are none"
    yield Facts({"loops close by a chi-square for each degree of": closed,
                 "degrees of freedom": str(degrees)})  # fmt: skip
