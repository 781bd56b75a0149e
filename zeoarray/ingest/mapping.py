"""A YAML file in which a user says where things are in an HDF5 file of any other layout.

::

    zeoarray: 1                      # version of this format
    kind: xrdct                      # xct, xrdct, sinogram, volume or powder
    data: {path: entry/frames, dims: [angle, u, det_y, det_x]}
    angle: {path: entry/theta, units: deg}
    u: {path: entry/stage_x, units: mm}
    z: {value: 0.35, units: mm}
    monitor: {path: entry/i0}
    constants: {beam_size: 25 um, energy: 71 keV}

Tomography has ``image_key: {path: ...}`` or ``flats: {path: ...}`` and ``darks: {path: ...}``;
integrated data ``q`` or ``two_theta``, and ``variance`` or ``sigma``. A dim of length 1 that means
nothing is called ``"."``.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pydantic
import xarray as xr

from zeoarray.errors import ArgumentError, SourceError, nearest
from zeoarray.ingest.parts import hdf5, mapped, plain_yaml
from zeoarray.ingest.parts.layout import Layout, check_dims
from zeoarray.ingest.reader import ANGLES, GEOMETRY, Options, Reader, only

NAME = "mapping"
_CONSTANTS = ("pixel_size", "beam_size", "energy", "wavelength", "distance", "exposure",
              "rotation_sense", "u_sense", "z_sense", "orientation")  # fmt: skip
_TAKES = {
    "xct": ANGLES | {"mapping", "ignore", "crop"},
    "xrdct": GEOMETRY | {"mapping", "ignore"},
    "sinogram": ANGLES | {"mapping", "crop"},
    "volume": frozenset({"mapping", "crop"}),
    "powder": frozenset({"mapping", "crop"}),
}
"""Options that mean something to each kind of data."""
_LAYOUT = pydantic.TypeAdapter(Layout)


def read_layout(path: Path) -> Layout:
    """Read and check a mapping.

    Raises
    ------
    SourceError
        With the line: for YAML that is not plain, a key that does not exist (and the nearest that
        does), a value of the wrong kind, or keys that do not go together.
    """
    document = plain_yaml.read(path)
    version = document.content.get("zeoarray")
    if version != 1:
        raise SourceError(
            f"{path} is not a mapping of this version",
            got="no version" if version is None else f"zeoarray: {version}",
            expected="zeoarray: 1",
        )
    try:
        layout = _LAYOUT.validate_python(document.content)
    except pydantic.ValidationError as error:
        raise _wrong(document, error) from None
    for name in layout.constants:
        if name not in _CONSTANTS:
            near = nearest(str(name), _CONSTANTS)
            raise SourceError(
                f"{path}, line {document.line(('constants', name))}: there is no constant {name!r}",
                expected="one of " + ", ".join(_CONSTANTS),
                do=f"did you mean {near!r}?" if near else None,
            )
    _together(document, layout)
    return layout


def _wrong(document: plain_yaml.Document, error: pydantic.ValidationError) -> SourceError:
    # A misspelt key is also a missing one: the misspelling is what helps.
    found = sorted(error.errors(), key=lambda e: e["type"] != "unexpected_keyword_argument")
    first = found[0]
    keys = tuple(key for key in first["loc"] if isinstance(key, (str, int)))
    where = f"{document.path}, line {document.line(keys)}"
    name = ".".join(map(str, keys))
    if first["type"] == "unexpected_keyword_argument":
        known = _keys_of(keys[:-1])
        near = nearest(str(keys[-1]), known)
        return SourceError(
            f"{where}: there is no key {name!r}",
            expected="one of " + ", ".join(known),
            do=f"did you mean {near!r}?" if near else None,
        )
    if first["type"] in ("missing", "missing_argument"):
        return SourceError(f"{where}: the key {name!r} is missing", expected=name)
    return SourceError(
        f"{where}: {name}: {first['msg'].removeprefix('Value error, ')}", got=repr(first["input"])
    )


def _keys_of(keys: tuple[str | int, ...]) -> list[str]:
    model: type[Any] = Layout
    for key in keys:
        hint = get_type_hints(model)[str(key)]
        choices = [h for h in (hint, *get_args(hint)) if isinstance(h, type)]
        model = next(h for h in choices if dataclasses.is_dataclass(h))
    return [field.name for field in dataclasses.fields(model)]


def _together(document: plain_yaml.Document, layout: Layout) -> None:
    """Refuse keys that mean nothing for this kind of data, and pairs that exclude each other."""
    allowed = {
        "xct": {"image_key", "flats", "darks", "angle"},
        "xrdct": {"angle", "u", "z", "monitor", "ring_current", "exposure"},
        "sinogram": {"angle", "u", "z", "q", "two_theta", "variance", "sigma"},
        "volume": set(),
        "powder": {"q", "two_theta", "variance", "sigma"},
    }[layout.kind]
    own = {"zeoarray", "kind", "data", "constants"}
    names = {field.name for field in dataclasses.fields(layout)} - own
    stated = {name for name in names if getattr(layout, name) is not None}
    for name in sorted(stated - allowed):
        raise SourceError(
            f"{document.path}, line {document.line((name,))}: {name!r} means nothing for "
            f"{layout.kind!r}",
            expected=", ".join(sorted(allowed)) or "data and constants only",
        )
    pairs = (("image_key", "flats"), ("image_key", "darks"), ("q", "two_theta"),
             ("variance", "sigma"))  # fmt: skip
    for one, other in pairs:
        if {one, other} <= stated:
            raise SourceError(
                f"{document.path}, line {document.line((other,))}: {one!r} and {other!r} exclude "
                "each other",
                do=f"keep one of them (the other is in line {document.line((one,))})",
            )
    check_dims(
        layout.kind, layout.data.dims, f"{document.path}, line {document.line(('data', 'dims'))}"
    )


def with_constants(options: Options, layout: Layout, path: Path) -> Options:
    """Return the options, with the constants of a mapping where the user gave none.

    Raises
    ------
    SourceError
        For a constant without its unit, or that is no such quantity.
    """
    constants: dict[str, Any] = {}
    for name, value in layout.constants.items():
        counted = name.endswith("_sense") or name == "orientation"
        # 2.6 may be um or mm: whoever writes a file must say.
        constants[name] = value if counted else str(value)
    given = options.model_dump(include=options.model_fields_set)
    try:
        return Options.model_validate({**constants, **given})
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        line = plain_yaml.read(path).line(("constants", name))
        said = str(first["msg"]).removeprefix("Value error, ").splitlines()
        raise SourceError(
            f"{path}, line {line}: {name}: {said[0]}",
            got=repr(layout.constants.get(name)),
            expected="a number with its unit, for example 'energy: 71 keV'",
        ) from None


def read(path: Path, options: Options) -> xr.Dataset:
    """Open an HDF5 file by the mapping that ``options.mapping`` names.

    Raises
    ------
    ArgumentError
        Where no mapping is given.
    SourceError
        Where the mapping is wrong, or the file is not as it says.
    """
    if options.mapping is None:
        raise ArgumentError(f"{path} needs a mapping", do="--mapping layout.yaml")
    by = options.mapping
    layout = read_layout(by)
    options = with_constants(options, layout, by)
    only(options, _TAKES[layout.kind], f"a mapping of {layout.kind!r}", path=path)
    with hdf5.opened(path) as file:
        ds = mapped.dataset(file, layout, options)
    return ds.assign_attrs(reader=NAME, source=[*ds.attrs["source"], str(by.absolute())])


READER = Reader(
    name=NAME,
    looks_for="nothing: it is taken where a mapping is given",
    recognise=lambda path: False,
    read=read,
    takes=frozenset().union(*_TAKES.values()),
)
