"""The store against a model: write, crash at any point, damage, resume, read, in any order."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from zeoarray import store
from zeoarray.errors import FingerprintError, StoreError
from zeoarray.store import places

NODES = ("xct/a/scan", "xct/b/scan", "powder/x")


class Crash(Exception):
    """Stands for kill -9 between two blocks."""


def dataset(seed: int) -> xr.Dataset:
    values = np.random.default_rng(seed).poisson(9, (130, 3, 5)).astype("u2")
    return xr.Dataset({"counts": (("angle", "z", "u"), values)}, attrs={"request": {"seed": seed}})


class Model(RuleBasedStateMachine):
    """`whole` is what must be readable; whatever else happened, nothing else may be."""

    seeds = Bundle("seeds")

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.root = self.folder / "a.zarr"
        self.whole: dict[str, int] = {}
        self.begun: dict[str, int] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(node=st.sampled_from(NODES), seed=st.integers(0, 1), overwrite=st.booleans())
    def save(self, node: str, seed: int, overwrite: bool) -> None:
        try:
            store.save(dataset(seed), self.root, node, overwrite=overwrite)
        except FingerprintError:
            assert self.begun[node] != seed
        except StoreError:
            assert self.whole[node] != seed
            assert not overwrite
        else:
            if overwrite or node not in self.whole:
                self.begun.pop(node, None)
            self.whole[node] = seed

    @rule(
        node=st.sampled_from(NODES),
        seed=st.integers(0, 1),
        after=st.integers(0, 5),
        restart=st.booleans(),
    )
    def crash(self, node: str, seed: int, after: int, restart: bool) -> None:
        calls = 0

        def stop(done: int, total: int) -> None:
            nonlocal calls
            calls += 1
            if calls > after:
                raise Crash

        try:
            store.save(
                dataset(seed), self.root, node, overwrite=True, restart=restart, progress=stop
            )
        except FingerprintError:
            assert self.begun[node] != seed
        except Crash:
            self.begun[node] = seed
        else:
            self.begun.pop(node, None)
            self.whole[node] = seed

    @rule(node=st.sampled_from(NODES), which=st.integers(0, 4))
    def damage_a_growing_block(self, node: str, which: int) -> None:
        growing = places.locate(self.root, node).growing
        blocks = sorted(growing.glob("data*/*/c/**/*"))
        files = [b for b in blocks if b.is_file()]
        if files:
            path = files[which % len(files)]
            path.write_bytes(path.read_bytes()[:-1])

    @rule(node=st.sampled_from(NODES), cut=st.integers(1, 40))
    def tear_the_ledger(self, node: str, cut: int) -> None:
        path = places.locate(self.root, node).growing / "ledger.jsonl"
        if path.exists() and path.read_bytes().count(b"\n") > 1:
            path.write_bytes(path.read_bytes()[:-cut])

    @invariant()
    def only_whole_nodes_are_there_and_they_are_right(self) -> None:
        if not self.whole:
            assert not self.root.exists()
            return
        assert store.nodes(self.root) == sorted(self.whole)
        for node, seed in self.whole.items():
            opened = store.open_node(self.root, node, chunked=False)
            np.testing.assert_array_equal(opened["counts"], dataset(seed)["counts"])
        assert store.verify(self.root) == []
        assert set(store.growing(self.root)) <= set(self.begun)


Model.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestModel = Model.TestCase
