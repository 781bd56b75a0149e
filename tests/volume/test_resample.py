"""A volume on another grid: as scipy gives it for any cutting, with nothing lost on the way."""

from __future__ import annotations

import inspect
import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import xarray as xr

from tests.jointly import phases, registration, soft, turn
from tests.placed import UM, volume
from zeoarray import labelled, pipeline, store
from zeoarray.errors import ArgumentError, SchemaError, SourceError
from zeoarray.pipeline import plans
from zeoarray.volume import bin, grid, grids, join, resample, sampling

Array = np.ndarray[Any, Any]


def by_scipy(of: xr.Dataset, on: xr.Dataset, matrix: Array, order: int) -> Array:
    """The same by scipy, from positions alone."""
    to_index = np.linalg.inv(grids.to_um(of, "test")) @ np.linalg.inv(matrix)
    way = to_index @ grids.to_um(on, "test")
    shape = tuple(on.sizes[d] for d in "zyx")
    values = of["attenuation"].values.astype(float)
    out: Array = scipy.ndimage.affine_transform(values, way, output_shape=shape, order=order,
                                                cval=np.nan)  # fmt: skip
    return out


@pytest.mark.parametrize(("order", "interpolation"), [(1, "linear"), (3, "cubic"), (1, "mean")])
@pytest.mark.parametrize("cuts", [(), (1,), (5, 6, 17)])
@pytest.mark.parametrize("read", [1 << 26, 30_000])
def test_it_is_scipys_for_any_cutting(
    order: int, interpolation: Any, cuts: tuple[int, ...], read: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(sampling, "READ", read)
    of = volume((24, 28, 26), 2.0)
    on, matrix = grid(of, voxel=1.7, z=(-18, 20), x=(-20, 22)), turn(4.0)
    theirs = by_scipy(of, on, matrix, order)
    edges = [0, *cuts, on.sizes["z"]]
    blocks = [on.isel(z=slice(a, b)) for a, b in itertools.pairwise(edges)]
    asked = {"registration": registration(matrix), "interpolation": interpolation}
    ours = xr.concat([resample(b, volume=of, **asked) for b in blocks], dim="z")
    inside = np.isfinite(theirs)
    assert 0.4 < inside.mean() < 0.99
    found = ours["attenuation"].values
    if interpolation != "mean":  # which goes on to the faces
        np.testing.assert_array_equal(np.isfinite(found), inside)
        assert np.array_equal(ours["valid"].values, inside)
    assert not (ours["valid"].values & ~inside).any()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[inside], theirs[inside], rtol=0, atol=1e-5)


def test_the_inverse_leads_back() -> None:
    of, on, matrix = volume((9, 12, 10)), grid(volume((9, 12, 10))), turn(2.0)
    one = resample(on, volume=of, registration=registration(matrix))
    other = resample(on, volume=of, registration=registration(np.linalg.inv(matrix)), inverse=True)
    np.testing.assert_allclose(one["attenuation"], other["attenuation"], rtol=1e-5)
    to_sample = registration(matrix).rename(to_fixed="to_sample")
    xr.testing.assert_equal(one, resample(on, volume=of, registration=to_sample))


def test_a_scan_of_several_is_taken_by_its_name() -> None:
    of, on = volume((9, 12, 10)), grid(volume((9, 12, 10)))
    maps = np.stack([np.eye(4), turn(2.0)])
    several = xr.Dataset(
        {"to_sample": (("scan", "to", "from"), maps, UM)}, {"scan": ["fixed", "moving"]}
    )
    one = resample(on, volume=of, registration=registration(turn(2.0)))
    xr.testing.assert_equal(one, resample(on, volume=of, registration=several, scan="moving"))
    joined = join(on, volume=of, registration=several, name="moving")
    assert np.array_equal(joined["attenuation"][0], one["attenuation"], equal_nan=True)
    with pytest.raises(SchemaError, match=r"not among them[\s\S]*one of fixed, moving"):
        resample(on, volume=of, registration=several)


