"""Every patch once, in the same order for a seed, whoever asks and however often it is stopped."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import zeoarray.torch
from tests.placed import places, volume
from zeoarray import patches, store
from zeoarray.errors import ArgumentError, DependencyError, StoreError
from zeoarray.kernels import augment, epochs
from zeoarray.patches import Augmentation, Live, Loader
from zeoarray.store import shards

QUICK = settings(max_examples=40, deadline=None, database=None, derandomize=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    """A store with a set of two sources and their statistics."""
    path = tmp_path_factory.mktemp("patches") / "set.zarr"
    of = volume((12, 96, 12))
    found = places(of, overlap=0.5, size=(8.0, 8.0, 8.0))
    cut = patches.extract(found, volume=of)
    for name, source in {
        "fine": cut,
        "coarse": patches.extract(found, volume=of, voxel=4.0),
    }.items():
        store.save(source, path, f"patches/sr/{name}")
        store.save(patches.statistics(source), path, f"patches/sr/{name}-statistics")
    return path, cut


def rows_of(loader: Any) -> list[int]:
    return [int(row) for batch in loader for row in batch["patch"]]


@QUICK
@given(
    length=st.integers(1, 300),
    batch=st.integers(1, 40),
    ranks=st.integers(1, 5),
    window=st.integers(1, 6),
    seed=st.integers(0, 9),
)
def test_ranks_together_see_every_patch_once(
    length: int, batch: int, ranks: int, window: int, seed: int
) -> None:
    index = np.arange(length) * 3
    ordered = epochs.order(index, seed=seed, epoch=1, shard=16, window=window)
    parts = [
        epochs.batches(ordered, batch=batch, rank=r, ranks=ranks, last="keep") for r in range(ranks)
    ]
    seen = np.concatenate([rows for part in parts for rows in part])
    assert sorted(seen) == list(index)
    again = epochs.order(index, seed=seed, epoch=1, shard=16, window=window)
    assert np.array_equal(ordered, again)


def test_a_batch_touches_few_shards() -> None:
    ordered = epochs.order(np.arange(640), seed=0, epoch=0, shard=16, window=4)
    for rows in epochs.batches(ordered, batch=16, rank=0, ranks=1, last="keep"):
        assert len(np.unique(rows // 16)) <= 4
    alone = epochs.order(np.arange(640), seed=0, epoch=0, shard=16, window=40)
    assert max(len(np.unique(alone[k : k + 16] // 16)) for k in range(0, 640, 16)) > 8


@QUICK
@given(length=st.integers(1, 300), batch=st.integers(1, 40), ranks=st.integers(1, 5))
def test_ranks_have_equally_many_full_batches(length: int, batch: int, ranks: int) -> None:
    index = np.arange(length)

    def counts(last: epochs.Last) -> list[list[int]]:
        return [
            [len(b) for b in epochs.batches(index, batch=batch, rank=r, ranks=ranks, last=last)]
            for r in range(ranks)
        ]

    repeated = counts("repeat")
    assert all(part == repeated[0] and set(part) == {batch} for part in repeated)
    if length < batch * ranks:
        with pytest.raises(ArgumentError, match="no batch is full"):
            counts("drop")
    else:
        assert sum(map(sum, counts("drop"))) == length // (batch * ranks) * batch * ranks


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_hold_the_patches_they_name(made: tuple[Path, xr.Dataset], threads: int) -> None:
    path, cut = made
    loader = patches.loader(
        path, "patches/sr", ["fine", "coarse"], normalize=False, batch=7, threads=threads
    )
    train = np.flatnonzero(cut["split"].values == "train")
    seen = []
    for batch in loader:
        np.testing.assert_array_equal(batch["fine"], cut["attenuation"].values[batch["patch"]])
        assert batch["coarse"].shape == (len(batch["patch"]), 1, 2, 2, 2)
        seen += list(batch["patch"])
    assert sorted(seen) == list(train)
    assert seen != sorted(seen)
    assert len(loader) == -(-train.size // 7)


def test_epochs_differ_and_seeds_agree(made: tuple[Path, xr.Dataset]) -> None:
    path, _ = made
    one, other = (patches.loader(path, "patches/sr", ["fine"], seed=5) for _ in range(2))
    first, second = rows_of(one), rows_of(one)
    assert first != second
    assert sorted(first) == sorted(second)
    assert [rows_of(other), rows_of(other)] == [first, second]


def test_it_goes_on_in_the_middle_of_an_epoch(made: tuple[Path, xr.Dataset]) -> None:
    path, _ = made
    whole = patches.loader(path, "patches/sr", ["fine"], batch=5)
    expected = rows_of(whole) + rows_of(whole)
    stopped = patches.loader(path, "patches/sr", ["fine"], batch=5)
    had = [int(r) for batch in itertools.islice(stopped, 3) for r in batch["patch"]]
    state = stopped.state()
    assert state["batch"] == 3
    fresh = patches.loader(path, "patches/sr", ["fine"], batch=5)
    fresh.resume(state)
    assert had + rows_of(fresh) + rows_of(fresh) == expected
    with pytest.raises(ArgumentError, match="another seed"):
        patches.loader(path, "patches/sr", ["fine"], seed=1).resume(state)
    with pytest.raises(ArgumentError, match="number of patches"):
        patches.loader(path, "patches/sr", ["fine"], split="test").resume(state)


def test_channels_are_normalised_by_the_training_split(made: tuple[Path, xr.Dataset]) -> None:
    path, cut = made
    train = cut["attenuation"].values[cut["split"].values == "train"]
    for split in ("train", "test"):
        (batch,) = patches.loader(
            path, "patches/sr", ["fine"], split=split, batch=10_000, shuffle=False
        )
        raw = cut["attenuation"].values[cut["split"].values == split]
        np.testing.assert_allclose(batch["fine"], (raw - train.mean()) / train.std(), atol=1e-4)


def test_all_sources_are_turned_alike_and_for_a_seed(made: tuple[Path, xr.Dataset]) -> None:
    path, cut = made
    asked = {"normalize": False, "shuffle": False, "batch": 10_000}
    how = Augmentation()
    one = patches.loader(path, "patches/sr", ["fine", "coarse"], augmentation=how, **asked)
    (turned,), (plain,) = one, patches.loader(path, "patches/sr", ["fine", "coarse"], **asked)
    moved = 0
    for fine, coarse, before in zip(turned["fine"], turned["coarse"], plain["fine"], strict=True):
        mean = fine.reshape(1, 2, 2, 2, 2, 2, 2).mean(axis=(2, 4, 6))
        np.testing.assert_allclose(mean, coarse, rtol=1e-4)  # still the mean of the same voxels
        assert np.allclose(np.sort(fine.ravel()), np.sort(before.ravel()))
        moved += not np.array_equal(fine, before)
    assert moved > len(turned["fine"]) / 2
    (again,) = patches.loader(path, "patches/sr", ["fine"], augmentation=how, **asked)
    np.testing.assert_array_equal(again["fine"], turned["fine"])
    assert cut.sizes["patch"] > 0


def test_noise_is_added_in_units_of_the_measured(made: tuple[Path, xr.Dataset]) -> None:
    path, _ = made
    how = Augmentation(turns=False, noise={"fine": [0.02]}, noise_share=2.0)
    asked = {"normalize": False, "shuffle": False, "batch": 10_000}
    (noisy,) = patches.loader(path, "patches/sr", ["fine"], augmentation=how, **asked)
    (plain,) = patches.loader(path, "patches/sr", ["fine"], **asked)
    share = (noisy["fine"] - plain["fine"]).std(axis=(1, 2, 3, 4)) / 0.02
    assert share.max() < 2.4
    assert share.mean() == pytest.approx(1.0, abs=0.2)  # uniform from 0 to 2


def test_turns_are_all_sixteen() -> None:
    rng = np.random.default_rng(0)
    assert len({augment.drawn(rng, square=True) for _ in range(400)}) == 16
    assert len({augment.drawn(rng, square=False) for _ in range(400)}) == 8


def test_patches_come_straight_from_a_volume_too(made: tuple[Path, xr.Dataset]) -> None:
    _, cut = made
    of = volume((12, 96, 12))
    found = places(of, overlap=0.5, size=(8.0, 8.0, 8.0))
    live = Live(found, of, "attenuation")
    for batch in Loader({"fine": live}, np.arange(9), batch=4, shard=1):
        np.testing.assert_array_equal(batch["fine"], cut["attenuation"].values[batch["patch"]])


def test_a_damaged_shard_is_named(made: tuple[Path, xr.Dataset], tmp_path: Path) -> None:
    _, cut = made
    path = tmp_path / "set.zarr"
    store.save(cut, path, "patches/sr/fine")
    first = path / "patches/sr/fine/attenuation/c/0/0/0/0/0"
    torn = bytearray(first.read_bytes())
    first.write_bytes(bytes(torn[:-2]))
    rows = shards.rows(path, "patches/sr/fine", "attenuation")
    with pytest.raises(StoreError, match="cannot be read"):
        rows.read(0, np.empty(rows.row_shape, rows.dtype))
    torn[0:16] = bytes(16)
    first.write_bytes(bytes(torn))
    rows = shards.rows(path, "patches/sr/fine", "attenuation")
    with pytest.raises(StoreError, match="row 0"):
        rows.read(0, np.empty(rows.row_shape, rows.dtype))
    first.unlink()
    with pytest.raises(StoreError, match="No such file"):
        shards.rows(path, "patches/sr/fine", "attenuation").read(
            0, np.empty(rows.row_shape, rows.dtype)
        )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"split": "holdout"}, "no patches in the split 'holdout'"),
        ({"sources": {"fine": "weight"}}, "which variable shall be read"),
        ({"sources": []}, "at least one source"),
        ({"batch": 0}, "at least one source, patch"),
        ({"rank": 2, "ranks": 2}, "no such rank"),
        ({"sources": ["finer"]}, "(?s)no node .*finer.*patches/sr/fine"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said(
    made: tuple[Path, xr.Dataset], asked: dict[str, Any], said: str
) -> None:
    with pytest.raises((ArgumentError, StoreError), match=said):
        patches.loader(made[0], "patches/sr", **{"sources": ["fine"], **asked})


def test_without_statistics_it_says_how_to_make_them(
    made: tuple[Path, xr.Dataset], tmp_path: Path
) -> None:
    store.save(made[1], tmp_path / "set.zarr", "patches/sr/fine")
    with pytest.raises(StoreError, match=r"measure: patches\.statistics, from: patches/sr/fine"):
        patches.loader(tmp_path / "set.zarr", "patches/sr", ["fine"])


def test_sources_of_other_places_are_refused(made: tuple[Path, xr.Dataset], tmp_path: Path) -> None:
    _, cut = made
    path = tmp_path / "set.zarr"
    store.save(cut, path, "patches/sr/fine")
    store.save(cut.isel(patch=slice(None, None, -1)), path, "patches/sr/coarse")
    with pytest.raises(ArgumentError, match="not those of the other sources"):
        patches.loader(path, "patches/sr", ["fine", "coarse"], normalize=False)


def test_another_layout_is_refused(tmp_path: Path) -> None:
    store.save(volume(), tmp_path / "set.zarr", "xct/volume")
    with pytest.raises(ArgumentError, match="not stored one row a chunk"):
        shards.rows(tmp_path / "set.zarr", "xct/volume", "attenuation")


def test_without_pytorch_it_says_what_to_install(
    made: tuple[Path, xr.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    source = patches.loader(made[0], "patches/sr", ["fine"])
    with pytest.raises(DependencyError, match=r"zeoarray\[torch\]"):
        zeoarray.torch.loader(source)


def test_batches_that_are_held_stay_what_they_were(made: tuple[Path, xr.Dataset]) -> None:
    path, cut = made
    loader = patches.loader(path, "patches/sr", ["fine"], normalize=False, batch=3)
    for batch in list(loader):
        np.testing.assert_array_equal(batch["fine"], cut["attenuation"].values[batch["patch"]])


def test_rows_that_compression_cannot_shrink(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 2**32, (3, 1, 8, 8, 8), np.uint32)
    smooth = np.zeros_like(noise)
    for name, values in {"noise": noise, "smooth": smooth}.items():
        cut = xr.Dataset({"v": (("patch", "channel", "z", "y", "x"), values.repeat(400, 0))})
        store.save(cut, tmp_path / "set.zarr", f"patches/{name}")
        rows = shards.rows(tmp_path / "set.zarr", f"patches/{name}", "v")
        rows = pickle.loads(pickle.dumps(rows))  # as a worker that is not forked gets it
        with rows.found(401) as (_, _, nbytes):
            assert (nbytes == 16 + values[1].nbytes) is (name == "noise")
        out = np.empty(rows.row_shape, rows.dtype)
        rows.read(401, out)
        np.testing.assert_array_equal(out, values[1])
        rows.close()


def test_memory_is_pinned_for_a_gpu_only(
    made: tuple[Path, xr.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    source = patches.loader(made[0], "patches/sr", ["fine"])
    with pytest.raises(DependencyError, match="no GPU that memory could be pinned for"):
        zeoarray.torch.loader(source, pin_memory=True)


@pytest.mark.parametrize("workers", [0, 2])
def test_tensors_are_the_same_batches(made: tuple[Path, xr.Dataset], workers: int) -> None:
    torch = pytest.importorskip("torch")
    path, _ = made
    asked = {"batch": 8, "augmentation": Augmentation()}
    source = patches.loader(path, "patches/sr", ["fine", "coarse"], **asked)
    plain = patches.loader(path, "patches/sr", ["fine", "coarse"], **asked)
    batches = zeoarray.torch.loader(source, workers=workers)
    for tensors, arrays in zip(batches, plain, strict=True):
        assert isinstance(tensors["fine"], torch.Tensor)
        for name in arrays:
            np.testing.assert_array_equal(tensors[name].numpy(), arrays[name])
    assert batches.state()["epoch"] == 1
    one = zeoarray.torch.PatchDataset(source)[0]
    assert one["fine"].shape == (1, 4, 4, 4)
    next(iter(batches))
    assert batches.state()["batch"] == 1
