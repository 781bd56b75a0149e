"""What is measured of the quality of scans and volumes."""

from __future__ import annotations

from zeoarray.schema.common import Z
from zeoarray.schema.model import Schema, Var

FREQUENCY = Var("frequency", ("frequency",), "float", "1/mm", "spatial frequency")
SCALE = Var("scale", (), "float", "1", "ours = scale * theirs + offset")
OFFSET = Var("offset", (), "float", "1/cm", "ours = scale * theirs + offset")
EXCHANGED = Var("exchanged", (), "flag", None, "1 where y and x of theirs are exchanged first")
QUARTERS = Var("quarters", (), "number", "1", "quarter turns from y to x that theirs needs next")
SHIFT_Y = Var("shift_y", (), "float", "um", "how far ours lies beyond theirs along y, last")
SHIFT_X = Var("shift_x", (), "float", "um", "how far ours lies beyond theirs along x, last")
SHIFT_SIGMA = Var("shift_sigma", (), "float", "um", "sigma of the shifts, infinite if not refined")
MATCH = Var("match", (), "float", "1", "correlation in this orientation, without slow changes")
SECOND = Var("second", (), "float", "1", "the best correlation in any other orientation")
RMS = Var("rms", ("z",), "float", "1/cm", "rms of the registered difference")
CORRELATION = Var("correlation", ("z",), "float", "1", "correlation of registered slices")
DIFFERENCE = Var("difference", ("y", "x"), "float", "1/cm", "ours less theirs, registered",
                 "difference")  # fmt: skip
RING_CORRELATION = Var("ring_correlation", ("frequency",), "float", "1", "Fourier ring correlation")
HALF_BIT = Var("half_bit", ("frequency",), "float", "1", "half-bit criterion")
AGREES_TO = Var("agrees_to", (), "float", "um", "half a period where the half-bit curve is met")

RINGS_OURS = Var("rings_ours", ("z",), "float", "1", "ring score of our slices")
RINGS_THEIRS = Var("rings_theirs", ("z",), "float", "1", "ring score of theirs, registered")

COMPARISON = Schema(
    "comparison of two volumes",
    (SCALE, OFFSET, EXCHANGED, QUARTERS, SHIFT_Y, SHIFT_X, SHIFT_SIGMA, MATCH, SECOND, Z, RMS,
     CORRELATION, RINGS_OURS, RINGS_THEIRS, DIFFERENCE, FREQUENCY, RING_CORRELATION, HALF_BIT,
     AGREES_TO),
)  # fmt: skip

FLAT_LEVEL = Var("flat_level", ("flat_frame",), "float", "1", "flat less dark, over that of all")
FLAT_DRIFT = Var("flat_drift", (), "float", "1", "rms change of the flats' pattern, of their level")
SATURATED = Var("saturated", ("z",), "float", "1", "share of counts at the camera's greatest")
CLIPPED_SHARE = Var("clipped_share", ("z",), "float", "1", "share of a row that -log had to clip")
RING_SCORE = Var("ring_score", ("z",), "float", "1", "how much circles stand out of the noise")

QUALITY = Schema(
    "quality of a scan or volume",
    (Z,),
    (FLAT_LEVEL, FLAT_DRIFT, SATURATED, CLIPPED_SHARE, RING_SCORE),
)
