"""One image, one histogram, two weights: pictures of one panel, with units on both axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError
from zeoarray.plot import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

WIDTH = 4.4
"""Of a picture of one panel [inches]: the width of a phone, at the size of its text."""
_PIXELS = 640
_MISSING = {"gray": "#8c6d1f", "RdBu_r": "#bdbdbd"}
"""Where there is no value: a colour that the map has not, white if it has no white."""
_MOST_RATIO, _LEAST_RATIO, _FLAT = 1.25, 0.12, 0.55
_STRIP = 0.08
"""Images less high than this share of their width have one tick beside them, and no scale bar."""


def image(
    array: xr.DataArray,
    *,
    title: str = "",
    limits: canvas.Range | None = None,
    cmap: str = "gray",
    label: str | None = None,
    bar: bool = True,
) -> Figure:
    """Draw a map or a sinogram over its coordinates, with a bar of its values.

    Where both sides are positions in um a um is as long along both, and a scale bar is drawn. What
    is not finite is drawn in a colour that the map has not.

    Parameters
    ----------
    array
        Two dims; the first goes upwards.
    title
        What stands above it.
    limits
        Values of the first and last colour; None leaves 0.2 % of the pixels out at either end.
    cmap
        Colours: ``gray`` for attenuation, ``viridis`` for what is 0 or more, ``RdBu_r`` for what
        goes both ways; all are told apart by those who see few colours.
    label
        What stands beside the bar of values; the variable's name and unit where None.
    bar
        Whether there is a scale bar, where both sides are in um.

    Raises
    ------
    ArgumentError
        For an array that is no image, or has no finite pixel.
    """
    if array.ndim != 2 or not array.size:
        raise ArgumentError(
            "plot.image draws two dims", got=f"{dict(array.sizes)}",
            do="choose from the others first: ds.attenuation.isel(z=100)",
        )  # fmt: skip
    values = np.asarray(array.values, np.float32)
    shown = limits or canvas.greys(values)
    um = canvas.extent(array)
    ratio = min(max(um[0] / um[1] if um else 0.75, _LEAST_RATIO), _MOST_RATIO)
    flat = ratio < _FLAT
    # A slab of few rows has room for neither a scale bar nor ticks beside it.
    strip = um is not None and um[0] < _STRIP * um[1]
    with canvas.styled():
        figure, axes, beside = _placed(ratio, flat)
        drawn = axes.imshow(
            canvas.shrunk(values, _PIXELS), cmap=_colours(cmap), vmin=shown[0], vmax=shown[1],
            origin="lower", extent=_edges(array), aspect="equal" if um else "auto",
        )  # fmt: skip
        _name_sides(axes, array, down=1 if strip else 2 if flat else 4)
        axes.set_title(canvas.plain(title))
        if um and bar and not strip:
            corner = values[: max(values.shape[0] // 8, 1), : max(values.shape[1] // 4, 1)]
            empty = cmap != "gray" and np.isfinite(corner).mean() < 0.7
            ink = "black" if cmap == "RdBu_r" or empty else "white"
            canvas.scale_bar(axes, um[1], ink=ink, raised=0.05 if ratio > 0.3 else 0.1)
        low, high = float(np.nanmin(values)) < shown[0], float(np.nanmax(values)) > shown[1]
        extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((low, high))
        ruler = figure.colorbar(drawn, cax=beside, extend=extend or "neither", extendfrac=0.03,
                                orientation="horizontal" if flat else "vertical")  # fmt: skip
        ruler.set_label(canvas.plain(label) if label else canvas.label(array))
        ruler.outline.set_visible(False)
        ruler.formatter = canvas.numbers()
        ruler.update_ticks()
    return figure


def _placed(ratio: float, flat: bool) -> tuple[Figure, Axes, Axes]:
    """A figure with room for an image and, as long as it, the bar of its values [inches]."""
    left, top, gap, thick = 0.72, 0.32, 0.1, 0.11
    if flat:
        width = WIDTH - left - 0.2
        height = width * ratio
        under = 1.12
        whole = top + height + under
        figure = canvas.figure(WIDTH, whole)
        image, bar = (left, under, width, height), (left, 0.5, width, thick)
    else:
        width = WIDTH - left - 0.98
        height = width * ratio
        under = 0.48
        whole = top + height + under
        figure = canvas.figure(WIDTH, whole)
        image = left, under, width, height
        bar = left + width + gap, under, thick, height
    figure.set_layout_engine("none")
    axes, beside = (
        figure.add_axes((x / WIDTH, y / whole, w / WIDTH, h / whole)) for x, y, w, h in (image, bar)
    )
    return figure, axes, beside


def difference(array: xr.DataArray, *, title: str = "", label: str | None = None) -> Figure:
    """Draw what goes both ways, white at zero: blue below, red above.

    Parameters
    ----------
    array
        Two dims.
    title, label
        As of `image`.

    Raises
    ------
    ArgumentError
        As `image` does.
    """
    most = max(map(abs, canvas.greys(np.asarray(array.values, np.float32), share=0.5)))
    return image(array, title=title, limits=(-most, most), cmap="RdBu_r", label=label)


def histogram(
    array: xr.DataArray, *, title: str = "", limits: canvas.Range | None = None
) -> Figure:
    """Draw how often each value occurs, on a logarithmic scale.

    Parameters
    ----------
    array
        Any dims; values that are not finite are left out.
    title
        What stands above it.
    limits
        Values that pictures show as black and white: drawn as two lines.

    Raises
    ------
    ArgumentError
        Where no value is finite.
    """
    values = np.asarray(array.values, np.float32).ravel()
    values = values[np.isfinite(values)]
    low, high = canvas.greys(values, share=0.01)
    with canvas.styled():
        figure = canvas.figure(WIDTH, 3.0)
        axes = figure.add_subplot()
        counts, edges = np.histogram(values, bins=160, range=(low, high))
        axes.stairs(counts, edges, fill=True, color=canvas.OURS, alpha=0.35)
        axes.stairs(counts, edges, color=canvas.OURS, linewidth=1)
        axes.set_yscale("log")
        axes.set_ylim(0.7, 2 * max(counts.max(), 1))
        for edge in limits or ():
            axes.axvline(edge, color=canvas.LIMIT, linestyle="--", linewidth=1)
        axes.set_xlabel(canvas.label(array))
        axes.set_ylabel("pixels" if limits is None else "pixels (dashed: black and white)")
        axes.set_title(canvas.plain(title))
    return figure


def separation(first: xr.DataArray, second: xr.DataArray, *, title: str = "") -> Figure:
    """Draw how often two weights occur together: isolated phases lie along the axes.

    Parameters
    ----------
    first, second
        Weights of two phases, of the same dims.
    title
        What stands above it.

    Raises
    ------
    ArgumentError
        Where the two have different sizes, or nothing in common that is finite.
    """
    if first.sizes != second.sizes:
        raise ArgumentError(
            "plot.separation needs two weights of the same voxels",
            got=f"{dict(first.sizes)} and {dict(second.sizes)}",
        )
    one, other = (np.asarray(a.values, float).ravel() for a in (first, second))
    both = np.isfinite(one) & np.isfinite(other)
    if not both.any():
        raise ArgumentError("plot.separation: no voxel has both weights")
    ranges = [canvas.greys(v[both], share=0.1) for v in (one, other)]
    from matplotlib.colors import LogNorm

    with canvas.styled():
        figure = canvas.figure(WIDTH, 3.6)
        axes = figure.add_subplot()
        drawn = axes.hist2d(one[both], other[both], bins=48, range=ranges, cmap="viridis",
                            norm=LogNorm(), cmin=1)[3]  # fmt: skip
        axes.axhline(0, color=canvas.LIMIT, linewidth=0.8)
        axes.axvline(0, color=canvas.LIMIT, linewidth=0.8)
        axes.set_xlabel(canvas.label(first, name=_phase(first)))
        axes.set_ylabel(canvas.label(second, name=_phase(second)))
        axes.set_title(canvas.plain(title))
        figure.colorbar(drawn, ax=axes, aspect=28).set_label("voxels")
    return figure


def _phase(array: xr.DataArray) -> str:
    name = str(array.name or "weight")
    return f"{name} of {array['phase'].item()}" if "phase" in array.coords else name


def _colours(cmap: str) -> Colormap:
    from matplotlib import colormaps

    return colormaps[cmap].with_extremes(bad=_MISSING.get(cmap, "#ffffff"))


def _edges(array: xr.DataArray) -> tuple[float, float, float, float]:
    """Outer edges of the first and last pixel: left, right, bottom, top."""
    edges: list[float] = []
    for dim in (array.dims[1], array.dims[0]):
        count = array.sizes[dim]
        numbers = dim in array.coords and array[dim].dtype.kind in "uif"
        at = np.asarray(array[dim].values, float) if numbers else np.arange(float(count))
        if not np.isfinite(at).all():
            at = np.arange(float(count))
        step = (at[-1] - at[0]) / (count - 1) if count > 1 else 0.0
        if not step:
            step = float(array["resolution"]) if "resolution" in array.coords else 1.0
        edges += [float(at[0] - step / 2), float(at[-1] + step / 2)]
    return edges[0], edges[1], edges[2], edges[3]


def _name_sides(axes: Axes, array: xr.DataArray, *, down: int) -> None:
    from matplotlib.ticker import FixedLocator, MaxNLocator

    for dim, set_label, ticks, most in (
        (array.dims[1], axes.set_xlabel, axes.xaxis, 4),
        (array.dims[0], axes.set_ylabel, axes.yaxis, down),
    ):
        known = dim in array.coords
        set_label(canvas.label(array[dim], name=str(dim)) if known else f"{dim} [index]")
        if most == 1:
            ticks.set_major_locator(FixedLocator([float(np.mean(ticks.get_view_interval()))]))
        else:
            ticks.set_major_locator(MaxNLocator(most))
    for spine in axes.spines.values():
        spine.set_visible(False)
