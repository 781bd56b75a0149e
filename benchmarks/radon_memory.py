"""What reconstruction takes of memory, and declares, in a process of its own.

``python -m benchmarks.radon_memory KERNEL COLUMNS ANGLES ROWS`` prints one JSON object.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from pathlib import Path

import numpy as np
import psutil

from zeoarray.kernels import polar, radon
from zeoarray.kernels.contract import contract_of


def measure(name: str, columns: int, angles: int, rows: int) -> dict[str, float]:
    """Peak beyond what is there before, and what the contract says of it, in bytes."""
    angle = np.linspace(0, np.pi, angles, endpoint=False)
    # Libraries are loaded and their buffers there before it begins.
    radon.filtered_backprojection(np.ones((2, 8, 32), "f4"), angle[:8], center=15.5)
    polar.forget()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = psutil.Process().memory_info().rss
    shape = (columns, columns) if name == "project" else (angles, columns)
    array = np.random.default_rng(0).random((rows, *shape), dtype="f4")
    # An axis of its own for each row takes most.
    center = (columns - 1) / 2 + np.linspace(0, 3, rows)
    kernel = getattr(radon, name)
    out = kernel(array, angle, center=center)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024 - before
    contract = contract_of(kernel)
    sizes = dict(zip(contract.inputs[0], shape, strict=True)) | {"angle": angles, "batch": rows}
    declared = contract.memory(sizes, contract.resolve({"center": center}), 1)
    total = array.nbytes + angle.nbytes + out.nbytes + declared.fixed + declared.block
    return {"peak": peak, "declared": total, "share": peak / total}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], *map(int, sys.argv[2:5]))))
