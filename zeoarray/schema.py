"""The names, dims, kinds and units of every variable: one `Var` each, and `validate`.

Coordinates are `Var`s as well. The reference page of the data model is printed from this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import xarray as xr

from zeoarray import units
from zeoarray.errors import SchemaError, UnitError, nearest

KINDS = {"count": "ui", "float": "f", "number": "uif", "flag": "biu", "text": "OUST", "time": "uif"}
"""What each kind allows, as numpy's ``dtype.kind`` letters."""


@dataclass(frozen=True)
class Var:
    """One variable or coordinate of the data model."""

    name: str
    dims: tuple[str, ...]
    kind: str
    """A key of `KINDS`."""
    units: str | None
    doc: str
    label: str = ""
    """What a plot writes beside an axis; the doc, where that is short enough."""


# --- dims -------------------------------------------------------------------------------------
ANGLE = Var("angle", ("angle",), "float", "deg", "rotation about the tomographic axis",
            "rotation angle")  # fmt: skip
U = Var("u", ("u",), "float", "um", "lateral position: detector column (XCT), beam or stage",
        "u, lateral position")  # fmt: skip
Z = Var("z", ("z",), "float", "um", "height: detector row (XCT), stage height (XRD-CT)",
        "z, height")  # fmt: skip
Y = Var("y", ("y",), "float", "um", "in-plane position, origin on the rotation axis", "y")
X = Var("x", ("x",), "float", "um", "in-plane position, origin on the rotation axis", "x")
Q = Var("q", ("q",), "float", "1/angstrom", "scattering vector length, 4 pi sin(theta) / lambda",
        "q")  # fmt: skip
CHI = Var("chi", ("chi",), "float", "deg", "detector azimuth")
PHASE = Var("phase", ("phase",), "text", None, "crystalline phase")

# --- scalars that a scan carries ----------------------------------------------------------------
RESOLUTION = Var("resolution", (), "float", "um", "nominal pixel, voxel or spot size")
ENERGY = Var("energy", (), "float", "keV", "photon energy")
WAVELENGTH = Var("wavelength", (), "float", "angstrom", "photon wavelength")
BEAM_SIZE = Var("beam_size", (), "float", "um", "full width of the beam at the sample")
DISTANCE = Var("distance", (), "float", "m", "sample to detector (pyFAI: sample to PONI)")
ROTATION_SENSE = Var("rotation_sense", (), "number", "1", "+1: angle is anticlockwise against z")
U_SENSE = Var("u_sense", (), "number", "1", "+1: the beam (or detector) moves, -1: the sample")
Z_SENSE = Var("z_sense", (), "number", "1", "+1: z ascends upwards in the laboratory")
CENTER = Var("axis_u", ("z",), "float", "um", "where the rotation axis meets the detector, by row")

# --- detector geometry, named as pyFAI names it -------------------------------------------------
PONI1 = Var("poni1", (), "float", "m", "point of normal incidence along det_y")
PONI2 = Var("poni2", (), "float", "m", "point of normal incidence along det_x")
ROT1 = Var("rot1", (), "float", "rad", "first rotation of the detector")
ROT2 = Var("rot2", (), "float", "rad", "second rotation of the detector")
ROT3 = Var("rot3", (), "float", "rad", "third rotation of the detector")
PIXEL1 = Var("pixel1", (), "float", "m", "detector pixel along det_y")
PIXEL2 = Var("pixel2", (), "float", "m", "detector pixel along det_x")
DETECTOR = Var("detector", (), "text", None, "detector name, as pyFAI knows it")
ORIENTATION = Var("orientation", (), "number", "1", "origin of the image, pyFAI's 1 to 4")
MASK = Var("mask", ("det_y", "det_x"), "flag", None, "1 where a detector pixel is bad")
DETECTOR_CONFIG = Var("detector_config", (), "text", None, "what else pyFAI's detector takes, JSON")
SENSOR_PARALLAX = Var("sensor_parallax", (), "flag", None, "1: pyFAI corrects for a thick sensor")
GEOMETRY = (DISTANCE, PONI1, PONI2, ROT1, ROT2, ROT3, PIXEL1, PIXEL2, WAVELENGTH, DETECTOR,
            ORIENTATION, DETECTOR_CONFIG, SENSOR_PARALLAX)  # fmt: skip

