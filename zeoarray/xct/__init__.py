"""The verbs of X-ray tomography: from raw frames to attenuation."""

from __future__ import annotations

from zeoarray.xct.air import normalize_by_air
from zeoarray.xct.axis import AxisWarning, find_center
from zeoarray.xct.flats import check_frames
from zeoarray.xct.frames import minus_log, normalize
from zeoarray.xct.full_circle import find_overlap, unfold
from zeoarray.xct.motion import correct_drift, find_drift
from zeoarray.xct.optics import correct_distortion, retrieve_phase
from zeoarray.xct.reconstruct import reconstruct
from zeoarray.xct.rings import compare_rings, remove_rings, ring_check
from zeoarray.xct.zingers import remove_zingers

__all__ = [
    "AxisWarning",
    "check_frames",
    "compare_rings",
    "correct_distortion",
    "correct_drift",
    "find_center",
    "find_drift",
    "find_overlap",
    "minus_log",
    "normalize",
    "normalize_by_air",
    "reconstruct",
    "remove_rings",
    "remove_zingers",
    "retrieve_phase",
    "ring_check",
    "unfold",
]
