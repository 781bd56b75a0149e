"""A full circle of projections folded to half: each ray averaged with its opposite."""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel

Array = np.ndarray[Any, Any]

ON_A_POSITION = 1e-3
"""A mirrored ray that is closer to a position than this share of a step is at it."""


def mirror(columns: int, center: float) -> tuple[Array, Array, Array]:
    """Where the opposite rays of all positions lie: index below, weight of the next, inside.

    Examples
    --------
    >>> mirror(4, 1.5)[0].tolist()
    [3, 2, 1, 0]
    """
    at = 2 * center - np.arange(columns)
    below = np.floor(at + ON_A_POSITION).astype(np.int64)
    part = at - below
    part[part < ON_A_POSITION] = 0.0
    inside = (below >= 0) & (below + (part > 0) <= columns - 1)
    return np.clip(below, 0, columns - 1), part, inside


def _seen(valid: Array, place: tuple[Array, Array, Array], side: int) -> Array:
    """(u) Which positions a projection tells something of."""
    if not side:
        return valid
    below, part, inside = place
    above = np.minimum(below + 1, valid.size - 1)
    out: Array = inside & valid[below] & (valid[above] | (part == 0))
    return out


def _sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return {"angle": int(parameters["count"])}


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    # Of one folded projection: a sum in double precision, one member of it, and two products.
    one = sizes["u"] * (40 * sizes["q"] + 200 + sizes["angle"])
    return Memory(0, one + 32 * sizes["angle"] + 4096)


def _shares(
    valid: Array, group: Array, side: Array, row: int, place: tuple[Array, Array, Array]
) -> list[tuple[int, int, Array]]:
    """(projection, side, (u) share) of what makes one folded projection."""
    members = np.flatnonzero(group == row)
    seen = {int(i): _seen(valid[i], place, int(side[i])) for i in members}
    number = [
        sum((seen[i] for i in seen if side[i] == s), np.zeros(valid.shape[1])) for s in (0, 1)
    ]
    sides = np.maximum((number[0] > 0).astype(float) + (number[1] > 0), 1)
    return [
        (i, int(side[i]), seen[i] / (np.maximum(number[int(side[i])], 1) * sides)) for i in seen
    ]


@kernel(
    "(angle,u,q),(angle,u),(angle),(angle)->(angle,u,q)",
    rows={"center": ()},
    halo={"q": 0},
    memory=_memory,
    sizes=_sizes,
)
def fold(
    values: Any, valid: Any, group: Any, side: Any, *, count: int, center: Any, power: int = 1
) -> Any:
    """(..., angle, u, q), (..., angle, u), (angle), (angle) -> (..., angle, u, q). Folded.

    f(t, u) = (p(t, u) + p(t + 180 deg, 2 c - u)) / 2, where both were measured; the one that was,
    otherwise; NaN without either. Between positions an opposite ray is interpolated linearly.

    Parameters
    ----------
    values
        Intensity, or its variance.
    valid
        Which points were measured.
    group
        Folded projection that each projection belongs to.
    side
        0 for those that stay as they are, 1 for those that are mirrored.
    count
        How many folded projections there are.
    center
        Index of u where the rotation axis is; one, or one for each batch row.
    power
        1 for values; 2 for a variance: shares are squared.
    """
    xp, kind = xp_of(values), contract_of(fold).output_dtype(0, values.dtype)
    flags, groups, sides = (np.asarray(to_host(a)) for a in (valid, group, side))
    batch, columns = values.shape[:-3], values.shape[-2]
    flags = np.broadcast_to(flags.astype(bool), (*batch, *flags.shape[-2:]))
    centers = np.broadcast_to(np.asarray(to_host(center), float), batch)
    out = xp.empty((*batch, count, *values.shape[-2:]), kind)
    for index in np.ndindex(*batch):
        place = mirror(columns, float(centers[index]))
        for row in range(count):
            total = xp.zeros(values.shape[-2:], np.float64)
            known = np.zeros(columns, bool)
            for i, turned, share in _shares(flags[index], groups, sides, row, place):
                known |= share > 0
                if not turned:
                    _add(total, values[index][i], np.arange(columns), share**power, xp)
                    continue
                below, part, _ = place
                _add(total, values[index][i], below, (share * (1 - part)) ** power, xp)
                above = np.minimum(below + 1, columns - 1)
                _add(total, values[index][i], above, (share * part) ** power, xp)
            total[xp.asarray(~known)] = np.nan
            out[index][row] = total
    return out


def _add(total: Any, values: Any, column: Array, share: Array, xp: Any) -> None:
    """Add columns of a projection; what has no share is not looked at, as it may be NaN."""
    used = np.flatnonzero(share > 0)
    if used.size:
        total[xp.asarray(used)] += (
            values[xp.asarray(column[used])] * xp.asarray(share[used])[:, None]
        )


def _flags_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    points = sizes["batch"] * sizes["angle"] * sizes["u"]
    return Memory(0, points + 240 * sizes["u"] + 32 * sizes["angle"] + 4096)


@kernel(
    "(angle,u),(angle),(angle)->(angle,u),(angle,u)",
    rows={"center": ()},
    memory=_flags_memory,
    sizes=_sizes,
    dtype="flag",
)
def fold_flags(valid: Any, group: Any, side: Any, *, count: int, center: Any) -> tuple[Any, Any]:
    """(..., angle, u), (angle), (angle) -> (..., angle, u) twice. What `fold` knows.

    Parameters
    ----------
    valid, group, side, count, center
        As in `fold`.

    Returns
    -------
    tuple of array
        Which points were measured from one side or the other, and which from both.
    """
    xp = xp_of(valid)
    flags, groups, sides = (np.asarray(to_host(a)) for a in (valid, group, side))
    flags, batch = flags.astype(bool), flags.shape[:-2]
    centers = np.broadcast_to(np.asarray(to_host(center), float), batch)
    columns = flags.shape[-1]
    one = np.zeros((*batch, count, columns), bool)
    both = np.zeros_like(one)
    for index in np.ndindex(*batch):
        place = mirror(columns, float(centers[index]))
        for row in range(count):
            seen = np.zeros((2, columns), bool)
            for i in np.flatnonzero(groups == row):
                seen[int(sides[i])] |= _seen(flags[index][i], place, int(sides[i]))
            one[index][row], both[index][row] = seen.any(axis=0), seen.all(axis=0)
    return (one, both) if xp is np else (xp.asarray(one), xp.asarray(both))