# --- variables --------------------------------------------------------------------------------
COUNTS = Var("counts", ("angle", "z", "u"), "number", "counts", "raw projections")
FLAT = Var("flat", ("flat_frame", "z", "u"), "number", "counts", "frames without sample")
DARK = Var("dark", ("dark_frame", "z", "u"), "number", "counts", "frames without beam")
TIME = Var("time", ("angle",), "time", "s", "start of each projection since the first frame")
FLAT_TIME = Var("flat_time", ("flat_frame",), "time", "s", "start of each flat, same clock")
DARK_TIME = Var("dark_time", ("dark_frame",), "time", "s", "start of each dark, same clock")
FLAT_SET = Var("flat_set", ("flat_frame",), "number", "1", "number of the set of each flat")
FRAMES = Var("counts", ("frame", "det_y", "det_x"), "number", "counts", "diffraction frames")
FRAME_ANGLE = Var("angle", ("frame",), "float", "deg", "rotation of each frame")
FRAME_U = Var("u", ("frame",), "float", "um", "lateral beam position of each frame")
FRAME_Z = Var("z", ("frame",), "float", "um", "height of each frame")
MONITOR = Var("monitor", ("frame",), "number", "1", "incoming intensity (ion chamber), relative")
RING_CURRENT = Var("ring_current", ("frame",), "float", "mA", "current of the storage ring")
EXPOSURE = Var("exposure", ("frame",), "float", "s", "exposure time")
TRANSMISSION = Var("transmission", ("angle", "z", "u"), "float", "1", "(counts-dark)/(flat-dark)")
ATTENUATION = Var("attenuation", ("z", "y", "x"), "float", "1/cm", "linear attenuation")
USABLE = Var("usable", ("z", "u"), "flag", None, "1 where flats are brighter than the dark")
ABSORBANCE = Var("absorbance", ("angle", "z", "u"), "float", "1", "-log(transmission)")
CLIPPED = Var("clipped", ("angle", "z"), "float", "1", "share of a row that -log had to clip")
SINO = Var("intensity", ("z", "angle", "u", "q"), "float", None, "integrated intensity")
SINO_VARIANCE = Var("variance", ("z", "angle", "u", "q"), "float", None, "of intensity")
VALID = Var("valid", ("z", "angle", "u"), "flag", None, "1 where a measurement exists")
PATTERN = Var("intensity", ("q",), "float", None, "powder pattern")
PATTERN_VARIANCE = Var("variance", ("q",), "float", None, "of intensity")
TWO_THETA = Var("two_theta", ("q",), "float", "deg", "scattering angle, an auxiliary of q")
FLAT_MEAN = Var("flat_mean", ("flat_frame",), "float", "counts", "mean of each flat")
FLAT_SIGMA = Var("flat_sigma", ("flat_frame",), "float", "counts", "spread over a flat's pixels")
FLAT_GOOD = Var("flat_good", ("flat_frame",), "flag", None, "1 where a flat is a flat")
DARK_MEAN = Var("dark_mean", ("dark_frame",), "float", "counts", "mean of each dark")
DARK_SIGMA = Var("dark_sigma", ("dark_frame",), "float", "counts", "spread over a dark's pixels")
DARK_GOOD = Var("dark_good", ("dark_frame",), "flag", None, "1 where a dark is a dark")
D_SPACING = Var("d", ("q",), "float", "angstrom", "lattice spacing 2 pi / q")


@dataclass(frozen=True)
class Schema:
    """The variables that a kind of node must and may have."""

    name: str
    required: tuple[Var, ...]
    optional: tuple[Var, ...] = ()

    def __getitem__(self, name: str) -> Var:
        for var in (*self.required, *self.optional):
            if var.name == name:
                return var
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(var.name == name for var in (*self.required, *self.optional))


