"""How one slice lies in another: turned by quarters, exchanged, and shifted by parts of a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft, ndimage

from zeoarray.kernels import align
from zeoarray.kernels.metrics import within

Array = np.ndarray[Any, Any]

COARSE = 256
"""Side [pixels] to which slices are averaged where only their orientation is looked for."""
FINE_ROWS = 3
"""Slices by which the shift is refined."""
LEAST = 16
"""Pixels a side below which a shift is found to whole pixels only."""
FARTHEST = 1 / 3
"""Share of a side that one may lie beyond the other."""
_EXACT = 1e-4
"""Standard deviation [pixels] below which none is believed."""
_MARGIN = 16
"""Pixels round a slice that are shifted with it, so that its edge is no end of the Fourier sum."""
_SMOOTH = 6.0
"""Pixels of a coarse slice over which its slow changes are taken away: cupping, and the disc."""


@dataclass(frozen=True)
class Placement:
    """Where theirs lies in ours: exchanged, turned, then shifted."""

    exchanged: bool
    """Whether y and x are exchanged first."""
    quarters: int
    """Quarter turns from y towards x that follow, as `numpy.rot90` turns."""
    shift: tuple[float, float]
    """(y, x) [pixels] by which a feature of ours lies beyond the same feature of theirs, both
    counted from the middle of their slice."""
    sigma: float
    """Standard deviation of the shift [pixels]; infinite where it could not be refined."""
    match: float
    """Correlation of both at that place, -1 to 1, without slow changes."""
    second: float
    """The best correlation of another orientation: near `match`, the choice means little."""

    def oriented(self, theirs: Array) -> Array:
        """(..., y, x): theirs exchanged and turned as ours, not yet shifted."""
        return oriented(theirs, self.exchanged, self.quarters)


def oriented(slices: Array, exchanged: bool, quarters: int) -> Array:
    """(..., y, x) -> (..., y, x) or (..., x, y): exchanged first, then turned by quarters."""
    first = np.swapaxes(slices, -1, -2) if exchanged else slices
    turned: Array = np.rot90(first, quarters, axes=(-2, -1))
    return turned


def find(ours: Array, theirs: Array) -> Placement:
    """Find how `theirs` lies in `ours`: which of eight orientations, and the shift.

    The orientation is that of the best correlation of the slices averaged to `COARSE` pixels; the
    shift is then refined at full size by the phases of the spectra (`align.phase_correlation`).

    Parameters
    ----------
    ours, theirs
        (slice, y, x): the same slices, all finite, not constant; sizes may differ.

    Returns
    -------
    Placement
        With a shift right to some hundredths of a pixel where the slices have structure.
    """
    side = max(*ours.shape[-2:], *theirs.shape[-2:])
    factor = -(-side // COARSE)
    small = [_coarse(images, factor) for images in (ours, theirs)]
    # Twice the side, so that nothing wraps round onto itself.
    canvas = fft.next_fast_len(2 * -(-side // factor), real=True)
    reference = fft.rfft2(small[0], (canvas, canvas))
    power = float(np.square(small[0], dtype=np.float64).sum())
    scores = {
        (exchanged, quarters): _best(
            reference, power, oriented(small[1], exchanged, quarters), canvas
        )
        for exchanged in (False, True)
        for quarters in range(4)
    }
    ranked = sorted(scores, key=lambda key: scores[key][0], reverse=True)
    exchanged, quarters = ranked[0]
    turned = oriented(theirs, exchanged, quarters)
    y, x = scores[ranked[0]][1]
    # Of corners on the coarse canvas; sizes differ, and so do the middles.
    middle = [(a - b) / 2 for a, b in zip(ours.shape[-2:], turned.shape[-2:], strict=True)]
    first = factor * y - middle[0], factor * x - middle[1]
    shift, sigma = _fine(ours, turned, first, reach=2.0 * factor + 2)
    best, second = (scores[key][0] for key in ranked[:2])
    return Placement(exchanged, quarters, shift, sigma, best, second)


def _coarse(images: Array, factor: int) -> Array:
    """Average and take slow changes away, and what lies outside of the inscribed circle."""
    rows, columns = (max(n // factor, 1) for n in images.shape[-2:])
    cut = images[:, : rows * factor, : columns * factor]
    shape = (images.shape[0], rows, min(factor, images.shape[1]), columns, -1)
    mean = cut.reshape(shape).mean(axis=(2, 4))
    fast = np.stack([image - ndimage.gaussian_filter(image, _SMOOTH) for image in mean])
    # At the edge of the circle that a reconstruction fills there is a step, alike in all turns.
    window = within((rows, columns), 0.95)
    if window.sum() > 1:
        fast *= window
    fast -= fast.mean(axis=(1, 2), keepdims=True)
    return fast


def _best(
    reference: Array, power: float, images: Array, canvas: int
) -> tuple[float, tuple[float, float]]:
    """Greatest correlation of stacks of slices, and the shift between their middles there."""
    spectra = fft.rfft2(images, (canvas, canvas))
    cross = fft.irfft2((reference * spectra.conj()).sum(axis=0), (canvas, canvas))
    far = np.abs(np.rint(fft.fftfreq(canvas) * canvas)) > FARTHEST * max(images.shape[-2:])
    cross[far] = cross[:, far] = -np.inf
    at = np.unravel_index(int(cross.argmax()), cross.shape)
    norm = float(np.sqrt(power * np.square(images, dtype=np.float64).sum()))
    if norm <= 0:
        return 0.0, (0.0, 0.0)
    y, x = (float(n - canvas if n > canvas // 2 else n) for n in at)
    return float(cross[at]) / norm, (y, x)


def _fine(
    ours: Array, theirs: Array, first: tuple[float, float], *, reach: float
) -> tuple[tuple[float, float], float]:
    """The shift between the middles of slices near `first`, and its standard deviation."""
    shape = (ours.shape[1], ours.shape[2])
    chosen = np.unique(np.linspace(0, len(ours) - 1, min(FINE_ROWS, len(ours))).round().astype(int))
    there = moved(theirs[chosen], shape, first)
    if min(shape) < LEAST:
        return first, float("inf")
    found = [
        align.phase_correlation(one, other, most=reach)
        for one, other in zip(ours[chosen], there, strict=True)
    ]
    weight = np.array([np.maximum(f.sigma, _EXACT) ** -2 for f in found])
    if not weight.sum(axis=0).all():
        return first, float("inf")
    # How far theirs still lies beyond ours.
    left = (weight * [f.shift for f in found]).sum(axis=0) / weight.sum(axis=0)
    sigma = float((weight.sum(axis=0) ** -0.5).max())
    return (first[0] - float(left[0]), first[1] - float(left[1])), sigma


def moved(theirs: Array, shape: tuple[int, int], shift: tuple[float, float]) -> Array:
    """(slice, y, x): `theirs`, already turned, on a grid of `shape` whose middle is shifted.

    Whole pixels by index, the rest by the phase of the Fourier transform, which keeps every
    frequency; beyond their edge the nearest value stands.

    Parameters
    ----------
    theirs
        Slices.
    shape
        (y, x) of ours.
    shift
        As in `Placement`.
    """
    out = np.empty((theirs.shape[0], *shape), np.float32)
    whole, rest = _start(theirs.shape, shape, shift)
    index = [
        np.clip(np.arange(w - _MARGIN, w + n + _MARGIN), 0, size - 1)
        for w, n, size in zip(whole, shape, theirs.shape[-2:], strict=True)
    ]
    for i, image in enumerate(theirs):
        cut = image[np.ix_(*index)].astype(np.float64)
        if any(rest):
            # Mirrored, so that opposite edges do not meet in a step.
            both = np.pad(cut, [(0, n) for n in cut.shape], mode="symmetric")
            spectrum = fft.rfft2(both)
            y, x = fft.fftfreq(both.shape[0]), fft.rfftfreq(both.shape[1])
            spectrum *= np.exp(2j * np.pi * y * rest[0])[:, None]
            spectrum *= np.exp(2j * np.pi * x * rest[1])[None, :]
            cut = fft.irfft2(spectrum, both.shape)[: cut.shape[0], : cut.shape[1]]
        out[i] = cut[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    return out


def covered(finite: Array, shape: tuple[int, int], shift: tuple[float, float]) -> Array:
    """(slice, y, x): where `moved` gives what was measured: all four neighbours are finite.

    Parameters
    ----------
    finite
        (slice, y, x): where theirs, already turned, is finite.
    shape, shift
        As in `moved`.
    """
    whole, rest = _start(finite.shape, shape, shift)
    out = np.ones((finite.shape[0], *shape), bool)
    for dy in (0, 1) if rest[0] else (0,):
        for dx in (0, 1) if rest[1] else (0,):
            at = [np.arange(n) + w + d for n, w, d in zip(shape, whole, (dy, dx), strict=True)]
            inside = [(i >= 0) & (i < n) for i, n in zip(at, finite.shape[-2:], strict=True)]
            near = [np.clip(i, 0, n - 1) for i, n in zip(at, finite.shape[-2:], strict=True)]
            out &= finite[:, near[0][:, None], near[1][None, :]]
            out &= inside[0][:, None] & inside[1][None, :]
    return out


def _start(
    have: tuple[int, ...], shape: tuple[int, int], shift: tuple[float, float]
) -> tuple[list[int], list[float]]:
    """Index in theirs of the first pixel of ours, along y and x: its whole part and the rest."""
    starts = [round((n - m) / 2 - d, 9) for n, m, d in zip(have[-2:], shape, shift, strict=True)]
    whole = [int(np.floor(s)) for s in starts]
    return whole, [s - w for s, w in zip(starts, whole, strict=True)]
