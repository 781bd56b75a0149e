"""`open`: a store as a tree of lazy, labelled datasets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import xarray as xr
import zarr
import zarrs  # noqa: F401  registers the fast codec pipeline

from zeoarray import lazy
from zeoarray.errors import StoreError, unknown
from zeoarray.store import ledger, places


def open_tree(store: str | Path) -> xr.DataTree:
    """Open a store as a tree of datasets, lazily: dask arrays whose chunks are whole on disk.

    Parameters
    ----------
    store
        Folder of the zarr store.

    Raises
    ------
    StoreError
        Where there is no store, or no node of it is whole yet.
    """
    root = places.root_of(store)
    check(root)
    datasets = {"/": xr.Dataset()} | {node: open_node(root, node) for node in nodes(root)}
    return xr.DataTree.from_dict(datasets, name=root.name)


def open_node(store: str | Path, node: str, *, chunked: bool = True) -> xr.Dataset:
    """Open one node of a store, lazily.

    Parameters
    ----------
    store, node
        Where it is.
    chunked
        As dask arrays; otherwise as lazily indexed ones, for who reads block by block.
    """
    root = places.root_of(store)
    check(root)
    name = "/".join(places.node_parts(node))
    if not (root / name / "zarr.json").is_file():
        raise unknown("node", name, nodes(root))
    # zarrs decodes shards several times faster than zarr's own pipeline; the choice is taken
    # when an array is opened, so the user's configuration is left as it is.
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        try:
            ds = xr.open_zarr(str(root), group=name, chunks=None, consolidated=False, zarr_format=3)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise StoreError(
                f"{name} in {root} cannot be opened: its metadata is damaged",
                got=f"{type(error).__name__}: {error}",
                do=f"zeoarray verify {root} --repair",
            ) from error
        # A folder is listed in no order: variables in one that does not change.
        variables = {n: ds.variables[n] for n in sorted(map(str, ds.data_vars))}
        ds = xr.Dataset(variables, ds.coords, {**ds.attrs, "node": name, "store": str(root)})
        opened: xr.Dataset = lazy.chunked(ds) if chunked else ds
        return opened


def check(root: Path) -> None:
    """Raise unless there is a store at `root` with something whole in it."""
    if (root / "zarr.json").is_file():
        return
    begun = growing(root)
    raise StoreError(
        f"{root} is not a zarr store",
        got="nothing there" if not root.exists() else "no zarr.json in it",
        do=f"finish what was begun: {', '.join(begun)} (run the same command again)"
        if begun
        else "check the path; zeoarray ingest SOURCE STORE --into NODE makes a store",
    )


def nodes(root: Path) -> list[str]:
    """Names of the whole nodes of a store, in order: every group that holds an array."""
    check(root)
    return sorted(_walk(root, root))


def _walk(root: Path, folder: Path) -> Iterator[str]:
    kinds = {path.parent: node_type(path) for path in folder.glob("*/zarr.json")}
    if folder != root and "array" in kinds.values():
        yield folder.relative_to(root).as_posix()
    for child, kind in kinds.items():
        if kind == "group":
            yield from _walk(root, child)


def node_type(path: Path) -> str | None:
    """Return ``group`` or ``array`` from a ``zarr.json``; None where it is damaged."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return None
    return content.get("node_type") if isinstance(content, dict) else None


def growing(root: Path) -> dict[str, ledger.Ledger]:
    """Nodes that were begun and are not whole, with what is finished of each."""
    found = {}
    for path in sorted((places.beside(root) / "growing").glob("*/ledger.jsonl")):
        book = ledger.read(path)
        if book is not None:
            found[path.parent.name.replace("+", "/")] = book
    return found
