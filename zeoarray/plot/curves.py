"""What was measured beside the images: the rotation axis, flats and darks, and comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import SchemaError
from zeoarray.plot import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIGMAS = ("axis_u_sigma", "overlap_sigma", "axis_sigma", "center_sigma", "sigma")


def axis(node: xr.Dataset) -> Figure:
    """Draw a measured rotation axis: where it lies over height, and the curves that say so.

    Parameters
    ----------
    node
        What a measure of the axis gave: ``axis_u(z)``, its sigma, curves of the metric.

    Returns
    -------
    matplotlib.figure.Figure
        The axis over z, and one panel for each variable that has a dim of its own.

    Raises
    ------
    SchemaError
        For a dataset without `axis_u`.
    """
    if "axis_u" not in node.variables:
        raise SchemaError(
            "plot.axis: there is no axis to draw",
            got=", ".join(map(str, node.variables)) or "an empty dataset",
            expected="axis_u(z), as xct.find_center gives it",
        )
    value = node["axis_u"]
    curves = [
        v for v in node.data_vars.values()
        if v.dtype.kind == "f" and v.ndim in (1, 2) and set(v.dims) - {"z"}
        and (v.ndim == 1 or "z" in v.dims)
    ]  # fmt: skip
    sigma = next((node[n] for n in _SIGMAS if n in node.variables), None)
    with canvas.styled():
        figure = canvas.figure(3.8 * (1 + len(curves)), 3.2)
        panels = np.atleast_1d(figure.subplots(1, 1 + len(curves)))
        where = node["z"].values if "z" in node.variables else np.zeros(1)
        values, z = np.broadcast_arrays(np.asarray(value.values, float), where)
        spread = None if sigma is None else np.broadcast_to(sigma.values, values.shape)
        panels[0].errorbar(
            values, z, xerr=spread, color=canvas.OURS, marker=".", linewidth=1, capsize=2
        )
        panels[0].set_xlabel(canvas.label(value, name="axis, u"))
        panels[0].set_ylabel(canvas.label(node["z"], name="z") if "z" in node.variables else "")
        panels[0].set_title("rotation axis" + (" ± sigma" if sigma is not None else ""))
        panels[0].ticklabel_format(useOffset=False)
        for panel, curve in zip(panels[1:], curves, strict=True):
            _curve(panel, curve)
    return figure


def _curve(panel: Axes, curve: xr.DataArray) -> None:
    """One line for each row, the first the darkest."""
    own = next(d for d in curve.dims if d != "z")
    along = curve[own] if own in curve.coords else xr.DataArray(np.arange(curve.sizes[own]))
    rows = np.atleast_2d(curve.transpose(..., own).values)
    for i, row in enumerate(rows):
        panel.plot(along.values, row, color=canvas.OURS, linewidth=1,
                   alpha=1 - 0.7 * i / max(len(rows), 2))  # fmt: skip
    panel.set_xlabel(canvas.label(along, name=str(own)))
    panel.set_ylabel(canvas.label(curve, name=str(curve.name)))
    panel.set_title(str(curve.attrs.get("long_name", curve.name)))


def frames(check: xr.Dataset) -> Figure:
    """Draw the mean of every flat and dark, those that are not what their key says in red.

    Parameters
    ----------
    check
        What `xct.check_frames` gave.

    Returns
    -------
    matplotlib.figure.Figure
        Flats above, darks below, each with the spread of its pixels.

    Raises
    ------
    SchemaError
        For any other dataset.
    """
    schema.validate(check, schema.FRAMES_XCT, by="plot.frames")
    with canvas.styled():
        figure = canvas.figure(4.4, 4.0)
        panels = figure.subplots(2, 1)
        for panel, kind in zip(panels, ("flat", "dark"), strict=True):
            mean, sigma = check[f"{kind}_mean"], check[f"{kind}_sigma"].values
            good = check[f"{kind}_good"].values.astype(bool)
            number = np.arange(mean.size)
            for chosen, colour, name in ((good, canvas.OURS, "used"),
                                         (~good, canvas.THEIRS, "left out")):  # fmt: skip
                if chosen.any():
                    panel.errorbar(number[chosen], mean.values[chosen], sigma[chosen], fmt="o",
                                   markersize=3, linewidth=0.8, color=colour,
                                   label=f"{name}: {int(chosen.sum())}")  # fmt: skip
            panel.set_ylabel(canvas.label(mean, name=f"{kind}, mean"))
            panel.legend(loc="best")
            panel.margins(y=0.3)
            panel.xaxis.get_major_locator().set_params(integer=True)
        panels[1].set_xlabel("frame")
    return figure


def comparison(found: xr.Dataset) -> Figure:
    """Draw how far two reconstructions agree: the difference, and their Fourier ring correlation.

    Parameters
    ----------
    found
        What `quality.compare` gave.

    Returns
    -------
    matplotlib.figure.Figure
        The registered difference of the middle row; the correlation with the half-bit criterion.

    Raises
    ------
    SchemaError
        For any other dataset.
    """
    schema.validate(found, schema.COMPARISON, by="plot.comparison")
    difference = found["difference"]
    most = max(map(abs, canvas.greys(difference.values, share=0.5)))
    with canvas.styled():
        figure = canvas.figure(9.4, 4.0)
        left, right = figure.subplots(1, 2)
        drawn = canvas.show(left, difference.values, limits=(-most, most),
                            um=canvas.extent(difference), cmap="RdBu_r")  # fmt: skip
        left.set_title(f"ours less theirs, z = {found.attrs.get('middle_row', np.nan):.4g} µm")
        left.set_xlabel(canvas.side(difference, 1))
        left.set_ylabel(canvas.side(difference, 0))
        figure.colorbar(drawn, ax=left, shrink=0.85).set_label(canvas.label(difference))
        frequency = found["frequency"]
        right.plot(frequency, found["ring_correlation"], color=canvas.OURS, label="ours and theirs")
        right.plot(frequency, found["half_bit"], color=canvas.LIMIT, linestyle="--", linewidth=1,
                   label="half-bit criterion")  # fmt: skip
        detail = float(found["agrees_to"])
        right.axvline(500 / detail, color=canvas.THEIRS, linewidth=1,
                      label=f"agree to {detail:.3g} µm")  # fmt: skip
        right.set_xlabel(canvas.label(frequency))
        right.set_ylabel("Fourier ring correlation")
        right.set_xlim(0, float(frequency[-1]))
        right.set_ylim(min(-0.05, float(found["ring_correlation"].min())), 1.05)
        right.legend(loc="best")
    return figure
