"""`save`: what is written is what zarr and xarray read, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zeoarray import cluster, store
from zeoarray.errors import ArgumentError, FingerprintError, LockedError, StoreError
from zeoarray.store import durable, encode, grow, ledger, lock, places, write


def scan(frames: int = 70, z: int = 21, u: int = 33, seed: int = 0) -> xr.Dataset:
    counts = np.random.default_rng(seed).poisson(1000, (frames, z, u)).astype("u2")
    return xr.Dataset(
        {
            "counts": (("angle", "z", "u"), counts, {"units": "counts"}),
            "flat": (("flat_frame", "z", "u"), counts[:5]),
            "label": ((), "a sample"),
        },
        coords={
            "angle": ("angle", np.linspace(0, 180, frames), {"units": "deg"}),
            "phase": ("phase", ["sodium", "zinc"]),
            "start": ((), np.datetime64("2022-10-15T13:49:39", "ns")),
            "resolution": ((), 2.6, {"units": "um"}),
        },
        attrs={"steps": [{"step": "x.y", "version": 1, "parameters": {"snr": 3.0}}]},
    )


def test_what_is_saved_is_read_back_by_plain_xarray(tmp_path: Path) -> None:
    ds = scan()
    path = store.save(ds, tmp_path / "a.zarr", "xct/i13-2.6um/scan")
    assert path == tmp_path / "a.zarr/xct/i13-2.6um/scan"
    for opened in (
        xr.open_datatree(tmp_path / "a.zarr", engine="zarr", consolidated=False),
        store.open_tree(tmp_path / "a.zarr"),
    ):
        back = opened["xct/i13-2.6um/scan"].to_dataset()
        xr.testing.assert_equal(back, ds)
        assert back["counts"].dtype == np.uint16
        assert back["counts"].attrs["units"] == "counts"


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 19), st.integers(1, 9)),
    dtype=st.sampled_from(["u2", "i4", "f4", "f8", "u1", ">u2"]),
    dims=st.sampled_from([("angle", "z", "u"), ("z", "y", "x"), ("frame", "det_y", "det_x")]),
    seed=st.integers(0, 9),
)
def test_our_shards_are_the_ones_zarr_reads(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    dtype: str,
    dims: tuple[str, str, str],
    seed: int,
) -> None:
    values = np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)
    root = tmp_path_factory.mktemp("shards") / "a.zarr"
    store.save(xr.Dataset({"v": (dims, values)}), root, "n")
    read = zarr.open_array(root / "n/v", mode="r")
    np.testing.assert_array_equal(read[...], values)
    np.testing.assert_array_equal(
        read[-1:, : shape[1] // 2 + 1, ::2], values[-1:, : shape[1] // 2 + 1, ::2]
    )


def test_any_chunking_of_the_input_gives_the_same_files(tmp_path: Path) -> None:
    ds = scan()
    store.save(ds, tmp_path / "a.zarr", "n")
    expected = ledger.read(places.locate(tmp_path / "a.zarr", "n").ledger)
    assert expected is not None
    for i, chunks in enumerate([(7, 5, 33), (70, 1, 2), (33, 21, 33)]):
        lazy = ds.assign(counts=(ds["counts"].dims, da.from_array(ds["counts"].values, chunks)))
        with ThreadPoolExecutor(4) as pool:
            store.save(lazy, tmp_path / f"{i}.zarr", "n", executor=pool, in_flight=3)
        book = ledger.read(places.locate(tmp_path / f"{i}.zarr", "n").ledger)
        assert book is not None
        blocks = {k: r for k, r in book.records.items() if "/c/" in k}
        assert blocks == {k: r for k, r in expected.records.items() if "/c/" in k}


def test_the_trap_of_misaligned_dask_writes_is_real_and_save_cannot_be_caught(
    tmp_path: Path,
) -> None:
    """dask#12583, zarr-python#3682: misaligned writes into shards lose data without an error."""
    values = np.arange(1, 64 * 64 + 1, dtype="i4").reshape(64, 64)
    lazy = da.from_array(values, chunks=(10, 64))
    target = zarr.create_array(
        tmp_path / "trap.zarr", shape=values.shape, chunks=(4, 64), shards=(32, 64), dtype="i4"
    )
    lost = 0
    for _ in range(20):  # tasks race for a shard: some round loses rows
        target[:] = 0
        # lock=False is what dask itself passes for zarr targets.
        da.store(lazy, target, lock=False, scheduler="threads", num_workers=8)
        lost += int(np.count_nonzero(target[:] != values))
        if lost:
            break
    assert lost > 0, "plain dask wrote misaligned shards right: the one writer may be retired"

    ds = xr.Dataset({"v": (("z", "y", "x"), lazy[:, :, None])})
    with ThreadPoolExecutor(8) as pool:
        store.save(ds, tmp_path / "ours.zarr", "n", executor=pool, in_flight=16)
    np.testing.assert_array_equal(
        store.open_node(tmp_path / "ours.zarr", "n")["v"][:, :, 0], values
    )


