"""`open_scan`: any file of the field as one lazy, labelled dataset."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
import xarray as xr
import yaml

from zeoarray import lazy
from zeoarray.errors import ArgumentError, FormatError, SourceError, unknown
from zeoarray.ingest import (
    concat,
    dawn,
    diad,
    exchange,
    geometry,
    mapping,
    nexus,
    pencil,
    powder,
    savu,
    stack,
)
from zeoarray.ingest.parts import hdf5
from zeoarray.ingest.reader import Options, Reader, only

READERS: tuple[Reader, ...] = (
    *diad.READERS,
    *savu.READERS,
    *dawn.READERS,
    *pencil.READERS,
    *exchange.READERS,
    *nexus.READERS,
    *powder.READERS,
    *stack.READERS,
)
"""In this order each is asked whether it knows a file; the more particular come first."""

Source = str | Path | Sequence[str | Path]
GivenOptions = Options | Mapping[str, Any] | None


def open_scan(
    source: Source,
    options: GivenOptions = None,
    *,
    sidecar: str | Path | None = None,
    reader: str | None = None,
    join: str | None = None,
    chunked: bool = True,
) -> xr.Dataset:
    """Open a scan as a lazy dataset in the dims, units and names of the data model.

    Parameters
    ----------
    source
        A file, a glob pattern of image files, or several files that make one scan.
    options
        What the files lack or state wrongly: `Options`, or a mapping of its fields, as
        ``{"pixel_size": "2.6 um"}``.
    sidecar
        YAML file with the same fields; `options` come before it.
    reader
        Name of a reader, where the file could be read in two ways.
    join
        Dim along which several files are joined: ``z`` for layers.
    chunked
        Large variables as dask arrays; otherwise lazily indexed, as ``xr.open_dataset`` gives.

    Returns
    -------
    xarray.Dataset
        Nothing of the frames is read.

    Raises
    ------
    SourceError
        For a file that is not what it should be; `FormatError` where no reader knows it,
        `MissingMetadataError` where a needed quantity is stated nowhere.
    ArgumentError
        For an option that cannot be right, or means nothing for such a scan.

    Examples
    --------
    >>> ds = open_scan("169068.nxs", {"pixel_size": "2.6 um"})  # doctest: +SKIP
    """
    resolved = resolve_options(options, sidecar)
    paths = [source] if isinstance(source, (str, Path)) else list(source)
    if not paths:
        raise ArgumentError("no source was given", expected="a file, a pattern or several files")
    absolute = [Path(p).expanduser().absolute() for p in paths]
    ds = _open_all(absolute, resolved, reader, join)
    request = {
        "source": [str(p) for p in absolute],
        "options": resolved.model_dump(mode="json", exclude_unset=True),
        "reader": reader,
        "join": join,
    }
    ds = ds.assign_attrs(request=request)
    return lazy.chunked(ds) if chunked else ds


def _open_all(
    paths: Sequence[Path], options: Options, reader: str | None, join: str | None
) -> xr.Dataset:
    if join is not None:
        return concat.join([(path, _opener(path, options, reader)) for path in paths], join)
    if len(paths) > 1:
        raise ArgumentError(
            "several files make one node only along a dim",
            got=f"{len(paths)} files",
            do="say which: --concat z (in Python: join='z')",
        )
    return _open_one(paths[0], options, reader)


def _opener(path: Path, options: Options, reader: str | None) -> concat.Opener:
    return lambda: _open_one(path, options, reader)


def _open_one(path: Path, options: Options, reader: str | None) -> xr.Dataset:
    chosen = find_reader(path, options, reader)
    only(options, chosen.takes, f"the reader {chosen.name!r}", path=path)
    ds = chosen.read(path, options).assign_attrs(reader=chosen.name)
    if {"det_y", "det_x"} <= set(ds.dims):
        ds = geometry.attach(ds, options)
    return ds


def find_reader(path: Path, options: Options, name: str | None = None) -> Reader:
    """Return the reader called `name`, or the first that knows the file.

    Raises
    ------
    FormatError
        Saying what every reader looked for, and the nearest candidates in the file.
    ArgumentError
        Where a mapping and another reader are asked for.
    """
    if options.mapping is not None:
        if name not in (None, mapping.NAME):
            raise ArgumentError(
                f"{path}: a mapping is read by the reader {mapping.NAME!r}",
                got=f"the reader {name!r} and the mapping {options.mapping}",
                do="leave one of them out",
            )
        return mapping.READER
    exists(path)
    if name is not None:
        known = {r.name: r for r in READERS}
        if name not in known:
            raise unknown("reader", name, known)
        return known[name]
    for reader in READERS:
        if reader.recognise(path):
            return reader
    raise FormatError(
        f"no reader knows {path}",
        got=_contents(path),
        expected="\n".join(f"{r.name}: {r.looks_for}" for r in READERS),
        do="for another HDF5 layout, say where things are in a YAML file: --mapping layout.yaml",
    )


def exists(path: Path) -> None:
    """Raise unless `path` is a file that may be read, or a pattern that matches some."""
    if glob.has_magic(str(path)) and not path.exists():
        if not glob.glob(str(path)):
            raise SourceError(f"no file matches {path}", do="check the pattern; quote it: '*.tif'")
        return
    if not path.exists():
        folder = path.parent
        near = [p.name for p in folder.glob(f"{path.stem[:3]}*")][:5] if folder.is_dir() else []
        raise SourceError(
            f"{path} does not exist",
            got=("beside it: " + ", ".join(sorted(near))) if near else None,
            do="check the path",
        )
    if path.is_dir():
        raise SourceError(
            f"{path} is a folder",
            expected="a file, or a pattern of image files",
            do=f"for a stack of images: '{path}/*.tif'",
        )
    try:
        with open(path, "rb") as file:
            first = file.read(1)
    except PermissionError:
        raise SourceError(f"{path} may not be read", do=f"ls -l {path}") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read", got=error.strerror) from None
    if not first:
        raise SourceError(f"{path} is empty", do="fetch it again")


def _contents(path: Path) -> str:
    if not hdf5.is_hdf5(path):
        return f"a file of {path.stat().st_size} bytes that is not HDF5, ending in {path.suffix!r}"
    with hdf5.opened(path) as file:
        found = hdf5.datasets(file)
    images = [f"{name} {shape}" for name, shape in found.items() if len(shape) >= 3]
    shown = images or [f"{name} {shape}" for name, shape in found.items() if shape]
    kind = "datasets of three dims or more" if images else "datasets (none has three dims)"
    return f"an HDF5 file with the {kind}: " + ", ".join(shown[:8]) if shown else "no datasets"


def resolve_options(options: GivenOptions, sidecar: str | Path | None = None) -> Options:
    """Return the options of a sidecar overlaid with those given, validated.

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest that does.
    ArgumentError
        For a value of the wrong type, unit or range.
    """
    if isinstance(options, Options) and sidecar is None:
        return options
    given = options.model_dump(exclude_unset=True) if isinstance(options, Options) else options
    merged = {**(read_sidecar(Path(sidecar)) if sidecar else {}), **(given or {})}
    for name in merged:
        if name not in Options.model_fields:
            raise unknown("option", str(name), Options.model_fields)
    try:
        return Options.model_validate(merged)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise ArgumentError(
            f"option {name!r}: {first['msg'].removeprefix('Value error, ')}",
            got=repr(first["input"]),
            expected=(Options.model_fields[name].description or None),
        ) from None


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read the options that a small YAML file states about a scan."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"{path} cannot be read", got=error.strerror) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path} is not plain YAML",
            got=" ".join(str(error).split()),
            expected="option: value lines, without tags",
        ) from None
    if not isinstance(content, dict):
        raise SourceError(
            f"{path} holds no options", got=type(content).__name__, expected="option: value lines"
        )
    return content


def reopen(fingerprint: Mapping[str, Any]) -> xr.Dataset:
    """Open again what a node was made of, from the fingerprint in its ledger.

    Raises
    ------
    SourceError
        Where a source file is gone or is another one by now, or where the node was not
        ingested from files.
    """
    request = fingerprint.get("request") or {}
    if not request.get("source") or fingerprint.get("steps"):
        raise SourceError(
            "the node was not read from files",
            got="a result of " + ", ".join(s["step"] for s in fingerprint.get("steps", [])),
            do="run the step again with overwrite",
        )
    for path, stamp in fingerprint["sources"].items():
        now = Path(path).stat() if Path(path).exists() else None
        if now is None or [now.st_size, now.st_mtime_ns] != stamp:
            raise SourceError(
                f"{path} is not the file that was ingested",
                got="no file" if now is None else f"{now.st_size} bytes, of another time",
                expected=f"{stamp[0]} bytes" if stamp else None,
                do="put the original file back",
            )
    return open_scan(
        request["source"],
        request["options"],
        reader=request["reader"],
        join=request["join"],
        chunked=False,
    )
