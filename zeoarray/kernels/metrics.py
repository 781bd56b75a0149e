"""How alike two images are: Fourier ring and shell correlation, and the difference of fitted greys.

Two reconstructions of one sample differ in grey scale and offset; Fourier correlation does not see
these, and `fit_grey` finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import Memory, Parameters, Sizes, kernel

Array = np.ndarray[Any, Any]

HALF_BIT = 0.2071
"""Ratio of signal to noise in each of two images whose mean carries half a bit a pixel."""
_NO_POWER = 1e-24
"""Share of an image's power under which a shell holds rounding only."""
_SCRATCH = 72
"""Bytes a pixel of one item: both spectra (complex128, halved), the images, products, weights."""


def shells(shape: tuple[int, ...]) -> int:
    """Number of shells of an image or volume: those whole inside its spectrum, and frequency 0."""
    return min(shape) // 2 + 1


def frequencies(shape: tuple[int, ...]) -> Array:
    """(shell): the middle of each shell [1/pixel]; the last is Nyquist's 0.5 for an even size.

    Examples
    --------
    >>> frequencies((8, 9)).tolist()
    [0.0, 0.125, 0.25, 0.375, 0.5]
    """
    return np.arange(shells(shape)) / min(shape)


def shell_sizes(shape: tuple[int, ...]) -> Array:
    """(shell): how many Fourier coefficients each holds, both halves of the spectrum counted.

    Examples
    --------
    >>> shell_sizes((4, 4)).tolist()
    [1, 8, 6]
    """
    shell, weight = _shells(np, shape)
    full = np.broadcast_to(weight, shell.shape)
    count = np.bincount(shell.ravel(), full.ravel())[: shells(shape)]
    return count.astype(np.int64)


@kernel(
    "(y,x),(y,x)->(ring)",
    sizes=lambda sizes, parameters: {"ring": shells((sizes["y"], sizes["x"]))},
    memory=lambda sizes, parameters, threads: _memory(sizes, parameters, threads),
)
def ring_correlation(a: Array, b: Array) -> Array:
    """(..., y, x), (y, x) -> (..., ring): Fourier ring correlation of two images.

    FRC = sum(A B*) / sqrt(sum |A|^2 sum |B|^2) over the Fourier coefficients of a ring, whose
    frequency `frequencies` gives. A ring without power in either image has the correlation 0.

    Parameters
    ----------
    a, b
        Images on one grid, all finite.

    Returns
    -------
    numpy.ndarray
        -1 to 1, for each ring from frequency 0 on.

    References
    ----------
    Saxton, W. O. & Baumeister, W. (1982). J. Microsc. 127, 127-138,
    doi:10.1111/j.1365-2818.1982.tb00405.x.
    """
    return _correlation(a, b, dims=2)


@kernel(
    "(z,y,x),(z,y,x)->(shell)",
    sizes=lambda sizes, parameters: {"shell": shells((sizes["z"], sizes["y"], sizes["x"]))},
    memory=lambda sizes, parameters, threads: _memory(sizes, parameters, threads),
)
def shell_correlation(a: Array, b: Array) -> Array:
    """(..., z, y, x), (z, y, x) -> (..., shell): Fourier shell correlation of two volumes.

    As `ring_correlation`, over the shells of three dims.

    Parameters
    ----------
    a, b
        Volumes on one grid, all finite.

    Returns
    -------
    numpy.ndarray
        -1 to 1, for each shell from frequency 0 on.

    References
    ----------
    Harauz, G. & van Heel, M. (1986). Optik 73, 146-156.
    """
    return _correlation(a, b, dims=3)


def pooled_correlation(a: Array, b: Array) -> Array:
    """(item, y, x), (item, y, x) -> (ring): ring correlation of all items of a stack together.

    Numerator and denominator are summed over the items: a mean of their curves would be biased
    where a ring holds few coefficients.

    Parameters
    ----------
    a, b
        Stacks of images on one grid, all finite.

    Returns
    -------
    numpy.ndarray
        -1 to 1, float64.
    """
    sums = np.zeros((3, shells(a.shape[1:])))
    for one, other in zip(a, b, strict=True):
        sums += np.stack(_sums(one, other))
    return _ratio(np, sums[0], sums[1], sums[2])


