"""HDF5 files: opened without locks, read lazily, links followed only where they may lead.

Facility files link to other files. A link's target is looked for as written (where that is inside
the folder of the linking file), beside the linking file, and under ``link_root``; nowhere else,
since the name inside a file is not to be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers bitshuffle, LZ4, Blosc with the HDF5 library
import numpy as np
from xarray.backends import BackendArray, CachingFileManager
from xarray.core import indexing

from zeoarray.errors import LinkError, SourceError, nearest

Array = np.ndarray[Any, Any]


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, without locking it (silx#3354), or say why it is none."""
    try:
        file = h5py.File(path, "r", locking=False)
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist", do="check the path") from None
    except PermissionError:
        raise SourceError(f"{path} may not be read", do=f"ls -l {path}") from None
    except OSError as error:
        raise SourceError(
            f"{path} is not a whole HDF5 file",
            got=str(error).partition("(")[2].rstrip(")") or str(error),
            do="if it is still being written or copied, wait; if not, fetch it again",
        ) from None
    with file:
        yield file


def is_hdf5(path: Path) -> bool:
    """Whether the file begins as HDF5 files do."""
    return path.is_file() and bool(h5py.is_hdf5(path))


@dataclass(frozen=True)
class Place:
    """Where a dataset really is, after links: or why it cannot be reached."""

    file: Path
    dataset: str
    link: str | None = None
    """The link that led out of the file, as ``path -> file::dataset``."""
    dangling: bool = False


def resolve(file: h5py.File, name: str, link_root: Mapping[str, str] | None = None) -> Place | None:
    """Follow `name` through soft and external links; None where nothing of that name exists.

    Raises
    ------
    LinkError
        For a link that leads outside of where links may lead.
    """
    return _follow(Path(file.filename), file, PurePosixPath("/" + name.strip("/")), link_root or {})


def _follow(
    path: Path, file: h5py.File, name: PurePosixPath, link_root: Mapping[str, str], depth: int = 0
) -> Place | None:
    if depth > 16:
        raise LinkError(f"{path}: the links from {name} go in a circle", do="mend the file")
    group: Any = file
    parts = name.parts[1:]
    for i, part in enumerate(parts):
        here, rest = PurePosixPath("/", *parts[:i]), parts[i + 1 :]
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            return None
        if isinstance(link, h5py.SoftLink):
            target = PurePosixPath(str(here), link.path, *rest)
            found = _follow(path, file, _normal(target), link_root, depth + 1)
            return found or Place(path, str(name), f"{here / part} -> {link.path}", dangling=True)
        if isinstance(link, h5py.ExternalLink):
            shown = f"{here / part} -> {link.filename}::{link.path}"
            target_path = locate(path, link.filename, link_root)
            inside = _normal(PurePosixPath("/", link.path.lstrip("/"), *rest))
            if target_path is None:
                return Place(Path(link.filename), str(inside), shown, dangling=True)
            with opened(target_path) as target_file:
                found = _follow(target_path, target_file, inside, link_root, depth + 1)
            if found is None:
                return Place(target_path, str(inside), shown, dangling=True)
            return Place(found.file, found.dataset, found.link or shown, found.dangling)
        group = group[part]
    return Place(path, str(name))


def _normal(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts[1:]:
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    return PurePosixPath("/", *parts)


def locate(source: Path, written: str, link_root: Mapping[str, str]) -> Path | None:
    """Find the file that `source` links to as `written`, or None where it is not there.

    Looked for in this order: ``link_root`` replacements, relative to the folder of `source`,
    and by its last one or two parts beside `source`. A target outside of the source's folder is
    followed only through ``link_root``, for the name comes from inside a file.
    """
    base = source.resolve().parent
    candidates = []
    for old, new in link_root.items():
        if written == old or written.startswith(old.rstrip("/") + "/"):
            root = Path(new).resolve()
            moved = (root / written[len(old) :].lstrip("/")).resolve()
            if not moved.is_relative_to(root):
                raise LinkError(
                    f"{source}: a link leads out of its link root",
                    got=f"{written} -> {moved}",
                    expected=f"a file under {root}",
                )
            candidates.append(moved)
    parts = PurePosixPath(written).parts
    for tail in (written, "/".join(parts[-2:]), parts[-1] if parts else ""):
        if tail and not Path(tail).is_absolute():
            candidates.append((base / tail).resolve())
        elif tail and Path(tail).resolve().is_relative_to(base):
            candidates.append(Path(tail).resolve())
    allowed = [Path(new).resolve() for new in link_root.values()] + [base]
    for candidate in candidates:
        if any(candidate.is_relative_to(root) for root in allowed) and candidate.is_file():
            return candidate
    return None


@dataclass
class HDF5Array(BackendArray):
    """A dataset of an HDF5 file that is read where it is indexed, and pickles as its address."""

    path: Path
    dataset: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _files: CachingFileManager[h5py.File] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._files = CachingFileManager(
            h5py.File, str(self.path), mode="r", kwargs={"locking": False}
        )

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Array:
        values: Array = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )
        return values

    def _read(self, key: tuple[Any, ...]) -> Array:
        with self._files.acquire_context() as file:
            return read_outer(file[self.dataset], key)


