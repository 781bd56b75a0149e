"""Defects of a detector that make stripes in sinograms, of the three kinds of Vo et al.

A defect answers otherwise in the projections than in the flats, so that flat-fielding leaves it
(Vo et al., Opt. Express 26 (2018) 28396, doi:10.1364/OE.26.028396). *Full* stripes last for the
whole scan, *partial* ones for a range of angles, *fluctuating* ones change from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.twin.presets import Scan
from zeoarray.twin.random import generator

Array = np.ndarray[Any, Any]

KINDS = ("full", "partial", "fluctuating")


@dataclass(frozen=True)
class Stripes:
    """The defects of one detector; all arrays have one entry for each."""

    kind: Array
    """Index into `KINDS`."""
    row: Array
    column: Array
    radius: Array
    """Pixels."""
    amplitude: Array
    """Relative change of the response; its standard deviation for fluctuating ones."""
    begin: Array
    end: Array
    """Part of the scan, from 0 to 1, in which it acts."""

    def __len__(self) -> int:
        return len(self.kind)

    def strength(self, seed: int, scan: Scan, frame: int, progress: float) -> Array:
        """(defect,) Relative change of the response in one projection."""
        acting = (self.begin <= progress) & (progress <= self.end)
        noise = generator(seed, f"{scan.name}/fluctuation", frame).standard_normal(len(self))
        return np.where(KINDS.index("fluctuating") == self.kind, noise, acting) * self.amplitude

    def masks(self, rows: tuple[int, int], columns: int) -> list[tuple[tuple[slice, slice], Array]]:
        """Where each defect lies in a band of rows, and how much of each pixel it covers."""
        found = []
        for row, column, radius in zip(self.row, self.column, self.radius, strict=True):
            reach = radius + 1
            down = slice(max(rows[0], int(row - reach)), min(rows[1], int(row + reach) + 2))
            across = slice(max(0, int(column - reach)), min(columns, int(column + reach) + 2))
            lines = np.arange(down.start, max(down.start, down.stop))[:, None]
            cells = np.arange(across.start, across.stop)[None, :]
            cover = np.clip(radius + 0.5 - np.hypot(lines - row, cells - column), 0, 1)
            shifted = slice(down.start - rows[0], max(down.start, down.stop) - rows[0])
            found.append(((shifted, across), cover))
        return found


def draw(seed: int, scan: Scan) -> Stripes:
    """The defects of a scan's detector: `scan.stripes` of each kind."""
    rng = generator(seed, f"{scan.name}/stripes")
    count = scan.stripes * len(KINDS)
    kind = np.repeat(np.arange(len(KINDS)), scan.stripes)
    amplitude = rng.uniform(0.01, 0.06, count) * rng.choice([-1, 1], count)
    amplitude = np.where(KINDS.index("fluctuating") == kind, 0.6 * np.abs(amplitude), amplitude)
    length = rng.uniform(0.15, 0.6, count)
    begin = rng.uniform(0, 1 - length)
    partial = KINDS.index("partial") == kind
    return Stripes(
        kind,
        rng.uniform(0, scan.rows - 1, count),
        rng.uniform(0.05, 0.95, count) * (scan.columns - 1),
        rng.uniform(0.6, 3.0, count),
        amplitude,
        np.where(partial, begin, 0.0),
        np.where(partial, begin + length, 1.0),
    )
