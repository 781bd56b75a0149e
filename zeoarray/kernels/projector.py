"""Parallel projection and back-projection after Joseph: a pair without negative numbers.

Conventions are those of `radon`: u = x cos(angle) + y sin(angle), the rotation axis at index
(size - 1) / 2 of y and x and at index `center` of u, lengths in pixels. Slower than that pair and
less exact for smooth slices; for slices that cannot be negative, and for few pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.packed import each
from zeoarray.kernels.radon import Size, centers_of, image_shape
from zeoarray.kernels.rays import Rays, groups, interleaved, lanes_of, pair_bytes

Array = np.ndarray[Any, Any]


def check_finite(part: Any, row: int) -> None:
    """Raise for a slice with a value that is not finite.

    Raises
    ------
    ArgumentError
        Naming the first line that has one.
    """
    xp = xp_of(part)
    if not bool(xp.isfinite(xp.sum(part, dtype=np.float64))):
        lines = np.flatnonzero([not bool(xp.isfinite(line).all()) for line in part])
        raise ArgumentError(
            f"slice {row} has values that are not finite",
            got=f"{lines.size} of {len(part)} lines with NaN or Inf, the first at index {lines[0]}",
            expected="finite values",
            do="fill them, or give them the weight 0 where the kernel takes weights",
        )


def _columns(size: int | None, shape: tuple[int, int]) -> int:
    if size is not None and size < 1:
        raise ArgumentError("a projection has one column or more", got=f"size={size}")
    return max(shape) if size is None else size


def _project_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    shape, lanes = (sizes["y"], sizes["x"]), lanes_of(sizes["batch"])
    lines = sizes["angle"] * _columns(parameters["size"], shape)
    forth, _ = pair_bytes(sizes["angle"], 0, shape, lanes)
    geometry = 160 * sizes["angle"]
    return Memory(0, 4 * lanes * (shape[0] * shape[1] + lines) + forth + geometry)


def _projection_sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return {"u": _columns(parameters["size"], (sizes["y"], sizes["x"]))}


@kernel(
    "(y,x),(angle)->(angle,u)",
    rows={"center": ()},
    memory=_project_memory,
    sizes=_projection_sizes,
)
def project(image: Any, angle_rad: Any, *, size: int | None = None, center: Any = None) -> Any:
    """(..., y, x), (angle) -> (..., angle, u). Line integrals of a slice, in pixels, after Joseph.

    p(u) = sum over the rows that the ray crosses of f, linear between pixels, over abs(cos(angle));
    over columns and abs(sin(angle)) where the ray is less steep. Not negative where f is not.

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

    References
    ----------
    P. M. Joseph, IEEE Trans. Med. Imaging 1, 192 (1982), doi:10.1109/TMI.1982.4307572.

    Examples
    --------
    >>> slice_ = np.zeros((5, 5), "float32")
    >>> slice_[2, 3] = 1
    >>> project(slice_, np.array([0.0, np.pi / 2])).round(6)
    array([[0., 0., 0., 1., 0.],
           [0., 0., 1., 0., 0.]], dtype=float32)
    """
    xp = xp_of(image)
    batch, shape = image.shape[:-2], (int(image.shape[-2]), int(image.shape[-1]))
    angle = check_angles(angle_rad, np.size(angle_rad))
    columns = _columns(size, shape)
    centers = centers_of((columns - 1) / 2 if center is None else center, batch, columns)
    dtype = contract_of(project).output_dtype(0, image.dtype)
    out = xp.empty((*batch, angle.size, columns), dtype)
    slices, targets = each(image, 2), each(out, 2)
    for rows, lanes in groups(centers):
        for row in rows:
            check_finite(slices[row], row)
        rays = Rays(angle, shape, columns, centers[rows[0]])
        lines = rays.forth(interleaved([slices[i] for i in rows], lanes))
        for i, row in enumerate(rows):
            targets[row][...] = lines[..., i]
    return out


def _backproject_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    shape, lanes = image_shape(parameters["size"], sizes["u"]), lanes_of(sizes["batch"])
    lines = sizes["angle"] * sizes["u"]
    _, back = pair_bytes(sizes["angle"], sizes["u"], shape, lanes)
    geometry = 160 * sizes["angle"]
    return Memory(0, 4 * lanes * (shape[0] * shape[1] + lines) + back + geometry)


def _image_sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return dict(zip("yx", image_shape(parameters["size"], sizes["u"]), strict=True))


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

    References
    ----------
    P. M. Joseph, IEEE Trans. Med. Imaging 1, 192 (1982), doi:10.1109/TMI.1982.4307572.

    Examples
    --------
    >>> backproject(np.ones((4, 5), "float32"), np.zeros(4), center=2.0)[2]
    array([4., 4., 4., 4., 4.], dtype=float32)
    """
    xp = xp_of(sinogram)
    batch, columns = sinogram.shape[:-2], sinogram.shape[-1]
    angle = check_angles(angle_rad, sinogram.shape[-2])
    centers, shape = centers_of(center, batch, columns), image_shape(size, columns)
    out = xp.empty((*batch, *shape), contract_of(backproject).output_dtype(0, sinogram.dtype))
    slices, images = each(sinogram, 2), each(out, 2)
    for rows, lanes in groups(centers):
        for row in rows:
            check_finite(slices[row], row)
        rays = Rays(angle, shape, columns, centers[rows[0]])
        image = rays.back(interleaved([slices[i] for i in rows], lanes))
        for i, row in enumerate(rows):
            images[row][...] = image[..., i]
    return out


def matrix(angle_rad: Any, *, size: Size, width: int, center: float | None = None) -> Array:
    """(angle) -> (angle x u, y x x). The operator of `project`, dense, for small slices.

    One row for each ray, the columns of u within an angle; one column for each pixel, the pixels of
    x within a y: ``matrix(...) @ image.ravel()`` is ``project(image, ...).ravel()``. 4 bytes for
    each pair of ray and pixel: 20 MB for 80 angles of 40 rays on 40 x 40 pixels.

    Parameters
    ----------
    angle_rad
        Angle of each projection [rad].
    size
        Pixels of y and x (one number, or both); as many as `width` where None.
    width
        Columns of u.
    center
        Index of u where the rotation axis is; the middle where None.

    Returns
    -------
    np.ndarray
        float32.

    Raises
    ------
    ArgumentError
        Where an angle is not finite, or the axis is outside the detector.

    Examples
    --------
    >>> operator = matrix(np.linspace(0, np.pi, 6, endpoint=False), size=4, width=5)
    >>> operator.shape
    (30, 16)
    """
    angle = check_angles(angle_rad, np.size(angle_rad))
    shape, columns = image_shape(size, width), _columns(width, (1, 1))
    middle = (columns - 1) / 2 if center is None else center
    axis = float(centers_of(middle, (), columns)[0])
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    out = np.empty((angle.size, columns, *shape), np.float32)
    for lines, cos, sin in zip(out, np.cos(angle), np.sin(angle), strict=True):
        longer = max(abs(cos), abs(sin))
        place = axis + x * cos + y[:, None] * sin
        for u, line in enumerate(lines):
            line[...] = np.clip(longer - abs(place - u), 0, None) / longer**2
    return out.reshape(angle.size * columns, -1)
