"""Ordered subsets of the projections of a group of slices: what `expectation` goes round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.backend import pieces, to_host, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.radon import disc
from zeoarray.kernels.rays import Rays, interleaved
from zeoarray.kernels.stopping import Progress

Array = np.ndarray[Any, Any]

SEEN = 1e-6
"""Pixels that rays see with less than this share of the most are taken as not seen."""
SMALL = 0.05
"""Relative differences below this are near enough to 0 for a series of the logarithm."""


@dataclass
class Subset:
    """Some of the projections of a group of slices."""

    rays: Rays
    lines: Any
    """(angle, u, slice): the data, 0 where the weight is."""
    weights: Any
    """(angle, u, slice), or None for 1."""
    inverse: Any
    """(y, x, slice or 1): one over what a pixel is seen with, 0 where it is not seen."""
    ratio: Any = None
    """(angle, u, slice): data over projection, times the weight."""

    def compare(self, image: Any) -> Array:
        """Project the slices; set `ratio`, and return how unlikely the data of each are."""
        xp, self.ratio, lost = xp_of(image), None, np.zeros(image.shape[-1])
        ratio = self.rays.forth(image)
        for part in pieces(ratio, keep=2):
            ahead, lines = ratio[part], self.lines[part]
            weights = None if self.weights is None else self.weights[part]
            quotient = xp.where(ahead > 0, lines, 0)
            quotient /= xp.where(ahead > 0, ahead, 1)
            unlikely = _deviance(lines, ahead, quotient)
            if weights is not None:
                unlikely *= weights
                quotient *= weights
            lost += to_host(xp.sum(unlikely, axis=(0, 1), dtype=np.float64))
            ratio[part] = quotient
        self.ratio = ratio
        return lost

    def improve(self, image: Any, going: Any) -> None:
        """Multiply the slices that are `going`, where the rays of this subset see them."""
        xp = xp_of(image)
        factor, self.ratio = self.rays.back(self.ratio), None
        factor *= self.inverse
        xp.copyto(factor, np.float32(1), where=~((self.inverse > 0) & going))
        image *= factor


def _deviance(lines: Any, ahead: Any, quotient: Any) -> Any:
    """2 (b log(b / p) - b + p) of each ray, 0 where data are and the ray crosses nothing."""
    xp = xp_of(lines)
    differ = ahead - lines
    lost = xp.log(xp.where(quotient > 0, quotient, 1))
    lost *= lines
    lost += differ
    # With t = p / b - 1 it is 2 b (t - log(1 + t)), of which nothing is left where t is small.
    near = abs(differ) < SMALL * lines
    t = xp.where(near, differ, 0)
    t /= xp.where(near, lines, 1)
    series = t * t * (0.5 - t * (1 / 3 - t * (0.25 - t * 0.2)))
    series *= lines
    lost = xp.where(near, series, lost)
    lost *= 2
    xp.copyto(lost, np.float32(0), where=(ahead <= 0) & (lines > 0))
    return lost


def compared(subsets: Sequence[Subset], image: Any) -> Array:
    """How unlikely the data of all subsets are, with the first of them left ready to improve."""
    lost = np.zeros(image.shape[-1])
    for subset in reversed(subsets):
        lost += subset.compare(image)
        if subset is not subsets[0]:
            subset.ratio = None
    return lost


def improved(subsets: Sequence[Subset], image: Any, progress: Progress) -> Iterator[Array]:
    """Go round the subsets; give how unlikely the data of each were when it was come to."""
    xp = xp_of(image)
    while True:
        going, lost = xp.asarray(progress.going), np.zeros(image.shape[-1])
        for here, following in zip(subsets, (*subsets[1:], subsets[0]), strict=True):
            here.improve(image, going)
            lost += following.compare(image)
        yield lost


def parts_of(angle: Array, subsets: int) -> list[Any]:
    """Projections of each subset: all directions in each, and the next one far from the last."""
    if not 1 <= subsets <= angle.size:
        raise ArgumentError(
            "there are not as many subsets",
            got=f"subsets={subsets}, {angle.size} angles",
            expected="one or more, and an angle or more in each",
        )
    if subsets == 1:
        return [slice(None)]
    order = np.argsort(np.mod(angle, np.pi), kind="stable")
    golden = np.arange(subsets) * (np.sqrt(5) - 1) / 2 % 1
    return [order[first::subsets] for first in np.argsort(np.argsort(golden))]


class Geometry:
    """What slices with the same axis share."""

    def __init__(
        self, xp: Any, angle: Array, parts: Sequence[Any], shape: tuple[int, int], columns: int,
        center: float, radius: float | None, weighted: bool,
    ) -> None:  # fmt: skip
        self.center, self.parts = center, parts
        self.rays = [Rays(angle[part], shape, columns, center) for part in parts]
        keep = disc(xp, shape, radius)
        self.keep = (xp.ones(shape, np.float32) if keep is None else keep)[..., None]
        # Rays that miss the circle say nothing about it.
        self.cover = [rays.forth(self.keep) for rays in self.rays]
        self.inverse: list[Any] = [None] * len(parts)
        if not weighted:
            both = zip(self.rays, self.cover, strict=True)
            self.inverse = [_inverse(rays.back(xp.ones_like(lines))) for rays, lines in both]

    def subsets(self, slices: Sequence[Any], weights: Sequence[Any], lanes: int) -> list[Subset]:
        """Cut sinograms (and the weights of their rays, where there are any) into subsets."""
        out = []
        for part, rays, inverse in zip(self.parts, self.rays, self.inverse, strict=True):
            lines = interleaved([one[part] for one in slices], lanes)
            if not weights:
                out.append(Subset(rays, lines, None, inverse))
                continue
            weighed = interleaved([one[part] for one in weights], lanes)
            out.append(Subset(rays, lines, weighed, _inverse(rays.back(weighed))))
        return out


def _inverse(seen: Any) -> Any:
    """In place: one over what is seen, and 0 where that is nothing."""
    xp = xp_of(seen)
    xp.copyto(seen, np.float32(np.inf), where=seen <= SEEN * xp.max(seen))
    return xp.divide(1, seen, out=seen)


def level(geometry: Geometry, subsets: Sequence[Subset]) -> tuple[Any, Array]:
    """Slices of one value each, which have the sum of the data; and how many rays tell of them."""
    xp, lanes = xp_of(geometry.keep), subsets[0].lines.shape[-1]
    found, whole, rays = (np.zeros(lanes) for _ in range(3))
    for subset, cover in zip(subsets, geometry.cover, strict=True):
        weights = xp.ones_like(cover) if subset.weights is None else subset.weights
        met = weights * (cover > 0)
        for total, values in ((found, subset.lines * met), (whole, cover * met), (rays, met > 0)):
            total += to_host(xp.sum(values, axis=(0, 1), dtype=np.float64))
    level = np.divide(found, whole, out=np.zeros(lanes), where=whole > 0)
    return geometry.keep * xp.asarray(level, dtype=np.float32), np.maximum(rays, 1)
