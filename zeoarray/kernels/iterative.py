"""Iterative reconstruction on the NUFFT pair of `radon`: SIRT and CGLS.

Both minimise the difference between the slice's projections and the measured ones; few angles and
gaps need no filter and no weights of angles. Both go on until the residual hardly falls.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.contract import Kernel, Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.packed import each
from zeoarray.kernels.radon import (
    Size,
    backproject,
    centers_of,
    disc,
    image_shape,
    project,
    radius_of,
)

Array = np.ndarray[Any, Any]

EDGE = 4.0
"""Rays that cross the reconstructed circle on less than this many pixels count as if on so many."""


def _sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    y, x = image_shape(parameters["size"], sizes["u"])
    return {"y": y, "x": x, "iteration": _count(parameters["iterations"])}


def _count(iterations: int) -> int:
    if iterations < 1:
        raise ArgumentError("there is one iteration or more", got=f"iterations={iterations}")
    return iterations


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    y, x = image_shape(parameters["size"], sizes["u"])
    pair = {**sizes, "batch": 2, "y": y, "x": x}
    back = contract_of(backproject).memory(pair, parameters, threads)
    forth = contract_of(project).memory(pair, {"size": sizes["u"]}, threads)
    # One geometry holds both transforms. Of two slices: three sinograms and products of them, three
    # images and products of them.
    scratch = 4 * 2 * (6 * sizes["angle"] * sizes["u"] + 6 * y * x)
    return Memory(back.fixed + forth.fixed, max(back.block, forth.block) + scratch)


class _Scan:
    """Two slices (or the last one) with their geometry."""

    def __init__(
        self, lines: Any, angle: Array, center: Array, shape: tuple[int, int], radius: float | None
    ) -> None:
        xp = xp_of(lines)
        self.lines, self.angle, self.center = lines.astype(np.float32), angle, center
        self.shape, self.columns = shape, lines.shape[-1]
        self.keep = disc(xp, shape, radius)
        reach = min(radius_of(shape, radius), float(np.hypot(*shape)) / 2)
        u = np.arange(self.columns) - center[:, None]
        chord = 2 * np.sqrt(np.clip(reach**2 - u**2, 0, None))
        # (slice, 1, u): length of each ray in the circle, 0 where it misses it.
        self.chord = xp.asarray(
            np.where(chord > 0, np.maximum(chord, EDGE), 0)[:, None, :], dtype=np.float32
        )

    def forth(self, image: Any) -> Any:
        return project(image, self.angle, size=self.columns, center=self.center)

    def back(self, lines: Any) -> Any:
        image = backproject(lines, self.angle, center=self.center, size=self.shape)
        if self.keep is not None:
            image *= self.keep
        return image


def _square(array: Any) -> Array:
    """(slices, ...) -> (slices). Sum of squares, in double precision."""
    xp, flat = xp_of(array), array.reshape(array.shape[0], -1)
    return to_host(xp.asarray([xp.sum(row * row, dtype=np.float64) for row in flat]))


class _Progress:
    """Residual of each slice at each iteration, and which slices go on."""

    def __init__(self, slices: int, iterations: int, tolerance: float, residual: float) -> None:
        self.curve = np.full((slices, iterations), np.nan)
        self.going = np.ones(slices, bool)
        self._tolerance, self._residual, self._last = tolerance, residual, np.ones(slices)

    def add(self, iteration: int, relative: Array) -> None:
        self.curve[self.going, iteration] = relative[self.going]
        fell = self._last - relative > self._tolerance * self._last
        self.going &= fell & (relative > self._residual)
        self._last = relative

    def factor(self, values: Array, like: Any) -> Any:
        """A number for each slice, 0 for those that are done, to multiply arrays of `like`."""
        xp = xp_of(like)
        return xp.asarray(np.where(self.going, values, 0)[:, None, None], dtype=np.float32)


def _over(numerator: Array, denominator: Array) -> Array:
    return np.divide(
        numerator, denominator, out=np.zeros_like(numerator), where=np.asarray(denominator) > 0
    )


def _sirt(scan: _Scan, progress: _Progress, lower: float | None) -> Any:
    """Landweber's iteration, each ray divided by its length and the sum by the angles."""
    xp = xp_of(scan.lines)
    seen = scan.chord > 0
    inverse = xp.where(seen, 1 / xp.maximum(scan.chord, EDGE), 0) / np.float32(scan.angle.size)
    image = xp.zeros((scan.lines.shape[0], *scan.shape), np.float32)
    rest = scan.lines * seen
    norm = _square(rest)
    ones = np.ones(len(norm))
    for i in range(progress.curve.shape[1]):
        step = scan.back(rest * inverse)
        image += step * progress.factor(ones, step)
        if lower is not None:
            xp.maximum(image, np.float32(lower), out=image)
            if scan.keep is not None:
                image *= scan.keep
        rest = (scan.lines - scan.forth(image)) * seen
        progress.add(i, np.sqrt(_over(_square(rest), norm)))
        if not progress.going.any():
            break
    return image


