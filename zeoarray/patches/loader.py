"""`Loader`: batches of matched patches for training, with nothing but NumPy.

The same in every run for a seed, whatever the number of threads, ranks or interruptions.
"""

from __future__ import annotations

import concurrent.futures as cf
import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr

from zeoarray import schema, store
from zeoarray.buffers import Buffers
from zeoarray.errors import ArgumentError, StoreError
from zeoarray.kernels import augment, epochs
from zeoarray.labelled import known
from zeoarray.patches import windows
from zeoarray.patches.extract import extract
from zeoarray.store import shards

Array = np.ndarray[Any, Any]
Batch = dict[str, Array]

AHEAD = 2
"""Batches that are read ahead, for each thread."""
KEEP = 4
"""Batches whose memory is kept while nobody holds them, for the next ones of the source."""


class Source(Protocol):
    """Where patches come from."""

    shape: tuple[int, ...]
    """(channel, z, y, x) of one patch."""

    def read(self, index: Array) -> Array:
        """(patch, channel, z, y, x), numbers: a new array, which is changed in place."""


class Stored:
    """Patches of a store: one chunk each, decoded straight into the batch."""

    def __init__(self, path: str | Path, node: str, variable: str) -> None:
        self._rows = shards.rows(path, node, variable)
        self.shape = self._rows.row_shape
        self.per_shard = self._rows.per_shard
        self._buffers = Buffers(KEEP)

    def read(self, index: Array) -> Array:
        """(patch, channel, z, y, x)."""
        out = self._buffers.empty((len(index), *self.shape), self._rows.dtype)
        for place, row in enumerate(index):
            self._rows.read(int(row), out[place])
        return out


class Live:
    """Patches cut out of a volume as they are asked for: no store of patches is needed."""

    def __init__(
        self,
        places: xr.Dataset,
        volume: xr.Dataset,
        variable: str,
        *,
        voxel: float | None = None,
        psf: float = 0.0,
        shift_sigma: float = 0.0,
    ) -> None:
        self._places, self._volume, self._variable = places, volume, variable
        given = {"voxel": voxel, "psf": psf, "shift_sigma": shift_sigma}
        self._given: dict[str, Any] = {**given, "variables": (variable,)}
        first = extract(places.isel(patch=slice(0, 1)), volume=volume, **self._given)
        self.shape = first[variable].shape[1:]

    def read(self, index: Array) -> Array:
        """(patch, channel, z, y, x)."""
        some = self._places.isel(patch=index)
        values: Array = extract(some, volume=self._volume, **self._given)[self._variable].values
        return values


@dataclass(frozen=True)
class Augmentation:
    """How patches are changed in training; validation and test are left alone."""

    turns: bool = True
    """Quarter turns about z, and mirror images along z and x."""
    noise: Mapping[str, Sequence[float]] | None = None
    """By source, the measured standard deviation of the noise of each channel."""
    noise_share: float = 0.0
    """Noise that is added, in units of the measured noise: uniform from 0 to this."""


