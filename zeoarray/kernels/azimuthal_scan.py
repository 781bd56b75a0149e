"""Azimuthal integration of a scan: frames whose geometry may hang on where the beam was.

A moving beam sees the detector from another place in every position. Frames of one position are
integrated with one matrix, which is built where it is used, from what is small enough to send,
and dropped for the next; a beam at rest is the case of one position.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import xxhash

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError, unknown
from zeoarray.kernels import azimuthal, azimuthal_robust, detector
from zeoarray.kernels.azimuthal_config import Configuration
from zeoarray.kernels.azimuthal_matrix import IntegrationMatrix
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.kept import Kept

Array = np.ndarray[Any, Any]
Method = Literal["mean", "sigma_clip", "trimmed_mean"]
ErrorModel = Literal["poisson", "variance", "azimuthal"]

LANES = 16
"""Frames that go through a matrix at once."""
QUANTITY: dict[str, detector.Quantity] = {
    "q_A^-1": "q", "2th_deg": "two_theta", "d_A": "d", "r_mm": "r",
}  # fmt: skip
"""Radial quantities by pyFAI's names of their units."""
BUILDING = 2.5
"""What building a matrix takes beside it, in sizes of the matrix."""

METHODS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "mean": (azimuthal.sums, ()),
    "sigma_clip": (azimuthal_robust.sigma_clip, ("cutoff", "cycles")),
    "trimmed_mean": (azimuthal_robust.trimmed_mean, ("quantiles",)),
}
"""Kernels of the methods, and the parameters that only they have."""

_MATRIX = Kept[IntegrationMatrix]()


def matrix_at(config: Configuration, place: Array, response: Array) -> IntegrationMatrix:
    """The matrix for a beam that sees the detector at `place`: built, or the last one again.

    Parameters
    ----------
    config
        Geometry of the beam at rest, bins, corrections.
    place
        (3). Distance, poni1, poni2 [m].
    response
        (det_y, det_x), of the pixels; 0 where a pixel is bad.
    """
    image = np.ascontiguousarray(response)
    key = (config.fingerprint, place.tobytes(), image.shape, xxhash.xxh3_128_hexdigest(image.data))
    return _MATRIX.get(key, lambda: _build(config, place, image))


def _build(config: Configuration, place: Array, response: Array) -> IntegrationMatrix:
    bad = ~(response > 0)
    even = bool((response[~bad] == 1).all())
    return azimuthal.integration_matrix(
        detector.moved(config.geometry, place),
        config.npt,
        unit=config.unit,
        split=config.split,
        polarization_factor=config.polarization_factor,
        solid_angle=config.solid_angle,
        radial_range=config.radial_range,
        azimuth_range=config.azimuth_range,
        mask=bad if bad.any() else None,
        flat=None if even else response,
    )


# --- contract -------------------------------------------------------------------------------------
def _bins(config: Configuration) -> tuple[int, ...]:
    """(radial), or (azimuthal, radial)."""
    return (config.npt,) if isinstance(config.npt, int) else config.npt[::-1]


def _sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return {"bin": _bins(parameters["config"])[-1]}


def _cake_sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    chi, radial = _bins(parameters["config"])
    return {"chi": chi, "bin": radial}


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    config: Configuration = parameters["config"]
    pixels, bins = sizes["det_y"] * sizes["det_x"], math.prod(_bins(config))
    robust = parameters.get("method", "mean") != "mean"
    lanes = pixels * LANES * 4
    # Frames of one position that do not lie together are picked; robust methods turn them.
    block = lanes * (1 + (parameters.get("error_model") == "variance") + 2 * robust)
    # Sums in single and double precision, and what is made of them.
    block += bins * LANES * 160 + 64 * pixels * robust + (1 << 20)
    matrix = matrix_bytes(config)
    if robust:
        matrix += 8 * entries(config) + 4 * bins
    return Memory(round(matrix_bytes(config) * BUILDING) + matrix, block + 8 * sizes["batch"])


