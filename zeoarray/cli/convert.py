"""``zeoarray convert``."""

from __future__ import annotations

from pathlib import Path

import click

from zeoarray.convert import convert


@click.command("convert")
@click.argument("process_list", type=click.Path(path_type=Path), metavar="LIST")
@click.option("--source", metavar="FILE", help="The raw scan that the pipeline shall ingest.")
@click.option("--store", metavar="STORE", help="The store; named after the source if left out.")
@click.option("--scan", metavar="NAME", help="Name of the scan in the store: i13-2.6um.")
@click.option(
    "--skip",
    multiple=True,
    metavar="NAME",
    help="Leave out a step, by its name or number. May be given several times.",
)
def command(
    process_list: Path,
    source: str | None,
    store: str | None,
    scan: str | None,
    skip: tuple[str, ...],
) -> None:
    """Write LIST, a process list of Savu (.nxs) or HTTomo (.yaml), as the YAML of a pipeline.

    Steps keep their order. What has no counterpart is named, all of it at once, with what to use
    instead; what became of each step and parameter is said in comments.

    \b
      zeoarray convert savu.nxs --source 169068.nxs --scan i13-2.6um > pipeline.yaml
    """
    click.echo(convert(process_list, source=source, store=store, scan=scan, skip=skip), nl=False)
