"""What a variable and a kind of node say of themselves: `Var` and `Schema`."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = {"count": "ui", "float": "f", "number": "uif", "flag": "biu", "text": "OUST", "time": "uif"}
"""What each kind allows, as numpy's ``dtype.kind`` letters."""


@dataclass(frozen=True)
class Var:
    """One variable or coordinate of the data model."""

    name: str
    dims: tuple[str, ...]
    kind: str
    """A key of `KINDS`."""
    units: str | None
    doc: str
    label: str = ""
    """What a plot writes beside an axis; the doc, where that is short enough."""


@dataclass(frozen=True)
class Schema:
    """The variables that a kind of node must and may have."""

    name: str
    required: tuple[Var, ...]
    optional: tuple[Var, ...] = ()

    def __getitem__(self, name: str) -> Var:
        for var in (*self.required, *self.optional):
            if var.name == name:
                return var
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(var.name == name for var in (*self.required, *self.optional))
