"""Finding NeXus classes wherever they sit in a file, and where an NXtomo keeps its pieces."""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import fields
from pathlib import PurePosixPath

import h5py
import numpy as np

from zeoarray.errors import SourceError
from zeoarray.ingest.parts import hdf5
from zeoarray.ingest.parts.finder import Finder, Places

MOST_LINKS = 200_000
"""Names looked at in one file: what has more of them is no scan of ours."""


def named(file: h5py.File, wanted: str) -> list[str]:
    """Path of each group that has something called `wanted`; those near the root first.

    Looks at the file itself: no soft or external link is followed.
    """
    found: list[str] = []
    seen = 0

    def visit(name: bytes) -> bool | None:
        nonlocal seen
        seen += 1
        folder, _, last = name.decode("utf-8", "surrogateescape").rpartition("/")
        if last == wanted:
            found.append(f"/{folder}")
        return True if seen > MOST_LINKS else None

    root = file["/"].id
    root.links.visit(visit)
    return sorted(found, key=lambda path: (path.count("/"), path))


def definition(file: h5py.File, path: str) -> str | None:
    """The application definition that the group `path` says it follows, such as ``NXtomo``."""
    item = file.get(f"{path}/definition")
    if not isinstance(item, h5py.Dataset) or item.size != 1 or item.dtype.kind not in "SOU":
        return None
    return str(hdf5.text(np.asarray(item[()]).ravel()[0]))


def entries(file: h5py.File, definitions: Collection[str]) -> dict[str, str]:
    """Path and definition of each group that follows one of `definitions`."""
    said = {path: definition(file, path) for path in named(file, "definition")}
    return {path: name for path, name in said.items() if name is not None and name in definitions}


def tomographies(file: h5py.File) -> list[Places]:
    """Where each NXtomo of the file keeps its pieces; else each image_key beside 3D data."""
    return [of_entry(file, path) for path in entries(file, ("NXtomo",))] or _keyed(file)


def of_entry(file: h5py.File, path: str) -> Places:
    """Where an NXtomo entry at `path` keeps its pieces, its parent's instrument included."""
    parent = str(PurePosixPath(path).parent)
    own = _detectors(file, f"{path}/instrument")
    outer = [] if parent == path else _detectors(file, f"{parent}/instrument")
    first = [f"{path}/instrument/detector", f"{path}/data"]
    detectors = list(dict.fromkeys([*first, *own]))
    around = [*detectors, *outer]
    beams = [f"{p}/{b}" for p in (path, parent) for b in ("instrument/beam", "beam")]
    energies = [f"{p}/instrument/monochromator/energy" for p in (path, parent)]
    return Places(
        frames=tuple(f"{d}/data" for d in detectors),
        image_key=tuple(f"{d}/image_key" for d in detectors),
        angle=tuple(
            f"{path}/{p}/rotation_angle" for p in ("sample", "data", "sample/transformations")
        ),
        time=tuple(f"{d}/{n}" for d in around for n in ("start_time", "time_ms")),
        exposure=tuple(f"{d}/count_time" for d in around),
        # At the sample, then on the detector: only the first is what a voxel will measure.
        pixel_x=_pixels(path, detectors, "x"),
        pixel_y=_pixels(path, detectors, "y"),
        energy=(*energies, *(f"{b}/incident_energy" for b in beams)),
        wavelength=(
            *(name.replace("/energy", "/wavelength") for name in energies),
            *(f"{b}/incident_wavelength" for b in beams),
        ),
        distance=tuple(f"{d}/distance" for d in detectors),
        monitor=(f"{path}/control/data",),
    )


def _pixels(path: str, detectors: list[str], axis: str) -> tuple[str, ...]:
    at_detector = [f"{d}/{axis}_{n}" for n in ("magnified_pixel_size", "pixel_size")
                   for d in detectors]  # fmt: skip
    return (f"{path}/sample/{axis}_pixel_size", *at_detector)


