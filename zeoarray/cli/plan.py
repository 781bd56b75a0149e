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
@click.option("--measure", is_flag=True, help="Run one block of each stage aside, and time it.")
def command(file: Path, given: tuple[str, ...], where: pipelines.Where, measure: bool) -> None:
    """Say what each stage will read, write and hold, and refuse what cannot fit.

    Memory is what one worker holds at its peak, beyond Python and its libraries.

    --measure runs one block of each stage in a folder beside the store, deletes what it made, and
    says what a block took, what all of them will take with these workers, and the peak of memory
    beside what is planned. Where an input is not there yet, the stages up to it run on a few rows
    of a tomogram, and their time is scaled by the bytes that are read.

    \b
      zeoarray plan xct.yaml --workers 2 --memory 4GB
      zeoarray plan xct.yaml --measure
      zeoarray plan xct.yaml --cluster cluster/slurm.yaml
    """
    count, limit = where.sized()
    loaded = pipelines.read(file, given)
    plan = pipeline.plan(loaded, memory=limit)
    for line in pipelines.lines(plan):
        click.echo(line)
    click.echo(
        f"{count} workers: {format_bytes(count * plan.memory)} at most of "
        f"{format_bytes(count * limit)}"
    )
    if measure:
        click.echo()
        for line in pipelines.timed(pipeline.time_stages(loaded), count):
            click.echo(line)
