"""``zeoarray twin``."""

from __future__ import annotations

from pathlib import Path

import click

from zeoarray.chunks import format_bytes
from zeoarray.cli.progress import counts
from zeoarray.twin import generate
from zeoarray.twin.presets import PRESETS


@click.command("twin")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--preset", type=click.Choice(list(PRESETS)), default="tiny", show_default=True)
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same data.")
@click.option(
    "--only", multiple=True, metavar="PART", help="xct, xrdct, powder, truth, or a scan's name."
)
@click.option("--rows", type=int, help="Detector rows about the middle: a slab of a preset.")
@click.option("--workers", type=int, help="Threads; all processors where left out.")
def command(
    out: Path,
    preset: str,
    seed: int,
    only: tuple[str, ...],
    rows: int | None,
    workers: int | None,
) -> None:
    """Write the files of a sample whose truth is known into the folder OUT.

    A simulated pellet of zinc-doped zeolite, as the beamlines would have measured it: tomograms
    at four pixel sizes (I13-2 files), one of DIAD with its linked files, XRD-CT frames with their
    geometry and mask, the reduced file, powder patterns; and truth.zarr, which says what is true.

    \b
      tiny    a few MB, in seconds
      small   tomograms of 512 x 64 pixels and 400 angles, in minutes
      full    the sizes of the real dataset: write a slab of it with --rows
    """
    with counts() as progress:
        generate(
            out,
            preset=preset,
            seed=seed,
            only=only or None,
            rows=rows,
            workers=workers,
            progress=progress,
        )
    files = sorted(p for p in out.iterdir() if not p.name.endswith(".ledger"))
    for path in files:
        inside = path.rglob("*") if path.is_dir() else [path]
        size = sum(p.stat().st_size for p in inside if p.is_file())
        click.echo(f"{format_bytes(size):>9}  {path}")
    click.echo(f"look at one: zeoarray info {files[0]}" if files else "nothing was asked for")
