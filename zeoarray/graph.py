"""A kernel over dask arrays: one task for each block, cut as the kernel's contract allows."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph

from zeoarray import chunks
from zeoarray.backend import single_threaded
from zeoarray.kernels.contract import Dims, Kernel

BLOCK_BYTES = 1 << 28
"""Where joining the chunks of core dims makes a block larger than this, the other dims are cut."""
BATCH = "batch."
"""Begins the labels of batch dims. No name of a dim has a dot, so no core dim is called so."""


def _in_task(run: Callable[..., tuple[Any, ...]], *raw: Any) -> tuple[Any, ...]:
    with single_threaded():
        return run(*map(_bare, raw))


def _bare(block: Any) -> Any:
    # A dim that is not cut has one chunk, which dask hands over in a list for each such dim. Asked
    # to concatenate, it would copy the block.
    while isinstance(block, list):
        (block,) = block
    return block


def over_blocks(
    run: Callable[..., tuple[Any, ...]],
    contract: Kernel,
    parameters: Mapping[str, Any],
    raw: Sequence[Any],
    groups: Sequence[Dims],
    out_sizes: Mapping[str, int],
) -> tuple[da.Array, ...]:
    """The outputs as dask arrays: one task for each block calls the kernel once for them all."""
    halo, grain = contract.overlap(parameters), contract.grains(parameters)
    batch = _batch(max(a.ndim - len(g) for a, g in zip(raw, groups, strict=True)))
    labels = [
        (*batch[len(batch) - a.ndim + len(g) :], *g) for a, g in zip(raw, groups, strict=True)
    ]
    together = {batch[-1]: contract.together} if batch and contract.together > 1 else {}
    parts = _parts(raw, labels, halo, grain, together)
    blocks = []
    for array, label in zip(raw, labels, strict=True):
        cut, depth = _recut(array, label, parts), _depth(label, parts, halo)
        blocks.append(da.overlap.overlap(cut, depth, boundary="none") if depth else cut)
    loop = (*batch, *(d for d in contract.outputs[0] if d in halo or d in grain))
    calls = da.blockwise(
        functools.partial(_in_task, run),
        loop,
        *itertools.chain.from_iterable(zip(blocks, labels, strict=True)),
        concatenate=False,
        dtype=object,
        meta=np.empty((0,) * len(loop), dtype=object),
    )
    sizes = {d: (n,) for d, n in out_sizes.items()} | dict(zip(loop, calls.chunks, strict=True))
    for dim, rows in grain.items():
        sizes[dim] = tuple(n // rows for n in sizes[dim])
    outputs = []
    for i, dims in enumerate(contract.outputs):
        label = (*batch, *dims)
        dtype = contract.output_dtype(i, blocks[0].dtype)
        meta = da.utils.meta_from_array(blocks[0]._meta, ndim=len(label), dtype=dtype)
        places = [loop.index(d) if d in loop else None for d in label]
        out = _picked(calls, i, places, tuple(sizes[d] for d in label), meta)
        depth = _depth(label, parts, halo)
        outputs.append(da.overlap.trim_internal(out, depth, boundary="none") if depth else out)
    return tuple(outputs)


def _depth(
    label: Dims, parts: Mapping[str, tuple[int, ...]], halo: Mapping[str, int]
) -> dict[int, int]:
    return {i: halo[d] for i, d in enumerate(label) if halo.get(d) and len(parts[d]) > 1}


def _batch(count: int) -> tuple[str, ...]:
    return tuple(f"{BATCH}{i}" for i in range(count))


def _parts(
    raw: Sequence[Any],
    labels: Sequence[Dims],
    halo: Mapping[str, int],
    grain: Mapping[str, int],
    together: Mapping[str, int],
) -> dict[str, tuple[int, ...]]:
    """Chunks along each core dim: as the first array that has it, as far as it may be cut.

    So too along the last batch dim where rows of it go `together`.

    Joining the chunks of a dim that may not be cut must not make blocks of the whole array: where
    it would, the other dims of the first array are cut, batch dims included.
    """
    parts: dict[str, tuple[int, ...]] = {}
    least = {d: max(n, 1) for d, n in halo.items()}
    for array, label in zip(raw, labels, strict=True):
        have = getattr(array, "chunks", None) or tuple((n,) for n in array.shape)
        for dim, now in zip(label, have, strict=True):
            if dim in halo or dim in grain:
                now = chunks.merged(now, grain=grain.get(dim, 1), least=least.get(dim, 1))
            elif dim in together:
                now = chunks.merged(now, grain=together[dim])
                if sum(parts.get(dim, ())) == 1:
                    # An array of one row is broadcast, and says nothing of the others.
                    del parts[dim]
            elif not dim.startswith(BATCH):
                now = (sum(now),)
            parts.setdefault(dim, now)
    first = {d: parts[d] for d in labels[0]}
    if isinstance(raw[0], da.Array) and tuple(first.values()) != raw[0].chunks:
        free = {d for d in first if d in halo or d in grain or d.startswith(BATCH)}
        most = BLOCK_BYTES // raw[0].dtype.itemsize
        parts |= chunks.smaller(first, most, free=free, grain={**grain, **together}, least=least)
    else:
        free = set()
    cut = free | set(together)
    return {d: p for d, p in parts.items() if d in cut or not d.startswith(BATCH)}


def _recut(array: Any, label: Dims, parts: Mapping[str, tuple[int, ...]]) -> da.Array:
    if not isinstance(array, da.Array):
        array = da.from_array(array, chunks=array.shape or 1)
    # A batch dim of size 1 is broadcast.
    wanted = {i: parts[d] for i, d in enumerate(label) if d in parts and array.shape[i] != 1}
    out: da.Array = array.rechunk(wanted)
    return out


def _picked(
    calls: da.Array,
    output: int,
    places: Sequence[int | None],
    sizes: tuple[tuple[int, ...], ...],
    meta: Any,
) -> da.Array:
    """Output number `output` of every call, as an array of its own."""
    name = f"lift-{output}-{dask.base.tokenize(calls.name, output)}"
    graph: dict[Any, Any] = {}
    for index in itertools.product(*(range(len(n)) for n in sizes)):
        source = [0] * calls.ndim
        for place, i in zip(places, index, strict=True):
            if place is not None:
                source[place] = i
        graph[(name, *index)] = (operator.getitem, (calls.name, *source), output)
    behind: Any = calls
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[behind])
    return da.Array(layers, name, chunks=sizes, meta=meta)
