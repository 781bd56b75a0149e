"""Compressed diffraction frames to patterns in a store, beside decoding and integrating alone.

Frames of a Pilatus 2M (rings with Poisson noise, bitshuffle/LZ4, a chunk each) lie in one HDF5
file that the store refers to. Two processes. Decoding alone reads every block and drops it;
integrating alone runs the same kernel on frames in memory. The moving beam has a matrix for each
of its positions, which are few here, but have all their rotations each. Seconds by the clock of the
wall, and of the processor, as the machine may be shared; the least of the repeats. Memory is the
peak of all processes together, in a run of its own: to look is costly.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import psutil
from pyFAI.detectors import detector_factory
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from benchmarks import harness
from zeoarray import cluster, pipeline, xrdct
from zeoarray.backend import single_threaded
from zeoarray.chunks import format_bytes
from zeoarray.ingest import reference
from zeoarray.ingest.into import into_store

DETECTOR = "Pilatus CdTe 2M"
ROTATIONS, TRANSLATIONS = 80, int(os.environ.get("ZEO_TRANSLATIONS", "4"))
NPT, WORKERS, REPEATS = 5000, 2, 2
GIVEN = "npt: 5000, radial_range: [0.5, 5.0], normalize_by: monitor"
STAGES = """
zeoarray: 1
store: {store}
stages:
  - from: xrdct/a/scan
    into: xrdct/a/{name}
    {more}
    steps:
      - xrdct.integrate: {{{given}}}
