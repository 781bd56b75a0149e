"""`slices`: a volume by its three planes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError
from zeoarray.plot import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def slices(
    volume: xr.Dataset | xr.DataArray,
    *,
    at: tuple[float | None, float | None, float | None] = (None, None, None),
    limits: canvas.Range | None = None,
) -> Figure:
    """Draw three planes of a volume through one point, in one scale, with a bar of values.

    Only the planes are read.

    Parameters
    ----------
    volume
        A volume with the dims z, y, x.
    at
        z, y and x [um] of the point; None takes the middle.
    limits
        Values shown as black and white; None leaves 0.2 % of the pixels out at either end.

    Returns
    -------
    matplotlib.figure.Figure
        The plane (y, x) at the left; (z, x) and (z, y) at the right.

    Raises
    ------
    ArgumentError
        For an array with other dims, or a point outside.
    """
    array = canvas.only(volume, "attenuation", "intensity", "weight", by="plot.slices")
    if set(array.dims) != {"z", "y", "x"}:
        raise ArgumentError(
            "plot.slices draws volumes", got=f"the dims {array.dims}", expected="z, y, x",
            do='choose from the others first: ds["intensity"].isel(q=866)',
        )  # fmt: skip
    where = {dim: _index(array, dim, place) for dim, place in zip("zyx", at, strict=True)}
    planes = {
        dim: array.isel({dim: i}).transpose(*(d for d in "zyx" if d != dim)).compute()
        for dim, i in where.items()
    }
    shown = limits or canvas.greys(*(p.values for p in planes.values()))
    sizes = {d: canvas.extent(p) or (float(p.shape[0]), float(p.shape[1]))
             for d, p in planes.items()}  # fmt: skip
    height_y, width_x = sizes["z"]
    width_y = sizes["x"][1]
    # Two planes stand beside the first, one over the other; tall volumes make a tall picture.
    tall = max(height_y / width_x, 2.3 * sizes["y"][0] / max(width_x, width_y))
    with canvas.styled():
        figure = canvas.figure(9.4, 0.7 + 4.1 * min(tall, 2.0))
        grid = figure.add_gridspec(2, 2, width_ratios=(width_x, max(width_x, width_y)))
        places = {"z": grid[:, 0], "y": grid[0, 1], "x": grid[1, 1]}
        every = []
        for dim, plane in planes.items():
            axes = figure.add_subplot(places[dim])
            every.append(axes)
            drawn = canvas.show(axes, plane.values, limits=shown, um=canvas.extent(plane))
            axes.set_title(_title(array, dim, where[dim]))
            axes.set_xlabel(canvas.side(plane, 1))
            axes.set_ylabel(canvas.side(plane, 0))
        bar = figure.colorbar(drawn, ax=every, extend="both", shrink=0.8, aspect=30)
        bar.set_label(canvas.label(array))
    return figure


def _index(array: xr.DataArray, dim: str, place: float | None) -> int:
    size = array.sizes[dim]
    if place is None:
        return size // 2
    positions = array[dim].values
    index = int(np.abs(positions - place).argmin())
    step = abs(float(positions[-1] - positions[0])) / max(size - 1, 1)
    if abs(float(positions[index]) - place) > max(step, 1e-9):
        raise ArgumentError(
            f"plot.slices: there is no plane at {dim} = {place:g} um",
            expected=f"{positions.min():g} to {positions.max():g} um",
        )
    return index


def _title(array: xr.DataArray, dim: str, index: int) -> str:
    if dim not in array.coords:
        return f"{dim} index {index}"
    unit = array[dim].attrs.get("units", "px")
    return f"{dim} = {float(array[dim][index]):.4g} {'µm' if unit == 'um' else unit}"