def threshold(count: Array, *, snr: float = HALF_BIT) -> Array:
    """Correlation of two images at which a shell has the ratio of signal to noise `snr`.

    T = (snr + 2 sqrt(snr/n) + 1/sqrt(n)) / (snr + 1 + 2 sqrt(snr/n)), with n independent
    coefficients in the shell: half of those that `shell_sizes` counts, since an image is real.

    Parameters
    ----------
    count
        (shell): coefficients in each shell, as `shell_sizes` counts them, times the images that
        were pooled.
    snr
        Ratio of signal to noise in one image; 0.2071 is the half-bit criterion.

    Returns
    -------
    numpy.ndarray
        (shell): 1 where a shell holds a coefficient or two.

    References
    ----------
    van Heel, M. & Schatz, M. (2005). J. Struct. Biol. 151, 250-262, doi:10.1016/j.jsb.2005.05.009.

    Examples
    --------
    >>> threshold(np.array([1e12])).round(4).tolist()
    [0.1716]
    """
    if not snr > 0:
        raise ArgumentError("a ratio of signal to noise is above 0", got=f"snr={snr}")
    root = np.sqrt(np.maximum(np.asarray(count, np.float64) / 2, 1))
    cross = 2 * np.sqrt(snr) / root
    limit: Array = np.minimum((snr + cross + 1 / root) / (snr + 1 + cross), 1)
    return limit


def crossing(frequency: Array, correlation: Array, limit: Array) -> float:
    """Frequency at which a correlation first falls below its limit; NaN where it never does.

    Linear between shells; shell 0, the mean, is not looked at.

    Examples
    --------
    >>> crossing(np.array([0, 0.1, 0.2]), np.array([1, 0.6, 0.2]), np.full(3, 0.4))
    0.15
    """
    above = np.asarray(correlation - limit, np.float64)[1:]
    at = np.asarray(frequency, np.float64)[1:]
    below = np.flatnonzero(above < 0)
    if not below.size:
        return float("nan")
    i = int(below[0])
    if i == 0:
        return float(at[0])
    share = above[i - 1] / (above[i - 1] - above[i])
    return float(round(at[i - 1] + share * (at[i] - at[i - 1]), 12))


def _grey_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    # The counted pixels of both images in float64, their residual, flags and products.
    return Memory(0, 48 * sizes["y"] * sizes["x"] + 64 * sizes["batch"])


@kernel("(y,x),(y,x),(y,x)->(),(),()", memory=_grey_memory)
def fit_grey(a: Array, b: Array, valid: Array) -> tuple[Array, Array, Array]:
    """(..., y, x), (y, x), (y, x) -> (...) of scale, offset and rms: the best a = scale b + offset.

    Least squares over the pixels that are `valid`; the rms is that of what is left. Where b is
    constant the scale is 0 and the offset the mean of a.

    Parameters
    ----------
    a, b
        Images on one grid, finite where valid.
    valid
        Not 0 where a pixel counts. Where none does, all three results are 0.

    Returns
    -------
    tuple of numpy.ndarray
        scale [unit of a / unit of b], offset and rms [unit of a].
    """
    xp = xp_of(a, b, valid)
    shape = np.broadcast_shapes(a.shape, b.shape, valid.shape)
    images = [xp.broadcast_to(v, shape).reshape(-1, *shape[-2:]) for v in (a, b, valid)]
    out = np.empty((3, images[0].shape[0]))
    for i, (one, other, used) in enumerate(zip(*images, strict=True)):
        out[:, i] = _fit(xp, one, other, used)
    kind = a.dtype if a.dtype.kind == "f" else np.dtype(np.float32)
    scale, offset, rms = (xp.asarray(v.reshape(shape[:-2]).astype(kind)) for v in out)
    return scale, offset, rms


