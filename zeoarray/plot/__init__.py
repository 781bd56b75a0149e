"""Floor 5a: pictures of what was measured. Each function returns a figure; none shows or keeps it.

A figure is saved by ``figure.savefig("slices.png")``, and shows itself in a notebook.
"""

from __future__ import annotations

from zeoarray.plot.curves import axis, comparison, frames
from zeoarray.plot.lines import (
    axis_line,
    axis_metric,
    drift,
    isolation,
    levels,
    pattern,
    profile,
    ring_scores,
)
from zeoarray.plot.montage import montage
from zeoarray.plot.panels import difference, histogram, image, separation
from zeoarray.plot.registration import checkerboard, residuals, shell_correlation
from zeoarray.plot.rings import rings
from zeoarray.plot.slices import slices

__all__ = [
    "axis",
    "axis_line",
    "axis_metric",
    "checkerboard",
    "comparison",
    "difference",
    "drift",
    "frames",
    "histogram",
    "image",
    "isolation",
    "levels",
    "montage",
    "pattern",
    "profile",
    "residuals",
    "ring_scores",
    "rings",
    "separation",
    "shell_correlation",
    "slices",
]
