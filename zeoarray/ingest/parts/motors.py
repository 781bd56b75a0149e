"""Positions that lie beside data in a file: which axis of the scan each belongs to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zeoarray import units
from zeoarray.errors import SourceError, UnitError

Array = np.ndarray[Any, Any]

_TURNS = re.compile(r"theta|rot|omega|phi|angle", re.IGNORECASE)


@dataclass(frozen=True)
class Motor:
    """One motor of a scan, its values spread over the axes that they belong to."""

    name: str
    values: Array
    """As many axes as the scan has, of length 1 where it does not vary with that axis."""
    unit: str | None
    axes: tuple[int, ...]
    """The axes it belongs to."""

    @classmethod
    def fitted(
        cls,
        name: str,
        values: Array,
        attrs: dict[str, Any],
        scan: Sequence[int],
        axes: Sequence[int] | None = None,
    ) -> Motor | None:
        """Return the motor, or None where its values fit no axis of the scan.

        Parameters
        ----------
        name, values, attrs
            The dataset.
        scan
            Sizes of the axes of the scan.
        axes
            The axes it belongs to, where the file states them.
        """
        shape = tuple(n for n in values.shape if n > 1)
        if axes is None:
            axes = _matching(shape, scan)
        else:
            axes = [axis for axis in axes if axis < len(scan)]
        if axes is None or not axes or tuple(scan[i] for i in axes if scan[i] > 1) != shape:
            return None
        spread = values.reshape([n if i in axes else 1 for i, n in enumerate(scan)])
        unit = attrs.get("units", attrs.get("unit"))
        return cls(name, spread.astype(float), None if unit is None else str(unit), tuple(axes))

    def is_a(self, quantity: str) -> bool:
        """Whether its unit is one of this quantity (``length``, ``angle``)."""
        try:
            return self.unit is not None and units.UNITS[units.canonical(self.unit)][0] == quantity
        except UnitError:
            return False

    def varies(self) -> int:
        """Return the axis along which the values change most."""
        return int(np.argmax([self.span(axis) for axis in range(self.values.ndim)]))

    def span(self, axis: int) -> float:
        """Return how far it moves along `axis`."""
        known = np.isfinite(self.values)
        if not known.any():
            return 0.0
        # A row that was never measured does not move.
        return float(np.ptp(np.where(known, self.values, self.values[known][0]), axis=axis).max())


def _matching(shape: tuple[int, ...], scan: Sequence[int]) -> list[int] | None:
    if shape == tuple(n for n in scan if n > 1):
        return list(range(len(scan)))
    if len(shape) == 1:
        fits = [axis for axis, n in enumerate(scan) if n == shape[0]]
        # Of two axes of one size the first is taken: rotations come before translations.
        return fits[:1] or None
    return None


def rotation(motors: Sequence[Motor]) -> Motor | None:
    """Return the motor that turns the sample: by its unit, else by its name."""
    turning = [m for m in motors if m.is_a("angle")]
    turning = turning or [m for m in motors if m.unit is None and _TURNS.search(m.name)]
    # Of several angles, one that moves and is called a rotation.
    return max(
        turning, key=lambda m: (m.span(m.varies()) > 0, bool(_TURNS.search(m.name))), default=None
    )


def placed(motors: Sequence[Motor], axis: int, taken: Sequence[str]) -> Motor | None:
    """Return the motor that moves along `axis`: the one with a length that varies most there."""
    free = [m for m in motors if m.name not in taken and m.is_a("length")]
    own = [m for m in free if m.axes == (axis,) or (m.span(axis) > 0 and m.varies() == axis)]
    return max(own, key=lambda m: m.span(axis), default=None)


def along(motor: Motor, axis: int, unit: str, *, path: Path, notes: list[str]) -> Array:
    """Return the positions of a motor along one axis, in `unit`.

    Parameters
    ----------
    motor
        Its values may jitter along the other axes: their mean is taken, and a jitter worth
        mentioning noted.
    axis
        The axis of the scan.
    unit
        ``deg`` or ``um``.
    path
        The file, for messages.
    notes
        Takes what was assumed.

    Raises
    ------
    SourceError
        Where the position along the axis is not the same all over the scan.
    """
    others = tuple(i for i in range(motor.values.ndim) if i != axis)
    if motor.unit is None:
        notes.append(f"{motor.name} has no unit: {unit} is assumed")
    values = motor.values if motor.unit is None else units.convert(motor.values, motor.unit, unit)
    finite = np.where(np.isfinite(values), values, np.nan)
    count = np.isfinite(finite).sum(axis=others)
    mean = np.where(count > 0, np.nansum(finite, axis=others) / np.maximum(count, 1), np.nan)
    shape = [-1 if i == axis else 1 for i in range(motor.values.ndim)]
    jitter = float(np.nanmax(np.abs(finite - mean.reshape(shape)), initial=0.0))
    steps = np.abs(np.diff(mean[np.isfinite(mean)]))
    step = float(np.median(steps)) if steps.size else np.inf
    if jitter > step / 2:
        raise SourceError(
            f"{path}: {motor.name} is not a position along one axis of the scan",
            got=f"it varies by up to {jitter:g} {unit} where it should rest",
            expected=f"less than half of its step of {step:g} {unit}",
            do="the rows of this scan were not measured on a grid; reduce it from its frames",
        )
    if jitter > step / 100:
        notes.append(f"{motor.name} jitters by up to {jitter:.3g} {unit}; its means are taken")
    return mean