def _detectors(file: h5py.File, instrument: str) -> list[str]:
    place = hdf5.resolve(file, instrument)
    group = None if place is None or place.dangling else file.get(instrument)
    if not isinstance(group, h5py.Group):
        return []
    return [
        f"{instrument}/{name}"
        for name in group
        if group.get(name, getclass=True, getlink=True) is h5py.HardLink
        and hdf5.text(group[name].attrs.get("NX_class", "")) == "NXdetector"
    ]


def _keyed(file: h5py.File) -> list[Places]:
    found = []
    for holder in named(file, "image_key"):
        group = file[holder]
        beside = [name for name in group if name != "image_key" and _is_stack(file, group, name)]
        if not beside:
            continue
        path = PurePosixPath(str(group.name))
        frames = tuple(str(path / n) for n in sorted(beside, key=lambda n: (n != "data", n)))
        around = of_entry(file, str(path.parent.parent if len(path.parts) > 2 else path.parent))
        own = Places(
            frames=frames,
            image_key=(str(path / "image_key"),),
            angle=(str(path / "rotation_angle"), str(path.parent / "rotation_angle")),
            time=(str(path / "start_time"), str(path / "time_ms")),
            exposure=(str(path / "count_time"),),
            pixel_x=(str(path / "x_pixel_size"),),
            pixel_y=(str(path / "y_pixel_size"),),
            distance=(str(path / "distance"),),
        )
        found.append(joined(own, around))
    return found


def _is_stack(file: h5py.File, group: h5py.Group, name: str) -> bool:
    """Whether `name` is 3D data, or (for ``data``) a link to what cannot be reached now."""
    try:
        place = hdf5.resolve(file, f"{group.name}/{name}")
    except SourceError:
        return False
    if place is None or place.dangling:
        return place is not None and name == "data"
    with hdf5.opened(place.file) as target:
        item = target[place.dataset]
        return isinstance(item, h5py.Dataset) and item.ndim == 3


def joined(first: Places, second: Places) -> Places:
    """`first`, and where it finds nothing, `second`; the frames are the first's."""
    both = {
        f.name: tuple(dict.fromkeys((*getattr(first, f.name), *getattr(second, f.name))))
        for f in fields(Places)
    }
    return Places(**(both | {"frames": first.frames}))


def choose(finder: Finder) -> Places:
    """The one tomography of the file, or that of the dataset which the user names.

    Raises
    ------
    SourceError
        Where there is none, several, or not the dataset that was named.
    """
    found = tomographies(finder.file)
    wanted = finder.options.dataset
    if wanted is not None:
        return _named(finder, found, wanted)
    if not found:
        raise SourceError(
            f"{finder.path}: there is no tomography in the file",
            expected="an entry whose definition is NXtomo, or an image_key beside a 3D dataset",
            do="--dataset PATH, for frames that are kept otherwise",
        )
    distinct = {_address(finder, places): places for places in reversed(found)}
    if len(distinct) > 1:
        raise SourceError(
            f"{finder.path}: there are {len(distinct)} tomographies in the file",
            got=", ".join(sorted(name for name, _ in distinct)),
            expected="one, or the one to take",
            do=f"--dataset {min(name for name, _ in distinct)}",
        )
    # Several entries may link to the same frames, and each may lack something.
    return functools.reduce(joined, found)


def _address(finder: Finder, places: Places) -> tuple[str, str]:
    place = finder.place(places.frames, what="counts")
    if place is None:
        return places.frames[0], ""
    return f"{place[1].dataset}", str(place[1].file)


def _named(finder: Finder, found: list[Places], wanted: str) -> Places:
    place = hdf5.resolve(finder.file, wanted, finder.options.link_root)
    if place is None:
        raise hdf5.absent(finder.file, wanted)
    for places in found:
        for name in places.frames:
            other = hdf5.resolve(finder.file, name, finder.options.link_root)
            if other and (other.file, other.dataset) == (place.file, place.dataset):
                return joined(Places((wanted,), places.image_key), places)
    path = PurePosixPath("/" + wanted.strip("/"))
    beside = Places(
        frames=(str(path),),
        image_key=(str(path.parent / "image_key"),),
        angle=(str(path.parent / "rotation_angle"),),
    )
    return joined(beside, of_entry(finder.file, str(path.parent.parent)))