_SENSES = (ROTATION_SENSE, U_SENSE, Z_SENSE)
_BEAM = (RESOLUTION, ENERGY, WAVELENGTH, BEAM_SIZE, *_SENSES)
SCAN_XCT = Schema(
    "XCT scan",
    (COUNTS, ANGLE, Z, U, RESOLUTION),
    (FLAT, DARK, TIME, FLAT_TIME, DARK_TIME, FLAT_SET, EXPOSURE, CENTER, *_BEAM, DISTANCE),
)
REFERENCED_XCT = Schema(
    "XCT scan with flats and darks",
    (COUNTS, FLAT, DARK, ANGLE, Z, U),
    (TIME, FLAT_TIME, DARK_TIME, FLAT_SET, EXPOSURE, *_BEAM, DISTANCE),
)
NORMALIZED_XCT = Schema(
    "normalised XCT scan",
    (TRANSMISSION, ANGLE, Z, U),
    (USABLE, TIME, EXPOSURE, *_BEAM, DISTANCE),
)
ABSORBANCE_XCT = Schema(
    "XCT scan after -log",
    (ABSORBANCE, ANGLE, Z, U),
    (USABLE, CLIPPED, TIME, EXPOSURE, *_BEAM, DISTANCE),
)
FRAMES_XCT = Schema(
    "check of flats and darks",
    (FLAT_MEAN, FLAT_SIGMA, FLAT_GOOD, DARK_MEAN, DARK_SIGMA, DARK_GOOD),
)
SCAN_XRDCT = Schema(
    "XRD-CT scan",
    (FRAMES, FRAME_ANGLE, FRAME_U, FRAME_Z),
    (MONITOR, RING_CURRENT, EXPOSURE, MASK, *_BEAM, *GEOMETRY),
)
SINOGRAM = Schema(
    "XRD-CT sinogram",
    (SINO, Z, ANGLE, U, Q),
    (SINO_VARIANCE, VALID, TWO_THETA, D_SPACING, *_BEAM),
)
VOLUME_XCT = Schema("XCT volume", (ATTENUATION, Z, Y, X, RESOLUTION), (CENTER, ENERGY, WAVELENGTH))
POWDER = Schema(
    "powder pattern", (PATTERN, Q), (PATTERN_VARIANCE, TWO_THETA, D_SPACING, WAVELENGTH)
)
SCHEMAS = (
    SCAN_XCT,
    REFERENCED_XCT,
    NORMALIZED_XCT,
    ABSORBANCE_XCT,
    FRAMES_XCT,
    SCAN_XRDCT,
    SINOGRAM,
    VOLUME_XCT,
    POWDER,
)
VARS = tuple(dict.fromkeys(var for s in SCHEMAS for var in (*s.required, *s.optional)))
"""Every variable of the data model, each once."""
FLAGS = frozenset(var.name for var in VARS if var.kind == "flag")
POSITIONS = {var.name: var for var in (Z, Y, X, U)}
"""Dims that count um of the sample or the detector, in the order of a volume's."""


def positioned(dims: Iterable[str]) -> Schema:
    """Return the schema of any dataset that has positions along `dims`."""
    return Schema("dataset with positions", tuple(POSITIONS[dim] for dim in dims))


def validate(ds: xr.Dataset, schema: Schema, *, by: str) -> None:
    """Raise unless `ds` has what `schema` requires, and only right dims, kinds and units.

    Parameters
    ----------
    ds
        The dataset; nothing of it is computed.
    schema
        What is asked for. Variables that it does not name are left alone.
    by
        Who asks, as the message shall say it: ``"xct.reconstruct"``.

    Raises
    ------
    SchemaError
        Naming the first variable that is not as it should be, and what to do about it.
    """
    for var in schema.required:
        if var.name not in ds.variables:
            near = nearest(var.name, map(str, ds.variables))
            raise SchemaError(
                f"{by}: {schema.name} has no {var.name!r} ({var.doc}).",
                got=", ".join(map(str, ds.variables)) or "an empty dataset",
                expected=f"{var.name}{_dims(var.dims)}",
                do=f'ds.rename({near}="{var.name}") if that is what it is' if near else None,
            )
        _check(ds, var, by)
    for var in schema.optional:
        if var.name in ds.variables:
            _check(ds, var, by)


