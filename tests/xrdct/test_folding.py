"""Opposite rays averaged."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.xrdct import blobs
from zeoarray import xrdct
from zeoarray.errors import ArgumentError, SchemaError


def test_opposite_rays_of_matter_are_the_same():
    for center in (15.5, 15.0):
        ds = blobs.blobs(center=center)
        out = xrdct.fold(ds, center=center)
        np.testing.assert_allclose(out.angle, np.arange(10) * 18.0)
        np.testing.assert_allclose(out.intensity, ds.intensity[:, :10], atol=1e-4)
        assert out.valid.values.all()
        assert out.both_sides.values[..., :-1].all()
    assert not out.both_sides.values[..., -1].any(), "its opposite lies beyond the scan"


def test_what_changes_sign_cancels():
    """As parallax and absorption do, to first order."""
    ds = blobs.blobs()
    turn = np.deg2rad(ds.angle.values)[:, None]
    away = (np.arange(32) - 15.5)[None]
    # Along the ray, one blob's depth: its sign changes half a turn on.
    depth = 4 * np.sin(turn) - np.cos(turn) + 0 * away
    odd = ds.intensity * (1 + 0.05 * depth[None, :, :, None])
    out = xrdct.fold(ds.assign(intensity=odd.astype("float32")), center=15.5)
    np.testing.assert_allclose(out.intensity, ds.intensity[:, :10], atol=1e-4)


def test_variance_and_gaps():
    ds = blobs.blobs()
    valid = np.ones((1, 20, 32), bool)
    valid[0, 13] = False
    valid[0, [2, 12]] = False
    ds = ds.assign(variance=xr.ones_like(ds.intensity), valid=(("z", "angle", "u"), valid))
    ds["intensity"] = ds.intensity.where(ds.valid)
    out = xrdct.fold(ds, center=15.5)
    np.testing.assert_allclose(out.variance[0, 0], 0.5)
    np.testing.assert_allclose(out.variance[0, 3], 1.0)
    np.testing.assert_allclose(out.intensity[0, 3], ds.intensity[0, 3], rtol=1e-6)
    assert np.isnan(out.intensity[0, 2]).all()
    assert not out.valid.values[0, 2].any()
    assert out.valid.values[0, 3].all()
    assert not out.both_sides.values[0, 3].any()


def test_between_positions_opposite_rays_are_interpolated():
    ds = blobs.blobs(center=15.6)
    ds = ds.assign(variance=xr.ones_like(ds.intensity))
    out = xrdct.fold(ds, center=15.6)
    one, other = ds.intensity[0, 0, 10, 2], ds.intensity[0, 10, :, 2]
    expected = (one + 0.8 * other[21] + 0.2 * other[22]) / 2
    np.testing.assert_allclose(out.intensity[0, 0, 10, 2], expected, rtol=1e-5)
    assert float(out.variance[0, 0, 10, 2]) == pytest.approx((1 + 0.8**2 + 0.2**2) / 4)


def test_a_measured_axis_serves():
    ds = blobs.blobs(layers=2)
    um = {"units": "um"}
    axis = xr.Dataset({"axis_u": ("z", [15.5 * 25, 15.5 * 25], um)}, {"z": ds.z})
    one, other = xrdct.fold(ds, axis=axis), xrdct.fold(ds, center=15.5)
    np.testing.assert_allclose(one.intensity, other.intensity, atol=1e-5)


def test_a_rotation_measured_twice_does_not_count_twice():
    angle = [*np.arange(20) * 18.0, 360.0]
    ds = blobs.blobs(angle)
    ds["intensity"][0, 0] += 1
    out = xrdct.fold(ds, center=15.5)
    assert out.sizes["angle"] == 10
    # Half of the mean of both at 0 deg, half of the one at 180 deg.
    away = out.intensity[0, 0] - blobs.blobs().intensity[0, 0]
    np.testing.assert_allclose(away, 0.25, atol=1e-4)


def test_foldings_that_cannot_be():
    with pytest.raises(ArgumentError, match="no projection has an opposite") as error:
        xrdct.fold(blobs.blobs(np.arange(10) * 17.0), center=15.5)
    assert "0 to 153 deg" in str(error.value)
    with pytest.raises(ArgumentError, match="rotation axis"):
        xrdct.fold(blobs.blobs())
    with pytest.raises(ArgumentError, match="not finite"):
        xrdct.fold(
            blobs.blobs().assign_coords(angle=("angle", np.full(20, np.nan), {"units": "deg"})),
            center=1.0,
        )
    with pytest.raises(SchemaError, match="has no 'q'"):
        xrdct.fold(blobs.blobs().drop_vars("q"), center=15.5)
