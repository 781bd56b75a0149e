"""Stripes out of sinograms, so that slices have no rings: the methods of Vo et al. (2018).

N. T. Vo, R. C. Atwood, M. Drakopoulos, "Superior techniques for eliminating ring artifacts in
X-ray micro-tomography", Opt. Express 26 (2018) 28396, doi:10.1364/OE.26.028396. A stripe is a
detector column whose response differs from that of its neighbours. Sorted by value, the columns of
a sinogram are nearly alike, whatever the sample; so a median across sorted columns takes stripes
out and leaves the sample.

Results equal those of `algotom.prep.removal` of the same names. Defaults are those of Savu's
plugins (RemoveAllRings and its parts): windows of 71 and 31 columns, ratio 3. What algotom refuses
is answered here: where a profile has no noise, no stripe can be told from it, and none is
detected; a column whose mean is 0 is not normalised. All is computed in float32.

Equal values of a column are ordered as NumPy's sort leaves them, which algotom uses too; so where
there are many, other processors (and GPUs) may give slightly different results.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.backend import PIECE, pieces, xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels import columns, stripes
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    # Sorted columns, their order, their median: for one sinogram at a time.
    values = sizes["angle"] * sizes["u"]
    return Memory(0, 12 * values + 24 * min(max(PIECE, sizes["angle"]), values))


def _filtering_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    angles = sizes["angle"]
    padded = angles + 2 * min(150, angles // 10)
    # Frequencies within 9 sigma, as sines and cosines; a few arrays of them while they are made.
    modes = min(18 * int(np.ceil(parameters["sigma"])), padded) + 4
    scratch = _memory(sizes, parameters, threads).block
    return Memory(0, scratch + 48 * modes * padded)


# --- the methods --------------------------------------------------------------------------------
@kernel("(angle,u)->(angle,u)", memory=_memory)
def remove_stripe_based_sorting(sinogram: Any, *, size: int = 31) -> Any:
    """(..., angle, u) -> (..., angle, u). Partial and full stripes out: algorithm 3 of the paper.

    Each column is sorted, a median filter taken across columns, and the sorting undone.

    Parameters
    ----------
    sinogram
        Transmission or absorbance.
    size
        Window of the median [px].

    Raises
    ------
    ArgumentError
        For values that are not finite real numbers, and a window that is no number of columns.

    References
    ----------
    doi:10.1364/OE.26.028396, algorithm 3. The default is Savu's.

    Examples
    --------
    >>> stripe = np.ones((4, 5)) * [1, 1, 2, 1, 1]
    >>> remove_stripe_based_sorting(stripe, size=3)[0]
    array([1., 1., 1., 1., 1.])
    """
    _window(size=size)

    def one(work: Any) -> None:
        stripes.smooth_sorted(work, *stripes.sort(work), size)

    return stripes.each(contract_of(remove_stripe_based_sorting), sinogram, one)


@kernel("(angle,u)->(angle,u)", memory=_filtering_memory)
def remove_stripe_based_filtering(
    sinogram: Any, *, sigma: float = 3.0, size: int = 31, sort: bool = True
) -> Any:
    """(..., angle, u) -> (..., angle, u). Full stripes out: algorithm 2 of the paper.

    Only what varies slowly along the angle is sorted and filtered; the rest is added again.

    Parameters
    ----------
    sinogram
        Transmission or absorbance.
    sigma
        Width of the Gaussian low-pass [frequencies of the padded column]. Greater keeps more.
    size
        Window of the median [px].
    sort
        Sort the columns first.

    Raises
    ------
    ArgumentError
        For values that are not finite real numbers, a window that is no number of columns, and a
        sigma that is not positive.

    References
    ----------
    doi:10.1364/OE.26.028396, algorithm 2. The defaults are Savu's.
    """
    _window(size=size)
    if not 0 < sigma < np.inf:
        raise ArgumentError("the width of the low-pass is positive", got=f"sigma={sigma}")

    def one(work: Any) -> None:
        xp = xp_of(work)
        into, out_of = (xp.asarray(m) for m in stripes.low_pass_of(len(work), sigma))
        slow = columns.transposed(work)
        for (part,) in pieces(slow):
            smooth = (slow[part].astype(np.float64) @ into @ out_of).astype(np.float32)
            work[:, part] -= smooth.T
            slow[part] = smooth
        order = columns.sort_rows(slow) if sort else None
        out = xp.empty_like(slow)
        columns.running_median(slow, size, out)
        if order is None:
            work += out.T
        else:
            back = slow.reshape(work.shape)
            columns.put_back(out, order, back)
            work += back

    return stripes.each(contract_of(remove_stripe_based_filtering), sinogram, one)


@kernel("(angle,u)->(angle,u)", memory=_memory)
def remove_large_stripe(
    sinogram: Any,
    *,
    snr: float = 3.0,
    size: int = 71,
    drop_ratio: float = 0.1,
    norm: bool = True,
) -> Any:
    """(..., angle, u) -> (..., angle, u). Wide and strong stripes out: algorithm 5 of the paper.

    The mean of each sorted column over that of its median across columns tells stripes from the
    rest (algorithm 4). Stripes and their neighbours are replaced by that median.

    Parameters
    ----------
    sinogram
        Transmission or absorbance.
    snr
        How many times the noise a stripe stands out, at least 1. Greater finds fewer.
    size
        Window of the median [px].
    drop_ratio
        Share of the lowest and highest values of a column, together, left out of its mean.
    norm
        Divide every column by its ratio.

    Raises
    ------
    ArgumentError
        For values that are not finite real numbers, a window that is no number of columns, `snr`
        below 1, and `drop_ratio` outside 0 to 0.8.

    References
    ----------
    doi:10.1364/OE.26.028396, algorithms 4 and 5. The defaults are Savu's.
    """
    _window(size=size)
    _detection(snr, drop_ratio)

    def one(work: Any) -> None:
        values, order, _ = stripes.without_large(work, snr, size, drop_ratio, norm)
        columns.put_back(values, order, work)

    return stripes.each(contract_of(remove_large_stripe), sinogram, one)


@kernel("(angle,u)->(angle,u)", memory=_memory)
def remove_dead_stripe(
    sinogram: Any, *, snr: float = 3.0, size: int = 71, residual: bool = True
) -> Any:
    """(..., angle, u) -> (..., angle, u). Unresponsive and fluctuating stripes out: algorithm 6.

    A column that varies from angle to angle much less or more than its neighbours holds no
    sample. It is interpolated from the nearest good ones, unless a third of all columns or more
    are like that.

    Parameters
    ----------
    sinogram
        Transmission or absorbance.
    snr
        How many times the noise a stripe stands out, at least 1. Greater finds fewer.
    size
        Window of the median [px].
    residual
        Follow with `remove_large_stripe`.

    Raises
    ------
    ArgumentError
        For values that are not finite real numbers, a window that is no number of columns, and
        `snr` below 1.

    References
    ----------
    doi:10.1364/OE.26.028396, algorithm 6. The defaults are Savu's.
    """
    _window(size=size)
    _detection(snr)

    def one(work: Any) -> None:
        stripes.interpolate_dead(work, snr, size)
        if residual:
            values, order, _ = stripes.without_large(work, snr, size, 0.1, norm=True)
            columns.put_back(values, order, work)

    return stripes.each(contract_of(remove_dead_stripe), sinogram, one)


@kernel("(angle,u)->(angle,u)", memory=_memory)
def remove_all_stripe(
    sinogram: Any,
    *,
    snr: float = 3.0,
    la_size: int = 71,
    sm_size: int = 31,
    drop_ratio: float = 0.1,
    norm: bool = True,
) -> Any:
    """(..., angle, u) -> (..., angle, u). Stripes of all kinds out.

    First unresponsive and fluctuating columns are interpolated, then large stripes are replaced,
    then small and partial ones filtered: algorithms 6, 5 and 3 of the paper.

    Parameters
    ----------
    sinogram
        Transmission or absorbance.
    snr
        How many times the noise a stripe stands out, at least 1. Greater finds fewer.
    la_size
        Window of the median for large stripes [px], wider than the widest of them.
    sm_size
        Window of the median for small to medium stripes [px].
    drop_ratio
        Share of the lowest and highest values of a column, together, left out of its mean.
    norm
        Whether columns are divided by what their means exceed the median of their neighbours by,
        before large stripes are looked for. It removes more; where the sample is not many times
        wider than `la_size`, it takes some of the sample as well: up to a percent of attenuation.

    Raises
    ------
    ArgumentError
        For values that are not finite real numbers, a window that is no number of columns, `snr`
        below 1, and `drop_ratio` outside 0 to 0.8.

    References
    ----------
    doi:10.1364/OE.26.028396. The defaults are Savu's; algotom's windows are 51 and 21.
    """
    _window(la_size=la_size, sm_size=sm_size)
    _detection(snr, drop_ratio)

    def one(work: Any) -> None:
        stripes.interpolate_dead(work, snr, la_size)
        values, order, stale = stripes.without_large(work, snr, la_size, drop_ratio, norm)
        # Nearly all columns are still in order, which saves the second sort.
        columns.sort_again(values, order, stale)
        stripes.smooth_sorted(work, values, order, sm_size)

    return stripes.each(contract_of(remove_all_stripe), sinogram, one)


def _score_memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    return Memory(0, 16 * max(PIECE, sizes["u"]) + 32 * sizes["u"])


@kernel("(angle,u)->()", memory=_score_memory)
def ring_score(sinogram: Any) -> Any:
    """(..., angle, u) -> (...). How much columns differ beyond noise: a number without unit.

    What each value differs from the mean of its two neighbours in u is averaged over angles. The
    score is the spread of these averages, over what independent noise of the same strength would
    leave of it (the root of the F ratio of columns). Noise alone gives about 1, stripes of the
    noise's own strength give the root of the number of angles, and 0 is smoother than noise.

    Parameters
    ----------
    sinogram
        Transmission or absorbance. At least 2 angles and 3 columns; fewer give 0.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(100, 5000))
    >>> stripe = np.random.default_rng(1).normal(size=5000)
    >>> float(ring_score(noise).round(1)), float(ring_score(noise + stripe).round())
    (1.0, 10.0)
    """
    xp = xp_of(sinogram)
    angles, width = sinogram.shape[-2:]
    out = xp.zeros(sinogram.shape[:-2], contract_of(ring_score).output_dtype(0, sinogram.dtype))
    if angles < 2 or width < 3:
        return out
    for index in np.ndindex(out.shape):
        total, power, largest = xp.zeros(width - 2), 0.0, 0.0
        for (part,) in pieces(sinogram[index]):
            rows = sinogram[index][part].astype(np.float32)
            # Not within the noise of rounding, so that a constant has no stripes.
            largest = max(largest, float(xp.abs(rows).max()))
            rows[:, 1:-1] -= (rows[:, :-2] + rows[:, 2:]) / 2
            total += rows[:, 1:-1].sum(axis=0, dtype=np.float64)
            power += float((rows[:, 1:-1] ** 2).sum(dtype=np.float64))
        between = float(((total / angles) ** 2).mean())
        within = (power / (width - 2) - angles * between) / (angles - 1)
        rounding = (np.finfo(np.float32).eps * largest) ** 2
        out[index] = np.sqrt(angles * between / max(within, rounding)) if between else 0
    return out


# --- arguments ----------------------------------------------------------------------------------
def _window(**sizes: int) -> None:
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
            raise ArgumentError(
                "the window of a median is a number of columns",
                got=f"{name}={size!r}",
                expected="a whole number of at least 1",
            )


def _detection(snr: float, drop_ratio: float = 0.0) -> None:
    if not 1 <= snr < np.inf:
        raise ArgumentError("a stripe stands out by at least the noise", got=f"snr={snr}",
                            expected="snr of at least 1")  # fmt: skip
    if not 0 <= drop_ratio <= 0.8:
        raise ArgumentError("the share of values left out is not usable",
                            got=f"drop_ratio={drop_ratio}", expected="0 to 0.8")  # fmt: skip
