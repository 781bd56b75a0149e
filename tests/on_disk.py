"""Arrays that lie in files, and arrays that may not be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing


class Unread(BackendArray):  # type: ignore[no-untyped-call]
    """An array of a file that may not be read yet."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype = shape, np.dtype("uint16")

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        pytest.fail("the file was read before it was asked for")


def unread(*shape: int) -> indexing.LazilyIndexedArray:
    return indexing.LazilyIndexedArray(Unread(shape))


class OnDisk(BackendArray):  # type: ignore[no-untyped-call]
    """An array of a file that is read where it is indexed."""

    def __init__(self, path: Path) -> None:
        mapped = np.load(path, mmap_mode="r")
        self.path, self.shape, self.dtype = path, mapped.shape, mapped.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        support = indexing.IndexingSupport.BASIC
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        return np.array(np.load(self.path, mmap_mode="r")[key])


def scan_on_disk(folder: Path) -> xr.Dataset:
    """A scan whose counts and times lie in files."""

    def on_disk(name: str, values: Any) -> indexing.LazilyIndexedArray:
        np.save(folder / name, values)
        return indexing.LazilyIndexedArray(OnDisk(folder / f"{name}.npy"))

    counts = on_disk("counts", np.arange(8 * 6 * 4, dtype="uint16").reshape(8, 6, 4))
    return xr.Dataset(
        {"counts": (("angle", "z", "u"), counts)},
        {"time": ("angle", on_disk("time", np.arange(8.0))), "angle": np.arange(8.0)},
    )