class Loader:
    """Batches of matched patches, epoch after epoch.

    Iterating gives the batches of one epoch as ``{source: (patch, channel, z, y, x)}`` with
    ``"patch"``, the rows they are in the set; the next iteration gives the next epoch.

    Parameters
    ----------
    sources
        By name; all of the same patches.
    index
        (n): rows of the patches that are seen, as those of one split.
    batch
        Patches in a batch.
    shuffle
        Whether their order is drawn anew for each epoch.
    seed
        Of order and augmentation: the same seed, the same batches.
    rank, ranks
        For training on several machines: which of them this is. Together they see what one would.
    last
        What becomes of patches that fill no batch: see `zeoarray.kernels.epochs.batches`.
    threads
        Batches that are read at the same time.
    window
        Shards that are mixed: a batch touches at most so many.
    shard
        Patches in a shard.
    augmentation
        How patches are changed; None leaves them as they are.
    scale
        By source, mean and standard deviation of each channel, which are taken out.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        index: Array,
        *,
        batch: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
        last: epochs.Last = "keep",
        threads: int = 2,
        window: int = 16,
        shard: int = 64,
        augmentation: Augmentation | None = None,
        scale: Mapping[str, tuple[Array, Array]] | None = None,
    ) -> None:
        if not sources or min(batch, threads, window, ranks) < 1:
            raise ArgumentError(
                "a loader needs at least one source, patch, thread, shard and rank",
                got=f"{len(sources)} sources, batch={batch}, threads={threads}, window={window}, "
                f"ranks={ranks}",
            )
        self.sources, self.index = dict(sources), np.sort(np.asarray(index))
        self.shuffle, self.seed, self.threads = shuffle, seed, threads
        self.window, self.shard = window, shard
        self.augmentation, self.scale = augmentation, dict(scale or {})
        self.batch, self.rank, self.ranks = batch, rank, ranks
        self.last: epochs.Last = last
        self.epoch, self._next = 0, 0
        self.batches(0)

    def batches(self, epoch: int) -> list[Array]:
        """Rows of each batch of an epoch, as this rank sees them."""
        ordered = self.index
        if self.shuffle:
            ordered = epochs.order(
                ordered, seed=self.seed, epoch=epoch, shard=self.shard, window=self.window
            )
        return epochs.batches(
            ordered, batch=self.batch, rank=self.rank, ranks=self.ranks, last=self.last
        )

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self.batches(self.epoch))

    def __iter__(self) -> Iterator[Batch]:
        """The batches of this epoch that are left."""
        epoch = self.epoch
        todo = iter(self.left())
        running: deque[cf.Future[Batch]] = deque()
        with cf.ThreadPoolExecutor(self.threads) as pool:
            try:
                while True:
                    free = AHEAD * self.threads - len(running)
                    for rows in itertools.islice(todo, free):
                        running.append(pool.submit(self.make, rows, epoch))
                    if not running:
                        break
                    # Counted before it is given: whoever saves the state then has had it.
                    made = running.popleft().result()
                    self.given()
                    yield made
            finally:
                for future in running:
                    future.cancel()
        self.ended()

    def left(self) -> list[Array]:
        """Rows of the batches of this epoch that were not given yet."""
        return self.batches(self.epoch)[self._next :]

    def given(self) -> None:
        """Count one batch as given."""
        self._next += 1

    def ended(self) -> None:
        """Begin the next epoch."""
        self.epoch, self._next = self.epoch + 1, 0

    def make(self, rows: Array, epoch: int) -> Batch:
        """Read, normalise and augment one batch."""
        out: Batch = {}
        for name, source in self.sources.items():
            values = source.read(rows)
            if name in self.scale:
                mean, deviation = (np.float32(v).reshape(-1, 1, 1, 1) for v in self.scale[name])
                values = values.astype(np.float32, copy=False)
                values -= mean
                values /= deviation
            out[name] = values
        if self.augmentation is not None:
            self._augment(out, rows, epoch, self.augmentation)
        out["patch"] = np.asarray(rows)
        return out

    def _augment(self, out: Batch, rows: Array, epoch: int, how: Augmentation) -> None:
        square = all(v.shape[-1] == v.shape[-2] for v in out.values())
        for place, row in enumerate(rows):
            rng = np.random.default_rng([self.seed, epoch, int(row)])
            turn = augment.drawn(rng, square=square)
            share = float(rng.uniform(0, how.noise_share))
            for name, values in out.items():
                if how.turns:
                    values[place] = turn(values[place]).copy()
                if how.noise is not None and name in how.noise and share:
                    sigma = np.asarray(how.noise[name], dtype=np.float64)
                    if name in self.scale:
                        sigma = sigma / self.scale[name][1]
                    values[place] = augment.noisier(values[place], sigma, share, rng)

    def state(self) -> dict[str, int]:
        """Where the loader is: to be saved with a model, in the middle of an epoch as well."""
        return {"epoch": self.epoch, "batch": self._next, "seed": self.seed,
                "patches": int(self.index.size)}  # fmt: skip

    def resume(self, state: Mapping[str, int]) -> None:
        """Go on where `state` was taken.

        Raises
        ------
        ArgumentError
            For the state of a loader with another seed or other patches.
        """
        for name in ("seed", "patches"):
            if state.get(name) != self.state()[name]:
                raise ArgumentError(
                    f"this state is of a loader with another number of {name}"
                    if name == "patches"
                    else "this state is of a loader with another seed",
                    got=state.get(name),
                    expected=self.state()[name],
                )
        self.epoch, self._next = int(state["epoch"]), int(state["batch"])


def loader(
    path: str | Path,
    name: str,
    sources: Mapping[str, str] | Sequence[str],
    *,
    split: str = "train",
    normalize: bool = True,
    batch: int = 32,
    shuffle: bool = True,
    seed: int = 0,
    rank: int = 0,
    ranks: int = 1,
    last: epochs.Last = "keep",
    threads: int = 2,
    window: int = 16,
    augmentation: Augmentation | None = None,
) -> Loader:
    """Batches of one split of a set in a store.

    Parameters
    ----------
    path
        The store.
    name
        Node of the set: ``patches/sr`` with ``patches/sr/fine``, ``patches/sr/coarse``.
    sources
        Names of its sources; or, by name, the variable of each that is read.
    split
        "train", "validation", "test", or what they are called.
    normalize
        Whether each channel's mean is taken out and its standard deviation made 1, by
        ``patches/<set>/<source>-statistics`` (`patches.statistics`): those of the training split,
        for every split.
    batch, shuffle, seed, rank, ranks, last, threads, window, augmentation
        As for `Loader`.

    Returns
    -------
    Loader

    Raises
    ------
    ArgumentError
        For a split without patches, or sources whose patches are not the same.
    StoreError
        Where a node is missing.
    """
    asked = dict(sources) if isinstance(sources, Mapping) else dict.fromkeys(sources, "")
    opened: dict[str, Source] = {}
    scale: dict[str, tuple[Array, Array]] = {}
    index, per_shard, first = np.empty(0, np.int64), 1, None
    for source, variable in asked.items():
        node = store.open_node(path, f"{name}/{source}", chunked=False)
        chosen = _variable(node, f"{name}/{source}", variable)
        found = Stored(path, f"{name}/{source}", chosen)
        opened[source], per_shard = found, max(per_shard, found.per_shard)
        if first is None:
            first = node
            index = np.flatnonzero(windows.splits(node) == split)
        _matched(first, node, f"{name}/{source}")
        if normalize:
            scale[source] = _scale(path, f"{name}/{source}")
    if first is not None and not index.size:
        there = sorted(set(windows.splits(first)))
        raise ArgumentError(
            f"{name} has no patches in the split {split!r}", expected="one of " + ", ".join(there)
        )
    return Loader(
        opened, index, batch=batch, shuffle=shuffle, seed=seed, rank=rank, ranks=ranks, last=last,
        threads=threads, window=window, shard=per_shard, augmentation=augmentation, scale=scale,
    )  # fmt: skip


def _scale(path: str | Path, name: str) -> tuple[Array, Array]:
    node = f"{name}-statistics"
    if node not in store.nodes(Path(path)):
        raise StoreError(
            f"{path} does not say what {name} is normalised by",
            expected=f"the node {node}, made of the training split",
            do=f"measure: patches.statistics, from: {name}, into: {node}; or normalize=False",
        )
    told = store.open_node(path, node, chunked=False)
    return told["mean"].values, told["deviation"].values


def _variable(node: xr.Dataset, name: str, variable: str) -> str:
    fit = [str(n) for n, v in node.data_vars.items() if v.ndim == 5]
    if variable in fit or (not variable and len(fit) == 1):
        return variable or fit[0]
    raise ArgumentError(
        f"{name}: which variable shall be read?",
        got=repr(variable),
        expected="one of " + (", ".join(fit) or "patches (patch, channel, z, y, x)"),
        do=f'sources={{"{name.rpartition("/")[2]}": "{fit[0] if fit else "attenuation"}"}}',
    )


def _matched(first: xr.Dataset, other: xr.Dataset, name: str) -> None:
    places = all(np.array_equal(known(first[v.name]), known(other[v.name])) for v in schema.CENTRES)
    if not places or not np.array_equal(windows.splits(first), windows.splits(other)):
        raise ArgumentError(
            f"{name}: its patches are not those of the other sources",
            expected="the same places and splits, in the same order",
            do="extract all sources of a set from the same places",
        )
