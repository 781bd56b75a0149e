"""Data of many times the memory of a worker: it runs, and no worker holds more than it may."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import bench_limit

LIMIT = 10**9


@pytest.mark.prove
def test_a_scan_of_five_times_the_limit_runs_under_it(tmp_path: Path) -> None:
    found = bench_limit.measure(LIMIT, 5, 2, str(tmp_path))
    assert found["bytes"] >= 5 * LIMIT
    assert found["right"]
    assert found["planned"] <= found["allowed"] < LIMIT
    assert found["peak"] < LIMIT
