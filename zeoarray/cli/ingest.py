"""``zeoarray ingest``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zeoarray import cluster
from zeoarray import store as stores
from zeoarray.chunks import format_bytes
from zeoarray.cli import options as opts
from zeoarray.cli.info import joined_lines
from zeoarray.cli.progress import bar
from zeoarray.ingest.into import into_store


@click.command("ingest")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE... STORE")
@click.option("--into", required=True, metavar="NODE", help="Node to make: xct/i13-2.6um/scan.")
@click.option("--reference", is_flag=True, help="Point at the original chunks; copy nothing.")
@click.option("--concat", "join", metavar="DIM", help="Dim along which several files are joined.")
@click.option("--sidecar", type=click.Path(path_type=Path), help="YAML file with these options.")
@click.option("--reader", metavar="NAME", help="Reader to use; `zeoarray readers` lists them.")
@click.option("--workers", default=1, show_default=True, help="Processes that read and write.")
@click.option("--overwrite", is_flag=True, help="Replace a node that exists.")
@click.option("--restart", is_flag=True, help="Drop what another, unfinished run has written.")
@click.option("--wait", is_flag=True, help="Wait for another process that writes the node.")
@opts.scan_options
def command(
    sources: tuple[str, ...],
    into: str,
    reference: bool,
    join: str | None,
    sidecar: Path | None,
    reader: str | None,
    workers: int,
    overwrite: bool,
    restart: bool,
    wait: bool,
    options: dict[str, Any],
) -> None:
    """Turn SOURCE (a file, a quoted pattern, or several files) into a node of STORE.

    The store is a folder that any zarr or xarray opens; it is made where it is not there. What a
    file lacks, such as its pixel size, is given by an option or in a YAML sidecar. An interrupted
    ingest goes on where it stopped when the same command is run again.

    \b
      zeoarray ingest 169068.nxs zn13x.zarr --into xct/i13-2.6um/scan --pixel-size 2.6um
      zeoarray ingest 'tiffs/raw_*.tiff' a.zarr --into xct/a/scan --pixel-size 1um \\
          --angles angles.txt --angle-lines 10:101 --flats flat.tiff --darks dark.tiff
      zeoarray ingest k11-4332?.nxs a.zarr --concat z --into xrdct/25um/scan --beam-size 25um
    """
    *files, store = sources
    if not files:
        raise click.UsageError(
            "Give a source and a store: zeoarray ingest SOURCE STORE --into NODE"
        )
    with cluster.processes(workers) as executor, bar(f"ingest {into}") as progress:
        path = into_store(
            files[0] if len(files) == 1 else files,
            store,
            into,
            options,
            sidecar=sidecar,
            reader=reader,
            join=join,
            reference=reference,
            executor=executor,
            in_flight=2 * workers,
            overwrite=overwrite,
            restart=restart,
            wait=wait,
            progress=progress,
        )
    size = sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    click.echo(f"{into} is whole: {format_bytes(size)} in {path}")
    for line in joined_lines(stores.open_node(store, into, chunked=False)):
        click.echo(line)
    click.echo(f"look at it: zeoarray info {store}")
