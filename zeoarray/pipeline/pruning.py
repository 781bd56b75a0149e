"""`prune`: a tiny pipeline of any file, so that each is its own smoke test."""

from __future__ import annotations

from dataclasses import replace

from zeoarray.pipeline.checks import open_scan
from zeoarray.pipeline.document import Pipeline, Stage

ROWS = 8


def prune(pipeline: Pipeline, *, rows: int = ROWS) -> Pipeline:
    """Return a pipeline that takes only a few rows about the middle of each tomogram.

    Parameters
    ----------
    pipeline
        As `read` gives it.
    rows
        Detector rows that are kept. A `crop_edges` of lens correction counts from the edges of
        the whole detector, so it still applies.

    Returns
    -------
    Pipeline
        Of the same steps; its store is beside the other, ``<store>.pruned``.
    """
    stages = tuple(
        pruned(stage, rows) if stage.kind == "ingest" else stage for stage in pipeline.stages
    )
    store = pipeline.store.with_name(pipeline.store.name + ".pruned")
    return replace(pipeline, store=store, stages=stages)


def pruned(stage: Stage, rows: int) -> Stage:
    """Return an ingest of a few rows about the middle; the stage itself where it has none."""
    scan = open_scan(stage)
    if "counts" not in scan or scan["counts"].dims != ("angle", "z", "u"):
        return stage
    first, size = 0, scan.sizes["z"]
    if "crop" in stage.scan and "z" in stage.scan["crop"]:
        first = int(stage.scan["crop"]["z"][0])
    middle = first + size // 2
    span = [max(middle - rows // 2, first), min(middle - rows // 2 + rows, first + size)]
    return replace(stage, scan={**stage.scan, "crop": {**stage.scan.get("crop", {}), "z": span}})
