"""What a run says in a log."""

from __future__ import annotations

from zeoarray.cli import progress
from zeoarray.cli.progress import Lines

KINDS = {"a/scan": "ingest", "a/axis": "measure", "a/volume": "steps"}


def told(*states: tuple[float, str, int, int]) -> list[str]:
    now = 0.0
    lines = Lines(KINDS, clock=lambda: now)
    out = []
    for at, *state in states:
        now = at
        out += lines.told(*state)
    return out


def test_every_stage_says_when_it_begins_and_when_it_is_made() -> None:
    assert told(
        (0.0, "a/scan", 0, 4_000_000),
        (1.0, "a/scan", 2_000_000, 4_000_000),
        (2.0, "a/scan", 4_000_000, 4_000_000),
        (2.0, "a/axis", 0, 1),
        (5.5, "a/axis", 1, 1),
        (6.0, "a/volume", 0, 3),
        (7.0, "a/volume", 2, 3),
        (10.0, "a/volume", 3, 3),
    ) == [
        "    1/3 a/scan: 4.0 MB",
        "        made in 2.0 s, 2.0 MB/s",
        "    2/3 a/axis",
        "        made in 3.5 s",
        "    3/3 a/volume: 3 blocks",
        "        made in 4.0 s, 0.75 blocks/s",
    ]


def test_what_takes_long_says_how_far_it_is_and_what_is_left() -> None:
    every = progress.EVERY_S
    states = [(every * i / 2, "a/volume", 100 + 3 * i, 130) for i in range(6)]
    assert told(*states) == [
        "    3/3 a/volume: 130 blocks, 100 blocks of it made before",
        "        106 blocks of 130 blocks, 0.2 blocks/s, 2 min 0 s left",
        "        112 blocks of 130 blocks, 0.2 blocks/s, 1 min 30 s left",
    ]


def test_a_temporary_node_has_no_number() -> None:
    assert told((0.0, "a/volume.part0", 0, 1))[0].strip() == "a/volume.part0: 1 block"


def test_a_stage_that_never_told_its_last_block_is_closed_by_the_next() -> None:
    assert told((0.0, "a/scan", 0, 4_000_000), (3.0, "a/axis", 0, 1)) == [
        "    1/3 a/scan: 4.0 MB",
        "        made in 3.0 s",
        "    2/3 a/axis",
    ]
