"""The verbs of anything that has positions: cut, and brought onto one another."""

from __future__ import annotations

from zeoarray.volume.cut import bin, crop
from zeoarray.volume.grids import grid
from zeoarray.volume.join import join
from zeoarray.volume.network import solve_network
from zeoarray.volume.register import register
from zeoarray.volume.resample import resample

__all__ = ["bin", "crop", "grid", "join", "register", "resample", "solve_network"]
