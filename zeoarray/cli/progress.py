"""Progress: bars on a terminal; of a run, lines where there is none, as bars would be noise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from zeoarray.chunks import format_bytes

Tell = Callable[[str, int, int], None]
EVERY_S = 30.0
"""A stage that takes long tells in a log how far it is, this often."""


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function of (bytes done, bytes in all) that moves a bar on standard error."""
    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def stages(kinds: Mapping[str, str]) -> Iterator[Tell]:
    """Give a function of (node, done, in all) that shows how far a run is.

    Standard error has a bar for each node where it is a terminal. Standard output has lines where
    it is none, or where there are no bars.

    Parameters
    ----------
    kinds
        Of each node that the run makes, in order: ``ingest``, whose progress counts bytes,
        ``measure``, which is one piece, or ``steps``, which counts blocks.
    """
    lines = Lines(kinds)
    quiet = sys.stdout.isatty() and sys.stderr.isatty()
    with counts() as bars:

        def tell(node: str, done: int, total: int) -> None:
            bars(node, done, total)
            if not quiet:
                for line in lines.told(node, done, total):
                    click.echo(line)

        yield tell
        if not quiet:
            for line in lines.closed():
                click.echo(line)


class Lines:
    """What a run says of its stages in a log: when one begins, how far it is, when it is made."""

    def __init__(
        self, kinds: Mapping[str, str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.kinds, self.clock = kinds, clock
        self.node, self.first, self.begun, self.last = "", 0, 0.0, 0.0
        self.open = False

    def closed(self) -> Iterator[str]:
        """Give the line of a stage that is made without having told of its last block."""
        if self.open:
            self.open = False
            yield f"{'':>7} made in {format_seconds(self.clock() - self.begun)}"

    def told(self, node: str, done: int, total: int) -> Iterator[str]:
        """Give the lines that this state is worth: none, one or two."""
        now = self.clock()
        kind = self.kinds.get(node, "steps")
        if node != self.node:
            yield from self.closed()
            self.open = True
            self.node, self.first, self.begun, self.last = node, done, now, now
            before = f", {_amount(kind, done)} of it made before" if done else ""
            size = "" if kind == "measure" else f": {_amount(kind, total)}{before}"
            yield f"{self._number(node)} {node}{size}"
        made, seconds = done - self.first, now - self.begun
        rate = made / seconds if seconds > 0 else 0.0
        speed = f", {_rate(kind, rate)}" if rate and kind != "measure" else ""
        if done >= total and self.open:
            self.open = False
            yield f"{'':>7} made in {format_seconds(seconds)}{speed}"
        elif self.open and now - self.last >= EVERY_S and rate:
            self.last = now
            left = format_seconds((total - done) / rate)
            yield f"{'':>7} {_amount(kind, done)} of {_amount(kind, total)}{speed}, {left} left"

    def _number(self, node: str) -> str:
        """Which of all stages; nothing for a temporary node."""
        names = list(self.kinds)
        told = f"{names.index(node) + 1}/{len(names)}" if node in names else ""
        return f"{told:>7}"


def _amount(kind: str, count: int) -> str:
    if kind == "ingest":
        return format_bytes(count)
    return f"{count} block" if count == 1 else f"{count} blocks"


def _rate(kind: str, rate: float) -> str:
    return f"{format_bytes(int(rate))}/s" if kind == "ingest" else f"{rate:.3g} blocks/s"


@contextmanager
def counts() -> Iterator[Tell]:
    """Give a function of (what, done, in all) that keeps a bar for each `what`."""
    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=None)
            progress.update(tasks[what], completed=done, total=total)

        yield tell


def format_seconds(seconds: float) -> str:
    """Return a time as people say it.

    Examples
    --------
    >>> format_seconds(0.0124), format_seconds(75.0), format_seconds(7300.0)
    ('12 ms', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 1:
        return f"{1e3 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
