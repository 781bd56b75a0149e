"""Filters of filtered back-projection, and what a projection is between its samples.

Filters act on the samples. Back-projection then reads between them, so it interpolates: by the
kernel whose transform is `interpolation`, beyond the Nyquist frequency too.
"""

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


REACH = 0.625
"""Frequency up to which samples are interpolated, in cycles a pixel."""


def points_of(period: int) -> int:
    """Frequencies of a line with `period` samples that are back-projected: m / period to `REACH`.

    Examples
    --------
    >>> points_of(2079)
    2599
    """
    return 2 * int(REACH * period) + 1


@functools.lru_cache(maxsize=16)
def interpolation(period: int) -> Array:
    """Transform of what a filtered projection is interpolated by, at `points_of` frequencies.

    K(f) = cos(pi f / 2) / (1 + (f / (1 - f))^3), in the FFT's order, for f in cycles a pixel. The
    spectrum of samples repeats with 1 / pixel: what is found at f is that of the projection at f
    and its alias at 1 - f. Where power falls as f^-3, as it does at the edges of a sample, the
    second factor is the Wiener filter between the two. It passes a part of what lies beyond the
    Nyquist frequency, 1/2, and less of what lies just below. The first factor is
    sinc(f) / sinc(f / 2): pixels of a slice are means, and samples of a projection are taken to be
    means over half a pixel, between lines through its middle and means over all of it.
    """
    f = np.abs(frequencies(points_of(period))) / period
    kernel: Array = np.cos(np.pi * f / 2) / (1 + (f / (1 - f)) ** 3)
    kernel.setflags(write=False)
    return kernel


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
