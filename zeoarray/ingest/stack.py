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

from zeoarray import schema
from zeoarray.errors import ArgumentError, MissingMetadataError
from zeoarray.ingest import savu
from zeoarray.ingest.parts import images, labels, setting, tomo
from zeoarray.ingest.parts.angles import angles_of
from zeoarray.ingest.parts.arrays import as_slice, variable
from zeoarray.ingest.parts.finder import Account
from zeoarray.ingest.parts.flats import Stack
from zeoarray.ingest.reader import ANGLES, GEOMETRY, Options, Reader, only

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
    account = Account(path or files[0], options)
    stack = images.stack(files)
    account.use(*stack.files)
    # Pages are counted within their file: numbers in names tell frames only where there is one.
    numbered = images.numbers(files) if len(stack.frames) == len(files) else None
    missing = images.gaps(numbered) if numbered else []
    if missing:
        shown = ", ".join(map(str, missing[:10])) + (" ..." if len(missing) > 10 else "")
        account.note(f"the numbered sequence lacks {len(missing)} frames: {shown}")
    if options.range is not None:
        only(options, VOLUME, "slices of a volume (a range was given)", path=account.path)
        return savu.volume_of_images(stack, options, path=account.path, notes=account.notes)
    if _diffracted(files[0], options):
        only(options, FRAMES, "diffraction frames of images", path=account.path)
        return _frames(account, stack, numbered)
    only(options, PROJECTIONS, "projections of images", path=account.path)
    return _projections(account, stack, numbered)


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


def _projections(
    account: Account, stack: images.ImageStack, numbered: Sequence[int] | None
) -> xr.Dataset:
    options = account.options
    pixel = options.need("pixel_size", path=account.path)
    angle = angles_of(account, len(stack.frames), numbered=numbered)
    keep = labels.kept(account, len(stack.frames))
    return tomo.assemble(
        account,
        {"counts": Stack(stack, keep)},
        xr.Variable(("angle",), angle[keep]),
        pixel_um={"z": pixel, "u": pixel},
        scalars=labels.senses(options) | setting.setting(account),
        reader=NAME,
    )


def _frames(
    account: Account, stack: images.ImageStack, numbered: Sequence[int] | None
) -> xr.Dataset:
    options, count = account.options, len(stack.frames)
    keep = labels.kept(account, count)
    angle = np.zeros(count)
    if options.angles is not None or count > 1:
        try:
            angle = angles_of(account, count, numbered=numbered)
        except MissingMetadataError as error:
            raise MissingMetadataError(
                f"{account.path}: the positions of {count} diffraction frames are needed and "
                "nowhere stated",
                got=error.got,
                do="--angles angles.txt where only the angle changes; for projections give "
                "--pixel-size",
            ) from None
    account.note("images state no positions: u and z are 0")
    if options.angles is None and count == 1:
        account.note("images state no angle: it is 0")
    coords = {
        "angle": ("frame", angle[keep]),
        "u": ("frame", np.zeros(keep.size)),
        "z": ("frame", np.zeros(keep.size)),
        **labels.senses(options),
        **setting.setting(account),
        **setting.spot(options.beam_size),
    }
    counts = variable(("frame", "det_y", "det_x"), stack)[as_slice(keep)]
    ds = xr.Dataset({"counts": counts}, coords)
    return labels.finish(
        ds, schema.SCAN_XRDCT, reader=NAME, source=account.files, notes=account.notes
    )


READERS = (
    Reader(
        name=NAME,
        looks_for="image files ending in " + ", ".join(images.SUFFIXES) + ", by name or pattern",
        recognise=recognise,
        read=read,
        takes=PROJECTIONS | FRAMES | VOLUME,
    ),
)
