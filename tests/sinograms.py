"""Random sinograms of the digital twin whose axis is known: for measuring how well it is found.

Each number is a scan of its own: which matter, how much of it is in the field of view, where the
axis is, how many columns, angles and photons. The camera has its stripes and zingers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zeoarray.kernels import flatfield, references
from zeoarray.twin import mounts, presets
from zeoarray.twin.detector import Camera
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


def draw(number: int, size: tuple[int, int] = (128, 320)) -> Sinogram:
    """The sinogram of that number, `size` bounding its columns: always the same."""
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
        sample, about = Sample.make(int(rng.integers(20)), "tiny"), f"pellet, {tiny.name}"
    else:
        count = int(rng.integers(3, 25))
        sample, about = _ellipsoids(rng, count, columns * pixel), f"{count} ellipsoids"
    row = int(rng.integers(4, 28))
    mount = mounts.draw(number, scan)
    mount = replace(mount, axis_px=float(rng.uniform(-1, 1) * columns / 20))
    camera = Camera(number, sample, scan, mount=mount, rows=(row, row + 1), workers=1)
    values = _absorbance(camera)
    angle = np.deg2rad(camera.schedule.angle[camera.schedule.image_key == PROJECTION])
    photons = f"{columns} x {angles}, {scan.photons:.0f} photons"
    center = float(mount.axis_column(scan)[row])
    return Sinogram(values, angle, center, f"{about}, {photons}")


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
