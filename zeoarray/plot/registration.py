"""How well two registered volumes match: in squares by turns, by blocks, and by detail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.plot import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SQUARES = 8
"""Of a checkerboard, along its longer side."""
LONGEST = 0.12
"""Length of the longest arrow, as a share of the width of what it stands in."""
_BELIEVED = 0.2
"""Blocks of less weight are drawn as those that the fit gave up."""


def checkerboard(fixed: xr.DataArray, moving: xr.DataArray, *, title: str = "") -> Figure:
    """Draw two registered images in squares by turns: edges run on where they match.

    Each is scaled to its own greys, so that they may be of different contrast.

    Parameters
    ----------
    fixed, moving
        Two dims each, of one shape; NaN where there is nothing.
    title
        What stands above it.

    Raises
    ------
    ArgumentError
        For images of different shapes, or without a finite pixel.
    """
    if fixed.ndim != 2 or fixed.shape != moving.shape:
        raise ArgumentError(
            "plot.checkerboard draws two images of one shape",
            got=f"{dict(fixed.sizes)} and {dict(moving.sizes)}",
            do="resample the moving one onto the grid of the fixed one",
        )
    both = []
    for one in (fixed, moving):
        values = np.asarray(one.values, np.float32)
        low, high = canvas.greys(values)
        both.append((values - low) / (high - low))
    side = max(max(fixed.shape) // SQUARES, 1)
    row, column = (np.arange(n) // side for n in fixed.shape)
    mixed = np.where((row[:, None] + column) % 2 == 0, both[0], both[1])
    um = canvas.extent(fixed)
    ratio = fixed.shape[0] / fixed.shape[1] if um is None else um[0] / um[1]
    with canvas.styled():
        figure = canvas.figure(4.4, 0.7 + 4.0 * min(max(ratio, 0.2), 1.5))
        axes = figure.add_subplot()
        canvas.show(axes, mixed, limits=(0, 1), um=um)
        axes.set_xlabel(canvas.side(fixed, 1))
        axes.set_ylabel(canvas.side(fixed, 0))
        axes.set_title(canvas.plain(title))
    return figure


def residuals(node: xr.Dataset) -> Figure:
    """Draw by how much each block is off yet, from above and from the side.

    Parameters
    ----------
    node
        What `volume.register` gave.

    Returns
    -------
    matplotlib.figure.Figure
        Arrows from the middle of each block, all longer by one factor, which a bar tells.

    Raises
    ------
    SchemaError
        For any other dataset.
    """
    needed = (schema.BLOCK_POSITION, schema.BLOCK_RESIDUAL, schema.BLOCK_WEIGHT,
              schema.BLOCK_HELD_OUT)  # fmt: skip
    schema.validate(node, schema.Schema("registration", needed), by="plot.residuals")
    place, off = (node[f"block_{n}"].values.astype(float) for n in ("position", "residual"))
    held = node["block_held_out"].values.astype(bool)
    believed = node["block_weight"].values > _BELIEVED
    kinds = (
        ("in the fit", believed & ~held, canvas.OURS),
        ("held out", held, canvas.THEIRS),
        ("given up", ~believed & ~held, canvas.FAINT),
    )
    # One that is far off is drawn, but does not make the others points.
    length = np.hypot.reduce(off[np.isfinite(off).all(axis=1)], axis=1)
    usual = float(np.percentile(length, 90)) if length.size else 0.0
    unit = canvas.nice(usual) if usual > 0 else 1.0
    width = float(np.ptp(place, axis=0).max()) if len(place) else 0.0
    grown = LONGEST * (width or 1.0) / (usual or 1.0)
    with canvas.styled():
        figure = canvas.figure(8.8, 4.2)
        panels = figure.subplots(1, 2)
        for panel, (across, up) in zip(panels, ((0, 1), (0, 2)), strict=True):
            for name, chosen, colour in kinds:
                if not chosen.any():
                    continue
                label = f"{name}: {int(chosen.sum())}"
                at = (place[chosen, across], place[chosen, up])
                panel.plot(*at, ".", markersize=3, color=colour, label=label)
                panel.quiver(*at, off[chosen, across], off[chosen, up], color=colour, width=0.004,
                             angles="xy", scale_units="xy", scale=1 / grown)  # fmt: skip
            _framed(panel, across, up)
        panels[0].legend(loc="upper right", fontsize=7)
        _measured(panels[1], unit, grown)
    return figure


def _framed(panel: Axes, across: int, up: int) -> None:
    panel.set_aspect("equal", adjustable="datalim")
    panel.margins(0.15)
    panel.set_xlabel(f"{'xyz'[across]} [µm]")
    panel.set_ylabel(f"{'xyz'[up]} [µm]")
    panel.set_title("from above" if up == 1 else "from the side")


def _measured(panel: Axes, unit: float, grown: float) -> None:
    """A bar as long as an arrow of `unit`."""
    from matplotlib.transforms import blended_transform_factory

    left = panel.get_xlim()[0]
    way = blended_transform_factory(panel.transData, panel.transAxes)
    panel.plot([left, left + unit * grown], [0.965, 0.965], color=canvas.LIMIT, linewidth=2,
               transform=way, scalex=False)  # fmt: skip
    panel.text(left, 0.95, f"off by {unit:g} µm", transform=way, va="top", fontsize=8)


def shell_correlation(node: xr.Dataset) -> Figure:
    """Draw the Fourier shell correlation of two registered volumes, and how far they agree.

    Parameters
    ----------
    node
        What `volume.register` gave.

    Returns
    -------
    matplotlib.figure.Figure
        The curve, the half-bit criterion, and where they cross.

    Raises
    ------
    SchemaError
        For any other dataset, or volumes that had too little in common for a curve.
    """
    needed = (schema.FREQUENCY, schema.SHELL_CORRELATION, schema.HALF_BIT, schema.AGREES_TO)
    schema.validate(node, schema.Schema("registration", needed), by="plot.shell_correlation")
    if not node.sizes["frequency"]:
        raise SchemaError(
            "plot.shell_correlation: there is no curve",
            got="no frequencies",
            expected="volumes that have a cube of 16 voxels in common",
        )
    frequency, detail = node["frequency"], float(node["agrees_to"])
    with canvas.styled():
        figure = canvas.figure(4.4, 3.2)
        axes = figure.add_subplot()
        axes.plot(frequency, node["shell_correlation"], color=canvas.OURS, label="both volumes")
        axes.plot(frequency, node["half_bit"], color=canvas.LIMIT, linestyle="--", linewidth=1,
                  label="half-bit criterion")  # fmt: skip
        axes.axvline(500 / detail, color=canvas.THEIRS, linewidth=1,
                     label=f"agree to {detail:.3g} µm")  # fmt: skip
        axes.set_xlabel(canvas.label(frequency))
        axes.set_ylabel("Fourier shell correlation")
        axes.set_xlim(0, float(frequency[-1]))
        axes.set_ylim(min(-0.05, float(node["shell_correlation"].min())), 1.05)
        axes.legend(loc="best", fontsize=8)
    return figure
