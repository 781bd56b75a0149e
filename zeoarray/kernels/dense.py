"""Filtered back-projection of small slices as products of matrices, with exact variance.

A diffraction tomogram has few rays and few pixels, and thousands of channels. So the operator of
`radon.filtered_backprojection` is written down, a column for each ray, and the square of its
elements gives the variance of all channels at once. Values themselves go through two sparse factors
of it (`dense_lines`), which is faster, or on a GPU through the operator. What stands for missing
rays is in the operator too (`gaps`), so that it counts in the variance. Conventions and units are
those of `radon`; products are in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels import dense_lines
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.contract import Kernel, Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.dense_operators import (
    CHANNELS,
    Operator,
    backprojection,
    channels,
    pixels_of,
    rays_of,
    waves_of,
)
from zeoarray.kernels.filters import Filter
from zeoarray.kernels.gaps import check_valid
from zeoarray.kernels.slices import Size, centers_of, image_shape

Check = Callable[[Any, int], None]


def _through(
    matrix: Any, one: Operator, sinogram: Any, image: Any, row: int,
    check: Check | None = None, name: str = "the sinogram",
) -> None:  # fmt: skip
    """(angle, u, q) -> (y, x, q), written to `image`: the product, and 0 beyond the circle."""
    flat = image.reshape(-1, image.shape[-1])
    whole = one.pixels.size == flat.shape[0]
    if not whole:
        flat[...] = 0
    at = slice(None) if whole else xp_of(image).asarray(one.pixels)
    for part in channels(image.shape[-1]):
        lines = rays_of(sinogram, part, one.rays, name, row)
        if check is not None:
            check(lines, row)
        flat[at, part] = matrix @ lines
        # Or those of two groups would be there at once.
        del lines


def empty_for(contract: Kernel, sinogram: Any, size: Size) -> Any:
    """Return the uninitialised slices of a sinogram (..., angle, u, q)."""
    shape = (*sinogram.shape[:-3], *image_shape(size, sinogram.shape[-2]), sinogram.shape[-1])
    return xp_of(sinogram).empty(shape, contract.output_dtype(0, sinogram.dtype))


def sizes_of(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    """Pixels of the slice that a kernel of this kind makes."""
    return dict(zip("yx", image_shape(parameters["size"], sizes["u"]), strict=True))


def matrix_bytes(sizes: Sizes, parameters: Parameters) -> int:
    """Bytes of the operator for these sizes: 20 MB for 80 angles of 40 rays on 40 x 40 pixels."""
    shape = image_shape(parameters["size"], sizes["u"])
    inside = pixels_of(shape, parameters["radius"]).size
    return 4 * inside * sizes["angle"] * sizes["u"]


def _lines_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    shape = image_shape(parameters["size"], sizes["u"])
    fixed, block = dense_lines.bytes_of(
        shape,
        parameters["radius"],
        sizes["angle"],
        sizes["u"],
        gaps=parameters["valid"] is not None,
    )
    return Memory(fixed, block + (17 + sizes["batch"]) * sizes["angle"] * sizes["u"])


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    y, x = image_shape(parameters["size"], sizes["u"])
    fixed, rays = matrix_bytes(sizes, parameters), sizes["angle"] * sizes["u"]
    inside = fixed // max(4 * rays, 1)
    # While it is built: waves in all pixels and in those within the circle, with their parts; the
    # images of an angle's rays; and their spectra, while lines are filtered.
    waves = waves_of((y, x), parameters["radius"])
    build = 8 * waves * (y * x + 3 * inside) + 12 * sizes["u"] * inside
    build += 100 * sizes["u"] * (2 * waves + 4 * sizes["u"]) + (1 << 16)
    # Then rays of some channels, cut out where some are missing, made float32; and their pixels.
    copies = 1 if parameters["valid"] is None else 2
    product = 4 * min(CHANNELS, sizes["q"]) * (copies * rays + inside)
    flags = (17 + sizes["batch"]) * rays + 48 * y * x
    return Memory(fixed, max(build, product) + flags)


@kernel(
    "(angle,u,q),(angle)->(y,x,q)",
    rows={"center": (), "valid": ("angle", "u")},
    halo={"q": 0},
    memory=_lines_memory,
    sizes=sizes_of,
)
def filtered_backprojection(
    sinogram: Any,
    angle_rad: Any,
    *,
    center: Any,
    valid: Any = None,
    size: Size = None,
    filter: Filter = "ramp",
    radius: float | None = None,
) -> Any:
    """(..., angle, u, q), (angle) -> (..., y, x, q). `radon.filtered_backprojection`, all channels.

    Parameters
    ----------
    sinogram
        Line integrals, in units where a pixel of u is 1 long. What is not valid may be NaN.
    angle_rad
        Angle of each projection [rad], in any order, over a half circle or more.
    center
        Index of u where the rotation axis is: one, or one for each slice.
    valid
        (angle, u), or one for each slice: which rays were measured; all where None. Projections
        without any are left out, and the next ones count for them; a missing ray of another is
        taken from the nearest ones of the next directions (see `gaps`).
    size
        Pixels of y and x (one number, or both); as many as u has where None.
    filter
        Window on the ramp.
    radius
        Pixels farther than this from the axis are 0 [pixels]. The largest circle in the slice where
        None; ``np.inf`` keeps the corners.

    Raises
    ------
    ArgumentError
        Where angles, axis or flags do not fit, a slice has measurements of one direction or none,
        or a measured value is not finite.

    Examples
    --------
    >>> angle = np.linspace(0, np.pi, 30, endpoint=False)
    >>> chord = 2 * np.sqrt(np.clip(6**2 - (np.arange(16) - 7.5) ** 2, 0, None))
    >>> lines = (chord * np.ones((30, 1)))[..., None] * np.array([1.0, 2.0])
    >>> filtered_backprojection(lines, angle, center=7.5)[5:11, 5:11].mean(axis=(0, 1)).round(2)
    array([0.99, 1.99])
    """
    out = empty_for(contract_of(filtered_backprojection), sinogram, size)
    given = (sinogram, angle_rad, center, valid, size, filter, radius)
    if xp_of(sinogram) is np:
        for row, index, options in _geometries(*given):
            one = dense_lines.lines_of(**options)
            dense_lines.through(one, sinogram[index], out[index], row)
        return out
    for row, index, whole in _slices(*given):
        _through(whole.matrix, whole, sinogram[index], out[index], row)
    return out


def _variance_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    memory = _memory(sizes, parameters, threads)
    return Memory(memory.fixed, memory.block + memory.fixed)


def _covariance_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    memory = _variance_memory(sizes, parameters, threads)
    return Memory(memory.fixed, memory.block + 32 * sizes["u"] ** 2)


@kernel(
    "(angle,u,q),(angle)->(y,x,q)",
    rows={"center": (), "valid": ("angle", "u")},
    halo={"q": 0},
    memory=_variance_memory,
    sizes=sizes_of,
)
def variance(
    noise: Any,
    angle_rad: Any,
    *,
    center: Any,
    valid: Any = None,
    size: Size = None,
    filter: Filter = "ramp",
    radius: float | None = None,
) -> Any:
    """(..., angle, u, q), (angle) -> (..., y, x, q). Variance of `filtered_backprojection`, exact.

    var(f_i) = sum over rays r of A_ir^2 var(p_r), for rays that are independent of each other.

    Parameters
    ----------
    noise
        Variance of each ray; what is not valid may be NaN.
    angle_rad, center, valid, size, filter, radius
        As `filtered_backprojection`.

    Raises
    ------
    ArgumentError
        As `filtered_backprojection`, and for a variance that is negative.

    Examples
    --------
    >>> angle = np.linspace(0, np.pi, 8, endpoint=False)
    >>> variance(np.ones((8, 5, 1)), angle, center=2.0)[2, 2].round(2)
    array([0.06])
    """
    out = empty_for(contract_of(variance), noise, size)
    slices = _slices(noise, angle_rad, center, valid, size, filter, radius)
    _propagated(noise, out, slices, (0, 0), not_negative)
    return out


def not_negative(lines: Any, row: int) -> None:
    """Raise for a variance that is negative.

    Raises
    ------
    ArgumentError
        With the least.
    """
    if below := int((lines < 0).sum()):
        raise ArgumentError(
            f"the variance of slice {row} is negative",
            got=f"{below} of {lines.size} values, the least {float(lines.min()):g}",
            expected="0 or more, wherever there is a valid measurement",
        )


@kernel(
    "(angle,u,q),(angle)->(y,x,q)",
    rows={"center": (), "valid": ("angle", "u")},
    halo={"q": 0},
    memory=_covariance_memory,
    sizes=sizes_of,
)
def covariance(
    moments: Any,
    angle_rad: Any,
    *,
    center: Any,
    offset: tuple[int, int] = (0, 0),
    valid: Any = None,
    size: Size = None,
    filter: Filter = "ramp",
    radius: float | None = None,
) -> Any:
    """(..., angle, u, q), (angle) -> (..., y, x, q). Covariance of two pixels, or of two channels.

    cov(f_i, f_j) = sum over rays r of A_ir A_jr var(p_r), exactly, for rays that are independent of
    each other. Given the covariance of two channels instead of a variance, it gives that of the
    voxel's two channels.

    Parameters
    ----------
    moments
        Variance of each ray, or its covariance of two channels; what is not valid may be NaN.
    angle_rad, center, valid, size, filter, radius
        As `filtered_backprojection`.
    offset
        (y, x) from a pixel i to the other one, j [pixels]. Where j is outside of the circle, 0.

    Raises
    ------
    ArgumentError
        As `filtered_backprojection`.

    Examples
    --------
    >>> angle = np.linspace(0, np.pi, 8, endpoint=False)
    >>> noise = np.ones((8, 5, 1))
    >>> alone, beside = (covariance(noise, angle, center=2.0, offset=(0, n)) for n in (0, 1))
    >>> bool(alone[2, 2, 0] > abs(beside[2, 2, 0]))
    True
    """
    out = empty_for(contract_of(covariance), moments, size)
    slices = _slices(moments, angle_rad, center, valid, size, filter, radius)
    _propagated(moments, out, slices, offset)
    return out


def _propagated(
    moments: Any, out: Any, slices: Iterator[tuple[int, tuple[int, ...], Operator]],
    offset: tuple[int, int], check: Check | None = None,
) -> None:  # fmt: skip
    before, products = None, None
    for row, index, one in slices:
        if one is not before:
            products = None
            before, products = one, _products(one, offset)
        _through(products, one, moments[index], out[index], row, check, "the variance")


def _products(one: Operator, offset: tuple[int, int]) -> Any:
    """Products of the elements of each pixel's row and of the row of the pixel at `offset`."""
    if offset == (0, 0):
        return one.matrix * one.matrix
    place = np.full(one.shape, -1)
    place.flat[one.pixels] = np.arange(one.pixels.size)
    y, x = (n + by for n, by in zip(np.divmod(one.pixels, one.shape[1]), offset, strict=True))
    inside = (y >= 0) & (y < one.shape[0]) & (x >= 0) & (x < one.shape[1])
    other = np.where(inside, place[np.where(inside, y, 0), np.where(inside, x, 0)], -1)
    xp = xp_of(one.matrix)
    products = one.matrix[xp.asarray(np.maximum(other, 0))]
    products *= one.matrix
    products[xp.asarray(other < 0)] = 0
    return products


