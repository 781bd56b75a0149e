"""What a user's mapping states: where things are in an HDF5 file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from zeoarray.errors import SourceError

Kind = Literal["xct", "xrdct", "sinogram", "volume", "powder"]

# What the validating model of these classes forbids is said here, where their fields are.
_CLOSED = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class Where:
    """A dataset of the file."""

    __pydantic_config__: ClassVar[dict[str, str]] = _CLOSED
    path: str


@dataclass(frozen=True, kw_only=True)
class Frames(Where):
    """The data itself."""

    __pydantic_config__: ClassVar[dict[str, str]] = _CLOSED
    dims: tuple[str, ...]
    units: str | None = None
    """Of a volume: 1/cm, 1/mm, 1/m, or 1/px for values per pixel."""


@dataclass(frozen=True, kw_only=True)
class Key(Where):
    """Which frame is what."""

    __pydantic_config__: ClassVar[dict[str, str]] = _CLOSED
    projection: int = 0
    flat: int = 1
    dark: int = 2


@dataclass(frozen=True, kw_only=True)
class Position:
    """Numbers in the file, or one number for all."""

    __pydantic_config__: ClassVar[dict[str, str]] = _CLOSED
    path: str | None = None
    value: float | None = None
    units: str | None = None
    """Needed where the dataset has no attribute ``units``."""

    def __post_init__(self) -> None:
        if (self.path is None) == (self.value is None):
            raise ValueError("give either path or value")
        if self.value is not None and self.units is None:
            raise ValueError("a value needs its units")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where things are in a file."""

    __pydantic_config__: ClassVar[dict[str, str]] = _CLOSED
    zeoarray: Literal[1]
    kind: Kind
    data: Frames
    image_key: Key | None = None
    flats: Where | None = None
    darks: Where | None = None
    variance: Where | None = None
    sigma: Where | None = None
    angle: Position | None = None
    u: Position | None = None
    z: Position | None = None
    q: Position | None = None
    two_theta: Position | None = None
    monitor: Where | None = None
    ring_current: Position | None = None
    exposure: Position | None = None
    constants: dict[str, Any] = field(default_factory=dict)


_DIMS: dict[str, tuple[tuple[str, ...], ...]] = {
    # For each kind the dims that must be there, then those that may.
    "xct": (("angle", "z", "u"), ()),
    "xrdct": (("det_y", "det_x"), ("frame", "z", "angle", "u")),
    "sinogram": (("q",), ("z", "angle", "u")),
    "volume": (("z", "y", "x"), ()),
    "powder": (("q",), ()),
}


def check_dims(kind: str, dims: Sequence[str], where: str) -> None:
    """Raise unless `dims` can be those of data of this kind.

    Parameters
    ----------
    kind
        ``xct``, ``xrdct``, ``sinogram``, ``volume`` or ``powder``.
    dims
        Names, ``"."`` for a dim of length 1 without meaning.
    where
        File and line, for the message.

    Raises
    ------
    SourceError
        Saying which dims this kind of data has.
    """
    needed, possible = _DIMS[kind]
    named = [dim for dim in dims if dim != "."]
    wrong = [dim for dim in named if dim not in needed + possible]
    lacking = [dim for dim in needed if dim not in named]
    both = "frame" in named and {"z", "angle", "u"} & set(named)
    last = kind == "xrdct" and tuple(dims[-2:]) != ("det_y", "det_x")
    if wrong or lacking or both or last or len(set(named)) < len(named):
        raise SourceError(
            f"{where}: these cannot be the dims of {kind!r}",
            got=", ".join(dims),
            expected={
                "xrdct": "frame, or some of z, angle and u; then det_y, det_x",
                "sinogram": "q, and some of z, angle, u, in any order",
            }.get(kind, ", ".join(needed) + ", in any order"),
            do='a dim of length 1 without meaning is called "."',
        )
