"""Variables and nodes of training data: where patches lie, and what was cut there."""

from __future__ import annotations

from zeoarray.schema.common import Q, X, Y, Z
from zeoarray.schema.model import Schema, Var

Z0 = Var("z0", ("patch",), "float", "um", "centre of a patch, height")
Y0 = Var("y0", ("patch",), "float", "um", "centre of a patch, in plane")
X0 = Var("x0", ("patch",), "float", "um", "centre of a patch, in plane")
SPLIT = Var("split", ("patch",), "text", None, "train, validation or test")
BLOCK = Var("block", ("patch",), "number", "1", "number of the part of space that a patch is in")
FOREGROUND = Var("foreground", ("patch",), "float", "1", "share of a patch that is sample")
SIZE_Z = Var("size_z", (), "float", "um", "width of a patch along z")
SIZE_Y = Var("size_y", (), "float", "um", "width of a patch along y")
SIZE_X = Var("size_x", (), "float", "um", "width of a patch along x")
SUPPORT_Z = Var("support_z", (), "float", "um", "how far beyond its box a patch's values come from")
SUPPORT_Y = Var("support_y", (), "float", "um", "the same along y")
SUPPORT_X = Var("support_x", (), "float", "um", "the same along x")
LOST = Var(
    "lost", (), "float", "1", "share of the places that lie between splits, and are left out"
)
CENTRES = (Z0, Y0, X0)
SIZES = (SIZE_Z, SIZE_Y, SIZE_X)
SUPPORTS = (SUPPORT_Z, SUPPORT_Y, SUPPORT_X)

POSITIONS_PATCHES = Schema(
    "positions of patches",
    (*CENTRES, SPLIT, *SIZES, *SUPPORTS),
    (BLOCK, FOREGROUND, LOST),
)

Z_CUT = Var("z_cut", ("patch",), "float", "um", "centre of what was cut, on its own grid")
Y_CUT = Var("y_cut", ("patch",), "float", "um", "the same along y")
X_CUT = Var("x_cut", ("patch",), "float", "um", "the same along x")
CUTS = (Z_CUT, Y_CUT, X_CUT)
VOXEL = Var("voxel", (), "float", "um", "size of a voxel of a patch")
CHANNEL = Var("channel", ("channel",), "text", None, "what each channel is: a phase, a resolution")
_CHANNELS, _PATTERN = ("patch", "channel", "z", "y", "x"), ("patch", "q", "z", "y", "x")
PATCH_VALUES = (
    Var("attenuation", _CHANNELS, "float", "1/cm", "linear attenuation"),
    Var("weight", _CHANNELS, "float", None, "factor on the reference pattern, additive"),
    Var("weight_sigma", _CHANNELS, "float", None, "standard error of weight"),
    Var("fraction", _CHANNELS, "float", "1", "share of a phase in the sum of weights"),
    Var("fraction_sigma", _CHANNELS, "float", "1", "standard error of fraction"),
    Var("valid", _CHANNELS, "flag", None, "1 where there is a measurement"),
    Var("intensity", _PATTERN, "float", None, "diffracted intensity"),
    Var("intensity_sigma", _PATTERN, "float", None, "its standard error"),
)
_STITCHED = ("channel", "z", "y", "x")
STITCHED = Schema(
    "volume of several channels, put together from patches",
    (Z, Y, X),
    (
        Var("attenuation", _STITCHED, "float", "1/cm", "linear attenuation"),
        Var("weight", _STITCHED, "float", None, "factor on the reference pattern, additive"),
        CHANNEL,
    ),
)
PATCHES = Schema(
    "patches",
    (*CENTRES, *CUTS, SPLIT, *SIZES, *SUPPORTS, Z, Y, X),
    (*PATCH_VALUES, CHANNEL, Q, VOXEL, BLOCK, FOREGROUND),
)

MEAN = Var("mean", ("channel",), "float", None, "mean over the training split")
DEVIATION = Var("deviation", ("channel",), "float", None, "standard deviation over it")
LEAST = Var("least", ("channel",), "float", None, "least value in it")
GREATEST = Var("greatest", ("channel",), "float", None, "greatest value in it")
MEASURED = Var("measured", ("channel",), "number", "1", "values that were counted")
STATISTICS_PATCHES = Schema(
    "statistics of training patches", (MEAN, DEVIATION, LEAST, GREATEST, MEASURED), (CHANNEL,)
)
