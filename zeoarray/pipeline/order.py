"""``order: [z, u, angle]``: rows of a dim in the order of their positions, whatever theirs on disk.

Blocks cut neighbouring rows. Where a step works by position (a moving beam has a matrix for each),
rows of one position are brought together; they are read one by one, so nothing is sorted on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError, unknown
from zeoarray.ingest import reference
from zeoarray.kernels.gridding import find_grid

Array = np.ndarray[Any, Any]


def sequence(ds: xr.Dataset, names: Sequence[str]) -> tuple[str, Array]:
    """Return the dim that is ordered, and its rows in their order.

    Parameters
    ----------
    ds
        A dataset; only the coords named are read.
    names
        Coords along one dim, that by which rows are parted first standing first. Positions within
        the jitter of a motor are one.

    Raises
    ------
    ArgumentError
        For names that are no such coords, or positions that are not known.
    """
    for name in names:
        if name not in ds.coords:
            raise unknown("coord to order by", name, map(str, ds.coords))
    dims = {ds[name].dims for name in names}
    if len(dims) != 1 or len(next(iter(dims))) != 1:
        raise ArgumentError(
            "rows are ordered by coords along one dim",
            got=", ".join(f"{n}{ds[n].dims}" for n in names),
        )
    values = {name: np.asarray(ds[name].values, float) for name in names}
    lost = [name for name, v in values.items() if not np.isfinite(v).all()]
    if lost:
        raise ArgumentError(
            "rows cannot be ordered by positions that are not known",
            got=", ".join(f"{n}: {int((~np.isfinite(values[n])).sum())} rows" for n in lost),
        )
    levels = find_grid(values)
    # The last key of lexsort counts first.
    index: Array = np.lexsort([levels[name].index for name in reversed(names)])
    return str(next(iter(dims))[0]), index


def template(ds: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """Return a template whose small variables stand in that order; the large ones are zeros."""
    dim, index = sequence(ds, names)
    small = {n: v[{dim: index}] for n, v in ds.variables.items() if v.dims == (dim,)}
    return ds.assign(small)


def read(ds: xr.Dataset, dim: str, index: Array) -> xr.Dataset:
    """Read some rows of a lazy dataset, in the order of `index`: each run of neighbours at once."""
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    runs = [slice(int(r[0]), int(r[-1]) + 1) for r in np.split(index, breaks) if r.size]
    if len(runs) == 1:
        return ds.isel({dim: runs[0]}).load()
    out = {}
    for name, v in ds.variables.items():
        if dim not in v.dims:
            continue
        if reference.picks_frames(v):
            out[name] = xr.Variable(v.dims, v[{dim: index}].values, v.attrs)
            continue
        sizes = [index.size if d == dim else n for d, n in v.sizes.items()]
        values, axis, filled = np.empty(sizes, v.dtype), v.dims.index(dim), 0
        for run in runs:
            stop = filled + run.stop - run.start
            values[(slice(None),) * axis + (slice(filled, stop),)] = v[{dim: run}].values
            filled = stop
        out[name] = xr.Variable(v.dims, values, v.attrs)
    return ds.drop_vars(out).load().assign(
        {n: v for n, v in out.items() if n not in ds.coords}
    ).assign_coords({n: v for n, v in out.items() if n in ds.coords})  # fmt: skip
