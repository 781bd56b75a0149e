"""Where the rotation axis is: the slice is sharpest there, told by the entropy of its grey values.

Off the axis every edge becomes a half-moon, and grey values of one matter spread over others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage

from zeoarray.backend import to_host, xp_of
from zeoarray.kernels.angles import check_angles
from zeoarray.kernels.center_opposite import candidates, has_rival, refined
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.packed import each
from zeoarray.kernels.radon import filtered_backprojection

Array = np.ndarray[Any, Any]

BINS = 256
"""Of the histogram of grey values."""
LARGEST = 512
"""Pixels of y and x about the axis that are reconstructed at most."""


class Sharpness(NamedTuple):
    """What `find_center_sharpness` gives for each slice."""

    center: Any
    """(...). Index of u where the axis is."""
    at_edge: Any
    """(...). Whether it is the first or last position tried: the axis may lie beyond."""
    ambiguous: Any
    """(...). Whether there is no minimum, or it has a rival."""
    candidate: Any
    """(..., candidate). Indices of u that were tried."""
    metric: Any
    """(..., candidate). Entropy of the slice's grey values [nats]."""


def _sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    found = candidates(sizes["u"], *(parameters[k] for k in ("start", "stop", "step")))
    return {"candidate": found.size}


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    size = min(sizes["u"], LARGEST)
    inner = contract_of(filtered_backprojection).memory(
        {**sizes, "batch": 2},
        {"size": size, "radius": None, "filter": "hann", "weights": None, "center": None},
        threads,
    )
    # Two slices, the grey values inside their circle, and the sinogram as floats.
    more = 80 * size * size + 8 * sizes["angle"] * sizes["u"] + 64 * BINS
    return Memory(inner.fixed, inner.block + more + 64 * sizes["batch"])


@kernel(
    "(angle,u),(angle)->(),(),(),(candidate),(candidate)",
    memory=_memory,
    dtype=("float", "flag", "flag", "float", "float"),
    sizes=_sizes,
)
def find_center_sharpness(
    sinogram: Any,
    angle_rad: Any,
    *,
    start: float | None = None,
    stop: float | None = None,
    step: float = 0.25,
) -> Sharpness:
    """(..., angle, u), (angle) -> (...) three times, (..., candidate) twice.

    The middle of the slice is reconstructed for every position. It is the most costly of the ways
    to find the axis, and best used in a range of a few pixels around what another has found.

    Parameters
    ----------
    sinogram
        Absorbance.
    angle_rad
        Angle of each projection [rad], in any order, over a half circle or more.
    start, stop
        Where the axis may be [index of u]; a sixteenth of the width around the middle where None.
    step
        Of the search [pixels]; the minimum is interpolated.

    Returns
    -------
    Sharpness
        The axis, whether it can be trusted, and the metric at every position tried.

    Raises
    ------
    ArgumentError
        For values or angles that are not finite, and for positions outside the sinogram.

    References
    ----------
    T. Donath, F. Beckmann, A. Schreyer, "Automated determination of the center of rotation in
    tomography data", J. Opt. Soc. Am. A 23, 1048 (2006), doi:10.1364/JOSAA.23.001048.

    Examples
    --------
    >>> angle, u = np.linspace(0, np.pi, 91), np.arange(64)
    >>> where = 32.3 + 16 * np.cos(angle)[:, None]
    >>> found = find_center_sharpness(np.exp(-(((u - where) / 3) ** 2)), angle)
    >>> round(float(found.center), 1)
    32.3
    """
    xp, batch, columns = xp_of(sinogram), sinogram.shape[:-2], sinogram.shape[-1]
    angle = check_angles(angle_rad, sinogram.shape[-2])
    places = candidates(columns, start, stop, step)
    contract = contract_of(find_center_sharpness)
    shapes = ((), (), (), places.shape, places.shape)
    out = Sharpness(
        *(
            np.empty((*batch, *shape), contract.output_dtype(i, sinogram.dtype))
            for i, shape in enumerate(shapes)
        )
    )
    for index, part in zip(np.ndindex(*batch), each(sinogram, 2), strict=True):
        curve = _entropies(part.astype(np.float32), angle, places)
        center, _ = refined(places, curve)
        least = int(np.argmin(curve))
        at_edge = least in (0, places.size - 1)
        found = (center, at_edge, has_rival(places, curve), places, curve)
        for target, value in zip(out, found, strict=True):
            target[index] = value
    return out if xp is np else Sharpness(*(xp.asarray(a) for a in out))


def _entropies(values: Any, angle: Array, places: Array) -> Array:
    """Entropy of the slice's grey values, smoothed a little, for each place of the axis."""
    size = min(values.shape[1], LARGEST)
    y = np.arange(size) - (size - 1) / 2
    inside = np.hypot(y[:, None], y) <= 0.45 * size
    xp = xp_of(values)

    def slices(which: Array) -> Array:
        stack = xp.broadcast_to(values, (which.size, *values.shape))
        image = filtered_backprojection(stack, angle, center=which, size=size, filter="hann")
        return to_host(image)[:, inside]

    middle = slices(places[places.size // 2 : places.size // 2 + 1])
    low, high = (float(v) for v in np.quantile(middle, (0.001, 0.999))) if middle.size else (0, 0)
    curve = np.zeros(places.size)
    if not high > low:
        return curve
    wider = 0.1 * (high - low)
    for first in range(0, places.size, 2):
        for i, grey in enumerate(slices(places[first : first + 2])):
            held = np.clip(grey, low - wider, high + wider)
            counts = np.histogram(held, bins=BINS, range=(low - wider, high + wider))[0]
            share = scipy.ndimage.gaussian_filter1d(counts / max(grey.size, 1), 1.5)
            share = share[share > 0]
            curve[first + i] = -(share * np.log(share)).sum()
    return curve
