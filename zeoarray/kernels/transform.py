"""Affine maps of positions, (x, y, z, 1) in um: their models, small changes, errors, composition.

A small change of a map into a frame is a field of displacements, e(p) = E (p - about, 1), with E
(3, 4). A model is the list of the E that are free; the change of a map by them is the exponential,
so that rotations stay rotations. Covariances are of the factors of these E.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.linalg

from zeoarray.errors import ArgumentError

Array = np.ndarray[Any, Any]
Model = Literal["translation", "rigid", "similarity", "affine"]

SINGULAR = 1e-6
"""A map is singular where the smallest of its stretches is below this share of the largest."""


class Basis(NamedTuple):
    """What is free in a model."""

    names: tuple[str, ...]
    """(parameter)."""
    fields: Array
    """(parameter, 3, 4): the E of each; shifts in um, turns in rad, the rest relative."""


def basis(model: Model) -> Basis:
    """What is free in a model: shifts, then turns, then scale or all stretches.

    Examples
    --------
    >>> basis("similarity").names
    ('shift_x', 'shift_y', 'shift_z', 'turn_x', 'turn_y', 'turn_z', 'scale')
    """
    names = ["shift_x", "shift_y", "shift_z"]
    fields = [np.zeros((3, 4)) for _ in names]
    for i, field in enumerate(fields):
        field[i, 3] = 1
    if model in ("rigid", "similarity"):
        for i, axis in enumerate("xyz"):
            names.append(f"turn_{axis}")
            turn = np.zeros((3, 4))
            j, k = (i + 1) % 3, (i + 2) % 3
            turn[k, j], turn[j, k] = 1, -1
            fields.append(turn)
    if model == "similarity":
        names.append("scale")
        fields.append(np.eye(3, 4))
    if model == "affine":
        for i, row in enumerate("xyz"):
            for j, column in enumerate("xyz"):
                names.append(f"d{row}_d{column}")
                stretch = np.zeros((3, 4))
                stretch[i, j] = 1
                fields.append(stretch)
    return Basis(tuple(names), np.array(fields))


def change(field: Array, about: Array) -> Array:
    """(3, 4), (3) -> (4, 4). The map whose displacements are `field`, followed to its end.

    Examples
    --------
    >>> turn = change(np.pi / 2 * basis("rigid").fields[5], np.zeros(3))
    >>> (turn @ [1.0, 0, 0, 1]).round(6).tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    generator = np.zeros((4, 4))
    generator[:3] = field
    there = np.eye(4)
    there[:3, 3] = -np.asarray(about)
    out: Array = np.linalg.inv(there) @ scipy.linalg.expm(generator) @ there
    return out


def logarithm(matrix: Array, about: Array) -> Array:
    """(4, 4), (3) -> (3, 4). The field whose `change` is this map, which is near the identity."""
    there = np.eye(4)
    there[:3, 3] = -np.asarray(about)
    out: Array = np.real(scipy.linalg.logm(there @ matrix @ np.linalg.inv(there)))[:3]
    return out


def move(matrix: Array, points: Array) -> Array:
    """(4, 4), (point, 3) -> (point, 3)."""
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


def design(points: Array, fields: Array, about: Array) -> Array:
    """(point, 3, parameter). How far each point moves with each parameter."""
    at = np.column_stack([points - np.asarray(about), np.ones(len(points))])
    return np.asarray(np.einsum("pij,nj->nip", fields, at))


def errors(points: Array, fields: Array, about: Array, covariance: Array) -> Array:
    """(point, 3, 3). Covariance of where each point is, for one of the parameters [um^2]."""
    spread = design(points, fields, about)
    return np.asarray(np.einsum("nip,pq,njq->nij", spread, covariance, spread))


def rms(points: Array, fields: Array, about: Array, covariance: Array) -> tuple[float, float]:
    """Root mean square, over points, of the error expected at each; and the largest [um]."""
    each = np.trace(errors(points, fields, about, covariance), axis1=1, axis2=2)
    return float(np.sqrt(each.mean())), float(np.sqrt(each.max()))


