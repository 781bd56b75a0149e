"""What lazy arrays share, and a view of one: axes permuted, values scaled, where they are read."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

Array = np.ndarray[Any, Any]


class Readable(Protocol):
    """What every lazy array of a file offers: a size, a dtype, and reading by index."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of each axis."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Kind of its values."""
        ...

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Array: ...


class OuterArray(BackendArray, abc.ABC):
    """A lazy array that is read by an integer, a slice or an index array along each axis."""

    if TYPE_CHECKING:

        @property
        def shape(self) -> tuple[int, ...]:
            """Size of each axis."""
            ...

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Array:
        # xarray fails on a slice that goes backwards and holds nothing.
        parts = (
            slice(0, 0) if isinstance(part, slice) and not len(range(size)[part]) else part
            for part, size in zip(key.tuple, self.shape, strict=True)
        )
        values: Array = indexing.explicit_indexing_adapter(
            type(key)(tuple(parts)), self.shape, indexing.IndexingSupport.OUTER, self._read
        )
        return values

    @abc.abstractmethod
    def _read(self, key: tuple[Any, ...]) -> Array:
        """Read what `key` names: one integer, slice or index array for each axis."""


@dataclass
class View(OuterArray):
    """`source` with other axes, and ``offset + scale * value ** power`` for its values.

    xarray's own transpose of a lazy array turns every later index into point-wise indexing,
    which reads far more than it returns; this one permutes the index instead.
    """

    source: Readable
    axes: tuple[int | None, ...]
    """For each axis of the view the axis of `source`; None is a new axis of length 1.
    An axis of `source` that is not named must have length 1."""
    scale: float = 1.0
    offset: float = 0.0
    power: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes in the order of the view."""
        return tuple(1 if axis is None else self.source.shape[axis] for axis in self.axes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The source's dtype; float32 where integers are scaled."""
        have = np.dtype(self.source.dtype)
        return have if have.kind == "f" or not self._changes else np.dtype("float32")

    @property
    def _changes(self) -> bool:
        return (self.scale, self.offset, self.power) != (1.0, 0.0, 1)

    def _read(self, key: tuple[Any, ...]) -> Array:
        asked: list[Any] = [0] * len(self.source.shape)
        for axis, part in zip(self.axes, key, strict=True):
            if axis is not None:
                asked[axis] = part
        values = np.asarray(self.source[indexing.OuterIndexer(tuple(asked))])
        # Integers took their axis out; the others stand in the order of the source.
        kept = [axis for axis, part in enumerate(asked) if not _is_integer(part)]
        wanted = [
            axis
            for axis, part in zip(self.axes, key, strict=True)
            if axis is not None and not _is_integer(part)
        ]
        values = values.transpose([kept.index(axis) for axis in wanted])
        for i, axis in enumerate(self.axes):
            if axis is None and not _is_integer(key[i]):
                place = sum(not _is_integer(part) for part in key[:i])
                values = np.expand_dims(values, place)
                values = values[(slice(None),) * place + (key[i],)]
        return self._scaled(values)

    def _scaled(self, values: Array) -> Array:
        if not self._changes:
            return values
        out = values.astype(self.dtype)
        if self.power != 1:
            out = out**self.power
        if self.scale != 1.0:
            out *= self.dtype.type(self.scale)
        if self.offset:
            out += self.dtype.type(self.offset)
        return out


def _is_integer(part: object) -> bool:
    return isinstance(part, (int, np.integer))
