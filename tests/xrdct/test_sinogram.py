"""`sinogram`: frames on the grid of their motors; bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import zeoarray
from zeoarray import labelled, xrdct
from zeoarray.errors import ArgumentError, SchemaError

Q = np.linspace(1, 2, 4)


def truth(z, angle, u):
    """A pattern that tells where it was measured."""
    return (z + 3 * angle + 0.01 * u)[..., None] + Q


def frames(rotations=8, steps=5, layers=2, lost=(), jitter=0.0, **coords):
    """A snake over layers, whose intensity is `truth` at the commanded positions."""
    rng = np.random.default_rng(0)
    line = np.arange(steps) * 25.0
    points = np.array([
        (50.0 * z, 45.0 * i, u)
        for z in range(layers)
        for i in range(rotations)
        if (z, i) not in lost
        for u in (line[::-1] if i % 2 else line)
    ])  # fmt: skip
    z, angle, u = points.T
    values = truth(z, angle, u).astype("float32")
    um = {"units": "um"}
    ds = xr.Dataset(
        {"intensity": (("frame", "q"), values), "variance": (("frame", "q"), values / 10)},
        {
            "z": ("frame", z, um),
            "angle": ("frame", angle, {"units": "deg"}),
            "u": ("frame", u + jitter * rng.normal(size=u.size), um),
            "q": ("q", Q, {"units": "1/angstrom"}),
            "resolution": ((), 25.0, um),
        },
    )
    return ds.assign_coords(coords)


def normalised_by(ds, name):
    record = {"step": "xrdct.integrate", "parameters": {"normalize_by": name}}
    return ds.assign_attrs(steps=[record])


def monitor(values):
    return ("frame", np.asarray(values, float), {"units": "1"})


@pytest.mark.parametrize("jitter", [0.0, 0.4])
def test_every_frame_is_where_its_motors_were(jitter):
    out = xrdct.sinogram(frames(jitter=jitter))
    assert out.intensity.dims == ("z", "angle", "u", "q")
    np.testing.assert_allclose(out.u, np.arange(5) * 25.0, atol=0.4)
    expected = truth(*np.meshgrid(out.z, out.angle, np.arange(5) * 25.0, indexing="ij"))
    np.testing.assert_allclose(out.intensity, expected, rtol=1e-6)
    np.testing.assert_allclose(out.variance, expected / 10, rtol=1e-6)
    assert out.valid.values.all()
    assert out.attrs["grid"]["snake"]
    assert float(out.resolution) == 25
    assert out.u.attrs["units"] == "um"


def test_the_order_of_frames_does_not_matter():
    ds = frames(jitter=0.3, lost={(0, 5)})
    order = np.random.default_rng(2).permutation(ds.sizes["frame"])
    one, other = xrdct.sinogram(ds), xrdct.sinogram(ds.isel(frame=order))
    np.testing.assert_array_equal(one.intensity, other.intensity)
    np.testing.assert_array_equal(one.valid, other.valid)
    np.testing.assert_allclose(one.u, other.u)


def test_a_rotation_that_is_lost_is_marked():
    out = xrdct.sinogram(frames(lost={(0, 5)}))
    assert out.sizes["angle"] == 8
    gone = ~out.valid.values
    assert gone[0, 5].all()
    assert gone.sum() == 5
    assert np.isnan(out.intensity.values[gone]).all()
    assert np.isfinite(out.intensity.values[~gone]).all()
    # Nobody has it: it is a row all the same, and none is shifted.
    out = xrdct.sinogram(frames(lost={(0, 5), (1, 5)}))
    np.testing.assert_allclose(out.angle, np.arange(8) * 45.0)
    assert not out.valid.values[:, 5].any()
    assert out.attrs["grid"]["missing"] == 10


def test_points_measured_twice_are_averaged_by_their_weights():
    ds = frames()
    ds = ds.isel(frame=[*range(ds.sizes["frame"]), 7]).copy(deep=True)
    ds["intensity"][-1] += 8
    ds["variance"][-1] = 3
    ds = ds.assign(
        signal=(ds.intensity * 2).assign_attrs(units="counts"),
        normalization=xr.full_like(ds.intensity, 2),
    ).assign_coords(monitor=monitor([1.0] * (ds.sizes["frame"] - 1) + [3.0]))
    where = {n: float(ds[n][7]) for n in ("z", "angle", "u")}
    for given, weight in ((normalised_by(ds, "monitor"), 0.75), (ds, 0.5)):
        point = xrdct.sinogram(given).sel(where)
        first = ds.intensity.values[7]
        np.testing.assert_allclose(point.intensity, first + 8 * weight, rtol=1e-6)
        expected = (1 - weight) ** 2 * first / 10 + weight**2 * 3
        np.testing.assert_allclose(point.variance, expected, rtol=1e-5)
        # Sums are sums.
        np.testing.assert_allclose(point.signal, 2 * (2 * first + 8), rtol=1e-6)
        np.testing.assert_allclose(point.normalization, 4)
    assert xrdct.sinogram(ds).attrs["grid"]["averaged"] == 1


def test_frames_that_were_not_exposed_are_left_out():
    ds = frames()
    reading = np.ones(ds.sizes["frame"])
    reading[[3, 9]] = 0, np.nan
    ds = ds.assign_coords(monitor=monitor(reading))
    out = xrdct.sinogram(normalised_by(ds, "monitor"))
    assert int((~out.valid).sum()) == 2
    assert out.attrs["grid"]["not_exposed"] == 2
    assert xrdct.sinogram(ds, weights="monitor").valid.values.sum() == out.valid.values.sum()
    assert xrdct.sinogram(ds).valid.values.all(), "what was not normalised by it is not hurt"
    dead = ds.assign_coords(monitor=monitor(0 * reading))
    with pytest.raises(ArgumentError, match="no frame was exposed") as error:
        xrdct.sinogram(dead, weights="monitor")
    assert 'weights="equal"' in str(error.value)
    with pytest.raises(ArgumentError, match="cannot be weighed by 'exposure'"):
        xrdct.sinogram(ds, weights="exposure")


def test_frames_without_a_position_are_left_out():
    ds = frames()
    u = ds.u.values.copy()
    u[4] = np.nan
    out = xrdct.sinogram(ds.assign_coords(u=("frame", u, ds.u.attrs)))
    assert out.attrs["grid"]["without_position"] == 1
    assert int((~out.valid).sum()) == 1
    lost = ds.assign_coords(u=("frame", u * np.nan, ds.u.attrs))
    with pytest.raises(ArgumentError, match="position of no frame is known") as error:
        xrdct.sinogram(lost)
    assert "not finite: u" in str(error.value)


def test_one_rotation_is_a_sinogram():
    out = xrdct.sinogram(frames(rotations=1, layers=1))
    assert dict(out.sizes) == {"z": 1, "angle": 1, "u": 5, "q": 4}


def test_irregular_positions_are_a_grid():
    ds = frames(steps=4)
    out = xrdct.sinogram(ds.assign_coords(u=("frame", ds.u.values**2, ds.u.attrs)))
    np.testing.assert_allclose(out.u, (25.0 * np.arange(4)) ** 2)
    assert not out.attrs["grid"]["even"]["u"]


def test_scans_that_are_none():
    ds = frames()
    with pytest.raises(ArgumentError, match="the scan is empty"):
        xrdct.sinogram(ds.isel(frame=[]))
    rest = {n: ("frame", 0 * ds[n].values, ds[n].attrs) for n in ("z", "angle", "u")}
    with pytest.raises(SchemaError, match="all frames were taken at one position"):
        xrdct.sinogram(ds.assign_coords(rest))
    with pytest.raises(SchemaError, match="has no 'q'"):
        xrdct.sinogram(ds.drop_vars("q"))
    with pytest.raises(SchemaError, match="has no 'u'"):
        xrdct.sinogram(ds.drop_vars("u"))
    rng = np.random.default_rng(0)
    spread = {n: ("frame", 1e3 * rng.random(80), ds[n].attrs) for n in ("angle", "u")}
    with pytest.raises(SchemaError, match="on no grid") as error:
        xrdct.sinogram(ds.assign_coords(spread))
    assert "tolerance_um" in str(error.value)


def test_a_gridded_node_is_ordered_and_keeps_its_flags():
    out = xrdct.sinogram(frames(lost={(0, 5)}))
    again = xrdct.sinogram(out.isel(angle=[3, 0, 7, 5, 1, 2, 6, 4]))
    np.testing.assert_array_equal(again.intensity, out.intensity)
    np.testing.assert_array_equal(again.valid, out.valid)
    assert xrdct.sinogram(out.drop_vars("valid")).valid.values.all()
    with pytest.raises(SchemaError, match="stand twice"):
        xrdct.sinogram(out.isel(angle=[0, 0, 1]))


def test_blocks_may_be_cut_along_q_only():
    ds = frames()
    with labelled.recorded() as record:
        whole = xrdct.sinogram(ds)
    assert "q" not in record.whole
    assert "frame" in record.whole
    part = xrdct.sinogram(ds.isel(q=slice(1, 3)))
    np.testing.assert_array_equal(part.intensity, whole.intensity.isel(q=slice(1, 3)))


def test_real_frames_with_unsorted_angles(real: Path):
    path = real / "i18_pencil_beam" / "xrd_test.nxs"
    scan = zeoarray.open_scan(path, {"beam_size": "2 um"})
    patterns = scan["counts"].mean("det_y").rename(det_x="q").astype("float32")
    q = ("q", np.linspace(1, 5, patterns.sizes["q"]), {"units": "1/angstrom"})
    ds = xr.Dataset({"intensity": patterns}).assign_coords(q=q).load()
    out = xrdct.sinogram(ds)
    assert {d: out.sizes[d] for d in ("z", "angle", "u")} == {"z": 2, "angle": 2, "u": 2}
    assert (np.diff(out.angle) > 0).all()
    for i in range(ds.sizes["frame"]):
        at = {n: float(ds[n][i]) for n in ("z", "angle", "u")}
        found = out.intensity.sel(at, method="nearest")
        np.testing.assert_array_equal(found, ds.intensity[i])
