"""Pencil-beam scans that rotate and translate the sample: NXxrd and NXstxm entries (I18).

Diffraction frames become a list at motor positions; a signal that is one number at each point, or
is integrated over the detector already, becomes a sinogram.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.core import indexing

from zeoarray import schema
from zeoarray.errors import SourceError
from zeoarray.ingest.parts import discover, hdf5, labels, motors, raster
from zeoarray.ingest.parts.arrays import Array, HDF5Array, MissingArray
from zeoarray.ingest.parts.finder import Finder
from zeoarray.ingest.parts.motors import Motion, Motor
from zeoarray.ingest.parts.views import View
from zeoarray.ingest.reader import ANGLES, Options, Reader, only

NAME = "pencil"
DEFINITIONS = ("NXxrd", "NXstxm")
SPECTRA = ("NXfluo",)
"""Entries that are named where they are left out."""
MOTORS = {"angle": "theta", "u": "x", "z": "y"}
STEP = 0.05
"""Positions of one column may stray from their mean by this share of the step to the next."""


@dataclass(frozen=True)
class Entry:
    """One subentry: its place, what it says it is, and its signal."""

    path: str
    definition: str
    frames: tuple[str, ...]
    """Where the signal may be: the NXdata, or the detector that it links to."""


def recognise(path: Path) -> bool:
    """Whether the file has an NXxrd or NXstxm entry with rotation and translation."""
    return hdf5.holds(path, _entries)


def _entries(file: h5py.File) -> list[Entry]:
    found = discover.entries(file, DEFINITIONS)
    scans = [p for p in found if f"{p}/data/theta" in file and f"{p}/data/x" in file]
    # Frames before sinograms: integrating them gives more than what was summed at the beamline.
    return [
        Entry(p, found[p], (f"{p}/data/data", f"{p}/instrument/detector/data"))
        for p in sorted(scans, key=lambda p: (DEFINITIONS.index(found[p]), p))
    ]


def read(path: Path, options: Options) -> xr.Dataset:
    """Return the frames of the XRD entry, or the sinogram of another, lazily.

    Parameters
    ----------
    path
        A NeXus file with NXxrd or NXstxm entries.
    options
        What the user states; `dataset` names an entry, or its data, where there are several.

    Returns
    -------
    xarray.Dataset
        ``counts(frame, det_y, det_x)``; or ``intensity(z, angle, u)``, with `q` where the signal
        is integrated already, and without `z` where the file has one height.

    Raises
    ------
    SourceError
        Where positions do not fit the signal, or those of a sinogram are on no grid.
    MissingMetadataError
        Where no beam size is given.
    """
    with hdf5.opened(path) as file:
        finder = Finder(file, options)
        entry = _chosen(finder, _entries(file))
        motions = {dim: m for dim in MOTORS if (m := _motion(finder, entry, dim)) is not None}
        points = _points(motions)
        known = motors.grid_of(motions)
        if entry.definition == "NXxrd":
            known = (*known, 0, 0)
        array = finder.frames(entry.frames, "counts", shape_if_missing=known)
        if array is None:
            raise hdf5.absent(file, entry.frames[0])
        if len(array.shape) == points + 2:
            return _frames(finder, entry, array, motions)
        return _sinogram(finder, entry, array, motions, points)


def _chosen(finder: Finder, entries: list[Entry]) -> Entry:
    wanted = finder.options.dataset
    if wanted is None:
        chosen = entries[0]
    else:
        path = "/" + wanted.strip("/")
        matching = [e for e in entries if path == e.path or path.startswith(f"{e.path}/")]
        if not matching:
            raise hdf5.absent(finder.file, wanted)
        chosen = matching[0]
    left = [f"{e.path} ({e.definition})" for e in entries if e is not chosen]
    left += [f"{p} ({d}, spectra)" for p, d in discover.entries(finder.file, SPECTRA).items()]
    if left:
        finder.note(f"{chosen.path} is read; the file also holds {', '.join(left)}")
    return chosen


def _motion(finder: Finder, entry: Entry, dim: str) -> Motion | None:
    """The positions that set `dim`: those beside the signal, not the copies in the sample."""
    motor = MOTORS[dim]
    given = motors.given_angles(finder) if dim == "angle" else None
    if given is not None:
        return given
    unit, bare = ("deg", "deg") if dim == "angle" else ("um", "mm")
    group = f"{entry.path}/data"
    found = finder.series((f"{group}/{motor}",), unit, what=dim, bare=bare)
    if found is None:
        return None
    return Motion(*found, motors.axes_of(finder, found[0]))


def _points(motions: Mapping[str, Motion]) -> int:
    """How many axes of the signal are axes of the scan."""
    named = [axis for m in motions.values() for axis in m.axes or ()]
    return max(named, default=-1) + 1 or len(motions)


def _frames(
    finder: Finder,
    entry: Entry,
    array: HDF5Array | MissingArray,
    motions: Mapping[str, Motion],
) -> xr.Dataset:
    grid = array.shape[:-2]
    missing = {"angle", "u"} - set(motions)
    if missing:
        raise SourceError(
            f"{finder.path}: {entry.path} lacks positions",
            got=f"no {' and no '.join(MOTORS[m] for m in sorted(missing))}",
            expected=f"{entry.path}/data/theta and x",
        )
    if "z" not in motions:
        finder.note("z: no height is stated; it is 0")
    found = finder.series((f"{entry.path}/monitor/data",), "1", what="monitor", bare="1")
    return raster.frames(
        finder,
        array,
        {"z": Motion("no motor", np.zeros(1))}
        | dict(motions)
        | motors.reading(finder, "monitor", found, grid),
        scalars=_scalars(finder, entry, motions),
        reader=NAME,
    )


def _scalars(finder: Finder, entry: Entry, motions: Mapping[str, Motion]) -> dict[str, xr.Variable]:
    instrument = f"{entry.path}/instrument"
    return raster.scalars(
        finder,
        energy=(f"{instrument}/monochromator/energy",),
        wavelength=(f"{instrument}/monochromator/wavelength",),
        distance=(f"{instrument}/detector/distance",),
        sample_moves={"u": True, "z": "z" in motions},
    )


def _sinogram(
    finder: Finder,
    entry: Entry,
    array: HDF5Array | MissingArray,
    motions: Mapping[str, Motion],
    points: int,
) -> xr.Dataset:
    only(finder.options, ANGLES | {"dataset"}, "a sinogram", path=finder.path)
    grid = array.shape[:points]
    along = {d: _along_one_axis(finder, m, grid, d) for d, m in motions.items()}
    coords: dict[str, Any] = {
        dim: xr.Variable((dim,) if axis is not None else (), values)
        for dim, (axis, values) in along.items()
    }
    if "z" not in along:
        finder.note("z: no height is stated; it is 0")
        coords["z"] = xr.Variable((), 0.0)
    axes = {dim: axis for dim, (axis, _) in along.items() if axis is not None}
    unclaimed = [n for axis, n in enumerate(grid) if axis not in axes.values() and n > 1]
    if unclaimed or len(set(axes.values())) != len(axes):
        raise SourceError(
            f"{finder.path}: {entry.path} is no scan that rotates and translates",
            got=f"shape {array.shape}; positions move along the axes {axes}",
            expected="theta, x and y each along an axis of their own",
        )
    dims: list[str] = [dim for dim in ("z", "angle", "u") if dim in axes]
    order = tuple(axes[dim] for dim in dims)
    if len(array.shape) == points + 1:
        coords["q"] = _q(finder, entry, array.shape[-1])
        dims, order = [*dims, "q"], (*order, points)
    elif len(array.shape) != points:
        raise SourceError(
            f"{finder.path}: {entry.path} is neither frames, patterns nor one number a point",
            got=f"shape {array.shape} for {points} scan axes",
        )
    intensity = xr.Variable(dims, indexing.LazilyIndexedArray(View(array, order)))
    ds = xr.Dataset({"intensity": intensity}, coords | _scalars(finder, entry, motions))
    ds = _with_monitor(finder, entry, ds, grid, axes)
    ds = labels.finish(ds, schema.SINOGRAM, reader=NAME, source=finder.files, notes=finder.notes)
    ds["intensity"].attrs["units"] = "counts"
    if isinstance(array, MissingArray):
        ds.attrs["missing"] = [array.entry("intensity")]
    return ds


def _along_one_axis(
    finder: Finder, motion: Motion, grid: tuple[int, ...], dim: str
) -> tuple[int | None, Array]:
    """The axis along which a motor moves, and its positions there; None where it rests.

    Raises
    ------
    SourceError
        Where the positions are not those of a grid.
    """
    unit = "deg" if dim == "angle" else "um"
    full = motors.spread(finder, motion, grid, what=dim)
    motor = Motor(motion.name, full, unit, tuple(range(len(grid))))
    axis = motor.varies()
    if motor.span(axis) == 0 and np.isfinite(full).all():
        return None, full.reshape(-1)[0]
    line = motors.along(motor, axis, unit, path=finder.path, notes=finder.notes, most=STEP)
    if not np.isfinite(line).all():
        raise SourceError(
            f"{finder.path}: {int(np.sum(~np.isfinite(line)))} of {line.size} positions of {dim} "
            "are not known",
            got=f"{motion.name} of the shape {motion.values.shape} for scan points {grid}",
            expected="a finite position for each step of the scan",
            do="integrate the frames, which are gridded by their positions",
        )
    return axis, line


def _q(finder: Finder, entry: Entry, size: int) -> xr.Variable:
    found = finder.series((f"{entry.path}/data/q",), "1/angstrom", what="q", bare=None)
    if found is None or found[1].size != size:
        raise SourceError(
            f"{finder.path}: {entry.path} has patterns without an axis that says their q",
            got="; ".join(n for n in finder.notes if n.startswith("q:")) or "no data/q",
            expected=f"{entry.path}/data/q of {size} values, with its unit",
        )
    return xr.Variable(("q",), found[1].ravel())


def _with_monitor(
    finder: Finder, entry: Entry, ds: xr.Dataset, grid: tuple[int, ...], axes: Mapping[str, int]
) -> xr.Dataset:
    array = finder.frames((f"{entry.path}/monitor/data",), "monitor")
    if array is None or isinstance(array, MissingArray):
        return ds
    if array.shape != grid:
        finder.note(f"monitor: its shape {array.shape} is not that of the scan {grid}; ignored")
        return ds
    dims = [dim for dim in ("z", "angle", "u") if dim in axes]
    view = View(array, tuple(axes[dim] for dim in dims))
    attrs = {"units": schema.MONITOR.units, "long_name": schema.MONITOR.doc}
    return ds.assign(monitor=xr.Variable(dims, indexing.LazilyIndexedArray(view), attrs))


READER = Reader(
    name=NAME,
    looks_for="an NXxrd or NXstxm entry with data/theta and data/x (I18 pencil beam)",
    recognise=recognise,
    read=read,
    takes=raster.TAKES,
)
READERS = (READER,)