def test_on_its_own_grid_a_volume_stays() -> None:
    of = volume((5, 7, 6))
    for interpolation in ("mean", "linear"):
        there = resample(grid(of), volume=of, interpolation=interpolation)
        assert np.array_equal(there["attenuation"], of["attenuation"])
        assert there["valid"].all()
        assert float(there["resolution"]) == 2.0


def test_a_grid_of_whole_multiples_is_that_of_bins() -> None:
    of = volume((8, 12, 10))
    binned = bin(of, factor=2)
    on = grid(of, voxel=4.0)
    for d in "zyx":
        np.testing.assert_allclose(on[d], binned[d])
    there = resample(on, volume=of)
    np.testing.assert_allclose(there["attenuation"], binned["attenuation"], rtol=1e-6)
    assert there["valid"].all()


@pytest.mark.parametrize("degrees", [0.0, 7.0])
@pytest.mark.parametrize("voxel", [2.9, 5.0])
def test_the_mean_is_conserved(degrees: float, voxel: float) -> None:
    of = soft((45, 45, 45), 2.0)
    on = grid(of, voxel=voxel, **dict.fromkeys("zyx", (-60.0, 60.0)))
    there = resample(on, volume=of, registration=registration(turn(degrees)))
    before = float(of["attenuation"].sum(dtype="float64")) * 2.0**3
    after = float(there["attenuation"].sum(dtype="float64")) * voxel**3
    assert after == pytest.approx(before, rel=1e-4)


def test_what_is_finer_than_the_grid_is_not_folded_into_it() -> None:
    of = volume((24, 24, 24), 1.0)
    waves = np.cos(2 * np.pi * of["x"] / 3.0) + 0 * of["attenuation"]
    of = of.assign(attenuation=waves.transpose(*"zyx").astype("float32"))
    on = grid(of, voxel=3.0)
    assert float(abs(resample(on, volume=of)["attenuation"]).max()) < 1e-5
    points = resample(on, volume=of, interpolation="linear")["attenuation"]
    assert float(abs(points).max()) > 0.3


def test_a_point_spread_function_is_of_its_width() -> None:
    of = volume((31, 31, 31), 1.0)
    of["attenuation"] = xr.zeros_like(of["attenuation"])
    of["attenuation"][15, 15, 15] = 1.0
    there = resample(grid(of), volume=of, psf=2.0)["attenuation"]
    assert float(there.sum()) == pytest.approx(1, abs=1e-2)
    profile = there.sum(["z", "y"])
    # The voxel that it comes from is a box; beyond 4 standard deviations it is cut.
    assert float((profile * there["x"] ** 2).sum()) == pytest.approx(4 + 1 / 12, rel=0.01)


def test_axes_may_descend_and_dims_may_follow() -> None:
    of = volume((6, 8, 7))
    on, asked = grid(of, voxel=1.6), {"registration": registration(turn(3.0))}
    one = resample(on, volume=of, **asked)
    turned = resample(on, volume=of.isel(z=slice(None, None, -1), x=slice(None, None, -1)), **asked)
    np.testing.assert_allclose(one["attenuation"], turned["attenuation"], atol=1e-6)
    q = ("q", [1.0, 2.0], {"units": "1/angstrom"})
    pattern = xr.Dataset(
        {"intensity": (of["attenuation"] * xr.DataArray([1.0, 2.0], dims="q")).astype("float32")},
        {**of.coords, "q": q},
    )
    there = resample(on, volume=pattern, **asked)
    assert there["intensity"].dims == ("z", "y", "x", "q")
    np.testing.assert_allclose(there["intensity"][..., 1], 2 * one["attenuation"], rtol=1e-5)
    assert np.array_equal(there["valid"], one["valid"])


def test_flags_are_set_where_all_that_they_stand_for_were() -> None:
    of = phases((8, 8, 8))
    there = resample(grid(of, voxel=4.0), volume=of)
    assert there["weight"].dims == ("phase", "z", "y", "x")
    eight = of["valid"].astype(int).coarsen(z=2, y=2, x=2).min()
    assert np.array_equal(there["valid"], eight == 1)
    assert 0 < float(there["valid"].mean()) < 1


