"""Batches of shuffled 3-D patches, beside xbatcher, PyTorch, tensorstore and reading alone."""

from __future__ import annotations

import concurrent.futures as cf
import itertools
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tensorstore
import torch
import xarray as xr
import xbatcher
import zarr

import zeoarray.torch
from benchmarks.harness import FILES, drop_cache, table
from zeoarray import patches, store
from zeoarray.buffers import Buffers
from zeoarray.store import encode, shards

NBYTES = 3 << 29
"""Of the patches of one table row: epochs of seconds, beside which a worker's start is short."""
MOST = 3072
"""But not more patches than this: the slowest peer reads 40 a second."""
BATCH, WORKERS = 32, 2
SIDES = (32, 64, 128)
CODECS = {"none": ("lz4", 0), "LZ4": ("lz4", 5), "Zstandard": ("zstd", 3)}
NODE, NAME = "patches/one/fine", "attenuation"


@dataclass(frozen=True)
class Files:
    """The same patches as our store, as a volume in chunks of a patch, and as one raw file."""

    side: int
    codec: str

    @property
    def folder(self) -> Path:
        return FILES / "loader" / str(self.side)

    @property
    def ours(self) -> Path:
        return self.folder / f"{self.codec}.zarr"

    @property
    def volume(self) -> Path:
        return self.folder / f"{self.codec}-volume.zarr"

    @property
    def raw(self) -> Path:
        return self.folder / "raw"

    @property
    def count(self) -> int:
        return min(NBYTES // (4 * self.side**3), MOST)

    @property
    def nbytes(self) -> int:
        """Of the values of all patches."""
        return 4 * self.count * self.side**3

    def made(self) -> Files:
        """Write what is not there yet."""
        if self.volume.exists():
            return self
        values = grains(self.side, self.count)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.raw.exists():
            values.tofile(self.raw)
        cname, level = CODECS[self.codec]
        at = {n: ("patch", np.arange(self.count, dtype=float)) for n in ("z0", "y0", "x0")}
        cut = xr.Dataset(
            {NAME: (("patch", "channel", "z", "y", "x"), values[:, None])},
            {**at, "split": ("patch", np.full(self.count, "train"))},
        )
        with mock.patch.multiple(encode, CNAME=cname, CLEVEL=level):
            store.save(cut, self.ours, NODE)
        packed = [zarr.codecs.BloscCodec(cname=cname, clevel=level, shuffle="bitshuffle",
                                         typesize=4)]  # fmt: skip
        whole = xr.Dataset({NAME: (("z", "y", "x"), values.reshape(-1, *values.shape[2:]))})
        whole.to_zarr(self.volume, zarr_format=3, consolidated=False, encoding={
            NAME: {"chunks": (self.side,) * 3, "compressors": packed}})  # fmt: skip
        return self


def grains(side: int, count: int) -> np.ndarray:
    """(patch, z, y, x): a tomogram's values: grains of a few per cent, noise of a few more."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((count, side, side, side), np.float32)
    values *= 0.05
    for patch in values:
        patch += rng.normal(1, 0.05, (side // 8,) * 3).astype("f4").repeat(8, 0).repeat(
            8, 1).repeat(8, 2)  # fmt: skip
    return values


def ours_numpy(files: Files) -> Iterable[Any]:
    return patches.loader(files.ours, "patches/one", ["fine"], normalize=False, batch=BATCH,
                          threads=WORKERS)  # fmt: skip


def ours_torch(files: Files, workers: int = 0) -> Iterable[Any]:
    source = patches.loader(files.ours, "patches/one", ["fine"], normalize=False, batch=BATCH,
                            threads=WORKERS)  # fmt: skip
    return zeoarray.torch.loader(source, workers=workers)


def ours_processes(files: Files) -> Iterable[Any]:
    return ours_torch(files, WORKERS)


class Plain(torch.utils.data.Dataset[Any]):
    """What everyone writes: one patch of a zarr array for an index."""

    def __init__(self, path: Path) -> None:
        self.path, self.array = path, None

    def __len__(self) -> int:
        return int(self._opened().shape[0])

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self._opened()[index])

    def _opened(self) -> Any:
        self.array = self.array or zarr.open_array(self.path / NODE / NAME)
        return self.array


def plain(files: Files) -> Iterable[Any]:
    return torch.utils.data.DataLoader(
        Plain(files.ours), batch_size=BATCH, shuffle=True, num_workers=WORKERS
    )


class Generated(torch.utils.data.Dataset[Any]):
    """xbatcher's generator as a dataset, as its own documentation does it."""

    def __init__(self, path: Path, node: str | None, sizes: dict[str, int]) -> None:
        ds = xr.open_zarr(path, group=node, consolidated=False, chunks=None)
        self.generator = xbatcher.BatchGenerator(ds[[NAME]], input_dims=sizes)

    def __len__(self) -> int:
        return len(self.generator)

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.generator[index][NAME].values)


