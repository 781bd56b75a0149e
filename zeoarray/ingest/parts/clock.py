"""When each frame began, as well as a file tells: what interpolating between flats needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from zeoarray.ingest.parts.finder import Finder


def exposure(finder: Finder, names: Sequence[str]) -> float | None:
    """Exposure [s] that the file states; None where it states none that can be believed."""
    return finder.number(names, "s", what="exposure", within=(1e-7, 1e5), bare="s")


def times(
    finder: Finder, names: Sequence[str], exposure_names: Sequence[str], frames: int
) -> xr.Variable:
    """Start of every frame since the first, on one clock for projections, flats and darks.

    Timestamps are taken where the file has them. Where only the order of the frames is known, it
    is the clock: linear interpolation in it weighs two flats as interpolation in time would if
    frames came at a steady rate, whatever the rate, so no rate is invented. An exposure only sets
    its scale (the dead time between frames stays unknown).

    Parameters
    ----------
    finder
        The open file.
    names, exposure_names
        Where timestamps and exposures may be.
    frames
        How many frames there are.

    Returns
    -------
    xarray.Variable
        Along `frame`, in s, or in 1 where it is the number of the frame; ``attrs["clock"]`` says
        what it is.
    """
    for name in names:
        bare = "ms" if name.endswith("_ms") else "s"
        found = finder.series((name,), "s", what="time", bare=bare)
        if found is None:
            continue
        values = found[1].ravel()
        if values.size != frames:
            finder.note(f"time: {name} has {values.size} values for {frames} frames; ignored")
        elif not np.all(np.isfinite(values)) or np.ptp(values) == 0:
            finder.note(f"time: {name} is constant or not finite; ignored")
        else:
            return _variable(values - values[0], "s", f"timestamps of {name}")
    order = np.arange(frames, dtype=float)
    each = finder.stated("exposure", exposure(finder, exposure_names))
    if each is None:
        return _variable(order, "1", "number of the frame; the file states no times")
    return _variable(
        order * each, "s", "number of the frame times the exposure; dead time is not known"
    )


def _variable(values: np.ndarray, unit: str, clock: str) -> xr.Variable:
    return xr.Variable(("frame",), values, {"units": unit, "clock": clock})
