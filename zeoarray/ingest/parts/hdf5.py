"""HDF5 files: opened without locks, read lazily, links followed only where they may lead.

Facility files link to other files. A link's target is looked for as written (where that is inside
the folder of the linking file), beside the linking file, and under ``link_root``; nowhere else,
since the name inside a file is not to be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np

from zeoarray.errors import LinkError, SourceError, nearest
from zeoarray.ingest.parts.arrays import Array, HDF5Array, MissingArray, reason, unreadable

MOST_LINKS = 16
"""Links that may lie between a name and its data."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, without locking it (silx#3354), or say why it is none."""
    try:
        file = h5py.File(path, "r", locking=False)
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist", do="check the path") from None
    except PermissionError:
        raise SourceError(f"{path} may not be read", do=f"ls -l {path}") from None
    except IsADirectoryError:
        raise SourceError(f"{path} is a folder, not a file", do="name a file in it") from None
    except OSError as error:
        if "already open for write" in str(error):
            raise SourceError(
                f"{path} is still being written",
                got=reason(error),
                do=f"wait until the scan has ended; if its writer is gone: h5clear -s {path}",
            ) from None
        if h5py.is_hdf5(path) and "truncated" not in str(error):
            raise unreadable(f"{path} cannot be opened", error) from None
        raise SourceError(
            f"{path} is not a whole HDF5 file",
            got=reason(error),
            do="if it is still being written or copied, wait; if not, fetch it again",
        ) from None
    with file:
        yield file


def is_hdf5(path: Path) -> bool:
    """Whether the file begins as HDF5 files do."""
    return path.is_file() and bool(h5py.is_hdf5(path))


def holds(path: Path, what: Callable[[h5py.File], object]) -> bool:
    """Whether `path` is an HDF5 file in which `what` finds something."""
    if not is_hdf5(path):
        return False
    with opened(path) as file:
        return bool(what(file))


@dataclass(frozen=True)
class Place:
    """Where a dataset really is, after links: or why it cannot be reached."""

    file: Path
    dataset: str
    link: str | None = None
    """The link that led out of the file, as ``path -> file::dataset``."""
    dangling: bool = False
    why: str = "no such file"
    """What is wrong with the target of a dangling link."""


def resolve(file: h5py.File, name: str, link_root: Mapping[str, str] | None = None) -> Place | None:
    """Follow `name` through soft and external links; None where nothing of that name exists.

    Raises
    ------
    LinkError
        For a link that leads outside of where links may lead.
    """
    return _follow(Path(file.filename), file, PurePosixPath("/" + name.strip("/")), link_root or {})


def own_group(file: h5py.File, name: str) -> h5py.Group | None:
    """The group `name` if it is in this file: a link out of it is not followed."""
    found = resolve(file, name)
    if found is None or found.dangling or found.link is not None:
        return None
    group = file[found.dataset]
    return group if isinstance(group, h5py.Group) else None


def _follow(
    path: Path, file: h5py.File, name: PurePosixPath, link_root: Mapping[str, str], depth: int = 0
) -> Place | None:
    if depth > MOST_LINKS:
        raise LinkError(
            f"{path}: the links to {name} go in a circle, or on and on",
            expected=f"at most {MOST_LINKS} links from a name to its data",
            do="mend the file",
        )
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
            shown = f"{here / part} -> {link.path}"
            return found or Place(path, str(name), shown, True, "its target is not in the file")
        if isinstance(link, h5py.ExternalLink):
            shown = f"{here / part} -> {link.filename}::{link.path}"
            target_path = locate(path, link.filename, link_root)
            inside = _normal(PurePosixPath("/", link.path.lstrip("/"), *rest))
            if target_path is None:
                why = _why_not(path, link.filename, link_root)
                return Place(Path(link.filename), str(inside), shown, True, why)
            with opened(target_path) as target_file:
                found = _follow(target_path, target_file, inside, link_root, depth + 1)
            if found is None:
                return Place(target_path, str(inside), shown, True, f"no {inside} in the file")
            return Place(found.file, found.dataset, found.link or shown, found.dangling, found.why)
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
    allowed = [Path(new).resolve() for new in link_root.values()] + [source.resolve().parent]
    for candidate in _candidates(source, written, link_root):
        if any(candidate.is_relative_to(root) for root in allowed) and _is_file(candidate):
            return candidate
    return None


