"""An XRD-CT scan as a list of frames at motor positions, from frames on a grid of scan points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import SourceError
from zeoarray.ingest.parts import labels, motors, setting
from zeoarray.ingest.parts.arrays import (
    Array,
    HDF5Array,
    MissingArray,
    as_slice,
    check_images,
    flattened,
    variable,
)
from zeoarray.ingest.parts.finder import Finder
from zeoarray.ingest.reader import ANGLES, GEOMETRY, scalar

POSITIONS = ("angle", "u", "z")
TAKES = ANGLES | GEOMETRY | {"dataset", "ignore"}
"""Options that mean something to diffraction frames in an HDF5 file."""


def frames(
    finder: Finder,
    array: HDF5Array | MissingArray,
    motions: Mapping[str, motors.Motion],
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
    check_images(array, one_axis=False)
    grid = array.shape[:-2]
    listed = {n: motors.spread(finder, m, grid, what=n).ravel() for n, m in motions.items()}
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
    ds = xr.Dataset({"counts": whole[as_slice(kept)]}, coords | dict(scalars))
    ds = labels.finish(
        ds, schema.SCAN_XRDCT, reader=reader, source=finder.files, notes=finder.notes
    )
    return (
        ds.assign_attrs(missing=[array.entry("counts")]) if isinstance(array, MissingArray) else ds
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
