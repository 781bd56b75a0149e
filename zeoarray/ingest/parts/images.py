"""Image files as one lazy array: TIFF through tifffile, EDF and CBF through FabIO.

Nothing but headers is read until the array is indexed, and then only the frames asked for.
"""

from __future__ import annotations

import glob
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fabio
import numpy as np
import tifffile

from zeoarray.errors import SourceError
from zeoarray.ingest.parts.views import OuterArray

Array = np.ndarray[Any, Any]

TIFF = (".tif", ".tiff")
DIFFRACTION = (".cbf", ".edf")
"""What detectors of diffraction beamlines write."""
SUFFIXES = (*TIFF, *DIFFRACTION)


def expand(pattern: Path | str) -> list[Path]:
    """Return the files that a path or a glob pattern names, numbers counted as numbers.

    Raises
    ------
    SourceError
        Where there is no such file.
    """
    path = Path(pattern)
    if path.is_file():
        return [path]
    found = [Path(name) for name in glob.glob(str(path), recursive=True)]
    files = sorted((file for file in found if file.is_file()), key=natural)
    if not files:
        raise SourceError(
            f"no file matches {pattern}",
            got=f"{path} is a folder" if path.is_dir() else None,
            do=f"'{path}/*.tif'" if path.is_dir() else "check the pattern; quote it in a shell",
        )
    return files


def natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts ``frame_9`` before ``frame_10``."""
    parts = re.split(r"(\d+)", str(path))
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)


def numbers(files: Sequence[Path]) -> list[int] | None:
    """Return the last number in the name of each file; None where the names differ elsewhere.

    Raises
    ------
    SourceError
        Where two files have the same number.
    """
    matches = [re.fullmatch(r"(.*?)(\d+)(\D*)", file.name) for file in files]
    named = [
        (file.parent, m[1], m[3], int(m[2])) for file, m in zip(files, matches, strict=True) if m
    ]
    if len(named) < len(files) or len({name[:3] for name in named}) != 1:
        return None
    found: dict[int, Path] = {}
    for file, (*_, number) in zip(files, named, strict=True):
        if number in found:
            raise SourceError(
                f"two frames of the sequence have the number {number}",
                got=f"{found[number].name} and {file.name}",
                do="give a pattern that matches only one of them",
            )
        found[number] = file
    return list(found)


def gaps(numbered: Sequence[int]) -> list[int]:
    """Return the numbers that an evenly counted sequence lacks.

    Examples
    --------
    >>> gaps([10, 20, 40, 50]), gaps([3, 4, 5])
    ([30], [])
    """
    steps = np.diff(numbered)
    if steps.size < 2 or (steps <= 0).any():
        return []
    step = math.gcd(*map(int, steps))
    return sorted(set(range(numbered[0], numbered[-1], step)) - set(numbered))


@dataclass(frozen=True)
class Header:
    """What one image file says about itself."""

    pages: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def inspect(path: Path) -> Header:
    """Read the header of an image file.

    Raises
    ------
    SourceError
        Where it cannot be read, or is shorter than its header says.
    """
    try:
        size = path.stat().st_size
        header, needed = _tiff(path) if path.suffix.lower() in TIFF else _fabio(path)
    except PermissionError:
        raise SourceError(f"{path} may not be read", do=f"ls -l {path}") from None
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist", do="check the path") from None
    # FabIO and tifffile raise whatever their parsers stumble over.
    except Exception as error:
        raise _unreadable(path, error) from error
    if needed > size:
        raise SourceError(
            f"{path} is truncated",
            got=f"{size} bytes",
            expected=f"at least {needed} bytes, by its header",
            do="if it is still being copied, wait; if not, fetch it again",
        )
    if len(header.shape) != 2:
        raise SourceError(
            f"{path} does not hold a plain image",
            got=f"an array of the shape {header.shape}",
            expected="one number a pixel, in rows and columns",
            do="colour images hold no measured intensities; give the original frames",
        )
    return header


def _tiff(path: Path) -> tuple[Header, int]:
    with tifffile.TiffFile(path) as tif:
        first, last = tif.pages[0], tif.pages[-1]
        ends = [
            offset + count
            for page in (first, last)
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
        dtype = np.dtype(first.dtype).newbyteorder("=")
        return Header(len(tif.pages), tuple(first.shape), dtype), max(ends)


def _fabio(path: Path) -> tuple[Header, int]:
    with fabio.openheader(str(path)) as image:
        shape = tuple(int(n) for n in image.shape)
        frames = getattr(image, "_frames", [])
        # An EDF file that is too short is filled up with zeros, and only logged.
        needed = max((frame.start + frame.blobsize for frame in frames), default=0)
        needed = needed or int(image.header.get("X-Binary-Size", 0))
        # CBF keeps the dtype of its header in a private place until the frame is read.
        dtype = frames[0]._dtype if frames else image._dtype
        return Header(int(image.nframes), shape, np.dtype(dtype).newbyteorder("=")), needed


def _unreadable(path: Path, error: Exception) -> SourceError:
    return SourceError(
        f"{path} cannot be read as an image",
        got=f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
        expected="a whole " + ", ".join(s[1:].upper() for s in SUFFIXES) + " file",
        do="if it is still being copied, wait; if not, fetch it again",
    )


@dataclass
class ImageStack(OuterArray):
    """Frames of image files, (frame, row, column); each is read where it is indexed."""

    frames: tuple[tuple[str, int], ...]
    """File and page of each frame."""
    frame_shape: tuple[int, int]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, rows, columns."""
        return (len(self.frames), *self.frame_shape)

    def _read(self, key: tuple[Any, ...]) -> Array:
        which = np.arange(len(self.frames))[key[0]]
        if which.ndim == 0:
            return self._frame(int(which), key[1:])
        if not which.size:
            return np.empty((0, *self.frame_shape), self.dtype)[:, key[1]][..., key[2]]
        return np.stack([self._frame(int(i), key[1:]) for i in which])

    def _frame(self, index: int, key: tuple[Any, ...]) -> Array:
        name, page = self.frames[index]
        path = Path(name)
        try:
            read = _read_tiff if path.suffix.lower() in TIFF else _read_fabio
            frame = read(path, page, key[0])
        except Exception as error:
            raise _unreadable(path, error) from error
        if frame.shape != self.frame_shape or frame.dtype != self.dtype:
            raise _odd(path, frame.shape, frame.dtype, self.frame_shape, self.dtype)
        rows, columns = key
        return np.array(frame[rows][..., columns], self.dtype)

    def read_frame(self, index: int) -> Array:
        """Read one whole frame, (row, column)."""
        return self._frame(index, (slice(None), slice(None)))

    def select(self, keep: Sequence[int]) -> ImageStack:
        """The stack of some of the frames, in the order given."""
        return ImageStack(tuple(self.frames[i] for i in keep), self.frame_shape, self.dtype)

    @property
    def files(self) -> list[Path]:
        """The files, in order."""
        return [Path(name) for name in dict.fromkeys(name for name, _ in self.frames)]


