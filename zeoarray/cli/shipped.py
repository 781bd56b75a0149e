"""``zeoarray pipelines``: the pipelines and cluster files that come with the package."""

from __future__ import annotations

from pathlib import Path

import click

from zeoarray.errors import unknown

PACKAGE = Path(__file__).parents[1]
KINDS = {"pipelines": "pipelines", "cluster": "clusters"}


def files(kind: str) -> dict[str, Path]:
    """Shipped files of a kind, by name: inside the package, or beside it in a checkout."""
    inside, beside = PACKAGE / "shipped" / kind, PACKAGE.parent / kind
    folder = inside if inside.is_dir() else beside
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def summary(path: Path) -> str:
    """First line of a shipped file, which says what it is."""
    return path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ").rstrip(".:")


@click.command("pipelines")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the shipped pipelines and cluster files, or print one: a copy of your own to change.

    \b
      zeoarray pipelines
      zeoarray pipelines xct > my.yaml
      zeoarray pipelines slurm > slurm.yaml
    """
    known = {kind: files(kind) for kind in KINDS}
    if name is None:
        for kind, found in known.items():
            click.echo(f"{KINDS[kind]}:")
            for stem, path in found.items():
                click.echo(f"  {stem:<14} {summary(path)}")
        return
    paths = {stem: path for found in known.values() for stem, path in found.items()}
    stem = name.removesuffix(".yaml")
    if stem not in paths:
        raise unknown("shipped file", name, paths)
    click.echo(paths[stem].read_text(encoding="utf-8"), nl=False)
