"""A simulated sample beside its truth: errors that were put in are the errors that are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.report import stores
from zeoarray import store
from zeoarray.report import against_truth, contents
from zeoarray.report import truth as truths
from zeoarray.report.blocks import Block, Facts, Note, Picture, Table
from zeoarray.report.contents import Contents, Node
from zeoarray.report.registry import Around
from zeoarray.twin import presets, scan_xrdct, truth, truth_xrdct
from zeoarray.twin.detector import Camera
from zeoarray.twin.sample import Sample

SCAN, NUMBER = "i13-2.6um", 169068


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The truth of one tomogram and one diffraction scan, without their files."""
    folder = tmp_path_factory.mktemp("twin")
    sample = Sample.make(1, "tiny")
    camera = Camera(1, sample, presets.find("tiny").scan(SCAN), rows=(0, 8))
    root = folder / "truth.zarr"
    truth.write_scan(root, camera)
    store.save(truth.contents(sample), root, "sample")
    name, plan = next(iter(scan_xrdct.plans(1, "tiny").items()))
    store.save(truth_xrdct.weights(plan, sample), root, f"xrdct/{name}/phases")
    store.save(truth_xrdct.nuisance(plan), root, f"xrdct/{name}/frames")
    return folder


def around(folder: Path) -> Around:
    return Around(Contents(Path("a.zarr")), truths.find(Contents(Path("a.zarr")), folder))


def volume(folder: Path, bias: float) -> xr.Dataset:
    """The truth on a grid of its own, and a constant."""
    found = around(folder).truth
    assert found is not None
    mount = found.open(f"xct/{SCAN}/mount")
    z, y, x = (stores.places(d, n, 40.0)[1] for d, n in (("z", 3), ("y", 32), ("x", 32)))
    ds = truth.volume(found.sample, z, y, x, energy_kev=25.0, to_sample=mount["to_sample"].values)
    ds["attenuation"] = ds["attenuation"] + np.float32(bias)
    return ds.assign_attrs(source=[str(folder / f"{NUMBER}.nxs")])


def kinds(blocks: list[Block], kind: type) -> list[Block]:
    return [b for b in blocks if isinstance(b, kind)]


def test_a_bias_that_was_added_is_the_bias_that_is_told(twin: Path) -> None:
    node = Node("xct/a/volume", volume(twin, 0.25), 0)
    blocks = list(against_truth.attenuation(node, around(twin)))
    assert len(kinds(blocks, Picture)) == 3
    (table,) = kinds(blocks, Table)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert set(rows) == {"everywhere", "matter", "air"}
    for row in rows.values():
        assert float(row["bias [1/cm]"]) == pytest.approx(0.25, abs=1e-3)
        assert float(row["rms [1/cm]"]) == pytest.approx(0.25, abs=1e-3)
    assert int(rows["matter"]["voxels"]) > 100


def test_a_volume_of_another_scan_is_not_compared(twin: Path) -> None:
    ds = volume(twin, 0).assign_attrs(source=["123456.nxs"])
    blocks = list(against_truth.attenuation(Node("xct/a/volume", ds, 0), around(twin)))
    assert [b.text for b in blocks if isinstance(b, Note)] == [
        "The truth does not know the scan that this volume was made of."
    ]


def test_an_axis_that_is_wrong_says_by_how_much(twin: Path) -> None:
    found = around(twin).truth
    assert found is not None
    mount = found.open(f"xct/{SCAN}/mount")
    ds = stores.axis().isel(z=slice(0, 8)).assign_coords(z=mount["z"])
    ds["axis_u"] = mount["axis_u"] + 1.0
    ds = ds.assign_attrs(source=[f"/x/{NUMBER}.nxs"])
    blocks = list(against_truth.axis(Node("xct/a/axis", ds, 0), around(twin)))
    (told,) = kinds(blocks, Facts)
    assert told.of["axis in the middle less the true one"].startswith("1.00 ± 0.10 µm")
    assert "further from the true one than four" in kinds(blocks, Note)[0].text


def test_weights_are_compared_up_to_a_factor_of_each_phase(twin: Path) -> None:
    found = around(twin).truth
    assert found is not None
    name = next(n for n in found.nodes if n.endswith("/phases"))
    real = found.open(name).load()
    number = int(found.open(name.replace("phases", "frames"))["scan_number"][0])
    ds = real.sel(phase=["sodium", "zinc"]).isel(z=[0])
    ds["weight"] = ds["weight"] * xr.DataArray([3.0, 7.0], dims="phase")
    ds["weight_sigma"] = xr.full_like(ds["weight"], 0.1)
    node = Node("xrdct/a/phases", ds.assign_attrs(source=[f"k11-{number}.nxs"]), 0)
    blocks = list(against_truth.phases(node, around(twin)))
    (table,) = kinds(blocks, Table)
    assert [row[:3] for row in table.rows] == [["sodium", "3", "1"], ["zinc", "7", "1"]]
    assert all(float(row[4]) == pytest.approx(0, abs=1e-6) for row in table.rows)


def test_the_truth_is_found_beside_the_sources(twin: Path, tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    made = stores.volume().assign_attrs(source=[str(twin / f"{NUMBER}.nxs")])
    store.save(made, root, "xct/a/volume/bin1")
    found = truths.find(contents.read(root), None)
    assert found is not None
    assert found.root == twin / "truth.zarr"
    strange = Node("powder/b", stores.powder().assign_attrs(source=3), 0)
    assert truths.find(Contents(Path("b.zarr"), [strange]), None) is None
