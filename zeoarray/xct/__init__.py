"""The verbs of X-ray tomography: from raw frames to attenuation."""

from __future__ import annotations

from zeoarray.xct.flats import check_frames
from zeoarray.xct.frames import minus_log, normalize
from zeoarray.xct.optics import correct_distortion, retrieve_phase

__all__ = [
    "check_frames",
    "correct_distortion",
    "minus_log",
    "normalize",
    "retrieve_phase",
]
