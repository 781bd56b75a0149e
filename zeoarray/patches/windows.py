"""Windows of a volume by physical position: which voxels a patch covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.labelled import known

Array = np.ndarray[Any, Any]
AXES = ("z", "y", "x")

EVEN = 0.01
"""Steps along an axis that differ by less than this share are equal."""


@dataclass(frozen=True)
class Axis:
    """Voxel centres along one axis."""

    name: str
    centres: Array
    step: float
    """Distance of neighbours [um]; the size of a voxel where there is only one."""
    even: bool
    """Whether the steps are equal. Layers with gaps between them are not."""

    @property
    def first(self) -> float:
        """The first centre [um]."""
        return float(self.centres[0])

    def count(self, size_um: float) -> int:
        """Voxels in a window of this width: at least one, and only one across uneven layers."""
        return max(1, round(size_um / self.step)) if self.even else 1

    def starts(self, centre_um: Array, count: int) -> Array:
        """First voxel of the windows whose centres are nearest to those given."""
        if not self.even:
            return np.asarray(np.abs(centre_um[:, None] - self.centres[None, :]).argmin(axis=1))
        return np.asarray(
            np.rint((centre_um - self.first) / self.step - (count - 1) / 2), dtype=np.int64
        )

    def middle(self, start: Array, count: int) -> Array:
        """Centre of windows [um], from their first voxels."""
        if not self.even:
            return np.asarray(self.centres[start])
        return np.asarray(self.first + (start + (count - 1) / 2) * self.step)


def axis(ds: xr.Dataset, name: str, *, by: str) -> Axis:
    """Read the voxel centres along one axis.

    Raises
    ------
    SchemaError
        Where they do not ascend.
    ArgumentError
        Where there is one only, and nothing says how large a voxel is.
    """
    centres = known(ds[name], whole=False).astype(float)
    steps = np.diff(centres)
    if steps.size and not (steps > 0).all():
        raise SchemaError(
            f"{by}: positions along {name!r} must ascend",
            got=f"from {centres[0]:g} to {centres[-1]:g} um",
            do=f'ds.sortby("{name}")',
        )
    if steps.size:
        step = float(np.median(steps))
        return Axis(name, centres, step, bool(np.ptp(steps) <= EVEN * step))
    if "resolution" not in ds.coords or ds["resolution"].ndim:
        raise ArgumentError(
            f"{by}: there is one voxel along {name!r}, and nothing says how large it is",
            expected="a scalar coordinate 'resolution' [um]",
            do='ds.assign_coords(resolution=((), 2.6, {"units": "um"}))',
        )
    return Axis(name, centres, float(ds["resolution"]), True)


def axes(ds: xr.Dataset, *, by: str) -> tuple[Axis, Axis, Axis]:
    """The three axes of a volume."""
    return axis(ds, "z", by=by), axis(ds, "y", by=by), axis(ds, "x", by=by)


def splits(ds: xr.Dataset) -> Array:
    """The split of each patch, as text that NumPy compares."""
    return np.array([str(s) for s in known(ds["split"], whole=False).tolist()], dtype=str)


def three(value: float | tuple[float, float, float]) -> Array:
    """One length for all axes, or one for each of (z, y, x)."""
    return np.broadcast_to(np.asarray(value, dtype=float), 3).copy()
