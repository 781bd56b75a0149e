"""The non-uniform FFT between a polar grid of frequencies and an image, planned once and reused.

A parallel projection is the inverse Fourier transform of a line through the image's transform, so
both directions of a scan go through one set of points: frequency m / period along each angle. Those
beyond the Nyquist frequency are aliases in the image.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from types import ModuleType
from typing import Any

import finufft
import numpy as np
import scipy.fft

from zeoarray.backend import transform_threads
from zeoarray.errors import DependencyError

Array = np.ndarray[Any, Any]

EPS = 1e-3
"""Relative error asked of the transform: far below the noise and the discretisation of a scan."""
UPSAMPLING = 1.25
"""Oversampling of FINUFFT's own grid: with 2, the grid's FFT costs more than it saves."""
WIDTH = 6
"""Points of FINUFFT's grid that one sample is spread over, along each axis, at `EPS`."""
KEPT = 2
"""Geometries that one thread keeps."""


def fast_length(least: float) -> int:
    """Return an odd length, not below `least`, that the FFT is fast for.

    Odd, because frequencies then come in pairs +m, -m only: two real slices in one complex array
    stay apart.

    Examples
    --------
    >>> fast_length(2048)
    2079
    """
    length = max(int(np.ceil(least)), 1) | 1
    while True:
        rest = length
        for prime in (3, 5, 7, 11):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2


def fft_of(xp: ModuleType) -> Any:
    """Return the FFT module of an array module; both have the interface of `scipy.fft`."""
    if xp is np:
        return scipy.fft
    import cupyx.scipy.fft

    return cupyx.scipy.fft


def frequencies(length: int) -> Array:
    """Numbers of the frequencies of an FFT of odd length, in its order: 0, 1, ..., -2, -1."""
    return np.fft.ifftshift(np.arange(length) - length // 2)


class Polar:
    """Points, phases and transforms for one set of angles, one image shape and one period.

    Parameters
    ----------
    xp
        numpy or cupy.
    angle
        Angles [rad], float64.
    shape
        Sizes of y and x.
    period
        Odd number of samples along u after which a projection repeats.
    points
        Odd number of frequencies along each angle.
    """

    def __init__(
        self, xp: ModuleType, angle: Array, shape: tuple[int, int], period: int, points: int
    ) -> None:
        self.xp, self.shape, self.period, self.points = xp, shape, period, points
        step = frequencies(points) * (2 * np.pi / period)
        sin, cos = np.sin(angle)[:, None], np.cos(angle)[:, None]
        self._y = xp.asarray((sin * step).astype(np.float32).ravel())
        self._x = xp.asarray((cos * step).astype(np.float32).ravel())
        # The middle of an even image is half a pixel from its pixel 0 of the transform; the middle
        # of a projection is period // 2 samples from its first.
        half = [0.5 * (1 - n % 2) for n in shape]
        middle = period // 2 + half[0] * sin + half[1] * cos
        self.turn = xp.empty((angle.size, points), np.complex64)
        """Factors on spectra that bring the axis to where the image has it."""
        for i in range(angle.size):
            self.turn[i] = xp.asarray(np.exp(1j * step * middle[i]).astype(np.complex64))
        self._plans: dict[int, Any] = {}

    def image(self, spectra: Any, out: Any = None) -> Any:
        """(angle, frequency) -> (y, x). The sum of waves of these amplitudes, `turn` applied."""
        return self._plan(1).execute(spectra.reshape(-1), out)

    def spectra(self, image: Any) -> Any:
        """(y, x) -> (angle, frequency). The exact adjoint of `image`: `turn` is to be undone."""
        return self._plan(2).execute(image).reshape(self.turn.shape)

    def _plan(self, kind: int) -> Any:
        if kind not in self._plans:
            plan = _library(self.xp)(kind, self.shape, eps=EPS, isign=1 if kind == 1 else -1)
            # The first number of the image runs along y.
            plan.setpts(self._y, self._x)
            self._plans[kind] = plan
        return self._plans[kind]


def _library(xp: ModuleType) -> Any:
    if xp is np:
        return lambda *args, **more: finufft.Plan(
            *args, **more, dtype="complex64", nthreads=transform_threads(), upsampfac=UPSAMPLING
        )
    try:
        import cufinufft
    except ImportError as error:
        raise DependencyError(
            "reconstruction on a GPU needs cufinufft", do="pip install cufinufft"
        ) from error
    return lambda *args, **more: cufinufft.Plan(*args, **more, dtype="complex64")


def polar_bytes(angles: int, points: int) -> int:
    """Bytes that one `Polar` with one of its transforms holds from call to call."""
    # Two coordinates, the phase, and FINUFFT's order of the points.
    return angles * points * (4 + 4 + 8 + 8) + 64 * points


def grid_bytes(shape: tuple[int, int]) -> int:
    """Bytes of FINUFFT's own grid, which is there while a transform runs."""
    sides = [next_235(max(UPSAMPLING * n, 2 * WIDTH)) for n in shape]
    return 8 * sides[0] * sides[1]


def next_235(least: float) -> int:
    """Return the even number not below `least` that has no prime factor above 5.

    Examples
    --------
    >>> next_235(641)
    648
    """
    number = max(int(np.ceil(least / 2)) * 2, 2)
    while True:
        rest = number
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return number
        number += 2


_KEPT = threading.local()


def polar_of(
    xp: ModuleType, angle: Array, shape: tuple[int, int], period: int, points: int | None = None
) -> Polar:
    """Return the `Polar` of this thread for a geometry, built where it is not kept.

    With as many frequencies along each angle as there are samples where `points` is None.

    A plan cannot be used by two threads at once, so each has its own, and forgets the one that it
    has not used for longest. Nothing here is ever pickled.
    """
    kept: OrderedDict[Any, Polar] = _KEPT.__dict__.setdefault("polar", OrderedDict())
    digest = hashlib.blake2b(angle.tobytes(), digest_size=16).digest()
    points = period if points is None else points
    key = (xp.__name__, digest, angle.size, shape, period, points, EPS, transform_threads())
    if key in kept:
        kept.move_to_end(key)
        return kept[key]
    while len(kept) >= KEPT:
        kept.popitem(last=False)
    kept[key] = Polar(xp, angle, shape, period, points)
    return kept[key]


def forget() -> None:
    """Free what this thread keeps: before other shapes follow, or where memory is short."""
    _KEPT.__dict__.pop("polar", None)