def _slices(
    sinogram: Any, angle_rad: Any, center: Any, valid: Any, size: Size, filter: Filter,
    radius: float | None,
) -> Iterator[tuple[int, tuple[int, ...], Operator]]:  # fmt: skip
    """Number and index of each slice, and its operator."""
    given = (sinogram, angle_rad, center, valid, size, filter, radius)
    for row, index, options in _geometries(*given):
        yield row, index, backprojection(**options, xp=xp_of(sinogram))


def _geometries(
    sinogram: Any, angle_rad: Any, center: Any, valid: Any, size: Size, filter: Filter,
    radius: float | None,
) -> Iterator[tuple[int, tuple[int, ...], dict[str, Any]]]:  # fmt: skip
    """Number and index of each slice, and what its operator is made from."""
    batch, (angles, columns) = sinogram.shape[:-3], sinogram.shape[-3:-1]
    angle = check_angles(angle_rad, angles)
    centers, flags = centers_of(center, batch, columns), check_valid(valid, angle, batch, columns)
    common = {"angle_rad": angle, "width": columns, "size": size, "filter": filter}
    for row, index in enumerate(np.ndindex(*batch)):
        own = None if flags is None else flags[row]
        yield row, index, {**common, "radius": radius, "center": centers[row], "valid": own}
