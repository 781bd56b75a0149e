"""A kernel on labelled NumPy arrays: what `xarray.apply_ufunc` gives, at a small part of its cost.

`apply_ufunc` aligns, merges and copies the coords of every array for each call, which is a tenth
of the time of a small block. Within a block they are nearly always the same objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import xarray as xr

Names = tuple[str, ...]


def call(
    run: Callable[..., tuple[Any, ...]],
    arrays: Sequence[xr.DataArray],
    inputs: Sequence[Names],
    outputs: Sequence[Names],
    resized: AbstractSet[str],
) -> tuple[xr.DataArray, ...] | None:
    """Call `run` on the values of `arrays`, core dims last, and label what it gives.

    Parameters
    ----------
    run
        Takes the values, with batch dims lined up before core dims; gives a tuple.
    arrays
        In memory, not lazy.
    inputs, outputs
        Core dims of each array and of each result.
    resized
        Core dims whose size is another in the results: their coords are dropped.

    Returns
    -------
    tuple of xr.DataArray or None
        Without attrs and name. None where the arrays do not plainly fit together: then
        `apply_ufunc` has to decide, or to say what is wrong.
    """
    core = frozenset(d for group in (*inputs, *outputs) for d in group)
    batch = tuple(dict.fromkeys(str(d) for a in arrays for d in a.dims if d not in core))
    labels = _labels(arrays, resized)
    if labels is None:
        return None
    raw = []
    for array, own in zip(arrays, inputs, strict=True):
        if set(map(str, array.dims)) - {*batch, *own}:
            return None
        raw.append(_lined_up(array.variable, batch, own))
    made = run(*raw)
    gone = frozenset(d for group in inputs for d in group)
    out = []
    for data, own in zip(made, outputs, strict=True):
        variable = xr.Variable((*batch, *own), data)
        out.append(_labelled(variable, labels, (gone - {*own}) | resized, arrays[0].dims))
    return tuple(out)


Labels = tuple[dict[Any, xr.Variable], dict[Any, Any]]


def _labels(arrays: Sequence[xr.DataArray], resized: AbstractSet[str]) -> Labels | None:
    """Coords and indexes of all arrays; None where two of them, or their sizes, differ."""
    coords: dict[Any, xr.Variable] = {}
    indexes: dict[Any, Any] = {}
    sizes: dict[Any, int] = {}
    for array in arrays:
        if any(sizes.setdefault(d, n) != n for d, n in array.sizes.items()):
            return None
        for name, variable in array.coords.variables.items():
            if not resized.isdisjoint(map(str, variable.dims)):
                continue
            if not _same(coords.setdefault(name, variable), variable):
                return None
        for name, index in array.xindexes.items():
            if name in coords:
                indexes.setdefault(name, index)
    return coords, indexes


def _same(one: xr.Variable, other: xr.Variable) -> bool:
    return one is other or bool(one.identical(other))  # type: ignore[no-untyped-call]


def _lined_up(variable: xr.Variable, batch: Names, own: Names) -> Any:
    """Values with the dims of `batch` first, those it lacks as ones, and its own core dims last."""
    there = [d for d in batch if d in variable.dims]
    data = variable.transpose(*there, *own).data
    # Ones before the first dim that is there come by broadcasting.
    lacking = batch[batch.index(there[0]) :] if there else ()
    places = tuple(slice(None) if d in variable.dims else np.newaxis for d in lacking)
    return data[places] if np.newaxis in places else data


def _labelled(
    variable: xr.Variable, labels: Labels, gone: frozenset[str], order: tuple[Any, ...]
) -> xr.DataArray:
    """An array with those coords whose dims it has, its dims in `order` where they are the same."""
    coords: Mapping[Any, xr.Variable] = {
        name: v for name, v in labels[0].items() if gone.isdisjoint(map(str, v.dims))
    }
    for name, v in coords.items():
        for d, n in v.sizes.items():
            if variable.sizes[d] != n:
                raise ValueError(
                    f"a kernel gave {variable.sizes[d]} rows along {d!r}, where {name!r} has {n}"
                )
    if set(order) == set(variable.dims):
        variable = variable.transpose(*order)
    indexes = {name: index for name, index in labels[1].items() if name in coords}
    # What was taken from valid arrays needs no check: fastpath is a hundred times as fast.
    return xr.DataArray(variable, coords, indexes=indexes, fastpath=True)
