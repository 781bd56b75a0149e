"""Batches of shuffled 3-D patches, beside xbatcher and a plain PyTorch dataset over zarr-python."""

from __future__ import annotations

import concurrent.futures as cf
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
import xbatcher
import zarr

import zeoarray.torch
from benchmarks.harness import FILES, drop_cache, table
from zeoarray import patches, store
from zeoarray.store import encode

NBYTES = 1 << 28
"""Of the patches of one table row."""
BATCH, WORKERS = 32, 2
CODECS = {"LZ4": ("lz4", 5), "Zstandard": ("zstd", 3), "none": ("lz4", 0)}


def volume_of(side: int, count: int) -> xr.Dataset:
    """A tomogram's values: grains of a few per cent, noise of a few more."""
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(1, 0.05, (count * side // 8, side // 8, side // 8)), 8, axis=0)
    values = values.repeat(8, axis=1).repeat(8, axis=2)
    values = (values + 0.05 * rng.standard_normal(values.shape, np.float32)).astype(np.float32)
    um = {"units": "um"}
    axes = {d: (d, np.arange(n, dtype=float), um)
            for d, n in zip("zyx", values.shape, strict=True)}  # fmt: skip
    return xr.Dataset({"attenuation": (("z", "y", "x"), values, {"units": "1/cm"})},
                      {**axes, "resolution": ((), 1.0, um)})  # fmt: skip


def stores(side: int, codec: str) -> tuple[Path, Path, Path]:
    """The same patches as our store, as a volume in chunks of a patch, and as one raw file."""
    folder = FILES / "loader" / f"{codec}-{side}"
    ours, theirs, raw = folder / "ours.zarr", folder / "volume.zarr", folder / "raw"
    if not raw.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        volume = volume_of(side, NBYTES // (4 * side**3))
        places = patches.place(volume, size=float(side), threshold=-9.0, splits={"train": 1.0})
        cut = patches.extract(places, volume=volume)
        encode.CNAME, encode.CLEVEL = CODECS[codec]  # type: ignore[misc]
        store.save(cut, ours, "patches/one/fine")
        packed = [zarr.codecs.BloscCodec(cname=encode.CNAME, clevel=encode.CLEVEL,
                                         shuffle="bitshuffle", typesize=4)]  # fmt: skip
        volume.to_zarr(theirs, zarr_format=3, consolidated=False, encoding={
            "attenuation": {"chunks": (side, side, side), "compressors": packed}})  # fmt: skip
        raw.write_bytes(cut["attenuation"].values.tobytes())
    return ours, theirs, raw


def ours_numpy(path: Path, side: int) -> Iterable[Any]:
    return patches.loader(path, "patches/one", ["fine"], normalize=False, batch=BATCH,
                          threads=WORKERS)  # fmt: skip


def ours_torch(path: Path, side: int) -> Iterable[Any]:
    source = patches.loader(path, "patches/one", ["fine"], normalize=False, batch=BATCH)
    return zeoarray.torch.loader(source, workers=WORKERS)


class Plain(torch.utils.data.Dataset[Any]):
    """What everyone writes: one patch of a zarr array for an index."""

    def __init__(self, path: Path) -> None:
        self.path, self.array = path, None

    def __len__(self) -> int:
        return int(self._opened().shape[0])

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self._opened()[index])

    def _opened(self) -> Any:
        self.array = self.array or zarr.open_array(self.path / "patches/one/fine/attenuation")
        return self.array


def plain(path: Path, side: int) -> Iterable[Any]:
    return torch.utils.data.DataLoader(
        Plain(path), batch_size=BATCH, shuffle=True, num_workers=WORKERS
    )


class Generated(torch.utils.data.Dataset[Any]):
    """xbatcher's generator as a dataset, as its own documentation does it."""

    def __init__(self, path: Path, side: int) -> None:
        ds = xr.open_zarr(path, consolidated=False, chunks=None)
        self.generator = xbatcher.BatchGenerator(
            ds[["attenuation"]], input_dims=dict.fromkeys("zyx", side)
        )

    def __len__(self) -> int:
        return len(self.generator)

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.generator[index]["attenuation"].values)


def theirs(path: Path, side: int) -> Iterable[Any]:
    return torch.utils.data.DataLoader(
        Generated(path, side), batch_size=BATCH, shuffle=True, num_workers=WORKERS
    )


def raw(path: Path, side: int) -> Iterable[Any]:
    """The same bytes in the same order, as they lie in a file."""
    nbytes = 4 * side**3
    rows = np.random.default_rng(0).permutation(NBYTES // nbytes)
    file = os.open(path, os.O_RDONLY)

    def read(part: np.ndarray) -> np.ndarray:
        out = np.empty((len(part), nbytes), np.uint8)
        for place, row in enumerate(part):
            os.preadv(file, [out[place]], int(row) * nbytes)
        return out

    with cf.ThreadPoolExecutor(WORKERS) as pool:
        parts = [rows[k : k + BATCH] for k in range(0, len(rows), BATCH)]
        # No more at once than the loader reads ahead.
        for k in range(0, len(parts), 2 * WORKERS):
            yield from pool.map(read, parts[k : k + 2 * WORKERS])
    os.close(file)


def rate(make: Callable[[Path, int], Iterable[Any]], path: Path, side: int, cold: bool) -> float:
    """MB/s of one epoch, the start of workers included."""
    if cold:
        drop_cache(path)
    batches = iter(make(path, side))
    start = time.perf_counter()
    count = sum(1 for _ in batches)
    if not count:
        raise RuntimeError(f"{path}: no batches")
    return NBYTES / 1e6 / (time.perf_counter() - start)


def main() -> str:
    rows = []
    for side, codec in itertools.product((32, 64, 128), CODECS):
        ours, volume, file = stores(side, codec)
        for state in ("cold", "warm"):
            found = {
                name: rate(make, path, side, state == "cold")
                for name, make, path in (
                    ("raw", raw, file),
                    ("ours", ours_numpy, ours),
                    ("torch", ours_torch, ours),
                    ("plain", plain, ours),
                    ("xbatcher", theirs, volume),
                )
            }
            rows.append(
                [f"{side}^3", codec, state, *(f"{v:.0f}" for v in found.values()),
                 f"{found['ours'] / found['raw']:.2f}", f"{found['ours'] / found['plain']:.1f}",
                 f"{found['ours'] / found['xbatcher']:.1f}",
                 f"{found['torch'] / found['plain']:.1f}"]
            )  # fmt: skip
        shutil.rmtree(FILES / "loader" / f"{codec}-{side}")
    head = ["patch", "codec", "cache", "raw MB/s", "NumPy loader", "torch loader", "plain dataset",
            "xbatcher", "ours/raw", "ours/plain", "ours/xbatcher", "torch/plain"]  # fmt: skip
    same = f"Epochs of {NBYTES >> 20} MiB, batches of {BATCH}, {WORKERS} workers, shuffled.\n\n"
    return same + table(head, rows)


if __name__ == "__main__":
    print(main())
