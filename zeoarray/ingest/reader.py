"""What a reader is, what a user can tell it, and the pieces that readers are built from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
import xarray as xr

from zeoarray import units
from zeoarray.errors import ArgumentError, MissingMetadataError

Array = np.ndarray[Any, Any]


def _quantity(unit: str) -> pydantic.BeforeValidator:
    def read(value: object) -> float:
        # Numbers pass: in Python the unit is the documented one. Text from YAML or the shell
        # must name its unit.
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        return units.parse(str(value), unit)

    return pydantic.BeforeValidator(read)


Micrometres = Annotated[float, _quantity("um"), pydantic.Field(gt=0, allow_inf_nan=False)]
Metres = Annotated[float, _quantity("m"), pydantic.Field(gt=0, allow_inf_nan=False)]
KiloElectronVolts = Annotated[float, _quantity("keV"), pydantic.Field(gt=0, allow_inf_nan=False)]
Angstroms = Annotated[float, _quantity("angstrom"), pydantic.Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, _quantity("s"), pydantic.Field(gt=0, allow_inf_nan=False)]
Sense = Literal[-1, 1]


class Options(pydantic.BaseModel):
    """What a user says about a scan: what its files lack, or state wrongly.

    The same names serve as keywords of `open_scan`, as keys of a YAML sidecar and, with dashes,
    as options of ``zeoarray ingest``. Text must name its unit; bare numbers are in the unit of
    the field's description.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    pixel_size: Micrometres | None = None
    """Pixel at the sample [um]."""
    beam_size: Micrometres | None = None
    """Full width of the beam at the sample [um]: the resolution of an XRD-CT scan."""
    energy: KiloElectronVolts | None = None
    """Photon energy [keV]."""
    wavelength: Angstroms | None = None
    """Photon wavelength [angstrom]."""
    distance: Metres | None = None
    """Sample to detector [m]."""
    exposure: Seconds | None = None
    """Exposure time of a frame [s]."""
    rotation_sense: Sense = 1
    """+1 where the angle is anticlockwise seen against z."""
    u_sense: Sense = 1
    """+1 where the beam (or nothing) moves along u, -1 where the sample does."""
    z_sense: Sense = 1
    """+1 where z ascends upwards."""
    dataset: str | None = None
    """Path of the frames inside an HDF5 file, where there is a choice."""
    angles: tuple[float, ...] | Path | None = None
    """Angles [deg] of the projections, or a text file with one on each line."""
    angle_lines: tuple[int, int] | None = None
    """First and past-the-last line (from 0) of the angle file to use."""
    flats: Path | str | None = None
    """File or glob with frames without sample."""
    darks: Path | str | None = None
    """File or glob with frames without beam."""
    ignore: tuple[int, ...] = ()
    """Frames to leave out, counted from 0 over all frames of the file."""
    crop: dict[str, tuple[int, int]] = pydantic.Field(default_factory=dict)
    """Pixel ranges read: ``{"z": (100, 200), "u": (0, 2000)}``, past-the-last as in Python."""
    link_root: dict[str, str] = pydantic.Field(default_factory=dict)
    """Where linked files were moved: ``{"/dls/k11/data": "/mnt/copy"}``."""
    poni: Path | None = None
    """pyFAI geometry file."""
    mask: Path | None = None
    """Detector mask, 1 = bad: npy, edf, tif or HDF5."""
    orientation: Literal[1, 2, 3, 4] | None = None
    """Origin of the detector image, as pyFAI counts it."""
    range: tuple[float, float] | None = None
    """Least and largest value that a 16-bit TIFF stack was scaled to."""
    mapping: Path | None = None
    """YAML file that says where things are in an HDF5 file of another layout."""
    partial: bool = False
    """Open although needed quantities are missing: positions are then in px. For looking only."""

    def need(self, name: str, in_file: float | None = None, *, path: Path) -> float | None:
        """Return option `name`, else what the file says, else raise (or None if `partial`).

        Raises
        ------
        MissingMetadataError
            Naming the option to give.
        """
        given: float | None = getattr(self, name)
        value = in_file if given is None else given
        if value is None and not self.partial:
            option, example = name.replace("_", "-"), _EXAMPLES.get(name, "VALUE")
            raise MissingMetadataError(
                f"{path}: the {name.replace('_', ' ')} is needed and nowhere stated",
                got="no such value in the file, the options or a sidecar",
                do=f"--{option} {example!r} (in Python: {name}={example!r})",
            )
        return value


