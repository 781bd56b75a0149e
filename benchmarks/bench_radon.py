"""Filtered back-projection beside ASTRA and algotom on the CPU, and beside its own transforms.

First 1024 px and 1600 angles on one thread. The phantom is the Shepp-Logan, its sinograms in closed
form: once as a detector measures it (the mean over each pixel), once as lines through their
middles, which alias the sharp edges as no detector does. Errors are against the mean of each pixel
of the slice within 95 % of the circle. Seconds are of the processor, the best of a few runs, as the
machine may be shared. ``astra-toolbox`` and ``algotom`` are timed where they are installed.

Then 2560 px and 4000 angles. The floor is what the same plan of FINUFFT and the FFTs of all rows
take by themselves, measured in turns with the whole. Two workers are two threads that take pairs of
slices from one queue. Last, the peak of a process of its own beside what
the kernel declares.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.fft

from benchmarks.harness import alone, table
from tests import ellipses
from zeoarray.backend import single_threaded
from zeoarray.kernels import polar
from zeoarray.kernels.radon import filtered_backprojection

Array = np.ndarray[Any, Any]
SIZE, ANGLES = 1024, 1600
LARGE, SLICES = (2560, 4000), 16
AMORTISED = 64
FINE = 4


def best(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Least processor time of a call, and what it gave."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        out = function()
        times.append(time.process_time() - start)
    return min(times), out


def error(found: Array, truth: Array) -> float:
    """Root mean square error, for the orientation that fits best."""
    size = truth.shape[0]
    y = np.arange(size) - (size - 1) / 2
    disc = np.hypot(y[:, None], y) <= 0.95 * size / 2
    turned = [np.rot90(one, k) for one in (found, found.T) for k in range(4)]
    return float(min(np.sqrt(np.mean((one - truth)[disc] ** 2)) for one in turned))


def astra_fbp(sinogram: Array, angle: Array) -> Callable[[], Array]:
    astra = importlib.import_module("astra")
    volume = astra.create_vol_geom(SIZE, SIZE)
    rays = astra.create_proj_geom("parallel", 1.0, SIZE, angle)
    projector = astra.create_projector("linear", rays, volume)
    source = astra.data2d.create("-sino", rays, sinogram)
    target = astra.data2d.create("-vol", volume)
    config = astra.astra_dict("FBP")
    config |= {"ProjectorId": projector, "ProjectionDataId": source}
    config |= {"ReconstructionDataId": target, "FilterType": "Ram-Lak"}
    algorithm = astra.algorithm.create(config)

    def run() -> Array:
        astra.algorithm.run(algorithm)
        return np.asarray(astra.data2d.get(target))

    return run


def algotom(method: str, sinogram: Array, angle: Array) -> Callable[[], Array]:
    module = importlib.import_module("algotom.rec.reconstruction")
    importlib.import_module("numba").set_num_threads(1)
    options: dict[str, Any] = {"angles": angle, "filter_name": None, "apply_log": False, "ncore": 1}
    if method == "fbp":
        options["gpu"] = False
    function = getattr(module, f"{method}_reconstruction")
    return lambda: np.asarray(function(sinogram, (SIZE - 1) / 2, **options))


class Ours:
    """Our reconstruction of pairs of slices, and what it cannot do without, in one geometry."""

    def __init__(self, pair: Array, angle: Array) -> None:
        self.pair, self.angle = pair, angle
        polar.forget()
        first, self.found = best(self.run, 1)
        self.plan = max(first - best(self.run, 2)[0], 0)
        (kept,) = polar._KEPT.polar.values()
        self._spectra = np.ones(kept.turn.size, np.complex64)
        self._execute = kept._plan(1).execute
        padded = polar.fast_length(max(2 * pair.shape[-1] + 1, kept.period))
        # Forth and back to filter, and forth once more.
        self._rows = [
            (np.ones((64, n), np.complex64), k) for n, k in ((padded, 2), (kept.period, 1))
        ]

    def run(self, pairs: int = 1) -> Array:
        """Slices of as many pairs. They are the same two over and over, larger than any cache."""
        stack = np.broadcast_to(self.pair, (pairs, *self.pair.shape))
        center = (self.pair.shape[-1] - 1) / 2
        return np.asarray(filtered_backprojection(stack, self.angle, center=center)[0])

    def floor(self) -> float:
        """Seconds of a slice in FINUFFT, with the same plan, and in the FFTs of all rows."""
        total = best(lambda: self._execute(self._spectra), 1)[0]
        for rows, count in self._rows:
            one = best(lambda rows=rows: scipy.fft.fft(rows), 3)[0]
            total += count * self.angle.size / len(rows) * one
        return total / 2

    def transform(self, pairs: int) -> None:
        """FINUFFT alone, with the plan of the thread that this was made in."""
        for _ in range(pairs):
            self._execute(self._spectra)


def clocks(function: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the wall, and of the processor in all threads."""
    wall, processor = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - processor