def _fit(xp: Any, a: Array, b: Array, valid: Array) -> tuple[float, float, float]:
    counted = valid != 0
    y, x = a[counted].astype(np.float64), b[counted].astype(np.float64)
    if not y.size:
        return 0.0, 0.0, 0.0
    mean_y, mean_x = float(y.mean()), float(x.mean())
    y -= mean_y
    x -= mean_x
    power = float(xp.dot(x, x))
    # What rounding leaves of a constant is no variation.
    constant = power <= _NO_POWER * x.size * mean_x**2
    scale = 0.0 if constant or power == 0 else float(xp.dot(x, y)) / power
    x *= scale
    y -= x
    return scale, mean_y - scale * mean_x, float(xp.dot(y, y) / y.size) ** 0.5


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    image = {d: n for d, n in sizes.items() if d in ("z", "y", "x")}
    # One item after another is transformed, whatever the batch.
    return Memory(0, _SCRATCH * int(np.prod(list(image.values()))) + 8 * _curves(sizes, image))


def _curves(sizes: Sizes, image: Mapping[str, int]) -> int:
    return sizes["batch"] * shells(tuple(image.values()))


def _correlation(a: Array, b: Array, *, dims: int) -> Array:
    xp = xp_of(a, b)
    shape = np.broadcast_shapes(a.shape, b.shape)
    core = shape[-dims:]
    one, other = (xp.broadcast_to(v, shape).reshape(-1, *core) for v in (a, b))
    kind = a.dtype if a.dtype.kind == "f" else np.dtype(np.float32)
    out: Array = xp.empty((one.shape[0], shells(core)), kind)
    for i in range(one.shape[0]):
        out[i] = _ratio(xp, *_sums(one[i], other[i]))
    return out.reshape((*shape[:-dims], out.shape[-1]))


def _sums(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Over each shell of two real images: Re(A B*), |A|^2 and |B|^2."""
    xp = xp_of(a, b)
    shell, weight = _shells(xp, a.shape)
    count = shells(a.shape)
    one = xp.fft.rfftn(a.astype(np.float64))
    other = xp.fft.rfftn(b.astype(np.float64))

    def total(values: Array) -> Array:
        values *= weight
        sums: Array = xp.bincount(shell.ravel(), values.ravel(), minlength=count)[:count]
        return sums

    cross = total(one.real * other.real + one.imag * other.imag)
    return cross, total(xp.abs(one) ** 2), total(xp.abs(other) ** 2)


def _shells(xp: Any, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Shell of each coefficient of a real transform, and how often it stands in the whole."""
    least, last = min(shape), shape[-1]
    squares = xp.zeros(())
    for axis, size in enumerate(shape):
        f = xp.fft.rfftfreq(size) if axis == len(shape) - 1 else xp.fft.fftfreq(size)
        squares = squares[..., None] + (f * least) ** 2
    shell = xp.rint(xp.sqrt(squares)).astype(np.int32)
    weight = xp.full(last // 2 + 1, 2.0)
    weight[0] = 1
    if last % 2 == 0:
        weight[-1] = 1
    return shell, weight


def _ratio(xp: Any, cross: Array, first: Array, second: Array) -> Array:
    empty = (first <= _NO_POWER * first.sum()) | (second <= _NO_POWER * second.sum())
    safe = xp.where(empty, 1, xp.sqrt(first) * xp.sqrt(second))
    ratio: Array = xp.where(empty, 0, cross / safe)
    return ratio


def within(shape: tuple[int, int], share: float) -> Array:
    """(y, x): 1 in a circle, falling softly to 0 over its last tenth: no edge in the spectrum.

    Parameters
    ----------
    shape
        Of the image.
    share
        Radius of the circle, in half sides of the shorter one.
    """
    half = share * min(shape) / 2
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    radius = np.hypot(y[:, None], x[None, :])
    edge = np.clip((half - radius) / max(0.1 * half, 1e-12), 0, 1)
    soft: Array = (0.5 - 0.5 * np.cos(np.pi * edge)).astype(np.float32)
    return soft
