"""Floor 5b: a store on one page of HTML, which asks no network.

Sections are small functions registered by `section` with the variables that they draw; a new kind
of node is a new function.
"""

from __future__ import annotations

from zeoarray.report import (  # noqa: F401  imported to register their sections, in this order
    against_truth,
    diffraction,
    patches,
    phases,
    registration,
    scans,
    tomograms,
)
from zeoarray.report.page import write
from zeoarray.report.registry import SECTIONS, section

__all__ = ["SECTIONS", "section", "write"]
