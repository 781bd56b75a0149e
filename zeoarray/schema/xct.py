"""Variables and nodes of X-ray tomography."""

from __future__ import annotations

from zeoarray.schema.common import (
    ANGLE,
    BEAM,
    CENTER,
    DETECTOR_SIZE,
    DISTANCE,
    ENERGY,
    EXPOSURE,
    RESOLUTION,
    WAVELENGTH,
    U,
    X,
    Y,
    Z,
)
from zeoarray.schema.model import Schema, Var
from zeoarray.schema.motion import OVERLAP_AMBIGUOUS, OVERLAP_AT_EDGE

COUNTS = Var("counts", ("angle", "z", "u"), "number", "counts", "raw projections")
FLAT = Var("flat", ("flat_frame", "z", "u"), "number", "counts", "frames without sample")
DARK = Var("dark", ("dark_frame", "z", "u"), "number", "counts", "frames without beam")
TIME = Var("time", ("angle",), "time", "s", "start of each projection since the first frame")
FLAT_TIME = Var("flat_time", ("flat_frame",), "time", "s", "start of each flat, same clock")
DARK_TIME = Var("dark_time", ("dark_frame",), "time", "s", "start of each dark, same clock")
FLAT_SET = Var("flat_set", ("flat_frame",), "number", "1", "number of the set of each flat")
PROJECTION_MONITOR = Var("monitor", ("angle",), "number", "1", "incoming intensity, relative")
FLAT_MONITOR = Var("flat_monitor", ("flat_frame",), "number", "1", "incoming intensity, relative")
PROJECTION_CURRENT = Var("ring_current", ("angle",), "float", "mA", "current of the storage ring")
FLAT_CURRENT = Var("flat_ring_current", ("flat_frame",), "float", "mA", "current of the ring")
BEAM_READINGS = (PROJECTION_MONITOR, FLAT_MONITOR, PROJECTION_CURRENT, FLAT_CURRENT)
TRANSMISSION = Var("transmission", ("angle", "z", "u"), "float", "1", "(counts-dark)/(flat-dark)")
ATTENUATION = Var("attenuation", ("z", "y", "x"), "float", "1/cm", "linear attenuation")
USABLE = Var("usable", ("z", "u"), "flag", None, "1 where flats are brighter than the dark")
ABSORBANCE = Var("absorbance", ("angle", "z", "u"), "float", "1", "-log(transmission)")
CLIPPED = Var("clipped", ("angle", "z"), "float", "1", "share of a row that -log had to clip")
ZINGERS = Var("zingers", ("angle", "z"), "float", "1", "share of a row replaced as zingers")
RING_SCORE_BEFORE = Var("ring_score_before", ("z",), "float", "1", "ring score of each sinogram")
RING_SCORE_AFTER = Var("ring_score_after", ("z",), "float", "1", "the same, stripes removed")
STRIPE_RMS = Var("stripe_rms", ("z",), "float", "1", "rms of what removing stripes changes")
STRIPE = Var("stripe", ("z", "u"), "float", "1", "mean over angle of what is removed")
FLAT_MEAN = Var("flat_mean", ("flat_frame",), "float", "counts", "mean of each flat")
FLAT_SIGMA = Var("flat_sigma", ("flat_frame",), "float", "counts", "spread over a flat's pixels")
FLAT_GOOD = Var("flat_good", ("flat_frame",), "flag", None, "1 where a flat is a flat")
DARK_MEAN = Var("dark_mean", ("dark_frame",), "float", "counts", "mean of each dark")
DARK_SIGMA = Var("dark_sigma", ("dark_frame",), "float", "counts", "spread over a dark's pixels")
DARK_GOOD = Var("dark_good", ("dark_frame",), "flag", None, "1 where a dark is a dark")
NOISE = Var("noise", ("z",), "float", "1/cm", "sigma that noise makes in a slice")
RESIDUAL = Var("residual", ("z", "iteration"), "float", "1", "what is left after each iteration")
OBJECTIVE = Var("objective", ("z", "iteration"), "float", "1", "F(x) / F(0) after each iteration")
OFFSET_KNOWN = Var("offset_known", (), "flag", None, "0 where truncation left it undetermined")

