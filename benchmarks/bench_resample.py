"""Resampling beside scipy: a turned volume, on one thread of each; and means onto coarser voxels.

python -m benchmarks resample [side of the volume]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.ndimage
import xarray as xr

from benchmarks.harness import table
from zeoarray import schema
from zeoarray.backend import single_threaded
from zeoarray.volume import grid, grids, resample

Array = np.ndarray[Any, Any]
SIDE = 160
REPEATS = 3


def turned(degrees: float = 4.0) -> Array:
    """(4, 4): a turn about an oblique axis, and a shift."""
    axis = np.array([0.36, 0.48, 0.8])
    cross = np.cross(np.eye(3), axis)
    angle = np.deg2rad(degrees)
    out = np.eye(4)
    out[:3, :3] += -np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    out[:3, 3] = 1.3, -2.1, 0.7
    return out


def volume(side: int) -> xr.Dataset:
    """Any values."""
    values = np.random.default_rng(0).normal(size=(side,) * 3).astype("float32")
    coords = {d: (d, np.arange(side) - (side - 1) / 2) for d in "zyx"} | {"resolution": 1.0}
    ds = xr.Dataset({"attenuation": (tuple("zyx"), values)}, coords)
    return schema.describe(ds, schema.VOLUME_XCT)


def best(function: Callable[[], Any]) -> tuple[float, Any]:
    """Least of several times [s], and the result."""
    times, out = [], function()
    for _ in range(REPEATS):
        begun = time.process_time()
        out = function()
        times.append(time.process_time() - begun)
    return min(times), out


def main(side: int = SIDE) -> str:
    """One row for each way, with the ratio of speeds and the largest difference."""
    of, matrix = volume(side), turned()
    registration = xr.Dataset({"to_fixed": (("to", "from"), matrix)})
    values = of["attenuation"].values
    rows = []
    for name, order, voxel in (("linear", 1, 1.0), ("cubic", 3, 1.0), ("linear", 1, 0.7)):
        on = grid(of, voxel=voxel, **dict.fromkeys("zyx", (-side / 2, side / 2)))
        way = np.linalg.inv(grids.to_um(of, "bench")) @ np.linalg.inv(matrix)
        way = way @ grids.to_um(on, "bench")
        shape = tuple(on.sizes[d] for d in "zyx")
        asked: dict[str, Any] = {"registration": registration, "interpolation": name}
        with single_threaded():
            ours, out = best(lambda on=on, asked=asked: resample(on, volume=of, **asked))
            theirs, wanted = best(
                lambda way=way, order=order, shape=shape: scipy.ndimage.affine_transform(
                    values, way, output_shape=shape, order=order, cval=np.nan
                )
            )
        off = float(np.nanmax(np.abs(out["attenuation"].values - wanted)))
        rows.append([f"{name}, voxel {voxel:g}", f"{ours:.2f} s", f"{theirs:.2f} s",
                     f"{theirs / ours:.2f}", f"{off:.1e}"])  # fmt: skip
    on = grid(of, voxel=2.5)
    with single_threaded():
        ours, out = best(lambda: resample(on, volume=of, registration=registration))
    rows.append(["mean, voxel 2.5", f"{ours:.2f} s", "", "", ""])
    return table(["way", "zeoarray", "scipy", "ratio of speed", "largest difference"], rows)


if __name__ == "__main__":
    print(main(*map(int, sys.argv[1:])))
