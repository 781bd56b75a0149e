"""Spots of single crystals out of sinograms."""

from __future__ import annotations

import numpy as np
import pytest

from tests.xrdct import blobs
from zeoarray import labelled, xrdct
from zeoarray.errors import ArgumentError, SchemaError

ANGLES = np.arange(40) * 9.0


def noisy(exposure=100.0, angle=ANGLES):
    """Counts of the blobs on air."""
    ds = blobs.blobs(angle)
    mean = exposure * (ds.intensity.values + 2)
    return ds.assign(intensity=(ds.intensity.dims, mean.astype("float32"))), ds.assign(
        intensity=(ds.intensity.dims, np.random.default_rng(1).poisson(mean).astype("float32"))
    )


def test_spots_are_replaced_and_matter_is_not():
    mean, ds = noisy()
    places = [(3, 10, 2), (17, 15, 0), (17, 16, 0), (0, 20, 4), (39, 5, 1)]
    marked = ds.copy(deep=True)
    for i, k, t in places:
        marked["intensity"][0, i, k, t] *= 6
    out = xrdct.remove_spots(marked)
    changed = np.argwhere(out.intensity.values != marked.intensity.values)[:, 1:]
    assert set(map(tuple, changed)) >= set(places)
    assert len(changed) <= len(places) + 2
    error = out.intensity.values - mean.intensity.values
    for i, k, t in places:
        level = float(mean.intensity[0, i, k, t])
        assert abs(error[0, i, k, t]) < 0.5 * level + 5 * np.sqrt(level)
    assert float(out.spots[0, 17, 0]) == pytest.approx(2 / 32)
    assert out.spots.dims == ("z", "angle", "q")


def test_a_small_bright_particle_is_matter():
    """It is in all projections, and moves from one to the next."""
    angle = np.arange(60) * 6.0
    ds = blobs.blobs(angle)
    turn = np.deg2rad(angle)
    where = 15.5 + 9 * np.cos(turn)
    small = 200 * np.exp(-(((np.arange(32) - where[:, None]) / 0.6) ** 2))
    ds["intensity"] += small[None, :, :, None].astype("float32")
    out = xrdct.remove_spots(ds)
    assert float(out.spots.max()) == 0


def test_spots_over_two_projections_want_a_span():
    _, ds = noisy()
    ds["intensity"][0, 10:12, 16, 3] *= 8
    assert float(xrdct.remove_spots(ds).spots[0, 10, 3]) == 0
    out = xrdct.remove_spots(ds, span=2, reach=2)
    assert (out.spots[0, 10:12, 3] > 0).all()


def test_points_that_were_not_measured_say_nothing():
    _, ds = noisy()
    valid = np.ones((1, 40, 32), bool)
    valid[0, 11] = False
    ds["intensity"][0, 12, 16, 3] *= 8
    marked = ds.assign(valid=(("z", "angle", "u"), valid))
    marked["intensity"] = marked.intensity.where(marked.valid)
    out = xrdct.remove_spots(marked)
    assert float(out.spots[0, 12, 3]) == pytest.approx(1 / 32)
    assert np.isnan(out.intensity[0, 11]).all()
    assert float(out.spots[0, 11].sum()) == 0


def test_it_may_be_cut_along_q_and_z():
    with labelled.recorded() as record:
        xrdct.remove_spots(noisy()[1])
    assert record.whole == {"angle", "u"}


def test_bad_thresholds():
    ds = noisy()[1]
    with pytest.raises(ArgumentError, match="threshold of at least 0"):
        xrdct.remove_spots(ds, snr=-1)
    with pytest.raises(ArgumentError, match="projections beside its own") as error:
        xrdct.remove_spots(ds, span=0)
    assert "span of 1 or more" in str(error.value)
    with pytest.raises(SchemaError, match="do not ascend") as told:
        xrdct.remove_spots(ds.isel(angle=slice(None, None, -1)))
    assert "xrdct.sinogram" in str(told.value)
