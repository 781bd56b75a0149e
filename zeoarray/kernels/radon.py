"""Parallel projection, back-projection and filtered back-projection, by non-uniform FFTs.

One set of conventions: u = x cos(angle) + y sin(angle); the rotation axis is at index
(size - 1) / 2 of y and x, and at index `center` of u; lengths are in pixels. Slices go through the
transform two at a time, as real and imaginary part: rows 2n and 2n+1 of the last batch dim. So
blocks that begin at even rows give the same bits, and others the same but for rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError, unknown
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.filters import WINDOWS, Filter, interpolation, points_of, ramp
from zeoarray.kernels.packed import (
    PIECE,
    TOGETHER,
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
from zeoarray.kernels.polar import fast_length, fft_of, grid_bytes, polar_bytes, polar_of
from zeoarray.kernels.slices import (
    GUARD,
    Size,
    centers_of,
    disc,
    far_of,
    image_shape,
    radius_of,
    reach_of,
    weights_of,
)
from zeoarray.kernels.truncation import Truncation, check_truncation

SCRATCH = 32
"""Bytes for each number of a piece while it is filtered."""
HEAP = 1 << 21
"""Bytes that the C library holds beside what is in use, with a twelfth of that."""

__all__ = [
    "Size",
    "backproject",
    "centers_of",
    "disc",
    "filtered_backprojection",
    "image_shape",
    "project",
    "radius_of",
]


def _fbp_period(shape: tuple[int, int], radius: float | None) -> int:
    """Samples after which a filtered projection may repeat: beyond every pixel that is kept."""
    return fast_length(2 * reach_of(shape, radius) * (1 + GUARD) + 8)


def _image_sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return dict(zip("yx", image_shape(parameters["size"], sizes["u"]), strict=True))


def _memory(angles: int, shape: tuple[int, int], line: int, length: int, held: int = 0) -> Memory:
    points, pixels = angles * line, shape[0] * shape[1]
    piece = min(max(PIECE, length), angles * length)
    # Beside the spectra and the mask there are, first, what is held, and pieces of spectra: values,
    # products, mirror images. Then FINUFFT's grid and the image of both slices.
    fixed = polar_bytes(angles, line)
    block = 8 * points + 4 * pixels + max(SCRATCH * piece + held, grid_bytes(shape) + 8 * pixels)
    return Memory(fixed, block + (fixed + block) // 12 + HEAP)


def _fbp_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    shape = image_shape(parameters["size"], sizes["u"])
    period = _fbp_period(shape, parameters["radius"])
    reach, far = reach_of(shape, parameters["radius"]), _farthest(parameters, sizes["u"])
    length = fast_length(max(2 * (reach + far) + 1, period))
    held = 8 * shape[0] * shape[1]
    memory = _memory(sizes["angle"], shape, points_of(period), length, held)
    return Memory(memory.fixed, memory.block + 8 * sizes["angle"] * sizes["batch"])


@kernel(
    "(angle,u),(angle)->(y,x)",
    rows={"center": (), "weights": ("angle",)},
    together=TOGETHER,
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
    truncation: Truncation = "zero",
    scale: float = 1.0,
) -> Any:
    """(..., angle, u), (angle) -> (..., y, x). Attenuation per pixel from its line integrals.

    f(x, y) = sum_j w_j (p_j * h * k)(x cos(angle_j) + y sin(angle_j)), with the band-limited ramp
    h, and k which interpolates between columns. Its transform is that of `filters.interpolation`,
    K(f) = cos(pi f / 2) / (1 + (f / (1 - f))^3) up to f = 5/8 cycles a pixel.

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
    truncation
        What lies beyond the first and the last column: ``zero``, for projections that see all of
        the sample; ``edge`` falls off smoothly from what is there, for those that do not. The slice
        has an offset then that nothing determines.
    scale
        Factor on the slices: 1 / pixel, for attenuation in other units than per pixel.

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
    angle, continued = check_angles(angle_rad, sinogram.shape[-2]), check_truncation(truncation)
    centers, parts = centers_of(center, batch, columns), weights_of(weights, angle, batch)
    if filter not in WINDOWS:
        raise unknown("filter", filter, WINDOWS)
    shape = image_shape(size, columns)
    period = _fbp_period(shape, radius)
    between = interpolation(period)
    polar = polar_of(xp, angle, shape, period, between.size)
    keep = disc(xp, shape, radius)
    out = xp.empty(
        (*batch, *shape), contract_of(filtered_backprojection).output_dtype(0, sinogram.dtype)
    )
    # The same for all pairs: memory that is new to a process is slow.
    spectra, image = xp.empty_like(polar.turn), xp.empty(shape, np.complex64)
    slices, images = each(sinogram, 2), each(out, 2)
    far = far_of(centers, columns)
    for rows in pairs(batch, far):
        length = fast_length(max(2 * (far[rows[0]] + reach_of(shape, radius)) + 1, period))
        scales = gather(
            [slices[i] for i in rows],
            [centers[i] for i in rows],
            [parts[i] * (scale / period) for i in rows],
            rows,
            length=length,
            period=period,
            turn=polar.turn,
            out=spectra,
            response=ramp(length, filter),
            factor=between,
            continued=continued,
        )
        unpack(polar.image(spectra, image), scales, [images[i] for i in rows], keep)
    return out


