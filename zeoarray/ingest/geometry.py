"""The geometry and the mask of diffraction frames: read, checked, and turned back into pyFAI.

The numbers are scalar coords named as in `schema.GEOMETRY`; whoever integrates rebuilds the
integrator from them (`integrator`), so a store needs no file beside it. The wavelength belongs to
the geometry: distance and wavelength were calibrated as a pair.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from zeoarray import schema, units
from zeoarray.errors import ArgumentError, SchemaError, SourceError
from zeoarray.ingest.parts import hdf5, masks, nxdetector, setting
from zeoarray.ingest.parts.finder import Finder
from zeoarray.ingest.parts.poni import DEFAULT_ORIENTATION, Poni, read_poni
from zeoarray.ingest.reader import Options, scalar
from zeoarray.kernels import detector

if TYPE_CHECKING:
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

Shape = tuple[int, int]

CLOSE, FAR = 1e-3, 1e-2
"""Fractions by which two statements of one quantity may differ unsaid, and at all."""


@dataclass(frozen=True)
class Geometry(Poni):
    """Where a detector is, and what it is."""

    wavelength: float | None
    """In angstrom."""
    detector: str
    config: dict[str, Any]
    """What else pyFAI's detector takes: the shape of its image, its sensor."""
    shape: Shape | None
    parallax: bool = False
    notes: tuple[str, ...] = field(default=())


def read_geometry(path: Path, shape: Shape | None = None) -> Geometry:
    """Read a geometry from a ``.poni`` (all versions, and JSON) or a NeXus calibration.

    Parameters
    ----------
    path
        In a NeXus file with several detectors, one is named behind two colons:
        ``calibration.nxs::entry/instrument/detector``.
    shape
        Rows and columns of the frames, for calibrations that do not state them.

    Raises
    ------
    SourceError
        For a file that cannot be read, lacks a number, or describes a detector whose pixels are
        not those of its own class in pyFAI (a spline, a file of pixel corners).
    """
    name, _, group = str(path).partition("::")
    file = Path(name)
    if not file.is_file():
        raise SourceError(f"the geometry {file} does not exist", do="check the path")
    if hdf5.is_hdf5(file):
        return _of_nexus(file, group or None, shape)
    poni = read_poni(file)
    detector = poni.detector
    config = json.loads(json.dumps(detector.get_config(), default=str))
    for known in ("pixel1", "pixel2", "orientation"):
        config.pop(known, None)
    rows, columns = detector.shape if detector.max_shape else (0, 0)
    return Geometry(
        *poni.numbers,
        pixel1=float(detector.pixel1),
        pixel2=float(detector.pixel2),
        wavelength=poni.wavelength,
        detector=type(detector).__name__,
        config=config,
        orientation=poni.orientation,
        shape=(int(rows), int(columns)) if rows else None,
        parallax=poni.parallax,
        notes=poni.notes,
    )


def _of_nexus(path: Path, group: str | None, shape: Shape | None) -> Geometry:
    with hdf5.opened(path) as file:
        placed = nxdetector.read_detector(file, path, group)
        finder = Finder(file, Options())
        stated = setting.photons(finder)
    known = placed.shape or shape
    if known is None:
        raise SourceError(f"{path} does not state the size of the detector", do="give its frames")
    at = nxdetector.to_poni(placed, known, path=path)
    notes = [
        f"the geometry was worked out from {path.name}, origin at the top of the image",
        *finder.notes,
    ]
    wavelength, energy = stated["wavelength"], stated["energy"]
    if wavelength is None and energy is not None:
        wavelength = units.wavelength_of(energy)
    return Geometry(
        **vars(at),
        wavelength=wavelength,
        detector="Detector",
        config={"max_shape": list(known)},
        shape=known,
        notes=tuple(notes),
    )


def attach(ds: xr.Dataset, options: Options) -> xr.Dataset:
    """Return frames with the geometry and the mask that the options name.

    Parameters
    ----------
    ds
        Frames with the dims ``det_y`` and ``det_x``.
    options
        ``poni``, ``mask``, ``orientation``; ``wavelength``, ``energy`` and ``distance`` are held
        against the geometry.

    Returns
    -------
    xarray.Dataset
        With the coords of `schema.GEOMETRY` and the variable ``mask(det_y, det_x)``; unchanged
        where none of the options is given.

    Raises
    ------
    SourceError
        Where geometry or mask are of another detector than the frames.
    ArgumentError
        Where an option contradicts the geometry.
    """
    shape = (ds.sizes["det_y"], ds.sizes["det_x"])
    notes: list[str] = []
    added = xr.Dataset()
    used: list[Path] = []
    if options.poni is not None:
        geometry = read_geometry(options.poni, shape)
        added = added.assign_coords(_coords(ds, geometry, options, shape, notes))
        used.append(_file(options.poni))
    elif options.orientation is not None:
        added = added.assign_coords(orientation=scalar(options.orientation, "1"))
    if options.mask is not None:
        mask = masks.read_mask(options.mask, notes=notes)
        if mask.shape != shape:
            raise SourceError(
                f"the mask {options.mask} does not fit the frames",
                got=f"{mask.shape} pixels" + (" (transposed?)" * (mask.shape == shape[::-1])),
                expected=f"{shape} pixels",
            )
        added["mask"] = (("det_y", "det_x"), mask)
        used.append(_file(options.mask))
    if not added.variables:
        return ds
    added = schema.describe(added, schema.SCAN_XRDCT)
    source = [*ds.attrs.get("source", []), *map(str, used)]
    out = ds.assign_coords(added.coords).assign(added.data_vars)
    return out.assign_attrs(source=source, notes=[*ds.attrs.get("notes", []), *notes])


