"""The parameters of one plug-in or method: each is taken, or told to be left over."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from zeoarray.errors import SourceError
from zeoarray.ingest.parts.process_list import printable

_NOTHING: tuple[Any, ...] = (None, "", [], {})


class Given:
    """What a list says for one of its steps, not trusted to have the right types.

    Parameters
    ----------
    where
        The step, for messages: ``list.nxs: plug-in 4, RemoveAllRings``.
    values
        Plain values by name.
    """

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self.where = where
        self._left = dict(values)

    def has(self, name: str) -> bool:
        """Whether `name` is there with a value, and not taken yet."""
        return name in self._left and self._left[name] not in _NOTHING

    def peek(self, name: str) -> Any:
        """Return the value of `name` as it is, or None; it is not taken."""
        return self._left.get(name)

    def take(self, name: str) -> Any:
        """Return the value of `name` as it is, or None."""
        return self._left.pop(name, None)

    def number(self, name: str, default: float | None = None) -> float | None:
        """Return a finite number, the default where there is none.

        Raises
        ------
        SourceError
            For anything else, and for a list of values to try.
        """
        value = self.take(name)
        if value in _NOTHING:
            return default
        return self._number(name, value)

    def whole(self, name: str, default: int | None = None) -> int | None:
        """Return a whole number, the default where there is none."""
        value = self.number(name)
        if value is None:
            return default
        if value != int(value):
            raise self.wrong(name, value, "a whole number")
        return int(value)

    def numbers(self, name: str, count: int | None = None) -> list[float] | None:
        """Return a list of finite numbers, of `count` of them where that is given."""
        value = self.take(name)
        if value in _NOTHING:
            return None
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise self.wrong(name, value, "a list of numbers")
        if count is not None and len(value) != count:
            raise self.wrong(name, value, f"{count} numbers")
        return [self._number(name, v) for v in value]

    def text(self, name: str, default: str = "") -> str:
        """Return a text, the default where there is none."""
        value = self.take(name)
        if value in _NOTHING:
            return default
        if not isinstance(value, str):
            raise self.wrong(name, value, "a text")
        self._refuse_trials(name, value)
        return value.strip()

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false, the default where there is neither."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, value, "true or false")
        return value

    def choice(self, name: str, names: Mapping[str, str], default: str) -> str | None:
        """Return what `names` has for the text at `name`; None where it has nothing."""
        return names.get(self.text(name, default).lower())

    def drop(self, names: Collection[str]) -> None:
        """Forget parameters that change nothing here."""
        for name in names:
            self._left.pop(name, None)

    def left(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that nobody took, except those that are empty or the default."""
        return {
            name: value
            for name, value in self._left.items()
            if value not in _NOTHING and not (name in defaults and value == defaults[name])
        }

    def wrong(self, name: str, value: object, expected: str) -> SourceError:
        """Build the error for a value that cannot be used."""
        return SourceError(
            f"{self.where}: {printable(name)!r} cannot be used",
            got=printable(repr(value)),
            expected=expected,
            do="correct it in the list, or leave the step out: --skip",
        )

    def _number(self, name: str, value: object) -> float:
        if isinstance(value, str):
            self._refuse_trials(name, value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.wrong(name, value, "a number")
        try:
            finite = math.isfinite(value)
        except OverflowError:
            finite = False
        if not finite:
            raise self.wrong(name, value, "a number that is finite")
        return float(value)

    def _refuse_trials(self, name: str, value: str) -> None:
        if ";" in value or re.fullmatch(r"-?[\d.]+:-?[\d.]+:-?[\d.]+", value.strip()):
            raise SourceError(
                f"{self.where}: {printable(name)!r} is a row of values to try",
                got=printable(value),
                expected="one value",
                do="choose one in the list; to try several here: zeoarray preview FILE --sweep",
            )


def plain(value: float) -> float | int:
    """Return a number as people write it: 3.0 stays 3.0, and 71.0 of a window becomes 71.

    Examples
    --------
    >>> plain(71.0), plain(0.5)
    (71, 0.5)
    """
    return int(value) if value == int(value) and abs(value) < 2**53 else value
