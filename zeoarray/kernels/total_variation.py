"""Reconstruction with few edges: least squares and total variation, on the NUFFT pair of `radon`.

Where a slice is made of regions of one value each, that knowledge stands in for angles that are
missing. The method is FISTA (A. Beck, M. Teboulle, SIAM J. Imaging Sci. 2 (2009) 183,
doi:10.1137/080716542), which begins again where the objective would rise (B. O'Donoghue,
E. Candès, Found. Comput. Math. 15 (2015) 715, doi:10.1007/s10208-013-9150-3); each of its steps
smooths an image (`edges.smoothed`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.edges import smoothed, variation
from zeoarray.kernels.packed import each
from zeoarray.kernels.radon import Size, backproject, centers_of, image_shape, project
from zeoarray.kernels.scan import Scan, square
from zeoarray.kernels.stopping import Progress, check_rules, count_of, weights_of

SMOOTHING = 8
"""Iterations of the smoothing within a step; each goes on where the last one ended."""
AGAIN = 5
"""So many times a step is tried that does not lower the objective, each with twice as many."""
POWER = 8
"""Iterations for the largest eigenvalue of A'WA, from an image of ones, which is nearly its own."""
SAFETY = 1.05
"""On that eigenvalue, which is found from below."""


def _sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    y, x = image_shape(parameters["size"], sizes["u"])
    return {"y": y, "x": x, "iteration": count_of(parameters["iterations"])}


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    y, x = image_shape(parameters["size"], sizes["u"])
    one = {**sizes, "batch": 1, "y": y, "x": x}
    back = contract_of(backproject).memory(one, parameters, threads)
    forth = contract_of(project).memory(one, {"size": sizes["u"]}, threads)
    # Two estimates with their projections, what was measured and what is left of it; then the
    # pair's own, or products of projections, or an image while it is smoothed: five pairs of it.
    lines, pixels = sizes["angle"] * sizes["u"], y * x
    held = 4 * (5 * lines + 5 * pixels)
    if parameters["weights"] is not None:
        held += 4 * lines + 2 * sizes["batch"] * lines
    most = max(back.block, forth.block, 4 * 3 * lines, 4 * 11 * pixels)
    return Memory(back.fixed + forth.fixed, held + most)


@kernel(
    "(angle,u),(angle)->(y,x),(iteration)",
    rows={"center": (), "weights": ("angle", "u")},
    memory=_memory,
    sizes=_sizes,
)
def total_variation(
    sinogram: Any,
    angle_rad: Any,
    *,
    center: Any,
    weight: float,
    size: Size = None,
    radius: float | None = None,
    weights: Any = None,
    iterations: int = 300,
    tolerance: float = 1e-4,
    lower: float | None = None,
) -> tuple[Any, Any]:
    """(..., angle, u), (angle) -> (..., y, x), (..., iteration). Least squares with few edges.

    The slice x that minimises F(x) = sum w (b - A x)^2 / 2 + weight * TV(x), with TV(x) the sum
    over pixels of the length of the gradient (differences to the next pixel along y and x).

    Parameters
    ----------
    sinogram
        Line integrals in units where a pixel of u is 1 long.
    angle_rad
        Angle of each projection [rad].
    center
        Index of u where the rotation axis is: one, or one for each slice.
    weight
        How much edges count. Noise of sigma in each ray of n angles needs about sigma sqrt(n); with
        more, fine features lose contrast. 0 is least squares.
    size
        Pixels of y and x (one number, or both); as many as u has where None.
    radius
        Pixels farther than this from the axis are 0 [pixels]; as `filtered_backprojection`. What
        lies beyond must be empty.
    weights
        (angle, u), or (angle, 1), or one such array for each slice: one over the variance of each
        ray; 1 where None. Rays of weight 0 are not looked at, and may be NaN.
    iterations
        At most so many.
    tolerance
        Stop where the objective falls by less than this share of itself in an iteration.
    lower
        The least value within the circle: 0 for what cannot be negative.

    Returns
    -------
    tuple
        Attenuation per pixel, and F(x) / F(0) after each iteration, never greater than the one
        before, NaN after the last.

    Raises
    ------
    ArgumentError
        For what `filtered_backprojection` does not take, a weight that is negative, weights that
        are negative or do not fit, and a tolerance that is none.

    References
    ----------
    L. I. Rudin, S. Osher, E. Fatemi, Physica D 60, 259 (1992), doi:10.1016/0167-2789(92)90242-F;
    E. Y. Sidky, X. Pan, Phys. Med. Biol. 53, 4777 (2008), doi:10.1088/0031-9155/53/17/021.

    Examples
    --------
    >>> angle = np.linspace(0, np.pi, 8, endpoint=False)
    >>> chord = 2 * np.sqrt(np.clip(8**2 - (np.arange(24) - 11.5) ** 2, 0, None))
    >>> lines = chord * np.ones((8, 1))
    >>> slice_, curve = total_variation(lines, angle, center=11.5, weight=0.1, lower=0.0)
    >>> slice_[11:13, 11:13].round(1).tolist(), bool(np.nanmin(curve) < 0.01)
    ([[1.0, 1.0], [1.0, 1.0]], True)
    """
    if not 0 <= weight < np.inf:
        raise ArgumentError(
            "the weight of edges is not negative",
            got=f"weight={weight}",
            expected="about the noise of a ray times the root of the number of angles",
        )
    check_rules({"tolerance": tolerance})
    xp = xp_of(sinogram)
    batch, columns = sinogram.shape[:-2], sinogram.shape[-1]
    angle, shape = check_angles(angle_rad, sinogram.shape[-2]), image_shape(size, columns)
    centers, contract = centers_of(center, batch, columns), contract_of(total_variation)
    out = xp.empty((*batch, *shape), contract.output_dtype(0, sinogram.dtype))
    curves = xp.empty((*batch, count_of(iterations)), contract.output_dtype(1, sinogram.dtype))
    slices, images, objectives = each(sinogram, 2), each(out, 2), each(curves, 1)
    given = None if weights is None else each(weights_of(weights, sinogram), 2)
    # One by one: where to begin again is decided for each, whatever its neighbour is like.
    for row, lines in enumerate(slices):
        weighed = None if given is None else given[row][None]
        scan = Scan(lines[None], weighed, angle, centers[row : row + 1], shape, radius)
        progress = Progress(np.ones(1), iterations, tolerance, 0.0)
        image = xp.zeros((1, *shape), np.float32)
        progress.follow(_descend(scan, image, weight, lower))
        images[row][...] = image[0]
        objectives[row][...] = xp.asarray(progress.curve[0])
    return out, curves


