"""Where the rotation axis is: the centre of mass of projections goes about it as a sine."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel

Array = np.ndarray[Any, Any]

HUBER = 1.5
"""Centres further than so many sigmas off the sine count less, as 1 / distance."""
LEAST = 4
"""Projections that a sine is fitted to, and that say how well."""


class Mass(NamedTuple):
    """What `find_center_mass` gives for each slice."""

    center: Any
    """(...). Index of u where the axis is; NaN where it cannot be told."""
    sigma: Any
    """(...). Its standard deviation [positions], from the scatter about the sine."""
    mass: Any
    """(..., angle). Centre of mass of each projection [index of u]."""


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    one = sizes["angle"] * sizes["u"]
    return Memory(0, 32 * one + 400 * sizes["angle"] + 8192)


@kernel("(angle,u),(angle)->(),(),(angle)", memory=_memory)
def find_center_mass(sinogram: Any, angle_rad: Any, *, outer: int = 1) -> Mass:
    """(..., angle, u), (angle) -> (...), (...), (..., angle). The axis by centres of mass.

    The centre of mass of a projection is c + x cos(t) + y sin(t), with (x, y) that of the slice.
    All of the slice has to be seen at all angles, and what is not of the sample is to be
    subtracted: here, the mean of the ends of each projection.

    Parameters
    ----------
    sinogram
        What is additive along a ray: absorbance, diffracted intensity.
    angle_rad
        Angle of each projection [rad], in any order.
    outer
        Positions at each end of a projection that are averaged; 0 to subtract nothing.

    Returns
    -------
    Mass
        The axis, how well it is known, and the centres of mass.

    Raises
    ------
    ArgumentError
        For values or angles that are not finite, and where no position is left.

    Examples
    --------
    >>> angle, u = np.linspace(0, np.pi, 20), np.arange(40)
    >>> where = 19.7 + 6 * np.cos(angle)[:, None]
    >>> found = find_center_mass(np.exp(-(((u - where) / 3) ** 2)), angle)
    >>> round(float(found.center), 3)
    19.7
    """
    xp, batch, columns = xp_of(sinogram), sinogram.shape[:-2], sinogram.shape[-1]
    angle = check_angles(angle_rad, sinogram.shape[-2])
    if outer < 0 or 2 * outer >= columns:
        raise ArgumentError(
            "the ends of a projection leave no middle", got=f"outer={outer} of {columns} positions"
        )
    contract = contract_of(find_center_mass)
    kinds = [contract.output_dtype(i, sinogram.dtype) for i in range(3)]
    out = Mass(
        np.empty(batch, kinds[0]),
        np.empty(batch, kinds[1]),
        np.empty(sinogram.shape[:-1], kinds[2]),
    )
    for index in np.ndindex(*batch):
        values = to_host(sinogram[index]).astype(np.float64)
        if not np.isfinite(values).all():
            raise ArgumentError(
                f"slice {index} has values that are not finite",
                got=f"{int((~np.isfinite(values)).sum())} of {values.size}",
                do="look for the axis in another slice, or fill them",
            )
        mass = _mass(values, outer)
        out.center[index], out.sigma[index] = _sine(mass, angle)
        out.mass[index] = mass
    return out if xp is np else Mass(*(xp.asarray(a) for a in out))


def _mass(values: Array, outer: int) -> Array:
    u = np.arange(values.shape[1], dtype=float)
    if outer:
        # One level for all: the noise of a slope would move the centre more than a slope does.
        ends = np.concatenate([values[:, :outer], values[:, -outer:]], axis=1)
        values = values - ends.mean(axis=1, keepdims=True)
    total = values.sum(axis=1)
    out: Array = np.full(total.shape, np.nan)
    np.divide(values @ u, total, out=out, where=total > 0)
    return out


def _sine(mass: Array, angle: Array) -> tuple[float, float]:
    """Constant of the sine through the centres of mass, and its standard deviation."""
    good = np.isfinite(mass)
    if np.count_nonzero(good) < LEAST:
        return np.nan, np.inf
    value, turn = mass[good], angle[good]
    columns = np.stack([np.ones(turn.size), np.cos(turn), np.sin(turn)], axis=1)
    if np.linalg.cond(columns) > 1e6:
        return np.nan, np.inf
    weight = np.ones(turn.size)
    for _ in range(10):
        inverse = np.linalg.inv(columns.T @ (weight[:, None] * columns))
        at = inverse @ (columns.T @ (weight * value))
        away = np.abs(value - columns @ at)
        spread = float(np.median(away)) / 0.6745
        if not spread > 0:
            break
        weight = np.minimum(1, HUBER * spread / np.maximum(away, 1e-300))
    freedom = max(float(weight.sum()) - 3, 1.0)
    excess = float((weight * (value - columns @ at) ** 2).sum()) / freedom
    return float(at[0]), float(np.sqrt(excess * inverse[0, 0]))
