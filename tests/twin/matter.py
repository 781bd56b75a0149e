"""Simple matter whose diffraction has closed forms, and plans that scan it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from zeoarray.twin.geometry import Geometry
from zeoarray.twin.sample import Crystals
from zeoarray.twin.scan_xrdct import Layer, Plan

NO_CRYSTALS = Crystals(np.zeros((0, 3)), np.zeros(0), np.zeros(0, int))


@dataclass(frozen=True)
class Cylinders:
    """Upright cylinders of single materials."""

    discs: tuple[tuple[str, float, float, float], ...]
    """(material, x, y, radius) of each [um]."""
    attenuation_per_cm: float = 0.0
    crystals: Crystals = field(default=NO_CRYSTALS)
    reach: float = 500.0

    @property
    def bounds(self):
        return ((-self.reach, self.reach),) * 3

    def phases(self, x, y, z):
        found = {
            name: np.zeros(np.broadcast(x, y, z).shape) for name in ("sodium", "zinc", "glass")
        }
        for name, x0, y0, radius in self.discs:
            found[name] += np.hypot(x - x0, y - y0) < radius
        return found

    def attenuation(self, x, y, z, energy_kev):
        return self.attenuation_per_cm * sum(self.phases(x, y, z).values())


FLAT = Geometry("Pilatus 100k", 0.350, 0.01677, -0.0207)
"""One module beside the beam, not tilted."""


def plan(**changes) -> Plan:
    """A plain scan of one layer, through the axis, without any disturbance."""
    quiet = Plan(
        "test", 5, FLAT, (Layer(43322, 0.0),), 4, 3, axis_um=0.0, jitter_um=0.0, drift=0.0,
        monitor_noise=0.0, lifetime_h=1e9, air_um=0.0, spots=False, snake=False,
    )  # fmt: skip
    return dataclasses.replace(quiet, **changes)
