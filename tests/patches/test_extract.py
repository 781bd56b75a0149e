"""What patches hold, and that they go back where they were cut."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.placed import UM, places, volume
from zeoarray import patches
from zeoarray.errors import ArgumentError, SchemaError


def test_own_voxels_are_cut_as_they_are() -> None:
    of = volume()
    cut = patches.extract(places(of), volume=of)
    assert cut["attenuation"].dims == ("patch", "channel", "z", "y", "x")
    for i in (0, cut.sizes["patch"] // 2, -1):
        one = cut.isel(patch=i)
        at = {d: float(one[f"{d}_cut"]) + one[d].values for d in "zyx"}
        there = of["attenuation"].sel(at, method="nearest", tolerance=1e-6)
        assert np.array_equal(one["attenuation"].values[0], there.values)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_what_was_cut_goes_back(overlap: float) -> None:
    of = volume((8, 64, 16))
    cut = patches.extract(
        patches.place(of, size=8.0, overlap=overlap, threshold=0.0, splits={"all": 1.0}), volume=of
    )
    back = patches.stitch(of, patches=cut)
    assert back["attenuation"].dims == ("z", "y", "x")
    np.testing.assert_allclose(back["attenuation"], of["attenuation"], rtol=1e-5)


def test_where_no_patch_was_cut_is_nothing() -> None:
    of = volume()
    back = patches.stitch(of, patches=patches.extract(places(of), volume=of))["attenuation"]
    known = np.isfinite(back.values)
    assert 0 < known.mean() < 1
    np.testing.assert_allclose(back.values[known], of["attenuation"].values[known], rtol=1e-5)


def test_coarser_voxels_are_means_of_what_they_cover() -> None:
    of = volume((8, 64, 16))
    cut = patches.extract(places(of, support=3.0), volume=of, voxel=4.0)
    assert cut["attenuation"].shape[2:] == (2, 2, 2)
    fine = patches.extract(places(of, support=3.0), volume=of)["attenuation"].values
    mean = fine.reshape(*fine.shape[:2], 2, 2, 2, 2, 2, 2).mean(axis=(3, 5, 7))
    np.testing.assert_allclose(cut["attenuation"], mean, rtol=1e-5)
    assert float(cut["voxel"]) == 4.0


def test_integers_are_averaged_as_numbers() -> None:
    of = volume((8, 64, 16))
    of["attenuation"] = (100 * of["attenuation"]).astype("uint16").assign_attrs(units="1/cm")
    as_float = of.assign(attenuation=of["attenuation"].astype("float32"))
    found = places(of, support=3.0)
    cut, wanted = (patches.extract(found, volume=v, voxel=4.0) for v in (of, as_float))
    assert cut["attenuation"].dtype == np.float32
    np.testing.assert_array_equal(cut["attenuation"], wanted["attenuation"])


def test_finer_voxels_lie_on_the_line_between() -> None:
    of = volume((8, 64, 16))
    ramp = of["z"] + 2 * of["y"] - 3 * of["x"]
    of["attenuation"] = ramp.transpose(*"zyx").astype("float32").assign_attrs(units="1/cm")
    found = places(of, support=3.0, threshold=-1e9, z=(-5, 5), y=(-60, 60), x=(-11, 11))
    cut = patches.extract(found, volume=of, voxel=0.5)
    at = [cut[f"{d}0"] + cut[d] for d in "zyx"]
    line = (at[0] + 2 * at[1] - 3 * at[2]).transpose("patch", *"zyx")
    np.testing.assert_allclose(cut["attenuation"].isel(channel=0), line, atol=1e-3)


def test_a_point_spread_function_blurs_as_a_gaussian_does() -> None:
    of = volume((33, 64, 33), voxel=1.0)
    of["attenuation"] = xr.zeros_like(of["attenuation"])
    of["attenuation"][16, 32, 16] = 1.0
    centre = patches.place(
        of, size=15.0, support=12.0, threshold=-1.0, splits={"all": 1.0}, foreground=0.0,
        y=(-7.5, 8.0), z=(-7.5, 7.5), x=(-7.5, 7.5),
    )  # fmt: skip
    cut = patches.extract(centre.isel(patch=[0]), volume=of, psf=2.0)["attenuation"][0, 0]
    assert float(cut.sum()) == pytest.approx(1, abs=2e-3)
    profile = cut.sum(["z", "x"]).values
    y = np.arange(profile.size) - int(profile.argmax())
    # A box convolved with the Gaussian convolved with a box: variances add.
    assert (profile * y**2).sum() / profile.sum() == pytest.approx(4 + 2 / 12, rel=0.02)


def test_sources_of_a_set_match_in_place() -> None:
    fine, coarse = volume((8, 64, 16), 2.0), volume((4, 32, 8), 4.0)
    for of in (fine, coarse):
        of["attenuation"] = (of["y"] + 0 * of["z"] + 0 * of["x"]).transpose(*"zyx").astype("f4")
        of["attenuation"].attrs["units"] = "1/cm"
    found = places(fine, support=3.0, threshold=-1e9)
    one, other = (patches.extract(found, volume=of)["attenuation"] for of in (fine, coarse))
    np.testing.assert_allclose(one.mean([*"zyx"]), other.mean([*"zyx"]), atol=1e-4)


def test_phases_become_channels_and_patterns_stay() -> None:
    of = volume()
    weight = np.stack([of["attenuation"].values, 2 * of["attenuation"].values])
    phases = of.drop_vars("attenuation").assign(weight=(("phase", *"zyx"), weight))
    phases = phases.assign_coords(phase=["sodium", "zinc"])
    cut = patches.extract(places(of), volume=phases)
    assert list(cut["channel"].values) == ["sodium", "zinc"]
    assert cut["weight"].sizes["channel"] == 2
    np.testing.assert_array_equal(2 * cut["weight"][:, 0], cut["weight"][:, 1])
    pattern = xr.Dataset(
        {"intensity": ((*"zyx", "q"), np.moveaxis(weight, 0, -1))},
        {**of.coords, "q": ("q", [1.5, 2.5], {"units": "1/angstrom"})},
    )
    cut = patches.extract(places(of), volume=pattern)
    assert cut["intensity"].dims == ("patch", "q", "z", "y", "x")
    assert np.array_equal(cut["q"], [1.5, 2.5])


def test_neighbouring_slices_become_channels() -> None:
    of = volume((9, 64, 12))
    found = places(of, size=(2.0, 8.0, 8.0), support=(3.0, 1.0, 1.0), z=(-4.0, 4.0))
    cut = patches.extract(found, volume=of, neighbours=1)
    assert cut["attenuation"].shape[1:3] == (3, 1)
    alone = patches.extract(found, volume=of)["attenuation"]
    np.testing.assert_array_equal(cut["attenuation"][:, 1], alone[:, 0])


def test_layers_with_gaps_give_the_nearest_layer() -> None:
    of = volume((8, 64, 12))
    layers = of.isel(z=[0, 1, 5]).copy()
    found = places(of, support=9.0, size=(2.0, 8.0, 8.0))
    cut = patches.extract(found, volume=layers)
    assert cut.sizes["z"] == 1
    nearest = layers["z"].sel(z=found["z0"], method="nearest")
    gap = np.abs(cut["z_cut"] - found["z0"])
    np.testing.assert_allclose(gap, np.abs(nearest - found["z0"]))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"voxel": 16.0}, "splits would leak"),
        ({"psf": 5.0}, "splits would leak"),
        ({"shift_sigma": 1.0}, "splits would leak"),
        ({"variables": ("weight",)}, "no such variable"),
        ({"neighbours": 1}, "flat patches"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said(asked: dict[str, object], said: str) -> None:
    of = volume()
    with pytest.raises(ArgumentError, match=said):
        patches.extract(places(of), volume=of, **asked)


def test_a_place_beyond_the_source_is_named() -> None:
    of, short = volume((8, 64, 12)), volume((8, 20, 12))
    with pytest.raises(ArgumentError, match="reaches beyond the volume along 'y'"):
        patches.extract(places(of), volume=short)


def test_mixed_units_are_refused() -> None:
    of = volume()
    other = of.assign_coords(y=of["y"].assign_attrs(units="mm"))
    with pytest.raises(SchemaError, match="'y' is in mm"):
        patches.extract(places(of), volume=other)


def test_a_volume_in_another_frame_is_refused() -> None:
    of = volume()
    turned = np.eye(4)
    turned[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    with pytest.raises(ArgumentError, match=r"volume\.resample onto a grid of the places' frame"):
        patches.extract(places(of), volume=of.assign(to_sample=(("to", "from"), turned)))
    same = of.assign(to_sample=(("to", "from"), np.eye(4)))
    cut = patches.extract(places(of), volume=same)
    xr.testing.assert_identical(
        cut["attenuation"], patches.extract(places(of), volume=of)["attenuation"]
    )


def test_uneven_layers_are_not_resampled() -> None:
    of = volume((8, 64, 12))
    with pytest.raises(SchemaError, match="not equally spaced"):
        patches.extract(places(of, support=9.0), volume=of.isel(z=[0, 1, 5]), voxel=4.0)


def test_patches_of_other_voxels_are_not_stitched() -> None:
    of = volume()
    cut = patches.extract(places(of, support=3.0), volume=of, voxel=4.0)
    with pytest.raises(SchemaError, match="not those of the volume"):
        patches.stitch(of, patches=cut)
    assert of["z"].attrs == UM
