"""Curves of one panel: the axis over height, flats over time, drift, stripes, patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import SchemaError
from zeoarray.plot import canvas
from zeoarray.plot.panels import WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which are told apart by those who see few colours."""
_HEIGHT = 3.0


def _panel(height: float = _HEIGHT) -> tuple[Figure, Axes]:
    figure = canvas.figure(WIDTH, height)
    return figure, figure.add_subplot()


def axis_line(node: xr.Dataset) -> Figure:
    """Draw where the rotation axis meets the detector over height, with its standard deviation.

    Parameters
    ----------
    node
        What ``find_center`` gave: the line over `z`, and the rows it was drawn through.

    Raises
    ------
    SchemaError
        For any other dataset.
    """
    schema.validate(node, schema.AXIS_XCT, by="plot.axis_line")
    z, line, sigma = (np.asarray(node[n].values, float) for n in ("z", "axis_u", "axis_sigma"))
    with canvas.styled():
        figure, axes = _panel()
        if z.size > 1:
            axes.fill_betweenx(z, line - sigma, line + sigma, color=canvas.OURS, alpha=0.2,
                               linewidth=0, label="± 1 sigma")  # fmt: skip
            axes.plot(line, z, color=canvas.OURS, linewidth=1.2, label="axis")
        else:
            axes.errorbar(line, z, xerr=sigma, color=canvas.OURS, marker="s", markersize=5,
                          capsize=4, label="axis ± 1 sigma")  # fmt: skip
        used = node["row_used"].values.astype(bool)
        for chosen, colour, name in ((used, canvas.OURS, "rows looked at"),
                                     (~used, canvas.THEIRS, "rows left out")):  # fmt: skip
            if chosen.any() and (z.size > 1 or name == "rows left out"):
                axes.errorbar(node["row_axis_u"].values[chosen], node["row_z"].values[chosen],
                              xerr=node["row_sigma"].values[chosen], fmt="o", markersize=4,
                              linewidth=0.9, capsize=2, color=colour, label=name)  # fmt: skip
        axes.set_xlabel(canvas.label(node["axis_u"], name="axis, u"))
        axes.set_ylabel(canvas.label(node["z"], name="z"))
        axes.set_title("rotation axis")
        if z.size == 1:
            axes.set_yticks(z)
        axes.ticklabel_format(useOffset=False)
        axes.margins(0.12, 0.12)
        axes.legend(loc="best", fontsize=7)
    return figure


def axis_metric(node: xr.Dataset) -> Figure:
    """Draw what is least at the rotation axis, over the positions tried, a curve for each row.

    Parameters
    ----------
    node
        What ``find_center`` gave.

    Raises
    ------
    SchemaError
        For any other dataset.
    """
    schema.validate(node, schema.AXIS_XCT, by="plot.axis_metric")
    from matplotlib import colormaps

    with canvas.styled():
        figure, axes = _panel()
        count = node.sizes["row"]
        for i in range(count):
            colour = colormaps["cividis"](0.85 * i / max(count - 1, 1))
            axes.plot(node["candidate_u"].values[i], node["axis_metric"].values[i], linewidth=1,
                      color=colour, label=f"z = {float(node['row_z'][i]):.4g} µm")  # fmt: skip
            axes.axvline(float(node["row_axis_u"][i]), color=colour, linewidth=0.6, linestyle=":")
        axes.set_xlabel(canvas.label(node["candidate_u"], name="axis tried, u"))
        axes.set_ylabel("metric, least at the axis")
        axes.set_title("search for the axis (dotted: found)")
        if count <= 8:
            axes.legend(loc="best", fontsize=7)
    return figure


def levels(level: xr.DataArray, *, sets: Sequence[int] | None = None, title: str = "") -> Figure:
    """Draw how bright each frame is, in percent of their mean.

    Parameters
    ----------
    level
        (frame), such as the mean of each flat without the dark.
    sets
        Number of the set of each frame: each has its colour.
    title
        What stands above it.
    """
    values = np.asarray(level.values, float)
    percent = 100 * (values / values.mean() - 1)
    number = np.zeros(values.size, int) if sets is None else np.asarray(sets)
    from matplotlib.ticker import MaxNLocator

    with canvas.styled():
        figure, axes = _panel(2.6)
        for i, one in enumerate(np.unique(number)):
            chosen = number == one
            axes.plot(np.flatnonzero(chosen), percent[chosen], "o-", markersize=3.5, linewidth=0.8,
                      color=COLOURS[i % len(COLOURS)],
                      label=None if sets is None else f"set {one}")  # fmt: skip
        axes.axhline(0, color=canvas.FAINT, linewidth=0.8, zorder=0)
        axes.set_xlabel("flat frame")
        axes.set_ylabel("level, from the mean [%]")
        axes.set_title(canvas.plain(title))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        if sets is not None and number.size and number.max() > number.min():
            axes.legend(loc="best", fontsize=7)
    return figure


