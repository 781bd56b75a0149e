"""``zeoarray run``."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from zeoarray import pipeline
from zeoarray.cli import pipelines
from zeoarray.cli.progress import stages

MOST = 6
"""Nodes that are listed by name at the end: of more, their number is told."""


@click.command("run")
@pipelines.pipeline_argument
@pipelines.where_options
@click.option("--prune", is_flag=True, help="Only a few rows, into STORE.pruned: a smoke test.")
@click.option("--overwrite", is_flag=True, help="Replace nodes that were made otherwise.")
@click.option("--restart", is_flag=True, help="Drop what another, unfinished run has written.")
@click.option("--wait", is_flag=True, help="Wait for another process that writes a node.")
@click.option(
    "--verify", is_flag=True, help="Compare digests of what is whole; redo damaged blocks."
)
def command(
    file: Path,
    given: tuple[str, ...],
    where: pipelines.Where,
    prune: bool,
    overwrite: bool,
    restart: bool,
    wait: bool,
    verify: bool,
) -> None:
    """Run a pipeline; run again after an interruption, it goes on.

    \b
      zeoarray run xct.yaml --set ingest.source=169068.nxs --set store=zn13x.zarr
      zeoarray run xct.yaml --cluster cluster/slurm.yaml
    """
    loaded = pipelines.read(file, given)
    if prune:
        loaded = pipeline.prune(loaded)
    kinds = {stage.into: stage.kind for stage in loaded.stages}
    with _interruptible(), where.started() as workers, stages(kinds) as tell:
        pipeline.plan(loaded, memory=workers.memory)
        made = pipeline.run(
            loaded,
            executor=workers.executor,
            in_flight=workers.in_flight,
            lost=workers.lost,
            overwrite=overwrite,
            restart=restart,
            wait=wait,
            verify=verify,
            progress=tell,
        )
    whole = [node for node in kinds if node not in made]
    if made:
        click.echo(f"made {_listed(made)}")
    if whole:
        click.echo(f"whole already: {_listed(whole)}")
    click.echo(f"look at it: zeoarray info {loaded.store}")


def _listed(nodes: list[str]) -> str:
    return ", ".join(nodes) if len(nodes) <= MOST else f"{len(nodes)} nodes"


@contextmanager
def _interruptible() -> Iterator[None]:
    """Tell what happens on Ctrl-C; the second is one as any other."""

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        click.echo("\nStopping once the blocks in flight are made (Ctrl-C again: now)", err=True)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
