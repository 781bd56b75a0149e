"""Iterative reconstruction on the NUFFT pair of `radon`: SIRT and CGLS.

Both minimise the difference between the slice's projections and the measured ones; few angles and
gaps need no filter and no weights of angles. Both go on until the residual hardly falls, or is what
noise leaves. For Poisson data and slices that cannot be negative, see `expectation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.contract import Kernel, Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.packed import each
from zeoarray.kernels.radon import Size, backproject, centers_of, image_shape, project
from zeoarray.kernels.scan import EDGE, Scan, over, square
from zeoarray.kernels.stopping import Progress, check_rules, count_of, weights_of

Array = np.ndarray[Any, Any]


def _sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    y, x = image_shape(parameters["size"], sizes["u"])
    return {"y": y, "x": x, "iteration": count_of(parameters["iterations"])}


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    y, x = image_shape(parameters["size"], sizes["u"])
    pair = {**sizes, "batch": 2, "y": y, "x": x}
    back = contract_of(backproject).memory(pair, parameters, threads)
    forth = contract_of(project).memory(pair, {"size": sizes["u"]}, threads)
    # One geometry holds both transforms. Of two slices: three sinograms and products of them, three
    # images and products of them; and the weights, whole while they are checked.
    lines = sizes["angle"] * sizes["u"]
    scratch = 4 * 2 * (6 * lines + 6 * y * x)
    if parameters["weights"] is not None:
        scratch += 4 * 2 * lines + 2 * sizes["batch"] * lines
    return Memory(back.fixed + forth.fixed, max(back.block, forth.block) + scratch)


def _factor(values: Array, progress: Progress, like: Any) -> Any:
    """A number for each slice, 0 for those that are done, to multiply arrays of `like`."""
    xp = xp_of(like)
    return xp.asarray(np.where(progress.going, values, 0)[:, None, None], dtype=np.float32)


def _sirt(scan: Scan, image: Any, progress: Progress, lower: float | None) -> Iterator[Array]:
    """Landweber's iteration, each ray divided by its length and the sum by the angles."""
    xp = xp_of(scan.lines)
    most = xp.maximum(scan.weights.max(axis=2, keepdims=True).sum(axis=1, keepdims=True), 1e-30)
    # Angles, each with the largest weight of its rays: as much as any pixel can be seen with.
    most = most * (scan.angle.size // scan.weights.shape[1])
    inverse = scan.weights / xp.maximum(scan.chord, EDGE) / most
    rest, ones = scan.lines, np.ones(len(image))
    while True:
        step = scan.back(rest * inverse)
        image += step * _factor(ones, progress, step)
        if lower is not None:
            xp.maximum(image, np.float32(lower), out=image)
            if scan.keep is not None:
                image *= scan.keep
        rest = scan.lines - scan.forth(image)
        yield np.sqrt(over(square(rest, scan.weights), scan.norm))


def _cgls(scan: Scan, image: Any, progress: Progress, lower: None) -> Iterator[Array]:
    """Conjugate gradients on A'WA x = A'Wb."""
    rest = scan.lines.copy()
    direction = scan.back(rest * scan.weights)
    gradient = square(direction)
    while True:
        ahead = scan.forth(direction)
        length = over(gradient, square(ahead, scan.weights))
        length = _factor(length, progress, ahead)
        image += length * direction
        rest -= length * ahead
        yield np.sqrt(over(square(rest, scan.weights), scan.norm))
        steepest = scan.back(rest * scan.weights)
        now = square(steepest)
        direction = steepest + _factor(over(now, gradient), progress, ahead) * direction
        gradient = now


def _noise(sigma: Any, batch: tuple[int, ...]) -> Array:
    """Noise of each slice of the flattened batch."""
    value = np.asarray(0 if sigma is None else to_host(sigma), dtype=float)
    try:
        return np.broadcast_to(value, batch).ravel()
    except ValueError as error:
        raise ArgumentError(
            "the noise does not fit the slices",
            got=f"sigma of shape {value.shape}, batch dims {batch}",
            expected="one number, or one for each slice",
        ) from error


def _reconstruct(
    contract: Kernel,
    method: Callable[..., Iterator[Array]],
    together: int,
    sinogram: Any,
    angle_rad: Any,
    center: Any,
    size: Size,
    radius: float | None,
    *,
    weights: Any,
    iterations: int,
    tolerance: float,
    residual: float,
    sigma: Any,
    lower: float | None,
) -> tuple[Any, Any]:
    xp = xp_of(sinogram)
    batch, columns = sinogram.shape[:-2], sinogram.shape[-1]
    angle, shape = check_angles(angle_rad, sinogram.shape[-2]), image_shape(size, columns)
    check_rules({"tolerance": tolerance, "residual": residual, "sigma": sigma})
    centers, noise = centers_of(center, batch, columns), _noise(sigma, batch)
    out = xp.empty((*batch, *shape), contract.output_dtype(0, sinogram.dtype))
    curves = xp.empty((*batch, count_of(iterations)), contract.output_dtype(1, sinogram.dtype))
    slices, images, residuals = each(sinogram, 2), each(out, 2), each(curves, 1)
    given = None if weights is None else each(weights_of(weights, sinogram), 2)
    for first in range(0, len(slices), together):
        rows = range(first, min(first + together, len(slices)))
        lines = xp.stack([slices[i] for i in rows])
        weighed = None if given is None else xp.stack([given[i] for i in rows])
        scan = Scan(lines, weighed, angle, centers[rows.start : rows.stop], shape, radius)
        expected = np.sqrt(over(scan.rays * noise[rows.start : rows.stop] ** 2, scan.norm))
        enough = np.maximum(residual, expected)
        progress = Progress(np.ones(len(rows)), iterations, tolerance, enough)
        image = xp.zeros((len(rows), *shape), np.float32)
        progress.follow(method(scan, image, progress, lower))
        for i, row in enumerate(rows):
            images[row][...] = image[i]
            residuals[row][...] = xp.asarray(progress.curve[i])
    return out, curves


@kernel(
    "(angle,u),(angle)->(y,x),(iteration)",
    rows={"center": (), "weights": ("angle", "u"), "sigma": ()},
    memory=_memory,
    sizes=_sizes,
)
def sirt(
    sinogram: Any,
    angle_rad: Any,
    *,
    center: Any,
    size: Size = None,
    radius: float | None = None,
    weights: Any = None,
    iterations: int = 200,
    tolerance: float = 1e-3,
    residual: float = 0.0,
    sigma: Any = None,
    lower: float | None = None,
) -> tuple[Any, Any]:
    """(..., angle, u), (angle) -> (..., y, x), (..., iteration). Simultaneous iterations (SIRT).

    x <- x + C A'R (b - A x), where R divides by the length of a ray and C by the number of angles
    (R times the weights of rays, and C by those of angles, where there are weights).

    Parameters
    ----------
    sinogram
        Line integrals in units where a pixel of u is 1 long.
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
        (angle, u), or (angle, 1), or one such array for each slice: one over the variance of each
        ray, to a common factor; 1 where None. Rays of weight 0 are not looked at, and may be NaN.
    iterations
        At most so many.
    tolerance
        Stop where the residual falls by less than this share of itself in an iteration.
    residual
        Stop where the residual is not more than this: the noise as a share of the data.
    sigma
        Stop where the residual is not more than what noise leaves (Morozov's discrepancy
        principle): standard deviation of rays of weight 1, one number or one for each slice.
    lower
        Raise values below this to it, at each iteration: 0 for what cannot be negative.

    Returns
    -------
    tuple
        Attenuation per pixel, and norm(b - A x) / norm(b) after each iteration, NaN after the last;
        of rays through the circle, squares times their weights.

    Raises
    ------
    ArgumentError
        For what `filtered_backprojection` does not take, weights that are negative or do not fit,
        and rules to stop that are none.

    References
    ----------
    J. Gregor, T. Benson, IEEE Trans. Med. Imaging 27, 918 (2008), doi:10.1109/TMI.2008.923696.

    Examples
    --------
    >>> angle = np.linspace(0, np.pi, 20, endpoint=False)
    >>> chord = 2 * np.sqrt(np.clip(8**2 - (np.arange(24) - 11.5) ** 2, 0, None))
    >>> slice_, curve = sirt(chord * np.ones((20, 1)), angle, center=11.5, iterations=50)
    >>> round(float(slice_[9:15, 9:15].mean()), 1), bool(curve[1] < curve[0])
    (1.0, True)
    """
    return _reconstruct(
        contract_of(sirt), _sirt, 2, sinogram, angle_rad, center, size, radius,
        weights=weights, iterations=iterations, tolerance=tolerance, residual=residual,
        sigma=sigma, lower=lower,
    )  # fmt: skip


@kernel(
    "(angle,u),(angle)->(y,x),(iteration)",
    rows={"center": (), "weights": ("angle", "u"), "sigma": ()},
    memory=_memory,
    sizes=_sizes,
)
def cgls(
    sinogram: Any,
    angle_rad: Any,
    *,
    center: Any,
    size: Size = None,
    radius: float | None = None,
    weights: Any = None,
    iterations: int = 30,
    tolerance: float = 1e-2,
    residual: float = 0.0,
    sigma: Any = None,
) -> tuple[Any, Any]:
    """(..., angle, u), (angle) -> (..., y, x), (..., iteration). Conjugate gradients (CGLS).

    Reaches the residual of SIRT in a tenth of its iterations; noise comes back where they are many,
    so stopping is the regularisation.

    Parameters
    ----------
    sinogram, angle_rad, center, size, radius, weights, iterations, tolerance, residual, sigma
        As `sirt`.

    Returns
    -------
    tuple
        Attenuation per pixel, and norm(b - A x) / norm(b) after each iteration, NaN after the last;
        of rays through the circle, squares times their weights.

    Raises
    ------
    ArgumentError
        For what `filtered_backprojection` does not take, weights that are negative or do not fit,
        and rules to stop that are none.

    References
    ----------
    C. C. Paige, M. A. Saunders, ACM Trans. Math. Softw. 8, 43 (1982), doi:10.1145/355984.355989.

    Examples
    --------
    >>> angle = np.linspace(0, np.pi, 20, endpoint=False)
    >>> chord = 2 * np.sqrt(np.clip(8**2 - (np.arange(24) - 11.5) ** 2, 0, None))
    >>> slice_, curve = cgls(chord * np.ones((20, 1)), angle, center=11.5, iterations=5)
    >>> round(float(slice_[9:15, 9:15].mean()), 1), bool(curve[1] < curve[0])
    (1.0, True)
    """
    return _reconstruct(
        # One by one: conjugate gradients make much of a neighbour's rounding.
        contract_of(cgls), _cgls, 1, sinogram, angle_rad, center, size, radius,
        weights=weights, iterations=iterations, tolerance=tolerance, residual=residual,
        sigma=sigma, lower=None,
    )  # fmt: skip
