"""Lossless compression of real frames: ratio and speed, one thread, by codec and shuffle."""

from __future__ import annotations

import time
from pathlib import Path

import fabio
import h5py
import numpy as np
import tifffile
from numcodecs import blosc

from benchmarks.harness import table

REAL = Path(__file__).parents[2] / "shared" / "data"


def frames() -> dict[str, np.ndarray]:
    """Real frames where they lie beside the project; synthetic ones always."""
    rng = np.random.default_rng(0)
    mean = 20000 * np.exp(-np.linspace(0, 1, 2560))
    found = {"synthetic projections u2": rng.poisson(mean, (8, 64, 2560)).astype("u2")}
    if REAL.is_dir():
        tiffs = sorted((REAL / "i13_xct/tiffs").glob("*.tiff"))
        found["I13 projections u2"] = np.stack([tifffile.imread(p) for p in tiffs])
        with h5py.File(REAL / "diad_xct/k11-18014/k11-18014-imaging.h5", locking=False) as file:
            found["DIAD projections u2"] = file["entry/detector/detector"][1000:1500]
        found["CeO2 rings, Pilatus i4"] = fabio.open(str(REAL / "ceo2_pilatus/CeO2.cbf")).data
    return found


def main() -> str:
    blosc.set_nthreads(1)
    rows = []
    for name, values in frames().items():
        values = np.ascontiguousarray(values)
        repeats = max(1, int(3e7 / values.nbytes))
        for codec, level in (("lz4", 1), ("lz4", 5), ("zstd", 1), ("zstd", 3)):
            for shuffle, kind in ((blosc.SHUFFLE, "byte"), (blosc.BITSHUFFLE, "bit")):
                start = time.perf_counter()
                for _ in range(repeats):
                    packed = blosc.compress(values, codec.encode(), level, shuffle, 0)
                middle = time.perf_counter()
                for _ in range(repeats):
                    blosc.decompress(packed)
                end = time.perf_counter()
                rate = values.nbytes * repeats / 1e6
                rows.append(
                    [name, f"{codec} {level} {kind}", f"{values.nbytes / len(packed):.2f}",
                     f"{rate / (middle - start):.0f}", f"{rate / (end - middle):.0f}"]
                )  # fmt: skip
    return table(["frames", "codec", "ratio", "write MB/s", "read MB/s"], rows)
