"""Files that are either whole or absent, whatever dies while they are written."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import xxhash

from zeoarray.chunks import format_bytes
from zeoarray.errors import StoreError


@dataclass(frozen=True)
class Written:
    """Size and digest of a file's bytes."""

    nbytes: int
    digest: str


def write(
    path: Path, pieces: Iterable[bytes | memoryview], *, parent_synced: bool = False
) -> Written:
    """Write `pieces` to `path` so that the file appears whole or not at all.

    A temporary neighbour is written, fsynced and renamed; its folder is fsynced as well unless
    the caller does that once for many files (`parent_synced`).

    Raises
    ------
    StoreError
        Where the disk is full or the folder may not be written; no partial file stays.
    """
    digest = xxhash.xxh3_128()
    nbytes = 0
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                nbytes += len(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        if not parent_synced:
            sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise failed(path, error, nbytes) from error
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    return Written(nbytes, digest.hexdigest())


def failed(path: Path, error: OSError, nbytes: int = 0) -> StoreError:
    """Turn an operating-system error into one that says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreError(
            f"{path.parent}: the disk (or the quota) is full",
            got=f"{os.strerror(error.errno)} after {format_bytes(nbytes)} of one block",
            do="free some space and run the same command again: finished blocks are kept",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(
            f"{path.parent} may not be written", got=error.strerror, do="check its permissions"
        )
    return StoreError(f"{path} cannot be written", got=str(error))


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def rename(old: Path, new: Path) -> None:
    """Rename a file or folder durably."""
    new.parent.mkdir(parents=True, exist_ok=True)
    os.rename(old, new)
    sync_folder(new.parent)
    sync_folder(old.parent)


def read_digest(path: Path) -> Written | None:
    """Size and digest of an existing file's bytes; None where there is none."""
    digest = xxhash.xxh3_128()
    nbytes = 0
    try:
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(1 << 22):
                digest.update(piece)
                nbytes += len(piece)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Written(nbytes, digest.hexdigest())