def theirs(files: Files) -> Iterable[Any]:
    """Xbatcher on the same store of patches."""
    sizes = {"patch": 1, "channel": 1} | dict.fromkeys("zyx", files.side)
    return torch.utils.data.DataLoader(
        Generated(files.ours, NODE, sizes), batch_size=BATCH, shuffle=True, num_workers=WORKERS
    )


def theirs_best(files: Files) -> Iterable[Any]:
    """Xbatcher on a volume whose chunks happen to be the patches, without shards."""
    sizes = dict.fromkeys("zyx", files.side)
    return torch.utils.data.DataLoader(
        Generated(files.volume, None, sizes), batch_size=BATCH, shuffle=True, num_workers=WORKERS
    )


def order(files: Files) -> list[np.ndarray]:
    rows = np.random.default_rng(0).permutation(files.count)
    return [rows[k : k + BATCH] for k in range(0, len(rows), BATCH)]


def by_tensorstore(files: Files) -> Iterator[Any]:
    """A batch as one request, the next one under way: as fast as the library is."""
    array = tensorstore.open(
        {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(files.ours / NODE / NAME)}},
        context=tensorstore.Context({"data_copy_concurrency": {"limit": WORKERS},
                                     "file_io_concurrency": {"limit": WORKERS}}),
        read=True,
    ).result()  # fmt: skip
    running: list[Any] = []
    for rows in order(files):
        running.append(array.oindex[rows].read())
        if len(running) > WORKERS:
            yield running.pop(0).result()
    for future in running:
        yield future.result()


def ahead(read: Callable[[np.ndarray], np.ndarray], files: Files) -> Iterator[np.ndarray]:
    """Batches by two threads; no more at once than the loader reads ahead."""
    with cf.ThreadPoolExecutor(WORKERS) as pool:
        running: list[cf.Future[np.ndarray]] = []
        for rows in order(files):
            running.append(pool.submit(read, rows))
            if len(running) > 2 * WORKERS:
                yield running.pop(0).result()
        for future in running:
            yield future.result()


def values_alone(files: Files, empty: Any = np.empty) -> Iterator[np.ndarray]:
    """The decoded values, as they lie in a file, in shuffled order into new arrays."""
    nbytes = 4 * files.side**3
    file = os.open(files.raw, os.O_RDONLY)

    def read(rows: np.ndarray) -> np.ndarray:
        out = empty((len(rows), nbytes), np.uint8)
        for place, row in enumerate(rows):
            os.preadv(file, [out[place]], int(row) * nbytes)
        return out

    yield from ahead(read, files)
    os.close(file)


def values_kept(files: Files) -> Iterator[np.ndarray]:
    """The same into memory that is used again, as the loader does it."""
    return values_alone(files, Buffers(4).empty)


def bytes_alone(files: Files) -> Iterator[np.ndarray]:
    """The bytes of the store, in the same order, into new arrays: nothing is decoded."""
    rows_of = shards.rows(files.ours, NODE, NAME)

    def read(rows: np.ndarray) -> np.ndarray:
        out = np.empty(len(rows) * (4 * files.side**3 + shards.HEADER), np.uint8)
        at = 0
        for row in rows:
            with rows_of.found(int(row)) as (file, offset, nbytes):
                at += os.preadv(file, [out[at : at + nbytes]], offset)
        return out

    yield from ahead(read, files)
    rows_of.close()


