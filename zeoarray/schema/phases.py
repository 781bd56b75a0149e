"""Variables and nodes of phases and peaks: what is fitted to diffraction patterns."""

from __future__ import annotations

from zeoarray.schema.common import ANGLE, PHASE, Q, U, X, Y, Z
from zeoarray.schema.model import Schema, Var

_VOXEL, _RAY = ("z", "y", "x"), ("z", "angle", "u")


def _both(
    name: str, first: tuple[str, ...], kind: str, units: str | None, doc: str
) -> tuple[Var, Var]:
    """The variable of a voxel and that of a ray."""
    return Var(name, (*first, *_VOXEL), kind, units, doc), Var(
        name, (*first, *_RAY), kind, units, doc
    )


REFERENCE = Var("pattern", ("phase", "q"), "float", None, "reference pattern of each phase")
WIDTH_ADDED = Var("width_added", (), "float", "1/angstrom",
                  "sigma of the Gaussian that references were convolved with")  # fmt: skip
WIDTH_RELATIVE = Var("width_relative", (), "float", "1", "the part of it that grows with q, over q")
SHIFT_RELATIVE = Var("shift_relative", (), "float", "1", "by which references were moved, over q")
SHIFT_RELATIVE_SIGMA = Var("shift_relative_sigma", (), "float", "1", "its standard error")
REFERENCES = Schema(
    "reference patterns",
    (REFERENCE, PHASE, Q),
    (WIDTH_ADDED, WIDTH_RELATIVE, SHIFT_RELATIVE, SHIFT_RELATIVE_SIGMA),
)
COMPONENT_SHARE = Var("share", ("phase",), "float", "1", "of a component in the sum of all weights")
COMPONENT_RESIDUAL = Var("residual", ("iteration",), "float", "1",
                         "norm of what is left, over that of the patterns")  # fmt: skip
ITERATIONS = Var("iterations", (), "number", "1", "how many there were")
SEED = Var("seed", (), "number", "1", "of what was drawn")
START = Var("start", (), "number", "1", "which start was the best; 0 is the one without draws")
COMPONENTS = Schema(
    "components of patterns",
    (REFERENCE, PHASE, Q, COMPONENT_SHARE, COMPONENT_RESIDUAL),
    (ITERATIONS, SEED, START),
)

CURVES = Var("basis", ("component", "q"), "float", "1", "orthonormal curves, bins over `scale`")
CURVES_SCALE = Var("scale", ("q",), "float", None, "standard error of a bin, 0 where not measured")
SINGULAR = Var("singular", ("component",), "float", "1", "singular value of each curve")
THRESHOLD = Var("threshold", (), "float", "1", "singular values below it are noise")
BASIS = Schema("basis of patterns", (CURVES, CURVES_SCALE, Q), (SINGULAR, THRESHOLD, SEED))

BIN_CORRELATION = Var("correlation", ("q", "lag"), "float", "1",
                      "correlation of a bin's error with that `lag` bins on")  # fmt: skip
LAG = Var("lag", ("lag",), "number", "1", "distance of two bins")
CORRELATIONS = Schema("correlation of bins", (BIN_CORRELATION, Q), (LAG,))

WEIGHT = _both("weight", ("phase",), "float", None, "factor on the reference pattern, additive")
WEIGHT_SIGMA = _both("weight_sigma", ("phase",), "float", None, "standard error of weight")
WEIGHT_COVARIANCE = _both("weight_covariance", ("phase", "other"), "float", None,
                          "of the weights of two phases")  # fmt: skip
AT_BOUND = _both("at_bound", ("phase",), "flag", None, "1 where a weight is held at 0")
CHI2 = _both("chi2", (), "float", "1", "residual over its expectation: 1 where the model is right")
FRACTION = _both("fraction", ("phase",), "float", "1", "share of a phase in the sum of weights")
FRACTION_SIGMA = _both("fraction_sigma", ("phase",), "float", "1", "standard error of fraction")
OTHER = Var("other", ("other",), "text", None, "crystalline phase")
_OF_VOXELS = (WEIGHT, WEIGHT_SIGMA, WEIGHT_COVARIANCE, AT_BOUND, CHI2, FRACTION, FRACTION_SIGMA)
PHASES_XRDCT = Schema(
    "XRD-CT phases", (WEIGHT[0], PHASE, Z, Y, X), (*(v[0] for v in _OF_VOXELS[1:]), OTHER)
)
PHASES_SINOGRAM = Schema(
    "sinogram of phases", (WEIGHT[1], PHASE, Z, ANGLE, U), (*(v[1] for v in _OF_VOXELS[1:]), OTHER)
)

