r"""Spots of single crystals that are large enough to be seen one by one.

A crystal of volume V scatters a reflection G with the cross-section
:math:`\sigma = r_e^2 |F|^2 (2\pi)^3 V g(\epsilon) / (v^2 k^2)`, where
:math:`\epsilon = |k + G| - k` is its distance from the Ewald sphere and g a Gaussian of unit area
as wide as mosaic spread and convergence make it (kinematic theory: extinction is left out).
Averaged over all orientations this is the powder line of `zeoarray.twin.faujasite`.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import erf

from zeoarray.twin import faujasite
from zeoarray.twin.geometry import Geometry
from zeoarray.twin.random import generator

Array = np.ndarray[Any, Any]

MOSAIC = 1.2e-3
"""Full width of the mosaic spread [rad]."""
DIVERGENCE = 3e-4
"""Full angle of convergence of the beam [rad]."""
LARGEST = 1_000_000
"""What the counter of a Pilatus pixel holds, about (20 bits)."""
SHARPNESS = 0.65
"""Standard deviation of a spot on the detector [px]."""


@dataclass(frozen=True)
class Crystal:
    """One grain, in the axes of the sample."""

    position_um: Array
    """x, y, z of its centre."""
    radius_um: float
    phase: str
    rotation: Array
    """Crystal axes to sample axes, a proper rotation."""


def orientation(seed: int, number: int) -> Array:
    """A random rotation matrix, uniform over all orientations."""
    a, b, c, d = generator(seed, "xrdct/orientation", number).standard_normal(4)
    a, b, c, d = np.array([a, b, c, d]) / np.sqrt(a * a + b * b + c * c + d * d)
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a - b * b + c * c - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a - b * b - c * c + d * d],
        ]
    )


@functools.lru_cache(maxsize=4)
def reflections(phase: str, q_max: float) -> tuple[Array, Array]:
    """Every reciprocal-lattice vector (n, 3) [1/angstrom] up to `q_max` in length, and |F|^2 / v^2.

    Lengths are those of the powder lines, so spots lie on their rings.
    """
    lines = faujasite.lines(phase)
    length = dict(zip(lines.order.astype(int).tolist(), lines.q.tolist(), strict=True))
    families = [hkl for group in faujasite.families(6.0).values() for hkl in group]
    families = [hkl for hkl in families if length.get(_order(hkl), np.inf) <= q_max]
    squares = faujasite.structure_factor(faujasite.structure(phase), families) ** 2
    vectors = []
    for hkl in families:
        signs = itertools.product((1, -1), repeat=3)
        every = {
            tuple(i * s for i, s in zip(p, sign, strict=True))
            for sign in signs
            for p in itertools.permutations(hkl)
        }
        vectors.append(np.array(sorted(every)) * (length[_order(hkl)] / np.sqrt(_order(hkl))))
    count = [len(of_one) for of_one in vectors]
    return np.concatenate(vectors), np.repeat(squares / lines.volume**2, count)


def _order(hkl: tuple[int, int, int]) -> int:
    return sum(i * i for i in hkl)


def excited(
    crystal: Crystal, angle_deg: float, geometry: Geometry, q_max: float
) -> tuple[Array, Array]:
    """Directions (n, 3) in (z, u, s) of the reflections that light up, and their strength.

    Returns
    -------
    direction
        Of the diffracted rays, of unit length.
    strength
        Cross-section per volume [1/cm], polarization left out.
    """
    vectors, squares = reflections(crystal.phase, q_max)
    x, y, z = (vectors @ crystal.rotation.T).T
    angle = np.deg2rad(angle_deg)
    u, s = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    k = 2 * np.pi / geometry.wavelength
    out = np.stack([z, u, s + k], axis=-1)
    length = np.linalg.norm(out, axis=-1)
    distance = length - k
    q = np.linalg.norm(vectors, axis=-1)
    width = q * np.hypot(MOSAIC, DIVERGENCE) / np.sqrt(8 * np.log(2))
    near = np.abs(distance) < 4 * width
    width, distance = width[near], distance[near]
    line = np.exp(-0.5 * (distance / width) ** 2) / (width * np.sqrt(2 * np.pi))
    area = faujasite.CLASSICAL_RADIUS**2 * squares[near] * (2 * np.pi) ** 3 / k**2
    return out[near] / length[near, None], 1e8 * area * line


def add(
    image: Array, crystals: list[Crystal], *, geometry: Geometry, light: Array, angle_deg: float,
    origin_um: Array,
) -> None:  # fmt: skip
    """Add the spots of `crystals` to a frame of expected counts, in place.

    Parameters
    ----------
    image
        (det_y, det_x) expected counts.
    crystals
        Those that the beam meets.
    geometry
        As seen from the beam.
    light
        (crystal,) photons per um^2 on each.
    angle_deg
        Rotation of the sample.
    origin_um
        (crystal, 3) their centres (z, u, s) relative to where the beam meets the sample [um].
    """
    q_max = 4.5
    for crystal, flux, origin in zip(crystals, light, origin_um, strict=True):
        direction, strength = excited(crystal, angle_deg, geometry, q_max)
        row, column, forward = geometry.project(origin, direction)
        volume = 4 / 3 * np.pi * crystal.radius_um**3
        across, up = direction[:, 1], direction[:, 0]
        polarized = 1 - 0.5 * (
            (1 + geometry.polarization) * across**2 + (1 - geometry.polarization) * up**2
        )
        photons = np.minimum(flux * volume * 1e-4 * strength * polarized, LARGEST)
        for r, c, n in zip(row[forward], column[forward], photons[forward], strict=True):
            _stamp(image, r, c, n)


def _stamp(image: Array, row: float, column: float, photons: float) -> None:
    """Spread `photons` over the pixels around (`row`, `column`) as a Gaussian spot."""
    i, j = round(row), round(column)
    if not (4 <= i < image.shape[0] - 4 and 4 <= j < image.shape[1] - 4):
        return
    scale = SHARPNESS * np.sqrt(2)
    edges = np.arange(-4.5, 5.0)
    down = np.diff(erf((edges - (row - i)) / scale)) / 2
    right = np.diff(erf((edges - (column - j)) / scale)) / 2
    image[i - 4 : i + 5, j - 4 : j + 5] += photons * np.outer(down, right)
