"""Iterative reconstruction of Poisson data on the pair of `projector`: MLEM and OSEM.

Both raise the likelihood of a slice that is nowhere negative, by factors and not by sums: what is
0 stays 0, what is positive stays so. The data are emission-like (diffracted intensity,
fluorescence): b = counts / w has the mean A x, and w, what counts were divided by (monitor,
exposure), is the weight of a ray.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from zeoarray.backend import PIECE, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.contract import Kernel, Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.packed import each
from zeoarray.kernels.projector import check_finite
from zeoarray.kernels.radon import Size, centers_of, image_shape
from zeoarray.kernels.rays import groups, interleaved, lanes_of, pair_bytes
from zeoarray.kernels.stopping import Progress, check_rules, count_of, weights_of
from zeoarray.kernels.subsets import Geometry, compared, improved, level, parts_of

Array = np.ndarray[Any, Any]


def _sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    y, x = image_shape(parameters["size"], sizes["u"])
    return {"y": y, "x": x, "iteration": count_of(parameters["iterations"])}


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    shape, lanes = image_shape(parameters["size"], sizes["u"]), lanes_of(sizes["batch"])
    subsets, weighted = max(parameters.get("subsets", 1), 1), parameters["weights"] is not None
    angles, columns, pixels = sizes["angle"], sizes["u"], shape[0] * shape[1]
    largest = -(-angles // subsets)
    rays, image = 4 * angles * columns, 4 * pixels
    part = 4 * largest * columns
    forth, back = pair_bytes(largest, columns, shape, lanes)
    # The data and their weights; the slices, and what their pixels are seen with; of one slice,
    # which rays cross the circle and which pixels lie in it.
    held = lanes * rays * (2 if weighted else 1) + lanes * image + rays + image
    held += subsets * image * (lanes if weighted else 1) + 400 * angles
    # Then one subset: its ratio; and its way back to the change of the slices, or their projection,
    # or what is compared, a piece at a time. Or before that: data without what has no weight, and
    # what they sum up to.
    piece = 40 * min(PIECE + lanes * columns, lanes * largest * columns)
    step = lanes * part + max(back + lanes * (image + 3 * pixels), forth, piece)
    return Memory(0, held + max(step, 3 * lanes * part + (lanes * rays if weighted else 0)))


def _checked(part: Any, weights: Any, row: int) -> Any:
    """One sinogram, 0 where its weight is, or an error."""
    xp = xp_of(part)
    values = part if weights is None else xp.where(weights > 0, part, 0)
    check_finite(values, row)
    if bool((values < 0).any()):
        raise ArgumentError(
            f"slice {row} has negative values, which no Poisson process gives",
            got=f"{int((values < 0).sum())} of {values.size}, the least {float(values.min()):g}",
            expected="0 or more wherever the weight is not 0",
            do="leave the background in, raise what is left of it to 0, or use iterative.sirt",
        )
    return values


def _started(start: Any, batch: tuple[int, ...], shape: tuple[int, int]) -> list[Any] | None:
    """Views of the slices to start from."""
    if start is None:
        return None
    xp = xp_of(start)
    given = xp.asarray(start)
    try:
        slices = each(xp.broadcast_to(given, (*batch, *shape)), 2)
    except ValueError as error:
        raise ArgumentError(
            "the slices to start from do not fit",
            got=f"start of shape {given.shape}, batch dims {batch}, slices of {shape}",
            expected="(y, x), for all slices or for each",
        ) from error
    if not bool((xp.isfinite(given) & (given >= 0)).all()):
        raise ArgumentError(
            "a value to start from is negative or not finite",
            do="raise it to a little above 0: what is 0 stays so",
        )
    return slices


def _reconstruct(
    contract: Kernel,
    sinogram: Any,
    angle_rad: Any,
    center: Any,
    *,
    size: Size,
    radius: float | None,
    weights: Any,
    start: Any,
    subsets: int,
    iterations: int,
    tolerance: float,
    deviance: float,
) -> tuple[Any, Any]:
    xp = xp_of(sinogram)
    batch, columns = sinogram.shape[:-2], sinogram.shape[-1]
    angle, shape = check_angles(angle_rad, sinogram.shape[-2]), image_shape(size, columns)
    check_rules({"tolerance": tolerance, "deviance": deviance})
    parts, centers = parts_of(angle, subsets), centers_of(center, batch, columns)
    out = xp.empty((*batch, *shape), contract.output_dtype(0, sinogram.dtype))
    curves = xp.empty((*batch, count_of(iterations)), contract.output_dtype(1, sinogram.dtype))
    slices, images, residuals = each(sinogram, 2), each(out, 2), each(curves, 1)
    given = None if weights is None else each(weights_of(weights, sinogram), 2)
    begin = _started(start, batch, shape)
    geometry: Geometry | None = None
    for rows, lanes in groups(centers):
        if geometry is None or geometry.center != centers[rows[0]]:
            axis, weighted = centers[rows[0]], given is not None
            geometry = Geometry(xp, angle, parts, shape, columns, axis, radius, weighted)
        weighed = [] if given is None else [given[i] for i in rows]
        checked = [_checked(slices[i], given and given[i], i) for i in rows]
        sets = geometry.subsets(checked, weighed, lanes)
        del checked
        image, rays = level(geometry, sets)
        if begin is not None:
            image = interleaved([begin[i] for i in rows], lanes) * geometry.keep
        # Nothing is known of pixels that no ray has seen.
        image *= functools.reduce(operator.or_, (one.inverse > 0 for one in sets))
        progress = Progress(compared(sets, image), iterations, tolerance, deviance * rays)
        progress.follow(improved(sets, image, progress))
        for i, row in enumerate(rows):
            images[row][...] = image[..., i]
            residuals[row][...] = xp.asarray(progress.curve[i] / rays[i])
    return out, curves


_DIMS = {"center": (), "weights": ("angle", "u"), "start": ("y", "x")}


@kernel(
    "(angle,u),(angle)->(y,x),(iteration)",
    rows=_DIMS,
    memory=_memory,
    sizes=_sizes,
)
def mlem(
    sinogram: Any,
    angle_rad: Any,
    *,
    center: Any,
    size: Size = None,
    radius: float | None = None,
    weights: Any = None,
    start: Any = None,
    iterations: int = 100,
    tolerance: float = 1e-3,
    deviance: float = 0.0,
) -> tuple[Any, Any]:
    """(..., angle, u), (angle) -> (..., y, x), (..., iteration). Maximum likelihood (MLEM).

    x <- x / (A'w) * A'(w b / (A x)), for counts w b of a Poisson process with the mean w A x.

    Absorbance is no Poisson variable: used here with the weights absorbance * counts, it gets the
    variance that it has, and a slice that is not negative.

    Parameters
    ----------
    sinogram
        Not negative: counts, or counts divided by `weights`.
    angle_rad
        Angle of each projection [rad].
    center
        Index of u where the rotation axis is: one, or one for each slice.
    size
        Pixels of y and x (one number, or both); as many as u has where None.
    radius
        Pixels farther than this from the axis are 0 [pixels]; as `filtered_backprojection`. What
        lies beyond must be empty.
    weights
        (angle, u), or (angle, 1), or one such array for each slice: what counts were divided by; 1
        where None. Rays of weight 0 are not looked at, and may be NaN.
    start
        Slices to start from, (y, x) or one for each; of one value where None. What is 0 stays 0.
    iterations
        At most so many.
    tolerance
        Stop where the deviance falls by less than this share of itself in an iteration.
    deviance
        Stop where the deviance is not more than this: Poisson noise alone leaves 1.

    Returns
    -------
    tuple
        The slice per pixel, and its deviance after each iteration, NaN after the last: the mean of
        2 w (b log(b / A x) - b + A x) over rays through the circle.

    Raises
    ------
    ArgumentError
        For what `filtered_backprojection` does not take, negative data, weights and slices to start
        from that are negative or do not fit, and rules to stop that are none.

    References
    ----------
    L. A. Shepp, Y. Vardi, IEEE Trans. Med. Imaging 1, 113 (1982), doi:10.1109/TMI.1982.4307558.

    Examples
    --------
    >>> angle = np.linspace(0, np.pi, 20, endpoint=False)
    >>> chord = 2 * np.sqrt(np.clip(8**2 - (np.arange(24) - 11.5) ** 2, 0, None))
    >>> slice_, curve = mlem(chord * np.ones((20, 1)), angle, center=11.5, iterations=50)
    >>> round(float(slice_[9:15, 9:15].mean()), 1), bool(curve[1] < curve[0])
    (1.0, True)
    """
    return _reconstruct(
        contract_of(mlem), sinogram, angle_rad, center, size=size, radius=radius, weights=weights,
        start=start, subsets=1, iterations=iterations, tolerance=tolerance, deviance=deviance,
    )  # fmt: skip


@kernel(
    "(angle,u),(angle)->(y,x),(iteration)",
    rows=_DIMS,
    memory=_memory,
    sizes=_sizes,
)
def osem(
    sinogram: Any,
    angle_rad: Any,
    *,
    center: Any,
    subsets: int = 8,
    size: Size = None,
    radius: float | None = None,
    weights: Any = None,
    start: Any = None,
    iterations: int = 10,
    tolerance: float = 1e-3,
    deviance: float = 0.0,
) -> tuple[Any, Any]:
    """(..., angle, u), (angle) -> (..., y, x), (..., iteration). MLEM by ordered subsets (OSEM).

    As `mlem`, for one subset of the angles after another: an iteration goes round all of them, and
    does about what as many iterations of `mlem` do as there are subsets. It ends near the most
    likely slice, not at it: the less near the more subsets.

    Parameters
    ----------
    subsets
        Each has every so manieth direction.
    sinogram, angle_rad, center, size, radius, weights, start, iterations, tolerance, deviance
        As `mlem`.

    Returns
    -------
    tuple
        The slice per pixel, and the deviance of `mlem` in each iteration, of each subset when it
        was come to; NaN after the last.

    Raises
    ------
    ArgumentError
        For what `mlem` does not take, and more subsets than angles.

    References
    ----------
    H. M. Hudson, R. S. Larkin, IEEE Trans. Med. Imaging 13, 601 (1994), doi:10.1109/42.363108.

    Examples
    --------
    >>> angle = np.linspace(0, np.pi, 20, endpoint=False)
    >>> chord = 2 * np.sqrt(np.clip(8**2 - (np.arange(24) - 11.5) ** 2, 0, None))
    >>> slice_, _ = osem(chord * np.ones((20, 1)), angle, center=11.5, subsets=5)
    >>> round(float(slice_[9:15, 9:15].mean()), 1)
    1.0
    """
    return _reconstruct(
        contract_of(osem), sinogram, angle_rad, center, size=size, radius=radius, weights=weights,
        start=start, subsets=subsets, iterations=iterations, tolerance=tolerance, deviance=deviance,
    )  # fmt: skip
