"""Block, halo and memory arithmetic on plain integers: no array is touched here.

A *shard* is what one task writes: one file. A *chunk* is what is compressed by itself, the least
that can be read. A *block* is any box of the array, such as one shard with its halo.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from zeoarray.errors import ArgumentError

Box = tuple[slice, ...]
Index = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """How an array lies on disk."""

    shape: tuple[int, ...]
    shard: tuple[int, ...]
    chunk: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.shape) == len(self.shard) == len(self.chunk):
            raise ArgumentError(
                "shape, shard and chunk must have the same number of dims",
                got=f"{self.shape}, {self.shard}, {self.chunk}",
            )
        for size, shard, chunk in zip(self.shape, self.shard, self.chunk, strict=True):
            if chunk < 1 or shard % chunk or size < 0:
                raise ArgumentError(
                    "each shard holds whole chunks, and each chunk at least one element",
                    got=f"shape {self.shape}, shard {self.shard}, chunk {self.chunk}",
                )

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of shards along each dim."""
        return tuple(math.ceil(n / s) for n, s in zip(self.shape, self.shard, strict=True))

    def indices(self) -> Iterator[Index]:
        """Index of every shard, last dim fastest."""
        return itertools.product(*(range(n) for n in self.grid))

    def box(self, index: Index) -> Box:
        """The part of the array that shard `index` holds, cut at the array's end."""
        return tuple(
            slice(i * s, min((i + 1) * s, n))
            for i, s, n in zip(index, self.shard, self.shape, strict=True)
        )

    def shard_nbytes(self, itemsize: int) -> int:
        """Bytes of one full shard, uncompressed."""
        return math.prod(self.shard) * itemsize


def fit(shape: Sequence[int], shard: Sequence[int | None], chunk: Sequence[int | None]) -> Layout:
    """Return a layout for `shape`; None means the whole dim, and nothing exceeds the array.

    Examples
    --------
    >>> fit((100, 64, 48), (32, None, None), (32, 8, None))
    Layout(shape=(100, 64, 48), shard=(32, 64, 48), chunk=(32, 8, 48))
    """
    chunks, shards = [], []
    for size, s, c in zip(shape, shard, chunk, strict=True):
        n = max(size, 1)
        inner = min(n if c is None else c, n)
        outer = min(n if s is None else s, n)
        chunks.append(inner)
        shards.append(math.ceil(max(outer, inner) / inner) * inner)
    return Layout(tuple(shape), tuple(shards), tuple(chunks))


def pad(box: Box, halo: Sequence[int], shape: Sequence[int]) -> tuple[Box, Box]:
    """Grow `box` by `halo` on either side, as far as the array goes.

    Returns
    -------
    The box to read, and the box that trims a result of its shape back to the one asked for.

    Examples
    --------
    >>> pad((slice(0, 4), slice(4, 8)), (2, 2), (8, 8))[0]
    (slice(0, 6, None), slice(2, 8, None))
    """
    outer, inner = [], []
    for part, margin, size in zip(box, halo, shape, strict=True):
        start, stop = max(part.start - margin, 0), min(part.stop + margin, size)
        outer.append(slice(start, stop))
        inner.append(slice(part.start - start, part.stop - start))
    return tuple(outer), tuple(inner)


def union_halo(halos: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Halo of a chain of steps: along each dim, the sum of theirs."""
    total: dict[str, int] = {}
    for halo in halos:
        for dim, margin in halo.items():
            total[dim] = total.get(dim, 0) + margin
    return total


def joined(
    shape: Sequence[int], chunk: Sequence[int], itemsize: int, limit: int
) -> tuple[int, ...]:
    """Sizes of blocks to read: whole chunks, joined from the last dim on up to `limit` bytes.

    Examples
    --------
    >>> joined((4000, 2160, 2560), (1, 2160, 2560), 2, 64_000_000)
    (5, 2160, 2560)
    """
    sizes = [min(c, max(n, 1)) for n, c in zip(shape, chunk, strict=True)]
    for axis in reversed(range(len(sizes))):
        most = max(1, limit // max(math.prod(sizes) * itemsize, 1))
        sizes[axis] = min(sizes[axis] * most, max(shape[axis], 1))
    return tuple(sizes)


def merged(parts: Sequence[int], *, grain: int = 1, least: int = 1) -> tuple[int, ...]:
    """Join neighbouring parts of a dim until each is a multiple of `grain` and at least `least`.

    Only the last part may be no multiple; one that is too small is joined to the part before it.

    Examples
    --------
    >>> merged((3, 3, 3, 2), grain=2)
    (6, 5)
    >>> merged((4, 1, 4), least=2)
    (4, 5)
    """
    out: list[int] = []
    open_part = 0
    for part in parts:
        open_part += part
        if open_part % grain == 0 and open_part >= least:
            out.append(open_part)
            open_part = 0
    if out and 0 < open_part < max(grain, least):
        out[-1] += open_part
    elif open_part or not out:
        out.append(open_part)
    return tuple(out)


def smaller(
    parts: Mapping[str, tuple[int, ...]],
    most: int,
    *,
    free: Collection[str],
    grain: Mapping[str, int],
    least: Mapping[str, int],
) -> dict[str, tuple[int, ...]]:
    """Halve the parts along `free` dims until no block has more than `most` elements, or none can.

    Parameters
    ----------
    parts
        Sizes of the parts along each dim.
    most
        Elements that a block may have.
    free
        Dims that may be cut, the longest of them first.
    grain, least
        What each part along a dim is a multiple of (1 if not named), and at least.

    Examples
    --------
    >>> smaller({"angle": (8,), "z": (6, 2)}, 16, free={"z"}, grain={}, least={})
    {'angle': (8,), 'z': (2, 1, 2, 1, 1, 1)}
    """
    out = dict(parts)
    while math.prod(max(p) for p in out.values()) > most:
        halves = {
            d: tuple(h for part in out[d] for h in _halves(part, grain.get(d, 1), least.get(d, 1)))
            for d in free
        }
        longest = max(
            free, key=lambda d: (max(out[d]) > max(halves[d])) * max(out[d]), default=None
        )
        if longest is None or max(halves[longest]) == max(out[longest]):
            break
        out[longest] = halves[longest]
    return out


def _halves(part: int, grain: int, least: int) -> tuple[int, ...]:
    half = math.ceil(part / 2 / grain) * grain
    return (half, part - half) if min(half, part - half) >= max(grain, least) else (part,)


def blocks_in_flight(limit: int, fixed: int, block: int) -> int:
    """How many blocks of `block` bytes run at once within `limit`, `fixed` bytes held beside them.

    Raises
    ------
    ArgumentError
        Where not even one fits.
    """
    if fixed + block > limit:
        raise ArgumentError(
            "one block does not fit into the memory",
            got=f"{format_bytes(fixed + block)} needed ({format_bytes(fixed)} of it held for the "
            f"whole run), {format_bytes(limit)} allowed",
            do="allow more memory, or choose a smaller shard",
        )
    return (limit - fixed) // max(block, 1)


def format_bytes(number: float) -> str:
    """Return a size for people, in powers of 1000.

    Examples
    --------
    >>> format_bytes(1234567)
    '1.2 MB'
    """
    if abs(number) < 1000:
        return f"{number:.0f} B"
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if abs(number) < 999.95:
            return f"{number:.1f} {unit}"
    return f"{number / 1000:.1f} TB"
