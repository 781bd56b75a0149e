"""Azimuthal integration: batches of detector frames to patterns, with their error.

Frames are multiplied by a sparse matrix that is built once for a geometry (`integration_matrix`):
S_k = sum_p c_kp (counts_p - dark_p), N_k = sum_p c_kp n_p, intensity S / N, where c is the share of
pixel p that falls into bin k, and n its solid angle times polarization times flat. Sums can be
added over frames; intensities cannot.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError, unknown
from zeoarray.kernels import azimuthal_plain
from zeoarray.kernels.azimuthal_build import Matrix, integration_matrix, matrix_of
from zeoarray.kernels.azimuthal_config import Configuration, configuration
from zeoarray.kernels.azimuthal_frames import Frames, Lost, Totals
from zeoarray.kernels.azimuthal_loops import (
    GIVEN,
    LANES,
    NONE,
    NORM,
    POISSON,
    TILE,
    add,
    add_band,
    add_both,
    add_deviation,
    untile,
)
from zeoarray.kernels.azimuthal_matrix import IntegrationMatrix
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel

__all__ = [
    "Configuration",
    "ErrorModel",
    "IntegrationMatrix",
    "configuration",
    "covariance_band",
    "integrate",
    "integration_matrix",
    "intensity",
    "sigma",
    "sums",
    "variance_of",
]

Array = np.ndarray[Any, Any]
ErrorModel = Literal["poisson", "variance", "azimuthal"]

KIND = {None: NONE, "poisson": POISSON, "variance": GIVEN, "azimuthal": NONE}


def _bins(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return {"bin": matrix_of(parameters["matrix"]).bins}


def _sums_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    bins = matrix_of(parameters["matrix"]).bins
    rows = 1 if parameters["error_model"] is None else 2
    # Sums in single and in double precision, and the normalisation that is lost.
    total = bins * LANES * (12 * rows + 8)
    # The results in double precision, which is what they are computed in.
    total += bins * LANES * 8 * 4
    passes = 1
    if parameters["error_model"] == "azimuthal":
        # A second pass, with the means of the bins.
        passes, total = 2, total + bins * LANES * 16
    return Memory(0, total + passes * 2 * TILE * LANES * 4 + 8 * sizes["batch"])


@kernel(
    "(det_y,det_x)->(bin),(bin),(bin)",
    rows={"factor": (), "variance": ("det_y", "det_x")},
    memory=_sums_memory,
    sizes=_bins,
)
def sums(
    frames: Any,
    *,
    matrix: Matrix,
    error_model: ErrorModel | None = None,
    variance: Any = None,
    factor: Any = 1.0,
    dark: Any = None,
    dummy: float | None = None,
    delta_dummy: float = 0.0,
    saturation: float | None = None,
) -> tuple[Any, Any, Any]:
    """(..., det_y, det_x) -> (..., bin), (..., bin), (..., bin). Signal, normalisation, variance.

    Parameters
    ----------
    frames
        Counts. In frames of integers, negative counts and the largest number of the dtype are no
        measurement, nor are NaN and infinity in others; such pixels are left out of their frame.
    matrix
        From `integration_matrix`, or the `configuration` that it is built from.
    error_model
        ``poisson``: the variance of a pixel is max(counts, 1). ``variance``: it is given.
        ``azimuthal``: it is the square of how far a pixel is from its bin's mean. None: none.
    variance
        (..., det_y, det_x), where the model is ``variance``.
    factor
        What each frame's normalisation is multiplied by: monitor or ring current, and exposure.
    dark
        (det_y, det_x), subtracted from all frames.
    dummy, delta_dummy
        Counts that are no further than `delta_dummy` from `dummy` are left out.
    saturation
        Counts at and above this are left out.

    Returns
    -------
    tuple
        S, N and V of every bin; V is NaN without an error model. A cake's bins are (radial,
        azimuthal), flattened. Bins without a pixel have N = 0.

    Raises
    ------
    ArgumentError
        Where the frames are of another detector, or an argument does not fit them.

    References
    ----------
    J. Kieffer, V. Valls, N. Blanc, C. Hennig, "New tools for calibrating diffraction setups",
    J. Synchrotron Radiat. 27, 558 (2020), doi:10.1107/S1600577520000776.
    """
    xp, built = xp_of(frames), matrix_of(matrix)
    source = Frames(frames, built, variance=_variance(error_model, variance), factor=factor,
                    dark=dark, dummy=dummy, delta_dummy=delta_dummy,
                    saturation=saturation)  # fmt: skip
    contract = contract_of(sums)
    shape = (*frames.shape[:-2], built.bins)
    dtype = contract.output_dtype(0, frames.dtype)
    # Half precision and foreign byte orders are for storing, not for computing.
    inner = dtype.newbyteorder("=") if dtype.itemsize >= 4 else np.dtype(np.float32)
    out = tuple(xp.empty(shape, inner) for _ in range(3))
    flat = [a.reshape(-1, built.bins) for a in out]
    for rows in source.batches(LANES):
        targets = [a[rows] for a in flat]
        if xp is np:
            _batch(source, built, rows, error_model, targets)
            continue
        for target, values in zip(
            targets, azimuthal_plain.batch(source, built, rows, error_model), strict=True
        ):
            target[...] = values
    signal, norm, spread = (a.astype(dtype, copy=False) for a in out)
    return signal, norm, spread


def _variance(error_model: str | None, variance: Any) -> Any:
    if error_model is not None and error_model not in get_args(ErrorModel):
        raise unknown("error model", error_model, get_args(ErrorModel))
    if (error_model == "variance") is (variance is None):
        raise ArgumentError(
            "a variance and the error model 'variance' belong together",
            got=f"error_model={error_model!r}, variance {'not ' * (variance is None)}given",
        )
    return variance


def _batch(
    source: Frames,
    matrix: IntegrationMatrix,
    rows: slice,
    error_model: str | None,
    targets: list[Array],
) -> None:
    """Write the sums of up to sixteen frames, (frame, bin) each."""
    kind = KIND[error_model]
    entries = matrix.indptr, matrix.indices, matrix.data
    totals, lost = Totals(1 if kind == NONE else 2, matrix.bins), Lost(matrix)
    part = totals.part
    for first, values, beside in source.tiles(rows, kind, lost):
        if kind == NONE:
            add(*entries, first, values, part[0])
        else:
            add_both(*entries, first, values, part[0], beside, part[1])
        totals.added(len(values))
    whole = totals.whole()
    signal, norm, variance = targets
    untile(whole[0], signal)
    source.normalize(rows, lost, norm)
    if kind != NONE:
        untile(whole[1], variance)
    elif error_model is None:
        variance.fill(np.nan)
    else:
        untile(_deviation(source, matrix, rows, whole[0], lost), variance)


def _deviation(
    source: Frames, matrix: IntegrationMatrix, rows: slice, signal: Array, lost: Lost
) -> Array:
    """Sum of the squares by which the pixels' shares are off the mean of their bin."""
    mean = np.zeros(signal.shape, np.float32)
    left = lost.left(LANES).T
    np.divide(signal, left, out=mean, where=left > 0, casting="same_kind")
    totals = Totals(1, matrix.bins)
    entries = matrix.indptr, matrix.indices, matrix.data
    for first, values, norms in source.tiles(rows, NORM):
        add_deviation(*entries, first, values, norms, mean, totals.part[0])
        totals.added(len(values))
    whole: Array = totals.whole()[0]
    return whole


