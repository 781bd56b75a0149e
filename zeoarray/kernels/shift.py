"""Images moved by parts of a pixel, each by its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.packed import each

Array = np.ndarray[Any, Any]

POINTS = 6
"""Neighbours that a moved value is interpolated from, along each axis."""


def _reach(parameters: Parameters) -> int:
    reach = parameters["reach"]
    return int(np.ceil(reach)) + POINTS // 2 if reach else 0


def _move_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    return Memory(0, 14 * (sizes["z"] + 16) * (sizes["u"] + 16))


@kernel("(z,u)->(z,u)", rows={"down": (), "across": ()}, halo={"z": _reach}, memory=_move_memory)
def move(image: Any, *, down: Any = 0.0, across: Any = 0.0, reach: float = 0.0) -> Any:
    """(..., z, u) -> (..., z, u). Each image moved by its own part of a pixel.

    out(z, u) = image(z - down, u - across), by Lagrange's polynomial through the six nearest
    values along each axis. What would come from outside is the nearest row or column.

    Parameters
    ----------
    image
        Any values; integers become float32.
    down, across
        Rows and columns to move by; one value, or one for each image.
    reach
        The most that any image moves along z, here and in all other blocks [rows].

    Raises
    ------
    ArgumentError
        For a shift that is not finite, or more rows than `reach`.

    Examples
    --------
    >>> move(np.arange(8.0)[:, None] * np.ones(2), down=0.5, reach=1)[3:5, 0].round(6)
    array([2.5, 3.5])
    """
    xp = xp_of(image)
    batch = image.shape[:-2]
    by = [np.broadcast_to(np.asarray(to_host(v), float), batch) for v in (down, across)]
    if not all(np.isfinite(v).all() for v in by):
        raise ArgumentError("an image cannot be moved by what is not finite", got="NaN or Inf")
    farthest = float(np.abs(by[0]).max(initial=0.0))
    if not 0 <= farthest <= reach * (1 + 1e-9):
        raise ArgumentError(
            "an image is to be moved by more rows than were said",
            got=f"{farthest:g} rows",
            expected=f"at most reach={reach:g}",
        )
    dtype = contract_of(move).output_dtype(0, image.dtype)
    out = xp.empty(image.shape, dtype)
    for index, part, target in zip(np.ndindex(*batch), each(image, 2), each(out, 2), strict=True):
        values = part.astype(dtype, copy=False)
        for axis in (0, 1):
            values = _moved(values, float(by[axis][index]), axis)
        target[...] = values
    return out


def _moved(values: Any, by: float, axis: int) -> Any:
    if by == 0 or not values.size:
        return values
    xp, size = xp_of(values), values.shape[axis]
    whole = int(np.floor(-by))
    out = xp.zeros_like(values)
    # In whole pixels from here on, so that a part of an image gives the same as the whole.
    for point, weight in zip(range(-2, 4), lagrange(-by - whole), strict=True):
        if weight:
            index = np.clip(np.arange(size) + whole + point, 0, size - 1)
            out += xp.take(values, xp.asarray(index), axis=axis) * values.dtype.type(weight)
    return out


def lagrange(part: float) -> Array:
    """(6). Weights of the values at -2, -1, ..., 3 for one at `part` between 0 and 1.

    Examples
    --------
    >>> lagrange(0.0).tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    """
    places = np.arange(-2.0, 4.0)
    out = np.ones(POINTS)
    for i, place in enumerate(places):
        others = np.delete(places, i)
        out[i] = np.prod((part - others) / (place - others))
    return out + 0.0
