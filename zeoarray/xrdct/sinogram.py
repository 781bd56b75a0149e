"""From a list of frames at motor positions to sinograms: `sinogram`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels.gridding import Levels, find_grid, place
from zeoarray.labelled import known, lift
from zeoarray.step import step

__all__ = ["sinogram"]

Array = np.ndarray[Any, Any]
BY = "xrdct.sinogram"
POSITIONS = ("z", "angle", "u")
UNITS = {"z": "um", "angle": "deg", "u": "um"}

Weights = Literal["auto", "monitor", "ring_current", "exposure", "equal"]

POWER = {"variance": 2, "signal": 0, "normalization": 0}
"""Power of the shares with which frames of one point are added: 1 for what is averaged."""
LEAST_FILLED = 0.2
"""Frames have to fill this much of a grid, or their positions are on none."""


@step()
def sinogram(
    ds: xr.Dataset,
    *,
    weights: Weights = "auto",
    tolerance_um: float | None = None,
    tolerance_deg: float | None = None,
) -> xr.Dataset:
    """Put integrated frames on the grid of their motor positions.

    Where a frame belongs follows from its angle, u and z alone, so that snakes, layers, resumed
    and incomplete scans come out right in whatever order their frames lie. Positions that motors
    reached within their jitter are one position. Where an even spacing of angle or u has gaps, as
    the missing one of 80 rotations, they become rows in which `valid` is 0 and values are NaN.
    Frames at one point are averaged: sum_i w_i I_i / sum_i w_i, with the variance
    sum_i w_i^2 V_i / (sum_i w_i)^2; w is what the intensity was divided by.

    Parameters
    ----------
    ds
        ``intensity(frame, q)`` with ``angle``, ``u`` and ``z`` of each frame, and what goes with
        it. Of a node that is on a grid already, angle and u are put in order, and it is given
        `valid`; its layers stay as they are.
    weights
        Of frames at one point. ``auto``: what `integrate` says in the record of `ds` that it
        normalised by, each frame the same without such a record. A frame whose weight is not
        above 0 was not exposed and is left out.
    tolerance_um
        Positions of u, and of z, are the same where a chain of gaps below this joins them;
        found from the positions where None.
    tolerance_deg
        The same for angles.

    Returns
    -------
    xarray.Dataset
        ``intensity(z, angle, u, q)``, ``valid(z, angle, u)``, and what else each frame had for
        every q. ``attrs["grid"]`` tells jitter, gaps, duplicates, and frames left out.

    Raises
    ------
    SchemaError
        For a dataset without q or positions, and for positions that are on no grid.
    ArgumentError
        Where no frame can be placed: none is there, positions are not known, monitors are dead.
    """
    if "frame" not in ds.dims:
        return _ordered(ds)
    schema.validate(ds, schema.PATTERNS, by=BY)
    weight, kind = _weights(ds, weights)
    positions = {name: known(ds[name]).astype(float) for name in POSITIONS}
    positions = {n: np.broadcast_to(p, weight.shape) for n, p in positions.items()}
    placed = np.all([np.isfinite(p) for p in positions.values()], axis=0)
    alive = np.isfinite(weight) & (weight > 0)
    used = placed & alive
    if not used.any():
        raise _nothing(ds, placed, alive, kind)
    grid = _grid(positions, used, tolerance_um, tolerance_deg)
    shape = tuple(grid[name].value.size for name in POSITIONS)
    cell = np.full(weight.size, -1, np.int64)
    cell[used] = np.ravel_multi_index([grid[name].index for name in POSITIONS], shape)
    total = np.bincount(cell[used], weight[used], math.prod(shape))
    share = np.where(used, weight / np.where(used, total[cell], 1), 0.0)
    taken = np.bincount(cell[used], minlength=math.prod(shape)) > 0
    if taken.sum() < LEAST_FILLED * taken.size:
        raise _scattered(grid, int(used.sum()))
    out = {name: _gridded(v, cell, share, shape) for name, v in _measured(ds).items()}
    rest = ds.drop_dims("frame")
    made = rest.assign(out).assign_coords({n: (n, grid[n].value) for n in POSITIONS})
    made = _flagged(made, taken.reshape(shape))
    told = _told(grid, cell, taken) | {
        "without_position": int((~placed).sum()),
        "not_exposed": int((placed & ~alive).sum()),
        "weights": kind,
    }
    return schema.describe(made, schema.SINOGRAM).assign_attrs({**ds.attrs, "grid": told})


def _ordered(ds: xr.Dataset) -> xr.Dataset:
    """A node that is on a grid already."""
    schema.validate(ds, schema.SINOGRAM, by=BY)
    for name in POSITIONS:
        # Layers keep their order, so that they may be cut into blocks.
        place_ = known(ds[name], whole=name != "z").astype(float)
        if not np.isfinite(place_).all() or np.unique(place_).size < place_.size:
            raise SchemaError(
                f"{BY}: positions along {name!r} are not known, or stand twice",
                got=f"{place_.size} positions, {int((~np.isfinite(place_)).sum())} not finite",
                do=f"ds.sel({name}=...) of the rows that count, or begin with the frames",
            )
        if name != "z" and (np.diff(place_) < 0).any():
            ds = ds.isel({name: np.argsort(place_, kind="stable")})
    if "valid" not in ds.variables:
        ds = _flagged(ds, np.ones([ds.sizes[name] for name in POSITIONS], bool))
    return ds


def _flagged(ds: xr.Dataset, valid: Array) -> xr.Dataset:
    """`ds` with flags that are lazy where it is: then they are written block by block as well."""
    flags = xr.Variable(POSITIONS, valid, schema.attrs_of(schema.VALID))
    return ds.assign(valid=flags if ds["intensity"].chunks is None else flags.chunk())


def _weights(ds: xr.Dataset, weights: Weights) -> tuple[Array, str]:
    """(frame) What each frame counts, and by which readings."""
    size = ds.sizes["frame"]
    names = [weights] if weights not in ("auto", "equal") else []
    if weights == "auto":
        records = [r for r in ds.attrs.get("steps", ()) if r.get("step") == "xrdct.integrate"]
        given = records[-1]["parameters"] if records else {}
        beam = given.get("normalize_by", "none")
        names = [beam] * (beam != "none") + ["exposure"] * bool(given.get("per_second", False))
    out = np.ones(size)
    for name in names:
        if name not in ds.variables:
            raise ArgumentError(
                f"{BY}: frames cannot be weighed by {name!r}",
                got=", ".join(map(str, ds.coords)),
                expected=f"{name}(frame)",
                do='weights="equal", if frames of one point count the same',
            )
        out = out * known(ds[name]).astype(float)
    return out, " * ".join(names) or "equal"


def _grid(
    positions: Mapping[str, Array], used: Array, um: float | None, deg: float | None
) -> dict[str, Levels]:
    given = {"angle": deg, "u": um, "z": um}
    grid = find_grid(
        {name: position[used] for name, position in positions.items()},
        tolerance={name: value for name, value in given.items() if value is not None},
        complete=("angle", "u"),
    )
    if used.sum() > 1 and all(levels.value.size == 1 for levels in grid.values()):
        at = ", ".join(f"{n} {levels.value[0]:g} {UNITS[n]}" for n, levels in grid.items())
        raise SchemaError(
            f"{BY}: all frames were taken at one position",
            got=f"{int(used.sum())} frames at {at}",
            expected="frames at several angles and positions",
            do='ds.mean("frame") makes one pattern of them; a sinogram needs their positions',
        )
    return grid


def _gridded(variable: xr.DataArray, cell: Array, share: Array, shape: Any) -> xr.DataArray:
    power = POWER.get(str(variable.name), 1)
    frames = [xr.DataArray(a, dims="frame") for a in (cell, share**power)]
    bare = variable.drop_vars(list(variable.coords))
    (out,) = lift(place, bare, *frames, parameters={"shape": shape})
    rest = [d for d in variable.dims if d != "frame"]
    return out.transpose(*POSITIONS, *rest).assign_attrs(variable.attrs)


def _measured(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """What was measured in each frame."""
    return {str(name): v for name, v in ds.data_vars.items() if "frame" in v.dims}


def _told(grid: Mapping[str, Levels], cell: Array, taken: Array) -> dict[str, Any]:
    """What the record of the result says of the grid."""
    used = cell >= 0
    u, row = grid["u"].index, grid["angle"].index + grid["z"].index * grid["angle"].value.size
    beside = row[1:] == row[:-1]
    steps = np.bincount(row[1:][beside], np.diff(u)[beside], int(row.max()) + 1)
    return {
        "frames": int(used.size),
        "averaged": int(used.sum() - taken.sum()),
        "missing": int((~taken).sum()),
        "snake": bool((steps > 0).any() and (steps < 0).any()),
        "jitter": {n: float(f"{levels.jitter:.3g}") for n, levels in grid.items()},
        "even": {n: levels.even for n, levels in grid.items()},
    }


def _nothing(ds: xr.Dataset, placed: Array, alive: Array, kind: str) -> ArgumentError:
    if not ds.sizes["frame"]:
        return ArgumentError(
            f"{BY}: the scan is empty", got="0 frames", do="ingest a scan that has frames"
        )
    if not placed.any():
        bad = [n for n in POSITIONS if not np.isfinite(known(ds[n]).astype(float)).any()]
        return ArgumentError(
            f"{BY}: the position of no frame is known",
            got=f"{placed.size} frames; not finite: {', '.join(bad) or 'some position of each'}",
            expected="finite angle, u and z",
        )
    return ArgumentError(
        f"{BY}: no frame was exposed",
        got=f"{kind} is above 0 in {int(alive.sum())} of {alive.size} frames",
        do='weights="equal", if the intensity was not divided by it',
    )


def _scattered(grid: Mapping[str, Levels], frames: int) -> SchemaError:
    sizes = ", ".join(f"{levels.value.size} of {n}" for n, levels in grid.items())
    return SchemaError(
        f"{BY}: the positions of the frames are on no grid",
        got=f"{frames} frames at positions that are {sizes}",
        expected=f"frames at {LEAST_FILLED:.0%} or more of the points of a grid",
        do="tolerance_um= and tolerance_deg= say what positions are one",
    )
