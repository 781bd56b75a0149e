"""Peaks: area, position and width by batched least squares, with their errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from zeoarray.backend import to_host, xp_of
from zeoarray.errors import ArgumentError, unknown
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.peaks_loops import LINE, NUMBERS, fit_group

__all__ = ["Profile", "fit_peaks", "groups_of"]

Array = np.ndarray[Any, Any]
Profile = Literal["pseudo_voigt", "gaussian"]

ROWS = 64
"""Patterns that are copied into double precision at once."""


def _sizes(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return {"peak": len(parameters["peaks"]), "number": NUMBERS}


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    peaks = len(parameters["peaks"])
    numbers = LINE + NUMBERS * peaks
    rows = min(ROWS, sizes["batch"])
    # Patterns and variances of some rows; of one group the model, and derivatives three times.
    block = 8 * sizes["q"] * (2 * rows + 8 + 3 * numbers + _lags(parameters["correlation"]))
    return Memory(0, block + 8 * (8 * numbers**2 + rows * peaks * (2 * NUMBERS + 2)))


def _lags(correlation: Any) -> int:
    return 1 if correlation is None else int(np.shape(correlation)[-1])


def groups_of(peaks: Sequence[float], window: float) -> list[tuple[list[int], float, float]]:
    """Peaks that are fitted jointly, since their windows meet, with first and last q of each group.

    Examples
    --------
    >>> groups_of([1.0, 1.5, 1.01], 0.02)
    [([0, 2], 0.98, 1.03), ([1], 1.48, 1.52)]
    """
    out: list[tuple[list[int], float, float]] = []
    for i in np.argsort(peaks, kind="stable").tolist():
        low, high = round(peaks[i] - window, 12), round(peaks[i] + window, 12)
        if out and low < out[-1][2]:
            members, first, _ = out[-1]
            out[-1] = ([*members, i], first, high)
        else:
            out.append(([i], low, high))
    return out


@kernel(
    "(q),(q)->(peak,number),(peak,number),(peak),(peak)",
    memory=_memory,
    sizes=_sizes,
    dtype=("float", "float", "float", "flag"),
)
def fit_peaks(
    intensity: Any,
    variance: Any,
    *,
    q: Any,
    peaks: Sequence[float],
    window: float = 0.02,
    width: float = 0.008,
    profile: Profile = "pseudo_voigt",
    correlation: Any = None,
    significance: float = 3.0,
    smooth: int = 15,
    iterations: int = 60,
) -> tuple[Any, Any, Any, Any]:
    """(..., q), (..., q) -> (..., peak, number), (..., peak, number), (..., peak), (..., peak).

    Each group of peaks whose windows meet is fitted jointly, above a straight line, by Levenberg
    and Marquardt's method. Errors are those of the weights that were used, with the correlation of
    bins. It is computed on the CPU: CuPy arrays are copied there and back.

    Parameters
    ----------
    intensity
        Patterns. Bins that are not finite, or whose variance is not positive, are left out.
    variance
        Of each bin.
    q
        Bins, ascending.
    peaks
        Where peaks are looked for, in the unit of `q`.
    window
        A peak is fitted from this far below its place to this far above, and found within half of
        it.
    width
        Full width at half maximum to begin with.
    profile
        ``pseudo_voigt`` or ``gaussian``.
    correlation
        (q, lag), as of `phases.fit`.
    significance
        A peak whose area, with the shape that it begins with, is not so many times its error keeps
        that shape; its position and width are not known.
    smooth
        Bins over which variances are averaged, for the weights.
    iterations
        At most so many steps.

    Returns
    -------
    tuple
        Area, position, full width at half maximum and Lorentzian share; their standard errors, NaN
        for what was not fitted; chi square over its expectation, of the group; whether the fit
        ended at a minimum.

    Raises
    ------
    ArgumentError
        For peaks outside q, a window that holds too few bins, and arguments that do not fit.

    References
    ----------
    D. W. Marquardt, J. SIAM 11, 431 (1963), doi:10.1137/0111030.

    Examples
    --------
    >>> q = np.linspace(1, 1.2, 201)
    >>> pattern = 5 + 3 * np.exp(-4 * np.log(2) * ((q - 1.101) / 0.01) ** 2)
    >>> values, sigma, chi2, converged = fit_peaks(
    ...     pattern, np.full(201, 0.01), q=q, peaks=[1.1], window=0.04, profile="gaussian")
    >>> values[0, 1:3].round(6).tolist(), bool(converged[0])
    ([1.101, 0.01], True)
    """
    xp, bins = xp_of(intensity), intensity.shape[-1]
    place = np.asarray(to_host(q), float)
    listed = np.asarray(peaks, float)
    _check(place, listed, bins, window, width, profile)
    band = np.ones((bins, 1)) if correlation is None else np.asarray(to_host(correlation), float)
    vary = np.array([True, True, True, profile == "pseudo_voigt"])
    batch = intensity.shape[:-1]
    contract, count = contract_of(fit_peaks), int(np.prod(batch, dtype=int))
    shapes = ((listed.size, NUMBERS), (listed.size, NUMBERS), (listed.size,), (listed.size,))
    out = [np.empty((count, *s), contract.output_dtype(i, intensity.dtype))
           for i, s in enumerate(shapes)]  # fmt: skip
    values = to_host(intensity).reshape(-1, bins)
    spread = np.broadcast_to(to_host(variance), (*batch, bins)).reshape(-1, bins)
    for first in range(0, count, ROWS):
        rows = slice(first, first + ROWS)
        pattern, noise = (np.array(a[rows], np.float64) for a in (values, spread))
        if (noise < 0).any():
            raise ArgumentError("a variance is negative", got=f"{noise[noise < 0][0]:g}")
        for members, low, high in groups_of(listed.tolist(), window):
            part = slice(*np.searchsorted(place, [low - 1e-12, high + 1e-12]).tolist())
            limits = _limits(listed[members], window, width, vary, place[part])
            own = np.ascontiguousarray(band[part])
            for i in range(len(pattern)):
                found = np.empty((len(members), NUMBERS)), np.empty((len(members), NUMBERS))
                chi2: Any = fit_group(
                    place[part], pattern[i, part], noise[i, part], *limits, vary, own,
                    int(smooth) // 2, float(significance), int(iterations), *found,
                )  # fmt: skip
                out[0][first + i, members] = found[0]
                out[1][first + i, members] = found[1]
                out[2][first + i, members] = chi2 if chi2 >= 0 else np.nan
                out[3][first + i, members] = chi2 >= 0
    results = tuple(xp.asarray(a.reshape(batch + s)) for a, s in zip(out, shapes, strict=True))
    return results[0], results[1], results[2], results[3]


def _limits(
    peaks: Array, window: float, width: float, vary: Array, q: Array
) -> tuple[Array, Array, Array]:
    """Where each number begins, and between what it stays."""
    step = float(np.diff(q).min())
    share = 0.3 if vary[3] else 0.0
    start, low, high = (np.empty(LINE + NUMBERS * peaks.size) for _ in range(3))
    start[:LINE], low[:LINE], high[:LINE] = 0.0, -np.inf, np.inf
    none = np.full(peaks.size, np.inf)
    rows: tuple[tuple[Array, Array, Array], ...] = (
        (0 * peaks, -none, none),
        (peaks, peaks - window / 2, peaks + window / 2),
        (0 * peaks + width, 0 * peaks + step, 0 * peaks + 2 * window),
        (0 * peaks + share, 0 * peaks, 0 * peaks + 1),
    )
    for k, (begin, least, most) in enumerate(rows):
        start[LINE + k :: NUMBERS] = begin
        low[LINE + k :: NUMBERS] = least
        high[LINE + k :: NUMBERS] = most
    return start, low, high


def _check(q: Array, peaks: Array, bins: int, window: float, width: float, profile: str) -> None:
    if profile not in get_args(Profile):
        raise unknown("profile", profile, get_args(Profile))
    if q.shape != (bins,) or (bins > 1 and not (np.diff(q) > 0).all()):
        raise ArgumentError(
            "q does not fit the patterns", got=f"q {q.shape}, {bins} bins", expected="ascending"
        )
    if peaks.size == 0 or not (window > 0 and width > 0):
        raise ArgumentError(
            "there is nothing to fit",
            got=f"{peaks.size} peaks, window {window:g}, width {width:g}",
            expected="one peak or more, and a window and a width above 0",
        )
    outside = peaks[~((peaks - window >= q[0]) & (peaks + window <= q[-1]))]
    if outside.size:
        raise ArgumentError(
            "peaks, or their windows, are outside the range of q",
            got=", ".join(f"{p:g}" for p in outside),
            expected=f"between {q[0] + window:g} and {q[-1] - window:g}",
            do="leave them out, or make the window smaller",
        )
    for members, low, high in groups_of(peaks.tolist(), window):
        inside, numbers = int(((q >= low) & (q <= high)).sum()), LINE + NUMBERS * len(members)
        if inside <= numbers:
            raise ArgumentError(
                "a window has too few bins",
                got=f"{inside} bins about {', '.join(f'{peaks[i]:g}' for i in members)}",
                expected=f"more than {numbers}, the numbers that are fitted",
                do="a wider window, or fewer peaks",
            )
