"""One height of the sample as the beam sees it: what lies along a ray, and at what depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from zeoarray.twin.rings import PHASES
from zeoarray.twin.sample import Crystals

Array = np.ndarray[Any, Any]


class Matter(Protocol):
    """What can be scanned: positions [um] in, volume fractions and attenuation out."""

    @property
    def bounds(self) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
        """The box that holds all of it [um]."""

    @property
    def crystals(self) -> Crystals:
        """Single crystals that are large enough for spots of their own."""

    def phases(self, x: Array, y: Array, z: Array) -> dict[str, Array]:
        """Volume fractions of ``sodium``, ``zinc`` and ``glass``."""

    def attenuation(self, x: Array, y: Array, z: Array, energy_kev: float) -> Array:
        """Linear attenuation [1/cm]."""


def profile_nodes(fwhm_um: float) -> tuple[Array, Array]:
    """Positions [um] across a Gaussian beam and their weights, which sum to 1.

    Examples
    --------
    >>> offset, weight = profile_nodes(25.0)
    >>> round(float(weight @ offset**2) ** 0.5 * 2.3548, 1)
    25.0
    """
    sigma = fwhm_um / np.sqrt(8 * np.log(2))
    # Sums over a Gaussian at steps of 0.7 sigma are exact to 1e-8; 3.5 sigma hold 99.95 % of it.
    offset = np.linspace(-3.5, 3.5, 11) * sigma
    weight = np.exp(-0.5 * (offset / sigma) ** 2)
    return offset, weight / weight.sum()


@dataclass(frozen=True)
class Content:
    """What one beam crosses."""

    amount_um: Array
    """(material, depth) path lengths, weighted by the beam (and its absorption) [um]."""
    transmission: float
    """Share of the beam that gets straight through."""
    out: Array | None
    """(depth,) attenuation exponent from each depth to the end; None without absorption."""


@dataclass(frozen=True)
class Slab:
    """A layer of the sample, averaged over the height of the beam, on a fine grid."""

    maps: Array
    """(map, y, x): volume fractions of `PHASES` and, with absorption, attenuation [1/cm]."""
    first_um: tuple[float, float]
    """y and x of the first cell's centre [um]."""
    pitch_um: float

    @classmethod
    def of(
        cls,
        matter: Matter,
        z_um: float,
        *,
        height_um: float,
        pitch_um: float,
        energy_kev: float | None = None,
    ) -> Slab:
        """Sample the layer at `z_um` of a beam `height_um` high (full width at half maximum).

        Parameters
        ----------
        matter
            The sample.
        z_um, height_um
            Middle and height of the beam [um].
        pitch_um
            Size of a cell [um].
        energy_kev
            Photon energy, for the attenuation; None leaves it out.
        """
        (x0, x1), (y0, y1), _ = matter.bounds
        # One empty cell around everything: rays that miss the grid interpolate to nothing.
        x = np.arange(x0 - 1.5 * pitch_um, x1 + 2.5 * pitch_um, pitch_um)
        y = np.arange(y0 - 1.5 * pitch_um, y1 + 2.5 * pitch_um, pitch_um)
        offsets, weights = profile_nodes(height_um)
        maps = np.zeros((len(PHASES) + (energy_kev is not None), len(y), len(x)), np.float32)
        for i, (offset, weight) in enumerate(zip(offsets, weights, strict=True)):
            # Each height looks elsewhere in the cell (Weyl sequence), which averages over it; odd
            # about the middle, so that the mean place is the cell's centre.
            turn = i - len(offsets) // 2
            across = x + pitch_um * ((0.5 + 0.7549 * turn) % 1 - 0.5)
            along = y + pitch_um * ((0.5 + 0.5698 * turn) % 1 - 0.5)
            at = np.broadcast_arrays(across[None, :], along[:, None], z_um + offset)
            fractions = matter.phases(*at)
            for k, name in enumerate(PHASES):
                maps[k] += weight * fractions[name]
            if energy_kev is not None:
                maps[-1] += weight * matter.attenuation(at[0], at[1], at[2], energy_kev)
        maps[:, [0, -1], :] = 0
        maps[:, :, [0, -1]] = 0
        return cls(maps, (float(y[0]), float(x[0])), pitch_um)

    def along(self, u_um: float, angle_deg: float, *, width_um: float, depth_um: Array) -> Content:
        """What a beam at `u_um` from the axis crosses, sorted by depth.

        Parameters
        ----------
        u_um, angle_deg
            Where the beam runs, in the axes of the sample.
        width_um
            Full width at half maximum of the beam [um].
        depth_um
            Depth nodes [um], evenly spaced. What lies between two is shared between them, so that
            the mean depth is kept.
        """
        offset, weight = profile_nodes(width_um)
        s = np.arange(depth_um[0], depth_um[-1] + self.pitch_um / 2, self.pitch_um)
        values = self._sample(u_um + offset[:, None], s, np.deg2rad(angle_deg))
        share = _between(s, depth_um) * self.pitch_um
        fractions = values[: len(PHASES)]
        if len(values) == len(PHASES):
            return Content(np.einsum("mbs,b,sd->md", fractions, weight, share), 1.0, None)
        exponent = values[-1] * (self.pitch_um * 1e-4)
        through = np.exp(-exponent.sum(1))
        light = weight * through
        left = exponent[:, ::-1].cumsum(1)[:, ::-1] - exponent / 2
        out = np.interp(depth_um, s, np.einsum("b,bs->s", weight, left))
        amount = np.einsum("mbs,b,sd->md", fractions, light, share)
        return Content(amount, float(light.sum()), out)

    def mean(self, edges_um: Array) -> Array:
        """(phase, y, x): mean volume fractions in the squares between `edges_um` on both axes."""
        fine = max(4, round(float(np.diff(edges_um).mean()) / self.pitch_um))
        within = (np.arange(fine) + 0.5) / fine
        points = (edges_um[:-1, None] + np.diff(edges_um)[:, None] * within).ravel()
        values = self._at(points[:, None], points[None, :])[: len(PHASES)]
        size = len(edges_um) - 1
        average: Array = values.reshape(len(PHASES), size, fine, size, fine).mean((2, 4))
        return average

    def _sample(self, u: Array, s: Array, angle: float) -> Array:
        """(beam, 1), (depth) -> (map, beam, depth)."""
        cos, sin = np.cos(angle), np.sin(angle)
        return self._at(u * sin + s * cos, u * cos - s * sin)

    def _at(self, y: Array, x: Array) -> Array:
        """(...), (...) -> (map, ...), by bilinear interpolation; 0 outside."""
        rows, columns = self.maps.shape[1:]
        column = (x - self.first_um[1]) / self.pitch_um
        row = (y - self.first_um[0]) / self.pitch_um
        # What is outside lands on the empty cells of the rim.
        column, row = np.clip(column, 0, columns - 1.001), np.clip(row, 0, rows - 1.001)
        j, i = column.astype(np.intp), row.astype(np.intp)
        b, a = column - j, row - i
        flat = self.maps.reshape(len(self.maps), -1)
        first = i * columns + j
        upper = flat[:, first] * (1 - b) + flat[:, first + 1] * b
        lower = flat[:, first + columns] * (1 - b) + flat[:, first + columns + 1] * b
        values: Array = upper * (1 - a) + lower * a
        return values


def _between(s: Array, nodes: Array) -> Array:
    """(point, node): the linear share of each point in the nodes on either side of it."""
    place = np.clip((s - nodes[0]) / (nodes[1] - nodes[0]), 0, len(nodes) - 1)
    share: Array = np.clip(1 - np.abs(place[:, None] - np.arange(len(nodes))), 0, None)
    return share
