"""The shipped pipeline brings scans that lie differently onto one grid, and they agree there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.placed import UM
from tests.registered import Balls, layers, scan, similarity
from zeoarray import pipeline, store
from zeoarray.kernels import transform

SHIPPED = Path(__file__).parents[2] / "pipelines/correlate.yaml"
SETTINGS = {"volume.register.blocks": "40", "volume.register.turn_deg": "0.5"}
SCANS = {
    "i13-2.6um": ((26, 54, 54), 5.0, similarity((0, 0, 0), (0, 0, 0))),
    "i13-1.625um": ((28, 56, 56), 4.0, similarity((0.5, -1, 2), (6.0, -9.0, 4.0))),
    "i13-0.8125um": ((30, 56, 56), 3.5, similarity((1, 0.5, -3), (-8.0, 5.0, 3.0), 1.003)),
    "i13-0.325um": ((34, 56, 56), 3.0, similarity((-1, 0.5, 1), (10.0, 4.0, -5.0))),
    "diad": ((24, 50, 50), 5.5, similarity((0.5, 1, 3), (12.0, -6.0, -4.0))),
}
"""Shape, voxel [um], and the map to the frame of the first."""
DIFFRACTION = similarity((0, 0, 0.5), (4.0, -3.0, 2.0))
"""From the diffraction scan to DIAD's tomogram, whose frame it should share."""
HEIGHTS = (-38.5, -16.5, 5.5, 27.5)
Joint = tuple[Balls, xr.Dataset, xr.Dataset, xr.Dataset]


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> Joint:
    """The sample, its joint node, the mapping of grey levels, and the tie of the layers."""
    balls = Balls.draw(5, count=700, width=250.0)
    root = tmp_path_factory.mktemp("joint") / "a.zarr"
    for seed, (name, (shape, voxel, matrix)) in enumerate(SCANS.items()):
        of = scan(balls, shape, voxel, matrix, noise=0.01, seed=seed)
        if name == "diad":
            of["attenuation"] = (0.2 + 0.5 * of["attenuation"]).assign_attrs(units="1/cm")
        store.save(of, root, f"xct/{name}/volume/bin1")
    _, _, matrix = SCANS["diad"]
    coarse = scan(balls, (12, 25, 25), 11.0, matrix @ DIFFRACTION)
    weight = np.stack([coarse["attenuation"].values, 1 - coarse["attenuation"].values])
    phases = xr.Dataset(
        {"weight": (("phase", *"zyx"), weight.astype("float32"))},
        {**coarse.coords, "phase": ["sodium", "zinc"], "resolution": ((), 25.0, UM)},
    )
    store.save(phases, root, "xrdct/25um/phases")
    sinogram = layers(balls, HEIGHTS, 11.0, 25, matrix @ DIFFRACTION, noise=0.02)
    axis = xr.Dataset({"axis_u": sinogram["axis_u"].variable}, {"z": sinogram["z"].variable})
    store.save(sinogram.drop_vars("axis_u"), root, "xrdct/25um/sinogram")
    store.save(axis, root, "xrdct/25um/axis")
    read = pipeline.read(SHIPPED, given={"store": str(root), **SETTINGS})
    made = pipeline.run(read)
    assert made == [stage.into for stage in read.stages]
    assert pipeline.run(read) == []
    nodes = ("joint/main", "mapping/diad", "registration/25um-on-diad")
    found = (store.open_node(root, node).load() for node in nodes)
    return balls, *found  # type: ignore[return-value]


def test_all_scans_agree_with_the_sample(
    joint: Joint,
) -> None:
    balls, made, _, _ = joint
    assert made["scan"].values.tolist() == list(SCANS)
    truth = balls.at(*(made[d].values for d in "zyx"))
    for name, one in zip(SCANS, made["attenuation"], strict=True):
        valid = made["valid"].isel(resolution=list(SCANS).index(name)).values
        assert 0.1 < valid.mean() <= 1, name
        assert np.corrcoef(one.values[valid], truth[valid])[0, 1] > 0.97, name
        # Also the grey levels, which DIAD's were not.
        slope = np.polyfit(truth[valid], one.values[valid], 1)[0]
        assert slope == pytest.approx(1, abs=0.08), name


def test_phases_lie_where_the_tomogram_does(
    joint: Joint,
) -> None:
    balls, made, _, _ = joint
    truth = balls.at(*(made[d].values for d in "zyx"))
    valid = made["weight_valid"][0].values
    assert np.corrcoef(made["weight"][0, 0].values[valid], truth[valid])[0, 1] > 0.85
    np.testing.assert_allclose(made["weight"][0].sum("phase").values[valid], 1, rtol=1e-4)


def test_the_mapping_is_kept(joint: Joint) -> None:
    _, _, mapping, _ = joint
    wanted = (mapping["knot_from"] - 0.2) / 0.5
    np.testing.assert_allclose(mapping["knot_to"][4:-4], wanted[4:-4], atol=0.06)


def test_the_layers_are_where_they_are_and_not_where_they_were_believed(joint: Joint) -> None:
    _, _, _, tie = joint
    assert not bool(tie["confirmed"])
    at = np.stack(np.meshgrid([-60, 60], [-60, 60], HEIGHTS), -1).reshape(-1, 3)
    off = transform.move(tie["to_fixed"].values, at) - transform.move(DIFFRACTION, at)
    assert np.sqrt((off**2).sum(axis=1).mean()) < 0.25 * 11.0