# --- patterns -------------------------------------------------------------------------------------
def intensity(signal: Any, normalization: Any) -> Any:
    """S / N; NaN where no pixel contributes."""
    xp = xp_of(signal)
    with np.errstate(invalid="ignore", divide="ignore"):
        out = signal / normalization
    out[normalization <= 0] = xp.nan
    return out


def sigma(variance: Any, normalization: Any) -> Any:
    """sqrt(V) / N, the standard error of the intensity; NaN where no pixel contributes."""
    return intensity(xp_of(variance).sqrt(variance), normalization)


def integrate(
    frames: Any,
    matrix: Matrix,
    *,
    error_model: ErrorModel | None = None,
    variance: Any = None,
    factor: Any = 1.0,
    dark: Any = None,
    dummy: float | None = None,
    delta_dummy: float = 0.0,
    saturation: float | None = None,
) -> Any:
    """(..., det_y, det_x) -> (..., radial) or (..., radial, azimuthal). Frames to patterns.

    Parameters are those of `sums`.

    Returns
    -------
    array or tuple
        The intensity, NaN in bins without a pixel; with an error model, intensity and the standard
        error of each bin. Neighbouring bins share pixels: see `covariance_band`.

    Examples
    --------
    >>> from pyFAI.integrator.azimuthal import AzimuthalIntegrator
    >>> from pyFAI.detectors import Detector
    >>> detector = Detector(1e-4, 1e-4, max_shape=(40, 40))
    >>> geometry = AzimuthalIntegrator(0.1, 2e-3, 2e-3, detector=detector, wavelength=1e-10)
    >>> matrix = integration_matrix(geometry, 10, solid_angle=False)
    >>> pattern = integrate(np.full((3, 40, 40), 7, "int32"), matrix)
    >>> pattern.shape, bool(np.allclose(pattern, 7))
    ((3, 10), True)
    """
    built = matrix_of(matrix)
    signal, norm, spread = sums(
        frames, matrix=built, error_model=error_model, variance=variance, factor=factor, dark=dark,
        dummy=dummy, delta_dummy=delta_dummy, saturation=saturation,
    )  # fmt: skip
    shape = (*signal.shape[:-1], *built.bin_shape)
    pattern = intensity(signal, norm).reshape(shape)
    return pattern if error_model is None else (pattern, sigma(spread, norm).reshape(shape))