def entries(config: Configuration) -> int:
    """About how many entries the matrix has: how many bins a pixel falls into, times pixels."""
    pixels = math.prod(config.shape)
    if config.split == "no" or config.radial_range is None:
        return pixels
    low, high = config.radial_range
    step = (high - low) / _bins(config)[-1]
    width = detector.pixel_width(detector.moved(config.geometry), QUANTITY[config.unit])
    return round(pixels * (1 + width / step) * 1.05)


def matrix_bytes(config: Configuration) -> int:
    """About how many bytes the matrix holds, before it is built."""
    bins = math.prod(_bins(config))
    return 8 * math.prod(config.shape) + entries(config) * (6 if bins <= 2**16 else 8)


# --- kernels --------------------------------------------------------------------------------------
@kernel(
    "(det_y,det_x),(place),(det_y,det_x),(det_y,det_x)->(bin),(bin),(bin),(bin)",
    rows={"factor": (), "variance": ("det_y", "det_x")},
    memory=_memory,
    sizes=_sizes,
    together=LANES,
)
def patterns(
    frames: Any,
    place: Any,
    response: Any,
    dark: Any,
    *,
    config: Configuration,
    method: Method = "mean",
    error_model: ErrorModel | None = None,
    cutoff: float = 5.0,
    cycles: int = 5,
    quantiles: tuple[float, float] = (0.1, 0.9),
    factor: Any = 1.0,
    variance: Any = None,
    dummy: float | None = None,
    delta_dummy: float = 0.0,
    saturation: float | None = None,
) -> tuple[Any, Any, Any, Any]:
    """(..., det_y, det_x), (..., place), two images -> four times (..., bin). Patterns.

    Parameters
    ----------
    frames
        Counts, as for `azimuthal.sums`.
    place
        Distance, poni1, poni2 [m] as the beam of each frame sees them, or of all frames.
    response
        (det_y, det_x), of the pixels: 1, or a flat; 0 where a pixel is bad.
    dark
        (det_y, det_x), subtracted from all frames.
    config
        Geometry of the beam at rest, bins, corrections; without mask and flat, with a range, so
        that bins are the same from everywhere.
    method
        ``mean`` (`azimuthal.sums`), ``sigma_clip`` or ``trimmed_mean`` (`azimuthal_robust`).
    error_model, factor, variance, dummy, delta_dummy, saturation
        As for `azimuthal.sums`.
    cutoff, cycles
        Of sigma clipping.
    quantiles
        Of the trimmed mean.

    Returns
    -------
    tuple
        Intensity S / N and its variance V / N^2 (NaN in bins without a pixel; V is NaN without an
        error model), S and N.

    Raises
    ------
    ArgumentError
        As the kernels that it calls.
    """
    if method not in METHODS:
        raise unknown("method of integration", method, METHODS)
    run, taken = METHODS[method]
    own = {"cutoff": cutoff, "cycles": cycles, "quantiles": quantiles}
    given = {n: own[n] for n in taken} | {
        "error_model": error_model, "dummy": dummy, "delta_dummy": delta_dummy,
        "saturation": saturation,
    }  # fmt: skip
    out = _outputs(frames, _bins(config)[-1:])
    by_row = {"factor": factor, "variance": variance}
    image = _dark(dark)
    for rows, chosen, matrix, each in _groups(frames, place, response, config, by_row):
        _put(out, rows, run(chosen, matrix=matrix, dark=image, **given, **each))
    shape = frames.shape[:-2]
    signal, norm, spread = (a.reshape(*shape, -1) for a in out)
    return _patterns(signal, norm, spread)


