"""``zeoarray steps``."""

from __future__ import annotations

import inspect

import click

from zeoarray import pipeline  # noqa: F401  registers every verb
from zeoarray.step import STEPS, find


@click.command("steps")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the steps and measures that pipelines call, or document one.

    \b
      zeoarray steps
      zeoarray steps xct.reconstruct
    """
    if name is None:
        for entry in sorted(STEPS.values(), key=lambda e: e.name):
            click.echo(f"{entry.name:<26} {entry.kind:<8} {entry.summary}")
        return
    entry = find(name)
    click.echo(f"{entry.name} ({entry.kind}, version {entry.version})\n")
    for parameter, default in entry.defaults.items():
        told = "required" if default is inspect.Parameter.empty else f"default {default!r}"
        kind = "path of a node" if parameter in entry.nodes else _shown(entry.hints[parameter])
        click.echo(f"  {parameter}: {kind}, {told}")
    click.echo("\n" + (inspect.getdoc(entry.function) or ""))


def _shown(hint: object) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
