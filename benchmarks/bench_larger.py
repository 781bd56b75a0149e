"""Registration and resampling of volumes twenty times larger than the memory that they may take.

Two scans of soft balls, 20.6 GB each, whose chunks are made when they are read: known in closed
form at every voxel, nowhere periodic, and never on disk. A process of its own registers the one on
the other, and brings every so-manieth block of its rows onto the other's grid; what a block takes
does not hang on how many there are. Memory is the process's largest, less what it has after
imports; the limit of a worker is 1 GB.

    python -m benchmarks larger [side] [1 of so many blocks of rows] [memory_mb]
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from benchmarks.harness import table
from tests import registered
from zeoarray.backend import single_threaded
from zeoarray.volume import grid, register, resample

Array = np.ndarray[Any, Any]

SIDE, SKIP = 1728, 9
MEMORY_MB = 512
"""What `register` may hold; a worker of 1 GB has room for it, for Python, and for a block."""
CHUNK = (32, 216, 216)
ROWS = 16
BALLS, RADIUS = 9000, (4.0, 16.0)
"""Of a volume of the full side; radii in voxels."""
TAIL = 3.5
"""A ball ends at so many radii."""
TRUTH = registered.similarity((0.8, -0.6, 2.5), (90.0, -70.0, 110.0), 1.002)
NOISE = 0.03


class Scan:
    """A volume that is computed where it is read."""

    def __init__(self, side: int, to_sample: Array, seed: int) -> None:
        rng = np.random.default_rng(5)
        self.shape, self.dtype, self.ndim = (side,) * 3, np.dtype(np.float32), 3
        scale = side / SIDE
        centre = rng.uniform(-0.5, 0.5, (BALLS, 3)) * side
        back = np.linalg.inv(to_sample)
        place = centre @ back[:3, :3].T + back[:3, 3] * scale
        self.centre = place[:, ::-1] + (side - 1) / 2
        self.radius = (
            rng.uniform(*RADIUS, BALLS)
            * max(scale, 0.4)
            / np.cbrt(np.linalg.det(to_sample[:3, :3]))
        )
        self.height = rng.uniform(0.3, 1, BALLS)
        self.noise = NOISE * np.random.default_rng(seed).normal(size=(67, 131, 257)).astype("f4")

    def __getitem__(self, box: tuple[slice, ...]) -> Array:
        low, high = (np.array([getattr(s, e) for s in box]) for e in ("start", "stop"))
        out = np.empty(high - low, np.float32)
        for axis0 in range(out.shape[0]):
            out[axis0] = self._noise(int(low[0]) + axis0, low[1:], out.shape[1:])
        reach = TAIL * self.radius[:, None]
        for n in np.flatnonzero(
            ((self.centre + reach > low) & (self.centre - reach < high)).all(1)
        ):
            c, r = self.centre[n], self.radius[n]
            first = np.maximum(np.ceil(c - TAIL * r), low).astype(int)
            past = np.minimum(np.floor(c + TAIL * r) + 1, high).astype(int)
            if (past <= first).any():
                continue
            z, y, x = (
                np.exp(-0.5 * ((np.arange(a, b) - m) / r) ** 2).astype(np.float32)
                for a, b, m in zip(first, past, c, strict=True)
            )
            part = tuple(slice(a - o, b - o) for a, b, o in zip(first, past, low, strict=True))
            out[part] += np.float32(self.height[n]) * z[:, None, None] * (y[:, None] * x)
        return out

    def _noise(self, row: int, low: Array, shape: tuple[int, ...]) -> Array:
        plane = self.noise[row % self.noise.shape[0]]
        return np.take(
            np.take(plane, np.arange(low[0], low[0] + shape[0]), axis=0, mode="wrap"),
            np.arange(low[1], low[1] + shape[1]), axis=1, mode="wrap",
        )  # fmt: skip

    def dataset(self) -> xr.Dataset:
        """As a node of a store: lazy, of voxels of 1 um."""
        um = {"units": "um"}
        place = np.arange(self.shape[0]) - (self.shape[0] - 1) / 2
        chunks = tuple(min(c, self.shape[0]) for c in CHUNK)
        values = da.from_array(self, chunks=chunks, asarray=False, name=False)
        return xr.Dataset(
            {"attenuation": (tuple("zyx"), values, {"units": "1/cm"})},
            {d: (d, place, um) for d in "zyx"} | {"resolution": ((), 1.0, um)},
        )


def peak_mb() -> float:
    """Largest resident memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(side: int, skip: int, memory_mb: int) -> dict[str, float]:
    """Figures of one process."""
    base = peak_mb()
    place = TRUTH.copy()
    place[:3, 3] *= side / SIDE
    fixed = Scan(side, np.eye(4), 1).dataset()
    moving = Scan(side, TRUTH, 2).dataset()
    begun = time.process_time()
    with single_threaded():
        found = register(moving, fixed=fixed, model="similarity", turn_deg=6.0, memory_mb=memory_mb)
        registered_at, seconds = peak_mb(), time.process_time() - begun
        off = registered.error(found["to_fixed"].values, place, fixed, moving)
        on, voxels, wrong = grid(fixed), 0, []
        begun = time.process_time()
        for first in range(0, side, ROWS * skip):
            block = on.isel(z=slice(first, first + ROWS))
            out = resample(block, volume=moving, registration=found).load()
            voxels += out["attenuation"].size
            valid = out["valid"].values
            wanted = fixed["attenuation"][first : first + 1].values[0][valid[0]]
            if valid[0].sum() > 1000:
                wrong.append(
                    float(np.corrcoef(out["attenuation"].values[0][valid[0]], wanted)[0, 1])
                )
    return {
        "volume_gb": 4 * side**3 / 1e9, "base": base, "register": registered_at - base,
        "register_s": seconds, "resample": peak_mb() - base, "voxels": voxels,
        "resample_s": time.process_time() - begun, "off": off,
        "predicted": float(found["predicted_rms"]), "correlation": float(np.min(wrong)),
    }  # fmt: skip


def main(side: int = SIDE, skip: int = SKIP, memory_mb: int = MEMORY_MB) -> str:
    """One row, by a process of its own."""
    call = [
        sys.executable,
        "-m",
        "benchmarks.bench_larger",
        "--measure",
        *map(str, (side, skip, memory_mb)),
    ]
    told = subprocess.run(call, check=True, capture_output=True, text=True).stdout
    m = json.loads(told.splitlines()[-1])
    share = 1000 * m["volume_gb"] / max(m["register"], m["resample"])
    row = [
        f"2 x {m['volume_gb']:.1f} GB", f"{m['register']:.0f} MB, {m['register_s']:.0f} s",
        f"{m['off']:.3f} um (predicted {m['predicted']:.3f})", f"{m['resample']:.0f} MB",
        f"{m['voxels'] / m['resample_s'] / 1e6:.1f} million voxels/s, 1 of {skip} blocks",
        f"{m['correlation']:.3f}", f"{share:.0f}", f"{m['base']:.0f} MB",
    ]  # fmt: skip
    head = [
        "volumes", "register, peak beyond imports", "error, voxels of 1 um",
        "peak with resample", "resample (made while read)", "least correlation",
        "one volume / peak", "imports",
    ]  # fmt: skip
    return table(head, [row])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*map(int, sys.argv[2:]))))
    else:
        print(main(*map(int, sys.argv[1:])))
