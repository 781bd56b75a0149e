"""Where the rotation axis is: opposite projections against each other, column by column.

The projection at an angle and the one half a turn on are mirror images about the axis, which is
moved until they agree. Around there the likelihood of all projections near them says where the axis
is, and how well that is known. Where that is not well enough, so does the slice that explains all
projections.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.center_likelihood import MANY, likeliest
from zeoarray.kernels.center_pairs import DIRECTIONS, NEAR, both_sides, differences
from zeoarray.kernels.center_slice import slice_bytes, with_slice
from zeoarray.kernels.center_stripes import without_stripes
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.packed import each

Array = np.ndarray[Any, Any]

FINE = 0.05
"""Step of the last search [pixels]."""
AROUND = 1.5
"""Reach of the last search [pixels]."""
INFLATION = 1.1
"""The spread found on random twin sinograms, over that which residual and curvature say."""
LIKELY, UNLIKE = 0.6, 0.1
"""Of the variance: of that which the likelihood's curvature says, and of that of the comparison
with the square of how far both are apart; for the errors found on random twin sinograms."""
ROUNDS = 2
"""Times that stripes are looked for, the second from where the axis is without those found."""
SURE, LOST = 0.1, 1.5
"""An axis known worse than to the first is looked for with the slice as well, but not one known
worse than to the second [pixels]; nor where another minimum rivals it, as the slice is only looked
for near it."""
SLICE, ALIKE = 1.8, 1.2
"""The axis that goes with the slice errs by so many times what it says, in the root mean square of
36 in 400 random twin sinograms that need it, where half err by less than 0.9 times; and both ways
see the same noise: variance of their mean, over that of independent ones. The mean errs by 0.96
times what is said of it."""
UNSURE = 0.16
"""An axis whose standard deviation is more than this is not trusted [pixels]."""
RIVAL, TWICE = 0.35, 2.0
"""Nor where another minimum has more than the first as its share of its depth, at most 0.25 in half
of those sinograms and 0.43 or more in noise, and both sides differ there by no more than the second
times as much: a wide detector that sees a small sample well has many a dip, and none is like it."""
ALIKE_AT_ALL = 0.05
"""Sides that differ by less are alike, however much less they do elsewhere."""
APART = 2.0
"""Minima farther than this from each other are two [pixels]."""


class Opposite(NamedTuple):
    """What `find_center_opposite` gives for each slice."""

    center: Any
    """(...). Index of u where the axis is."""
    sigma: Any
    """(...). Its standard deviation [pixels]."""
    at_edge: Any
    """(...). Whether it is at an end of the range: the axis may lie beyond."""
    ambiguous: Any
    """(...). Whether sigma is above 0.16 pixels, or the minimum has a rival."""
    candidate: Any
    """(..., candidate). Indices of u that were tried."""
    metric: Any
    """(..., candidate). Mean difference of the mirrored projection: 0 if equal, 0.7 if unlike."""


def candidates(columns: int, start: float | None, stop: float | None, step: float) -> Array:
    """Indices of u from `start` to `stop`; a sixteenth of the width around the middle where None.

    Raises
    ------
    ArgumentError
        For a range outside the detector, or a step that is none.
    """
    middle, aside = (columns - 1) / 2, max(columns / 16, 1.0)
    low = max(middle - aside, 0.0) if start is None else start
    high = min(middle + aside, columns - 1.0) if stop is None else stop
    if not 0 <= low <= high <= columns - 1:
        raise ArgumentError(
            "the axis cannot be looked for there",
            got=f"start={low:g}, stop={high:g}, {columns} columns",
            expected=f"0 <= start <= stop <= {columns - 1}: indices of u",
        )
    if not step > 0:
        raise ArgumentError("the search needs a step", got=f"step={step}", expected="above 0")
    count = int(np.floor((high - low) / step + 1e-9)) + 1
    out: Array = low + step * np.arange(count)
    # Both ends are tried, wherever the last step falls.
    return out if high - out[-1] < 1e-6 else np.append(out, high)


def refined(place: Array, curve: Array) -> tuple[float, float]:
    """Where the parabola through the least of evenly spaced values and its neighbours is least.

    Returns
    -------
    tuple
        The place, and the second derivative there: 0 where the least value is at an end.
    """
    least = int(np.argmin(curve))
    if not 0 < least < curve.size - 1:
        return float(place[least]), 0.0
    step = float(place[least] - place[least - 1])
    left, middle, right = (float(v) for v in curve[least - 1 : least + 2])
    bend = left - 2 * middle + right
    move = 0.5 * (left - right) / bend if bend > 0 else 0.0
    return float(place[least]) + move * step, bend / step**2


def has_rival(place: Array, curve: Array) -> bool:
    """Whether a curve has no minimum, or another minimum rivals it."""
    best, level = int(np.argmin(curve)), float(np.median(curve))
    depth = level - float(curve[best])
    if not depth > 0:
        return True
    inner = curve[1:-1]
    low = 1 + np.flatnonzero((inner <= curve[:-2]) & (inner <= curve[2:]))
    others = low[np.abs(place[low] - place[best]) > APART]
    if not others.size:
        return False
    rival = float(curve[others].min())
    near = rival <= max(TWICE * float(curve[best]), ALIKE_AT_ALL)
    return near and level - rival > RIVAL * depth


def _sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    found = candidates(sizes["u"], *(parameters[k] for k in ("start", "stop", "step")))
    return {"candidate": found.size}


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    padded, near = 2 * sizes["u"] + 2, min(NEAR, sizes["angle"])
    rows = min(sizes["angle"], MANY + 2 * NEAR * DIRECTIONS)
    # Projections as spectra, thrice; and the covariance of the near ones by frequency. One slice,
    # and with its stripes filled.
    pairs = 72 * padded * rows + 40 * padded * near * (near + 2) + 8 * sizes["angle"] * sizes["u"]
    return Memory(0, max(pairs, slice_bytes(sizes["angle"], sizes["u"])) + 96 * sizes["batch"])


@kernel(
    "(angle,u),(angle)->(),(),(),(),(candidate),(candidate)",
    memory=_memory,
    dtype=("float", "float", "flag", "flag", "float", "float"),
    sizes=_sizes,
)
def find_center_opposite(
    sinogram: Any,
    angle_rad: Any,
    *,
    start: float | None = None,
    stop: float | None = None,
    step: float = 0.25,
) -> Opposite:
    """(..., angle, u), (angle) -> (...) four times, (..., candidate) twice.

    A projection at angle t has at frequency w the covariance 2 J1(z) / z with one at angle s, for a
    disc of matter of radius R, with z = 2 R w sin(|t - s| / 2). So the best linear estimate of the
    projection at any angle follows from those measured near it, and what is known of it. At least
    one direction is estimated from both sides; over a full circle, a dozen are.

    Parameters
    ----------
    sinogram
        Absorbance or transmission.
    angle_rad
        Angle of each projection [rad], in any order, over about a half circle or more.
    start, stop
        Where the axis may be [index of u]; a sixteenth of the width around the middle where None.
    step
        Of the first search [pixels]; the last one is finer.

    Returns
    -------
    Opposite
        The axis, how well it is known, and the metric at every position tried.

    Raises
    ------
    ArgumentError
        For values or angles that are not finite, and for positions outside the sinogram.

    References
    ----------
    C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning" (2006),
    doi:10.7551/mitpress/3206.001.0001, equation 2.25, for the estimate.

    Examples
    --------
    >>> angle, u = np.linspace(0, np.pi, 91), np.arange(96)
    >>> where = 50.3 + 20 * np.cos(angle)[:, None]
    >>> found = find_center_opposite(np.exp(-(((u - where) / 3) ** 2)), angle)
    >>> round(float(found.center), 1), bool(found.ambiguous)
    (50.3, False)
    """
    xp, batch, columns = xp_of(sinogram), sinogram.shape[:-2], sinogram.shape[-1]
    angle = check_angles(angle_rad, sinogram.shape[-2])
    places = candidates(columns, start, stop, step)
    contract = contract_of(find_center_opposite)
    shapes = ((), (), (), (), places.shape, places.shape)
    out = Opposite(
        *(
            np.empty((*batch, *shape), contract.output_dtype(i, sinogram.dtype))
            for i, shape in enumerate(shapes)
        )
    )
    for index, part in zip(np.ndindex(*batch), each(sinogram, 2), strict=True):
        values = to_host(part).astype(np.float32)
        if not np.isfinite(values).all():
            raise ArgumentError(
                f"slice {index} has values that are not finite",
                got=f"{int((~np.isfinite(values)).sum())} of {values.size}",
                do="look for the axis in another slice, or fill them",
            )
        for target, value in zip(out, _search(values, angle, places), strict=True):
            target[index] = value
    return out if xp is np else Opposite(*(xp.asarray(a) for a in out))


def _search(values: Array, angle: Array, places: Array) -> tuple[Any, ...]:
    pairs, freedom = both_sides(values, angle)
    curve = differences(pairs, places)
    if not (curve.size and np.ptp(curve) > 0):
        return float(places.mean()), np.inf, places.size > 0, True, places, curve
    center, sigma = _alike(values, angle, pairs, freedom, places, curve)
    mended = values
    # More directions than one outvote a stripe.
    for _ in range(ROUNDS if len(pairs) == 1 else 0):
        better = without_stripes(values, angle, pairs[0], center)
        if better is None:
            break
        clean, freedom = both_sides(better, angle)
        after = differences(clean, places)
        # An edge of the sample is not a stripe: without it both sides are less alike.
        if after.min() > curve.min():
            break
        mended, curve = better, after
        center, sigma = _alike(mended, angle, clean, freedom, places, curve)
    rivalled = has_rival(places, curve)
    if SURE < sigma <= LOST and not (rivalled or _is_end(center, places)):
        center, sigma = _both(center, sigma, *with_slice(mended, angle, center))
        center = float(np.clip(center, places[0], places[-1]))
    ambiguous = not sigma <= UNSURE or rivalled
    return center, sigma, _is_end(center, places), ambiguous, places, curve


def _alike(
    values: Array,
    angle: Array,
    pairs: list[tuple[Array, Array]],
    freedom: float,
    places: Array,
    curve: Array,
) -> tuple[float, float]:
    """Where the pairs are most alike, and all projections near them; and the standard deviation."""
    nearest = places[int(np.argmin(curve))]
    around = nearest + np.arange(-AROUND, AROUND + FINE / 2, FINE)
    fine = np.unique(np.clip(around, places[0], places[-1]))
    alike, _ = refined(fine, differences(pairs, fine))
    sigma = _sigma(pairs, alike, freedom)
    if _is_end(alike, places):
        return alike, sigma
    center, own = likeliest(values, angle, alike)
    center = float(np.clip(center, places[0], places[-1]))
    return center, float(np.sqrt(LIKELY * own**2 + UNLIKE * (sigma**2 + (center - alike) ** 2)))


def _both(center: float, sigma: float, other: float, spread: float) -> tuple[float, float]:
    """Mean of two places of the axis by their variances, and its standard deviation."""
    away = other - center
    if not (np.isfinite(spread) and abs(away) <= APART):
        return center, float(np.sqrt(sigma**2 + UNLIKE * min(away**2, APART**2)))
    one, two = sigma**2, (SLICE * spread) ** 2
    variance = ALIKE * one * two / (one + two) + UNLIKE * away**2
    return center + away * one / (one + two), float(np.sqrt(variance))


def _is_end(center: float, places: Array) -> bool:
    return bool(min(center - places[0], places[-1] - center) < 2 * FINE)


def _sigma(pairs: list[tuple[Array, Array]], center: float, freedom: float) -> float:
    """Standard deviation of the axis: what is left over, by how fast it grows away from there."""
    columns = pairs[0][0].size
    low, high = max(center - 0.5, 0.0), min(center + 0.5, columns - 1.0)
    around = differences(pairs, np.array([low, center, high]), squared=True)
    bend = (around[0] - 2 * around[1] + around[2]) / max((high - low) / 2, 1e-6) ** 2
    if not bend > 0:
        return float(np.inf)
    return float(INFLATION * np.sqrt(2 * max(around[1], 0.0) / bend / max(freedom, 1.0)))