_EXAMPLES = {"pixel_size": "2.6 um", "beam_size": "25 um", "energy": "19 keV",
             "wavelength": "1.5406 angstrom", "distance": "0.3 m"}  # fmt: skip


FACTS = frozenset({
    "pixel_size", "beam_size", "energy", "wavelength", "distance", "exposure",
    "rotation_sense", "u_sense", "z_sense", "link_root", "partial",
})  # fmt: skip
"""Options that state facts about a scan: they may be given whatever its format."""
ANGLES = frozenset({"angles", "angle_lines"})
GEOMETRY = frozenset({"poni", "mask", "orientation"})
"""Options that every scan with diffraction frames takes."""


def only(options: Options, takes: frozenset[str], who: str, *, path: Path) -> None:
    """Raise where an option was given that would be ignored.

    Parameters
    ----------
    options
        What the user gave, in whatever way. An option given its default asks for nothing.
    takes
        The options that mean something here, besides `FACTS`.
    who
        Who takes them, for the message: ``the reader 'nxtomo'``, ``projections``.
    path
        The scan, for the message.

    Raises
    ------
    ArgumentError
        Naming the option, who does not take it, and what is taken.
    """
    default = Options()
    given = {n for n in options.model_fields_set if getattr(options, n) != getattr(default, n)}
    odd = sorted(given - takes - FACTS)
    if odd:
        taken, general = (", ".join(sorted(names)) or "nothing" for names in (takes, FACTS))
        raise ArgumentError(
            f"{path}: the option {odd[0]!r} means nothing to {who}",
            got=", ".join(f"{name}={getattr(options, name)!s}" for name in odd),
            expected=f"{taken}; and for any scan {general}",
            do="leave it out, here and in the sidecar",
        )


@dataclass(frozen=True)
class Reader:
    """One file format: how to know it, and how to turn it into a labelled dataset."""

    name: str
    """Short name, shown to users: ``nxtomo``."""
    looks_for: str
    """What `recognise` looks for, said to a user whose file nobody recognised."""
    recognise: Callable[[Path], bool]
    """True where the file is of this format. Cheap: reads metadata only."""
    read: Callable[[Path, Options], xr.Dataset]
    """The dataset, lazy, in the dims, units and names of `zeoarray.schema`."""
    takes: frozenset[str]
    """The options that mean something to it, besides `FACTS`: others are refused."""


def position(dim: str, size: int, pixel_um: float | None) -> xr.Variable:
    """Positions of pixels along `dim`, 0 at the middle of the whole detector, or volume.

    Parameters
    ----------
    dim
        Name of the dim.
    size
        Pixels of the whole; 0 where that is not known.
    pixel_um
        Pixel size [um]; None gives positions in px.
    """
    values = (np.arange(size) - (size - 1) / 2) * (1.0 if pixel_um is None else pixel_um)
    return xr.Variable((dim,), values, {"units": "px" if pixel_um is None else "um"})


def scalar(value: float | str, unit: str | None = None) -> xr.Variable:
    """A scalar variable with its unit."""
    return xr.Variable((), value, {"units": unit} if unit else {})


def detector_size(shape: tuple[int, ...]) -> dict[str, xr.Variable]:
    """Return the coords that tell a crop or a block where the middle of the detector is.

    Parameters
    ----------
    shape
        Ends in the rows and columns of the whole detector.
    """
    names = ("detector_rows", "detector_columns")
    return {name: scalar(n, "1") for name, n in zip(names, shape[-2:], strict=True)}
