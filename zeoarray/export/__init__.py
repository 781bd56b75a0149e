"""Floor 5: volumes and scans as other programs read them: a TIFF stack, or one HDF5 file."""

from __future__ import annotations

from zeoarray.export.hdf5 import to_hdf5
from zeoarray.export.tiff import to_tiff

__all__ = ["to_hdf5", "to_tiff"]
