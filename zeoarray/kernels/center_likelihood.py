"""Where the rotation axis most likely is, of all projections near opposite directions at once.

Projections are Gaussian processes of the angle, one for each frequency: the projection at the angle
t and the one at t + pi are conjugates, but for a phase that is twice the axis' place. Their
covariance gives every pair of projections, near or opposite, the weight that it deserves.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.special

Array = np.ndarray[Any, Any]

NEAR = 16
"""Projections on each side that are used for one direction."""
DIRECTIONS = 12
"""Directions at most, of those measured from both sides."""
MANY = 512
"""Projections at most that the spectra are learned from."""
RADIUS = 0.7
"""Radius of the matter, as a share of the columns: of 200 random twin sinograms fewest were wrong
with 0.7 to 0.8; matter beyond the detector's edges is seen as well."""
NOISE = 2.0
"""Noise counts as so many times what is measured: the curvature made the errors of the same
sinograms 1.2 times too small, 1.8 times in narrow fields of view, and now 0.9 and 1.1 times."""
TAPER = 0.05
"""Share of the columns at either edge over which projections fade."""
FLOOR = 1e-4
"""No frequency follows the covariance better than to this share of its power."""
REACH = 3.0
"""The axis is looked for this far around where it was guessed [pixels]."""
STEP = 0.02
"""In steps of this [pixels]."""
ROUNDS = 12
"""The window is moved to the axis found this many times at most."""
LEAST = 8
"""Fewer columns on both sides of the axis tell nothing."""


class _Spectra(NamedTuple):
    """Of projections whose middle is at the guessed axis."""

    values: Array
    """(angle, frequency)."""
    wave: Array
    """(frequency,) [rad / pixel]."""
    independent: float
    """Share of the frequencies that are independent of each other."""


class _Model(NamedTuple):
    signal: Array
    """(frequency,) Power of what turns with the sample."""
    noise: float
    """Power of what differs from projection to projection."""
    stripes: float
    """Power of what is in all projections alike."""


def covariance(z: Array) -> Array:
    """2 J1(z) / z: of the projections of a disc, for z = 2 radius wave sin(|angle| / 2)."""
    safe = np.maximum(np.abs(z), 1e-9)
    out: Array = 2 * scipy.special.j1(safe) / safe
    return out


