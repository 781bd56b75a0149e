"""The rotation axis: Vo's method beside algotom, and every method on random twin sinograms.

Of Vo's method the time, and whether both agree: random ellipses with noise; seconds are of the
processor, on one thread. ``algotom`` is timed where it is installed. Then errors on random
sinograms of the digital twin, one row each: `python -m benchmarks.bench_center [how many]`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from typing import Any

import numpy as np

from benchmarks.harness import table
from tests import ellipses, sinograms
from zeoarray.backend import single_threaded
from zeoarray.kernels.center import find_center_vo
from zeoarray.kernels.center_opposite import find_center_opposite

WRONG = 0.25
"""Pixels."""
FIRST = 2000
"""Number of the first random sinogram: 0 to 199 and 1000 to 1199 were tuned on."""
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


def errors(count: int) -> str:
    """Errors of both methods on `count` random twin sinograms, as a table."""
    found: dict[str, list[tuple[float, bool, float]]] = {"vo": [], "opposite": []}
    with single_threaded():
        for number in range(FIRST, FIRST + count):
            one = sinograms.draw(number)
            start = time.process_time()
            vo = find_center_vo(one.values)
            middle = time.process_time()
            opposite = find_center_opposite(one.values, one.angle_rad)
            spent = middle - start, time.process_time() - middle
            for name, result, seconds in zip(found, (vo, opposite), spent, strict=True):
                off = abs(float(result.center) - one.center)
                found[name].append((off, bool(result.ambiguous | result.at_edge), seconds))
    rows = []
    for name, each in found.items():
        off, flagged, seconds = (np.array(v) for v in zip(*each, strict=True))
        wrong = off > WRONG
        shares = (~wrong).mean(), flagged.mean(), (wrong & ~flagged).mean()
        rows.append(
            [name, f"{np.median(off):.3f}", f"{np.quantile(off, 0.95):.2f}", f"{off.max():.2f}",
             *(f"{share:.1%}" for share in shares), f"{np.median(seconds):.3f}"]
        )  # fmt: skip
    head = ["method", "median error [px]", "95 %", "worst", f"right to {WRONG} px", "flagged",
            "wrong, not flagged", "s"]  # fmt: skip
    return table(head, rows)


def main(count: int = 200) -> str:
    return f"{beside_algotom()}\n\n{count} random twin sinograms\n\n{errors(count)}"


def beside_algotom() -> str:
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
    print(main(*map(int, sys.argv[1:2])))
