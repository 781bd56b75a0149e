"""`@kernel`: the one line above a pure function that says how it may be cut into blocks.

``@kernel("(angle,u),(angle)->(y,x)")`` reads: the first array ends in the dims *angle, u*, the
second in *angle*, the result in *y, x*. These core dims are never cut (unless `halo` or `grain`
names them); every dim before them is a batch dim that the kernel must not look at.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from zeoarray.errors import ArgumentError, ContractError, unknown

F = TypeVar("F", bound=Callable[..., Any])
Dims = tuple[str, ...]
Parameters = Mapping[str, Any]
Sizes = Mapping[str, int]
Margin = Mapping[str, "int | Callable[[Parameters], int]"]
Dtype = Literal["float", "same", "flag"]

_SIGNATURE = re.compile(r"(\([\w,]*\))(,\([\w,]*\))*->(\([\w,]*\))(,\([\w,]*\))*")


@dataclass(frozen=True)
class Memory:
    """Bytes that one call needs beyond its inputs and outputs, for data of at most four bytes."""

    fixed: int
    """Held once per worker whatever the block: a plan, a matrix."""
    block: int
    """Held while one block runs: scratch arrays of its size."""


MemoryOf = Callable[[Sizes, Parameters, int], Memory]
"""(sizes of all dims with ``batch`` for the product of batch dims, parameters, threads)."""


def no_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    """For kernels that hold nothing but their inputs and outputs."""
    return Memory(0, 0)


@dataclass(frozen=True)
class Kernel:
    """The contract of one kernel."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[Dims, ...]
    outputs: tuple[Dims, ...]
    rows: Mapping[str, Dims]
    """Keyword arguments that may be one value or an array with one for each batch row, and the
    core dims that such an array ends in."""
    halo: Margin
    grain: Margin
    memory: MemoryOf
    dtype: tuple[Dtype, ...]
    """One for each output: see `kernel`."""
    sizes: Callable[[Sizes, Parameters], Sizes] | None
    """(input sizes, parameters) to sizes of dims that the kernel creates or changes."""
    together: int = 1
    """Rows of the last batch dim that go through at once. Cut at multiples of them, and only
    there, that dim gives the same bits."""

    @functools.cached_property
    def defaults(self) -> dict[str, Any]:
        """The keyword arguments with their defaults; `inspect.Parameter.empty` where required."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def resolve(self, given: Parameters) -> dict[str, Any]:
        """Return every keyword argument with its value, from those that were `given`.

        Raises
        ------
        UnknownNameError
            For a name that the kernel does not have, with the nearest that it has.
        ArgumentError
            For a required one that is missing.
        """
        defaults = self.defaults
        for name in given:
            if name not in defaults:
                raise unknown(f"parameter of {self.name}", name, defaults)
        resolved = {**defaults, **given}
        for name, value in resolved.items():
            if value is inspect.Parameter.empty:
                raise ArgumentError(f"{self.name} needs the parameter {name!r}")
        return resolved

    def overlap(self, parameters: Parameters) -> dict[str, int]:
        """Rows of each halo dim that a block needs from either neighbour."""
        return {d: h(parameters) if callable(h) else h for d, h in self.halo.items()}

    def grains(self, parameters: Parameters) -> dict[str, int]:
        """Rows of each grain dim that belong together: it is cut at multiples of them only."""
        return {d: g(parameters) if callable(g) else g for d, g in self.grain.items()}

    def output_sizes(self, sizes: Sizes, parameters: Parameters) -> dict[str, int]:
        """Size of every dim of the outputs, given those of the inputs."""
        known = dict(sizes)
        if self.sizes is not None:
            known.update(self.sizes(sizes, parameters))
        return {d: known[d] for dims in self.outputs for d in dims}

    def output_dtype(self, output: int, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Dtype of one output, where the first input has `dtype`."""
        kind = self.dtype[output]
        if kind == "flag":
            return np.dtype(bool)
        if kind == "same" or dtype.kind in "fc":
            return dtype
        return np.dtype(np.float32)


KERNELS: dict[str, Kernel] = {}


def parse_signature(signature: str) -> tuple[tuple[Dims, ...], tuple[Dims, ...]]:
    """Return the core dims of inputs and outputs.

    Examples
    --------
    >>> parse_signature("(angle,u),(angle)->(y,x)")
    ((('angle', 'u'), ('angle',)), (('y', 'x'),))
    """
    bare = signature.replace(" ", "")
    if not _SIGNATURE.fullmatch(bare):
        raise ContractError(
            f"the kernel signature {signature!r} cannot be read",
            expected="for example '(angle,u),(angle)->(y,x)'",
        )
    left, right = bare.split("->")
    dims = [
        tuple(tuple(filter(None, group.split(","))) for group in re.findall(r"\(([\w,]*)\)", side))
        for side in (left, right)
    ]
    return dims[0], dims[1]


