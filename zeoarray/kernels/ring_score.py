"""How strong the rings of a slice are, beside its noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.columns import ndimage_of
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel

WIDTH = 11
"""What is wider than this is sample, not a ring [px]: it is taken out first."""
SECTORS = 12
"""Arcs of each circle. A partial stripe makes an arc, and so does each stripe of half a turn."""
LEAST = 8
"""Pixels of an arc of which a mean and a spread are taken."""
WITHIN = 0.9
"""Share of the greatest circle that is looked at by default: a mask ends further out."""


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    image = sizes["y"] * sizes["x"]
    arcs = SECTORS * (sizes["y"] + sizes["x"])
    return Memory(0, 18 * image + 96 * arcs + 128 * sizes["x"])


@kernel("(y,x)->()", memory=_memory)
def ring_score_slice(
    image: Any, *, center: tuple[float, float] | None = None, radius: float | None = None
) -> Any:
    """(..., y, x) -> (...). How much circles round the axis stand out: a number without unit.

    The slice is taken from its mean over 11 x 11 pixels, twice, and cut into arcs, 1 px wide and
    30 degrees long.
    For each arc t is its mean over what independent noise of its own spread would leave of it.
    The score is the root mean square of t, each arc weighed by its pixels. Noise alone gives about
    1, rings of amplitude a in noise s about the root of 1 + n a^2 / s^2, n the pixels of an arc. A
    sample with edges along circles has a score too, so compare slices of one sample.

    Parameters
    ----------
    image
        Slices; values that are not finite are left out.
    center
        The axis, as fractional indices of y and x; by default in the middle.
    radius
        How far from the axis pixels count [px]; by default nine tenths of the greatest circle.

    Raises
    ------
    ArgumentError
        For an axis or a radius that is not finite, or a radius that is not positive.

    References
    ----------
    N. T. Vo et al., Opt. Express 26 (2018) 28396, doi:10.1364/OE.26.028396: rings as stripes along
    the angle. The t statistic is Student's, Biometrika 6 (1908) 1, doi:10.1093/biomet/6.1.1.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(201, 201))
    >>> y, x = np.ogrid[-100:101, -100:101]
    >>> rings = np.random.default_rng(1).normal(size=200)[np.hypot(y, x).astype(int)]
    >>> float(ring_score_slice(noise).round(1)), float(ring_score_slice(noise + rings).round())
    (1.0, 5.0)
    """
    xp = xp_of(image)
    rows, columns = image.shape[-2:]
    out = xp.zeros(image.shape[:-2], contract_of(ring_score_slice).output_dtype(0, image.dtype))
    middle = ((rows - 1) / 2, (columns - 1) / 2) if center is None else center
    reach = WITHIN * min(rows, columns) / 2 if radius is None else radius
    if not (np.isfinite(middle).all() and 0 < reach < np.inf):
        raise ArgumentError(
            "rings are looked for round an axis, within a radius",
            got=f"center={center}, radius={radius}",
            expected="finite indices, a positive number of pixels",
        )
    for index in np.ndindex(out.shape):
        out[index] = _score(image[index], middle, min(reach, rows + columns), xp)
    return out


def _score(image: Any, middle: tuple[float, float], reach: float, xp: Any) -> float:
    fine = image.astype(np.float32)
    known = xp.isfinite(fine)
    fine[~known] = 0
    filter_of = ndimage_of(fine).uniform_filter
    share = filter_of(known.astype(np.float32), WIDTH)
    # What rounding leaves of a constant is no ring.
    rounding = float(np.finfo(np.float32).eps) * float(xp.abs(fine).max()) * 4
    share = xp.maximum(share, np.float32(0.5 / WIDTH**2))
    # Twice, so that nothing is left of what varies as a cubic does.
    for _ in "ab":
        fine -= filter_of(fine, WIDTH) / share
        fine[~known] = 0
    known &= xp.abs(fine) < np.inf
    arcs = (int(reach) + 1) * SECTORS
    sums = xp.zeros((3, arcs))
    x = xp.arange(image.shape[1]) - middle[1]
    for j in range(image.shape[0]):
        y = j - middle[0]
        r = xp.hypot(x, y)
        chosen = known[j] & (r < reach)
        sector = ((xp.arctan2(y, x[chosen]) / (2 * np.pi) + 0.5) * SECTORS).astype(np.int64)
        arc = r[chosen].astype(np.int64) * SECTORS + sector % SECTORS
        values = fine[j, chosen].astype(np.float64)
        for total, weights in zip(sums, (None, values, values**2), strict=True):
            total += xp.bincount(arc, weights, minlength=arcs)
    count, total, power = (s[sums[0] >= LEAST] for s in sums)
    if not count.size:
        return 0.0
    mean = total / count
    spread = xp.maximum((power - count * mean**2) / (count - 1), rounding**2)
    square = xp.where(spread > 0, count * mean**2 / xp.where(spread > 0, spread, 1), 0)
    return float(xp.sqrt((count * square).sum() / count.sum()))
