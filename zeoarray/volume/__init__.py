"""The verbs of anything that has positions: cut, and brought onto one another."""

from __future__ import annotations

from zeoarray.volume.connect import connect
from zeoarray.volume.cut import bin, crop
from zeoarray.volume.grids import grid
from zeoarray.volume.harmonize import apply_mapping, harmonize
from zeoarray.volume.join import join
from zeoarray.volume.layers import register_layers
from zeoarray.volume.network import solve_network
from zeoarray.volume.register import register
from zeoarray.volume.resample import resample

__all__ = [
    "apply_mapping",
    "bin",
    "connect",
    "crop",
    "grid",
    "harmonize",
    "join",
    "register",
    "register_layers",
    "resample",
    "solve_network",
]
