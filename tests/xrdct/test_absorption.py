"""Absorption given back: against the twin's own frames of an absorbing sample, and errors."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.twin.matter import FLAT, Cylinders, plan
from zeoarray import pipeline, store, xrdct
from zeoarray.errors import ArgumentError, SchemaError, ZeoError
from zeoarray.twin.rings import RingTable
from zeoarray.twin.slab import Slab

Array = np.ndarray[Any, Any]

STEP, COUNT, AXIS = 25.0, 24, 6.0
ABSORBS = 12.0
"""1/cm: a share of 0.4 along the widest ray."""
MATTER = Cylinders(
    (("sodium", 60.0, 40.0, 130.0), ("zinc", -130.0, -70.0, 100.0)), ABSORBS, reach=260.0
)
PHASES = 2


DEPTH = np.arange(-400.0, 401, 50)
CHOSEN = slice(8 * 150, None, 40)


@functools.cache
def rings() -> RingTable:
    return RingTable.of(FLAT, DEPTH, largest=1050.0)


def scan(*, absorbing: bool, angles: int = 40) -> xr.Dataset:
    """What the twin's slab scatters into rings up to 28 deg, as a sinogram over their radius."""
    of = plan()
    slab = Slab.of(
        MATTER, 0.0, height_um=25.0, pitch_um=5.0, energy_kev=FLAT.energy if absorbing else None
    )
    table = rings()
    turns, u = np.arange(angles) * 360.0 / angles, (np.arange(COUNT) - 11.5) * STEP
    values = np.empty((1, angles, COUNT, table.air[CHOSEN].size), np.float32)
    for i, turn in enumerate(turns):
        for j, place in enumerate(u):
            met = slab.along(place - AXIS, turn, width_um=of.width_um, depth_um=DEPTH)
            values[0, i, j] = table.profile(met.amount_um, 0.0, met.out)[CHOSEN]
    two_theta = np.rad2deg(np.arccos(1 / table.secant[CHOSEN]))
    q = 4 * np.pi / FLAT.wavelength * np.sin(np.deg2rad(two_theta / 2))
    coords = {
        "z": ("z", [0.0], {"units": "um"}),
        "angle": ("angle", turns, {"units": "deg"}),
        "u": ("u", u, {"units": "um"}),
        "q": ("q", q, {"units": "1/angstrom"}),
        "two_theta": ("q", two_theta, {"units": "deg"}),
        "axis_u": ("z", [AXIS], {"units": "um"}),
        "energy": ((), FLAT.energy, {"units": "keV"}),
        "beam_size": ((), of.width_um, {"units": "um"}),
    }
    dims = ("z", "angle", "u", "q")
    variance = (dims, 0.01 * values)
    ds = xr.Dataset(
        {"intensity": (dims, values, {"units": "counts"}), "variance": variance}, coords
    )
    return ds


def map_of(voxel: float = 5.0, reach: float = 320.0, **coords: Any) -> xr.Dataset:
    place = np.arange(-reach + voxel / 2, reach, voxel)
    z = np.arange(-30.0, 31, 10)
    # Voxels at an edge have their share of it.
    fine = (place[:, None] + voxel * (np.arange(4) - 1.5) / 4).ravel()
    points = MATTER.attenuation(fine, fine[:, None], 0.0, FLAT.energy)
    found = points.reshape(place.size, 4, place.size, 4).mean(axis=(1, 3))
    found = np.broadcast_to(found, (z.size, *found.shape))
    um = {"units": "um"}
    return xr.Dataset(
        {"attenuation": (("z", "y", "x"), found.astype("float32"), {"units": "1/cm"})},
        {"z": ("z", z, um), "y": ("y", place, um), "x": ("x", place, um), **coords},
    )


@pytest.fixture(scope="module")
def scans() -> dict[str, xr.Dataset]:
    return {name: scan(absorbing=name == "dimmed") for name in ("free", "dimmed")}


