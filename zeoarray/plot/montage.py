"""`montage`: one picture of many images, such as the slices of a sweep of the centre."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError
from zeoarray.plot import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def montage(
    images: Sequence[canvas.Array | xr.DataArray],
    labels: Sequence[object],
    *,
    title: str = "",
    columns: int | None = None,
    limits: canvas.Range | None = None,
    zoom: float = 1.0,
    width: float = 12.0,
) -> Figure:
    """Draw images side by side in the same greys, each with its label written on it.

    Parameters
    ----------
    images
        (row, column) each. Those that are labelled in um get a scale bar, on the first tile.
    labels
        One for each image: the value of the parameter that was swept.
    title
        What was swept: ``xct.reconstruct.center [px]``.
    columns
        Tiles in a row; as many as rows where None, or one more.
    limits
        Values shown as black and white; None leaves 0.2 % of all pixels out at either end.
    zoom
        Above 1 shows the middle part of each image, as much larger.
    width
        Of the whole at most [inches].

    Raises
    ------
    ArgumentError
        For no image, or not one label for each, or other shapes than two dims.
    """
    if not images or len(images) != len(labels):
        raise ArgumentError(
            "plot.montage needs a label for each image",
            got=f"{len(images)} images, {len(labels)} labels",
        )
    if not zoom >= 1 or (columns is not None and columns < 1):
        raise ArgumentError(
            "plot.montage: zoom and columns are 1 or more", got=f"zoom={zoom}, columns={columns}"
        )
    parts = [_middle(_plain(image), zoom) for image in images]
    sizes = {part.shape for part in parts}
    shown = limits or canvas.greys(*parts)
    across = columns or math.ceil(math.sqrt(len(parts)))
    down = math.ceil(len(parts) / across)
    rows, cols = max(s[0] for s in sizes), max(s[1] for s in sizes)
    tile = min(3.2, width / across)
    most = max(int(canvas.MOST_PIXELS * 2 / across), 64)
    with canvas.styled():
        height = tile * down * rows / cols + (0.35 if title else 0)
        figure = canvas.figure(tile * across, height, tight=True)
        for i, (part, label) in enumerate(zip(parts, labels, strict=True)):
            axes = figure.add_subplot(down, across, i + 1)
            um = _size(images[i], zoom) if i == 0 else None
            canvas.show(axes, canvas.shrunk(part, most), limits=shown, um=um)
            canvas.written(axes, _written(label), 0.03, 0.97, size=10, weight="bold")
        if title:
            figure.suptitle(title, fontsize=11)
    return figure


def _plain(image: canvas.Array | xr.DataArray) -> canvas.Array:
    values = np.asarray(image.values if isinstance(image, xr.DataArray) else image)
    if values.ndim != 2 or not values.size:
        raise ArgumentError(
            "plot.montage draws images", got=f"an array of the shape {values.shape}",
            expected="two dims",
        )  # fmt: skip
    return values


def _middle(image: canvas.Array, zoom: float) -> canvas.Array:
    kept = [max(round(n / zoom), 1) for n in image.shape]
    start = [(n - k) // 2 for n, k in zip(image.shape, kept, strict=True)]
    return image[start[0] : start[0] + kept[0], start[1] : start[1] + kept[1]]


def _size(image: canvas.Array | xr.DataArray, zoom: float) -> tuple[float, float] | None:
    whole = canvas.extent(image) if isinstance(image, xr.DataArray) else None
    return None if whole is None else (whole[0] / zoom, whole[1] / zoom)


def _written(label: object) -> str:
    return f"{label:.6g}" if isinstance(label, float) else str(label)
