"""Batches of patches for PyTorch: `loader`, and `PatchDataset` for a loader of one's own.

PyTorch is an extra: ``pip install "zeoarray[torch]"``. `zeoarray.patches.loader` gives the same
batches as NumPy arrays without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from zeoarray.errors import DependencyError
from zeoarray.patches.loader import Loader

Key = tuple[int, int]
"""Epoch and row of a patch."""


class PatchDataset:
    """The patches of a `zeoarray.patches.loader`, one at a time or a batch at a time.

    A map-style dataset: give it to any ``torch.utils.data.DataLoader`` with a sampler of one's
    own. `loader` is faster, shuffles by shards, and resumes.

    Parameters
    ----------
    source
        What gives the patches.
    """

    def __init__(self, source: Loader) -> None:
        self.source = source

    def __len__(self) -> int:
        """Patches of the split."""
        return int(self.source.index.size)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One patch, ``{source: (channel, z, y, x)}``."""
        row = int(self.source.index[index])
        return {n: v[0] for n, v in self.__getitems__([(self.source.epoch, row)]).items()}

    def __getitems__(self, keys: list[Key]) -> dict[str, Any]:
        """A batch, as tensors; PyTorch asks for all of it at once."""
        torch = _torch()
        (epoch,) = {epoch for epoch, _ in keys}
        made = self.source.make(np.array([row for _, row in keys]), epoch)
        return {name: torch.from_numpy(values) for name, values in made.items()}


class Batches:
    """Batches as tensors, epoch after epoch; see `loader`."""

    def __init__(self, source: Loader, workers: int, pin: bool) -> None:
        self.source, self._workers, self._pin = source, workers, pin

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self.source)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The batches of this epoch that are left."""
        return self._by_processes() if self._workers else self._by_threads()

    def _by_threads(self) -> Iterator[dict[str, Any]]:
        torch = _torch()
        for made in self.source:
            tensors = {name: torch.from_numpy(values) for name, values in made.items()}
            yield {n: t.pin_memory() for n, t in tensors.items()} if self._pin else tensors

    def _by_processes(self) -> Iterator[dict[str, Any]]:
        torch = _torch()
        epoch = self.source.epoch
        keys = [[(epoch, int(row)) for row in rows] for rows in self.source.left()]
        batches = torch.utils.data.DataLoader(
            PatchDataset(self.source),
            batch_sampler=keys,
            collate_fn=_as_it_is,
            num_workers=self._workers,
            pin_memory=self._pin,
        )
        for made in batches:
            self.source.given()
            yield made
        self.source.ended()

    def state(self) -> dict[str, int]:
        """Where it is, to be saved with a model."""
        return self.source.state()

    def resume(self, state: Mapping[str, int]) -> None:
        """Go on where `state` was taken."""
        self.source.resume(state)


def loader(source: Loader, *, workers: int = 0, pin_memory: bool = False) -> Batches:
    """Give the batches of `source` as tensors, made by its threads or by worker processes.

    Reading and decoding do not hold the interpreter, so that the threads of `source` are as many
    processors at work. Batches of theirs are the arrays themselves; those of processes are copied
    through shared memory. Processes are worth that where augmentation takes longer than reading.

    Order, splits, ranks, augmentation and resumption are those of `source`: the batches are the
    same whatever the number of workers.

    Parameters
    ----------
    source
        As `zeoarray.patches.loader` gives it, with ``rank`` and ``ranks`` for distributed
        training.
    workers
        Processes; 0 makes batches by the threads of `source`.
    pin_memory
        Whether batches lie in page-locked memory, for copies to a GPU.

    Raises
    ------
    DependencyError
        Where PyTorch is not installed, or memory shall be pinned and there is no GPU.
    """
    torch = _torch()
    if pin_memory and not torch.cuda.is_available():
        raise DependencyError(
            "PyTorch finds no GPU that memory could be pinned for", do="pin_memory=False"
        )
    return Batches(source, workers, pin_memory)


def _as_it_is(batch: dict[str, Any]) -> dict[str, Any]:
    return batch


def _torch() -> Any:
    try:
        import torch
        import torch.utils.data
    except ImportError as error:
        raise DependencyError(
            "PyTorch is not installed",
            do='pip install "zeoarray[torch]", or use zeoarray.patches.loader: NumPy arrays',
        ) from error
    return torch
