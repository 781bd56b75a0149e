"""The sample: a pellet fragment in a glass capillary, in continuous coordinates [um].

It has no grid of its own: any point can be asked, and any ray integrated
(`zeoarray.twin.projections`). A zinc-exchanged rim fades into a sodium core; the zeolite is
packed with macropores over two decades of size, denser and looser grains, binder, single
crystals, iron oxide specks and cracks.
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.errors import ArgumentError
from zeoarray.twin import pellet, presets
from zeoarray.twin.attenuation import BINDER as BINDER_MATERIAL
from zeoarray.twin.attenuation import DENSE as DENSE_MATERIAL
from zeoarray.twin.attenuation import GLASS as GLASS_MATERIAL
from zeoarray.twin.attenuation import SODIUM_X, ZINC_X
from zeoarray.twin.field import Fields, classify, tabulate
from zeoarray.twin.random import check_seed
from zeoarray.twin.scene import BINDER, CRUMB, DENSE, FIXED, GLASS, MATRIX, PACKING, Scene

Array = np.ndarray[Any, Any]
Bounds = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]

POINTS_A_TASK = 1 << 17


@dataclass(frozen=True)
class Crystals:
    """Single-crystal grains that are large enough to give diffraction spots."""

    position: Array
    """(crystal, 3): x, y, z of the centres [um]."""
    radius: Array
    """(crystal,) of the ball of the same volume [um]."""
    orientation: Array
    """(crystal,) identifier: the seed of the crystal's random orientation."""

    def __len__(self) -> int:
        return len(self.radius)


