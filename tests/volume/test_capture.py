"""At which voxels two volumes are searched for each other."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from zeoarray.volume import capture
from zeoarray.volume.levels import Level


def level(shape: tuple[int, int, int], voxel: float) -> Level:
    axes = {d: (np.arange(n) - (n - 1) / 2) * voxel for d, n in zip("zyx", shape, strict=True)}
    return Level(xr.DataArray(np.zeros(shape, np.float32), axes, ("z", "y", "x")))


@pytest.mark.parametrize(
    ("moving", "voxel"), [((64, 200, 200), 2.7), ((64, 200, 200), 4.0), ((64, 120, 120), 5.0)]
)
def test_slabs_have_voxels_across_them(moving: tuple[int, int, int], voxel: float) -> None:
    fixed, slab = level((64, 123, 123), 13.0), level(moving, voxel)
    assert slab.extent.min() / capture.voxel(fixed, slab, 13.0) > 8


def test_cubes_are_searched_as_coarsely_as_before() -> None:
    cube = level((192, 192, 192), 2.0)
    assert capture.voxel(cube, cube, 2.0) == 8.0  # 48 along each side
