"""Scans side by side on one grid: each as it is alone, in whatever order, block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.jointly import phases, registration, turn
from tests.placed import UM, volume
from zeoarray import pipeline, store
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.volume import grid, join, resample, sampling


def test_each_scan_is_as_it_is_alone() -> None:
    fine, coarse, mapped = volume((12, 14, 13), 1.0), volume((6, 7, 7), 2.6), phases((3, 4, 4), 5.0)
    on, matrix = grid(fine, voxel=2.0), registration(turn(2.0, (0.5, 0.2, 0.1)))
    out = join(on, volume=coarse, name="2.6um", registration=matrix)
    out = join(out, volume=mapped, name="25um")
    out = join(out, volume=fine, name="1um", interpolation="linear")
    assert out["attenuation"].dims == ("resolution", "z", "y", "x")
    assert out["weight"].dims == ("spot", "phase", "z", "y", "x")
    assert out["resolution"].values.tolist() == [2.6, 1.0]
    assert out["scan"].values.tolist() == ["2.6um", "1um"]
    assert (out["spot"].values.tolist(), out["spot_scan"].values.tolist()) == ([5.0], ["25um"])
    assert out["phase"].values.tolist() == ["sodium", "zinc"]
    alone = (
        resample(on, volume=coarse, registration=matrix),
        resample(on, volume=fine, interpolation="linear"),
    )
    for i, one in enumerate(alone):
        for name in ("attenuation", "valid"):
            assert np.array_equal(out[name][i], one[name], equal_nan=name == "attenuation")
    one = resample(on, volume=mapped)
    assert np.array_equal(out["weight"][0], one["weight"], equal_nan=True)
    assert np.array_equal(out["weight_valid"][0], one["valid"])
    assert out["attenuation"].attrs["units"] == "1/cm"


YAML = """
zeoarray: 1
store: {store}
stages:
  - measure: volume.grid
    from: xct/fine/volume/bin1
    into: grid/main
    with: {{voxel: 1.5}}
  - from: grid/main
    into: joint/main
    block: 4
    steps:
      - volume.join: {{volume: xct/fine/volume/bin1, name: fine}}
      - volume.join: {{volume: xct/coarse/volume/bin1, name: coarse, registration: registration/a}}
      - volume.join: {{volume: xrdct/25um/phases, name: 25um}}
"""


def test_a_pipeline_joins_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zeoarray.store.encode.SMALL", 1000)
    monkeypatch.setattr("zeoarray.pipeline.work.HELD_BYTES", 0)
    monkeypatch.setattr(sampling, "READ", 30_000)
    fine, coarse, mapped = volume((12, 14, 13), 1.0), volume((6, 7, 7), 2.6), phases((3, 4, 4), 5.0)
    root, path = tmp_path / "a.zarr", tmp_path / "p.yaml"
    matrix = registration(turn(5.0))
    for node, ds in {
        "xct/fine/volume/bin1": fine, "xct/coarse/volume/bin1": coarse,
        "xrdct/25um/phases": mapped, "registration/a": matrix,
    }.items():  # fmt: skip
        store.save(ds, root, node)
    path.write_text(YAML.format(store=root), encoding="utf-8")
    read = pipeline.read(path)
    row = pipeline.plan(read).rows[-1]
    assert (row.node, row.dim, row.rows) == ("joint/main", "z", 4)
    assert pipeline.run(read) == ["grid/main", "joint/main"]
    made = store.open_node(root, "joint/main", chunked=False).load()
    whole = join(grid(fine, voxel=1.5), volume=fine, name="fine")
    whole = join(whole, volume=coarse, name="coarse", registration=matrix)
    whole = join(whole, volume=mapped, name="25um")
    assert set(made.variables) == set(whole.variables)
    for name in whole.variables:
        if whole[name].dtype.kind == "f":
            np.testing.assert_allclose(made[name], whole[name], rtol=0, atol=1e-6)
        else:
            assert np.array_equal(made[name], whole[name])
    steps = [s["parameters"].get("name") for s in made.attrs["steps"]]
    assert steps == [None, "fine", "coarse", "25um"]


# --- bad input ----------------------------------------------------------------------------------
def test_a_name_is_given_once() -> None:
    of = volume((6, 6, 6))
    out = join(grid(of), volume=of, name="a")
    with pytest.raises(ArgumentError, match="a scan of this name is there already"):
        join(out, volume=of, name="a")


def test_volumes_of_neither_kind_are_said() -> None:
    of = volume((6, 6, 6))
    with pytest.raises(SchemaError, match="neither of attenuation nor of phases"):
        join(grid(of), volume=of.rename(attenuation="density"), name="a")
    with pytest.raises(SchemaError, match="does not say its nominal voxel or spot size"):
        join(grid(of), volume=of.drop_vars("resolution"), name="a")
    with pytest.raises(SchemaError, match="the first dataset is the grid"):
        join(of, volume=of, name="a")
    with pytest.raises(SchemaError, match="holds a volume that no scan is named for"):
        join(resample(grid(of), volume=of), volume=of, name="a")


def test_phases_must_be_the_same() -> None:
    of = phases((6, 6, 6))
    out = join(grid(of), volume=of, name="a")
    other = of.assign_coords(phase=["zinc", "sodium"])
    with pytest.raises(SchemaError, match=r"the same phases[\s\S]*zinc, sodium"):
        join(out, volume=other, name="b")
    more = of.assign(weight_sigma=xr.ones_like(of["weight"]))
    with pytest.raises(SchemaError, match="the same variables"):
        join(out, volume=more, name="b")


def test_a_scan_may_take_the_place_of_another() -> None:
    of = volume((9, 12, 10))
    on, maps = grid(of), np.stack([np.eye(4), turn(2.0)])
    several = xr.Dataset(
        {"to_sample": (("scan", "to", "from"), maps, UM)}, {"scan": ["fixed", "diad"]}
    )
    found = join(on, volume=of, name="25um", registration=several, scan="diad")
    wanted = join(on, volume=of, name="25um", registration=registration(turn(2.0)))
    xr.testing.assert_equal(found, wanted)
    with pytest.raises(SchemaError, match="is not among them") as caught:
        join(on, volume=of, name="25um", registration=several)
    assert "one of fixed, diad" in str(caught.value)