def test_saving_the_same_again_does_nothing(tmp_path: Path) -> None:
    ds = scan()
    path = store.save(ds, tmp_path / "a.zarr", "n")
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    store.save(ds, tmp_path / "a.zarr", "n")
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*")} == before


def test_another_content_under_the_same_name_is_refused_and_says_what_differs(
    tmp_path: Path,
) -> None:
    ds = scan()
    store.save(ds, tmp_path / "a.zarr", "n")
    other = ds.assign_attrs(steps=[{"step": "x.y", "version": 1, "parameters": {"snr": 5.0}}])
    with pytest.raises(StoreError, match=r"steps\[0\].parameters.snr: was 3.0, is 5.0") as caught:
        store.save(other, tmp_path / "a.zarr", "n")
    assert "--overwrite" in str(caught.value)
    store.save(other, tmp_path / "a.zarr", "n", overwrite=True)
    assert store.open_node(tmp_path / "a.zarr", "n").attrs["steps"] == other.attrs["steps"]
    assert store.verify(tmp_path / "a.zarr") == []


class Interrupt(Exception):
    """Stands for whatever ends a run."""


def interrupted(ds: xr.Dataset, root: Path, after: int) -> None:
    calls = 0

    def stop(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise Interrupt

    with pytest.raises(Interrupt):
        store.save(ds, root, "xct/a/scan", progress=stop)


def test_an_interrupted_save_cannot_be_opened_and_goes_on(tmp_path: Path) -> None:
    ds, root = scan(200), tmp_path / "a.zarr"
    interrupted(ds, root, after=3)
    assert not root.exists()
    with pytest.raises(StoreError, match="finish what was begun: xct/a/scan"):
        store.open_tree(root)
    growing = tmp_path / "a.zarr.ledger/growing/xct+a+scan/data"
    assert list(growing.rglob("c/*"))
    assert not list(growing.rglob("zarr.json")), "without it, nothing opens this folder"
    with pytest.raises((FileNotFoundError, ValueError)):
        xr.open_zarr(growing, consolidated=False)
    finished = {p: p.stat().st_mtime_ns for p in growing.rglob("*") if p.is_file()}
    store.save(ds, root, "xct/a/scan")
    node = root / "xct/a/scan"
    for path, time in finished.items():
        assert (node / path.relative_to(growing)).stat().st_mtime_ns == time, "written twice"
    xr.testing.assert_equal(store.open_node(root, "xct/a/scan").load(), ds)


def test_a_resumed_save_refuses_other_parameters_and_restart_drops_the_old(tmp_path: Path) -> None:
    ds, root = scan(200), tmp_path / "a.zarr"
    interrupted(ds, root, after=2)
    other = ds.assign_attrs(steps=[{"step": "x.y", "version": 2, "parameters": {"snr": 3.0}}])
    with pytest.raises(FingerprintError, match=r"steps\[0\].version: was 1, is 2") as caught:
        store.save(other, root, "xct/a/scan")
    assert "--restart" in str(caught.value)
    store.save(other, root, "xct/a/scan", restart=True)
    assert store.verify(root) == []


def test_a_worker_that_outlives_its_run_does_not_write_among_the_next(tmp_path: Path) -> None:
    ds, root = scan(200), tmp_path / "a.zarr"
    other = ds.assign(counts=ds["counts"] + 1)
    begun = grow.plan(ds)
    (array, index) = next(begun.tasks())
    values = begun.variables[array.name]
    with grow.growing(ds, begun, root, "xct/a/scan", {"seed": 1}) as node:
        folder = node.folder
        node.append(write.write_block(folder, array, index, values))
    todo = grow.plan(other)
    with grow.growing(other, todo, root, "xct/a/scan", {"seed": 2}, restart=True) as node:
        for one, place in todo.tasks():
            node.append(write.write_block(node.folder, one, place, todo.variables[one.name]))
        write.write_block(folder, array, index, values)  # the block that was under way
        node.finish()
    assert store.verify(root) == []
    xr.testing.assert_equal(store.open_node(root, "xct/a/scan").load(), other)
    write.write_block(folder, array, index, values)  # and one that came later still
    with grow.growing(other, todo, root, "xct/a/scan", {"seed": 2}) as node:
        assert node.whole
    assert not folder.parent.exists()
    assert store.verify(root) == []


def test_a_torn_or_altered_block_of_a_half_written_node_is_written_anew(tmp_path: Path) -> None:
    ds, root = scan(200), tmp_path / "a.zarr"
    interrupted(ds, root, after=5)
    blocks = sorted((tmp_path / "a.zarr.ledger/growing").rglob("counts/c/*/*/*"))
    blocks[0].write_bytes(blocks[0].read_bytes()[:-7])
    blocks[1].unlink()
    content = bytearray(blocks[2].read_bytes())
    content[5] ^= 4
    blocks[2].write_bytes(content)
    store.save(ds, root, "xct/a/scan")
    xr.testing.assert_equal(store.open_node(root, "xct/a/scan").load(), ds)


def test_a_torn_ledger_line_costs_only_its_block(tmp_path: Path) -> None:
    ds, root = scan(200), tmp_path / "a.zarr"
    interrupted(ds, root, after=4)
    path = tmp_path / "a.zarr.ledger/growing/xct+a+scan/ledger.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    store.save(ds, root, "xct/a/scan")
    xr.testing.assert_equal(store.open_node(root, "xct/a/scan").load(), ds)
    assert store.verify(root) == []


@pytest.mark.parametrize("at", range(1, 6))
def test_a_crash_between_the_renames_of_the_finish_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    ds, root = scan(), tmp_path / "a.zarr"
    store.save(scan(seed=1), root, "n")
    real, calls = durable.rename, 0

    def crash(old: Path, new: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Interrupt
        real(old, new)

    monkeypatch.setattr(durable, "rename", crash)
    if at <= 3:
        with pytest.raises(Interrupt):
            store.save(ds, root, "n", overwrite=True)
    monkeypatch.setattr(durable, "rename", real)
    store.save(ds, root, "n", overwrite=True)
    xr.testing.assert_equal(store.open_node(root, "n").load(), ds)
    assert store.verify(root) == []


@pytest.mark.parametrize(
    "node", ["../x", "a/../b", "a//b", "", ".hidden", "a/.b", "a b", "a\\b", "a/zarr.json", "c+d"]
)
def test_a_node_name_that_could_escape_is_refused(tmp_path: Path, node: str) -> None:
    with pytest.raises(ArgumentError, match="cannot be the name of a node"):
        store.save(scan(3), tmp_path / "a.zarr", node)
    assert not (tmp_path / "a.zarr").exists()


def test_nodes_do_not_nest(tmp_path: Path) -> None:
    store.save(scan(3), tmp_path / "a.zarr", "xct/a/scan")
    for node in ("xct/a", "xct/a/scan/more"):
        with pytest.raises(StoreError, match="cannot both hold arrays"):
            store.save(scan(3), tmp_path / "a.zarr", node)


def test_a_path_that_is_no_store_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_text("meow")
    with pytest.raises(StoreError, match="is not a zeoarray store"):
        store.save(scan(3), tmp_path / "photos", "n")
    with pytest.raises(ArgumentError, match="is a URL"):
        store.save(scan(3), "s3://bucket/a.zarr", "n")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["cat.jpg", "photos"]


def test_a_full_disk_is_said_and_nothing_torn_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds, root = scan(200), tmp_path / "a.zarr"
    real, calls = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"the disk \(or the quota\) is full") as caught:
        store.save(ds, root, "n")
    assert "run the same command again" in str(caught.value)
    monkeypatch.setattr(os, "fsync", real)
    assert not list(tmp_path.rglob("*.tmp"))
    store.save(ds, root, "n")
    xr.testing.assert_equal(store.open_node(root, "n").load(), ds)


def test_a_reader_that_fails_leaves_no_node(tmp_path: Path) -> None:
    def fail(block: np.ndarray) -> np.ndarray:
        raise RuntimeError("the detector caught fire")

    values = da.map_blocks(
        fail, da.zeros((70, 8, 8), chunks=(8, 8, 8)), dtype="f8", meta=np.empty((0, 0, 0))
    )
    ds = xr.Dataset({"counts": (("angle", "z", "u"), values)})
    for pool in (None, ThreadPoolExecutor(2)):
        with pytest.raises(RuntimeError, match="caught fire"):
            store.save(ds, tmp_path / "a.zarr", "n", executor=pool)
    assert not (tmp_path / "a.zarr").exists()


def test_large_text_is_refused(tmp_path: Path) -> None:
    ds = xr.Dataset({"v": ("x", np.full(300_000, "some text"))})
    with pytest.raises(StoreError, match="too large for its dtype"):
        store.save(ds, tmp_path / "a.zarr", "n")


def test_a_store_without_its_ledger_says_so(tmp_path: Path) -> None:
    ds = scan(3)
    store.save(ds, tmp_path / "a.zarr", "n")
    shutil.rmtree(tmp_path / "a.zarr.ledger")
    (finding,) = store.verify(tmp_path / "a.zarr")
    assert (finding.node, finding.fault) == ("n", "unrecorded")
    with pytest.raises(StoreError, match="its ledger is missing"):
        store.save(ds, tmp_path / "a.zarr", "n")
    xr.testing.assert_equal(store.open_node(tmp_path / "a.zarr", "n").load(), ds)


def test_an_unknown_node_is_answered_with_the_nearest(tmp_path: Path) -> None:
    store.save(scan(3), tmp_path / "a.zarr", "xct/i13/scan")
    with pytest.raises(ArgumentError, match="did you mean 'xct/i13/scan'"):
        store.open_node(tmp_path / "a.zarr", "xct/i13/scam")
    with pytest.raises(StoreError, match="is not a zarr store"):
        store.open_tree(tmp_path / "b.zarr")


def test_two_writers_of_one_node_exclude_each_other(tmp_path: Path) -> None:
    target = places.locate(tmp_path / "a.zarr", "n")
    with lock.held(target.lock):
        with pytest.raises(LockedError, match=f"process {os.getpid()}") as caught:
            store.save(scan(3), tmp_path / "a.zarr", "n")
        assert "--wait" in str(caught.value)
        store.save(scan(3), tmp_path / "a.zarr", "other")
    store.save(scan(3), tmp_path / "a.zarr", "n")


def test_the_layouts_are_those_of_the_data_model() -> None:
    layout = encode.layout_of(("angle", "z", "u"), (4000, 2160, 2560), 2)
    assert (layout.shard, layout.chunk) == ((32, 2160, 2560), (16, 8, 2560))
    other = encode.layout_of(("a", "b"), (100_000, 1000), 4)
    assert other.shard_nbytes(4) <= 1 << 26
    assert grow.plan(scan()).large.keys() == {"counts", "flat"}


def test_a_worker_that_dies_is_told(tmp_path: Path) -> None:
    dying = da.from_delayed(dask.delayed(os._exit)(9), (70, 21, 33), "u2")
    ds = scan().assign(counts=(("angle", "z", "u"), dying))
    with (
        cluster.processes(2) as pool,
        pytest.raises(StoreError, match="a worker process died") as caught,
    ):
        store.save(ds, tmp_path / "a.zarr", "n", executor=pool)
    assert "finished blocks are kept" in str(caught.value)


def test_damaged_metadata_is_told(tmp_path: Path) -> None:
    store.save(scan(3), tmp_path / "a.zarr", "n")
    (tmp_path / "a.zarr/n/counts/zarr.json").write_text('{"zarr_format": 3, "node_ty')
    with pytest.raises(StoreError, match="metadata is damaged") as caught:
        store.open_node(tmp_path / "a.zarr", "n")
    assert "verify" in str(caught.value)
