"""Random numbers that depend on what they are for, never on when they are drawn.

Each generator is a counter-based Philox4x64 (Salmon et al., SC 2011, doi:10.1145/2063384.2063405)
whose key holds the seed and the stream, and whose counter starts at the frame and the row. So one
row of one frame gets the same numbers however the work is cut and whoever does it.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np

from zeoarray.errors import ArgumentError


@functools.cache
def stream_id(stream: str) -> int:
    """Return the number of a named stream: 64 bits of its BLAKE2 digest."""
    return int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=8).digest(), "little")


def check_seed(seed: int) -> int:
    """Return `seed`, or raise unless it is an integer from 0 to 2**63 - 1.

    Raises
    ------
    ArgumentError
        For a seed that is none.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise ArgumentError(
            "the seed cannot be used", got=repr(seed), expected="an integer from 0 to 2**63 - 1"
        )
    return int(seed)


def generator(seed: int, stream: str, frame: int = 0, row: int = 0) -> np.random.Generator:
    """Return the generator of one row of one frame of one stream.

    Parameters
    ----------
    seed
        The seed of the whole twin.
    stream
        What the numbers are for, any text: ``"i13-2.6um/photons"``.
    frame, row
        Index of the frame and, where frames are cut into rows, of the row.

    Examples
    --------
    >>> a = generator(7, "doc", frame=3).integers(100, size=3)
    >>> b = generator(7, "doc", frame=3).integers(100, size=3)
    >>> bool((a == b).all())
    True
    """
    key = np.array([check_seed(seed), stream_id(stream)], np.uint64)
    # The first word counts the draws; the others place the start where no neighbour arrives.
    counter = np.array([0, row, frame, 0], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
