"""Background out of sinograms, and projections of one sum."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.xrdct import blobs
from zeoarray import labelled, xrdct
from zeoarray.errors import ArgumentError, SchemaError

AIR = np.array([10.0, 8, 6, 5, 4, 3])


def with_air(ds, level=None):
    factor = np.ones(ds.sizes["angle"]) if level is None else np.asarray(level)
    return ds.assign(intensity=(ds.intensity + factor[None, :, None, None] * AIR).astype("float32"))


def pattern(values=AIR, q=blobs.Q, **variables):
    units = {"units": "1/angstrom"}
    return xr.Dataset({"intensity": ("q", np.asarray(values)), **variables}, {"q": ("q", q, units)})


def test_outer_positions_are_the_background_of_their_projection():
    ds = blobs.blobs()
    level = np.linspace(0.5, 2, 20)
    out = xrdct.subtract_background(with_air(ds, level), outer=2)
    np.testing.assert_allclose(out.intensity, ds.intensity, atol=1e-4)
    assert out.intensity.dtype == np.float32


def test_outer_positions_are_those_that_were_measured():
    ds = with_air(blobs.blobs())
    valid = np.ones((1, 20, 32), bool)
    valid[0, 3, :2] = False
    valid[0, 9] = False
    broken = ds.assign(valid=(("z", "angle", "u"), valid))
    broken["intensity"] = broken.intensity.where(broken.valid)
    out = xrdct.subtract_background(broken, outer=1).intensity
    np.testing.assert_allclose(out[0, 3, 2:], blobs.blobs().intensity[0, 3, 2:], atol=1e-3)
    assert np.isnan(out[0, 9]).all()


def test_noise_of_the_background_goes_into_the_variance():
    rng = np.random.default_rng(0)
    many = 4000
    noisy = rng.normal(size=(1, many, 8, 1))
    ds = blobs.dataset(noisy, np.arange(many)).assign(
        variance=(("z", "angle", "u", "q"), np.ones((1, many, 8, 1), "float32"))
    )
    out = xrdct.subtract_background(ds, outer=2)
    seen = out.intensity.var("angle").values.ravel()
    np.testing.assert_allclose(
        out.variance[0, 0].values.ravel(), [0.75, 0.75, *[1.25] * 4, 0.75, 0.75]
    )
    np.testing.assert_allclose(out.variance[0, 0].values.ravel(), seen, rtol=0.1)


def test_a_reference_is_fitted_to_each_projection():
    ds = blobs.blobs()
    level = np.linspace(0.5, 2, 20)
    out = xrdct.subtract_background(with_air(ds, level), reference=pattern())
    np.testing.assert_allclose(out.background_scale[0], level, rtol=1e-4)
    np.testing.assert_allclose(out.intensity, ds.intensity, atol=2e-3)


def test_a_reference_of_given_scale_and_its_variance():
    ds = with_air(blobs.blobs())
    ds = ds.assign(variance=xr.ones_like(ds.intensity))
    # On other q: it is interpolated, here from twice as many bins.
    fine = np.linspace(1, 2, 11)
    reference = pattern(np.interp(fine, blobs.Q, AIR / 2), fine, variance=("q", np.full(11, 0.5)))
    out = xrdct.subtract_background(ds, reference=reference, scale=2.0)
    np.testing.assert_allclose(out.intensity, blobs.blobs().intensity, atol=1e-4)
    np.testing.assert_allclose(out.variance, 1 + 4 * 0.5)
    assert "background_scale" not in out
    with labelled.recorded() as record:
        xrdct.subtract_background(ds, reference=reference, scale=2.0)
    assert not record.whole & {"q", "z"}


def test_a_reference_scan_is_averaged():
    ds = blobs.blobs()
    empty = xr.zeros_like(ds.intensity) + AIR.astype("float32")
    valid = np.ones((1, 20, 32), bool)
    valid[0, 4] = False
    empty[0, 4] = 1e6
    scan = ds.assign(intensity=empty, valid=(("z", "angle", "u"), valid))
    out = xrdct.subtract_background(with_air(ds), reference=scan, scale=1.0)
    np.testing.assert_allclose(out.intensity, ds.intensity, atol=1e-4)


def test_backgrounds_that_cannot_be():
    ds = with_air(blobs.blobs())
    with pytest.raises(ArgumentError, match="no position is left") as error:
        xrdct.subtract_background(ds, outer=16)
    assert "at most 15" in str(error.value)
    with pytest.raises(ArgumentError, match="factor of a reference"):
        xrdct.subtract_background(ds, scale=1.0)
    with pytest.raises(ArgumentError, match="does not reach over all q"):
        xrdct.subtract_background(ds, reference=pattern(q=blobs.Q + 0.5))
    with pytest.raises(SchemaError, match="the reference has no pattern"):
        xrdct.subtract_background(ds, reference=pattern().rename(intensity="counts"))
    with pytest.raises(SchemaError, match="has no 'q'"):
        xrdct.subtract_background(ds.drop_vars("q"))


def test_projections_of_one_sum():
    ds = blobs.blobs(layers=2)
    level = np.linspace(0.5, 2, 20)
    beam = ds.assign(intensity=(ds.intensity * level[:, None, None].astype("float32")))
    beam = beam.assign(variance=beam.intensity)
    out = xrdct.scale_projections(beam)
    middle = np.median(level)
    np.testing.assert_allclose(out.projection_scale[0], middle / level, rtol=1e-4)
    np.testing.assert_allclose(out.intensity, ds.intensity * middle, rtol=1e-3, atol=1e-5)
    expected = beam.variance * (middle / level[:, None, None]) ** 2
    np.testing.assert_allclose(out.variance, expected, rtol=1e-3, atol=1e-6)


def test_projections_that_cannot_be_scaled_are_kept():
    ds = blobs.blobs()
    ds["intensity"][0, 2] *= -1
    valid = np.ones((1, 20, 32), bool)
    valid[0, 5] = False
    valid[0, 8, 14] = False
    broken = ds.assign(valid=(("z", "angle", "u"), valid))
    broken["intensity"] = broken.intensity.where(broken.valid)
    out = xrdct.scale_projections(broken)
    assert np.flatnonzero(np.isnan(out.projection_scale[0])).tolist() == [2, 5]
    np.testing.assert_array_equal(out.intensity[0, 2], ds.intensity[0, 2])
    # A point in a smooth slope is interpolated for the sum.
    assert float(out.projection_scale[0, 8]) == pytest.approx(1, abs=0.02)
    assert np.isfinite(out.intensity.values[valid]).all()
