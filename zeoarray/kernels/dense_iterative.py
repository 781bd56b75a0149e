"""SIRT, CGLS, MLEM and total variation for small slices and many channels, by matrix products.

The operator is Joseph's (`projector.matrix`), or that of rays as wide as the beam (`beam_rays`),
written down once and multiplied with all channels.
Each method does as many iterations as it is told, in every channel, so that channels can be cut
anywhere, and a variance can be found by repeating all of it on other draws of the counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError, unknown
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.dense import empty_for, sizes_of
from zeoarray.kernels.dense_methods import HELD, METHODS, SEEN, System, residual_of
from zeoarray.kernels.dense_operators import (
    CHANNELS,
    channels,
    pixels_of,
    projection,
    rays_of,
)
from zeoarray.kernels.gaps import check_valid
from zeoarray.kernels.slices import Size, centers_of, image_shape
from zeoarray.kernels.stopping import count_of, weights_of

Array = np.ndarray[Any, Any]
Method = Literal["sirt", "cgls", "mlem", "tv"]


def check_counts(lines: Any, row: int) -> None:
    """Raise for data that no Poisson process gives.

    Raises
    ------
    ArgumentError
        With the least.
    """
    if below := int((lines < 0).sum()):
        raise ArgumentError(
            f"slice {row} has negative values, which no Poisson process gives",
            got=f"{below} of {lines.size}, the least {float(lines.min()):g}",
            expected="0 or more wherever the weight is not 0",
            do="raise them to 0, or take sirt or cgls",
        )


def systems(
    sinogram: Any, angle_rad: Any, center: Any, weights: Any, size: Size, radius: float | None,
    lower: float | None, beam: float | None, edges: float,
) -> Iterator[tuple[int, tuple[int, ...], System]]:  # fmt: skip
    """Number and index of each slice of (..., angle, u, q), and its rays.

    Raises
    ------
    ArgumentError
        Where angles, axis or weights do not fit, and as `gaps.check_valid`.
    """
    batch, (angles, columns) = sinogram.shape[:-3], sinogram.shape[-3:-1]
    xp, angle = xp_of(sinogram), check_angles(angle_rad, angles)
    centers = centers_of(center, batch, columns)
    given = None if weights is None else weights_of(weights, sinogram[..., 0])
    measured = check_valid(None if given is None else given > 0, angle, batch, columns)
    for row, index in enumerate(np.ndindex(*batch)):
        one = projection(
            angle, width=columns, center=centers[row], size=size, radius=radius,
            measured=None if measured is None else measured[row], beam=beam, xp=xp,
        )  # fmt: skip
        part = xp.ones((one.rays.size, 1), np.float32)
        if given is not None:
            part = given[index].reshape(-1, 1)[xp.asarray(one.rays)].astype(np.float32)
        crossed = one.matrix.sum(axis=1, keepdims=True)
        part = part * (crossed > SEEN * crossed.max())
        yield row, index, System(one, part, lower, edges)


def check_method(method: str, iterations: int, lower: float | None, edges: float) -> None:
    """Raise for a method that there is not, or what it does not take.

    Raises
    ------
    ArgumentError
        Naming the methods.
    """
    count_of(iterations)
    if method not in METHODS:
        raise unknown("iterative method", method, METHODS)
    if lower is not None and method not in ("sirt", "tv"):
        raise ArgumentError(f"{method} has no bound 'lower'", do="leave it out, or take sirt or tv")
    if not 0 <= edges < np.inf:
        raise ArgumentError(
            "what edges count is not negative",
            got=f"edges={edges}",
            expected="about the noise of a ray times the root of the number of angles",
        )
    if edges and method != "tv":
        raise ArgumentError(f"{method} does not look at edges", do="leave them out, or take tv")


def iterative_bytes(sizes: Sizes, parameters: Parameters) -> tuple[int, int]:
    """Bytes of the operator, and of what one group of channels needs beside it."""
    shape = image_shape(parameters["size"], sizes["u"])
    rays, pixels = sizes["angle"] * sizes["u"], shape[0] * shape[1]
    inside = pixels_of(shape, parameters["radius"]).size
    group = min(CHANNELS, sizes["q"])
    lines, images, wholes = HELD.get(parameters["method"], (6, 4, 14))
    # The rays are cut out where some are missing, and made float32. While it is built, the
    # operator of all pixels is there as well.
    copies = 1 if parameters["weights"] is None else 2
    block = 4 * group * ((lines + copies) * rays + images * inside + wholes * pixels) + 64 * group
    if parameters["beam"] is not None:
        # Slices of the group, before and after the blur.
        seen = 4 * group * (copies * rays + 2 * inside + 2 * pixels)
        block = max(block, seen) + 4 * (shape[0] ** 2 + shape[1] ** 2) + 160 * pixels
    flags = (26 + 6 * sizes["batch"]) * rays + 48 * pixels
    return 4 * rays * inside, max(block, 4 * rays * pixels) + flags


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    return Memory(*iterative_bytes(sizes, parameters))


@kernel(
    "(angle,u,q),(angle)->(y,x,q),(q)",
    rows={"center": (), "weights": ("angle", "u")},
    halo={"q": 0},
    memory=_memory,
    sizes=sizes_of,
)
def reconstruct(
    sinogram: Any,
    angle_rad: Any,
    *,
    method: Method,
    center: Any,
    iterations: int,
    weights: Any = None,
    size: Size = None,
    radius: float | None = None,
    lower: float | None = None,
    edges: float = 0.0,
    beam: float | None = None,
) -> tuple[Any, Any]:
    """(..., angle, u, q), (angle) -> (..., y, x, q), (..., q). An iterative method, all channels.

    Parameters
    ----------
    sinogram
        Line integrals, in units where a pixel of u is 1 long. Of ``mlem``: counts, or counts
        divided by `weights`.
    angle_rad
        Angle of each projection [rad].
    method
        ``sirt`` and ``cgls`` (least squares), ``mlem`` (Poisson, not negative), ``tv`` (least
        squares and total variation: regions of one value each).
    center
        Index of u where the rotation axis is: one, or one for each slice.
    iterations
        So many, in every channel.
    weights
        (angle, u), or one such array for each slice: what each ray counts; 1 where None. Rays of
        weight 0 are not looked at, and may be NaN. Of ``mlem``: what counts were divided by.
    size
        Pixels of y and x (one number, or both); as many as u has where None.
    radius
        Pixels farther than this from the axis are 0 [pixels]; the largest circle in the slice where
        None. What lies beyond must be empty.
    lower
        Of ``sirt`` and ``tv``: no pixel is below this.
    edges
        Of ``tv``: how much edges count, as `weight` of `total_variation`, in all channels.
    beam
        Full width at half maximum of a Gaussian beam along u [pixels]: rays are as wide as the
        beam, pixels are squares, and the slices are what the beam sees at the middle of each.
        None for rays without width, through slices that are linear between pixels.

    Returns
    -------
    tuple
        The slices per pixel, and norm(b - A x) / norm(b) of each channel, squares weighted.

    Raises
    ------
    ArgumentError
        For a method that there is not; angles, axis or weights that do not fit; a slice with
        measurements of one direction or none; values that are not finite, or negative for ``mlem``.

    References
    ----------
    J. Gregor, T. Benson, IEEE Trans. Med. Imaging 27, 918 (2008), doi:10.1109/TMI.2008.923696;
    C. C. Paige, M. A. Saunders, ACM Trans. Math. Softw. 8, 43 (1982), doi:10.1145/355984.355989;
    L. A. Shepp, Y. Vardi, IEEE Trans. Med. Imaging 1, 113 (1982), doi:10.1109/TMI.1982.4307558;
    E. Y. Sidky, X. Pan, Phys. Med. Biol. 53, 4777 (2008), doi:10.1088/0031-9155/53/17/021.

    Examples
    --------
    >>> angle = np.linspace(0, np.pi, 20, endpoint=False)
    >>> chord = 2 * np.sqrt(np.clip(8**2 - (np.arange(24) - 11.5) ** 2, 0, None))
    >>> lines = (chord * np.ones((20, 1)))[..., None] * np.array([1.0, 3.0])
    >>> slice_, left = reconstruct(lines, angle, method="cgls", center=11.5, iterations=5)
    >>> slice_[9:15, 9:15].mean(axis=(0, 1)).round(1), bool((left < 0.05).all())
    (array([1., 3.]), True)
    """
    check_method(method, iterations, lower, edges)
    contract = contract_of(reconstruct)
    xp, out = xp_of(sinogram), empty_for(contract, sinogram, size)
    left = xp.empty((*sinogram.shape[:-3], sinogram.shape[-1]), out.dtype)
    slices = systems(sinogram, angle_rad, center, weights, size, radius, lower, beam, edges)
    for row, index, system in slices:
        flat = out[index].reshape(-1, out.shape[-1])
        flat[...] = 0
        at = xp.asarray(system.operator.pixels)
        for part in channels(sinogram.shape[-1]):
            rays = system.operator.rays
            lines = rays_of(sinogram[index], part, rays, "the sinogram", row)
            if method == "mlem":
                check_counts(lines, row)
            image = METHODS[method](system, lines, iterations)
            left[index][part] = residual_of(system, lines, image)
            flat[at, part] = system.operator.seen(image)
            # Or those of two groups would be there at once.
            del lines, image
    return out, left