@kernel(
    "(det_y,det_x),(place),(det_y,det_x),(det_y,det_x)->(chi,bin),(chi,bin),(chi,bin),(chi,bin)",
    rows={"factor": ()},
    memory=_memory,
    sizes=_cake_sizes,
    together=LANES,
)
def cakes(
    frames: Any,
    place: Any,
    response: Any,
    dark: Any,
    *,
    config: Configuration,
    error_model: Literal["poisson", "azimuthal"] | None = None,
    factor: Any = 1.0,
    dummy: float | None = None,
    delta_dummy: float = 0.0,
    saturation: float | None = None,
) -> tuple[Any, Any, Any, Any]:
    """(..., det_y, det_x), (..., place), two images -> four times (..., chi, bin). Cakes.

    Arguments and results are those of `patterns`, for each azimuthal bin; `config` counts radial
    and azimuthal bins.
    """
    if isinstance(config.npt, int):
        raise ArgumentError("a cake has radial and azimuthal bins", got=f"npt={config.npt}")
    xp, bins = xp_of(frames), _bins(config)
    out = _outputs(frames, (math.prod(bins),))
    image, by_row = _dark(dark), {"factor": factor}
    for rows, chosen, matrix, each in _groups(frames, place, response, config, by_row):
        sums = azimuthal.sums(
            chosen, matrix=matrix, error_model=error_model, dark=image, dummy=dummy,
            delta_dummy=delta_dummy, saturation=saturation, **each,
        )  # fmt: skip
        _put(out, rows, sums)
    shape = (*frames.shape[:-2], *bins[::-1])
    return _patterns(*(xp.ascontiguousarray(a.reshape(shape).swapaxes(-1, -2)) for a in out))


def _outputs(frames: Any, bins: tuple[int, ...]) -> list[Any]:
    """Signal, normalisation and variance of all frames, to be filled."""
    xp, dtype = xp_of(frames), contract_of(patterns).output_dtype(0, frames.dtype)
    return [xp.empty((math.prod(frames.shape[:-2]), *bins), dtype) for _ in range(3)]


def _dark(dark: Any) -> Any:
    """The dark, where there is one to subtract."""
    image = dark.reshape(dark.shape[-2:])
    return image if bool((image != 0).any()) else None


def _put(out: list[Any], rows: Any, sums: tuple[Any, ...]) -> None:
    for whole, part in zip(out, sums, strict=True):
        whole[rows] = part


def _patterns(signal: Any, norm: Any, spread: Any) -> tuple[Any, Any, Any, Any]:
    intensity = azimuthal.intensity(signal, norm)
    variance = azimuthal.intensity(azimuthal.intensity(spread, norm), norm)
    return intensity, variance, signal, norm


def _groups(
    frames: Any,
    place: Any,
    response: Any,
    config: Configuration,
    by_row: dict[str, Any],
) -> Iterator[tuple[Any, Any, IntegrationMatrix, dict[str, Any]]]:
    """Rows of one beam position, their frames, the matrix, and what belongs to each row."""
    xp = xp_of(frames)
    shape, count = frames.shape[:-2], math.prod(frames.shape[:-2])
    listed = frames.reshape(count, *frames.shape[-2:])
    places = np.asarray(to_host(place), float)
    places = np.broadcast_to(places, (*shape, 3)).reshape(count, 3)
    pixels = np.asarray(to_host(response), np.float32).reshape(response.shape[-2:])
    given = {}
    for name, value in by_row.items():
        core = () if name == "factor" else frames.shape[-2:]
        if value is not None:
            given[name] = xp.broadcast_to(xp.asarray(value), (*shape, *core)).reshape(count, *core)
    _, first, which = np.unique(places, axis=0, return_index=True, return_inverse=True)
    # In the order in which they come: the last matrix of a block serves the next block.
    for group in np.argsort(first):
        members = np.flatnonzero(which.ravel() == group)
        matrix = matrix_at(config, places[members[0]], pixels)
        together = members.size == members[-1] - members[0] + 1
        step = members.size if together else LANES
        for start in range(0, members.size, step):
            part = members[start : start + step]
            rows = slice(int(part[0]), int(part[-1]) + 1) if together else part
            each = {n: v[rows] for n, v in given.items()} | {
                n: None for n, v in by_row.items() if v is None
            }
            yield rows, listed[rows], matrix, each