def test_a_cubic_spline_keeps_what_is_missing_to_itself() -> None:
    of = volume((20, 20, 20), 1.0)
    whole = resample(grid(of), volume=of, interpolation="cubic")["attenuation"]
    of["attenuation"][10, 10, 10] = np.nan
    there = resample(grid(of), volume=of, interpolation="cubic")
    assert int(there["valid"].size - there["valid"].sum()) == 1
    far = abs(there["x"]) > 8
    np.testing.assert_allclose(there["attenuation"].where(far), whole.where(far), rtol=0, atol=1e-3)


def test_beyond_the_circle_is_nothing() -> None:
    of = volume((3, 40, 40), 1.0)
    there = resample(grid(of), volume=of, circle=0.9)
    r = np.hypot(of["y"], of["x"])
    assert not there["valid"].where(r > 18.1, False).any()
    assert there["valid"].where(r < 17.9, True).all()


YAML = """
zeoarray: 1
store: {store}
stages:
  - measure: volume.grid
    from: xct/a/volume/bin1
    into: grid/main
    with: {{voxel: 1.5}}
  - from: grid/main
    into: joint/a
    block: 5
    steps:
      - volume.resample: {{volume: xct/a/volume/bin1, registration: registration/a}}
"""


def test_a_pipeline_reads_boxes_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zeoarray.store.encode.SMALL", 1000)
    monkeypatch.setattr("zeoarray.pipeline.work.HELD_BYTES", 0)
    monkeypatch.setattr(sampling, "READ", 30_000)
    of, matrix = volume((20, 24, 22)), turn(5.0)
    root = tmp_path / "a.zarr"
    store.save(of, root, "xct/a/volume/bin1")
    store.save(registration(matrix), root, "registration/a")
    path = tmp_path / "p.yaml"
    path.write_text(YAML.format(store=root), encoding="utf-8")
    read = pipeline.read(path)
    (_, row) = pipeline.plan(read).rows
    assert (row.dim, row.rows, row.tasks) == ("z", 5, 6)
    assert pipeline.run(read) == ["grid/main", "joint/a"]
    made = store.open_node(root, "joint/a", chunked=False).load()
    whole = resample(grid(of, voxel=1.5), volume=of, registration=registration(matrix))
    for name in ("attenuation", "valid"):
        np.testing.assert_allclose(made[name], whole[name], rtol=0, atol=1e-6)
    assert [s["step"] for s in made.attrs["steps"]] == ["volume.grid", "volume.resample"]
    assert pipeline.run(read) == []


def test_a_small_volume_on_a_fine_grid_waits_for_its_blocks() -> None:
    of = volume((4, 5, 6), 30.0)
    on = grid(of, voxel=2.0)
    with labelled.recorded() as record:
        there = resample(on, volume=of)
    assert there["attenuation"].chunks is not None
    assert record.whole == {"y", "x"}


@pytest.mark.parametrize("interpolation", ["mean", "linear", "cubic"])
@pytest.mark.parametrize("voxel", [0.8, 3.0])
def test_a_block_takes_no_more_memory_than_is_planned(
    interpolation: Any, voxel: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "READ", 1 << 20)
    of = volume((40, 90, 90), 1.0)
    on = grid(of, voxel=voxel)
    asked = {
        "volume": of.astype("float64").chunk(z=8),  # type: ignore[attr-defined]
        "registration": registration(turn(8.0)),
        "interpolation": interpolation,
    }
    with labelled.recorded() as record:
        resample(on, **asked)
    block = on.isel(z=slice(3, 11))
    (call,) = record.calls
    declared = call.memory({"y": on.sizes["y"], "x": on.sizes["x"]}, batch=8)
    asked["volume"] = of.astype("float64")
    bare = inspect.unwrap(resample)  # without the record of a step, which digests small arguments
    bare(block, **asked)
    tracemalloc.start()
    try:
        out = bare(block, **asked)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    own = sum(v.nbytes for v in out.data_vars.values())
    assert peak - own <= declared.block + 100_000
    # And is bounded: the box behind eight rows, tilted, is far larger than what is read at once.
    assert declared.block < 12 * (1 << 20)