def likeliest(values: Array, angle: Array, guess: float) -> tuple[float, float]:
    """(angle, u), (angle). The axis of greatest likelihood near a guess, and its sigma.

    Parameters
    ----------
    values
        Absorbance or transmission of one slice.
    angle
        [rad], over about a half circle or more.
    guess
        Index of u, right to `REACH`.

    Returns
    -------
    tuple
        Index of u, and the standard deviation by the curvature of the likelihood [pixels]: infinite
        where nothing is known.
    """
    order = np.argsort(angle, kind="stable")
    theta, columns, center, sigma = angle[order], values.shape[1], guess, np.inf
    learned = order[:: -(-order.size // MANY)]
    targets = _targets(theta)
    sides = [(_nearest(theta - t), _nearest(theta - t - np.pi)) for t in targets]
    offsets = np.arange(-REACH, REACH + STEP / 2, STEP)
    for _ in range(ROUNDS):
        if min(center, columns - 1 - center) < LEAST / 2:
            return guess, np.inf
        spectra = _spectra(values[learned], center)
        model, curve = _learn(spectra.values), np.zeros(offsets.size)
        for target, (one, two) in zip(targets, sides, strict=True):
            front = _spectra(values[order[one]], center).values
            back = _spectra(values[order[two]], center).values.conj()
            away = theta[one] - target, theta[two] - np.pi - target
            cross = _cross(front, back, *away, RADIUS * columns * spectra.wave, model)
            curve -= 2 * (np.exp(-2j * offsets[:, None] * spectra.wave) @ cross).real
        move, bend = _top(offsets, curve * spectra.independent)
        sigma = float(1 / np.sqrt(bend)) if bend > 0 else np.inf
        found = float(np.clip(center + move, guess - REACH, guess + REACH))
        if abs(found - center) < STEP / 4:
            return found, sigma
        center = found
    return center, sigma


def _targets(theta: Array) -> Array:
    """Directions that are measured from both sides, or nearly so."""
    first, last = float(theta[0]), float(theta[-1]) - np.pi
    inside = int(np.count_nonzero((theta >= first) & (theta <= last)))
    count = min(max(inside // NEAR, 1), DIRECTIONS)
    out: Array = first + (last - first) * (np.arange(count) + 0.5) / count
    return out


def _nearest(away: Array) -> Array:
    out: Array = np.argsort(np.abs(away), kind="stable")[:NEAR]
    return out


def _spectra(values: Array, center: float) -> _Spectra:
    """Of the widest window about the axis; it is no more symmetric about any other place."""
    half = min(center, values.shape[1] - 1 - center)
    first, last = int(np.ceil(center - half)), int(np.floor(center + half))
    seen, away = values[:, first : last + 1].astype(float), np.arange(first, last + 1) - center
    inside = (half + 0.5 - np.abs(away)) / max(2 * TAPER * half, 1.0)
    fade = np.sin(np.pi / 2 * np.clip(inside, 0, 1)) ** 2
    # Of truncated projections the mean is far above the rest.
    seen -= (seen @ fade / fade.sum())[:, None]
    seen *= fade
    length = scipy.fft.next_fast_len(fade.size, real=True)
    spectra = scipy.fft.rfft(seen, length, axis=1)
    wave = 2 * np.pi * np.arange(spectra.shape[1]) / length
    spectra *= np.exp(1j * wave * (center - first))
    return _Spectra(spectra, wave, float((fade**2).sum() / length))


def _learn(spectra: Array) -> _Model:
    power = (np.abs(spectra) ** 2).mean(axis=0)
    # The mean of each projection was taken away.
    power[0] = power[1]
    noise = float(power[int(0.9 * power.size) :].mean())
    smooth = np.exp(scipy.ndimage.gaussian_filter1d(np.log(np.maximum(power, 1e-30)), 2.0))
    signal = np.maximum(smooth - noise, 1e-3 * noise + 1e-30)
    # What all projections share: at high frequencies nothing of the sample does. The median of
    # squared magnitudes is log(2) of their mean.
    shared = np.abs(spectra.mean(axis=0)) ** 2
    stripes = float(np.median(shared[shared.size // 2 :])) / np.log(2) - noise / len(spectra)
    return _Model(signal, NOISE * noise, max(stripes, 0.0))


def _cross(
    front: Array, back: Array, ahead: Array, behind: Array, scaled: Array, model: _Model
) -> Array:
    """(frequency,) What the likelihood has of both sides' products: minus the log, at no move."""
    count, away = ahead.size, np.concatenate([ahead, behind])
    between = 2 * np.sin(np.abs(away[:, None] - away) / 2)
    same = np.zeros((away.size, away.size))
    same[:count, :count] = same[count:, count:] = 1
    own = np.eye(away.size)
    among = covariance(scaled[:, None, None] * between)
    among += FLOOR * own
    among *= model.signal[:, None, None]
    among += model.noise * own + model.stripes * same
    inverse = np.linalg.inv(among)[:, :count, count:]
    out: Array = np.einsum("iw,wij,jw->w", front.conj(), inverse, back, optimize=True)
    out[0] = 0
    return out


def _top(place: Array, curve: Array) -> tuple[float, float]:
    """Where the curve is greatest, and how it bends down there: 0 at an end."""
    most = int(np.argmax(curve))
    if not 0 < most < curve.size - 1:
        return float(place[most]), 0.0
    left, middle, right = (float(v) for v in curve[most - 1 : most + 2])
    bend = 2 * middle - left - right
    move = 0.5 * (right - left) / bend if bend > 0 else 0.0
    return float(place[most]) + move * STEP, bend / STEP**2
