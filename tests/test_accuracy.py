"""Whether reconstructions of the twin are true: attenuation, rings, regions of interest.

The quick tests take a few rows; those of `make prove` take whole scans of the small twin.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests import accuracy
from zeoarray import quality, xct
from zeoarray.twin import truth

FULL, FINE, ROI = "i13-1.625um", "i13-0.8125um", "i13-0.325um"
HALF_UM = 640.0
"""Half the width of what holds the sample."""
ROWS = (5, 9)
"""Of `FULL`: a full stripe and a partial one lie in them."""
ROI_ROWS = (31, 33)


@pytest.fixture(scope="module")
def matter():
    return accuracy.sample()


@pytest.fixture(scope="module")
def band(matter, tmp_path_factory):
    return accuracy.measured(tmp_path_factory.mktemp("striped"), matter, FULL, rows=ROWS)


@pytest.fixture(scope="module")
def clean(matter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    return accuracy.measured(folder, matter, FULL, rows=ROWS, striped=False)


def volume_of(found, *, rings=True, **options):
    return xct.reconstruct(
        accuracy.absorbance(found, rings=rings), axis=found.mount[["axis_u"]], **options
    )


def scores(volume):
    return quality.summary(volume, rows=volume.sizes["z"])["ring_score"].values


def test_solid_zeolite_has_its_attenuation_to_a_percent(matter, band):
    volume = accuracy.inner(volume_of(band), HALF_UM)
    real = accuracy.true(matter, band, volume)
    where = accuracy.solid(real)
    assert where.sum() > 1000
    found = accuracy.mean_over(volume["attenuation"].values, real["attenuation"].values, where)
    assert found == pytest.approx(1, abs=0.01)


def test_without_stripes_and_their_removal_the_mean_is_true_to_half_a_percent(matter, clean):
    volume = accuracy.inner(volume_of(clean, rings=False), HALF_UM)
    real = accuracy.true(matter, clean, volume)
    found = accuracy.mean_over(
        volume["attenuation"].values, real["attenuation"].values, accuracy.solid(real)
    )
    # The file states a pixel that is a little off, and attenuation is per length.
    assert found / clean.scale == pytest.approx(1, abs=0.005)


def test_rings_are_within_a_tenth_of_a_twin_without_stripes(band, clean):
    before = scores(volume_of(band, rings=False)) / scores(volume_of(clean, rings=False))
    after = scores(volume_of(band)) / scores(volume_of(clean))
    assert before.max() > 1.3
    assert after.max() < 1.1


def test_a_region_of_interest_has_its_contrast_alone_and_its_values_with_the_whole(
    matter, tmp_path
):
    found = accuracy.measured(tmp_path, matter, ROI, rows=ROI_ROWS)
    # What a perfect scan of the whole sample would have, in voxels that are 5 times larger.
    step, z = 5 * float(found.ds["resolution"]), found.ds["z"].values
    plane = np.arange(-HALF_UM, HALF_UM + step / 2, step)
    whole = truth.volume(
        matter, z.mean() + step * np.arange(-1, 2), plane, plane,
        energy_kev=found.scan.energy_kev, to_sample=found.mount["to_sample"].values,
    )  # fmt: skip
    whole["attenuation"] = whole["attenuation"] * np.float32(found.scale)
    check_region(matter, found, whole)


def check_region(matter, found, whole):
    alone = volume_of(found, rings=False, truncation="edge")
    both = volume_of(found, rings=False, complete_from=whole)
    assert not bool(alone["offset_known"])
    assert bool(both["offset_known"])
    real = accuracy.true(matter, found, alone)
    values = real["attenuation"].values
    where = accuracy.solid(real) & accuracy.field(values.shape)
    assert where.sum() > 5000
    for volume in (alone, both):
        contrast = accuracy.contrast(volume["attenuation"].values, values, where)
        assert contrast == pytest.approx(1, abs=0.1)
    assert accuracy.mean_over(both["attenuation"].values, values, where) == pytest.approx(
        1, abs=0.03
    )


@pytest.mark.prove
@pytest.mark.parametrize("name", [FULL, FINE])
def test_whole_scans_are_true_with_the_axis_that_was_found(matter, tmp_path, name):
    found = accuracy.measured(tmp_path / "striped", matter, name)
    clean = accuracy.measured(tmp_path / "clean", matter, name, striped=False)
    # Both about the true axis: an axis that is a little off is no ring.
    assert (scores(volume_of(found)) / scores(volume_of(clean))).max() < 1.1
    lines = accuracy.absorbance(found)
    whole = xct.reconstruct(lines, axis=xct.find_center(lines))
    volume = accuracy.inner(whole, HALF_UM).isel(z=slice(16, 48))
    real = accuracy.true(matter, found, volume)
    found_mean = accuracy.mean_over(
        volume["attenuation"].values, real["attenuation"].values, accuracy.solid(real)
    )
    assert found_mean == pytest.approx(1, abs=0.01)


@pytest.mark.prove
def test_a_region_of_interest_is_completed_from_a_reconstruction(matter, tmp_path):
    found = accuracy.measured(tmp_path / "roi", matter, ROI, rows=(20, 44))
    wide = accuracy.measured(tmp_path / "wide", matter, FULL)
    whole = accuracy.registered(volume_of(wide), wide, found, found.ds["z"].values, half_um=HALF_UM)
    check_region(matter, found, whole)