def test_a_plan_holds_a_block_and_not_the_volume(tmp_path: Path) -> None:
    of = volume((64, 128, 128), 1.0)
    root = tmp_path / "a.zarr"
    store.save(of, root, "xct/a/volume/bin1")
    store.save(registration(turn(5.0)), root, "registration/a")
    path = tmp_path / "p.yaml"
    path.write_text(YAML.format(store=root), encoding="utf-8")
    row = plans.plan(pipeline.read(path)).rows[-1]
    grid_row = 85 * 85 * 5
    assert row.bytes_written == 42 * 85 * 85 * 5
    assert row.memory > 5 * grid_row + of["attenuation"].nbytes  # it is small, and kept


# --- bad input ----------------------------------------------------------------------------------
def test_the_first_dataset_is_a_grid() -> None:
    of = volume()
    with pytest.raises(SchemaError, match="the first dataset is the grid"):
        resample(of, volume=of)
    bad = grid(of).assign_coords(voxel=((), 3.0, UM))
    with pytest.raises(SchemaError, match="are not `voxel` apart"):
        resample(bad, volume=of)


def test_units_that_differ_are_said() -> None:
    of = volume((8, 8, 8))
    millimetres = of.assign_coords(x=("x", of["x"].values / 1000, {"units": "mm"}))
    with pytest.raises(SchemaError, match="is in mm"):
        resample(grid(of), volume=millimetres)
    said = of.assign_coords({d: (d, of[d].values * 1000 + 30_000, UM) for d in "zyx"})
    with pytest.raises(ArgumentError, match="a factor of 1000 is a wrong unit"):
        resample(grid(of), volume=said)


def test_volumes_that_do_not_meet_are_said() -> None:
    of = volume((8, 8, 8))
    far = of.assign_coords(z=("z", of["z"].values + 100, UM))
    with pytest.raises(ArgumentError, match=r"nothing in common[\s\S]*apart along z"):
        resample(grid(of), volume=far)
    # A block that does not meet it is none of that: the whole grid does.
    near = of.assign_coords(z=("z", of["z"].values + 10, UM))
    assert not resample(grid(of).isel(z=slice(0, 2)), volume=near)["valid"].any()


def test_maps_that_are_none_are_said() -> None:
    of = volume((8, 8, 8))
    flat = turn()
    flat[:3, 2] = flat[:3, 1]
    with pytest.raises(ArgumentError, match="singular"):
        resample(grid(of), volume=of, registration=registration(flat))
    with pytest.raises(SchemaError, match="the registration has no map"):
        resample(grid(of), volume=of, registration=xr.Dataset({"shift": ((), 1.0)}))


def test_volumes_that_are_none_are_said() -> None:
    of = volume((8, 8, 8))
    with pytest.raises(SourceError, match="the volume is empty"):
        resample(grid(of), volume=of.isel(y=slice(0, 0)))
    with pytest.raises(SchemaError, match="no such variable"):
        resample(grid(of), volume=of, variables=("weight",))
    with pytest.raises(SchemaError, match=r"no such variable[\s\S]*resolution|no such variable"):
        resample(grid(of), volume=of.drop_vars("attenuation"))
    with pytest.raises(ArgumentError, match="not evenly spaced"):
        resample(grid(of), volume=of.isel(z=[0, 1, 3]))


def test_point_spread_functions_that_are_none_are_said() -> None:
    of = volume((8, 8, 8))
    with pytest.raises(ArgumentError, match="is for means"):
        resample(grid(of), volume=of, psf=3.0, interpolation="cubic")
    with pytest.raises(ArgumentError, match="narrower than the volume's own voxels"):
        resample(grid(of), volume=of, psf=0.5)


