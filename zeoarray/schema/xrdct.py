"""Variables and nodes of diffraction tomography."""

from __future__ import annotations

from zeoarray.schema.common import (
    ANGLE,
    BEAM,
    CENTER,
    EXPOSURE,
    GEOMETRY,
    MASK,
    RESOLUTION,
    WAVELENGTH,
    Q,
    U,
    X,
    Y,
    Z,
)
from zeoarray.schema.model import Schema, Var

FRAMES = Var("counts", ("frame", "det_y", "det_x"), "number", "counts", "diffraction frames")
FRAME_ANGLE = Var("angle", ("frame",), "float", "deg", "rotation of each frame")
FRAME_U = Var("u", ("frame",), "float", "um", "lateral beam position of each frame")
FRAME_Z = Var("z", ("frame",), "float", "um", "height of each frame")
MONITOR = Var("monitor", ("frame",), "number", "1", "incoming intensity (ion chamber), relative")
RING_CURRENT = Var("ring_current", ("frame",), "float", "mA", "current of the storage ring")
FRAME_INTENSITY = Var("intensity", ("frame", "q"), "float", None, "integrated intensity")
FRAME_VARIANCE = Var("variance", ("frame", "q"), "float", None, "of intensity")
FRAME_SIGNAL = Var("signal", ("frame", "q"), "float", "counts", "counts in a bin, without dark")
FRAME_NORM = Var("normalization", ("frame", "q"), "float", None, "what signal is divided by")
SINO = Var("intensity", ("z", "angle", "u", "q"), "float", None, "integrated intensity")
SINO_SIGNAL = Var("signal", ("z", "angle", "u", "q"), "float", "counts", "counts in a bin")
SINO_NORM = Var("normalization", ("z", "angle", "u", "q"), "float", None,
                "what signal is divided by")  # fmt: skip
SINO_POINTS = Var("intensity", ("z", "angle", "u"), "float", None, "one number for each point")
SINO_VARIANCE = Var("variance", ("z", "angle", "u", "q"), "float", None, "of intensity")
SINO_ABSORBANCE = Var("absorbance", ("z", "angle", "u"), "float", "1",
                      "line integral of attenuation by which absorption was corrected")  # fmt: skip
VALID = Var("valid", ("z", "angle", "u"), "flag", None, "1 where a measurement exists")
SPOTS = Var("spots", ("z", "angle", "q"), "float", "1", "share of a projection replaced as spots")
PROJECTION_SCALE = Var("projection_scale", ("z", "angle"), "float", "1",
                       "what each projection was multiplied by")  # fmt: skip
BACKGROUND_SCALE = Var("background_scale", ("z", "angle"), "float", "1",
                       "factor of the background in each projection")  # fmt: skip
BOTH_SIDES = Var("both_sides", ("z", "angle", "u"), "flag", None,
                 "1 where a ray and its opposite were averaged")  # fmt: skip
VOXEL = Var("intensity", ("z", "y", "x", "q"), "float", None,
            "intensity diffracted by a voxel, for each unit of length along the beam")  # fmt: skip
VOXEL_VARIANCE = Var("variance", ("z", "y", "x", "q"), "float", None, "of intensity")
VOXEL_RESIDUAL = Var("residual", ("z", "q"), "float", "1", "norm(b - A x) / norm(b) in the end")
PATTERN = Var("intensity", ("q",), "float", None, "powder pattern")
PATTERN_VARIANCE = Var("variance", ("q",), "float", None, "of intensity")
TWO_THETA = Var("two_theta", ("q",), "float", "deg", "scattering angle, an auxiliary of q")
D_SPACING = Var("d", ("q",), "float", "angstrom", "lattice spacing 2 pi / q")

SCAN_XRDCT = Schema(
    "XRD-CT scan",
    (FRAMES, FRAME_ANGLE, FRAME_U, FRAME_Z),
    (MONITOR, RING_CURRENT, EXPOSURE, MASK, *BEAM, *GEOMETRY),
)
PATTERNS = Schema(
    "list of integrated frames",
    (FRAME_INTENSITY, FRAME_ANGLE, FRAME_U, FRAME_Z, Q),
    (
        FRAME_VARIANCE,
        FRAME_SIGNAL,
        FRAME_NORM,
        MONITOR,
        RING_CURRENT,
        EXPOSURE,
        TWO_THETA,
        D_SPACING,
        *BEAM,
    ),
)
SINOGRAM = Schema(
    "XRD-CT sinogram",
    (SINO, Z, ANGLE, U, Q),
    (
        SINO_VARIANCE,
        SINO_SIGNAL,
        SINO_NORM,
        SINO_ABSORBANCE,
        VALID,
        SPOTS,
        PROJECTION_SCALE,
        BACKGROUND_SCALE,
        BOTH_SIDES,
        TWO_THETA,
        D_SPACING,
        *BEAM,
    ),
)
VOLUME_XRDCT = Schema(
    "XRD-CT volume",
    (VOXEL, Z, Y, X, Q, RESOLUTION),
    (VOXEL_VARIANCE, VOXEL_RESIDUAL, CENTER, TWO_THETA, D_SPACING, *BEAM),
)
POWDER = Schema(
    "powder pattern", (PATTERN, Q), (PATTERN_VARIANCE, TWO_THETA, D_SPACING, WAVELENGTH)
)