def _file(path: Path) -> Path:
    return Path(str(path).partition("::")[0]).absolute()


def _coords(
    ds: xr.Dataset, geometry: Geometry, options: Options, shape: Shape, notes: list[str]
) -> dict[str, xr.Variable]:
    notes.extend(geometry.notes)
    if geometry.shape is not None and geometry.shape != shape:
        raise SourceError(
            f"{options.poni} is the geometry of another detector",
            got=f"frames of {shape} pixels",
            expected=f"{geometry.shape} pixels, the {geometry.detector}'s",
            do="give the geometry of these frames; binned or cropped frames need their own",
        )
    config = dict(geometry.config)
    if geometry.shape is None:
        # Three of the four orientations are measured from the far edge of the image.
        config["max_shape"] = list(shape)
    values: dict[str, tuple[float | str, str | None]] = {
        "distance": (geometry.distance, "m"),
        "poni1": (geometry.poni1, "m"),
        "poni2": (geometry.poni2, "m"),
        "rot1": (geometry.rot1, "rad"),
        "rot2": (geometry.rot2, "rad"),
        "rot3": (geometry.rot3, "rad"),
        "pixel1": (geometry.pixel1, "m"),
        "pixel2": (geometry.pixel2, "m"),
        "detector": (geometry.detector, None),
        "detector_config": (json.dumps(config, sort_keys=True), None),
        "orientation": (_orientation(ds, geometry, options, notes), "1"),
        "sensor_parallax": (int(geometry.parallax), "1"),
    }
    _held_against(ds, "distance", geometry.distance, options.distance, options, notes)
    if geometry.wavelength is not None:
        given = options.wavelength
        if given is None and options.energy is not None:
            given = units.wavelength_of(options.energy)
        _held_against(ds, "wavelength", geometry.wavelength, given, options, notes)
        values["wavelength"] = (geometry.wavelength, "angstrom")
        if "energy" not in ds.variables:
            values["energy"] = (units.wavelength_of(geometry.wavelength), "keV")
    elif "wavelength" not in ds.variables:
        # Whoever integrates will ask for it; a geometry alone may lack it.
        notes.append(f"{options.poni} states no wavelength")
    return {name: scalar(value, unit) for name, (value, unit) in values.items()}


def _mapped_orientation(ds: xr.Dataset) -> int | None:
    """What the constants of a mapping state."""
    return int(ds["orientation"]) if "orientation" in ds.variables else None


def _orientation(ds: xr.Dataset, geometry: Geometry, options: Options, notes: list[str]) -> int:
    stated, given = geometry.orientation, options.orientation or _mapped_orientation(ds)
    if stated is not None and given is not None and stated != given:
        raise ArgumentError(
            f"the orientation {given} contradicts {options.poni}",
            got=f"orientation {given}",
            expected=f"{stated}, as the geometry was calibrated",
            do="leave the option out, or calibrate anew",
        )
    if stated is None and given is None:
        notes.append(
            f"{options.poni} states no orientation: pyFAI's default {DEFAULT_ORIENTATION} is taken"
        )
    return stated or given or DEFAULT_ORIENTATION


def _held_against(
    ds: xr.Dataset,
    name: str,
    calibrated: float,
    given: float | None,
    options: Options,
    notes: list[str],
) -> None:
    """Raise where the user contradicts the geometry; note where the scan's own file does."""
    unit = {"distance": "m", "wavelength": "angstrom"}[name]
    if given is not None and abs(given / calibrated - 1) > FAR:
        raise ArgumentError(
            f"the {name} that was given contradicts {options.poni}",
            got=f"{given:g} {unit}",
            expected=f"{calibrated:g} {unit}, as calibrated",
            do="leave the option out: distance and wavelength belong to the geometry as a pair",
        )
    other = given
    if other is None and name in ds.variables and ds[name].ndim == 0:
        other = float(ds[name].values)
    if other is not None and abs(other / calibrated - 1) > CLOSE:
        notes.append(
            f"the scan's {name} is {other:g} {unit}, the geometry's {calibrated:g} {unit}; "
            "the geometry's is taken"
        )


def integrator(ds: xr.Dataset) -> AzimuthalIntegrator:
    """Return pyFAI's integrator with the geometry that `ds` carries.

    Parameters
    ----------
    ds
        With the scalar coords of `schema.GEOMETRY`, as `attach` sets them.

    Returns
    -------
    pyFAI.integrator.azimuthal.AzimuthalIntegrator
        Build it where it is used: once used, it pickles to hundreds of megabytes.

    Raises
    ------
    SchemaError
        Where a number of the geometry is missing.
    """
    needed = [var for var in schema.GEOMETRY if var not in (schema.DETECTOR_CONFIG,
              schema.SENSOR_PARALLAX)]  # fmt: skip
    for var in needed:
        if var.name not in ds.variables:
            raise SchemaError(
                f"the frames have no geometry: {var.name!r} ({var.doc}) is missing",
                expected=", ".join(v.name for v in needed),
                do="open them with poni=FILE"
                + (", wavelength='... angstrom'" if var.name == "wavelength" else ""),
            )
    value = {v.name: ds[v.name].values[()] for v in schema.GEOMETRY if v.name in ds.variables}
    shape = (ds.sizes["det_y"], ds.sizes["det_x"]) if {"det_y", "det_x"} <= set(ds.sizes) else None
    return detector.integrator_of(value, shape)
