"""Two reconstructions of one scan: where one lies in the other is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.ellipses import LOPSIDED, sample
from tests.strategies import um
from zeoarray import quality
from zeoarray.errors import SchemaError, SourceError
from zeoarray.quality import register

Array = np.ndarray[Any, Any]
SIDE, FINE, PIXEL = 120, 5, 2.5


def volume(image: Array, *, rows: int = 4, noise: float = 0.01, seed: int = 0) -> xr.Dataset:
    """The image in every row, with noise of its own."""
    shape = (rows, *image.shape)
    values = (image + noise * np.random.default_rng(seed).normal(size=shape)).astype("float32")
    return xr.Dataset(
        {"attenuation": (("z", "y", "x"), values, {"units": "1/cm"})},
        {
            **{d: um(d, n, PIXEL) for d, n in zip("zyx", shape, strict=True)},
            "resolution": ((), PIXEL, {"units": "um"}),
        },
    )


@pytest.fixture(scope="module")
def ours() -> xr.Dataset:
    return volume(phantom(0, 0))


def phantom(y: float, x: float) -> Array:
    """The phantom moved by parts of a pixel, each pixel the mean of what is in it."""
    fine = sample(LOPSIDED, (SIDE * FINE, SIDE * FINE), 54.0 * FINE, fine=1)
    moved = np.roll(fine, (round(y * FINE), round(x * FINE)), axis=(0, 1))
    return moved.reshape(SIDE, FINE, SIDE, FINE).mean(axis=(1, 3))


@pytest.mark.parametrize("exchanged", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_all_eight_orientations_and_a_shift_are_found(
    ours: xr.Dataset, exchanged: bool, quarters: int
) -> None:
    # Cut to another size, which moves the middle: 1.5 px and -1 px.
    there = phantom(-2.4, 3.2)[: SIDE - 3, 2:]
    turned = np.rot90(there, -quarters)
    theirs = volume(turned.T if exchanged else turned, seed=1)
    found = quality.compare(ours, theirs=theirs)
    assert bool(found.exchanged) is exchanged
    assert int(found.quarters) == quarters
    assert float(found.shift_y) == pytest.approx((2.4 - 1.5) * PIXEL, abs=0.02 * PIXEL)
    assert float(found.shift_x) == pytest.approx((-3.2 + 1) * PIXEL, abs=0.02 * PIXEL)
    assert 0 < float(found.shift_sigma) < 0.02 * PIXEL
    assert found.correlation.values.min() > 0.995


def test_greys_difference_and_detail_of_a_published_volume(ours: xr.Dataset) -> None:
    # Per pixel, as Savu gives it, of the other hand, with noise of a known size.
    sigma, per_pixel = 0.05, PIXEL * 1e-4
    theirs = volume(phantom(0, 0).T, noise=sigma, seed=1)
    theirs["attenuation"] = (theirs.attenuation * per_pixel + 2e-4).assign_attrs(units="1/cm")
    found = quality.compare(ours, theirs=theirs)
    assert float(found.scale) == pytest.approx(1 / per_pixel, rel=0.02)
    assert float(found.offset) == pytest.approx(-2e-4 / per_pixel, abs=0.02)
    np.testing.assert_allclose(found.rms, np.hypot(sigma, 0.01), rtol=0.1)
    assert "per pixel of 2.5 um: the values of theirs" in "".join(found.attrs["notes"])
    inside = found.difference.values[found.difference.values != 0]
    assert inside.std() == pytest.approx(float(found.rms.mean()), rel=0.1)


def test_detail_is_told_from_noise(ours: xr.Dataset) -> None:
    found = quality.compare(ours, theirs=volume(phantom(0, 0), noise=0.4, seed=1))
    curve, limit = found.ring_correlation.values, found.half_bit.values
    # Coarse detail agrees; where the phantom has none, the noise is independent.
    assert curve[1:5].min() > 0.98
    assert curve[-8:].max() < 0.5
    assert limit[-1] < limit[1]
    frequency = found.frequency.values
    assert frequency[-1] == pytest.approx(1e3 / (2 * PIXEL))
    expected = frequency[1:][curve[1:] < limit[1:]][0]
    assert 500 / float(found.agrees_to) == pytest.approx(expected, abs=frequency[1])
    assert PIXEL < float(found.agrees_to) < 4 * PIXEL


def test_identical_volumes_agree_to_the_pixel(ours: xr.Dataset) -> None:
    found = quality.compare(ours, theirs=ours)
    assert max(abs(float(found.shift_y)), abs(float(found.shift_x))) < 1e-6
    assert float(found.scale) == pytest.approx(1, abs=1e-6)
    assert found.rms.values.max() < 1e-6
    assert float(found.agrees_to) == PIXEL


def test_pixels_that_are_not_finite_are_left_out(ours: xr.Dataset) -> None:
    theirs = ours.copy(deep=True)
    theirs["attenuation"][:, 50:56, 40:70] = np.nan
    found = quality.compare(ours, theirs=theirs)
    assert not found.difference.values[50:56, 40:70].any()
    assert float(found.shift_y) == pytest.approx(0, abs=0.1 * PIXEL)
    assert found.rms.values.max() < 0.02
    assert "of theirs are not finite" in found.attrs["notes"][0]


def test_rings_are_scored_in_both(ours: xr.Dataset) -> None:
    y, x = (n - (SIDE - 1) / 2 for n in np.ogrid[:SIDE, :SIDE])
    rings = np.random.default_rng(2).normal(0, 0.05, SIDE)[np.hypot(y, x).astype(int)]
    theirs = volume(phantom(0, 0) + rings, seed=1)
    found = quality.compare(ours, theirs=theirs)
    assert found.rings_theirs.values.min() > 1.5 * found.rings_ours.values.max()


def test_a_nearly_symmetric_sample_is_told() -> None:
    disc = sample(((1.0, 0.6, 0.6, 0, 0, 0),), (SIDE, SIDE), 54.0)
    found = quality.compare(volume(disc), theirs=volume(disc, seed=1))
    assert "another orientation correlates nearly as well" in found.attrs["notes"][0]


def test_rows_are_matched_by_height(ours: xr.Dataset) -> None:
    cut = ours.isel(z=slice(2, None))
    found = quality.compare(ours, theirs=cut, rows=10)
    np.testing.assert_array_equal(found.z, cut.z)
    moved = cut.assign_coords(z=cut.z.assign_attrs(units="um") + 100)
    moved.z.attrs["units"] = "um"
    with pytest.raises(SchemaError, match="no height in common") as caught:
        quality.compare(ours, theirs=moved)
    assert "z_offset" in str(caught.value.do)
    np.testing.assert_array_equal(quality.compare(ours, theirs=moved, z_offset=100.0).z, cut.z)


def test_other_voxels_are_refused(ours: xr.Dataset) -> None:
    coarse = ours.assign_coords(resolution=((), 2 * PIXEL, {"units": "um"}))
    with pytest.raises(SchemaError, match="different voxels") as caught:
        quality.compare(ours, theirs=coarse)
    assert "factor=2" in str(caught.value.do)


@pytest.mark.parametrize(("value", "told"), [(0.0, "0 everywhere"), (np.nan, "no finite pixel")])
def test_a_slice_that_shows_nothing_is_refused(ours: xr.Dataset, value: float, told: str) -> None:
    empty = ours.assign(attenuation=xr.full_like(ours.attenuation, value))
    with pytest.raises(SourceError, match="a slice of theirs shows nothing") as caught:
        quality.compare(ours, theirs=empty)
    assert told in str(caught.value)
    with pytest.raises(SourceError, match="a slice of ours shows nothing"):
        quality.compare(empty, theirs=ours)


def test_what_is_no_volume_is_refused(ours: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match=r"quality.compare \(theirs\)"):
        quality.compare(ours, theirs=ours.rename(attenuation="density"))


def test_moving_keeps_every_frequency() -> None:
    # A wave moved by a part of a pixel is that wave, but for what its ends do.
    y = np.arange(200)
    wave = np.cos(2 * np.pi * y / 3.1)[None, :, None] + np.zeros((1, 1, 40))
    moved = register.moved(wave, (200, 40), (0.3, 0.0))
    expected = np.cos(2 * np.pi * (y - 0.3) / 3.1)
    np.testing.assert_allclose(moved[0, 60:140, 20], expected[60:140], atol=0.02)


def test_what_theirs_does_not_cover_is_known() -> None:
    finite = np.ones((1, 6, 6), bool)
    finite[0, 2, 2] = False
    np.testing.assert_array_equal(
        register.covered(finite, (6, 6), (1.0, 0.0))[0].sum(), 6 * 6 - 6 - 1
    )
    lost = ~register.covered(finite, (6, 6), (0.5, 0.5))[0]
    # The first row and column have no neighbour before them; pixel 2, 2 serves four.
    assert lost.sum() == 6 + 6 - 1 + 4
