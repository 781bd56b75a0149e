"""Where the pixels of a detector lie as seen from the sample: radius, azimuth, solid angle.

pyFAI says where the pixels are on the detector; that hangs on no beam, and is kept. The geometry
turns them into scattering angles here, in one pass, since a moving beam asks for it at every
position.
"""

from __future__ import annotations

import json
import math
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zeoarray.kernels.azimuthal_config import Configuration, Unit
from zeoarray.kernels.azimuthal_loops import compiled

if TYPE_CHECKING:
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

Array = np.ndarray[Any, Any]

KEPT = 2
"""Detectors whose pixels a process keeps: next to nothing each where pixels lie on a grid."""
RADIUS, ANGLE, SCATTERING = range(3)
QUANTITY: dict[Unit, tuple[int, float]] = {
    "r_m": (RADIUS, 1.0), "r_mm": (RADIUS, 1e3),
    "2th_rad": (ANGLE, 1.0), "2th_deg": (ANGLE, 180 / math.pi),
    "q_nm^-1": (SCATTERING, 1.0), "q_A^-1": (SCATTERING, 0.1),
}  # fmt: skip
"""Radial quantities that are found here, and what turns m, rad and 1/nm into the unit."""


def _arc_terms(count: int) -> tuple[float, ...]:
    """Terms of atan(z) / z in z^2 up to z = 1, the highest first, from Chebyshev's points."""
    points = (1 + np.cos(np.pi * (np.arange(count) + 0.5) / count)) / 2
    slopes = np.sqrt(points)
    fitted = np.polynomial.Polynomial.fit(points, np.arctan(slopes) / slopes, count - 1, [0, 1])
    return tuple(map(float, fitted.convert().coef[::-1]))


ARC = _arc_terms(14)


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pixels of one detector in its own plane [m]: what does not hang on the beam."""

    corners: tuple[Array, Array, Array]
    """Along the slow axis, the fast axis and the beam, each (det_y + 1, det_x + 1) where pixels
    touch, (det_y, 4 det_x) where they do not; that along the beam is empty on a flat detector."""
    centers: tuple[Array, Array, Array]
    """The same of the centres, (det_y, det_x)."""


_PIXELS: OrderedDict[tuple[Any, ...], Pixels] = OrderedDict()
_LOCK = threading.Lock()


def pixels_of(integrator: AzimuthalIntegrator, shape: tuple[int, int]) -> Pixels:
    """The pixels of the integrator's detector, from those that are kept where they are."""
    detector = integrator.detector
    shaped = detector._pixel_corners
    key = (type(detector).__name__, json.dumps(detector.get_config(), default=str), shape,
           int(detector.orientation), detector.binning, detector.pixel1, detector.pixel2,
           None if shaped is None else zlib.crc32(np.ascontiguousarray(shaped).data))  # fmt: skip
    with _LOCK:
        if key not in _PIXELS:
            while len(_PIXELS) >= KEPT:
                _PIXELS.popitem(last=False)
            _PIXELS[key] = _ask(detector, shape)
        _PIXELS.move_to_end(key)
        return _PIXELS[key]


def _ask(detector: Any, shape: tuple[int, int]) -> Pixels:
    if detector.IS_CONTIGUOUS:
        rows, columns = np.arange(shape[0] + 1.0), np.arange(shape[1] + 1.0)
        grid = np.meshgrid(rows, columns, indexing="ij")
        corners = detector.calc_cartesian_positions(*grid, center=False)
    else:
        found = detector.get_pixel_corners(correct_binning=True).reshape(shape[0], -1, 3)
        corners = found[..., 1], found[..., 2], found[..., 0]
    rows, columns = np.arange(float(shape[0])), np.arange(float(shape[1]))
    centers = detector.calc_cartesian_positions(*np.meshgrid(rows, columns, indexing="ij"))
    return Pixels(_thin(*corners), _thin(*centers))


def _thin(slow: Any, fast: Any, deep: Any) -> tuple[Array, Array, Array]:
    """The same, where pixels lie on a grid as views of one column and one row."""
    slow, fast = np.asarray(slow, float), np.asarray(fast, float)
    if (slow == slow[:, :1]).all():
        slow = np.broadcast_to(slow[:, :1].copy(), slow.shape)
    if (fast == fast[:1]).all():
        fast = np.broadcast_to(fast[:1].copy(), fast.shape)
    if deep is None or not np.any(deep):
        deep = np.empty((0, 0))
    return slow, fast, np.asarray(deep, float)


# --- as seen from the sample ----------------------------------------------------------------------
def place(integrator: AzimuthalIntegrator) -> Array:
    """Distance, the two coordinates of the normal's foot [m], and the matrix that tilts."""
    return np.array(
        [integrator.dist, integrator.poni1, integrator.poni2,
         *np.asarray(integrator.rotation_matrix(), float).ravel()]
    )  # fmt: skip


def corners(
    config: Configuration, integrator: AzimuthalIntegrator, pixels: Pixels
) -> tuple[Array, Array]:
    """(det_y, det_x, 2, 2). Radius and azimuth [rad] of each pixel's corners, float32.

    Neighbours share corners, which are found once.
    """
    slow, fast, deep = pixels.corners
    radius, azimuth = np.empty(slow.shape, np.float32), np.empty(slow.shape, np.float32)
    kind, scale = _quantity(config, integrator)
    polar(slow, fast, deep, place(integrator), kind, scale, radius, azimuth)
    return _by_pixel(radius, config.shape), _by_pixel(azimuth, config.shape)


