"""Diffraction frames: what a layer of the sample makes on the detector, frame by frame.

Every frame is computed from the plan, the sample and its own number alone, so frames come out the
same in any order, any cutting, any process. What is kept between frames is bounded: one averaged
layer of the sample, one table of rings, and the pixel map of the last beam position.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.twin import spots
from zeoarray.twin.geometry import Geometry, PixelMap, beamstop_shadow, gaps
from zeoarray.twin.random import generator
from zeoarray.twin.rings import Lookup, RingTable
from zeoarray.twin.scan_xrdct import Plan
from zeoarray.twin.slab import Content, Matter, Slab

Array = np.ndarray[Any, Any]

GAP, BAD = -1, -2
"""Values of a frame where there is no pixel, and where one is known to be bad."""


@dataclass(frozen=True)
class BadPixels:
    """Pixels that do not count photons as they should, as flat indices into a frame."""

    dead: Array
    """Count nothing; all are known."""
    hot: Array
    """Count by themselves."""
    rate: Array
    """Counts per second of each hot pixel."""
    known: Array
    """Which of the hot pixels are in the mask."""


def bad_pixels(plan: Plan) -> BadPixels:
    """Dead and hot pixels of the detector, none of them in a gap."""
    real = np.flatnonzero(~gaps(plan.geometry.detector))
    dead = round(plan.dead_pixels * real.size)
    hot = round(plan.hot_pixels * real.size)
    rng = generator(plan.seed, "xrdct/pixels")
    chosen = rng.choice(real, dead + hot, replace=False)
    rate = rng.lognormal(np.log(300.0), 1.5, hot)
    return BadPixels(np.sort(chosen[:dead]), chosen[dead:], rate, np.arange(hot) % 2 == 0)


def mask(plan: Plan) -> Array:
    """(det_y, det_x) 1 where a pixel is bad: gaps, beamstop, dead pixels and the known hot ones."""
    bad = bad_pixels(plan)
    total = gaps(plan.geometry.detector) | beamstop_shadow(plan.geometry)
    total.flat[bad.dead] = True
    total.flat[bad.hot[bad.known]] = True
    return total.astype(np.uint8)


class LayerFrames:
    """The frames of one layer.

    Parameters
    ----------
    plan
        The scan.
    matter
        The sample; with ``crystals`` where there are spots to be seen.
    layer
        Which of the plan's layers, from 0.
    """

    def __init__(self, plan: Plan, matter: Matter, layer: int) -> None:
        self.plan, self.matter, self.layer = plan, matter, layer
        self.motors = plan.motors(layer)
        # Plain arrays: an indexing of xarray for each number of each frame takes longer than it.
        self._motors = {str(name): values.values for name, values in self.motors.items()}
        self._crystals = crystals_of(plan, matter)

    def _motor(self, name: str, rotation: int, translation: int) -> float:
        return float(self._motors[name][rotation, translation])

    @functools.cached_property
    def slab(self) -> Slab:
        """The layer, averaged over the height of the beam."""
        plan = self.plan
        energy = plan.geometry.energy if plan.self_absorption else None
        return Slab.of(
            self.matter,
            plan.z_sense * plan.layers[self.layer].z_um,
            height_um=plan.height_um,
            pitch_um=plan.pitch_um,
            energy_kev=energy,
        )

    @functools.cached_property
    def depth_um(self) -> Array:
        """Depth nodes that hold the sample at every angle [um]."""
        (x0, x1), (y0, y1), _ = self.matter.bounds
        reach = max(np.hypot(x, y) for x in (x0, x1) for y in (y0, y1))
        count = int(np.ceil(reach / self.plan.depth_um))
        nodes: Array = np.arange(-count, count + 1) * self.plan.depth_um
        return nodes

    @functools.cached_property
    def table(self) -> RingTable:
        """Rings by material, depth and radius."""
        return ring_table(self.plan.geometry, tuple(self.depth_um.tolist()))

    def geometry(self, rotation: int, translation: int) -> Geometry:
        """Geometry of a frame, by the position that the beam was sent to."""
        at = rotation, translation
        return self.plan.seen_from(self._motor("planned_u", *at), self._motor("z", *at))

    def content(self, rotation: int, translation: int) -> Content:
        """What the beam of a frame crosses, by material and depth."""
        at = rotation, translation
        return self.slab.along(
            self._motor("true_u", *at),
            self._motor("true_angle", *at),
            width_um=self.plan.width_um,
            depth_um=self.depth_um,
        )

    def lookup(self, rotation: int, translation: int) -> Lookup:
        """Where the pixels of a frame are in the table of rings: the same for one beam position."""
        return Lookup.of(PixelMap.of(self.geometry(rotation, translation)), self.table.step)

    def expected(self, rotation: int, translation: int, lookup: Lookup | None = None) -> Array:
        """(det_y, det_x) counts without noise, bad pixels, gaps and beamstop.

        Parameters
        ----------
        rotation, translation
            Place of the frame in the layer's file.
        lookup
            That of the frame's beam position, where it is at hand.
        """
        content = self.content(rotation, translation)
        photons = self._motor("photons", rotation, translation)
        air = self.plan.air_um * content.transmission
        profile = self.table.profile(content.amount_um, air, content.out)
        image = (lookup or self.lookup(rotation, translation)).image(profile * photons)
        self._add_spots(image, rotation, translation, photons * content.transmission)
        return image

    def counts(self, rotation: int, translation: int, lookup: Lookup | None = None) -> Array:
        """(det_y, det_x) int32 counts of a frame, as the detector writes them."""
        plan = self.plan
        expected = self.expected(rotation, translation, lookup)
        expected[_hidden(plan)] = 0
        bad = _bad(plan)
        expected.flat[bad.hot] += bad.rate * plan.exposure_s
        number = plan.frame_number(self.layer, plan.kept(self.layer)[rotation], translation)
        rng = generator(plan.seed, f"xrdct/{plan.name}/photons", number)
        frame = rng.poisson(expected).astype(np.int32)
        frame.flat[bad.dead] = BAD
        frame[gaps(plan.geometry.detector)] = GAP
        return frame

    def _add_spots(self, image: Array, rotation: int, translation: int, photons: float) -> None:
        if not self._crystals:
            return
        at = rotation, translation
        u, z, angle = (self._motor(n, *at) for n in ("true_u", "true_z", "true_angle"))
        cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        x, y, height = np.array([c.position_um for c in self._crystals]).T
        origin = np.stack([height - z, x * cos + y * sin - u, y * cos - x * sin], axis=-1)
        sigma = np.array([self.plan.height_um, self.plan.width_um]) / np.sqrt(8 * np.log(2))
        away = ((origin[:, :2] / sigma) ** 2).sum(1)
        light = photons * np.exp(-away / 2) / (2 * np.pi * sigma.prod())
        met = np.flatnonzero(away < 16)
        spots.add(
            image,
            [self._crystals[i] for i in met],
            geometry=self.geometry(rotation, translation),
            light=light[met],
            angle_deg=angle,
            origin_um=origin[met],
        )


@functools.lru_cache(maxsize=2)
def ring_table(geometry: Geometry, depth_um: tuple[float, ...]) -> RingTable:
    """The table of rings of a geometry, kept for the layers of a scan."""
    return RingTable.of(geometry, np.array(depth_um))


@functools.lru_cache(maxsize=2)
def _bad(plan: Plan) -> BadPixels:
    return bad_pixels(plan)


@functools.lru_cache(maxsize=2)
def _hidden(plan: Plan) -> Array:
    """Where no photon is counted."""
    return gaps(plan.geometry.detector) | beamstop_shadow(plan.geometry)


def crystals_of(plan: Plan, matter: Matter) -> list[spots.Crystal]:
    """The single crystals that make spots; none where the plan has no spots."""
    grains = matter.crystals
    if not plan.spots or not len(grains):
        return []
    fractions = matter.phases(*np.asarray(grains.position, float).T)
    phases = np.where(fractions["zinc"] > fractions["sodium"], "zinc", "sodium")
    return [
        spots.Crystal(position, float(radius), str(phase), spots.orientation(plan.seed, int(key)))
        for position, radius, phase, key in zip(
            grains.position, grains.radius, phases, grains.orientation, strict=True
        )
    ]