@dataclass(frozen=True)
class Sample:
    """A pellet fragment in a capillary; methods take positions [um] that broadcast together."""

    seed: int
    preset: str
    scene: Scene

    @classmethod
    def make(cls, seed: int, preset: str = "small") -> Sample:
        """Build the sample of a seed.

        Parameters
        ----------
        seed
            From 0 to 2**63 - 1: the same seed gives the same sample.
        preset
            ``tiny``, ``small`` or ``full``: how small the smallest pores are.

        Raises
        ------
        ArgumentError
            For a seed or preset that is none.
        """
        cell = presets.find(preset).smallest_cell_um
        return cls(check_seed(seed), preset, pellet.grow(seed, cell))

    @classmethod
    def ellipsoids(
        cls, centres: Array, semi_axes: Array, attenuation: Array, rotations: Array | None = None
    ) -> Sample:
        """A phantom of disjoint ellipsoids in empty space, whose projections have closed forms.

        Parameters
        ----------
        centres, semi_axes
            (n, 3) [um].
        attenuation
            (n,) [1/cm], the same at every energy.
        rotations
            (n, 3, 3) of the semi-axes; none where left out.

        Raises
        ------
        ArgumentError
            Where the arrays do not fit together, or the balls about two ellipsoids meet.
        """
        centres, semi_axes = np.atleast_2d(centres), np.atleast_2d(semi_axes)
        if centres.shape != semi_axes.shape or centres.shape != (np.size(attenuation), 3):
            raise ArgumentError(
                "centres, semi-axes and attenuation do not fit together",
                got=f"{centres.shape}, {semi_axes.shape}, {np.shape(attenuation)}",
                expected="(n, 3), (n, 3) and (n,)",
            )
        reach = semi_axes.max(1)
        gap = np.linalg.norm(centres[:, None] - centres, axis=2) - reach - reach[:, None]
        if (gap[~np.eye(len(gap), dtype=bool)] < 0).any():
            raise ArgumentError(
                "two ellipsoids may overlap",
                got="balls of their largest semi-axes that meet",
                do="move them apart",
            )
        turns = np.broadcast_to(np.eye(3), (len(gap), 3, 3)) if rotations is None else rotations
        bodies = np.array(
            [
                pellet.ellipsoid(c, s, r, FIXED, float(m), clipped=False)
                for c, s, r, m in zip(centres, semi_axes, turns, np.ravel(attenuation), strict=True)
            ]
        )
        nothing = np.zeros(5)
        scene = Scene(0, np.empty((0, 4)), nothing, np.empty((0, 6)), np.empty((0, 12)), bodies,
                      np.zeros(8), np.empty((0, 12)))  # fmt: skip
        return cls(0, "ellipsoids", scene)

    @functools.cached_property
    def crystals(self) -> Crystals:
        """The large single crystals."""
        bodies = self.scene.bodies
        chosen = bodies[(bodies[:, 10] == MATRIX) & (bodies[:, 11] == pellet.CRYSTAL_PACKING)]
        a, b, c, d, e, f = chosen[:, 3:9].T
        volume = (a * (d * f - e * e) - b * (b * f - e * c) + c * (b * e - d * c)) ** -0.5
        return Crystals(chosen[:, :3].copy(), volume ** (1 / 3), np.arange(len(chosen)))

    @property
    def bounds(self) -> Bounds:
        """The box that holds all of the sample; only the capillary goes on above and below it."""
        low, high = self.box
        if self.scene.capillary[7] > 0:
            reach = float(self.scene.capillary[7]) + 20.0
            low, high = (
                np.minimum(low, [-reach, -reach, np.inf]),
                np.maximum(high, [reach, reach, -np.inf]),
            )
        (x0, y0, z0), (x1, y1, z1) = low.tolist(), high.tolist()
        return (x0, x1), (y0, y1), (z0, z1)

    @functools.cached_property
    def box(self) -> tuple[Array, Array]:
        """Lower and upper corner [um] of the box round the pellet and every body."""
        bodies = self.scene.bodies
        low = (bodies[:, :3] - bodies[:, 9:10]).min(0, initial=0.0)
        high = (bodies[:, :3] + bodies[:, 9:10]).max(0, initial=0.0)
        if len(self.scene.facets):
            rays = pellet.directions(20000)
            surface = rays * pellet.exits(self.scene.facets, rays)[:, None]
            # The directions are 1.5 degrees apart: corners reach a little beyond what they find.
            low = np.minimum(low, surface.min(0) - 15)
            high = np.maximum(high, surface.max(0) + 15)
        return low, high

    @functools.cached_property
    def reach(self) -> Array:
        """(4,): a ball round the pellet, centre and radius [um]."""
        if not len(self.scene.facets):
            return np.zeros(4)
        rays = pellet.directions(20000)
        return np.array([0, 0, 0, 15 + float(pellet.exits(self.scene.facets, rays).max())])

    @functools.cached_property
    def fields(self) -> Fields:
        """The smooth fields on the lattice that rays interpolate in."""
        low, high = self.box
        if not len(self.scene.facets):
            nothing = np.zeros((3, 3, 3), np.float32)
            return Fields(nothing, nothing, np.zeros(3), 1.0)
        return tabulate(self.scene, low, high, workers=os.cpu_count() or 1)

    def materials(self, energy_kev: float) -> Array:
        """(7,) Attenuation [1/cm] of each kind of `zeoarray.twin.scene`; 0 where it varies."""
        out = np.zeros(7)
        out[BINDER] = BINDER_MATERIAL.attenuation(energy_kev)
        out[DENSE] = DENSE_MATERIAL.attenuation(energy_kev)
        out[GLASS] = GLASS_MATERIAL.attenuation(energy_kev)
        out[CRUMB] = PACKING * ZINC_X.attenuation(energy_kev)
        return out

    def phases(self, x: Array, y: Array, z: Array) -> dict[str, Array]:
        """Volume fractions of ``sodium`` and ``zinc`` zeolite and of ``glass``, at each position.

        The rest is void, binder or iron oxide.
        """
        return self.points(x, y, z).phases()

    def attenuation(self, x: Array, y: Array, z: Array, energy_kev: float) -> Array:
        """Linear attenuation [1/cm] at each position."""
        return self.points(x, y, z).attenuation(energy_kev)

    def points(self, x: Array, y: Array, z: Array) -> Points:
        """What is at each position, from which phases and attenuation follow."""
        x, y, z = np.broadcast_arrays(x, y, z)
        flat = [np.ascontiguousarray(a, float).ravel() for a in (x, y, z)]
        kind, value = np.empty(x.size, np.uint8), np.empty(x.size)
        zinc, packing = np.zeros(x.size), np.zeros(x.size)

        def fill(first: int) -> None:
            part = slice(first, first + POINTS_A_TASK)
            px, py, pz = (a[part] for a in flat)
            classify(self.scene, px, py, pz, kind[part], value[part], zinc[part], packing[part])

        tasks = range(0, x.size, POINTS_A_TASK)
        if len(tasks) > 1:
            with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                list(pool.map(fill, tasks))
        elif x.size:
            fill(0)
        return Points(self, *(a.reshape(x.shape) for a in (kind, value, zinc, packing)))


@dataclass(frozen=True)
class Points:
    """What a sample is made of at some positions; all arrays have their shape."""

    sample: Sample
    kind: Array
    """One of the kinds of `zeoarray.twin.scene`."""
    value: Array
    """Packing relative to the matrix, or attenuation [1/cm] of FIXED."""
    zinc: Array
    """Fraction of the zeolite that is exchanged."""
    packing: Array
    """Volume fraction of zeolite in the matrix."""

    def phases(self) -> dict[str, Array]:
        """Volume fractions of ``sodium`` and ``zinc`` zeolite and of ``glass``."""
        kind = self.kind
        zeolite = np.where(kind == MATRIX, self.packing * self.value, 0.0)
        zeolite = np.where(kind == CRUMB, self.packing, zeolite)
        return {
            "sodium": zeolite * (1 - self.zinc),
            "zinc": zeolite * self.zinc,
            "glass": (kind == GLASS).astype(float),
        }

    def attenuation(self, energy_kev: float) -> Array:
        """Linear attenuation [1/cm]."""
        sodium, zinc = SODIUM_X.attenuation(energy_kev), ZINC_X.attenuation(energy_kev)
        matrix = self.value * self.packing * (sodium + (zinc - sodium) * self.zinc)
        other = np.where(
            self.kind == FIXED, self.value, self.sample.materials(energy_kev)[self.kind]
        )
        return np.asarray(np.where(self.kind == MATRIX, matrix, other))
