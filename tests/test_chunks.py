"""Arithmetic on blocks, by tables and by properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeoarray import chunks
from zeoarray.errors import ArgumentError

sizes = st.integers(1, 60)


@given(st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.tuples(sizes, sizes))
def test_a_fitting_layout_covers_the_array_once(
    shape: tuple[int, int], shard: tuple[int, int], chunk: tuple[int, int]
) -> None:
    layout = chunks.fit(shape, shard, chunk)
    assert all(s % c == 0 for s, c in zip(layout.shard, layout.chunk, strict=True))
    assert all(c <= n for c, n in zip(layout.chunk, shape, strict=True))
    seen = np.zeros(shape, int)
    for index in layout.indices():
        box = layout.box(index)
        assert seen[box].size
        seen[box] += 1
    assert (seen == 1).all()
    assert layout.shard_nbytes(2) == 2 * math.prod(layout.shard)


def test_an_empty_dim_has_no_shards() -> None:
    assert list(chunks.fit((0, 4), (2, 2), (1, 1)).indices()) == []


@pytest.mark.parametrize(
    ("shard", "chunk", "message"),
    [((4,), (3,), "whole chunks"), ((4,), (0,), "whole chunks"), ((4, 4), (2,), "number of dims")],
)
def test_layouts_that_cannot_be(
    shard: tuple[int, ...], chunk: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        chunks.Layout((8,), shard, chunk)


@given(st.integers(1, 50), st.data(), st.integers(0, 9))
def test_padding_trims_back_to_what_was_asked(size: int, data: st.DataObject, halo: int) -> None:
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    outer, inner = chunks.pad((slice(start, stop),), (halo,), (size,))
    values = np.arange(size)
    np.testing.assert_array_equal(values[outer][inner], values[start:stop])
    assert outer[0].start == max(0, start - halo)
    assert outer[0].stop == min(size, stop + halo)


def test_halos_of_a_chain_add_up() -> None:
    assert chunks.union_halo([{"z": 2}, {"z": 1, "u": 4}, {}]) == {"z": 3, "u": 4}


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 5), st.integers(1, 5))
def test_merged_parts_keep_the_size_and_the_grain(parts: list[int], grain: int, least: int) -> None:
    out = chunks.merged(parts, grain=grain, least=least)
    assert sum(out) == sum(parts)
    assert all(n % grain == 0 for n in out[:-1])
    assert len(out) == 1 or min(out) >= max(grain, least)
    assert set(np.cumsum(out)) <= set(np.cumsum(parts)), "only joins, so that no chunk is split"


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 4), st.integers(1, 200))
def test_smaller_parts_keep_the_size_and_the_grain(parts: list[int], grain: int, most: int) -> None:
    whole = {"angle": (7,), "z": tuple(p * grain for p in parts)}
    out = chunks.smaller(whole, most, free={"z"}, grain={"z": grain}, least={})
    assert out["angle"] == (7,)
    assert sum(out["z"]) == sum(whole["z"])
    assert all(n % grain == 0 for n in out["z"])
    assert 7 * max(out["z"]) <= most or max(out["z"]) < 2 * grain


def test_smaller_cuts_the_longest_and_gives_up_where_nothing_is_free() -> None:
    parts = {"angle": (100,), "z": (8,), "u": (50,)}
    out = chunks.smaller(parts, 20_000, free={"z", "u"}, grain={}, least={"u": 10})
    assert out == {"angle": (100,), "z": (8,), "u": (25, 25)}
    assert chunks.smaller(parts, 1, free=set(), grain={}, least={}) == parts


@pytest.mark.parametrize(
    ("shape", "chunk", "limit", "expected"),
    [
        ((100, 10, 10), (1, 10, 10), 400, (2, 10, 10)),
        ((100, 10, 10), (1, 2, 10), 100, (1, 4, 10)),
        ((3, 10, 10), (1, 10, 10), 10**9, (3, 10, 10)),
        ((0, 10), (1, 10), 100, (1, 10)),
        ((10,), (4,), 1, (4,)),
    ],
)
def test_joined(
    shape: tuple[int, ...], chunk: tuple[int, ...], limit: int, expected: tuple[int, ...]
) -> None:
    assert chunks.joined(shape, chunk, 2, limit) == expected


def test_blocks_in_flight() -> None:
    assert chunks.blocks_in_flight(100, 20, 30) == 2
    with pytest.raises(ArgumentError, match="one block does not fit") as info:
        chunks.blocks_in_flight(1_000_000, 900_000, 200_000)
    assert "1.1 MB needed (900.0 kB of it held for the whole run), 1.0 MB allowed" in str(
        info.value
    )
    assert "choose a smaller shard" in str(info.value)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (1.5e9, "1.5 GB"),
     (2e15, "2000.0 TB"), (-2048, "-2.0 kB")],
)  # fmt: skip
def test_bytes_for_people(number: float, text: str) -> None:
    assert chunks.format_bytes(number) == text
