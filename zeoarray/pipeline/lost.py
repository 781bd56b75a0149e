"""What is said of a block whose worker died, or ran out of memory: and what would fit."""

from __future__ import annotations

from dataclasses import replace

from zeoarray.chunks import format_bytes
from zeoarray.errors import StoreError
from zeoarray.pipeline import cut
from zeoarray.pipeline.plans import memory_of


def died(node: str, segment: cut.Segment, error: BaseException) -> StoreError:
    """Build the error for a block that was tried as often as it may be.

    Parameters
    ----------
    node
        What is being made.
    segment
        What the block is one of.
    error
        What the executor raised: `MemoryError`, or that the worker is gone.
    """
    if isinstance(error, ConnectionError):
        return StoreError(
            f"{node}: the scheduler is gone",
            got=str(error).partition("\n")[0] or "the connection to it was lost",
            do="start it anew, then run the same command again: finished blocks are kept",
        )
    what = "a worker ran out of memory" if isinstance(error, MemoryError) else "a worker died"
    rows = f"{segment.rows} rows of {segment.dim}" if segment.dim else "all of it"
    needs = f"by plan a block ({rows}) takes {format_bytes(memory_of(segment))} beside Python"
    do = "run the same command again with fewer workers: finished blocks are kept"
    if segment.dim is not None and segment.rows > 1:
        half = replace(segment, rows=(segment.rows + 1) // 2)
        do += (
            f";\nor with 'block: {half.rows}' in its stage, which takes "
            f"{format_bytes(memory_of(half))}, and with --restart: other blocks do not mix"
        )
    told = str(error).partition("\n")[0]
    return StoreError(f"{node}: {what}", got=f"{told}\n{needs}" if told else needs, do=do)
