"""Several files as one scan, with a report of which are missing, short or duplicate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.core import indexing

from zeoarray.errors import ArgumentError, SourceError
from zeoarray.ingest.parts import gaps
from zeoarray.ingest.parts.arrays import as_slice
from zeoarray.ingest.parts.views import OuterArray

Array = np.ndarray[Any, Any]
Opener = Callable[[], xr.Dataset]


@dataclass
class JoinedArray(OuterArray):
    """Lazy arrays end to end along one axis: each part is read only where it is indexed."""

    parts: list[xr.Variable]
    axis: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def _read(self, key: tuple[Any, ...]) -> Array:
        along = np.arange(self.shape[self.axis])[key[self.axis]]
        ends = np.cumsum([part.shape[self.axis] for part in self.parts])
        rest = key[: self.axis], key[self.axis + 1 :]
        if np.ndim(along) == 0:
            at = int(np.searchsorted(ends, along, side="right"))
            row = int(along) - int(ends[at]) + self.parts[at].shape[self.axis]
            return np.asarray(self.parts[at][(*rest[0], row, *rest[1])].values)
        pieces = []
        for part, end in zip(self.parts, ends, strict=True):
            start = end - part.shape[self.axis]
            local = along[(along >= start) & (along < end)] - start
            if local.size:
                chosen = as_slice(local)
                pieces.append(np.asarray(part[(*rest[0], chosen, *rest[1])].values))
        kept = self.axis - sum(isinstance(k, (int, np.integer)) for k in rest[0])
        if not pieces:
            empty = self.parts[0][(*rest[0], slice(0, 0), *rest[1])]
            return np.asarray(empty.values)
        joined = np.concatenate(pieces, axis=kept)
        order = np.argsort(np.argsort(along, kind="stable"), kind="stable")
        return joined if np.array_equal(order, np.arange(order.size)) else joined.take(order, kept)


def join(files: Sequence[tuple[Path, Opener]], dim: str) -> xr.Dataset:
    """Join scans along `dim`; frames of layers are joined along ``frame``.

    Parameters
    ----------
    files
        Path of each file, and what opens it.
    dim
        ``z`` for layers or stacked fields of view, or any dim that all have.

    Returns
    -------
    xarray.Dataset
        With ``attrs["joined"]``: the frames or rows of each file, and which are short of what
        the fullest has. Layers that lack angles or positions of it are NaN there, and `valid` is
        0; rows never shift.

    Raises
    ------
    SourceError
        Where a file is missing, given twice, repeats positions, or does not match the others.
    """
    _present_once([path for path, _ in files], dim)
    opened = [(path, open_one()) for path, open_one in files]
    along = "frame" if all("frame" in ds.dims for _, ds in opened) and dim == "z" else dim
    if along not in opened[0][1].dims:
        raise ArgumentError(
            f"{opened[0][0]} has no dim {dim!r} to join along",
            expected="one of " + ", ".join(map(str, opened[0][1].dims)),
        )
    sizes = {str(path): {str(d): n for d, n in ds.sizes.items()} for path, ds in opened}
    opened = gaps.aligned(opened, along)
    _alike(opened, along)
    first = opened[0][1]
    variables = {
        name: _joined([ds.variables[name] for _, ds in opened], along)
        for name, variable in first.variables.items()
        if along in variable.dims
    }
    parts = first.drop_vars([str(n) for n in variables]).assign(
        {n: v for n, v in variables.items() if n in first.data_vars}
    )
    ds = parts.assign_coords({n: v for n, v in variables.items() if n in first.coords})
    _repeated(ds, along, [path for path, _ in opened])
    notes = [note for _, part in opened for note in part.attrs.get("notes", [])]
    return ds.assign_attrs(
        source=list(dict.fromkeys(s for _, part in opened for s in part.attrs.get("source", []))),
        missing=[m for _, part in opened for m in part.attrs.get("missing", [])],
        notes=list(dict.fromkeys(notes)),
        joined={"along": along, "sizes": {p: n[along] for p, n in sizes.items()},
                "short": _short(sizes, along)},
    )  # fmt: skip


def _present_once(paths: Sequence[Path], dim: str) -> None:
    absent = [str(path) for path in paths if not path.is_file()]
    twice = [str(path) for path, n in Counter(paths).items() if n > 1]
    if absent or twice:
        raise SourceError(
            f"{len(paths)} files cannot be joined along {dim!r}",
            got="\n".join(
                [f"missing: {p}" for p in absent] + [f"given more than once: {p}" for p in twice]
            ),
            do="leave these out, or give the right paths",
        )


def _short(sizes: dict[str, dict[str, int]], along: str) -> dict[str, str]:
    """Say which file has fewer frames, angles or positions than the fullest."""
    told: dict[str, str] = {}
    for dim in (along, *gaps.RASTER):
        most = max(n.get(dim, 0) for n in sizes.values())
        for path, n in sizes.items():
            if n.get(dim, most) < most and path not in told:
                told[path] = f"{n[dim]} of {most} along {dim}"
    return told


def _alike(opened: Sequence[tuple[Path, xr.Dataset]], along: str) -> None:
    first_path, first = opened[0]
    for path, ds in opened[1:]:
        if set(ds.variables) != set(first.variables):
            odd = sorted(map(str, set(ds.variables) ^ set(first.variables)))
            raise SourceError(
                f"{path} does not match {first_path}", got=f"only one of them has {', '.join(odd)}"
            )
        sizes = {d: (n, first.sizes[d]) for d, n in ds.sizes.items() if d != along}
        differing = {d: pair for d, pair in sizes.items() if pair[0] != pair[1]}
        if differing:
            raise SourceError(
                f"{path} does not match {first_path}",
                got=", ".join(f"{d}: {a}, not {b}" for d, (a, b) in differing.items()),
                expected=f"the same size along every dim but {along!r}",
            )


def _joined(parts: Sequence[xr.Variable], along: str) -> xr.Variable:
    first = parts[0]
    if first.ndim == 1:
        return xr.Variable(first.dims, np.concatenate([p.values for p in parts]), first.attrs)
    axis = first.dims.index(along)
    shape = list(first.shape)
    shape[axis] = sum(p.shape[axis] for p in parts)
    dtype = np.result_type(*(p.dtype for p in parts))
    array = JoinedArray(list(parts), axis, tuple(shape), dtype)
    return xr.Variable(first.dims, indexing.LazilyIndexedArray(array), first.attrs)


def _repeated(ds: xr.Dataset, along: str, paths: Sequence[Path]) -> None:
    names = ["angle", "u", "z"] if along == "frame" else [along]
    have = [ds[n].values for n in names if n in ds.coords and ds[n].dims == (along,)]
    if not have:
        return
    positions = np.stack(have, axis=1)
    distinct = len(np.unique(positions, axis=0))
    if distinct < len(positions):
        raise SourceError(
            f"the files repeat {len(positions) - distinct} of {len(positions)} positions",
            got=", ".join(p.name for p in paths),
            expected=f"each ({', '.join(names)}) once",
            do="leave the duplicate file out; where the files lack their height, join is not "
            "possible: give each its z in a mapping",
        )
