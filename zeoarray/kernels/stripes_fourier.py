"""Stripes out of sinograms by wavelets and Fourier transforms: the method of Münch et al. (2009).

B. Münch, P. Trtik, F. Marone, M. Stampanoni, "Stripe and ring artifact removal with combined
wavelet-Fourier filtering", Opt. Express 17 (2009) 8567, doi:10.1364/OE.17.008567. Wavelets gather
what varies along u and hardly along the angle in one band of each level. Of that band the lowest
frequencies along the angle are damped, which are stripes.

Results equal those of `algotom.prep.removal.remove_stripe_based_wavelet_fft` where the bands have
odd numbers of rows. Where one has an even number, algotom (and, by half as much, Savu and TomoPy)
damps about a frequency that is not 0, and leaves some of a stripe.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import comb
from typing import Any

import numpy as np

from zeoarray.backend import PIECE, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels import stripes
from zeoarray.kernels.columns import reflected
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.polar import fft_of

Taps = tuple[float, ...]

ORDERS = 20
"""Largest order of Daubechies' filters: their numbers are right to 1e-11."""
MARGIN = 150
"""A sinogram is continued by a tenth of its shorter side, at most by so much (as in algotom)."""


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    length = 2 * parameters["order"]
    pad = _margin(sizes["angle"], sizes["u"])
    rows, across = sizes["angle"] + 2 * pad, sizes["u"] + 2 * pad
    kept = most = 0
    for _ in range(parameters["level"]):
        whole, low, narrow = rows * across, (rows + length) // 2, (across + length) // 2
        half, band = low * across, low * narrow
        # Lines are copied, then with reflected ends, and half as many summed up; beside the last.
        copies = 3.5 * (1 + 2 * length / min(rows, across))
        first, second = (int(copies * min(PIECE + max(rows, across), n)) for n in (whole, half))
        there = max(first, band + second, 2 * band)
        # What was smooth, half of it filtered, then both bands of that. The same on the way back.
        most = max(most, kept + whole + half + there)
        kept += band
        rows, across = low, narrow
    checks = 2 * min(PIECE + sizes["u"], sizes["angle"] * sizes["u"])
    return Memory(0, max(4 * most, checks))


@kernel("(angle,u)->(angle,u)", memory=_memory)
def remove_stripe_based_wavelets(
    sinogram: Any, *, level: int = 4, sigma: float = 1.0, order: int = 8
) -> Any:
    """(..., angle, u) -> (..., angle, u). Full stripes out by wavelets and Fourier transforms.

    In the band of each level that is smooth along the angle and varies along u, the frequency k
    along the angle is multiplied by 1 - exp(-k^2 / (2 sigma^2)).

    Parameters
    ----------
    sinogram
        Transmission or absorbance.
    level
        How many levels: the widest stripes that are removed have about 2^level columns. 0 removes
        nothing.
    sigma
        Width of the damping [frequencies of a column]. Greater removes more.
    order
        Order of Daubechies' wavelets, 1 to 20: half the length of their filters.

    Raises
    ------
    ArgumentError
        For values that are not finite real numbers, levels that do not fit into the sinogram, a
        sigma that is not positive and an order that there is not.

    References
    ----------
    doi:10.1364/OE.17.008567. The defaults are those of Savu's RingRemovalWaveletfft; algotom's are
    5, 1 and 9.

    Examples
    --------
    >>> stripe = np.ones((64, 64), "float32")
    >>> stripe[:, 30] = 2
    >>> bool(abs(remove_stripe_based_wavelets(stripe, level=5) - 1).max() < 0.2)
    True
    """
    if not 0 < sigma < np.inf:
        raise ArgumentError("the width of the damping is positive", got=f"sigma={sigma}")
    low, shape = daubechies(order), sinogram.shape[-2:]
    if not isinstance(level, (int, np.integer)) or isinstance(level, bool) or level < 0:
        raise ArgumentError("levels are a whole number", got=f"level={level!r}")
    if sinogram.size:
        check_level(level, *shape)

    def one(work: Any) -> None:
        if level:
            _remove(work, level, sigma, low)

    return stripes.each(contract_of(remove_stripe_based_wavelets), sinogram, one)


def check_level(level: int, angles: int, width: int) -> None:
    """Raise where a sinogram has not 2^level rows and columns.

    Raises
    ------
    ArgumentError
        With the most levels that there may be.
    """
    most = int(np.log2(max(min(angles, width), 1)))
    if level > most:
        raise ArgumentError(
            "the wavelets of the last level are longer than the sinogram",
            got=f"level={level}, {angles} angles, {width} columns",
            expected=f"2^level of at most {min(angles, width)}",
            do=f"level={most}" if most else "another method",
        )


