"""``zeoarray report``."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from zeoarray import report
from zeoarray.chunks import format_bytes
from zeoarray.cli.progress import counts


@click.command("report")
@click.argument("store", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path),
              help="File to write. [default: STORE.report.html]")  # fmt: skip
@click.option("--truth", type=click.Path(path_type=Path, exists=True),
              help="Folder of a twin's files. [default: that of the sources of STORE]")  # fmt: skip
@click.option("--open", "show", is_flag=True, help="Open it in the browser.")
def command(store: Path, out: Path | None, truth: Path | None, show: bool) -> None:
    """Write one HTML page that shows STORE: what is in it, pictures of it, how it was made.

    The page holds all it shows, needs no network, and may be sent to anyone. Of data, only planes
    and parts are read. Unfinished stores are shown as far as they are.

    \b
      zeoarray report zn13x.zarr --open
      zeoarray report zn13x.zarr -o zn13x.html
    """
    with counts() as tell:
        made = report.write(store, out, truth_from=truth, progress=tell)
    click.echo(f"{made} written, {format_bytes(made.stat().st_size)}")
    if show and not webbrowser.open(made.resolve().as_uri()):
        click.echo("no browser could be started; open the file by hand", err=True)
