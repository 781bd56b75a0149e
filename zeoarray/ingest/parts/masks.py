"""Detector masks: npy, EDF, TIFF or HDF5; 1 is a bad pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from zeoarray.errors import SourceError
from zeoarray.ingest.parts import hdf5, images

Array = np.ndarray[Any, Any]


def read_mask(path: Path, *, notes: list[str]) -> Array:
    """Read a mask, (row, column), True where a pixel is bad.

    Parameters
    ----------
    path
        ``.npy``, ``.edf``, ``.tif``, ``.cbf`` or HDF5; in HDF5 the dataset may be named behind
        two colons: ``mask.nxs::entry/mask/mask``.
    notes
        Takes what was assumed.

    Raises
    ------
    SourceError
        For a file that cannot be read, or does not hold one image of zeros and other numbers.
    """
    name, _, dataset = str(path).partition("::")
    file = Path(name)
    if not file.is_file():
        raise SourceError(f"the mask {file} does not exist", do="check the path")
    if file.suffix.lower() == ".npy":
        values = _npy(file)
    elif hdf5.is_hdf5(file):
        values = _hdf5(file, dataset, notes)
    elif file.suffix.lower() in images.SUFFIXES:
        stack = images.stack([file])
        if len(stack.frames) != 1:
            raise SourceError(f"the mask {file} holds {len(stack.frames)} images, not one")
        values = stack.read_frame(0)
    else:
        raise SourceError(
            f"{file} is not a mask that can be read",
            got=f"the ending {file.suffix!r}",
            expected="npy, edf, tif, cbf, or an HDF5 file",
        )
    values = np.squeeze(values)
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        raise SourceError(
            f"the mask {file} is not one image",
            got=f"{values.shape} {values.dtype}",
            expected="rows and columns of 0 (good) and 1 (bad)",
        )
    bad: Array = values != 0
    if bad.all():
        raise SourceError(
            f"the mask {file} leaves no pixel",
            got="no pixel that is 0",
            expected="0 for good pixels, anything else for bad ones",
            do="invert it if it counts good pixels as 1",
        )
    if bad.mean() > 0.5:
        notes.append(f"the mask leaves {1 - bad.mean():.0%} of the pixels: is 1 a bad pixel in it?")
    return bad


def _npy(path: Path) -> Array:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise SourceError(f"the mask {path} cannot be read", got=str(error)) from None


def _hdf5(path: Path, dataset: str, notes: list[str]) -> Array:
    with hdf5.opened(path) as file:
        name = dataset or _only_mask(path, file)
        read = hdf5.read(file, name)
        if read is None:
            raise hdf5.absent(file, name)
        if _counts_good(file, name):
            notes.append(f"{path} was written by DAWN 1, where 1 is a good pixel: inverted")
            return np.asarray(read[0] == 0)
    return read[0]


def _only_mask(path: Path, file: h5py.File) -> str:
    found = [
        name
        for name, shape in hdf5.datasets(file).items()
        if "mask" in name.lower() and len([n for n in shape if n > 1]) == 2
    ]
    if len(found) == 1:
        return found[0]
    raise SourceError(
        f"{path}: it is not clear which dataset is the mask",
        got=", ".join(found) or "no image with 'mask' in its name",
        do=f"name it: {path.name}::{found[0] if found else 'entry/mask/mask'}",
    )


def _counts_good(file: h5py.File, name: str) -> bool:
    """Whether 1 is a good pixel: so it was in ``entry/mask`` until version 1.0 of DAWN's files."""
    if not name.strip("/").startswith("entry/mask/"):
        return False
    version = str(hdf5.text(file["entry"].attrs.get("Version", "")))
    try:
        return float(version.strip("[]")) <= 1.0
    except ValueError:
        return False
