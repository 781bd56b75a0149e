"""What DAWN (and programs that write as it does) makes of diffraction frames: ``*/result``.

``processed/result/{data, q, gts_cs_theta}`` is an XRD-CT layer, (1, rotation, translation, q);
``entry/result/{data, errors, q}`` has any scan before q. A result of one point is a powder
pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.core import indexing

from zeoarray import schema, units
from zeoarray.errors import SourceError, UnitError, unknown
from zeoarray.ingest.parts import hdf5, labels, setting
from zeoarray.ingest.parts.angles import angles_of
from zeoarray.ingest.parts.arrays import MissingArray
from zeoarray.ingest.parts.finder import Finder
from zeoarray.ingest.parts.motors import Motor, along, axes_of, placed, rotation
from zeoarray.ingest.parts.views import Readable, View
from zeoarray.ingest.reader import ANGLES, Options, Reader, only, position

NAME = "dawn"
Array = np.ndarray[Any, Any]
_RADIAL = ("q", "binning", "two_theta", "tth", "2theta")


def _results(file: h5py.File) -> list[str]:
    names = [f"{top}/result" for top in file]
    return [n for n in names if hdf5.own_group(file, n) and hdf5.resolve(file, f"{n}/data")]


def recognise(path: Path) -> bool:
    """Whether the file holds ``*/result/data``."""
    return hdf5.holds(path, _results)


def read(path: Path, options: Options) -> xr.Dataset:
    """Open integrated diffraction data.

    Parameters
    ----------
    path
        The processed file.
    options
        ``wavelength`` or ``energy`` where the file is in two-theta; ``angles`` and ``beam_size``
        where it does not hold the positions of the scan.

    Returns
    -------
    xarray.Dataset
        ``intensity(z, angle, u, q)`` and ``variance``; ``intensity(q)`` for a single point.

    Raises
    ------
    SourceError
        Where the axes do not belong to the data.
    MissingMetadataError
        Naming what is stated nowhere.
    """
    with hdf5.opened(path) as file:
        found = _results(file)
        if options.dataset is not None:
            wanted = options.dataset.strip("/").removesuffix("/data")
            if wanted not in found:
                raise unknown(f"result in {path},", wanted, found)
            found = [wanted]
        if len(found) != 1:
            raise SourceError(
                f"{path} holds {len(found)} results",
                got=", ".join(found) or None,
                expected="one group */result with data and q",
                do=f"--dataset {found[0]}" if found else None,
            )
        return _Result(file, path, found[0], options).dataset()


@dataclass
class _Result:
    """One result group while it is read."""

    file: h5py.File
    path: Path
    folder: str
    options: Options

    def __post_init__(self) -> None:
        self.finder = Finder(self.file, self.options)
        self.notes = self.finder.notes
        group = self.file[self.folder]
        self.attrs: dict[str, Any] = dict(group.attrs)
        stated = np.atleast_1d(self.attrs.get("axes", ()))
        self.axes = [str(hdf5.text(axis)) for axis in stated]
        self.data = self._array("data")
        self.scan = tuple(self.data.shape[:-1])

    def _array(self, name: str) -> Readable:
        array = hdf5.array(self.file, f"{self.folder}/{name}", link_root=self.options.link_root)
        if isinstance(array, MissingArray):
            # Without the data its dims are not known either: nothing can be shown.
            raise array.error()
        return array

    def _has(self, name: str) -> bool:
        return hdf5.resolve(self.file, f"{self.folder}/{name}") is not None

    def dataset(self) -> xr.Dataset:
        """The result, labelled."""
        if not self.data.shape:
            raise SourceError(f"{self.path}: {self.folder}/data is a single number")
        coords = self._radial()
        radial = "q" if "q" in coords else "two_theta"
        dims: tuple[str, ...]
        layout: tuple[int | None, ...]
        if int(np.prod(self.scan)) == 1:
            only(self.options, frozenset({"dataset", "crop"}), "a single pattern", path=self.path)
            dims, layout = (radial,), (len(self.scan),)
            like = schema.POWDER
        elif len(self.scan) <= 3:
            order, positions = self._scan()
            dims, layout = ("z", "angle", "u", radial), (*order, len(self.scan))
            coords |= positions | labels.senses(self.options)
            like = schema.SINOGRAM
        else:
            raise SourceError(
                f"{self.path}: {self.folder}/data has too many dims",
                got=f"the shape {self.data.shape}",
                expected="at most (height, rotation, translation, q)",
            )
        variables = {"intensity": _lazily(View(self.data, layout), dims)}
        uncertain = str(hdf5.text(self.attrs.get("data_uncertainty", "errors")))
        if self._has(uncertain):
            errors = self._array(uncertain)
            if errors.shape != self.data.shape:
                raise SourceError(
                    f"{self.path}: {self.folder}/{uncertain} does not match the data",
                    got=f"the shape {errors.shape}",
                    expected=f"{self.data.shape}",
                )
            variables["variance"] = _lazily(View(errors, layout, power=2), dims)
        ds = self._cropped(xr.Dataset(variables, coords))
        ds = ds.assign_coords(setting.spot(self.options.beam_size))
        ds = labels.finish(ds, like, reader=NAME, source=self.finder.files, notes=self.notes)
        return ds.assign_attrs(process=_process(self.file, self.folder))

    def _cropped(self, ds: xr.Dataset) -> xr.Dataset:
        if "angle" in ds.dims and not np.isfinite(ds["angle"].values).all():
            gone = np.flatnonzero(~np.isfinite(ds["angle"].values))
            self.notes.append(f"rotations without an angle are left out: {gone.tolist()}")
            ds = ds.isel(angle=np.flatnonzero(np.isfinite(ds["angle"].values)))
        return labels.cropped(ds, self.options.crop, [str(dim) for dim in ds.dims])

    def _radial(self) -> dict[str, Any]:
        """Coords of the last dim, and energy and wavelength where they are known."""
        bins = self.data.shape[-1]
        named = self.axes[-1] if len(self.axes) == len(self.data.shape) else "."
        names = [n for n in (named, *_RADIAL) if n != "." and self._has(n)]
        found = hdf5.read(self.file, f"{self.folder}/{names[0]}") if names else None
        if found is None:
            raise SourceError(
                f"{self.path}: {self.folder} has no radial axis",
                got=", ".join(self.file[self.folder]),
                expected="one of " + ", ".join(_RADIAL),
            )
        values, attrs = np.ravel(found[0]).astype(float), found[1]
        if len(values) != bins or not np.isfinite(values).all() or (np.diff(values) <= 0).any():
            raise SourceError(
                f"{self.path}: {self.folder}/{names[0]} cannot be the radial axis",
                got=f"{len(values)} values, {int((~np.isfinite(values)).sum())} of them no number",
                expected=f"{bins} ascending numbers",
            )
        beam = labels.beam(self.options, **setting.photons(self.finder), notes=self.notes)
        wavelength = float(beam["wavelength"].values) if beam else None
        unit = attrs.get("units", attrs.get("unit"))
        if unit is None:
            unit = "1/angstrom" if names[0] == "q" else "deg"
            self.notes.append(f"{names[0]} has no unit: {unit} is assumed")
        try:
            quantity = units.UNITS[units.canonical(str(unit))][0]
        except UnitError as error:
            raise SourceError(
                f"{self.path}: {self.folder}/{names[0]} has the unit {unit!r}",
                expected="1/angstrom, 1/nm, deg or rad",
            ) from error
        if quantity == "wavenumber":
            return labels.radial(units.convert(values, str(unit), "1/angstrom"), wavelength) | beam
        if quantity != "angle":
            raise SourceError(
                f"{self.path}: {self.folder}/{names[0]} is a {quantity} [{unit}]",
                expected="q [1/angstrom, 1/nm] or two-theta [deg, rad]",
            )
        two_theta = units.convert(values, str(unit), "deg")
        wavelength = self.options.need("wavelength", wavelength, path=self.path)
        if wavelength is None:
            self.notes.append("without a wavelength there is no q: the axis is two_theta")
            return {"two_theta": ("two_theta", two_theta, {"units": "deg"})}
        q = labels.q_of(two_theta, wavelength)
        return labels.radial(q, wavelength, two_theta) | beam

    def _scan(self) -> tuple[tuple[int | None, ...], dict[str, Any]]:
        """Which axis of the data is z, angle and u, and the positions along each."""
        motors = self._motors()
        turning = rotation(motors)
        # Rotations come before translations where nothing says which is which.
        angle_axis = turning.varies() if turning else max(len(self.scan) - 2, 0)
        rest = [axis for axis in range(len(self.scan)) if axis != angle_axis]
        # The last axis beside the rotation is the fast one: the beam across the sample.
        u_axis = rest.pop() if rest else None
        z_axis = rest.pop() if rest else None
        if turning is not None and self.options.angles is None:
            angle = along(turning, angle_axis, "deg", path=self.path, notes=self.notes)
        else:
            angle = angles_of(self.finder, self.scan[angle_axis])
        positions: dict[str, Any] = {"angle": ("angle", angle)}
        taken = [turning.name] if turning is not None else []
        for dim, axis in (("z", z_axis), ("u", u_axis)):
            size = 1 if axis is None else self.scan[axis]
            motor = placed(motors, axis, taken) if axis is not None else None
            if motor is not None:
                taken.append(motor.name)
                values = along(motor, axis or 0, "um", path=self.path, notes=self.notes)
                positions[dim] = (dim, values)
                self.notes.append(f"{dim} is {motor.name}")
            elif size == 1:
                positions[dim] = (dim, np.zeros(1))
                self.notes.append(f"the file states no {dim}: it is 0")
            else:
                step = self.options.need("beam_size", path=self.path)
                positions[dim] = position(dim, size, step)
                self.notes.append(
                    f"the file states no {dim}: steps of one beam size about 0 are assumed"
                )
        return (z_axis, angle_axis, u_axis), positions

    def _motors(self) -> list[Motor]:
        found = []
        for name in self.file[self.folder]:
            if name in (*_RADIAL, "data", "errors") or name == (self.axes or [""])[-1]:
                continue
            where, roots = f"{self.folder}/{name}", self.options.link_root
            place = hdf5.resolve(self.file, where, roots)
            if place is None or place.dangling or hdf5.own_group(self.file, where) is not None:
                continue
            if np.prod(hdf5.array(self.file, where, link_root=roots).shape) > np.prod(self.scan):
                continue
            read = hdf5.read(self.file, where, link_root=roots)
            if read is None or read[0].dtype.kind not in "fiu":
                continue
            axes = axes_of(self.finder, where)
            if axes is None and len(self.axes) == len(self.data.shape) and name in self.axes:
                axes = (self.axes.index(name),)
            motor = Motor.fitted(name, read[0], read[1], self.scan, axes)
            if motor is not None:
                found.append(motor)
        return found


def _lazily(view: View, dims: Sequence[str]) -> xr.Variable:
    return xr.Variable(dims, indexing.LazilyIndexedArray(view))


def _process(file: h5py.File, folder: str) -> list[str]:
    """What was done to the data, ``Name {parameters}`` in order, from DAWN's records."""
    top = folder.rpartition("/")[0]
    steps: list[tuple[int, str]] = []
    for key in hdf5.own_group(file, f"{top}/process") or ():
        name = hdf5.read(file, f"{top}/process/{key}/name") if key.isdigit() else None
        data = hdf5.read(file, f"{top}/process/{key}/data") if name is not None else None
        if name is not None:
            shown = str(hdf5.text(name[0]))
            steps.append((int(key), f"{shown} {hdf5.text(data[0])}" if data else shown))
    return [step for _, step in sorted(steps)]


READERS = (
    Reader(
        name=NAME,
        looks_for="integrated data in */result/data, as DAWN writes it",
        recognise=recognise,
        read=read,
        takes=ANGLES | {"dataset", "crop"},
    ),
)
