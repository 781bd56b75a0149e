"""What is costly to build and serves again: the last one, shared by the threads of a process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Holds the last thing that was built, under the key that it was built for.

    One only, so that the memory of a worker is known; it is let go before another is built.

    Examples
    --------
    >>> kept = Kept[list[int]]()
    >>> kept.get("a", lambda: [1]) is kept.get("a", lambda: [2])
    True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[Hashable, T] | None = None

    def get(self, key: Hashable, build: Callable[[], T]) -> T:
        """Return what was built for `key`, or build it: threads that want the same one wait."""
        with self._lock:
            if self._last is None or self._last[0] != key:
                self._last = None
                self._last = (key, build())
            return self._last[1]

    def forget(self) -> None:
        """Let it go."""
        with self._lock:
            self._last = None
