r"""Self-absorption of diffraction: what a sample takes of the beam, and of what it scatters.

The beam loses :math:`e^{-m}` on its way to a place, m being the line integral of the attenuation up
to there. What is scattered there by 2 theta leaves at that angle: over the depth that is left, its
way is longer by 1 / cos(2 theta), and so is what it loses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.beam_rays import REACH, sigma_of
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.rays import Rays, pair_bytes

Array = np.ndarray[Any, Any]

MARGIN = 3
"""Columns beyond the corners of the map, where no ray meets it."""


def _columns(y: int, x: int) -> int:
    """Columns that the projections of a map need at any angle, the axis in their middle."""
    return int(np.ceil(np.hypot(y, x))) + 2 * MARGIN


def _taps(beam: float) -> int:
    """Columns that a beam meets."""
    return 2 * int(np.ceil(REACH * sigma_of(beam))) + 4 if beam else 2


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    y, x, angles = sizes["y"], sizes["x"], sizes["angle"]
    columns = _columns(y, x)
    bordered, _ = pair_bytes(angles, 0, (y, x), 1)
    # The mean of the layers, and one of them weighted, or the projections and what these need.
    lines = 4 * angles * columns + bordered + 160 * angles
    mean = 4 * y * x + max(5 * y * x, lines)
    return Memory(0, mean + 80 * sizes["u"] * _taps(parameters["beam"]) + 4096)


@kernel("(layer,y,x),(layer),(angle),(u)->(angle,u)", memory=_memory)
def line_integrals(
    attenuation: Any,
    share: Any,
    angle_rad: Any,
    place: Any,
    *,
    offset: tuple[float, float] = (0.0, 0.0),
    beam: float = 0.0,
) -> Any:
    r"""(..., layer, y, x), (..., layer), (angle), (..., u) -> (..., angle, u). What beams cross.

    Line integrals of the weighted mean of the layers along u = x cos(angle) + y sin(angle), linear
    between the columns of the map, which is empty beyond its edges; lengths are in pixels of it.
    Of a Gaussian beam, the mean over what it scatters: each part of it counts by its own line
    integral, :math:`\sum w m^2 / \sum w m`, and not at all where that is below 0. A beam that
    half misses the sample is absorbed as much as the half that meets it.

    Parameters
    ----------
    attenuation
        Slices of the map, those that a layer of the scan meets, per pixel.
    share
        How much of each.
    angle_rad
        Angle of each projection [rad].
    place
        Where each ray passes the axis [pixels].
    offset
        y and x of the middle of the map, from the axis [pixels].
    beam
        Full width at half maximum of the beam along u [pixels]; 0 for rays without width.

    Raises
    ------
    ArgumentError
        Where the map has a value that is not finite, or an angle is not.

    Examples
    --------
    >>> image = np.ones((1, 4, 4), "float32")
    >>> line_integrals(image, np.ones(1), np.zeros(1), np.array([-5.0, -0.5, 0.5]))
    array([[0., 4., 4.]], dtype=float32)
    """
    xp = xp_of(attenuation)
    shape = (int(attenuation.shape[-2]), int(attenuation.shape[-1]))
    angle = check_angles(angle_rad, np.size(angle_rad))
    shares, places = (np.asarray(to_host(a), dtype=float) for a in (share, place))
    lead = np.broadcast_shapes(attenuation.shape[:-3], shares.shape[:-1], places.shape[:-1])
    dtype = contract_of(line_integrals).output_dtype(0, attenuation.dtype)
    out = xp.empty((*lead, angle.size, places.shape[-1]), dtype)
    columns = _columns(*shape)
    rays = Rays(angle, shape, columns, (columns - 1) / 2)
    aside = offset[1] * np.cos(angle) + offset[0] * np.sin(angle)
    stacks = xp.broadcast_to(attenuation, (*lead, *attenuation.shape[-3:]))
    shares = np.broadcast_to(shares, (*lead, shares.shape[-1]))
    places = np.broadcast_to(places, (*lead, places.shape[-1]))
    for index in np.ndindex(*lead):
        mean = _mean(stacks[index], shares[index])
        lines = rays.forth(mean[..., None])[..., 0]
        del mean
        for line, target, moved in zip(lines, out[index], aside, strict=True):
            target[...] = _met(line, places[index] - moved + (columns - 1) / 2, beam)
    return out


def _mean(layers: Any, share: Array) -> Any:
    """(layer, y, x) -> (y, x). The weighted mean, float32."""
    xp = xp_of(layers)
    out = xp.zeros(layers.shape[1:], np.float32)
    total = float(share.sum())
    for layer, part in zip(layers, share.tolist(), strict=True):
        if part:
            out += xp.multiply(layer, np.float32(part / total), dtype=np.float32)
    if not bool(xp.isfinite(xp.sum(out, dtype=np.float64))):
        count = int((~xp.isfinite(out)).sum())
        raise ArgumentError(
            "the map of attenuation has values that are not finite",
            got=f"{count} of {out.size} pixels of a slice with NaN or Inf",
            expected="finite values within all of the scanned width",
            do='0 where there is air: ds["attenuation"].fillna(0)',
        )
    return out


def _met(line: Any, column: Array, beam: float) -> Any:
    """(column) -> (u). A projection at fractional columns; of a beam, the mean by what it meets."""
    xp, taps = xp_of(line), _taps(beam)
    first = np.floor(column) - (taps // 2 - 1)
    near = first[:, None] + np.arange(taps)
    share = _hat(near - column[:, None], sigma_of(beam) if beam else 0.0)
    share *= (near >= 0) & (near < line.size)
    chosen = np.clip(near, 0, line.size - 1).astype(np.intp)
    part, weight = line[xp.asarray(chosen)], xp.asarray(share.astype(np.float32))
    if not beam:
        return xp.sum(part * weight, axis=-1)
    part = xp.maximum(part, 0)
    weight = weight * part
    scattered = xp.sum(weight, axis=-1)
    there = scattered > 0
    return xp.where(there, xp.sum(weight * part, axis=-1) / xp.where(there, scattered, 1), 0)


def _hat(away: Array, sigma: float) -> Array:
    """max(0, 1 - |x|), what a column counts for between columns, averaged over a Gaussian."""
    if not sigma:
        out: Array = np.clip(1 - np.abs(away), 0, None)
        return out

    def twice(x: Array) -> Array:
        """A Gaussian integrated twice."""
        z = x / sigma
        found: Array = x * ndtr(z) + sigma / np.sqrt(2 * np.pi) * np.exp(-(z**2) / 2)
        return found

    wide: Array = twice(away + 1) - 2 * twice(away) + twice(away - 1)
    return wide


def _correct_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    return Memory(0, 26 * sizes["q"] + 1024)


@kernel("(q),(),(q)->(q)", halo={"q": 0}, memory=_correct_memory)
def correct(values: Any, exponent: Any, longer: Any, *, power: int = 1) -> Any:
    r"""(..., q), (...), (q) -> (..., q). What would be scattered if nothing were absorbed.

    Where scattering goes with absorption along a ray, of line integral M, the ray keeps
    :math:`\int_0^M e^{-(M + k m)} dm / M` of what it scatters. So each value is multiplied by
    :math:`e^M k M / (1 - e^{-k M})`, with k = 1 / cos(2 theta) - 1.

    Parameters
    ----------
    values
        Intensity, or its variance.
    exponent
        M of each ray.
    longer
        k of each channel.
    power
        2 for a variance.

    Examples
    --------
    >>> correct(np.ones(2), np.array(0.5), np.array([0.0, 1.0])).round(3)
    array([1.649, 2.095])
    """
    xp, kind = xp_of(values), contract_of(correct).output_dtype(0, values.dtype)
    lead = np.broadcast_shapes(values.shape[:-1], exponent.shape)
    out = xp.empty((*lead, values.shape[-1]), kind)
    rays, ways = xp.broadcast_to(values, out.shape), xp.broadcast_to(exponent, lead)
    for index in np.ndindex(*lead):
        through = ways[index].astype(np.float64)
        more = (xp.asarray(longer) * through).astype(kind)
        lost = -xp.expm1(-more)
        there = lost != 0
        # Where the way out is the way on, nothing more is lost on it.
        factor = xp.where(there, more, 1)
        factor /= xp.where(there, lost, 1)
        factor *= xp.exp(through).astype(kind)
        out[index] = rays[index] * factor**power
    return out
