"""The variance of iterative reconstructions, by repeating them on other draws of the counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.dense import empty_for, not_negative, sizes_of
from zeoarray.kernels.dense_iterative import (
    Method,
    check_counts,
    check_method,
    iterative_bytes,
    systems,
)
from zeoarray.kernels.dense_methods import METHODS
from zeoarray.kernels.dense_operators import CHANNELS, channels, pixels_of, rays_of
from zeoarray.kernels.slices import Size, image_shape
from zeoarray.kernels.stopping import weights_of


def _weights_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    rays = sizes["angle"] * sizes["u"]
    return Memory(0, 40 * rays * sizes["batch"] + 4 * 8 * rays * min(sizes["q"], 8))


@kernel(
    "(angle,u,q),(angle,u,q)->(angle,u)",
    rows={"valid": ("angle", "u")},
    memory=_weights_memory,
)
def poisson_weights(sinogram: Any, variance: Any, *, valid: Any = None) -> Any:
    """(..., angle, u, q), (..., angle, u, q) -> (..., angle, u). What counts were divided by.

    w = sum_q b / sum_q var(b): of counts divided by w it is w, and of sums over all channels it is
    known well. A ray without any counts gets that of all rays together.

    Parameters
    ----------
    sinogram
        Counts divided by something.
    variance
        Of it.
    valid
        (angle, u), or one for each slice: which rays were measured; all where None. The others have
        the weight 0, and may be NaN.

    Raises
    ------
    ArgumentError
        Where flags do not fit, or a variance is negative.

    Examples
    --------
    >>> counts = np.array([[[4.0, 8.0], [0.0, 0.0]]])
    >>> poisson_weights(counts / 10, counts / 100)
    array([[10., 10.]])
    """
    xp = xp_of(sinogram, variance)
    flags = None if valid is None else weights_of(valid, sinogram[..., 0]) > 0
    sums = []
    for array in (sinogram, variance):
        total = xp.sum(array, axis=-1, dtype=np.float64)
        sums.append(total if flags is None else xp.where(flags, total, 0))
    found, noise = xp.maximum(sums[0], 0), sums[1]
    for row, one in enumerate(noise.reshape(-1, *noise.shape[-2:])):
        not_negative(one, row)
    axes = {"axis": (-2, -1), "keepdims": True}
    all_noise = noise.sum(**axes)
    mean = found.sum(**axes) / xp.where(all_noise > 0, all_noise, 1)
    mean = xp.where(mean > 0, mean, 1)
    good = (found > 0) & (noise > 0)
    weights = xp.where(good, found / xp.where(good, noise, 1), mean)
    if flags is not None:
        weights = xp.where(flags, weights, 0)
    return weights.astype(contract_of(poisson_weights).output_dtype(0, sinogram.dtype))


def _noise_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    rays = sizes["angle"] * sizes["u"]
    return Memory(0, 20 * rays * sizes["q"] + (26 * rays + 24 * sizes["q"]) * sizes["batch"])


@kernel("(angle,u,q)->(q)", rows={"valid": ("angle", "u")}, halo={"q": 0}, memory=_noise_memory)
def backprojected_noise(variance: Any, *, valid: Any = None) -> Any:
    """(..., angle, u, q) -> (..., q). Sigma of the sum over all angles of the rays at one pixel.

    sqrt(sum var / columns): n angles with noise sigma make sigma sqrt(n), beside which edges are
    weighed (`total_variation`).

    Parameters
    ----------
    variance
        Of each ray.
    valid
        (angle, u), or one for each slice: which rays were measured; all where None. The others may
        be NaN. 1 where nothing varies or was measured.

    Raises
    ------
    ArgumentError
        Where flags do not fit, or the variance of a measured ray is negative or not finite.

    Examples
    --------
    >>> backprojected_noise(np.full((9, 5, 2), [4.0, 1.0]))
    array([6., 3.])
    """
    xp = xp_of(variance)
    flags = xp.ones(variance.shape[:-1]) if valid is None else weights_of(valid, variance[..., 0])
    dtype = contract_of(backprojected_noise).output_dtype(0, variance.dtype)
    out = xp.empty((*variance.shape[:-3], variance.shape[-1]), dtype)
    for row, index in enumerate(np.ndindex(*variance.shape[:-3])):
        rays = np.flatnonzero(to_host(flags[index]) > 0)
        part = rays_of(variance[index], slice(0, variance.shape[-1]), rays, "the variance", row)
        not_negative(part, row)
        total = xp.sum(part, axis=0, dtype=np.float64) / variance.shape[-2]
        out[index] = xp.sqrt(xp.where(total > 0, total, 1))
    return out


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    fixed, block = iterative_bytes(sizes, parameters)
    shape = image_shape(parameters["size"], sizes["u"])
    rays, inside = sizes["angle"] * sizes["u"], pixels_of(shape, parameters["radius"]).size
    group = min(CHANNELS, sizes["q"])
    # The variance and what is drawn, of Poisson's in double precision; means and deviations.
    lines = 5 if parameters["method"] == "mlem" else 2
    return Memory(fixed, block + 4 * group * (lines * rays + 3 * inside) + 8 * sizes["batch"])


@kernel(
    "(angle,u,q),(angle,u,q),(angle)->(y,x,q)",
    rows={"center": (), "weights": ("angle", "u"), "seed": ()},
    memory=_memory,
    sizes=sizes_of,
)
def variance(
    sinogram: Any,
    noise: Any,
    angle_rad: Any,
    *,
    method: Method,
    center: Any,
    iterations: int,
    resamples: int,
    seed: Any = 0,
    weights: Any = None,
    size: Size = None,
    radius: float | None = None,
    lower: float | None = None,
    edges: float = 0.0,
    beam: float | None = None,
) -> Any:
    """(..., angle, u, q), (..., angle, u, q), (angle) -> (..., y, x, q). Variance by resampling.

    Of `dense_iterative.reconstruct` on as many other draws of the data as are asked for. For
    ``mlem`` these are Poisson numbers of the mean b^2 / var, times var / b, as b is a count times a
    factor; for the others normal numbers. Both have the mean b and the variance var. A variance
    from n draws is itself known to sqrt(2 / (n - 1)) of it.

    Parameters
    ----------
    sinogram
        As `dense_iterative.reconstruct`.
    noise
        Variance of each ray.
    angle_rad, method, center, iterations, weights, size, radius, lower, edges, beam
        As `dense_iterative.reconstruct`.
    resamples
        Draws: two or more.
    seed
        One number, or one for each slice.

    Raises
    ------
    ArgumentError
        As `dense_iterative.reconstruct`, for a negative variance, and fewer than two draws.

    References
    ----------
    B. Efron, "Bootstrap Methods: Another Look at the Jackknife", Ann. Statist. 7, 1 (1979),
    doi:10.1214/aos/1176344552.

    Examples
    --------
    >>> angle, lines = np.linspace(0, np.pi, 6, endpoint=False), np.ones((6, 5, 1))
    >>> method = {"method": "sirt", "center": 2.0, "iterations": 5}
    >>> found = variance(lines, 0.01 * lines, angle, resamples=20, **method)
    >>> bool(0 < found[2, 2, 0] < 0.01)
    True
    """
    check_method(method, iterations, lower, edges)
    if resamples < 2:
        raise ArgumentError("a variance needs two draws or more", got=f"resamples={resamples}")
    xp, out = xp_of(sinogram, noise), empty_for(contract_of(variance), sinogram, size)
    noise = xp.broadcast_to(noise, sinogram.shape)
    seeds = np.broadcast_to(to_host(seed), sinogram.shape[:-3]).ravel()
    slices = systems(sinogram, angle_rad, center, weights, size, radius, lower, beam, edges)
    for row, index, system in slices:
        flat, random = out[index].reshape(-1, out.shape[-1]), xp.random.default_rng(int(seeds[row]))
        flat[...] = 0
        at, rays = xp.asarray(system.operator.pixels), system.operator.rays
        for part in channels(sinogram.shape[-1]):
            lines = rays_of(sinogram[index], part, rays, "the sinogram", row)
            errors = rays_of(noise[index], part, rays, "the variance", row)
            not_negative(errors, row)
            if method == "mlem":
                check_counts(lines, row)
            mean = xp.zeros((system.forth.shape[1], lines.shape[1]), np.float32)
            square = xp.zeros_like(mean)
            for draw in range(1, resamples + 1):
                drawn = _drawn(random, lines, errors, method)
                off = system.operator.seen(METHODS[method](system, drawn, iterations)) - mean
                mean += off / np.float32(draw)
                square += off * off * np.float32((draw - 1) / draw)
            flat[at, part] = square / np.float32(resamples - 1)
            # Or those of two groups would be there at once.
            del lines, errors, mean, square, drawn, off
    return out


def _drawn(random: Any, lines: Any, errors: Any, method: Method) -> Any:
    """Other data with the same mean and variance, float32."""
    xp = xp_of(lines)
    if method != "mlem":
        drawn = lines + xp.sqrt(errors) * random.standard_normal(lines.shape, dtype=np.float32)
        return drawn.astype(np.float32, copy=False)
    there = (lines > 0) & (errors > 0)
    factor = xp.where(there, errors, 1) / xp.where(there, lines, 1)
    counts = random.poisson(xp.where(there, lines, 0) / factor)
    return xp.where(there, counts * factor, lines).astype(np.float32)