def _check(ds: xr.Dataset, var: Var, by: str) -> None:
    have = ds.variables[var.name]
    shown = f"{var.name} {dict(have.sizes) or 'scalar'} {have.dtype}, attrs {_attrs(have.attrs)}"
    role = "coordinate" if var.name in ds.coords else "variable"
    # A scalar may stand for a list, as one exposure for all frames; not for a dim or an image.
    scalar = not have.dims and len(var.dims) == 1 and var.name not in var.dims
    if have.dims != var.dims and not scalar:
        raise SchemaError(
            f"{by}: {role} {var.name!r} has the dims {_dims(have.dims)}.",
            got=shown,
            expected=_dims(var.dims),
            do=_way_to_dims(have, var),
        )
    if have.dtype.kind not in KINDS[var.kind]:
        raise SchemaError(
            f"{by}: {role} {var.name!r} has the dtype {have.dtype}.",
            got=shown,
            expected=f"a {var.kind} (dtype kinds {KINDS[var.kind]!r})",
            do=f'ds["{var.name}"] = ds["{var.name}"].astype("float32")'
            if var.kind == "float" and have.dtype.kind in "ui"
            else None,
        )
    # The order of frames may be all that is known of their times; it serves to interpolate.
    unit = have.attrs.get("units")
    if var.units not in (None, "1") and not (var.kind == "time" and unit == "1"):
        _check_units(var, f"{by}: {role} {var.name!r}", shown, unit)


def _way_to_dims(have: xr.Variable, var: Var) -> str | None:
    if set(have.dims) == set(var.dims):
        dims = ", ".join(f'"{d}"' for d in var.dims)
        return f'ds["{var.name}"] = ds["{var.name}"].transpose({dims})'
    lost = [d for d in var.dims if d not in have.dims]
    if len(lost) == 1 and len(have.dims) == len(var.dims) - 1:
        return f'keep the dim: ds.isel({lost[0]}=[0]), or ds.expand_dims("{lost[0]}")'
    return None


def _check_units(var: Var, subject: str, shown: str, unit: object) -> None:
    example = f'ds["{var.name}"].attrs["units"] = "{var.units}"'
    if unit is None:
        raise SchemaError(
            f"{subject} has no units.", got=shown, expected=f"units {var.units!r}", do=example
        )
    try:
        scale = units.factor(str(unit), str(var.units))
    except UnitError as error:
        raise SchemaError(
            f"{subject} has units {unit!r}.",
            got=shown,
            expected=f"units {var.units!r}",
            do=f"{example}, if its values are in {var.units}",
        ) from error
    if scale != 1.0:
        raise SchemaError(
            f"{subject} is in {unit}.",
            got=shown,
            expected=f"units {var.units!r}",
            do=f'ds["{var.name}"] = ds["{var.name}"] * {scale:g}; then {example}',
        )


def _dims(dims: Iterable[object]) -> str:
    return "(" + ", ".join(map(str, dims)) + ")"


def _attrs(attrs: Mapping[object, object]) -> dict[object, object]:
    return {k: v for k, v in attrs.items() if k in ("units", "long_name")}


def attrs_of(var: Var) -> dict[str, str]:
    """Return the attributes of a variable: its label, and its units where it has any."""
    return {"long_name": var.label or var.doc} | ({"units": var.units} if var.units else {})


def describe(ds: xr.Dataset, schema: Schema) -> xr.Dataset:
    """Return `ds` with the units and descriptions of `schema` on every variable it names.

    For whoever builds a dataset from values that are known to be in the schema's units. Times
    that are numbers of frames (units 1) stay so.
    """
    out = ds.copy(deep=False)
    for var in (*schema.required, *schema.optional):
        if var.name in out.variables:
            attrs = attrs_of(var)
            if var.kind == "time" and out[var.name].attrs.get("units") == "1":
                del attrs["units"]
            out[var.name].attrs.update(attrs)
    return out


def reference() -> str:
    """Return the reference page of the data model, in Markdown."""
    lines = ["# Data model", "", "Printed from `zeoarray/schema.py` by `make docs`.", ""]
    for schema in SCHEMAS:
        lines += [f"## {schema.name}", "", "| name | dims | kind | unit | meaning |"]
        lines += ["|---|---|---|---|---|"]
        for var in (*schema.required, *schema.optional):
            name = f"**`{var.name}`**" if var in schema.required else f"`{var.name}`"
            dims = ", ".join(var.dims) or "scalar"
            lines.append(f"| {name} | {dims} | {var.kind} | {var.units or ''} | {var.doc} |")
        lines += ["", "What is in bold must be there.", ""]
    return "\n".join(lines)