# --- covariance of bins ---------------------------------------------------------------------------
def _band_sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    matrix = matrix_of(parameters["matrix"])
    return {"bin": matrix.bins, "lag": _lags(matrix, parameters["lags"])}


def _band_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    matrix = matrix_of(parameters["matrix"])
    band = matrix.bins * _lags(matrix, parameters["lags"]) * LANES
    return Memory(0, 12 * band + 8 * LANES * matrix.bins + 2 * TILE * LANES * 4)


def _lags(matrix: IntegrationMatrix, lags: int | None) -> int:
    if matrix.azimuth is not None:
        raise ArgumentError("the covariance band is that of a pattern, not of a cake")
    if lags is not None and lags < 0:
        raise ArgumentError("lags count bins", got=f"lags={lags}", expected="0 or more")
    return (matrix.reach if lags is None else lags) + 1


@kernel("(det_y,det_x)->(bin,lag)", memory=_band_memory, sizes=_band_sizes)
def covariance_band(
    frames: Any,
    *,
    matrix: Matrix,
    lags: int | None = None,
    error_model: Literal["poisson", "variance"] = "poisson",
    dummy: float | None = None,
    delta_dummy: float = 0.0,
    saturation: float | None = None,
) -> Any:
    """(..., det_y, det_x) -> (..., bin, lag). Covariance of S in each bin with that `lag` bins on.

    C_k,k+l = sum_p c_kp c_k+l,p variance_p. A pixel's counts go into several bins, so bins that are
    narrower than a pixel are no independent measurements.

    Parameters
    ----------
    frames
        Counts, whose variance is max(counts, 1); or the variances themselves.
    matrix
        Of one pattern, as for `sums`.
    lags
        The last lag; the farthest that one pixel reaches where None, so that nothing is left out.
    error_model
        ``poisson`` where the frames are counts, ``variance`` where they are variances.
    dummy, delta_dummy, saturation
        What is no measurement, as for `sums`.

    Returns
    -------
    array
        Lags 0, 1, ..., `lags`; lag 0 is the variance. See `variance_of` for sums of bins.

    Raises
    ------
    ArgumentError
        Where the frames are of another detector, or the matrix is that of a cake.
    """
    built = matrix_of(matrix)
    if error_model not in ("poisson", "variance"):
        raise unknown("error model of covariances", error_model, ("poisson", "variance"))
    count = _lags(built, lags)
    xp = xp_of(frames)
    source = Frames(frames, built, variance=None, factor=1.0, dark=None, dummy=dummy,
                    delta_dummy=delta_dummy, saturation=saturation)  # fmt: skip
    dtype = contract_of(covariance_band).output_dtype(0, frames.dtype)
    out = xp.empty((*frames.shape[:-2], built.bins, count), dtype)
    flat = out.reshape(-1, built.bins, count)
    run = _band if xp is np else azimuthal_plain.band
    for rows in source.batches(LANES):
        flat[rows] = run(source, built, rows, count, error_model == "poisson")
    return out


def _band(
    source: Frames, matrix: IntegrationMatrix, rows: slice, count: int, poisson: bool
) -> Array:
    totals, lost = Totals(1, matrix.bins, count), Lost(matrix)
    band = totals.part[0]
    for first, values, beside in source.tiles(rows, POISSON if poisson else NONE, lost):
        spread = beside if poisson else values
        add_band(matrix.indptr, matrix.indices, matrix.data, first, spread, band)
        totals.added(len(values))
    whole = totals.whole()[0].reshape(-1, LANES)
    out = np.empty((rows.stop - rows.start, len(whole)))
    untile(whole, out)
    return out.reshape(len(out), matrix.bins, count)


def variance_of(weights: Any, band: Any) -> Any:
    """(bin), (..., bin, lag) -> (...). Variance of sum_k w_k S_k, with the bins' covariance.

    For a window of the pattern, its weights are 1 / N in the window and 0 beyond.

    Examples
    --------
    >>> band = np.array([[2.0, 1.0], [2.0, 1.0], [2.0, 0.0]])
    >>> float(variance_of(np.ones(3), band))
    10.0
    """
    xp = xp_of(band)
    weights = xp.asarray(weights, dtype=np.float64)
    total = (band[..., 0] * weights**2).sum(axis=-1, dtype=np.float64)
    for lag in range(1, band.shape[-1]):
        pairs = weights[..., :-lag] * weights[..., lag:]
        total = total + 2 * (band[..., :-lag, lag] * pairs).sum(axis=-1, dtype=np.float64)
    return total
