"""What ``zeoarray check``, ``plan`` and ``run`` share: reading the file, and telling of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import psutil

from zeoarray import pipeline
from zeoarray.chunks import format_bytes
from zeoarray.errors import ArgumentError

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
    """Read a pipeline with its settings."""
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


def workers_of(workers: int | None) -> int:
    """Return how many processes work: all cores, if nothing is said."""
    return workers or len(os.sched_getaffinity(0))


def memory_of(memory: str | None, workers: int) -> int:
    """Return the bytes that one worker may plan to hold, beyond Python itself."""
    if memory is None:
        return int(psutil.virtual_memory().available * SHARE / workers)
    units = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "GiB": 2**30, "MiB": 2**20}
    for unit, factor in units.items():
        number = memory.removesuffix(unit).strip()
        if memory.endswith(unit) and number.replace(".", "", 1).isdigit():
            return int(float(number) * factor)
    raise ArgumentError("--memory takes a size with its unit", got=repr(memory), do="--memory 4GB")


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
