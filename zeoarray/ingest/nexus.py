"""NXtomo, wherever it sits in a file: I13, I12, the ESRF and whoever else writes it."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from zeoarray.ingest.parts import discover, hdf5, tomo
from zeoarray.ingest.parts.finder import Finder
from zeoarray.ingest.reader import Options, Reader

NAME = "nxtomo"


def recognise(path: Path) -> bool:
    """Whether the file holds an NXtomo, or an image_key beside 3D data."""
    return hdf5.holds(path, discover.tomographies)


def read(path: Path, options: Options) -> xr.Dataset:
    """Return the scan as `counts`, `flat` and `dark`, lazily.

    Parameters
    ----------
    path
        A NeXus file.
    options
        What the user states about it; `dataset` chooses between several tomographies.

    Raises
    ------
    SourceError
        Where there is no tomography, several, or one whose pieces do not fit each other.
    MissingMetadataError
        Where the pixel size is nowhere stated.
    """
    with hdf5.opened(path) as file:
        finder = Finder(file, options)
        return tomo.read(finder, discover.choose(finder), reader=NAME)


READER = Reader(
    name=NAME,
    looks_for="a NeXus entry whose definition is NXtomo, or an image_key beside a 3D dataset",
    recognise=recognise,
    read=read,
    takes=tomo.TAKES,
)
READERS = (READER,)
