"""pyFAI's ``.poni`` files: versions 1 (several calibrations a file), 2, 2.1, 3, and JSON."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeoarray.errors import SourceError, nearest

if TYPE_CHECKING:
    from pyFAI.detectors import Detector

DEFAULT_ORIENTATION = 3
"""What pyFAI takes where nothing is stated: the origin at the bottom right, seen from behind."""

_NUMBERS = ("distance", "poni1", "poni2", "rot1", "rot2", "rot3")
_METRES_PER_ANGSTROM = 1e-10


@dataclass(frozen=True)
class Poni:
    """Where a detector is, in pyFAI's terms: lengths in m, angles in rad."""

    distance: float
    poni1: float
    poni2: float
    rot1: float
    rot2: float
    rot3: float
    pixel1: float
    pixel2: float
    orientation: int | None
    """Origin of the image, 1 to 4; None where it is not stated."""


@dataclass(frozen=True)
class PoniContent:
    """What a ``.poni`` states."""

    numbers: tuple[float, float, float, float, float, float]
    """Distance, poni1, poni2 [m], rot1, rot2, rot3 [rad]."""
    wavelength: float | None
    """In angstrom."""
    detector: Detector
    orientation: int | None
    parallax: bool
    notes: tuple[str, ...]


def read_poni(path: Path) -> PoniContent:
    """Read a ``.poni`` file; of several calibrations in it, the last counts, as in pyFAI.

    Raises
    ------
    SourceError
        For a file that is none, lacks a number, names an unknown detector, or one whose pixels
        are kept in a further file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"the geometry {path} cannot be read", got=str(error)) from None
    stated, calibrations = _json(text) or _lines(text)
    notes = []
    if calibrations > 1:
        notes.append(f"{path.name} holds {calibrations} calibrations; the last is taken")
    numbers = tuple(_number(path, stated, name) for name in _NUMBERS)
    if not numbers[0] > 0:
        raise SourceError(f"{path}: the distance is {numbers[0]:g} m", expected="more than 0")
    wavelength = None
    if stated.get("wavelength") is not None:
        wavelength = _number(path, stated, "wavelength") / _METRES_PER_ANGSTROM
        if not 0.001 < wavelength < 100:
            raise SourceError(
                f"{path}: the wavelength is {wavelength:g} angstrom",
                expected="a wavelength of X-rays, in m, such as 1.7e-11",
            )
    config = _config(path, stated)
    _refuse_files(path, stated, config)
    import pyFAI
    from pyFAI.io.ponifile import PoniFile

    try:
        content = PoniFile(data={**stated, **({"detector_config": config} if config else {})})
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise SourceError(
            f"{path} cannot be read by pyFAI {pyFAI.version}", got=f"{error}"
        ) from error
    if not (content.detector.pixel1 and content.detector.pixel2):
        raise SourceError(
            f"{path} does not state the size of a pixel",
            got=f"detector {stated.get('detector', 'not named')!r}",
            expected="PixelSize1 and PixelSize2, or a detector that pyFAI knows",
        )
    orientation = int(config.get("orientation") or 0) or None
    return PoniContent(
        numbers=numbers,  # type: ignore[arg-type]  # six of them
        wavelength=wavelength,
        detector=content.detector,
        orientation=orientation,
        parallax=bool(content.parallax),
        notes=tuple(notes),
    )


def _json(text: str) -> tuple[dict[str, Any], int] | None:
    try:
        content = json.loads(text)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    inner = content.get("poni") if isinstance(content.get("poni"), dict) else content
    stated = {key.lower(): value for key, value in inner.items()} if inner else {}
    if "dist" in stated:
        stated["distance"] = stated.pop("dist")
    return stated, 1


def _lines(text: str) -> tuple[dict[str, Any], int]:
    stated: dict[str, Any] = {}
    calibrations = 0
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if not colon or line.startswith("#"):
            continue
        stated[key.strip().lower()] = value.strip()
        calibrations += key.strip().lower() == "distance"
    return stated, calibrations


def _number(path: Path, stated: dict[str, Any], name: str) -> float:
    try:
        value = float(stated[name])
    except (KeyError, TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise SourceError(
            f"{path} is not a geometry of pyFAI: no number {name!r}",
            got=repr(stated[name]) if name in stated else ", ".join(stated) or "nothing",
            expected=", ".join(_NUMBERS),
        )
    return value


def _config(path: Path, stated: dict[str, Any]) -> dict[str, Any]:
    config = stated.get("detector_config") or {}
    if isinstance(config, str):
        try:
            config = json.loads(config)
        except ValueError as error:
            raise SourceError(f"{path}: Detector_config is not JSON", got=str(error)) from None
    if not isinstance(config, dict):
        raise SourceError(f"{path}: Detector_config is not a table", got=type(config).__name__)
    orientation = config.get("orientation")
    if orientation is not None and orientation not in (0, 1, 2, 3, 4):
        raise SourceError(
            f"{path}: the orientation is {orientation!r}", expected="1 to 4, or 0 for not stated"
        )
    return config


def _refuse_files(path: Path, stated: dict[str, Any], config: dict[str, Any]) -> None:
    """A detector is what pyFAI knows by name: no further file is opened because a file says so."""
    files = [
        value
        for key, value in (*stated.items(), *config.items())
        if key.lower() in ("splinefile", "filename") and value and str(value).lower() != "none"
    ]
    name = str(stated.get("detector", "Detector"))
    if os.sep in name or os.path.isfile(name) or name == "NexusDetector":
        files.append(name)
    if files:
        raise SourceError(
            f"{path}: the pixels of the detector are described in a further file",
            got=str(files[0]),
            expected="a detector that pyFAI knows by name, or one of equal pixels",
            do="undo the distortion of the frames first, and calibrate what comes out",
        )
    import pyFAI
    from pyFAI.detectors import Detector

    known = Detector.registry
    if name.lower() not in known and name.lower().replace(" ", "_") not in known:
        near = nearest(name.lower(), known)
        raise SourceError(
            f"{path}: pyFAI {pyFAI.version} knows no detector {name!r}",
            do=f"did you mean {near!r}?" if near else None,
        )
