"""The axis by opposite projections: closed forms, the digital twin, and input that is bad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from tests import ellipses, sinograms
from zeoarray.errors import ArgumentError
from zeoarray.kernels import center_opposite
from zeoarray.kernels.center_opposite import find_center_opposite, has_rival, refined

Array = np.ndarray[Any, Any]


def sinogram(columns: int, center: float, angle: Array, noise: float = 0.01) -> Array:
    out = ellipses.project(ellipses.LOPSIDED, angle, columns, 0.45 * columns, center)
    rng = np.random.default_rng(0)
    return (out / out.max() + noise * rng.normal(size=out.shape)).astype("float32")


@pytest.mark.parametrize(
    ("columns", "angles", "turn", "center"),
    [
        (131, 181, 180.0, 62.37),
        (128, 97, 180.0, 66.9),
        (101, 120, 360.0, 52.2),
        (127, 200, 200.0, 61.0),
        (96, 120, 178.0, 48.75),
        (97, 3, 180.0, 50.3),
    ],
)
def test_the_axis_is_found_for_any_turn(
    columns: int, angles: int, turn: float, center: float
) -> None:
    angle = np.deg2rad(np.linspace(-40, turn - 40, angles))
    found = find_center_opposite(sinogram(columns, center, angle), angle)
    assert float(found.center) == pytest.approx(center, abs=0.1)
    assert float(found.sigma) < 0.25
    assert not found.at_edge
    assert not found.ambiguous


def test_the_order_of_angles_does_not_matter_and_gaps_may_be() -> None:
    angle = np.linspace(0, np.pi, 181)
    keep = np.random.default_rng(1).permutation(np.r_[0:60, 75:181])
    values = sinogram(120, 61.3, angle)
    found = find_center_opposite(values[keep], angle[keep])
    assert float(found.center) == pytest.approx(61.3, abs=0.1)
    assert not found.ambiguous


def test_more_than_half_a_circle_is_used() -> None:
    """Twelve directions instead of one: the axis is known better."""
    angle = np.linspace(0, 2 * np.pi, 241)
    values = sinogram(120, 58.2, angle, noise=0.05)
    whole = find_center_opposite(values, angle)
    half = find_center_opposite(values[:121], angle[:121])
    assert float(whole.sigma) < 0.6 * float(half.sigma)
    assert float(whole.center) == pytest.approx(58.2, abs=0.1)


def test_an_axis_beyond_the_range_is_at_its_edge() -> None:
    angle = np.linspace(0, np.pi, 181)
    found = find_center_opposite(sinogram(120, 63.0, angle), angle, start=50, stop=61)
    assert bool(found.at_edge)
    assert float(found.center) == pytest.approx(61, abs=0.1)


def test_noise_and_constants_are_ambiguous() -> None:
    angle = np.linspace(0, np.pi, 90)
    noise = np.random.default_rng(0).normal(size=(10, 90, 120))
    assert find_center_opposite(noise, angle).ambiguous.mean() >= 0.9
    for value in (0.0, 3.5):
        flat = find_center_opposite(np.full((90, 120), value, "float32"), angle)
        assert bool(flat.ambiguous)
        assert np.isfinite(flat.center)
        assert np.isinf(flat.sigma)


def test_bad_input_is_told() -> None:
    angle = np.linspace(0, np.pi, 20)
    values = sinogram(100, 50.0, angle)
    cases: list[tuple[Array, Array, dict[str, float], str]] = [
        (values, angle, {"start": 60, "stop": 40}, "start=60, stop=40"),
        (values, angle, {"stop": 100}, "0 <= start <= stop <= 99"),
        (values, angle, {"start": np.nan}, "start=nan"),
        (values, angle, {"step": 0}, "step=0"),
        (values, angle[1:], {}, "20 projections"),
        (np.where(values > 0.5, np.nan, values), angle, {}, "values that are not finite"),
    ]
    for array, at, more, words in cases:
        with pytest.raises(ArgumentError) as info:
            find_center_opposite(array, at, **more)
        assert words in str(info.value)


def test_the_parabola_is_that_through_three_points() -> None:
    place = np.arange(5.0)
    assert refined(place, 3 * (place - 2.2) ** 2 + 1) == pytest.approx((2.2, 6.0))
    assert refined(place, place) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("best", "other", "rival"),
    [
        (0.07, 0.24, False),  # of a wide detector: much less alike, though half as deep
        (0.20, 0.30, True),
        (0.55, 0.60, True),  # of noise
        (0.001, 0.02, True),  # both as good as equal
    ],
)
def test_a_rival_is_about_as_alike(best: float, other: float, rival: bool) -> None:
    place = np.arange(-30, 30.1, 0.25)
    curve = 0.7 - (0.7 - best) * np.exp(-(place**2)) - (0.7 - other) * np.exp(-((place - 15) ** 2))
    assert has_rival(place, curve) is rival
    beside = 0.7 - (0.7 - best) * np.exp(-(place**2)) - 0.05 * np.exp(-((place - 1.5) ** 2))
    assert not has_rival(place, beside)


def test_a_small_sample_on_a_wide_detector_is_not_ambiguous() -> None:
    """Grains of one size far apart: where one meets another, projections are half alike."""
    angle, u = np.linspace(0, np.pi, 151), np.arange(700)
    rng = np.random.default_rng(4)
    values = 0.01 * rng.normal(size=(151, 700))
    for x, y in ((90.0, 30.0), (110.0, -20.0)):
        away = u - 352.3 - x * np.cos(angle)[:, None] - y * np.sin(angle)[:, None]
        values += np.sqrt(np.clip(64 - away**2, 0, None)) / 16
    found = find_center_opposite(values, angle)
    assert float(found.center) == pytest.approx(352.3, abs=0.1)
    assert not found.ambiguous


def doubtful() -> tuple[Array, Array]:
    """A sinogram whose axis is not known well, and is the only one it may be."""
    angle = np.linspace(0, np.pi, 100)
    return sinogram(80, 41.3, angle, noise=0.25), angle


@pytest.mark.parametrize("spread", [0.02, np.inf])
def test_a_doubtful_axis_is_looked_for_with_the_slice(
    spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And drawn there by how well both are known; to a slice that knows nothing it is not."""
    values, angle = doubtful()
    monkeypatch.setattr(center_opposite, "LOST", 0.0)
    alone = find_center_opposite(values, angle)
    assert center_opposite.SURE < float(alone.sigma) < 1
    monkeypatch.setattr(center_opposite, "LOST", 1.5)
    given = []

    def beside(seen: Array, at: Array, guess: float) -> tuple[float, float]:
        given.append(guess)
        return guess + 0.1, spread

    monkeypatch.setattr(center_opposite, "with_slice", beside)
    both = find_center_opposite(values, angle)
    assert given == [pytest.approx(float(alone.center))]
    if np.isfinite(spread):
        share = alone.sigma**2 / (alone.sigma**2 + (center_opposite.SLICE * spread) ** 2)
        assert float(both.center - alone.center) == pytest.approx(0.1 * float(share), abs=1e-4)
        assert float(both.sigma) < 0.5 * float(alone.sigma)
    else:
        assert float(both.center) == pytest.approx(float(alone.center))
        assert float(both.sigma) >= float(alone.sigma)