def read_outer(source: Any, key: tuple[Any, ...]) -> Array:
    """Read ``source[key]``, where an index array counts along its own axis only.

    h5py takes one index array at a time, and slowly. Frames are picked run by run; along the
    other axes the covering range is read and picked from.
    """
    picked = [i for i, k in enumerate(key[1:], 1) if isinstance(k, np.ndarray)]
    cover = tuple(
        slice(int(k.min()), int(k.max()) + 1) if isinstance(k, np.ndarray) and k.size else k
        for k in key[1:]
    )
    if not isinstance(key[0], np.ndarray):
        out = np.asarray(source[(key[0], *cover)])
    else:
        runs = _runs(key[0]) or [slice(0, 0)]
        out = np.concatenate([source[(run, *cover)] for run in runs])
    for i in picked:
        axis = sum(not isinstance(k, (int, np.integer)) for k in key[:i])
        out = np.take(out, key[i] - (key[i].min() if key[i].size else 0), axis=axis)
    return out


def _runs(index: Array) -> list[slice]:
    """An index array as slices over its runs of consecutive, ascending indices."""
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    return [slice(int(run[0]), int(run[-1]) + 1) for run in np.split(index, breaks) if run.size]


@dataclass
class MissingArray(BackendArray):
    """Data behind a link that leads nowhere: it has a shape, and raises when touched."""

    source: Path
    link: str
    target: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Array:
        raise missing(self.source, self.link, self.target)


def missing(source: Path, link: str, target: Path) -> LinkError:
    """Build the error for data whose linked file is not there."""
    return LinkError(
        f"{source}: the linked data cannot be reached",
        got=f"link {link}; no such file: {target}",
        expected="the linked file beside the file that links to it",
        do=f"--link-root OLD=NEW where it was moved, e.g. --link-root {target.parent}=FOLDER",
    )


def lazy(
    file: h5py.File,
    name: str,
    *,
    link_root: Mapping[str, str] | None = None,
    shape_if_missing: tuple[int, ...] = (),
) -> indexing.LazilyIndexedArray:
    """The dataset `name` as a lazy array; one behind a dangling link raises when touched.

    Parameters
    ----------
    file, name
        Where it is.
    link_root
        Where linked files were moved.
    shape_if_missing
        Shape to show for data that cannot be reached: what is known of it, 0 for the rest.
    """
    place = resolve(file, name, link_root)
    path = Path(file.filename)
    if place is None:
        raise absent(file, name)
    if place.dangling:
        array: BackendArray = MissingArray(
            path, place.link or name, place.file, shape_if_missing, np.dtype("uint16")
        )
    else:
        with opened(place.file) as target:
            found = target[place.dataset]
            if not isinstance(found, h5py.Dataset):
                raise SourceError(f"{place.file}: {place.dataset} is a group, not a dataset")
            array = HDF5Array(place.file, place.dataset, tuple(found.shape), found.dtype)
    return indexing.LazilyIndexedArray(array)


def read(
    file: h5py.File, name: str, *, link_root: Mapping[str, str] | None = None
) -> tuple[Array, dict[str, Any]] | None:
    """Values and attributes of a small dataset; None where it is absent or cannot be reached."""
    place = resolve(file, name, link_root)
    if place is None or place.dangling:
        return None
    with opened(place.file) as target:
        found = target[place.dataset]
        if not isinstance(found, h5py.Dataset):
            return None
        return np.asarray(found[()]), {k: text(v) for k, v in found.attrs.items()}


def text(value: Any) -> Any:
    """`value` with bytes decoded, and arrays of one element taken out of their array."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    return value.item() if isinstance(value, np.generic) else value


def absent(file: h5py.File, name: str) -> SourceError:
    """Build the error for a dataset that is not there, with the nearest that is."""
    names = datasets(file)
    near = nearest(name, names)
    return SourceError(
        f"{file.filename} has no dataset {name!r}",
        expected="one of " + ", ".join(sorted(names)[:12]) + (" ..." if len(names) > 12 else ""),
        do=f"did you mean {near!r}?" if near else None,
    )


def datasets(file: h5py.File, *, most: int = 5000) -> dict[str, tuple[int, ...]]:
    """Path and shape of the datasets in the file itself (external links are not followed)."""
    found: dict[str, tuple[int, ...]] = {}

    def visit(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Dataset):
            found[name] = tuple(item.shape or ())
        return True if len(found) >= most else None

    file.visititems(visit)
    return found
