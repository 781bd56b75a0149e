"""Where patches are cut, and that no split can look into another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.placed import THIRDS, places, volume
from zeoarray import patches, schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import sampling
from zeoarray.volume import report


def centres(ds: xr.Dataset) -> np.ndarray:
    return np.stack([ds[n].values for n in ("z0", "y0", "x0")], 1)


def test_a_grid_covers_the_volume_side_by_side() -> None:
    of = volume((8, 64, 16))
    found = patches.place(of, size=8.0, threshold=0.0, splits={"train": 1.0})
    assert found.sizes["patch"] == 2 * 16 * 4
    assert float(found["lost"]) == 0
    places = centres(found)
    for axis, n in enumerate((2, 16, 4)):
        assert np.allclose(np.unique(places[:, axis]), 8.0 * (np.arange(n) - (n - 1) / 2))


@pytest.mark.parametrize("parts", ["slabs", "octants", "blocks"])
@settings(max_examples=6, deadline=None, database=None, derandomize=True)
@given(seed=st.integers(0, 99), support=st.sampled_from([0.0, 3.0, 6.5]))
def test_supports_of_two_splits_share_no_point(parts: str, seed: int, support: float) -> None:
    of = volume((24, 64, 48))
    found = patches.place(
        of, size=8.0, support=support, overlap=0.0, threshold=0.0, parts=parts, blocks=3,
        along="y", splits={"train": 0.6, "rest": 0.4}, seed=seed,
    )  # fmt: skip
    half = 4.0 + support
    one, other = (centres(found)[found["split"].values == n] for n in ("train", "rest"))
    gap = np.abs(one[:, None] - other[None]).max(axis=-1)  # greatest over the axes, of every pair
    assert gap.min() >= 2 * half - 1e-9
    assert not patches.check({"places": found}).leaks


def test_the_buffer_costs_what_is_said() -> None:
    of = volume((4, 100, 4))
    asked: dict[str, Any] = {
        "size": 8.0,
        "threshold": 0.0,
        "along": "y",
        "splits": {"a": 0.5, "b": 0.5},
    }
    free = patches.place(of, **asked)
    apart = patches.place(of, support=10.0, **asked)
    assert free.sizes["patch"] == 25
    assert float(apart["lost"]) == pytest.approx(1 - apart.sizes["patch"] / 25)
    assert apart.sizes["patch"] < 25


@pytest.mark.parametrize("sampling", ["uniform", "blue_noise"])
def test_as_many_as_asked_for_and_the_same_for_a_seed(sampling: str) -> None:
    of = volume((16, 64, 32))
    first, again, other = (places(of, sampling=sampling, count=50, seed=seed) for seed in (1, 1, 2))
    assert first.sizes["patch"] == 50
    xr.testing.assert_identical(first, again)
    assert not np.array_equal(centres(first), centres(other))


def test_blue_noise_lies_farther_apart_than_chance() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 1, (2000, 3))
    kept = points[sampling.apart(points, 500, np.ones(3))]
    chance = points[:500]

    def nearest(p: np.ndarray) -> float:
        distance = np.linalg.norm(p[:, None] - p[None], axis=-1) + 9 * np.eye(len(p))
        return float(distance.min(axis=1).mean())

    assert nearest(kept) > 1.35 * nearest(chance)


def test_only_places_with_enough_sample_are_kept() -> None:
    of = volume((4, 64, 64))
    inside = of["x"].values > 10
    of["attenuation"] = of["attenuation"] * xr.DataArray(inside.astype("float32"), dims="x")
    found = places(of, size=8.0, threshold=0.5, foreground=1.0)
    assert centres(found)[:, 2].min() - 4 > 9
    assert (found["foreground"] > 0.999).all()


def test_the_threshold_parts_sample_and_air() -> None:
    of = volume((4, 64, 64))
    of["attenuation"] = of["attenuation"] * (of["x"] > 10).astype("float32")
    asked = places(of, threshold=None, foreground=0.9)
    given = places(of, threshold=0.4, foreground=0.9)
    assert np.array_equal(centres(asked), centres(given))


def test_patches_of_every_mean_value_are_equally_frequent() -> None:
    of = volume((8, 64, 64))
    rare = (of["x"] > 50).astype("float32")  # an eighth of the volume is ten times brighter
    of["attenuation"] = of["attenuation"] * (1 + 9 * rare)
    drawn = {
        prefer: places(of, sampling="uniform", count=60, prefer=prefer, threshold=0.0, support=0.0)
        for prefer in ("any", "balance")
    }
    bright = {k: float((v["x0"] > 50).mean()) for k, v in drawn.items()}
    assert bright["balance"] > 2 * bright["any"]


def test_each_fold_is_tested_once() -> None:
    of = volume((16, 64, 64))
    tested = [
        {tuple(c) for c in centres(found)[found["split"].values == "test"]}
        for k in range(4)
        for found in [places(of, folds=4, fold=k, blocks=4, support=0.0, size=4.0)]
    ]
    assert all(tested)
    assert sum(map(len, tested)) == len(set.union(*tested)) == 8 * 32 * 32


def test_it_reads_the_volume_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    of = volume((16, 64, 32))
    whole = places(of, overlap=0.5)
    monkeypatch.setattr("zeoarray.patches.contents.READ", 1 << 12)
    xr.testing.assert_identical(whole, places(of, overlap=0.5))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"size": 1000.0}, "a patch is larger than the volume along 'z'"),
        ({"threshold": 9.0}, "no place holds enough of the sample"),
        ({"support": 40.0}, "nothing is left for the split"),
        ({"splits": {"train": 0.5, "test": 0.6}}, "add up to 1"),
        ({"splits": {}}, "add up to 1"),
        ({"sampling": "uniform"}, "how many patches"),
        ({"sampling": "uniform", "count": 5000}, "fewer places than patches"),
        ({"variable": "weight"}, "which variable"),
        ({"folds": 2}, "a fold each"),
        ({"folds": 4, "fold": 4}, "no such fold"),
        ({"y": (500.0, 600.0)}, "larger than the volume along 'y'"),
        ({"size": (8.0, 128.0, 8.0)}, "fewer parts of space than splits"),
        ({"size": -1.0}, "greater than 0"),
        ({"overlap": 1.0}, "less than 1"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said(asked: dict[str, object], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        places(volume(), **asked)


def test_a_constant_volume_has_no_sample() -> None:
    of = volume()
    of["attenuation"][:] = 1.0
    with pytest.raises(ArgumentError, match="the volume is constant"):
        places(of, threshold=None)


def test_units_are_looked_at() -> None:
    of = volume()
    of["z"].attrs["units"] = "mm"
    with pytest.raises(SchemaError, match="'z' is in mm"):
        places(of)
    assert set(THIRDS) == {"train", "validation", "test"}


def registration(**given: Any) -> xr.Dataset:
    """Of a map whose turn about z is unsure, so that it is worse away from the middle."""
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = 0.01 * np.eye(3)
    covariance[5, 5] = 1e-4
    position = np.array([[0, -40.0, 0], [0, 40.0, 0]])
    off = {"position": position, "residual": 0 * position, "sigma": 0 * position + 0.1} | given
    ds = report.expected(volume(), "rigid")
    ds = ds.drop_vars([n for n in ds.variables if str(n).startswith("block_") and ds[n].ndim])
    ds = ds.assign({f"block_{n}": (("block", "axis"), v) for n, v in off.items()})
    ds = ds.assign(
        covariance=(("parameter", "other"), covariance), about=("axis", np.zeros(3)),
        block_weight=("block", np.ones(2)), block_held_out=("block", np.zeros(2, bool)),
    )  # fmt: skip
    return schema.describe(ds, schema.REGISTRATION)


def test_only_places_that_are_registered_well_are_kept() -> None:
    of = volume((4, 100, 4))
    asked: dict[str, Any] = {"along": "y", "support": 0.0, "foreground": 0.0}
    every = centres(places(of, **asked))
    kept = centres(places(of, **asked, registration=registration(), most_error=0.5))
    # Shifts have a variance of 0.01 along each axis, the turn of 1e-4 per um^2 off the z axis.
    corner = (np.abs(every[:, 1]) + 4) ** 2 + (np.abs(every[:, 2]) + 4) ** 2
    good = 0.03 + 1e-4 * corner <= 0.25
    assert 3 < good.sum() < len(good) - 3
    np.testing.assert_array_equal(kept[np.lexsort(kept.T)], every[good][np.lexsort(every[good].T)])


def test_a_sample_that_is_bent_is_left_out_where_it_is() -> None:
    of = volume((4, 100, 4))
    off = np.array([[0, 0, 0], [0.0, 0, 5.0]])
    kept = places(of, support=0.0, foreground=0.0, most_error=2.0,
                  registration=registration(residual=off))  # fmt: skip
    assert (kept["y0"] <= 0).all()
    noisy = registration(residual=off, sigma=np.full((2, 3), 2.0))
    assert (places(of, support=0.0, registration=noisy, most_error=2.0)["y0"] > 0).any()


def test_what_a_filter_by_registration_needs_is_said() -> None:
    with pytest.raises(ArgumentError, match="give both, or none"):
        places(volume(), most_error=1.0)
    with pytest.raises(ArgumentError, match="nowhere is the registration as good"):
        places(volume(), registration=registration(), most_error=0.01)
    with pytest.raises(SchemaError, match="covariance"):
        places(volume(), registration=registration().drop_vars("covariance"), most_error=1.0)
    strange = registration().assign_coords(parameter=[*"abcdef"])
    with pytest.raises(SchemaError, match="parameters of the registration are those of no model"):
        places(volume(), registration=strange, most_error=1.0)


def test_one_of_several_registrations_may_be_meant() -> None:
    one = registration()
    two = np.stack([np.zeros((6, 6)), one["covariance"].values])
    several = xr.Dataset(
        {
            "to_sample": (("scan", "to", "from"), np.stack([np.eye(4)] * 2)),
            "covariance": (("scan", "parameter", "other"), two),
            "about": one["about"],
            **{n: ("scan", np.ones(2)) for n in ("pixel_scale", "center_sigma")},
            **{n: ("pair", np.ones(1)) for n in ("pair_chi2", "pair_residual")},
            "loop_chi2": 1.0, "loop_degrees": 0,
        },
        {"scan": ["a", "b"], "pair": ["b on a"], "parameter": one["parameter"], "axis": [*"xyz"]},
    )  # fmt: skip
    several = schema.describe(several, schema.NETWORK)
    of = volume((4, 100, 4))
    kept = {
        s: places(of, registration=several, scan=s, most_error=0.5).sizes["patch"] for s in "ab"
    }
    alone = places(of, registration=one, most_error=0.5)
    assert kept["a"] > kept["b"] == alone.sizes["patch"]
    with pytest.raises(SchemaError, match="several scans, and this one is not among them"):
        places(of, registration=several, scan="c", most_error=0.5)