PEAK = Var("peak", ("peak",), "float", "1/angstrom", "where a peak is looked for")
AREA = _both("area", ("peak",), "float", None, "integral of a peak over q, background subtracted")
POSITION = _both("position", ("peak",), "float", "1/angstrom", "centre of a peak")
WIDTH = _both("width", ("peak",), "float", "1/angstrom", "full width of a peak at half maximum")
SHARE = _both("lorentzian", ("peak",), "float", "1", "Lorentzian share of a peak")
AREA_SIGMA = _both("area_sigma", ("peak",), "float", None, "standard error of area")
POSITION_SIGMA = _both("position_sigma", ("peak",), "float", "1/angstrom", "of position")
WIDTH_SIGMA = _both("width_sigma", ("peak",), "float", "1/angstrom", "of width")
SHARE_SIGMA = _both("lorentzian_sigma", ("peak",), "float", "1", "of the Lorentzian share")
PEAK_CHI2 = _both("peak_chi2", ("peak",), "float", "1", "reduced chi square of a peak's fit")
CONVERGED = _both("converged", ("peak",), "flag", None, "1 where the fit of a peak ended well")
_OF_PEAKS = (AREA, POSITION, WIDTH, SHARE, AREA_SIGMA, POSITION_SIGMA, WIDTH_SIGMA, SHARE_SIGMA,
             PEAK_CHI2, CONVERGED)  # fmt: skip
PEAKS_XRDCT = Schema("XRD-CT peaks", (AREA[0], PEAK, Z, Y, X), tuple(v[0] for v in _OF_PEAKS[1:]))
PEAKS_SINOGRAM = Schema(
    "sinogram of peaks", (AREA[1], PEAK, Z, ANGLE, U), tuple(v[1] for v in _OF_PEAKS[1:])
)

MIXED = Var("mixed", ("z",), "float", "1", "share of voxels in which no phase is by itself")
MIXED_SIGMA = Var("mixed_sigma", ("z",), "float", "1", "its standard error")
MIXED_BLUR = Var("mixed_blur", ("z",), "float", "1", "the same share if phases were isolated")
MIXED_BLUR_SIGMA = Var("mixed_blur_sigma", ("z",), "float", "1", "its standard error")
MIXED_EXCESS = Var("mixed_excess", ("z",), "float", "1", "what is mixed beyond the beam's blur")
MIXED_EXCESS_SIGMA = Var("mixed_excess_sigma", ("z",), "float", "1", "its standard error")
MIXED_VOXELS = Var("voxels", ("z",), "number", "1", "voxels that hold matter")
ISOLATION = Schema(
    "isolation of phases",
    (MIXED, MIXED_SIGMA, MIXED_BLUR, MIXED_BLUR_SIGMA, MIXED_EXCESS, MIXED_EXCESS_SIGMA,
     MIXED_VOXELS, Z),
)  # fmt: skip

RAY_SHIFT = Var("shift", _RAY, "float", "1", "of lines against the references, over q")
RAY_SHIFT_SIGMA = Var("shift_sigma", _RAY, "float", "1", "standard error of shift")
SHIFT_MEAN = Var("shift_mean", (), "float", "1", "mean shift of all rays: a fault of calibration")
SHIFT_MEAN_SIGMA = Var("shift_mean_sigma", (), "float", "1", "its standard error")
PER_M = Var("shift_per_m", (), "float", "1/m", "shift over q for each metre along the beam")
PER_M_SIGMA = Var("shift_per_m_sigma", (), "float", "1/m", "its standard error")
PARALLAX = Schema(
    "parallax",
    (RAY_SHIFT, RAY_SHIFT_SIGMA, SHIFT_MEAN, SHIFT_MEAN_SIGMA, PER_M, PER_M_SIGMA, Z, ANGLE, U),
)
