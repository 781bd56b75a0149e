"""Floor 6: the ``zeoarray`` command. Each subcommand is a file here, imported when it is used."""

from __future__ import annotations

import importlib

import click

from zeoarray.errors import nearest

COMMANDS = {
    "check": "Find every fault of a pipeline before any data is read.",
    "export": "Write a node as a TIFF stack or an HDF5 file, or a pattern as text.",
    "info": "Show what is in a facility's file or in a store.",
    "ingest": "Turn a facility's file into a labelled store.",
    "cluster": "Check a cluster file, and show what it would start.",
    "convert": "Write a process list of Savu or HTTomo as a pipeline.",
    "patches": "Check that the splits of training patches do not leak; write datasheets.",
    "pipelines": "List the shipped pipelines, or print one to change.",
    "plan": "Say what a pipeline will read, write and hold in memory.",
    "preview": "Reconstruct one row of a raw tomogram, without ingest.",
    "readers": "List the file formats that are known.",
    "report": "Write one HTML page that shows a store.",
    "run": "Run a pipeline; run again, it goes on.",
    "steps": "List the steps that pipelines call, or document one.",
    "twin": "Write the files of a sample whose truth is known.",
    "verify": "Check every block of a store, and heal what is damaged.",
}
"""Name and one line of every subcommand, so that --help imports none of them."""

MODULES = {"pipelines": "shipped"}
"""Modules that have another name than their subcommand."""


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"zeoarray.cli.{MODULES.get(name, name)}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = nearest(args[0], COMMANDS)
            hint = f" Did you mean '{near}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='Shell completion, for bash: eval "$(_ZEOARRAY_COMPLETE=bash_source zeoarray)" '
    "(zsh_source and fish_source for these shells).",
)
@click.version_option(package_name="zeoarray")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def zeoarray(debug: bool) -> None:
    """Labelled, out-of-core arrays for synchrotron tomography and diffraction.

    From a facility's file to a store that xarray opens with physical coordinates:

    \b
      zeoarray info 169068.nxs
      zeoarray ingest 169068.nxs zn13x.zarr --into xct/i13-2.6um/scan --pixel-size 2.6um
      zeoarray info zn13x.zarr
      zeoarray verify zn13x.zarr
      python -c "import zeoarray; print(zeoarray.open('zn13x.zarr'))"

    Every command may be interrupted and run again: what is finished is kept.
    """
