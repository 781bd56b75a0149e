"""Clusters of this machine run a pipeline: processes, threads, a scheduler that runs already."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import distributed
import psutil
import pytest

from tests.pipeline.conftest import written, yaml  # noqa: F401  fixtures
from zeoarray import cluster, pipeline
from zeoarray.cluster import model
from zeoarray.errors import ArgumentError, DependencyError
from zeoarray.store import ledger, places

Write = Callable[..., Path]
STAGES = """
- from: xct/a/scan
  into: xct/a/absorbance
  block: 4
  steps:
    - xct.normalize
    - xct.remove_rings: {la_size: 11, sm_size: 5}
    - xct.minus_log
"""


def digests(node: str) -> dict[str, str]:
    book = ledger.read(places.locate("a.zarr", node).ledger)
    assert book is not None
    return {k: r.digest for k, r in book.records.items() if "/c/" in k}


@pytest.fixture
def expected(yaml: Write) -> dict[str, str]:  # noqa: F811
    pipeline.run(pipeline.read(yaml(STAGES)))
    return digests("xct/a/absorbance")


def run_on(where: model.Cluster, path: Path) -> dict[str, str]:
    loaded = pipeline.read(path, given={"stages.0.into": "xct/b/absorbance"})
    with cluster.started(where) as workers:
        pipeline.run(
            loaded, executor=workers.executor, in_flight=workers.in_flight, lost=workers.lost
        )
    return digests("xct/b/absorbance")


def test_processes_with_limits(yaml: Write, expected: dict[str, str]) -> None:  # noqa: F811
    local = model.Local(workers=2, memory="1 GB")
    assert cluster.sized(local)[0] == 2
    assert run_on(local, yaml(STAGES)) == expected


def test_a_block_may_take_what_the_libraries_of_a_worker_leave_of_its_limit() -> None:
    libraries = 10**8  # NumPy, SciPy, numba, zarr, dask: never less than this, nor four times it
    local = model.Local(workers=1, memory="1 GB")
    with cluster.started(local) as workers:
        held = workers.executor.submit(_resident).result()
        assert 0.95e9 - held - 2e8 < workers.memory <= 0.95e9 - held + 2e7
    assert libraries < held < 6 * libraries
    assert cluster.sized(local)[1] < 0.95e9 - libraries
    small = model.Local(workers=1, memory="100 MB")
    assert cluster.sized(small) == (1, 0), "a worker that its libraries fill takes no block"


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


def test_threads(yaml: Write, expected: dict[str, str]) -> None:  # noqa: F811
    assert run_on(model.Threads(workers=3), yaml(STAGES)) == expected


@pytest.fixture
def scheduler() -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as own:
        yield own.scheduler_address


def test_existing(yaml: Write, expected: dict[str, str], scheduler: str) -> None:  # noqa: F811
    assert run_on(model.Existing(address=scheduler), yaml(STAGES)) == expected


def test_scheduler_that_is_not_there() -> None:
    with (
        pytest.raises(ArgumentError, match="no scheduler answers"),
        cluster.started(model.Existing(address="tcp://127.0.0.1:9")),
    ):
        pass


def test_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_cuda", None)
    with (
        pytest.raises(DependencyError, match=r"pip install \"zeoarray\[gpu\]\""),
        cluster.started(model.Cuda()),
    ):
        pass


def test_scheduler_listens_to_this_machine_only() -> None:
    with cluster.started(model.Local(workers=1, memory="1 GB")) as workers:
        assert workers.count == 1
        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        found = [c for process in family for c in process.net_connections(kind="inet")]
        listening = {c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_command_shows_what_would_be_started() -> None:
    shipped = Path(__file__).parents[2] / "cluster" / "slurm.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "zeoarray", "cluster", str(shipped)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "#SBATCH -p cs05r" in done.stdout
