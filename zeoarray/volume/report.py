"""The node of a registration: the map, its error, what bears it out, and whether to trust it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.kernels import transform
from zeoarray.kernels.mutual import Likeness
from zeoarray.volume import refine, verify
from zeoarray.volume.align import Aligned, Settings

Array = np.ndarray[Any, Any]

LEAST_CORRELATION = 0.3
"""Median correlation of blocks."""
COLLAPSE = 0.5
"""In a wrong place blocks must correlate by less than this share of what they do in theirs."""
MOST_CHI2 = 3.0
"""Of the blocks held out, for each degree of freedom."""
MOST_APART = 0.6
"""What blocks are still apart, weighted rms [voxels]."""
LEAST_BELIEVED = 0.5
"""Share of the blocks that were believed."""
AGREE = 5.0
"""Both ways, and both halves, may differ by so many predicted errors; or `CLOSE`, if larger."""
CLOSE = 0.1
"""Voxels."""
CONTRADICT = 3.0
"""Predicted errors by which the answer may move when both volumes are smoothed."""
SAME_SCALE = 0.5
"""Voxels by which it may move in any case: streaks that are structure pull by a voxel and more."""
LEAST_BLOCKS = 8
MOST_SCALE = 0.1
"""Relative change of size that a registration may find."""


class Figures(NamedTuple):
    """What was found out about an answer, lengths in um."""

    predicted: tuple[float, float]
    held: verify.Held
    split: float
    round_trip: float
    scales: verify.Scales
    correlation: float
    null: float
    residual: float
    believed: float


def figures(found: Aligned, settings: Settings, points: Array) -> Figures:
    """Run every test."""
    solved = found.solved
    own, wrong = verify.correlations(found.pair, solved.matrix, found.block_list)
    apart, information, distance = refine.shifts(solved.compared)
    used = (solved.weight > 0) & np.isfinite(distance)
    share = np.trace(information[used], axis1=1, axis2=2) * solved.weight[used]
    square = float((share * (apart[used] ** 2).sum(axis=1)).sum() / max(share.sum(), 1e-300))
    fitted = int((~found.held).sum())
    return Figures(
        predicted=verify.predicted(solved, points),
        held=verify.by_held_out(solved, found.block_list, found.held),
        split=verify.split_half(solved, points),
        round_trip=verify.round_trip(
            found.pair, found.guide, solved, settings.model, points, max(settings.blocks // 2, 8)
        ),
        scales=verify.by_scale(found.pair, solved, settings.model, found.block_list, points),
        correlation=float(np.median(own)),
        null=float(np.median(wrong)),
        residual=float(np.sqrt(square)) if used.any() else float("inf"),
        believed=float((solved.weight > 0.2).sum()) / max(fitted, 1),
    )


def reasons(found: Aligned, about: Figures, voxel: float, most_error: float) -> list[str]:
    """Why the answer should not be trusted; empty where it may be."""
    error = about.predicted[0]
    allowed = max(AGREE * error, CLOSE * voxel)
    scale = abs(np.linalg.det(found.solved.matrix[:3, :3])) ** (1 / 3)
    used = int((found.solved.weight > 0).sum())
    coarse, moves = max(verify.BLUR * voxel, 2 * found.pair.blur), about.scales.apart
    tests = {
        f"the fit has not settled in {refine.ROUNDS} steps": found.solved.settled,
        f"only {used} blocks could be used, {LEAST_BLOCKS} are needed": used >= LEAST_BLOCKS,
        f"the predicted error of {error / voxel:.2g} voxels is above {most_error:g}": (
            error <= most_error * voxel
        ),
        f"blocks correlate by {about.correlation:.2f} only": about.correlation >= LEAST_CORRELATION,
        f"in a wrong place blocks correlate by {about.null:.2f}, in theirs by "
        f"{about.correlation:.2f}": about.null <= COLLAPSE * about.correlation,
        f"blocks held out are off by a chi-square of {about.held.chi2:.2g} for each degree": (
            about.held.chi2 <= MOST_CHI2
        ),
        f"blocks are still {about.residual / voxel:.2g} voxels apart: motion, distortion, or a "
        "model too stiff": about.residual <= MOST_APART * voxel,
        f"{1 - about.believed:.0%} of the blocks contradict the rest": (
            about.believed >= LEAST_BELIEVED
        ),
        f"there and back is {about.round_trip / voxel:.2g} voxels off": about.round_trip <= allowed,
        f"halves of the blocks differ by {about.split / voxel:.2g} voxels": about.split <= allowed,
        f"coarse structures say otherwise: with blur_um={coarse:.3g} the answer moves by "
        f"{moves / voxel:.2g} voxels": (
            moves <= max(CONTRADICT * about.scales.expected, SAME_SCALE * voxel)
        ),
        "another place fits as well: its blocks correlate by "
        f"{found.rival:.0%} of these": found.rival < 0.97,
        f"the sizes differ by {scale - 1:+.1%}": abs(scale - 1) <= MOST_SCALE,
    }
    return [reason for reason, passed in tests.items() if not passed]


def node(found: Aligned, settings: Settings, most_error: float, *, nominal_um: float) -> xr.Dataset:
    """The result of a registration as a dataset."""
    solved, voxel = found.solved, settings.voxel_um
    points = verify.seen_points(found.pair, solved.matrix)
    about = figures(found, settings, points)
    why = reasons(found, about, voxel, most_error)
    to_fixed = np.linalg.inv(solved.matrix)
    scale = abs(np.linalg.det(to_fixed[:3, :3])) ** (1 / 3)
    apart, information, _ = refine.shifts(solved.compared)
    out = xr.Dataset(
        {
            "to_fixed": (("to", "from"), to_fixed),
            "covariance": (("parameter", "other"), solved.covariance),
            "about": ("axis", solved.about),
            "pixel_scale": ((), scale),
            "pixel_size": ((), scale * nominal_um),
            "compared_at": ((), voxel),
            "predicted_rms": ((), about.predicted[0]),
            "predicted_max": ((), about.predicted[1]),
            "held_out_chi2": ((), about.held.chi2),
            "held_out_blocks": ((), about.held.blocks),
            "round_trip": ((), about.round_trip),
            "split_half": ((), about.split),
            "scales_apart": ((), about.scales.apart),
            "block_correlation": ((), about.correlation),
            "null_correlation": ((), about.null),
            "block_position": (("block", "axis"), [b.centre for b in found.block_list]),
            "block_residual": (("block", "axis"), apart),
            "block_sigma": (("block", "axis"), _sigma(information, solved.inflation)),
            "block_weight": ("block", solved.weight),
            "block_held_out": ("block", found.held),
            "trusted": ((), not why),
        },
        {"parameter": list(solved.names), "axis": list("xyz")},
    )
    alike = (
        refine.likeness(found.pair, solved.matrix, found.block_list) if settings.unlike else None
    )
    out = out.assign(_shells(found, alike))
    if alike is not None:
        out["mutual_information"] = ((), alike.mutual)
    floats = [n for n, v in out.data_vars.items() if v.ndim > 1 and n not in schema.EXACT]
    out = out.assign({n: out[n].astype(np.float32) for n in floats})
    return schema.describe(out, schema.REGISTRATION).assign_attrs(model=settings.model, reasons=why)


def _sigma(information: Array, inflation: float) -> Array:
    out = np.full((len(information), 3), np.nan)
    for i, one in enumerate(information):
        if np.linalg.cond(one) < 1e8:
            out[i] = np.sqrt(np.diag(np.linalg.inv(one)) * inflation)
    return out


def _shells(found: Aligned, alike: Likeness | None) -> dict[str, Any]:
    curve = verify.shells(found.pair, found.solved.matrix, alike)
    if curve is None:
        empty = np.empty(0)
        curve = verify.Shells(empty, empty, empty, float("nan"))
    return {
        "frequency": ("frequency", curve.frequency),
        "shell_correlation": ("frequency", curve.correlation),
        "half_bit": ("frequency", curve.limit),
        "agrees_to": ((), curve.agrees_to),
    }


def expected(ds: xr.Dataset, model: transform.Model) -> xr.Dataset:
    """A node like that of a registration, made without reading."""
    names, fields = transform.basis(model)
    zeros = np.zeros((1, 3), np.float32)
    names_of = [v.name for v in schema.REGISTRATION.required if not v.dims]
    out = xr.Dataset(
        {
            "to_fixed": (("to", "from"), np.eye(4)),
            "covariance": (("parameter", "other"), np.eye(len(fields)) * 1e-6),
            "about": ("axis", np.zeros(3)),
            **dict.fromkeys(names_of, ((), 1.0)),
            "held_out_blocks": ((), 1),
            "trusted": ((), True),
            **{f"block_{n}": (("block", "axis"), zeros) for n in ("position", "residual", "sigma")},
            "block_weight": ("block", np.ones(1)),
            "block_held_out": ("block", np.zeros(1, bool)),
            "frequency": ("frequency", np.zeros(1)),
            "shell_correlation": ("frequency", np.ones(1)),
            "half_bit": ("frequency", np.ones(1)),
        },
        {"parameter": list(names), "axis": list("xyz")},
    )
    return schema.describe(out, schema.REGISTRATION).assign_attrs(ds.attrs)
