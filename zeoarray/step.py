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
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import pydantic
import xxhash

from zeoarray.errors import ArgumentError, ContractError, UnknownNameError, nearest, unknown

F = TypeVar("F", bound=Callable[..., Any])
Kind = Literal["step", "measure"]

Count = Annotated[int, pydantic.Field(ge=1)]
"""Annotation of a parameter that counts: 1 or more."""
Share = Annotated[float, pydantic.Field(gt=0, lt=1)]
"""Annotation of a parameter between 0 and 1, neither included."""
Whole = Annotated[int, pydantic.Field(ge=0)]
"""Annotation of a parameter that counts from 0."""
Positive = Annotated[float, pydantic.Field(gt=0)]
"""Annotation of a parameter above 0."""
Distance = Annotated[float, pydantic.Field(ge=0)]
"""Annotation of a parameter that is 0 or more."""
Part = Annotated[float, pydantic.Field(ge=0, le=1)]
"""Annotation of a parameter from 0 to 1, both included."""
Overlap = Annotated[float, pydantic.Field(ge=0, lt=1)]
"""Annotation of a parameter from 0 to 1, the 1 not included."""
Some = Annotated[float, pydantic.Field(gt=0, le=1)]
"""Annotation of a parameter from 0 to 1, the 0 not included."""
Polarization = Annotated[float, pydantic.Field(ge=-1, le=1)]
"""Annotation of a polarization factor: 1 is horizontal, -1 vertical."""


@dataclass(frozen=True)
class Step:
    """What a registered verb says about itself."""

    name: str
    """``module.verb``, the name by which pipelines call it."""
    kind: Kind
    version: int
    """Raised whenever the same input and parameters would give another result."""
    cites: tuple[str, ...]
    """DOIs of the methods, for the record of a result."""
    function: Callable[..., Any]
    expects: Callable[..., Any] | None = None
    """For a measure: a dataset like the one it will give, made without reading (see `measure`)."""

    def __call__(self, ds: Any, arguments: Mapping[str, Any]) -> Any:
        """Validate the arguments, call the verb, and record it in the result's ``steps``."""
        given = dict(arguments)
        _must_be_dataset(self, "ds", ds)
        nodes = {k: given.pop(k, self.defaults[k]) for k in self.nodes}
        for name, node in nodes.items():
            if node is not self.defaults[name]:
                _must_be_dataset(self, name, node)
            elif node is inspect.Parameter.empty:
                raise ArgumentError(f"{self.name} needs the dataset {name!r}")
        parameters = self.resolve(given)
        result = self.function(ds, **parameters, **nodes)
        record = self.record(parameters | nodes)
        return result.assign_attrs(steps=[*ds.attrs.get("steps", []), record])

    def record(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What provenance and fingerprints say of a call with these (resolved) arguments."""
        record: dict[str, Any] = {"step": self.name, "version": self.version}
        record["parameters"] = {k: _plain(v) for k, v in arguments.items()}
        if self.cites:
            record["cites"] = list(self.cites)
        return record

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @functools.cached_property
    def defaults(self) -> dict[str, Any]:
        """Default of each argument after the first dataset; `inspect.Parameter.empty` if none."""
        return {p.name: p.default for p in self._keywords}

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """Annotation of each argument after the first dataset."""
        # With the extras, or constraints such as Annotated[float, Field(gt=0)] would be lost.
        hints = typing.get_type_hints(self.function, include_extras=True)
        return {p.name: hints[p.name] for p in self._keywords}

    @property
    def _keywords(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.function).parameters.values())[1:]

    @functools.cached_property
    def nodes(self) -> tuple[str, ...]:
        """Arguments that are datasets: a pipeline gives them as the path of a node."""
        return tuple(name for name, hint in self.hints.items() if "Dataset" in str(hint))

    @functools.cached_property
    def model(self) -> type[pydantic.BaseModel]:
        """The remaining arguments, as the pydantic model that validates them."""
        fields: dict[str, Any] = {
            name: (self.hints[name], ... if default is inspect.Parameter.empty else default)
            for name, default in self.defaults.items()
            if name not in self.nodes
        }
        config = pydantic.ConfigDict(
            extra="forbid", arbitrary_types_allowed=True, protected_namespaces=()
        )
        return pydantic.create_model(self.name, __config__=config, **fields)

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return every parameter with its final value, from those that were `given`.

        Arguments that are datasets (`nodes`) are not among them.

        Raises
        ------
        UnknownNameError
            For a parameter that the step does not have, with the nearest that it has.
        ArgumentError
            For a value of the wrong type or range, or one that is missing.
        """
        fields = self.model.model_fields
        for name in given:
            if name not in fields:
                near = nearest(name, self.defaults)
                raise UnknownNameError(
                    f"{self.name} has no parameter {name!r}",
                    expected="one of " + ", ".join(self.defaults)
                    if self.defaults
                    else "no parameters",
                    do=f"did you mean {near!r}?" if near else None,
                )
        try:
            # pydantic takes no NumPy scalar for an int.
            plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in given.items()}
            model = self.model.model_validate(plain)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            if first["type"] == "missing":
                raise ArgumentError(f"{self.name} needs the parameter {place!r}") from None
            raise ArgumentError(
                f"{self.name}: parameter {place!r}: {first['msg']}", got=repr(first["input"])
            ) from None
        return {name: getattr(model, name) for name in fields}


