"""Registration: errors against a truth in closed form, as predicted; and what is refused."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

from tests.registered import Balls, dataset, error, halves, scan, similarity
from zeoarray import schema
from zeoarray.errors import ArgumentError, RegistrationError, SchemaError, SourceError
from zeoarray.volume import refine, register
from zeoarray.volume.levels import Level, Pyramid

BALLS = Balls.draw(1, count=300, width=230.0)
SHAPE, VOXEL = (42, 46, 44), 5.0
TRUTH = similarity((1.0, -2.0, 4.0), (30.0, -25.0, 35.0), 1.003)
NEAR = 0.5
"""Largest turn looked for where turns are not the matter [deg]: blocks find some degrees more."""


@pytest.fixture(scope="module")
def fixed() -> xr.Dataset:
    return scan(BALLS, SHAPE, VOXEL, noise=0.02, seed=1)


@pytest.fixture(scope="module")
def moving() -> xr.Dataset:
    return scan(BALLS, SHAPE, VOXEL, TRUTH, noise=0.02, seed=2)


@pytest.fixture(scope="module")
def found(fixed: xr.Dataset, moving: xr.Dataset) -> xr.Dataset:
    return register(moving, fixed=fixed, model="similarity", blocks=48, turn_deg=NEAR)


def test_the_error_is_small_and_as_predicted(
    found: xr.Dataset, fixed: xr.Dataset, moving: xr.Dataset
) -> None:
    off = error(found.to_fixed.values, TRUTH, fixed, moving)
    assert off < 0.05 * VOXEL
    assert 0.3 < float(found.predicted_rms) / off < 3
    assert found.predicted_max >= found.predicted_rms
    assert bool(found.trusted)
    assert found.attrs["reasons"] == []
    assert abs(float(found.pixel_scale) - 1.003) < 1e-3
    assert abs(float(found.pixel_size) - 1.003 * VOXEL) < 5e-3


def test_every_figure_is_there(found: xr.Dataset) -> None:
    schema.validate(found, schema.REGISTRATION, by="test")
    assert found.held_out_blocks >= 8
    assert 0.2 < float(found.held_out_chi2) < 3
    assert float(found.round_trip) < 0.1 * VOXEL
    assert float(found.split_half) < 0.1 * VOXEL
    assert float(found.null_correlation) < 0.4 < float(found.block_correlation)
    held = found.block_held_out.values
    assert (found.block_weight.values[held] == 0).all()
    pulls = (found.block_residual / found.block_sigma).values[held]
    assert 0.3 < np.sqrt(np.nanmean(pulls**2)) < 2
    assert found.shell_correlation.values[1:4].min() > 0.95
    assert VOXEL <= found.agrees_to < 3 * VOXEL
    np.testing.assert_allclose(found.covariance, found.covariance.T, atol=1e-12)


def test_streaks_of_few_angles_do_not_win() -> None:
    """Halves of a scan are most alike when turned by the angle between projections: 3 degrees."""
    even, odd = halves((32, 72, 72), VOXEL, 60)
    asked: dict[str, Any] = {"fixed": even, "turn_deg": 6.0, "blocks": 32}
    with pytest.raises(RegistrationError, match="coarse structures say otherwise") as caught:
        register(odd, **asked)
    assert "with blur_um=12.5 the answer moves by" in str(caught.value)
    smoothed = register(odd, **asked, blur_um=7.5)
    off = error(smoothed.to_fixed.values, np.eye(4), even, odd)
    assert off < 2 * float(smoothed.predicted_rms) < 0.3 * VOXEL


def test_volumes_are_read_in_parts(
    fixed: xr.Dataset, moving: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where memory does not hold the volumes, only blocks of the finest voxels are read."""
    lazily = [d.chunk({"z": 17, "y": 23, "x": 44}) for d in (fixed, moving)]
    pyramid = Pyramid(Level(lazily[0].attenuation), VOXEL, most_bytes=1 << 14)
    assert pyramid.coarse.voxel_um == 4 * VOXEL
    assert 4 * pyramid.coarse.voxels < 1 << 14
    level = pyramid.at(VOXEL)
    box = (slice(3, 9), slice(0, 5), slice(7, 20))
    np.testing.assert_array_equal(level.read(box), fixed.attenuation.values[box])
    by, busy = [], refine._busy

    def told(level: Level, *arguments: Any) -> Any:
        by.append(level.voxel_um)
        return busy(level, *arguments)

    monkeypatch.setattr(refine, "_busy", told)
    with dask.config.set(scheduler="synchronous"):
        out = register(lazily[1], fixed=lazily[0], model="rigid", blocks=24, memory_mb=1,
                       turn_deg=NEAR, accept=True)  # fmt: skip
    assert error(out.to_fixed.values, TRUTH, fixed, moving) < 0.3 * VOXEL
    # Blocks are chosen, for the way back too, by a level that is in memory as a whole.
    assert min(by[-2:]) > VOXEL


