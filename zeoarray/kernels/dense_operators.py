"""Operators of small slices, written down: rays to pixels, and pixels to rays.

Of the pixels within a circle and of the rays that were measured; the last of each kind is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError, unknown
from zeoarray.kernels import beam_rays, projector
from zeoarray.kernels.angles import angular_weights, check_angles
from zeoarray.kernels.filters import WINDOWS, Filter, interpolation, points_of, ramp
from zeoarray.kernels.gaps import check_valid, stands
from zeoarray.kernels.kept import Kept
from zeoarray.kernels.packed import gather
from zeoarray.kernels.polar import fast_length, frequencies
from zeoarray.kernels.slices import (
    GUARD,
    Size,
    centers_of,
    far_of,
    image_shape,
    radius_of,
    reach_of,
)

Array = np.ndarray[Any, Any]

CHANNELS = 512
"""Channels that go through one product: their rays and pixels stay in the cache."""


@dataclass(frozen=True)
class Operator:
    """A linear map of rays to pixels, or of pixels to rays."""

    matrix: Any
    """Over the rays that are measured and the pixels within the circle."""
    rays: Array
    """Indices of these rays in the flattened (angle, u)."""
    pixels: Array
    """Indices of these pixels in the flattened (y, x)."""
    shape: tuple[int, int]
    blur: tuple[Any, Any] | None = None
    """What the beam sees of a row of pixels along y, and along x; None for rays without width."""

    def seen(self, image: Any) -> Any:
        """(pixel, channel). The image as the beam sees it; as it is where rays have no width."""
        if self.blur is None:
            return image
        xp, (y, x), lanes = xp_of(image), self.shape, image.shape[1]
        at = xp.asarray(self.pixels)
        whole = xp.zeros((y * x, lanes), np.float32)
        whole[at] = image
        whole = (self.blur[0] @ whole.reshape(y, x * lanes)).reshape(y, x, lanes)
        return (self.blur[1] @ whole).reshape(y * x, lanes)[at]


_BACK: Kept[Operator] = Kept()
_FORTH: Kept[Operator] = Kept()


def pixels_of(shape: tuple[int, int], radius: float | None) -> Array:
    """Indices of pixels within `radius` of the axis, in the flattened (y, x)."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    return np.flatnonzero(np.hypot(y[:, None], x).ravel() <= radius_of(shape, radius))


def backprojection(
    angle_rad: Any,
    *,
    width: int,
    center: float,
    size: Size = None,
    filter: Filter = "ramp",
    radius: float | None = None,
    valid: Any = None,
    xp: Any = np,
) -> Operator:
    """(angle) -> (pixel, ray). Filtered back-projection as a matrix, and the variance it makes.

    ``matrix @ sinogram.ravel()[rays]`` is what `radon.filtered_backprojection` gives at `pixels`,
    with the same filter and weights modulo a half turn, and with what stands for missing rays. The
    last one is kept.

    Parameters
    ----------
    angle_rad
        Angle of each projection [rad].
    width
        Columns of u.
    center
        Index of u where the rotation axis is.
    size
        Pixels of y and x (one number, or both); as many as `width` where None.
    filter, radius
        As `radon.filtered_backprojection`.
    valid
        (angle, u): which rays were measured; all where None.
    xp
        The array module that the matrix shall be of.

    Raises
    ------
    ArgumentError
        Where angles, axis, flags, filter or radius cannot be.

    Examples
    --------
    >>> found = backprojection(np.linspace(0, np.pi, 6, endpoint=False), width=5, center=2.0)
    >>> found.matrix.shape
    (21, 30)
    """
    angle, shape = check_angles(angle_rad, np.size(angle_rad)), image_shape(size, width)
    axis = float(centers_of(center, (), width)[0])
    flags = check_valid(valid, angle, (), width)
    if filter not in WINDOWS:
        raise unknown("filter", filter, WINDOWS)
    measured = np.ones((angle.size, width), bool) if flags is None else flags[0]
    pixels = pixels_of(shape, radius)
    key = (xp.__name__, angle.tobytes(), width, axis, shape, filter, radius, measured.tobytes())

    def build() -> Operator:
        matrix = _matrix(xp, angle, axis, shape, filter, radius, pixels, measured)
        return Operator(matrix, np.flatnonzero(measured.ravel()), pixels, shape)

    return _BACK.get(key, build)


