"""Random sinograms of the digital twin whose axis is known: for measuring how well it is found.

Each number is a scan of its own: which matter, how much of it is in the field of view, where the
axis is, how many columns, angles and photons. The camera has its stripes and zingers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from zeoarray.kernels import flatfield, references
from zeoarray.twin import mounts, presets
from zeoarray.twin.detector import Camera
from zeoarray.twin.mounts import Mount
from zeoarray.twin.presets import Scan
from zeoarray.twin.sample import Sample
from zeoarray.twin.schedule import DARK, FLAT, PROJECTION

Array = np.ndarray[Any, Any]

SCANS = tuple(scan.name for scan in presets.find("tiny").scans)


@dataclass(frozen=True)
class Sinogram:
    """One slice, and the truth about it."""

    values: Array
    """(angle, u) Absorbance."""
    angle_rad: Array
    center: float
    """Index of u where the axis is."""
    about: str
    """What it is of, for a table."""


@dataclass(frozen=True)
class Drawn:
    """What of a number is drawn before any row of it is."""

    scan: Scan
    sample: Sample
    mount: Mount
    row: int
    about: str

    def row_of(self, number: int, row: int) -> tuple[Array, Array, float]:
        """(angle, u), (angle,). Absorbance of a row, angles [rad], and the index of the axis."""
        camera = Camera(
            number, self.sample, self.scan, mount=self.mount, rows=(row, row + 1), workers=1
        )
        angle = np.deg2rad(camera.schedule.angle[camera.schedule.image_key == PROJECTION])
        return _absorbance(camera), angle, float(self.mount.axis_column(self.scan)[row])


def draw(number: int, size: tuple[int, int] = (128, 320)) -> Sinogram:
    """The sinogram of that number, `size` bounding its columns: always the same."""
    drawn = _drawn(number, size)
    return Sinogram(*drawn.row_of(number, drawn.row), drawn.about)


def draw_rows(number: int, rows: int = 5) -> tuple[xr.Dataset, Array]:
    """Rows in the middle of equal parts of the scan of that number, and where the axis is in each.

    The indices are those of u.
    """
    drawn = _drawn(number, (128, 320))
    chosen = ((np.arange(rows) + 0.5) / rows * drawn.scan.rows - 0.5).round().astype(int)
    values, angles, centers = zip(*(drawn.row_of(number, int(r)) for r in chosen), strict=True)
    pixel, um = drawn.scan.camera_um, {"units": "um"}
    ds = xr.Dataset(
        {"absorbance": (("angle", "z", "u"), np.stack(values, axis=1), {"units": "1"})},
        {
            "angle": ("angle", np.rad2deg(angles[0]), {"units": "deg"}),
            "z": ("z", chosen * pixel, um),
            "u": ("u", np.arange(drawn.scan.columns) * pixel, um),
        },
    )
    return ds, np.array(centers)


def _drawn(number: int, size: tuple[int, int]) -> Drawn:
    rng = np.random.default_rng([number, 4])
    columns = int(rng.integers(*size))
    angles = int(columns * rng.uniform(0.55, 1.5))
    tiny = presets.find("tiny").scan(str(rng.choice(SCANS)))
    # The field of view stays that of the dataset.
    pixel = 2560 * tiny.camera_um / columns
    scan = replace(
        tiny, camera_um=pixel, binning=1, columns=columns, rows=32, projections=angles, lens=(),
        photons=float(np.exp(rng.uniform(*np.log([3000, 12000])))), rotation_sense=1, stripes=2,
        start_deg=float(rng.uniform(-180, 180)),
    )  # fmt: skip
    if rng.random() < 0.6:
        sample, about = _pellet(int(rng.integers(20))), f"pellet, {tiny.name}"
    else:
        count = int(rng.integers(3, 25))
        sample, about = _ellipsoids(rng, count, columns * pixel), f"{count} ellipsoids"
    row = int(rng.integers(4, 28))
    mount = mounts.draw(number, scan)
    mount = replace(mount, axis_px=float(rng.uniform(-1, 1) * columns / 20))
    photons = f"{columns} x {angles}, {scan.photons:.0f} photons"
    return Drawn(scan, sample, mount, row, f"{about}, {photons}")


@lru_cache(20)
def _pellet(seed: int) -> Sample:
    """A second to tabulate, 20 MB, and the same for every number that draws it."""
    return Sample.make(seed, "tiny")


def _ellipsoids(rng: np.random.Generator, count: int, width: float) -> Sample:
    """Ellipsoids strewn near the slices, apart from each other, as many of `count` as find room."""
    kept: list[Array] = []
    for _ in range(count):
        place = rng.uniform(-0.33, 0.33, 3) * (width, width, 0.1 * width)
        semi = rng.uniform(0.03, 0.13, 3) * width
        one = np.array([*place, *semi])
        if all(np.linalg.norm(k[:3] - place) > k[3:].max() + semi.max() for k in kept):
            kept.append(one)
    found = np.array(kept)
    attenuation = rng.uniform(0.05, 0.5, len(found)) / (0.2 * width) * 1e4
    return Sample.ellipsoids(found[:, :3], found[:, 3:], attenuation)


def _absorbance(camera: Camera) -> Array:
    key = camera.schedule.image_key
    frames = {k: np.stack([camera.frame(i) for i in np.flatnonzero(key == k)])
              for k in (PROJECTION, FLAT, DARK)}  # fmt: skip
    flat, dark = (references.average(frames[k]) for k in (FLAT, DARK))
    ratio = flatfield.transmission(frames[PROJECTION], flat, dark[0], np.zeros(len(frames[0])))
    out: Array = flatfield.minus_log(ratio)[0][:, 0]
    return out
