"""Patterns as sums of a few patterns that nobody knows, none of them negative (NMF).

A list of patterns X (pattern, bin) becomes W H: weights W (pattern, component) and components
H (component, bin), neither negative. Alternately one is held and the other found exactly, by least
squares with a bound (`nnls`). A pattern's weights hang on no other pattern, and of all patterns a
component needs only sums over them, so that patterns go through in slabs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.errors import ArgumentError
from zeoarray.kernels import nnls

Array = np.ndarray[Any, Any]

ROWS = 256
"""Patterns that go through at once."""
RIDGE = 1e-12
"""Added to the diagonal of normal equations, as a share of it: no data, no weight."""
TRIAL = 10
"""Iterations of each start before the best of them goes on."""
PATIENCE = 5
"""Iterations over which the loss has to have fallen by the tolerance."""
COLLINEAR = 1e-4
"""A component of which less than this is not a sum of the others is one of them."""
CUT = 2.0
"""Bins so many errors above the smooth curve hold a line."""
ROUNDS = 30
"""Changes of what is a line, at most."""


@dataclass(frozen=True)
class Factors:
    """Components and what is known of them."""

    patterns: Array
    """(component, bin) Each sums to 1 with the bins' widths; the heaviest first."""
    total: Array
    """(component) Sum of its weights over all patterns."""
    residual: Array
    """(iteration) Norm of X - W H over that of X, both weighted."""
    start: int
    """Which start was the best: 0 is the one that draws nothing."""


