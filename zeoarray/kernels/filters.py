"""Filters of filtered back-projection."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from zeoarray.kernels.polar import frequencies

Array = np.ndarray[Any, Any]
Filter = Literal["ramp", "shepp-logan", "cosine", "hamming", "hann"]

WINDOWS: dict[str, Callable[[Array], Array]] = {
    "ramp": lambda f: np.ones_like(f),
    "shepp-logan": lambda f: np.sinc(f),
    "cosine": lambda f: np.cos(np.pi * f),
    "hamming": lambda f: 0.54 + 0.46 * np.cos(2 * np.pi * f),
    "hann": lambda f: 0.5 + 0.5 * np.cos(2 * np.pi * f),
}
"""Factors on the ramp, of the frequency in cycles a pixel (0.5 at most)."""


@functools.lru_cache(maxsize=16)
def ramp(length: int, window: str) -> Array:
    """Transfer function of the band-limited ramp filter times a window, in the FFT's order.

    The ramp is the transform of its samples in space (1/4 at 0, -1/(pi n)^2 at odd n), which keeps
    the mean right; sampling abs(f) itself would lower it.

    References
    ----------
    A. C. Kak, M. Slaney, "Principles of Computerized Tomographic Imaging", SIAM (2001),
    doi:10.1137/1.9780898719277, section 3.3.
    """
    n = frequencies(length)
    odd = n % 2 == 1
    taps = np.zeros(length)
    taps[odd] = -1 / (np.pi * n[odd]) ** 2
    taps[0] = 0.25
    response: Array = np.fft.fft(taps).real * WINDOWS[window](n / length)
    return response.astype(np.float32)
