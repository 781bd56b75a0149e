"""The memory that reconstruction declares, against what a process of its own takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
@pytest.mark.parametrize(
    ("name", "columns", "angles", "rows"),
    [
        ("filtered_backprojection", 512, 400, 3),
        ("filtered_backprojection", 1280, 1000, 2),
        ("project", 1024, 800, 3),
    ],
)
def test_a_process_takes_what_is_declared(name: str, columns: int, angles: int, rows: int) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.radon_memory",
        name,
        *map(str, (columns, angles, rows)),
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    if "clear_refs" in done.stderr:
        pytest.skip("the kernel does not let a process forget its peak")
    assert not done.returncode, done.stderr
    share = json.loads(done.stdout)["share"]
    assert 0.7 <= share <= 1.0, f"{share:.3f} of what is declared"
