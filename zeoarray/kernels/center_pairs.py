"""Opposite projections as they are best known, and how unlike they are about an axis.

The projection at an angle and the one half a turn on are mirror images about the axis. Both are
estimated from all projections near them, each frequency from as many as still see it alike, and
brought to one scale per frequency.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
import scipy.ndimage

from zeoarray.kernels.center_likelihood import MANY, covariance

Array = np.ndarray[Any, Any]

NEAR = 16
"""Projections that an estimate is made from."""
DIRECTIONS = 12
"""Directions at most, of those measured from both sides, that are compared."""
FLOOR = 0.005
"""No frequency is believed to be known better than to this share of its power."""
OVERLAP = 0.25
"""Opposite projections are compared where at least this share of the columns is in both."""


def both_sides(values: Array, angle: Array) -> tuple[list[tuple[Array, Array]], float]:
    """Estimates of opposite projections, whitened, and how many independent numbers they hold."""
    order = np.argsort(angle, kind="stable")
    ordered, columns = angle[order], values.shape[1]
    first, last = float(ordered[0]), float(ordered[-1]) - np.pi
    inside = int(np.count_nonzero((ordered >= first) & (ordered <= last)))
    count = min(max(inside // 2, 1), DIRECTIONS) if last > first else 1
    # A half circle, or less, has one direction that is near to both of its ends.
    middle = (first + last) / 2
    targets = np.linspace(first, last, count) if count > 1 else np.array([middle])
    learned = np.arange(0, order.size, -(-order.size // MANY))
    near = [_nearest(ordered - t - turn) for t in targets for turn in (0, np.pi)]
    rows = np.unique(np.concatenate([learned, *near]))
    ordered, pad = ordered[rows], columns // 2
    padded = np.pad(values[order[rows]].astype(float), ((0, 0), (pad, pad)), mode="symmetric")
    spectra = scipy.fft.rfft(padded - np.median(padded), axis=1)
    length = padded.shape[1]
    wave = 2 * np.pi * np.arange(spectra.shape[1]) / length
    power = (np.abs(spectra[np.searchsorted(rows, learned)]) ** 2).mean(axis=0)
    noise = float(power[int(0.9 * power.size) :].mean())
    smooth = np.exp(scipy.ndimage.gaussian_filter1d(np.log(np.maximum(power, 1e-30)), 2.0))
    signal = np.maximum(smooth - noise, 1e-3 * noise + 1e-30)
    pairs, freedom = [], 0.0
    for target in targets:
        one, known = _estimate(spectra, ordered - target, wave, columns / 2, noise / signal)
        two, same = _estimate(spectra, ordered - target - np.pi, wave, columns / 2, noise / signal)
        share = np.sqrt(np.clip(known * same, 0, 1))
        scale = 1 / np.sqrt(signal * (1 - share**2 + FLOOR))
        scale[0] = 0
        sides = (scipy.fft.irfft(e * scale, length)[pad : pad + columns] for e in (one, two))
        pairs.append((next(sides), next(sides)))
        freedom += columns * float((share**2).mean())
    return pairs, freedom


def _nearest(away: Array) -> Array:
    out: Array = np.argsort(np.abs(away), kind="stable")[:NEAR]
    return out


def _estimate(
    spectra: Array, away: Array, wave: Array, radius: float, faint: Array
) -> tuple[Array, Array]:
    """The projection at angle 0 of `away`, from those nearest to it; and how much of it is known.

    `faint` is the power of the noise over that of the signal, by frequency.
    """
    nearest = _nearest(away)
    theta = away[nearest]
    between = 2 * np.sin(np.abs(theta[:, None] - theta) / 2)
    scaled = radius * wave
    among = covariance(scaled[:, None, None] * between)
    among += faint[:, None, None] * np.eye(theta.size)
    among += 1e-9 * np.eye(theta.size)
    to_target = covariance(scaled[:, None] * (2 * np.sin(np.abs(theta) / 2)))
    weight = np.linalg.solve(among, to_target[..., None])[..., 0]
    estimate = np.einsum("wk,kw->w", weight, spectra[nearest])
    return estimate, (weight * to_target).sum(axis=1)


def differences(pairs: list[tuple[Array, Array]], places: Array, *, squared: bool = False) -> Array:
    """How unlike the pairs are where one is mirrored about each place: 0 if equal, over both.

    A mean of magnitudes, or of squares; over the columns that both have.
    """
    columns = pairs[0][0].size
    u, total, weight = np.arange(columns), np.zeros(places.size), np.zeros(places.size)
    enough = max(OVERLAP * columns, 2)
    for one, two in pairs:
        curve = scipy.ndimage.spline_filter1d(two, 3, mode="mirror") if columns > 1 else two
        for i, place in enumerate(places):
            low = max(0, int(np.ceil(2 * place - (columns - 1) - 1e-9)))
            high = min(columns - 1, int(np.floor(2 * place + 1e-9)))
            if high - low + 1 < enough:
                continue
            mirrored = scipy.ndimage.map_coordinates(
                curve, [2 * place - u[low : high + 1]], order=3, prefilter=False, mode="mirror"
            )
            given = one[low : high + 1]
            if squared:
                total[i] += float(((given - mirrored) ** 2).mean())
                weight[i] += 1
            else:
                total[i] += float(np.abs(given - mirrored).mean())
                weight[i] += float(np.abs(given).mean() + np.abs(mirrored).mean())
    # Where nothing is compared nothing is alike.
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), 0.0 if squared else 1.0)
