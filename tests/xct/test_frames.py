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
    assert out.attrs["steps"][0]["parameters"] == {"average": average, "frames": None}


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
    checked = xct.check_frames(scan.chunk(chunks) if chunks else scan, rows=3)
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
    assert out.attrs["notes"][-1].startswith("flats: 2 sets of [1, 2] frames")
    record = out.attrs["steps"][-1]["parameters"]["frames"]
    assert record["flat_good"] == [True, False, True, True]


def test_most_flats_and_darks_may_be_wrong(scan: xr.Dataset) -> None:
    scan["flat"][:2] = 0
    scan["dark"][:2] = 20_000
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
    with pytest.raises(SchemaError, match="has no 'dark'"):
        xct.normalize(scan.drop_vars("dark"))


def test_a_check_of_another_scan(scan: xr.Dataset) -> None:
    checked = xct.check_frames(scan).isel(flat_frame=[0, 1])
    with pytest.raises(SourceError, match="not of this scan's flats") as info:
        xct.normalize(scan, frames=checked)
    assert "2 flats checked, 4 in the scan" in str(info.value)


def test_one_flat_and_one_dark(scan: xr.Dataset) -> None:
    out = xct.normalize(scan.isel(flat_frame=[0], dark_frame=[0]))
    assert np.isfinite(out["transmission"]).all()
    assert out.attrs["notes"][-1] == "flats: 1 set of [1] frames; interpolated in time"


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
