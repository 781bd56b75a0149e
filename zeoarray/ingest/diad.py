"""DIAD (K11) at Diamond: raw XCT and raw XRD-CT, whose data lie in linked files.

DIAD moves the beam over a sample at rest (J. Appl. Cryst. 59 (2026) 1, "The moving-beam
diffraction geometry"): KB mirrors set `u` and `z`, the stage `gts` the angle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from zeoarray.errors import SourceError
from zeoarray.ingest.parts import hdf5, motors, raster, tomo
from zeoarray.ingest.parts.finder import Finder, Places
from zeoarray.ingest.parts.motors import Motion
from zeoarray.ingest.reader import Options, Reader

XCT, XRDCT = "diad-xct", "diad-xrdct"
IMAGING, DIFFRACTION = "entry/imaging/data", "entry/diffraction/data"
ASKED = ("_value_set", ".value_set")
READ_BACK = ("", "_value", ".value")
"""A motor is recorded as it was asked for, and as it was read back, under these names."""
THETA = ("gts_cs_theta", "gts_theta")
ENERGY = ("entry/instrument/monochromator/energy", "entry/instrument/dcm/energy")
"""``instrument/source/energy`` is that of the storage ring."""


def _recorded(group: str, motors: tuple[str, ...], suffixes: tuple[str, ...]) -> tuple[str, ...]:
    folders = (f"{group}_sum", f"{group}.sum", group)
    return tuple(f"{f}/{m}{s}" for m in motors for s in suffixes for f in folders)


_CAMERA = "entry/instrument/imaging"
XCT_PLACES = Places(
    frames=(IMAGING, f"{_CAMERA}/data"),
    image_key=(f"{_CAMERA}/image_key",),
    angle=(
        # Rotation is continuous and triggered by position: what was asked for is what was met.
        *_recorded("entry/imaging", THETA, ASKED + READ_BACK),
        *(f"entry/instrument/{m}/{v}" for m in THETA for v in ("value_set", "value")),
    ),
    time=(f"{_CAMERA}/start_time",),
    exposure=(f"{_CAMERA}/count_time",),
    pixel_x=(f"{_CAMERA}/x_pixel_size",),
    pixel_y=(f"{_CAMERA}/y_pixel_size",),
    energy=ENERGY,
    distance=(f"{_CAMERA}/distance",),
    ring_current=_recorded("entry/imaging", ("RingCurrent", "ring_current"), ("",)),
)


def _has(path: Path, name: str) -> bool:
    return hdf5.holds(path, lambda file: hdf5.resolve(file, name))


def recognise_xct(path: Path) -> bool:
    """Whether the file has camera frames (or a link to them) and their image key."""
    return _has(path, IMAGING) and _has(path, f"{_CAMERA}/image_key")


def read_xct(path: Path, options: Options) -> xr.Dataset:
    """Return the scan as `counts`, `flat` and `dark`, lazily; missing files may be missing.

    Parameters
    ----------
    path
        The scan's NeXus file, with or without the files it links to.
    options
        What the user states; the file states neither a pixel size nor an X-ray energy.

    Raises
    ------
    SourceError
        Where frames, keys and angles do not fit each other, or no angle can be reached.
    MissingMetadataError
        Where no pixel size is given.
    """
    with hdf5.opened(path) as file:
        finder = Finder(file, options)
        places = XCT_PLACES
        if options.dataset is not None:
            if hdf5.resolve(file, options.dataset, options.link_root) is None:
                raise hdf5.absent(file, options.dataset)
            places = replace(places, frames=(options.dataset,))
        return tomo.read(finder, places, reader=XCT)


def recognise_xrdct(path: Path) -> bool:
    """Whether the file has diffraction frames, or a link to them."""
    return _has(path, DIFFRACTION)


@dataclass(frozen=True)
class Role:
    """The motors that may set one coordinate, likeliest first, and what they are at rest."""

    motors: tuple[str, ...]
    unit: str
    bare: str
    """Unit of positions whose unit is not stated."""
    at_rest: tuple[str, ...]
    """Where the position before the scan is kept."""


ROLES = {
    "angle": Role(THETA, "deg", "deg", ("entry/instrument/gts/gts_theta",)),
    "u": Role(
        ("kb_cs_x", "kb_x", "gts_cs_x", "gts_x"),
        "um",
        "mm",
        ("entry/instrument/KB/kb_x",),
    ),
    "z": Role(
        ("kb_cs_y", "kb_y", "gts_cs_y", "gts_y"),
        "um",
        "mm",
        # Layers are reached by raising the sample.
        ("entry/instrument/gts/gts_y", "entry/instrument/KB/kb_y"),
    ),
}
GROUP = "entry/diffraction"
_DETECTOR = "entry/instrument/diffraction"
_MONITORS = ("monitor", "I0", "i0", "ion_chamber", "ionc_i", "ionc")
READINGS = {
    "monitor": ((*(f"{GROUP}/{m}" for m in _MONITORS), "entry/monitor/data"), "1"),
    "ring_current": ((f"{GROUP}/RingCurrent", f"{GROUP}/ring_current"), "mA"),
}
"""Where what is read beside the frames may be, and its unit."""
FARTHEST_MM = 50
"""No beam of DIAD moves farther: greater positions are pixels of the imaging camera."""


def read_xrdct(path: Path, options: Options) -> xr.Dataset:
    """Return the diffraction frames as one list, each with its angle, u and z, lazily.

    ``entry/diffraction/data`` is (rotation, translation, y, x), with any number of scan axes, or
    a list (frame, y, x).

    Parameters
    ----------
    path
        The scan's NeXus file, with or without the files it links to.
    options
        What the user states; the file does not state the beam's size.

    Raises
    ------
    SourceError
        Where frames and positions do not fit each other, or there is no angle or u.
    MissingMetadataError
        Where no beam size is given.
    """
    with hdf5.opened(path) as file:
        finder = Finder(file, options)
        motions = {name: _motion(finder, name) for name in ROLES}
        name = options.dataset or DIFFRACTION
        array = finder.frames((name,), "counts", shape_if_missing=(*motors.grid_of(motions), 0, 0))
        if array is None:
            raise hdf5.absent(file, name)
        grid = array.shape[:-2]
        for reading, (names, unit) in READINGS.items():
            found = finder.series(names, unit, what=reading, bare=unit)
            motions |= motors.reading(finder, reading, found, grid)
        keys = finder.values((f"{_DETECTOR}/image_key",), what="image_key")
        return raster.frames(
            finder,
            array,
            motions,
            keys=None if keys is None else keys.values,
            scalars=_scalars(finder, motions),
            reader=XRDCT,
        )


def _motion(finder: Finder, what: str) -> Motion:
    """The motor that sets `what`: the first that moves during the scan, else the first there is."""
    role = ROLES[what]
    given = motors.given_angles(finder) if what == "angle" else None
    if given is not None:
        return given
    names = _recorded_names(finder, role) or role.at_rest
    if role.unit == "um" and (pixels := _in_pixels(finder, names[-1], what)) is not None:
        return pixels
    found = finder.series(names, role.unit, what=what, bare=role.bare)
    if found is None and what == "z" and names is role.at_rest:
        finder.note("z: no height is stated; it is 0")
        return Motion("no motor", np.zeros(1))
    if found is None:
        said = [note for note in finder.notes if note.startswith(f"{what}:")]
        raise SourceError(
            f"{finder.path}: the positions of {what} cannot be found",
            got="; ".join(said) or "no such motor in the file",
            expected="one of " + ", ".join(f"{GROUP}/{m}" for m in role.motors),
            do="--link-root OLD=NEW where linked files were moved; --mapping FILE where the motors "
            "have other names",
        )
    name, values = found
    return Motion(name, values, motors.axes_of(finder, name))


def _recorded_names(finder: Finder, role: Role) -> tuple[str, ...]:
    """Where the motor is recorded that moves, with the links before it that lead nowhere.

    A motor that rests is taken only where none is out of reach, for that one may have moved.
    """
    resting: list[str] = []
    gone: list[str] = []
    for motor in role.motors:
        dangling: list[str] = []
        reachable: list[str] = []
        for name in _recorded(GROUP, (motor,), READ_BACK + ASKED):
            place = hdf5.resolve(finder.file, name, finder.options.link_root)
            if place is not None:
                (dangling if place.dangling else reachable).append(name)
        for name in reachable:
            if _moves(finder, name):
                return (*gone, *dangling, name)
        resting += reachable
        gone += [] if reachable else dangling
    return tuple(gone or resting[:1])


def _moves(finder: Finder, name: str) -> bool:
    read = hdf5.read(finder.file, name, link_root=finder.options.link_root)
    if read is None or read[0].dtype.kind not in "uif" or read[0].size < 2:
        return False
    return bool(np.nanmax(read[0]) > np.nanmin(read[0])) if np.isfinite(read[0]).any() else False


def _in_pixels(finder: Finder, name: str, what: str) -> Motion | None:
    """Positions of the mirrors where these are pixels of the imaging camera, else None.

    The KB coordinate system is that of the camera's image, whatever units the file says.
    """
    read = hdf5.read(finder.file, name, link_root=finder.options.link_root)
    if "kb_cs" not in name or read is None or read[0].dtype.kind not in "uif":
        return None
    values, said = read[0].astype(float), str(read[1].get("units", "mm")).lower()
    far = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    if not said.startswith(("px", "pix")) and (said != "mm" or far <= FARTHEST_MM):
        return None
    pixel = finder.options.need("pixel_size", path=finder.path) or 1.0
    finder.note(
        f"{what}: {name} reaches {far:g} {said}; it is taken as pixels of the imaging camera, of "
        f"{pixel:g} um"
    )
    found = finder.values((name,), what=what)
    return None if found is None else Motion(name, values * pixel, motors.axes_of(finder, name))


def _scalars(finder: Finder, motions: dict[str, Motion]) -> dict[str, xr.Variable]:
    return raster.scalars(
        finder,
        energy=ENERGY,
        distance=(f"{_DETECTOR}/distance",),
        exposure=(f"{_DETECTOR}/count_time",),
        sample_moves={dim: "gts" in motions[dim].name for dim in ("u", "z")},
    )


READERS = (
    Reader(
        name=XCT,
        looks_for=f"DIAD (K11) imaging: {IMAGING} and {_CAMERA}/image_key",
        recognise=recognise_xct,
        read=read_xct,
        takes=tomo.TAKES,
    ),
    Reader(
        name=XRDCT,
        looks_for=f"DIAD (K11) diffraction frames: {DIFFRACTION}",
        recognise=recognise_xrdct,
        read=read_xrdct,
        takes=raster.TAKES,
    ),
)
