"""Dims, and what any scan carries: beam, senses of the axes, detector geometry."""

from __future__ import annotations

from zeoarray.schema.model import Var

# --- dims -------------------------------------------------------------------------------------
# Dims.
ANGLE = Var("angle", ("angle",), "float", "deg", "rotation about the tomographic axis",
            "rotation angle")  # fmt: skip
U = Var("u", ("u",), "float", "um", "lateral position: detector column (XCT), beam or stage",
        "u, lateral position")  # fmt: skip
Z = Var("z", ("z",), "float", "um", "height: detector row (XCT), stage height (XRD-CT)",
        "z, height")  # fmt: skip
Y = Var("y", ("y",), "float", "um", "in-plane position, origin on the rotation axis", "y")
X = Var("x", ("x",), "float", "um", "in-plane position, origin on the rotation axis", "x")
Q = Var("q", ("q",), "float", "1/angstrom", "scattering vector length, 4 pi sin(theta) / lambda",
        "q")  # fmt: skip
CHI = Var("chi", ("chi",), "float", "deg", "detector azimuth")
PHASE = Var("phase", ("phase",), "text", None, "crystalline phase")

# --- scalars that a scan carries ----------------------------------------------------------------

# Scalars that a scan carries.
RESOLUTION = Var("resolution", (), "float", "um", "nominal pixel, voxel or spot size")
ENERGY = Var("energy", (), "float", "keV", "photon energy")
WAVELENGTH = Var("wavelength", (), "float", "angstrom", "photon wavelength")
BEAM_SIZE = Var("beam_size", (), "float", "um", "full width of the beam at the sample")
DISTANCE = Var("distance", (), "float", "m", "sample to detector (pyFAI: sample to PONI)")
ROTATION_SENSE = Var("rotation_sense", (), "number", "1", "+1: angle is anticlockwise against z")
U_SENSE = Var("u_sense", (), "number", "1", "+1: the beam (or detector) moves, -1: the sample")
Z_SENSE = Var("z_sense", (), "number", "1", "+1: z ascends upwards in the laboratory")
CENTER = Var("axis_u", ("z",), "float", "um", "where the rotation axis meets the detector, by row")

# --- detector geometry, named as pyFAI names it -------------------------------------------------

# Detector geometry, named as pyFAI names it.
PONI1 = Var("poni1", (), "float", "m", "point of normal incidence along det_y")
PONI2 = Var("poni2", (), "float", "m", "point of normal incidence along det_x")
ROT1 = Var("rot1", (), "float", "rad", "first rotation of the detector")
ROT2 = Var("rot2", (), "float", "rad", "second rotation of the detector")
ROT3 = Var("rot3", (), "float", "rad", "third rotation of the detector")
PIXEL1 = Var("pixel1", (), "float", "m", "detector pixel along det_y")
PIXEL2 = Var("pixel2", (), "float", "m", "detector pixel along det_x")
DETECTOR = Var("detector", (), "text", None, "detector name, as pyFAI knows it")
ORIENTATION = Var("orientation", (), "number", "1", "origin of the image, pyFAI's 1 to 4")
MASK = Var("mask", ("det_y", "det_x"), "flag", None, "1 where a detector pixel is bad")
DETECTOR_CONFIG = Var("detector_config", (), "text", None, "what else pyFAI's detector takes, JSON")
SENSOR_PARALLAX = Var("sensor_parallax", (), "flag", None, "1: pyFAI corrects for a thick sensor")
GEOMETRY = (DISTANCE, PONI1, PONI2, ROT1, ROT2, ROT3, PIXEL1, PIXEL2, WAVELENGTH, DETECTOR,
            ORIENTATION, DETECTOR_CONFIG, SENSOR_PARALLAX)  # fmt: skip

EXPOSURE = Var("exposure", ("frame",), "float", "s", "exposure time")

DETECTOR_ROWS = Var("detector_rows", (), "number", "1", "rows of the whole detector")
DETECTOR_COLUMNS = Var("detector_columns", (), "number", "1", "columns of the whole detector")
DETECTOR_SIZE = (DETECTOR_ROWS, DETECTOR_COLUMNS)
SENSES = (ROTATION_SENSE, U_SENSE, Z_SENSE)
BEAM = (RESOLUTION, ENERGY, WAVELENGTH, BEAM_SIZE, *SENSES)
