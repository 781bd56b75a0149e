"""The process list of Savu: an HDF5 file of plug-ins in their order, each with its parameters.

``entry/plugin/<number>`` is a group with ``name``, ``data`` (the parameters, as JSON) and
``active``. Lists are passed from hand to hand, so nothing in them is trusted.
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from zeoarray.errors import SourceError
from zeoarray.ingest.parts import hdf5

MOST_BYTES = 1_000_000
"""More than any plug-in's parameters take."""
MOST_PLUGINS = 500
LONGEST_NAME = 100


@dataclass(frozen=True)
class Row:
    """One plug-in of a list."""

    number: int
    """Its place in the list, as Savu shows it; there may be gaps."""
    name: str
    """Name of its class: ``RemoveAllRings``."""
    parameters: dict[str, Any]
    """Plain values, by name: numbers are finite."""
    active: bool
    """Whether it is switched on."""


@dataclass(frozen=True)
class ProcessList:
    """The plug-ins of a file, in the order in which Savu runs them."""

    path: Path
    rows: tuple[Row, ...]
    version: str | None
    """Version of Savu that wrote it, where it is stated."""
    loops: tuple[str, ...]
    """Names of the groups of plug-ins that are iterated."""


def read(path: Path) -> ProcessList:
    """Read the plug-ins of a process list, or of the ``_processed.nxs`` of a run.

    Parameters
    ----------
    path
        An HDF5 file with ``entry/plugin``.

    Raises
    ------
    SourceError
        For a file that is no process list, and for plug-ins that cannot be read, each by name.
    """
    with hdf5.opened(path) as file:
        group = hdf5.own_group(file, "entry/plugin")
        if group is None or not len(group):
            raise SourceError(
                f"{path} holds no process list of Savu",
                got="these groups: " + (", ".join(printable(name) for name in file) or "none"),
                expected="entry/plugin/1 with name, data and active, as Savu's configurator saves",
                do="give the .nxs list itself, or the _processed.nxs of a run",
            )
        if len(group) > MOST_PLUGINS:
            raise SourceError(
                f"{path} is no process list that a person made",
                got=f"{len(group)} plug-ins",
                expected=f"at most {MOST_PLUGINS}",
            )
        rows = [_row(path, file, key) for key in group]
        loops = hdf5.own_group(file, "entry/iterate_plugin_groups")
        version = _text(path, file, "entry/savu_notes/version", needed=False)
        names = tuple(printable(name) for name in loops) if loops is not None else ()
    rows.sort(key=lambda row: row.number)
    for one, other in itertools.pairwise(rows):
        if one.number == other.number:
            raise SourceError(
                f"{path}: two plug-ins have the number {one.number}",
                got=f"{one.name} and {other.name}",
                do="save the list again in Savu's configurator",
            )
    return ProcessList(path, tuple(rows), None if version is None else printable(version), names)


def _row(path: Path, file: h5py.File, key: str) -> Row:
    place = f"entry/plugin/{key}"
    if not (key.strip().isascii() and key.strip().isdigit() and len(key) < 10):
        raise SourceError(
            f"{path}: a plug-in has no number",
            got=f"entry/plugin/{printable(key)}",
            expected="groups named by numbers: entry/plugin/1",
        )
    number = int(key)
    if hdf5.own_group(file, place) is None:
        raise SourceError(f"{path}: plug-in {number} is not a group", expected="name, data, active")
    name = str(_text(path, file, f"{place}/name"))
    if not (name.isidentifier() and len(name) <= LONGEST_NAME):
        raise SourceError(
            f"{path}: plug-in {number} has a name that no plug-in can have",
            got=repr(name[:LONGEST_NAME]),
            expected="the name of a class, for example RemoveAllRings",
        )
    data = _text(path, file, f"{place}/data")
    active = hdf5.resolve(file, f"{place}/active")
    return Row(
        number,
        name,
        _parameters(path, number, name, str(data)),
        True if active is None else _flag(path, file, f"{place}/active"),
    )


def _own(path: Path, file: h5py.File, place: str) -> h5py.Dataset | None:
    """The dataset of one element at `place`, in this file and small; None where there is none."""
    found = hdf5.resolve(file, place)
    if found is None:
        return None
    item = None if found.link is not None else file[found.dataset]
    if not isinstance(item, h5py.Dataset):
        raise SourceError(
            f"{path}: {printable(place)} is no value of this file",
            got="a group, or a link to another file",
            expected="a dataset of one element",
        )
    # Looked at before it is read: a few bytes of compressed zeros may stand for gigabytes.
    if item.size != 1 or item.dtype.itemsize > MOST_BYTES:
        raise SourceError(
            f"{path}: {printable(place)} is no value of a process list",
            got=f"shape {item.shape}, {item.dtype.itemsize} bytes an element",
            expected=f"one element of at most {MOST_BYTES} bytes",
        )
    return item


def _text(path: Path, file: h5py.File, place: str, *, needed: bool = True) -> str | None:
    item = _own(path, file, place)
    if item is None:
        if needed:
            raise SourceError(
                f"{path}: {printable(place)} is missing",
                expected="name, data and active for every plug-in",
                do="save the list again in Savu's configurator",
            )
        return None
    if item.dtype.kind not in "SO" or (
        item.dtype.kind == "O" and h5py.check_string_dtype(item.dtype) is None
    ):
        raise SourceError(
            f"{path}: {printable(place)} is not text", got=str(item.dtype), expected="a string"
        )
    value = np.ravel(item[()])[0] if item.shape else item[()]
    raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
    if len(raw) > MOST_BYTES:
        raise SourceError(
            f"{path}: {printable(place)} is longer than any plug-in's parameters",
            got=f"{len(raw)} bytes",
            expected=f"at most {MOST_BYTES}",
        )
    return raw.decode("utf-8", "replace").strip()


def _flag(path: Path, file: h5py.File, place: str) -> bool:
    item = _own(path, file, place)
    if item is None or item.dtype.kind not in "biu":
        raise SourceError(
            f"{path}: {printable(place)} does not say whether the plug-in is active",
            got="nothing" if item is None else str(item.dtype),
            expected="true or false",
        )
    return bool(np.ravel(item[()])[0])


def _parameters(path: Path, number: int, name: str, text: str) -> dict[str, Any]:
    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is no number")

    def finite(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            raise ValueError(f"{digits[:40]} is too large")
        return value

    try:
        values = json.loads(text, parse_constant=refuse, parse_float=finite)
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"{path}: the parameters of plug-in {number}, {name}, cannot be read",
            got=printable(str(error) or type(error).__name__),
            expected="JSON, as Savu writes it",
            do="save the list again in Savu's configurator",
        ) from None
    if not isinstance(values, dict):
        raise SourceError(
            f"{path}: the parameters of plug-in {number}, {name}, are no names with values",
            got=printable(text),
            expected='JSON such as {"snr": 3.0}',
        )
    return values


def printable(text: str, most: int = 160) -> str:
    r"""Return `text` on one line, without what a terminal or YAML would obey, and cut.

    Examples
    --------
    >>> printable("a\nb")
    'a b'
    """
    shown = "".join(c if c.isprintable() else " " for c in text[: most + 1])
    return shown if len(text) <= most else shown[:most] + " ..."
