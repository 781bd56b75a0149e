"""Powder patterns as text: Rigaku ``.asc`` and ``.ras``, and ``.xy`` and ``.xye``.

The wavelength of a laboratory tube is that of K-alpha1, which the scattering angle of a peak's
maximum belongs to; K-alpha2 is kept beside it and not stripped. Counts have Poisson's variance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SourceError, unknown
from zeoarray.ingest.parts import labels
from zeoarray.ingest.parts.rigaku import Pattern, read_asc, read_ras
from zeoarray.ingest.parts.xye import read_xy
from zeoarray.ingest.reader import Options, Reader

NAME = "powder"
_FORMATS = {".asc": read_asc, ".ras": read_ras, ".xy": read_xy, ".xye": read_xy}
_BEGINS = {".asc": ("*TYPE", "*BEGIN"), ".ras": ("*RAS_DATA_START",)}


def recognise(path: Path) -> bool:
    """Whether `path` is a text file with a powder pattern: by its ending, and its first lines."""
    suffix = path.suffix.lower()
    if suffix not in _FORMATS or not path.is_file():
        return False
    with open(path, "rb") as file:
        head = file.read(4096)
    wanted = _BEGINS.get(suffix)
    return any(word.encode() in head for word in wanted) if wanted else b"\0" not in head


def read(path: Path, options: Options) -> xr.Dataset:
    """Open a powder pattern.

    Parameters
    ----------
    path
        ``.asc``, ``.ras``, ``.xy`` or ``.xye``.
    options
        ``dataset``: which scan, by number (from 0) or name, where the file holds several;
        ``wavelength`` or ``energy`` where the file states none.

    Returns
    -------
    xarray.Dataset
        ``intensity(q)``, ``variance(q)`` where it is known, `two_theta`, `d`, `wavelength`.

    Raises
    ------
    SourceError
        For a file that is torn or contradicts itself, and for several scans of which none is
        chosen: they are never joined.
    MissingMetadataError
        Where the wavelength is stated nowhere.
    """
    patterns = _FORMATS[path.suffix.lower()](path)
    pattern = _chosen(path, patterns, options)
    notes = list(pattern.notes)
    if len(patterns) > 1:
        notes.append(f"scan {patterns.index(pattern)} of {len(patterns)}: {pattern.shown}")
    beam = labels.beam(options, wavelength=pattern.wavelength, notes=notes)
    wavelength = float(beam["wavelength"].values) if beam else None
    wavelength = options.need("wavelength", wavelength, path=path)
    if wavelength is None:
        notes.append("without a wavelength there is no q: the axis is two_theta")
        dim = "two_theta"
        coords: dict[str, Any] = {dim: (dim, pattern.two_theta, {"units": "deg"})}
    else:
        dim = "q"
        q = labels.q_of(pattern.two_theta, wavelength)
        coords = labels.radial(q, wavelength, pattern.two_theta) | beam
    variables: dict[str, Any] = {"intensity": (dim, pattern.intensity, {"units": pattern.unit})}
    if pattern.variance is not None:
        variables["variance"] = (dim, pattern.variance)
    ds = labels.cropped(xr.Dataset(variables, coords), options.crop, [dim])
    ds = labels.finish(ds, schema.POWDER, reader=NAME, source=[path], notes=notes)
    if wavelength == pattern.wavelength and pattern.k_alpha2 is not None:
        # Kept where it may serve: fits of laboratory patterns model both lines.
        ds["wavelength"].attrs["k_alpha2"] = pattern.k_alpha2
        second = f"K-alpha2 ({pattern.k_alpha2:g} angstrom) is not stripped"
        ds.attrs["notes"].append(f"the wavelength is K-alpha1's; {second}")
    return ds.assign_attrs(sample=pattern.name, **pattern.attrs)


def _chosen(path: Path, patterns: list[Pattern], options: Options) -> Pattern:
    listed = "\n".join(f"{i}: {pattern.shown}" for i, pattern in enumerate(patterns))
    if options.dataset is None:
        if len(patterns) == 1:
            return patterns[0]
        raise SourceError(
            f"{path} holds {len(patterns)} scans",
            got=listed,
            expected="one of them: scans of several ranges or samples are not joined",
            do="--dataset 0, the number or the name of the scan",
        )
    wanted = options.dataset.strip()
    if wanted.isdigit():
        if int(wanted) < len(patterns):
            return patterns[int(wanted)]
        raise ArgumentError(f"{path} has no scan {wanted}", got=listed, expected="a number above")
    named = [pattern for pattern in patterns if pattern.name == wanted]
    if len(named) == 1:
        return named[0]
    if named:
        raise ArgumentError(
            f"{path}: {len(named)} scans are called {wanted!r}", got=listed, do="give the number"
        )
    raise unknown(f"scan in {path},", wanted, [pattern.name for pattern in patterns])


READERS = (
    Reader(
        name=NAME,
        looks_for="powder patterns as text: Rigaku .asc (*BEGIN ... *END), .ras, .xy, .xye",
        recognise=recognise,
        read=read,
        takes=frozenset({"dataset", "crop"}),
    ),
)