def test_the_slice_does_not_choose_between_rivals(monkeypatch: pytest.MonkeyPatch) -> None:
    values, angle = doubtful()
    monkeypatch.setattr(center_opposite, "has_rival", lambda place, curve: True)
    monkeypatch.setattr(center_opposite, "with_slice", lambda *given: pytest.fail("it was asked"))
    found = find_center_opposite(values, angle)
    assert bool(found.ambiguous)
    assert float(found.sigma) > center_opposite.SURE


def judged(
    numbers: Iterable[int], size: tuple[int, int] = (128, 320)
) -> tuple[Array, Array, Array]:
    """Error, standard deviation and flag of each."""
    rows = []
    for number in numbers:
        one = sinograms.draw(number, size)
        found = find_center_opposite(one.values, one.angle_rad)
        off = abs(float(found.center) - one.center)
        rows.append((off, float(found.sigma), bool(found.ambiguous | found.at_edge)))
    error, sigma, flagged = (np.array(v) for v in zip(*rows, strict=True))
    return error, sigma, flagged


def test_random_sinograms_of_the_twin() -> None:
    """A few small ones, harder than most: `make prove` tries a thousand.

    Five of ellipsoids, and three scans of one pellet, as it takes a second to make one.
    """
    error, sigma, flagged = judged((0, 1, 4, 5, 6, 3, 8, 68), (128, 160))
    assert np.median(error) < 0.15
    assert error.max() < 0.5
    assert ((error > 0.25) & ~flagged).sum() <= 1
    assert flagged.sum() <= 2
    assert 0.3 < np.sqrt(np.mean((error / sigma) ** 2)) < 1.7


UNSEEN = (*range(2000, 2200), *range(3000, 3200), *range(4000, 4100), *range(5000, 5500))
"""Nothing was tuned on these numbers: 0 to 199 and 1000 to 1199 were for that."""


@pytest.mark.prove
@pytest.mark.timeout(4 * 3600)
def test_a_thousand_random_sinograms_of_the_twin() -> None:
    """Right to a quarter pixel, flagged, and wrong all the same.

    Nothing is left out, though in some rows (2002, 2048, 2054, 2076) nothing that turns rises above
    the noise, as they are above the pellet.
    """
    error, sigma, flagged = judged(UNSEEN)
    assert (error <= 0.25).mean() >= 0.96
    assert flagged.mean() <= 0.05
    assert ((error > 0.25) & ~flagged).mean() <= 0.01
    assert 0.8 < np.sqrt(np.mean((error / sigma) ** 2)) < 1.2