def weights(ds: xr.Dataset) -> Array:
    """(phase, y, x): each ray's rings as a sum of those of the phases, back-projected."""
    lines = rings().rings[:PHASES, DEPTH.size // 2, CHOSEN]
    found = ds["intensity"].values @ np.linalg.pinv(lines)
    bare = ds.drop_dims("q").assign_coords(q=("q", [1.0, 2.0], {"units": "1/angstrom"}))
    rays = bare.assign(intensity=(("z", "angle", "u", "q"), found.astype("float32")))
    made = xrdct.reconstruct(rays)["intensity"].isel(z=0)
    return np.asarray(made.transpose("q", "y", "x").values)


def test_what_was_absorbed_is_given_back(scans: dict[str, xr.Dataset]) -> None:
    free, dimmed = scans["free"], scans["dimmed"]
    found = xrdct.correct_absorption(dimmed, attenuation=map_of())
    truth, before, after = (
        ds["intensity"].isel(z=0).values.sum(axis=-1) for ds in (free, dimmed, found)
    )
    there = truth > 0.05 * truth.max()
    assert (before[there] / truth[there]).min() < 0.72
    # Both phases absorb alike here, so that only edges under a wide beam are not exact. They would
    # be a tenth off with the plain mean of M over the beam.
    assert np.abs(after[there] / truth[there] - 1).max() < 0.015
    factor = found["intensity"].values[0, there] / dimmed["intensity"].values[0, there]
    np.testing.assert_allclose(
        found["variance"].values[0, there],
        dimmed["variance"].values[0, there] * factor**2,
        rtol=1e-4,
    )
    deep = found["intensity"].isel(z=0).values[there] / free["intensity"].isel(z=0).values[there]
    # At large angles as at small ones, though there more is lost on the way out.
    assert np.abs(deep[:, -20:].mean() / deep[:, :20].mean() - 1) < 0.003


def test_the_line_integral_that_was_taken_is_seen(scans: dict[str, xr.Dataset]) -> None:
    found = xrdct.correct_absorption(scans["dimmed"], attenuation=map_of())
    taken = found["absorbance"]
    assert taken.dims == ("z", "angle", "u")
    assert taken.attrs["units"] == "1"
    angle, u = np.deg2rad(found["angle"].values)[:, None], found["u"].values - AXIS
    sigma = 25.0 / np.sqrt(8 * np.log(2))
    nodes = np.linspace(-4, 4, 81)
    share = np.exp(-0.5 * nodes**2) / np.exp(-0.5 * nodes**2).sum()
    through: Any = 0.0
    for _, x, y, radius in MATTER.discs:
        away = (u - x * np.cos(angle) - y * np.sin(angle))[..., None] - sigma * nodes
        through = through + 2 * np.sqrt(np.clip(radius**2 - away**2, 0, None)) * ABSORBS * 1e-4
    met = through @ share
    truth = (through**2 @ share)[met > 0.02] / met[met > 0.02]
    np.testing.assert_allclose(taken.values[0][met > 0.02], truth, atol=6e-3)


def test_phase_weights_lose_their_bias(scans: dict[str, xr.Dataset]) -> None:
    truth = weights(scans["free"])
    dimmed = weights(scans["dimmed"])
    found = weights(xrdct.correct_absorption(scans["dimmed"], attenuation=map_of()))
    for phase in range(PHASES):
        there = truth[phase] > 0.8 * truth[phase].max()
        bias = [w[phase][there].mean() / truth[phase][there].mean() - 1 for w in (dimmed, found)]
        assert bias[0] < -0.25, bias
        assert abs(bias[1]) < 0.005, bias


@pytest.mark.parametrize("sense", ["rotation_sense", "u_sense", "z_sense"])
def test_senses_of_the_axes_are_heeded(scans: dict[str, xr.Dataset], sense: str) -> None:
    ds = scans["dimmed"].assign_coords({sense: -1})
    right = xrdct.correct_absorption(scans["dimmed"], attenuation=map_of(10.0))["absorbance"]
    found = xrdct.correct_absorption(ds, attenuation=map_of(10.0))["absorbance"]
    if sense == "u_sense":
        half = found.sizes["angle"] // 2
        np.testing.assert_allclose(found, right.roll(angle=half), atol=1e-5)
    else:
        np.testing.assert_allclose(found[:, 1:], right[:, :0:-1], atol=1e-5)


def test_another_energy_scales_the_map(scans: dict[str, xr.Dataset]) -> None:
    energy: dict[str, Any] = {"energy": ((), 30.0, {"units": "keV"})}
    ds = scans["dimmed"].isel(angle=slice(0, 4))
    with pytest.raises(ArgumentError) as told:
        xrdct.correct_absorption(ds, attenuation=map_of(**energy))
    assert "diffraction at 23 keV, the map at 30 keV" in str(told.value)
    assert "scale=" in str(told.value)
    one = xrdct.correct_absorption(ds, attenuation=map_of())["absorbance"]
    two = xrdct.correct_absorption(ds, attenuation=map_of(**energy), scale=2.0)["absorbance"]
    np.testing.assert_allclose(two, 2 * one, rtol=1e-6)


def test_scattering_angles_follow_from_the_energy(scans: dict[str, xr.Dataset]) -> None:
    ds = scans["dimmed"].isel(angle=slice(0, 4))
    right = xrdct.correct_absorption(ds, attenuation=map_of(10.0))
    found = xrdct.correct_absorption(ds.drop_vars("two_theta"), attenuation=map_of(10.0))
    np.testing.assert_allclose(found["intensity"], right["intensity"], rtol=1e-5)


def test_it_is_lazy_with_a_lazy_map(scans: dict[str, xr.Dataset]) -> None:
    ds = scans["dimmed"].isel(angle=slice(0, 6))
    at_once = xrdct.correct_absorption(ds, attenuation=map_of(10.0))
    later = xrdct.correct_absorption(
        ds.chunk(q=50), attenuation=map_of(10.0).chunk(z=2, y=20), axis=None
    )
    assert later["absorbance"].chunks is not None
    np.testing.assert_array_equal(later["intensity"].compute(), at_once["intensity"])


YAML = """
zeoarray: 1
store: {store}
stages:
  - from: xrdct/25um/sinogram
    into: xrdct/25um/volume
    steps:
      - xrdct.correct_absorption: {{attenuation: joint/map}}
      - xrdct.reconstruct
"""


def test_a_pipeline_takes_the_map_from_its_node(
    scans: dict[str, xr.Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A map that is not read where the pipeline is checked.
    monkeypatch.setattr("zeoarray.store.encode.SMALL", 1000)
    layers = [scans["dimmed"].assign_coords(z=[z]) for z in (-20.0, 20.0)]
    ds = xr.concat(layers, "z", data_vars="minimal", coords="minimal", compat="override")
    ds["z"].attrs["units"] = "um"
    ds = ds.assign_coords(axis_u=("z", [AXIS, AXIS], {"units": "um"})).drop_vars("variance")
    volume = map_of(10.0)
    volume["attenuation"] = volume["attenuation"] * (1 + volume["z"] / 100)
    volume["attenuation"].attrs["units"] = "1/cm"
    store.save(ds, tmp_path / "a.zarr", "xrdct/25um/sinogram")
    store.save(volume, tmp_path / "a.zarr", "joint/map")
    path = tmp_path / "p.yaml"
    path.write_text(YAML.format(store=tmp_path / "a.zarr"), encoding="utf-8")
    read = pipeline.read(path)
    (row,) = pipeline.plan(read).rows
    assert (row.dim, row.tasks) == ("z", 2)
    assert pipeline.run(read) == ["xrdct/25um/volume"]
    made = store.open_node(tmp_path / "a.zarr", "xrdct/25um/volume", chunked=False).load()
    whole = xrdct.reconstruct(xrdct.correct_absorption(ds, attenuation=volume))
    np.testing.assert_allclose(made["intensity"], whole["intensity"], rtol=1e-5, atol=1e-12)
    # There is more in the upper layer to be given back.
    upper, lower = (made["intensity"].isel(z=i).sum() for i in (1, 0))
    assert float(upper / lower) > 1.05


def said(ds: xr.Dataset, volume: xr.Dataset, kind: type[ZeoError], **options: Any) -> str:
    with pytest.raises(kind) as told:
        xrdct.correct_absorption(ds, attenuation=volume, **options)
    return str(told.value)


def test_what_cannot_be_corrected_is_told(scans: dict[str, xr.Dataset]) -> None:
    ds, volume = scans["dimmed"].isel(angle=slice(0, 4)), map_of(10.0)
    text = said(ds, map_of(10.0, reach=250.0), ArgumentError)
    assert "does not cover the scanned width" in text
    assert "y from -250 to 250 um, rays up to 293.5 um from the axis" in text
    text = said(ds.assign_coords(z=ds["z"] + 80), volume, ArgumentError)
    assert "does not reach all layers" in text
    assert "the map from -35 to 35 um" in text
    wrong = volume.assign(attenuation=volume["attenuation"].assign_attrs(units="1/m"))
    assert "attenuation: variable 'attenuation' is in 1/m" in said(ds, wrong, SchemaError)
    uneven = volume.assign_coords(x=("x", volume["x"].values ** 3, {"units": "um"}))
    assert "positions along 'x' do not ascend evenly" in said(ds, uneven, SchemaError)
    flat = volume.assign_coords(x=("x", 2 * volume["x"].values, {"units": "um"}))
    assert "its voxels are not square" in said(ds, flat, ArgumentError)
    assert "has no 'resolution'" in said(ds, volume.isel(z=[3]), SchemaError)
    holes = volume.where(volume["x"] > -200)
    assert "values that are not finite" in said(ds, holes, ArgumentError)
    bare = ds.drop_vars(["two_theta", "energy"])
    assert "scattering angles are not known" in said(bare, volume, ArgumentError)
    back = ds.assign_coords(two_theta=("q", 4 * ds["two_theta"].values, {"units": "deg"}))
    assert "90 deg and more" in said(back, volume, ArgumentError)
    done = xrdct.correct_absorption(ds, attenuation=volume)
    assert "absorption was corrected already" in said(done, volume, ArgumentError)
    assert "the rotation axis is given twice" in said(
        ds, volume, ArgumentError, axis=ds, center=1.0
    )
