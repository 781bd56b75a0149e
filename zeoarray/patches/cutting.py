"""How windows of one volume become patches: which voxels are read, and what is made of them."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import averaging
from zeoarray.labelled import known
from zeoarray.patches import windows

Array = np.ndarray[Any, Any]
BY = "patches.extract"

SAME = 6
"""Decimals of um: patches that lie alike on the voxels share what is computed for them."""


@dataclass(frozen=True)
class Plan:
    """How windows of one volume become patches."""

    axes: tuple[windows.Axis, windows.Axis, windows.Axis]
    size: Array
    """(3): width of a patch [um]."""
    voxel: Array
    """(3): size of a voxel of the patches [um]."""
    own: bool
    """Whether voxels are cut as they are."""
    psf: float
    shift_sigma: float
    neighbours: int

    @classmethod
    def of(
        cls,
        ds: xr.Dataset,
        volume: xr.Dataset,
        voxel: float | None,
        psf: float,
        shift_sigma: float,
        neighbours: int,
    ) -> Plan:
        """Decide how the windows of `volume` become the patches of `ds`, as `extract` is asked."""
        axes = windows.axes(volume, by=BY)
        steps = np.array([a.step for a in axes])
        size = np.array([float(ds[v.name]) for v in schema.SIZES])
        own = voxel is None and psf == 0
        uneven = [a.name for a in axes if not a.even]
        if not own and uneven:
            raise SchemaError(
                f"{BY}: positions along {uneven[0]!r} are not equally spaced, so that voxels of "
                "another size cannot be made",
                do="leave voxel and psf out: the nearest layers are cut as they are",
            )
        plan = cls(axes, size, steps if voxel is None else windows.three(voxel), own, psf,
                   shift_sigma, neighbours)  # fmt: skip
        if neighbours and (plan.counts[0] != 1 or not own):
            raise ArgumentError(
                f"{BY}: neighbouring slices become channels of flat patches of own voxels only",
                got=f"patches {plan.counts[0]} voxels high, voxel={voxel}, psf={psf:g}",
                do=f"place patches with size=({steps[0]:g}, y, x), and leave voxel and psf out",
            )
        return plan

    @property
    def counts(self) -> tuple[int, int, int]:
        """Voxels of a patch."""
        found = [
            max(1, round(s / v)) if a.even else 1
            for a, s, v in zip(self.axes, self.size, self.voxel, strict=True)
        ]
        return found[0], found[1], found[2]

    def reach(self, ds: xr.Dataset, middles: list[Array]) -> Array:
        """(3): how far beyond its box a patch's values come from [um]."""
        out = []
        rows = zip(self.axes, self.counts, self.voxel, schema.CENTRES, middles, strict=True)
        for a, n, voxel, var, middle in rows:
            far = voxel / 2
            if self.own:
                # Own voxels lie where they lie: a window is up to half a voxel off.
                off = np.abs(middle - known(ds[var.name], whole=False))
                far += float(off.max(initial=0.0)) if a.even else 0.0
            elif len(a.centres) > 1:
                far = averaging.reach(a.step, voxel, self.psf)
            out.append((n - 1) * voxel / 2 + far)
        beyond = np.array(out) - self.size / 2 + 3 * self.shift_sigma
        beyond[0] += self.neighbours * self.axes[0].step
        return np.maximum(beyond, 0)

    def read(self) -> tuple[int, int, int]:
        """Voxels of the volume that one patch reads."""
        if self.own:
            first, *rest = self.counts
            return first + 2 * self.neighbours, rest[0], rest[1]
        found = []
        for a, n, voxel in zip(self.axes, self.counts, self.voxel, strict=True):
            far = averaging.reach(a.step, voxel, self.psf)
            wide = (n - 1) * voxel + 2 * far
            found.append(min(int(np.ceil(wide / a.step)) + 2, len(a.centres)))
        return found[0] + 2 * self.neighbours, found[1], found[2]

    def scratch(self) -> int:
        """Values, of one channel, that are held while a patch is brought to other voxels."""
        shapes = averaging.shapes(self.read(), self.counts)
        stages = [math.prod(s) for s in shapes]
        # What was read as floats, then what goes into an axis and what comes out of it.
        return stages[0] + max(a + b for a, b in pairwise([0, *stages[1:], stages[-1]]))

    def starts(self, ds: xr.Dataset) -> Array:
        """(patch, 3): first voxel that each patch reads."""
        found = []
        for a, n, var in zip(self.axes, self.read(), schema.CENTRES, strict=True):
            centre = known(ds[var.name], whole=False).astype(float)
            at = a.starts(centre, n)
            last = len(a.centres) - n
            beyond = (at < 0) | (at > last)
            if self.own and beyond.any():
                worst = float(centre[np.argmax(beyond)])
                raise ArgumentError(
                    f"{BY}: a patch reaches beyond the volume along {a.name!r}",
                    got=f"a patch {n} voxels wide at {worst:g} um",
                    expected=f"within {a.centres[0]:g} to {a.centres[-1]:g} um",
                    do=f"patches.place: {a.name}=(first, last), what all sources cover",
                )
            found.append(np.clip(at, 0, last))
        return np.stack(found, 1)

    def middles(self, ds: xr.Dataset, starts: Array) -> list[Array]:
        """Where the centre of what is cut lies [um]."""
        if self.own:
            return [
                a.middle(s, n) for a, s, n in zip(self.axes, starts.T, self.read(), strict=True)
            ]
        return [known(ds[var.name], whole=False).astype(float) for var in schema.CENTRES]

    def inside(self) -> list[Array]:
        """Voxel centres of a patch, from its middle [um]."""
        return [
            (np.arange(n) - (n - 1) / 2) * v for n, v in zip(self.counts, self.voxel, strict=True)
        ]

    def brought(self, block: Array, start: Array, centre: Array) -> Array:
        """(..., z, y, x) as read -> (..., z, y, x) of the patch."""
        if block.dtype.kind != "f":
            block = block.astype(np.float32)
        tables = []
        for dim, (a, n) in enumerate(zip(self.axes, self.counts, strict=True)):
            source = a.centres[start[dim] : start[dim] + block.shape[dim - 3]]
            off = round(float(source.mean() - centre[dim]), SAME)
            tables.append(_table(off, source.size, a.step, n, float(self.voxel[dim]), self.psf))
        return averaging.apply(block, (tables[0], tables[1], tables[2]))


@functools.lru_cache(maxsize=512)
def _table(off: float, size: int, width: float, n: int, voxel: float, psf: float) -> Array:
    """(n, size), float32: shares of voxels whose middle lies `off` um from that of the patch."""
    if size == 1:
        return np.ones((n, 1), np.float32)
    source = off + (np.arange(size) - (size - 1) / 2) * width
    target = (np.arange(n) - (n - 1) / 2) * voxel
    return averaging.weights(source, width, target, voxel, psf).astype(np.float32)
