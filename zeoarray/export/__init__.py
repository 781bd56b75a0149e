"""Floor 5: volumes and scans as other programs read them: TIFF, HDF5, columns of text."""

from __future__ import annotations

from zeoarray.export.hdf5 import to_hdf5
from zeoarray.export.tiff import to_tiff
from zeoarray.export.xye import to_xye

__all__ = ["to_hdf5", "to_tiff", "to_xye"]
