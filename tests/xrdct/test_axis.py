"""`find_center` of diffraction sinograms: on known blobs, on the twin, on a real scan."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import zeoarray
from tests.xrdct import blobs
from zeoarray import schema, xrdct
from zeoarray.errors import ArgumentError, SchemaError, SourceError
from zeoarray.twin import scan_xrdct, writers_xrdct
from zeoarray.twin.sample import Sample
from zeoarray.xrdct import AxisWarning

FULL = np.arange(60) * 6.0


def index(ds, found):
    """The axis as an index of u, in each layer."""
    return ((found.axis_u - ds.u[0]) / blobs.STEP).values


def noisy(ds, level=0.02, seed=0):
    rng = np.random.default_rng(seed)
    away = level * rng.normal(size=ds.intensity.shape)
    return ds.assign(intensity=(ds.intensity + away).astype("float32"))


@pytest.mark.parametrize("method", ["auto", "opposite", "mass"])
def test_a_known_axis_is_found(method):
    ds = noisy(blobs.blobs(FULL, layers=3, columns=40, center=17.8))
    found = xrdct.find_center(ds, method=method)
    np.testing.assert_allclose(index(ds, found), 17.8, atol=0.1)
    assert (np.abs(index(ds, found) - 17.8) * blobs.STEP < 3 * found.axis_sigma).all()
    assert not found.ambiguous
    assert not found.at_edge
    schema.validate(found, schema.AXIS_XCT, by="this test")
    assert np.isfinite(found.axis_check) == (method == "auto")
    # The metric is least at the axis.
    row = found.axis_metric[1]
    best = float(found.candidate_u[1][int(np.argmin(row.values))])
    assert best == pytest.approx(17.8 * blobs.STEP, abs=0.3 * blobs.STEP)


def test_unsorted_angles_are_the_same():
    ds = noisy(blobs.blobs(FULL, columns=40, center=17.8))
    order = np.random.default_rng(3).permutation(60)
    one, other = xrdct.find_center(ds), xrdct.find_center(ds.isel(angle=order))
    np.testing.assert_allclose(one.axis_u, other.axis_u, atol=1e-2)


def test_gaps_do_not_count():
    ds = noisy(blobs.blobs(FULL, columns=40, center=17.8))
    valid = np.ones((1, 60, 40), bool)
    valid[0, 11] = False
    valid[0, 30, 20] = False
    broken = ds.assign(valid=(("z", "angle", "u"), valid))
    broken["intensity"] = broken.intensity.where(broken.valid, 1e6)
    found = xrdct.find_center(broken)
    np.testing.assert_allclose(index(ds, found), 17.8, atol=0.1)
    nan = ds.assign(intensity=ds.intensity.where(broken.valid))
    np.testing.assert_allclose(xrdct.find_center(nan).axis_u, found.axis_u, atol=1e-6)
    # A bin that the mask hides is no reason not to look at the others.
    hidden = ds.copy(deep=True)
    hidden["intensity"][..., 2] = np.nan
    np.testing.assert_allclose(index(ds, xrdct.find_center(hidden)), 17.8, atol=0.1)


def test_a_range_of_q_is_summed():
    ds = noisy(blobs.blobs(FULL, columns=40, center=17.8))
    ds["intensity"][..., 0] = noisy(blobs.blobs(FULL, columns=40, center=22.0)).intensity[..., 0]
    found = xrdct.find_center(ds, q_range=(0.99, 1.01))
    np.testing.assert_allclose(index(ds, found), 22.0, atol=0.1)
    with pytest.raises(ArgumentError, match="no q is in the range"):
        xrdct.find_center(ds, q_range=(5.0, 6.0))


def test_less_than_a_half_circle_goes_by_mass():
    ds = noisy(blobs.blobs(np.arange(30) * 4.0, columns=40, center=17.8), 0.002)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AxisWarning)
        found = xrdct.find_center(ds)
    np.testing.assert_allclose(index(ds, found), 17.8, atol=0.1)
    with pytest.raises(ArgumentError, match="no opposite projections") as error:
        xrdct.find_center(ds, method="opposite")
    assert 'method="mass"' in str(error.value)


def test_doubt_is_told():
    ds = noisy(blobs.blobs(FULL, columns=40, center=17.8))
    with pytest.warns(AxisWarning, match="end of the range"):
        found = xrdct.find_center(ds, start=19.0, stop=22.0)
    assert found.at_edge
    # A slope of the background moves every centre of mass to one side.
    slope = ds.assign(intensity=ds.intensity + 0.3 * np.arange(40.0)[:, None].astype("float32"))
    with pytest.warns(AxisWarning, match="centres of mass put it"):
        found = xrdct.find_center(slope, outer=0, method="auto", start=14.0, stop=24.0)
    assert found.ambiguous
    rng = np.random.default_rng(0)
    noise = blobs.dataset(rng.normal(size=(2, 60, 40, 3)), FULL, (0, 50.0))
    with pytest.warns(AxisWarning):
        assert xrdct.find_center(noise).ambiguous


def test_sinograms_without_an_axis():
    ds = blobs.blobs(FULL)
    with pytest.raises(ArgumentError, match="too few rotations"):
        xrdct.find_center(ds.isel(angle=[0]))
    with pytest.raises(SourceError, match="no layer shows a sample"):
        xrdct.find_center(ds * 0)
    with pytest.raises(SourceError, match="no layer shows a sample"):
        xrdct.find_center(ds.assign(valid=(("z", "angle", "u"), np.zeros((1, 60, 32), bool))))
    angle = FULL.copy()
    angle[4] = np.nan
    with pytest.raises(ArgumentError, match="an angle is not finite") as error:
        xrdct.find_center(ds.assign_coords(angle=("angle", angle, ds.angle.attrs)))
    assert "index 4" in str(error.value)
    with pytest.raises(ArgumentError, match="cannot be looked for there"):
        xrdct.find_center(ds, start=-3.0)
    with pytest.raises(SchemaError, match="do not ascend evenly"):
        xrdct.find_center(ds.isel(u=[0, 1, 2, 5, 9]))
    with pytest.raises(SchemaError, match="has no 'z'"):
        xrdct.find_center(ds.isel(z=0, drop=True))


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """The reduced file of one layer of the tiny twin, whose fifth rotation is lost."""
    plan = scan_xrdct.part(scan_xrdct.plans(1, "tiny")["100um"], layers=1, rotations=8)
    folder = tmp_path_factory.mktemp("layer")
    written = writers_xrdct.write_scan(folder, plan, Sample.make(1, "tiny"), workers=2)
    return plan, zeoarray.open_scan(written.reduced[0], {"beam_size": "100 um"})


def test_the_twins_axis_is_found_to_a_tenth_of_a_spot(layer):
    plan, reduced = layer
    found = xrdct.find_center(xrdct.sinogram(reduced))
    away = abs(float(found.axis_u[0]) - plan.axis_um)
    assert away < 0.1 * plan.step_um
    assert away < 3 * float(found.axis_sigma[0])
    # Of seven rotations and ten positions no more is known.
    assert float(found.axis_sigma[0]) < 0.2 * plan.step_um
    assert reduced.sizes["angle"] == 7


def test_a_real_pencil_beam(real: Path):
    path = real / "i18_pencil_beam" / "mm.nxs"
    ds = zeoarray.open_scan(path, {"beam_size": "2 um", "dataset": "entry1/stxm_entry"})
    assert (np.diff(ds.angle) < 0).any(), "its angles are unsorted"
    absorbed = -np.log(ds.intensity / ds.intensity.max("u"))
    found = xrdct.find_center(ds.assign(intensity=absorbed.astype("float32")), layers=3)
    center = (found.row_axis_u - ds.u[0]) / 2.0
    # By hand: about 44.9 by centre of mass, in units of 2 um.
    np.testing.assert_allclose(center, 44.2, atol=0.9)
    assert abs(float(found.axis_check)) < 2.0
    assert not found.ambiguous
