"""A small scan in a store, and pipelines written beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import xarray as xr

from zeoarray import schema, store

SHAPE = {"angle": 40, "z": 22, "u": 48}


def scan(seed: int = 0) -> xr.Dataset:
    """A scan of noise with flats and darks; every pixel differs."""
    rng = np.random.default_rng(seed)
    angles, rows, columns = SHAPE.values()
    beam = 1000 + 200 * rng.random((rows, columns))
    counts = 100 + beam * rng.uniform(0.2, 1.0, (angles, rows, columns))
    flats = 100 + beam + rng.normal(0, 5, (6, rows, columns))
    darks = 100 + rng.normal(0, 2, (4, rows, columns))
    ds = xr.Dataset(
        {
            "counts": (("angle", "z", "u"), counts.astype("u2")),
            "flat": (("flat_frame", "z", "u"), flats.astype("u2")),
            "dark": (("dark_frame", "z", "u"), darks.astype("u2")),
        },
        {
            "angle": np.arange(angles) * 180.0 / angles,
            "z": (np.arange(rows) - (rows - 1) / 2) * 2.6,
            "u": (np.arange(columns) - (columns - 1) / 2) * 2.6,
            "detector_rows": rows,
            "detector_columns": columns,
            "resolution": 2.6,
            "energy": 19.0,
            "distance": 0.1,
            "rotation_sense": 1,
            "u_sense": 1,
            "z_sense": 1,
        },
    )
    return schema.describe(ds, schema.SCAN_XCT)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a store ``a.zarr`` that holds the scan, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    store.save(scan(), "a.zarr", "xct/a/scan")
    return tmp_path


@pytest.fixture
def yaml(written: Path) -> Callable[..., Path]:
    """Write a pipeline of stages on that store."""

    def write(stages: str, name: str = "p.yaml", head: str = "zeoarray: 1\nstore: a.zarr") -> Path:
        body = "\n".join(f"  {line}" for line in dedent(stages).strip().splitlines())
        path = written / name
        path.write_text(f"{head}\nstages:\n{body}\n", encoding="utf-8")
        return path

    return write
