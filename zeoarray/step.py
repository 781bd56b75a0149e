"""`@step` and `@measure`: a verb is declared once, and Python, YAML and the shell read it there.

A *step* is lazy and knows its shapes: ``Dataset -> Dataset``. A *measure* reads a declared sample
and gives a small dataset with value, sigma and curve, which later steps take as an input.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import pydantic

from zeoarray.errors import ArgumentError, ContractError, UnknownNameError, nearest, unknown

F = TypeVar("F", bound=Callable[..., Any])
Kind = Literal["step", "measure"]


@dataclass(frozen=True)
class Step:
    """What a registered verb says about itself."""

    name: str
    """``module.verb``, the name by which pipelines call it."""
    kind: Kind
    version: int
    """Raised whenever the same input and parameters would give another result."""
    function: Callable[..., Any]

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """Annotation of each argument after the first dataset."""
        hints = typing.get_type_hints(self.function)
        parameters = list(inspect.signature(self.function).parameters.values())
        return {p.name: hints[p.name] for p in parameters[1:]}

    @functools.cached_property
    def nodes(self) -> tuple[str, ...]:
        """Arguments that are datasets: a pipeline gives them as the path of a node."""
        return tuple(name for name, hint in self.hints.items() if "Dataset" in str(hint))

    @functools.cached_property
    def model(self) -> type[pydantic.BaseModel]:
        """The remaining arguments, as the pydantic model that validates them."""
        signature = inspect.signature(self.function).parameters
        fields: dict[str, Any] = {}
        for name, hint in self.hints.items():
            if name not in self.nodes:
                default = signature[name].default
                fields[name] = (hint, ... if default is inspect.Parameter.empty else default)
        config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)
        return pydantic.create_model(self.name, __config__=config, **fields)

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return every parameter with its final value, from those that were `given`.

        Raises
        ------
        UnknownNameError
            For a parameter that the step does not have, with the nearest that it has.
        ArgumentError
            For a value of the wrong type or range, or one that is missing.
        """
        for name in given:
            if name not in self.model.model_fields:
                near = nearest(name, self.model.model_fields)
                raise UnknownNameError(
                    f"{self.name} has no parameter {name!r}",
                    expected="one of " + ", ".join(self.model.model_fields),
                    do=f"did you mean {near!r}?" if near else None,
                )
        try:
            model = self.model.model_validate(dict(given))
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            raise ArgumentError(
                f"{self.name}: parameter {'.'.join(map(str, first['loc']))!r}: {first['msg']}",
                got=repr(first["input"]),
            ) from None
        return {name: getattr(model, name) for name in self.model.model_fields}


STEPS: dict[str, Step] = {}


def find(name: str) -> Step:
    """Return the step or measure called `name`, or raise with the nearest one."""
    try:
        return STEPS[name]
    except KeyError:
        raise unknown("step", name, STEPS) from None


def _register(function: F, kind: Kind, version: int) -> F:
    module = function.__module__.rpartition(".")[2]
    entry = Step(f"{module}.{function.__name__}", kind, version, function)
    if entry.name in STEPS and STEPS[entry.name].function.__module__ != function.__module__:
        raise ContractError(f"two verbs are called {entry.name!r}", do="rename one of them")
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or any(p.kind is not p.KEYWORD_ONLY for p in parameters[1:]):
        raise ContractError(
            f"{entry.name}: what follows the dataset is keyword-only",
            got=str(inspect.signature(function)),
            do=f"def {function.__name__}(ds, *, ...)",
        )

    @functools.wraps(function)
    def recorded(ds: Any, **arguments: Any) -> Any:
        result = function(ds, **arguments)
        bound = inspect.signature(function).bind(ds, **arguments)
        bound.apply_defaults()
        resolved = {k: _plain(v) for k, v in list(bound.arguments.items())[1:]}
        record = {"step": entry.name, "version": version, "parameters": resolved}
        attrs = {**result.attrs, "steps": [*ds.attrs.get("steps", []), record]}
        return result.assign_attrs(attrs)

    STEPS[entry.name] = entry
    return typing.cast(F, recorded)


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it: a dataset becomes the name of its node and its content."""
    if hasattr(value, "data_vars"):
        numbers = {k: v.values.tolist() for k, v in value.data_vars.items() if v.size <= 16}
        return {"node": value.attrs.get("node"), **numbers}
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def step(*, version: int = 1) -> Callable[[F], F]:
    """Register a lazy verb, ``Dataset -> Dataset``, whose result records how it was made.

    The first argument is the dataset; all others are keyword-only, annotated, and validated by
    these annotations where they come from YAML or the command line.
    """
    return lambda function: _register(function, "step", version)


def measure(*, version: int = 1) -> Callable[[F], F]:
    """Register a verb that reads a sample and gives a small dataset: value, sigma, curve."""
    return lambda function: _register(function, "measure", version)
