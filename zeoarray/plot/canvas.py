"""What every picture has: one style, greys between percentiles, a scale bar with its unit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError, DependencyError, SchemaError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]
Range = tuple[float, float]

OURS, THEIRS, LIMIT, FAINT = "#1f5fa8", "#c8553d", "#555555", "#bbbbbb"
"""Colours that are told apart by everybody, and in grey."""
_OTHER = {"white": "black", "black": "white"}
MOST_PIXELS = 1024
"""Side to which an image is averaged: a screen shows no more, and a file stays small."""
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "image.interpolation": "nearest",
}


_RAISED = str.maketrans("\N{MINUS SIGN}-0123456789", "⁻⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
"""Digits of a power of ten."""


def numbers() -> Any:
    """Formatter of long and short numbers; mathtext, which it does not need, is slow to parse."""
    from matplotlib.ticker import ScalarFormatter

    class Numbers(ScalarFormatter):
        def get_offset(self) -> str:
            _, found, power = super().get_offset().partition("1e")
            raised = power.translate(_RAISED) if found else ""
            return f"\N{MULTIPLICATION SIGN}10{raised}" if raised else ""

    made = Numbers(useOffset=False, useMathText=False)
    # Long numbers would not fit beside a bar.
    made.set_powerlimits((-3, 5))
    return made


def figure(width: float, height: float, *, tight: bool = False) -> Figure:
    """An empty figure [inches] that belongs to no window and to no global state.

    Parameters
    ----------
    width, height
        Inches.
    tight
        Whether what is in it stands edge to edge.

    Raises
    ------
    DependencyError
        Where matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise DependencyError(
            "pictures need matplotlib", do="pip install 'matplotlib>=3.9'"
        ) from error
    layout = (
        ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
        if tight
        else ConstrainedLayoutEngine()
    )
    made = Figure(figsize=(width, height), dpi=150, layout=layout)
    FigureCanvasAgg(made)
    return made


def styled() -> Any:
    """The house's style, inside a ``with``: the user's own settings are left as they are."""
    from matplotlib import rc_context

    return rc_context(_STYLE)


def greys(*images: Array, share: float = 0.2) -> Range:
    """Values shown as black and white: all but `share` percent at either end, of finite pixels.

    Raises
    ------
    ArgumentError
        Where no pixel is finite.
    """
    finite = np.concatenate(
        [image[np.isfinite(image)].ravel()[:: _stride(image)] for image in images]
    )
    if not finite.size:
        raise ArgumentError("an image without a finite pixel cannot be shown")
    low, high = (float(v) for v in np.percentile(finite, (share, 100 - share)))
    if low == high:
        # So that a constant is shown grey.
        return low - 1, high + 1
    return low, high


def _stride(image: Array) -> int:
    return max(image.size >> 20, 1)


