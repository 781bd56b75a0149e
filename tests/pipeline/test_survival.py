"""What may happen to a run: nothing finished is lost, nothing half-done looks finished."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cloudpickle
import dask
import distributed  # noqa: F401  its configuration is there before it is set
import h5py
import numpy as np
import psutil
import pytest

from tests.cli.test_malformed import nxtomo
from tests.pipeline.conftest import scan
from zeoarray import cluster, pipeline, store
from zeoarray.cluster import model
from zeoarray.errors import LockedError, SourceError, StoreError
from zeoarray.ingest.into import into_store
from zeoarray.pipeline import stages, work
from zeoarray.store import durable, ledger, lock, places

Write = Callable[..., Path]
NODE = "xct/a/absorbance"
STAGES = """
- from: xct/a/scan
  into: xct/a/absorbance
  block: 4
  steps: [xct.normalize, xct.minus_log]
"""


def digests(node: str = NODE) -> dict[str, str]:
    book = ledger.read(places.locate("a.zarr", node).ledger)
    assert book is not None
    return {k: r.digest for k, r in book.records.items() if "/c/" in k}


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Blocks that are made from now on."""
    made: list[int] = []
    real = work.run_block

    def run_block(blocks: work.Work, block: work.Block) -> list[ledger.Record]:
        made.append(block.index)
        return real(blocks, block)

    monkeypatch.setattr(work, "run_block", run_block)
    return made


