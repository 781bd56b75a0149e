"""Registration of many random mounts of the digital twin: what may be asked of an aligned set."""

from __future__ import annotations

import pytest

from benchmarks import bench_registration as bench

MOUNTS = 300


def test_the_summary_counts_what_is_wrong() -> None:
    found = bench.summary([bench.Result(0.1, 0.1, True, 1.0), bench.Result(0.5, 0.25, True, 3.0)])
    assert found["accepted and wrong"] == 0.5
    assert found["predicted / true"] == 0.75
    assert found["flagged"] == 0


@pytest.mark.prove
@pytest.mark.timeout(8 * 3600)
def test_random_mounts() -> None:
    found = bench.summary([bench.run(bench.draw(n)) for n in range(1000, 1000 + MOUNTS)])
    assert found["median error"] < 0.1, found
    assert found["95 %"] < 0.3, found
    assert 0.7 < found["predicted / true"] < 1.4, found
    assert found["flagged"] <= 0.05, found
    assert found["accepted and wrong"] <= 0.01, found


@pytest.mark.prove
@pytest.mark.timeout(2 * 3600)
def test_random_mounts_of_a_diffraction_scan() -> None:
    results = [bench.run_layers(bench.draw_layers(n)) for n in range(1000, 1000 + MOUNTS)]
    found = bench.summary(results, bench.WRONG_SPOTS)
    assert found["95 %"] < bench.WRONG_SPOTS, found
    assert 0.7 < found["predicted / true"] < 1.4, found
    assert found["flagged"] <= 0.05, found
    assert found["accepted and wrong"] <= 0.01, found
