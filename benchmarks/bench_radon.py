"""Filtered back-projection beside ASTRA and algotom on the CPU: time and error.

1024 px and 1600 angles on one thread. The phantom is the Shepp-Logan, its sinograms in closed form:
once as a detector measures it (the mean over each pixel), once as lines through their middles.
Errors are against the mean of each pixel of the slice within 95 % of the circle. Lines through the
middles alias the sharp edges, which no detector does; peers that interpolate linearly smooth that
away, and so does our ``shepp-logan``. Seconds are of the processor, the best of a few runs, as the
machine may be shared. ``astra-toolbox`` and ``algotom`` are timed where they are installed. Last,
the peak of a process of its own beside what the kernel declares.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable
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


def ours(pair: Array, angle: Array) -> tuple[float, float, float, Array]:
    """Seconds of a slice, of the plan, of what FINUFFT and the FFTs take alone; and both slices."""

    def run() -> Array:
        return np.asarray(filtered_backprojection(pair, angle, center=(SIZE - 1) / 2))

    polar.forget()
    first, _ = best(run, 1)
    warm, found = best(run, 6)
    (plan,) = polar._KEPT.polar.values()
    spectra = np.ones((ANGLES, plan.period), np.complex64)
    floor = best(lambda: plan.image(spectra), 4)[0]
    for length, count in ((2 * SIZE, 2), (plan.period, 1)):
        rows = np.ones((64, length), np.complex64)
        floor += count * ANGLES / 64 * best(lambda rows=rows: scipy.fft.fft(rows), 4)[0]
    return warm / 2, max(first - warm, 0), floor / 2, found


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


def main() -> str:
    angle = np.linspace(0, np.pi, ANGLES, endpoint=False)
    fine = ellipses.project(
        ellipses.SHEPP_LOGAN, angle, FINE * SIZE, FINE * SIZE / 2, (FINE * SIZE - 1) / 2
    )
    lines = ellipses.project(ellipses.SHEPP_LOGAN, angle, SIZE, SIZE / 2, (SIZE - 1) / 2)
    pixels = fine.reshape(ANGLES, SIZE, FINE).mean(axis=-1) / FINE
    pair = np.stack([pixels, lines]).astype(np.float32)
    truth = ellipses.sample(ellipses.SHEPP_LOGAN, (SIZE, SIZE), SIZE / 2)
    with single_threaded():
        one, plan, floor, found = ours(pair, angle)
        amortised = one + plan / AMORTISED
        errors = [f"{error(image, truth):.4f}" for image in found]
        rows = [["zeoarray, ramp", f"{amortised:.3f}", "1", *errors]]
        smooth = filtered_backprojection(pair, angle, center=(SIZE - 1) / 2, filter="shepp-logan")
        errors = [f"{error(image, truth):.4f}" for image in smooth]
        rows.append(["zeoarray, shepp-logan", f"{amortised:.3f}", "1", *errors])
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
        "1024 px, 1600 angles, 1 thread",
        "s a slice",
        "times ours",
        "RMSE, pixels",
        "RMSE, lines",
    ]
    return (
        f"{table(head, rows)}\n\nA plan takes {plan:.2f} s, counted over {AMORTISED} slices. The "
        f"transforms alone (FINUFFT, and three FFTs of each row) take {floor:.3f} s a slice: "
        f"{amortised / floor:.2f} times that.\n\n{memory()}"
    )


if __name__ == "__main__":
    print(main())
