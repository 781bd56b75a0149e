"""Detector images turned between the four orientations that pyFAI counts."""

from __future__ import annotations

from typing import Any

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import kernel

CORNERS = {1: (False, False), 2: (False, True), 3: (True, True), 4: (True, False)}
"""Orientation to whether the first pixel lies at the bottom, and at the right.

1 top left, 2 top right, 3 bottom right, 4 bottom left, as in pyFAI and EXIF.
"""


@kernel("(det_y,det_x)->(det_y,det_x)", dtype="same")
def to_orientation(frames: Any, *, current: int, wanted: int) -> Any:
    """(..., det_y, det_x) -> (..., det_y, det_x). Images with their first pixel in another corner.

    Parameters
    ----------
    frames
        Detector images or masks.
    current, wanted
        Orientation that they have, and that they shall have: 1 to 4.

    Returns
    -------
    array
        Contiguous where anything was flipped; `frames` itself where nothing was.

    Raises
    ------
    ArgumentError
        For an orientation that is none.

    References
    ----------
    G. Ashiotis et al., "The fast azimuthal integration Python library: pyFAI",
    J. Appl. Cryst. 48 (2015) 510, doi:10.1107/S1600576715004306.

    Examples
    --------
    >>> import numpy as np
    >>> to_orientation(np.array([[1, 2], [3, 4]]), current=1, wanted=3)
    array([[4, 3],
           [2, 1]])
    """
    for value in (current, wanted):
        if value not in CORNERS:
            raise ArgumentError(
                "this is no orientation of a detector image",
                got=value,
                expected="1 (top left), 2 (top right), 3 (bottom right) or 4 (bottom left)",
            )
    flips = [a != b for a, b in zip(CORNERS[current], CORNERS[wanted], strict=True)]
    if not any(flips):
        return frames
    rows, columns = (slice(None, None, -1 if flip else 1) for flip in flips)
    return xp_of(frames).ascontiguousarray(frames[..., rows, columns])
