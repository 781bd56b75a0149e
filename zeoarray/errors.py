"""Errors that show the road: what happened, what was got, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class ZeoError(Exception):
    """The root of every error that zeoarray raises on purpose.

    Parameters
    ----------
    what
        One sentence: where, and what is wrong.
    got, expected, do
        What was found, what would have been right, and what the user can do now.
    """

    def __init__(
        self,
        what: str,
        *,
        got: object | None = None,
        expected: object | None = None,
        do: object | None = None,
    ) -> None:
        self.what, self.got, self.expected, self.do = what, got, expected, do
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        for label, value in (("got", self.got), ("expected", self.expected), ("do", self.do)):
            if value is not None:
                text = str(value).replace("\n", "\n" + " " * 12)
                lines.append(f"  {label + ':':<9} {text}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only arguments do not survive the default pickling, and errors cross processes.
        return _rebuild, (type(self), self.what, self.got, self.expected, self.do)


def _rebuild(cls: type[ZeoError], what: str, got: object, expected: object, do: object) -> ZeoError:
    return cls(what, got=got, expected=expected, do=do)


class ArgumentError(ZeoError, ValueError):
    """A value that the caller passed cannot be used."""


class UnknownNameError(ArgumentError):
    """A name (step, node, parameter, variable) that does not exist."""


class UnitError(ZeoError, ValueError):
    """A quantity has no unit, an unknown one, or one of another dimension."""


class SchemaError(ZeoError, ValueError):
    """A dataset does not have the variables, dims, kinds or units that a step needs."""


class ContractError(ZeoError, TypeError):
    """A kernel or step declares something about itself that cannot be true."""


class SourceError(ZeoError, ValueError):
    """A file that was read is not what it should be (for a bad argument: `ArgumentError`)."""


class FormatError(SourceError):
    """No reader recognises the file."""


class LinkError(SourceError):
    """Data behind an external link (or a reference) is not where the link points."""


class MissingMetadataError(SourceError):
    """A quantity that is needed is neither in the file nor in the options."""


class StoreError(ZeoError, OSError):
    """A store cannot be read or written."""


class LockedError(StoreError):
    """Another process writes the same node."""


class FingerprintError(StoreError):
    """A half-written node was begun with other inputs or parameters."""


class PipelineError(ZeoError, ValueError):
    """A pipeline cannot be run as it is written: every fault of it, each with its line."""


class RegistrationError(ZeoError, ValueError):
    """Two volumes show nothing in common, or not well enough for the answer to be trusted."""


class DependencyError(ZeoError, ImportError):
    """An optional package is needed and not installed."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` most like `name`, or None where none is near.

    Examples
    --------
    >>> nearest("xct.reconstuct", ["xct.reconstruct", "xct.normalize"])
    'xct.reconstruct'
    """
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return found[0] if found else None


def unknown(kind: str, name: str, names: Iterable[str]) -> UnknownNameError:
    """Build the error for a name that does not exist, offering the nearest that does."""
    known = sorted(names)
    near = nearest(name, known)
    return UnknownNameError(
        f"there is no {kind} {name!r}",
        expected="one of " + ", ".join(known) if known else f"no {kind} exists here",
        do=f"did you mean {near!r}?" if near else None,
    )
