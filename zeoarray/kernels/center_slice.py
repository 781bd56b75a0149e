"""Where the rotation axis is, by the axis and the slice that explain all projections best.

What opposite projections have in common tells the axis only near the ends of a half circle. Where
that is not enough, the slice tells more: it is piecewise flat, and off the axis it cannot be so and
agree with all projections at once. Axis and slice are found together, and the axis' variance with
the slice left free. It takes seconds, so it is for the few sinograms that need it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import finufft
import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.optimize

Array = np.ndarray[Any, Any]

WIDE = 96
"""About so many columns are left, of those that matter, by averaging neighbours. With 64 the errors
of the random twin sinograms that need the slice were up to 0.45 pixels, with 96 half as large, with
140 the same."""
TURNS = 400
"""And so many projections at most."""
BEYOND = 1.5
"""Diameter of the slice over the columns: of a region of interest there is matter beyond."""
REACH = 1.15
"""Matter is looked for as far as it is seen, and this much farther."""
SEEN, FAINT = 6.0, 0.02
"""A column with a mean so many sigmas above that of the edges shows matter; so does none that is
below this share of the largest."""
ODD = 6.0
"""Values so many sigmas off the median around them are replaced by it."""
FLAT = 1.0
"""Weight of the total variation, in what noise does to a gradient."""
ROUND = 1.0
"""Gradients below this, in what noise does to a pixel, do not count as edges."""
STRIPE, STRIPE_COST = 0.3, 3.0
"""A column's offset costs its square below the first, and beyond its size times the second, in what
noise does to the mean of a column."""
ITERATIONS = 200
HELD = 10
"""Steps that the search remembers."""
DIRECTIONS = 40
"""Directions that the variance is found in: after 15 to 30 it changed no more."""
STEP = 0.02
"""Unit of the axis in the search [averaged columns]."""
LEAST = 8
"""Fewer columns or projections tell nothing."""


class _Reduced(NamedTuple):
    """A small sinogram in units of its noise."""

    values: Array
    """(angle, u)."""
    angle: Array
    """[rad]."""
    weight: Array
    """(angle,) Root of how many projections were averaged, relative to the mean."""
    first: int
    """Column of the given sinogram where it begins."""
    width: int
    """Columns averaged."""

    def center(self, given: float) -> float:
        """Index of u here, for one there."""
        return (given - self.first - (self.width - 1) / 2) / self.width

    def given(self, center: float) -> float:
        """And back."""
        return center * self.width + (self.width - 1) / 2 + self.first


def with_slice(values: Array, angle: Array, guess: float) -> tuple[float, float]:
    """(angle, u), (angle). The axis of the slice that explains the projections best, and its sigma.

    Parameters
    ----------
    values
        Absorbance of one slice.
    angle
        [rad], over about a half circle or more.
    guess
        Index of u, right to a few pixels.

    Returns
    -------
    tuple
        Index of u, and the standard deviation by the curvature of the misfit with slice and stripes
        free [pixels]: infinite where nothing is known.
    """
    small = _reduced(values, angle, guess)
    if small is None:
        return guess, np.inf
    problem = _Problem(small, small.center(guess))
    found = scipy.optimize.minimize(
        problem.misfit, np.zeros(problem.unknowns), jac=True, method="L-BFGS-B",
        options={"maxiter": ITERATIONS, "maxcor": HELD, "ftol": 1e-9, "gtol": 1e-12},
    )  # fmt: skip
    center = small.given(problem.guess + STEP * float(found.x[-1]))
    return center, STEP * small.width * float(np.sqrt(_variance(problem, found.x)))


def slice_bytes(angles: int, columns: int) -> int:
    """Bytes that `with_slice` needs at most."""
    few, turns = min(columns, 3 * WIDE // 2), min(angles, TURNS)
    # The widest slice is for an axis at an end of the columns.
    size: int = 2 * scipy.fft.next_fast_len(int(np.ceil(BEYOND * few)), real=True)
    search = 8 * (2 * HELD + 24) * (size * size + few + 1)
    return 56 * angles * columns + search + 64 * turns * (size + few) + (1 << 20)


def _reduced(values: Array, angle: Array, guess: float) -> _Reduced | None:
    """The columns that show matter, averaged; None where there is too little."""
    order = np.argsort(angle, kind="stable")
    seen, theta, columns = values[order].astype(float), angle[order], values.shape[1]
    middle = scipy.ndimage.median_filter(seen, (3, 3), mode="nearest")
    away = seen - middle
    seen = np.where(np.abs(away) > ODD * 1.4826 * np.median(np.abs(away)), middle, seen)
    first, last = _matter(seen, guess)
    width = max(1, round((last - first) / WIDE))
    count = (last - first) // width
    groups = max(1, -(-theta.size // TURNS))
    starts = np.arange(0, theta.size, groups)
    many = np.diff(np.append(starts, theta.size))
    if count < LEAST or starts.size < LEAST:
        return None
    cut = seen[:, first : first + count * width].reshape(-1, count, width).mean(axis=2)
    cut = np.add.reduceat(cut, starts, axis=0) / many[:, None]
    turned = np.add.reduceat(theta, starts) / many
    spectra = scipy.fft.rfft(seen - seen.mean(axis=1, keepdims=True), axis=1)
    power = (np.abs(spectra) ** 2).mean(axis=0) / columns
    noise = float(np.sqrt(power[int(0.9 * power.size) :].mean() / (width * many.mean())))
    if not noise > 1e-6 * float(np.abs(cut).max()):
        noise = 1e-6 * float(np.abs(cut).max()) or 1.0
    weight = np.sqrt(many / many.mean())
    return _Reduced((cut / noise).astype(np.float32), turned, weight, first, width)


def _matter(values: Array, center: float) -> tuple[int, int]:
    """First and past-the-last column about the axis that show matter."""
    columns = values.shape[1]
    noise = float(np.std(np.diff(values, axis=0))) / np.sqrt(2 * len(values))
    mean = scipy.ndimage.median_filter(values.mean(axis=0), 7, mode="nearest")
    edge = max(columns // 16, 4)
    height = np.abs(mean - np.median(np.concatenate([mean[:edge], mean[-edge:]])))
    shown = np.flatnonzero(height > max(SEEN * noise / np.sqrt(3), FAINT * float(height.max())))
    if not shown.size:
        return 0, columns
    reach = REACH * (float(np.abs(shown - center).max()) + 2) + 3
    # A window that is hardly narrower than the whole is none.
    if reach > 0.8 * min(center, columns - 1 - center):
        return 0, columns
    return max(int(center - reach), 0), min(int(center + reach) + 2, columns)


class _Problem:
    """How badly a slice, stripes and an axis explain a sinogram; all three in one vector."""

    def __init__(self, small: _Reduced, guess: float) -> None:
        self.data, self.guess = small.values, guess
        self.columns: int
        self.weight = small.weight.astype(np.float32)[:, None]
        angles, self.columns = small.values.shape
        side = max(guess, self.columns - 1 - guess)
        half = int(np.ceil(BEYOND * max(side, self.columns / 2)))
        self.size: int = 2 * scipy.fft.next_fast_len(half, real=True)
        size = self.size
        self.period = 2 * scipy.fft.next_fast_len(size // 2 + self.columns // 2 + 1, real=True)
        self.wave = (2 * np.pi * np.arange(self.period // 2) / self.period).astype(np.float32)
        turns = np.cos(small.angle)[:, None], np.sin(small.angle)[:, None]
        points = [(turn * self.wave).astype(np.float32).ravel() for turn in turns]
        self.plans = [
            finufft.Plan(kind, (size, size), isign=sign, eps=1e-4, dtype="complex64", nthreads=1,
                         upsampfac=1.25)
            for kind, sign in ((2, -1), (1, 1))
        ]  # fmt: skip
        for plan in self.plans:
            plan.setpts(*points)
        root = np.sqrt(angles)
        self.flat, self.round = np.float32(FLAT * root), np.float32(ROUND / root)
        self.stripe, self.cost = np.float32(STRIPE / root), np.float32(STRIPE_COST * root)
        self.unit = np.float32(1 / root)
        wave = 2 * np.pi * np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
        # Waves of the slice in units in which all are about as well known.
        known = angles / np.maximum(wave, 4 * np.pi / size) + 2 * self.flat * wave**2
        self.scale = (1 / np.sqrt(known)).astype(np.float32)
        place = np.arange(size) - size // 2
        self.inside = (np.hypot(place[:, None], place) < size / 2 - 1).astype(np.float32)

    @property
    def unknowns(self) -> int:
        """Pixels, stripes, and the axis."""
        return self.size * self.size + self.columns + 1

    def misfit(self, unknown: Array) -> tuple[float, Array]:
        """Minus the log of the posterior, and its gradient."""
        pixels, size = self.size**2, self.size
        image = self._shaped(unknown[:pixels].reshape(size, size).astype(np.float32)) * self.inside
        stripes = unknown[pixels:-1].astype(np.float32) * self.unit
        center = self.guess + STEP * float(unknown[-1])
        turn = np.exp(-1j * self.wave * center).astype(np.complex64)
        spectra = self.plans[0].execute(image.astype(np.complex64)).reshape(len(self.data), -1)
        spectra *= turn
        lines = scipy.fft.irfft(spectra, self.period, axis=1)[:, : self.columns]
        residual = self._level(lines + stripes - self.data) * self.weight
        edges, slope = self._variation(image)
        bent = np.sqrt(1 + (stripes / self.stripe) ** 2)
        value = 0.5 * float((residual.astype(float) ** 2).sum()) + float(self.flat) * edges
        value += float(self.cost * self.stripe) * float((bent - 1).sum(dtype=float))
        residual = self._level(residual * self.weight)
        back = scipy.fft.rfft(residual, self.period, axis=1)[:, : self.wave.size]
        moved = (back.conj() * (-1j * self.wave) * spectra).real.sum(dtype=float)
        back *= turn.conj() / np.float32(self.period)
        back[:, 1:] *= 2
        image = self.plans[1].execute(back.ravel()).reshape(size, size).real + self.flat * slope
        image = self._shaped(image * self.inside)
        offset = (residual.sum(axis=0) + self.cost * (stripes / self.stripe) / bent) * self.unit
        along = STEP * 2 / self.period * float(moved)
        return value, np.concatenate([image.ravel(), offset, [along]]).astype(float)

    def _shaped(self, image: Array) -> Array:
        out: Array = scipy.fft.irfft2(self.scale * scipy.fft.rfft2(image), image.shape)
        return out

    def _level(self, lines: Array) -> Array:
        """Without the mean of each projection: the beam's intensity is not known to the noise."""
        out: Array = lines - lines.mean(axis=1, keepdims=True)
        return out

    def _variation(self, image: Array) -> tuple[float, Array]:
        """Total variation, round at its foot, and its gradient."""
        right, down = np.zeros_like(image), np.zeros_like(image)
        np.subtract(image[:, 1:], image[:, :-1], out=right[:, :-1])
        np.subtract(image[1:], image[:-1], out=down[:-1])
        steep = np.sqrt(right**2 + down**2 + self.round**2)
        right /= steep
        down /= steep
        slope = -right - down
        slope[:, 1:] += right[:, :-1]
        slope[1:] += down[:-1]
        return float((steep - self.round).sum(dtype=float)), slope


def _variance(problem: _Problem, at: Array) -> float:
    """Of the last unknown, all others left free: the corner of the inverse second derivative.

    By conjugate gradients, with derivatives of the gradient by differences.
    """
    residual = np.zeros(at.size)
    residual[-1] = 1
    inverse, way, square = 0.0, residual.copy(), 1.0
    for _ in range(DIRECTIONS):
        step = 0.02 / max(float(np.abs(way[:-1]).max()), 1e-3 * abs(float(way[-1])))
        ahead, behind = (problem.misfit(at + s * way)[1] for s in (step, -step))
        bent = (ahead - behind) / (2 * step)
        curvature = float(way @ bent)
        if not curvature > 0:
            break
        length = square / curvature
        inverse += length * float(way[-1])
        residual -= length * bent
        before, square = square, float(residual @ residual)
        way = residual + way * (square / before)
    return inverse if inverse > 0 else np.inf
