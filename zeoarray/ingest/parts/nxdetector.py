"""A detector's place in space from a NeXus calibration, as DAWN writes it.

DAWN and NeXus look along the beam: z is the beam, y up, x to the left. An image is given by the
corner of its first pixel and by the steps to the next column and row, all in metres. Older files
of DAWN state the beam centre [px], the distance along the beam, and a matrix that takes the
laboratory's axes to the detector's, whose x and y oppose columns and rows; newer ones a chain of
transformations (https://doi.org/10.1107/S1600576714027575).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from zeoarray import units
from zeoarray.errors import SourceError, UnitError
from zeoarray.ingest.parts import hdf5
from zeoarray.ingest.parts.poni import Poni

Array = np.ndarray[Any, Any]

_MOST_STEPS = 32


@dataclass(frozen=True)
class Placed:
    """Where a detector is. Vectors in metres."""

    corner: Array
    column: Array
    """From a pixel to the next of its row."""
    row: Array
    shape: tuple[int, int] | None
    """Rows, columns; None where the file does not state them."""


def read_detector(file: h5py.File, path: Path, name: str | None = None) -> Placed:
    """Read the one calibrated detector of a file.

    Raises
    ------
    SourceError
        Where there is none, several, or one whose place is not stated.
    """
    found = [
        place.rpartition("/")[0]
        for place in hdf5.datasets(file)
        if place.endswith(("/beam_center_x", "/fast_pixel_direction"))
    ]
    # A module lies within its detector.
    detectors = sorted({_detector_of(file, group) for group in found})
    if name:
        detectors = [group for group in detectors if group.strip("/") == name.strip("/")]
    if len(detectors) != 1:
        raise SourceError(
            f"{path} does not hold one calibrated detector",
            got=", ".join(detectors) or "no beam_center_x and no fast_pixel_direction",
            expected="NXdetector with beam centre, distance, pixel size and orientation",
            do=f"name it: {path.name}::{detectors[0]}" if detectors else None,
        )
    detector = detectors[0]
    modules = [group for group in found if group.startswith(detector + "/")]
    if modules:
        return _module(file, path, detector, modules[0])
    return _centred(file, path, detector)


def _detector_of(file: h5py.File, group: str) -> str:
    stated = str(hdf5.text(file[group].attrs.get("NX_class", "")))
    return group.rpartition("/")[0] if stated == "NXdetector_module" else group


# --- beam centre, distance and matrix ---------------------------------------------------------


def _centred(file: h5py.File, path: Path, detector: str) -> Placed:
    pixel_x, pixel_y = (_length(file, path, f"{detector}/{a}_pixel_size") for a in "xy")
    distance = _length(file, path, f"{detector}/distance")
    centre = [
        _pixels(file, path, f"{detector}/beam_center_{axis}", pixel)
        for axis, pixel in (("x", pixel_x), ("y", pixel_y))
    ]
    matrix = hdf5.read(file, f"{detector}/detector_orientation")
    turn = np.eye(3) if matrix is None else np.asarray(matrix[0], float).ravel()
    if turn.size != 9 or not np.allclose(
        turn.reshape(3, 3) @ turn.reshape(3, 3).T, np.eye(3), atol=1e-4
    ):
        raise SourceError(
            f"{path}: {detector}/detector_orientation is not a rotation",
            got=f"{turn.size} numbers",
            expected="9 numbers of an orthogonal matrix",
        )
    back = turn.reshape(3, 3).T
    column, row = back @ (-pixel_x, 0.0, 0.0), back @ (0.0, -pixel_y, 0.0)
    corner = np.array([0.0, 0.0, distance]) - centre[0] * column - centre[1] * row
    sizes = [hdf5.read(file, f"{detector}/{axis}_pixel_number") for axis in "yx"]
    shape = None if None in sizes else tuple(int(np.ravel(n[0])[0]) for n in sizes if n)
    return Placed(corner, column, row, (shape[0], shape[1]) if shape else None)


def _length(file: h5py.File, path: Path, name: str) -> float:
    read = hdf5.read(file, name)
    if read is None:
        raise SourceError(f"{path} has no {name}", expected="a length with its unit")
    value = float(np.ravel(read[0])[0])
    try:
        metres = units.convert(value, str(read[1].get("units", "no unit")), "m")
    except UnitError as error:
        raise SourceError(
            f"{path}: {name} is not a length", got=f"units {read[1].get('units')!r}"
        ) from error
    if not (math.isfinite(metres) and metres > 0):
        raise SourceError(f"{path}: {name} is {value:g}", expected="more than 0")
    return metres


def _pixels(file: h5py.File, path: Path, name: str, pixel: float) -> float:
    read = hdf5.read(file, name)
    if read is None:
        raise SourceError(f"{path} has no {name}", expected="the beam centre")
    value, unit = float(np.ravel(read[0])[0]), str(read[1].get("units", "pixels"))
    try:
        if units.UNITS[units.canonical(unit)][0] == "pixel":
            return value
        return units.convert(value, unit, "m") / pixel
    except UnitError as error:
        raise SourceError(
            f"{path}: {name} is neither in pixels nor a length", got=f"units {unit!r}"
        ) from error


# --- chains of transformations ------------------------------------------------------------------


def _module(file: h5py.File, path: Path, detector: str, module: str) -> Placed:
    fast, slow = f"{module}/fast_pixel_direction", f"{module}/slow_pixel_direction"
    steps = {}
    for name in (fast, slow):
        # A direction is a translation by one pixel; what it depends on is where the image lies.
        size, vector = _length(file, path, name), _vector(file, path, name)
        turn = _chain(file, path, name)
        steps[name] = turn[:3, :3] @ (size * vector)
    corner = _chain(file, path, fast)[:3, 3]
    stated = hdf5.read(file, f"{module}/data_size")
    shape = None if stated is None else tuple(int(n) for n in np.ravel(stated[0])[-2:])
    return Placed(corner, steps[fast], steps[slow], (shape[0], shape[1]) if shape else None)


def _vector(file: h5py.File, path: Path, name: str) -> Array:
    vector = np.ravel(np.asarray(file[name].attrs.get("vector", ()), float))
    if vector.size != 3 or not np.linalg.norm(vector) > 0:
        raise SourceError(
            f"{path}: {name} has no direction", expected="attribute vector, 3 numbers"
        )
    return np.asarray(vector / np.linalg.norm(vector))


def _chain(file: h5py.File, path: Path, name: str) -> Array:
    """The 4x4 matrix from the frame of `name` to the laboratory, its own pixel step left out."""
    total = np.eye(4)
    for _ in range(_MOST_STEPS):
        total = _transformation(file, path, name) @ total
        following = str(hdf5.text(file[name].attrs.get("depends_on", ".")))
        if following in (".", ""):
            return total
        name = following if following.startswith("/") else f"{name.rpartition('/')[0]}/{following}"
        name = name.replace("/./", "/")
        if hdf5.resolve(file, name) is None or not isinstance(file.get(name), h5py.Dataset):
            raise SourceError(f"{path}: the place of the detector depends on {name}, not there")
    raise SourceError(f"{path}: the transformations of the detector go in a circle")


def _transformation(file: h5py.File, path: Path, name: str) -> Array:
    attrs = {key: hdf5.text(value) for key, value in file[name].attrs.items()}
    value = float(np.ravel(file[name][()])[0])
    out = np.eye(4)
    offset = np.ravel(np.asarray(file[name].attrs.get("offset", np.zeros(3)), float))
    if offset.any():
        out[:3, 3] = offset * units.factor(str(attrs.get("offset_units", "mm")), "m")
    if name.endswith("_pixel_direction"):
        return out
    kind = attrs.get("transformation_type")
    if kind == "translation":
        out[:3, 3] += _vector(file, path, name) * units.convert(value, str(attrs["units"]), "m")
    elif kind == "rotation":
        angle = units.convert(value, str(attrs.get("units", "deg")), "rad")
        x, y, z = _vector(file, path, name)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        # Rodrigues' formula.
        out[:3, :3] += math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    else:
        raise SourceError(
            f"{path}: {name} does not say how it moves the detector",
            got=f"transformation_type {kind!r}",
            expected="translation or rotation",
        )
    return out


# --- to pyFAI -----------------------------------------------------------------------------------


def to_poni(placed: Placed, shape: tuple[int, int], *, path: Path) -> Poni:
    """Return the place of a detector as pyFAI states it.

    pyFAI's axes are 1 up, 2 to the right, 3 along the beam, looking along it. It measures along 1
    from the lowest row and along 2 from the rightmost column as seen from behind the detector, so
    an image whose first row is the highest has the orientation 2, mirrored 1 (see
    `pyFAI.detectors.orientation`).

    Parameters
    ----------
    placed
        Corner and steps in the laboratory.
    shape
        Rows and columns of the image.
    path
        For messages.

    Raises
    ------
    SourceError
        Where the beam misses the plane of the detector, or rows and columns are not at a right
        angle.
    """
    pixel1, pixel2 = float(np.linalg.norm(placed.row)), float(np.linalg.norm(placed.column))
    down, along = placed.row / pixel1, placed.column / pixel2
    if abs(down @ along) > 1e-6:
        raise SourceError(f"{path}: rows and columns of the detector are not at a right angle")
    orientation, across = 2, along
    normal = np.cross(-down, across)
    if normal @ placed.corner < 0:
        orientation, across = 1, -along
        normal = -normal
    distance = float(normal @ placed.corner)
    if not distance > 0:
        raise SourceError(f"{path}: the sample lies in the plane of the detector")
    foot = distance * normal - placed.corner
    row, column = float(foot @ down) / pixel1, float(foot @ along) / pixel2
    to_pyfai = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turn = to_pyfai @ np.column_stack([-down, across, normal])
    return Poni(
        distance=distance,
        poni1=(shape[0] - row) * pixel1,
        poni2=(column if orientation == 2 else shape[1] - column) * pixel2,
        rot1=math.atan2(-turn[2, 1], turn[2, 2]),
        rot2=math.asin(max(-1.0, min(1.0, turn[2, 0]))),
        rot3=math.atan2(turn[1, 0], turn[0, 0]),
        pixel1=pixel1,
        pixel2=pixel2,
        orientation=orientation,
    )