def drift(node: xr.Dataset) -> Figure:
    """Draw how far each projection is moved, over its angle, with the standard deviation.

    Parameters
    ----------
    node
        What `xct.find_drift` gave.

    Raises
    ------
    SchemaError
        For any other dataset.
    """
    schema.validate(node, schema.DRIFT_XCT, by="plot.drift")
    angle, measured = node["angle"].values, node["drift_measured"].values.astype(bool)
    with canvas.styled():
        figure, axes = _panel()
        most = 0.0
        for name, colour in (("drift_u", COLOURS[0]), ("drift_z", COLOURS[1])):
            value, sigma = node[name].values, node[f"{name}_sigma"].values
            there = np.isfinite(sigma) & measured
            most = max(most, 2 * float(np.percentile(np.abs(value), 98)))
            axes.fill_between(angle, value - sigma, value + sigma, where=there, color=colour,
                              alpha=0.2, linewidth=0)  # fmt: skip
            axes.plot(angle, value, color=colour, linewidth=0.9, label=f"along {name[-1]}")
        if not measured.all():
            axes.plot(angle[~measured], np.zeros((~measured).sum()), "|", color=canvas.LIMIT,
                      markersize=6, label="interpolated")  # fmt: skip
        # A few that are far off must not hide how all others go.
        axes.set_ylim(-max(most, 1e-6), max(most, 1e-6))
        axes.set_xlabel(canvas.label(node["angle"], name="angle"))
        axes.set_ylabel("drift [µm], band: ± 1 sigma")
        axes.set_title("drift of the projections")
        axes.legend(loc="best", fontsize=7)
    return figure


def ring_scores(node: xr.Dataset) -> Figure:
    """Draw the ring scores of sinograms before and after stripes are removed; noise alone is 1.

    Parameters
    ----------
    node
        What `xct.ring_check` gave.

    Raises
    ------
    SchemaError
        For any other dataset.
    """
    schema.validate(node, schema.RINGS_XCT, by="plot.ring_scores")
    with canvas.styled():
        figure, axes = _panel(2.6)
        z = node["z"].values
        for name, colour, marker in (("before", canvas.THEIRS, "o"), ("after", canvas.OURS, "s")):
            axes.plot(z, node[f"ring_score_{name}"].values, marker=marker, markersize=4.5,
                      linewidth=0.9, color=colour, label=name)  # fmt: skip
        axes.axhline(1, color=canvas.LIMIT, linestyle="--", linewidth=0.9, label="noise alone")
        axes.set_yscale("log")
        _plain_numbers(axes)
        axes.set_xlabel(canvas.label(node["z"], name="z"))
        axes.set_ylabel("ring score")
        axes.set_title("stripes in sinograms")
        axes.margins(0.08, 0.15)
        axes.legend(loc="best", fontsize=7)
    return figure