def seconds(
    make: Callable[[Files], Iterable[Any]], files: Files, cold: bool
) -> tuple[float, float]:
    """Of one epoch by the clock and of processors, the start of workers included."""
    if cold:
        drop_cache(files.folder)
    used, start = processors(), time.perf_counter()
    count = sum(1 for _ in make(files))
    if count != len(order(files)):
        raise RuntimeError(f"{files}: {count} batches")
    return time.perf_counter() - start, processors() - used


def processors() -> float:
    """Seconds that this process and its children that have ended used."""
    told = os.times()
    return told.user + told.system + told.children_user + told.children_system


MAKERS: dict[str, Callable[[Files], Iterable[Any]]] = {
    "values": values_alone,
    "kept": values_kept,
    "bytes": bytes_alone,
    "ours": ours_numpy,
    "torch": ours_torch,
    "processes": ours_processes,
    "tensorstore": by_tensorstore,
    "plain": plain,
    "xbatcher": theirs,
    "xbatcher-best": theirs_best,
}
RATIOS = ("values", "kept", "bytes", "tensorstore", "plain", "xbatcher", "xbatcher-best")
HEAD = ("patch", "codec", "cache", "values alone", "values alone, kept", "bytes alone",
        "NumPy loader", "torch, threads", "torch, processes", "tensorstore", "plain dataset",
        "xbatcher", "xbatcher, chunked volume", *(f"torch/{n}" for n in RATIOS))  # fmt: skip


def agrees(files: Files) -> bool:
    """Whether some batches hold what the raw file does."""
    true = np.memmap(files.raw, np.float32, "r").reshape(-1, 1, *(files.side,) * 3)
    return all(
        np.array_equal(np.asarray(batch["fine"]), true[np.asarray(batch["patch"])])
        for make in (ours_numpy, ours_torch, ours_processes)
        for batch in itertools.islice(make(files), 2)
    )


def row(files: Files, cold: bool) -> tuple[list[str], list[str]]:
    """Rates and their ratios; processor seconds."""
    # What lies beneath this machine may hold files too: let it be the same for the first and last.
    for file in (p for p in files.folder.rglob("*") if p.is_file()):
        if file == files.raw or files.codec in str(file.relative_to(files.folder)):
            file.read_bytes()
    both = {name: seconds(make, files, cold) for name, make in MAKERS.items()}
    took = {name: clock for name, (clock, _) in both.items()}
    rate = {name: files.nbytes / 1e6 / s for name, s in took.items()}
    ratios = [took[other] / took["torch"] for other in RATIOS]
    about = [f"{files.side}^3", files.codec, "cold" if cold else "warm"]
    cost = [f"{used / files.nbytes * 1e9:.2f}" for _, used in both.values()]
    return (
        [*about, *(f"{v:.0f}" for v in rate.values()), *(f"{v:.2f}" for v in ratios)],
        [*about, *cost],
    )


def main(sides: Iterable[int] = SIDES) -> str:
    rows = []
    for side in sides:
        for codec in CODECS:
            files = Files(side, codec).made()
            rows += [row(files, cold) for cold in (True, False)]
            if not agrees(files):
                raise RuntimeError(f"{files}: batches differ from what was written")
        shutil.rmtree(files.folder)
    rates, costs = zip(*rows, strict=True)
    return (
        ABOUT
        + table(HEAD, rates)
        + "\n\nProcessor seconds for a GB of values, which hang less on what else runs:\n\n"
        + table(HEAD[: -len(RATIOS)], costs)
    )


ABOUT = f"""Epochs of {NBYTES >> 20} MiB, but of {MOST} patches at the most, in batches of {BATCH},
shuffled, two workers each; the start of workers is counted. All rates are of values, that is of
decoded bytes, in MB/s. "Values alone": the decoded values read from a file in the same order by
two threads, into new arrays; "kept": into memory that is used again, which spares new pages, as
our loader does. "Bytes alone": the bytes that our store holds, read into new arrays and not
decoded. The plain dataset, tensorstore and xbatcher read our store of patches; "chunked volume"
is a store made for xbatcher, each of its chunks one patch. "none" is Blosc that stores values as
they are. Some batches of each row are compared with what was written.

"""


if __name__ == "__main__":
    print(main([int(s) for s in sys.argv[1:]] or SIDES))