def _cgls(scan: _Scan, progress: _Progress, lower: None) -> Any:
    """Conjugate gradients on A'A x = A'b."""
    xp = xp_of(scan.lines)
    seen = scan.chord > 0
    image = xp.zeros((scan.lines.shape[0], *scan.shape), np.float32)
    rest = scan.lines * seen
    norm = _square(rest)
    direction = scan.back(rest)
    gradient = _square(direction)
    for i in range(progress.curve.shape[1]):
        ahead = scan.forth(direction) * seen
        length = progress.factor(_over(gradient, _square(ahead)), ahead)
        image += length * direction
        rest -= length * ahead
        progress.add(i, np.sqrt(_over(_square(rest), norm)))
        if not progress.going.any():
            break
        steepest = scan.back(rest)
        now = _square(steepest)
        direction = steepest + progress.factor(_over(now, gradient), ahead) * direction
        gradient = now
    return image


def _reconstruct(
    contract: Kernel,
    solve: Any,
    together: int,
    sinogram: Any,
    angle_rad: Any,
    center: Any,
    size: Size,
    radius: float | None,
    *,
    iterations: int,
    tolerance: float,
    residual: float,
    lower: float | None,
) -> tuple[Any, Any]:
    xp = xp_of(sinogram)
    batch, columns = sinogram.shape[:-2], sinogram.shape[-1]
    angle, shape = check_angles(angle_rad, sinogram.shape[-2]), image_shape(size, columns)
    if not (tolerance >= 0 and residual >= 0):
        raise ArgumentError(
            "the rule to stop has no negative numbers",
            got=f"tolerance={tolerance}, residual={residual}",
        )
    centers = centers_of(center, batch, columns)
    out = xp.empty((*batch, *shape), contract.output_dtype(0, sinogram.dtype))
    curves = xp.empty((*batch, _count(iterations)), contract.output_dtype(1, sinogram.dtype))
    slices, images, residuals = each(sinogram, 2), each(out, 2), each(curves, 1)
    for first in range(0, len(slices), together):
        rows = range(first, min(first + together, len(slices)))
        lines = xp.stack([slices[i] for i in rows])
        scan = _Scan(lines, angle, centers[first : first + together], shape, radius)
        progress = _Progress(len(rows), iterations, tolerance, residual)
        image = solve(scan, progress, lower)
        for i, row in enumerate(rows):
            images[row][...] = image[i]
            residuals[row][...] = xp.asarray(progress.curve[i])
    return out, curves


@kernel(
    "(angle,u),(angle)->(y,x),(iteration)",
    rows={"center": ()},
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
    iterations: int = 200,
    tolerance: float = 1e-3,
    residual: float = 0.0,
    lower: float | None = None,
) -> tuple[Any, Any]:
    """(..., angle, u), (angle) -> (..., y, x), (..., iteration). Simultaneous iterations (SIRT).

    x <- x + C A'R (b - A x), where R divides by the length of a ray and C by the number of angles.

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
    iterations
        At most so many.
    tolerance
        Stop where the residual falls by less than this share of itself in an iteration.
    residual
        Stop where the residual is not more than this: the noise as a share of the data.
    lower
        Raise values below this to it, at each iteration: 0 for what cannot be negative.

    Returns
    -------
    tuple
        Attenuation per pixel, and norm(b - A x) / norm(b) after each iteration, NaN after the last.

    Raises
    ------
    ArgumentError
        For what `filtered_backprojection` does not take, and rules to stop that are none.

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
        iterations=iterations, tolerance=tolerance, residual=residual, lower=lower,
    )  # fmt: skip


@kernel(
    "(angle,u),(angle)->(y,x),(iteration)",
    rows={"center": ()},
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
    iterations: int = 30,
    tolerance: float = 1e-2,
    residual: float = 0.0,
) -> tuple[Any, Any]:
    """(..., angle, u), (angle) -> (..., y, x), (..., iteration). Conjugate gradients (CGLS).

    Reaches the residual of SIRT in a tenth of its iterations; noise comes back where they are many,
    so stopping is the regularisation.

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
    iterations
        At most so many.
    tolerance
        Stop where the residual falls by less than this share of itself in an iteration.
    residual
        Stop where the residual is not more than this: the noise as a share of the data.

    Returns
    -------
    tuple
        Attenuation per pixel, and norm(b - A x) / norm(b) after each iteration, NaN after the last.

    Raises
    ------
    ArgumentError
        For what `filtered_backprojection` does not take, and rules to stop that are none.

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
        iterations=iterations, tolerance=tolerance, residual=residual, lower=None,
    )  # fmt: skip
