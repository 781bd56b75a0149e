"""``python -m zeoarray``, and the ``zeoarray`` command: one clear line for each error."""

from __future__ import annotations

import gc
import os
import shlex
import sys

import click

from zeoarray.cli import zeoarray
from zeoarray.errors import ArgumentError, ZeoError


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit with 0, 1 (the data or the machine) or 2 (the command)."""
    # What is imported stays: looking through it for garbage is a sixth of the time to start.
    gc.set_threshold(50_000, 20, 20)
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        code = zeoarray.main(arguments, prog_name="zeoarray", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(_interrupted(arguments))
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(_interrupted(arguments))
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone; nothing is left to tell it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ZeoError as error:
        if debug:
            raise
        click.secho("Error: ", fg="red", bold=True, err=True, nl=False)
        click.echo(str(error), err=True)
        sys.exit(2 if isinstance(error, ArgumentError) else 1)
    except Exception as error:
        if debug:
            raise
        click.secho("Error: ", fg="red", bold=True, err=True, nl=False)
        click.echo(f"{type(error).__name__}: {error}", err=True)
        click.echo("  do:       this was not foreseen: run it with --debug and report it", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _interrupted(arguments: list[str] | None) -> int:
    same = shlex.join(["zeoarray", *(sys.argv[1:] if arguments is None else arguments)])
    click.echo("\nInterrupted. What is finished is kept; the same command goes on:", err=True)
    click.echo(f"  {same}", err=True)
    return 130


if __name__ == "__main__":
    main()
