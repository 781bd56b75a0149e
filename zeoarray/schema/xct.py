"""Variables and nodes of X-ray tomography."""

from __future__ import annotations

from zeoarray.schema.common import (
    ANGLE,
    BEAM,
    CENTER,
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
OFFSET_KNOWN = Var("offset_known", (), "flag", None, "0 where truncation left it undetermined")

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
        *BEAM,
        DISTANCE,
    ),  # fmt: skip
)
REFERENCED_XCT = Schema(
    "XCT scan with flats and darks",
    (COUNTS, FLAT, DARK, ANGLE, Z, U),
    (TIME, FLAT_TIME, DARK_TIME, FLAT_SET, *BEAM_READINGS, ZINGERS, EXPOSURE, *BEAM, DISTANCE),
)
NORMALIZED_XCT = Schema(
    "normalised XCT scan",
    (TRANSMISSION, ANGLE, Z, U),
    (USABLE, ZINGERS, TIME, PROJECTION_MONITOR, PROJECTION_CURRENT, EXPOSURE, *BEAM, DISTANCE),
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
        *BEAM,
        DISTANCE,
    ),  # fmt: skip
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
    (CENTER, ENERGY, WAVELENGTH, NOISE, RESIDUAL, OFFSET_KNOWN),
)
