"""Finding quantities in an HDF5 file by the names they may have, and keeping account of it.

Facility files state things in several places, with or without units, and some of what they state
is nonsense (an identifier where a pixel size should be). What is used, assumed and not believed
goes into the notes, so that nothing is taken or left in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from zeoarray import units
from zeoarray.errors import UnitError
from zeoarray.ingest.parts import hdf5
from zeoarray.ingest.parts.arrays import Array, HDF5Array, MissingArray
from zeoarray.ingest.reader import Options

SAME = 0.01
"""Where the user and the file differ by more than this fraction, it is said."""


@dataclass(frozen=True)
class Places:
    """Where the pieces of a tomographic scan may be in a file, best place first."""

    frames: tuple[str, ...]
    image_key: tuple[str, ...] = ()
    angle: tuple[str, ...] = ()
    time: tuple[str, ...] = ()
    exposure: tuple[str, ...] = ()
    pixel_x: tuple[str, ...] = ()
    pixel_y: tuple[str, ...] = ()
    energy: tuple[str, ...] = ()
    wavelength: tuple[str, ...] = ()
    distance: tuple[str, ...] = ()
    monitor: tuple[str, ...] = ()
    ring_current: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """Values of a small dataset, and where they came from."""

    name: str
    values: Array
    attrs: Mapping[str, Any]

    @property
    def unit(self) -> str | None:
        """The unit as the file writes it; None where it states none."""
        said = self.attrs.get("units", self.attrs.get("unit"))
        return str(said).strip() or None if said is not None else None


@dataclass
class Account:
    """The user's options for one scan, and the account of what was found and assumed."""

    path: Path
    """The scan's file or pattern, for messages."""
    options: Options
    notes: list[str] = field(default_factory=list)
    """What was assumed, and what was found and not believed."""
    _files: dict[Path, None] = field(default_factory=dict, init=False)

    @property
    def files(self) -> list[Path]:
        """Every file that something was taken from."""
        return list(self._files)

    def note(self, text: str) -> None:
        """Add `text` to the notes, once."""
        if text not in self.notes:
            self.notes.append(text)

    def use(self, *paths: Path) -> None:
        """Count `paths` among the files that something was taken from."""
        self._files |= dict.fromkeys(paths)

    def stated(self, option: str, in_file: float | None) -> float | None:
        """What the user states as `option`, else what the file does; a difference is noted."""
        given: float | None = getattr(self.options, option)
        if given is None:
            return in_file
        if in_file is not None and abs(in_file - given) > SAME * given:
            self.note(
                f"{option.replace('_', ' ')}: the file states {in_file:g}, {given:g} was given "
                "and is taken"
            )
        return given


class Finder(Account):
    """One open file, and the account of what was found in it."""

    def __init__(self, file: h5py.File, options: Options) -> None:
        super().__init__(Path(file.filename), options)
        self.file = file
        self.use(self.path)

    def place(self, names: Iterable[str], *, what: str) -> tuple[str, hdf5.Place] | None:
        """The first of `names` that can be reached, else the first that dangles, else None."""
        dangling: tuple[str, hdf5.Place] | None = None
        for name in names:
            place = hdf5.resolve(self.file, name, self.options.link_root)
            if place is None:
                continue
            if not place.dangling:
                if dangling is not None:
                    self.note(f"{what}: {name} is taken, for {_shown(*dangling)}")
                return name, place
            dangling = dangling or (name, place)
        return dangling

    def frames(
        self, names: Iterable[str], variable: str, *, shape_if_missing: tuple[int, ...] = ()
    ) -> HDF5Array | MissingArray | None:
        """The first of `names` as an array that is not read; None where none exists.

        Parameters
        ----------
        names
            Where the frames may be, best place first.
        variable
            What they become, for the notes.
        shape_if_missing
            What is known of the shape of missing frames, 0 for the rest.
        """
        found = self.place(names, what=variable)
        if found is None:
            return None
        array = hdf5.array(
            self.file,
            found[0],
            link_root=self.options.link_root,
            shape_if_missing=shape_if_missing,
        )
        if isinstance(array, HDF5Array):
            self.use(array.path)
        return array

    def values(self, names: Iterable[str], *, what: str) -> Found | None:
        """Values of the first of `names` that can be reached; None where none can."""
        found = self.place(names, what=what)
        if found is None:
            return None
        name, place = found
        if place.dangling:
            self.note(f"{what}: {_shown(name, place)}")
            return None
        read = hdf5.read(self.file, name, link_root=self.options.link_root)
        if read is None:
            self.note(f"{what}: {name} is no dataset that can be reached; ignored")
            return None
        self.use(place.file)
        return Found(name, *read)

    def series(
        self, names: Iterable[str], unit: str, *, what: str, bare: str | None = None
    ) -> tuple[str, Array] | None:
        """Name of the first of `names` that can be reached, and its numbers in `unit`.

        Parameters
        ----------
        names
            Where they may be, best place first.
        unit
            The unit of what is returned; 1 for relative numbers, in whatever unit they are.
        what
            The quantity, as a note shall say it.
        bare
            The unit of numbers whose unit is not stated. Where this is None, such numbers are not
            believed; numbers in a unit of another quantity never are.
        """
        found = self.values(names, what=what)
        if found is None:
            return None
        numbers = self._numbers(found, unit, what=what, bare=bare)
        return None if numbers is None else (found.name, numbers)

    def number(
        self,
        names: Iterable[str],
        unit: str,
        *,
        what: str,
        within: tuple[float, float],
        bare: str | None = None,
    ) -> float | None:
        """One number in `unit`: the first of `names` that states a believable one.

        Parameters
        ----------
        names, unit, what, bare
            As for `series`.
        within
            The least and the greatest value that is believed [`unit`].
        """
        for name in names:
            series = self.series((name,), unit, what=what, bare=bare)
            if series is None or not series[1].size:
                continue
            low, high = float(series[1].min()), float(series[1].max())
            if not within[0] <= low <= high <= within[1]:
                self.note(f"{what}: {name} is {low:g} {unit}, which cannot be; ignored")
            elif high - low > SAME * high:
                self.note(f"{what}: {name} runs from {low:g} to {high:g} {unit}; ignored")
            else:
                return float(np.median(series[1]))
        return None

    def _numbers(self, found: Found, unit: str, *, what: str, bare: str | None) -> Array | None:
        values = found.values
        if values.dtype.kind not in "uif":
            try:
                numbers = [float(hdf5.text(v)) for v in values.ravel().tolist()]
                values = np.array(numbers).reshape(values.shape)
            except (TypeError, ValueError):
                said = hdf5.text(values.ravel()[0]) if values.size else "nothing"
                self.note(f"{what}: {found.name} holds {str(said)[:40]!r}, no number; ignored")
                return None
        values = values.astype(float)
        if unit == "1":
            return values
        if found.unit is None and bare is None:
            self.note(f"{what}: {found.name} has no units; ignored")
            return None
        if found.unit is None:
            self.note(f"{what}: {found.name} has no units; taken as {bare}")
            return units.convert(values, str(bare), unit)
        try:
            return units.convert(values, found.unit, unit)
        except UnitError:
            self.note(f"{what}: {found.name} says its units are {found.unit!r}; ignored")
            return None


def _shown(name: str, place: hdf5.Place) -> str:
    return f"{name} cannot be reached: {place.link}, {place.why}"
