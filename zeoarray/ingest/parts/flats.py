"""Flat and dark frames from other files than the scan's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from zeoarray.errors import SourceError
from zeoarray.ingest.parts import discover, hdf5, images
from zeoarray.ingest.parts.arrays import Array, HDF5Array, MissingArray
from zeoarray.ingest.parts.finder import Account, Finder
from zeoarray.ingest.parts.views import View
from zeoarray.ingest.reader import Options

Frames = HDF5Array | MissingArray | images.ImageStack | View

KEYS = {"flat": 1, "dark": 2}
"""NXtomo's image_key of each."""


@dataclass(frozen=True)
class Stack:
    """Frames of one kind: an array of frames, which of them, when each began, in what beam."""

    array: Frames
    chosen: Array
    """Numbers of the frames along the first axis of `array`."""
    time: xr.Variable | None = None
    readings: Mapping[str, Array] = field(default_factory=dict)
    """What `monitor` and `ring_current` read during each, where the file says."""


def replaced(account: Account, stacks: Mapping[str, Stack]) -> dict[str, Stack]:
    """`stacks` with the flats and darks that the options name in place of the scan's own.

    Frames of another file have no time on the clock of the scan, so theirs is left out.

    Raises
    ------
    SourceError
        Where a file cannot be read, holds no such frames, or frames of another size.
    """
    out = dict(stacks)
    for name, where in (("flat", account.options.flats), ("dark", account.options.darks)):
        if where is None:
            continue
        if name in stacks:
            account.note(f"the scan's own {name} frames are left out for those of {where}")
        array, chosen = _frames(account, name, str(where))
        check_size(account, name, str(where), array, stacks["counts"].array)
        if stacks["counts"].time is not None:
            said = f"the {name} frames are of {where}: no clock is shared, so they have no time"
            account.note(said)
        out[name] = Stack(array, chosen)
    return out


def _frames(account: Account, name: str, where: str) -> tuple[Frames, Array]:
    file_name, _, dataset = where.partition("::")
    files = images.expand(file_name)
    if not hdf5.is_hdf5(files[0]):
        stack = images.stack(files)
        account.use(*stack.files)
        return stack, np.arange(stack.shape[0])
    if len(files) > 1:
        raise SourceError(
            f"{where} matches {len(files)} HDF5 files",
            expected="one HDF5 file, or image files",
            do=f"give one, such as {files[0]}",
        )
    return _of_hdf5(account, name, files[0], dataset or None)


def _of_hdf5(account: Account, name: str, path: Path, dataset: str | None) -> tuple[Frames, Array]:
    options = Options(dataset=dataset, link_root=account.options.link_root, partial=True)
    with hdf5.opened(path) as file:
        other = Finder(file, options)
        places = None
        if dataset is None and discover.tomographies(file):
            places = discover.choose(other)
            dataset = (other.place(places.frames, what=name) or (places.frames[0],))[0]
        dataset = dataset or _only_stack(path, file)
        array = hdf5.array(file, dataset, link_root=options.link_root)
        if isinstance(array, MissingArray):
            raise array.error()
        keys = None if places is None else other.values(places.image_key, what="image_key")
    if len(array.shape) != 3 or 0 in array.shape:
        raise SourceError(
            f"{path}: {dataset} is not a stack of {name} frames",
            got=f"shape {array.shape}",
            expected="frame, row, column",
            do=f"--{name}s FILE::DATASET",
        )
    account.use(path)
    account.use(array.path)
    every = np.arange(array.shape[0])
    if keys is None:
        return array, every
    kinds = keys.values.ravel()
    if kinds.size != every.size:
        raise SourceError(
            f"{path}: the image_key does not match the frames",
            got=f"{kinds.size} keys for {every.size} frames",
        )
    if np.all(kinds == 0):
        account.note(f"{path} calls all its frames projections; they are taken as {name} frames")
        return array, every
    chosen = np.flatnonzero(kinds == KEYS[name])
    if not chosen.size:
        raise SourceError(
            f"{path} has no {name} frames",
            got=f"image_key values {sorted({int(k) for k in kinds})}",
            expected=f"{KEYS[name]} for a {name} frame",
            do=f"--{name}s FILE::DATASET takes every frame of a dataset",
        )
    return array, chosen


def _only_stack(path: Path, file: h5py.File) -> str:
    stacks = [name for name, shape in hdf5.datasets(file).items() if len(shape) == 3]
    if len(stacks) != 1:
        raise SourceError(
            f"{path}: it is not clear which dataset holds the frames",
            got=", ".join(stacks[:6]) or "no 3D dataset",
            expected="one 3D dataset",
            do="name it: FILE::DATASET",
        )
    return stacks[0]


def check_size(account: Account, name: str, where: str, array: Frames, counts: Frames) -> None:
    """Raise unless the frames of `array` have the size of the projections.

    Parameters
    ----------
    account
        The scan's file.
    name, where
        ``flat`` or ``dark``, and where the frames come from, for the message.
    array, counts
        The frames, and the projections. What is missing fits everything.
    """
    have, wanted = tuple(array.shape[1:]), tuple(counts.shape[1:])
    if MissingArray in (type(counts), type(array)):
        return
    if have != wanted:
        raise SourceError(
            f"{account.path}: the {name} frames of {where} are of another size",
            got=f"{have[0]} rows, {have[1]} columns",
            expected=f"{wanted[0]} rows, {wanted[1]} columns, as the projections",
            do="give frames of the same camera settings, not cropped",
        )