def large(slices: int = SLICES, turns: int = 3) -> str:
    """2560 px and 4000 angles: beside the floor, linear in slices, and by two workers."""
    angle = np.linspace(0, np.pi, LARGE[1], endpoint=False)
    pair = np.random.default_rng(0).random((2, LARGE[1], LARGE[0]), dtype=np.float32)
    floor, two, all_, both = [], [], [], []
    with single_threaded(), ThreadPoolExecutor(2) as pool:
        mine = Ours(pair, angle)
        # Each worker makes its plan first; it waits for the other, or one might make both.
        ready = threading.Barrier(2)
        list(pool.map(lambda _: (ready.wait(), mine.run()), range(2)))
        for _ in range(turns):
            floor.append(mine.floor())
            two.append(clocks(mine.run)[1] / 2)
            all_.append(clocks(lambda: mine.run(slices // 2)))
            # As one worker does it: each calls once, for its half of them.
            both.append(clocks(lambda: list(pool.map(lambda _: mine.run(slices // 4), range(2)))))
    polar.forget()
    limit = _two_at_once(pair, angle, slices // 2, turns)
    wall, processor = (min(times) for times in zip(*all_, strict=True))
    of_two, by_two = (min(times) for times in zip(*both, strict=True))
    least, each = min(floor), processor / slices
    rows = [
        ["FINUFFT and the FFTs alone", f"{least:.3f}", ""],
        [f"{slices} slices, 1 worker", f"{each:.3f}", f"{each / least:.2f} times the floor"],
        ["2 slices, 1 worker", f"{min(two):.3f}", f"{min(two) / each:.2f} of that"],
        [f"{slices} slices, 2 workers", f"{by_two / slices:.3f}",
         f"{wall / of_two:.2f} times as fast by the clock of the wall"],
        ["FINUFFT alone, 2 workers", "", f"{limit:.2f} times as fast: what the machine gives"],
    ]  # fmt: skip
    head = [f"{LARGE[0]} px, {LARGE[1]} angles", "s of the processor a slice", ""]
    return f"{table(head, rows)}\n\nA plan takes {mine.plan:.2f} s."


def _two_at_once(pair: Array, angle: Array, pairs: int, turns: int) -> float:
    """How much faster two threads transform than one: cores share memory and caches."""
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        pools = (one, other)
        ours = [pool.submit(Ours, pair, angle).result() for pool in pools]

        def run(counts: tuple[int, ...]) -> None:
            given = zip(pools, ours, counts, strict=False)
            for done in [pool.submit(mine.transform, count) for pool, mine, count in given]:
                done.result()

        alone_, both = [], []
        for _ in range(turns):
            alone_.append(clocks(lambda: run((pairs,)))[0])
            both.append(clocks(lambda: run((pairs // 2, pairs - pairs // 2)))[0])
        for pool in pools:
            pool.submit(polar.forget).result()
    return min(alone_) / min(both)


def memory() -> str:
    """Peak memory beside what is declared, as a table."""
    rows = []
    for columns, angles in ((512, 400), (2560, 4000)):
        for slices in (1, 2, 16):
            found = alone(
                "benchmarks.radon_memory", "filtered_backprojection", columns, angles, slices
            )
            size = f"{columns} px, {angles} angles, {slices} slices"
            numbers = [f"{found[k] / 1e6:.0f} MB" for k in ("peak", "declared")]
            rows.append([size, *numbers, f"{found['share']:.2f}"])
    return table(["filtered back-projection", "peak", "declared", "share"], rows)


def small() -> str:
    """1024 px and 1600 angles, beside the peers."""
    angle = np.linspace(0, np.pi, ANGLES, endpoint=False)
    fine = ellipses.project(
        ellipses.SHEPP_LOGAN, angle, FINE * SIZE, FINE * SIZE / 2, (FINE * SIZE - 1) / 2
    )
    lines = ellipses.project(ellipses.SHEPP_LOGAN, angle, SIZE, SIZE / 2, (SIZE - 1) / 2)
    pixels = fine.reshape(ANGLES, SIZE, FINE).mean(axis=-1) / FINE
    pair = np.stack([pixels, lines]).astype(np.float32)
    truth = ellipses.sample(ellipses.SHEPP_LOGAN, (SIZE, SIZE), SIZE / 2)
    with single_threaded():
        mine = Ours(pair, angle)
        both = [(best(mine.run, 1)[0] / 2, mine.floor()) for _ in range(6)]
        one, floor = (min(times) for times in zip(*both, strict=True))
        amortised = one + mine.plan / AMORTISED
        errors = [f"{error(image, truth):.4f}" for image in mine.found]
        rows = [["zeoarray", f"{amortised:.3f}", "1", *errors]]
        peers = {
            "ASTRA FBP": ("astra", astra_fbp),
            "algotom FBP": ("algotom", lambda s, a: algotom("fbp", s, a)),
            "algotom DFI": ("algotom", lambda s, a: algotom("dfi", s, a)),
        }
        for name, (package, make) in peers.items():
            if importlib.util.find_spec(package) is None:
                rows.append([name, "not installed", "", "", ""])
                continue
            # What is compiled is compiled in the first run.
            runs = [best(make(sinogram, angle), 1) for sinogram in pair]
            seconds = min(run[0] for run in runs)
            errors = [f"{error(image, truth):.4f}" for _, image in runs]
            rows.append([name, f"{seconds:.3f}", f"{seconds / amortised:.0f}", *errors])
    head = [
        f"{SIZE} px, {ANGLES} angles, 1 thread",
        "s a slice",
        "times ours",
        "RMSE, pixels",
        "RMSE, lines",
    ]
    return (
        f"{table(head, rows)}\n\nA plan takes {mine.plan:.2f} s, counted over {AMORTISED} slices. "
        f"FINUFFT and the FFTs alone take {floor:.3f} s a slice; the whole takes "
        f"{one / floor:.2f} times that."
    )


def main() -> str:
    return "\n\n".join((small(), large(), memory()))


if __name__ == "__main__":
    print(main())
