"""A pattern's matrix from the geometry, built pixel by pixel: the way that is fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zeoarray.kernels.azimuthal_config import Configuration
from zeoarray.kernels.azimuthal_geometry import QUANTITY, Pixels, centers, corners
from zeoarray.kernels.azimuthal_split import (
    corner_ends,
    count_areas,
    count_boxes,
    ends,
    fill_areas,
    fill_boxes,
    reach,
)

if TYPE_CHECKING:
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

Array = np.ndarray[Any, Any]
Entries = tuple[Array, Array, Array]
"""Pointer (pixel + 1), bins and shares of a matrix stored by pixels."""
ABOVE = 1.0 + float(np.finfo(np.float32).eps)
"""The last edge is pyFAI's: a little above the largest radius, which falls into the last bin."""
MIRRORED = 2, 4
"""Orientations in which one axis of the detector is turned round, and a pixel's contour with it."""


def plain(config: Configuration, integrator: AzimuthalIntegrator) -> bool:
    """Whether the matrix can be built here; if not, pyFAI builds it."""
    cake = isinstance(config.npt, tuple) and len(config.npt) == 2
    straight = integrator.parallax is None and integrator.detector.CORNERS == 4
    return not cake and straight and config.unit in QUANTITY


def index_dtype(bins: int) -> type[np.generic]:
    """Of the bins of a matrix."""
    return np.uint16 if bins <= 2**16 else np.int32


def shared(
    config: Configuration,
    integrator: AzimuthalIntegrator,
    pixels: Pixels,
    mask: Array,
    keep: Array,
) -> tuple[Entries, Array]:
    """Entries by pixels, and the bin centres; `mask` decides on the range, `keep` on the rest."""
    bins = config.npt[0] if isinstance(config.npt, tuple) else config.npt
    if config.split == "full":
        return _areas(config, integrator, pixels, mask, keep, bins)
    radius, half = centers(config, integrator, pixels), np.empty((0, 0))
    if config.split == "bbox":
        half = np.empty(config.shape)
        reach(radius, corners(config, integrator, pixels)[0], half)
    low, width, radial = _bins(config, bins, ends(radius, half, mask))
    indptr = np.empty(keep.size + 1, np.int32)
    count_boxes(radius, half, keep, low, width, bins, indptr)
    indices, data = _room(indptr, bins)
    fill_boxes(radius, half, low, width, bins, indptr, indices, data)
    return (indptr, indices, data), radial


def _areas(
    config: Configuration,
    integrator: AzimuthalIntegrator,
    pixels: Pixels,
    mask: Array,
    keep: Array,
    bins: int,
) -> tuple[Entries, Array]:
    radius, azimuth = corners(config, integrator, pixels)
    low, width, radial = _bins(config, bins, corner_ends(radius, mask))
    indptr = np.empty(keep.size + 1, np.int32)
    count_areas(radius, keep, low, width, bins, indptr)
    indices, data = _room(indptr, bins)
    mirrored = int(integrator.detector.orientation) in MIRRORED
    fill_areas(radius, azimuth, low, width, bins, mirrored, indptr, indices, data)
    return (indptr, indices, data), radial


def _bins(
    config: Configuration, bins: int, seen: tuple[float, float]
) -> tuple[float, float, Array]:
    """First edge and width of the bins, and their centres in the unit."""
    scale = QUANTITY[config.unit][1]
    first, last = (max(0.0, end) for end in seen)
    if config.radial_range is not None:
        first, last = (end / scale for end in config.radial_range)
    last = last * ABOVE if last > 0 else last / ABOVE
    width = (last - first) / bins
    centered = np.linspace(first + 0.5 * width, last - 0.5 * width, bins)
    return first, width, centered * scale


def _room(indptr: Array, bins: int) -> tuple[Array, Array]:
    entries = int(indptr[-1])
    return np.empty(entries, index_dtype(bins)), np.empty(entries, np.float32)
