"""The beam: its profile and how it drifts, the storage ring, and dust on the scintillator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.twin.presets import Scan
from zeoarray.twin.random import generator

Array = np.ndarray[Any, Any]

CAMERA = 2560.0
"""Columns of the unbinned camera: the profile is the same however the camera is binned."""


def ring_current(time: Array, duration: float) -> Array:
    """Current of the storage ring relative to its mean: decay, and a top-up now and then."""
    phase = (time / (duration / 2.7) + 0.35) % 1.0
    return np.asarray(1 + 0.004 * (0.5 - phase))


@dataclass(frozen=True)
class Beam:
    """Open-beam photons of a camera, for a band of its rows; all positions in unbinned pixels."""

    photons: float
    across: Array
    """(1, column) Position from the camera's middle."""
    down: Array
    """(row, 1)"""
    bands: Array
    """(n, 4): wave number and phase of each band of the monochromator, amplitude, wander."""
    centre: Array
    """(2,) of the profile."""
    drift: Array
    """(3,): shift of the beam by the end of the scan, amplitude and phase of its swing."""
    dust: Array
    """(row, column) Static transmission of the scintillator's dirt."""
    duration: float

    def shift(self, time: float) -> float:
        """How far the beam has moved down by `time` [unbinned pixels]."""
        part = time / self.duration
        return float(
            self.drift[0] * part + self.drift[1] * np.sin(2 * np.pi * 1.7 * part + self.drift[2])
        )

    def profile(self, time: float) -> Array:
        """(row, column) Photons expected in each pixel of a frame without sample."""
        down = self.down - self.shift(time)
        wide, tall = 0.85 * CAMERA, 0.42 * CAMERA
        out = np.exp(-0.5 * ((self.across - self.centre[0]) / wide) ** 2)
        out = out * np.exp(-0.5 * ((down - self.centre[1]) / tall) ** 2)
        texture = np.ones_like(out)
        for wave, phase, amplitude, wander in self.bands:
            # sin(a + b), taken apart so that only vectors need sines; the bands bend across.
            bend = wave * wander * np.sin(2 * np.pi * self.across / CAMERA + phase)
            along = wave * down + phase
            texture += amplitude * np.sin(along) * np.cos(bend)
            texture += amplitude * np.cos(along) * np.sin(bend)
        current = ring_current(np.array(time), self.duration)
        return np.asarray(self.photons * float(current) * out * texture * self.dust)


def beam_of(seed: int, scan: Scan, duration: float, rows: tuple[int, int], margin: int) -> Beam:
    """The beam of a scan, for the rows from first to past-the-last, and columns beyond the edge."""
    rng = generator(seed, f"{scan.name}/beam")
    columns = np.arange(-margin, scan.columns + margin)
    across = (columns - (scan.columns - 1) / 2)[None, :] * scan.binning
    down = (np.arange(*rows) - (scan.rows - 1) / 2)[:, None] * scan.binning
    count = 14
    period = np.exp(rng.uniform(np.log(28), np.log(700), count))
    bands = np.stack(
        [
            2 * np.pi / period,
            rng.uniform(0, 2 * np.pi, count),
            rng.uniform(0.004, 0.016, count),
            rng.uniform(-14, 14, count),
        ],
        axis=1,
    )
    centre = rng.uniform(-150, 150, 2)
    drift = np.array(
        [rng.uniform(2, 5) * rng.choice([-1, 1]), rng.uniform(0.2, 0.8), rng.uniform(0, 6)]
    )
    dust = _dust(rng, across.astype(float), down.astype(float))
    return Beam(scan.photons, across, down, bands, centre, drift, dust, duration)


def _dust(rng: np.random.Generator, across: Array, down: Array) -> Array:
    dust = np.ones((down.size, across.size))
    places = rng.uniform(-0.5, 0.5, (90, 2)) * CAMERA
    sizes = np.exp(rng.uniform(np.log(3), np.log(28), 90))
    depths = rng.uniform(0.02, 0.14, 90)
    for (x, y), size, depth in zip(places, sizes, depths, strict=True):
        near_x = np.flatnonzero(np.abs(across[0] - x) < 3 * size)
        near_y = np.flatnonzero(np.abs(down[:, 0] - y) < 3 * size)
        if near_x.size and near_y.size:
            box = np.ix_(near_y, near_x)
            square = (across[0, near_x] - x) ** 2 + (down[near_y] - y) ** 2
            # A flat speck with a soft edge.
            dust[box] *= 1 - depth / (1 + (square / size**2) ** 3)
    return dust
