"""The rotation axis by Vo's method beside algotom: time, and whether they agree.

Random ellipses with noise; seconds are of the processor, on one thread. ``algotom`` is timed where
it is installed.
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
from zeoarray.kernels.center import find_center_vo

SHAPES = ((361, 512), (901, 1024), (1801, 2560))


def sinogram(angles: int, columns: int, center: float) -> Any:
    rng = np.random.default_rng(columns)
    parts = [
        (rng.uniform(0.2, 1), *rng.uniform(0.05, 0.3, 2), *rng.uniform(-0.35, 0.35, 2), 0.5 * i)
        for i in range(6)
    ]
    angle = np.linspace(0, np.pi, angles)
    out = ellipses.project(tuple(parts), angle, columns, columns / 2, center)
    return (out / out.max() + 0.02 * rng.normal(size=out.shape)).astype(np.float32)


def main() -> str:
    installed = importlib.util.find_spec("algotom") is not None
    rows = []
    with single_threaded():
        for angles, columns in SHAPES:
            center = columns / 2 + columns / 50 + 0.1
            values = sinogram(angles, columns, center)
            start = time.process_time()
            found = find_center_vo(values)
            ours = time.process_time() - start
            row = [f"{angles} x {columns}", f"{center:.2f}", f"{float(found.center):.2f}"]
            if installed:
                calculation = importlib.import_module("algotom.prep.calculation")
                start = time.process_time()
                theirs = calculation.find_center_vo(values, ncore=1)
                seconds = time.process_time() - start
                row += [f"{theirs:.2f}", f"{ours:.2f}", f"{seconds:.2f}", f"{seconds / ours:.1f}"]
            else:
                row += ["not installed", f"{ours:.2f}", "", ""]
            rows.append(row)
    head = ["angles x columns", "axis", "found", "algotom's", "s", "algotom's s", "ratio"]
    return table(head, rows)


if __name__ == "__main__":
    print(main())
