"""What a cluster file may say: one model for every kind of cluster.

::

    zeoarray: 1
    cluster: slurm
    queue: cs05r
    cores: 16
    memory: 180 GB
    walltime: 4 h
    jobs: 4
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pydantic

from zeoarray import units
from zeoarray.errors import PipelineError, nearest
from zeoarray.ingest.parts import plain_yaml

VERSION = 1

_BYTES = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30}


def size(value: object) -> int:
    """Return bytes from text with a unit.

    Examples
    --------
    >>> size("4 GB")
    4000000000
    """
    match = re.fullmatch(r"([\d.]+)\s*([kMGT]i?B)", str(value).strip())
    if match is None or match[2] not in _BYTES:
        raise ValueError(f"a size with its unit, as 4 GB, is expected; got {value!r}")
    return int(float(match[1]) * _BYTES[match[2]])


def _seconds(value: object) -> float:
    text = str(value).strip()
    for unit, factor in (("h", 3600.0), ("min", 60.0), ("d", 86400.0)):
        number = text.removesuffix(unit).strip()
        if text.endswith(unit) and re.fullmatch(r"[\d.]+", number):
            return float(number) * factor
    return units.parse(text, "s")


Bytes = Annotated[int, pydantic.BeforeValidator(size)]
Seconds = Annotated[float, pydantic.BeforeValidator(_seconds), pydantic.Field(gt=0)]
Count = Annotated[int, pydantic.Field(ge=1)]
Word = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9_.,:/@=+-]+$")]
"""Text that goes into a job script: nothing that a shell would read as more than a word."""
Name = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
"""A name as Kubernetes allows them."""


class Tls(pydantic.BaseModel):
    """Files by which client, scheduler and workers know each other, and encrypt what they say."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    ca: Path
    cert: Path
    key: Path


class Cluster(pydantic.BaseModel):
    """What every kind has."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)
    kind: ClassVar[str]

    in_flight: Count | None = None
    """Blocks that are submitted at once; twice the workers where not said."""


class Local(Cluster):
    """Processes of this machine, each with a limit of memory that holds."""

    kind = "local"
    workers: Count | None = None
    """All cores where not said."""
    memory: Bytes | None = None
    """Of one worker; its share of what is free where not said."""
    dashboard: bool = False
    """Serve dask's dashboard, to this machine only."""


class Threads(Cluster):
    """Threads of this process: nothing is copied between them; each has its own plans."""

    kind = "threads"
    workers: Count | None = None
    memory: Bytes | None = None


class Existing(Cluster):
    """A dask scheduler that runs already."""

    kind = "existing"
    address: Annotated[str, pydantic.Field(pattern=r"^(tcp|tls|ucx|ws|wss)://[^\s]+$")]
    memory: Bytes | None = None
    """Of one worker; what the scheduler says where not said."""
    tls: Tls | None = None


class Slurm(Cluster):
    """Jobs of SLURM, by dask-jobqueue; they end in turn and are replaced before their time."""

    kind = "slurm"
    queue: Word
    cores: Count
    """Of a job; each is a worker."""
    memory: Bytes
    """Of a job."""
    walltime: Seconds
    jobs: Count
    account: Word | None = None
    interface: Word | None = None
    """Network interface by which workers reach the scheduler: ib0."""
    local_directory: Path | None = None
    """Where a worker may spill to: a disk of its own."""
    directives: tuple[Word, ...] = ()
    """Further lines for #SBATCH: --constraint=..."""
    prologue: tuple[str, ...] = ()
    """Lines before the worker starts: module load, conda activate."""
    gpus: int = 0
    """Of a job: each worker has one."""
    tls: Tls | None = None
    """Certificates; made for the run where not said."""


class SlurmGpu(Slurm):
    """Jobs of SLURM whose workers have a GPU each."""

    kind = "slurm-gpu"
    gpus: Count = 1


class Cuda(Cluster):
    """One worker for each GPU of this machine, by dask-cuda."""

    kind = "cuda"
    devices: tuple[int, ...] | None = None
    """All where not said."""
    memory: Bytes | None = None
    """Of the host, of one worker."""
    pool: Bytes | None = None
    """GPU memory that RMM takes at the start, of each worker."""


class Kubernetes(Cluster):
    """Pods, by the dask operator."""

    kind = "kubernetes"
    name: Name = "zeoarray"
    namespace: Name = "default"
    image: Word
    """Image that has zeoarray of the same version."""
    workers: Count
    cpu: Count = 1
    """Of a worker."""
    memory: Bytes
    """Of a worker."""
    gpus: int = 0
    volumes: dict[Name, str] = pydantic.Field(default_factory=dict)
    """Claims of volumes, and where they are mounted: the data must be at the same path here."""


KINDS: dict[str, type[Cluster]] = {
    kind.kind: kind for kind in (Local, Threads, Existing, Slurm, SlurmGpu, Cuda, Kubernetes)
}


def read(path: str | Path) -> Cluster:
    """Read a cluster file.

    Raises
    ------
    SourceError
        For a file that is not plain YAML.
    PipelineError
        For a kind that does not exist, keys and values that it does not take, each with its line.
    """
    document = plain_yaml.read(Path(path))
    content: dict[str, Any] = dict(document.content)
    lines: list[str] = []
    if content.pop("zeoarray", None) != VERSION:
        lines.append(f"line {document.line(('zeoarray',))}: the first key is 'zeoarray: {VERSION}'")
    kind = content.pop("cluster", None)
    if kind not in KINDS:
        near = nearest(str(kind), KINDS)
        hint = f"; did you mean {near!r}?" if near else ""
        there = ", ".join(KINDS)
        lines.append(
            f"line {document.line(('cluster',))}: there is no cluster {kind!r}{hint} "
            f"(there are: {there})"
        )
        raise _faults(path, lines)
    model = KINDS[str(kind)]
    for key in content:
        if key not in model.model_fields:
            near = nearest(str(key), model.model_fields)
            hint = f"; did you mean {near!r}?" if near else ""
            lines.append(f"line {document.line((key,))}: {kind} has no key {key!r}{hint}")
    known = {k: v for k, v in content.items() if k in model.model_fields}
    try:
        made = model.model_validate(known)
    except pydantic.ValidationError as error:
        for fault in error.errors():
            place = [part for part in fault["loc"] if isinstance(part, (str, int))]
            message = str(fault["msg"]).removeprefix("Value error, ")
            told = ".".join(map(str, place))
            lines.append(f"line {document.line(place)}: {told}: {message}")
        raise _faults(path, lines) from None
    if lines:
        raise _faults(path, lines)
    return made


def _faults(path: str | Path, lines: list[str]) -> PipelineError:
    many = f"{len(lines)} faults" if len(lines) > 1 else "a fault"
    return PipelineError(f"{path} has {many}; nothing was started\n" + "\n".join(lines))
