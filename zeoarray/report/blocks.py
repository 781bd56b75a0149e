"""What a section of the report is made of: pictures, tables, facts, notes."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 140
"""A picture of 4.4 inches is shown about 440 px wide: sharp at one and a half times that."""
COLOURS = 240
"""Of a picture of pixels: maps are told apart no finer."""
_GREYS = [v & ~3 for v in range(256)]
"""Levels of grey pictures: 64, which noise hides and which pack well."""


@dataclass(frozen=True)
class Note:
    """A sentence or two."""

    text: str
    kind: str = "note"
    """``note``; ``warn``, told at the top of the page as well; ``failure``, in place of what could
    not be drawn."""
    detail: str = ""
    """What an error says of itself, kept as it is written."""


@dataclass(frozen=True)
class Table:
    """Rows of text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    of: Mapping[str, str]


@dataclass
class Picture:
    """A figure as it stands in the page."""

    caption: str
    alt: str
    mime: str
    content: bytes = field(repr=False)
    wide: bool = False
    whole: bytes = field(default=b"", repr=False)
    """As it was drawn, where `content` is smaller."""

    @property
    def uri(self) -> str:
        """The picture as an address that holds it."""
        return f"data:{self.mime};base64,{base64.b64encode(self.content).decode('ascii')}"

    def shrunk(self, factor: float) -> None:
        """Make a picture of pixels smaller than it was drawn, so that the page stays so."""
        if self.mime != "image/png":
            return
        self.whole = self.whole or self.content
        with Image.open(io.BytesIO(self.whole)) as drawn:
            size = [max(round(n * factor), 64) for n in drawn.size]
            mode = "L" if drawn.mode == "L" else "RGB"
            small = drawn.convert(mode).resize((size[0], size[1]), Image.Resampling.LANCZOS)
        self.content = _png(small)


Block = Note | Table | Facts | Picture


def picture(figure: Figure, caption: str, *, alt: str = "") -> Picture:
    """Return a figure as PNG where it shows images, as SVG where it shows curves.

    Parameters
    ----------
    figure
        It is not kept.
    caption
        What stands below it.
    alt
        What is told to who does not see it; the caption where empty.
    """
    with warnings.catch_warnings():
        # A name from a store may hold letters that the font has not: boxes stand for them.
        warnings.filterwarnings("ignore", r"Glyph .* missing from")
        pixels = any(axes.images or _many(axes) for axes in figure.axes)
        mime, content = _pixels(figure) if pixels else _curves(figure)
    return Picture(caption, alt or caption, mime, content, wide=figure.get_figwidth() > 6)


def _many(axes: Any) -> bool:
    """Whether what is drawn is more than a file of curves should hold."""
    points = sum(line.get_xdata(orig=False).size for line in axes.lines)
    return bool(points > 12_000 or any(len(c.get_facecolor()) > 200 for c in axes.collections)
                or any(getattr(c, "get_array", lambda: None)() is not None
                       and np.size(c.get_array()) > 200 for c in axes.collections))  # fmt: skip


def _curves(figure: Figure) -> tuple[str, bytes]:
    from matplotlib import rc_context

    out = io.BytesIO()
    # The same store gives the same bytes.
    with rc_context({"svg.hashsalt": "zeoarray", "svg.fonttype": "path", "path.simplify": True}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return "image/svg+xml", out.getvalue()


def _pixels(figure: Figure) -> tuple[str, bytes]:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI)
    with Image.open(out) as whole:
        return "image/png", _png(whole.convert("RGB"))


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    if image.mode == "L" or _is_grey(image):
        few = image.convert("L").point(_GREYS)
    else:
        few = image.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(out, format="png", optimize=True)
    return out.getvalue()


def _is_grey(image: Image.Image) -> bool:
    values = np.asarray(image)
    return bool((values[..., :1] == values[..., 1:]).all())
