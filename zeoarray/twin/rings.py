r"""Rings of a column of matter: what every material at every depth puts at every radius.

A voxel at depth s along the beam is nearer to the detector by s, so its ring of scattering angle
:math:`2\theta` has the radius :math:`r = (D - s)\tan 2\theta` (parallax). With rings tabulated over
radius for a few depths, a frame is one weighted sum over (material, depth) into one radial profile,
and one linear interpolation of that profile at the radius of every pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.twin import diffraction
from zeoarray.twin.geometry import Geometry, PixelMap

Array = np.ndarray[Any, Any]

PHASES = ("sodium", "zinc", "glass")
"""Materials that are sampled by depth; air is everywhere."""
PER_PIXEL = 8
"""Steps of the radial table within a detector pixel."""


@dataclass(frozen=True)
class RingTable:
    """Counts per pixel that a photon scattered by 1 um of material makes, by radius."""

    depth_um: Array
    """(depth,) nodes along the beam, ascending, 0 on the tomographic axis [um]."""
    step: float
    """Step of the radius [px]; radii begin at 0."""
    rings: Array
    """(material, depth, radius) float32, materials as in `PHASES` [1/um]."""
    air: Array
    """(radius,) the same for a um of air on the axis [1/um]."""
    secant: Array
    """(radius,) 1 / cos(2 theta): how much longer the way out is."""

    @classmethod
    def of(
        cls,
        geometry: Geometry,
        depth_um: Array,
        *,
        broadening: Mapping[str, diffraction.Broadening] | None = None,
        largest: float | None = None,
    ) -> RingTable:
        """Tabulate the rings for a geometry.

        Parameters
        ----------
        geometry
            The geometry at the tomographic axis.
        depth_um
            Depth nodes [um], ascending.
        broadening
            Widths of the powder lines, by phase; None takes those of the twin's beamline.
        largest
            Largest radius [px]; None takes that of the farthest pixel, and some margin.
        """
        if largest is None:
            largest = float(PixelMap.of(geometry).radius.max()) + 16
        step = 1 / PER_PIXEL
        radius = np.arange(int(largest * PER_PIXEL) + 2) * step
        pixel = geometry.pixel[1]
        # Half a pixel more on both sides, for the average over a pixel's width.
        wide = np.arange(-PER_PIXEL // 2, len(radius) + PER_PIXEL // 2) * step * pixel
        distance = geometry.distance - np.asarray(depth_um, float) * 1e-6
        two_theta = np.arctan2(np.abs(wide), distance[:, None])
        q = 4 * np.pi / geometry.wavelength * np.sin(two_theta / 2)
        # Solid angle as seen from the depth, relative to what pyFAI takes for the whole frame.
        seen = _cone(wide, distance[:, None]) / _cone(wide, np.array(geometry.distance))
        seen *= geometry.pixel[0] * pixel / geometry.distance**2 * 1e-4
        fine = np.arange(0.0, q.max() + 1e-3, 2e-4)
        given = broadening or diffraction.BROADENING
        patterns = [diffraction.pattern(name, fine, given.get(name)) for name in (*PHASES, "air")]
        on_axis = int(np.abs(depth_um).argmin())
        values = [_per_pixel(np.interp(q, fine, p) * seen) for p in patterns[:-1]]
        air = _per_pixel(np.interp(q[on_axis], fine, patterns[-1]) * seen[on_axis])
        secant = np.hypot(1.0, radius * pixel / geometry.distance)
        rings = np.stack(values).astype(np.float32)
        return cls(np.asarray(depth_um, float), step, rings, air, secant)

    def profile(self, amount_um: Array, air_um: float, out: Array | None = None) -> Array:
        """(material, depth) -> (radius): what the amounts of material put at each radius.

        Parameters
        ----------
        amount_um
            Path length of every material at every depth node [um].
        air_um
            Path length of air [um].
        out
            (depth,) attenuation from each depth straight to the end of the sample (exponent); the
            way out at 2 theta is longer by 1 / cos(2 theta), and absorbs that much more. None for
            no absorption.
        """
        amount = np.asarray(amount_um, np.float32)
        if out is None:
            # Not by BLAS: its threads wait for each other longer than this takes.
            total: Array = np.einsum("md,mdr->r", amount, self.rings)
        else:
            left = np.exp(-np.multiply.outer(out, self.secant - 1)).astype(np.float32)
            total = np.einsum("md,mdr,dr->r", amount, self.rings, left)
        return total + air_um * self.air


def _cone(radius: Array, distance: Array) -> Array:
    """Solid angle of a unit area at `radius` on a plane at `distance`."""
    cone: Array = distance / (distance**2 + radius**2) ** 1.5
    return cone


def _per_pixel(values: Array) -> Array:
    """Average over one pixel's width, by the trapezoid rule, at every step of the table.

    A square pixel seen from any azimuth has the variance of its side, 1/12: the average over a
    width of one pixel has the same, whatever the direction of the ring.
    """
    steps = np.cumsum((values[..., 1:] + values[..., :-1]) / 2, axis=-1)
    total = np.concatenate([np.zeros_like(values[..., :1]), steps], axis=-1)
    average: Array = (total[..., PER_PIXEL:] - total[..., :-PER_PIXEL]) / PER_PIXEL
    return average


@dataclass(frozen=True)
class Lookup:
    """Where the pixels of a geometry are in a radial table, for interpolation."""

    index: Array
    fraction: Array
    weight: Array

    @classmethod
    def of(cls, pixels: PixelMap, step: float) -> Lookup:
        """Prepare the interpolation for a pixel map."""
        place = pixels.radius / np.float32(step)
        index = place.astype(np.int32)
        return cls(index, place - index, pixels.weight)

    def image(self, profile: Array) -> Array:
        """(radius) -> (det_y, det_x): the profile on the pixels, by linear interpolation."""
        single = profile.astype(np.float32)
        rise = np.append(np.diff(single), np.float32(0))
        image = np.take(rise, self.index)
        image *= self.fraction
        image += np.take(single, self.index)
        image *= self.weight
        return image
