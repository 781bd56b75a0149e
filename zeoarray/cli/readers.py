"""``zeoarray readers``."""

from __future__ import annotations

import click

from zeoarray.ingest import mapping
from zeoarray.ingest.scan import READERS


@click.command("readers")
def command() -> None:
    """List the file formats that are known, in the order in which a file is tried."""
    width = max(len(reader.name) for reader in READERS)
    for reader in (*READERS, mapping.READER):
        click.echo(f"{reader.name:<{width}}  {reader.looks_for}")