STEPS: dict[str, Step] = {}


def find(name: str) -> Step:
    """Return the step or measure called `name`, or raise with the nearest one."""
    try:
        return STEPS[name]
    except KeyError:
        raise unknown("step", name, STEPS) from None


def step(*, version: int = 1, cites: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Register a lazy verb, ``Dataset -> Dataset``, whose result records how it was made.

    The first argument is the dataset; all others are keyword-only and annotated. By these
    annotations values are validated, whether they come from Python, YAML or the command line.

    Parameters
    ----------
    version
        Raised whenever the same input and parameters would give another result.
    cites
        DOIs of the methods.

    Raises
    ------
    ContractError
        For a function that is not such a verb.
    """
    return lambda function: _register(function, "step", version, cites)


def measure(
    *,
    version: int = 1,
    cites: tuple[str, ...] = (),
    expects: Callable[..., Any] | None = None,
) -> Callable[[F], F]:
    """Register a verb that reads a sample and gives a small dataset: value, sigma, curve.

    Parameters
    ----------
    version
        Raised whenever the same input and parameters would give another result.
    cites
        DOIs of the methods.
    expects
        ``expects(ds, **arguments)`` gives, without reading, a dataset of the same names, dims
        and units with plausible values (the axis in the middle, every frame good). By it a
        pipeline is checked, and its memory planned, before the measure has run.

    Raises
    ------
    ContractError
        For a function that is not such a verb.
    """
    return lambda function: _register(function, "measure", version, cites, expects)


def _register(
    function: F,
    kind: Kind,
    version: int,
    cites: tuple[str, ...],
    expects: Callable[..., Any] | None = None,
) -> F:
    name = f"{_unit(function)}.{function.__name__}"
    entry = Step(name, kind, version, cites, function, expects)
    _check(entry)

    @functools.wraps(function)
    def verb(ds: Any, **arguments: Any) -> Any:
        return entry(ds, arguments)

    STEPS[entry.name] = entry
    return typing.cast(F, verb)


def _unit(function: Callable[..., Any]) -> str:
    """Module or package of a verb as users call it: ``xct`` also for ``zeoarray.xct.frames``."""
    parts = function.__module__.split(".")
    return parts[1] if parts[0] == __name__.partition(".")[0] and len(parts) > 1 else parts[-1]


def _check(entry: Step) -> None:
    verb = entry.function.__name__
    twin = STEPS.get(entry.name)
    if twin is not None and twin.function.__module__ != entry.function.__module__:
        raise ContractError(f"two verbs are called {entry.name!r}", do="rename one of them")
    signature = inspect.signature(entry.function)
    parameters = list(signature.parameters.values())
    if not parameters or any(p.kind is not p.KEYWORD_ONLY for p in parameters[1:]):
        raise ContractError(
            f"{entry.name}: what follows the dataset is keyword-only",
            got=str(signature),
            do=f"def {verb}(ds, *, ...)",
        )
    if bare := [p.name for p in parameters if p.annotation is p.empty]:
        raise ContractError(
            f"{entry.name}: an argument without annotation cannot be validated",
            got=", ".join(bare),
        )


def _must_be_dataset(entry: Step, name: str, value: object) -> None:
    if not hasattr(value, "data_vars"):
        raise ArgumentError(
            f"{entry.name}: {name!r} is not a dataset",
            got=type(value).__name__,
            expected="an xarray.Dataset",
            do="array.to_dataset(name=...)" if hasattr(value, "to_dataset") else None,
        )


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it: a dataset becomes the name of its node and its content."""
    if hasattr(value, "data_vars"):
        return {"node": value.attrs.get("node")} | {
            str(name): _content(variable) for name, variable in value.data_vars.items()
        }
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _content(variable: Any) -> Any:
    if variable.chunks is not None or variable.size > 1 << 20:
        # Nothing is computed, and no volume read, to write a record. What a measure gives is small.
        return f"{dict(variable.sizes)} {variable.dtype}, not read"
    values = np.asarray(variable.values)
    if values.size <= 16:
        return values.tolist()
    return f"xxh64:{xxhash.xxh64_hexdigest(np.ascontiguousarray(values).tobytes())}"