def _period(shape: tuple[int, int], radius: float | None) -> int:
    """Samples after which a filtered projection repeats, as in `radon`."""
    return fast_length(2 * reach_of(shape, radius) * (1 + GUARD) + 8)


def waves_of(shape: tuple[int, int], radius: float | None) -> int:
    """Return how many waves make a filtered projection."""
    return points_of(_period(shape, radius)) // 2 + 1


def waves(
    xp: Any, center: float, shape: tuple[int, int], window: Filter, radius: float | None,
    columns: int,
) -> tuple[Array, Any]:  # fmt: skip
    """Angular frequencies, and of each what it is in the filtered line of each ray: (wave, u).

    A line at a place s is the real part of sum_w exp(1j frequency_w s) wave_w. Rays are filtered as
    `radon` does it, all as lines of one sinogram: their spectra do not hang on the angle.
    """
    reach, period = reach_of(shape, radius), _period(shape, radius)
    far = float(far_of(np.array([center]), columns)[0])
    length, between = fast_length(max(2 * (far + reach) + 1, period)), interpolation(period)
    step = frequencies(between.size) * (2 * np.pi / period)
    turn = xp.asarray(np.exp(1j * step * (period // 2)).astype(np.complex64))
    spectra = xp.empty((columns, between.size), np.complex64)
    (scale,) = gather(
        [xp.eye(columns, dtype=np.float32)], [center], [np.full(columns, 1 / period)], (0,),
        length=length, period=period, turn=xp.broadcast_to(turn, spectra.shape), out=spectra,
        response=ramp(length, window), factor=between,
    )  # fmt: skip
    # Lines are real: what frequencies below 0 add is the same once more.
    half = between.size // 2 + 1
    found = spectra[:, :half].T * np.float32(scale)
    found[1:] *= 2
    return step[:half], found


def _images(
    xp: Any, center: float, shape: tuple[int, int], window: Filter, radius: float | None,
    pixels: Array, columns: int,
) -> Callable[[float, float], Any]:  # fmt: skip
    """What gives the images (pixel, u) of all rays of one angle, and of its weight.

    What `radon` transforms by NUFFT is summed here, wave by wave.
    """
    step, parts = waves(xp, center, shape, window, radius, columns)
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    of_pixels = xp.asarray(pixels)

    def images(angle: float, weight: float) -> Any:
        along, up = (
            xp.asarray(np.exp(1j * step * place[:, None]).astype(np.complex64))
            for place in (x * np.cos(angle), y * np.sin(angle))
        )
        there = (up[:, None] * along).reshape(-1, step.size)[of_pixels]
        return np.float32(weight) * (there.real @ parts.real - there.imag @ parts.imag)

    return images


def _matrix(
    xp: Any, angle: Array, center: float, shape: tuple[int, int], window: Filter,
    radius: float | None, pixels: Array, measured: Array,
) -> Any:  # fmt: skip
    """Columns of the operator: images of rays of 1, an angle at a time."""
    columns = measured.shape[1]
    weights = angular_weights(angle, valid=measured.any(axis=1))
    place = np.cumsum(measured.ravel()) - 1
    missing: dict[int, list[Any]] = {}
    for stand in stands(angle, center, measured):
        missing.setdefault(stand.angle, []).append(stand)
    out = xp.zeros((pixels.size, int(measured.sum())), np.float32)
    image_of = _images(xp, center, shape, window, radius, pixels, columns)
    for j in np.flatnonzero(weights):
        images = image_of(angle[j], weights[j])
        there = np.flatnonzero(measured[j])
        first = place[j * columns + there[0]]
        out[:, first : first + there.size] += images[:, there]
        for stand in missing.get(int(j), []):
            for ray, share in zip(stand.rays, stand.shares, strict=True):
                out[:, place[ray]] += share * images[:, stand.u]
    return out


def projection(
    angle_rad: Any,
    *,
    width: int,
    center: float,
    size: Size = None,
    radius: float | None = None,
    measured: Any = None,
    beam: float | None = None,
    xp: Any = np,
) -> Operator:
    """(angle) -> (ray, pixel). `projector.matrix`, Joseph's, of the pixels within the circle.

    Or `beam_rays.matrix`, where the beam has a width.

    Parameters
    ----------
    angle_rad
        Angle of each projection [rad].
    width
        Columns of u.
    center
        Index of u where the rotation axis is.
    size
        Pixels of y and x (one number, or both); as many as `width` where None.
    radius
        As `radon.filtered_backprojection`.
    measured
        (angle, u): which rays there are; all where None.
    beam
        Full width at half maximum of a Gaussian beam [pixels]; None for rays without width.
    xp
        The array module that the matrix shall be of.

    Raises
    ------
    ArgumentError
        Where angles, axis, radius or beam cannot be.

    Examples
    --------
    >>> projection(np.linspace(0, np.pi, 6, endpoint=False), width=5, center=2.0).matrix.shape
    (30, 21)
    """
    angle, shape = check_angles(angle_rad, np.size(angle_rad)), image_shape(size, width)
    axis = float(centers_of(center, (), width)[0])
    flags = np.ones(angle.size * width, bool) if measured is None else np.ravel(measured)
    pixels, rays = pixels_of(shape, radius), np.flatnonzero(flags)
    key = (xp.__name__, angle.tobytes(), width, axis, shape, radius, flags.tobytes(), beam)

    def build() -> Operator:
        given: dict[str, Any] = {"size": shape, "width": width, "center": axis}
        blur = None
        if beam is None:
            whole = projector.matrix(angle, **given)
        else:
            whole = beam_rays.matrix(angle, **given, beam=beam)
            blur = (xp.asarray(beam_rays.blur(shape[0], beam)),
                    xp.asarray(beam_rays.blur(shape[1], beam)))  # fmt: skip
        return Operator(xp.asarray(whole[np.ix_(rays, pixels)]), rays, pixels, shape, blur)

    return _FORTH.get(key, build)


# --- channels -------------------------------------------------------------------------------------
def channels(count: int) -> Iterator[slice]:
    """Cut channels into those that go through one product."""
    for first in range(0, count, CHANNELS):
        yield slice(first, min(first + CHANNELS, count))


def rays_of(sinogram: Any, part: slice, rays: Array, name: str, row: int) -> Any:
    """(angle, u, q) -> (ray, channel). Measured rays of some channels, float32 and checked.

    Raises
    ------
    ArgumentError
        Where one is not finite.
    """
    xp, whole = xp_of(sinogram), rays.size == sinogram.shape[0] * sinogram.shape[1]
    lines = sinogram[..., part].reshape(-1, part.stop - part.start)
    lines = (lines if whole else lines[xp.asarray(rays)]).astype(np.float32, copy=False)
    if not bool(xp.isfinite(xp.sum(lines, dtype=np.float64))):
        ray, channel = (int(n[0]) for n in xp.nonzero(~xp.isfinite(lines)))
        angle, u = divmod(int(rays[ray]), sinogram.shape[1])
        raise ArgumentError(
            f"{name} of slice {row} has values that are not finite",
            got=f"{float(lines[ray, channel])} at angle {angle}, u {u}, q {part.start + channel}",
            expected="finite values in float32, wherever there is a valid measurement",
            do="mark what was not measured in 'valid'",
        )
    return lines
