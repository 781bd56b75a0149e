"""Truncated projections of a region of interest, completed from a volume of the whole sample."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from zeoarray import lazy, schema
from zeoarray.errors import ArgumentError
from zeoarray.kernels import radon, truncation
from zeoarray.labelled import known, lift
from zeoarray.xct.positions import UM_PER_CM, spacing_of

SEAM = 4.0
"""Levels are compared over so many columns of the wider field, at least."""


def completed(
    lines: xr.DataArray,
    angle: xr.DataArray,
    center: xr.DataArray,
    volume: xr.Dataset,
    *,
    pixel_um: float,
    axis_u: np.ndarray,
    by: str,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return projections with more columns on either side, and the axis as an index of them.

    Parameters
    ----------
    lines
        ``(angle, z, u)``, with the coordinates `z` and `u`.
    angle
        Angles [rad], as `x` and `y` of the volume know them.
    center
        The axis as an index of u, for each row.
    volume
        ``attenuation(z, y, x)`` of the whole sample, in the frame of this scan.
    pixel_um
        Distance of the columns.
    axis_u
        The axis [um] at all rows of the scan: how much is added hangs on its range.
    by
        Who asks.

    Raises
    ------
    SchemaError
        For a volume without positions, or with uneven ones.
    ArgumentError
        For a volume with voxels that are not square in y and x, or that does not reach all rows.
    """
    schema.validate(volume, schema.VOLUME_XCT, by=f"{by}: complete_from")
    spacing = [spacing_of(volume, f"{by}: complete_from", dim) for dim in ("y", "x")]
    if abs(spacing[0] - spacing[1]) > 1e-3 * spacing[0]:
        raise ArgumentError(
            f"{by}: the voxels of complete_from are not square",
            got=f"{spacing[0]:g} um along y, {spacing[1]:g} um along x",
        )
    wide_um = (spacing[0] + spacing[1]) / 2
    ends = {d: known(volume[d])[[0, -1]].astype(float) for d in ("y", "x")}
    reach = min(float(np.abs(ends[d]).max()) for d in ends) + wide_um / 2
    slab = _at(volume, lines["z"], computed=lines.chunks is None, by=by)
    sides = max(slab.sizes["y"], slab.sizes["x"])
    (wider,) = lift(
        radon.project, slab, angle, parameters={"size": math.ceil(1.42 * sides) + 4},
        dims={"u": "wide_u"},
    )  # fmt: skip
    # Line integrals: attenuation times the pixel that projections count in.
    wider = wider * np.float32(wide_um / UM_PER_CM)
    u = known(lines["u"])
    margin = _margin(reach, u, axis_u, pixel_um)
    parameters = {
        "center": center,
        "margin": margin,
        "spacing": wide_um / pixel_um,
        "offset": (float(ends["x"].mean()) / pixel_um, float(ends["y"].mean()) / pixel_um),
        "seam": max(16, math.ceil(SEAM * wide_um / pixel_um)),
    }
    dims = {"v": "wide_u", "w": "all_u"}
    (out,) = lift(truncation.complete, lines, wider, angle, parameters=parameters, dims=dims)
    return out, center + margin


def _margin(reach: float, u: np.ndarray, axis_u: np.ndarray, pixel_um: float) -> int:
    """Columns that either side lacks to see all within `reach` of the axis."""
    lacking = max(reach - (axis_u.min() - u[0]), reach - (u[-1] - axis_u.max()), 0.0)
    return math.ceil(float(lacking) / pixel_um)


def _at(volume: xr.Dataset, z: xr.DataArray, *, computed: bool, by: str) -> xr.DataArray:
    """(z, y, x): the volume at other heights, linearly between its slices."""
    have, want = known(volume["z"]).astype(float), known(z, whole=False).astype(float)
    order = np.argsort(have)
    have = have[order]
    slack = (have[-1] - have[0]) / max(have.size - 1, 1) / 2 if have.size > 1 else np.inf
    if want.min() < have[0] - slack or want.max() > have[-1] + slack:
        raise ArgumentError(
            f"{by}: the volume that completes the projections does not reach all rows",
            got=f"rows at z {want.min():g} to {want.max():g} um, "
            f"volume at {have[0]:g} to {have[-1]:g} um",
            do="crop the scan along z, or give a higher volume",
        )
    upper = np.clip(np.searchsorted(have, want), 1, max(have.size - 1, 1))
    lower = upper - 1
    upper = np.minimum(upper, have.size - 1)
    gap = np.where(have[upper] > have[lower], have[upper] - have[lower], 1)
    share = np.clip((want - have[lower]) / gap, 0, 1).astype(np.float32)
    used = np.unique(np.concatenate([order[lower], order[upper]]))
    slab = volume["attenuation"].isel(z=used)
    if computed:
        slab = slab.compute(scheduler="synchronous") if slab.chunks is not None else slab.load()
    elif lazy.is_lazy(slab.variable):
        slab = slab.copy(data=lazy.chunk(slab.variable, {}).data)
    slab = slab.reset_coords(drop=True).drop_vars(("z", "y", "x"))
    weight = xr.DataArray(share, dims="z")
    below = slab.isel(z=np.searchsorted(used, order[lower]))
    above = slab.isel(z=np.searchsorted(used, order[upper]))
    return below * (1 - weight) + above * weight
