"""Start what a cluster file says, and give an executor for its blocks."""

from __future__ import annotations

import concurrent.futures as cf
import functools
import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import distributed
import psutil
import yaml
from distributed.scheduler import KilledWorker
from distributed.security import Security

from zeoarray.backend import cores
from zeoarray.cluster import kubernetes, model
from zeoarray.cluster.blocks import Blocks, GoneError
from zeoarray.errors import ArgumentError, DependencyError

SHARE = 0.8
"""Share of the free memory that workers of this machine have together."""
STAGGER_S = 240.0
"""Workers of a job queue end within so many seconds of each other, not at once."""
LOOPBACK = "127.0.0.1"
ENDS = 0.95
"""Share of its limit at which dask ends a worker: all of the process counts, Python included."""
LATER = 48 << 20
"""What libraries take with the first block that calls them: compiled code, tables, buffers."""
UNHELD = {f"distributed.worker.memory.{what}": False for what in ("target", "spill", "pause")}
"""Blocks leave nothing in a worker that could be spilled, and one that pauses for memory that its
libraries keep would pause for ever."""
WORKERS_S = 30
"""So long a scheduler that runs already may be without workers: they may be starting."""


@dataclass(frozen=True)
class Workers:
    """What runs blocks."""

    executor: cf.Executor
    count: int
    memory: int
    """Bytes that a block may take in one of them, beyond what Python and its libraries hold."""
    in_flight: int
    lost: tuple[type[Exception], ...] = (cf.BrokenExecutor,)
    """What a block raises whose worker died more often than is tried again, or whose scheduler
    did."""


@contextmanager
def started(cluster: model.Cluster) -> Iterator[Workers]:
    """Start a cluster, and stop it at the end (one that ran already is left as it is).

    Raises
    ------
    DependencyError
        Where the package for this kind is not installed, with what to install.
    ArgumentError
        Where a scheduler that should be running does not answer.
    """
    with ExitStack() as stack:
        workers = _START[cluster.kind](cluster, stack)
        yield workers


def sized(cluster: model.Cluster) -> tuple[int, int]:
    """Workers that a cluster will have, and the bytes that a block may take in each.

    Nothing is started: Python and its libraries are taken to hold there what they hold here. Of a
    scheduler that runs already, what it says by now.
    """
    if isinstance(cluster, model.Slurm):
        count = _processes(cluster)
        return cluster.jobs * count, _beyond(cluster.memory // count, _resident())
    if isinstance(cluster, model.Kubernetes):
        return cluster.workers, _beyond(cluster.memory, _resident())
    if isinstance(cluster, model.Threads):
        return _sized(cluster)
    if isinstance(cluster, model.Local):
        count, memory = _sized(cluster)
        return count, _beyond(memory, _resident())
    with started(cluster) as workers:
        return workers.count, workers.memory


def described(cluster: model.Cluster) -> str:
    """Say what would be started: the job script of a queue, the manifest of pods.

    Raises
    ------
    DependencyError
        Where the package for this kind is not installed.
    """
    if isinstance(cluster, model.Slurm):
        job = _needed("dask_jobqueue.slurm", "slurm").SLURMJob
        return str(job(scheduler="tls://SCHEDULER", name="worker", **_job(cluster)).job_script())
    if isinstance(cluster, model.Kubernetes):
        return str(yaml.safe_dump(kubernetes.manifest(cluster), sort_keys=False))
    if isinstance(cluster, model.Existing):
        return f"the scheduler at {cluster.address}"
    if isinstance(cluster, model.Cuda):
        told = "all GPUs" if cluster.devices is None else f"GPUs {cluster.devices}"
        return f"a worker for each of {told} of this machine"
    count, memory = _sized(cluster)
    kind = "threads of this process" if cluster.kind == "threads" else "processes"
    return f"{count} {kind}, {memory / 1e9:.1f} GB each"


def _sized(cluster: Any) -> tuple[int, int]:
    """Workers, and memory of each, of this machine."""
    count = cluster.workers or cores()
    free = int(psutil.virtual_memory().available * SHARE / count)
    return count, cluster.memory or free


def _resident() -> int:
    """Bytes that this process holds, with all that blocks need imported."""
    importlib.import_module("zeoarray.pipeline.work")
    return int(psutil.Process().memory_info().rss)


def _beyond(limit: int, held: int) -> int:
    """What a block may take where a process of so many bytes must stay below a limit."""
    return max(int(ENDS * limit) - held - LATER, 0)


def _workers(cluster: model.Cluster, executor: cf.Executor, count: int, memory: int) -> Workers:
    lost = (cf.BrokenExecutor, KilledWorker, GoneError)
    return Workers(executor, count, memory, cluster.in_flight or 2 * count, lost)


def _threads(cluster: Any, stack: ExitStack) -> Workers:
    count, memory = _sized(cluster)
    pool = stack.enter_context(cf.ThreadPoolExecutor(count))
    return _workers(cluster, pool, count, memory)


def _local(cluster: Any, stack: ExitStack) -> Workers:
    count, memory = _sized(cluster)
    # Without an address of its own, dask would serve it to the whole network.
    dashboard = f"{LOOPBACK}:{8787 if cluster.dashboard else 0}"
    with dask.config.set(UNHELD):  # what workers are told when they start
        own = distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            memory_limit=memory,
            host=LOOPBACK,
            dashboard_address=dashboard,
            worker_dashboard_address=f"{LOOPBACK}:0",
        )
    stack.enter_context(own)
    return _client(cluster, stack, distributed.Client(own), count, memory)


