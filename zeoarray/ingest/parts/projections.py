"""The angle of each projection, from angles of all frames or of the projections alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from zeoarray.errors import MissingMetadataError, SourceError
from zeoarray.ingest.parts.angles import given
from zeoarray.ingest.parts.arrays import Array
from zeoarray.ingest.parts.finder import Finder, Places

PROJECTION = 0
"""What NXtomo's image_key says of a projection."""


def angles(finder: Finder, places: Places, keys: Array, kept: Array) -> xr.Variable:
    """The angle [deg] of each kept projection, from the options or the file.

    Parameters
    ----------
    finder, places
        The open file, and where the angles may be in it.
    keys
        The kind of every frame, as NXtomo's image_key.
    kept
        Numbers of the projections that are used.

    Returns
    -------
    xarray.Variable
        Along `angle`; ``attrs["from"]`` says where it is from.

    Raises
    ------
    SourceError
        Where there are no projections, not as many angles as frames or projections, or some that
        are not finite.
    MissingMetadataError
        Where there are no angles.
    """
    projections = np.flatnonzero(keys == PROJECTION)
    if keys.size and not kept.size:
        counted = ", ".join(f"{int(np.sum(keys == k))} of {k}" for k in np.unique(keys))
        raise SourceError(
            f"{finder.path}: there are no projections",
            got=f"image_key: {counted}; {projections.size} of the projections are ignored",
            expected="frames of image_key 0",
        )
    values, where = given(finder) or _stated(finder, places, keys.size)
    chosen = match(
        values,
        frames=keys.size,
        projections=projections,
        kept=kept,
        path=finder.path,
        where=where,
    )
    steps = np.diff(chosen)
    if not (np.all(steps >= 0) or np.all(steps <= 0)):
        finder.note("the angles are not in order; projections stay in the order of the file")
    return xr.Variable(("angle",), chosen, {"from": where})


def _stated(finder: Finder, places: Places, frames: int) -> tuple[Array, str]:
    found = finder.series(places.angle, "deg", what="angle", bare="deg")
    if found is None and finder.options.partial:
        finder.note("angle: it cannot be found, and counts the frames instead")
        return np.arange(frames, dtype=float), "the number of the frame"
    if found is None:
        raise MissingMetadataError(
            f"{finder.path}: the angles of the projections cannot be found",
            got="; ".join(n for n in finder.notes if n.startswith("angle:")) or None,
            expected="one of " + ", ".join(places.angle[:4]),
            do="--angles FILE, one angle [deg] on each line",
        )
    return found[1].ravel(), found[0]


def match(
    angles: Array, *, frames: int, projections: Array, kept: Array, path: Path, where: str
) -> Array:
    """The angles of the kept projections, from angles of all frames or of projections.

    Parameters
    ----------
    angles
        One [deg] for every frame, or every projection, or every kept projection.
    frames
        How many frames the file holds, flats and darks included.
    projections, kept
        Numbers of the frames that are projections, and of those that are used.
    path, where
        The scan's file, and where the angles come from, for the message.

    Raises
    ------
    SourceError
        Where their count is none of these, or one that is needed is NaN or infinite.
    """
    chosen: Array
    if angles.size == frames:
        chosen = angles[kept]
    elif angles.size == projections.size:
        chosen = angles[np.isin(projections, kept)]
    elif angles.size == kept.size:
        chosen = angles
    else:
        raise SourceError(
            f"{path}: the angles do not match the frames",
            got=f"{angles.size} angles in {where}",
            expected=f"{frames} (one for every frame) or {projections.size} (one for every "
            "projection)",
            do="--angles FILE with the right number, and --angle-lines to choose lines of it",
        )
    bad = np.flatnonzero(~np.isfinite(chosen))
    if bad.size:
        raise SourceError(
            f"{path}: {bad.size} of {chosen.size} projections have no angle",
            got=f"{chosen[bad[0]]} in {where}, first for frame {kept[bad[0]]}",
            expected="a finite angle for each",
            do=f"--ignore {kept[bad[0]]} (and so on) to leave such frames out, or --angles FILE",
        )
    return chosen
