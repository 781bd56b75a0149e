"""``zeoarray plan``."""

from __future__ import annotations

from pathlib import Path

import click

from zeoarray import pipeline
from zeoarray.chunks import format_bytes
from zeoarray.cli import pipelines


@click.command("plan")
@pipelines.pipeline_argument
@click.option("--workers", type=int, help="Processes that will run it. [default: all cores]")
@click.option("--memory", metavar="SIZE", help="What a worker may hold: 4GB. [default: its share]")
def command(file: Path, given: tuple[str, ...], workers: int | None, memory: str | None) -> None:
    """Say what each stage will read, write and hold, and refuse what cannot fit.

    Memory is what one worker holds at its peak, beyond Python and its libraries.

    \b
      zeoarray plan xct.yaml --workers 2 --memory 4GB
    """
    count = pipelines.workers_of(workers)
    limit = pipelines.memory_of(memory, count)
    plan = pipeline.plan(pipelines.read(file, given), memory=limit)
    for line in pipelines.lines(plan):
        click.echo(line)
    click.echo(
        f"{count} workers: {format_bytes(count * plan.memory)} at most of "
        f"{format_bytes(count * limit)}"
    )
