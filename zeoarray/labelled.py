"""The bridge from kernels to labelled arrays: `lift`.

Above this floor a variable has named dims and may be lazy; below it is an array whose core dims
are the last ones. What a kernel may be cut along stands in its contract, so nothing here knows
any kernel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from zeoarray import at_once, graph, lazy
from zeoarray.backend import single_threaded
from zeoarray.errors import ArgumentError, ContractError, SchemaError
from zeoarray.kernels.contract import Dims, Kernel, Memory, contract_of

__all__ = ["Call", "Record", "known", "lift", "recorded", "single_threaded", "told"]


def known(array: xr.DataArray, *, whole: bool = True) -> np.ndarray:
    """Values of a positions-like array (at most one dim), read now.

    The shape of a result may hang on positions and times; they are read where a step is called,
    also where they are dask arrays, as after ``ds.chunk(...)``.

    Parameters
    ----------
    array
        Positions, times, flags.
    whole
        Whether what is decided hangs on all of them, so that the dim cannot be cut into blocks.

    Raises
    ------
    SchemaError
        For an array of more dims: only measures read those.
    """
    if array.ndim > 1:
        raise SchemaError(
            f"{array.name!r} has to be known before anything is computed",
            got=f"{array.ndim} dims {dict(array.sizes)}",
            expected="at most one dim",
        )
    if whole and (record := _RECORD.get()) is not None:
        record.known.update(map(str, array.dims))
    if array.chunks is None:
        return np.array(array.values)
    return np.asarray(array.compute(scheduler="synchronous").values)


@dataclass(frozen=True)
class Call:
    """One call of `lift`: what a planner of blocks has to know about it."""

    kernel: Kernel
    dims: Mapping[str, str]
    """The contract's core dims to those of the dataset."""
    sizes: Mapping[str, int]
    """Sizes of the contract's input dims."""
    parameters: Mapping[str, Any]
    batch: tuple[str, ...] = ()
    """Dims of the dataset that the kernel does not look at."""
    behind: tuple[Call, ...] = ()
    """Calls that its arrays came out of."""

    @property
    def whole(self) -> frozenset[str]:
        """Dims of the dataset that this call cannot have cut."""
        free = {*self.kernel.halo, *self.kernel.grain}
        return frozenset(name for dim, name in self.dims.items() if dim not in free)

    @property
    def halo(self) -> dict[str, int]:
        """Rows of its neighbours that a block needs, by dim of the dataset."""
        return {self.dims[d]: n for d, n in self.kernel.overlap(self.parameters).items()}

    def reach(self, dim: str) -> int:
        """Rows of either neighbour along `dim` that this call and all behind it need."""
        return self.halo.get(dim, 0) + max((call.reach(dim) for call in self.behind), default=0)

    @property
    def grain(self) -> dict[str, int]:
        """Rows that must stay together, by dim of the dataset."""
        return {self.dims[d]: n for d, n in self.kernel.grains(self.parameters).items()}

    @property
    def together(self) -> dict[str, int]:
        """Rows of a batch dim that go through at once: cut at multiples, it gives the same bits."""
        rows = self.kernel.together
        return {self.batch[-1]: rows} if self.batch and rows > 1 else {}

    def memory(self, sizes: Mapping[str, int], *, batch: int = 1, threads: int = 1) -> Memory:
        """Bytes needed for a block of `sizes` (dims of the dataset; the rest as called)."""
        block = {d: sizes.get(name, self.sizes.get(d, 1)) for d, name in self.dims.items()}
        return self.kernel.memory({**block, "batch": batch}, self.parameters, threads)


@dataclass
class Record:
    """What happened inside `recorded`."""

    calls: list[Call] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    """Dims of which all positions were read: a decision hangs on the whole of them."""
    made: dict[str, Call] = field(default_factory=dict)
    """The call behind each dask array that came out of one, by its name."""

    def behind(self, arrays: Sequence[xr.DataArray]) -> tuple[Call, ...]:
        """Calls that lazy arrays came out of, however they were changed since."""
        layers = {n for a in arrays if a.chunks for n in a.data.__dask_graph__().layers}
        return tuple(call for name, call in self.made.items() if name in layers)

    @property
    def whole(self) -> frozenset[str]:
        """Dims that cannot be cut, for one reason or the other."""
        return frozenset(self.known).union(*(call.whole for call in self.calls))


_RECORD: ContextVar[Record | None] = ContextVar("record", default=None)


@contextmanager
def recorded() -> Iterator[Record]:
    """Record the calls of `lift` made inside: run a step lazily, and learn how it may be cut.

    Examples
    --------
    >>> from zeoarray.kernels import flatfield
    >>> with recorded() as record:
    ...     _ = lift(flatfield.minus_log, xr.DataArray([[1.0, 0.5]], dims=("angle", "u")))
    >>> sorted(record.whole)
    ['u']
    """
    record = Record()
    token = _RECORD.set(record)
    try:
        yield record
    finally:
        _RECORD.reset(token)


def told(call: Call) -> bool:
    """Tell `recorded` of work that is not a kernel's on the dataset itself, as by `lift`.

    For steps whose blocks read boxes of another dataset: where they are planned, their result
    must be lazy, whatever they were given.

    Returns
    -------
    bool
        Whether somebody listens.
    """
    record = _RECORD.get()
    if record is None:
        return False
    record.calls.append(call)
    return True