def shrunk(image: Array, most: int = MOST_PIXELS) -> Array:
    """Average neighbours until no side has more than `most` pixels."""
    factor = math.ceil(max(image.shape) / most)
    if factor == 1:
        return image
    rows, columns = (n // factor * factor for n in image.shape)
    if not rows or not columns:
        # A strip of few rows: its long side only.
        down, along = (min(factor, n) for n in image.shape)
        rows, columns = image.shape[0] // down * down, image.shape[1] // along * along
    else:
        down = along = factor
    cut = image[:rows, :columns].astype(np.float32)
    mean: Array = cut.reshape(rows // down, down, columns // along, along).mean(axis=(1, 3))
    return mean


def show(
    axes: Axes,
    image: Array,
    *,
    limits: Range,
    um: tuple[float, float] | None = None,
    cmap: str = "gray",
    square: bool = True,
) -> Any:
    """Draw an image, row 0 below, without ticks; with a scale bar where its pixels have a size.

    Parameters
    ----------
    axes
        Where.
    image
        (row, column).
    limits
        Values of the first and last colour.
    um
        Height and width of the whole image [um].
    cmap
        Colours.
    square
        Whether a um is as long along both sides; otherwise the image fills its place.
    """
    extent = (0, 1, 0, 1) if um is None else (0, um[1], 0, um[0])
    if um is None:
        extent = (0, image.shape[1], 0, image.shape[0])
    drawn = axes.imshow(
        shrunk(image),
        cmap=cmap,
        vmin=limits[0],
        vmax=limits[1],
        origin="lower",
        extent=extent,
        aspect="equal" if square else "auto",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if um is not None:
        scale_bar(axes, um[1], ink="white" if cmap == "gray" else "black")
    return drawn


def scale_bar(axes: Axes, width_um: float, *, ink: str = "white", raised: float = 0.05) -> None:
    """A bar of a round length, about a quarter of the width, with its length beside it."""
    length = nice(width_um / 4)
    text = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    x0, y0 = 0.05, raised
    x1 = x0 + length / width_um
    for colour, width, alpha in ((_OTHER[ink], 4.5, 0.6), (ink, 2.5, 1.0)):
        axes.plot([x0, x1], [y0, y0], color=colour, linewidth=width, alpha=alpha,
                  transform=axes.transAxes, solid_capstyle="butt")  # fmt: skip
    written(axes, text, (x0 + x1) / 2, y0 + 0.02, ha="center", va="bottom", size=8, ink=ink)


def written(
    axes: Axes,
    text: str,
    x: float,
    y: float,
    *,
    ha: str = "left",
    va: str = "top",
    size: float = 9,
    weight: str = "normal",
    ink: str = "white",
) -> None:
    """Text on an image, outlined so that it is read on any grey."""
    from matplotlib import patheffects

    outline = [patheffects.withStroke(linewidth=2, foreground=_OTHER[ink], alpha=0.7)]
    axes.text(x, y, text, transform=axes.transAxes, ha=ha, va=va, color=ink, fontsize=size,
              fontweight=weight, path_effects=outline)  # fmt: skip


def nice(value: float) -> float:
    """The nearest below of 1, 2 and 5 times a power of ten.

    Examples
    --------
    >>> nice(730), nice(0.3), nice(1)
    (500.0, 0.2, 1.0)
    """
    power = 10.0 ** math.floor(math.log10(value) + 1e-9)
    step = next(s for s in (5, 2, 1) if s * power <= value * (1 + 1e-9))
    return float(f"{step * power:.6g}")


def label(array: xr.DataArray, *, name: str | None = None) -> str:
    """What stands beside an axis: the name of what is drawn, and its unit in brackets."""
    unit = str(array.attrs.get("units", "1"))
    shown = _UNITS.get(unit) or plain(unit)
    said = plain(name or str(array.attrs.get("long_name", array.name)))
    return said if unit == "1" else f"{said} [{shown}]"


def plain(text: object, *, most: int = 80) -> str:
    r"""Text that is drawn as it is written: names in a store are no formulas, and end somewhere.

    Examples
    --------
    >>> print(plain("cost [$] of a  line"))
    cost [\$] of a line
    """
    line = " ".join(str(text).split())
    line = line if len(line) <= most else line[: most - 1] + "…"
    return line.replace("$", r"\$")


_UNITS = {"um": "µm", "1/cm": "cm⁻¹", "1/mm": "mm⁻¹", "deg": "°",
          "1/angstrom": "Å⁻¹", "1/px": "px⁻¹"}  # fmt: skip


def side(image: xr.DataArray, axis: int) -> str:
    """Name of a side of an image, with the range of its positions where it has any."""
    dim = str(image.dims[axis])
    if dim not in image.coords:
        return f"{dim} [px]"
    first, last = (float(image[dim][i]) for i in (0, -1))
    unit = str(image[dim].attrs.get("units", ""))
    return f"{dim}, {first:.4g} to {last:.4g} {_UNITS.get(unit, unit)}".rstrip()


def extent(array: xr.DataArray) -> tuple[float, float] | None:
    """Height and width [um] of a two-dim array, outer edges included; None where not known."""
    sides = []
    for dim in array.dims:
        if dim not in array.coords or array[dim].attrs.get("units") != "um":
            return None
        positions = np.asarray(array[dim].values, np.float64)
        if positions.size > 1:
            step = float(abs(positions[-1] - positions[0])) / (positions.size - 1)
        elif "resolution" in array.coords:
            step = float(array["resolution"])
        else:
            return None
        sides.append(step * positions.size)
    return sides[0], sides[1]


def only(ds: xr.Dataset | xr.DataArray, *names: str, by: str) -> xr.DataArray:
    """The variable that is drawn: the array itself, or the first of `names` that is there.

    Raises
    ------
    SchemaError
        Where there is none.
    """
    if isinstance(ds, xr.DataArray):
        return ds
    for name in names:
        if name in ds.data_vars:
            return ds[name]
    raise SchemaError(
        f"{by}: there is nothing to draw",
        got=", ".join(map(str, ds.data_vars)) or "an empty dataset",
        expected=" or ".join(names),
        do='give the variable itself: ds["NAME"]',
    )