def blocks_of(node: str) -> list[Path]:
    return sorted(p for p in Path("a.zarr", node).glob("*/c/**/*") if p.is_file())


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "torn": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "altered": flip,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_input_is_refused_by_name(yaml: Write, kind: str) -> None:
    loaded = pipeline.read(yaml(STAGES))
    DAMAGE[kind](Path("a.zarr/xct/a/scan/counts/c/0/0/0"))
    with pytest.raises(StoreError) as error:
        pipeline.run(loaded, verify=kind == "altered")
    text = str(error.value)
    assert "xct/a/scan is damaged" in text
    assert f"xct/a/scan/counts/c/0/0/0: {kind}" in text
    assert "zeoarray verify" in text
    assert NODE not in store.nodes(Path("a.zarr").resolve())


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_block_of_a_finished_node_is_made_again(
    yaml: Write, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = pipeline.read(yaml(STAGES))
    pipeline.run(loaded)
    expected = digests()
    DAMAGE[kind](blocks_of(NODE)[2])
    assert store.verify("a.zarr") != []
    made = counted(monkeypatch)
    assert pipeline.run(loaded, verify=kind == "altered") == [NODE]
    assert made == [2], "only the damaged block"
    assert digests() == expected
    assert store.verify("a.zarr") == []
    assert pipeline.run(loaded, verify=True) == []


def test_crash_while_a_damaged_node_is_taken_back(
    yaml: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = pipeline.read(yaml(STAGES))
    pipeline.run(loaded)
    expected = digests()
    blocks_of(NODE)[2].unlink()
    real, calls = durable.rename, 0

    def crash(old: Path, new: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # the data is taken back, its ledger is not
            raise KeyboardInterrupt
        real(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(durable, "rename", crash)
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(loaded)
    assert NODE not in store.nodes(Path("a.zarr").resolve())
    made = counted(monkeypatch)
    pipeline.run(loaded)
    assert made == [2]
    assert digests() == expected


def test_input_that_changes_meanwhile_ends_the_run(
    yaml: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = pipeline.read(yaml(STAGES))
    real = work.run_block

    def run_block(blocks: work.Work, block: work.Block) -> list[ledger.Record]:
        if block.index == 3:
            store.save(scan(seed=1), "a.zarr", "xct/a/scan", overwrite=True)
        return real(blocks, block)

    with monkeypatch.context() as patch:
        patch.setattr(work, "run_block", run_block)
        with pytest.raises(StoreError, match="changed while it was read") as error:
            pipeline.run(loaded)
    assert "xct/a/scan" in str(error.value)
    assert "--restart" in str(error.value)
    assert NODE not in store.nodes(Path("a.zarr").resolve())
    assert pipeline.run(loaded, restart=True) == [NODE]


def test_worker_without_memory_is_answered_with_what_would_fit(
    yaml: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = work.run_block

    def run_block(blocks: work.Work, block: work.Block) -> list[ledger.Record]:
        if block.index == 2:
            raise MemoryError
        return real(blocks, block)

    loaded = pipeline.read(yaml(STAGES))
    with monkeypatch.context() as patch:
        patch.setattr(work, "run_block", run_block)
        with pytest.raises(StoreError) as error:
            pipeline.run(loaded)
    text = str(error.value)
    assert f"{NODE}: a worker ran out of memory" in text
    assert re.search(r"a block \(4 rows of angle\) takes [\d.]+ MB", text)
    assert re.search(r"with 'block: 2' in its stage, which takes [\d.]+ MB", text)
    made = counted(monkeypatch)
    pipeline.run(loaded)
    assert made == [*range(2, 10)], "the blocks before are kept"


def hoard(blocks: work.Work, block: work.Block) -> list[ledger.Record]:
    """Hold more and more in the third block, until the worker is stopped."""
    held = []
    while block.index == 2:
        held.append(np.ones(4 << 20))
        time.sleep(0.02)
    return REAL(blocks, block)


REAL = work.run_block


def test_worker_beyond_its_limit_is_stopped_and_other_blocks_are_kept(
    yaml: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    loaded = pipeline.read(yaml(STAGES))
    few = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.worker.memory.terminate": 0.7,
        "distributed.worker.memory.pause": False,
    }
    with (
        monkeypatch.context() as patch,
        dask.config.set(few),
        cluster.started(model.Local(workers=1, memory="1 GB", in_flight=1)) as workers,
    ):
        patch.setattr(work, "run_block", hoard)
        with pytest.raises(StoreError) as error:
            pipeline.run(
                loaded, executor=workers.executor, in_flight=workers.in_flight, lost=workers.lost
            )
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert f"{NODE}: a worker died" in str(error.value)
    assert "'block: 2'" in str(error.value)
    made = counted(monkeypatch)
    pipeline.run(loaded)
    assert made == [*range(2, 10)]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "zeoarray", *words]


def test_full_disk(yaml: Write) -> None:
    """RLIMIT_FSIZE stands for the disk: a file may not grow past it."""
    path = yaml(STAGES.replace("block: 4", "block: 22"))

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    words = command("run", str(path), "--workers", "1")
    failed = subprocess.run(
        words, capture_output=True, text=True, preexec_fn=small_disk, check=False
    )
    assert failed.returncode == 1, failed.stderr
    assert "the disk (or the quota) is full" in failed.stderr
    assert "finished blocks are kept" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not Path("a.zarr", NODE).exists()
    assert not list(Path("a.zarr.ledger").rglob("*.tmp"))
    pipeline.run(pipeline.read(path))
    assert store.verify("a.zarr") == []


def test_second_run_is_refused_waits_or_takes_over_from_the_dead(yaml: Write) -> None:
    loaded = pipeline.read(yaml(STAGES))
    target = places.locate("a.zarr", NODE)
    made: list[list[str]] = []
    with lock.held(target.lock):
        with pytest.raises(LockedError, match="is being written by another process") as error:
            pipeline.run(loaded)
        assert f"process {os.getpid()}" in str(error.value)
        assert "--wait" in str(error.value)
        second = threading.Thread(target=lambda: made.append(pipeline.run(loaded, wait=True)))
        second.start()
        time.sleep(1.0)
        assert made == []
    second.join(60)
    assert made == [[NODE]]
    owner = {"host": "h", "pid": 1, "since": "noon", "token": "t", "started": "1"}
    target.lock.write_text(json.dumps({**owner, "host": os.uname().nodename}), encoding="utf-8")
    other = pipeline.read(loaded.document.path, given={"xct.minus_log.floor": "0.01"})
    assert pipeline.run(other, overwrite=True) == [NODE], "its process is dead"


@pytest.mark.filterwarnings("ignore:xct.check_frames")
def test_run_that_waited_goes_by_what_is_there_then(
    yaml: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run, checked before the measure of the first has run, takes over after it."""
    path = yaml(
        "- {measure: xct.check_frames, from: xct/a/scan, into: xct/a/frames}"
        + STAGES.replace("[xct.normalize,", "[{xct.normalize: {frames: xct/a/frames}},")
    )
    bad = scan()
    bad["flat"][2] = 0
    store.save(bad, "a.zarr", "xct/a/scan", overwrite=True)
    loaded = pipeline.read(path)
    real = stages.check

    def check(given: pipeline.Pipeline) -> object:
        found = real(given)
        monkeypatch.setattr(stages, "check", real)
        first = pipeline.read(path, given={"stages.1.into": "xct/a/other"})
        pipeline.run(first)  # another run makes the measure meanwhile
        return found

    monkeypatch.setattr(stages, "check", check)
    assert pipeline.run(loaded, wait=True) == [NODE]
    told = store.open_node("a.zarr", NODE).attrs["steps"][0]["parameters"]["frames"]
    assert told["flat_good"] == [True, True, False, True, True, True]
    assert digests() == digests("xct/a/other")


def test_source_that_is_being_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(nxtomo(tmp_path / "a.nxs"))

    def grow() -> None:
        for _ in range(60):
            with source.open("ab") as file:
                file.write(b"more")
            time.sleep(0.05)

    writer = threading.Thread(target=grow)
    writer.start()
    with pytest.raises(SourceError, match="is still being written"):
        into_store(source, tmp_path / "a.zarr", "xct/a/scan", {"pixel_size": "2.6 um"})
    writer.join()
    assert not (tmp_path / "a.zarr").exists()


def test_source_that_changes_while_it_is_read_does_not_become_a_node(tmp_path: Path) -> None:
    source = Path(nxtomo(tmp_path / "a.nxs"))
    os.utime(source, (1e9, 1e9))

    def touch(done: int, total: int) -> None:
        if done == total:
            with source.open("ab") as file:
                file.write(b"more")

    given = (source, tmp_path / "a.zarr", "xct/a/scan", {"pixel_size": "2.6 um"})
    with pytest.raises(StoreError, match="changed while it was read") as error:
        into_store(*given, progress=touch)
    assert str(source) in str(error.value)
    assert not (tmp_path / "a.zarr/xct").exists()
    into_store(*given, restart=True)
    assert store.verify(tmp_path / "a.zarr") == []


SWMR = """
import sys, time, h5py, numpy as np
with h5py.File(sys.argv[1], "r+", libver="latest") as file:
    file.swmr_mode = True
    print("writing", flush=True)
    time.sleep(60)
"""


def test_source_that_a_scan_holds_open(tmp_path: Path) -> None:
    source = tmp_path / "a.nxs"
    with h5py.File(nxtomo(tmp_path / "b.nxs")) as old, h5py.File(source, "w", libver="latest") as f:
        for key in old:
            old.copy(key, f)
    os.utime(source, (1e9, 1e9))
    writer = subprocess.Popen(
        [sys.executable, "-c", SWMR, str(source)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        with pytest.raises(SourceError, match="still being written") as error:
            into_store(source, tmp_path / "a.zarr", "xct/a/scan", {"pixel_size": "2.6 um"})
        assert "h5clear" in str(error.value)
    finally:
        writer.kill()
        writer.wait()
        if writer.stdout is not None:
            writer.stdout.close()
    assert not (tmp_path / "a.zarr").exists()


SLOW = """
import sys, time
from zeoarray import __main__
from zeoarray.pipeline import stages, work

real = work.run_block

def run_block(blocks, block):
    print("begun", block.index, flush=True)
    time.sleep(0.3)
    return real(blocks, block)

work.run_block = run_block
__main__.main(sys.argv[1:])
"""


def test_interrupt_stops_cleanly_and_says_how_to_go_on(
    yaml: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = yaml(STAGES)
    Path("slow.py").write_text(SLOW, encoding="utf-8")
    Path("t.yaml").write_text("zeoarray: 1\ncluster: threads\nworkers: 1\n", encoding="utf-8")
    words = ["run", str(path), "--cluster", "t.yaml", "--set", "xct.minus_log.floor=1e-6"]
    run = subprocess.Popen(
        [sys.executable, "slow.py", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert run.stdout is not None
    for line in run.stdout:
        if line.split() == ["begun", "1"]:
            break
    os.killpg(run.pid, signal.SIGINT)
    out, told = run.communicate(timeout=60)
    assert run.returncode == 130, told
    assert "Traceback" not in told
    assert "Interrupted. What is finished is kept; the same command goes on:" in told
    assert shlex.join(["zeoarray", *words]) in told
    assert "blocks in flight" in told
    begun = ["0", "1", *re.findall(r"begun (\d)", out)]
    assert not psutil.pid_exists(run.pid)
    made = counted(monkeypatch)
    pipeline.run(pipeline.read(path, given={"xct.minus_log.floor": "1e-6"}))
    assert made == [i for i in range(10) if str(i) not in begun], "what was begun was kept"
    assert store.verify("a.zarr") == []
