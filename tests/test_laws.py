"""The laws: what holds for every kernel and every step, from the day it is registered.

Cutting into blocks changes nothing; a leading batch dim changes nothing; the dtype is the
contract's; inputs are not mutated; nothing is computed before it is asked; memory is not more than
declared. What they are tried on stands in `strategies`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import tracemalloc
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

import zeoarray
from tests import strategies
from tests.strategies import LAW, Array, Case
from zeoarray import labelled, schema
from zeoarray.chunks import union_halo
from zeoarray.errors import DependencyError
from zeoarray.kernels.contract import KERNELS, Kernel
from zeoarray.step import STEPS, Step

NEED_EXTRAS = {"zeoarray.torch"}
SLACK = 100_000
"""Bytes that a call may take beyond what it declares: Python objects, buffers of casts."""


def _import_all() -> dict[str, Exception]:
    """Import every module, so that what it registers is seen; what cannot be imported is told."""
    failed: dict[str, Exception] = {}
    for module in pkgutil.walk_packages(zeoarray.__path__, "zeoarray.", onerror=lambda name: None):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except DependencyError as error:
            if module.name not in NEED_EXTRAS:
                failed[module.name] = error
        except Exception as error:  # one test fails for it, and the others still say what they know
            failed[module.name] = error
    return failed


NOT_IMPORTED = _import_all()
# Tests register kernels and steps of their own.
OURS = [k for k in KERNELS.values() if k.function.__module__.startswith("zeoarray.")]
VERBS = [s for s in STEPS.values() if s.function.__module__.startswith("zeoarray.")]
LAZY = [s for s in VERBS if s.kind == "step"]

each_kernel = pytest.mark.parametrize("contract", OURS, ids=lambda k: k.name)
each_step = pytest.mark.parametrize("entry", LAZY, ids=lambda s: s.name)
each_verb = pytest.mark.parametrize("entry", VERBS, ids=lambda s: s.name)


def computing(*args: Any, **kwargs: Any) -> None:
    pytest.fail("something was computed before it was asked for")


def tuple_of(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def same(one: Any, other: Any, what: str) -> None:
    """Bitwise equal, or within 1e-5 of the range."""
    one, other = np.asarray(one), np.asarray(other)
    assert one.shape == other.shape, f"{what}: {one.shape} and {other.shape}"
    assert one.dtype == other.dtype, f"{what}: {one.dtype} and {other.dtype}"
    if one.dtype.kind not in "fc" or np.array_equal(one, other, equal_nan=True):
        np.testing.assert_array_equal(one, other, err_msg=what)
        return
    span = np.nanmax(np.abs(one)) if one.size else 0
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * span, err_msg=what)


# --- kernels ------------------------------------------------------------------------------------
@each_kernel
@LAW
@given(data=st.data())
def test_kernel_shape_and_dtype_are_the_contracts(contract: Kernel, data: st.DataObject) -> None:
    case: Case = data.draw(strategies.calls_of(contract))
    values = contract.resolve(case.parameters)
    sizes = contract.output_sizes(case.sizes, values)
    before = [a.copy() for a in case.arrays]
    # The arrays are read-only as well: writing to them raises.
    outputs = tuple_of(contract.function(*case.arrays, **case.parameters))
    assert len(outputs) == len(contract.outputs)
    for i, (out, dims) in enumerate(zip(outputs, contract.outputs, strict=True)):
        assert out.shape == tuple(sizes[d] for d in dims)
        assert out.dtype == contract.output_dtype(i, case.arrays[0].dtype)
    for array, copy in zip(case.arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy, err_msg=f"{contract.name} changed an input")


@each_kernel
@LAW
@given(data=st.data())
def test_kernel_does_not_look_at_batch_dims(contract: Kernel, data: st.DataObject) -> None:
    case: Case = data.draw(strategies.calls_of(contract))
    first, *others = case.arrays
    rolled = np.roll(first, 1, axis=-1)
    stack = np.stack([first, rolled])[:, None]
    batched = tuple_of(contract.function(stack, *others, **case.parameters))
    for i, item in enumerate((first, rolled)):
        single = tuple_of(contract.function(item, *others, **case.parameters))
        for out, alone in zip(batched, single, strict=True):
            same(out[i, 0], alone, f"{contract.name}: item {i} of a batch")


@each_kernel
@LAW
@given(data=st.data())
def test_kernel_gives_the_same_for_any_cutting(contract: Kernel, data: st.DataObject) -> None:
    case: Case = data.draw(strategies.calls_of(contract))
    arrays = [
        xr.DataArray(a, dims=dims) for a, dims in zip(case.arrays, contract.inputs, strict=True)
    ]
    first = np.stack([case.arrays[0], np.roll(case.arrays[0], 1, axis=-1)])
    arrays[0] = xr.DataArray(first, dims=("row", *contract.inputs[0]))
    cut = [a.chunk({d: _parts(data, n) for d, n in a.sizes.items()}) for a in arrays]
    at_once = labelled.lift(contract.function, *arrays, parameters=case.parameters)
    with dask.config.set(scheduler=computing):
        lazy = labelled.lift(contract.function, *cut, parameters=case.parameters)
    for one, other in zip(at_once, lazy, strict=True):
        assert other.chunks is not None, f"{contract.name} is not lazy"
        assert one.dims == other.dims
        computed = other.compute(scheduler="synchronous")
        assert computed.dtype == other.dtype, f"{contract.name}: the lazy dtype was a guess"
        same(one, computed, f"{contract.name} cut into {[a.chunks for a in cut]}")


each_kernel_that_pairs = pytest.mark.parametrize(
    "contract", [k for k in OURS if k.together > 1], ids=lambda k: k.name
)


@each_kernel_that_pairs
@settings(LAW, max_examples=4)
@given(data=st.data())
def test_kernel_gives_the_same_bits_for_any_cutting_of_its_batch(
    contract: Kernel, data: st.DataObject
) -> None:
    """Rows that go through together are never parted, so that not even rounding differs."""
    case: Case = data.draw(strategies.calls_of(contract))
    count = data.draw(st.integers(1, 7))
    first = np.stack([np.roll(case.arrays[0], i, axis=-1) for i in range(2 * count)])
    stack = first.reshape(2, count, *case.arrays[0].shape)
    arrays = [
        xr.DataArray(a, dims=dims) for a, dims in zip(case.arrays, contract.inputs, strict=True)
    ]
    arrays[0] = xr.DataArray(stack, dims=("batch", "row", *contract.inputs[0]))
    with labelled.recorded() as record:
        at_once = labelled.lift(contract.function, *arrays, parameters=case.parameters)
    assert record.calls[0].together == {"row": contract.together}
    arrays[0] = arrays[0].chunk({"batch": _parts(data, 2), "row": _parts(data, count)})
    lazy = labelled.lift(contract.function, *arrays, parameters=case.parameters)
    for one, other in zip(at_once, lazy, strict=True):
        np.testing.assert_array_equal(one, other.compute(scheduler="synchronous"), contract.name)


each_kernel_with_rows = pytest.mark.parametrize(
    "contract", [k for k in OURS if k.rows], ids=lambda k: k.name
)


@each_kernel_with_rows
@LAW
@given(data=st.data())
def test_kernel_takes_one_value_or_one_for_each_row(contract: Kernel, data: st.DataObject) -> None:
    case: Case = data.draw(strategies.calls_of(contract))
    name = data.draw(st.sampled_from(sorted(contract.rows)))
    assert f"{contract.name}.{name}" in strategies.PARAMETERS, (
        f"{name} of {contract.name} may be an array over rows, and the laws do not know its "
        f"values: add PARAMETERS['{contract.name}.{name}'] in tests/strategies.py"
    )
    values = [data.draw(strategies.PARAMETERS[f"{contract.name}.{name}"](case.sizes)) for _ in "ab"]
    assume(all(v is not None for v in values))
    items = (case.arrays[0], np.roll(case.arrays[0], 1, axis=-1))
    arrays = [
        xr.DataArray(a, dims=dims) for a, dims in zip(case.arrays, contract.inputs, strict=True)
    ]
    arrays[0] = xr.DataArray(np.stack(items), dims=("row", *contract.inputs[0]))
    by_row = xr.DataArray(np.stack(values), dims=("row", *contract.rows[name]))
    given_ = case.parameters | {name: by_row}
    at_once = labelled.lift(contract.function, *arrays, parameters=given_)
    cut = [a.chunk(dict.fromkeys(set(a.dims) & {"row"}, 1)) for a in arrays]
    lazy = labelled.lift(contract.function, *cut, parameters=given_)
    for i, (item, value) in enumerate(zip(items, values, strict=True)):
        single = contract.function(item, *case.arrays[1:], **(case.parameters | {name: value}))
        for alone, one, other in zip(tuple_of(single), at_once, lazy, strict=True):
            same(alone, one.isel(row=i).values, f"{contract.name}: {name} of row {i}")
            computed = other.isel(row=i).compute(scheduler="synchronous")
            same(alone, computed.values, f"{contract.name}: {name} of row {i}, lazily")


def _parts(data: st.DataObject, size: int) -> tuple[int, ...]:
    return data.draw(st.composite(lambda draw: strategies.parts(draw, size))())


@each_kernel
@settings(LAW, max_examples=4, phases=[Phase.generate])
@given(data=st.data())
def test_kernel_needs_no_more_memory_than_it_says(contract: Kernel, data: st.DataObject) -> None:
    case: Case = data.draw(strategies.calls_of(contract, large=True))
    first, *others = case.arrays
    stack: Array = np.stack([first, first])
    values = contract.resolve(case.parameters)
    declared = contract.memory({**case.sizes, "batch": 2}, values, 1)
    assert all(isinstance(n, int) and n >= 0 for n in (declared.fixed, declared.block))
    # What is built once and kept counts as fixed only where it is kept.
    contract.function(stack, *others, **case.parameters)
    tracemalloc.start()
    try:
        outputs = tuple_of(contract.function(stack, *others, **case.parameters))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    own = sum(o.nbytes for o in outputs if not any(np.shares_memory(o, a) for a in case.arrays))
    measured = peak - own
    assert measured <= declared.fixed + declared.block + SLACK, (
        f"{contract.name} took {measured} bytes beyond inputs and outputs for {case.sizes}, a "
        f"batch of 2 and {case.parameters}, and declares {declared}: mend its memory function"
    )


# --- steps --------------------------------------------------------------------------------------
def lazily(ds: xr.Dataset, data: st.DataObject) -> xr.Dataset:
    """`ds` with its arrays of several dims cut into dask chunks, each in its own way."""
    cut = {
        name: v.chunk({d: _parts(data, n) for d, n in v.sizes.items()})
        for name, v in ds.variables.items()
        if v.ndim > 1
    }
    return ds.assign(cut)


def equal(one: xr.Dataset, other: xr.Dataset, what: str) -> None:
    assert set(one.variables) == set(other.variables), what
    assert set(one.coords) == set(other.coords), what
    for name in one.variables:
        assert one[name].dims == other[name].dims, f"{what}: {name}"
        assert one[name].attrs == other[name].attrs, f"{what}: {name}"
        same(one[name].values, other[name].values, f"{what}: {name}")


@each_verb
@LAW
@given(data=st.data())
def test_verb_gives_the_same_lazily(entry: Step, data: st.DataObject) -> None:
    ds, arguments = data.draw(strategies.steps_of(entry))
    verb = getattr(importlib.import_module(entry.function.__module__), entry.function.__name__)
    at_once = verb(ds, **arguments)
    cut = lazily(ds, data)
    # A measure reads a sample where it is called; a step reads nothing.
    with dask.config.set(scheduler=computing if entry.kind == "step" else "synchronous"):
        lazy = verb(cut, **arguments)
    equal(at_once, lazy.compute(scheduler="synchronous"), f"{entry.name}, lazily")
    assert at_once.attrs == lazy.attrs


@each_verb
@LAW
@given(data=st.data())
def test_verb_leaves_its_input_alone_and_records_itself(entry: Step, data: st.DataObject) -> None:
    ds, arguments = data.draw(strategies.steps_of(entry))
    verb = getattr(importlib.import_module(entry.function.__module__), entry.function.__name__)
    before = ds.assign_attrs(steps=[{"step": "before"}])
    copy = before.copy(deep=True)
    out = verb(before, **arguments)
    xr.testing.assert_identical(before, copy)
    assert [record["step"] for record in out.attrs["steps"]] == ["before", entry.name]
    assert set(out.attrs["steps"][-1]["parameters"]) == set(entry.defaults)
    json.dumps(out.attrs)


@each_verb
@LAW
@given(data=st.data())
def test_verb_gives_what_the_schema_knows(entry: Step, data: st.DataObject) -> None:
    ds, arguments = data.draw(strategies.steps_of(entry))
    verb = getattr(importlib.import_module(entry.function.__module__), entry.function.__name__)
    out = verb(ds, **arguments)
    for name, variable in out.variables.items():
        known = [v for v in schema.VARS if v.name == name and v.dims == variable.dims]
        assert known, (
            f"{entry.name} gives {name}{variable.dims}, which no Var of zeoarray/schema.py is"
        )
        one = schema.Schema("result", (known[0],))
        schema.validate(out, one, by=entry.name)
        large = variable.ndim > 1 and variable.dtype.kind == "f" and name not in schema.EXACT
        assert not large or variable.dtype == np.float32, f"{entry.name}: {name} grew to float64"


@each_step
@LAW
@given(data=st.data())
def test_step_gives_the_same_block_by_block(entry: Step, data: st.DataObject) -> None:
    """As the runner does it: a NumPy block with its halo in, the trimmed part of the result out."""
    ds, arguments = data.draw(strategies.steps_of(entry))
    verb = getattr(importlib.import_module(entry.function.__module__), entry.function.__name__)
    with labelled.recorded() as record:
        whole = verb(ds, **arguments)
    halo = union_halo([call.halo for call in record.calls])
    grain: dict[str, int] = {}
    for call in record.calls:
        grain |= call.grain
    free = [
        dim
        for dim in map(str, whole.dims)
        if dim in ds.dims
        if dim not in record.whole and whole.sizes[dim] == ds.sizes[dim] // grain.get(dim, 1) > 1
    ]
    if not free:
        return
    dim = data.draw(st.sampled_from(free))
    rows, margin = grain.get(dim, 1), halo.get(dim, 0)
    at = data.draw(st.integers(1, whole.sizes[dim] - 1))
    blocks = []
    for first, last in ((0, at), (at, whole.sizes[dim])):
        start = max(first * rows - margin, 0)
        stop = ds.sizes[dim] if last == whole.sizes[dim] else last * rows + margin
        out = verb(ds.isel({dim: slice(start, stop)}), **arguments)
        skip = first - start // rows
        blocks.append(out.isel({dim: slice(skip, skip + last - first)}))
    for name, variable in whole.variables.items():
        values = [block[name].values for block in blocks]
        if dim in variable.dims:
            joined = np.concatenate(values, axis=variable.dims.index(dim))
            same(variable.values, joined, f"{entry.name}: {name}, cut along {dim} at {at}")
        else:
            for value in values:
                same(variable.values, value, f"{entry.name}: {name}, in a block along {dim}")


def test_every_module_can_be_imported() -> None:
    assert not NOT_IMPORTED, "what these register is not under the laws"


def test_the_laws_cover_something() -> None:
    assert {"flatfield.transmission", "windows.bin_mean"} <= {k.name for k in OURS}
    assert {"xct.normalize", "volume.bin"} <= {s.name for s in LAZY}


def test_what_is_not_known_is_told() -> None:
    def draw(strategy: Any) -> Any:
        return None

    required = {"width": inspect.Parameter.empty}
    with pytest.raises(pytest.fail.Exception, match=r"PARAMETERS\['new.kernel.width'\]"):
        strategies.parameters(draw, "new.kernel", required, {})