def _plain_numbers(axes: Axes) -> None:
    """Numbers on a logarithmic axis that spans about a decade, where powers of ten are too few."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def pattern(
    measured: xr.DataArray,
    *,
    fitted: xr.DataArray | None = None,
    marks: Mapping[str, Any] | None = None,
    name: str = "measured",
    title: str = "",
    root: bool = False,
) -> Figure:
    """Draw a diffraction pattern, the fit through it with what is left, and where lines belong.

    Parameters
    ----------
    measured
        ``(q)``.
    fitted
        ``(q)`` of the model; NaN where it was not fitted.
    marks
        Positions of the lines of each phase [1/angstrom], drawn as ticks below.
    name
        What the legend calls the pattern.
    title
        What stands above it.
    root
        Whether heights go by the square root, so that weak lines are seen beside strong ones.
    """
    q = measured["q"].values
    with canvas.styled():
        figure = canvas.figure(2 * WIDTH, 4.4 if fitted is not None else 3.6)
        parts = figure.subplots(
            2, 1, sharex=True, squeeze=False, height_ratios=(4, 1)
        ) if fitted is not None else figure.subplots(1, 1, squeeze=False)  # fmt: skip
        axes = parts[0, 0]
        axes.plot(q, measured.values, color="black", linewidth=0.8, label=canvas.plain(name))
        if fitted is not None:
            axes.plot(q, fitted.values, color=COLOURS[1], linewidth=0.9, label="fit")
            parts[1, 0].plot(q, (measured - fitted).values, color=canvas.LIMIT, linewidth=0.7)
            parts[1, 0].axhline(0, color=canvas.FAINT, linewidth=0.8, zorder=0)
            parts[1, 0].set_ylabel("left over")
        for i, (phase, places) in enumerate((marks or {}).items()):
            # Rows of ticks below the curve, in parts of the panel's height.
            axes.plot(places, np.full(len(places), -0.03 - 0.05 * i), "|", markersize=7,
                      markeredgewidth=1.2, color=COLOURS[(i + 2) % len(COLOURS)],
                      transform=axes.get_xaxis_transform(), clip_on=False,
                      label=f"lines of {canvas.plain(phase)}")  # fmt: skip
        if marks:
            axes.spines["bottom"].set_visible(False)
            axes.tick_params(axis="x", pad=4 + 9 * len(marks))
        parts[-1, 0].set_xlabel(canvas.label(measured["q"], name="q"))
        axes.set_ylabel(canvas.label(measured, name=str(measured.name)))
        axes.set_title(canvas.plain(title))
        axes.margins(x=0.01)
        if root:
            axes.set_yscale("function", functions=(_root, _square))
        axes.legend(loc="upper right", fontsize=8)
    return figure


def _root(value: Any) -> Any:
    return np.sign(value) * np.sqrt(np.abs(value))


def _square(value: Any) -> Any:
    return np.sign(value) * np.square(value)


def isolation(node: xr.Dataset) -> Figure:
    """Draw the share of voxels in which phases are mixed, beside what the beam's width mixes.

    Parameters
    ----------
    node
        What `xrdct.isolation` gave.

    Raises
    ------
    SchemaError
        For any other dataset.
    """
    schema.validate(node, schema.ISOLATION, by="plot.isolation")
    z = np.atleast_1d(node["z"].values)
    names = {"mixed": "measured", "mixed_blur": "beam's blur alone", "mixed_excess": "excess"}
    with canvas.styled():
        figure, axes = _panel()
        place = np.arange(z.size)
        for i, (name, said) in enumerate(names.items()):
            axes.bar(place + 0.27 * (i - 1), 100 * node[name].values, 0.25, color=COLOURS[i],
                     yerr=100 * node[f"{name}_sigma"].values, capsize=3, label=said,
                     error_kw={"linewidth": 1})  # fmt: skip
        axes.axhline(0, color=canvas.LIMIT, linewidth=0.8)
        axes.set_xticks(place[:: max(z.size // 6, 1)])
        axes.set_xticklabels([f"{v:.4g}" for v in z[:: max(z.size // 6, 1)]])
        axes.set_xlabel(canvas.label(node["z"], name="z"))
        axes.set_ylabel("mixed voxels [%], ± 1 sigma")
        axes.set_title("are the phases isolated?")
        axes.margins(y=0.2)
        axes.legend(loc="best", fontsize=7)
    return figure


def profile(arrays: Mapping[str, xr.DataArray], *, title: str = "") -> Figure:
    """Draw curves over the one dim that they share.

    Parameters
    ----------
    arrays
        One dim each, by what the legend calls them.
    title
        What stands above it.

    Raises
    ------
    SchemaError
        For no array, or arrays of other dims.
    """
    dims = {a.dims for a in arrays.values()}
    if len(dims) != 1 or len(next(iter(dims))) != 1:
        raise SchemaError("plot.profile draws curves over one dim", got=f"{sorted(map(str, dims))}")
    first = next(iter(arrays.values()))
    own = first.dims[0]
    along = first[own] if own in first.coords else xr.DataArray(np.arange(first.size), dims=[own])
    with canvas.styled():
        figure, axes = _panel()
        for i, (name, array) in enumerate(arrays.items()):
            axes.plot(along.values, array.values, color=COLOURS[i % len(COLOURS)], linewidth=0.9,
                      label=canvas.plain(name))  # fmt: skip
        axes.set_xlabel(canvas.label(along, name=str(own)))
        axes.set_ylabel(canvas.label(first))
        axes.set_title(canvas.plain(title))
        if len(arrays) > 1:
            axes.legend(loc="best", fontsize=7)
    return figure
