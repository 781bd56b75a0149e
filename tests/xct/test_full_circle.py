"""Full circles with the axis near an edge, as the user calls it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.ellipses import LOPSIDED, project
from zeoarray import xct
from zeoarray.errors import ArgumentError, SchemaError, SourceError

PIXEL, HALF, ROWS = 2.6, 60.0, 5


def sinogram(angle: Any, columns: int, center: float) -> Any:
    return project(LOPSIDED, np.deg2rad(angle), columns, HALF, center) / HALF


def circle(
    columns: int, center: float, angles: int = 120, noise: float = 0.01, end: float = 360.0
) -> xr.Dataset:
    """Absorbance of a rod, its rows from faint to strong."""
    angle = np.arange(angles) * end / angles
    rows = np.linspace(0.5, 1, ROWS)
    values = rows[None, :, None] * sinogram(angle, columns, center)[:, None, :]
    values += np.random.default_rng(2).normal(0, noise, values.shape)
    um = {"units": "um"}
    return xr.Dataset(
        {"absorbance": (("angle", "z", "u"), values.astype("float32"), {"units": "1"})},
        {
            "angle": ("angle", angle, {"units": "deg"}),
            "z": ("z", np.arange(ROWS) * PIXEL, um),
            "u": ("u", (np.arange(columns) - (columns - 1) / 2) * PIXEL, um),
            "resolution": ((), PIXEL, um),
            "time": ("angle", np.arange(angles) * 1.0, {"units": "s"}),
        },
        {"notes": ["a good day"]},
    )


def axis_of(columns: int, center: float) -> float:
    return (center - (columns - 1) / 2) * PIXEL


@pytest.mark.parametrize("columns", [80, 83])
@pytest.mark.parametrize("center", [9.0, 14.5, 17.2, 66.0, 70.35])
def test_the_overlap_is_found(columns: int, center: float) -> None:
    ds = circle(columns, center)
    found = xct.find_overlap(ds)
    assert not found["at_edge"]
    assert not found["ambiguous"]
    np.testing.assert_allclose(found["axis_u"], axis_of(columns, center), atol=0.05 * PIXEL)
    left = center < columns / 2
    width = 2 * center + 1 if left else 2 * (columns - center) - 1
    assert float(found["overlap"]) == pytest.approx(width * PIXEL, abs=0.1 * PIXEL)
    assert int(found["overlap_side"]) == (-1 if left else 1)
    assert 0 < float(found["overlap_sigma"]) < 0.05 * PIXEL
    best = found["mirror_correlation"].idxmax("axis_tried")
    assert abs(float(best) - axis_of(columns, center)) <= PIXEL / 2


def test_algotom_finds_the_same() -> None:
    algotom = pytest.importorskip("algotom.prep.calculation", reason="algotom is not installed")
    ds = circle(160, 22.0, angles=180, noise=0.002)
    center, *_ = algotom.find_center_360(ds["absorbance"].values[:, 2], 20, side=0, ncore=1)
    found = xct.find_overlap(ds)
    assert abs(float(found["axis_u"][0]) - axis_of(160, center)) < 0.5 * PIXEL


@pytest.mark.parametrize("center", [14.5, 17.3, 66.0])
def test_the_wide_sinogram_is_rebuilt(center: float) -> None:
    columns = 83
    ds = circle(columns, center, noise=0.0)
    out = xct.unfold(ds, overlap=xct.find_overlap(ds))
    assert out.sizes["angle"] == 60
    assert out["absorbance"].dims == ("angle", "z", "u")
    np.testing.assert_array_equal(out["angle"], ds["angle"][:60])
    np.testing.assert_allclose(out["axis_u"], axis_of(columns, center), atol=0.05 * PIXEL)
    assert set(ds["u"].values) <= set(out["u"].values)
    np.testing.assert_allclose(np.diff(out["u"]), PIXEL)
    assert set(out.coords) == {"angle", "z", "u", "resolution", "axis_u"}
    assert out.attrs["notes"] == ["a good day"]
    # Where the wide detector would have had its columns, seen from the axis.
    first = (float(out["u"][0]) - axis_of(columns, center)) / PIXEL
    wide = sinogram(out["angle"].values, out.sizes["u"], -first)
    error = np.abs(out["absorbance"].values[:, -1] - wide)
    assert np.sqrt((error**2).mean()) < 0.01 * wide.max()


def test_the_overlap_is_given() -> None:
    ds = circle(80, 12.0, noise=0.0)
    by_columns = xct.unfold(ds, overlap_columns=25.0, side="left")
    assert by_columns.sizes["u"] == 135
    np.testing.assert_allclose(by_columns["axis_u"], axis_of(80, 12.0))
    mirrored = circle(80, 67.0, noise=0.0)
    out = xct.unfold(mirrored, overlap_columns=25.0, side="right")
    np.testing.assert_allclose(out["axis_u"], axis_of(80, 67.0))
    wide = sinogram(out["angle"].values, 135, 67.0)
    np.testing.assert_allclose(out["absorbance"][:, -1], wide, atol=1e-5)


def test_it_goes_on_to_a_reconstruction() -> None:
    ds = circle(80, 14.0, angles=360, noise=0.0)
    volume = xct.reconstruct(xct.unfold(ds, overlap_columns=29.0, side="left"))
    inside = volume["attenuation"].sel(z=(ROWS - 1) * PIXEL, x=0.05 * HALF * PIXEL,
                                       y=-0.08 * HALF * PIXEL, method="nearest")  # fmt: skip
    # The phantom's value is 1 over a pixel's share of the unit that its projection counts.
    expected = 1 / HALF / (PIXEL * 1e-4)
    assert float(inside) == pytest.approx(expected, rel=0.05)


def test_transmission_and_angles_without_an_exact_opposite() -> None:
    ds = circle(80, 14.0, angles=301, noise=0.0)
    thin = xr.Dataset(
        {"transmission": np.exp(-0.1 * ds["absorbance"]).assign_attrs(units="1")}, ds.coords
    )
    found = xct.find_overlap(thin)
    np.testing.assert_allclose(found["axis_u"], axis_of(80, 14.0), atol=0.1 * PIXEL)
    out = xct.unfold(thin, overlap=found)
    assert out.sizes["angle"] == 151
    wide = sinogram(out["angle"].values, out.sizes["u"], 14.0 + out.sizes["u"] - 80)
    np.testing.assert_allclose(out["transmission"][:, -1], np.exp(-0.1 * wide), atol=0.01)


def test_a_circle_that_is_not_closed() -> None:
    ds = circle(80, 14.0, angles=300, end=300.0)
    out = xct.unfold(ds, overlap_columns=29.0, side="left")
    assert out.sizes["angle"] == 120
    assert out.attrs["notes"][-1] == "xct.unfold: 60 projections have none opposite, left out"
    half = circle(80, 14.0, angles=180, end=180.0)
    with pytest.raises(SourceError, match="no projection has one opposite to it"):
        xct.find_overlap(half)
    with pytest.raises(ArgumentError, match="no projection has one opposite to it"):
        xct.unfold(half, overlap_columns=29.0, side="left")


def test_what_is_uncertain_is_said() -> None:
    noise = circle(80, 14.0).copy()
    noise["absorbance"] = noise["absorbance"].copy(
        data=np.random.default_rng(0).normal(size=noise["absorbance"].shape).astype("float32")
    )
    found = xct.find_overlap(noise)
    assert found["ambiguous"]
    out = xct.unfold(noise, overlap=found)
    assert "the overlap that was measured is marked" in out.attrs["notes"][-1]
    # The axis is at 14: on the other side, nothing is right.
    wrong = xct.find_overlap(circle(80, 14.0), side="right")
    assert wrong["ambiguous"] or wrong["at_edge"]
    beyond = xct.find_overlap(circle(80, 4.0), least=0.2)
    assert beyond["at_edge"] or beyond["ambiguous"]


def test_constant_and_broken_projections() -> None:
    ds = circle(80, 14.0)
    with pytest.raises(SourceError, match="opposite projections do not correlate"):
        xct.find_overlap(ds.assign(absorbance=xr.zeros_like(ds["absorbance"])))
    ds["absorbance"][3, 2, 5] = np.nan
    with pytest.raises(SourceError, match="values that are not finite"):
        xct.find_overlap(ds, rows=5, angles=120)
    with pytest.raises(SchemaError, match="has no 'transmission'"):
        xct.find_overlap(ds.drop_vars("absorbance"))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"overlap_columns": 20.0},
        {"side": "left"},
        {"overlap": "measured", "overlap_columns": 20.0, "side": "left"},
    ],
)
def test_the_overlap_is_given_once(given: dict[str, Any]) -> None:
    ds = circle(80, 14.0)
    if "overlap" in given:
        given = given | {"overlap": xct.find_overlap(ds)}
    with pytest.raises(ArgumentError, match="to be given in one way"):
        xct.unfold(ds, **given)


@pytest.mark.parametrize("columns", [0.0, 81.0])
def test_an_overlap_that_is_not_on_the_detector(columns: float) -> None:
    with pytest.raises(ArgumentError, match="not on the detector"):
        xct.unfold(circle(80, 14.0), overlap_columns=columns, side="left")
