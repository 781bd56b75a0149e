"""From raw frames to absorbance, as the user calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import zeoarray
from zeoarray import xct
from zeoarray.errors import ArgumentError, SchemaError, SourceError

rng = np.random.default_rng(6)
A, Z, U = 12, 5, 8


@pytest.fixture
def truth() -> Any:
    return rng.uniform(0.2, 1.0, (A, Z, U))


@pytest.fixture
def scan(truth: Any) -> xr.Dataset:
    """A beam that falls by a tenth between the flats before and the flats after."""
    dark = rng.integers(90, 110, (Z, U))
    beam = rng.integers(20_000, 30_000, (Z, U))
    flat_time = np.array([0.0, 1.0, 40.0, 41.0])
    time = np.linspace(10, 30, A)
    level = lambda t: 1 - 0.1 * (t - 0.5) / 40  # noqa: E731
    flat = level(np.array([0.5, 0.5, 40.5, 40.5]))[:, None, None] * beam + dark
    counts = level(time)[:, None, None] * beam * truth + dark
    um = {"units": "um"}
    return xr.Dataset(
        {
            "counts": (("angle", "z", "u"), counts.round().astype("uint16"), {"units": "counts"}),
            "flat": (("flat_frame", "z", "u"), flat.round().astype("uint16"), {"units": "counts"}),
            "dark": (
                ("dark_frame", "z", "u"),
                np.stack([dark] * 3).astype("uint16"),
                {"units": "counts"},
            ),
        },
        {
            "angle": ("angle", np.linspace(0, 180, A), {"units": "deg"}),
            "z": ("z", np.arange(Z) * 2.6, um),
            "u": ("u", np.arange(U) * 2.6, um),
            "resolution": ((), 2.6, um),
            "time": ("angle", time, {"units": "s"}),
            "flat_time": ("flat_frame", flat_time, {"units": "s"}),
        },
        {"notes": ["it was a good day"]},
    )


@pytest.mark.parametrize("average", ["mean", "median"])
def test_transmission(scan: xr.Dataset, truth: Any, average: Any) -> None:
    out = xct.normalize(scan, average=average)
    np.testing.assert_allclose(out["transmission"], truth, atol=2e-4)
    assert out["transmission"].dtype == np.float32
    assert out["transmission"].attrs["units"] == "1"
    assert set(out.data_vars) == {"transmission", "usable"}
    assert set(out.coords) == {"angle", "z", "u", "resolution", "time"}
    assert out["z"].attrs == {"units": "um"}
    assert out.attrs["notes"] == [
        "it was a good day",
        "flats: 2 sets of [2, 2] frames; interpolated in time",
    ]
    assert out.attrs["steps"][0]["parameters"] == {
        "average": average,
        "scale_by": "none",
        "bounds": None,
        "frames": None,
    }


def test_flats_without_a_common_clock_are_one_set(scan: xr.Dataset, truth: Any) -> None:
    scan["flat_time"].attrs["units"] = "1"
    for ds in (scan, scan.drop_vars("time"), scan.drop_vars("flat_time")):
        out = xct.normalize(ds)
        np.testing.assert_allclose(out["transmission"], truth, rtol=0.06)
        assert out.attrs["notes"][-1] == (
            "flats: 1 set of [4] frames; their times are not known by one clock"
        )


def test_stated_sets_go_before_found_ones(scan: xr.Dataset) -> None:
    stated = scan.assign_coords(flat_set=("flat_frame", [3, 5, 9, 9], {"units": "1"}))
    out = xct.normalize(stated)
    assert out.attrs["notes"][-1] == "flats: 3 sets of [1, 1, 2] frames; interpolated in time"


def test_minus_log(scan: xr.Dataset, truth: Any) -> None:
    scan["counts"][3, 2, :4] = 0
    out = xct.minus_log(xct.normalize(scan))
    expected = -np.log(truth)
    expected[3, 2, :4] = -np.log(1e-5)
    np.testing.assert_allclose(out["absorbance"], expected, atol=2e-3)
    share = np.zeros((A, Z))
    share[3, 2] = 0.5
    np.testing.assert_allclose(out["clipped"], share)
    assert set(out.data_vars) == {"absorbance", "clipped", "usable"}
    with pytest.raises(ArgumentError, match="parameter 'floor': Input should be less than 1"):
        xct.minus_log(out, floor=2)
    with pytest.raises(SchemaError, match="normalised XCT scan has no 'transmission'"):
        xct.minus_log(out)


def test_nothing_is_read_before_it_is_asked_for(scan: xr.Dataset) -> None:
    def computing(*args: Any, **kwargs: Any) -> None:
        pytest.fail("something was computed before it was asked for")

    # Dataset.chunk makes dask arrays of the times as well.
    with dask.config.set(scheduler=computing):
        lazy = xct.minus_log(xct.normalize(scan.chunk(angle=5, z=2)))
    assert lazy["absorbance"].chunks == ((5, 5, 2), (2, 2, 1), (8,))
    xr.testing.assert_identical(lazy.compute(), xct.minus_log(xct.normalize(scan)))


@pytest.mark.parametrize("chunks", [None, {"flat_frame": 1, "z": 2}])
def test_frames_that_are_not_what_their_key_says(
    scan: xr.Dataset, truth: Any, chunks: dict[str, int] | None
) -> None:
    scan["flat"][1] = 0
    scan["dark"][2] = scan["flat"][0]
    with pytest.warns(UserWarning, match=r"key says: flat 1 \(0 counts\), dark 2 \(\d+") as told:
        checked = xct.check_frames(scan.chunk(chunks) if chunks else scan, rows=3)
    assert told[0].filename == __file__
    assert checked["flat_good"].values.tolist() == [True, False, True, True]
    assert checked["dark_good"].values.tolist() == [True, True, False]
    assert checked.attrs["rows"] == [0, 2, 4]
    rows = scan["flat"].values[:, [0, 2, 4]].astype(float)
    np.testing.assert_allclose(checked["flat_mean"], rows.mean((1, 2)))
    np.testing.assert_allclose(checked["flat_sigma"], rows.std((1, 2)))
    assert checked["dark_mean"].attrs["units"] == "counts"
    out = xct.normalize(scan, frames=checked)
    # Without its second frame the first set lies half a second earlier.
    np.testing.assert_allclose(out["transmission"], truth, atol=2e-3)
    assert out.attrs["notes"][-1] == (
        "flats: 2 sets of [1, 2] frames; interpolated in time; left out: flat 1, dark 2"
    )
    record = out.attrs["steps"][-1]["parameters"]["frames"]
    assert record["flat_good"] == [True, False, True, True]


def test_most_flats_and_darks_may_be_wrong(scan: xr.Dataset) -> None:
    scan["flat"][:2] = 0
    scan["dark"][:2] = 20_000
    with pytest.warns(UserWarning, match="flat 0.*flat 1.*dark 0.*dark 1"):
        checked = xct.check_frames(scan)
    assert checked["flat_good"].values.tolist() == [False, False, True, True]
    assert checked["dark_good"].values.tolist() == [False, False, True]


def test_flats_no_brighter_than_darks(scan: xr.Dataset) -> None:
    scan["flat"][:] = 0
    with pytest.raises(SourceError, match="the flats are no brighter than the darks") as info:
        xct.check_frames(scan)
    assert "flats 0, darks" in str(info.value)
    assert "flats=, darks=" in str(info.value)
    out = xct.normalize(scan)
    assert not out["usable"].any()
    assert np.isfinite(out["transmission"]).all()


def test_nothing_left(scan: xr.Dataset) -> None:
    checked = xct.check_frames(scan)
    checked["flat_good"][:] = False
    with pytest.raises(ArgumentError, match="a set of flats or darks has no frames"):
        xct.normalize(scan, frames=checked)
    with pytest.raises(ArgumentError, match="a set of flats or darks has no frames"):
        xct.normalize(scan.isel(dark_frame=[]))
    for verb in (xct.normalize, xct.check_frames):
        with pytest.raises(SchemaError, match="the scan has no 'dark'") as info:
            verb(scan.drop_vars("dark"))
        assert "'darks': 'other.nxs'" in str(info.value)
        assert "--darks other.nxs at ingest" in str(info.value)


def test_a_check_of_another_scan(scan: xr.Dataset) -> None:
    checked = xct.check_frames(scan).isel(flat_frame=[0, 1])
    with pytest.raises(SourceError, match="not of this scan's flats") as info:
        xct.normalize(scan, frames=checked)
    assert "2 flats checked, 4 in the scan" in str(info.value)


def test_one_flat_and_one_dark(scan: xr.Dataset) -> None:
    out = xct.normalize(scan.isel(flat_frame=[0], dark_frame=[0]))
    assert np.isfinite(out["transmission"]).all()
    assert out.attrs["notes"][-1] == "flats: 1 set of [1] frames; interpolated in time"


def readings(scan: xr.Dataset, name: str, unit: str) -> xr.Dataset:
    """The scan in a beam that goes up and down by a third, with readings of it."""
    beam = 1 + 0.3 * np.sin(np.arange(A))
    dark = scan["dark"].values[0].astype(int)
    counts = (scan["counts"].values - dark) * beam[:, None, None] + dark
    level = {"angle": 300 * beam * (1 - 0.1 * (scan["time"].values - 0.5) / 40)}
    level["flat_frame"] = 300 * np.array([1, 1, 0.9, 0.9])
    names = {"angle": name, "flat_frame": f"flat_{name}"}
    return scan.assign(
        counts=scan["counts"].copy(data=counts.round().astype("uint16"))
    ).assign_coords({names[dim]: (dim, values, {"units": unit}) for dim, values in level.items()})


@pytest.mark.parametrize(("name", "unit"), [("monitor", "1"), ("ring_current", "mA")])
def test_scaled_by_readings_of_the_beam(scan: xr.Dataset, truth: Any, name: Any, unit: str) -> None:
    ds = readings(scan, name, unit)
    assert np.abs(xct.normalize(ds)["transmission"] - truth).max() > 0.2
    out = xct.normalize(ds, scale_by=name)
    np.testing.assert_allclose(out["transmission"], truth, atol=5e-4)
    assert out.attrs["notes"][-1].endswith("interpolated in time; scaled by " + name)
    # A block of some projections, as the runner hands it over.
    block = xct.normalize(ds.isel(angle=slice(4, 7), z=slice(1, 3)), scale_by=name)
    np.testing.assert_array_equal(block["transmission"], out["transmission"][4:7, 1:3])
    np.testing.assert_array_equal(out[name], ds[name])


@pytest.mark.parametrize("bad", [0.0, np.nan, -3.0, np.inf, 1e-6])
def test_a_dead_monitor(scan: xr.Dataset, bad: float) -> None:
    ds = readings(scan, "monitor", "1")
    ds["monitor"][[0, 11]] = bad
    with pytest.raises(SourceError, match="the monitor is dead in 2 of 12 projections") as info:
        xct.normalize(ds, scale_by="monitor")
    assert f"{bad:g} at 0 deg, {bad:g} at 180 deg" in str(info.value)
    assert 'scale_by="none"' in str(info.value)
    xct.normalize(ds)


def test_a_monitor_that_was_dead_in_a_flat(scan: xr.Dataset) -> None:
    ds = readings(scan, "monitor", "1")
    ds["flat_monitor"][2] = 0
    with pytest.raises(SourceError, match="the monitor is dead in 1 of 4 flats") as info:
        xct.normalize(ds, scale_by="monitor")
    assert "0 at flat 2" in str(info.value)
    checked = xct.check_frames(ds)
    checked["flat_good"][2] = False
    xct.normalize(ds, scale_by="monitor", frames=checked)


def test_no_readings_to_scale_by(scan: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="no 'ring_current' to scale by") as info:
        xct.normalize(scan, scale_by="ring_current")
    assert 'ds.assign_coords(ring_current=("angle", readings, {"units": "mA"}))' in str(info.value)
    ds = readings(scan, "ring_current", "mA").drop_vars("flat_ring_current")
    with pytest.raises(SchemaError, match="no 'flat_ring_current' to scale by"):
        xct.normalize(ds, scale_by="ring_current")
    with pytest.raises(ArgumentError, match="parameter 'scale_by'"):
        xct.normalize(scan, scale_by="current")  # type: ignore[arg-type]


def test_bounds(scan: xr.Dataset, truth: Any) -> None:
    out = xct.normalize(scan, bounds=(0.4, 0.9))
    np.testing.assert_allclose(out["transmission"], truth.clip(0.4, 0.9), atol=2e-4)
    with pytest.raises(ArgumentError, match="two finite numbers in ascending order"):
        xct.normalize(scan, bounds=(0.9, 0.4))


def test_flats_without_beam_are_left_out_row_by_row(scan: xr.Dataset, truth: Any) -> None:
    """Also without a check: half of a flat was taken with the shutter closed."""
    scan["flat"][0] = 0
    scan["flat"][3, 2:] = 0
    out = xct.normalize(scan)
    np.testing.assert_allclose(out["transmission"], truth, atol=2e-3)


def test_rows_that_are_not_numbers(scan: xr.Dataset, truth: Any) -> None:
    ds = scan.astype("float32")
    ds["flat"][0, 1] = ds["dark"][1, 3] = np.nan
    ds["counts"][5, 4] = np.nan
    for average in ("mean", "median"):
        out = xct.normalize(ds, average=average)["transmission"]
        assert (out[5, 4] == 1).all(), "nothing is known of this row"
        np.testing.assert_allclose(out[:5], truth[:5], atol=2e-3)
    ds["flat"][:, 2] = np.nan
    checked = xct.check_frames(ds)
    assert checked["flat_good"].all()
    out = xct.normalize(ds, frames=checked)
    assert not out["usable"][2].any()
    assert (out["transmission"][:, 2] == 1).all()
    ds["flat"][0] = np.nan
    with pytest.warns(UserWarning, match=r"flat 0 \(nan counts\)"):
        checked = xct.check_frames(ds)
    assert checked["flat_good"].values.tolist() == [False, True, True, True]


def test_constant_images_and_odd_sizes(scan: xr.Dataset) -> None:
    um = {"units": "um"}
    for angles, z, u in ((3, 1, 1), (3, 1, 13), (1, 3, 2), (7, 2, 11)):
        of = {"counts": ("angle", angles), "flat": ("flat_frame", 1), "dark": ("dark_frame", 1)}
        level = {"counts": 600, "flat": 1100, "dark": 100}
        ds = xr.Dataset(
            {k: ((d, "z", "u"), np.full((n, z, u), level[k], "uint16"), {"units": "counts"})
             for k, (d, n) in of.items()},
            {"angle": ("angle", np.arange(angles) * 60.0, {"units": "deg"}),
             "z": ("z", np.arange(z) * 2.0, um), "u": ("u", np.arange(u) * 2.0, um)},
        )  # fmt: skip
        out = xct.minus_log(xct.normalize(ds))
        np.testing.assert_allclose(out["absorbance"], np.log(2), rtol=1e-6)
        assert float(out["clipped"].mean()) == 0


def test_real_projections(real: Path) -> None:
    """I13: one pixel has no beam; the sample is in the middle, air at both sides."""
    folder = real / "i13_xct"
    ds = zeoarray.open_scan(
        folder / "tiffs" / "raw_*.tiff",
        {
            "flats": folder / "flat_00001.tiff",
            "darks": folder / "dark_00001.tiff",
            "angles": folder / "angles.txt",
            "angle_lines": (10, 101),
            "pixel_size": 2.6,
        },
    )
    out = xct.minus_log(xct.normalize(ds)).compute()
    assert int((~out["usable"]).sum()) == 1
    assert np.isfinite(out["absorbance"]).all()
    assert float(out["clipped"].max()) < 0.05
    assert float(out["absorbance"].mean()) > 0


def test_real_scan_with_flats_before_and_after(real: Path) -> None:
    ds = zeoarray.open_scan(real / "diad_xct" / "k11-18014.nxs", {"pixel_size": 1.0})
    out = xct.normalize(ds, frames=xct.check_frames(ds))
    assert out.attrs["notes"][-1].startswith("flats: 2 sets of [50, 50] frames; interpolated")
    transmission = out["transmission"].compute()
    assert np.isfinite(transmission).all()
    assert 0 < float(transmission.median()) < 1.3
