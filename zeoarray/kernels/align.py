"""By how much one profile, image or volume is moved against another.

The shift is read off the phases of the cross-spectrum, first coarsely where its transform peaks,
then by weighted least squares over all frequencies, each by how well both sides agree there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.columns import ndimage_of
from zeoarray.kernels.polar import fft_of

Array = np.ndarray[Any, Any]

TAPER = 0.25
"""Share of each side that falls to 0 towards either end, so that ends do not correlate."""
RIVAL = 0.85
"""A peak is not trusted where another has more than this share of its height."""
FAINT = 1e-6
"""An image is constant where it departs from its mean by less than this share of it."""
ROUNDS, SETTLED = 8, 1e-3
"""The image is moved back and compared again until a step is less than this [pixels]."""
PROBE, LEAP, DEAF = 0.25, 1.5, 0.02
"""Step to see how the rest responds, longest step taken [pixels], least response believed."""
DIM = 1e-4
"""Shells are taken to have this share of the strongest one's power that is not the sample's."""
SURE = 0.999
"""No shell of frequencies counts as correlated better than this."""


class Shift(NamedTuple):
    """What `phase_correlation` gives."""

    shift: Array
    """(dim). By how many pixels the second is moved: second(x) = first(x - shift)."""
    sigma: Array
    """(dim). Its standard deviation [pixels]; infinite where nothing correlates."""
    correlation: float
    """Of the two where they are brought together, from -1 to 1."""
    ambiguous: bool
    """Whether the peak has a rival, or there is none as one side is constant."""


def phase_correlation(
    first: Any, second: Any, *, upsample: int = 10, most: float | None = None
) -> Shift:
    """(...), (...) -> (dim). By how much `second` is moved against `first`, to a part of a pixel.

    All axes count: a profile, an image or a volume. Both sides are tapered towards their ends, and
    the second is moved back and compared again until nothing is left to move, so that the taper
    draws nothing towards 0. The standard deviation is that of the least-squares fit, from the
    scatter of the phases.

    Parameters
    ----------
    first, second
        Two arrays of one shape.
    upsample
        The peak is first looked for in steps of 1 / `upsample` pixels.
    most
        The largest shift allowed along any axis [pixels]; a third of each where None.

    Raises
    ------
    ArgumentError
        Where shapes differ, an axis is shorter than four pixels, or values are not finite.

    References
    ----------
    C. D. Kuglin, D. C. Hines, Proc. Int. Conf. Cybernetics and Society, 163 (1975).
    M. Guizar-Sicairos, S. T. Thurman, J. R. Fienup, "Efficient subpixel image registration
    algorithms", Opt. Lett. 33, 156 (2008), doi:10.1364/OL.33.000156.

    Examples
    --------
    >>> x = np.arange(64.0)
    >>> found = phase_correlation(np.exp(-((x - 30) ** 2) / 20), np.exp(-((x - 32.5) ** 2) / 20))
    >>> bool(abs(found.shift[0] - 2.5) < 0.01), found.ambiguous
    (True, False)
    """
    _check(first, second, upsample, most)
    xp, shape = xp_of(first, second), first.shape
    window = [xp.asarray(_taper(n)) for n in shape]
    one, other = (
        xp.asarray(a, np.float64 if a.dtype == "f8" else np.float32) for a in (first, second)
    )
    spectrum = _spectrum(one, window)
    nothing = Shift(np.zeros(len(shape)), np.full(len(shape), np.inf), 0.0, True)
    if spectrum is None or (moved := _spectrum(other, window)) is None:
        return nothing
    limits = np.array([n / 3 if most is None else most for n in shape])
    shift, ambiguous = _peak(moved * spectrum.conj(), limits, upsample)
    shift, sigma, correlation = _refined(spectrum, other, window, shift, limits)
    return Shift(shift, sigma, correlation, bool(ambiguous or not np.isfinite(sigma).all()))


def _refined(
    spectrum: Any, other: Any, window: list[Any], shift: Array, limits: Array
) -> tuple[Array, Array, float]:
    """The shift at which nothing is left to move, its sigma, and the correlation there.

    The taper stands still while the image moves, so what is left is seen too small. How much too
    small is measured, by moving the image a little along each axis.
    """

    def rest(at: Array) -> tuple[Array, Array, float]:
        moved = _spectrum(_back(other, at), window)
        size = at.size
        unknown = np.zeros(size), np.full((size, size), np.inf), 0.0
        return unknown if moved is None else _fitted(spectrum, moved, window)

    left, covariance, correlation = rest(shift)
    columns = [(rest(shift + PROBE * axis)[0] - left) / PROBE for axis in np.eye(shift.size)]
    response = np.array(columns).T
    for _ in range(ROUNDS):
        if not np.linalg.eigvalsh(-(response + response.T) / 2).min() > DEAF:
            response = -np.eye(shift.size)
        step = np.clip(shift - np.linalg.solve(response, left), -limits, limits) - shift
        step *= min(1.0, LEAP / max(float(np.abs(step).max()), 1e-12))
        shift = shift + step
        before, (left, covariance, correlation) = left, rest(shift)
        if np.abs(step).max() < SETTLED:
            break
        # Broyden: what this step has told of the response.
        response += np.outer(left - before - response @ step, step) / (step @ step)
    if not np.isfinite(covariance).all():
        return shift, np.full(shift.size, np.inf), correlation
    inverse = np.linalg.inv(response)
    variance = np.diag(inverse @ covariance @ inverse.T)
    # Where it did not settle, the last step says how far off it may be.
    return shift, np.sqrt(variance + (step * (np.abs(step) > SETTLED)) ** 2), correlation


def _check(first: Any, second: Any, upsample: int, most: float | None) -> None:
    if first.shape != second.shape or not first.ndim or min(first.shape) < 4:
        raise ArgumentError(
            "two arrays cannot be compared",
            got=f"shapes {first.shape} and {second.shape}",
            expected="one shape, 4 or more pixels along each axis",
        )
    if upsample < 1 or (most is not None and not most > 0):
        raise ArgumentError(
            "the search for a shift needs steps and a range",
            got=f"upsample={upsample}, most={most}",
            expected="upsample of 1 or more, most above 0",
        )
    for which, array in (("first", first), ("second", second)):
        good = xp_of(array).isfinite(array)
        if not bool(good.all()):
            raise ArgumentError(
                f"the {which} array has values that are not finite",
                got=f"{int((~good).sum())} of {array.size}",
                do="fill them, or compare a part without them",
            )


def _taper(size: int) -> Array:
    edge = np.minimum(np.arange(size) + 0.5, size - np.arange(size) - 0.5) / (TAPER * size)
    out: Array = np.sin(np.pi / 2 * np.clip(edge, 0, 1)) ** 2
    return out


def _along(vectors: list[Any], axis: int) -> Any:
    return vectors[axis].reshape([-1 if i == axis else 1 for i in range(len(vectors))])


def _spectrum(values: Any, window: list[Any]) -> Any | None:
    """Transform of the tapered values without their mean; None of a constant."""
    weighted, total = values, 1.0
    for axis, one in enumerate(window):
        weighted = weighted * _along(window, axis).astype(values.dtype)
        total *= float(one.sum())
    mean = float(weighted.sum(dtype=np.float64)) / total
    taper = _along(window, 0).astype(values.dtype)
    for axis in range(1, len(window)):
        taper = taper * _along(window, axis).astype(values.dtype)
    weighted = (values - values.dtype.type(mean)) * taper
    if not float(abs(weighted).max()) > FAINT * max(abs(mean), 1e-300):
        return None
    return fft_of(xp_of(values)).fftn(weighted)


def _frequencies(shape: tuple[int, ...], xp: Any) -> list[Any]:
    return [xp.fft.fftfreq(n) for n in shape]


def _peak(cross: Any, limits: Array, upsample: int) -> tuple[Array, bool]:
    """Where the transform of the whitened cross-spectrum is highest, and whether it has a rival."""
    xp, shape = xp_of(cross), cross.shape
    magnitude = abs(cross)
    white = cross / (magnitude + magnitude.mean())
    surface = fft_of(xp).ifftn(white).real
    for axis, (n, limit) in enumerate(zip(shape, limits, strict=True)):
        far = xp.abs(xp.fft.fftfreq(n) * n) > max(limit, 1)
        surface[(slice(None),) * axis + (far,)] = -np.inf
    best = np.unravel_index(int(surface.argmax()), shape)
    height = float(surface[best])
    near = np.ix_(*[(np.arange(-2, 3) + b) % n for b, n in zip(best, shape, strict=True)])
    surface[near] = -np.inf
    ambiguous = not height > 0 or float(surface.max()) > RIVAL * height
    whole = np.array([(b + n // 2) % n - n // 2 for b, n in zip(best, shape, strict=True)], float)
    steps = np.arange(-upsample, upsample + 1) / upsample
    fine = white
    for axis, k in enumerate(_frequencies(shape, np)):
        wave = np.exp(2j * np.pi * k[None, :] * (whole[axis] + steps)[:, None])
        # The axis done is put last, so that the next one to do is always the first.
        fine = xp.tensordot(fine, xp.asarray(wave.astype(white.dtype)), axes=((0,), (1,)))
    part = np.unravel_index(int(fine.real.argmax()), fine.shape)
    return whole + steps[list(part)], ambiguous


def _back(values: Any, shift: Array) -> Any:
    """What was moved by `shift`, moved back."""
    whole = np.rint(shift).astype(int)
    if np.array_equal(whole, shift) and not whole.any():
        return values
    return ndimage_of(values).shift(values, tuple(-shift), order=3, mode="nearest")


def _fitted(first: Any, second: Any, window: list[Any]) -> tuple[Array, Array, float]:
    """The shift that is left, its covariance, the correlation, from the phases of all frequencies.

    Each shell of frequencies has the weight that the correlation in it deserves.
    """
    xp, shape = xp_of(first), first.shape
    waves = _frequencies(shape, xp)
    radius = sum(_along(waves, i) ** 2 for i in range(len(shape))) ** 0.5
    shells = max(4, min(shape) // 8)
    shell = xp.minimum((2 * shells * radius).astype(int), shells - 1).ravel()
    cross = second * first.conj()

    def over(values: Any) -> Any:
        return xp.bincount(shell, values.ravel().astype(np.float64), minlength=shells)

    power = xp.sqrt(over(abs(first) ** 2) * over(abs(second) ** 2)) + 1e-300
    count = xp.maximum(xp.bincount(shell, minlength=shells), 1)
    correlation = float(over(cross.real).sum() / power.sum())
    # Where there is next to nothing, what interpolation leaves behind agrees as well.
    power += DIM * count * float((power / count).max())
    agreement = xp.clip(over(cross.real) / power, 0, SURE)
    trust = (agreement / (1 - agreement**2) / power)[shell].reshape(shape)
    real, imaginary = (trust * part for part in (cross.real, cross.imag))
    size = len(shape)
    slope, curvature, scatter = np.zeros(size), np.zeros((size, size)), np.zeros((size, size))
    for i in range(size):
        k = 2 * np.pi * _along(waves, i)
        slope[i] = -float((k * imaginary).sum())
        for j in range(size):
            both = k * 2 * np.pi * _along(waves, j)
            curvature[i, j] = float((both * real).sum())
            scatter[i, j] = float((both * imaginary**2).sum())
    if not np.linalg.eigvalsh(curvature).min() > 0:
        return np.zeros(size), np.full((size, size), np.inf), correlation
    inverse = np.linalg.inv(curvature)
    # Frequencies k and -k say the same; those that the window ties together say little more.
    repeats = 2.0
    for one in window:
        w = to_host(one)
        repeats *= w.size * (w**4).sum() / (w**2).sum() ** 2
    return inverse @ slope, inverse @ (repeats * scatter) @ inverse, correlation