def _read_tiff(path: Path, index: int, rows: object) -> Array:
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[index]
        # A few rows of every frame are a sinogram: then the rest of the frame is not read.
        if page.is_memmappable and not (isinstance(rows, slice) and rows == slice(None)):
            dtype = np.dtype(page.dtype).newbyteorder(tif.byteorder)
            mapped = np.memmap(path, dtype, "r", page.dataoffsets[0], tuple(page.shape))
            return mapped if dtype.isnative else mapped.astype(dtype.newbyteorder("="))
        return np.asarray(page.asarray())


def _read_fabio(path: Path, index: int, rows: object) -> Array:
    with fabio.open(str(path)) as image:
        frame = image if image.nframes == 1 else image.get_frame(index)
        if getattr(frame, "incomplete_data", False):
            raise ValueError("the file is shorter than its header says")
        return np.asarray(frame.data)


def _odd(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    wanted: tuple[int, ...],
    wanted_dtype: np.dtype[Any],
) -> SourceError:
    return SourceError(
        f"{path} is not like the other frames of its stack",
        got=f"{shape} {dtype}",
        expected=f"{wanted} {wanted_dtype}, as the first frame",
        do="leave it out, or give a pattern that matches one kind of frame",
    )


def stack(files: Sequence[Path]) -> ImageStack:
    """Return the frames of `files` as one lazy array.

    The first header is read, and that of every file that differs from the first in its size;
    the others are held against it when they are read.

    Raises
    ------
    SourceError
        For a file that is none of `SUFFIXES`, truncated, or of another shape or dtype.
    """
    for file in files:
        if file.suffix.lower() not in SUFFIXES:
            raise SourceError(
                f"{file} is not an image file",
                got=f"the ending {file.suffix!r}",
                expected="one of " + ", ".join(SUFFIXES),
            )
    first = inspect(files[0])
    size = files[0].stat().st_size
    frames: list[tuple[str, int]] = []
    for file in files:
        try:
            same = file.suffix == files[0].suffix and file.stat().st_size == size
        except OSError as error:
            raise _unreadable(file, error) from None
        header = first if same else inspect(file)
        if (header.shape, header.dtype) != (first.shape, first.dtype):
            raise _odd(file, header.shape, header.dtype, first.shape, first.dtype)
        frames += [(str(file), page) for page in range(header.pages)]
    return ImageStack(tuple(frames), (first.shape[0], first.shape[1]), first.dtype)
