"""The order in which patches are seen: shuffled, yet shard by shard; the same for a seed."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from zeoarray.errors import ArgumentError

Array = np.ndarray[Any, Any]
Last = Literal["keep", "drop", "repeat"]


def order(index: Array, *, seed: int, epoch: int, shard: int, window: int) -> Array:
    """The patches of one epoch, each once, shuffled.

    Shards are shuffled, `window` of them are taken at a time, and all patches in them are
    shuffled: a batch touches at most `window` shards, two patches of which can meet in a batch
    wherever they lie in the set. A window of all shards is a shuffle without any structure.

    Parameters
    ----------
    index
        (n): rows of the patches, ascending.
    seed, epoch
        The same two give the same order.
    shard
        Patches in a shard.
    window
        Shards that are mixed.
    """
    rng = np.random.default_rng([seed, epoch])
    number = index // shard
    first = np.flatnonzero(np.diff(number, prepend=-1))
    groups = np.split(index, first[1:]) if index.size else []
    turn = rng.permutation(len(groups))
    parts = [
        rng.permutation(np.concatenate([groups[i] for i in turn[k : k + window]]))
        for k in range(0, len(groups), window)
    ]
    return np.concatenate(parts) if parts else index


def batches(ordered: Array, *, batch: int, rank: int, ranks: int, last: Last) -> list[Array]:
    """The batches that one of several ranks sees, in order.

    Batch number b goes to rank ``b % ranks``, so that the ranks together see what one would see.

    Parameters
    ----------
    ordered
        (n): the patches of an epoch.
    batch
        Patches in a batch.
    rank, ranks
        Which, of how many.
    last
        What becomes of patches that fill no batch of all ranks. "keep": a smaller batch, and some
        ranks have one batch more: every patch is seen once. "drop": left out. "repeat": filled up
        with the first of the epoch. With these two all ranks have equally many full batches, as
        distributed training needs.

    Raises
    ------
    ArgumentError
        For a rank that is none of `ranks`, or where "drop" leaves nothing.
    """
    if not 0 <= rank < ranks:
        raise ArgumentError("there is no such rank", got=rank, expected=f"0 to {ranks - 1}")
    round_ = batch * ranks
    if last == "drop":
        ordered = ordered[: ordered.size // round_ * round_]
        if not ordered.size:
            raise ArgumentError(
                "no batch is full",
                got=f"fewer patches than {ranks} x {batch}",
                do="choose a smaller batch, or last='keep'",
            )
    elif last == "repeat" and ordered.size:
        ordered = np.resize(ordered, -(-ordered.size // round_) * round_)
    return [ordered[k : k + batch] for k in range(rank * batch, ordered.size, round_)]
