"""How arrays that lie in files become dask arrays.

A module of its own, since it needs no dask: xarray imports that when something is chunked, and
whoever only looks at a file does not wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr
from xarray.core import indexing

from zeoarray import chunks
from zeoarray.errors import ArgumentError

READ_BYTES = 1 << 26
"""What one dask chunk of a file's array holds, about."""


def chunked(ds: xr.Dataset, sizes: Mapping[str, int] | None = None) -> xr.Dataset:
    """Return `ds` with its lazily indexed arrays as dask arrays; nothing is read.

    NumPy arrays stay NumPy, and arrays of one dim (positions, times) stay as they are: they are
    wanted whole and at once.

    Parameters
    ----------
    ds
        A dataset, for instance as a reader opens it.
    sizes
        Sizes of the blocks along some dims. Along the others, blocks are whole chunks as they lie
        on disk (``encoding["chunks"]``; frames where it is not known), up to 64 MB.
    """
    given = dict(sizes or {})
    if strange := sorted(set(given) - set(map(str, ds.dims))):
        raise ArgumentError(
            "these dims have sizes but are not in the dataset",
            got=", ".join(strange),
            expected="some of " + ", ".join(map(str, ds.dims)),
        )
    lazy = {name: v for name, v in ds.variables.items() if v.ndim > 1 and is_lazy(v)}
    return ds.assign({name: chunk(v, given) for name, v in lazy.items()})


def is_lazy(variable: xr.Variable) -> bool:
    """Whether the values are still in a file: touching them would read them all."""
    return isinstance(variable._data, indexing.ExplicitlyIndexed) and not variable._in_memory


def chunk(variable: xr.Variable, given: Mapping[str, int]) -> xr.Variable:
    """Return one variable as a dask array, cut as `chunked` cuts it."""
    frame = (1,) * (variable.ndim - 2) + variable.shape[-2:]
    stored = variable.encoding.get("preferred_chunks", variable.encoding.get("chunks", frame))
    if isinstance(stored, Mapping):
        stored = tuple(stored.get(d, n) for d, n in variable.sizes.items())
    inner = [given.get(str(d), s) for d, s in zip(variable.dims, stored, strict=True)]
    sizes = chunks.joined(variable.shape, inner, variable.dtype.itemsize, READ_BYTES)
    wanted = {d: given.get(str(d), s) for d, s in zip(variable.dims, sizes, strict=True)}
    return variable.chunk(wanted)
