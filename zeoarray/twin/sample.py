"""The sample: a pellet fragment in a glass capillary, in continuous coordinates [um]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.twin.attenuation import MATERIALS

Array = np.ndarray[Any, Any]
Bounds = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Crystals:
    """Single-crystal grains that are large enough to give diffraction spots."""

    position: Array
    """(crystal, 3): x, y, z of the centres [um]."""
    radius: Array
    """(crystal,) [um]."""
    orientation: Array
    """(crystal,) identifier: the seed of the crystal's random orientation."""

    def __len__(self) -> int:
        return len(self.radius)


@dataclass(frozen=True)
class Sample:
    """A pellet fragment in a capillary; every method takes positions [um] of one shape."""

    seed: int
    preset: str
    crystals: Crystals

    @classmethod
    def make(cls, seed: int, preset: str = "small") -> Sample:
        """Build the sample of a seed.

        Parameters
        ----------
        seed
            Any integer: the same seed gives the same sample.
        preset
            ``tiny``, ``small`` or ``full``: how small the smallest pores are.
        """
        rng = np.random.Generator(np.random.Philox(key=seed))
        position = rng.uniform(-200, 200, (40, 3))
        crystals = Crystals(position, rng.uniform(8, 20, 40), np.arange(40))
        return cls(seed, preset, crystals)

    @property
    def bounds(self) -> Bounds:
        """The box that holds all of the sample; only the capillary goes on above and below."""
        return (-500.0, 500.0), (-500.0, 500.0), (-600.0, 600.0)

    def phases(self, x: Array, y: Array, z: Array) -> dict[str, Array]:
        """Volume fractions of ``sodium``, ``zinc`` and ``glass``, of the shape of x, y, z."""
        x, y, z = np.broadcast_arrays(x, y, z)
        rho = np.sqrt((x / 380) ** 2 + (y / 340) ** 2 + (z / 520) ** 2)
        zeolite = np.where(rho < 1, 0.62, 0.0)
        zinc = 1 / (1 + np.exp(-(rho - 0.7) / 0.06))
        radius = np.hypot(x, y)
        return {
            "sodium": zeolite * (1 - zinc),
            "zinc": zeolite * zinc,
            "glass": ((radius > 485) & (radius < 500)).astype(float),
        }

    def attenuation(self, x: Array, y: Array, z: Array, energy_kev: float) -> Array:
        """Linear attenuation [1/cm] at the positions."""
        fractions = self.phases(x, y, z)
        total = np.zeros(np.broadcast_shapes(np.shape(x), np.shape(y), np.shape(z)))
        for name, fraction in fractions.items():
            total += fraction * MATERIALS[name].attenuation(energy_kev)
        return total
