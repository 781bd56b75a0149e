"""The integration matrix: which share of each detector pixel falls into which bin."""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from zeoarray.kernels.azimuthal_loops import turn

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class IntegrationMatrix:
    """A sparse matrix (bin, pixel), stored by pixels, with the normalisation of each pixel."""

    indptr: Array
    """(pixel + 1). Where the entries of each pixel begin."""
    indices: Array
    """Bin of each entry, ascending within a pixel."""
    data: Array
    """Share of the pixel that falls into the bin, float32."""
    pixel_normalization: Array
    """(pixel). Solid angle times polarization times flat, float32."""
    normalization: Array
    """(bin). Sum of shares times `pixel_normalization`, float64."""
    radial: Array
    """Centres of the radial bins, in `unit`."""
    azimuth: Array | None
    """Centres of the azimuthal bins [deg]; None where there is one pattern."""
    unit: str
    """Of `radial`: ``1/angstrom``, ``1/nm``, ``deg``, ``rad``, ``mm``, ``m`` or ``angstrom``."""
    shape: tuple[int, int]
    """Rows and columns of the detector."""
    fingerprint: str
    """Digest of what it was built from."""
    _device: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def bins(self) -> int:
        """How many bins there are in all."""
        return int(self.normalization.size)

    @property
    def bin_shape(self) -> tuple[int, ...]:
        """(radial), or (radial, azimuthal): bins lie in this order."""
        sizes = (self.radial.size,) if self.azimuth is None else (self.radial.size,
                                                                  self.azimuth.size)  # fmt: skip
        return tuple(map(int, sizes))

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays hold."""
        arrays = (self.indptr, self.indices, self.data, self.pixel_normalization,
                  self.normalization, self.radial)  # fmt: skip
        return sum(int(a.nbytes) for a in arrays)

    @functools.cached_property
    def reach(self) -> int:
        """Bins between the first and the last that one pixel falls into, at most."""
        filled = np.flatnonzero(np.diff(self.indptr))
        first, last = self.indptr[:-1][filled], self.indptr[1:][filled] - 1
        spans = self.indices[last].astype(np.int64) - self.indices[first]
        return int(spans.max(initial=0))

    @functools.cached_property
    def by_bin(self) -> tuple[Array, Array, Array]:
        """The same matrix stored by bins: pointer (bin + 1), pixel and share of each entry."""
        pointer = np.zeros(self.bins + 1, np.int32)
        pixel, share = np.empty(self.data.size, np.int32), np.empty(self.data.size, np.float32)
        turn(self.indptr, self.indices, self.data, pointer, pixel, share)
        return pointer, pixel, share

    def sparse(self, xp: ModuleType) -> Any:
        """The matrix (bin, pixel) as SciPy's, or CuPy's on the GPU where it is kept."""
        name = xp.__name__
        if name not in self._device:
            library = importlib.import_module("scipy.sparse" if xp is np else "cupyx.scipy.sparse")
            pointer, pixel, share = (xp.asarray(a) for a in self.by_bin)
            shape = (self.bins, self.shape[0] * self.shape[1])
            self._device[name] = library.csr_matrix((share, pixel, pointer), shape=shape)
        return self._device[name]
