"""`verify` names exactly what is damaged, and heals it only to what was written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from zeoarray import store
from zeoarray.errors import SourceError


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, xr.Dataset]:
    counts = np.random.default_rng(0).poisson(1000, (150, 21, 33)).astype("u2")
    ds = xr.Dataset({"counts": (("angle", "z", "u"), counts)}, coords={"angle": np.arange(150.0)})
    store.save(ds, tmp_path / "a.zarr", "xct/a/scan")
    store.save(ds.isel(angle=slice(0, 40)), tmp_path / "a.zarr", "xct/b/scan")
    return tmp_path / "a.zarr", ds


def damage(root: Path) -> dict[str, str]:
    """One truncated, one deleted, one with a flipped bit; and a damaged coordinate."""
    node = root / "xct/a/scan"
    torn, gone, flipped = (node / f"counts/c/{i}/0/0" for i in (0, 1, 3))
    torn.write_bytes(torn.read_bytes()[:-100])
    gone.unlink()
    for path in (flipped, node / "angle/zarr.json"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    return {
        "counts/c/0/0/0": "torn",
        "counts/c/1/0/0": "missing",
        "counts/c/3/0/0": "altered",
        "angle/zarr.json": "altered",
    }


def test_verify_names_exactly_the_damaged_files(saved: tuple[Path, xr.Dataset]) -> None:
    root, _ = saved
    assert store.verify(root) == []
    expected = damage(root)
    found = store.verify(root)
    assert {f.key: f.fault for f in found} == expected
    assert {f.node for f in found} == {"xct/a/scan"}


def test_repair_heals_from_the_source(saved: tuple[Path, xr.Dataset]) -> None:
    root, ds = saved
    damage(root)
    found = store.verify(root, rebuild=lambda fingerprint: ds)
    assert all(f.repaired for f in found)
    assert len(found) == 4
    assert store.verify(root) == []
    xr.testing.assert_equal(store.open_node(root, "xct/a/scan").load(), ds)
    assert sorted(p.name for p in (root.parent / "a.zarr.ledger/growing").iterdir()) == []


def test_repair_never_puts_in_other_values(saved: tuple[Path, xr.Dataset]) -> None:
    root, ds = saved
    damage(root)
    found = store.verify(root, rebuild=lambda fingerprint: ds.assign(counts=ds["counts"] + 1))
    assert {f.key for f in found if f.repaired} == {"angle/zarr.json"}
    assert {f.why_not for f in found} == {None, "what its source gives now is not what was written"}


def test_repair_says_why_not(saved: tuple[Path, xr.Dataset]) -> None:
    root, _ = saved
    damage(root)

    def gone(fingerprint: Mapping[str, Any]) -> xr.Dataset:
        raise SourceError("the disk with the raw data is in a drawer")

    found = store.verify(root, rebuild=gone)
    assert not any(f.repaired for f in found)
    assert {f.why_not for f in found} == {"the disk with the raw data is in a drawer"}


def test_a_stray_file_is_left_and_a_deleted_node_is_made_again(
    saved: tuple[Path, xr.Dataset],
) -> None:
    root, ds = saved
    (root / "xct/a/scan/counts/c/9").mkdir()
    (root / "xct/a/scan/counts/c/9/0").write_bytes(b"x")
    for path in sorted((root / "xct/b/scan").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    found = store.verify(root)
    assert {(f.node, f.fault) for f in found} == {
        ("xct/a/scan", "unexpected"),
        ("xct/b/scan", "missing"),
    }
    rebuilt = {"xct/a/scan": ds, "xct/b/scan": ds.isel(angle=slice(0, 40))}

    def rebuild(fingerprint: Mapping[str, Any]) -> xr.Dataset:
        frames = fingerprint["arrays"]["counts"]["shape"][0]
        return next(d for d in rebuilt.values() if d.sizes["angle"] == frames)

    (left,) = [f for f in store.verify(root, rebuild=rebuild) if not f.repaired]
    assert (left.key, left.fault) == ("counts/c/9/0", "unexpected")
    assert left.why_not == "it is left as it is: delete it if it is not wanted"
    assert (root / "xct/a/scan/counts/c/9/0").read_bytes() == b"x", "it may be somebody's"
    (left,) = store.verify(root)
    assert left.fault == "unexpected"


def test_progress_ends_at_the_total(saved: tuple[Path, xr.Dataset]) -> None:
    seen: list[tuple[int, int]] = []
    store.verify(saved[0], progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 0
    assert seen == sorted(seen)