def test_grids_that_are_none_are_said() -> None:
    of = volume((8, 8, 8))
    tall = of.assign_coords(z=("z", of["z"].values * 2, UM))
    with pytest.raises(ArgumentError, match="are not cubic"):
        grid(tall)
    with pytest.raises(ArgumentError, match="there is no voxel"):
        grid(of, z=(3.0, 1.0))
    layer = of.isel(z=[0]).drop_vars("resolution")
    with pytest.raises(ArgumentError, match="nothing says how large it is"):
        grid(layer)
    assert grid(of.isel(z=[0])).sizes["z"] == 1


LAYERS = np.array([-110.0, -10.0, 90.0])
"""Heights of layers [um]; the beam is 40 um high."""


def layered(beam: float = 40.0) -> xr.Dataset:
    """Layers of a diffraction scan, each with values of its own."""
    of = volume((3, 12, 10), 10.0).assign_coords(z=("z", LAYERS, UM), beam_size=((), beam, UM))
    return of.assign(attenuation=of["attenuation"] + 10 * np.arange(3).reshape(3, 1, 1))


@pytest.mark.parametrize("interpolation", ["mean", "linear", "cubic"])
@pytest.mark.parametrize("tilt", [0.0, 7.0])
@pytest.mark.parametrize("read", [1 << 26, 2_000])
def test_nothing_is_made_up_between_layers(
    interpolation: Any, tilt: float, read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each voxel is of the layer that it lies in, and none is where the beam never was."""
    monkeypatch.setattr(sampling, "READ", read)
    of, matrix = layered(), turn(tilt) if tilt else np.eye(4)
    on = grid(of, voxel=4.0, z=(-150, 130), y=(-50, 50), x=(-40, 40))
    asked = {"registration": registration(matrix), "interpolation": interpolation}
    found = resample(on, volume=of, **asked)
    back = np.linalg.inv(matrix)
    z, y, x = np.meshgrid(*(on[d].values for d in "zyx"), indexing="ij")
    height = back[2, 0] * x + back[2, 1] * y + back[2, 2] * z + back[2, 3]
    apart = np.abs(height[..., None] - LAYERS)
    slack = 20.0 - (2.0 if interpolation == "mean" else 0.0)
    layer, within = apart.argmin(axis=-1), apart.min(axis=-1) <= slack + 1e-3
    values, valid = found["attenuation"].values, found["valid"].values
    assert not np.isfinite(values[~within]).any()
    assert not valid[~within].any()
    assert valid.mean() > 0.15
    np.testing.assert_array_equal(np.round((values[valid] - 1) / 10), layer[valid])
    # In plane, as by scipy, in the layer taken alone.
    if interpolation == "linear" and not tilt:
        plane = by_scipy(of, on.isel(z=slice(0, 1)).assign_coords(z=[LAYERS[1]]), matrix, 1)[0]
        row = int(np.abs(on["z"].values + 10).argmin())
        good = np.isfinite(plane)
        np.testing.assert_allclose(values[row][good], plane[good], atol=1e-5)
    blocks = [on.isel(z=slice(a, b)) for a, b in itertools.pairwise([0, 11, 40, on.sizes["z"]])]
    cut = xr.concat([resample(b, volume=of, **asked) for b in blocks], dim="z")
    np.testing.assert_allclose(cut["attenuation"], values, atol=1e-5)
    np.testing.assert_array_equal(cut["valid"], valid)


def test_layers_that_touch_are_interpolated() -> None:
    on = grid(layered(), voxel=4.0)
    found = resample(on, volume=layered(beam=100.0), interpolation="linear")
    assert np.isfinite(found["attenuation"].sel(z=slice(-109, 89))).mean() > 0.8


def test_voxels_thicker_than_a_layer_are_refused() -> None:
    with pytest.raises(ArgumentError, match="fit into no layer of the volume") as caught:
        resample(grid(layered(), voxel=50.0), volume=layered())
    assert "layers 40 um high and 100 um apart" in str(caught.value)
    assert "interpolation='linear'" in str(caught.value)
    resample(grid(layered(), voxel=50.0), volume=layered(), interpolation="linear")
