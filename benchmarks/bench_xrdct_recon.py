"""All 5000 channels of an 80 x 40 sinogram to 40 x 40, beside loops of ASTRA and scikit-image.

The sinogram is that of lopsided ellipses over a full turn, in closed form, with a spectrum and
counting noise. One thread; seconds of the processor, as the machine may be shared. ASTRA (its FBP
on the CPU, with everything that can be made once made once) and scikit-image's ``iradon`` are
timed over some channels, the best of a few runs, where they are installed. Agreement is the root
mean square difference of the noise-free slices within 90 % of the circle, as a share of their
largest value, and beside it the error of each against the truth. The operator is kept for all
layers with one axis; both times are given.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import table
from tests import ellipses
from zeoarray.backend import single_threaded
from zeoarray.kernels import dense, dense_lines, dense_operators

Array = np.ndarray[Any, Any]
ANGLES, COLUMNS, HALF = 80, 40, 18.0
CHANNELS = int(os.environ.get("ZEO_CHANNELS", "5000"))
SAMPLE, REPEATS = 200, 3
CENTER = (COLUMNS - 1) / 2


def best(function: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, Any]:
    """Least processor time of a call, and what it gave."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        out = function()
        times.append(time.process_time() - start)
    return min(times), out


def sinogram(angle: Array) -> Array:
    """(angle, u): the mean over each position of the beam."""
    middle = 4 * (CENTER + 0.5) - 0.5
    fine = ellipses.project(ellipses.LOPSIDED, angle, 4 * COLUMNS, 4 * HALF, middle)
    return fine.reshape(angle.size, COLUMNS, 4).mean(axis=-1) / 4


def astra_loop(lines: Array, angle: Array) -> Callable[[], Array]:
    """FBP of one channel after the other, into the same arrays of ASTRA."""
    astra = importlib.import_module("astra")
    volume = astra.create_vol_geom(COLUMNS, COLUMNS)
    rays = astra.create_proj_geom("parallel", 1.0, COLUMNS, angle)
    projector = astra.create_projector("linear", rays, volume)
    source, target = astra.data2d.create("-sino", rays), astra.data2d.create("-vol", volume)
    config = astra.astra_dict("FBP")
    config |= {"ProjectorId": projector, "ProjectionDataId": source}
    config |= {"ReconstructionDataId": target, "FilterType": "Ram-Lak"}
    algorithm = astra.algorithm.create(config)

    def run() -> Array:
        out = np.empty((COLUMNS, COLUMNS, lines.shape[-1]), np.float32)
        for q in range(lines.shape[-1]):
            astra.data2d.store(source, lines[..., q])
            astra.algorithm.run(algorithm)
            out[..., q] = astra.data2d.get(target)
        return out

    return run


def skimage_loop(lines: Array, angle: Array) -> Callable[[], Array]:
    """``iradon`` of one channel after the other."""
    iradon = importlib.import_module("skimage.transform").iradon

    def run() -> Array:
        found = [
            iradon(lines[..., q].T, theta=np.rad2deg(angle), output_size=COLUMNS, circle=True)
            for q in range(lines.shape[-1])
        ]
        return np.stack(found, axis=-1)

    return run


def turned(image: Array, truth: Array) -> tuple[Array, float]:
    """The image in the orientation that fits best, and its error; peers have axes of their own."""
    y = np.arange(COLUMNS) - CENTER
    inside = np.hypot(y[:, None], y) <= 0.9 * COLUMNS / 2
    ways = [np.rot90(one, k) for one in (image, image.T) for k in range(4)]
    errors = [np.sqrt(np.mean((one - truth)[inside] ** 2)) / truth.max() for one in ways]
    return ways[int(np.argmin(errors))] * inside, float(min(errors))


def main() -> str:
    angle = np.arange(ANGLES) * 2 * np.pi / ANGLES
    clean = sinogram(angle)
    spectrum = 50 + 40 * np.sin(np.arange(CHANNELS) / 7.0)
    rng = np.random.default_rng(0)
    counts = rng.poisson(clean[..., None] * spectrum).astype(np.float32)
    truth = ellipses.sample(ellipses.LOPSIDED, (COLUMNS, COLUMNS), HALF)
    pure = clean[..., None].astype(np.float32)
    with single_threaded():
        # What is compiled is kept on disk: that is no part of either time.
        dense.filtered_backprojection(pure, angle + 1, center=CENTER)
        build, _ = best(lambda: dense_lines.lines_of(angle, width=COLUMNS, center=CENTER), 1)
        ours, made = best(lambda: dense.filtered_backprojection(counts, angle, center=CENTER))
        # The operator written down, which the variance needs.
        written, whole = best(
            lambda: dense_operators.backprojection(angle, width=COLUMNS, center=CENTER), 1
        )
        product, slow = best(lambda: whole.matrix @ counts.reshape(-1, CHANNELS))
        off = np.max(abs(made.reshape(-1, CHANNELS)[whole.pixels] - slow)) / np.ptp(slow)
        sigma, _ = best(lambda: dense.variance(counts, angle, center=CENTER))
        image, error = turned(
            dense.filtered_backprojection(pure, angle, center=CENTER)[..., 0], truth
        )
        total = build + ours
        rows = [
            ["zeoarray, operator built and applied", f"{total:.2f}", "1", "", f"{error:.4f}"],
            ["the same with the operator kept", f"{ours:.2f}", f"{ours / total:.2f}", "", ""],
            [
                f"one product with the operator written down (in {written:.2f} s)",
                *(f"{product:.2f}", f"{product / total:.2f}", f"{off:.0e} at most", ""),
            ],
            ["variance of all, exact, besides", f"{sigma:.2f}", f"{sigma / total:.2f}", "", ""],
        ]
        peers = {
            "a loop of ASTRA FBP, CPU": ("astra", astra_loop),
            "a loop of scikit-image iradon": ("skimage", skimage_loop),
        }
        for name, (package, make) in peers.items():
            if importlib.util.find_spec(package) is None:
                rows.append([name, "not installed", "", "", ""])
                continue
            count = min(SAMPLE, CHANNELS)
            seconds = best(make(np.ascontiguousarray(counts[..., :count]), angle))[0]
            seconds *= CHANNELS / count
            other, error = turned(make(pure, angle)()[..., 0], truth)
            apart = np.sqrt(np.mean((other - image)[image != 0] ** 2)) / truth.max()
            times = f"{seconds / total:.1f} ({seconds / ours:.1f} with it kept)"
            rows.append([name, f"{seconds:.1f}", times, f"{apart:.4f}", f"{error:.4f}"])
    head = [f"{ANGLES} x {COLUMNS} to {COLUMNS} x {COLUMNS}, {CHANNELS} channels, 1 thread",
            "s", "times ours", "RMS from ours", "RMS error"]  # fmt: skip
    return table(head, rows)


if __name__ == "__main__":
    print(main())
