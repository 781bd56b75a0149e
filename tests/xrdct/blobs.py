"""Sinograms of a few blobs of Gaussian profile, whose every ray is known."""

from __future__ import annotations

import numpy as np
import xarray as xr

PLACES = ((4, 1), (-3, 2), (0, -5))
"""(x, y) of each blob [positions]."""
WIDTH = 2.0
Q = np.linspace(1, 2, 6)
PATTERN = np.array([3.0, 5, 9, 4, 2, 6])
STEP = 25.0


def rays(angle_deg, columns=32, center=15.5):
    """(angle, u) Sum of the blobs."""
    turn = np.deg2rad(np.asarray(angle_deg, float))[:, None]
    at = np.arange(columns) - center
    out = np.zeros((turn.size, columns))
    for x, y in PLACES:
        out += np.exp(-(((at - x * np.cos(turn) - y * np.sin(turn)) / WIDTH) ** 2))
    return out


def dataset(values, angle_deg, z=(0.0,), valid=None):
    """A sinogram of (z, angle, u, q)."""
    um = {"units": "um"}
    ds = xr.Dataset(
        {"intensity": (("z", "angle", "u", "q"), np.asarray(values, "float32"))},
        {
            "z": ("z", np.asarray(z, float), um),
            "angle": ("angle", np.asarray(angle_deg, float), {"units": "deg"}),
            "u": ("u", STEP * np.arange(values.shape[2]), um),
            "q": ("q", Q[: values.shape[3]], {"units": "1/angstrom"}),
        },
    )
    return ds if valid is None else ds.assign(valid=(("z", "angle", "u"), valid))


CIRCLE = np.arange(20) * 18.0


def blobs(angle_deg=CIRCLE, layers=1, **of_rays):
    """A sinogram of the blobs, each layer the same."""
    values = rays(angle_deg, **of_rays)[None, :, :, None] * PATTERN
    return dataset(np.repeat(values, layers, axis=0), angle_deg, 50.0 * np.arange(layers))
