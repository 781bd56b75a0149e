"""``zeoarray preview``."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import click
import xarray as xr

from zeoarray import plot
from zeoarray.cli import options as opts
from zeoarray.cli import pipelines
from zeoarray.ingest import scan
from zeoarray.pipeline import checks, preview
from zeoarray.pipeline.document import Call
from zeoarray.plot import canvas


@click.command("preview")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--row", type=int, help="Detector row. [default: the middle one]")
@click.option("--center", type=float, help="Rotation axis, as an index of the columns.")
@click.option("--pipeline", "file", type=click.Path(path_type=Path), help="YAML with the steps.")
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="xct.remove_rings.snr=5")
@click.option("--sweep", metavar="KEY=A:B:BY", help="xct.reconstruct.center=1260:1271:0.5")
@click.option("--out", type=click.Path(path_type=Path), default=Path("preview.png"),
              show_default=True, help="Picture to write.")  # fmt: skip
@click.option("--sidecar", type=click.Path(path_type=Path), help="YAML file with these options.")
@opts.scan_options
def command(
    source: Path,
    row: int | None,
    center: float | None,
    file: Path | None,
    given: tuple[str, ...],
    sweep: str | None,
    out: Path,
    sidecar: Path | None,
    options: dict[str, Any],
) -> None:
    """Reconstruct one row of a raw tomogram, without ingest, and write its picture.

    Only this row of the file is read. Without --center the rotation axis is measured on it. A
    sweep writes a montage, with the value on each tile.

    \b
      zeoarray preview 169068.nxs --row 1000 --pixel-size 2.6um
      zeoarray preview 169068.nxs --row 1000 --pixel-size 2.6um \\
          --sweep xct.reconstruct.center=1260:1271:0.5
      zeoarray preview 169068.nxs --pipeline xct.yaml --set xct.remove_rings.snr=5
    """
    begun = time.perf_counter()
    # matplotlib is imported while the row is read and cleaned.
    threading.Thread(target=canvas.figure, args=(1, 1), daemon=True).start()
    steps: preview.Steps = preview.STEPS
    measures: dict[str, Call] = {}
    stated: dict[str, Any] = {}
    if file is not None:
        read = pipelines.read(file, given)
        ingest, steps, measures = preview.from_pipeline(read)
        stated = checks.scan_options(ingest) if ingest is not None else {}
    else:
        steps = preview.with_settings(steps, pipelines.settings(given))
    if center is not None:
        steps = preview.with_settings(steps, {"xct.reconstruct.center": str(center)})
    ds = scan.open_scan(source, {**stated, **options}, sidecar=sidecar, chunked=False)
    number = ds.sizes["z"] // 2 if row is None else row
    parsed = preview.Sweep.parse(sweep) if sweep else None
    tiles = list(preview.preview(ds, steps, row=number, sweep=parsed, measures=measures))
    _picture(tiles, f"{source.name}, row {number}", sweep).savefig(out)
    for value, result in tiles:
        values = result["attenuation"]
        told = f"{value:g}: " if value is not None else ""
        click.echo(
            f"{told}axis at column {_axis(result, ds):.2f}, attenuation "
            f"{float(values.min()):.3g} to {float(values.max()):.3g} 1/cm"
        )
    click.echo(f"{out} written, {time.perf_counter() - begun:.1f} s")


def _axis(result: xr.Dataset, ds: xr.Dataset) -> float:
    u = ds["u"].values
    return float((result["axis_u"].values.ravel()[0] - u[0]) / (u[1] - u[0]))


def _picture(tiles: list[tuple[float | None, xr.Dataset]], title: str, sweep: str | None) -> Any:
    images = [result["attenuation"].isel(z=0) for _, result in tiles]
    if sweep is None:
        return plot.montage(images, [title])
    return plot.montage(images, [f"{value:g}" for value, _ in tiles], title=f"{title}: {sweep}")
