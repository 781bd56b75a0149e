"""Patterns of phases that nobody knows, from the scan itself: `decompose`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import uniform_filter1d

from zeoarray import schema
from zeoarray.errors import ArgumentError
from zeoarray.kernels import nmf
from zeoarray.kernels.phases import SMOOTH
from zeoarray.labelled import known
from zeoarray.step import Count, Positive, Whole, measure
from zeoarray.xrdct import model, samples

__all__ = ["decompose"]

Array = np.ndarray[Any, Any]

BY = "xrdct.decompose"
LIMIT = (
    "components were found without references: parts that add up to the patterns and are not "
    "negative. They are phases only where each phase is alone in some patterns"
)


def _as_it_may_be(
    ds: xr.Dataset, *, components: int, iterations: int = 500, seed: int = 0, **others: Any
) -> xr.Dataset:
    """Components that differ, made without reading."""
    q = np.linspace(0, 1, ds.sizes["q"])
    patterns = np.stack([1 + np.cos(np.pi * (31 + 7 * i) * q) for i in range(components)])
    share, curve = np.full(components, 1 / components), np.full(iterations, np.nan)
    names = _names(others.get("names"), components)
    return _node(ds, names, patterns, share, curve, (0, seed, 0))


@measure(
    cites=("10.1038/44565", "10.1137/07069239X", "10.1109/TPAMI.2013.226"), expects=_as_it_may_be
)
def decompose(
    ds: xr.Dataset,
    *,
    components: Count,
    names: tuple[str, ...] | None = None,
    q_range: tuple[float, float] | None = None,
    background: int = 8,
    patterns: Count = 2000,
    iterations: Count = 500,
    tolerance: Positive = 1e-4,
    starts: Count = 4,
    seed: Whole = 0,
) -> xr.Dataset:
    r"""Find the patterns of unknown phases: parts that patterns are sums of, none negative.

    :math:`I_i(q) - B_i(q) = \sum_k w_{ik} P_k(q)`, with :math:`w, P \ge 0` and the least sum of
    squares, each bin weighted by its inverse variance (non-negative matrix factorization). What
    comes out has the form of reference patterns: give it to `fit_phases` as its `references`, and
    it gives the weight of every voxel, with covariance.

    Give it voxels where there are any. Parts are found as far as something shows what they are by
    themselves: patterns in which the others are missing, or bins in which only one is not 0. Few
    rays cross one phase only.

    Parameters
    ----------
    ds
        ``intensity(..., q)`` of voxels or rays; with ``variance`` bins count by it, averaged over
        15 of them, and all the same without. Bins that are not finite, or whose variance is not
        positive, do not count.
    components
        How many.
    names
        Of the components, the heaviest first; "component 1" and so on where None.
    q_range
        First and last q [1/angstrom]; all of the scan where None.
    background
        Number of cubic B-splines of the smooth curve under the lines of each pattern, which is
        taken off before. 0 for none: then the components hold the background as well.
    patterns
        How many patterns of the scan are read, evenly spread, and held in memory.
    iterations
        At most.
    tolerance
        The end: the sum of squares falls by less than this share of itself in an iteration.
    starts
        What is found is the least sum of squares near a start. The first is the same for any
        `seed`, and the others are drawn.
    seed
        Of the drawn starts.

    Returns
    -------
    xarray.Dataset
        ``pattern(phase, q)``, whose integral over q is 1; NaN beyond `q_range` and beyond the
        first and last bin with data, and a line between neighbours where bins have none;
        ``share(phase)`` of the sum of all weights, descending; ``residual(iteration)``, the norm of
        what is left over that of what there was, NaN after the end; ``iterations``,
        ``seed``, and ``start``, which was the best.

    Raises
    ------
    SchemaError
        For a dataset without patterns.
    ArgumentError
        Where no pattern is finite or above its background, there are more components than patterns
        or bins, or fewer would do as well; names do not fit; a variance is negative.

    References
    ----------
    D. D. Lee, H. S. Seung, Nature 401, 788 (1999), doi:10.1038/44565; H. Kim, H. Park, SIAM J.
    Matrix Anal. Appl. 30, 713 (2008), doi:10.1137/07069239X.
    """
    labels = _names(names, components)
    chosen = model.selection(ds, q_range, BY)
    q = known(ds["q"]).astype(float)
    values, weight = _sample(ds, chosen, patterns)
    smooth = model.background(q[chosen], background)
    if background:
        values = values - nmf.valleys(values, weight, smooth)
    seen = weight.any(axis=0)
    own = q[chosen][seen]
    # Of the trapezoidal rule, so that the integral is 1 of lines between bins as well.
    width = np.diff(own, prepend=own[0], append=own[-1])
    width = (width[:-1] + width[1:]) / 2
    found = nmf.factorize(
        values[:, seen], weight[:, seen], components=components, width=width,
        iterations=iterations, tolerance=tolerance, starts=starts, seed=seed,
    )  # fmt: skip
    whole = np.full((components, q.size), np.nan)
    inside = (q >= own[0]) & (q <= own[-1])
    # What no pattern has, as behind a gap of the detector, is no hole in a reference.
    whole[:, inside] = [np.interp(q[inside], own, pattern) for pattern in found.patterns]
    curve = np.full(iterations, np.nan)
    curve[: found.residual.size] = found.residual
    share = found.total / found.total.sum()
    return _node(ds, labels, whole, share, curve, (found.residual.size, seed, found.start))


def _names(names: Sequence[str] | None, components: int) -> list[str]:
    labels = [f"component {i + 1}" for i in range(components)] if names is None else list(names)
    if len(labels) != components or len(set(labels)) < len(labels) or "" in labels:
        raise ArgumentError(
            f"{BY}: every component has one name",
            got=f"{components} components, names {', '.join(map(repr, labels))}",
            do='names=("rim", "core"), the heaviest first; or leave them out',
        )
    return labels


def _sample(ds: xr.Dataset, chosen: slice, patterns: int) -> tuple[Array, Array]:
    """(pattern, q) Patterns of the scan, and what their bins count."""
    values, spread = samples.read(ds, chosen, patterns, BY)
    if spread is None:
        spread = np.ones_like(values)
    seen = np.isfinite(values) & np.isfinite(spread) & (spread > 0)
    if seen.any(axis=0).sum() < 2:
        raise ArgumentError(
            f"{BY}: no pattern of the sample is finite",
            got=f"{int(seen.any(axis=0).sum())} bins with data, in {len(values)} patterns",
            expected="intensities with a positive variance, or without any",
            do="a q_range= that the detector covers, or more patterns=",
        )
    # Single variances of counts hang on the fluctuation that they weigh, which would bias sums.
    near = uniform_filter1d(seen.astype(float), SMOOTH, axis=1, mode="constant")
    mean = uniform_filter1d(np.where(seen, spread, 0.0), SMOOTH, axis=1, mode="constant")
    return values, np.divide(near, mean, out=np.zeros_like(values), where=seen)


def _node(
    ds: xr.Dataset, names: Sequence[str], patterns: Array, share: Array, curve: Array,
    numbers: tuple[int, int, int],
) -> xr.Dataset:  # fmt: skip
    out = xr.Dataset(
        {
            "pattern": (("phase", "q"), patterns.astype(np.float32)),
            "share": ("phase", share),
            "residual": ("iteration", curve),
            **dict(zip(("iterations", "seed", "start"), numbers, strict=True)),
        },
        {"phase": list(names), "q": ds["q"].variable.to_base_variable()},
    )
    made = schema.describe(out, schema.COMPONENTS)
    return made.assign_attrs({**ds.attrs, "limits": [*ds.attrs.get("limits", []), LIMIT]})