def test_a_fine_part_finds_its_place(fixed: xr.Dataset) -> None:
    truth = similarity((0.5, 1.0, -3.0), (20.0, -15.0, 10.0), 0.998)
    part = scan(BALLS, (56, 56, 56), 2.0, truth, noise=0.03, seed=5)
    out = register(part, fixed=fixed, model="similarity", turn_deg=NEAR, blocks=48, accept=True)
    assert float(out.compared_at) == VOXEL
    assert error(out.to_fixed.values, truth, fixed, part) < 0.1 * VOXEL


def test_another_modality(fixed: xr.Dataset, moving: xr.Dataset) -> None:
    """Neither monotone nor of one sign: only mutual information sees it."""
    values = np.abs(fixed.attenuation.values - 0.5)
    other = dataset(values + 0.02 * np.random.default_rng(3).normal(size=values.shape), VOXEL)
    out = register(
        moving, fixed=other, model="rigid", modality="cross", turn_deg=NEAR, blocks=32, accept=True
    )
    assert error(out.to_fixed.values, TRUTH, fixed, moving) < 0.15 * VOXEL
    assert float(out.mutual_information) > 0.5


def test_a_turn_of_any_angle(fixed: xr.Dataset) -> None:
    truth = similarity((0.0, 0.0, 137.0), (15.0, 20.0, -20.0))
    turned = scan(BALLS, SHAPE, VOXEL, truth, noise=0.02, seed=3)
    out = register(turned, fixed=fixed, blocks=32)
    assert error(out.to_fixed.values, truth, fixed, turned) < 0.05 * VOXEL


def test_it_goes_on_from_a_start(found: xr.Dataset, fixed: xr.Dataset, moving: xr.Dataset) -> None:
    out = register(moving, fixed=fixed, model="similarity", start=found, blocks=24, accept=True)
    assert error(out.to_fixed.values, TRUTH, fixed, moving) < 0.05 * VOXEL


@pytest.mark.parametrize("axis", [pytest.param("x", marks=pytest.mark.prove), "z"])
def test_a_mirrored_volume_is_called_so(fixed: xr.Dataset, moving: xr.Dataset, axis: str) -> None:
    mirrored = dataset(np.flip(moving.attenuation.values, "zyx".index(axis)), VOXEL)
    with pytest.raises(RegistrationError, match=f"mirror image of the other, along {axis}"):
        register(mirrored, fixed=fixed, blocks=12, turn_deg=NEAR)


def test_another_sample_is_refused(fixed: xr.Dataset) -> None:
    other = scan(Balls.draw(9, count=300, width=230.0), SHAPE, VOXEL, noise=0.02)
    with pytest.raises(RegistrationError, match=r"not trusted|nowhere do both") as caught:
        register(other, fixed=fixed, blocks=12, turn_deg=NEAR)
    assert "blocks" in str(caught.value)