def daubechies(order: int) -> Taps:
    """Low-pass filter of Daubechies' wavelets: 2 x `order` numbers, their squares' sum 1.

    ((1 + z) / 2)^order times the factor of sum_k C(order - 1 + k, k) y^k, y = (2 - z - 1/z) / 4,
    whose roots lie within the unit circle.

    Raises
    ------
    ArgumentError
        For an order that is not 1 to 20.

    References
    ----------
    I. Daubechies, Commun. Pure Appl. Math. 41, 909 (1988), doi:10.1002/cpa.3160410705.

    Examples
    --------
    >>> [round(tap, 4) for tap in daubechies(2)]
    [0.483, 0.8365, 0.2241, -0.1294]
    """
    whole = isinstance(order, (int, np.integer)) and not isinstance(order, bool)
    if not whole or not 1 <= order <= ORDERS:
        raise ArgumentError(
            "there are no Daubechies wavelets of this order",
            got=f"order={order!r}",
            expected=f"a whole number from 1 to {ORDERS}",
        )
    y = np.roots([comb(order - 1 + k, k) for k in reversed(range(order))])
    middle = 1 - 2 * y
    z = middle - np.sqrt(middle**2 - 1 + 0j)
    filter_ = np.ones(1, complex)
    for root in np.where(abs(z) < 1, z, 1 / z):
        filter_ = np.convolve(filter_, [1, -root])
    for _ in range(order):
        filter_ = np.convolve(filter_, [0.5, 0.5])
    taps = filter_.real * np.sqrt(2) / filter_.real.sum()
    return tuple(taps.tolist())


def _remove(work: Any, level: int, sigma: float, low: Taps) -> None:
    """Subtract from `work` what the damping takes away, which only the damped bands make."""
    high = tuple(-tap if i % 2 else tap for i, tap in enumerate(reversed(low)))
    angles, width = work.shape
    pad = _margin(angles, width)
    smooth = _continued(work, pad)
    shapes, bands = [], []
    for _ in range(level):
        shapes.append(smooth.shape)
        half = _down(smooth, low, 0)
        smooth = _down(half, low, 1)
        band = _down(half, high, 1)
        del half
        _keep_slow(band, sigma)
        bands.append(band)
        del band
    stripe = None
    for rows, columns in reversed(shapes):
        band = bands.pop()
        half = xp_of(work).zeros((len(band), columns), np.float32)
        _up(band, high, 1, half)
        if stripe is not None:
            _up(stripe, low, 1, half)
        del band
        stripe = xp_of(work).zeros((rows, columns), np.float32)
        _up(half, low, 0, stripe)
        del half
    if stripe is not None:
        work -= stripe[pad : pad + angles, pad : pad + width]


def _margin(angles: int, width: int) -> int:
    return min(MARGIN, min(angles, width) // 10)


def _continued(work: Any, pad: int) -> Any:
    """`work` with `pad` rows of its mean over the angle, and columns like the last, around it."""
    xp = xp_of(work)
    angles, width = work.shape
    out = xp.empty((angles + 2 * pad, width + 2 * pad), np.float32)
    inner = slice(pad, pad + width)
    out[pad : pad + angles, inner] = work
    out[:pad, inner] = out[pad + angles :, inner] = work.mean(axis=0, dtype=np.float64)
    out[:, :pad] = out[:, pad : pad + 1]
    out[:, pad + width :] = out[:, pad + width - 1 : pad + width]
    return out


def _parts(lines: Any) -> Iterator[slice]:
    """Slices of the second axis, as many lines at once as stay in the processor's cache."""
    # On a GPU more at once, since each operation costs a launch.
    values = PIECE if xp_of(lines) is np else 256 * PIECE
    count = max(values // max(len(lines), 1), 1)
    for first in range(0, lines.shape[1], count):
        yield slice(first, first + count)


def _down(array: Any, taps: Taps, axis: int) -> Any:
    """Filter along `axis`, its ends reflected, and keep every second value."""
    xp = xp_of(array)
    lines = array if axis == 0 else array.T
    count = (len(lines) + len(taps) - 1) // 2
    source = xp.asarray(reflected(len(lines), 2 * count + len(taps) - 2, 2 - len(taps)))
    shape = (count, lines.shape[1])
    out = xp.empty(shape if axis == 0 else shape[::-1], np.float32)
    into = out if axis == 0 else out.T
    for part in _parts(lines):
        # As rows of their own, also where `lines` are columns.
        around = xp.ascontiguousarray(lines[:, part])[source]
        total = taps[0] * around[: 2 * count : 2]
        for i, tap in enumerate(taps[1:], start=1):
            total += tap * around[i : i + 2 * count : 2]
        into[:, part] = total
    return out


def _up(band: Any, taps: Taps, axis: int, out: Any) -> None:
    """Add to `out` what `band` makes of it: the inverse of `_down` for both filters together."""
    xp = xp_of(band)
    lines, into = (band, out) if axis == 0 else (band.T, out.T)
    count, skip = len(lines), len(taps) - 2
    for part in _parts(lines):
        values = xp.ascontiguousarray(lines[:, part])
        total = xp.zeros((2 * count + skip, values.shape[1]), np.float32)
        for i, tap in enumerate(taps):
            total[i : i + 2 * count : 2] += tap * values
        into[:, part] += total[skip : skip + len(into)]


def _keep_slow(band: Any, sigma: float) -> None:
    """Keep of each column what the damping takes away: its lowest frequencies."""
    xp, fft = xp_of(band), fft_of(xp_of(band))
    frequency = np.arange(len(band) // 2 + 1)
    kept = np.exp(-0.5 * (frequency / sigma) ** 2)[:, None]
    weight = xp.asarray(kept, dtype=np.float32)
    for part in _parts(band):
        spectrum = fft.rfft(band[:, part], axis=0)
        spectrum *= weight
        band[:, part] = fft.irfft(spectrum, len(band), axis=0)
