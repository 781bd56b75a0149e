"""``zeoarray check``."""

from __future__ import annotations

from pathlib import Path

import click

from zeoarray import pipeline
from zeoarray.cli import pipelines


@click.command("check")
@pipelines.pipeline_argument
def command(file: Path, given: tuple[str, ...]) -> None:
    """Find every fault of a pipeline before any data is read.

    \b
      zeoarray check xct.yaml
      zeoarray check xct.yaml --set ingest.source=169068.nxs
    """
    stages = pipeline.check(pipelines.read(file, given))
    waiting = [c.stage.into for c in stages if c.template is None]
    click.echo(f"{file}: {len(stages)} stages, no fault")
    if waiting:
        click.echo(f"checked further once their measures have run: {', '.join(waiting)}")
