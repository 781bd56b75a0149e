"""``zeoarray steps``."""

from __future__ import annotations

import inspect
import json

import click

from zeoarray.errors import ArgumentError
from zeoarray.pipeline.json_schema import json_schema
from zeoarray.pipeline.verbs import every, find


@click.command("steps")
@click.argument("name", required=False)
@click.option(
    "--schema", is_flag=True, help="Print the JSON schema of pipeline files, for editors."
)
def command(name: str | None, schema: bool) -> None:
    """List the steps and measures that pipelines call, or document one.

    \b
      zeoarray steps
      zeoarray steps xct.reconstruct
      zeoarray steps --schema > pipeline.schema.json
    """
    if schema:
        if name is not None:
            raise ArgumentError("--schema is of all steps", do="leave out the name")
        click.echo(json.dumps(json_schema(), indent=1))
        return
    if name is None:
        for entry in sorted(every().values(), key=lambda e: e.name):
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
