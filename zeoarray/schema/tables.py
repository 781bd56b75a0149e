"""Every kind of node in one table, and the page that is printed from it."""

from __future__ import annotations

from zeoarray.schema.integration import (
    BEAM_POSITIONS,
    BIN_COVARIANCES,
    CAKES,
    DETECTOR_IMAGES,
    PATTERNS_RADIUS,
)
from zeoarray.schema.joint import GRID, JOINT, MAPPING, RESAMPLED
from zeoarray.schema.motion import DRIFT_XCT, OVERLAP_XCT
from zeoarray.schema.patches import (
    PATCHES,
    POSITIONS_PATCHES,
    STATISTICS_PATCHES,
    STITCHED,
)
from zeoarray.schema.phases import (
    BASIS,
    COMPONENTS,
    CORRELATIONS,
    ISOLATION,
    PARALLAX,
    PEAKS_SINOGRAM,
    PEAKS_XRDCT,
    PHASES_SINOGRAM,
    PHASES_XRDCT,
    REFERENCES,
)
from zeoarray.schema.quality import COMPARISON, QUALITY
from zeoarray.schema.registration import NETWORK, REGISTRATION
from zeoarray.schema.xct import (
    ABSORBANCE_XCT,
    AXIS_XCT,
    FRAMES_XCT,
    NORMALIZED_XCT,
    REFERENCED_XCT,
    RINGS_XCT,
    SCAN_XCT,
    VOLUME_XCT,
)
from zeoarray.schema.xrdct import PATTERNS, POWDER, SCAN_XRDCT, SINOGRAM, VOLUME_XRDCT

SCHEMAS = (
    SCAN_XCT,
    REFERENCED_XCT,
    NORMALIZED_XCT,
    ABSORBANCE_XCT,
    FRAMES_XCT,
    RINGS_XCT,
    AXIS_XCT,
    OVERLAP_XCT,
    DRIFT_XCT,
    SCAN_XRDCT,
    DETECTOR_IMAGES,
    BEAM_POSITIONS,
    PATTERNS,
    PATTERNS_RADIUS,
    CAKES,
    BIN_COVARIANCES,
    SINOGRAM,
    VOLUME_XRDCT,
    VOLUME_XCT,
    POWDER,
    REFERENCES,
    COMPONENTS,
    BASIS,
    CORRELATIONS,
    PARALLAX,
    PHASES_SINOGRAM,
    PHASES_XRDCT,
    ISOLATION,
    PEAKS_SINOGRAM,
    PEAKS_XRDCT,
    COMPARISON,
    QUALITY,
    REGISTRATION,
    NETWORK,
    POSITIONS_PATCHES,
    PATCHES,
    STATISTICS_PATCHES,
    STITCHED,
    GRID,
    RESAMPLED,
    JOINT,
    MAPPING,
)
VARS = tuple(dict.fromkeys(var for s in SCHEMAS for var in (*s.required, *s.optional)))
"""Every variable of the data model, each once."""
FLAGS = frozenset(var.name for var in VARS if var.kind == "flag")


def reference() -> str:
    """Return the reference page of the data model, in Markdown."""
    lines = ["# Data model", "", "Printed from `zeoarray/schema/` by `make docs`.", ""]
    for schema in SCHEMAS:
        lines += [f"## {schema.name}", "", "| name | dims | kind | unit | meaning |"]
        lines += ["|---|---|---|---|---|"]
        for var in (*schema.required, *schema.optional):
            name = f"**`{var.name}`**" if var in schema.required else f"`{var.name}`"
            dims = ", ".join(var.dims) or "scalar"
            lines.append(f"| {name} | {dims} | {var.kind} | {var.units or ''} | {var.doc} |")
        lines += ["", "What is in bold must be there.", ""]
    return "\n".join(lines)
