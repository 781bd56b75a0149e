"""``zeoarray info``: what is in a facility's file, or in a store."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import xarray as xr

from zeoarray import store as stores
from zeoarray.chunks import format_bytes
from zeoarray.cli import options as opts
from zeoarray.ingest.scan import open_scan
from zeoarray.store.places import Places

MOST_INPUTS = 16


@click.command("info")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--sidecar", type=click.Path(path_type=Path), help="YAML file with these options.")
@click.option("--reader", metavar="NAME", help="Reader to use; `zeoarray readers` lists them.")
@opts.scan_options
def command(path: Path, sidecar: Path | None, reader: str | None, options: dict[str, Any]) -> None:
    """Show what is in PATH: a facility's file, or a store.

    Dims, coordinates with their range and units, variables with their sizes and chunks, how it
    was made, and what is missing. No frame is read.
    """
    if path.is_dir():
        lines = _store(path)
    else:
        ds = open_scan(
            path, {**options, "partial": True}, sidecar=sidecar, reader=reader, chunked=False
        )
        lines = _file(path, ds)
    for line in lines:
        click.echo(line)


def _file(path: Path, ds: xr.Dataset) -> Iterator[str]:
    yield click.style(f"{path}  ({ds.attrs['reader']})", bold=True)
    yield from dataset_lines(ds)
    for note in ds.attrs.get("notes", []):
        yield f"  note     {note}"
    for item in ds.attrs.get("missing", []):
        yield f"  missing  {item['variable']}: link {item['link']} leads to no file"
    for lack in _lacks(ds):
        yield f"  lacks    {lack}"


def _lacks(ds: xr.Dataset) -> Iterator[str]:
    if any(ds[c].attrs.get("units") == "px" for c in ds.coords):
        yield "the pixel size: ingest needs --pixel-size, for example --pixel-size 2.6um"
    elif "frame" in ds.dims and "resolution" not in ds.coords:
        yield "the beam size: ingest needs --beam-size, for example --beam-size 25um"


def _store(path: Path) -> Iterator[str]:
    growing = stores.growing(path)
    names = [] if growing and not (path / "zarr.json").exists() else stores.nodes(path)
    yield click.style(f"{path}  (zarr store, {len(names)} nodes)", bold=True)
    for name in names:
        ds = stores.open_node(path, name, chunked=False)
        size = sum(f.stat().st_size for f in Places(path.resolve(), name).data.rglob("*")
                   if f.is_file())  # fmt: skip
        yield ""
        yield click.style(f"/{name}", bold=True) + f"  whole, {format_bytes(size)} on disk"
        yield from dataset_lines(ds)
        yield from _provenance(ds)
    for name, book in growing.items():
        total = sum(_blocks(a) for a in book.fingerprint.get("arrays", {}).values())
        done = sum("/c/" in key for key in book.records)
        yield ""
        yield f"/{name}  unfinished: {done} of {total} blocks; run the same command to go on"


def _blocks(array: dict[str, Any]) -> int:
    shape, shard = array["shape"], array["shard"]
    return int(np.prod([-(-n // s) for n, s in zip(shape, shard, strict=True)]))


def dataset_lines(ds: xr.Dataset) -> Iterator[str]:
    """Describe dims, coordinates and variables, a line each."""
    yield "  dims     " + ", ".join(f"{dim} {size}" for dim, size in ds.sizes.items())
    positions = [name for name in ds.sizes if name in ds.coords]
    others = sorted(str(n) for n, c in ds.coords.items() if c.ndim and n not in positions)
    for name in (*positions, *others):
        coord = ds.coords[name]
        yield f"  coord    {name} {_dims(coord)}{_values(coord)}{_unit(coord)}"
    scalars = sorted(str(name) for name, coord in ds.coords.items() if coord.ndim == 0)
    told = [f"{name} {_values(ds.coords[name])}{_unit(ds.coords[name])}" for name in scalars]
    for line in textwrap.wrap(", ".join(told), 88):
        yield f"  with     {line}"
    for name, data in ds.data_vars.items():
        chunks = data.encoding.get("chunks")
        shards = data.encoding.get("shards")
        cut = f", chunks {tuple(chunks)}" if chunks and data.ndim > 1 else ""
        cut += f", shards {tuple(shards)}" if shards else ""
        value = f" = {data.values:g}" if data.ndim == 0 and data.dtype.kind in "uif" else ""
        size = format_bytes(data.nbytes)
        yield f"  variable {name} {_dims(data)}{data.dtype} {size}{_unit(data)}{value}{cut}"


def _dims(data: xr.DataArray) -> str:
    return "(" + ", ".join(f"{d} {n}" for d, n in data.sizes.items()) + ") " if data.dims else ""


def _unit(data: xr.DataArray) -> str:
    unit = data.attrs.get("units", "1")
    return "" if unit == "1" else f" {unit}"


def _values(coord: xr.DataArray) -> str:
    values = coord.values
    if values.ndim == 0:
        return f"{values.item():g}" if values.dtype.kind in "uif" else f"{values.item()}"
    if values.dtype.kind not in "uif" or not values.size:
        return ", ".join(map(str, values.ravel()[:4])) + (" ..." if values.size > 4 else "")
    low, high = np.nanmin(values), np.nanmax(values)
    return f"{low:g} to {high:g}"


def joined_lines(ds: xr.Dataset) -> Iterator[str]:
    """Describe how a scan was joined from several files, and which of them are short."""
    joined = ds.attrs.get("joined")
    if joined:
        yield f"  joined   {len(joined['sizes'])} files along {joined['along']}"
        for path, short in joined["short"].items():
            yield f"  short    {path}: {short}"


def _provenance(ds: xr.Dataset) -> Iterator[str]:
    yield from joined_lines(ds)
    inputs = [item["path"] for item in ds.attrs.get("inputs", [])]
    for path in inputs[:MOST_INPUTS]:
        yield f"  input    {path}"
    if len(inputs) > MOST_INPUTS:
        yield f"  input    ... {len(inputs)} files in all, the last {inputs[-1]}"
    for step in ds.attrs.get("steps", []):
        told = ", ".join(f"{k}={v}" for k, v in step["parameters"].items())
        yield f"  step     {step['step']} v{step['version']} ({told})"
    for name, told in ds.attrs.get("references", {}).items():
        for part in told["parts"]:
            yield f"  refers   {name}: {part['file']}::{part['dataset']}"
    for note in ds.attrs.get("notes", []):
        yield f"  note     {note}"
    versions = ds.attrs.get("versions", {})
    if versions:
        yield "  made by  " + ", ".join(f"{k} {v}" for k, v in versions.items() if v)