"""


def write(folder: Path) -> Path:
    """A scan of the layout of DIAD, with its geometry beside it."""
    detector = detector_factory(DETECTOR)
    geometry = AzimuthalIntegrator(
        0.35, 0.14444, 0.12712, -0.0017, 0.0026, 0.0004, detector=detector, wavelength=5.39e-11
    )
    geometry.save(str(folder / "scan.poni"))
    q = geometry.center_array(detector.shape, unit="q_A^-1")
    mean = 4 * np.exp(-q) + sum(30 * np.exp(-(((q - p) / 0.01) ** 2)) for p in (1.1, 1.66, 2.4))
    rng = np.random.default_rng(0)
    some: list[Any] = [rng.poisson(mean).astype("int32") for _ in range(8)]
    path = folder / "scan.nxs"
    grid = (ROTATIONS, TRANSLATIONS)
    with h5py.File(path, "w") as file:
        frames = file.create_dataset(
            "entry/diffraction/data", (*grid, *detector.shape), "i4",
            chunks=(1, 1, *detector.shape), **hdf5plugin.Bitshuffle(cname="lz4"),
        )  # fmt: skip
        for number, place in enumerate(np.ndindex(*grid)):
            if number < len(some):
                frames[place] = some[number]
                stored = frames.id.read_direct_chunk((*place, 0, 0))[1]
                some[number] = stored
            else:
                frames.id.write_direct_chunk((*place, 0, 0), some[number % len(some)])
        angle = np.broadcast_to(np.arange(ROTATIONS)[:, None] * 360.0 / ROTATIONS, grid)
        u = np.broadcast_to((np.arange(TRANSLATIONS) - TRANSLATIONS / 2) * 0.025, grid)
        for name, values, unit in (("gts_cs_theta", angle, "deg"), ("kb_x", u, "mm")):
            file[f"entry/diffraction/{name}"] = values
            file[f"entry/diffraction/{name}"].attrs["units"] = unit
        file["entry/diffraction/monitor"] = np.linspace(1, 0.9, angle.size).reshape(grid)
    os.utime(path, (time.time() - 60,) * 2)
    return path


def decode(root: str, start: int, stop: int) -> int:
    """Read frames, sixteen at a time, and drop them."""
    with single_threaded():
        ds = reference.open_node(root, "xrdct/a/scan", chunked=False)
        total = 0
        for first in range(start, stop, 16):
            frames = ds["counts"].isel(frame=slice(first, min(first + 16, stop))).values
            total += int(frames[:, 0, 0].sum())
    return total


def compute(root: str, start: int, stop: int) -> tuple[float, float]:
    """Integrate sixteen frames in memory again and again; seconds without reading."""
    with single_threaded():
        ds = reference.open_node(root, "xrdct/a/scan", chunked=False).isel(frame=slice(0, 16))
        ds = ds.load()
        given: dict[str, Any] = {"npt": NPT, "radial_range": (0.5, 5.0), "normalize_by": "monitor"}
        xrdct.integrate(ds, **given)
        begun, before = time.perf_counter(), time.process_time()
        for _ in range(start, stop, 16):
            xrdct.integrate(ds, **given)
        return time.perf_counter() - begun, time.process_time() - before


def processor() -> float:
    """Seconds of the processor that this process and its children have taken."""
    me = psutil.Process()
    used = [p.cpu_times() for p in (me, *me.children(recursive=True))]
    return sum(one.user + one.system for one in used)


def measure(root: str) -> dict[str, Any]:
    """Everything in turn; the least of the repeats."""
    frames, half = ROTATIONS * TRANSLATIONS, ROTATIONS * TRANSLATIONS // WORKERS
    spans = [(i * half, min((i + 1) * half, frames)) for i in range(WORKERS)]
    wall: dict[str, float] = {}
    used: dict[str, float] = {}
    peaks: dict[str, int] = {}
    runs = {
        "resting": ("", GIVEN),
        "moving": (f"order: [z, u, angle]\n    block: {ROTATIONS}", f"{GIVEN}, moving: [u]"),
    }

    def least(name: str, clock: float, busy: float) -> None:
        wall[name] = min(clock, wall.get(name, clock))
        used[name] = min(busy, used.get(name, busy))

    def run(name: str, turn: int) -> None:
        more, given = runs[name]
        path = Path(root).parent / f"{name}.yaml"
        text = STAGES.format(store=root, name=f"{name}{turn}", more=more, given=given)
        path.write_text(text, encoding="utf-8")
        begun, before = time.perf_counter(), processor()
        pipeline.run(pipeline.read(path), executor=executor)
        if turn:
            least(name, time.perf_counter() - begun, processor() - before)

    with cluster.processes(WORKERS) as executor:
        for name in runs:
            memory = harness.PeakMemory()
            memory.start()
            run(name, 0)
            peaks[name] = memory.stop()
        for turn in range(1, REPEATS + 1):
            begun, before = time.perf_counter(), processor()
            for future in [executor.submit(decode, root, *span) for span in spans]:
                future.result()
            least("decode", time.perf_counter() - begun, processor() - before)
            futures = [executor.submit(compute, root, *span) for span in spans]
            found = np.array([future.result() for future in futures])
            least("integrate", found[:, 0].max(), found[:, 1].sum())
            for name in runs:
                run(name, turn)
    return {"wall": wall, "used": used, "peak": peaks}


def main() -> str:
    """Ratios of the pipeline to the slower of its parts, for a resting and a moving beam."""
    with tempfile.TemporaryDirectory() as place:
        folder, root = Path(place), str(Path(place) / "a.zarr")
        source = write(folder)
        options = {"poni": folder / "scan.poni", "beam_size": 25.0}
        into_store(source, root, "xrdct/a/scan", options, reference=True)
        found = harness.alone("benchmarks.bench_xrdct", root)
    count, rows = ROTATIONS * TRANSLATIONS, []
    for kind, clock in (("wall", "the wall"), ("used", "the processor")):
        seconds = found[kind]
        slower = max(seconds["decode"], seconds["integrate"])
        for name in ("decode", "integrate", "resting", "moving"):
            alone = name in ("decode", "integrate")
            rows.append([
                name + (" alone" if alone else ", whole pipeline"),
                clock,
                f"{seconds[name] / count * 1e3:.1f} ms",
                f"{seconds[name] / slower:.2f}x",
                "" if alone else f"{seconds[name] / seconds['resting']:.2f}x",
                "" if alone else format_bytes(found["peak"][name]),
            ])  # fmt: skip
    head = (f"{count} frames, {WORKERS} processes", "by the clock of", "a frame",
            "/ slower of the parts", "/ resting beam", "peak memory")  # fmt: skip
    return harness.table(head, rows)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
