"""The truth of a simulated sample: where it lies, and what of it belongs to a node."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from zeoarray import store
from zeoarray.errors import ArgumentError
from zeoarray.report.contents import Contents, Node
from zeoarray.twin.sample import Sample

NAME = "truth.zarr"


@dataclass(frozen=True)
class Truth:
    """A store that the twin wrote beside its files."""

    root: Path

    @functools.cached_property
    def nodes(self) -> list[str]:
        """Names of its nodes."""
        return store.nodes(self.root)

    @functools.cached_property
    def sample(self) -> Sample:
        """The sample itself, which can be asked at any point."""
        told = self.open("sample").attrs
        return Sample.make(int(told["seed"]), str(told["preset"]))

    def open(self, node: str) -> xr.Dataset:
        """One of its nodes, opened."""
        return store.open_node(self.root, node, chunked=False)

    def mount(self, node: Node) -> xr.Dataset | None:
        """How the sample stood in the tomogram that a node was made of; None if not known."""
        found = (self.open(n) for n in self.nodes if re.fullmatch(r"xct/[^/]+/mount", n))
        numbers = _numbers(node)
        return next((ds for ds in found if int(ds.attrs["scan_number"]) in numbers), None)

    def weights(self, node: Node) -> xr.Dataset | None:
        """Phases of the diffraction scan that a node was made of; None if not known."""
        numbers = _numbers(node)
        for name in self.nodes:
            if re.fullmatch(r"xrdct/[^/]+/frames", name):
                scans = self.open(name)["scan_number"].values.tolist()
                if numbers & set(scans):
                    return self.open(f"{name.rpartition('/')[0]}/phases")
        return None


def find(contents: Contents, given: Path | None) -> Truth | None:
    """The truth that was asked for, or that lies beside a source of the store.

    Raises
    ------
    ArgumentError
        Where it was asked for and is not there.
    """
    if given is not None:
        for root in (given, given / NAME):
            if (root / "sample" / "zarr.json").is_file():
                return Truth(root.resolve())
        raise ArgumentError(
            f"{given} holds no truth of a simulated sample",
            expected=f"the folder that `zeoarray twin` wrote, or its {NAME}",
            do="leave --truth out for measured data",
        )
    folders = dict.fromkeys(Path(s).parent for n in contents.nodes for s in _sources(n))
    roots = (folder / NAME for folder in folders)
    return next((Truth(r) for r in roots if (r / "sample" / "zarr.json").is_file()), None)


def _sources(node: Node) -> list[str]:
    given = node.ds.attrs.get("source", [])
    if isinstance(given, str):
        return [given]
    return [str(path) for path in given] if isinstance(given, (list, tuple)) else []


def _numbers(node: Node) -> set[int]:
    """Numbers of scans, from the names of the files that a node was made of."""
    names = (Path(source).name for source in _sources(node))
    return {int(n) for name in names for n in re.findall(r"\d{4,9}", name)}
