"""How noisy a slice is, from its own projections: two halves of the angles see the same sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.kernels.angles import angular_weights, check_angles
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.filters import Filter
from zeoarray.kernels.packed import TOGETHER, each, pairs
from zeoarray.kernels.radon import filtered_backprojection
from zeoarray.kernels.slices import Size, centers_of, disc, far_of, image_shape
from zeoarray.kernels.truncation import Truncation

Array = np.ndarray[Any, Any]


def halves_of(angle: Array) -> tuple[Array, Array]:
    """Weights of two halves of the angles: every other direction, counted modulo half a circle.

    Examples
    --------
    >>> [w.round(2).tolist() for w in halves_of(np.deg2rad([0, 45, 90, 135]))]
    [[1.57, 0.0, 1.57, 0.0], [0.0, 1.57, 0.0, 1.57]]
    """
    order = np.argsort(np.mod(angle, np.pi), kind="stable")
    weights = np.zeros((2, angle.size))
    for row, chosen in zip(weights, (order[::2], order[1::2]), strict=True):
        row[chosen] = angular_weights(angle[chosen])
    return weights[0], weights[1]


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    one = {**parameters, "weights": None}
    pair = contract_of(filtered_backprojection).memory({**sizes, "batch": TOGETHER}, one, threads)
    y, x = image_shape(parameters["size"], sizes["u"])
    # Two sinograms side by side, and their slices.
    extra = 4 * TOGETHER * (sizes["angle"] * sizes["u"] + y * x)
    return Memory(pair.fixed, pair.block + extra)


@kernel("(angle,u),(angle)->()", rows={"center": ()}, memory=_memory, together=TOGETHER)
def from_halves(
    sinogram: Any,
    angle_rad: Any,
    *,
    center: Any,
    size: Size = None,
    filter: Filter = "ramp",
    radius: float | None = None,
    truncation: Truncation = "zero",
    scale: float = 1.0,
) -> Any:
    """(..., angle, u), (angle) -> (...). Standard deviation of `filtered_backprojection` by noise.

    sigma^2 = mean over the circle of ((f1 - f2) / 2)^2, where f1 and f2 are the slices from every
    other direction. The slice from all is f = (f1 + f2) / 2, and where the noise of projections is
    independent, its variance is that of (f1 - f2) / 2. What half of the angles do not resolve
    (streaks of undersampling) counts as noise too, so that the estimate is high where angles are
    few.

    Parameters
    ----------
    sinogram
        Line integrals in units where a pixel of u is 1 long.
    angle_rad
        Angle of each projection [rad]. Of one angle alone the noise is not known: NaN.
    center
        Index of u where the rotation axis is: one, or one for each slice.
    size, filter, radius, truncation, scale
        As of `filtered_backprojection`.

    Raises
    ------
    ArgumentError
        For what `filtered_backprojection` does not take.

    Examples
    --------
    >>> lines = np.random.default_rng(0).normal(size=(120, 64)).astype("float32")
    >>> angle = np.linspace(0, np.pi, 120, endpoint=False)
    >>> slice_ = filtered_backprojection(lines, angle, center=31.5)
    >>> bool(abs(from_halves(lines, angle, center=31.5) / slice_[slice_ != 0].std() - 1) < 0.1)
    True
    """
    xp = xp_of(sinogram)
    batch, columns = sinogram.shape[:-2], sinogram.shape[-1]
    angle, shape = check_angles(angle_rad, sinogram.shape[-2]), image_shape(size, columns)
    centers = centers_of(center, batch, columns)
    out = xp.empty(batch, contract_of(from_halves).output_dtype(0, sinogram.dtype))
    if angle.size < 2:
        out[...] = np.nan
        return out
    first, second = halves_of(angle)
    kept = disc(xp, shape, radius)
    pixels = float(np.prod(shape) if kept is None else kept.sum())
    del kept
    flat, slices = out.reshape(-1), each(sinogram, 2)
    for rows in pairs(batch, far_of(centers, columns)):
        half_difference = filtered_backprojection(
            xp.stack([slices[i] for i in rows]),
            angle,
            center=centers[list(rows)],
            size=shape,
            filter=filter,
            weights=(first - second) / 2,
            radius=radius,
            truncation=truncation,
            scale=scale,
        )
        for row, image in zip(rows, half_difference, strict=True):
            flat[row] = xp.sqrt(xp.sum(image * image, dtype=np.float64) / max(pixels, 1))
    return out
