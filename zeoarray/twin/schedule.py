"""In which order a scan takes its frames, when, and at which angle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.twin.presets import Scan
from zeoarray.twin.random import generator

Array = np.ndarray[Any, Any]

PROJECTION, FLAT, DARK = 0, 1, 2
"""Image keys of NXtomo."""
PAUSE_S = 8.0
"""While the sample moves out of the beam or the shutter closes."""


@dataclass(frozen=True)
class Schedule:
    """What each frame of a scan is; all arrays have one entry for each frame of the file."""

    image_key: Array
    angle_set: Array
    """Angle asked for [deg], as the file counts it."""
    angle: Array
    """Angle read back [deg], at which the frame was taken."""
    time: Array
    """Start of the frame since the first one [s]."""
    progress: Array
    """0 at the first projection, 1 at the last; nan for flats and darks."""

    def __len__(self) -> int:
        return len(self.image_key)


def plan(seed: int, scan: Scan) -> Schedule:
    """The schedule of a scan: I13 takes darks first, DIAD flats first; both end with darks."""
    before = [DARK, FLAT] if scan.layout == "i13" else [FLAT, DARK]
    counts = {FLAT: scan.flats, DARK: scan.darks, PROJECTION: scan.projections}
    order = [*before, PROJECTION, FLAT, DARK]
    key = np.concatenate([np.full(counts[k], k) for k in order]).astype(np.int32)
    turn = scan.rotation_sense * np.linspace(0, 180, scan.projections)
    first = scan.rotation_sense * scan.start_deg
    rest = counts[before[0]] + counts[before[1]]
    angle_set = np.concatenate(
        [np.full(rest, first), first + turn, np.full(scan.flats + scan.darks, first + turn[-1])]
    )
    # The encoder lags behind by a little, and reads with a little noise.
    noise = generator(seed, f"{scan.name}/encoder").normal(0, 1e-3, len(key))
    angle = angle_set + noise - np.where(key == PROJECTION, 0.004 * scan.rotation_sense, 0)
    step = scan.exposure_s + 0.005
    pauses = np.concatenate([[0], np.cumsum(np.diff(key) != 0)]) * PAUSE_S
    time = np.arange(len(key)) * step + pauses
    progress = np.full(len(key), np.nan)
    progress[key == PROJECTION] = np.linspace(0, 1, scan.projections)
    return Schedule(key, angle_set, angle, time, progress)


def motion(seed: int, scan: Scan, schedule: Schedule) -> Array:
    """(frame, 2) Displacement of the sample along u and z [um]: a slow drift, and one slip."""
    if scan.motion_um == 0:
        return np.zeros((len(schedule), 2))
    rng = generator(seed, f"{scan.name}/motion")
    progress = np.nan_to_num(schedule.progress)[:, None]
    phase, slip = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.3, 0.9)
    slow = 0.6 * (np.sin(1.3 * np.pi * progress + phase) - np.sin(phase))
    jump = 0.4 * rng.choice([-1, 1], 2) * (progress > slip)
    return np.asarray(scan.motion_um * (slow + jump))
