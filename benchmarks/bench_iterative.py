"""SIRT, CGLS, MLEM and OSEM beside ASTRA on the CPU: time of an iteration, and what is reached.

512 px and 180 angles on one thread; seconds are of the processor. ``astra-toolbox`` is timed where
it is installed. SIRT: residuals of both are measured with the same projector, ours. MLEM: ASTRA has
none on the CPU, so its time is that of the same work, one projection and one back-projection with
its own 'linear' projector, which is Joseph's too: both are run in the same MLEM loop, and their
slices compared. Then what diffraction has: many small slices of one geometry, beside the product
with the dense operator.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import table
from tests import ellipses
from zeoarray.backend import single_threaded
from zeoarray.kernels.expectation import mlem, osem
from zeoarray.kernels.iterative import cgls, sirt
from zeoarray.kernels.projector import matrix
from zeoarray.kernels.projector import project as joseph
from zeoarray.kernels.radon import disc, project
from zeoarray.kernels.rays import LANES

Array = np.ndarray[Any, Any]
SIZE, ANGLES, ITERATIONS, PEERS = 512, 180, 100, 20
CENTER = (SIZE - 1) / 2
SMALL, DIRECTIONS, CHANNELS = 40, 80, 5000


def residual(image: Array, sinogram: Array, angle: Array) -> float:
    difference = sinogram - project(image, angle, size=SIZE, center=CENTER)
    return float(np.linalg.norm(difference) / np.linalg.norm(sinogram))


def installed() -> bool:
    return importlib.util.find_spec("astra") is not None


def astra_sirt(sinogram: Array, angle: Array, iterations: int) -> tuple[float, Array]:
    """Seconds, and the slice, turned to our orientation."""
    astra = importlib.import_module("astra")
    volume = astra.create_vol_geom(SIZE, SIZE)
    rays = astra.create_proj_geom("parallel", 1.0, SIZE, angle)
    projector = astra.create_projector("linear", rays, volume)
    source = astra.data2d.create("-sino", rays, sinogram)
    target = astra.data2d.create("-vol", volume)
    config = astra.astra_dict("SIRT")
    config |= {"ProjectorId": projector, "ProjectionDataId": source}
    config |= {"ReconstructionDataId": target}
    algorithm = astra.algorithm.create(config)
    # Its weights are computed in the first iteration.
    astra.algorithm.run(algorithm, 1)
    start = time.process_time()
    astra.algorithm.run(algorithm, iterations - 1)
    seconds = (time.process_time() - start) / (iterations - 1)
    return seconds, np.flipud(np.asarray(astra.data2d.get(target)))


def astra_mlem(sinogram: Array, angle: Array, iterations: int) -> tuple[float, Array]:
    """Seconds of its projections, and the slice, turned to our orientation."""
    astra = importlib.import_module("astra")
    volume = astra.create_vol_geom(SIZE, SIZE)
    rays = astra.create_proj_geom("parallel", 1.0, SIZE, angle)
    projector = astra.create_projector("linear", rays, volume)
    source = astra.data2d.create("-sino", rays)
    target = astra.data2d.create("-vol", volume)
    ids = {"ProjectorId": projector, "ProjectionDataId": source}
    forth, back = (astra.astra_dict(name) for name in ("FP", "BP"))
    forth |= {**ids, "VolumeDataId": target}
    back |= {**ids, "ReconstructionDataId": target}
    runs = [astra.algorithm.create(config) for config in (forth, back)]
    spent = 0.0

    def run(values: Array, given: int, algorithm: int, result: int) -> Array:
        nonlocal spent
        astra.data2d.store(given, values)
        start = time.process_time()
        astra.algorithm.run(algorithm)
        spent += time.process_time() - start
        return np.asarray(astra.data2d.get(result))

    keep = disc(np, (SIZE, SIZE), None)
    cover = run(keep, target, runs[0], source)
    seen = run(np.ones_like(cover), source, runs[1], target)
    image = keep * np.float32((sinogram * (cover > 0)).sum() / cover.sum())
    spent = 0.0
    for _ in range(iterations):
        ahead = run(image, target, runs[0], source)
        ratio = np.where(ahead > 0, sinogram / np.where(ahead > 0, ahead, 1), 0)
        factor = run(ratio.astype(np.float32), source, runs[1], target)
        image = image * factor / np.where(seen > 0, seen, 1)
    return spent / iterations, np.flipud(image)


def ours(method: Any, stack: Array, angle: Array, iterations: int) -> tuple[float, Array]:
    more = {"center": CENTER, "tolerance": 0.0}
    method(stack, angle, iterations=1, **more)
    start = time.process_time()
    image, _ = method(stack, angle, iterations=iterations, **more)
    return (time.process_time() - start) / iterations / len(stack), image[0]


def least_squares(stack: Array, angle: Array) -> str:
    rows = []
    base = 0.0
    cases: list[tuple[str, Any, int]] = [
        ("zeoarray SIRT", sirt, PEERS),
        ("zeoarray SIRT", sirt, ITERATIONS),
        ("zeoarray CGLS", cgls, PEERS),
    ]
    for name, method, iterations in cases:
        seconds, image = ours(method, stack, angle, iterations)
        base = base or seconds
        left = f"{residual(image, stack[0], angle):.4f}"
        rows.append([name, iterations, f"{seconds:.4f}", f"{seconds / base:.1f}", left])
    if installed():
        seconds, image = astra_sirt(stack[0], angle, PEERS)
        left = f"{residual(image, stack[0], angle):.4f}"
        rows.append(["ASTRA SIRT", PEERS, f"{seconds:.4f}", f"{seconds / base:.1f}", left])
    else:
        rows.append(["ASTRA SIRT", "not installed", "", "", ""])
    head = ["512 px, 180 angles, 1 thread", "iterations", "s each", "times ours", "residual"]
    return table(head, rows)


def deviance(image: Array, sinogram: Array, angle: Array) -> float:
    """Per ray, by our projector."""
    ahead = joseph(image.astype(np.float64), angle, size=SIZE, center=CENTER)
    met = ahead > 0
    b, p = sinogram[met].astype(np.float64), ahead[met]
    return float(np.mean(2 * (b * np.log(np.where(b > 0, b / p, 1)) - b + p)))


def poisson(stack: Array, angle: Array) -> str:
    rows: list[list[object]] = []
    base, first = 0.0, stack[:1]
    wide = np.repeat(first, LANES, axis=0)
    cases: list[tuple[str, Callable[..., Any], Array, int]] = [
        (f"zeoarray MLEM, {LANES} slices with one axis", mlem, wide, PEERS),
        ("zeoarray MLEM, a slice alone", mlem, first, PEERS),
        (f"zeoarray OSEM, 8 subsets, {LANES} slices", osem, wide, 3),
    ]
    reference: Array | None = None
    for name, method, slices, iterations in cases:
        seconds, image = ours(method, slices, angle, iterations)
        base = base or seconds
        reference = image if reference is None else reference
        unlikely = f"{deviance(image, stack[0], angle):.4f}"
        apart = np.linalg.norm(image - reference) / np.linalg.norm(reference)
        rows.append([name, iterations, f"{seconds:.4f}", f"{seconds / base:.1f}", unlikely,
                     f"{apart:.1e}"])  # fmt: skip
    if installed() and reference is not None:
        seconds, image = astra_mlem(stack[0], angle, PEERS)
        apart = np.linalg.norm(image - reference) / np.linalg.norm(reference)
        rows.append(["the same with ASTRA's 'linear' projections, these alone", PEERS,
                     f"{seconds:.4f}", f"{seconds / base:.1f}",
                     f"{deviance(image, stack[0], angle):.4f}", f"{apart:.1e}"])  # fmt: skip
    else:
        rows.append(["the same with ASTRA's projections", "not installed", "", "", "", ""])
    head = ["512 px, 180 angles, 1 thread", "iterations", "s each", "times ours",
            "deviance per ray", "apart from the first"]  # fmt: skip
    return table(head, rows)


def channels() -> str:
    angle = np.linspace(0, np.pi, DIRECTIONS, endpoint=False)
    center = (SMALL - 1) / 2
    image = np.random.default_rng(0).random((CHANNELS, SMALL, SMALL), np.float32)
    operator = matrix(angle, size=SMALL, width=SMALL)
    flat = image.reshape(CHANNELS, -1)
    operator @ flat[:64].T
    start = time.process_time()
    lines = flat @ operator.T
    dense = time.process_time() - start
    joseph(image[:LANES], angle, size=SMALL, center=center)
    start = time.process_time()
    walked = joseph(image, angle, size=SMALL, center=center)
    sparse = time.process_time() - start
    apart = float(np.abs(walked.reshape(CHANNELS, -1) - lines).max() / lines.max())
    start = time.process_time()
    mlem(walked, angle, center=center, iterations=10, tolerance=0.0)
    each = (time.process_time() - start) / 10
    rows = [
        ["projection by the dense operator", f"{dense:.3f}", ""],
        ["projection along rays", f"{sparse:.3f}", f"{apart:.1e}"],
        ["MLEM, an iteration", f"{each:.3f}", ""],
    ]
    head = [f"{CHANNELS} channels of {DIRECTIONS} x {SMALL}, 1 thread", "s", "largest difference"]
    return table(head, rows)


def main() -> str:
    angle = np.linspace(0, np.pi, ANGLES, endpoint=False)
    sinogram = ellipses.project(ellipses.SHEPP_LOGAN, angle, SIZE, SIZE / 2, CENTER)
    stack = np.stack([sinogram, sinogram]).astype(np.float32)
    with single_threaded():
        return "\n\n".join([least_squares(stack, angle), poisson(stack, angle), channels()])


if __name__ == "__main__":
    print(main())
