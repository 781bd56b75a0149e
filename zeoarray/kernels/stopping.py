"""What iterative methods share: when each slice is done, the curve of it, and weights of rays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError

Array = np.ndarray[Any, Any]


def count_of(iterations: int) -> int:
    """Return the number of iterations, or raise where there is none."""
    if iterations < 1:
        raise ArgumentError("there is one iteration or more", got=f"iterations={iterations}")
    return iterations


def check_rules(rules: Mapping[str, Any]) -> None:
    """Raise for a rule to stop that is negative or NaN; None is no rule."""
    for name, value in rules.items():
        if value is not None and not (np.asarray(to_host(value)) >= 0).all():
            raise ArgumentError("the rule to stop has no negative numbers", got=f"{name}={value}")


class Progress:
    """How far each slice of a group is from its data, at each iteration, and which go on.

    Parameters
    ----------
    first
        Distance of each slice before the first iteration.
    iterations
        At most so many.
    tolerance
        A slice is done where its distance falls by less than this share of itself.
    enough
        A slice is done where its distance is not more than this: one number, or one for each.
    """

    def __init__(self, first: Array, iterations: int, tolerance: float, enough: Any) -> None:
        self.curve = np.full((len(first), iterations), np.nan)
        self.going = np.ones(len(first), bool)
        self._tolerance, self._enough, self._last = tolerance, enough, first

    def follow(self, method: Iterator[Array]) -> None:
        """Take one distance of each slice after another from `method`, until all are done.

        Between two of them `method` changes the slices that are `going`, and no others.
        """
        for i in range(self.curve.shape[1]):
            distance = next(method)
            self.curve[self.going, i] = distance[self.going]
            fell = self._last - distance > self._tolerance * self._last
            self.going &= fell & (distance > self._enough)
            self._last = distance
            if not self.going.any():
                break


def weights_of(weights: Any, sinogram: Any) -> Any:
    """Weights of rays with the shape of the sinogram, checked; a view where they were repeated.

    Raises
    ------
    ArgumentError
        Where they do not fit, or one is negative or not finite.
    """
    xp = xp_of(sinogram)
    given = xp.asarray(weights)
    batch, (angles, columns) = sinogram.shape[:-2], sinogram.shape[-2:]
    lead = given.shape[:-2]
    fits = given.shape[-2:] in {(angles, columns), (angles, 1)} and len(lead) <= len(batch)
    pairs = zip(reversed(lead), reversed(batch), strict=False)
    if not (fits and all(n in (1, m) for n, m in pairs)):
        raise ArgumentError(
            "the weights do not fit the sinogram",
            got=f"weights of shape {given.shape}, a sinogram of {sinogram.shape}",
            expected="(angle, u) or (angle, 1), for all slices or for each",
        )
    if not bool((xp.isfinite(given) & (given >= 0)).all()):
        raise ArgumentError("a weight is negative or not finite", do="give 0 to leave a ray out")
    return xp.broadcast_to(given, sinogram.shape)
