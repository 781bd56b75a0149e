"""The verbs of X-ray tomography: from raw frames to attenuation."""

from __future__ import annotations

from zeoarray.xct.frames import check_frames, minus_log, normalize

__all__ = ["check_frames", "minus_log", "normalize"]
