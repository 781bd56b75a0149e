"""An XRD-CT scan as a list of frames at motor positions, from frames on a grid of scan points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import SourceError
from zeoarray.ingest.parts import hdf5, labels, setting
from zeoarray.ingest.parts.angles import given
from zeoarray.ingest.parts.arrays import Array, HDF5Array, MissingArray, flattened, variable
from zeoarray.ingest.parts.finder import Finder
from zeoarray.ingest.reader import ANGLES, GEOMETRY, scalar

POSITIONS = ("angle", "u", "z")
TAKES = ANGLES | GEOMETRY | {"dataset", "ignore"}
"""Options that mean something to diffraction frames in an HDF5 file."""


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


def frames(
    finder: Finder,
    array: HDF5Array | MissingArray,
    motions: Mapping[str, Motion],
    *,
    keys: Array | None = None,
    scalars: Mapping[str, xr.Variable],
    reader: str,
) -> xr.Dataset:
    """Return the frames as one list, each with its angle, u and z; nothing of them is read.

    Parameters
    ----------
    finder
        The open file and the user's options.
    array
        Frames on a grid: any number of scan axes, then rows and columns of the detector.
    motions
        `angle` [deg], `u` [um], `z` [um], and what else is known at each point.
    keys
        Kind of every frame, as NXtomo's image_key: only kind 0 is kept.
    scalars
        Further scalar coords.
    reader
        Name of the reader.

    Raises
    ------
    SourceError
        Where the frames are no images, no frame has a position, or positions do not fit.
    """
    _check(finder, array)
    grid = array.shape[:-2]
    listed = {n: spread(finder, m, grid, what=n).ravel() for n, m in motions.items()}
    total = math.prod(grid)
    kept = labels.kept(finder, total)
    if keys is not None and keys.size == total:
        sample = keys.ravel()[kept] == 0
        kept = _left(finder, kept, sample, "the image_key does not call them projections")
    placed = np.all([np.isfinite(listed[n][kept]) for n in POSITIONS], axis=0)
    kept = _left(finder, kept, placed, "they have no position: they were not taken")
    if total and not kept.size:
        raise SourceError(
            f"{finder.path}: no frame has a position",
            got=", ".join(f"{n} from {motions[n].name}" for n in POSITIONS),
            expected="a finite angle, u and z for at least one of the frames",
        )
    whole = variable(("frame", "det_y", "det_x"), flattened(array, len(grid)))
    coords = {n: xr.Variable(("frame",), values[kept]) for n, values in listed.items()}
    ds = xr.Dataset({"counts": whole[labels.as_slice(kept)]}, coords | dict(scalars))
    ds = labels.finish(
        ds, schema.SCAN_XRDCT, reader=reader, source=finder.files, notes=finder.notes
    )
    return (
        ds.assign_attrs(missing=[array.entry("counts")]) if isinstance(array, MissingArray) else ds
    )


def _check(finder: Finder, array: HDF5Array | MissingArray) -> None:
    if isinstance(array, MissingArray):
        return
    if len(array.shape) < 3:
        raise SourceError(
            f"{array.path}: {array.dataset} holds no diffraction frames",
            got=f"shape {array.shape}",
            expected="scan axes, then rows and columns of the detector",
        )
    if 0 in array.shape:
        raise SourceError(
            f"{array.path}: {array.dataset} holds nothing",
            got=f"shape {array.shape}",
            expected="frames; an interrupted scan leaves such datasets",
        )


def _left(finder: Finder, kept: Array, good: Array, why: str) -> Array:
    if not np.all(good):
        finder.note(f"{int(np.sum(~good))} of {kept.size} frames are left out: {why}")
    left: Array = kept[good]
    return left


def scalars(
    finder: Finder,
    *,
    energy: Sequence[str],
    wavelength: Sequence[str] = (),
    distance: Sequence[str] = (),
    exposure: Sequence[str] = (),
    sample_moves: Mapping[str, bool],
) -> dict[str, xr.Variable]:
    """The scalar coords of a scan with a small beam.

    Parameters
    ----------
    finder
        The open file and the user's options.
    energy, wavelength, distance, exposure
        Where they may be.
    sample_moves
        For `u` and `z`: whether it is the sample that moves. The beam meets it on the other side
        then, so the sense is -1 where the user does not state it.
    """
    out = labels.senses(finder.options)
    for dim, moves in sample_moves.items():
        if moves and f"{dim}_sense" not in finder.options.model_fields_set:
            out[f"{dim}_sense"] = scalar(-1, "1")
            finder.note(f"{dim} is the position of the sample, not the beam: {dim}_sense is -1")
    out |= setting.found(
        finder, energy=energy, wavelength=wavelength, distance=distance, exposure=exposure
    )
    return out | setting.spot(finder.options.need("beam_size", path=finder.path))
