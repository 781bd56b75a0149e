"""Stripe removal: against a slow reference of the paper's algorithms, and against algotom."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from zeoarray.errors import ArgumentError
from zeoarray.kernels import columns, rings, stripes

Array = np.ndarray[Any, Any]


# --- a reference that is slow and plain ---------------------------------------------------------
def median(image: Array, size: int) -> Array:
    """Along u, the last axis; the ends reflected as often as is needed."""
    source = columns.reflected(image.shape[-1], image.shape[-1] + size - 1, -(size // 2))
    windows = sliding_window_view(image[..., source], size, axis=-1)
    return np.sort(windows, axis=-1)[..., size // 2]


def detected(profile: Array, snr: float) -> Array:
    values, place = np.sort(profile), np.arange(profile.size)
    middle = slice(profile.size // 4, -(profile.size // 4) - 1)
    slope, low = np.polyfit(place[middle], values[middle], 1)
    high = low + slope * place[-1]
    noise = abs(high - low)
    found = np.zeros(profile.size, bool)
    if abs(values[-1] - high) / noise >= snr:
        found |= profile > high + noise * snr * 0.5
    if abs(low - values[0]) / noise >= snr:
        found |= profile <= low - noise * snr * 0.5
    return np.convolve(found, [1, 1, 1], "same") > 0


def sorted_back(smooth: Array, order: Array) -> Array:
    out = np.empty_like(smooth)
    np.put_along_axis(out, order, smooth, axis=0)
    return out


def order_of(sinogram: Array) -> Array:
    return np.argsort(sinogram.T.copy(), axis=1).T


def sorting(sinogram: Array, size: int) -> Array:
    order = order_of(sinogram)
    return sorted_back(median(np.take_along_axis(sinogram, order, 0), size), order)


def filtering(sinogram: Array, sigma: float, size: int, sort: bool = True) -> Array:
    pad = min(150, int(0.1 * len(sinogram)))
    padded = np.pad(sinogram.astype(float), ((pad, pad), (0, 0)), mode="reflect")
    n = len(padded)
    window = np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / sigma) ** 2)[:, None]
    sign = np.power(-1.0, np.arange(n))[:, None]
    slow = np.real(scipy.fft.ifft(scipy.fft.fft(padded * sign, axis=0) * window, axis=0) * sign)
    slow = slow[pad : n - pad].astype("float32")
    return (sorting(slow, size) if sort else median(slow, size)) + (sinogram - slow)


def large(
    sinogram: Array, snr: float, size: int, drop_ratio: float = 0.1, norm: bool = True
) -> Array:
    order = order_of(sinogram)
    values = np.take_along_axis(sinogram, order, 0)
    smooth = median(values, size)
    drop = int(0.5 * drop_ratio * len(sinogram))
    inner = slice(drop, len(sinogram) - drop)
    ratio = values[inner].mean(0, dtype=float) / smooth[inner].mean(0, dtype=float)
    out = (sinogram / (ratio if norm else 1)).astype("float32")
    bad = detected(ratio, snr)
    out[:, bad] = sorted_back(smooth, order)[:, bad]
    return out


def dead(sinogram: Array, snr: float, size: int) -> Array:
    source = columns.reflected(len(sinogram), len(sinogram) + 9, -5)
    smooth = sliding_window_view(sinogram[source].astype(float), 10, axis=0).mean(-1)
    level = np.abs(sinogram - smooth.astype("float32")).sum(0, dtype=float)
    around = median(level, size)
    around[around == 0] = around.mean()
    bad = detected(level / around, snr)
    bad[:2] = bad[-2:] = False
    out = sinogram.copy()
    if bad.sum() < bad.size // 3:
        place = np.arange(bad.size)
        for row in out:
            row[bad] = np.interp(place[bad], place[~bad], row[~bad])
    return out


def everything(sinogram: Array, snr: float, la_size: int, sm_size: int) -> Array:
    return sorting(large(dead(sinogram, snr, la_size), snr, la_size), sm_size)


# --- sinograms ----------------------------------------------------------------------------------
def striped(angles: int, width: int, seed: int, *, clean: bool = False) -> Array:
    """Counted discs, and on them full, wide, partial, dead and fluctuating stripes."""
    rng = np.random.default_rng(seed)
    theta = np.linspace(0, np.pi, angles)[:, None]
    u = np.linspace(-1, 1, width)
    path = np.zeros((angles, width))
    for x, y, radius, density in rng.uniform([-0.5, -0.5, 0.1, 0.2], [0.5, 0.5, 0.3, 1], (8, 4)):
        centre = x * np.cos(theta) + y * np.sin(theta)
        path += density * np.sqrt(np.maximum(radius**2 - (u - centre) ** 2, 0))
    sinogram = rng.poisson(1e4 * np.exp(-path)) / 1e4
    if clean:
        return sinogram.astype("float32")
    sinogram *= rng.normal(1, 0.01, width)
    sinogram[:, width // 3 : width // 3 + 5] *= 1.15
    sinogram[:, width // 4] = 0.3
    sinogram[:, width // 5] += rng.normal(0, 0.4, angles)
    sinogram[angles // 3 :, 2 * width // 3] *= 1.1
    return sinogram.astype("float32")


SHAPES = [(181, 300), (97, 127), (200, 64), (40, 101), (11, 53)]
WINDOWS = [1, 2, 5, 10, 31, 70]


def agree(ours: Array, theirs: Array) -> None:
    assert ours.dtype == np.float32
    span = np.ptp(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * span)


WIDE = [5, 10, 31, 70]
"""A window narrower than these leaves no noise to find stripes by."""


class TestAgainstTheReference:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("size", WINDOWS)
    def test_sorting(self, shape: tuple[int, int], size: int) -> None:
        sinogram = striped(*shape, seed=1)
        agree(rings.remove_stripe_based_sorting(sinogram, size=size), sorting(sinogram, size))

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("size", WINDOWS)
    def test_filtering(self, shape: tuple[int, int], size: int) -> None:
        sinogram = striped(*shape, seed=2)
        for sort in (True, False):
            ours = rings.remove_stripe_based_filtering(sinogram, sigma=4, size=size, sort=sort)
            agree(ours, filtering(sinogram, 4, size, sort))

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("size", WIDE)
    def test_large(self, shape: tuple[int, int], size: int) -> None:
        sinogram = striped(*shape, seed=3)
        agree(rings.remove_large_stripe(sinogram, size=size), large(sinogram, 3, size))
        ours = rings.remove_large_stripe(
            sinogram, snr=2, size=size, drop_ratio=0.4, norm=False
        )  # fmt: skip
        agree(ours, large(sinogram, 2, size, 0.4, norm=False))

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("size", WIDE)
    def test_dead(self, shape: tuple[int, int], size: int) -> None:
        sinogram = striped(*shape, seed=4)
        ours = rings.remove_dead_stripe(sinogram, size=size, residual=False)
        agree(ours, dead(sinogram, 3, size))
        ours = rings.remove_dead_stripe(sinogram, size=size)
        agree(ours, large(dead(sinogram, 3, size), 3, size))

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("size", WINDOWS)
    def test_all(self, shape: tuple[int, int], size: int) -> None:
        sinogram = striped(*shape, seed=5)
        ours = rings.remove_all_stripe(sinogram, la_size=max(2 * size, 7), sm_size=size)
        agree(ours, everything(sinogram, 3, max(2 * size, 7), size))


def test_equal_values_and_counts() -> None:
    counts = (500 * striped(181, 300, seed=6)).clip(0).astype("uint16")
    assert len(np.unique(counts[:, 50])) < 100
    ours = rings.remove_all_stripe(counts)
    agree(ours, everything(counts.astype("float32"), 3, 71, 31))


def test_absorbance_of_either_sign() -> None:
    sinogram = -np.log(striped(181, 300, seed=7).clip(0.01))
    assert sinogram.min() < 0 < sinogram.max()
    agree(rings.remove_all_stripe(sinogram), everything(sinogram, 3, 71, 31))


def test_the_real_sinogram(real: Path) -> None:
    sinogram = np.load(real / "sinograms" / "sino_stripe_i12.npy")
    ours = rings.remove_all_stripe(sinogram)
    agree(ours, everything(sinogram, 3, 71, 31))
    # A burnt band of the scintillator stood in columns 190 to 210.
    assert sinogram[:, 200].min() > 0.9
    assert np.ptp(ours[:, 185:216].mean(axis=0)) < 0.05
    assert rings.ring_score(ours) < rings.ring_score(sinogram) / 10


METHODS = {
    "remove_stripe_based_sorting": [{"size": 31}, {"size": 20}],
    "remove_stripe_based_filtering": [{"sigma": 3, "size": 31}, {"size": 30, "sort": False}],
    "remove_large_stripe": [{"snr": 3.0, "size": 71}, {"snr": 2.0, "size": 70, "norm": False}],
    "remove_dead_stripe": [{"snr": 3.0, "size": 71}, {"snr": 2.0, "size": 40, "residual": False}],
    "remove_all_stripe": [
        {"snr": 3.0, "la_size": 71, "sm_size": 31},
        {"snr": 2.0, "la_size": 100, "sm_size": 10, "drop_ratio": 0.2},
    ],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", METHODS)
def test_against_algotom(name: str) -> None:
    removal = pytest.importorskip("algotom.prep.removal", reason="algotom is not installed")
    sinogram = striped(150, 211, seed=8)
    for arguments in METHODS[name]:
        theirs = getattr(removal, name)(sinogram, **arguments)
        agree(getattr(rings, name)(sinogram, **arguments), theirs.astype("float32"))


def test_without_division_it_is_the_three_in_turn() -> None:
    sinogram = striped(150, 211, seed=8)
    dead = rings.remove_dead_stripe(sinogram, snr=3.0, size=71, residual=False)
    large = rings.remove_large_stripe(dead, snr=3.0, size=71, norm=False)
    expected = rings.remove_stripe_based_sorting(large, size=31)
    ours = rings.remove_all_stripe(sinogram, snr=3.0, la_size=71, sm_size=31, norm=False)
    agree(ours, expected)
    assert np.abs(ours - rings.remove_all_stripe(sinogram)).max() > 1e-3


# --- what it does -------------------------------------------------------------------------------
def test_stripes_go_and_the_sample_stays() -> None:
    clean, dirty = striped(361, 300, seed=9, clean=True), striped(361, 300, seed=9)
    mended = rings.remove_all_stripe(dirty, la_size=41, sm_size=15)
    assert rings.ring_score(dirty) > 20
    assert rings.ring_score(clean) < 1.3
    assert rings.ring_score(mended) < 3
    error = np.abs(mended - clean)
    assert np.median(error) < 0.02
    assert np.abs(dirty - clean).max() > 10 * error.mean()


def test_batches_dtypes_and_layouts_change_nothing() -> None:
    stack = np.stack([striped(60, 90, seed) for seed in range(3)])
    stack.flags.writeable = False
    ours = rings.remove_all_stripe(stack[:, None], la_size=21, sm_size=7)
    assert ours.shape == (3, 1, 60, 90)
    for one, out in zip(stack, ours[:, 0], strict=True):
        alone = rings.remove_all_stripe(np.asfortranarray(one), la_size=21, sm_size=7)
        np.testing.assert_array_equal(out, alone)
    double = rings.remove_all_stripe(stack.astype("float64")[:, None], la_size=21, sm_size=7)
    assert double.dtype == np.float64
    np.testing.assert_array_equal(double, ours)


def test_threads_do_not_meet() -> None:
    stack = [striped(60, 90, seed) for seed in range(4)] * 2
    alone = [rings.remove_all_stripe(s) for s in stack]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(rings.remove_all_stripe, stack), strict=True):
            np.testing.assert_array_equal(one, other)


# --- the ends of what is sensible ---------------------------------------------------------------
EVERY = [getattr(rings, name) for name in METHODS]


@pytest.mark.parametrize("method", EVERY, ids=lambda m: m.__name__)
@pytest.mark.parametrize("value", [0.0, 1.0, -3.5])
def test_a_constant_has_no_stripes(method: Any, value: float) -> None:
    constant = np.full((30, 40), value, "float32")
    np.testing.assert_allclose(method(constant), constant, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", EVERY, ids=lambda m: m.__name__)
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 50), (50, 1), (2, 3), (17, 4), (3, 6), (0, 5), (5, 0)]
)
def test_small_sinograms(method: Any, shape: tuple[int, int]) -> None:
    sinogram = np.random.default_rng(0).normal(1, 0.1, shape).astype("float32")
    out = method(sinogram)
    assert out.shape == shape
    assert np.isfinite(out).all()


def test_without_noise_nothing_is_detected() -> None:
    u = np.linspace(-1, 1, 100)
    sinogram = np.tile(np.where(np.abs(u) < 0.2, 0.5, 1), (50, 1)).astype("float32")
    np.testing.assert_array_equal(rings.remove_dead_stripe(sinogram, residual=False), sinogram)
    # Still, what needs no detection is done.
    sinogram[:, 5] *= 1.1
    assert rings.remove_all_stripe(sinogram)[0, 5] == 1


def test_columns_of_zero_are_replaced_and_never_nan() -> None:
    sinogram = striped(90, 120, seed=10)
    sinogram[:, 60] = 0
    out = rings.remove_large_stripe(sinogram)
    assert np.isfinite(out).all()
    assert abs(out[:, 60].mean() - out[:, 57].mean()) < 0.05


def test_where_a_third_is_dead_nothing_is_interpolated() -> None:
    rng = np.random.default_rng(11)
    for every, changed in ((20, True), (7, False)):
        sinogram = rng.normal(1, 0.01, (90, 140)).astype("float32")
        sinogram[:, 4::every] = rng.normal(1, 0.2, sinogram[:, 4::every].shape)
        out = rings.remove_dead_stripe(sinogram, residual=False)
        assert (out != sinogram).any() == changed


@pytest.mark.parametrize("method", EVERY, ids=lambda m: m.__name__)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite(method: Any, value: float) -> None:
    stack = np.ones((2, 20, 30))
    stack[1, 3, 4] = value
    with pytest.raises(ArgumentError, match=r"values that are not finite at \(1,\)") as info:
        method(stack)
    assert "1 of 600 are NaN or Inf" in str(info.value)
    assert "fill them first" in str(info.value)


@pytest.mark.parametrize("method", EVERY, ids=lambda m: m.__name__)
def test_what_is_no_sinogram(method: Any) -> None:
    for wrong in (np.ones(5), np.ones((5, 5), complex)):
        with pytest.raises(ArgumentError, match=r"remove_\w+ takes sinograms of real") as info:
            method(wrong)
        assert f"shape {wrong.shape}, dtype {wrong.dtype}" in str(info.value)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        (rings.remove_stripe_based_sorting, {"size": 0}, "size=0"),
        (rings.remove_stripe_based_sorting, {"size": 2.5}, r"size=2\.5"),
        (rings.remove_stripe_based_filtering, {"size": True}, "size=True"),
        (rings.remove_stripe_based_filtering, {"sigma": 0}, "sigma=0"),
        (rings.remove_stripe_based_filtering, {"sigma": np.nan}, "sigma=nan"),
        (rings.remove_large_stripe, {"size": -1}, "size=-1"),
        (rings.remove_large_stripe, {"snr": 0.5}, r"snr=0\.5"),
        (rings.remove_large_stripe, {"drop_ratio": 0.9}, r"drop_ratio=0\.9"),
        (rings.remove_dead_stripe, {"snr": np.nan}, "snr=nan"),
        (rings.remove_all_stripe, {"la_size": 0}, "la_size=0"),
        (rings.remove_all_stripe, {"sm_size": "31"}, "sm_size='31'"),
        (rings.remove_all_stripe, {"drop_ratio": -0.1}, r"drop_ratio=-0\.1"),
    ],
)
def test_parameters_that_cannot_be(method: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ArgumentError) as info:
        method(np.ones((5, 5)), **arguments)
    assert info.match(message)


# --- the parts ----------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1, 2, 3, 8, 19, 20, 200])
@pytest.mark.parametrize("shape", [(1, 16), (2, 3), (7, 16), (30, 17), (53, 40)])
def test_running_median(shape: tuple[int, int], size: int) -> None:
    rng = np.random.default_rng(size)
    for values in (rng.normal(size=shape), rng.integers(0, 4, shape)):
        one = values.astype("float32")
        out = np.empty_like(one)
        columns.running_median(one, size, out)
        np.testing.assert_array_equal(out, median(one.T, size).T)


def test_plain_bodies_and_compiled_ones_agree() -> None:
    sinogram = striped(70, 45, seed=12)
    np.testing.assert_allclose(
        columns.fluctuation(sinogram, 10), columns.fluctuation_plainly(sinogram, 10), rtol=1e-6
    )
    values = columns.transposed(sinogram)
    order = columns.sort_rows(values)
    compiled, plain = np.empty_like(sinogram), np.empty_like(sinogram)
    columns.put_back(values, order, compiled)
    columns.put_back_plainly(values, order, plain)
    np.testing.assert_array_equal(compiled, sinogram)
    np.testing.assert_array_equal(plain, sinogram)
    factor = np.random.default_rng(0).normal(1, 0.1, 45)
    replaced = np.arange(45) % 7 == 0
    outs = [np.full_like(values, 5), np.full_like(values, 5)]
    stale = columns.divide(values, factor, replaced, outs[0])
    assert columns.divide_plainly(values, factor, replaced, outs[1]).all()
    np.testing.assert_array_equal(*outs)
    np.testing.assert_array_equal(stale[replaced], True)


def test_columns_that_lose_their_order_are_sorted_again() -> None:
    sinogram = striped(50, 30, seed=13)
    values = columns.transposed(sinogram)
    order = columns.sort_rows(values)
    factor = np.where(np.arange(30) % 3 == 0, -1.0, 1.0)
    out = np.empty_like(values)
    stale = columns.divide(values, factor, np.zeros(30, bool), out)
    np.testing.assert_array_equal(stale, factor < 0)
    columns.sort_again(out, order, stale)
    assert (np.diff(out, axis=1) >= 0).all()
    back = np.empty_like(sinogram)
    columns.put_back(out, order, back)
    np.testing.assert_array_equal(back, sinogram / factor.astype("float32"))


def test_what_stands_out_of_a_profile() -> None:
    rng = np.random.default_rng(14)
    profile = rng.normal(1, 0.01, 500)
    profile[100], profile[200] = 1.3, 0.7
    assert stripes.find(profile, 3.0).nonzero()[0].tolist() == [100, 200]
    assert not stripes.find(profile, 30.0).any()
    assert not stripes.find(np.ones(100), 3.0).any()
    assert not stripes.find(profile[:2], 3.0).any()


def test_ring_score_counts_stripes_and_nothing_else() -> None:
    clean = striped(181, 300, seed=15, clean=True)
    scores = [
        float(rings.ring_score(clean * np.random.default_rng(0).normal(1, s, 300)))
        for s in (0, 0.003, 0.01, 0.03)
    ]
    assert 0.8 < scores[0] < 1.3
    assert scores == sorted(scores)
    assert scores[-1] > 10
    both = rings.ring_score(np.stack([clean, clean[:, ::-1]]).astype("uint16") + clean)
    assert both.shape == (2,)
    assert rings.ring_score(np.full((9, 9), 0.1)) == 0
    assert rings.ring_score(np.ones((1, 9))) == rings.ring_score(np.ones((9, 2))) == 0


def test_nothing_is_compiled_at_import() -> None:
    code = (
        "from zeoarray.kernels import columns, rings\n"
        "made = [v for v in vars(columns).values() if hasattr(v, 'nopython_signatures')]\n"
        "print(len(made), sum(len(v.nopython_signatures) for v in made))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["6", "0"]
