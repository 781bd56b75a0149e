"""Stacks of image files: projections, diffraction frames, or a volume.

Images do not say what they show. In this order:

1. ``range`` is given: slices of a reconstructed volume, see `savu.volume_of_images`.
2. ``poni`` or ``beam_size`` is given, or the images are CBF or EDF and no ``pixel_size`` is given:
   diffraction frames.
3. Otherwise: projections, which need ``angles`` and a ``pixel_size``.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from xarray.core import indexing

from zeoarray import schema
from zeoarray.errors import ArgumentError, MissingMetadataError, SourceError, unknown
from zeoarray.ingest import savu
from zeoarray.ingest.parts import images, labels
from zeoarray.ingest.parts.angles import angles_of
from zeoarray.ingest.reader import ANGLES, GEOMETRY, Options, Reader, only, position, scalar

NAME = "images"
PROJECTIONS = ANGLES | {"flats", "darks", "ignore", "crop"}
FRAMES = ANGLES | GEOMETRY | {"ignore"}
VOLUME = frozenset({"range", "crop"})
"""Options that mean something to each kind of images."""


def recognise(path: Path) -> bool:
    """Whether `path` is an image file, or a pattern that matches at least one."""
    if path.suffix.lower() not in images.SUFFIXES and not glob.has_magic(path.name):
        return False
    if path.is_file():
        return path.suffix.lower() in images.SUFFIXES
    found = glob.iglob(str(path), recursive=True)
    return any(Path(name).suffix.lower() in images.SUFFIXES for name in found)


def read(path: Path, options: Options) -> xr.Dataset:
    """Open the images that a path or a glob pattern names; see `read_files`."""
    return read_files(images.expand(path), options, path=path)


def read_files(files: Sequence[Path], options: Options, *, path: Path | None = None) -> xr.Dataset:
    """Open image files, in the order given, as projections, diffraction frames or a volume.

    Parameters
    ----------
    files
        TIFF, EDF or CBF files of one shape and dtype; several pages are several frames.
    options
        What images do not say.
    path
        The pattern that the files came from, for messages.

    Returns
    -------
    xarray.Dataset
        No frame is read.

    Raises
    ------
    SourceError
        For files that cannot be read, or do not belong together.
    MissingMetadataError
        Naming what the images need beside them.
    """
    where = path or files[0]
    notes: list[str] = []
    stack = images.stack(files)
    # Pages are counted within their file: numbers in names tell frames only where there is one.
    numbered = images.numbers(files) if len(stack.frames) == len(files) else None
    missing = images.gaps(numbered) if numbered else []
    if missing:
        shown = ", ".join(map(str, missing[:10])) + (" ..." if len(missing) > 10 else "")
        notes.append(f"the numbered sequence lacks {len(missing)} frames: {shown}")
    if options.range is not None:
        only(options, VOLUME, "slices of a volume (a range was given)", path=where)
        return savu.volume_of_images(stack, options, path=where, notes=notes)
    if _diffracted(files[0], options):
        only(options, FRAMES, "diffraction frames of images", path=where)
        return _frames(stack, options, where, numbered, notes)
    only(options, PROJECTIONS, "projections of images", path=where)
    return _projections(stack, options, where, numbered, notes)


def _diffracted(file: Path, options: Options) -> bool:
    stated = [n for n in ("poni", "beam_size") if getattr(options, n) is not None]
    if stated and options.pixel_size is not None:
        raise ArgumentError(
            f"{file}: are these projections or diffraction frames?",
            got=f"pixel_size and {' and '.join(stated)}",
            expected="pixel_size for projections; poni or beam_size for diffraction frames",
        )
    if options.pixel_size is not None:
        return False
    return bool(stated) or file.suffix.lower() in images.DIFFRACTION


def _known_crops(options: Options, dims: Sequence[str]) -> None:
    for dim in options.crop:
        if dim not in dims:
            raise unknown("dim to crop in an image stack", dim, dims)


def _projections(
    stack: images.ImageStack,
    options: Options,
    path: Path,
    numbered: Sequence[int] | None,
    notes: list[str],
) -> xr.Dataset:
    _known_crops(options, ("z", "u"))
    pixel = options.need("pixel_size", path=path)
    angle = angles_of(options, len(stack.frames), path=path, numbered=numbered, notes=notes)
    keep = labels.kept(options.ignore, len(stack.frames), path=path)
    rows, columns = stack.frame_shape
    coords = {
        "angle": ("angle", angle[keep]),
        "z": position("z", rows, pixel, options.crop.get("z")),
        "u": position("u", columns, pixel, options.crop.get("u")),
        **labels.beam(options, notes=notes),
        **labels.senses(options),
    }
    if pixel is not None:
        coords["resolution"] = scalar(pixel, "um")
    if options.distance is not None:
        coords["distance"] = scalar(options.distance, "m")
    if options.exposure is not None:
        coords["exposure"] = scalar(options.exposure, "s")
    variables = {"counts": _cropped(stack.select(keep), "angle", options)}
    source = stack.files
    for name in ("flat", "dark"):
        pattern = getattr(options, f"{name}s")
        if pattern is None:
            notes.append(f"no {name} frames were given")
            continue
        frames = images.stack(images.expand(pattern))
        if frames.frame_shape != stack.frame_shape:
            raise SourceError(
                f"{pattern}: the {name} frames do not match the projections",
                got=f"{frames.frame_shape} pixels",
                expected=f"{stack.frame_shape} pixels",
            )
        variables[name] = _cropped(frames, f"{name}_frame", options)
        source = source + frames.files
    ds = xr.Dataset(variables, coords)
    ds = labels.finish(ds, schema.SCAN_XCT, reader=NAME, source=source, notes=notes)
    return ds if pixel is not None else _in_pixels(ds)


def _in_pixels(ds: xr.Dataset) -> xr.Dataset:
    for dim in ("z", "u"):
        ds[dim].attrs["units"] = "px"
    return ds


def _cropped(stack: images.ImageStack, dim: str, options: Options) -> xr.Variable:
    whole = xr.Variable((dim, "z", "u"), indexing.LazilyIndexedArray(stack))
    return whole.isel({d: slice(*options.crop[d]) for d in ("z", "u") if d in options.crop})


def _frames(
    stack: images.ImageStack,
    options: Options,
    path: Path,
    numbered: Sequence[int] | None,
    notes: list[str],
) -> xr.Dataset:
    keep = labels.kept(options.ignore, len(stack.frames), path=path)
    angle = np.zeros(len(stack.frames))
    if options.angles is not None or len(stack.frames) > 1:
        try:
            angle = angles_of(options, len(stack.frames), path=path, numbered=numbered, notes=notes)
        except MissingMetadataError as error:
            raise MissingMetadataError(
                f"{path}: the positions of {len(stack.frames)} diffraction frames are needed and "
                "nowhere stated",
                got=error.got,
                do="--angles angles.txt where only the angle changes; for projections give "
                "--pixel-size",
            ) from None
    zero = np.zeros(len(keep))
    notes.append("images state no positions: u and z are 0")
    if options.angles is None and len(stack.frames) == 1:
        notes.append("images state no angle: it is 0")
    coords = {
        "angle": ("frame", angle[keep]),
        "u": ("frame", zero),
        "z": ("frame", zero.copy()),
        **labels.beam(options, notes=notes),
        **labels.senses(options),
    }
    if options.beam_size is not None:
        coords["resolution"] = scalar(options.beam_size, "um")
        coords["beam_size"] = scalar(options.beam_size, "um")
    for name, unit in (("exposure", "s"), ("distance", "m")):
        if getattr(options, name) is not None:
            coords[name] = scalar(getattr(options, name), unit)
    counts = xr.Variable(
        ("frame", "det_y", "det_x"), indexing.LazilyIndexedArray(stack.select(keep))
    )
    ds = xr.Dataset({"counts": counts}, coords)
    return labels.finish(ds, schema.SCAN_XRDCT, reader=NAME, source=stack.files, notes=notes)


READERS = (
    Reader(
        name=NAME,
        looks_for="image files ending in " + ", ".join(images.SUFFIXES) + ", by name or pattern",
        recognise=recognise,
        read=read,
        takes=PROJECTIONS | FRAMES | VOLUME,
    ),
)
