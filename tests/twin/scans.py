"""Small scans and phantoms for the tests of the twin's cameras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zeoarray.twin import presets
from zeoarray.twin.mounts import Mount
from zeoarray.twin.sample import Sample

PLAIN = presets.Scan(
    "plain", 1, "i13", 2.0, 1, 96, 24, 20, 4, 3, 25.0, lens=(), stripes=0, zingers=0.0, blur_px=0.0
)
"""A perfect camera: 96 x 24 pixels of 2 um."""
STILL = Mount(np.eye(3), np.zeros(3), 1.0, 0.0, 0.0)
"""No rotation, no shift; the axis in the middle."""


def plain(**changes):
    """`PLAIN` with some of its numbers changed."""
    return replace(PLAIN, **changes)


def beads(*centres, radius=6.0, attenuation=30.0):
    """Balls at the given places."""
    return Sample.ellipsoids(
        np.array(centres, float),
        np.full((len(centres), 3), radius),
        np.full(len(centres), attenuation),
    )
