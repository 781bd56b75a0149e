"""What is measured of how scans of one sample lie to each other."""

from __future__ import annotations

from zeoarray.schema.model import Schema, Var
from zeoarray.schema.quality import AGREES_TO, FREQUENCY, HALF_BIT

TO_FIXED = Var("to_fixed", ("to", "from"), "float", "um",
               "x, y, z, 1 in the moving volume to x, y, z, 1 in the fixed one")  # fmt: skip
TO_SAMPLE = Var("to_sample", ("to", "from"), "float", "um",
                "x, y, z, 1 in the volume of a scan to x, y, z, 1 in the sample")  # fmt: skip
PARAMETER = Var("parameter", ("parameter",), "text", None,
                "small change in the fixed frame: shifts [um], turns [rad], stretches")  # fmt: skip
COVARIANCE = Var("covariance", ("parameter", "other"), "float", "1", "covariance of the parameters")
ABOUT = Var("about", ("axis",), "float", "um", "x, y, z that turns and stretches are about")
AXIS_NAME = Var("axis", ("axis",), "text", None, "x, y, z")
PIXEL_SCALE = Var("pixel_scale", (), "float", "1", "true over stated pixel, if the fixed is right")
PIXEL_SIZE_TRUE = Var("pixel_size", (), "float", "um", "pixel size, corrected")
COMPARED_AT = Var("compared_at", (), "float", "um", "voxel at which volumes were compared")
PREDICTED_RMS = Var("predicted_rms", (), "float", "um", "error expected of the map, rms")
PREDICTED_MAX = Var("predicted_max", (), "float", "um", "error expected where it is largest")
HELD_OUT_CHI2 = Var("held_out_chi2", (), "float", "1",
                    "chi-square for each degree of freedom of blocks not in the fit")  # fmt: skip
HELD_OUT_BLOCKS = Var("held_out_blocks", (), "number", "1", "blocks not in the fit")
ROUND_TRIP = Var("round_trip", (), "float", "um", "rms error there and back by another fit")
SPLIT_HALF = Var("split_half", (), "float", "um", "rms half difference by halves of blocks")
SCALES_APART = Var("scales_apart", (), "float", "um", "rms difference if both are smoothed before")
BLOCK_CORRELATION = Var("block_correlation", (), "float", "1", "median correlation of blocks")
NULL_CORRELATION = Var("null_correlation", (), "float", "1", "the same, blocks in a wrong place")
BLOCK_POSITION = Var("block_position", ("block", "axis"), "float", "um", "middle of each block")
BLOCK_RESIDUAL = Var("block_residual", ("block", "axis"), "float", "um", "how far it is off yet")
BLOCK_SIGMA = Var("block_sigma", ("block", "axis"), "float", "um", "its standard deviation")
BLOCK_WEIGHT = Var("block_weight", ("block",), "float", "1", "how far it was believed, 0 to 1")
BLOCK_HELD_OUT = Var("block_held_out", ("block",), "flag", None, "1 where it was not in the fit")
SHELL_CORRELATION = Var("shell_correlation", ("frequency",), "float", "1",
                        "Fourier shell correlation")  # fmt: skip
MUTUAL_INFORMATION = Var("mutual_information", (), "float", "1",
                         "of the registered volumes, in nat; across modalities")  # fmt: skip
DISPLACEMENT = Var("displacement", (), "float", "um",
                   "rms way of the layers from the frame believed in")  # fmt: skip
FRAME_CHI2 = Var("frame_chi2", (), "float", "1",
                 "chi-square of the frame believed in, for a parameter")  # fmt: skip
FRAME_CORRELATION = Var("frame_correlation", (), "float", "1", "in the frame believed in")
OF_FRAME = (DISPLACEMENT, FRAME_CHI2, FRAME_CORRELATION)
CONFIRMED = Var("confirmed", (), "flag", None, "1 where the frame believed in is within the error")
TRUSTED = Var("trusted", (), "flag", None, "1 where every test bears the answer out")

REGISTRATION = Schema(
    "registration of two volumes",
    (TO_FIXED, COVARIANCE, PARAMETER, ABOUT, AXIS_NAME, PIXEL_SCALE, PIXEL_SIZE_TRUE, COMPARED_AT,
     PREDICTED_RMS, PREDICTED_MAX, HELD_OUT_CHI2, HELD_OUT_BLOCKS, ROUND_TRIP, SPLIT_HALF,
     SCALES_APART, BLOCK_CORRELATION, NULL_CORRELATION, BLOCK_POSITION, BLOCK_RESIDUAL, BLOCK_SIGMA,
     BLOCK_WEIGHT, BLOCK_HELD_OUT, FREQUENCY, SHELL_CORRELATION, HALF_BIT, AGREES_TO, TRUSTED),
    (MUTUAL_INFORMATION, *OF_FRAME, CONFIRMED),
)  # fmt: skip

SCAN_NAME = Var("scan", ("scan",), "text", None, "name of a scan")
PAIR_NAME = Var("pair", ("pair",), "text", None, "names of the moving and the fixed scan")
TO_SAMPLES = Var("to_sample", ("scan", "to", "from"), "float", "um", TO_SAMPLE.doc)
COVARIANCES = Var("covariance", ("scan", "parameter", "other"), "float", "1",
                  "covariance of small changes of each in the sample's frame")  # fmt: skip
PIXEL_SCALES = Var("pixel_scale", ("scan",), "float", "1", "true over stated pixel, of each scan")
CENTER_SIGMA = Var("center_sigma", ("scan",), "float", "um", "error of each at the middle of all")
LOOP_CHI2 = Var("loop_chi2", (), "float", "1", "how loops close, for each degree of freedom")
LOOP_DEGREES = Var("loop_degrees", (), "number", "1", "degrees of freedom that loops leave")
PAIR_CHI2 = Var("pair_chi2", ("pair",), "float", "1", "what each pair had to give, for a parameter")
PAIR_RESIDUAL = Var("pair_residual", ("pair",), "float", "um", "shift by which each pair gave way")

NETWORK = Schema(
    "scans in one frame",
    (TO_SAMPLES, COVARIANCES, ABOUT, PIXEL_SCALES, CENTER_SIGMA, LOOP_CHI2, LOOP_DEGREES,
     PAIR_CHI2, PAIR_RESIDUAL, SCAN_NAME, PAIR_NAME, PARAMETER, AXIS_NAME),
)  # fmt: skip

EXACT = ("to_fixed", "to_sample", "covariance")
"""Small matrices that stay double: single precision is no more than the errors they speak of."""
