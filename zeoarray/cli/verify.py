"""``zeoarray verify``."""

from __future__ import annotations

from pathlib import Path

import click

from zeoarray import store as stores
from zeoarray.cli.progress import bar
from zeoarray.ingest import reference, scan


@click.command("verify")
@click.argument("store", type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="Write damaged blocks anew from their source.")
def command(store: Path, repair: bool) -> int:
    """Check every block of STORE against the digest that was recorded when it was written.

    Names the missing, torn and altered blocks. With --repair each is written anew from its
    source, and put in place only if it is then exactly what was recorded. Exits with 1 where
    damage is left.
    """
    with bar(f"verify {store}") as progress:
        found = stores.verify(store, rebuild=scan.reopen if repair else None, progress=progress)
        altered = _referenced(store)
    for finding in found:
        state = "repaired" if finding.repaired else finding.fault
        click.echo(f"{state}: {finding.node}/{finding.key}".rstrip("/"))
        if finding.why_not:
            click.echo(f"  not repaired: {finding.why_not}")
    for line in altered:
        click.echo(f"altered original: {line}")
    for node, book in stores.growing(store).items():
        click.echo(f"unfinished: {node} ({len(book.records)} files are there)")
    left = [f for f in found if not f.repaired]
    nodes = stores.nodes(store)
    if not left and not altered:
        click.echo(f"{store}: {len(nodes)} nodes, every block as it was written")
        return 0
    if left and not repair:
        click.echo(f"to heal it: zeoarray verify {store} --repair")
    return 1


def _referenced(store: Path) -> list[str]:
    altered = []
    for node in stores.nodes(store):
        ds = stores.open_node(store, node, chunked=False)
        if "references" in ds.attrs:
            altered += reference.altered_chunks(ds)
    return altered
