"""Positions that lie beside data in a file: which axis of the scan each belongs to.

Where a reader knows what each motor does, its positions are a `Motion`; where that must be told
from names and units, it looks among all there are, each a `Motor`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zeoarray import units
from zeoarray.errors import SourceError, UnitError
from zeoarray.ingest.parts import hdf5
from zeoarray.ingest.parts.angles import given
from zeoarray.ingest.parts.finder import Finder

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


def along(
    motor: Motor, axis: int, unit: str, *, path: Path, notes: list[str], most: float = 0.5
) -> Array:
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
    most
        The share of a step by which a position may jitter.

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
    if jitter > most * step:
        raise SourceError(
            f"{path}: {motor.name} is not a position along one axis of the scan",
            got=f"it varies by up to {jitter:g} {unit} where it should rest",
            expected=f"at most {most:.0%} of its step of {step:g} {unit}",
            do="integrate the frames, which are gridded by their positions",
        )
    if jitter > step / 100:
        notes.append(f"{motor.name} jitters by up to {jitter:.3g} {unit}; its means are taken")
    return mean


# --- motors whose part in the scan is known ------------------------------------------------------


@dataclass(frozen=True)
class Motion:
    """Positions of one motor, or readings of one monitor, over the points of a scan."""

    name: str
    values: Array
    axes: tuple[int, ...] | None = None
    """The axes of the grid that the axes of `values` are; None where the file does not say."""


def axes_of(finder: Finder, name: str) -> tuple[int, ...] | None:
    """The scan axes that the NXdata around the motor `name` says it belongs to; None without."""
    folder, _, motor = name.rpartition("/")
    group = finder.file.get(folder)
    said = None if group is None else group.attrs.get(f"{motor}_indices")
    try:
        return None if said is None else tuple(int(hdf5.text(axis)) for axis in np.ravel(said))
    except ValueError:
        finder.note(f"{name}: its indices {said!r} are no numbers; ignored")
        return None


def grid_of(motions: Mapping[str, Motion]) -> tuple[int, ...]:
    """Scan points along each axis, from the motors alone: for frames that cannot be reached."""
    sizes: dict[int, int] = {}
    loose: list[int] = []
    for motion in motions.values():
        shape = motion.values.shape
        if motion.values.size == 1:
            continue
        if motion.axes is not None and len(motion.axes) == len(shape):
            sizes |= dict(zip(motion.axes, shape, strict=True))
        elif len(shape) > 1:
            return tuple(shape)
        else:
            loose.append(shape[0])
    if not sizes and len(set(loose)) == 1:
        return (loose[0],)
    free = (axis for axis in range(len(sizes) + len(loose)) if axis not in sizes)
    sizes |= dict(zip(free, loose, strict=False))
    return tuple(sizes[axis] for axis in sorted(sizes)) or (0,)


def spread(finder: Finder, motion: Motion, grid: tuple[int, ...], *, what: str) -> Array:
    """The value of `motion` at every point of `grid`, NaN where there is none.

    A motor may have one value, one for each step along its axis, or one for each point. An
    interrupted scan has more motor positions than frames, or room for more frames than it took.

    Parameters
    ----------
    finder
        The open file, for notes.
    motion
        The motor.
    grid
        Scan points along each axis.
    what
        What the motor sets, for messages.

    Raises
    ------
    SourceError
        Where the positions do not fit the grid, or could belong to either of two axes.
    """
    values = motion.values
    if values.size == 1:
        return np.full(grid, float(values.reshape(-1)[0]))
    axes = motion.axes
    if axes is None or len(axes) != values.ndim or max(axes) >= len(grid):
        axes = _likely_axes(values.shape, grid)
    if axes is None and values.size == math.prod(grid):
        return values.reshape(grid)
    if axes is None:
        raise SourceError(
            f"{finder.path}: the positions of {what} do not fit the frames",
            got=f"{motion.name} of the shape {values.shape}",
            expected=f"scan points of the shape {grid}: one position for each, or one for each "
            "step along one axis",
        )
    sizes = tuple(grid[axis] for axis in axes)
    if values.shape != sizes:
        finder.note(
            f"{what}: {motion.name} has {values.shape} positions for {sizes} scan points; those "
            "that have both are used"
        )
    fitted = np.full(sizes, np.nan)
    common = tuple(slice(0, min(a, b)) for a, b in zip(values.shape, sizes, strict=True))
    fitted[common] = values[common]
    order = np.argsort(axes)
    shape = [grid[axis] if axis in axes else 1 for axis in range(len(grid))]
    return np.broadcast_to(fitted.transpose(order).reshape(shape), grid).copy()


def reading(
    finder: Finder, name: str, found: tuple[str, Array] | None, grid: tuple[int, ...]
) -> dict[str, Motion]:
    """What was read beside the frames, as `frames` takes it; empty where it fits no grid.

    Parameters
    ----------
    finder
        The open file, for notes.
    name
        The variable: ``monitor``.
    found
        Name and values in the file, or None where there are none.
    grid
        Scan points along each axis.
    """
    if found is None:
        return {}
    motion = Motion(*found)
    fits = motion.values.size in (1, math.prod(grid)) or motion.values.shape == grid
    if not fits and _likely_axes(motion.values.shape, grid) is None:
        finder.note(
            f"{name}: {found[0]} of the shape {motion.values.shape} does not fit the scan points "
            f"{grid}; ignored"
        )
        return {}
    return {name: motion}


def _likely_axes(shape: tuple[int, ...], grid: tuple[int, ...]) -> tuple[int, ...] | None:
    if len(shape) == len(grid):
        return tuple(range(len(grid)))
    if len(shape) == 1:
        fitting = [axis for axis, size in enumerate(grid) if size == shape[0]]
        return (fitting[0],) if len(fitting) == 1 else None
    return None


def given_angles(finder: Finder) -> Motion | None:
    """Angles [deg] that the user gives in place of the file's; None where there are none."""
    found = given(finder)
    return None if found is None else Motion(found[1], found[0])