def lift(
    kernel: Callable[..., Any],
    *arrays: xr.DataArray,
    parameters: Mapping[str, Any] | None = None,
    dims: Mapping[str, str] | None = None,
) -> tuple[xr.DataArray, ...]:
    """Call a kernel on labelled arrays: lazily where one is lazy, at once where all are NumPy.

    Over dask arrays each core dim becomes one chunk, unless the contract allows to cut it
    (`halo`, `grain`); inside a task every library has one thread. Values are the same either way.

    Parameters
    ----------
    kernel
        A function with a contract.
    arrays
        Its array arguments. Dims that are no core dims are batch dims, matched by name.
    parameters
        Its keyword arguments. Those that the contract calls `rows` may be DataArrays over batch
        dims (and their own core dims): ``{"center": xr.DataArray(..., dims="z")}``.
    dims
        Other names that core dims of the contract have in `arrays`: ``{"n": "z"}``.

    Returns
    -------
    tuple of xr.DataArray
        One for each output of the contract, without attrs and name. Where an output has the dims
        of the first array, they stand in the same order.

    Raises
    ------
    SchemaError
        Where an array lacks a core dim, or sizes do not agree.
    ArgumentError
        For a parameter that the kernel does not have, or a missing one.

    Examples
    --------
    >>> from zeoarray.kernels import windows
    >>> row = xr.DataArray([1.0, 3.0, 5.0, 7.0], dims="z")
    >>> lift(windows.bin_mean, row, parameters={"factor": 2}, dims={"n": "z"})[0].values
    array([2., 6.])
    """
    contract = contract_of(kernel)
    values = contract.resolve(parameters or {})
    rows = {k: v for k, v in values.items() if k in contract.rows and isinstance(v, xr.DataArray)}
    groups = (*contract.inputs, *(contract.rows[k] for k in rows))
    names = {d: (dims or {}).get(d, d) for dims_of in (*groups, *contract.outputs) for d in dims_of}
    given = tuple(_dask_if_lazy(a) for a in (*arrays, *rows.values()))
    sizes = _core_sizes(contract, given, groups, names)
    out_sizes = contract.output_sizes(sizes, values)
    record = _RECORD.get()
    if record is not None:
        behind = record.behind(given)
        call = Call(contract, names, sizes, values, _batch(given, groups, names), behind)
        record.calls.append(call)
    fixed = {k: v for k, v in values.items() if k not in rows}
    run = functools.partial(_run, kernel, len(arrays), tuple(rows), fixed)

    def apply(*raw: Any) -> Any:
        # xarray has put the core dims last, and lined the batch dims up before them.
        if any(isinstance(a, da.Array) for a in raw):
            out = graph.over_blocks(run, contract, values, raw, groups, out_sizes)
        else:
            out = run(*raw)
        return out if len(out) > 1 else out[0]

    moved = {d for d, n in out_sizes.items() if sizes.get(d, n) != n}
    if moved & set(contract.halo):
        raise ContractError(f"{contract.name}: a dim with a halo keeps its size", got=sorted(moved))
    resized = {names[d] for d in moved}
    core = [tuple(names[d] for d in group) for group in groups]
    results = [tuple(names[d] for d in group) for group in contract.outputs]
    if not any(array.chunks for array in given):
        plain = at_once.call(run, given, core, results, resized)
        if plain is not None:
            return plain
    result = xr.apply_ufunc(
        apply,
        *given,
        input_core_dims=core,
        output_core_dims=results,
        exclude_dims=resized,
        dask="allowed",
        keep_attrs="override",
    )
    outputs = result if isinstance(result, tuple) else (result,)
    if record is not None:
        record.made.update({out.data.name: call for out in outputs if out.chunks})
    return tuple(_finished(out, arrays[0]) for out in outputs)


def _batch(
    arrays: Sequence[xr.DataArray], groups: Sequence[Dims], names: Mapping[str, str]
) -> tuple[str, ...]:
    """Batch dims in the order in which xarray hands them over."""
    core = [{names[d] for d in group} for group in groups]
    pairs = zip(arrays, core, strict=True)
    return tuple(dict.fromkeys(str(d) for a, own in pairs for d in a.dims if d not in own))


def _finished(out: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    # Not drop_attrs, which copies the values.
    out = out.copy(deep=False)
    out.attrs, out.name = {}, None
    return out.transpose(*like.dims) if set(out.dims) == set(like.dims) else out


def _dask_if_lazy(array: xr.DataArray) -> xr.DataArray:
    if not lazy.is_lazy(array.variable):
        return array
    if array.ndim < 2:
        return array.copy(data=known(array, whole=False))
    return array.copy(data=lazy.chunk(array.variable, {}).data)


def _core_sizes(
    contract: Kernel,
    arrays: Sequence[xr.DataArray],
    groups: Sequence[Dims],
    names: Mapping[str, str],
) -> dict[str, int]:
    sizes: dict[str, int] = {}
    if len(arrays) != len(groups):
        raise ArgumentError(
            f"{contract.name} takes {len(contract.inputs)} arrays", got=f"{len(arrays)} arrays"
        )
    for array, group in zip(arrays, groups, strict=True):
        for dim in group:
            if names[dim] not in array.dims:
                raise SchemaError(
                    f"{contract.name}: an array has no dim {names[dim]!r}",
                    got=f"{array.name or 'an array'} {dict(array.sizes)}",
                    expected="dims that end in (" + ", ".join(names[d] for d in group) + ")",
                )
            size = array.sizes[names[dim]]
            if sizes.setdefault(dim, size) != size:
                raise SchemaError(
                    f"{contract.name}: the arrays differ in size along {names[dim]!r}",
                    got=f"{sizes[dim]} and {size}",
                )
    return sizes


def _run(
    kernel: Callable[..., Any],
    arrays: int,
    rows: tuple[str, ...],
    parameters: Mapping[str, Any],
    *raw: Any,
) -> tuple[Any, ...]:
    by_row = dict(zip(rows, raw[arrays:], strict=True))
    out = kernel(*raw[:arrays], **parameters, **by_row)
    return out if isinstance(out, tuple) else (out,)