AXIS_SIGMA = Var("axis_sigma", ("z",), "float", "um", "standard deviation of the axis")
AXIS_TILT = Var("axis_tilt", (), "float", "deg", "angle from the detector's columns to the axis")
AXIS_TILT_SIGMA = Var("axis_tilt_sigma", (), "float", "deg", "standard deviation of the tilt")
AXIS_CHECK = Var("axis_check", (), "float", "um", "difference of a second method, NaN where none")
ROW_Z = Var("row_z", ("row",), "float", "um", "height of each row that was looked at")
ROW_AXIS_U = Var("row_axis_u", ("row",), "float", "um", "axis found in each of these rows")
ROW_SIGMA = Var("row_sigma", ("row",), "float", "um", "standard deviation of the axis in each")
ROW_USED = Var("row_used", ("row",), "flag", None, "1 where the row counted for the line")
ROW_AT_EDGE = Var(
    "row_at_edge", ("row",), "flag", None, "1 where the best is at an end of those tried"
)
ROW_AMBIGUOUS = Var("row_ambiguous", ("row",), "flag", None, "1 where it is unsure, or has a rival")
CANDIDATE_U = Var("candidate_u", ("row", "candidate"), "float", "um", "positions of the axis tried")
AXIS_METRIC = Var("axis_metric", ("row", "candidate"), "float", "1", "what is least at the axis")

CARRIED = (*BEAM, *DETECTOR_SIZE, DISTANCE)
"""Scalars that go with a scan through its steps."""

SCAN_XCT = Schema(
    "XCT scan",
    (COUNTS, ANGLE, Z, U, RESOLUTION),
    (
        FLAT,
        DARK,
        TIME,
        FLAT_TIME,
        DARK_TIME,
        FLAT_SET,
        *BEAM_READINGS,
        ZINGERS,
        EXPOSURE,
        CENTER,
        *CARRIED,
    ),
)
REFERENCED_XCT = Schema(
    "XCT scan with flats and darks",
    (COUNTS, FLAT, DARK, ANGLE, Z, U),
    (
        TIME,
        FLAT_TIME,
        DARK_TIME,
        FLAT_SET,
        *BEAM_READINGS,
        ZINGERS,
        EXPOSURE,
        *CARRIED,
    ),
)
NORMALIZED_XCT = Schema(
    "normalised XCT scan",
    (TRANSMISSION, ANGLE, Z, U),
    (
        USABLE,
        ZINGERS,
        TIME,
        PROJECTION_MONITOR,
        PROJECTION_CURRENT,
        EXPOSURE,
        *CARRIED,
    ),
)
ABSORBANCE_XCT = Schema(
    "XCT scan after -log",
    (ABSORBANCE, ANGLE, Z, U),
    (
        CENTER,
        USABLE,
        CLIPPED,
        ZINGERS,
        TIME,
        PROJECTION_MONITOR,
        PROJECTION_CURRENT,
        EXPOSURE,
        *CARRIED,
    ),
)
FRAMES_XCT = Schema(
    "check of flats and darks",
    (FLAT_MEAN, FLAT_SIGMA, FLAT_GOOD, DARK_MEAN, DARK_SIGMA, DARK_GOOD),
)
RINGS_XCT = Schema(
    "check of stripe removal",
    (RING_SCORE_BEFORE, RING_SCORE_AFTER, STRIPE_RMS, STRIPE, Z, U),
)
VOLUME_XCT = Schema(
    "XCT volume",
    (ATTENUATION, Z, Y, X, RESOLUTION),
    (CENTER, ENERGY, WAVELENGTH, NOISE, RESIDUAL, OBJECTIVE, OFFSET_KNOWN),
)
AXIS_XCT = Schema(
    "rotation axis",
    (CENTER, AXIS_SIGMA, AXIS_TILT, AXIS_TILT_SIGMA, AXIS_CHECK, OVERLAP_AT_EDGE,
     OVERLAP_AMBIGUOUS, ROW_Z, ROW_AXIS_U, ROW_SIGMA, ROW_USED, ROW_AT_EDGE, ROW_AMBIGUOUS,
     CANDIDATE_U, AXIS_METRIC, Z),
)  # fmt: skip
