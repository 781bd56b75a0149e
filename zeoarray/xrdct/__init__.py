"""The verbs of diffraction tomography: from detector frames to phase maps."""

from __future__ import annotations

from zeoarray.xrdct.absorption import correct_absorption
from zeoarray.xrdct.axis import AxisWarning, find_center
from zeoarray.xrdct.background import scale_projections, subtract_background
from zeoarray.xrdct.bins import bin_covariance, find_positions
from zeoarray.xrdct.decompose import decompose
from zeoarray.xrdct.folding import fold
from zeoarray.xrdct.integrate import cake, integrate
from zeoarray.xrdct.isolation import isolation
from zeoarray.xrdct.low_rank import find_basis, low_rank
from zeoarray.xrdct.parallax import parallax
from zeoarray.xrdct.peaks import map_peaks
from zeoarray.xrdct.phases import bin_correlation, fit_phases, fractions
from zeoarray.xrdct.reconstruct import reconstruct
from zeoarray.xrdct.references import reference_patterns
from zeoarray.xrdct.sinogram import sinogram
from zeoarray.xrdct.spots import remove_spots

__all__ = [
    "AxisWarning",
    "bin_correlation",
    "bin_covariance",
    "cake",
    "correct_absorption",
    "decompose",
    "find_basis",
    "find_center",
    "find_positions",
    "fit_phases",
    "fold",
    "fractions",
    "integrate",
    "isolation",
    "low_rank",
    "map_peaks",
    "parallax",
    "reconstruct",
    "reference_patterns",
    "remove_spots",
    "scale_projections",
    "sinogram",
    "subtract_background",
]