def factorize(
    values: Array,
    weight: Array,
    *,
    components: int,
    width: Array | None = None,
    iterations: int = 500,
    tolerance: float = 1e-4,
    starts: int = 4,
    seed: int = 0,
) -> Factors:
    r"""(pattern, bin), (pattern, bin) -> components. Factors that are not negative.

    Minimises :math:`\sum_{iq} v_{iq} (x_{iq} - \sum_k w_{ik} h_{kq})^2` with
    :math:`w, h \ge 0`, by turns exact in w and in h: the loss never rises. What it falls to is a
    local minimum, which hangs on the start. The first start takes as components the patterns that
    are farthest from sums of those taken before (successive projection), which are the purest where
    every component is pure somewhere; others draw patterns, the sooner the farther. After
    10 iterations of each the start with the least loss goes on.

    Parameters
    ----------
    values
        Patterns; noise may make them negative.
    weight
        v, the inverse variance of each, 0 where nothing was measured.
    components
        How many.
    width
        (bin) of the bins, for the scale; 1 where None.
    iterations
        At most, with those of the best start.
    tolerance
        The end: the loss has fallen by less than this share of itself, on the mean of 5 iterations.
    starts
        How many.
    seed
        Of the drawn starts.

    Raises
    ------
    ArgumentError
        Where arrays do not fit, there are more components than patterns or bins with data, weights
        are negative, patterns have no positive sum, or fewer components would do as well.

    References
    ----------
    D. D. Lee, H. S. Seung, Nature 401, 788 (1999), doi:10.1038/44565; H. Kim, H. Park, SIAM J.
    Matrix Anal. Appl. 30, 713 (2008), doi:10.1137/07069239X; N. Gillis, S. A. Vavasis, IEEE Trans.
    Pattern Anal. 36, 698 (2014), doi:10.1109/TPAMI.2013.226.

    Examples
    --------
    >>> parts = np.array([[4.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    >>> mixed = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 2.0]]) @ parts
    >>> found = factorize(mixed, np.ones(mixed.shape), components=2)
    >>> found.patterns.round(6).tolist()
    [[0.8, 0.2, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    data = _checked(values, weight, components)
    trials = []
    for number in range(starts):
        rng = np.random.default_rng([seed % 2**64, number]) if number else None
        trial = _Descent(data, _start(data, components, rng))
        # One start has nothing to be compared with.
        trial.go(min(TRIAL, iterations) if starts > 1 else iterations, tolerance)
        trials.append(trial)
    best = min(range(starts), key=lambda n: trials[n].losses[-1])
    trials[best].go(iterations, tolerance)
    return _scaled(trials[best], data, width, best)


@dataclass(frozen=True)
class _Data:
    product: Array
    """(pattern, bin) v x."""
    weight: Array
    power: float
    """Sum of v x^2."""


def _checked(values: Array, weight: Array, components: int) -> _Data:
    values, weight = (np.asarray(a, np.float64) for a in (values, weight))
    if values.ndim != 2 or weight.shape != values.shape or components < 1:
        raise ArgumentError(
            "these are no patterns with their weights",
            got=f"values {values.shape}, weights {weight.shape}, {components} components",
            expected="(pattern, bin) both, and one component or more",
        )
    if not (weight >= 0).all() or not np.isfinite(weight).all():
        raise ArgumentError("weights of bins are not negative", got=f"{np.min(weight):g}")
    seen = weight > 0
    if not np.isfinite(values[seen]).all():
        raise ArgumentError("a bin that counts is not finite", do="weight=0 where there is nothing")
    rows, bins = int(seen.any(axis=1).sum()), int(seen.any(axis=0).sum())
    if components > min(rows, bins):
        raise ArgumentError(
            "there are more components than patterns, or than bins",
            got=f"{components} components, {rows} patterns and {bins} bins with data",
            do="fewer components=, or more of the scan",
        )
    product = weight * np.where(seen, values, 0.0)
    power = float((product * np.where(seen, values, 0.0)).sum())
    if not product.sum() > 0:
        raise ArgumentError(
            "patterns are not above 0",
            got=f"a weighted sum of {product.sum():g}",
            expected="intensities, whose noise alone is negative",
            do="a background= that leaves something, or other bins",
        )
    return _Data(product, weight, power)


# --- starts ---------------------------------------------------------------------------------------
def _start(data: _Data, components: int, rng: np.random.Generator | None) -> Array:
    """(component, bin) Patterns of the data, far from sums of each other."""
    seen = data.weight > 0
    each = np.divide(data.product, data.weight, out=np.zeros(seen.shape), where=seen)
    scale = np.sqrt(data.weight.mean(axis=0))
    left = each * scale
    found: list[Array] = []
    for _ in range(components):
        far = np.einsum("iq,iq->i", left, left)
        if not far.max() > RIDGE * data.power / max(len(left), 1):
            # All patterns are sums of those taken: the rest begins at a mixture of its own.
            found.append(np.maximum(each.mean(axis=0), 0) * (1 + len(found)) ** -1.0)
            continue
        at = int(far.argmax()) if rng is None else int(rng.choice(far.size, p=far / far.sum()))
        found.append(np.maximum(each[at], 0))
        away = left[at] / np.linalg.norm(left[at])
        left -= (left @ away)[:, None] * away
    return np.array(found)


# --- descent --------------------------------------------------------------------------------------
class _Descent:
    """Components on their way down, with the loss of each iteration."""

    def __init__(self, data: _Data, patterns: Array) -> None:
        self.data, self.patterns = data, patterns
        self.losses: list[float] = []
        self.total = np.zeros(len(patterns))
        self.ended = False

    def go(self, iterations: int, tolerance: float) -> None:
        """On to so many iterations, counted from the first."""
        while len(self.losses) < iterations and not self.ended:
            loss, normal, right, self.total = _weights(self.data, self.patterns)
            self.losses.append(loss)
            before = self.losses[max(len(self.losses) - 1 - PATIENCE, 0)]
            steps = min(len(self.losses) - 1, PATIENCE)
            rounding = RIDGE * self.data.power
            # The weights are those of these patterns, so that the end is before they change.
            self.ended = steps == PATIENCE and before - loss <= max(
                tolerance * steps * loss, rounding
            )
            if not self.ended and len(self.losses) < iterations:
                self.patterns = _patterns(normal, right)


def _weights(data: _Data, patterns: Array) -> tuple[float, Array, Array, Array]:
    """Weights that fit best: their loss, what components follow from, and their sums."""
    count = len(patterns)
    one, other = np.triu_indices(count)
    squares = patterns[one] * patterns[other]
    normal = np.zeros((one.size, patterns.shape[1]))
    right, total, loss = np.zeros(patterns.shape), np.zeros(count), data.power
    for first in range(0, len(data.weight), ROWS):
        rows = slice(first, first + ROWS)
        weight, product = data.weight[rows], data.product[rows]
        gram = _full(weight @ squares.T, count)
        moment = product @ patterns.T
        x, _ = nnls.solve(_ridged(gram), moment, bounded=count)
        loss += float(np.einsum("ij,ijk,ik->", x, gram, x) - 2 * (x * moment).sum())
        normal += (x[:, one] * x[:, other]).T @ weight
        right += x.T @ product
        total += x.sum(axis=0)
    return max(loss, 0.0), normal, right, total


def _patterns(normal: Array, right: Array) -> Array:
    """(pair, bin), (component, bin) -> (component, bin). Components that fit best."""
    gram = _full(np.ascontiguousarray(normal.T), len(right))
    found, _ = nnls.solve(_ridged(gram), np.ascontiguousarray(right.T), bounded=len(right))
    return np.ascontiguousarray(found.T)


def _full(pairs: Array, count: int) -> Array:
    """(..., pair) -> (..., component, component)."""
    one, other = np.triu_indices(count)
    out = np.empty((*pairs.shape[:-1], count, count))
    out[..., one, other] = pairs
    out[..., other, one] = pairs
    return out


def _ridged(gram: Array) -> Array:
    """With as much on the diagonal that nothing is singular."""
    count = gram.shape[-1]
    own = np.einsum("...ii->...i", gram)
    # A component without any part in these has a diagonal of 0.
    least = np.maximum(own.max(axis=-1, keepdims=True), np.finfo(float).tiny / RIDGE)
    out: Array = gram + (RIDGE * least)[..., None] * np.eye(count)
    return out


def _scaled(done: _Descent, data: _Data, width: Array | None, start: int) -> Factors:
    scale = done.patterns @ (np.ones(done.patterns.shape[1]) if width is None else width)
    total = done.total * scale
    length = np.linalg.norm(done.patterns, axis=1)
    alive = (total > 0) & (length > 0)
    spread = np.linalg.svd(done.patterns[alive] / length[alive, None], compute_uv=False)
    rank = int((spread > COLLINEAR * spread.max(initial=0)).sum())
    if rank < total.size:
        raise ArgumentError(
            "fewer components do as well",
            got=f"{rank} of {total.size} components are no sums of the others",
            do=f"components={rank}" if rank else "a background= that leaves something",
        )
    order = np.argsort(-total, kind="stable")
    residual = np.sqrt(np.array(done.losses) / data.power)
    return Factors((done.patterns / scale[:, None])[order], total[order], residual, start)


# --- what is no component -------------------------------------------------------------------------
def valleys(values: Array, weight: Array, smooth: Array) -> Array:
    """(pattern, bin), (pattern, bin), (term, bin) -> (pattern, bin). Smooth curves under lines.

    A sum of `smooth` is fitted, bins more than twice its error above it are left out, and so on
    until these are the same. The error is that of the bins below the curve, which hold no lines.

    Parameters
    ----------
    values
        Patterns.
    weight
        Inverse variance to a factor, 0 where nothing was measured.
    smooth
        What the curves are sums of.

    Examples
    --------
    >>> q = np.linspace(0, 1, 200)
    >>> line = np.exp(-(((q - 0.5) / 0.02) ** 2))
    >>> under = valleys((1 + q + 5 * line)[None], np.ones((1, 200)), np.stack([q**0, q]))
    >>> bool(np.abs(under[0] - 1 - q).max() < 1e-2)
    True
    """
    out = np.zeros(np.shape(values))
    for first in range(0, len(out), ROWS):
        rows = slice(first, first + ROWS)
        out[rows] = _valleys(
            np.asarray(values[rows], float), np.asarray(weight[rows], float), smooth
        )
    return out


def _valleys(values: Array, weight: Array, smooth: Array) -> Array:
    count = len(smooth)
    one, other = np.triu_indices(count)
    squares = smooth[one] * smooth[other]
    seen = weight > 0
    clean, used = np.where(seen, values, 0.0), seen.copy()
    under = np.zeros(values.shape)
    for _ in range(ROUNDS):
        own = np.where(used, weight, 0.0)
        gram = _ridged(_full(own @ squares.T, count))
        under = np.linalg.solve(gram, ((own * clean) @ smooth.T)[..., None])[..., 0] @ smooth
        white = np.sqrt(weight) * (clean - under)
        below = seen & (white < 0)
        spread = np.sqrt((np.where(below, white, 0.0) ** 2).sum(1) / np.maximum(below.sum(1), 1))
        kept = seen & (white <= CUT * spread[:, None])
        # A pattern needs more bins than the curve has terms.
        kept = np.where((kept.sum(axis=1) > count)[:, None], kept, used)
        if (kept == used).all():
            break
        used = kept
    return under
