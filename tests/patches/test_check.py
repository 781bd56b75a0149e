"""A leak of one voxel is found; statistics know the training split only."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from tests.placed import UM, places, volume
from zeoarray import patches
from zeoarray.errors import ArgumentError


def test_a_planted_leak_of_one_voxel_is_found() -> None:
    of = volume((8, 128, 12))
    found = places(of, support=1.0)
    assert patches.check({"fine": found}).leaks == ()
    # The test patch nearest to a training patch moves until their supports share one voxel.
    y, split = found["y0"].values, found["split"].values
    train = y[split == "train"].max()
    at = np.flatnonzero((split != "train") & (y > train))
    at = int(at[np.argmin(y[at])])
    near = np.flatnonzero((split == "train") & (y == train))[0]
    z, x = (found[n].values.copy() for n in ("z0", "x0"))
    z[at], x[at] = z[near], x[near]
    found = found.assign_coords(z0=("patch", z, UM), x0=("patch", x, UM))
    moved = y.copy()
    moved[at] = train + (8.0 + 2 * 1.0) - 2.0  # a voxel is 2 um
    planted = found.assign_coords(y0=("patch", moved, found["y0"].attrs))
    (leak,) = patches.check({"fine": planted}).leaks
    assert "train" in leak.splits
    assert leak.overlap[1] == pytest.approx(2.0)
    assert "overlaps patch" in str(leak)
    moved[at] += 2.0  # now they only touch
    touching = found.assign_coords(y0=("patch", moved, found["y0"].attrs))
    assert patches.check({"fine": touching}).leaks == ()


def test_a_leak_between_two_sources_is_found() -> None:
    of = volume((8, 128, 12))
    found = places(of, support=1.0)
    wide = found.assign_coords(support_y=found["support_y"] + 30.0)
    told = patches.check({"fine": found, "coarse": wide})
    assert {leak.sources for leak in told.leaks} >= {("fine", "coarse"), ("coarse", "coarse")}
    assert told.patches == {n: int((found["split"] == n).sum()) for n in told.patches}


def test_statistics_are_those_of_the_training_split(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("zeoarray.patches.statistics")
    monkeypatch.setattr(module, "AT_ONCE", 5)
    of = volume((8, 128, 12))
    cut = patches.extract(places(of), volume=of)
    cut["attenuation"][0, 0, 0, 0, 0] = np.nan
    told = patches.statistics(cut)
    train = cut["attenuation"].values[cut["split"].values == "train"].astype("float64")
    assert told["mean"].item() == pytest.approx(np.nanmean(train), rel=1e-9)
    assert told["deviation"].item() == pytest.approx(np.nanstd(train), rel=1e-9)
    assert told["least"].item() == np.nanmin(train)
    assert told["measured"].item() == train.size - 1


def test_an_empty_split_has_no_statistics() -> None:
    of = volume()
    cut = patches.extract(places(of), volume=of)
    with pytest.raises(ArgumentError, match="the split has no patches"):
        patches.statistics(cut, split="holdout")
    with pytest.raises(ArgumentError, match="of which variable"):
        patches.statistics(cut, variable="weight")
    with pytest.raises(ArgumentError, match="no finite value"):
        patches.statistics(cut.assign(attenuation=cut["attenuation"] * np.nan))