def transported(fields: Array, about: Array, matrix: Array, new_about: Array) -> Array:
    """(parameter, 3, 4). The same changes, seen behind a map: matrix change matrix^-1, about there.

    Covariances of `fields` in one frame are those of the result in the frame that `matrix` leads
    to.
    """
    inverse, out = np.linalg.inv(matrix), np.empty_like(fields)
    from_old, to_new = np.eye(4), np.eye(4)
    from_old[:3, 3], to_new[:3, 3] = about, -np.asarray(new_about)
    for i, field in enumerate(fields):
        generator = np.zeros((4, 4))
        generator[:3] = field
        at_origin = from_old @ generator @ np.linalg.inv(from_old)
        moved = matrix @ at_origin @ inverse
        out[i] = (to_new @ moved @ np.linalg.inv(to_new))[:3]
    return out


def check(matrix: Any, what: str) -> Array:
    """Return a map as (4, 4) float64.

    Raises
    ------
    ArgumentError
        Where it is none, not finite, singular, or mirrors.
    """
    m = np.asarray(matrix, float)
    if m.shape != (4, 4) or not np.isfinite(m).all() or not np.allclose(m[3], [0, 0, 0, 1]):
        raise ArgumentError(
            f"{what} is no affine map of positions",
            got=m.tolist() if m.shape == (4, 4) else f"shape {m.shape}",
            expected="(4, 4), finite, with the last row 0 0 0 1",
        )
    stretch = np.linalg.svd(m[:3, :3], compute_uv=False)
    if not stretch[-1] > SINGULAR * stretch[0]:
        raise ArgumentError(
            f"{what} is singular: it takes a volume to a plane, a line or a point",
            got=m[:3, :3].tolist(),
            expected="a matrix with an inverse",
        )
    if np.linalg.det(m[:3, :3]) < 0:
        raise ArgumentError(
            f"{what} mirrors: it takes a right hand to a left hand",
            got=f"determinant {np.linalg.det(m[:3, :3]):.4g}",
            expected="a positive determinant",
            do="check the order and the signs of its axes",
        )
    return m


class Fit(NamedTuple):
    """What `fit` gives."""

    factors: Array
    """(parameter)."""
    weight: Array
    """(point), from 0 to 1: how far each was believed."""


def fit(
    points: Array, moves: Array, precision: Array, fields: Array, about: Array, *, floor: float
) -> Fit:
    """Factors of the fields that displace points as measured, in spite of outliers.

    The start is the best of many fits to a few points (RANSAC), from which points that lie far
    off lose their weight (Tukey's biweight, reweighted least squares).

    Parameters
    ----------
    points, moves
        (point, 3): where, and by how much [um].
    precision
        (point, 3, 3): inverse covariance of each move.
    fields, about
        Of the model.
    floor
        Moves are taken to be no more certain than this [um].
    """
    spread = design(points, fields, about)
    count, free = len(points), fields.shape[0]
    few = -(-free // 3) + 1
    inner = np.linalg.inv(np.linalg.inv(precision + 1e-12 * np.eye(3)) + floor**2 * np.eye(3))

    def solve(weight: Array) -> Array:
        left = np.einsum("n,nip,nij,njq->pq", weight, spread, inner, spread)
        right = np.einsum("n,nip,nij,nj->p", weight, spread, inner, moves)
        return np.asarray(np.linalg.lstsq(left, right, rcond=1e-10)[0])

    def distance(factors: Array) -> Array:
        rest = moves - spread @ factors
        return np.asarray(np.sqrt(np.einsum("ni,nij,nj->n", rest, inner, rest)))

    best, least = solve(np.ones(count)), np.inf
    draws = np.random.default_rng(0)
    for trial in range(1 + (96 if count > few + 1 else 0)):
        chosen = np.zeros(count)
        chosen[draws.choice(count, min(few, count), replace=False)] = 1
        factors = solve(chosen) if trial else best
        score = float(np.median(distance(factors)))
        if score < least:
            best, least = factors, score
    weight = np.ones(count)
    for _ in range(12):
        off = distance(best)
        scale = max(1.4826 * float(np.median(off)) / 1.5382, 1.0)
        weight = np.clip(1 - (off / (4.685 * 1.2 * scale)) ** 2, 0, None) ** 2
        if (weight > 0).sum() <= few:
            break
        best = solve(weight)
    return Fit(best, weight)
