"""Where things lie: the store, and beside it the folder of ledgers, locks and growing nodes.

::

    zn13x.zarr/                       what any zarr or xarray opens: whole nodes only
      xct/i13-2.6um/scan/...
    zn13x.zarr.ledger/                what zeoarray needs to verify and to go on
      nodes/xct+i13-2.6um+scan.jsonl      ledger of a whole node
      growing/xct+i13-2.6um+scan/         a node being written: ledger.jsonl and data/
      locks/xct+i13-2.6um+scan.json

The two belong together: move or delete them with one glob, ``zn13x.zarr*``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from zeoarray.errors import ArgumentError, StoreError

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def node_parts(node: str) -> tuple[str, ...]:
    """Split a node's name, refusing every name that could lead out of the store.

    Examples
    --------
    >>> node_parts("xct/i13-2.6um/scan")
    ('xct', 'i13-2.6um', 'scan')
    """
    parts = tuple(node.strip("/").split("/"))
    for part in parts:
        if not _PART.fullmatch(part) or part == "zarr.json":
            raise ArgumentError(
                f"{node!r} cannot be the name of a node",
                got=f"the part {part!r}",
                expected="parts of letters, digits, '.', '_' and '-', beginning with a letter "
                "or digit, joined by '/'",
                do="for example xct/i13-2.6um/scan",
            )
    return parts


@dataclass(frozen=True)
class Places:
    """The paths of one node of one store."""

    root: Path
    node: str

    @property
    def data(self) -> Path:
        """Folder of the whole node, inside the store."""
        return self.root.joinpath(*self.node.split("/"))

    @property
    def flat(self) -> str:
        """The node's name as one file name; '+' cannot be part of a node's name."""
        return self.node.replace("/", "+")

    @property
    def ledger(self) -> Path:
        """Ledger of the whole node."""
        return beside(self.root) / "nodes" / f"{self.flat}.jsonl"

    @property
    def growing(self) -> Path:
        """Folder of the node while it is written: ``ledger.jsonl`` and ``data/``."""
        return beside(self.root) / "growing" / self.flat

    @property
    def lock(self) -> Path:
        """Lock of the node."""
        return beside(self.root) / "locks" / f"{self.flat}.json"


def beside(root: Path) -> Path:
    """Return the folder of ledgers, locks and growing nodes of the store at `root`."""
    return root.with_name(root.name + ".ledger")


def locate(store: str | Path, node: str) -> Places:
    """Return the paths of `node` in `store`; nothing is created.

    Raises
    ------
    ArgumentError
        For a node name that escapes, or a store that is a URL.
    StoreError
        For a path that exists and is no store.
    """
    root = root_of(store)
    if root.exists() and not is_store(root):
        raise StoreError(
            f"{root} exists and is not a zeoarray store",
            got="a file" if root.is_file() else "a folder without zarr.json",
            do="choose another path for the store",
        )
    return Places(root, "/".join(node_parts(node)))


def root_of(store: str | Path) -> Path:
    """Return the store's path, with links resolved so that both folders share a file system."""
    if "://" in str(store):
        raise ArgumentError(
            f"{store} is a URL",
            expected="a path on a file system; stores are written with rename and fsync",
            do="write to a local path, then copy the finished store",
        )
    return Path(store).expanduser().resolve()


def is_store(root: Path) -> bool:
    """Whether `root` is a zarr store, or an empty folder that may become one."""
    if not root.is_dir():
        return False
    return (root / "zarr.json").is_file() or not any(root.iterdir())