def centers(config: Configuration, integrator: AzimuthalIntegrator, pixels: Pixels) -> Array:
    """(det_y, det_x). Radius of each pixel's centre, float64."""
    slow, fast, deep = pixels.centers
    radius = np.empty(config.shape)
    kind, scale = _quantity(config, integrator)
    polar(slow, fast, deep, place(integrator), kind, scale, radius, np.empty((0, 0)))
    return radius


def _quantity(config: Configuration, integrator: AzimuthalIntegrator) -> tuple[int, float]:
    kind = QUANTITY[config.unit][0]
    return kind, 4e-9 * math.pi / integrator.wavelength if kind == SCATTERING else 1.0


def _by_pixel(corner: Array, shape: tuple[int, int]) -> Array:
    if corner.shape == (shape[0] + 1, shape[1] + 1):
        return np.lib.stride_tricks.sliding_window_view(corner, (2, 2))
    # pyFAI goes round a pixel: this corner, the next row, across, the next column.
    return corner.reshape(*shape, 4)[..., [0, 3, 1, 2]].reshape(*shape, 2, 2)


def pixel_normalization(
    config: Configuration, integrator: AzimuthalIntegrator, pixels: Pixels
) -> Array:
    """(pixel). Solid angle times polarization times flat, float32."""
    slow, fast, deep = pixels.centers
    out = np.ones(config.shape)
    own = config.solid_angle and not deep.size and integrator.detector.spline is None
    if config.solid_angle and not own:
        out *= integrator.solidAngleArray(config.shape, True)
    factor = config.polarization_factor
    if own or factor is not None:
        polarized = math.nan if factor is None else factor
        correct(slow, fast, deep, place(integrator), own, polarized, out)
    if config.flat is not None:
        out *= config.flat
    return out.astype(np.float32).ravel()


@compiled
def _seen(
    slow: float, fast: float, deep: float, place: Any
) -> tuple[float, float, float]:  # fmt: skip
    """A point of the detector as seen from the sample: up, sideways, and along the beam."""
    a, b, c = slow - place[1], fast - place[2], deep + place[0]
    up = place[3] * a + place[4] * b + place[5] * c
    side = place[6] * a + place[7] * b + place[8] * c
    along = place[9] * a + place[10] * b + place[11] * c
    return up, side, along


@compiled
def _arc(up: float, side: float) -> float:
    """The arc from `side` to `up`, as atan2 but for 1e-12, and without a call in the way."""
    most, least = max(abs(up), abs(side)), min(abs(up), abs(side))
    slope = least / most if most > 0 else 0.0
    square, arc = slope * slope, 0.0
    for term in ARC:
        arc = arc * square + term
    arc *= slope
    arc = math.pi / 2 - arc if abs(up) > abs(side) else arc
    arc = math.pi - arc if side < 0 else arc
    return math.copysign(arc, up)


@compiled
def polar(
    slow: Any, fast: Any, deep: Any, place: Any, kind: int, scale: float, radius: Any, azimuth: Any
) -> None:
    """Radius, or angle, or scattering vector of each point, and its azimuth where there is room."""
    columns = slow.shape[1]
    up, side, along = np.empty(columns), np.empty(columns), np.empty(columns)
    for i in range(slow.shape[0]):
        for j in range(columns):
            depth = deep[i, j] if deep.size else 0.0
            up[j], side[j], along[j] = _seen(slow[i, j], fast[i, j], depth, place)
        _radii(up, side, along, kind, scale, radius[i])
        if azimuth.size:
            row = azimuth[i]
            for j in range(columns):
                row[j] = _arc(up[j], side[j])


@compiled
def _radii(up: Any, side: Any, along: Any, kind: int, scale: float, out: Any) -> None:
    """Radius, or angle, or scattering vector of a row of points."""
    if kind == SCATTERING:
        for j in range(out.size):
            # The sine of half the angle, without an arc; (r / far)^2 = (1 - c) (1 + c).
            square, deep = up[j] * up[j] + side[j] * side[j], abs(along[j])
            far = math.sqrt(square + along[j] * along[j])
            ahead = scale * math.sqrt(square) / math.sqrt(2 * far * (far + deep))
            behind = scale * math.sqrt((far + deep) / (2 * far))
            out[j] = ahead if along[j] >= 0 else behind
        return
    for j in range(out.size):
        r = math.sqrt(up[j] * up[j] + side[j] * side[j])
        out[j] = math.atan2(r, along[j]) if kind == ANGLE else r


@compiled
def correct(
    slow: Any, fast: Any, deep: Any, place: Any, solid_angle: bool, factor: float, out: Any
) -> None:
    """Multiply by the solid angle of a flat detector's pixels, and by the polarization."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            if solid_angle:
                a, b = slow[i, j] - place[1], fast[i, j] - place[2]
                cosine = place[0] / math.sqrt(place[0] ** 2 + a * a + b * b)
                out[i, j] *= cosine * cosine * cosine
            if factor == factor:
                depth = deep[i, j] if deep.size else 0.0
                up, side, along = _seen(slow[i, j], fast[i, j], depth, place)
                square = up * up + side * side
                cosine = along * along / (square + along * along)
                # cos(2 chi) sin^2, which is 0 on the beam itself.
                lying = (side * side - up * up) / (square + along * along)
                out[i, j] *= 0.5 * (1 + cosine - factor * lying)
