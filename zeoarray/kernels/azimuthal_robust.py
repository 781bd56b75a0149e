"""Azimuthal integration that leaves out outliers: sigma clipping, and the trimmed mean.

Spots of single crystals and cosmic rays are outliers of their bin. Here the matrix is read by bins:
the pixels of sixteen frames are turned so that a pixel's values lie together, and each bin takes
its own for all of them at once. Both kernels give the sums of what is kept, as `azimuthal.sums`
does of everything.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError, DependencyError, unknown
from zeoarray.kernels.azimuthal_build import Matrix, matrix_of
from zeoarray.kernels.azimuthal_frames import Frames
from zeoarray.kernels.azimuthal_lanes import AZIMUTHAL
from zeoarray.kernels.azimuthal_loops import GIVEN, LANES, NONE, POISSON, load, tiles
from zeoarray.kernels.azimuthal_matrix import IntegrationMatrix
from zeoarray.kernels.azimuthal_outliers import clip, trim
from zeoarray.kernels.contract import Memory, MemoryOf, Parameters, Sizes, contract_of, kernel

Array = np.ndarray[Any, Any]
ErrorModel = Literal["poisson", "variance", "azimuthal"]

KIND = {None: NONE, "poisson": POISSON, "variance": GIVEN, "azimuthal": NONE}

WEIGHED = 4 + 4
"""Bytes for each entry of a bin: its weight, and one over the normalisation of its pixel."""
SORTED = WEIGHED + LANES * (4 + 8) + 2
"""The same with a key for each frame, room to sort them, and the mask of who is in doubt."""


def _bins(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return {"bin": matrix_of(parameters["matrix"]).bins}


def _memory(entry: int) -> MemoryOf:
    """With so many bytes for each entry of the largest bin."""

    def memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
        matrix = matrix_of(parameters["matrix"])
        pixels = sizes["det_y"] * sizes["det_x"]
        rows = 2 if parameters["error_model"] == "variance" else 1
        # The turned frames, three sums of each bin, and what one bin is worked on in.
        block = pixels * LANES * 4 * rows + 3 * 8 * LANES * matrix.bins + entry * _longest(matrix)
        # The matrix by bins, which is kept with the matrix.
        return Memory(8 * matrix.data.size + 4 * matrix.bins + 4, block + 8 * sizes["batch"])

    return memory


def _longest(matrix: IntegrationMatrix) -> int:
    """Entries of the largest bin."""
    return int(np.diff(matrix.by_bin[0]).max(initial=0))


@kernel(
    "(det_y,det_x)->(bin),(bin),(bin)",
    rows={"factor": (), "variance": ("det_y", "det_x")},
    memory=_memory(WEIGHED),
    sizes=_bins,
)
def sigma_clip(
    frames: Any,
    *,
    matrix: Matrix,
    error_model: ErrorModel = "azimuthal",
    cutoff: float = 5.0,
    cycles: int = 5,
    variance: Any = None,
    factor: Any = 1.0,
    dark: Any = None,
    dummy: float | None = None,
    delta_dummy: float = 0.0,
    saturation: float | None = None,
) -> tuple[Any, Any, Any]:
    """(..., det_y, det_x) -> (..., bin), (..., bin), (..., bin). Sums without the bins' outliers.

    Again and again, pixels are left out whose intensity is further from the mean of their bin than
    max(cutoff, sqrt(2 log(n / sqrt(2 pi)))) standard deviations, n the pixels of the bin.

    Parameters
    ----------
    frames
        As for `azimuthal.sums`, as are those parameters that are not named here.
    matrix
        Without splitting of pixels: the shares of a pixel are judged in each bin by themselves.
    error_model
        Where the standard deviation comes from: ``azimuthal``, the spread of the bin itself;
        ``poisson`` or ``variance``, the errors of the pixels.
    cutoff
        Standard deviations.
    cycles
        How often outliers are looked for, at most.

    Returns
    -------
    tuple
        S, N and V as from `azimuthal.sums`, for `azimuthal.intensity` and `azimuthal.sigma`.

    Raises
    ------
    ArgumentError
        As `azimuthal.sums`, and for a cutoff or a number of cycles that is none.
    """
    if error_model not in KIND:
        raise unknown("error model of clipping", str(error_model), [k for k in KIND if k])
    if not cutoff > 0 or cycles < 0:
        raise ArgumentError(
            "clipping needs a cutoff above 0, and cycles", got=f"cutoff={cutoff}, cycles={cycles}"
        )
    if (error_model == "variance") is (variance is None):
        raise ArgumentError(
            "a variance and the error model 'variance' belong together",
            got=f"error_model={error_model!r}, variance {'not ' * (variance is None)}given",
        )
    built = matrix_of(matrix)
    source = Frames(frames, built, variance=variance, factor=factor, dark=dark, dummy=dummy,
                    delta_dummy=delta_dummy, saturation=saturation)  # fmt: skip
    kind = AZIMUTHAL if error_model == "azimuthal" else KIND[error_model]

    def run(values: Array, beside: Array, lanes: int, out: Array) -> None:
        entries = (*built.by_bin, built.pixel_normalization)
        clip(
            *entries, values, beside, source.dark, kind, lanes, cutoff, cycles, _longest(built), out
        )

    return _over_batches(frames, source, built, KIND[error_model], run, sigma_clip)


@kernel(
    "(det_y,det_x)->(bin),(bin),(bin)",
    rows={"factor": (), "variance": ("det_y", "det_x")},
    memory=_memory(SORTED),
    sizes=_bins,
)
def trimmed_mean(
    frames: Any,
    *,
    matrix: Matrix,
    quantiles: tuple[float, float] = (0.1, 0.9),
    error_model: Literal["poisson", "variance"] | None = None,
    variance: Any = None,
    factor: Any = 1.0,
    dark: Any = None,
    dummy: float | None = None,
    delta_dummy: float = 0.0,
    saturation: float | None = None,
) -> tuple[Any, Any, Any]:
    """(..., det_y, det_x) -> (..., bin), (..., bin), (..., bin). Sums between two quantiles.

    The pixels of a bin are sorted by intensity; those are kept that lie wholly between the
    quantiles of the bin's normalisation, and those in which both quantiles lie.

    Parameters
    ----------
    frames
        As for `azimuthal.sums`, as are those parameters that are not named here.
    matrix
        Of any splitting.
    quantiles
        Between 0 and 1; twice 0.5 for the median.

    Returns
    -------
    tuple
        S, N and V as from `azimuthal.sums`, for `azimuthal.intensity` and `azimuthal.sigma`; V is
        NaN without an error model.

    Raises
    ------
    ArgumentError
        As `azimuthal.sums`, and for quantiles that are none.
    """
    low, high = quantiles
    if not 0 <= low <= high <= 1:
        raise ArgumentError(
            "quantiles ascend between 0 and 1", got=quantiles, expected="for example (0.1, 0.9)"
        )
    if error_model not in (None, "poisson", "variance"):
        raise unknown("error model of trimming", str(error_model), ("poisson", "variance"))
    if (error_model == "variance") is (variance is None):
        raise ArgumentError(
            "a variance and the error model 'variance' belong together",
            got=f"error_model={error_model!r}, variance {'not ' * (variance is None)}given",
        )
    built = matrix_of(matrix)
    source = Frames(frames, built, variance=variance, factor=factor, dark=dark, dummy=dummy,
                    delta_dummy=delta_dummy, saturation=saturation)  # fmt: skip
    kind = KIND[error_model]

    def run(values: Array, beside: Array, lanes: int, out: Array) -> None:
        entries = (*built.by_bin, built.pixel_normalization)
        trim(*entries, values, beside, source.dark, kind, lanes, low, high, _longest(built), out)

    return _over_batches(frames, source, built, kind, run, trimmed_mean)


def _over_batches(
    frames: Any, source: Frames, matrix: IntegrationMatrix, kind: int, run: Any, verb: Any
) -> tuple[Any, Any, Any]:
    if xp_of(frames) is not np:
        raise DependencyError(
            "outliers are left out on the CPU only",
            do="move the frames: cupy.asnumpy(frames); or use azimuthal.sums",
        )
    contract, shape = contract_of(verb), (*source.shape, matrix.bins)
    out = tuple(np.empty(shape, contract.output_dtype(i, frames.dtype)) for i in range(3))
    flat = [a.reshape(-1, matrix.bins) for a in out]
    pixels = matrix.pixel_normalization.size
    # Lanes without a frame are worked on and never read.
    values = np.empty((pixels, LANES), np.float32)
    beside = np.empty((pixels if kind == GIVEN else 0, LANES), np.float32)
    given = GIVEN if kind == GIVEN else NONE
    for rows in source.batches(LANES):
        counts, variance = source.rows(rows)
        for part in tiles(pixels):
            load(
                counts, variance, given, source.dark, source.limits, matrix.pixel_normalization,
                part.start, values[part], beside[part],
            )  # fmt: skip
        lanes = len(counts)
        sums = np.zeros((3, lanes, matrix.bins))
        run(values, beside, lanes, sums)
        sums[1] *= source.factor[rows, None]
        for target, result in zip(flat, sums, strict=True):
            target[rows] = result
    return out[0], out[1], out[2]
