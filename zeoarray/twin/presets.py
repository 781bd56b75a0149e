"""Which scans are made, and how large: ``tiny``, ``small`` and ``full``.

`full` has the sizes of the dataset. The smaller presets bin the camera and take fewer rows and
angles: the field of view, and so what each scan sees of the sample, stays that of the dataset (for
`tiny`, less). The sample itself is the same, but for its smallest pores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from zeoarray.errors import unknown

LENS = (0.9996340745552107, 5.593942960200652e-07, 9.335426689340698e-10, 9.742488482303165e-13,
        -3.1376393960203227e-16)  # fmt: skip
"""Distortion of the 2.6 um optics, as the dataset's process list has it, in unbinned pixels."""
LENS_CENTRE = (1192.643, 1328.205)
"""Its centre: unbinned pixels from the left and from the top."""


def weaker(lens: tuple[float, ...], by: float) -> tuple[float, ...]:
    """The distortion polynomial with its departure from 1 scaled."""
    return (1 + by * (lens[0] - 1), *(by * k for k in lens[1:]))


@dataclass(frozen=True)
class Scan:
    """One XCT scan: the camera, the beam, and everything that is wrong with both."""

    name: str
    """Name of the scan in stores, after the optics: ``i13-2.6um``."""
    number: int
    """Number of the scan at the beamline, which names its file."""
    layout: Literal["i13", "diad"]
    camera_um: float
    """Nominal pixel of the unbinned camera at the sample [um]."""
    binning: int
    columns: int
    rows: int
    """Of binned pixels."""
    projections: int
    flats: int
    darks: int
    """Before the projections, and as many again after them."""
    energy_kev: float
    start_deg: float = 0.0
    """Angle of the first projection; the last is 180 deg further."""
    exposure_s: float = 0.1
    photons: float = 12000.0
    """Mean of the open beam, per pixel and frame, in its middle."""
    gain: float = 2.2
    """Grey values for each photon."""
    offset: float = 104.0
    """Mean grey value without beam."""
    read_noise: float = 2.3
    """Grey values, one sigma."""
    blur_px: float = 0.6
    """Sigma of the scintillator and optics."""
    lens: tuple[float, ...] = ()
    """Backward distortion polynomial, in unbinned pixels; empty for a perfect lens."""
    stripes: int = 12
    """Defects of the scintillator that differ between sample and flat, of each of three kinds."""
    zingers: float = 20.0
    """Direct hits of the sensor, per megapixel and frame."""
    propagation_m: float = 0.0
    """Distance of free space that makes phase contrast; 0 for none."""
    motion_um: float = 0.0
    """Amplitude of the sample's drift during the scan; 0 for none."""
    rotation_sense: Literal[-1, 1] = 1
    u_sense: Literal[-1, 1] = 1
    z_sense: Literal[-1, 1] = 1
    fine: int = 1
    """Rays along each side of a pixel."""

    @property
    def pixel_um(self) -> float:
        """Nominal pixel at the sample [um], which is what the file states."""
        return self.camera_um * self.binning

    @property
    def frames(self) -> int:
        """Frames of all kinds in the file."""
        return self.projections + 2 * (self.flats + self.darks)

    @property
    def distortion(self) -> tuple[float, ...]:
        """The polynomial in binned pixels: the n-th coefficient scales by binning^n."""
        return tuple(k * self.binning**n for n, k in enumerate(self.lens)) or (1.0,)

    @property
    def lens_centre(self) -> tuple[float, float]:
        """Centre of the distortion (column, row) in binned pixels of this camera."""
        left, top = LENS_CENTRE
        middle = (2560 - 1) / 2, (2160 - 1) / 2
        return (
            (self.columns - 1) / 2 + (left - middle[0]) / self.binning,
            (self.rows - 1) / 2 + (top - middle[1]) / self.binning,
        )


@dataclass(frozen=True)
class Preset:
    """The sizes of everything."""

    name: str
    smallest_cell_um: float
    """Lattice cell of the smallest pores, whose diameter is about half of it."""
    scans: tuple[Scan, ...]
    truth_voxel_um: float
    """Voxel of the volumes in the truth store."""

    def scan(self, name: str) -> Scan:
        """The scan of that name."""
        found = {scan.name: scan for scan in self.scans}
        if name not in found:
            raise unknown("scan", name, found)
        return found[name]


_FULL = (
    Scan("i13-2.6um", 169068, "i13", 2.6, 1, 2560, 2160, 4000, 50, 50, 25.0, lens=LENS),
    Scan("i13-1.625um", 169067, "i13", 1.625, 1, 2560, 2160, 4000, 50, 50, 25.0,
         lens=weaker(LENS, 0.6)),
    Scan("i13-0.8125um", 169066, "i13", 0.8125, 1, 2560, 2160, 4000, 50, 50, 25.0,
         lens=weaker(LENS, 0.4)),
    Scan("i13-0.325um", 169065, "i13", 0.325, 1, 2560, 2160, 4000, 50, 50, 25.0, blur_px=1.0,
         lens=weaker(LENS, 0.3)),
    Scan("diad", 43320, "diad", 0.54, 1, 2560, 2160, 3001, 50, 50, 20.0, start_deg=90.0,
         exposure_s=0.02, photons=9000.0),
)  # fmt: skip


def _smaller(scan: Scan, binning: int, columns: int, rows: int, angles: int, fine: int) -> Scan:
    return replace(
        scan, binning=binning, columns=columns, rows=rows, projections=angles, flats=10, darks=10,
        stripes=3, fine=fine,
    )  # fmt: skip


PRESETS = {
    "full": Preset("full", 110 / 2**5, _FULL, 5.0),
    "small": Preset(
        "small",
        110 / 2**4,
        tuple(_smaller(s, 5, 512, 64, 400, 2 if s.camera_um > 1 else 1) for s in _FULL),
        12.5,
    ),
    "tiny": Preset(
        "tiny",
        110 / 2**3,
        tuple(_smaller(s, 20 if s.layout == "diad" else 10, 160, 12, 90, 2) for s in _FULL),
        25.0,
    ),
}


def find(name: str) -> Preset:
    """Return the preset called `name`, or raise with the nearest."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]
