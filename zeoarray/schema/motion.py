"""What is measured of how a tomography was taken: overlap of a full circle, drift."""

from __future__ import annotations

from zeoarray.schema.common import ANGLE, CENTER, Z
from zeoarray.schema.model import Schema, Var

OVERLAP = Var("overlap", (), "float", "um", "width that both halves of a full circle cover")
OVERLAP_SIGMA = Var("overlap_sigma", (), "float", "um", "standard deviation of the overlap")
OVERLAP_SIDE = Var("overlap_side", (), "number", "1", "-1: the axis is on the left, +1: right")
AXIS_TRIED = Var("axis_tried", ("axis_tried",), "float", "um", "positions of the axis tried")
MIRROR_CORRELATION = Var("mirror_correlation", ("axis_tried",), "float", "1",
                         "correlation of opposite projections")  # fmt: skip
OVERLAP_AT_EDGE = Var("at_edge", (), "flag", None, "1 where the best is the first or last tried")
OVERLAP_AMBIGUOUS = Var("ambiguous", (), "flag", None, "1 where another position rivals the best")

DRIFT_Z = Var("drift_z", ("angle",), "float", "um", "how far a projection is moved along z")
DRIFT_U = Var("drift_u", ("angle",), "float", "um", "how far a projection is moved along u")
DRIFT_Z_SIGMA = Var("drift_z_sigma", ("angle",), "float", "um", "its standard deviation")
DRIFT_U_SIGMA = Var("drift_u_sigma", ("angle",), "float", "um", "its standard deviation")
DRIFT_MEASURED = Var("drift_measured", ("angle",), "flag", None,
                     "0 where the drift is interpolated")  # fmt: skip

OVERLAP_XCT = Schema(
    "overlap of a full circle",
    (OVERLAP, OVERLAP_SIGMA, OVERLAP_SIDE, OVERLAP_AT_EDGE, OVERLAP_AMBIGUOUS, AXIS_TRIED,
     MIRROR_CORRELATION),
    (CENTER, Z),
)  # fmt: skip
DRIFT_XCT = Schema(
    "drift of a scan", (DRIFT_Z, DRIFT_U, DRIFT_Z_SIGMA, DRIFT_U_SIGMA, DRIFT_MEASURED, ANGLE)
)
