"""``zeoarray cluster``."""

from __future__ import annotations

from pathlib import Path

import click

from zeoarray import cluster


@click.command("cluster")
@click.argument("file", metavar="CLUSTER.yaml", type=click.Path(path_type=Path))
def command(file: Path) -> None:
    """Check a cluster file, and show what it would start: nothing is started.

    \b
      zeoarray cluster cluster/slurm.yaml         the script of one job
      zeoarray cluster cluster/kubernetes.yaml    the manifest
    """
    click.echo(cluster.described(cluster.read(file)).rstrip())