def _candidates(source: Path, written: str, link_root: Mapping[str, str]) -> Iterator[Path]:
    base = source.resolve().parent
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
            yield moved
    parts = PurePosixPath(written).parts
    for tail in (written, "/".join(parts[-2:]), parts[-1] if parts else ""):
        if tail:
            yield (base / tail).resolve()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long, or a folder on the way may not be entered
        return False


def _why_not(source: Path, written: str, link_root: Mapping[str, str]) -> str:
    if any(_is_file(candidate) for candidate in _candidates(source, written, link_root)):
        return "the file exists, but not in the folder of the file that links to it"
    return "no such file"


def array(
    file: h5py.File,
    name: str,
    *,
    link_root: Mapping[str, str] | None = None,
    shape_if_missing: tuple[int, ...] = (),
) -> HDF5Array | MissingArray:
    """The dataset `name`, not read; one behind a dangling link raises when touched.

    Parameters
    ----------
    file, name
        Where it is.
    link_root
        Where linked files were moved.
    shape_if_missing
        Shape to show for data that cannot be reached: what is known of it, 0 for the rest.

    Raises
    ------
    SourceError
        Where there is nothing of that name, or a group.
    """
    place = resolve(file, name, link_root)
    path = Path(file.filename)
    if place is None:
        raise absent(file, name)
    if place.dangling:
        return MissingArray(
            path,
            place.link or name,
            place.file,
            shape_if_missing,
            np.dtype("uint16"),
            place.why,
        )
    with opened(place.file) as target:
        found = target[place.dataset]
        if not isinstance(found, h5py.Dataset):
            raise SourceError(f"{place.file}: {place.dataset} is a group, not a dataset")
        gone = _unreachable_part(place.file, found, link_root or {})
        if gone is not None:
            link, part, why = gone
            return MissingArray(path, link, part, tuple(found.shape or ()), found.dtype, why)
        shape = tuple(found.shape or ())
        return HDF5Array(place.file, place.dataset, shape, found.dtype, chunks=found.chunks)


def _unreachable_part(
    path: Path, found: h5py.Dataset, link_root: Mapping[str, str]
) -> tuple[str, Path, str] | None:
    """The first file of a virtual or external dataset that is not there.

    The HDF5 library would read fill values in its place, and open files anywhere.
    """
    written: list[str] = []
    if found.is_virtual:
        written = [source.file_name for source in found.virtual_sources()]
    elif found.external:
        written = [source[0] for source in found.external]
    for name in dict.fromkeys(written):
        inside = (path.resolve().parent / name).resolve().is_relative_to(path.resolve().parent)
        if name == "." or (inside and _is_file(path.resolve().parent / name)):
            continue
        why = _why_not(path, name, link_root)
        return f"{found.name} -> {name} (a part of the dataset)", Path(name), why
    return None


def read(
    file: h5py.File, name: str, *, link_root: Mapping[str, str] | None = None
) -> tuple[Array, dict[str, Any]] | None:
    """Values and attributes of a small dataset; None where it is none, or cannot be reached."""
    place = resolve(file, name, link_root)
    if place is None or place.dangling:
        return None
    with opened(place.file) as target:
        found = target[place.dataset]
        if not isinstance(found, h5py.Dataset):
            return None
        if _unreachable_part(place.file, found, link_root or {}) is not None:
            return None
        try:
            values = np.asarray(found[()])
        except (OSError, RuntimeError) as error:
            raise unreadable(f"{place.file}: {place.dataset} cannot be read", error) from error
        return values, {k: text(v) for k, v in found.attrs.items()}


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
        # Some facilities write line breaks into names.
        expected="one of "
        + ", ".join(" ".join(n.split()) for n in sorted(names)[:12])
        + (" ..." if len(names) > 12 else ""),
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
