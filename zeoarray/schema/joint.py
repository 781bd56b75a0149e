"""Variables and nodes of volumes that were brought onto one grid."""

from __future__ import annotations

from zeoarray.schema.common import PHASE, RESOLUTION, X, Y, Z
from zeoarray.schema.model import Schema, Var

GRID_VOXEL = Var("voxel", (), "float", "um", "size of a voxel, along each axis")
FROM_Z = Var("from_z", (), "float", "um", "lower face of the whole grid")
TO_Z = Var("to_z", (), "float", "um", "upper face of the whole grid")
GRID = Schema("grid", (Z, Y, X, GRID_VOXEL, FROM_Z, TO_Z))

VALID_VOLUME = Var("valid", ("z", "y", "x"), "flag", None,
                   "1 where the volume covers the voxel, and has values")  # fmt: skip
RESAMPLED = Schema(
    "volume on a grid", (VALID_VOLUME, Z, Y, X, GRID_VOXEL, FROM_Z, TO_Z), (RESOLUTION,)
)

RESOLUTIONS = Var("resolution", ("resolution",), "float", "um", "nominal voxel size of each scan")
JOINT_SPOTS = Var("spot", ("spot",), "float", "um", "beam size of each diffraction scan")
SCANS = Var("scan", ("resolution",), "text", None, "name of each scan")
SPOT_SCANS = Var("spot_scan", ("spot",), "text", None, "name of each diffraction scan")
_ABSORBING, _PHASES = ("resolution", "z", "y", "x"), ("spot", "phase", "z", "y", "x")
JOINT_ATTENUATION = Var("attenuation", _ABSORBING, "float", "1/cm", "linear attenuation")
JOINT_VALID = Var("valid", _ABSORBING, "flag", None, VALID_VOLUME.doc)
JOINT_PHASES = (
    Var("weight", _PHASES, "float", None, "factor on the reference pattern, additive"),
    Var("weight_sigma", _PHASES, "float", None, "standard error of weight"),
    Var("fraction", _PHASES, "float", "1", "share of a phase in the sum of weights"),
    Var("fraction_sigma", _PHASES, "float", "1", "standard error of fraction"),
)
WEIGHT_VALID = Var("weight_valid", ("spot", "z", "y", "x"), "flag", None, VALID_VOLUME.doc)
JOINT = Schema(
    "volumes of several scans on one grid",
    (Z, Y, X, GRID_VOXEL, FROM_Z, TO_Z),
    (JOINT_ATTENUATION, JOINT_VALID, RESOLUTIONS, SCANS, *JOINT_PHASES, WEIGHT_VALID, JOINT_SPOTS,
     SPOT_SCANS, PHASE),
)  # fmt: skip

KNOT_FROM = Var("knot_from", ("knot",), "float", None, "values of the volume that is mapped")
KNOT_TO = Var("knot_to", ("knot",), "float", None, "what each becomes; it ascends")
KNOT_SIGMA = Var("knot_sigma", ("knot",), "float", None, "standard error of what it becomes")
OVERLAP_VOXELS = Var("overlap_voxels", (), "number", "1", "voxels that both volumes show, compared")
RANK_CORRELATION = Var("rank_correlation", (), "float", "1", "of both volumes where they overlap")
MAPPED_RMS = Var("residual_rms", (), "float", None, "rms difference where both overlap, mapped")
MAPPING = Schema(
    "mapping of grey levels",
    (KNOT_FROM, KNOT_TO, KNOT_SIGMA, OVERLAP_VOXELS, RANK_CORRELATION, MAPPED_RMS),
)
