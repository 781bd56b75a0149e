"""`rings`: an image before and after stripes or rings were removed, and what was removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError
from zeoarray.plot import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rings(
    before: xr.DataArray,
    after: xr.DataArray,
    *,
    scores: tuple[float, float] | None = None,
    limits: canvas.Range | None = None,
) -> Figure:
    """Draw one image before and after, in the same greys, and the difference about zero.

    Parameters
    ----------
    before, after
        The same sinogram or the same slice, two dims.
    scores
        Ring scores of both, written beside them.
    limits
        Values shown as black and white in both; None leaves 0.2 % out at either end of `before`.

    Raises
    ------
    ArgumentError
        Where the two are not of one shape, or no images.
    """
    if before.ndim != 2 or before.sizes != after.sizes:
        raise ArgumentError(
            "plot.rings needs one image, before and after",
            got=f"{dict(before.sizes)} and {dict(after.sizes)}",
            expected="two dims of the same sizes: ds.absorbance.isel(z=100)",
        )
    one, other = (np.asarray(a.values, np.float32) for a in (before, after))
    shown = limits or canvas.greys(one)
    removed = one - other
    # About zero, so that no change is white.
    most = max(map(abs, canvas.greys(removed, share=0.5)))
    um = canvas.extent(before)
    ratio = one.shape[0] / one.shape[1] if um is None else um[0] / um[1]
    with canvas.styled():
        figure = canvas.figure(10, 1.1 + 3.0 * min(max(ratio, 0.4), 1.3))
        axes = figure.subplots(1, 3)
        names = ("before", "after", "removed: before less after")
        colours = ("gray", "gray", "RdBu_r")
        ranges = (shown, shown, (-most, most))
        images = (one, other, removed)
        drawn = [
            canvas.show(a, image, limits=limit, um=um, cmap=cmap, square=um is not None)
            for a, image, limit, cmap in zip(axes, images, ranges, colours, strict=True)
        ]
        for i, (a, name) in enumerate(zip(axes, names, strict=True)):
            score = f", ring score {scores[i]:.3g}" if scores is not None and i < 2 else ""
            a.set_title(name + score)
            a.set_xlabel(canvas.side(before, 1))
            a.set_ylabel(canvas.side(before, 0) if i == 0 else "")
        figure.colorbar(drawn[1], ax=axes[:2], shrink=0.85, pad=0.01).set_label(
            canvas.label(before)
        )
        figure.colorbar(drawn[2], ax=axes[2], shrink=0.85, pad=0.02).set_label(
            canvas.label(before, name="removed")
        )
    return figure
