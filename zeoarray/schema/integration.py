"""Variables and nodes about azimuthal integration: cakes, detector images, where beams stop."""

from __future__ import annotations

from zeoarray.schema.common import BEAM, CHI, EXPOSURE, Q
from zeoarray.schema.model import Schema, Var
from zeoarray.schema.phases import BIN_CORRELATION, LAG
from zeoarray.schema.xrdct import (
    D_SPACING,
    FRAME_ANGLE,
    FRAME_U,
    FRAME_Z,
    MONITOR,
    RING_CURRENT,
    TWO_THETA,
)


def _integrated(dims: tuple[str, ...]) -> tuple[Var, Var, Var, Var]:
    return (
        Var("intensity", dims, "float", None, "integrated intensity"),
        Var("variance", dims, "float", None, "of intensity"),
        Var("signal", dims, "float", "counts", "counts in a bin, without dark"),
        Var("normalization", dims, "float", None, "what signal is divided by"),
    )


R = Var("r", ("r",), "float", "mm", "distance from the beam, across it")
DETECTOR_DARK = Var("dark", ("det_y", "det_x"), "number", "counts", "counts without beam")
DETECTOR_FLAT = Var("flat", ("det_y", "det_x"), "number", "1", "response of the pixels")
PIXEL_VARIANCE = Var("variance", ("frame", "det_y", "det_x"), "float", None, "of counts")
BEAM_U = Var("beam_u", ("beam_u",), "float", "um", "u of the positions where the beam stops")
BEAM_Z = Var("beam_z", ("beam_z",), "float", "um", "z of the positions where the beam stops")
STOPS = Var("stops", ("beam_z", "beam_u"), "count", "1", "frames taken at each position")
BIN_COVARIANCE = Var("covariance", ("q", "lag"), "float", None,
                     "of a bin's intensity with that `lag` bins on, mean of frames")  # fmt: skip

_BESIDE = (FRAME_ANGLE, FRAME_U, FRAME_Z)
_READINGS = (MONITOR, RING_CURRENT, EXPOSURE, *BEAM)
_CAKE, _RADIUS = _integrated(("frame", "chi", "q")), _integrated(("frame", "r"))

CAKES = Schema(
    "frames integrated in sectors",
    (_CAKE[0], *_BESIDE, CHI, Q),
    (*_CAKE[1:], TWO_THETA, D_SPACING, *_READINGS),
)
PATTERNS_RADIUS = Schema(
    "frames integrated over the radius", (_RADIUS[0], *_BESIDE, R), (*_RADIUS[1:], *_READINGS)
)
DETECTOR_IMAGES = Schema("images of a detector", (), (DETECTOR_DARK, DETECTOR_FLAT))
BEAM_POSITIONS = Schema("positions of the beam", (BEAM_U, BEAM_Z, STOPS))
BIN_COVARIANCES = Schema("covariance of bins", (BIN_COVARIANCE, BIN_CORRELATION, Q), (LAG,))