def _existing(cluster: Any, stack: ExitStack) -> Workers:
    if cluster.address.startswith("tls://") and cluster.tls is None:
        raise ArgumentError(
            f"{cluster.address} lets in only who has certificates",
            do="tls: {ca: ca.pem, cert: cert.pem, key: key.pem}",
        )
    security = None if cluster.tls is None else _certificates(cluster.tls)
    try:
        client = distributed.Client(cluster.address, security=security, timeout=10)
    except (OSError, TimeoutError) as error:
        raise ArgumentError(
            f"no scheduler answers at {cluster.address}",
            got=str(error),
            do="start it, or check the address and its certificates",
        ) from error
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
    except TimeoutError as error:
        client.close()
        raise ArgumentError(
            f"the scheduler at {cluster.address} has no workers",
            got=f"none for {WORKERS_S} s",
            do=f"dask worker {cluster.address}",
        ) from error
    found = client.scheduler_info(n_workers=-1)["workers"]
    count = sum(worker["nthreads"] for worker in found.values())
    least = min(worker["memory_limit"] for worker in found.values())
    threads = max(worker["nthreads"] for worker in found.values())
    return _client(cluster, stack, client, count, cluster.memory or int(least), threads)


def _slurm(cluster: Any, stack: ExitStack) -> Workers:
    own = stack.enter_context(_slurm_cluster(cluster))
    count = cluster.jobs * _processes(cluster)
    return _client(
        cluster, stack, distributed.Client(own), count, cluster.memory // _processes(cluster)
    )


def _processes(cluster: Any) -> int:
    return int(cluster.gpus or cluster.cores)


def _private() -> Path:
    """A folder that jobs can read and other users cannot: certificates of a run lie there."""
    folder = Path.home() / ".zeoarray" / "tls"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def _slurm_cluster(cluster: Any) -> Any:
    security = Security.temporary() if cluster.tls is None else _certificates(cluster.tls)
    return _needed("dask_jobqueue", "slurm").SLURMCluster(
        n_workers=cluster.jobs * _processes(cluster),
        security=security,
        shared_temp_directory=str(_private()),
        scheduler_options={"dashboard_address": f"{LOOPBACK}:0"},
        **_job(cluster),
    )