def kernel(
    signature: str,
    *,
    rows: Mapping[str, Dims] | None = None,
    halo: Margin | None = None,
    grain: Margin | None = None,
    memory: MemoryOf = no_memory,
    dtype: Dtype | tuple[Dtype, ...] = "float",
    sizes: Callable[[Sizes, Parameters], Sizes] | None = None,
    together: int = 1,
) -> Callable[[F], F]:
    """Declare how a pure function of arrays may be cut, and register it.

    The function takes as many positional arrays as `signature` has groups before the arrow; what
    follows them is keyword-only.

    Parameters
    ----------
    signature
        Core dims of each array argument and of each result.
    rows
        Keyword arguments that may be one value or an array with one for each batch row, with the
        core dims of such an array: ``{"center": (), "weights": ("angle",)}``.
    halo
        Core dims that may be cut all the same, if each block gets this many rows of its
        neighbours; a function of the parameters where it depends on them. 0 where rows do not
        meet: the kernel works along that dim element by element.
    grain
        Core dims that may be cut at multiples of this many rows, which become one row of output.
    memory
        Bytes needed beyond inputs and outputs.
    dtype
        Of the outputs (one for all, or one each): ``float`` keeps floats and makes integers
        float32; ``same`` keeps every dtype; ``flag`` is bool.
    sizes
        Sizes of output dims that are not those of an input.
    together
        Rows of the last batch dim, counted from the first, that the kernel takes at once, so that
        their rounding hangs on each other.

    Raises
    ------
    ContractError
        Where the declaration contradicts itself or the function.
    """
    inputs, outputs = parse_signature(signature)
    kinds: tuple[Dtype, ...] = dtype if isinstance(dtype, tuple) else (dtype,) * len(outputs)

    def declare(function: F) -> F:
        entry = Kernel(
            name=f"{function.__module__.rpartition('.')[2]}.{function.__name__}",
            function=function,
            inputs=inputs,
            outputs=outputs,
            rows=dict(rows or {}),
            halo=dict(halo or {}),
            grain=dict(grain or {}),
            memory=memory,
            dtype=kinds,
            sizes=sizes,
            together=together,
        )
        _check(entry)
        KERNELS[entry.name] = entry
        function.contract = entry  # type: ignore[attr-defined]
        return function

    return declare


def contract_of(function: Callable[..., Any]) -> Kernel:
    """Return the contract of a kernel, or raise for a function that has none."""
    contract = getattr(function, "contract", None)
    if not isinstance(contract, Kernel):
        raise ContractError(
            f"{getattr(function, '__name__', function)!r} is not a kernel",
            do="declare it with @kernel('(in)->(out)')",
        )
    return contract


def _check(entry: Kernel) -> None:
    parameters = inspect.signature(entry.function).parameters.values()
    arrays = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    others = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    if len(arrays) != len(entry.inputs) or len(arrays) + len(others) != len(parameters):
        raise ContractError(
            f"{entry.name}: the signature and the function's arguments do not agree",
            got=str(inspect.signature(entry.function)),
            expected=f"{len(entry.inputs)} positional arrays, then keyword-only parameters",
        )
    known = {d for dims in entry.inputs for d in dims}
    missing = {d for dims in entry.outputs for d in dims} - known
    if missing and entry.sizes is None:
        raise ContractError(
            f"{entry.name}: output dims {sorted(missing)} have no size",
            do="give sizes=, a function of input sizes and parameters",
        )
    if entry.together < 1:
        raise ContractError(f"{entry.name}: together= counts rows", got=entry.together)
    if len(entry.dtype) != len(entry.outputs):
        raise ContractError(
            f"{entry.name}: {len(entry.dtype)} dtypes for {len(entry.outputs)} outputs"
        )
    for dims in (*entry.inputs, *entry.outputs):
        if len(set(dims)) != len(dims):
            raise ContractError(f"{entry.name}: a dim stands twice in {dims}", do="name both")
    for name in set(entry.rows) - set(others):
        raise ContractError(f"{entry.name}: rows= names {name!r}, which is no keyword argument")
    for dim in {*entry.halo, *entry.grain}:
        # A block of an output that has not the dim would come from several blocks of input.
        if not all(dim in dims for dims in (entry.inputs[0], *entry.outputs)):
            raise ContractError(
                f"{entry.name}: {dim!r} may not be cut",
                expected="halo= and grain= of dims that the first input and all outputs have",
            )
    twin = KERNELS.get(entry.name)
    if twin is not None and twin.function.__module__ != entry.function.__module__:
        raise ContractError(f"two kernels are called {entry.name!r}", do="rename one of them")
