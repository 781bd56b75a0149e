"""Projections that do not see all of the sample: continued at their edges, or from another scan.

Filtered back-projection of a truncated projection takes what is cut off for air. The step at the
edge becomes a bright rim, and its filter's tail an offset that changes slowly over the slice.
Continuing the edges removes the rim; the offset is then undetermined. Only measured projections of
the wider field determine it.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError, unknown
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.slices import centers_of

Array = np.ndarray[Any, Any]
Truncation = Literal["zero", "edge"]

SHARE = 64
"""The level of an edge is the mean of one column in so many, 16 at most: one alone is noise."""


def check_truncation(truncation: str) -> bool:
    """Whether projections are continued at their edges."""
    if truncation not in get_args(Truncation):
        raise unknown("truncation", truncation, get_args(Truncation))
    return truncation == "edge"


def edges(values: Any) -> tuple[Any, Any]:
    """(angle, u) -> (angle, 1) twice. Levels at the first and the last columns."""
    count = min(max(values.shape[-1] // SHARE, 1), 16)
    return (
        values[..., :count].mean(axis=-1, keepdims=True),
        values[..., -count:].mean(axis=-1, keepdims=True),
    )


def extend(part: Any, values: Any, first: int) -> None:
    """Fill what `packed.place` left of each row: both edges fall off, and meet at 0.

    They fall as the chords of a circle do, level at first: with less cupping than edges that stay
    as they are, in samples up to three times as wide as what is seen.
    """
    xp, columns, length = xp_of(part), values.shape[-1], part.shape[-1]
    left, right = edges(values)
    away = np.linspace(-1, 1, length - columns + 2)[1:-1]
    fall = np.sqrt(1 - (1 - np.abs(away)) ** 2)
    # Beyond the last column first, then round to before the first.
    after = xp.asarray(np.where(away < 0, fall, 0).astype(np.float32))
    before = xp.asarray(np.where(away < 0, 0, fall).astype(np.float32))
    start = (first + columns) % length
    head = min(length - start, length - columns)
    part[..., start : start + head] = right * after[:head] + left * before[:head]
    if head < length - columns:
        part[..., : length - columns - head] = right * after[head:] + left * before[head:]


def _completed(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return {"w": sizes["u"] + 2 * parameters["margin"]}


def _complete_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    wide = sizes["u"] + 2 * parameters["margin"]
    # Positions in double precision, and two interpolated values, of one slice.
    return Memory(0, 4 * sizes["angle"] * wide * 6 + 8 * sizes["batch"])


@kernel(
    "(angle,u),(angle,v),(angle)->(angle,w)",
    rows={"center": ()},
    memory=_complete_memory,
    sizes=_completed,
)
def complete(
    sinogram: Any,
    wider: Any,
    angle_rad: Any,
    *,
    center: Any,
    margin: int,
    spacing: float,
    offset: tuple[float, float] = (0.0, 0.0),
    seam: int = 16,
) -> Any:
    """(..., angle, u), (..., angle, v), (angle) -> (..., angle, w). Truncated columns filled.

    Columns on either side are interpolated from projections of a wider field. Their level is
    brought to that of the measured ones over the `seam` columns next to the edge; this shift falls
    to 0 towards the outer end. Measured columns are left as they are.

    Parameters
    ----------
    sinogram
        Measured line integrals, in units where a pixel of u is 1 long.
    wider
        Projections of the wider field in the same units, the middle of its slice in the middle.
    angle_rad
        Angle of each projection [rad].
    center
        Index of u where the rotation axis is: one, or one for each slice.
    margin
        Columns that are added on either side.
    spacing
        Distance of the columns of `wider`, in pixels of u.
    offset
        x and y of the middle of the wider field's slice, from the rotation axis [pixels of u].
    seam
        Columns over which levels are compared.

    Raises
    ------
    ArgumentError
        Where angles or centres do not fit, or for a margin, seam or spacing that is none.

    Examples
    --------
    >>> wide = np.array([[0, 1, 2, 3, 2, 1, 0]], "float32")
    >>> complete(wide[:, 2:5] + 5, wide, np.zeros(1), center=1.0, margin=2, spacing=1.0).round(1)
    array([[1.2, 4.8, 7. , 8. , 7. , 4.8, 1.2]], dtype=float32)
    """
    xp = xp_of(sinogram)
    batch = np.broadcast_shapes(sinogram.shape[:-2], wider.shape[:-2])
    columns = sinogram.shape[-1]
    angle = check_angles(angle_rad, sinogram.shape[-2])
    if margin < 0 or seam < 1 or not spacing > 0:
        raise ArgumentError(
            "projections are completed by a margin of 0 columns or more, over a seam of 1 or more",
            got=f"margin={margin}, seam={seam}, spacing={spacing}",
        )
    centers = centers_of(center, batch, columns)
    dtype = contract_of(complete).output_dtype(0, sinogram.dtype)
    out = xp.empty((*batch, angle.size, columns + 2 * margin), dtype)
    inner = xp.broadcast_to(sinogram, (*batch, *sinogram.shape[-2:]))
    other = xp.broadcast_to(wider, (*batch, *wider.shape[-2:]))
    # 1 at the edge of the detector, 0 at the outer end.
    fall = 0.5 + 0.5 * np.cos(np.pi * (np.arange(margin) + 1) / (margin + 1))
    fall = xp.asarray(fall.astype(np.float32))
    moved = offset[0] * np.cos(angle) + offset[1] * np.sin(angle)
    seam = min(seam, columns)
    for row, index in enumerate(np.ndindex(*batch)):
        u = np.arange(-margin, columns + margin) - centers[row]
        found = _interpolated(other[index], u, moved, spacing)
        target, lines = out[index], inner[index]
        target[:, margin : margin + columns] = lines
        if not margin:
            continue
        same = found[:, margin : margin + columns]
        left = (lines[:, :seam] - same[:, :seam]).mean(axis=-1, keepdims=True)
        right = (lines[:, -seam:] - same[:, -seam:]).mean(axis=-1, keepdims=True)
        target[:, :margin] = found[:, :margin] + left * fall[::-1]
        target[:, margin + columns :] = found[:, margin + columns :] + right * fall
    return out


def _interpolated(wider: Any, u: Array, moved: Array, spacing: float) -> Any:
    """(angle, v) -> (angle, w). Values at `u` - `moved`, linearly; 0 beyond the wider field."""
    xp, columns = xp_of(wider), wider.shape[-1]
    out = xp.empty((moved.size, u.size), np.float32)
    for i in range(moved.size):
        at = (u - moved[i]) / spacing + (columns - 1) / 2
        out[i] = xp.interp(xp.asarray(at), xp.arange(columns), wider[i], left=0, right=0)
    return out