def _job(cluster: Any) -> dict[str, Any]:
    """What dask-jobqueue makes a job script of."""
    count = _processes(cluster)
    # A worker that ends by itself before SLURM ends it hands over what it holds.
    lifetime = max(cluster.walltime - 2 * STAGGER_S, cluster.walltime / 2)
    return {
        "queue": cluster.queue,
        "account": cluster.account,
        "cores": count,
        "processes": count,
        "memory": f"{cluster.memory} B",
        "walltime": _clock(cluster.walltime),
        "interface": cluster.interface,
        "local_directory": cluster.local_directory and str(cluster.local_directory),
        "job_extra_directives": [
            *cluster.directives,
            *([f"--gres=gpu:{cluster.gpus}"] * bool(cluster.gpus)),
        ],
        "job_script_prologue": list(cluster.prologue),
        "protocol": "tls://",
        "worker_extra_args": [
            "--lifetime", f"{lifetime:.0f}s", "--lifetime-stagger", f"{STAGGER_S:.0f}s",
            "--no-dashboard",
        ],
    }  # fmt: skip


def _cuda(cluster: Any, stack: ExitStack) -> Workers:
    cuda = _needed("dask_cuda", "gpu")
    own = stack.enter_context(
        cuda.LocalCUDACluster(
            CUDA_VISIBLE_DEVICES=cluster.devices,
            threads_per_worker=1,
            memory_limit=cluster.memory or "auto",
            rmm_pool_size=cluster.pool,
            host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0",
        )
    )
    count = len(own.workers)
    free = int(psutil.virtual_memory().available * SHARE / max(count, 1))
    return _client(cluster, stack, distributed.Client(own), count, cluster.memory or free)


def _kubernetes(cluster: Any, stack: ExitStack) -> Workers:
    operator = _needed("dask_kubernetes.operator", "kubernetes")
    own = stack.enter_context(
        operator.KubeCluster(
            custom_cluster_spec=kubernetes.manifest(cluster), namespace=cluster.namespace
        )
    )
    return _client(cluster, stack, distributed.Client(own), cluster.workers, cluster.memory)


def _client(
    cluster: model.Cluster, stack: ExitStack, client: Any, count: int, memory: int, threads: int = 1
) -> Workers:
    """Workers of a client, whose processes have so many bytes and threads each."""
    stack.enter_context(client)
    # Workers of a queue may not be there yet: then they are taken to be as this process.
    held = max(client.run(_resident).values(), default=0) or _resident()
    # What a lost connection means is told by the run, once.
    for name in ("distributed.client", "distributed.utils"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return _workers(cluster, Blocks(client), count, _beyond(memory, held) // threads)


def _certificates(tls: model.Tls) -> Security:
    names = {"ca": tls.ca, "cert": tls.cert, "key": tls.key}
    if missing := [str(path) for path in names.values() if not path.is_file()]:
        raise ArgumentError("a file for TLS is not there", got=", ".join(missing))
    return Security(
        tls_ca_file=str(tls.ca),
        tls_client_cert=str(tls.cert), tls_client_key=str(tls.key),
        tls_scheduler_cert=str(tls.cert), tls_scheduler_key=str(tls.key),
        tls_worker_cert=str(tls.cert), tls_worker_key=str(tls.key),
        require_encryption=True,
    )  # fmt: skip


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest:02d}"


@functools.cache
def _needed(module: str, extra: str) -> Any:
    try:
        return __import__(module, fromlist=["_"])
    except ImportError as error:
        raise DependencyError(
            f"this cluster needs {module.partition('.')[0].replace('_', '-')}",
            got=str(error),
            do=f'pip install "zeoarray[{extra}]"',
        ) from error


_START: dict[str, Callable[[Any, ExitStack], Workers]] = {
    "local": _local,
    "threads": _threads,
    "existing": _existing,
    "slurm": _slurm,
    "slurm-gpu": _slurm,
    "cuda": _cuda,
    "kubernetes": _kubernetes,
}
