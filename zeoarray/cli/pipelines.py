"""What ``zeoarray check``, ``plan`` and ``run`` share: reading the file, and telling of it."""

from __future__ import annotations

import concurrent.futures as cf
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import psutil

from zeoarray import cluster, pipeline
from zeoarray.backend import cores
from zeoarray.chunks import format_bytes
from zeoarray.cli import shipped
from zeoarray.cli.progress import format_seconds
from zeoarray.cluster.model import size
from zeoarray.errors import ArgumentError, SourceError

F = TypeVar("F", bound=Callable[..., Any])

SHARE = 0.8
"""Share of the free memory that workers may plan to use."""


def pipeline_argument(function: F) -> F:
    """Give a command the pipeline as its argument, and ``--set``."""
    wrapped: Any = click.option(
        "--set",
        "given",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set a value: store=a.zarr, ingest.source=FILE, xct.reconstruct.center=1265.5. "
        "May be given several times.",
    )(function)
    path = click.Path(path_type=Path)
    wrapped = click.argument("file", metavar="PIPELINE.yaml", type=path)(wrapped)
    result: F = wrapped
    return result


def read(file: Path, given: tuple[str, ...]) -> pipeline.Pipeline:
    """Read a pipeline with its settings; one that is shipped and not here is told of."""
    if not file.exists() and file.stem in shipped.files("pipelines"):
        raise SourceError(
            f"{file} does not exist",
            do=f"zeoarray pipelines {file.stem} > {file}    (a copy of the shipped one)",
        )
    return pipeline.read(file, given=settings(given))


def settings(given: tuple[str, ...]) -> dict[str, str]:
    """Split what ``--set`` was given into keys and values."""
    values = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise ArgumentError("--set takes KEY=VALUE", got=repr(text), do="--set store=a.zarr")
        values[key.strip()] = value
    return values


@dataclass(frozen=True)
class Where:
    """Where blocks run: processes of this machine, or what a cluster file says."""

    workers: int | None
    memory: str | None
    file: Path | None

    def sized(self) -> tuple[int, int]:
        """Workers, and the bytes that one of them may hold beyond Python itself."""
        if self.file is not None:
            return cluster.sized(cluster.read(self.file))
        count = self.workers or cores()
        if self.memory is None:
            return count, int(psutil.virtual_memory().available * SHARE / count)
        try:
            return count, size(self.memory)
        except ValueError as error:
            raise ArgumentError(
                "--memory takes a size", got=str(error), do="--memory 4GB"
            ) from None

    @contextmanager
    def started(self) -> Iterator[Started]:
        """Start the workers, and stop them at the end."""
        if self.file is None:
            count, memory = self.sized()
            with cluster.processes(count) as executor:
                yield Started(executor, 2 * count, memory, (cf.BrokenExecutor,))
            return
        with cluster.started(cluster.read(self.file)) as workers:
            yield Started(workers.executor, workers.in_flight, workers.memory, workers.lost)


@dataclass(frozen=True)
class Started:
    """Workers that run."""

    executor: cf.Executor | None
    in_flight: int
    memory: int
    lost: tuple[type[Exception], ...]


def where_options(function: F) -> F:
    """Give a command ``--workers``, ``--memory`` and ``--cluster`` as its argument `where`."""

    @functools.wraps(function)
    def gathered(*args: Any, **given: Any) -> Any:
        names = ("workers", "memory", "file_of_cluster")
        workers, memory, file = (given.pop(name) for name in names)
        if file is not None and (workers or memory):
            raise ArgumentError(
                "--cluster says how many workers there are", do="leave out --workers and --memory"
            )
        return function(*args, where=Where(workers, memory, file), **given)

    wrapped: Any = gathered
    for flag, name, kind, text in reversed(_WHERE):
        wrapped = click.option(flag, name, type=kind, help=text)(wrapped)
    result: F = wrapped
    return result


_WHERE: tuple[tuple[str, str, Any, str], ...] = (
    ("--workers", "workers", click.IntRange(min=1), "Processes that work. [default: all cores]"),
    ("--memory", "memory", str, "What a worker may hold: 4GB. [default: its share]"),
    ("--cluster", "file_of_cluster", click.Path(path_type=Path), "YAML file of a cluster."),
)


def lines(plan: pipeline.Plan) -> list[str]:
    """Return a plan as a table for people."""
    head = f"{'node':<34} {'tasks':>6} {'block':>12} {'reads':>9} {'writes':>9} {'memory':>9}"
    out = [head]
    for row in plan.rows:
        name = f"{row.node} *" if row.temporary else row.node
        if not row.known:
            out.append(f"{name:<34} {'after its measure has run':>47}")
            continue
        block = f"{row.rows} {row.dim}" if row.dim else "whole"
        told = [
            format_bytes(n) if n else "" for n in (row.bytes_read, row.bytes_written, row.memory)
        ]
        shown = block if row.kind == "steps" else row.kind
        out.append(f"{name:<34} {row.tasks:>6} {shown:>12} {told[0]:>9} {told[1]:>9} {told[2]:>9}")
    if any(row.temporary for row in plan.rows):
        out.append("* temporary: deleted when its stage is whole")
    return out


def timed(stages: list[pipeline.Timed], workers: int) -> list[str]:
    """Return what was measured as a table for people."""
    head = f"{'node':<34} {'a block':>9} {'blocks':>6} {'all':>9} {'planned':>9} {'measured':>9}"
    out, total, whole = [head], 0.0, True
    for stage in stages:
        # What is one block has one worker, however many there are.
        all_s = None if stage.whole_s is None else stage.whole_s / max(
            min(workers, stage.blocks), 1
        )  # fmt: skip
        total, whole = total + (all_s or 0.0), whole and all_s is not None
        shown = [
            "" if stage.block_s is None else format_seconds(stage.block_s),
            str(stage.blocks or ""),
            "" if all_s is None else format_seconds(all_s),
            format_bytes(stage.planned) if stage.planned else "",
            "" if stage.peak is None else format_bytes(stage.peak),
        ]
        told = " ".join(
            f"{text:>{width}}" for text, width in zip(shown, (9, 6, 9, 9, 9), strict=True)
        )
        out.append(f"{stage.node:<34} {told}  {stage.note}".rstrip())
    least = "" if whole else "more than "
    out.append(f"{least}{format_seconds(total)} with {workers} workers, if the disk keeps up")
    return out
