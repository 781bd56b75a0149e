"""`generate`: all files of a twin, in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from zeoarray import store
from zeoarray.errors import ArgumentError, unknown
from zeoarray.twin import (
    powder_files,
    presets,
    scan_xrdct,
    truth,
    truth_xrdct,
    writers_xct,
    writers_xrdct,
)
from zeoarray.twin.detector import Camera
from zeoarray.twin.random import check_seed
from zeoarray.twin.sample import Sample

PARTS = ("xct", "xrdct", "powder", "truth")
Progress = Callable[[str, int, int], None]
"""Called with what is being made, how much of it is done, and how much there is."""


def generate(
    out: Path,
    *,
    preset: str = "small",
    seed: int = 1,
    only: Iterable[str] | None = None,
    rows: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the files of a twin, as the beamlines would have written them, and the truth.

    ``169065.nxs`` to ``169068.nxs`` (I13-2) and ``k11-43320.nxs`` (DIAD) are tomograms,
    ``k11-43322.nxs`` and following XRD-CT layers with their geometry and mask, ``*.asc`` powder
    patterns; ``truth.zarr`` says what is true of all of them.

    Parameters
    ----------
    out
        Folder; made if it is not there. Files of the same names are replaced.
    preset
        ``tiny`` (seconds), ``small`` (minutes) or ``full`` (the dataset's sizes: hours).
    seed
        The same seed gives the same data.
    only
        Parts (``xct``, ``xrdct``, ``powder``, ``truth``) and names of scans (``i13-2.6um``,
        ``diad``, ``25um``); everything where left out.
    rows
        Detector rows of the tomograms, about their middle: a slab of a large preset. Everything
        in it is as in the whole.
    workers
        Threads; as many as there are processors where left out. The data does not depend on it.
    progress
        Called often.

    Returns
    -------
    pathlib.Path
        `out`.

    Raises
    ------
    ArgumentError
        For a name that does not exist, a number of rows or workers that is none, or an `out`
        that is a file.
    """
    found = presets.find(preset)
    plans = scan_xrdct.plans(check_seed(seed), preset)
    chosen = _chosen(only, [scan.name for scan in found.scans], list(plans))
    threads = (os.cpu_count() or 1) if workers is None else workers
    if threads < 1 or (rows is not None and rows < 1):
        raise ArgumentError(
            "the twin needs at least one row and one worker", got=f"rows {rows}, workers {workers}"
        )
    if out.exists() and not out.is_dir():
        raise ArgumentError(f"{out} is not a folder", do="choose another path")
    out.mkdir(parents=True, exist_ok=True)
    report = progress or (lambda what, done, total: None)
    sample = Sample.make(seed, preset)
    tell = "truth" in chosen
    for scan in found.scans:
        if scan.name in chosen:
            camera = Camera(seed, sample, scan, rows=_band(scan, rows), workers=threads)
            writers_xct.write(out, camera, on_frame=_named(report, scan.name))
            if tell:
                truth.write_scan(out / "truth.zarr", camera)
    for name, plan in plans.items():
        if name in chosen:
            writers_xrdct.write_scan(
                out, plan, sample, workers=threads, on_frame=_named(report, name)
            )
            if tell:
                for node, ds in (
                    ("phases", truth_xrdct.weights(plan, sample)),
                    ("frames", truth_xrdct.nuisance(plan)),
                ):
                    store.save(ds, out / "truth.zarr", f"xrdct/{name}/{node}", overwrite=True)
    if "powder" in chosen:
        powder_files.write(out, seed)
        report("powder", 1, 1)
    if tell:
        truth.write_sample(out / "truth.zarr", sample, voxel_um=found.truth_voxel_um)
        report("truth", 1, 1)
    return out


def _named(report: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: report(name, done, total)


def _band(scan: presets.Scan, rows: int | None) -> tuple[int, int]:
    """The middle rows of a camera, as many as asked for."""
    keep = scan.rows if rows is None else min(rows, scan.rows)
    # An odd remainder would move the middle, from which heights are counted, by half a row.
    keep -= (scan.rows - keep) % 2 if keep > 1 else 0
    first = (scan.rows - keep) // 2
    return first, first + keep


def _chosen(only: Iterable[str] | None, xct: list[str], xrdct: list[str]) -> set[str]:
    members = {"xct": xct, "xrdct": xrdct, "powder": ["powder"], "truth": ["truth"]}
    wanted = PARTS if only is None else tuple(only)

    def names() -> Iterator[str]:
        for name in wanted:
            if name not in members and name not in xct + xrdct:
                raise unknown("part of the twin", name, [*members, *xct, *xrdct])
            yield from members.get(name, [name])

    return set(names())
