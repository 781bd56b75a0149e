"""Ingest of a 4 GB NXtomo file, beside reading the same dataset and writing it raw with fsync."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from benchmarks.harness import PeakMemory, alone, drop_cache, table
from zeoarray import cluster, store
from zeoarray.ingest.into import into_store

FRAMES, ROWS, COLUMNS = 1280, 648, 2560
DATA = "entry1/tomo_entry/data/data"
ROUNDS = 3


def make(path: Path) -> None:
    """An I13-2 file: a cylinder's shadow with counting noise, stored contiguously."""
    rng = np.random.default_rng(0)
    u = np.linspace(-1.2, 1.2, COLUMNS)
    mean = 30000 * np.exp(-1.2 * np.sqrt(np.clip(1 - u**2, 0, None)))
    noise = [rng.poisson(mean, (ROWS, COLUMNS)).astype("u2") for _ in range(4)]
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry1/tomo_entry")
        entry.attrs["NX_class"] = "NXsubentry"
        entry["definition"] = "NXtomo"
        data = entry.create_dataset("data/data", (FRAMES, ROWS, COLUMNS), "u2")
        for i in range(FRAMES):
            data[i] = np.roll(noise[i % 4], 37 * i % ROWS, axis=0)
        keys = np.zeros(FRAMES, "i4")
        keys[:20], keys[20:40] = 2, 1
        entry["instrument/detector/image_key"] = keys
        entry["data/rotation_angle"] = np.linspace(0, 180, FRAMES)
        entry["data/rotation_angle"].attrs["units"] = "deg"


def raw(source: Path, target: Path) -> float:
    drop_cache(source)
    start = time.perf_counter()
    with h5py.File(source, "r", locking=False) as file, open(target, "wb") as out:
        for i in range(0, FRAMES, 32):
            out.write(file[DATA][i : i + 32].data)
        out.flush()
        os.fsync(out.fileno())
    seconds = time.perf_counter() - start
    target.unlink()
    return seconds


def ours(source: Path, target: Path, workers: int) -> dict[str, float]:
    drop_cache(source)
    memory = PeakMemory()
    memory.start()
    start = time.perf_counter()
    with cluster.processes(workers) as executor:
        into_store(source, target, "xct/a/scan", {"pixel_size": "2.6 um"}, executor=executor,
                   in_flight=2 * workers)  # fmt: skip
    return {"seconds": time.perf_counter() - start, "peak": memory.stop()}


def read_back(root: Path) -> list[list[str]]:
    counts = store.open_node(root, "xct/a/scan", chunked=False)["counts"].variable
    frames, rows, _ = counts.shape
    out = []
    for state in ("cold", "warm"):
        rates = []
        for blocks in (
            [(slice(i, i + 16),) for i in range(0, frames, 16)],
            [(slice(None), slice(i, i + 8)) for i in range(0, rows, 8)],
        ):
            if state == "cold":
                drop_cache(root)
            start = time.perf_counter()
            nbytes = sum(counts[block].values.nbytes for block in blocks)
            rates.append(nbytes / (time.perf_counter() - start) / 1e6)
        if state == "cold":
            drop_cache(root)
        start = time.perf_counter()
        counts[frames // 2].values.sum()
        one = time.perf_counter() - start
        ratio = min(rates) / max(rates)
        out.append([state, f"{rates[0]:.0f}", f"{rates[1]:.0f}", f"{ratio:.2f}", f"{one:.2f} s"])
    return out


def main() -> str:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "169068.nxs"
        make(source)
        rows = []
        for turn in range(ROUNDS):
            base = raw(source, Path(folder) / "raw.bin")
            row: list[object] = [turn + 1, f"{base:.1f} s"]
            for workers in (1, 2):
                target = Path(folder) / "a.zarr"
                got = alone("benchmarks.bench_ingest", source, target, workers)
                row += [f"{base / got['seconds']:.2f}", f"{got['peak'] / 1e6:.0f} MB"]
                if (turn, workers) != (ROUNDS - 1, 2):
                    for place in (target, Path(f"{target}.ledger")):
                        shutil.rmtree(place)
            rows.append(row)
        written = sum(p.stat().st_size for p in target.rglob("*") if p.is_file())
        text = table(
            [
                "round",
                "raw copy",
                "1 process: raw / ours",
                "peak",
                "2 processes: raw / ours",
                "peak",
            ],
            rows,
        )
        text += f"\n\nStored in {written / source.stat().st_size:.2f} of the source's bytes.\n\n"
        text += "Reading back by blocks one chunk thick, MB/s of values:\n\n"
        head = ["cache", "projections", "sinograms", "slower / faster", "one projection"]
        return text + table(head, read_back(target))


if __name__ == "__main__":
    print(json.dumps(ours(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))
