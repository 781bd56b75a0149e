"""A small detector behind rings, for the tests of azimuthal integration."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from pyFAI.detectors import Detector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

SHAPE = (50, 60)


def geometry(wavelength: float | None = 0.5e-10) -> AzimuthalIntegrator:
    """A detector of 50 x 60 pixels, tilted, its centre not in the middle."""
    return AzimuthalIntegrator(
        dist=0.05, poni1=4e-3, poni2=7e-3, rot1=0.02, rot2=-0.03,
        detector=Detector(2e-4, 2e-4, max_shape=SHAPE), wavelength=wavelength,
    )  # fmt: skip


@functools.cache
def _mean(background: float) -> Any:
    q = geometry().center_array(SHAPE, unit="q_A^-1")
    return background + 200 * np.exp(-(((q - 2.0) / 0.1) ** 2))


def frames(count: int, background: float = 5.0) -> np.ndarray[Any, Any]:
    """Counts of a ring at 2 / angstrom, int32."""
    rng = np.random.default_rng(count)
    return rng.poisson(_mean(background), (count, *SHAPE)).astype("int32")