@pytest.mark.parametrize("fill", [np.nan, 3.0])
def test_nothing_to_see(fixed: xr.Dataset, fill: float) -> None:
    blank = dataset(np.full(SHAPE, fill), VOXEL)
    what = "empty" if np.isnan(fill) else "constant"
    with pytest.raises(SourceError, match=f"the moving volume is {what}"):
        register(blank, fixed=fixed)
    with pytest.raises(SourceError, match=f"the fixed volume is {what}"):
        register(fixed, fixed=blank)


def test_units_and_axes(fixed: xr.Dataset, moving: xr.Dataset) -> None:
    in_mm = moving.assign_coords({d: moving[d].copy(data=moving[d].values / 1000) for d in "zyx"})
    with pytest.raises(RegistrationError, match="too unlike to be of one unit") as caught:
        register(in_mm, fixed=fixed)
    assert "a factor of 1000" in str(caught.value)
    said = moving.assign_coords(x=moving.x.assign_attrs(units="mm"))
    with pytest.raises(SchemaError, match="is in mm"):
        register(said, fixed=fixed)
    bent = moving.assign_coords(x=moving.x.copy(data=moving.x.values**3))
    with pytest.raises(ArgumentError, match="not evenly spaced"):
        register(bent, fixed=fixed)
    with pytest.raises(SourceError, match="too thin"):
        register(moving.isel(z=slice(0, 2)), fixed=fixed)


def test_which_variable(fixed: xr.Dataset, moving: xr.Dataset) -> None:
    two = moving.assign(weight=moving.attenuation)
    with pytest.raises(SchemaError, match="several volumes") as caught:
        register(two, fixed=fixed)
    assert "variable=" in str(caught.value)
    with pytest.raises(SchemaError, match="has no volume 'wait'"):
        register(two, fixed=fixed, variable="wait")
    with pytest.raises(SchemaError, match="has no volume") as none:
        register(moving, fixed=fixed.drop_vars("attenuation"))
    assert "phase=0" in str(none.value)


def test_a_start_that_cannot_be(fixed: xr.Dataset, moving: xr.Dataset) -> None:
    def start(matrix: Any) -> xr.Dataset:
        return xr.Dataset({"to_fixed": (("to", "from"), matrix, {"units": "um"})})

    with pytest.raises(ArgumentError, match="singular"):
        register(moving, fixed=fixed, start=start(np.diag([1.0, 0, 1, 1])))
    with pytest.raises(ArgumentError, match="mirrors"):
        register(moving, fixed=fixed, start=start(np.diag([-1.0, 1, 1, 1])))
    with pytest.raises(RegistrationError, match="do not overlap") as caught:
        register(moving, fixed=fixed, start=start(similarity((0, 0, 0), (5000.0, 0, 0))))
    assert "5000" in str(caught.value)


def test_boxes_cover_a_level_within_their_bytes(fixed: xr.Dataset) -> None:
    level = Level(fixed.attenuation, 2.5 * VOXEL)
    seen, most = np.zeros(level.shape, int), 60_000
    for box in level.boxes(most):
        seen[box] += 1
        voxels = np.prod([s.stop - s.start for s in box]) * 2.5**3
        assert 4 * voxels <= most
    assert (seen == 1).all()
    whole = level.read((slice(0, level.shape[0]), slice(0, level.shape[1]),
                        slice(0, level.shape[2])))  # fmt: skip
    np.testing.assert_array_equal(
        level.loaded(most).read(level.clipped((slice(0, 99),) * 3)), whole
    )
    # What is averaged stays where it was: the middle of both is one.
    np.testing.assert_allclose(level.middle, Level(fixed.attenuation).middle, atol=1e-9)


def test_beyond_the_circle_nothing_counts(fixed: xr.Dataset) -> None:
    level = Level(fixed.attenuation, circle=0.8)
    values = level.read((slice(0, 2), slice(0, SHAPE[1]), slice(0, SHAPE[2])))
    y, x = np.indices(SHAPE[1:], dtype=float)
    for a, n in ((y, SHAPE[1]), (x, SHAPE[2])):
        a -= (n - 1) / 2
        a /= n / 2
    np.testing.assert_array_equal(np.isnan(values[1]), y**2 + x**2 > 0.8**2)
