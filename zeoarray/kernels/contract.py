"""`@kernel`: the one line above a pure function that says how it may be cut into blocks.

``@kernel("(angle,u),(angle)->(y,x)")`` reads: the first array ends in the dims *angle, u*, the
second in *angle*, the result in *y, x*. These core dims are never cut (unless `halo` names them);
every dim before them is a batch dim that the kernel must not look at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from zeoarray.errors import ContractError

F = TypeVar("F", bound=Callable[..., Any])
Dims = tuple[str, ...]
Halo = Mapping[str, "int | Callable[[Mapping[str, Any]], int]"]

_SIGNATURE = re.compile(r"(\([\w,]*\))(,\([\w,]*\))*->(\([\w,]*\))(,\([\w,]*\))*")


@dataclass(frozen=True)
class Memory:
    """Bytes that one call needs beyond its inputs and outputs."""

    fixed: int
    """Held once per worker whatever the block: a plan, a matrix."""
    block: int
    """Held while one block runs: scratch arrays of its size."""


MemoryOf = Callable[[Mapping[str, int], Mapping[str, Any], int], Memory]
"""(sizes of all dims with ``batch`` for the product of batch dims, parameters, threads)."""


def no_memory(sizes: Mapping[str, int], parameters: Mapping[str, Any], threads: int) -> Memory:
    """For kernels that hold nothing but their inputs and outputs."""
    return Memory(0, 0)


@dataclass(frozen=True)
class Kernel:
    """The contract of one kernel."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[Dims, ...]
    outputs: tuple[Dims, ...]
    halo: Halo
    memory: MemoryOf
    dtype: Literal["float", "same"]
    """``float``: floats keep their dtype and integers become float32; ``same``: dtype is kept."""
    sizes: Callable[[Mapping[str, int], Mapping[str, Any]], Mapping[str, int]] | None
    """(input sizes, parameters) to sizes of dims that the kernel creates or changes."""

    def overlap(self, parameters: Mapping[str, Any]) -> dict[str, int]:
        """Rows of each halo dim that a block needs from either neighbour."""
        return {d: h(parameters) if callable(h) else h for d, h in self.halo.items()}

    def output_sizes(
        self, sizes: Mapping[str, int], parameters: Mapping[str, Any]
    ) -> dict[str, int]:
        """Size of every dim of the outputs, given those of the inputs."""
        known = dict(sizes)
        if self.sizes is not None:
            known.update(self.sizes(sizes, parameters))
        return {d: known[d] for dims in self.outputs for d in dims}


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
    halo: Halo | None = None,
    memory: MemoryOf = no_memory,
    dtype: Literal["float", "same"] = "float",
    sizes: Callable[[Mapping[str, int], Mapping[str, Any]], Mapping[str, int]] | None = None,
) -> Callable[[F], F]:
    """Declare how a pure function of arrays may be cut, and register it.

    Parameters
    ----------
    signature
        Core dims of each array argument and of each result, last dims first-class.
    halo
        Core dims that may be cut all the same, if each block gets this many rows of its
        neighbours; a function of the parameters where it depends on them.
    memory
        Bytes needed beyond inputs and outputs.
    dtype
        Whether integers become float32 (``float``) or every dtype is kept (``same``).
    sizes
        Sizes of output dims that are not those of an input.
    """
    inputs, outputs = parse_signature(signature)

    def declare(function: F) -> F:
        name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        missing = {d for dims in outputs for d in dims} - {d for dims in inputs for d in dims}
        if missing and sizes is None:
            raise ContractError(
                f"{name}: output dims {sorted(missing)} have no size",
                do="give sizes=, a function of input sizes and parameters",
            )
        entry = Kernel(name, function, inputs, outputs, halo or {}, memory, dtype, sizes)
        KERNELS[name] = entry
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
