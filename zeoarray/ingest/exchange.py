"""APS Data Exchange: ``/exchange/data``, ``data_white``, ``data_dark`` and ``theta``.

De Carlo et al., Scientific data exchange: a schema for HDF5-based storage of raw and analyzed
data, J. Synchrotron Rad. 21 (2014) 1224, doi:10.1107/S160057751401604X.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from zeoarray.errors import SourceError
from zeoarray.ingest.parts import flats, hdf5, labels, projections, tomo
from zeoarray.ingest.parts.arrays import MissingArray, check_images
from zeoarray.ingest.parts.finder import Finder, Places
from zeoarray.ingest.parts.views import View
from zeoarray.ingest.reader import Options, Reader

NAME = "exchange"
DATA = "exchange/data"
_INSTRUMENT = "measurement/instrument"
_SETUP = f"{_INSTRUMENT}/%s/setup/%s_distance"
PLACES = Places(
    frames=(DATA,),
    angle=("exchange/theta",),
    exposure=(f"{_INSTRUMENT}/detector/exposure_time", f"{_INSTRUMENT}/camera/exposure_time"),
    # detector/pixel_size is the camera's, before the objective: not the pixel at the sample.
    pixel_x=(
        f"{_INSTRUMENT}/detection_system/objective/resolution",
        f"{_INSTRUMENT}/detector/actual_pixel_size_x",
    ),
    pixel_y=(
        f"{_INSTRUMENT}/detection_system/objective/resolution",
        f"{_INSTRUMENT}/detector/actual_pixel_size_y",
    ),
    energy=(f"{_INSTRUMENT}/monochromator/energy",),
    wavelength=(f"{_INSTRUMENT}/monochromator/wavelength",),
    distance=(
        _SETUP % ("camera_motor_stack", "camera"),
        _SETUP % ("detector_motor_stack", "detector"),
    ),
)


def recognise(path: Path) -> bool:
    """Whether the file has ``/exchange/data``, or a link of that name."""
    return hdf5.holds(path, lambda file: hdf5.resolve(file, DATA))


def read(path: Path, options: Options) -> xr.Dataset:
    """Return the scan as `counts`, `flat` and `dark`, lazily.

    The format does not say when flats and darks were taken, so no frame has a time.

    Parameters
    ----------
    path
        A Data Exchange file.
    options
        What the user states about it; `dataset` names other projections in the file.

    Raises
    ------
    SourceError
        Where frames and angles do not fit each other, or frames are not (theta, y, x).
    MissingMetadataError
        Where the pixel size is nowhere stated.
    """
    with hdf5.opened(path) as file:
        finder = Finder(file, options)
        name = options.dataset or DATA
        _check_axes(finder, name)
        stated = finder.values(PLACES.angle, what="angle")
        count = 0 if stated is None else stated.values.size
        array = finder.frames((name,), "counts", shape_if_missing=(count, 0, 0))
        if array is None:
            raise hdf5.absent(file, name)
        check_images(array, one_axis=True)
        frames = array.shape[0]
        kept = labels.kept(finder, frames)
        angle = projections.angles(finder, PLACES, np.zeros(frames, dtype=int), kept)
        stacks = {"counts": flats.Stack(array, kept)} | _beside(finder)
        if len(stacks) > 1:
            finder.note("the format does not say when flats and darks were taken: no times")
        for other in set(stacks) - {"counts"}:
            flats.check_size(finder, other, path.name, stacks[other].array, array)
        pixel_um = tomo.pixel_sizes(finder, PLACES)
        facts = tomo.scalars(finder, PLACES)
        return tomo.assemble(finder, stacks, angle, pixel_um=pixel_um, scalars=facts, reader=NAME)


def _check_axes(finder: Finder, name: str) -> None:
    """Raise where the file says that projections are not the first axis."""
    place = hdf5.resolve(finder.file, name, finder.options.link_root)
    if place is None or place.dangling:
        return
    with hdf5.opened(place.file) as target:
        said = str(hdf5.text(target[place.dataset].attrs.get("axes", "theta")))
    first = said.replace(",", ":").split(":")[0].strip().lower()
    if first not in ("theta", "angle"):
        raise SourceError(
            f"{finder.path}: the frames of {name} are not projections",
            got=f"axes {said!r}",
            expected="theta:y:x",
            do="write a mapping that names the dims: --mapping layout.yaml",
        )


def _beside(finder: Finder) -> dict[str, flats.Stack]:
    out = {}
    for kind, name in (("flat", "exchange/data_white"), ("dark", "exchange/data_dark")):
        array = finder.frames((name,), kind, shape_if_missing=(0, 0, 0))
        if array is None:
            continue
        if 0 in array.shape and not isinstance(array, MissingArray):
            finder.note(f"{name} holds nothing")
        elif len(array.shape) == 2:
            # An averaged frame: a stack of one.
            out[kind] = flats.Stack(View(array, (None, 0, 1)), np.arange(1))
        else:
            check_images(array, one_axis=True)
            out[kind] = flats.Stack(array, np.arange(array.shape[0]))
    return out


READER = Reader(
    name=NAME,
    looks_for="APS Data Exchange: the dataset /exchange/data",
    recognise=recognise,
    read=read,
    takes=tomo.TAKES,
)
READERS = (READER,)
