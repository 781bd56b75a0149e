"""An XCT scan put together from its pieces, wherever a file keeps them.

A reader says where things are (`Places`) or finds them itself; this module sorts the frames by
their image key, matches the angles, gives every frame a time, crops, and labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import SourceError
from zeoarray.ingest.parts import clock, flats, labels, setting
from zeoarray.ingest.parts.arrays import Array, MissingArray, as_slice, check_images, variable
from zeoarray.ingest.parts.finder import Account, Finder, Places
from zeoarray.ingest.parts.flats import Stack
from zeoarray.ingest.parts.projections import PROJECTION, angles
from zeoarray.ingest.reader import ANGLES, detector_size, position, scalar
from zeoarray.kernels.references import sets_of

FLAT, DARK, INVALID, ALIGNMENT = 1, 2, 3, -1
"""What the image_key of NXtomo says of a frame, beside `PROJECTION`."""
KINDS = {"counts": PROJECTION, "flat": FLAT, "dark": DARK}
DIMS = {
    "counts": ("angle", "z", "u"),
    "flat": ("flat_frame", "z", "u"),
    "dark": ("dark_frame", "z", "u"),
}
TAKES = ANGLES | {"dataset", "flats", "darks", "ignore", "crop"}
"""Options that mean something to a tomography in an HDF5 file."""
TIMES = {"counts": "time", "flat": "flat_time", "dark": "dark_time"}


def read(finder: Finder, places: Places, *, reader: str) -> xr.Dataset:
    """Return the scan whose frames are told apart by an image key.

    Parameters
    ----------
    finder
        The open file and the user's options.
    places
        Where its pieces may be.
    reader
        Name of the reader.

    Raises
    ------
    SourceError
        Where frames, keys and angles do not fit each other, or there are no projections.
    """
    keys = _image_key(finder, places)
    known = () if keys is None else (keys.size, 0, 0)
    array = finder.frames(places.frames, "counts", shape_if_missing=known)
    if array is None:
        raise SourceError(
            f"{finder.path}: there are no frames",
            expected="a 3D dataset at one of " + ", ".join(places.frames[:4]),
            do="--dataset PATH, where they are elsewhere in the file",
        )
    check_images(array, one_axis=True)
    frames = array.shape[0] if array.ndim == 3 else 0
    if keys is None:
        finder.note("there is no image_key: every frame is taken as a projection")
        keys = np.zeros(frames, dtype=int)
    if keys.size != frames:
        raise SourceError(
            f"{finder.path}: the image_key does not match the frames",
            got=f"{keys.size} keys for {frames} frames",
            expected="one key for each frame",
        )
    kept = labels.kept(finder, frames)
    numbers = {name: kept[keys[kept] == kind] for name, kind in KINDS.items()}
    angle = angles(finder, places, keys, numbers["counts"])
    times = clock.times(finder, places.time, places.exposure, frames)
    beam = readings(finder, places, frames)
    stacks = {
        name: Stack(array, n, times[n], {k: values[n] for k, values in beam.items()})
        for name, n in numbers.items()
        if n.size
    }
    pixel_um = pixel_sizes(finder, places)
    facts = scalars(finder, places)
    return assemble(finder, stacks, angle, pixel_um=pixel_um, scalars=facts, reader=reader)


def readings(finder: Finder, places: Places, frames: int) -> dict[str, Array]:
    """What monitor and ring current read during every frame, where the file says so.

    Parameters
    ----------
    finder
        The open file.
    places
        Where they may be.
    frames
        How many frames there are. Another number of readings is noted and left out.
    """
    found: dict[str, Array] = {}
    for name, names, unit in (
        ("monitor", places.monitor, "1"),
        ("ring_current", places.ring_current, "mA"),
    ):
        series = finder.series(names, unit, what=name, bare=unit)
        if series is None:
            continue
        if series[1].size == frames:
            found[name] = series[1].ravel()
        else:
            finder.note(
                f"{name}: {series[0]} has {series[1].size} values for {frames} frames; ignored"
            )
    return found


def _image_key(finder: Finder, places: Places) -> Array | None:
    found = finder.values(places.image_key, what="image_key")
    if found is None:
        return None
    values = found.values.ravel()
    numeric = values.dtype.kind in "uif" and bool(np.all(np.isfinite(values)))
    if not numeric or np.any(values != np.round(values)):
        raise SourceError(
            f"{finder.path}: {found.name} does not hold whole numbers",
            got=f"{values[:5]}",
            expected="0 projection, 1 flat, 2 dark, 3 invalid",
        )
    keys = values.astype(int)
    # The ESRF marks the images that it takes on the way back as -1, in a key of their own.
    control = finder.values((f"{found.name}_control",), what="image_key")
    if control is not None and control.values.size == keys.size:
        keys = np.where(control.values.ravel() == ALIGNMENT, ALIGNMENT, keys)
    odd = sorted(set(keys.tolist()) - {ALIGNMENT, PROJECTION, FLAT, DARK, INVALID})
    if odd:
        raise SourceError(
            f"{finder.path}: {found.name} has keys that mean nothing",
            got=", ".join(map(str, odd)),
            expected="0 projection, 1 flat, 2 dark, 3 invalid, -1 alignment",
        )
    for key, meaning in ((INVALID, "invalid"), (ALIGNMENT, "alignment images")):
        if count := int(np.sum(keys == key)):
            finder.note(f"{count} frames are left out: the image_key says {meaning}")
    return keys


def assemble(
    account: Account,
    stacks: Mapping[str, Stack],
    angle: xr.Variable,
    *,
    pixel_um: Mapping[str, float | None],
    scalars: Mapping[str, xr.Variable],
    reader: str,
) -> xr.Dataset:
    """Return the labelled scan: flats and darks, positions, crop, units.

    Parameters
    ----------
    account
        The user's options, and the files that were used.
    stacks
        `counts`, and `flat` and `dark` where there are any.
    angle
        Angle of each projection [deg].
    pixel_um
        Pixel at the sample along `z` and `u` [um]; None gives positions in px.
    scalars
        Further scalar coords.
    reader
        Name of the reader.
    """
    stacks = _sized(flats.replaced(account, stacks))
    variables: dict[str, xr.Variable] = {}
    coords: dict[str, xr.Variable] = {"angle": angle}
    for name, stack in stacks.items():
        variables[name] = variable(DIMS[name], stack.array)[as_slice(stack.chosen)]
        if stack.time is not None:
            coords[TIMES[name]] = _along(stack.time, DIMS[name][0])
        for reading, values in stack.readings.items():
            if name != "dark":
                label = reading if name == "counts" else f"{name}_{reading}"
                coords[label] = xr.Variable((DIMS[name][0],), values)
    if {"time", "flat_time"} <= coords.keys():
        # Told here, where every projection is at hand: a block of some could not tell.
        sets = sets_of(coords["flat_time"].values, coords["time"].values)
        coords["flat_set"] = xr.Variable(("flat_frame",), np.array(sets, "i4"))
    for name in ("flat", "dark"):
        if name not in variables:
            account.note(f"there are no {name} frames")
    for dim, size in zip(("z", "u"), variables["counts"].shape[1:], strict=True):
        coords[dim] = position(dim, size, pixel_um[dim])
    coords |= detector_size(variables["counts"].shape)
    if pixel_um["u"] is not None:
        coords["resolution"] = scalar(pixel_um["u"], "um")
    ds = xr.Dataset(variables, coords | dict(scalars))
    ds = labels.cropped(ds, account.options.crop, ("z", "u"))
    ds = labels.finish(
        ds, schema.SCAN_XCT, reader=reader, source=account.files, notes=account.notes
    )
    gone = {n: s.array for n, s in stacks.items() if isinstance(s.array, MissingArray)}
    return ds.assign_attrs(missing=[a.entry(n) for n, a in gone.items()]) if gone else ds


def _sized(stacks: Mapping[str, Stack]) -> dict[str, Stack]:
    """`stacks`, where missing ones have the rows and columns of those that are there."""
    known = [s.array.shape[1:] for s in stacks.values() if not isinstance(s.array, MissingArray)]
    return {
        name: replace(s, array=replace(s.array, shape=(s.array.shape[0], *known[0])))
        if known and isinstance(s.array, MissingArray)
        else s
        for name, s in stacks.items()
    }


def _along(times: xr.Variable, dim: str) -> xr.Variable:
    """`times` with its dim named `dim`."""
    return xr.Variable((dim,), times.values, times.attrs)


def pixel_sizes(finder: Finder, places: Places) -> dict[str, float | None]:
    """Pixel at the sample [um] along `z` and `u`; None for both where it is not needed.

    Raises
    ------
    MissingMetadataError
        Where it is nowhere stated.
    """
    believable = (1e-3, 1e3)
    found = {
        "u": finder.number(places.pixel_x, "um", what="pixel size", within=believable),
        "z": finder.number(places.pixel_y, "um", what="pixel size", within=believable),
    }
    one = found["u"] if found["u"] is not None else found["z"]
    nominal = finder.stated("pixel_size", one)
    if finder.options.pixel_size is not None:
        return {"z": nominal, "u": nominal}
    needed = finder.options.need("pixel_size", nominal, path=finder.path)
    sizes = {dim: needed if size is None else size for dim, size in found.items()}
    if sizes["u"] != sizes["z"]:
        finder.note(f"pixels are not square: u {sizes['u']:g} um, z {sizes['z']:g} um")
    return sizes


def scalars(finder: Finder, places: Places) -> dict[str, xr.Variable]:
    """Senses of the axes, and what the scan was measured with."""
    return labels.senses(finder.options) | setting.found(
        finder,
        energy=places.energy,
        wavelength=places.wavelength,
        distance=places.distance,
        exposure=places.exposure,
    )
