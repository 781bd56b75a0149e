"""``zeoarray export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from zeoarray import export
from zeoarray.cli.options import pair
from zeoarray.cli.progress import bar
from zeoarray.ingest.reference import open_node


@click.command("export")
@click.argument("store", type=click.Path(path_type=Path))
@click.argument("node")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--tiff", "kind", flag_value="tiff", help="A folder with an image a file.")
@click.option("--hdf5", "kind", flag_value="hdf5", help="One NeXus file.")
@click.option("--xye", "kind", flag_value="xye", help="The pattern of a voxel or region, as text.")
@click.option(
    "--at",
    nargs=2,
    multiple=True,
    metavar="DIM WHERE",
    help="Where the pattern is, in um: --at y 50 --at x -100:100. May be given several times.",
)
@click.option("--var", metavar="NAME", help="Variable to write, where the node has several.")
@click.option(
    "--dtype",
    type=click.Choice(["uint16", "float32"]),
    help="16 bits between two values that are kept (uint16, if not said), or floats.",
)
@click.option(
    "--range",
    "limits",
    metavar="LOW:HIGH",
    help="Values that become 0 and 65535; least and greatest where left out.",
)
@click.option("--percentiles", metavar="LOW:HIGH", help="Instead, percentiles: 0.1:99.9.")
@click.option("--rows", metavar="FIRST:PAST", help="Rows of z to write: 100:200.")
@click.option("--fill", type=float, help="Value to write where one is not finite, in 16 bits.")
@click.option("--overwrite", is_flag=True, help="Replace an export that exists.")
@click.option("--wait", is_flag=True, help="Wait for another process that writes the same.")
def command(
    store: Path,
    node: str,
    out: Path,
    kind: Literal["tiff", "hdf5", "xye"] | None,
    at: tuple[tuple[str, str], ...],
    var: str | None,
    dtype: Literal["uint16", "float32"] | None,
    limits: str | None,
    percentiles: str | None,
    rows: str | None,
    fill: float | None,
    overwrite: bool,
    wait: bool,
) -> None:
    """Write NODE of STORE as other programs read it: into OUT, a TIFF stack or an HDF5 file.

    16-bit numbers mean value = low + number * (high - low) / 65535; both ends are kept in each
    file, and ImageJ shows values by them. OUT appears when it is whole. With --xye, OUT is the mean
    pattern of a voxel or region, for TOPAS and GSAS-II: two-theta, intensity, sigma where it ends
    in .xye, q in place of two-theta in .qye, no sigma in .xy.

    \b
      zeoarray export zn13x.zarr xct/i13-2.6um/volume/bin1 slices --tiff
      zeoarray export zn13x.zarr xct/i13-2.6um/volume/bin1 volume.h5 --hdf5 --dtype float32
      zeoarray export zn13x.zarr xct/i13-2.6um/volume/bin1 few --tiff --range -0.5:4 --rows 90:110
      zeoarray export zn13x.zarr xrdct/25um/volume rim.xye --xye --at z 0 --at y 50 --at x -100:100
    """
    if kind is None:
        raise click.UsageError(
            "Say which: --tiff for a stack of images, --hdf5 for one file, --xye for a pattern."
        )
    numbers = {"--dtype": dtype, "--range": limits, "--percentiles": percentiles, "--rows": rows,
               "--fill": fill}  # fmt: skip
    _check_used(kind, numbers, at)
    ds = open_node(store, node, chunked=False)
    if kind == "xye":
        found = export.to_xye(
            ds, out, at={dim: _place(dim, text) for dim, text in at},
            variable=var or "intensity", overwrite=overwrite, wait=wait,
        )  # fmt: skip
        click.echo(_pattern(found, out))
        return
    write = export.to_tiff if kind == "tiff" else export.to_hdf5
    with bar(f"export {node}") as progress:
        told = write(
            ds,
            out,
            variable=var,
            dtype=dtype or "uint16",
            limits=pair(limits, "--range") if limits is not None else None,
            percentiles=pair(percentiles, "--percentiles") if percentiles is not None else None,
            rows=pair(rows, "--rows", int) if rows is not None else None,
            fill=fill,
            overwrite=overwrite,
            wait=wait,
            progress=progress,
        )
    for line in _lines(told, out):
        click.echo(line)


def _check_used(kind: str, numbers: dict[str, Any], at: tuple[tuple[str, str], ...]) -> None:
    given = [flag for flag, value in numbers.items() if value is not None]
    if kind == "xye" and given:
        raise click.UsageError(f"{given[0]} is of images, --xye writes a pattern.")
    if kind != "xye" and at:
        raise click.UsageError("--at is of --xye; --rows says which images are written.")
    twice = {dim for dim, _ in at if [name for name, _ in at].count(dim) > 1}
    if twice:
        raise click.UsageError(f"--at {min(twice)} is given twice: one number, or LOW:HIGH.")


def _place(dim: str, text: str) -> float | tuple[float, float]:
    if ":" in text:
        return pair(text, f"--at {dim}")
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(
            f"--at {dim} takes a number or LOW:HIGH in the unit of {dim}, not {text!r}."
        ) from None


def _pattern(told: dict[str, Any], out: Path) -> str:
    where = ", ".join(
        f"{dim} {low:g}" if low == high else f"{dim} {low:g} to {high:g}"
        for dim, (low, high) in told["region"].items()
    )
    return (
        f"{out} is whole: {told['columns']}; {told['bins']} bins, {told['bins_left_out']} left "
        f"out; mean of {told['patterns']} patterns, {told['left_out']} left out"
        + (f" ({where})" if where else "")
    )


def _lines(told: dict[str, Any], out: Path) -> list[str]:
    shape = " x ".join(map(str, told["shape"]))
    lines = [f"{out} is whole: {told['variable']} {shape} {told['dtype']}"]
    if "range" in told:
        low, high = told["range"]
        unit = "" if told["units"] == "1" else f" {told['units']}"
        lines.append(
            f"0 to 65535 are {low:.9g} to {high:.9g}{unit} ({told['scaled_by']}); "
            f"{100 * told['clipped_share']:.3g} % of the values were clipped"
        )
    if "range_per_pixel" in told and "files" in told:
        low, high = told["range_per_pixel"]
        pixel = told["spacing_um"][told["dims"][-1]]
        lines.append(
            f"back into a store: zeoarray ingest '{out}/*.tif' STORE --into NODE "
            f"--pixel-size {pixel:g}um --range {low:.9g}:{high:.9g}"
        )
    return lines
