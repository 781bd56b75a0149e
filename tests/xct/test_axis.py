"""`find_center`: value, tilt, flags and warnings, from raw counts and from absorbance."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import zeoarray
from tests import ellipses, sinograms
from zeoarray import schema, xct
from zeoarray.errors import ArgumentError, SchemaError, SourceError
from zeoarray.kernels.axis_line import fit
from zeoarray.xct.axis import AxisWarning

PIXEL = 2.6


def scan(center: Any, *, angles: Any = None, columns: int = 101, noise: float = 0.01) -> xr.Dataset:
    """Absorbance with the axis at the column `center` of each row."""
    deg = np.linspace(10, 190, 121) if angles is None else np.asarray(angles, float)
    rng = np.random.default_rng(2)
    rows = [
        ellipses.project(ellipses.LOPSIDED, np.deg2rad(deg), columns, 0.45 * columns, c)
        for c in np.atleast_1d(center)
    ]
    values = np.stack(rows, axis=1) / 50
    values += noise * rng.normal(size=values.shape)
    um = {"units": "um"}
    return xr.Dataset(
        {"absorbance": (("angle", "z", "u"), values.astype("float32"), {"units": "1"})},
        {
            "angle": ("angle", deg, {"units": "deg"}),
            "z": ("z", (np.arange(values.shape[1]) + 100) * PIXEL, um),
            "u": ("u", (np.arange(columns) - 7) * PIXEL, um),
        },
    )


def column(axis: xr.Dataset, ds: xr.Dataset) -> Any:
    return (axis["axis_u"].values - float(ds["u"][0])) / PIXEL


TILTED = 51.0 + 0.02 * (np.arange(21) - 10)


@pytest.mark.parametrize("method", ["auto", "opposite", "vo", "sharpness"])
def test_a_tilted_axis(method: Any) -> None:
    ds = scan(TILTED)
    axis = xct.find_center(ds, method=method, rows=3 if method == "sharpness" else 5)
    schema.validate(axis, schema.AXIS_XCT, by="test")
    np.testing.assert_allclose(column(axis, ds), TILTED, atol=0.25 if method != "opposite" else 0.1)
    if method == "opposite":
        assert float(axis["axis_tilt"]) == pytest.approx(np.rad2deg(np.arctan(0.02)), abs=0.5)
        assert axis.attrs["rows"] == [2, 6, 10, 14, 18]
    assert not axis["at_edge"]
    assert not axis["ambiguous"]
    assert np.isfinite(axis["axis_check"]) == (method == "auto")


def test_straight_from_a_raw_scan() -> None:
    ds = scan(np.full(5, 48.3))
    beam = np.random.default_rng(3).integers(20_000, 30_000, (5, 101))
    counts = (beam * np.exp(-ds["absorbance"].values) + 100).round().astype("uint16")
    raw = ds.drop_vars("absorbance").assign(
        counts=(("angle", "z", "u"), counts, {"units": "counts"}),
        flat=(("flat_frame", "z", "u"), (beam + 100)[None].astype("uint16"), {"units": "counts"}),
        dark=(("dark_frame", "z", "u"), np.full((1, 5, 101), 100, "uint16"), {"units": "counts"}),
    )
    axis = xct.find_center(raw.chunk(z=2, angle=50), rows=3)
    np.testing.assert_allclose(column(axis, raw), 48.3, atol=0.1)
    transmission = np.exp(-ds["absorbance"])
    other = ds.drop_vars("absorbance").assign(transmission=transmission.assign_attrs(units="1"))
    np.testing.assert_allclose(column(xct.find_center(other), ds), 48.3, atol=0.1)


LENS = {"polynomial": (1.0, 0.0, 6e-6), "center_from_top": 12.0, "center_from_left": 15.0}


def seen_through_the_lens(center: float) -> xr.Dataset:
    """A cylinder of ellipses in every row, as a camera with that lens shows it."""
    straight = scan(np.full(1, center), noise=0)["absorbance"].values[:, 0]
    pixel = np.stack(np.meshgrid(np.arange(25.0), np.arange(101.0), indexing="ij"))
    middle = np.array([LENS["center_from_top"], LENS["center_from_left"]])[:, None, None]
    true = pixel.copy()
    # Where what a pixel shows belongs: the lens moves it from there by r P(r).
    for _ in range(30):
        radius = np.hypot(*(true - middle))
        true = middle + (pixel - middle) / np.polynomial.Polynomial(LENS["polynomial"])(radius)
    values = np.stack([np.interp(true[1], np.arange(101), line) for line in straight])
    values += 0.002 * np.random.default_rng(5).normal(size=values.shape)
    um = {"units": "um"}
    angle = np.linspace(10, 190, len(straight))
    return xr.Dataset(
        {"transmission": (("angle", "z", "u"), np.exp(-values).astype("f4"), {"units": "1"})},
        {
            "angle": ("angle", angle, {"units": "deg"}),
            "z": ("z", (np.arange(25) - 12) * PIXEL, um),
            "u": ("u", (np.arange(101) - 50) * PIXEL, um),
            "resolution": ((), PIXEL, um),
            "detector_rows": ((), 25),
            "detector_columns": ((), 101),
        },
    )


def test_the_axis_of_straightened_projections() -> None:
    """It is that of the whole scan when straightened, though only what a few rows need is read."""
    ds = seen_through_the_lens(51.4)
    lens: dict[str, Any] = LENS
    bent, found = (xct.find_center(ds, method="opposite", rows=3, **g) for g in ({}, lens))
    np.testing.assert_allclose(column(found, ds), 51.4, atol=0.15)
    assert abs(column(bent, ds)[12] - 51.4) > 0.5
    straight = xct.find_center(xct.correct_distortion(ds, **lens), method="opposite", rows=3)
    np.testing.assert_allclose(found["axis_u"], straight["axis_u"], atol=1e-4)
    part = ds.drop_vars(["detector_rows", "detector_columns"]).chunk(angle=40)
    part = part.isel(z=slice(3, 9))
    few = xct.find_center(part, method="opposite", rows=1, detector=(25, 101), **lens)
    np.testing.assert_allclose(column(few, ds), 51.4, atol=0.15)


@pytest.mark.parametrize("turn", [180, 360])
def test_reconstruct_takes_it(turn: int) -> None:
    ds = scan(np.full(3, 52.4), angles=np.linspace(0, turn, turn + 1))
    axis = xct.find_center(ds, rows=2)
    np.testing.assert_allclose(column(axis, ds), 52.4, atol=0.1)
    out = xct.reconstruct(ds.assign_coords(resolution=((), PIXEL, {"units": "um"})), axis=axis)
    assert np.isfinite(out["attenuation"]).all()


def test_one_wrong_row_does_not_move_the_line() -> None:
    place = np.arange(7.0)
    center = 50 + 0.1 * place + np.array([0.01, -0.02, 0.01, 9.0, 0.02, -0.01, 0.0])
    line = fit(place, center, np.full(7, 0.05), np.ones(7, bool))
    np.testing.assert_allclose(line.at(place), 50 + 0.1 * place, atol=0.05)
    assert line.used.tolist() == [True] * 3 + [False] + [True] * 3
    assert line.sigma_at(place).max() < 0.2
    flat = fit(place[:2], np.array([50.0, 51.0]), np.full(2, 0.1), np.ones(2, bool))
    assert flat.slope == 0
    assert flat.offset == pytest.approx(50.5)


def test_an_axis_at_the_edge_of_the_range_is_told_loudly() -> None:
    ds = scan(np.full(3, 60.0))
    with pytest.warns(AxisWarning, match="it lies at the end of the range looked at, 40 to 55"):
        axis = xct.find_center(ds, method="opposite", start=40, stop=55)
    assert axis["at_edge"]
    assert axis["row_at_edge"].all()


def test_noise_is_told_loudly() -> None:
    ds = scan(np.full(3, 50.0))
    ds["absorbance"][:] = np.random.default_rng(0).normal(size=ds["absorbance"].shape)
    with pytest.warns(AxisWarning, match="no clear minimum in any row"):
        axis = xct.find_center(ds)
    assert axis["ambiguous"]


def test_methods_that_contradict_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zeoarray.xct.axis.checked", lambda *given: (-4.0, 0.1))
    with pytest.warns(AxisWarning, match=r"Vo's method differs by -4\.00 pixels"):
        axis = xct.find_center(scan(np.full(3, 50.0)))
    assert axis["ambiguous"]
    assert float(axis["axis_check"]) == pytest.approx(-4 * PIXEL)


def test_rows_without_sample_are_left_out() -> None:
    ds = scan(np.full(5, 50.6))
    ds["absorbance"][:, 1] = np.nan
    ds["absorbance"][:, 3] = 0
    axis = xct.find_center(ds)
    assert axis.attrs["rows"] == [0, 2, 4]
    np.testing.assert_allclose(column(axis, ds), 50.6, atol=0.1)
    for value in (np.nan, 0.7):
        ds["absorbance"][:] = value
        with pytest.raises(SourceError, match="no row shows a sample") as info:
            xct.find_center(ds)
        assert "5 rows that are constant or not finite, z index 0, 1, 2, 3, 4" in str(info.value)


@pytest.mark.parametrize("columns", [97, 100])
def test_few_angles_and_odd_sizes(columns: int) -> None:
    ds = scan(np.full(3, 50.0), angles=[0, 90, 180], columns=columns, noise=0.001)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AxisWarning)
        axis = xct.find_center(ds, method="opposite")
    np.testing.assert_allclose(column(axis, ds), 50, atol=0.25)


def test_angles_may_be_missing() -> None:
    angle = np.delete(np.linspace(0, 180, 181), slice(60, 80))
    ds = scan(np.full(3, 49.2), angles=angle)
    np.testing.assert_allclose(column(xct.find_center(ds), ds), 49.2, atol=0.1)
    with pytest.raises(ArgumentError, match="needs a half circle in even steps") as info:
        xct.find_center(ds, method="vo")
    assert "method='opposite'" in str(info.value)


def test_bad_input_is_told() -> None:
    ds = scan(np.full(3, 50.0))

    def told(given: xr.Dataset = ds, **more: Any) -> str:
        with pytest.raises(ArgumentError) as info:
            xct.find_center(given, **more)
        return str(info.value)

    assert "too few projections" in told(ds.isel(angle=[0, 120]))
    assert "over 88.5 deg" in told(ds.isel(angle=slice(0, 60)))
    assert "start=90, stop=130, 101 columns" in told(start=90, stop=130)
    assert "start=-20" in told(start=-20)
    assert "parameter 'method'" in told(method="guess")
    assert "only polynomial" in told(polynomial=[1.0])
    assert "only center_from_top, center_from_left" in told(center_from_top=3, center_from_left=4)
    bad = ds.copy(deep=True)
    bad["angle"] = bad["angle"].where(bad["angle"] > 20)
    assert "an angle is not finite" in told(bad)
    with pytest.raises(SchemaError, match="there are no projections"):
        xct.find_center(ds.drop_vars("absorbance"))


@pytest.mark.prove
def test_five_rows_of_random_scans_of_the_twin() -> None:
    """Where one row in thirty is wrong, five together are right: to 0.15 pixels in every row."""
    for number in range(4000, 4011):
        ds, center = sinograms.draw_rows(number)
        axis = xct.find_center(ds)
        found = (axis["axis_u"] - ds["u"][0]) / (ds["u"][1] - ds["u"][0])
        np.testing.assert_allclose(found, center, atol=0.25)
        assert not axis["at_edge"]
        assert not axis["ambiguous"]


@pytest.mark.real
def test_the_axis_of_a_real_scan(real: Path) -> None:
    """I13: the end frames alone are alike at 85.84, in each row to 0.02; Vo's method gives 85.5.

    Centres of mass over all angles say 85.75, with 0.12 from row to row.
    """
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
    ).isel(z=slice(70, 130))
    for method, where, within in (("vo", 85.5, 0.15), ("auto", 85.84, 0.05)):
        axis = xct.find_center(ds, method=method)
        np.testing.assert_allclose(column(axis, ds), where, atol=within)
        assert not axis["ambiguous"]
