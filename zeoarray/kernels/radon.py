"""Parallel projection, back-projection and filtered back-projection, by non-uniform FFTs.

One set of conventions: u = x cos(angle) + y sin(angle); the rotation axis is at index
(size - 1) / 2 of y and x, and at index `center` of u; lengths are in pixels. Slices go through the
transform two at a time, as real and imaginary part: rows 2n and 2n+1 of the flattened batch. So
blocks that begin at even rows give the same bits, and others the same but for rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError, unknown
from zeoarray.kernels.angles import angular_weights, check_angles
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.filters import WINDOWS, Filter, ramp
from zeoarray.kernels.packed import (
    PIECE,
    each,
    fetch,
    gather,
    move,
    pairs,
    phases,
    runs,
    scale_of,
    unpack,
)
from zeoarray.kernels.polar import fast_length, fft_of, polar_bytes, polar_of

Array = np.ndarray[Any, Any]
Size = int | tuple[int, int] | None

GUARD = 0.06
"""A filtered projection is cut off, and repeats, this share of its length beyond what is used."""


def image_shape(size: Size, default: int) -> tuple[int, int]:
    """Pixels of y and x, for a `size` that is one number, both, or None for the default."""
    pair = size if isinstance(size, tuple) else (size, size)
    shape = tuple(default if n is None else n for n in pair)
    if len(shape) != 2 or min(shape) < 1:
        raise ArgumentError("a slice has one pixel or more along y and x", got=f"size={size}")
    return shape[0], shape[1]


def _fbp_period(shape: tuple[int, int], radius: float | None) -> int:
    """Samples after which a filtered projection may repeat: beyond every pixel that is kept."""
    return fast_length(2 * _reach(shape, radius) * (1 + GUARD) + 8)


def _reach(shape: tuple[int, int], radius: float | None) -> float:
    """Distance from the axis to the farthest pixel that is kept, about."""
    return float(min(radius_of(shape, radius), np.hypot(*shape) / 2))


def radius_of(shape: tuple[int, int], radius: float | None) -> float:
    """Radius of the circle that is kept: the largest in the slice where None."""
    if radius is not None and not radius > 0:
        raise ArgumentError("the circle that is kept has a radius above 0", got=f"radius={radius}")
    return min(shape) / 2 if radius is None else float(radius)


def _far(center: Array, columns: int) -> Array:
    """Distance from the axis to the last column, at least; in steps of an eighth of the detector.

    Lengths of transforms hang on it. They shall not change where the axis drifts from row to row,
    and least of all where it is near the middle: `GUARD` covers what is neglected there.
    """
    step = max(columns // 8, 1)
    aside = np.abs(center - (columns - 1) / 2) - columns / 50
    return columns / 2 + step * np.ceil(np.maximum(aside, 0) / step)


def centers_of(center: Any, batch: tuple[int, ...], columns: int) -> Array:
    """One centre for each slice of the flattened batch, checked."""
    value = np.asarray(to_host(center), dtype=float)
    try:
        rows = np.broadcast_to(value, batch).ravel()
    except ValueError as error:
        raise ArgumentError(
            "the rotation axis does not fit the slices",
            got=f"center of shape {value.shape}, batch dims {batch}",
            expected="one number, or one for each slice",
        ) from error
    outside = ~((rows > -1) & (rows < columns))
    if outside.any():
        raise ArgumentError(
            "the rotation axis is outside the detector",
            got=f"center={rows[outside][0]:g} (slice {np.flatnonzero(outside)[0]})",
            expected=f"an index of u between 0 and {columns - 1}",
            do="give the axis as a fractional index, not in um; extend the scan where the axis is "
            "really off the detector",
        )
    return rows


def _weights(weights: Any, angle: Array, batch: tuple[int, ...]) -> Array:
    given = angular_weights(angle) if weights is None else np.asarray(to_host(weights), dtype=float)
    try:
        rows = np.broadcast_to(given, (*batch, angle.size)).reshape(-1, angle.size)
    except ValueError as error:
        raise ArgumentError(
            "the angular weights do not fit the sinogram",
            got=f"weights of shape {given.shape}, batch dims {batch}, {angle.size} angles",
            expected="one weight for each angle, or one for each slice and angle",
        ) from error
    if not np.isfinite(rows).all():
        raise ArgumentError("an angular weight is not finite", do="give 0 to leave an angle out")
    return rows


def disc(xp: Any, shape: tuple[int, int], radius: float | None) -> Any:
    """1 within `radius` of the axis, 0 beyond; None where nothing is beyond."""
    far = radius_of(shape, radius)
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    if np.hypot(y[-1], x[-1]) <= far:
        return None
    return xp.asarray(np.hypot(y[:, None], x) <= far, dtype=np.float32)


def _image_sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return dict(zip("yx", image_shape(parameters["size"], sizes["u"]), strict=True))


def _memory(angles: int, shape: tuple[int, int], period: int, length: int) -> Memory:
    fixed = polar_bytes(angles, shape, period) + 16 * length
    # Spectra and image; and in one piece the values, their spectrum, its mirror and what is kept.
    piece = max(PIECE, length) * 40
    return Memory(fixed, angles * (8 * period + 64) + 16 * shape[0] * shape[1] + piece)


def _fbp_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    shape = image_shape(parameters["size"], sizes["u"])
    period = _fbp_period(shape, parameters["radius"])
    length = fast_length(period + 2.25 * sizes["u"] + 2)
    memory = _memory(sizes["angle"], shape, period, length)
    return Memory(memory.fixed, memory.block + 8 * sizes["angle"] * sizes["batch"])


@kernel(
    "(angle,u),(angle)->(y,x)",
    rows={"center": (), "weights": ("angle",)},
    memory=_fbp_memory,
    sizes=_image_sizes,
)
def filtered_backprojection(
    sinogram: Any,
    angle_rad: Any,
    *,
    center: Any,
    size: Size = None,
    filter: Filter = "ramp",
    weights: Any = None,
    radius: float | None = None,
) -> Any:
    """(..., angle, u), (angle) -> (..., y, x). Attenuation per pixel from its line integrals.

    f(x, y) = sum_j w_j (p_j * h)(x cos(angle_j) + y sin(angle_j)), with the band-limited ramp h.

    Parameters
    ----------
    sinogram
        Line integrals in units where a pixel of u is 1 long: -log(transmission).
    angle_rad
        Angle of each projection [rad], in any order, over a half circle or more.
    center
        Index of u where the rotation axis is: one, or one for each slice.
    size
        Pixels of y and x (one number, or both); as many as u has where None.
    filter
        Window on the ramp. ``ramp`` has the best resolution, ``hann`` the least noise.
    weights
        Angle that each projection stands for [rad]: one row, or one for each slice. Where None,
        `angular_weights`. Projections of weight 0 are not looked at, and may be NaN.
    radius
        Pixels farther than this from the axis are 0 [pixels]. The largest circle in the slice where
        None; ``np.inf`` keeps the corners.

    Raises
    ------
    ArgumentError
        Where angles, weights or centres do not fit, a value is not finite, or the axis is outside
        the detector.

    References
    ----------
    A. C. Kak, M. Slaney, "Principles of Computerized Tomographic Imaging", SIAM (2001),
    doi:10.1137/1.9780898719277, section 3.3; A. H. Barnett, J. Magland, L. af Klinteberg,
    SIAM J. Sci. Comput. 41, C479 (2019), doi:10.1137/18M120885X.

    Examples
    --------
    >>> angle = np.linspace(0, np.pi, 90, endpoint=False)
    >>> u = np.arange(64) - 31.5
    >>> disc = 0.02 * np.sqrt(np.clip(20**2 - u**2, 0, None)) * np.ones((90, 1))
    >>> slice_ = filtered_backprojection(disc.astype("float32"), angle, center=31.5)
    >>> round(float(slice_[24:40, 24:40].mean()), 3)
    0.01
    """
    xp = xp_of(sinogram)
    batch, columns = sinogram.shape[:-2], sinogram.shape[-1]
    angle = check_angles(angle_rad, sinogram.shape[-2])
    centers, parts = centers_of(center, batch, columns), _weights(weights, angle, batch)
    if filter not in WINDOWS:
        raise unknown("filter", filter, WINDOWS)
    shape = image_shape(size, columns)
    period = _fbp_period(shape, radius)
    polar = polar_of(xp, angle, shape, period)
    keep = disc(xp, shape, radius)
    out = xp.empty(
        (*batch, *shape), contract_of(filtered_backprojection).output_dtype(0, sinogram.dtype)
    )
    slices, images = each(sinogram, 2), each(out, 2)
    far = _far(centers, columns)
    for rows in pairs(far):
        length = fast_length(max(2 * (far[rows[0]] + _reach(shape, radius)) + 1, period))
        spectra, scales = gather(
            [slices[i] for i in rows],
            [centers[i] for i in rows],
            [parts[i] / period for i in rows],
            rows,
            length=length,
            period=period,
            response=ramp(length, filter),
        )
        unpack(polar.image(spectra), scales, [images[i] for i in rows], keep)
    return out


def _pair_period(shape: tuple[int, int], far: float, columns: int) -> int:
    """Samples after which a projection may repeat: no pixel meets a column a second time."""
    return fast_length(max((np.hypot(*shape) / 2 + far) * (1 + GUARD / 2) + 4, columns))


def _pair_memory(angles: int, shape: tuple[int, int], columns: int) -> Memory:
    period = _pair_period(shape, 1.25 * columns + 1, columns)
    return _memory(angles, shape, period, period)


def _backproject_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    return _pair_memory(sizes["angle"], image_shape(parameters["size"], sizes["u"]), sizes["u"])


@kernel(
    "(angle,u),(angle)->(y,x)",
    rows={"center": ()},
    memory=_backproject_memory,
    sizes=_image_sizes,
)
def backproject(sinogram: Any, angle_rad: Any, *, center: Any, size: Size = None) -> Any:
    """(..., angle, u), (angle) -> (..., y, x). The exact adjoint of `project`: no filter, no mask.

    Parameters
    ----------
    sinogram
        Projections.
    angle_rad
        Angle of each [rad].
    center
        Index of u where the rotation axis is: one, or one for each slice.
    size
        Pixels of y and x (one number, or both); as many as u has where None.

    Raises
    ------
    ArgumentError
        Where angles or centres do not fit, a value is not finite, or the axis is outside the
        detector.

    Examples
    --------
    >>> backproject(np.ones((4, 5), "float32"), np.zeros(4), center=2.0)[2, 2].round(2)
    np.float32(4.0)
    """
    xp = xp_of(sinogram)
    batch, columns = sinogram.shape[:-2], sinogram.shape[-1]
    angle = check_angles(angle_rad, sinogram.shape[-2])
    centers, shape = centers_of(center, batch, columns), image_shape(size, columns)
    out = xp.empty((*batch, *shape), contract_of(backproject).output_dtype(0, sinogram.dtype))
    slices, images = each(sinogram, 2), each(out, 2)
    far = _far(centers, columns)
    for rows in pairs(far):
        period = _pair_period(shape, far[rows[0]], columns)
        spectra, scales = gather(
            [slices[i] for i in rows],
            [centers[i] for i in rows],
            [np.full(angle.size, 1 / period)] * len(rows),
            rows,
            length=period,
            period=period,
            response=None,
        )
        polar = polar_of(xp, angle, shape, period)
        unpack(polar.image(spectra), scales, [images[i] for i in rows], None)
    return out


def _projection_sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return {"u": _columns(parameters["size"], (sizes["y"], sizes["x"]))}


def _columns(size: int | None, shape: tuple[int, int]) -> int:
    if size is not None and size < 1:
        raise ArgumentError("a projection has one column or more", got=f"size={size}")
    return max(shape) if size is None else size


def _project_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    shape = (sizes["y"], sizes["x"])
    return _pair_memory(sizes["angle"], shape, _columns(parameters["size"], shape))


@kernel(
    "(y,x),(angle)->(angle,u)",
    rows={"center": ()},
    memory=_project_memory,
    sizes=_projection_sizes,
)
def project(image: Any, angle_rad: Any, *, size: int | None = None, center: Any = None) -> Any:
    """(..., y, x), (angle) -> (..., angle, u). Line integrals of a slice, in pixels.

    p(u) = integral of f along x cos(angle) + y sin(angle) = u, the slice taken as band-limited. So
    the projection of a sharp edge rings, and may be negative: where that must not be, use a pair
    that interpolates between pixels.

    Parameters
    ----------
    image
        Slices.
    angle_rad
        Angle of each projection [rad].
    size
        Columns of u; as many as the longer side of the slice where None.
    center
        Index of u where the rotation axis is: one, or one for each slice; the middle where None.

    Raises
    ------
    ArgumentError
        Where angles or centres do not fit, a value is not finite, or the axis is outside the
        detector.

    Examples
    --------
    >>> slice_ = np.zeros((5, 5), "float32")
    >>> slice_[2, 3] = 1
    >>> abs(project(slice_, np.array([0.0, np.pi / 2]))).round(1)
    array([[0., 0., 0., 1., 0.],
           [0., 0., 1., 0., 0.]], dtype=float32)
    """
    xp, fft = xp_of(image), fft_of(xp_of(image))
    batch, shape = image.shape[:-2], (int(image.shape[-2]), int(image.shape[-1]))
    angle = check_angles(angle_rad, np.size(angle_rad))
    columns = _columns(size, shape)
    centers = centers_of((columns - 1) / 2 if center is None else center, batch, columns)
    dtype = contract_of(project).output_dtype(0, image.dtype)
    out = xp.empty((*batch, angle.size, columns), dtype)
    slices, targets = each(image, 2), each(out, 2)
    far = _far(centers, columns)
    for rows in pairs(far):
        period = _pair_period(shape, far[rows[0]], columns)
        scales = [scale_of(slices[i], None, i)[0] for i in rows]
        packed = xp.zeros(shape, np.complex64)
        for i, row in enumerate(rows):
            xp.multiply(slices[row], 1 / scales[i], out=packed.imag if i else packed.real,
                        dtype=np.float32, casting="unsafe")  # fmt: skip
        spectra = polar_of(xp, angle, shape, period).spectra(packed)
        shifts = [np.rint(centers[i]) - centers[i] for i in rows]
        by = phases(xp, period, shifts, 1)
        for lines in runs(angle.size, period, xp):
            both = fft.ifft(move(spectra[lines], by), overwrite_x=True)
            for i, row in enumerate(rows):
                first = period // 2 - int(np.rint(centers[row]))
                fetch(both.imag if i else both.real, first, targets[row][lines])
                targets[row][lines] *= dtype.type(scales[i])
    return out
