"""``zeoarray patches``."""

from __future__ import annotations

from pathlib import Path

import click
import xarray as xr

from zeoarray import store as stores
from zeoarray.errors import ArgumentError
from zeoarray.patches.check import check
from zeoarray.patches.datasheet import datasheet


@click.group("patches")
def command() -> None:
    """Look at sets of training patches in a store."""


@command.command("check")
@click.argument("store", type=click.Path(path_type=Path))
@click.argument("name", metavar="[SET]", required=False)
def check_command(store: Path, name: str | None) -> int:
    """Prove that no two splits of a set share a point of space, after all that patches see.

    Without SET, all sets of STORE are checked. Exits with 1 where splits leak.

    \b
      zeoarray patches check zn13x.zarr
      zeoarray patches check zn13x.zarr patches/sr
    """
    leaking = 0
    for each, sources in _sets(store, name).items():
        found = check(sources)
        counts = ", ".join(f"{n} {count}" for n, count in found.patches.items())
        click.echo(f"{each}: {len(sources)} sources, {counts}")
        wide = " x ".join(f"{b:g}" for b in found.buffer)
        cost = f", which cost {found.lost:.0%} of the places" if found.lost == found.lost else ""
        click.echo(f"  buffer between splits: {wide} um{cost}")
        for leak in found.leaks:
            click.echo(f"  LEAK: {leak}")
        if not found.leaks:
            click.echo(f"  no leak in {found.pairs} pairs of sources and splits")
        leaking += bool(found.leaks)
    return 1 if leaking else 0


@command.command("datasheet")
@click.argument("store", type=click.Path(path_type=Path))
@click.argument("name", metavar="SET")
@click.option("--licence", help="Licence of the data, as it shall be said.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File; else it is printed.")
def datasheet_command(store: Path, name: str, licence: str | None, output: Path | None) -> None:
    """Write the datasheet of a set: what, from where, licence, known limits, in Markdown."""
    ((each, sources),) = _sets(store, name).items()
    text = datasheet(each, sources, licence=licence)
    if output is None:
        click.echo(text)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"wrote {output}")


def _sets(store: Path, name: str | None) -> dict[str, dict[str, xr.Dataset]]:
    """Nodes of patches and places by the set they are in, and by source."""
    found: dict[str, dict[str, xr.Dataset]] = {}
    for node in stores.nodes(store):
        group, _, source = node.rpartition("/")
        if name is not None and group != name.strip("/"):
            continue
        ds = stores.open_node(store, node, chunked=False)
        if "split" in ds.coords and "z0" in ds.coords:
            found.setdefault(group, {})[source] = ds
    if not found:
        raise ArgumentError(
            f"{store} has no patches" + (f" in {name!r}" if name else ""),
            expected="nodes that patches.place and patches.extract made, as patches/sr/places",
            do=f"zeoarray info {store} lists its nodes",
        )
    return found
