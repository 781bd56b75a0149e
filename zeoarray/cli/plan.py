"""``zeoarray plan``."""

from __future__ import annotations

from pathlib import Path

import click

from zeoarray import pipeline
from zeoarray.chunks import format_bytes
from zeoarray.cli import pipelines


@click.command("plan")
@pipelines.pipeline_argument
@pipelines.where_options
def command(file: Path, given: tuple[str, ...], where: pipelines.Where) -> None:
    """Say what each stage will read, write and hold, and refuse what cannot fit.

    Memory is what one worker holds at its peak, beyond Python and its libraries.

    \b
      zeoarray plan xct.yaml --workers 2 --memory 4GB
      zeoarray plan xct.yaml --cluster cluster/slurm.yaml
    """
    count, limit = where.sized()
    plan = pipeline.plan(pipelines.read(file, given), memory=limit)
    for line in pipelines.lines(plan):
        click.echo(line)
    click.echo(
        f"{count} workers: {format_bytes(count * plan.memory)} at most of "
        f"{format_bytes(count * limit)}"
    )
