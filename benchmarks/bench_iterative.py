"""SIRT and CGLS beside ASTRA's SIRT on the CPU: time of an iteration, and the residual reached.

512 px and 180 angles on one thread; seconds are of the processor. ``astra-toolbox`` is timed where
it is installed. Residuals of both are measured with the same projector, ours.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from typing import Any

import numpy as np

from benchmarks.harness import table
from tests import ellipses
from zeoarray.backend import single_threaded
from zeoarray.kernels.iterative import cgls, sirt
from zeoarray.kernels.radon import project

Array = np.ndarray[Any, Any]
SIZE, ANGLES, ITERATIONS, PEERS = 512, 180, 100, 20


def residual(image: Array, sinogram: Array, angle: Array) -> float:
    difference = sinogram - project(image, angle, size=SIZE, center=(SIZE - 1) / 2)
    return float(np.linalg.norm(difference) / np.linalg.norm(sinogram))


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


def ours(method: Any, stack: Array, angle: Array, iterations: int) -> tuple[float, Array]:
    more = {"center": (SIZE - 1) / 2, "tolerance": 0.0}
    method(stack, angle, iterations=1, **more)
    start = time.process_time()
    image, _ = method(stack, angle, iterations=iterations, **more)
    return (time.process_time() - start) / iterations / len(stack), image[0]


def main() -> str:
    angle = np.linspace(0, np.pi, ANGLES, endpoint=False)
    sinogram = ellipses.project(ellipses.SHEPP_LOGAN, angle, SIZE, SIZE / 2, (SIZE - 1) / 2)
    stack = np.stack([sinogram, sinogram]).astype(np.float32)
    rows = []
    base = 0.0
    with single_threaded():
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
        if importlib.util.find_spec("astra") is None:
            rows.append(["ASTRA SIRT", "not installed", "", "", ""])
        else:
            seconds, image = astra_sirt(stack[0], angle, PEERS)
            left = f"{residual(image, stack[0], angle):.4f}"
            rows.append(["ASTRA SIRT", PEERS, f"{seconds:.4f}", f"{seconds / base:.1f}", left])
    head = ["512 px, 180 angles, 1 thread", "iterations", "s each", "times ours", "residual"]
    return table(head, rows)


if __name__ == "__main__":
    print(main())
