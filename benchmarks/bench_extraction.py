"""20,000 matched pairs cut from a volume ten times as large as the memory of a worker.

One worker cuts patches of 32^3 voxels, and what a coarser camera would have seen of them. Beside
it reading alone: every byte that the volume's store holds; and the least that any extraction does:
read and decode every chunk once, compress and write the same patches.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from benchmarks import harness, worker_memory
from zeoarray import pipeline, schema, store
from zeoarray.chunks import format_bytes
from zeoarray.pipeline import plans, stages, work
from zeoarray.store import durable, encode

MEMORY = 512 << 20
"""Of a worker."""
SHAPE = (1072, 1120, 1120)
PAIRS = 20_000
HERE = harness.FILES / "extraction"
VOLUME = "xct/fine/volume"
STAGES = f"""
zeoarray: 1
store: {{store}}
stages:
  - measure: patches.place
    from: {VOLUME}
    into: patches/sr/places
    with:
      {{{{size: 32.0, support: 9.0, count: {PAIRS}, threshold: 0.0, along: y,
        splits: {{{{train: 0.6, test: 0.4}}}}}}}}
  - from: patches/sr/places
    into: patches/sr/fine
    steps:
      - patches.extract: {{{{volume: {VOLUME}}}}}
  - from: patches/sr/places
    into: patches/sr/coarse
    steps:
      - patches.extract: {{{{volume: {VOLUME}, voxel: 3.2, psf: 1.6}}}}
"""


def made() -> Path:
    """A volume of noise with eight bits, so that it is a quarter of its size on disk."""
    path = HERE / "s.zarr"
    if not path.exists():
        rng = np.random.default_rng(0)
        tile = 0.5 + rng.integers(0, 256, (16, *SHAPE[1:])).astype(np.float32) / 256

        def rows(block_info: Any = None) -> np.ndarray:
            return np.roll(tile, 37 * block_info[None]["chunk-location"][0], axis=2)

        chunks = ((16,) * (SHAPE[0] // 16), *((n,) for n in SHAPE[1:]))
        values = da.map_blocks(rows, dtype=np.float32, chunks=chunks)
        axes = {d: (d, np.arange(n) - (n - 1) / 2) for d, n in zip("zyx", SHAPE, strict=True)}
        ds = xr.Dataset({"attenuation": (tuple("zyx"), values)}, axes | {"resolution": 1.0})
        store.save(schema.describe(ds, schema.VOLUME_XCT), path, VOLUME)
    return path


def reading(path: Path) -> float:
    """Seconds to read the volume's files, and nothing else."""
    files = sorted(p for p in (path / VOLUME / "attenuation").rglob("*") if p.is_file())
    memory = memoryview(bytearray(1 << 24))
    start = time.perf_counter()
    for file in files:
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(memory):
                pass
    return time.perf_counter() - start


def least(path: Path) -> float:
    """Seconds to decode every chunk once, and to compress and write the patches."""
    volume = store.open_node(path, VOLUME, chunked=False)["attenuation"]
    folder = HERE / "least"
    start = time.perf_counter()
    for k in range(0, SHAPE[0], 16):
        _ = volume.isel(z=slice(k, k + 16)).values
    took = time.perf_counter() - start
    for name in ("fine", "coarse"):
        patches = store.open_node(path, f"patches/sr/{name}", chunked=False)["attenuation"]
        array = encode.sharded(patches.variable, "attenuation")
        for k in range(0, patches.sizes["patch"], 64):
            block = patches.isel(patch=slice(k, k + 64)).values
            start = time.perf_counter()
            durable.write(folder / f"{name}-{k}", encode.shard(block, array))
            took += time.perf_counter() - start
    shutil.rmtree(folder)
    return took


def cut(path: str, number: int) -> dict[str, float]:
    """Peak of a worker beyond what it held before its first block; the plan's figure; blocks."""
    loaded = pipeline.read(path)
    checked = pipeline.check(loaded)[number]
    (segment,) = checked.segments
    source = str(checked.stage.source)
    folder = HERE / "one"
    blocks = stages.work_of(loaded, segment, source, str(folder))
    work.run_block(blocks, stages.block_of(segment, 0))  # what is imported is no part of a block
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = worker_memory.status("VmRSS")
    for index in range(1, min(segment.blocks, 60)):
        work.run_block(blocks, stages.block_of(segment, index))
    shutil.rmtree(folder)
    return {"measured": worker_memory.status("VmHWM") - before, "plan": plans.memory_of(segment)}


def timed(path: str) -> dict[str, float]:
    """Seconds of each stage in a process of its own, and its peak memory as a whole."""
    begun, ended = {}, {}

    def tell(node: str, done: int, total: int) -> None:
        begun.setdefault(node, time.perf_counter())
        ended[node] = time.perf_counter()

    loaded = pipeline.read(path)
    start = time.perf_counter()
    pipeline.plan(loaded, memory=MEMORY)
    pipeline.run(loaded, progress=tell)
    took = {f"seconds of {n}": ended[n] - begun[n] for n in ended}
    return took | {"all": time.perf_counter() - start, "peak": worker_memory.status("VmHWM")}


def main() -> str:
    path, text = made(), HERE / "patches.yaml"
    text.write_text(STAGES.format(store=path), encoding="utf-8")
    shutil.rmtree(path / "patches", ignore_errors=True)
    for folder in path.parent.glob("s.zarr.*/patches"):
        shutil.rmtree(folder)
    harness.drop_cache(path / VOLUME)
    cold = reading(path)
    harness.drop_cache(path / VOLUME)
    run = harness.alone("benchmarks.bench_extraction", "timed", text)
    bare = least(path)
    stored = sum(p.stat().st_size for p in (path / VOLUME).rglob("*") if p.is_file())
    nbytes = 4 * np.prod(SHAPE)
    pairs = store.open_node(path, "patches/sr/places").sizes["patch"]
    rows = [
        ["reading all that the store of the volume holds, cold", cold, ""],
        ["decoding it once, writing the patches", bare, ""],
    ]
    for name, took in run.items():
        if name.startswith("seconds"):
            rows.append([name.removeprefix("seconds of "), took, f"{cold / took:.2f}"])
    both = sum(v for n, v in run.items() if n.endswith(("/fine", "/coarse")))
    rows.append(["both", both, f"{cold / both:.2f}"])
    peaks = [harness.alone("benchmarks.bench_extraction", "cut", text, n) for n in (1, 2)]
    said = ", ".join(f"{format_bytes(int(p['measured']))} of {format_bytes(int(p['plan']))} planned"
                     for p in peaks)  # fmt: skip
    volume, limit = format_bytes(int(nbytes)), format_bytes(MEMORY)
    about = (
        f"{pairs} pairs of a volume of {volume} ({format_bytes(stored)} stored), "
        f"{nbytes / MEMORY:.1f} times the {limit} of a worker. Peak of the whole process: "
        f"{format_bytes(int(run['peak']))}, Python and libraries included; of blocks, fine and "
        f"coarse: {said}. Both stages together take {both / bare:.2f} times the least.\n\n"
    )
    head = ["what", "seconds", "MB/s of the volume", "share of reading"]
    return about + harness.table(
        head, [[n, f"{t:.1f}", f"{nbytes / 1e6 / t:.0f}", s] for n, t, s in rows]
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["timed"]:
        print(json.dumps(timed(sys.argv[2])))
    elif sys.argv[1:2] == ["cut"]:
        print(json.dumps(cut(sys.argv[2], int(sys.argv[3]))))
    else:
        print(main())
