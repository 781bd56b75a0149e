"""The options of a scan on the command line: the fields of `Options`, with dashes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from zeoarray.errors import ArgumentError

F = TypeVar("F", bound=Callable[..., Any])

_PAIR = re.compile(r"(-?[\d.eE+-]+)[:,](-?[\d.eE+-]+)")
_FILE = click.Path(path_type=Path)

_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("--pixel-size", str, "Pixel at the sample, with its unit: 2.6um."),
    ("--beam-size", str, "Beam at the sample, with its unit: 25um."),
    ("--energy", str, "Photon energy, with its unit: 19keV."),
    ("--wavelength", str, "Photon wavelength, with its unit: 1.5406angstrom."),
    ("--distance", str, "Sample to detector, with its unit: 300mm."),
    ("--exposure", str, "Exposure time of a frame, with its unit: 0.1s."),
    ("--rotation-sense", click.Choice(["1", "-1"]), "1: anticlockwise seen against z."),
    ("--u-sense", click.Choice(["1", "-1"]), "1: the beam moves along u, -1: the sample."),
    ("--z-sense", click.Choice(["1", "-1"]), "1: z ascends upwards."),
    ("--dataset", str, "Frames inside an HDF5 file, or number of a scan, where there is a choice."),
    ("--angles", _FILE, "Text file with an angle [deg] on each line."),
    ("--angle-lines", str, "Lines of that file to use, from 0, past-the-last: 10:101."),
    ("--flats", str, "File or pattern with frames without sample."),
    ("--darks", str, "File or pattern with frames without beam."),
    ("--ignore", str, "Frames to leave out: 3,17,200:210."),
    ("--poni", _FILE, "pyFAI geometry file."),
    ("--mask", _FILE, "Detector mask, 1 = bad: npy, edf, tif or HDF5."),
    ("--orientation", click.Choice(["1", "2", "3", "4"]), "Origin of the detector image."),
    ("--range", str, "Least and largest value of a scaled 16-bit stack: -0.0008:0.0018."),
    ("--mapping", _FILE, "YAML file that says where things are in another HDF5 layout."),
)


def scan_options(function: F) -> F:
    """Give a command the options of a scan, as its argument `options`."""

    @functools.wraps(function)
    def gathered(*args: Any, **given: Any) -> Any:
        options: dict[str, Any] = {}
        for flag, _, _ in _OPTIONS:
            name = flag.removeprefix("--").replace("-", "_")
            value = given.pop(name)
            if value is not None:
                options[name] = _READ[name](value) if name in _READ else value
        crop, roots = given.pop("crop"), given.pop("link_root")
        if crop:
            options["crop"] = {dim: pair(span, f"--crop {dim}", int) for dim, span in crop}
        if roots:
            options["link_root"] = dict(_root(text) for text in roots)
        return function(*args, options=options, **given)

    wrapped: Any = gathered
    wrapped = click.option(
        "--link-root",
        multiple=True,
        metavar="OLD=NEW",
        help="Where linked files were moved. May be given several times.",
    )(wrapped)
    wrapped = click.option(
        "--crop",
        nargs=2,
        multiple=True,
        metavar="DIM FIRST:PAST",
        help="Pixel range to read: --crop z 100:200.",
    )(wrapped)
    for flag, kind, text in reversed(_OPTIONS):
        wrapped = click.option(flag, type=kind, help=text)(wrapped)
    result: F = wrapped
    return result


def pair(text: str, flag: str, kind: type = float) -> tuple[Any, Any]:
    """Read ``FIRST:PAST`` as two numbers, or raise naming the flag."""
    match = _PAIR.fullmatch(text)
    try:
        if match is not None:
            return kind(match[1]), kind(match[2])
    except ValueError:
        pass
    raise ArgumentError(
        f"{flag} takes two numbers", got=repr(text), expected="FIRST:PAST, for example 100:200"
    )


def _frames(text: str) -> list[int]:
    frames: list[int] = []
    for part in filter(None, text.split(",")):
        if ":" in part:
            first, past = pair(part, "--ignore", int)
            frames.extend(range(first, past))
        elif part.strip().isdigit():
            frames.append(int(part))
        else:
            raise ArgumentError(
                "--ignore takes frame numbers", got=repr(part), expected="for example 3,17,200:210"
            )
    return frames


def _root(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise ArgumentError(
            "--link-root takes OLD=NEW", got=repr(text), expected="/dls/k11/data=/mnt/copy"
        )
    return old, new


_READ: dict[str, Callable[[str], Any]] = {
    "rotation_sense": int,
    "u_sense": int,
    "z_sense": int,
    "orientation": int,
    "angle_lines": lambda text: pair(text, "--angle-lines", int),
    "range": lambda text: pair(text, "--range"),
    "ignore": _frames,
}