@dataclass
class _Point:
    """An estimate with its projections and its objective."""

    image: Any
    lines: Any
    objective: float


def _descend(
    scan: Scan, image: Any, weight: float, lower: float | None
) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the objective again and again, and keep `image` the best there is."""
    search = _Search(scan, weight, lower)
    here = before = search.empty
    momentum = 1.0
    whole = search.empty.objective
    while True:
        after = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        found = search.step(here, before, (momentum - 1) / after)
        if found.objective > here.objective:
            after, found = 1.0, search.descent(here)
        here, before, momentum = found, here, after
        image[...] = here.image
        yield np.array([here.objective / whole if whole > 0 else 0.0])


class _Search:
    """Steps from one estimate to the next."""

    def __init__(self, scan: Scan, weight: float, lower: float | None) -> None:
        xp = xp_of(scan.lines)
        self.scan, self.weight, self.lower = scan, weight, lower
        self.smoothing, self.steepest = SMOOTHING, SAFETY * _largest(scan)
        self.dual = xp.zeros((2, *scan.shape), np.float32)
        nothing = xp.zeros((1, *scan.shape), np.float32)
        self.empty = _Point(nothing, xp.zeros_like(scan.lines), float(scan.norm[0]) / 2)

    def step(self, here: _Point, before: _Point, share: float) -> _Point:
        """Go along the gradient from beyond `here`, by `share` of the way from `before`."""
        scan = self.scan
        rest = here.lines - scan.lines
        ahead = here.image
        if share:
            rest += np.float32(share) * (here.lines - before.lines)
            ahead = ahead + np.float32(share) * (here.image - before.image)
        rest *= scan.weights
        image = ahead - scan.back(rest) / np.float32(self.steepest)
        del rest, ahead
        image[0] = self._smooth(image[0], self.weight / self.steepest)
        lines = scan.forth(image)
        misfit = float(square(lines - scan.lines, scan.weights)[0]) / 2
        return _Point(image, lines, misfit + self.weight * variation(image[0]))

    def descent(self, here: _Point) -> _Point:
        """Go along the gradient at `here`, ever shorter, to where the objective is lower."""
        for _ in range(AGAIN):
            found = self.step(here, here, 0.0)
            if found.objective < here.objective:
                return found
            self.smoothing = min(2 * self.smoothing, SMOOTHING << AGAIN)
            self.steepest *= 1.2
        return here

    def _within(self, image: Any) -> Any:
        if self.lower is not None:
            xp_of(image).maximum(image, np.float32(self.lower), out=image)
        if self.scan.keep is not None:
            image *= self.scan.keep
        return image

    def _smooth(self, image: Any, strength: float) -> Any:
        if not strength > 0:
            return self._within(image)
        image, self.dual = smoothed(image, strength, self.dual, self.smoothing, self._within)
        return image


def _largest(scan: Scan) -> float:
    """The largest eigenvalue of A'WA; 1 where that is 0."""
    xp = xp_of(scan.lines)
    image = xp.ones((1, *scan.shape), np.float32)
    if scan.keep is not None:
        image *= scan.keep
    value = 0.0
    for _ in range(POWER):
        size = float(np.sqrt(square(image)[0]))
        if not size > 0:
            break
        image = scan.back(scan.forth(image / np.float32(size)) * scan.weights)
        value = float(np.sqrt(square(image)[0]))
    return value if value > 0 else 1.0