def _pair_period(shape: tuple[int, int], far: float, columns: int) -> int:
    """Samples after which a projection may repeat: no pixel meets a column a second time."""
    return fast_length(max((np.hypot(*shape) / 2 + far) * (1 + GUARD / 2) + 4, columns))


def _farthest(parameters: Parameters, columns: int) -> float:
    """The largest of `far_of`; for an axis at the edge where it is not known yet."""
    center = parameters.get("center", 0.0)
    if center is None:
        center = (columns - 1) / 2
    values = getattr(center, "values", center) if getattr(center, "chunks", None) is None else None
    if not isinstance(values, (int, float, np.ndarray, np.generic)) or not np.size(values):
        values = 0.0
    return float(far_of(np.asarray(values, dtype=float), columns).max())


def _pair_memory(angles: int, shape: tuple[int, int], columns: int, far: float) -> Memory:
    period = _pair_period(shape, far, columns)
    return _memory(angles, shape, period, period)


def _backproject_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    shape, far = image_shape(parameters["size"], sizes["u"]), _farthest(parameters, sizes["u"])
    return _pair_memory(sizes["angle"], shape, sizes["u"], far)


@kernel(
    "(angle,u),(angle)->(y,x)",
    rows={"center": ()},
    together=TOGETHER,
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
    far = far_of(centers, columns)
    for rows in pairs(batch, far):
        period = _pair_period(shape, far[rows[0]], columns)
        polar = polar_of(xp, angle, shape, period)
        spectra = xp.empty_like(polar.turn)
        scales = gather(
            [slices[i] for i in rows],
            [centers[i] for i in rows],
            [np.full(angle.size, 1 / period)] * len(rows),
            rows,
            length=period,
            period=period,
            turn=polar.turn,
            out=spectra,
        )
        unpack(polar.image(spectra), scales, [images[i] for i in rows], None)
        del spectra
    return out


def _projection_sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return {"u": _columns(parameters["size"], (sizes["y"], sizes["x"]))}


def _columns(size: int | None, shape: tuple[int, int]) -> int:
    if size is not None and size < 1:
        raise ArgumentError("a projection has one column or more", got=f"size={size}")
    return max(shape) if size is None else size


def _project_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    shape = (sizes["y"], sizes["x"])
    columns = _columns(parameters["size"], shape)
    return _pair_memory(sizes["angle"], shape, columns, _farthest(parameters, columns))


@kernel(
    "(y,x),(angle)->(angle,u)",
    rows={"center": ()},
    together=TOGETHER,
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
    far = far_of(centers, columns)
    for rows in pairs(batch, far):
        period = _pair_period(shape, far[rows[0]], columns)
        scales = [scale_of(slices[i], None, i)[0] for i in rows]
        packed = xp.zeros(shape, np.complex64)
        for i, row in enumerate(rows):
            xp.multiply(slices[row], 1 / scales[i], out=packed.imag if i else packed.real,
                        dtype=np.float32, casting="unsafe")  # fmt: skip
        polar = polar_of(xp, angle, shape, period)
        spectra = polar.spectra(packed)
        shifts = [np.rint(centers[i]) - centers[i] for i in rows]
        by = phases(xp, period, period, shifts, 1)
        for lines in runs(angle.size, period, xp):
            spectra[lines] *= polar.turn[lines].conj()
            both = fft.ifft(move(spectra[lines], by), overwrite_x=True)
            for i, row in enumerate(rows):
                first = period // 2 - int(np.rint(centers[row]))
                fetch(both.imag if i else both.real, first, targets[row][lines])
                targets[row][lines] *= dtype.type(scales[i])
        del spectra, packed, both
    return out
